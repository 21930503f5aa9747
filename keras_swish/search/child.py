"""The child: the user's network and data, trained with one candidate after the other.

The network is built, traced and compiled once. What distinguishes one candidate from the next
is data: the choice in its searchable activations, and the weights drawn from the seed.
"""

import dataclasses
import functools
import hashlib
import importlib
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from keras_swish import optimizers
from keras_swish.messages import unknown
from keras_swish.replacement.replace import find_activations, replace_activations
from keras_swish.search.children import rewards
from keras_swish.search.children.networks import (
    assign_values,
    inner_layers,
    kept_weights,
    read_values,
    reinitialize,
    structure,
)
from keras_swish.search.children.steps import make_train_steps, steps_per_execution, take_rows
from keras_swish.search.searchable import SearchableActivation
from keras_swish.search.space import Candidate, SearchSpace

OPTIMIZERS = {
    "sgd": functools.partial(optimizers.SGD, momentum=0.9, nesterov=True),
    "adam": keras.optimizers.Adam,
    "rmsprop": functools.partial(optimizers.RMSprop, momentum=0.9, epsilon=1.0),
}
OK, DIVERGED, PRUNED = "ok", "diverged", "pruned"


@dataclasses.dataclass(frozen=True)
class ChildConfig:
    """How a child is trained.

    Attributes:
        epochs: Passes over the training data.
        batch_size: Examples a step; what is left over at the end of an epoch is left out.
        learning_rate: The highest learning rate, which falls to 0 along a cosine.
        warmup: The part of the steps in which it rises to that first.
        optimizer: One of "sgd" (Nesterov momentum of 0.9), "adam", "rmsprop" (TensorFlow 1's,
            momentum of 0.9, epsilon of 1).
        bn_momentum: Momentum of batch normalisation's moving statistics, or None for the one of
            `keras_swish.optimizers.converged_bn_momentum`.
        diverged_reward: The reward of a child whose loss, outputs or reward are not finite. It must
            lie below all others.
    """

    epochs: int = 3
    batch_size: int = 128
    learning_rate: float = 0.1
    warmup: float = 0.1
    optimizer: str = "sgd"
    bn_momentum: float | None = None
    diverged_reward: float = 0.0

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(unknown("optimizer", self.optimizer, OPTIMIZERS))
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"`{name}` must be positive. Received: {name}={getattr(self, name)}"
                )


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The result of training a candidate.

    Attributes:
        reward: What `Child.reward` says of the outputs on the validation data; higher is better.
        status: "ok", "diverged", or "pruned": stopped before the last epoch, as not promising.
        steps: Training steps taken.
        seconds: Time that took, validation included.
        curve: The reward at the end of each epoch, where a pruner asked for it.
    """

    reward: float
    status: str
    steps: int
    seconds: float
    curve: tuple[float, ...] = ()


class Child:
    """A network and data, ready to be trained with any candidate of a space.

    Keras's global random state is set for each new seed.

    Args:
        model: A Keras model, built; it is left as it is. All its activations but that of its
            outputs are replaced by the one that is searched for.
        train: Inputs and labels to train on: arrays whose first axis is the examples.
        validation: Inputs and labels for the reward, in the same form.
        space: The search space.
        config: How the network is trained.
        loss: As in `compile`; by default that which the model is compiled with.
        reward: From labels and outputs to a number, higher being better; by default accuracy, for
            models of one output that are trained with a cross-entropy.
        activations: Names of the activations to replace; by default all that are found.

    Raises:
        ValueError: If the model has no activation to replace, the loss or reward is not known, or
            the data is empty, uneven, smaller than a batch, or not finite.

    Example:
        >>> import keras, numpy as np
        >>> from keras_swish.search.child import Child, ChildConfig
        >>> from keras_swish.search.space import SearchSpace
        >>> x = np.random.default_rng(0).normal(size=(32, 2)).astype("float32")
        >>> y = (x[:, 0] * x[:, 1] > 0).astype("int32")
        >>> model = keras.Sequential(
        ...     [keras.Input((2,)), keras.layers.Dense(8), keras.layers.ReLU(),
        ...      keras.layers.Dense(2, "softmax")]
        ... )
        >>> space = SearchSpace()
        >>> child = Child(model, (x, y), (x, y), space, ChildConfig(batch_size=16),
        ...               loss="sparse_categorical_crossentropy")
        >>> product = space.candidate(u1="x", u2="x", b="x1*x2")
        >>> child.evaluate(product, seed=0).status
        'ok'
    """

    def __init__(
        self,
        model: keras.Model,
        train: tuple[Any, Any],
        validation: tuple[Any, Any],
        space: SearchSpace,
        config: ChildConfig | None = None,
        loss: Any = None,
        reward: rewards.Reward | None = None,
        activations: list[str] | None = None,
    ):
        self.space, self.config = space, config or ChildConfig()
        self.train_data = _check_data("train", train)
        self.validation = _check_data("validation", validation)
        self._examples = len(keras.tree.flatten(self.train_data[0])[0])
        self.steps_per_epoch = self._examples // self.config.batch_size
        if not self.steps_per_epoch:
            raise ValueError(
                f"A batch of {self.config.batch_size} is larger than the training data, "
                f"{self._examples} examples."
            )
        self.loss = loss if loss is not None else getattr(model, "loss", None)
        if self.loss is None:
            raise ValueError("The model is not compiled: pass its `loss`.")
        self.reward = reward or rewards.default(model, self.loss, self.validation[1])
        self.model = model
        self.activations = activations or list(
            dict.fromkeys(site.old for site in find_activations(model))
        )
        self._template = self._replace(functools.partial(SearchableActivation, space.core_units))
        self._network = reinitialize(self._template)
        self.compile(self._network)
        self._searchable = [
            layer
            for layer in inner_layers(self._network)
            if isinstance(layer, SearchableActivation)
        ]
        self._optimizer_start = read_values(self._network.optimizer.variables)
        self._initial_weights: dict[int, list[np.ndarray]] = {}
        self._set_seed: Callable[[int], None]

    def __reduce__(self):
        # To other processes go the parts: what TensorFlow compiled cannot be sent.
        return _rebuild, (
            _Modules({type(layer).__module__ for layer in inner_layers(self.model)}),
            type(self),
            self.model,
            self.train_data,
            self.validation,
            self.space,
            self.config,
            self.loss,
            self.reward,
            self.activations,
        )

    def evaluate(self, candidate: Candidate | str, seed: int) -> Outcome:
        """Trains the network with the candidate from the weights that the seed draws.

        The outcome is that of `plain(candidate, seed)`, compiled and trained on its own, as any
        activation that is no candidate of the space is: its formula or name may be given instead.
        """
        start = time.perf_counter()
        return self.train(self._prepare(candidate, seed), seed, start)

    def train_by_epoch(self, candidate: Candidate | str, seed: int) -> Iterator[Outcome]:
        """Trains as `evaluate` does, and yields after each epoch the outcome if it stops there.

        The last one is that of `evaluate`, with the curve of rewards; those before are "pruned".
        No other candidate may be trained until then.
        """
        start = time.perf_counter()
        return self._train(self._prepare(candidate, seed), seed, start, each_epoch=True)

    def plain(self, candidate: Candidate | str, seed: int) -> keras.Model:
        """Returns the network with the candidate, weights drawn from the seed, not compiled."""
        is_text = isinstance(candidate, str)
        template = self.with_formula(candidate if is_text else str(self.space.formula(candidate)))
        keras.utils.set_random_seed(seed)
        return reinitialize(template)

    def with_formula(self, formula: str) -> keras.Model:
        """Returns the user's network, with its weights, and this activation."""
        return self._replace(formula)

    def fingerprint(self) -> dict:
        """Returns all that the rewards depend on, in the form in which JSON gives it back."""
        template = self._template
        return {
            "network": _digest(structure(template).encode(), *kept_weights(template)),
            "train": _digest(*keras.tree.flatten(self.train_data)),
            "validation": _digest(*keras.tree.flatten(self.validation)),
            "config": dataclasses.asdict(self.config),
            "loss": rewards.name_of(self.loss),
            "reward": rewards.name_of(self.reward),
            "backend": keras.backend.backend(),
        }

    def compile(self, network: keras.Model) -> None:
        """Compiles a network as the config says, and lets its batch statistics converge."""
        config = self.config
        steps = config.epochs * self.steps_per_epoch
        schedule = optimizers.learning_rate_schedule(
            "cosine", config.learning_rate, steps, round(config.warmup * steps)
        )
        momentum = config.bn_momentum
        if momentum is None:
            momentum = optimizers.converged_bn_momentum(steps)
        for layer in inner_layers(network):
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = momentum
        network.compile(optimizer=OPTIMIZERS[config.optimizer](schedule), loss=self.loss)
        network.optimizer.build(network.trainable_variables)
        network.train_steps = make_train_steps(network, config.batch_size)

    def train(self, network: keras.Model, seed: int, start: float | None = None) -> Outcome:
        """Trains a compiled network, with the batches that the seed orders, and validates it.

        The outcome's seconds count from `start`, as `time.perf_counter` gave it; by default now.
        """
        start = time.perf_counter() if start is None else start
        (outcome,) = self._train(network, seed, start, each_epoch=False)
        return outcome

    def order(self, seed: int, epoch: int) -> np.ndarray:
        """Returns the rows of the training data in the order in which an epoch meets them."""
        order = np.random.default_rng([seed, epoch]).permutation(self._examples)
        return order[: self.steps_per_epoch * self.config.batch_size]

    def _prepare(self, candidate: Candidate | str, seed: int) -> keras.Model:
        """Returns the network with the candidate, and the weights that the seed draws."""
        if isinstance(candidate, str):
            network = self.plain(candidate, seed)
            self.compile(network)
            return network
        network = self._network
        assign_values(network.variables, self._draw_weights(seed))
        assign_values(network.optimizer.variables, self._optimizer_start)
        for layer in self._searchable:
            layer.set_candidate(self.space, candidate)
        return network

    def _train(
        self, network: keras.Model, seed: int, start: float, each_epoch: bool
    ) -> Iterator[Outcome]:
        """Yields the outcome, and if asked for those after each epoch before."""
        _seed_dropout(seed)
        steps, curve = 0, ()
        for epoch in range(self.config.epochs):
            taken, is_finite = self._train_epoch(network, seed, epoch)
            steps += taken
            is_last = epoch + 1 == self.config.epochs
            if is_finite and not is_last and not each_epoch:
                continue
            reward = self._validate(network) if is_finite else None
            if reward is None:
                seconds = time.perf_counter() - start
                yield Outcome(self.config.diverged_reward, DIVERGED, steps, seconds, curve)
                return
            curve = (*curve, reward) if each_epoch else ()
            status = OK if is_last else PRUNED
            yield Outcome(reward, status, steps, time.perf_counter() - start, curve)

    def _train_epoch(self, network: keras.Model, seed: int, epoch: int) -> tuple[int, bool]:
        """Returns the steps taken, and whether all losses were finite."""
        x, y = self.train_data
        order, batch_size, steps = self.order(seed, epoch), self.config.batch_size, 0
        rows_per_call = batch_size * steps_per_execution(self.train_data, batch_size)
        for first in range(0, len(order), rows_per_call):
            rows = order[first : first + rows_per_call]
            taken, is_finite = network.train_steps(take_rows(x, rows), take_rows(y, rows))
            steps += taken
            if not is_finite:
                return steps, False
        return steps, True

    def _validate(self, network: keras.Model) -> float | None:
        """Returns the reward, or None if it or an output is not finite."""
        outputs = self._predict(network, self.validation[0])
        if not all(np.isfinite(part).all() for part in keras.tree.flatten(outputs)):
            return None
        reward = float(self.reward(self.validation[1], outputs))
        if not np.isfinite(reward):
            return None
        if reward < self.config.diverged_reward:
            raise ValueError(
                f"A child reached a reward of {reward}, and one that diverges gets "
                f"{self.config.diverged_reward}: pass a `ChildConfig` with a lower "
                "`diverged_reward`."
            )
        return reward

    def _replace(self, activation: Any) -> keras.Model:
        replacements: dict[Any, Any] = dict.fromkeys(self.activations, activation)
        return replace_activations(self.model, replacements, strict=False)

    def _draw_weights(self, seed: int) -> list[np.ndarray]:
        """Returns the weights that a network built after setting this seed has."""

        def draw(set_seed: Callable[[int], None]) -> list[np.ndarray]:
            set_seed(seed)
            return read_values(reinitialize(self._template).variables)

        if not self._initial_weights:
            # Setting TensorFlow's seed makes it forget what it prepared of its functions, which
            # takes longer than many a child. Keras's initializers have no use for that seed.
            drawn = self._initial_weights[seed] = draw(keras.utils.set_random_seed)
            is_same = all(map(np.array_equal, drawn, draw(_set_python_seeds)))
            self._set_seed = _set_python_seeds if is_same else keras.utils.set_random_seed
        if seed not in self._initial_weights:
            self._initial_weights[seed] = draw(self._set_seed)
        return self._initial_weights[seed]

    def _predict(self, network: keras.Model, x: Any) -> Any:
        """Predicts in batches of the training's size, which are compiled already."""
        examples, size = len(keras.tree.flatten(x)[0]), self.config.batch_size
        parts = [
            network.predict_on_batch(take_rows(x, np.arange(first, first + size) % examples))
            for first in range(0, examples, size)
        ]
        return keras.tree.map_structure(lambda *part: np.concatenate(part)[:examples], *parts)


