"""What a search maximises: an objective of the model's own, or a reward from labels and outputs."""

import dataclasses
import math
import re
from collections.abc import Iterable
from typing import Any

import keras

from keras_swish.keras_compat import mean_of_function_again, metric_function
from keras_swish.messages import first_line, unknown
from keras_swish.search.children import rewards

PREFIX = "val_"
# Whole words of the names of metrics and losses whose larger, or smaller, values are better.
_MAX = {
    "accuracy",
    "acc",
    "auc",
    "precision",
    "recall",
    "f1_score",
    "fbeta",
    "f_beta",
    "iou",
    "io_u",
    "r2",
    "similarity",
    "correlation",
    "sensitivity",
    "specificity",
    "true_positives",
    "true_negatives",
}
_MIN = {
    "loss",
    "error",
    "mse",
    "mae",
    "mape",
    "msle",
    "rmse",
    "crossentropy",
    "entropy",
    "divergence",
    "hinge",
    "cosh",
    "poisson",
    "perplexity",
    "huber",
    "false_positives",
    "false_negatives",
}
# Words that may turn a name around: what "neg_mse" or "accuracy_gap" is for, it does not say.
_NEGATIONS = {
    "neg",
    "negative",
    "no",
    "non",
    "not",
    "free",
    "without",
    "minus",
    "inverse",
    "complement",
    "distance",
    "difference",
    "diff",
    "delta",
    "gap",
    "drop",
    "decrease",
    "increase",
    "reduction",
    "improvement",
    "gain",
    "skill",
    "miss",
    "missed",
    "std",
    "variance",
    "ratio",
}
# Larger is better, and 0 is not the worst.
_BELOW_0 = ("r2", "similarity", "correlation")


@dataclasses.dataclass(frozen=True)
class Objective:
    """What a search makes as large or small as it can.

    Attributes:
        name: What `fit` logs, such as "val_accuracy" or "val_loss".
        direction: "max" or "min"; by default what the metric is for.

    Example:
        >>> from keras_swish.search import Objective
        >>> Objective("val_auc", "max")
        Objective(name='val_auc', direction='max')
    """

    name: str
    direction: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or self.direction not in ("max", "min", None):
            raise ValueError(
                'An objective is a name and "max" or "min", such as ("val_mae", "min"). '
                f"Received: ({self.name!r}, {self.direction!r})"
            )

    @property
    def sign(self) -> int:
        """1 where larger is better, and -1 where smaller is."""
        return -1 if self.direction == "min" else 1


def read(given: Any) -> Objective:
    """Returns the objective that a user gives: a name, a pair, or anything with these attributes.

    Raises:
        ValueError: If it is no objective.

    Example:
        >>> from keras_swish.search.children import objectives
        >>> objectives.read(("val_mae", "min")).sign
        -1
    """
    if isinstance(given, Objective):
        return given
    if isinstance(given, str):
        return Objective(given)
    if isinstance(given, tuple | list):
        if len(given) == 2:
            return Objective(*given)
    elif hasattr(given, "name") and hasattr(given, "direction"):  # KerasTuner's
        return Objective(given.name, given.direction)
    raise ValueError(
        '`objective` must be the name of a metric of the model, such as "val_accuracy", or a pair '
        f'such as ("val_mae", "min"). Received: {given!r}'
    )


def complete(objective: Objective, logged: Iterable[str], network: keras.Model) -> Objective:
    """Returns the objective with its direction.

    Args:
        objective: The objective.
        logged: What the network logs when it is evaluated.
        network: The network.

    Raises:
        ValueError: If the network logs nothing of the name, or the direction is not known.
    """
    names = [f"{PREFIX}{name}" for name in logged]
    if objective.name not in names:
        hint = ""
        if objective.name in logged:
            hint = f" That of the validation data is {PREFIX + objective.name!r}."
        remedy = " Others have to be in `metrics` when the model is compiled."
        raise ValueError(unknown("objective", objective.name, names) + hint + remedy)
    if objective.direction:
        return objective
    direction = _direction(objective.name, network)
    if direction is None:
        raise ValueError(
            f"Whether {objective.name!r} should be large or small is not known: pass "
            f'objective=("{objective.name}", "max") or ("{objective.name}", "min").'
        )
    return dataclasses.replace(objective, direction=direction)


