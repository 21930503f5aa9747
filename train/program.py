"""What the training programs share: flags, help, folders, and saying what was wrong.

A user's mistake ends a program with one line that names the flag, and exit code 2.
"""

import contextlib
import dataclasses
import datetime
import importlib.util
import inspect
import os
import pathlib
import shlex
import sys
import textwrap
from collections.abc import Callable, Iterator

from absl import app, flags, logging

import keras_swish
from keras_swish import models
from keras_swish.registry import unknown
from keras_swish.train import data, files, fitting, recipes
from keras_swish.train.environment import environment
from keras_swish.train.errors import ArgumentError, DivergedError

FLAGS = flags.FLAGS
CONFIG = "config.json"

_SHORT = ", ".join(f"{spec.model} for {name}" for name, spec in data.SPECS.items())

flags.DEFINE_string(
    "dataset",
    "digits",
    "'digits' (needs no download), 'fashion_mnist', 'cifar10', 'cifar100', or any image "
    "classification dataset of TensorFlow Datasets.",
)
flags.DEFINE_string("data_dir", None, "Folder of the datasets that TensorFlow Datasets prepared.")
flags.DEFINE_string("train_split", "train", "Split to train on; a part: 'train[:10000]'.")
flags.DEFINE_string("test_split", "test", "Split to test on, once, at the end.")
flags.DEFINE_integer("image_size", None, "Side to scale the images to.", lower_bound=8)
flags.DEFINE_string("model", None, f"Network. By default: {_SHORT}.")
flags.DEFINE_string(
    "recipe", None, f"How to train: {', '.join(recipes.RECIPES)}. By default the dataset's."
)
flags.DEFINE_integer("epochs", None, "Passes over the training split.", lower_bound=1)
flags.DEFINE_integer("batch_size", None, "Images a step.", lower_bound=1)
flags.DEFINE_float("learning_rate", None, "Highest learning rate.", lower_bound=0)
flags.DEFINE_enum("schedule", None, recipes.SCHEDULES, "How the learning rate falls.")
flags.DEFINE_float("warmup_epochs", None, "Length of the warm-up, in epochs.", lower_bound=0)
flags.DEFINE_float("momentum", None, "Momentum of SGD.", lower_bound=0, upper_bound=1)
flags.DEFINE_float("weight_decay", None, "Coefficient of the kernels' L2 penalty.", lower_bound=0)
flags.DEFINE_boolean("decay_activations", None, "Decay the weights of activations (beta) too.")
flags.DEFINE_float("label_smoothing", None, "Label smoothing.", lower_bound=0, upper_bound=1)
flags.DEFINE_float(
    "bn_momentum",
    None,
    "Momentum of batch normalisation's moving statistics.",
    lower_bound=0,
    upper_bound=1,
)
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
    "Write a checkpoint at the end of an epoch when the last one is older than this.",
    lower_bound=0,
)
flags.DEFINE_boolean("tensorboard", False, "Write a TensorBoard log beside the CSV log.")
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
    if sys.argv[0].endswith(".py"):
        sys.argv[0] = f"python -m keras_swish.train.{pathlib.Path(sys.argv[0]).stem}"
    # TensorFlow Datasets reports every file that it opens.
    logging.set_verbosity(logging.WARNING)
    try:
        takes_arguments = bool(inspect.signature(main).parameters)
        app.run(
            lambda argv: main(*[argv[1:]] * takes_arguments),
            flags_parser=lambda argv: _parse(argv, main),
        )
    except ArgumentError as error:
        fail(f"--{error.argument}={FLAGS[error.argument].value}: {error}")
    except DivergedError as error:
        fail(f"{error}: try a lower --learning_rate or a longer --warmup_epochs", status=1)
    except KeyboardInterrupt:
        fail(f"interrupted; the same command with --out={FLAGS.out} goes on", status=130)


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
    for module, defined in sorted(FLAGS.flags_by_module_dict().items(), reverse=True):
        # absl calls the module that was started by the name of its script.
        if module.startswith("keras_swish.train") or module == sys.argv[0]:
            for flag in defined:
                default = "" if flag.default is None else f" (default: {flag.default_as_str})"
                lines.append(f"  --{flag.name}{default}")
                lines += textwrap.wrap(
                    flag.help, 88, initial_indent=" " * 6, subsequent_indent=" " * 6
                )
    return "\n".join(lines)


