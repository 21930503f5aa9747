"""From flags to the settings of a run: network, recipe, devices, options."""

import dataclasses
import importlib.util
import warnings
from collections.abc import Collection
from typing import Any

import keras
from absl.flags import FlagValues

import keras_swish
from keras_swish.messages import first_line, unknown

from ..errors import ArgumentError, as_argument_error
from ..trainer import builders, distribution, recipes
from . import flags


def chosen_model(flag_values: FlagValues, default: str) -> str:
    """Returns the network that the flag names, or that one.

    Raises:
        ArgumentError: If there is none of that name.
    """
    model = default if flag_values.model is None else flag_values.model
    check_models("model", [model])
    return model


def check_models(flag: str, names: list[str]) -> None:
    """Refuses networks that there are not.

    Raises:
        ArgumentError: It names the flag that gave them.
    """
    with as_argument_error(flag):
        for name in names:
            builders.find(name)


def chosen_recipe(
    flag_values: FlagValues, default: str, model: str, activation: str | None = None
) -> recipes.Recipe:
    """Returns the recipe that the flag names, with the fields that flags give.

    Args:
        flag_values: The flags.
        default: Name of the recipe where the flag is not given.
        model: The network that it is for.
        activation: The activation whose learning rate to take where that is not given; None:
            the same for all.

    Raises:
        ArgumentError: If there is no such recipe, or it cannot be followed.
    """
    name = default if flag_values.recipe is None else flag_values.recipe
    if name not in recipes.RECIPES:
        raise ArgumentError("recipe", unknown("recipe", name, recipes.RECIPES))
    recipe = recipes.RECIPES[name]
    values: dict[str, Any] = {}
    for field in flags.RECIPE_FIELDS:
        value = flag_values[field].value if field in flag_values else None
        if value is not None:
            values[field] = tuple(value) if isinstance(value, list) else value
    if "reference_batch" in values:
        text = "--reference_batch does nothing: the learning rate follows --batch_size. It will go."
        warnings.warn(text, FutureWarning, stacklevel=2)
    recipe = _with_parts_of(recipe, model, values, None if flag_values.recipe is None else name)
    if "batch_size" in values:
        scaling = values.get("batch_scaling", recipe.batch_scaling)
        recipe = dataclasses.replace(recipe, batch_scaling=scaling)
        recipe = recipes.scaled(recipe, values["batch_size"])
    if {"epochs", "steps"} <= values.keys():
        raise ArgumentError("steps", "stands in place of --epochs; give one")
    if "epochs" in values:
        # A shortened run keeps the share of its warm-up.
        share = recipe.warmup_epochs / recipe.epochs
        values = {"warmup_epochs": share * values["epochs"], "steps": None, **values}
    is_other_length = bool({"epochs", "steps"} & values.keys())
    if is_other_length and "bn_momentum" not in values and recipe.bn_momentum is not None:
        values = {"bn_converges": True, **values}
    recipe = dataclasses.replace(recipe, **values)
    if model:  # `compare` asks for that of no network, too
        _check_read(recipe, values)
    if activation is not None and "learning_rate" not in values:
        recipe = recipes.for_activation(recipe, activation)
    if builders.is_builder(model):
        recipes.network_arguments(recipe, model, calls=1)  # refuses what the network lacks
    return recipe


def _check_read(recipe: recipes.Recipe, fields: Collection[str]) -> None:
    """Refuses fields that were given, and that schedule or optimizer of the recipe do not read.

    Raises:
        ArgumentError: It names the field.
    """
    for field, (chooser, readers) in recipes.READ_BY.items():
        if field in fields and (chosen := getattr(recipe, chooser)) not in readers:
            message = f"is for --{chooser}={' or '.join(readers)}, and not for {chosen!r}"
            raise ArgumentError(field, message)


def _with_parts_of(
    recipe: recipes.Recipe, model: str, values: dict[str, Any], named: str | None
) -> recipes.Recipe:
    """Returns the recipe without parts that the network lacks, if no flag asked for them.

    Raises:
        ArgumentError: If the flag --recipe did, in giving the name `named`.
    """
    if not builders.is_builder(model):
        return recipe
    missing = [field for field in recipes.missing_parts(recipe, model) if field not in values]
    if missing and named is not None:
        without = " ".join(f"--{field}=0" for field in missing)
        parts = " and ".join(recipes.PARTS[field].replace("_", " ") for field in missing)
        raise ArgumentError("recipe", f"{named} has {parts}, {model} has not: add {without}")
    return recipes.without_parts(recipe, missing)


