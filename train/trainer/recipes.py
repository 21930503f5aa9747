"""Recipes: everything about a training run but its data, network, activation and seed.

A new recipe is one object in `RECIPES`. Each field is also a flag of the programs, whose help is
the text next to it here.
"""

import dataclasses
import inspect
import math
import re
from collections.abc import Callable, Iterable
from typing import Any

from keras_swish import models, optimizers

from ..errors import ArgumentError, as_argument_error

SCHEDULES = ("cosine", "step", "exponential")
OPTIMIZERS = ("sgd", "rmsprop")
# How the learning rate follows the batch.
BATCH_SCALINGS: dict[str, Callable[[float], float]] = {
    "linear": lambda factor: factor,
    "sqrt": math.sqrt,
    "none": lambda factor: 1.0,
}


def _field(help_text: str, default: Any = dataclasses.MISSING, **limits: Any) -> Any:
    """Returns a field with its help, and the limits that its flag checks."""
    return dataclasses.field(default=default, metadata={"help": help_text, **limits})


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The settings of a training: optimizer, schedule, regularisation.

    Weight decay is an L2 penalty: it adds `weight_decay * kernel` to the gradient of each
    kernel. Biases and the weights of batch normalisation are never decayed, those of
    activations (a beta) on request, depthwise kernels unless the recipe says otherwise.
    """

    source: str = _field("Source of the settings, and which of them are this project's own.")
    epochs: int = _field("Passes over the training split.", lower_bound=1)
    batch_size: int = _field(
        "Images a step, over all devices. Another number than the recipe's changes the learning "
        "rate, see --batch_scaling, and keeps how many images the run has and the moving averages "
        "remember.",
        lower_bound=1,
    )
    learning_rate: float = _field("Highest learning rate.", lower_bound=0)
    schedule: str = _field(
        "Schedule of the learning rate: 'cosine' to zero; 'step' by --decay_factor at each of the "
        "--milestones; 'exponential' by --decay_factor every --decay_epochs.",
        enum_values=SCHEDULES,
    )
    reference_batch: int | None = _field(
        "Images a step, over all replicas, in the recipe's source; by default --batch_size.",
        None,
        lower_bound=1,
    )
    batch_scaling: str = _field(
        "How the learning rates follow --batch_size from the recipe's: 'linear' (Goyal et al. "
        "2017), 'sqrt', or 'none'.",
        "linear",
        enum_values=tuple(BATCH_SCALINGS),
    )
    accumulation_steps: int = _field(
        "Parts that the images of a step are computed in, one after the other: memory for a part, "
        "the gradient of all. Batch normalisation sees a part.",
        1,
        lower_bound=1,
    )
    steps: int | None = _field("Training steps in all, in place of --epochs.", None, lower_bound=1)
    steps_per_epoch: int | None = _field(
        "Steps between two validations, each a row of the log; by default a pass over the "
        "training split.",
        None,
        lower_bound=1,
    )
    warmup_epochs: float = _field(
        "Length of the warm-up, in passes: linear from a tenth of the learning rate; of 'step' at "
        "that constant tenth (He et al. 2016).",
        0.0,
        lower_bound=0,
    )
    milestones: tuple[float, ...] = _field(
        "Shares of the run after which the learning rate of 'step' falls.", (0.5, 0.75)
    )
    decay_factor: float = _field(
        "Factor of each fall of the learning rate.", 0.1, lower_bound=0, upper_bound=1
    )
    decay_epochs: float = _field(
        "Passes between two falls of the 'exponential' schedule.", 2.0, lower_bound=1e-6
    )
    optimizer: str = _field(
        "'sgd', or 'rmsprop' as in TensorFlow 1, whose accumulator starts at one.",
        "sgd",
        enum_values=OPTIMIZERS,
    )
    momentum: float = _field("Momentum.", 0.9, lower_bound=0, upper_bound=1)
    nesterov: bool = _field("Nesterov's form of SGD's momentum.", True)
    rho: float = _field("RMSProp's decay of the mean square.", 0.9, lower_bound=0, upper_bound=1)
    epsilon: float = _field("RMSProp's epsilon, inside the root.", 1.0, lower_bound=0)
    clip_norm: float | None = _field(
        "Largest global norm of the gradients; by default none.", None, lower_bound=0
    )
    ema_momentum: float = _field(
        "Momentum of the moving average of the weights, which validation and test then use; "
        "0: the weights themselves. It starts lower, at (1 + step) / (10 + step).",
        0.0,
        lower_bound=0,
        upper_bound=1,
    )
    weight_decay: float = _field("Coefficient of the kernels' L2 penalty.", 1e-4, lower_bound=0)
    decay_depthwise: bool = _field("Decay depthwise kernels too.", True)
    decay_activations: bool = _field("Decay the weights of activations (beta) too.", False)
    label_smoothing: float = _field(
        "Probability mass moved from the label to all classes.", 0.0, lower_bound=0, upper_bound=1
    )
    auxiliary_weight: float = _field(
        "Weight of the auxiliary classifier's loss; 0: the network is trained without one.",
        0.0,
        lower_bound=0,
    )
    dropout: float | None = _field(
        "Rate of dropout; by default the network's own.", None, lower_bound=0, upper_bound=1
    )
    drop_path: float = _field(
        "Rate of NASNet's drop path, reached linearly at the end of the run.",
        0.0,
        lower_bound=0,
        upper_bound=1,
    )
    bn_momentum: float | None = _field(
        "Momentum of batch normalisation's moving statistics; by default one that has converged "
        "when the run ends.",
        None,
        lower_bound=0,
        upper_bound=1,
    )
    bn_converges: bool = _field(
        "Lower --bn_momentum where the run would end before it has converged.", False
    )
    synchronized_bn: bool = _field(
        "Normalise with the statistics of the images of all devices (TensorFlow; JAX always does).",
        False,
    )
    swish_learning_rate: float | None = _field(
        "Learning rate for activations of Swish's kind, in place of --learning_rate where that is "
        "not given: for `imagenet`, and for `compare` where it has no --learning_rates.",
        None,
        lower_bound=0,
    )
    learning_rates: tuple[float, ...] = _field(
        "Learning rates for `compare` to try with each activation, as the paper does with three; "
        "the best by validation accuracy counts.",
        (),
    )

    def __post_init__(self) -> None:
        choices = {
            "schedule": SCHEDULES,
            "optimizer": OPTIMIZERS,
            "batch_scaling": tuple(BATCH_SCALINGS),
        }
        for name, valid in choices.items():
            if getattr(self, name) not in valid:
                raise ValueError(
                    f"`{name}` must be one of {valid}. Received: {getattr(self, name)!r}"
                )
        if list(self.milestones) != sorted(self.milestones) or not all(
            0 < share < 1 for share in self.milestones
        ):
            raise ArgumentError("milestones", "must be increasing shares of the run, such as 0.5")
        if not all(0 < rate < float("inf") for rate in self.learning_rates):
            raise ArgumentError("learning_rates", "must be positive numbers, such as '0.1,0.05'")
        if self.batch_size % self.accumulation_steps:
            raise ArgumentError(
                "accumulation_steps", f"must divide the {self.batch_size} images of a step"
            )

    @property
    def part(self) -> int:
        """Images that are computed at once, over all devices."""
        return self.batch_size // self.accumulation_steps


# The values of fields that a recipe did not have yet when it was written.
DEFAULTS = {
    field.name: field.default
    for field in dataclasses.fields(Recipe)
    if field.default is not dataclasses.MISSING
}


def scaled(recipe: Recipe, batch_size: int) -> Recipe:
    """Returns the recipe for other batches.

    The learning rates follow the batch as `recipe.batch_scaling` says. As many images are trained
    on, and the moving averages (of the weights, and batch normalisation's) remember as many.

    Example:
        >>> from keras_swish.train.trainer import recipes
        >>> recipe = recipes.scaled(recipes.RECIPES["inception_v3"], batch_size=64)
        >>> recipe.learning_rate, recipe.steps, round(recipe.ema_momentum, 6)
        (0.09, 2000000, 0.9998)
        >>> recipes.scaled(recipe, 32) == recipes.scaled(recipes.RECIPES["inception_v3"], 32)
        True

    Source: Goyal et al. 2017, "Accurate, Large Minibatch SGD", for "linear".
    """
    factor = batch_size / recipe.batch_size
    rate = BATCH_SCALINGS[recipe.batch_scaling](factor)
    swish, momentum = recipe.swish_learning_rate, recipe.bn_momentum
    return dataclasses.replace(
        recipe,
        batch_size=batch_size,
        reference_batch=recipe.reference_batch or recipe.batch_size,
        learning_rate=_tidy(recipe.learning_rate * rate),
        learning_rates=tuple(_tidy(each * rate) for each in recipe.learning_rates),
        swish_learning_rate=None if swish is None else _tidy(swish * rate),
        ema_momentum=_tidy(recipe.ema_momentum**factor),
        bn_momentum=None if momentum is None else _tidy(momentum**factor),
        steps=recipe.steps and max(1, round(recipe.steps / factor)),
        steps_per_epoch=recipe.steps_per_epoch and max(1, round(recipe.steps_per_epoch / factor)),
    )


def _tidy(value: float) -> float:
    """Returns a value without rounding errors: there and back again is the same number."""
    short = float(f"{value:.10g}")
    return short if math.isclose(short, value, rel_tol=1e-14) else value


# Authors' code: the comments and defaults of TF-Slim (github.com/tensorflow/models, slim).
_SWISH = (
    "The Swish paper (shared by all five): RMSProp, three learning rates per activation, a "
    "slightly lower one for Swish; which ones is not stated: 1, 0.75 and 0.5 times the authors', "
    "and 0.75 for Swish by default, are this project's. They "
    "tried a second set of rates for ELU, SELU and PReLU, and SELU's own initialisation: not here."
)
_CIFAR = " Not theirs: a tenth of the images is held out, and kernels alone are decayed, not all."
_INCEPTION = {
    "epochs": 100,
    "batch_size": 32,
    "learning_rate": 0.045,
    "schedule": "exponential",
    "steps": 4_000_000,
    "decay_factor": 0.94,
    "decay_epochs": 2.0,
    "optimizer": "rmsprop",
    "ema_momentum": 0.9999,
    "weight_decay": 4e-5,
    "label_smoothing": 0.1,
    "auxiliary_weight": 0.4,
    "dropout": 0.2,
    "bn_momentum": 0.9997,
    "swish_learning_rate": 0.03375,
    "learning_rates": (0.045, 0.03375, 0.0225),
}

# Synchronous replicas: their learning rates are those of all.
_NASNET = {
    "batch_size": 1600,
    "schedule": "exponential",
    "epochs": 312,
    "steps": 250_000,
    "decay_factor": 0.97,
    "decay_epochs": 2.4,
    "optimizer": "rmsprop",
    "clip_norm": 10.0,
    "ema_momentum": 0.9999,
    "weight_decay": 4e-5,
    "label_smoothing": 0.1,
    "auxiliary_weight": 0.4,
    "dropout": 0.5,
    "bn_momentum": 0.9997,
}
_RESIDUAL = {
    "epochs": 90,
    "batch_size": 256,
    "learning_rate": 0.1,
    "schedule": "step",
    "milestones": (1 / 3, 2 / 3),
    "bn_momentum": 0.9,
}

RECIPES = {
    "short": Recipe(
        source="this project: minutes on a CPU; cosine schedule of Loshchilov and Hutter 2017; one "
        "learning rate for batches of 64 and of 128 images",
        epochs=24,
        batch_size=64,
        learning_rate=0.1,
        schedule="cosine",
        warmup_epochs=1,
        weight_decay=5e-4,
        batch_scaling="none",
    ),
    "cifar": Recipe(
        source="He et al. 2016 (Deep Residual Learning), section 4.2: 64,000 steps of 128 images; "
        "an epoch of warm-up, there 400 steps and for ResNet-110 only; Nesterov as in their "
        "later code",
        epochs=182,
        batch_size=128,
        learning_rate=0.1,
        schedule="step",
        warmup_epochs=1,
        bn_momentum=0.9,
    ),
    "finetune": Recipe(
        source="this project: a tenth of the learning rate that small networks are trained with",
        epochs=5,
        batch_size=64,
        learning_rate=0.01,
        schedule="cosine",
        warmup_epochs=0.5,
    ),
    "resnet164": Recipe(
        source="He et al. 2016 (Identity Mappings), appendix: 64,000 steps of 128 images, a tenth "
        "of the learning rate for the first 400; Nesterov as in their code; the epochs are those "
        "of 45,000 images." + _CIFAR,
        epochs=182,
        batch_size=128,
        learning_rate=0.1,
        schedule="step",
        warmup_epochs=1.14,
        bn_momentum=0.9,
    ),
    "wrn_28_10": Recipe(
        source="Zagoruyko and Komodakis 2016, section 3: a fifth of the learning rate after 60, "
        "120 and 160 epochs; no dropout (theirs with it: --dropout=0.3). Crops are padded with "
        "zeros, theirs with reflections." + _CIFAR,
        epochs=200,
        batch_size=128,
        learning_rate=0.1,
        schedule="step",
        milestones=(0.3, 0.6, 0.8),
        decay_factor=0.2,
        weight_decay=5e-4,
        bn_momentum=0.9,
    ),
    "densenet_100_12": Recipe(
        source="Huang et al. 2017, section 4.2; no dropout, as they train with augmentation "
        "(without: --dropout=0.2 --pad=0 --noflip)." + _CIFAR,
        epochs=300,
        batch_size=64,
        learning_rate=0.1,
        schedule="step",
        bn_momentum=0.9,
    ),
    "nasnet_mobile": scaled(
        Recipe(
            source="The authors' code, notes on the mobile network: 50 synchronous replicas with "
            "32 images and a learning rate of 0.04 each, 250,000 steps, gradients clipped at a "
            "norm of 10; no drop path. Scaled down to one replica. " + _SWISH,
            learning_rate=2.0,
            swish_learning_rate=1.5,
            learning_rates=(2.0, 1.5, 1.0),
            **_NASNET,
        ),
        batch_size=32,
    ),
    "nasnet_large": scaled(
        Recipe(
            source="The authors' code, notes on the large network: 100 synchronous replicas with "
            "16 images and a learning rate of 0.015 each, 250,000 steps, gradients clipped at a "
            "norm of 10, drop path of 0.3. Scaled down to one replica.",
            learning_rate=1.5,
            drop_path=0.3,
            **_NASNET,
        ),
        batch_size=16,
    ),
    "inception_v3": Recipe(
        source="Szegedy et al. 2016 (Rethinking the Inception Architecture), sections 7 and 8: "
        "50 replicas with 32 images each, 100 epochs, gradients clipped at 2, moving average of "
        "the weights; weight decay, dropout and the auxiliary weight as in the authors' code. The "
        "learning rate is that of one replica. " + _SWISH,
        clip_norm=2.0,
        **_INCEPTION,
    ),
    "inception_v4": Recipe(
        source="Szegedy et al. 2017 (Inception-v4), section 4: 20 replicas, the learning rate is "
        "that of one; weight decay, label smoothing and the auxiliary weight as in the authors' "
        "code; number of steps: Inception-v3's. " + _SWISH,
        **_INCEPTION,
    ),
    "inception_resnet_v2": Recipe(
        source="Szegedy et al. 2017 (Inception-v4), section 4: 20 replicas, the learning rate is "
        "that of one; weight decay, label smoothing and the auxiliary weight as in the authors' "
        "code; number of steps: Inception-v3's. " + _SWISH,
        **_INCEPTION,
    ),
    "resnet": Recipe(
        source="He et al. 2015 (Deep Residual Learning), section 3.4, and 2016 (Identity Mappings) "
        "for the pre-activation networks: a tenth of the learning rate when the error stops "
        "falling, here after 30 and 60 of 90 epochs, with Nesterov's momentum, as in Facebook's "
        "code for both.",
        **_RESIDUAL,
    ),
    "densenet": Recipe(
        source="Huang et al. 2017 (Densely Connected Networks), section 4.2: 90 epochs, a tenth of "
        "the learning rate after 30 and 60; no dropout, as they train with augmentation.",
        **_RESIDUAL,
    ),
    "mobilenet": Recipe(
        source="Howard et al. 2017, section 3.2: trained like Inception-v3, without auxiliary "
        "head, without decay of depthwise kernels; weight decay and dropout as in the authors' "
        "code. They use no label smoothing: here it is that of the other four, a choice of this "
        "project, as is the number of steps. " + _SWISH,
        **{**_INCEPTION, "auxiliary_weight": 0.0, "dropout": 0.001, "decay_depthwise": False},
    ),
}

# Networks of one family that share a recipe for ImageNet.
FAMILIES = {
    r"resnet(18|34|50|101|152)(v2)?": "resnet",
    r"densenet(121|169|201)": "densenet",
}


def for_image_files(model: str) -> str:
    """Returns the name of the recipe that a network is trained with on images of ImageNet's form.

    Inception-v3's is that of networks without one.

    Example:
        >>> from keras_swish.train.trainer import recipes
        >>> [recipes.for_image_files(model) for model in ("nasnet_large", "resnet50v2", "resnet8")]
        ['nasnet_large', 'resnet', 'inception_v3']
    """
    if model in RECIPES:
        return model
    families = (name for pattern, name in FAMILIES.items() if re.fullmatch(pattern, model))
    return next(families, "inception_v3")


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
    if recipe.bn_momentum is None:
        return optimizers.converged_bn_momentum(calls)
    momentum = recipe.bn_momentum ** (1 / recipe.accumulation_steps)
    return optimizers.converged_bn_momentum(calls, momentum) if recipe.bn_converges else momentum


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
    parameters = inspect.signature(models.BUILDERS[model]).parameters
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
    requested = {
        "dropout": {"dropout": recipe.dropout},
        "auxiliary_weight": {"auxiliary": bool(recipe.auxiliary_weight)},
        "drop_path": {"drop_path": recipe.drop_path, "drop_path_steps": calls},
    }
    return {
        name: value
        for field, values in requested.items()
        if getattr(recipe, field)
        for name, value in values.items()
    }


def learning_rate_schedule(recipe: Recipe, steps_per_pass: int) -> optimizers.Schedule:
    """Returns the recipe's learning-rate schedule.

    Raises:
        ArgumentError: If the warm-up leaves no steps for the rest.
    """
    with as_argument_error("warmup_epochs"):
        return optimizers.learning_rate_schedule(
            recipe.schedule,
            recipe.learning_rate,
            total_steps(recipe, steps_per_pass),
            warmup_steps=round(recipe.warmup_epochs * steps_per_pass),
            milestones=recipe.milestones,
            decay_factor=recipe.decay_factor,
            decay_steps=max(1, round(recipe.decay_epochs * steps_per_pass)),
        )


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
        "momentum": recipe.momentum,
        "global_clipnorm": recipe.clip_norm or None,
        "use_ema": recipe.ema_momentum > 0,
        "ema_momentum": recipe.ema_momentum,
    }
    if recipe.optimizer == "sgd":
        return optimizers.SGD(nesterov=recipe.nesterov, factors=factors, **common)
    return optimizers.RMSprop(rho=recipe.rho, epsilon=recipe.epsilon, **common)
