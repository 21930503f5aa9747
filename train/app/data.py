"""From flags to data: the settings of a run for images in memory or in files, and the dataset."""

import pathlib
from collections.abc import Callable
from typing import Any

from absl.flags import FlagValues

from ..datasets import imagenet, in_memory
from ..datasets.base import ImageDataset
from ..errors import ArgumentError
from ..trainer import recipes, trainer
from . import flags, networks, settings

# Flags that say how image files are read.
_OF_FILES = ("classes", "first_label", "max_corrupt")
_DISTORTION = "color_distortion"
Settings = dict[str, Any]


def in_memory_settings(
    flag_values: FlagValues, model: str, activation: str | None = None, recipe: str | None = None
) -> Settings:
    """Returns the settings of a `trainer.Run` that flags give, for images in memory.

    Its activation and seed are not among them, nor what only data and devices tell.

    Args:
        flag_values: The flags.
        model: The network.
        activation: Whose learning rate to take where none is given; None: the same for all.
        recipe: Name of the recipe where no flag names one; by default as fits dataset and network.
    """
    spec = in_memory.SPECS.get(flag_values.dataset, in_memory.OTHER)
    # A network of the paper has a recipe of its own, but for data that is not of its size.
    has_recipe = model in recipes.RECIPES and spec.recipe == "cifar"
    default = recipe or (model if has_recipe else spec.recipe)
    return {
        "dataset": flag_values.dataset,
        "train_split": flag_values.train_split,
        "test_split": "test" if flag_values.test_split is None else flag_values.test_split,
        "image_size": flag_values.image_size,
        "pad": spec.pad if flag_values.pad is None else flag_values.pad,
        "flip": spec.flip if flag_values.flip is None else flag_values.flip,
        "model": model,
        "recipe": settings.chosen_recipe(flag_values, default, model, activation),
        "dtype_policy": flag_values.dtype_policy,
        **_weights(flag_values),
        "validation_split": flag_values.validation_split,
    }


def image_file_settings(
    flag_values: FlagValues, model: str, activation: str | None = None, recipe: str | None = None
) -> Settings:
    """Returns what `in_memory_settings` does, for images of ImageNet's form.

    A network without a recipe of its own is by default trained as Inception-v3 is.
    """
    if "pad" in flag_values and flag_values.pad is not None:
        raise ArgumentError("pad", "images of ImageNet's form are cropped in another way")
    default = recipe or recipes.for_image_files(model)
    chosen = settings.chosen_recipe(flag_values, default, model, activation)
    # RandAugment changes the colours, too.
    distortion = "none" if chosen.rand_augment else "fast"
    return {
        "dataset": flag_values.dataset,
        "train_split": flag_values.train_split,
        "test_split": "validation" if flag_values.test_split is None else flag_values.test_split,
        "image_size": flag_values.image_size or imagenet.SIZES.get(model, 224),
        "pad": 0,
        "flip": True if flag_values.flip is None else flag_values.flip,
        "color_distortion": flag_values.color_distortion or distortion,
        "model": model,
        "recipe": chosen,
        "dtype_policy": flag_values.dtype_policy,
        **_weights(flag_values),
        "validation_split": flag_values.validation_split,
        "image_files": {},  # `load` finds out
    }


def _weights(flag_values: FlagValues) -> dict[str, str | None]:
    """Returns the settings of a warm start.

    Raises:
        ArgumentError: If there is no such file.
    """
    name = flag_values["weights"].value if "weights" in flag_values else None
    if name in (None, "imagenet"):
        return {"weights": name}
    path = pathlib.Path(name).expanduser()
    file = networks.network_file(path)
    if not file.is_file():
        why = f": {networks.why_absent(path)}" if path.is_dir() else "; or name 'imagenet'"
        raise ArgumentError("weights", f"{file} is not there{why}")
    return {"weights": str(file.resolve()), "weights_digest": networks.digest(file)}


def settings_for(dataset: str) -> Callable[..., Settings]:
    """Returns the function for the settings of a dataset: in memory, or of ImageNet's form."""
    return image_file_settings if imagenet.is_image_files(dataset) else in_memory_settings


def default_model(dataset: str) -> str:
    """Returns the network that a dataset is trained with by default."""
    if imagenet.is_image_files(dataset):
        return imagenet.MODEL
    return in_memory.SPECS.get(dataset, in_memory.OTHER).model


def load(
    flag_values: FlagValues,
    settings: Settings,
    test_only: bool = False,
    normalization: in_memory.Normalization | None = None,
) -> ImageDataset:
    """Loads the data that the settings of a run name.

    Args:
        flag_values: The flags: where the data is and how it is read.
        settings: The settings. The facts in them about TFRecords hold where no flag is given.
        test_only: Whether there need be no training split.
        normalization: Of images in memory; by default that of the settings, or of the dataset.

    Raises:
        ArgumentError: If it cannot be loaded.
    """
    given = flags.given(flag_values, _OF_FILES)
    validation = settings.get("validation_split")
    facts = settings.get("image_files")
    if facts is None:
        for flag in [*given, *flags.given(flag_values, [_DISTORTION])]:
            raise ArgumentError(flag, "is for images of ImageNet's form")
        return in_memory.load(
            settings["dataset"],
            flag_values.data_dir,
            settings["train_split"],
            settings["test_split"],
            settings["image_size"],
            settings["pad"],
            settings["flip"],
            in_memory.VALIDATION if validation is None else validation,
            normalization=normalization or settings.get("normalization"),
            test_only=test_only,
        )
    # Other forms tell them, and refuse to be told.
    of_records = ("classes", "first_label") if in_memory.is_pattern(settings["dataset"]) else ()
    recorded = {name: facts[name] for name in of_records if name in facts}
    return imagenet.load(
        settings["dataset"],
        None if test_only else settings["train_split"],
        settings["test_split"],
        image_size=settings["image_size"],
        flip=settings["flip"],
        color_distortion=settings.get(_DISTORTION) or "fast",
        data_dir=flag_values.data_dir,
        validation_split=validation,
        **{**recorded, **given},
    )


def normalization_of(flag_values: FlagValues, run: trainer.Run) -> in_memory.Normalization | None:
    """Returns what the network of a run wants other images in memory normalised with.

    None for images of ImageNet's form, which are all normalised in one way.
    """
    if run.image_files is not None:
        return None
    known = run.normalization or in_memory.known_normalization(run.dataset, run.image_size)
    return known or load(flag_values, vars(run), test_only=True).normalization
