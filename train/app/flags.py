"""The flags of the programs, in groups: a program defines those that it obeys, and no others.

Each function adds its flags to the `FlagValues` of one run of a program, which `app.main.run`
makes and parses. Nothing is defined when a module is imported.
"""

import dataclasses
import typing
from collections.abc import Iterable

from absl import flags
from absl.flags import FlagValues

from ..datasets import in_memory
from ..errors import ArgumentError
from ..trainer import distribution, recipes
from ..trainer.recipe import MOST

# The largest seed that NumPy takes.
MOST_SEED = 2**32 - 1
_SMALL_NETWORKS = ", ".join(f"{spec.model} for {name}" for name, spec in in_memory.SPECS.items())
# The fields of a recipe, each of which is a flag.
RECIPE_FIELDS = {
    field.name: field for field in dataclasses.fields(recipes.Recipe) if field.name != "source"
}


def define_data_flags(flag_values: FlagValues, dataset: str = "digits") -> None:
    """Defines which images a program reads, and from where."""
    flags.DEFINE_string(
        "dataset",
        dataset,
        "'digits' (needs no download), 'fashion_mnist', 'cifar10', 'cifar100', or any image "
        "classification dataset of TensorFlow Datasets. Of ImageNet's form, which `cifar` and "
        "`search` do not read: 'imagenet2012', a folder of class folders, a pattern of TFRecord "
        "files.",
        flag_values,
    )
    define_data_dir_flag(flag_values)
    flags.DEFINE_string(
        "train_split", "train", "Split to train on; a part: 'train[:10000]'.", flag_values
    )
    flags.DEFINE_string(
        "test_split",
        None,
        "Split to test on, once, at the end. By default 'test'; of ImageNet's form 'validation'.",
        flag_values,
    )
    flags.DEFINE_integer(
        "image_size",
        None,
        "Side to scale the images to.",
        lower_bound=8,
        upper_bound=10_000,
        flag_values=flag_values,
    )


def define_data_dir_flag(flag_values: FlagValues) -> None:
    """Defines where prepared datasets are."""
    flags.DEFINE_string(
        "data_dir", None, "Folder of the datasets that TensorFlow Datasets prepared.", flag_values
    )


def define_validation_flag(flag_values: FlagValues) -> None:
    """Defines which images a run is validated with."""
    flags.DEFINE_string(
        "validation_split",
        None,
        "Split to validate with, and to choose learning rates by; or a number, the share of the "
        "training split that is held out for it. By default 0.1; of ImageNet's form the split for "
        "the test.",
        flag_values,
    )


def define_augmentation_flags(flag_values: FlagValues, pad: bool = True) -> None:
    """Defines how training images are changed; `pad` only where they are in memory."""
    if pad:
        flags.DEFINE_integer(
            "pad",
            None,
            "Pixels of padding before a random crop. By default as fits the dataset; ImageNet's "
            "form is cropped in another way.",
            lower_bound=0,
            upper_bound=1000,
            flag_values=flag_values,
        )
    flags.DEFINE_boolean(
        "flip", None, "Mirror half of the images. By default as fits the dataset.", flag_values
    )


def define_image_file_flags(flag_values: FlagValues, training: bool = True) -> None:
    """Defines how images larger than memory are read, and for training distorted."""
    if training:
        flags.DEFINE_enum(
            "color_distortion",
            None,
            ["fast", "full", "none"],
            "What is changed in the colours of training images of ImageNet's form: 'fast' "
            "brightness and saturation, as TF-Slim's training does; 'full' hue and contrast too. "
            "By default 'fast'; with --rand_augment 'none'.",
            flag_values,
        )
    flags.DEFINE_integer(
        "classes",
        None,
        "Number of classes, which TFRecords do not tell.",
        lower_bound=2,
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "first_label",
        1,
        "Label of the first class in TFRecords.",
        lower_bound=0,
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "max_corrupt",
        100,
        "Corrupt image files in one pass that are left out; one more stops it.",
        lower_bound=0,
        flag_values=flag_values,
    )


