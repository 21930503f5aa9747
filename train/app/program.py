"""What the training programs share: flags, help, folders, and saying what was wrong.

A user's mistake ends a program with one line that names the flag, and exit code 2.
"""

import contextlib
import dataclasses
import datetime
import errno
import importlib.util
import inspect
import itertools
import os
import pathlib
import re
import shlex
import signal
import sys
import textwrap
from collections.abc import Callable

import keras
from absl import app, flags, logging

import keras_swish
from keras_swish import io, models
from keras_swish.messages import unknown

from ..datasets import in_memory
from ..errors import (
    ArgumentError,
    DataError,
    DivergedError,
    HostLostError,
    PreemptedError,
    as_argument_error,
)
from ..trainer import distribution, recipes
from ..trainer.checkpoints import changed_settings
from ..trainer.environment import CONFIG, environment
from . import recipe_flags

FLAGS = flags.FLAGS
# absl files the flags of the module that Python was started with under this name.
_STARTED_AS = sys.argv[0]
_RELEASE = contextlib.ExitStack()

_SHORT = ", ".join(f"{spec.model} for {name}" for name, spec in in_memory.SPECS.items())

flags.DEFINE_string(
    "dataset",
    "digits",
    "'digits' (needs no download), 'fashion_mnist', 'cifar10', 'cifar100', or any image "
    "classification dataset of TensorFlow Datasets. Of ImageNet's form: 'imagenet2012', a folder "
    "of class folders, a pattern of TFRecord files.",
)
flags.DEFINE_string("data_dir", None, "Folder of the datasets that TensorFlow Datasets prepared.")
flags.DEFINE_string("train_split", "train", "Split to train on; a part: 'train[:10000]'.")
flags.DEFINE_string(
    "test_split", "test", "Split to test on, once, at the end. Of ImageNet's form: 'validation'."
)
flags.DEFINE_integer("pad", None, "Pixels of padding before a random crop.", lower_bound=0)
flags.DEFINE_boolean("flip", None, "Mirror half of the images. By default as fits the dataset.")
flags.DEFINE_integer("image_size", None, "Side to scale the images to.", lower_bound=8)
flags.DEFINE_string("model", None, f"Network. By default: {_SHORT}.")
flags.DEFINE_integer("seed", 0, "Seed of kernels, order and augmentation.", lower_bound=0)
flags.DEFINE_enum(
    "dtype_policy",
    "float32",
    ["float32", "mixed_bfloat16", "mixed_float16"],
    "Keras's dtype policy; the mixed ones compute in half precision.",
)
flags.DEFINE_float(
    "checkpoint_seconds",
    30.0,
    "Write a checkpoint when the last one is older than this.",
    lower_bound=0,
)
flags.DEFINE_integer(
    "keep_checkpoints", 2, "How many of the newest checkpoints to keep, beside the best.", 1
)
flags.DEFINE_enum(
    "strategy",
    "none",
    distribution.STRATEGIES,
    "Devices: 'none' for one, 'data_parallel' for all of this machine (TensorFlow, JAX), "
    "'multi_host' for several machines (JAX), which all run the same command, see the next three.",
)
flags.DEFINE_string("coordinator", None, "Address and port of host 0, for --strategy=multi_host.")
flags.DEFINE_integer("hosts", None, "Number of hosts, for --strategy=multi_host.", lower_bound=1)
flags.DEFINE_integer("host", None, "Number of this host, from 0.", lower_bound=0)
flags.DEFINE_boolean("tensorboard", False, "Write a TensorBoard log beside the CSV log.")
flags.DEFINE_boolean("wandb", False, "Report to Weights & Biases, where it is installed.")
flags.DEFINE_string(
    "out",
    None,
    "Folder for the results; by default a new one under runs/. The folder of an interrupted "
    "run of the same settings is gone on with.",
)