def check_value(objective: Objective, logged: dict[str, Any]) -> None:
    """Refuses an objective that is several numbers.

    Raises:
        ValueError: If it is none.
    """
    shape = _numpy(logged[objective.name.removeprefix(PREFIX)]).shape
    if math.prod(shape) != 1:
        raise ValueError(
            f"The objective {objective.name!r} must be one number, and is an array of shape "
            f"{shape}, such as one number a class: compile its metric with average='macro', or "
            "pass another objective."
        )


def _direction(name: str, network: keras.Model) -> str | None:
    own = name.removeprefix(PREFIX)
    outputs = getattr(network, "output_names", None) or ()
    if own in [f"{output}_loss" for output in outputs]:
        return "min"
    metrics = [
        inner for metric in network.metrics for inner in getattr(metric, "metrics", [metric])
    ]
    # Keras puts the name of the output first; that of a step of the user's may end in another's.
    named = [one for one in metrics if own == one.name or own.endswith(f"_{one.name}")]
    longest = max((len(one.name) for one in named), default=0)
    found = {_direction_as(own, one, outputs) for one in named if len(one.name) == longest}
    if not named:
        found = {_direction_of_name(own)}
    return found.pop() if len(found) == 1 else None


def _direction_as(name: str, metric: Any, outputs: Iterable[str]) -> str | None:
    """Returns the direction of a metric that is logged under this name."""
    before = name.removesuffix(metric.name).removesuffix("_")
    if before in outputs:  # which says nothing of the metric
        name, before = metric.name, ""
    known = direction_of(metric)
    if known and not _is_negated(before):
        return known
    return _direction_of_name(f"{_names(metric)}_{name}")


def direction_of(metric: Any) -> str | None:
    """Returns "max", "min", or None where neither the class nor the function of a metric tells.

    Example:
        >>> import keras
        >>> from keras_swish.search.children.objectives import direction_of
        >>> direction_of(keras.metrics.AUC()), direction_of(keras.metrics.MeanAbsoluteError())
        ('max', 'min')
    """
    function = metric_function(metric)
    name = getattr(function, "__name__", "")
    # A loss is small, also one that is called like what should be large, as Dice is.
    is_keras_own = function is not None and getattr(keras.losses, name, None) is function
    if is_keras_own or isinstance(function, keras.losses.Loss):
        return "min"
    return _direction_of_name(_names(metric))


def _names(metric: Any) -> str:
    """Returns the names of a metric's class and function, as words."""
    function = getattr(metric_function(metric), "__name__", "")
    return f"{_snake(type(metric).__name__)}_{function}"


def _direction_of_name(name: str) -> str | None:
    if _is_negated(name):
        return None
    if "loss" in name.split("_"):
        return "min"
    found = [
        direction
        for direction, marks in (("min", _MIN), ("max", _MAX))
        # Whole words: what is inaccurate or dissimilar is not to be large.
        if any(f"_{mark}_" in f"_{name}_" for mark in marks)
    ]
    return found[0] if len(found) == 1 else None


def _is_negated(name: str) -> bool:
    return not _NEGATIONS.isdisjoint(name.split("_"))


def _snake(name: str) -> str:
    words = r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])"
    return re.sub(words, "_", name).lower()


def counts_from_0(objective: Objective) -> bool:
    """Says whether 0 is the worst that an objective can be."""
    return objective.sign > 0 and not any(word in objective.name for word in _BELOW_0)


