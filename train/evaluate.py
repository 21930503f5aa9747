"""Tests a network that was trained: top-1 and top-5 accuracy, and the loss.

Examples:
  keras-swish evaluate runs/mine
      the network of a finished run, on its own test split.
  keras-swish evaluate runs/mine --checkpoint=best
      the checkpoint with the highest validation accuracy; --checkpoint=newest works in the
      middle of a run, too.
  keras-swish evaluate runs/mine/model.keras --dataset=/data/imagenet-v2 --test_split=val
      another dataset of the same classes.
  keras-swish evaluate flowers.keras --dataset=/data/flowers --test_split=test
      any Keras model of images that ends in logits or in a softmax.

The loss is the cross entropy alone: no penalty, no label smoothing. A run's network gets images
as it was trained, whatever the dataset; for a lone file, those of ImageNet's form are read as
`keras-swish imagenet` reads them, others as `keras-swish cifar` does. A run of a comparison is a
folder under its runs/.
"""

import contextlib
import dataclasses
import pathlib
import sys
import tempfile
import types
from collections.abc import Iterator
from typing import Any

import keras
from absl import flags as absl_flags
from absl.flags import FlagValues

from keras_swish.messages import first_line

from .app import data, flags, networks
from .app import main as app
from .datasets import imagenet, in_memory
from .datasets.base import ImageDataset, renamed_class
from .errors import ArgumentError, UsageError
from .trainer import builders, checkpoints, trainer
from .trainer import model as model_building
from .trainer.environment import read_record

# Images in one go, for a file that no run has written.
BATCH_SIZE = 64
# Flags that name the data.
_DATA = ("dataset", "train_split", "test_split", "image_size")


def define_flags(flag_values: FlagValues) -> None:
    """Defines the flags of the program."""
    absl_flags.DEFINE_enum(
        "checkpoint",
        None,
        ["best", "newest"],
        "Evaluate this checkpoint of the run instead of its end.",
        flag_values,
    )
    flags.define_data_flags(flag_values)
    flags.define_image_file_flags(flag_values, training=False)
    flags.define_recipe_fields(flag_values, ["batch_size"])


def main(flag_values: FlagValues, arguments: list[str]) -> None:
    """Runs the program."""
    if len(arguments) != 1:
        raise UsageError("name one folder of a run, or one .keras file")
    path = pathlib.Path(arguments[0]).expanduser()
    run = networks.run_of(path)
    _check_split(flag_values, run)
    if run is None:
        model, dataset = _load_file(flag_values, path)
    else:
        model, dataset = _load_run(flag_values, path, run)
    _check_fits(path, model, dataset)
    if run is not None:
        _check_class_names(path, dataset)
    model_building.compile_for(model, dataset.input_shape)
    batch_size = flag_values.batch_size or (run.recipe.part if run else BATCH_SIZE)
    with _named_corrupt(dataset) as dataset, dataset.errors():
        metrics = trainer.evaluate(model, dataset, "test", batch_size)
    print(f"top-1 accuracy {metrics['accuracy']:.2%}")
    if "top_5_accuracy" in metrics:
        print(f"top-5 accuracy {metrics['top_5_accuracy']:.2%}")
    print(f"loss {metrics['cross_entropy']:.4f}")


