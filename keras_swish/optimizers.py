"""What all training shares: the learning-rate schedule, batch normalisation's momentum, optimizers.

The optimizers are those of TensorFlow 1 on top of Keras's: what the ImageNet recipes were found
with.
"""

import itertools
import warnings
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_swish.keras_compat import (
    TensorFlow1Averages,
    squared_gradients,
    trained_variable,
)
from keras_swish.messages import close_matches, unknown

Schedule = keras.optimizers.schedules.LearningRateSchedule
SCHEDULES = ("cosine", "step", "exponential")


def learning_rate_schedule(
    schedule: str,
    learning_rate: float,
    steps: int,
    warmup_steps: int = 0,
    milestones: tuple[float, ...] = (0.5, 0.75),
    decay_factor: float = 0.1,
    decay_steps: int = 1,
) -> Schedule:
    """Returns a learning-rate schedule.

    Args:
        schedule: How the learning rate falls: "cosine" to zero; "step" by `decay_factor` at each of
            the milestones; "exponential" by `decay_factor` every `decay_steps`.
        learning_rate: The highest learning rate.
        steps: Training steps in all.
        warmup_steps: Length of the warm-up: linear from a tenth of the learning rate, or at that
            constant tenth ("step"; He et al. 2016). "exponential" falls as without one. That of
            "step" is one step longer, and its falls come one step later, as the boundaries of
            Keras's `PiecewiseConstantDecay` are the last steps before a change.
        milestones: Where the learning rate of "step" falls, as shares of the run.
        decay_factor: What the learning rate of "step" and "exponential" is multiplied by.
        decay_steps: Steps between two falls of "exponential".

    Raises:
        ValueError: If there is no such schedule, its milestones are no increasing shares, "step"
            has none, or the warm-up leaves no steps for the rest.

    Example:
        >>> from keras_swish.optimizers import learning_rate_schedule
        >>> schedule = learning_rate_schedule("cosine", 0.4, steps=100, warmup_steps=20)
        >>> [round(float(schedule(step)), 3) for step in (0, 20, 60)]
        [0.04, 0.4, 0.2]
    """
    if schedule not in SCHEDULES:
        raise ValueError(unknown("schedule", schedule, SCHEDULES))
    if not are_increasing_shares(milestones) or (schedule == "step" and not milestones):
        raise ValueError(
            "`milestones` must be increasing shares of the run, such as 0.5. "
            f"Received: milestones={milestones}"
        )
    schedules = keras.optimizers.schedules
    boundaries = [int(share * steps) for share in milestones]
    end = boundaries[0] if schedule == "step" else steps
    if warmup_steps and warmup_steps >= end:
        raise ValueError(
            f"a warm-up of {warmup_steps} steps is too long for a {schedule} schedule of {steps}"
        )
    if schedule == "exponential":
        fall = schedules.ExponentialDecay(learning_rate, decay_steps, decay_factor, staircase=True)
        return LinearWarmup(fall, warmup_steps) if warmup_steps else fall
    if schedule == "cosine":
        if not warmup_steps:
            return schedules.CosineDecay(learning_rate, steps)
        return schedules.CosineDecay(
            learning_rate / 10,
            steps - warmup_steps,
            warmup_target=learning_rate,
            warmup_steps=warmup_steps,
        )
    values = [learning_rate * decay_factor**falls for falls in range(len(boundaries) + 1)]
    if warmup_steps:
        boundaries, values = [warmup_steps, *boundaries], [learning_rate / 10, *values]
    return schedules.PiecewiseConstantDecay(boundaries, values)


def are_increasing_shares(milestones: Sequence[float]) -> bool:
    """Says whether numbers are shares of a run, each larger than the one before.

    Example:
        >>> from keras_swish.optimizers import are_increasing_shares
        >>> are_increasing_shares((0.5, 0.75)), are_increasing_shares((0.5, 0.5))
        (True, False)
    """
    edges = (0, *milestones, 1)
    return all(low < high for low, high in itertools.pairwise(edges))


@keras.saving.register_keras_serializable(package="keras_swish")
class LinearWarmup(Schedule):
    """A schedule after a warm-up, linear from a tenth of the schedule's first learning rate.

    Args:
        schedule: The schedule. It counts the steps of the warm-up too.
        warmup_steps: Length of the warm-up.

    Example:
        >>> import keras
        >>> from keras_swish.optimizers import LinearWarmup
        >>> fall = keras.optimizers.schedules.ExponentialDecay(1.0, 10, 0.5, staircase=True)
        >>> [round(float(LinearWarmup(fall, 4)(step)), 3) for step in (0, 2, 4, 10)]
        [0.1, 0.55, 1.0, 0.5]
    """

    def __init__(self, schedule: Schedule, warmup_steps: int) -> None:
        self.schedule = schedule
        self.warmup_steps = warmup_steps

    def __call__(self, step: Any) -> Any:
        """Returns the learning rate of a step."""
        done: Any = ops.cast(step, "float32")
        done = done / self.warmup_steps
        rising = self.schedule(0) * (0.1 + 0.9 * done)
        return ops.where(done < 1, rising, self.schedule(step))

    def get_config(self) -> dict[str, Any]:
        """Returns what `from_config` needs to make the same schedule."""
        schedule = keras.optimizers.schedules.serialize(self.schedule)
        return {"schedule": schedule, "warmup_steps": self.warmup_steps}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "LinearWarmup":
        """Returns the schedule with this configuration."""
        schedule = keras.optimizers.schedules.deserialize(config["schedule"])
        return cls(schedule, config["warmup_steps"])


