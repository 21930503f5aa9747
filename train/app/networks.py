"""Trained networks as programs name them: the folder of a run, or a .keras file."""

import contextlib
import hashlib
import pathlib
from typing import Any

import keras

from keras_swish import io
from keras_swish.messages import first_line

from ..errors import UsageError
from ..trainer import builders, trainer
from ..trainer.environment import CONFIG, read_record


def run_of(path: pathlib.Path) -> trainer.Run | None:
    """Returns the run that has written a network, or None for a file that no run has written.

    Args:
        path: The folder of a run, or a .keras file, which may lie in such a folder.

    Raises:
        UsageError: If it is not there, or a folder of something else.
    """
    if not path.exists():
        raise UsageError(f"{path} is not there")
    folder = path if path.is_dir() else path.parent
    try:
        record = read_record(folder)
        config = None if record is None else record["config"]
    except io.DamagedFileError as error:
        if path.is_file():  # next to something of another program
            return None
        raise UsageError(f"{folder / CONFIG} is not that of a run ({error})") from error
    try:
        # A comparison's folder, which may hold files of others, leaves the activation open.
        if config and {"activation", "seed", "recipe"} <= config.keys():
            # From before a run said so itself.
            old = {"image_files": {}} if config.get("program") == "imagenet" else {}
            return trainer.Run.from_config({**old, **config})
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        message = f"{folder / CONFIG} is not that of a run ({first_line(error)})"
        raise UsageError(message) from error
    if path.is_file():
        return None
    if config is None:
        raise UsageError(f"{path} is no folder of a run: it has no {CONFIG}")
    raise UsageError(
        f"{path} is a folder of `keras-swish {config.get('program')}`, not of one run; those of a "
        "comparison are under its runs/"
    )


def network_file(path: pathlib.Path) -> pathlib.Path:
    """Returns the file of the network that a folder of a run or a .keras file holds."""
    return path / trainer.MODEL if path.is_dir() else path


def why_absent(path: pathlib.Path) -> str:
    """Returns why the network of a folder of a run, or the file in one, is not there."""
    folder = network_file(path).parent
    if not (folder / CONFIG).exists():
        return "no run was trained into this folder"
    result = trainer.read_result(folder)
    if result is None:
        return "the run has not ended"
    status = result["status"]
    return f"{trainer.MODEL} was taken away" if status == "ok" else f"the run {status}"


def digest(file: pathlib.Path) -> str:
    """Returns what tells the file of a network from another one."""
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


def load(path: pathlib.Path) -> keras.Model:
    """Loads the network of a folder of a run, or of a .keras file.

    Raises:
        UsageError: If there is none that can be loaded.
    """
    file = network_file(path)
    if not file.exists():
        raise UsageError(f"{file} is not there: {why_absent(path)}")
    run = run_of(path)
    own = run.model if run is not None and builders.is_own(run.model) else builder(file)
    if own is not None:
        with contextlib.suppress(ValueError):  # not every file names classes of its module
            builders.find(own)
    try:
        model: Any = keras.saving.load_model(file, compile=False)
        return model
    except Exception as error:  # of a damaged file it may be any, zipfile's and h5py's too
        raise UsageError(f"{file} cannot be loaded ({first_line(error)})") from error


def builder(file: str | pathlib.Path) -> str | None:
    """Returns the builder of the user's own that made a fine-tuned network, if one did."""
    try:
        record = read_record(pathlib.Path(file).parent)
    except io.DamagedFileError:  # of somebody else
        return None
    return (record or {}).get("config", {}).get("builder")


def load_classifier(path: pathlib.Path) -> keras.Model:
    """Loads a network as `load` does that tells the shapes of its one input and one output.

    Raises:
        UsageError: If there is none that can be loaded, or it is another kind of network.
    """
    model = load(path)
    shapes = (getattr(model, f"{end}_shape", None) for end in ("input", "output"))
    if not all(isinstance(shape, tuple) for shape in shapes):
        raise UsageError(f"{path} is no functional or sequential model of one input and one output")
    return model
