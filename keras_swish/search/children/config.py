"""How a child is trained, and what comes of it."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_swish.messages import unknown
from keras_swish.search.children.compiling import OPTIMIZERS

OK, DIVERGED, PRUNED = "ok", "diverged", "pruned"


@dataclasses.dataclass(frozen=True)
class ChildConfig:
    """How a child is trained.

    Attributes:
        epochs: Passes over the training data.
        batch_size: Examples a step; what is left over at the end of an epoch is left out. By
            default that of the dataset, or 128.
        learning_rate: The highest learning rate, which falls to 0 along a cosine; by default 0.1.
            Of several, each child is trained with each, from the same weights, and its best reward
            counts: what is good at one rate may be bad at another (the paper tries three).
        warmup: The part of the steps in which it rises to that first.
        optimizer: One of "sgd" (Nesterov momentum of 0.9), "adam", "rmsprop" (TensorFlow 1's,
            momentum of 0.9, epsilon of 1). By default, and without a learning rate, the optimizer
            that the model is compiled with, at its own learning rate; "sgd" where it is not.
        bn_momentum: Momentum of batch normalisation's moving statistics, or None for the one of
            `keras_swish.optimizers.converged_bn_momentum`.
        diverged_reward: The reward of a child whose loss, outputs or reward are not finite. It must
            lie below all others. By default 0; for an objective that may be negative as a reward,
            such as a loss, what is twice as bad as the untrained network; or as far below 0 as
            that is above it.

    Raises:
        ValueError: If one is out of range.
    """

    epochs: int = 3
    batch_size: int | None = None
    learning_rate: float | Sequence[float] | None = None
    warmup: float = 0.1
    optimizer: str | None = None
    bn_momentum: float | None = None
    diverged_reward: float | None = None

    @property
    def rates(self) -> tuple[float, ...]:
        """The highest learning rates, with each of which a child is trained."""
        rate = 0.1 if self.learning_rate is None else self.learning_rate
        return tuple(rate) if isinstance(rate, Sequence) else (rate,)

    def __post_init__(self) -> None:
        if self.optimizer is not None and self.optimizer not in OPTIMIZERS:
            raise ValueError(unknown("optimizer", str(self.optimizer), OPTIMIZERS))
        valid = {
            "epochs": (_is_count, "a positive whole number"),
            "batch_size": (_is_count, "a positive whole number"),
            "learning_rate": (_are_rates, "a positive number, or several different ones"),
            "warmup": (lambda part: _is_number(part) and 0 <= part < 1, "a part in [0, 1)"),
            "bn_momentum": (lambda part: _is_number(part) and 0 <= part < 1, "in [0, 1)"),
            "diverged_reward": (_is_number, "a finite number"),
        }
        for name, (is_valid, described) in valid.items():
            value = getattr(self, name)
            is_default = value is None and type(self).__dataclass_fields__[name].default is None
            if not is_default and not is_valid(value):
                raise ValueError(f"`{name}` must be {described}. Received: {name}={value!r}")
            if name == "learning_rate" and isinstance(value, list | tuple):
                first, *others = map(float, value)
                object.__setattr__(self, name, (first, *others) if others else first)
            if isinstance(value, np.generic):  # which no storage holds
                object.__setattr__(self, name, value.item())


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return is_number and math.isfinite(float(value))


def _are_rates(value: Any) -> bool:
    rates = value if isinstance(value, list | tuple) else [value]
    are_positive = all(_is_number(rate) and rate > 0 for rate in rates)
    return are_positive and 0 < len(rates) == len(set(rates))


def _is_count(value: Any) -> bool:
    is_whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return is_whole and int(value) >= 1


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The result of training a candidate.

    Attributes:
        reward: What `Child.reward` says of the outputs on the validation data; higher is better.
        status: "ok", "diverged", or "pruned": stopped before the last epoch, as not promising.
        steps: Training steps taken.
        seconds: Time that took, validation included.
        curve: The reward at the end of each epoch, where it was measured: for a pruner, where there
            are callbacks, and where it costs at most a twentieth of the time of training. What is
            not finite counts as diverged. Otherwise empty.
        logs: What Keras logged of the last epoch, by name, where there are callbacks, and what
            these have added to it; numbers that are finite.
        rates: The outcome with each learning rate, in the order of `ChildConfig.rates`, where there
            are several. Reward, status, curve and logs are those of the best, steps and seconds the
            sums.
    """

    reward: float
    status: str
    steps: int
    seconds: float
    curve: tuple[float, ...] = ()
    logs: dict[str, float] = dataclasses.field(default_factory=dict)
    rates: tuple["Outcome", ...] = ()

    @classmethod
    def best_of(cls, rates: Sequence["Outcome"]) -> "Outcome":
        """Returns the outcome of a child that was trained with several learning rates.

        Example:
            >>> from keras_swish.search import Outcome
            >>> diverged = Outcome(reward=0.0, status="diverged", steps=3, seconds=0.5)
            >>> learned = Outcome(reward=0.8, status="ok", steps=10, seconds=1.5)
            >>> best = Outcome.best_of([diverged, learned])
            >>> best.reward, best.status, best.steps, best.seconds
            (0.8, 'ok', 13, 2.0)
        """
        best = max(rates, key=lambda outcome: (outcome.status == OK, outcome.reward))
        steps = sum(outcome.steps for outcome in rates)
        seconds = sum(outcome.seconds for outcome in rates)
        return dataclasses.replace(best, steps=steps, seconds=seconds, rates=tuple(rates))
