"""The settings of a training run, and what other batches make of them."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

from keras_swish.optimizers import SCHEDULES, are_increasing_shares

from ..errors import ArgumentError

OPTIMIZERS = ("sgd", "rmsprop", "adamw")
# Of epochs, steps and images: products of two fit the integers of every backend.
MOST = 10**9
# How the learning rate follows the batch.
BATCH_SCALINGS: dict[str, Callable[[float], float]] = {
    "linear": lambda factor: factor,
    "sqrt": math.sqrt,
    "none": lambda factor: 1.0,
}

# Fields that only some schedules or optimizers read: the field that chooses, and its choices.
READ_BY = {
    "milestones": ("schedule", ("step",)),
    "decay_factor": ("schedule", ("step", "exponential")),
    "decay_epochs": ("schedule", ("exponential",)),
    "nesterov": ("optimizer", ("sgd",)),
    "rho": ("optimizer", ("rmsprop",)),
    "epsilon": ("optimizer", ("rmsprop",)),
    "beta_2": ("optimizer", ("adamw",)),
}


def _field(help_text: str, default: Any = dataclasses.MISSING, **limits: Any) -> Any:
    """Returns a field with its help, and the limits that its flag checks."""
    return dataclasses.field(default=default, metadata={"help": help_text, **limits})


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The settings of a training: optimizer, schedule, regularisation.

    Weight decay is an L2 penalty: it adds `weight_decay * kernel` to the gradient of each kernel;
    AdamW's takes `learning_rate * weight_decay * kernel` off the kernel. Either takes the place of
    the regularizer that a kernel has in a network of one's own. Biases and the weights of batch
    normalisation are never decayed, those of activations (a beta) on request, depthwise kernels
    unless the recipe says otherwise.
    """

    source: str = _field("Source of the settings, and which of them are this project's own.")
    epochs: int = _field("Passes over the training split.", lower_bound=1, upper_bound=MOST)
    batch_size: int = _field(
        "Images a step, over all devices. Another number than the recipe's changes the learning "
        "rate, see --batch_scaling, and keeps how many images the run has and the moving averages "
        "remember.",
        lower_bound=1,
        upper_bound=MOST,
    )
    learning_rate: float = _field("Highest learning rate.", lower_bound=0)
    schedule: str = _field(
        "Schedule of the learning rate: 'cosine' to zero; 'step' by --decay_factor at each of the "
        "--milestones; 'exponential' by --decay_factor every --decay_epochs.",
        enum_values=SCHEDULES,
    )
    reference_batch: int | None = _field(
        "Images a step, over all replicas, in the recipe's source: a record that changes nothing.",
        None,
        lower_bound=1,
        upper_bound=MOST,
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
        upper_bound=MOST,
    )
    steps: int | None = _field(
        "Training steps in all, in place of --epochs; the warm-up stays as it is.",
        None,
        lower_bound=1,
        upper_bound=MOST,
    )
    steps_per_epoch: int | None = _field(
        "Steps between two validations, each a row of the log; by default a pass over the "
        "training split.",
        None,
        lower_bound=1,
        upper_bound=MOST,
    )
    warmup_epochs: float = _field(
        "Length of the warm-up, in passes: linear from a tenth of the learning rate; of 'step' at "
        "that constant tenth (He et al. 2016).",
        0.0,
        lower_bound=0,
        upper_bound=MOST,
    )
    milestones: tuple[float, ...] = _field(
        "Shares of the run after which the learning rate of 'step' falls.", (0.5, 0.75)
    )
    decay_factor: float = _field(
        "Factor of each fall of the learning rate.", 0.1, lower_bound=0, upper_bound=1
    )
    decay_epochs: float = _field(
        "Passes between two falls of the 'exponential' schedule.",
        2.0,
        lower_bound=1e-6,
        upper_bound=MOST,
    )
    optimizer: str = _field(
        "'sgd', 'rmsprop' as in TensorFlow 1, whose accumulator starts at one, or 'adamw'.",
        "sgd",
        enum_values=OPTIMIZERS,
    )
    momentum: float = _field(
        "Momentum; AdamW's is that of its mean gradient.", 0.9, lower_bound=0, upper_bound=1
    )
    nesterov: bool = _field("Nesterov's form of SGD's momentum.", True)
    rho: float = _field("RMSProp's decay of the mean square.", 0.9, lower_bound=0, upper_bound=1)
    beta_2: float = _field("AdamW's decay of the mean square.", 0.999, lower_bound=0, upper_bound=1)
    epsilon: float = _field("RMSProp's epsilon, inside the root.", 1.0, lower_bound=0)
    clip_norm: float | None = _field(
        "Largest global norm of the gradients; by default none.", None, lower_bound=0
    )
    ema_momentum: float = _field(
        "Momentum of the moving average of the weights, and of batch normalisation's statistics, "
        "which validation and test then use; 0: the weights themselves. It starts lower, at "
        "(1 + step) / (10 + step).",
        0.0,
        lower_bound=0,
        upper_bound=1,
    )
    weight_decay: float = _field(
        "Coefficient of the kernels' L2 penalty, or of AdamW's decay of them; above 0 in place of "
        "the network's own regularizers of kernels.",
        1e-4,
        lower_bound=0,
    )
    decay_depthwise: bool = _field("Decay depthwise kernels too.", True)
    decay_activations: bool = _field("Decay the weights of activations (beta) too.", False)
    label_smoothing: float = _field(
        "Probability mass moved from the label to all classes.", 0.0, lower_bound=0, upper_bound=1
    )
    rand_augment: float = _field(
        "Magnitude of RandAugment's two operations on each training image, of 30; 0: none.",
        0.0,
        lower_bound=0,
        upper_bound=30,
    )
    random_erasing: float = _field(
        "Probability that a rectangle of a training image is filled with noise.",
        0.0,
        lower_bound=0,
        upper_bound=1,
    )
    mixup: float = _field(
        "Alpha of mixup, at least 0.05; 0: none. With --cutmix too, each batch gets one of the "
        "two.",
        0.0,
        lower_bound=0,
        upper_bound=1,
    )
    cutmix: float = _field(
        "Alpha of CutMix, at least 0.05; 0: none.", 0.0, lower_bound=0, upper_bound=1
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
        "not given: for `cifar`, `imagenet`, and `compare` where no others are tried.",
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
        if not are_increasing_shares(self.milestones) or (
            self.schedule == "step" and not self.milestones
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