def print_recipes(by_model: dict[str, recipes.Recipe]) -> None:
    """Prints the recipe of each network."""
    for model, recipe in by_model.items():
        if len(by_model) > 1:
            print(f"\n{model}")
        for field, value in dataclasses.asdict(recipe).items():
            print(f"{field}: {value}")


def check_fits(recipe: recipes.Recipe, images: int, devices: distribution.Devices) -> None:
    """Refuses a recipe that cannot be followed with so many training images on these devices.

    Raises:
        ArgumentError: If a batch is larger than the split, or the warm-up than the run, or the
            devices cannot share a batch; or if images cannot be mixed as it says.
    """
    if recipe.batch_size > images:
        raise ArgumentError(
            "batch_size",
            f"a batch of {recipe.batch_size} is larger than the training split, {images} images",
        )
    if recipe.part % devices.count:
        raise ArgumentError("batch_size", f"must be a multiple of the {devices.count} devices")
    is_shared = recipe.accumulation_steps > 1 and devices.count > 1
    if is_shared and keras.backend.backend() == "tensorflow":
        raise ArgumentError("accumulation_steps", "on several devices needs KERAS_BACKEND=jax")
    recipes.learning_rate_schedule(recipe, images // recipe.batch_size)
    recipes.augmentation(recipe)


def check_activations(flag: str, identifiers: list[str]) -> None:
    """Refuses identifiers that are no activations of images.

    Raises:
        ArgumentError: It names the flag that gave them.
    """
    with as_argument_error(flag):
        for identifier in identifiers:
            _check_activation(identifier)


def _check_activation(identifier: str) -> None:
    layer = keras_swish.layer(identifier)
    images = keras.ops.ones((1, 4, 4, 6))
    try:
        outputs: Any = layer(images)
        shape = tuple(outputs.shape)
    except Exception as error:
        reason = (str(error).strip() or first_line(error)).splitlines()[-1]
        raise ValueError(f"{identifier!r} cannot be applied to images ({reason})") from error
    if shape != (1, 4, 4, 6):
        raise ValueError(f"{identifier!r} is no elementwise function: it changes the shape")


def started_devices(flag_values: FlagValues) -> distribution.Devices:
    """Returns the devices that --strategy asks for; to be called before anything is computed.

    With them --per_device_batch becomes --batch_size.

    Raises:
        ArgumentError: If the backend has no such strategy.
    """
    if "hosts" not in flag_values:
        devices = distribution.start(flag_values.strategy)
    else:
        if flag_values.strategy == "multi_host" and flag_values.out is None:
            raise ArgumentError("out", "--strategy=multi_host needs a folder that all hosts share")
        for flag in ("coordinator", "hosts", "host"):
            if flag_values[flag].value is not None and flag_values.strategy != "multi_host":
                raise ArgumentError(flag, "needs --strategy=multi_host")
        hosts = flag_values.coordinator, flag_values.hosts, flag_values.host
        devices = distribution.start(flag_values.strategy, *hosts)
    if flag_values.per_device_batch is not None:
        if flag_values.batch_size is not None:
            raise ArgumentError("per_device_batch", "stands in place of --batch_size; give one")
        flag_values.batch_size = flag_values.per_device_batch * devices.count
    return devices


def training_options(flag_values: FlagValues) -> dict[str, Any]:
    """Returns the keywords of `trainer.train` that do not change a run's outcome.

    Raises:
        ArgumentError: If a package that they need is not installed.
    """
    for flag in ("tensorboard", "wandb"):
        # wandb's callback, too, imports TensorFlow.
        missing = [p for p in ("tensorflow", flag) if importlib.util.find_spec(p) is None]
        if flag_values[flag].value and missing:
            needed = " and ".join(missing)
            raise ArgumentError(flag, f"needs {needed}: pip install 'keras-swish[{flag}]'")
    names = ("checkpoint_seconds", "keep_checkpoints", "deterministic", "tensorboard", "wandb")
    return {name: flag_values[name].value for name in names}