def run(main: Callable[..., None]) -> None:
    """Runs a program's `main` with its flags parsed.

    A `main` with a parameter gets the list of the arguments that are no flags.
    """
    script = pathlib.Path(sys.argv[0])
    if script.suffix == ".py":
        is_ours = script.resolve().parent == pathlib.Path(__file__).resolve().parent.parent
        sys.argv[0] = f"python {f'-m keras_swish.train.{script.stem}' if is_ours else script}"
    # TensorFlow Datasets reports every file that it opens.
    logging.set_verbosity(logging.WARNING)
    try:
        takes_arguments = bool(inspect.signature(main).parameters)
        app.run(
            lambda argv: main(*[argv[1:]] * takes_arguments),
            flags_parser=lambda argv: _parse(argv, main),
        )
    except ArgumentError as error:
        if error.argument not in FLAGS:
            fail(f"{error.argument}: {error}")
        flag = FLAGS[error.argument]
        value = ",".join(map(str, flag.value)) if isinstance(flag.value, list) else flag.value
        # A default may not be what the program took.
        fail(f"--{error.argument}{f'={value}' if flag.present else ''}: {error}")
    except DivergedError as error:
        fail(f"{error}: try a lower --learning_rate or a longer --warmup_epochs", status=1)
    except KeyboardInterrupt:
        fail(f"interrupted{_goes_on()}", status=130)
    except PreemptedError as error:
        fail(f"{error}{_goes_on()}", status=128 + signal.SIGTERM)
    except HostLostError as error:
        print(f"{sys.argv[0]}: {error}{_goes_on()}, on all hosts", file=sys.stderr, flush=True)
        os._exit(1)  # without JAX's farewell, which waits for all hosts, and aborts
    except DataError as error:
        fail(str(error), status=1)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        fail(f"{error.strerror}: nothing is lost that was saved{_goes_on()}", status=1)
    finally:
        _RELEASE.close()


def _goes_on() -> str:
    return f"; the same command with --out={FLAGS.out} goes on" if FLAGS.out else ""


def fail(message: str, status: int = 2) -> None:
    """Ends the program with one line on stderr."""
    print(f"{sys.argv[0]}: {' '.join(message.split())}", file=sys.stderr, flush=True)
    sys.exit(status)


def _parse(argv: list[str], main: Callable) -> list[str]:
    if {"--help", "-help", "-h", "--helpshort", "--helpfull"} & set(argv[1:]):
        print(help_text(main))
        sys.exit(0)
    try:
        arguments = FLAGS(argv)
    except flags.Error as error:
        fail(str(error))
    if arguments[1:] and not inspect.signature(main).parameters:
        fail(f"unexpected argument {arguments[1]!r}: every setting is a --flag")
    return arguments


def help_text(main: Callable) -> str:
    """Returns the help of a program: what its module says of it, and every flag."""
    lines = [sys.modules[main.__module__].__doc__.strip(), "", "Flags:"]
    by_module = FLAGS.flags_by_module_dict()
    # The program's own flags first, then those that all programs share.
    for module in sorted(by_module, key=lambda module: module == __name__):
        # absl calls the module that was started by the name of its script.
        if module.startswith("keras_swish.train") or module == _STARTED_AS:
            for flag in by_module[module]:
                default = "" if flag.default is None else f" (default: {flag.default_as_str})"
                lines.append(f"  --{flag.name}{default}")
                lines += textwrap.wrap(
                    flag.help, 88, initial_indent=" " * 6, subsequent_indent=" " * 6
                )
    return "\n".join(lines)


def split(text: str) -> list[str]:
    """Splits at the commas that do not stand in brackets.

    Example:
        >>> from keras_swish.train.app.program import split
        >>> split("relu, max(x, sigmoid(x))")
        ['relu', 'max(x, sigmoid(x))']
    """
    parts, depth = [""], 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip()]


def load_dataset(settings: dict) -> in_memory.Dataset:
    """Loads the dataset that the settings name."""
    named = (settings[name] for name in ("train_split", "test_split", "image_size"))
    dataset = in_memory.load(settings["dataset"], FLAGS.data_dir, *named)
    spec = dataclasses.replace(dataset.spec, pad=settings["pad"], flip=settings["flip"])
    return dataclasses.replace(dataset, spec=spec)