def define_model_flag(
    flag_values: FlagValues, default: str = f"By default: {_SMALL_NETWORKS}."
) -> None:
    """Defines which network is trained."""
    flags.DEFINE_string(
        "model",
        None,
        "Network: a name that `keras-swish models` lists, or package.module:function, a builder of "
        f"your own, such as keras.applications:EfficientNetB0. {default}",
        flag_values,
    )


def define_weights_flag(flag_values: FlagValues) -> None:
    """Defines what the weights of a network start from."""
    flags.DEFINE_string(
        "weights",
        None,
        "What the weights start from: 'imagenet' for those of keras.applications, a folder of a "
        "finished run, or a .keras file. By default random ones. Activations may differ, and a "
        "classifier for other classes is new. Or a .weights.h5 file of the very same network.",
        flag_values,
    )


def define_activation_flag(flag_values: FlagValues) -> None:
    """Defines which activation a network is trained with."""
    flags.DEFINE_string(
        "activation",
        "swish",
        "Activation: a name of keras_swish.names() or of keras.activations, or a formula.",
        flag_values,
    )


def define_seed_flag(flag_values: FlagValues) -> None:
    """Defines the seed of all that is random."""
    flags.DEFINE_integer(
        "seed",
        0,
        "Seed of kernels, order and augmentation.",
        lower_bound=0,
        upper_bound=MOST_SEED,
        flag_values=flag_values,
    )


def check_seeds(flag_values: FlagValues, count: int) -> None:
    """Refuses a first seed after which there are not so many.

    Raises:
        ArgumentError: If there are not.
    """
    if flag_values.seed + count - 1 > MOST_SEED:
        raise ArgumentError("seed", f"the last of {count} seeds would be larger than {MOST_SEED}")


def define_recipe_flags(flag_values: FlagValues, without: Iterable[str] = ()) -> None:
    """Defines how a network is trained: a recipe, and each of its fields but some."""
    flags.DEFINE_string(
        "recipe",
        None,
        f"How to train: {', '.join(recipes.RECIPES)}. By default as fits dataset and network.",
        flag_values,
    )
    flags.DEFINE_boolean(
        "print_recipe", False, "Print the recipe, with the flags, and end.", flag_values
    )
    define_recipe_fields(flag_values, [name for name in RECIPE_FIELDS if name not in without])


def define_recipe_fields(flag_values: FlagValues, names: Iterable[str]) -> None:
    """Defines fields of a recipe as flags, each of which is None where it is not given."""
    define = {int: flags.DEFINE_integer, float: flags.DEFINE_float, bool: flags.DEFINE_boolean}
    for name in names:
        field = RECIPE_FIELDS[name]
        limits = dict(field.metadata)
        text = limits.pop("help")
        types = typing.get_args(field.type) or (field.type,)
        if Ellipsis in types:
            flags.DEFINE(_PositiveNumbers(), name, None, text, flag_values)
        elif "enum_values" in limits:
            flags.DEFINE_enum(name, None, help=text, flag_values=flag_values, **limits)
        else:
            define[types[0]](name, None, text, flag_values=flag_values, **limits)


class _PositiveNumbers(flags.ListParser):
    """Parses positive numbers with commas between them."""

    def parse(self, argument: str | list[str]) -> list[float]:
        """Returns a list of floats."""
        numbers = [float(item) for item in super().parse(argument)]
        if not numbers or not all(0 < number < float("inf") for number in numbers):
            raise ValueError("must be positive numbers, such as '0.1,0.05'")
        return numbers