class _Modules:
    """Modules that are imported where this is unpickled.

    Keras finds the class of a layer by its registered name, once its module is imported.
    """

    def __init__(self, names: set[str]):
        self.names = sorted(names - {"__main__"})

    def __reduce__(self):
        return _import_all, (self.names,)


def _import_all(names: list[str]) -> None:
    for name in names:
        importlib.import_module(name)


def _rebuild(modules: "_Modules", child_class: type["Child"], *parts: Any) -> "Child":
    """Makes a child of its parts; the modules are imported before these are read."""
    return child_class(*parts)


def _check_data(name: str, data: Any) -> tuple[Any, Any]:
    if not isinstance(data, tuple) or len(data) != 2:
        raise ValueError(f"`{name}` must be a pair (inputs, labels). Received: {type(data)}")
    data = keras.tree.map_structure(np.asarray, data)
    arrays = keras.tree.flatten(data)
    if len({len(array) for array in arrays}) != 1 or not len(arrays[0]):
        raise ValueError(
            f"`{name}` must hold as many inputs as labels, and at least one. "
            f"Received: {[len(array) for array in arrays]}"
        )
    for array in arrays:
        if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
            raise ValueError(f"`{name}` holds numbers that are not finite.")
    return data


def _set_python_seeds(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)


def _seed_dropout(seed: int) -> None:
    """On PyTorch dropout draws from a state of PyTorch's own, elsewhere from the layer's."""
    if keras.backend.backend() == "torch":
        import torch  # pyright: ignore[reportMissingImports]

        torch.manual_seed(seed)


def _digest(*arrays: Any) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(array if isinstance(array, bytes) else np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