def check_fits(recipe: recipes.Recipe, images: int) -> None:
    """Refuses a recipe that cannot be followed with so many training images."""
    if recipe.batch_size > images:
        raise ArgumentError(
            "batch_size",
            f"a batch of {recipe.batch_size} is larger than the training split, {images} images",
        )
    recipes.learning_rate_schedule(recipe, images // recipe.batch_size)


def settings(
    activations: dict[str, list[str]], model: str | None = None, recipe: str | None = None
) -> dict:
    """Returns all of a `fitting.Run` but its activation and seed, checked.

    Args:
        activations: The identifiers that each flag gave, checked as well.
        model: The network, checked by the caller; by default that of --model.
        recipe: Name of the recipe where no flag names one; by default the dataset's.
    """
    check_activations(activations)
    if model is None:
        model = chosen_model(in_memory.SPECS.get(FLAGS.dataset, in_memory.OTHER).model)
    found = network_settings(model, recipe)
    recipe_flags.show({model: found["recipe"]})
    return found


def network_settings(model: str, recipe: str | None = None) -> dict:
    """Returns what `settings` does, for a network; a part of a comparison of several."""
    spec = in_memory.SPECS.get(FLAGS.dataset, in_memory.OTHER)
    # A network of the paper has a recipe of its own, but for data that is not of its size.
    own = model if model in recipes.RECIPES and spec.recipe == "cifar" else spec.recipe
    return {
        "dataset": FLAGS.dataset,
        "train_split": FLAGS.train_split,
        "test_split": FLAGS.test_split,
        "image_size": FLAGS.image_size,
        "pad": spec.pad if FLAGS.pad is None else FLAGS.pad,
        "flip": spec.flip if FLAGS.flip is None else FLAGS.flip,
        "model": model,
        "recipe": recipe_flags.chosen(recipe or own, model),
        "dtype_policy": FLAGS.dtype_policy,
    }


def check_activations(activations: dict[str, list[str]]) -> None:
    """Refuses identifiers, by the flag that gave them, that are no activations of images."""
    for flag, identifiers in activations.items():
        with as_argument_error(flag):
            for identifier in identifiers:
                _check_activation(identifier)


def or_default(flag: str, default):
    """Returns a flag's value if it was given, and otherwise what a program wants instead."""
    return FLAGS[flag].value if FLAGS[flag].present else default


def chosen_model(default: str) -> str:
    """Returns the network that the flag names, or that one."""
    model = FLAGS.model or default
    if model not in models.names():
        raise ArgumentError("model", unknown("network", model, models.names()))
    return model


def _check_activation(identifier: str) -> None:
    layer = keras_swish.layer(identifier)
    images = keras.ops.ones((1, 4, 4, 6))
    try:
        shape = tuple(layer(images).shape)
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        raise ValueError(f"{identifier!r} cannot be applied to images ({reason})") from error
    if shape != tuple(images.shape):
        raise ValueError(f"{identifier!r} is no elementwise function: it changes the shape")


def start_devices() -> distribution.Devices:
    """Returns what --strategy asks for, ready. To be called before anything is computed."""
    if FLAGS.strategy == "multi_host" and FLAGS.out is None:
        raise ArgumentError("out", "--strategy=multi_host needs a folder that all hosts share")
    return distribution.start(FLAGS.strategy, FLAGS.coordinator, FLAGS.hosts, FLAGS.host)


def refuse_strategy() -> None:
    """Refuses --strategy, for a program that computes on one device."""
    if FLAGS.strategy != "none":
        raise ArgumentError("strategy", "this program computes on one device")


def fitting_options() -> dict:
    """Returns the keywords of `fitting.train` that do not change a run's outcome."""
    for flag in ("tensorboard", "wandb"):
        # wandb's callback, too, imports TensorFlow.
        missing = [p for p in ("tensorflow", flag) if importlib.util.find_spec(p) is None]
        if FLAGS[flag].value and missing:
            raise ArgumentError(flag, f"needs {' and '.join(missing)}: pip install them")
    return {
        "checkpoint_seconds": FLAGS.checkpoint_seconds,
        "keep_checkpoints": FLAGS.keep_checkpoints,
        "tensorboard": FLAGS.tensorboard,
        "wandb": FLAGS.wandb,
    }


def out_directory(
    program: str,
    config: dict,
    devices: distribution.Devices = distribution.ONE_DEVICE,
    networks: dict[str, dict] | None = None,
) -> pathlib.Path:
    """Returns the folder for the results, made, with the settings and this start written into it.

    Args:
        program: As for `claim_directory`.
        config: As there.
        devices: What `distribution.start` gave; of many hosts, one makes the folder.
        networks: As there; those that are new in the folder are added.
    """
    if not devices.writes:
        _check_out()
        return pathlib.Path(FLAGS.out).expanduser()
    out = claim_directory(program, config, networks)
    record_start(out, networks)
    return out


def claim_directory(
    program: str, config: dict, networks: dict[str, dict] | None = None
) -> pathlib.Path:
    """Returns the folder for the results, made, with the settings written into it.

    An existing folder is used only when it was made by the same program with the same
    settings, which is how an interrupted run goes on.

    Args:
        program: Name of the program.
        config: The settings.
        networks: Further settings, for each network of a comparison; the folder may know others.
    """
    _check_out()
    out = _new_folder(program) if FLAGS.out is None else pathlib.Path(FLAGS.out).expanduser()
    FLAGS.out = str(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        record = io.read_json(out / CONFIG)
        empty = not any(out.iterdir())
    except (OSError, ValueError) as error:
        raise ArgumentError("out", f"not a folder of results ({error})") from error
    if record is None and not empty:
        raise ArgumentError("out", "holds other files; choose another folder")
    if record is None:
        record = {"config": {"program": program, **config}, "starts": []}
    maker = record["config"].get("program")
    if maker != program:
        raise ArgumentError("out", f"is a folder of `keras-swish {maker}`; choose another one")
    known = record["config"].get("networks", {})
    again = {name: own for name, own in (networks or {}).items() if name in known}
    other = changed_settings(record["config"], {"program": program, **config})
    other = other or changed_settings(known, again)
    if other:
        raise ArgumentError(
            "out", f"holds the results of other settings ({other}); choose another folder"
        )
    _lock(out)
    io.remove_temporaries(out)
    if empty:
        io.write_json(out / CONFIG, record)
    return out


def record_start(out: pathlib.Path, networks: dict[str, dict] | None = None) -> None:
    """Writes into a folder of results that this command works on it, and on which networks."""
    record = io.read_json(out / CONFIG)
    if networks:
        record["config"]["networks"] = networks | record["config"].get("networks", {})
    start = {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": command(),
        "environment": environment(),
    }
    io.write_json(out / CONFIG, {**record, "starts": [*record["starts"], start]})


def _check_out() -> None:
    if "://" in (FLAGS.out or ""):
        raise ArgumentError("out", "results go to a folder that this machine has mounted, no URL")


def _lock(out: pathlib.Path) -> None:
    """Keeps a second process out of the folder for as long as this one lives."""
    try:
        _RELEASE.enter_context(io.lock(out / ".lock"))
    except BlockingIOError as error:
        raise ArgumentError("out", "another process is writing into this folder") from error


def _new_folder(program: str) -> pathlib.Path:
    """Makes a folder under runs/ that no other program started at the same moment gets."""
    name = program + re.sub(r"[^\w.]+", "_", f"-{FLAGS.dataset}").replace("_", "-", 1)
    name += datetime.datetime.now().strftime("-%Y%m%d-%H%M%S")
    for number in itertools.count(1):
        out = pathlib.Path("runs", name if number == 1 else f"{name}-{number}")
        try:
            out.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise ArgumentError("out", f"cannot make {out} ({error})") from error
        return out


def command() -> str:
    """Returns the command line that started this program."""
    return shlex.join([*sys.argv[0].split(), *sys.argv[1:]])