@contextlib.contextmanager
def _named_corrupt(dataset: ImageDataset) -> Iterator[ImageDataset]:
    """Gives the data a temporary folder for the names of corrupt images; it stays if there are."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="keras-swish-evaluate-"))
    any_size: Any = types.SimpleNamespace(image_size=None)
    try:
        dataset = dataset.for_run(any_size, folder)
        yield dataset
        if (line := dataset.unreadable()) is not None:
            print(line, file=sys.stderr, flush=True)
    finally:
        with contextlib.suppress(OSError):  # not empty
            folder.rmdir()


def _load_file(flag_values: FlagValues, path: pathlib.Path) -> tuple[keras.Model, ImageDataset]:
    """Loads a network that no run has written, and the data of the flags."""
    if flag_values.checkpoint is not None:
        raise ArgumentError("checkpoint", f"{path} is no folder of a run")
    model = networks.load_classifier(path)
    settings = {name: flag_values[name].value for name in _DATA}
    if imagenet.is_image_files(flag_values.dataset):
        size = model.input_shape[2] if len(model.input_shape) == 4 else None
        if size is None and flag_values.image_size is None:
            raise ArgumentError("image_size", f"has to be given: {path} takes images of any")
        defaults = {"test_split": "validation", "image_size": size, "image_files": {}}
    else:
        defaults = {"test_split": "test", "pad": 0}
    settings |= {"flip": False, **defaults, **flags.given(flag_values, _DATA)}
    return model, data.load(flag_values, settings, test_only=True)


def _load_run(
    flag_values: FlagValues, path: pathlib.Path, run: trainer.Run
) -> tuple[keras.Model, ImageDataset]:
    """Loads the network of a run, and its data, or the data of the flags in place of that."""
    if flag_values.checkpoint is None and not networks.network_file(path).exists():
        # Of a fine-tuned network only the end can be tested.
        remedy = "; try --checkpoint=newest" if builders.is_builder(run.model) else ""
        raise UsageError(f"{path}: {networks.why_absent(path)}{remedy}")
    given, normalization = flags.given(flag_values, _DATA), None
    if given.keys() - {"test_split"}:
        normalization = data.normalization_of(flag_values, run)
    settings = {**vars(run), **given}
    dataset = data.load(flag_values, settings, test_only=True, normalization=normalization)
    if flag_values.checkpoint is None:
        return networks.load_classifier(path), dataset
    folder, best = networks.network_file(path).parent, flag_values.checkpoint == "best"
    return load_checkpoint(run, dataset, folder, best), dataset


def _check_split(flag_values: FlagValues, run: trainer.Run | None) -> None:
    """Refuses a training split that nothing is read of: a test on it is to be asked for as one."""
    dataset = flag_values.dataset
    is_known = run is not None or imagenet.is_image_files(dataset)
    if flag_values["train_split"].present and (
        is_known or in_memory.known_normalization(dataset, flag_values.image_size)
    ):
        message = "is not read, as the normalization is known; --test_split names what is tested"
        raise ArgumentError("train_split", message)


def _check_fits(path: pathlib.Path, model: keras.Model, dataset: ImageDataset) -> None:
    if not builders.fits(model.input_shape, (None, *dataset.input_shape)):
        raise UsageError(f"{path} takes {model.input_shape}, the data is {dataset.input_shape}")
    if not builders.fits(model.output_shape, (None, dataset.classes)):
        classes = model.output_shape[-1]
        raise UsageError(f"{path} knows {classes} classes, the data {dataset.classes}")


def _check_class_names(path: pathlib.Path, dataset: ImageDataset) -> None:
    """Refuses data of which a class's number does not mean what it did in the run."""
    record = read_record(networks.network_file(path).parent) or {}
    if other := renamed_class(record.get("class_names"), dataset.class_names):
        number, ours, theirs = other
        raise UsageError(f"class {number} of {path} is {ours!r}, that of the data {theirs!r}")


def load_checkpoint(
    run: trainer.Run, dataset: ImageDataset, folder: pathlib.Path, best: bool
) -> keras.Model:
    """Returns the network of a checkpoint: the best one, or the newest that can be read.

    Args:
        run: The run that wrote it.
        dataset: The data that the network has to fit.
        folder: Folder of the run.
        best: Whether to take the checkpoint with the highest validation accuracy.

    Raises:
        ArgumentError: If there is none that can be read.
    """
    if not builders.is_builder(run.model):
        raise ArgumentError("checkpoint", "of a fine-tuned network only the end can be tested")
    # The penalty is no part of the test, and the schedule may be any, so its length too.
    recipe = dataclasses.replace(run.recipe, warmup_epochs=0.0, weight_decay=0.0)
    shapes: Any = types.SimpleNamespace(
        input_shape=dataset.input_shape,
        classes=dataset.classes,
        normalization=dataset.normalization,
        white=dataset.white,
        training_images=1000 * recipe.batch_size,
    )
    known = run.model_digest
    if known and known != builders.digest(run.model, shapes, run.dtype_policy):
        raise ArgumentError("checkpoint", f"{run.model} makes another network than that of the run")
    # Its weights are all in the checkpoint; a builder may make another network for ImageNet's.
    weights = run.weights if builders.is_own(run.model) and run.weights == "imagenet" else None
    model = model_building.build(dataclasses.replace(run, recipe=recipe, weights=weights), shapes)
    model_building.make_metrics(model)
    saved = checkpoints.Checkpoints(folder / trainer.CHECKPOINTS, run.config(), writes=False)
    paths = [saved.best()] if best else saved.paths()
    if not any(_is_loaded(saved, path, model) for path in paths if path):
        raise ArgumentError("checkpoint", f"there is none that can be read in {saved.directory}")
    for variable, average in model_building.averages(model):
        variable.assign(keras.ops.convert_to_numpy(average))
    return model_building.classifier(model)


def _is_loaded(saved: checkpoints.Checkpoints, path: pathlib.Path, model: keras.Model) -> bool:
    """Loads a checkpoint, unless it is damaged, or the run has removed it in between."""
    try:
        saved.load(path, model)
    except ArgumentError as error:
        raise ArgumentError("checkpoint", f"it does not fit this dataset: {error}") from error
    except checkpoints.BrokenError as error:
        print(f"{path} cannot be read ({first_line(error)})", file=sys.stderr, flush=True)
        return False
    return True


if __name__ == "__main__":
    app.run(main, define_flags)