def define_training_flags(flag_values: FlagValues) -> None:
    """Defines how a run computes, saves and logs."""
    flags.DEFINE_enum(
        "dtype_policy",
        "float32",
        ["float32", "mixed_bfloat16", "mixed_float16"],
        "Keras's dtype policy; the mixed ones compute in half precision.",
        flag_values,
    )
    flags.DEFINE_float(
        "checkpoint_seconds",
        30.0,
        "Write a checkpoint, while training proceeds, when the last one is older than this; less "
        "often where that would take more than a twentieth of the time. 0: after every step.",
        lower_bound=0,
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "keep_checkpoints",
        2,
        "How many of the newest checkpoints to keep, next to the best.",
        lower_bound=1,
        flag_values=flag_values,
    )
    flags.DEFINE_boolean(
        "deterministic",
        None,
        "Give the same bits in every run on TensorFlow. By default where there is no GPU, on which "
        "it is slow.",
        flag_values,
    )
    flags.DEFINE_boolean(
        "tensorboard", False, "Write a TensorBoard log next to the CSV log.", flag_values
    )
    flags.DEFINE_boolean(
        "wandb", False, "Report to Weights & Biases, where it is installed.", flag_values
    )


def define_device_flags(flag_values: FlagValues, multi_host: bool = True) -> None:
    """Defines which devices a run computes on; those of several machines on request."""
    strategies = [name for name in distribution.STRATEGIES if multi_host or name != "multi_host"]
    text = "Devices: 'none' for one, 'data_parallel' for all of this machine (TensorFlow, JAX)"
    if multi_host:
        text += (
            ", 'multi_host' for several machines (JAX), which all run the same command, see the "
            "next three"
        )
    flags.DEFINE_enum("strategy", "none", strategies, f"{text}.", flag_values)
    flags.DEFINE_integer(
        "per_device_batch",
        None,
        "Images a step on each device, in place of --batch_size.",
        lower_bound=1,
        upper_bound=MOST,
        flag_values=flag_values,
    )
    if not multi_host:
        return
    flags.DEFINE_string(
        "coordinator", None, "Address and port of host 0, for --strategy=multi_host.", flag_values
    )
    flags.DEFINE_integer(
        "hosts",
        None,
        "Number of hosts, for --strategy=multi_host.",
        lower_bound=1,
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "host", None, "Number of this host, from 0.", lower_bound=0, flag_values=flag_values
    )


def define_output_flags(flag_values: FlagValues) -> None:
    """Defines the folder that the results of runs go to."""
    flags.DEFINE_string(
        "out",
        None,
        "Folder for the results; by default a new one under runs/. The folder of an interrupted "
        "run of the same settings is resumed.",
        flag_values,
    )


def given(flag_values: FlagValues, names: Iterable[str]) -> dict[str, typing.Any]:
    """Returns the values of the flags of these names that were given.

    Example:
        >>> from absl.flags import FlagValues
        >>> from keras_swish.train.app import flags
        >>> flag_values = FlagValues()
        >>> flags.define_data_flags(flag_values)
        >>> _ = flag_values(["program", "--dataset=cifar10"])
        >>> flags.given(flag_values, ["dataset", "test_split", "a_flag_of_another_program"])
        {'dataset': 'cifar10'}
    """
    return {
        name: flag_values[name].value
        for name in names
        if name in flag_values and flag_values[name].present
    }


def set_unless_given(flag_values: FlagValues, **values: typing.Any) -> None:
    """Sets flags that were not given.

    Example:
        >>> from absl.flags import FlagValues
        >>> from keras_swish.train.app import flags
        >>> flag_values = FlagValues()
        >>> flags.define_data_flags(flag_values)
        >>> _ = flag_values(["program", "--dataset=cifar10"])
        >>> flags.set_unless_given(flag_values, dataset="digits", image_size=16)
        >>> flag_values.dataset, flag_values.image_size
        ('cifar10', 16)
    """
    for name, value in values.items():
        if not flag_values[name].present:
            flag_values[name].value = value


def split(text: str) -> list[str]:
    """Splits at the commas that do not stand in brackets.

    Example:
        >>> from keras_swish.train.app.flags import split
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
