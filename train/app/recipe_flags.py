"""The flags of a recipe: one that names it, and one for each of its fields."""

import dataclasses
import sys
import typing

from absl import flags

from keras_swish import models
from keras_swish.messages import unknown

from ..errors import ArgumentError
from ..trainer import recipes

FLAGS = flags.FLAGS

flags.DEFINE_string(
    "recipe",
    None,
    f"How to train: {', '.join(recipes.RECIPES)}. By default as fits dataset and network.",
)
flags.DEFINE_boolean("print_recipe", False, "Print the recipe, with the flags, and end.")


class _Numbers(flags.ListParser):
    """Parses positive numbers with commas between them."""

    def parse(self, argument):
        """Returns a list of floats."""
        numbers = [float(item) for item in super().parse(argument)]
        if not numbers or not all(0 < number < float("inf") for number in numbers):
            raise ValueError("must be positive numbers, such as '0.1,0.05'")
        return numbers


def _define(field: dataclasses.Field) -> None:
    """Makes a field of the recipe a flag, which is None where it is not given."""
    limits = dict(field.metadata)
    text = limits.pop("help")
    kinds = typing.get_args(field.type) or (field.type,)
    if Ellipsis in kinds:
        flags.DEFINE(_Numbers(), field.name, None, text)
    elif limits.get("enum_values"):
        flags.DEFINE_enum(field.name, None, help=text, **limits)
    else:
        define = {int: flags.DEFINE_integer, float: flags.DEFINE_float, bool: flags.DEFINE_boolean}
        define[kinds[0]](field.name, None, text, **limits)


_FIELDS = [field for field in dataclasses.fields(recipes.Recipe) if field.name != "source"]
# The names of those of a recipe's fields.
NAMES = tuple(field.name for field in _FIELDS)
for _field in _FIELDS:
    _define(_field)


def chosen(default: str, model: str, activation: str | None = None) -> recipes.Recipe:
    """Returns the recipe that the flags name, or that one, with the fields that they give.

    Args:
        default: Name of the recipe where the flag is not given.
        model: The network that it is for.
        activation: The activation whose learning rate to take where that is not given; None:
            the same for all.
    """
    name = FLAGS.recipe or default
    if name not in recipes.RECIPES:
        raise ArgumentError("recipe", unknown("recipe", name, recipes.RECIPES))
    recipe = recipes.RECIPES[name]
    given = {f.name: FLAGS[f.name].value for f in _FIELDS if FLAGS[f.name].value is not None}
    given |= {name: tuple(value) for name, value in given.items() if isinstance(value, list)}
    if activation is not None and "learning_rate" not in given:
        recipe = recipes.for_activation(recipe, activation)
    if "epochs" in given:
        # A shortened run keeps the share of its warm-up.
        share = recipe.warmup_epochs / recipe.epochs
        given = {"warmup_epochs": share * given["epochs"], "steps": None, **given}
    if {"epochs", "steps"} & given.keys():
        # And its statistics shall converge.
        given = {"bn_momentum": None, **given}
    if "batch_size" in given and recipe.steps:
        # As many pictures as before: the schedule counts them in epochs.
        steps = round(recipe.steps * recipe.batch_size / given["batch_size"])
        given = {"steps": max(1, steps), **given}
    recipe = dataclasses.replace(recipe, **given)
    if model in models.BUILDERS:
        recipes.network_arguments(recipe, model, steps=1)  # refuses what the network lacks
    return recipe


def show(found: dict[str, recipes.Recipe]) -> None:
    """Prints the recipe of each network and ends the program, if the flag says so."""
    if not FLAGS.print_recipe:
        return
    for model, recipe in found.items():
        if len(found) > 1:
            print(f"\n{model}")
        for field, value in dataclasses.asdict(recipe).items():
            print(f"{field}: {value}")
    sys.exit(0)