@contextlib.contextmanager
def blame(flag: str) -> Iterator[None]:
    """Turns a `ValueError` into one that names the flag."""
    try:
        yield
    except ArgumentError:
        raise
    except ValueError as error:
        raise ArgumentError(flag, str(error)) from error


def load_dataset() -> data.Dataset:
    """Loads the dataset that the flags name."""
    with blame("dataset"):
        return data.load(
            FLAGS.dataset, FLAGS.data_dir, FLAGS.train_split, FLAGS.test_split, FLAGS.image_size
        )


def settings(activations: dict[str, list[str]]) -> dict:
    """Returns all of a `fitting.Run` but its activation and seed, checked.

    Args:
        activations: The identifiers that each flag gave, checked as well.
    """
    for flag, identifiers in activations.items():
        with blame(flag):
            for identifier in identifiers:
                keras_swish.layer(identifier)
    spec = data.SPECS.get(FLAGS.dataset, data.OTHER)
    model = FLAGS.model or spec.model
    if model not in models.names():
        raise ArgumentError("model", unknown("network", model, models.names()))
    name = FLAGS.recipe or spec.recipe
    if name not in recipes.RECIPES:
        raise ArgumentError("recipe", unknown("recipe", name, recipes.RECIPES))
    fields = [field.name for field in dataclasses.fields(recipes.Recipe) if field.name != "source"]
    given = {field: FLAGS[field].value for field in fields if FLAGS[field].value is not None}
    with blame("warmup_epochs"):
        recipe = recipes.RECIPES[name]
        if "epochs" in given and "warmup_epochs" not in given:
            # A shortened run keeps the share of its warm-up.
            given["warmup_epochs"] = recipe.warmup_epochs * given["epochs"] / recipe.epochs
        recipe = dataclasses.replace(recipe, **given)
    return {
        "dataset": FLAGS.dataset,
        "train_split": FLAGS.train_split,
        "test_split": FLAGS.test_split,
        "image_size": FLAGS.image_size,
        "model": model,
        "recipe": recipe,
        "dtype_policy": FLAGS.dtype_policy,
    }


def fitting_options() -> dict:
    """Returns the keywords of `fitting.train` that do not change a run's outcome."""
    missing = [p for p in ("tensorflow", "tensorboard") if importlib.util.find_spec(p) is None]
    if FLAGS.tensorboard and missing:
        raise ArgumentError("tensorboard", f"needs {' and '.join(missing)}: pip install them")
    return {
        "checkpoint_seconds": FLAGS.checkpoint_seconds,
        "tensorboard": FLAGS.tensorboard,
    }


def check_batch_size(recipe: recipes.Recipe, dataset: data.Dataset) -> None:
    """Refuses a batch that the training split cannot fill."""
    if recipe.batch_size > len(dataset.train):
        raise ArgumentError(
            "batch_size",
            f"a batch of {recipe.batch_size} is larger than the training split, "
            f"{len(dataset.train)} images",
        )


def out_directory(program: str, config: dict) -> pathlib.Path:
    """Returns the folder for the results, made, with the settings written into it.

    An existing folder is used only when it was made by the same program with the same
    settings, which is how an interrupted run goes on.
    """
    if FLAGS.out is None:
        now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
        FLAGS.out = os.path.join("runs", f"{program}-{FLAGS.dataset.replace('/', '_')}-{now}")
    out = pathlib.Path(FLAGS.out).expanduser()
    config = {"program": program, **config}
    try:
        out.mkdir(parents=True, exist_ok=True)
        present = files.read_json(out / CONFIG)
        empty = not any(out.iterdir())
    except (OSError, ValueError) as error:
        raise ArgumentError("out", f"not a folder of results ({error})") from error
    if present is not None:
        other = fitting.differences(present["config"], config)
        if other:
            raise ArgumentError(
                "out", f"holds the results of other settings ({other}); choose another folder"
            )
        return out
    if not empty:
        raise ArgumentError("out", "holds other files; choose another folder")
    record = {"config": config, "command": command(), "environment": environment()}
    files.write_json(out / CONFIG, record)
    return out


def command() -> str:
    """Returns the command line that started this program."""
    return shlex.join([*sys.argv[0].split(), *sys.argv[1:]])
