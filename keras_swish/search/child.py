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

import keras
import numpy as np

from keras_swish import optimizers
from keras_swish.messages import unknown
from keras_swish.replacement.replace import find_activations, replace_activations
from keras_swish.search import rewards
from keras_swish.search.networks import assign, described, leaves, renewed, staying, values
from keras_swish.search.searchable import SearchableActivation
from keras_swish.search.space import Candidate, SearchSpace
from keras_swish.search.steps import rows_of, steps_of, together

OPTIMIZERS = {
    "sgd": functools.partial(optimizers.SGD, momentum=0.9, nesterov=True),
    "adam": keras.optimizers.Adam,
    "rmsprop": functools.partial(optimizers.RMSprop, momentum=0.9, epsilon=1.0),
}
OK, DIVERGED, PRUNED = "ok", "diverged", "pruned"


@dataclasses.dataclass(frozen=True)
class Recipe:
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
        diverged: The reward of a child whose loss, outputs or reward are not finite. It must lie
            below all others.
    """

    epochs: int = 3
    batch_size: int = 128
    learning_rate: float = 0.1
    warmup: float = 0.1
    optimizer: str = "sgd"
    bn_momentum: float | None = None
    diverged: float = 0.0

    def __post_init__(self):
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(unknown("optimizer", self.optimizer, OPTIMIZERS))
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"`{name}` must be positive. Received: {name}={getattr(self, name)}"
                )


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a candidate.

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

    Keras's global random state is set anew for each new seed.

    Args:
        model: A Keras model, built; it is left as it is. All its activations but that of its
            outputs are searched for, and replaced by one.
        train: Inputs and labels to train on: arrays whose first axis is the examples.
        validation: Inputs and labels for the reward, likewise.
        space: The search space.
        recipe: How the network is trained.
        loss: As in `compile`; by default that which the model is compiled with.
        reward: From labels and outputs to a number, higher being better; by default accuracy, for
            models of one output that are trained with a cross-entropy.
        activations: Names of the activations to replace; by default all that are found.

    Raises:
        ValueError: If the model has no activation to replace, the loss or reward is not known, or
            the data is empty, uneven, smaller than a batch, or not finite.

    Example:
        >>> import keras, numpy as np
        >>> from keras_swish.search.child import Child, Recipe
        >>> from keras_swish.search.space import SearchSpace
        >>> x = np.random.default_rng(0).normal(size=(32, 2)).astype("float32")
        >>> y = (x[:, 0] * x[:, 1] > 0).astype("int32")
        >>> model = keras.Sequential(
        ...     [keras.Input((2,)), keras.layers.Dense(8), keras.layers.ReLU(),
        ...      keras.layers.Dense(2, "softmax")]
        ... )
        >>> space = SearchSpace()
        >>> child = Child(model, (x, y), (x, y), space, Recipe(batch_size=16),
        ...               loss="sparse_categorical_crossentropy")
        >>> product = space.candidate(u1="x", u2="x", b="x1*x2")
        >>> child.evaluate(product, seed=0).status
        'ok'
    """

    def __init__(
        self,
        model: keras.Model,
        train: tuple,
        validation: tuple,
        space: SearchSpace,
        recipe: Recipe | None = None,
        loss=None,
        reward: Callable[[np.ndarray, np.ndarray], float] | None = None,
        activations: list[str] | None = None,
    ):
        self.space, self.recipe = space, recipe or Recipe()
        self.train_data = _checked("train", train)
        self.validation = _checked("validation", validation)
        examples = len(keras.tree.flatten(self.train_data[0])[0])
        self.steps_per_epoch = examples // self.recipe.batch_size
        if not self.steps_per_epoch:
            raise ValueError(
                f"A batch of {self.recipe.batch_size} is larger than the training data, "
                f"{examples} examples."
            )
        self.loss = loss if loss is not None else getattr(model, "loss", None)
        if self.loss is None:
            raise ValueError("The model is not compiled: pass its `loss`.")
        self.reward = reward or rewards.default(model, self.loss, self.validation[1])
        self.model = model
        self.activations = activations or list(
            dict.fromkeys(place.old for place in find_activations(model))
        )
        self._template = self._replaced(functools.partial(SearchableActivation, space.core_units))
        self._network = renewed(self._template)
        self.compile(self._network)
        self._searchable = [
            layer for layer in leaves(self._network) if isinstance(layer, SearchableActivation)
        ]
        self._optimizer_start = values(self._network.optimizer.variables)
        self._starts: dict[int, list[np.ndarray]] = {}

    def __reduce__(self):
        # To other processes go the parts: what TensorFlow compiled cannot be sent.
        return _remade, (
            _Modules({type(layer).__module__ for layer in leaves(self.model)}),
            type(self),
            self.model,
            self.train_data,
            self.validation,
            self.space,
            self.recipe,
            self.loss,
            self.reward,
            self.activations,
        )

    def evaluate(self, candidate: Candidate, seed: int) -> Outcome:
        """Trains the network with the candidate from the weights that the seed draws.

        The outcome is that of `plain(candidate, seed)`, compiled and trained on its own.
        """
        start = time.perf_counter()
        return self.train(self._prepared(candidate, seed), seed, start)

    def stages(self, candidate: Candidate, seed: int) -> Iterator[Outcome]:
        """Trains likewise, and yields at the end of each epoch what the outcome is if it stops.

        The last one is that of `evaluate`, with the curve of rewards; those before are "pruned".
        No other candidate may be trained meanwhile.
        """
        start = time.perf_counter()
        return self._trained(self._prepared(candidate, seed), seed, start, each_epoch=True)

    def plain(self, candidate: Candidate, seed: int) -> keras.Model:
        """Returns the network with the candidate, weights drawn from the seed, not compiled."""
        template = self.with_formula(str(self.space.formula(candidate)))
        keras.utils.set_random_seed(seed)
        return renewed(template)

    def with_formula(self, formula: str) -> keras.Model:
        """Returns the user's network, with its weights, and this activation."""
        return self._replaced(formula)

    def config(self) -> dict:
        """Returns what the rewards depend on, in the form in which JSON gives it back."""
        return {
            "network": _digest(described(self._template).encode(), *staying(self._template)),
            "train": _digest(*keras.tree.flatten(self.train_data)),
            "validation": _digest(*keras.tree.flatten(self.validation)),
            "recipe": dataclasses.asdict(self.recipe),
            "loss": rewards.name_of(self.loss),
            "reward": rewards.name_of(self.reward),
            "backend": keras.backend.backend(),
        }

    def compile(self, network: keras.Model) -> None:
        """Compiles a network as the recipe says, and lets its batch statistics converge."""
        recipe = self.recipe
        steps = recipe.epochs * self.steps_per_epoch
        schedule = optimizers.learning_rate_schedule(
            "cosine", recipe.learning_rate, steps, round(recipe.warmup * steps)
        )
        momentum = recipe.bn_momentum
        if momentum is None:
            momentum = optimizers.converged_bn_momentum(steps)
        for layer in leaves(network):
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = momentum
        network.compile(optimizer=OPTIMIZERS[recipe.optimizer](schedule), loss=self.loss)
        network.optimizer.build(network.trainable_variables)
        network.steps = steps_of(network, recipe.batch_size)

    def train(self, network: keras.Model, seed: int, start: float | None = None) -> Outcome:
        """Trains a compiled network, with the batches that the seed orders, and validates it.

        The outcome's seconds count from `start`, as `time.perf_counter` gave it; by default now.
        """
        start = time.perf_counter() if start is None else start
        (outcome,) = self._trained(network, seed, start, each_epoch=False)
        return outcome

    def order(self, seed: int, epoch: int) -> np.ndarray:
        """Returns the rows of the training data in the order in which an epoch meets them."""
        examples = len(keras.tree.flatten(self.train_data[0])[0])
        order = np.random.default_rng([seed, epoch]).permutation(examples)
        return order[: self.steps_per_epoch * self.recipe.batch_size]

    def _prepared(self, candidate: Candidate, seed: int) -> keras.Model:
        """Returns the network with the candidate, and the weights that the seed draws."""
        network = self._network
        assign(network.variables, self._start(seed))
        assign(network.optimizer.variables, self._optimizer_start)
        for layer in self._searchable:
            layer.set_candidate(self.space, candidate)
        return network

    def _trained(self, network, seed, start, each_epoch) -> Iterator[Outcome]:
        _seed_dropout(seed)
        x, y = self.train_data
        size, taken, curve = self.recipe.batch_size, 0, ()
        at_once = size * together(self.train_data, size)
        for epoch in range(self.recipe.epochs):
            order = self.order(seed, epoch)
            for first in range(0, len(order), at_once):
                rows = order[first : first + at_once]
                steps, is_finite = network.steps(rows_of(x, rows), rows_of(y, rows))
                taken += steps
                if not is_finite:
                    yield self._diverged(taken, start, curve)
                    return
            is_last = epoch + 1 == self.recipe.epochs
            if not is_last and not each_epoch:
                continue
            outputs = self._predict(network, self.validation[0])
            if not all(np.isfinite(part).all() for part in keras.tree.flatten(outputs)):
                yield self._diverged(taken, start, curve)
                return
            reward = float(self.reward(self.validation[1], outputs))
            if not np.isfinite(reward):
                yield self._diverged(taken, start, curve)
                return
            if reward < self.recipe.diverged:
                raise ValueError(
                    f"A child reached a reward of {reward}, and one that diverges gets "
                    f"{self.recipe.diverged}: pass a `Recipe` with a lower `diverged`."
                )
            curve = (*curve, reward) if each_epoch else ()
            status = OK if is_last else PRUNED
            yield Outcome(reward, status, taken, time.perf_counter() - start, curve)

    def _replaced(self, activation) -> keras.Model:
        return replace_activations(
            self.model, dict.fromkeys(self.activations, activation), strict=False
        )

    def _start(self, seed: int) -> list[np.ndarray]:
        """Returns the weights that a network built after setting this seed has."""
        if not self._starts:
            # Setting TensorFlow's seed makes it forget what it prepared of its functions, which
            # takes longer than many a child. Keras's initializers have no use for that seed.
            whole = self._starts[seed] = self._drawn(seed, keras.utils.set_random_seed)
            same = map(np.array_equal, whole, self._drawn(seed, _set_python_seeds))
            self._set_seed = _set_python_seeds if all(same) else keras.utils.set_random_seed
        if seed not in self._starts:
            self._starts[seed] = self._drawn(seed, self._set_seed)
        return self._starts[seed]

    def _drawn(self, seed: int, set_seed: Callable[[int], None]) -> list[np.ndarray]:
        set_seed(seed)
        return values(renewed(self._template).variables)

    def _diverged(self, steps: int, start: float, curve: tuple) -> Outcome:
        return Outcome(self.recipe.diverged, DIVERGED, steps, time.perf_counter() - start, curve)

    def _predict(self, network, x):
        """Predicts in batches of the training's size, which are compiled already."""
        examples, size = len(keras.tree.flatten(x)[0]), self.recipe.batch_size
        parts = [
            network.predict_on_batch(rows_of(x, np.arange(first, first + size) % examples))
            for first in range(0, examples, size)
        ]
        return keras.tree.map_structure(lambda *part: np.concatenate(part)[:examples], *parts)


class _Modules:
    """Modules that are imported where this is unpickled.

    Keras finds the class of a layer by its registered name, once its module is imported.
    """

    def __init__(self, names):
        self.names = sorted(names - {"__main__"})

    def __reduce__(self):
        return _imported, (self.names,)


def _imported(names) -> None:
    for name in names:
        importlib.import_module(name)


def _remade(modules, kind, *parts):
    """Makes a child of its parts; the modules are imported before these are read."""
    return kind(*parts)


def _checked(name: str, data: tuple) -> tuple:
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
        import torch

        torch.manual_seed(seed)


def _digest(*arrays) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(array if isinstance(array, bytes) else np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