def converged_bn_momentum(steps: int, largest: float = 0.99) -> float:
    """Returns the momentum whose averaging window is a twentieth of the run, or that one if lower.

    Batch normalisation's moving statistics remember about `1 / (1 - momentum)` steps.
    Keras's default of 0.99 has not forgotten its initial values after a few hundred
    steps: on the digits it made Swish look like 0.32 to 0.74 instead of 0.99.

    Example:
        >>> from keras_swish.optimizers import converged_bn_momentum
        >>> converged_bn_momentum(200), converged_bn_momentum(10**6)
        (0.9, 0.99)
    """
    return min(largest, max(0.0, 1 - 20 / steps))


@keras.saving.register_keras_serializable(package="keras_swish")
class SGD(TensorFlow1Averages, keras.optimizers.SGD):
    """`keras.optimizers.SGD`, with TensorFlow 1's moving average of the weights on request.

    Args:
        *args: Those of `keras.optimizers.SGD`.
        factors: By path of a variable, what its learning rate is multiplied by. In a model that was
            loaded or copied, whose paths begin otherwise, the ends of the paths decide; a factor
            whose variable cannot be told is dropped with a warning.
        **kwargs: Those of `keras.optimizers.SGD`.

    Raises:
        ValueError: If there are factors and `weight_decay`, which Keras takes from all variables
            alike; or, by `build`, if no trainable variable has the path of a factor.

    Example:
        >>> from keras_swish.optimizers import SGD
        >>> SGD(0.1, factors={"swish/beta": 0.1}).get_config()["factors"]
        {'swish/beta': 0.1}
    """

    def __init__(self, *args: Any, factors: dict[str, float] | None = None, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.factors = factors or {}
        self._is_remade = False
        if self.factors and self.weight_decay:
            raise ValueError(
                "`weight_decay` takes the same part of every variable, whatever its factor: pass "
                f"one of them. Received: weight_decay={self.weight_decay}, factors={factors}"
            )

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> "SGD":
        """Returns the optimizer with this configuration."""
        optimizer = super().from_config(config, custom_objects)
        optimizer._is_remade = True
        return optimizer

    def build(self, var_list: list) -> None:
        """Creates the momenta, and finds the variables of the factors."""
        if self.built:
            return
        paths = [variable.path for variable in var_list]
        found = {path: factor for path, factor in self.factors.items() if path in paths}
        remade: dict[str, float] = {}
        missing = [path for path in self.factors if path not in found]
        for path in missing:
            # Where Keras loads a model, some of its variables' paths lose names of models.
            same = [one for one in paths if one not in found and _end_alike(path, one)]
            rivals = [one for one in missing if any(_end_alike(one, other) for other in same)]
            factors = {self.factors[one] for one in rivals}
            if self._is_remade and len(factors) == 1 and len(same) <= len(rivals):
                remade |= dict.fromkeys(same, self.factors[path])
                continue
            nearest = ", ".join(close_matches(path, paths)) or "none is near it"
            message = (
                f"`factors` names {path!r}, which is no path of a trainable variable "
                f"(nearest: {nearest})."
            )
            if not self._is_remade:
                raise ValueError(message)
            warnings.warn(f"{message} It has no effect.", stacklevel=2)
        self._factor_by_path = found | remade
        super().build(var_list)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Updates a variable by its gradient, which is clipped already."""
        factor = self._factor_by_path.get(trained_variable(self, variable).path)
        # SGD's steps are linear in the gradients.
        gradient = gradient if factor is None else gradient * factor
        super().update_step(gradient, variable, learning_rate)

    def get_config(self) -> dict:
        """Returns what `from_config` needs to make the same optimizer."""
        return {**super().get_config(), "factors": self.factors}


def _end_alike(path: str, other: str) -> bool:
    return f"/{path}".endswith(f"/{other}") or f"/{other}".endswith(f"/{path}")


@keras.saving.register_keras_serializable(package="keras_swish")
class RMSprop(TensorFlow1Averages, keras.optimizers.RMSprop):
    """`keras.optimizers.RMSprop` as in TensorFlow 1: its accumulator starts at one.

    Keras's starts at zero, which makes the first steps longer by the square root of
    `1 / (1 - rho)` and more. The update is `m = momentum * m + lr * g / sqrt(v + epsilon)`.

    Example:
        >>> from keras_swish.optimizers import RMSprop
        >>> optimizer = RMSprop(0.045, rho=0.9, momentum=0.9, epsilon=1.0)

    Source: Tieleman and Hinton 2012; the accumulator as in TensorFlow 1's `RMSPropOptimizer`.
    """

    def build(self, var_list: list) -> None:
        """Creates the accumulators."""
        if self.built:
            return
        super().build(var_list)
        for accumulator in squared_gradients(self):
            accumulator.assign(ops.ones(accumulator.shape, accumulator.dtype))


@keras.saving.register_keras_serializable(package="keras_swish")
class AdamW(TensorFlow1Averages, keras.optimizers.AdamW):
    """`keras.optimizers.AdamW`, with TensorFlow 1's moving average of the weights on request.

    Example:
        >>> from keras_swish.optimizers import AdamW
        >>> AdamW(1e-3, weight_decay=0.05, use_ema=True).use_ema
        True

    Source: Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization".
    """