def worst(untrained: float) -> float:
    """Returns the reward of a child that diverges, where 0 is not the worst of all.

    What is is not known, and twice as bad as the untrained network stands for it: it must not be
    so far off that nothing else matters to an algorithm. Where that network has a reward above 0,
    it is as far below 0.

    Args:
        untrained: The reward of the untrained network.

    Example:
        >>> from keras_swish.search.children import objectives
        >>> objectives.worst(-2.3), objectives.worst(0.3)
        (-4.6, -0.3)
    """
    if not math.isfinite(untrained):
        return -1e6
    return float(f"{min(untrained, 0.0) - max(abs(untrained), 1e-3):.2g}")


def remade(metric: keras.metrics.Metric) -> keras.metrics.Metric:
    """Returns a metric like another one, with a state of its own.

    Raises:
        ValueError: If its configuration does not say how it was made.

    Example:
        >>> import keras
        >>> from keras_swish.search.children.objectives import remade
        >>> remade(keras.metrics.AUC(name="ranks")).name
        'ranks'
    """
    if type(metric) is keras.metrics.MeanMetricWrapper:
        return mean_of_function_again(metric)
    try:
        new = type(metric).from_config(metric.get_config())
    except (TypeError, ValueError, NotImplementedError) as error:
        raise _cannot_remake(metric, first_line(error)) from error
    if rewards.lacks_config(metric) and rewards.name_of(new) != rewards.name_of(metric):
        raise _cannot_remake(metric, "it says nothing of the constructor's arguments")
    return new


def _cannot_remake(metric: keras.metrics.Metric, reason: str) -> ValueError:
    return ValueError(
        f"The metric {metric.name!r} cannot be made again for each child: give "
        f"{type(metric).__name__} a `get_config` of all arguments of its constructor ({reason})."
    )


class MetricReward:
    """A Keras metric as a reward: reset before each child, and of the sign that is to be large.

    Args:
        metric: The metric, of labels and outputs; it is left as it is.

    Raises:
        ValueError: If it is not known whether it should be large or small.

    Example:
        >>> import keras, numpy as np
        >>> from keras_swish.search.children.objectives import MetricReward
        >>> reward = MetricReward(keras.metrics.MeanAbsoluteError())
        >>> y, outputs = np.array([[0.0], [1.0]]), np.array([[0.5], [1.0]])
        >>> reward(y, outputs), reward(y, outputs)
        (-0.25, -0.25)
    """

    def __init__(self, metric: keras.metrics.Metric):
        direction = direction_of(metric)
        if direction is None:
            raise ValueError(
                f"Whether {metric.name!r} should be large or small is not known: pass a function "
                "of labels and outputs as the `reward`, larger being better."
            )
        self.objective = Objective(metric.name, direction)
        self.metric = remade(metric)

    def __call__(self, y: Any, outputs: Any) -> float:
        """Returns the metric's value of all labels and outputs, negative where less is better."""
        self.metric.reset_state()
        self.metric.update_state(rewards.only_part(y), rewards.only_part(outputs))
        return self.objective.sign * float(_numpy(self.metric.result()))

    def __reduce__(self):
        return type(self), (self.metric,)


def reward_of(reward: Any, model: keras.Model) -> Any:
    """Returns the function that a user gives as a reward of a model.

    Raises:
        ValueError: If it is no function of labels and outputs, or a metric of a masked output.
    """
    if isinstance(reward, str):
        raise ValueError(
            "`reward` must be a function of labels and outputs; what the model itself measures is "
            f"an `objective`, such as objective={reward!r}."
        )
    if isinstance(reward, type):
        reward = reward()
    if isinstance(reward, keras.metrics.Metric):
        rewards.check_mask(model)
        return MetricReward(reward)
    if not callable(reward):
        raise ValueError(f"`reward` must be a function of labels and outputs. Received: {reward!r}")
    return reward


def number(value: Any, reward: Any) -> float:
    """Returns what a reward function gave, as a number.

    Raises:
        ValueError: If it is none.
    """
    try:
        if isinstance(value, str | bytes):
            raise TypeError
        return float(_numpy(value))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"The reward {rewards.name_of(reward)!r} must be a number, larger being better. "
            f"Received: {value!r}"
        ) from error


def _numpy(value: Any) -> Any:
    return keras.ops.convert_to_numpy(value)
