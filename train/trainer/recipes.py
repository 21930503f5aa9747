"""Recipes: everything about a training run but its data, network, activation and seed.

What they hold is in `recipe`, those that there are in `published`; here is how they are followed.
Each field is also a flag of the programs, whose help is the text next to it.
"""

import dataclasses
from collections.abc import Iterable
from typing import Any

from keras_swish import optimizers

from ..datasets.base import Augmentation
from ..errors import ArgumentError
from . import builders
from .published import RECIPES, for_image_files
from .recipe import DEFAULTS, READ_BY, Recipe, scaled

__all__ = ["DEFAULTS", "READ_BY", "RECIPES", "Recipe", "for_image_files", "scaled"]


def total_steps(recipe: Recipe, steps_per_pass: int) -> int:
    """Returns the number of training steps, given those of a pass over the training split.

    Example:
        >>> from keras_swish.train.trainer import recipes
        >>> recipes.total_steps(recipes.RECIPES["short"], 20)
        480
    """
    return recipe.steps or recipe.epochs * steps_per_pass


def parts(recipe: Recipe, images: int) -> tuple[int, int]:
    """Returns how often the network is called in the whole run and in one epoch.

    Args:
        recipe: The recipe.
        images: Images of the training split.

    Example:
        >>> import dataclasses
        >>> from keras_swish.train.trainer import recipes
        >>> recipe = dataclasses.replace(recipes.RECIPES["short"], accumulation_steps=2)
        >>> recipes.parts(recipe, images=640)
        (480, 20)
    """
    steps_per_pass = images // recipe.batch_size
    steps = total_steps(recipe, steps_per_pass)
    steps_per_epoch = min(steps, recipe.steps_per_epoch or steps_per_pass)
    return steps * recipe.accumulation_steps, steps_per_epoch * recipe.accumulation_steps


def bn_momentum(recipe: Recipe, calls: int) -> float:
    """Returns the momentum of batch normalisation in a run that calls the network so often.

    Example:
        >>> import dataclasses
        >>> from keras_swish.train.trainer import recipes
        >>> recipe = recipes.RECIPES["inception_v3"]
        >>> recipes.bn_momentum(recipe, 200)
        0.9997
        >>> recipes.bn_momentum(dataclasses.replace(recipe, bn_converges=True), 200)
        0.9
    """
    return applied_bn_momentum(
        calls, recipe.bn_momentum, recipe.bn_converges, recipe.accumulation_steps
    )


def applied_bn_momentum(
    calls: int, momentum: float | None, converges: bool = False, accumulation_steps: int = 1
) -> float:
    """Returns what `bn_momentum` does, from the fields of a recipe that may be an older one.

    Example:
        >>> from keras_swish.train.trainer import recipes
        >>> recipes.applied_bn_momentum(200, 0.81, converges=True, accumulation_steps=2)
        0.9
    """
    if momentum is None:
        return optimizers.converged_bn_momentum(calls)
    of_call = momentum ** (1 / accumulation_steps)
    return optimizers.converged_bn_momentum(calls, of_call) if converges else of_call


def augmentation(recipe: Recipe) -> Augmentation | None:
    """Returns what a recipe does to training batches, or None where it is nothing.

    Raises:
        ArgumentError: If images cannot be mixed as it says.

    Example:
        >>> from keras_swish.train.trainer import recipes
        >>> recipes.augmentation(recipes.RECIPES["modern"]).mixup
        0.8
        >>> recipes.augmentation(recipes.RECIPES["short"])
    """
    names = [field.name for field in dataclasses.fields(Augmentation)]
    wanted = Augmentation(**{name: getattr(recipe, name) for name in names})
    return wanted if wanted != Augmentation() else None


def for_activation(recipe: Recipe, activation: str) -> Recipe:
    """Returns the recipe with the learning rate that it advises for the activation.

    Example:
        >>> from keras_swish.train.trainer import recipes
        >>> recipe = recipes.RECIPES["inception_v3"]
        >>> [recipes.for_activation(recipe, a).learning_rate for a in ("relu", "swish_beta")]
        [0.045, 0.03375]
    """
    if recipe.swish_learning_rate is None or activation not in ("swish", "silu", "swish_beta"):
        return recipe
    return dataclasses.replace(recipe, learning_rate=recipe.swish_learning_rate)


# Parts of a network that a recipe may ask for, and what they are called in the network's builder.
PARTS = {"dropout": "dropout", "auxiliary_weight": "auxiliary", "drop_path": "drop_path"}


def missing_parts(recipe: Recipe, model: str) -> list[str]:
    """Returns the fields of a recipe that ask for parts that a network has not.

    Example:
        >>> from keras_swish.train.trainer import recipes
        >>> recipes.missing_parts(recipes.RECIPES["inception_v3"], "resnet50")
        ['dropout', 'auxiliary_weight']
    """
    parameters = builders.parameters(model)
    return [
        field
        for field, parameter in PARTS.items()
        if getattr(recipe, field) and parameter not in parameters
    ]


def without_parts(recipe: Recipe, fields: Iterable[str]) -> Recipe:
    """Returns the recipe without these of its parts."""
    return dataclasses.replace(recipe, **{field: DEFAULTS[field] for field in fields})


def network_arguments(recipe: Recipe, model: str, calls: int) -> dict[str, Any]:
    """Returns the arguments of `models.create` that a recipe adds to those of every network.

    Args:
        recipe: The recipe.
        model: Name of the network.
        calls: How often the network is called in the run.

    Raises:
        ArgumentError: If the network has no such part.
    """
    for field in missing_parts(recipe, model):
        raise ArgumentError(field, f"{model} has no {PARTS[field].replace('_', ' ')}")
    requested: dict[str, Any] = {}
    if recipe.dropout is not None:
        requested["dropout"] = recipe.dropout
    if recipe.auxiliary_weight:
        requested["auxiliary"] = True
    if recipe.drop_path:
        requested |= {"drop_path": recipe.drop_path, "drop_path_steps": calls}
    # No dropout is what a network without it has; a builder of the user's own may have no schedule.
    parameters = builders.parameters(model)
    return {name: value for name, value in requested.items() if name in parameters}


def learning_rate_schedule(recipe: Recipe, steps_per_pass: int) -> optimizers.Schedule:
    """Returns the recipe's learning-rate schedule.

    Raises:
        ArgumentError: If the warm-up leaves no steps for the rest.
    """
    try:
        return optimizers.learning_rate_schedule(
            recipe.schedule,
            recipe.learning_rate,
            total_steps(recipe, steps_per_pass),
            warmup_steps=round(recipe.warmup_epochs * steps_per_pass),
            milestones=recipe.milestones,
            decay_factor=recipe.decay_factor,
            decay_steps=max(1, round(recipe.decay_epochs * steps_per_pass)),
        )
    except ValueError as error:
        raise ArgumentError("warmup_epochs", f"{error}; --warmup_epochs=0 is none") from error


def optimizer(
    recipe: Recipe, steps_per_pass: int, factors: dict[str, float] | None = None
) -> optimizers.SGD | optimizers.RMSprop:
    """Returns the recipe's optimizer, with its schedule.

    `factors` has, by the path of a variable, what SGD multiplies its learning rate by.

    Raises:
        ArgumentError: If the warm-up leaves no steps for the rest.
    """
    common = {
        "learning_rate": learning_rate_schedule(recipe, steps_per_pass),
        "gradient_accumulation_steps": recipe.accumulation_steps
        if recipe.accumulation_steps > 1
        else None,
        "global_clipnorm": recipe.clip_norm or None,
        "use_ema": recipe.ema_momentum > 0,
        "ema_momentum": recipe.ema_momentum,
    }
    if recipe.optimizer == "sgd":
        return optimizers.SGD(
            momentum=recipe.momentum, nesterov=recipe.nesterov, factors=factors, **common
        )
    if recipe.optimizer == "adamw":
        return optimizers.AdamW(
            beta_1=recipe.momentum,
            beta_2=recipe.beta_2,
            epsilon=1e-8,  # PyTorch's, which today's recipes were found with; Keras's is larger
            weight_decay=recipe.weight_decay,
            **common,
        )
    return optimizers.RMSprop(
        momentum=recipe.momentum, rho=recipe.rho, epsilon=recipe.epsilon, **common
    )
