"""The child: the user's network and data, trained with one candidate after the other.

The network is built, traced and compiled once. What distinguishes one candidate from the next
is data: the choice in its searchable activations, and the weights drawn from the seed.
"""

import contextlib
import copy
import dataclasses
import functools
import math
import random
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from keras_swish import io
from keras_swish.keras_compat import (
    all_layers,
    hears_batches,
    name_for_files,
    recurrent_states,
    set_since_made,
    set_trainable_flags,
    since_made,
    trainable_flags,
    without_model,
)
from keras_swish.messages import first_line
from keras_swish.replacement.replace import ReplacementReport, replace_activations
from keras_swish.search.children import checks, objectives, rewards, sites
from keras_swish.search.children import data as datasets
from keras_swish.search.children.compiling import Compiler
from keras_swish.search.children.config import DIVERGED, OK, PRUNED, ChildConfig, Outcome
from keras_swish.search.children.data import digest, take_rows
from keras_swish.search.children.networks import (
    all_optimizers,
    assign_values,
    inner_layers,
    kept_weights,
    own_models,
    own_objects,
    read_values,
    reinitialize,
    structure,
)
from keras_swish.search.children.steps import epoch_logs, make_train_steps, steps_per_execution
from keras_swish.search.searchable import SearchableActivation
from keras_swish.search.space import Candidate, SearchSpace

# Examples a step, where neither the config nor a dataset says how many.
_BATCH_SIZE = 128
# An example costs as many times more to train on than to validate on; and the part of the time of
# training that it may cost to keep the reward after each epoch.
_TRAINING_COST, _CHEAP = 3, 0.05


class Child:
    """A network and data, ready to be trained with any candidate of a space.

    Keras's global random state is set for each new seed.

    Args:
        model: A Keras model, built; it is left as it is. Its activations that shape features are
            replaced by the one that is searched for. Or a function without arguments that makes
            it, the same each time, with new weights where they are to be drawn.
        train: Inputs and labels to train on, and weights of the examples if there are any: what
            `children.data.read` takes, arrays or a dataset, which is read into memory.
        validation: Data for the reward, in the same form.
        space: The search space.
        config: How the network is trained; by default with the optimizer, loss, loss weights and
            metrics that it is compiled with.
        loss: As in `compile`; by default that which the model is compiled with.
        reward: From labels and outputs to a number, higher being better, or a Keras metric of
            known direction; by default accuracy, for models of one output that are trained with a
            cross-entropy.
        activations: What to replace: see `children.sites.searched_sites`.
        objective: What `fit` logs of the validation data, to maximise or minimise instead of a
            reward: "val_auc", or ("val_auc", "max"). The reward is its value, negative where less
            is better.
        class_weight: By class, what its examples weigh in training.
        callbacks: Keras's callbacks, of which each child gets copies.
        scales_loss: Whether the loss is scaled for half precision; by default as the model is
            compiled.

    Raises:
        TypeError: If `model` is no Keras model, nor a function that makes one.
        ValueError: If the model has no activation to replace, the loss, reward or objective is not
            known, a callback sets the learning rate of a schedule, or the data is empty, uneven,
            smaller than a batch, not finite, or not what the model takes.

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
        model: keras.Model | Callable[[], keras.Model],
        train: Any,
        validation: Any,
        space: SearchSpace,
        config: ChildConfig | None = None,
        loss: Any = None,
        reward: rewards.Reward | keras.metrics.Metric | None = None,
        activations: Sequence[str] | None = None,
        objective: Any = None,
        class_weight: dict[int, float] | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        scales_loss: bool | None = None,
    ):
        checks.check_model(model)
        self.space, self.given_config = space, config or ChildConfig()
        if not isinstance(self.given_config, ChildConfig):
            raise ValueError(
                "The config must be a keras_swish.search.ChildConfig, such as "
                f"ChildConfig(epochs=5). Received: {config!r}"
            )
        if reward is not None and objective is not None:
            raise ValueError("Pass an `objective` or a `reward`, and not both.")
        self.train_data, batch_size = datasets.read("training data", train, class_weight)
        self.validation, _ = datasets.read("validation data", validation)
        self._examples = datasets.size(self.train_data)
        if batch_size and self.given_config.batch_size is None:
            # Given by the dataset, and so in the fingerprint, as the data alone does not tell it.
            self.given_config = dataclasses.replace(self.given_config, batch_size=batch_size)
        self.config = dataclasses.replace(
            self.given_config, batch_size=self.given_config.batch_size or _BATCH_SIZE
        )
        self.steps_per_epoch = self._examples // self.batch_size
        if not self.steps_per_epoch:
            raise ValueError(
                f"A batch of {self.batch_size} is larger than the training data, "
                f"{self._examples} examples."
            )
        self._make = None
        if not isinstance(model, keras.Model):
            self._make = model
            _set_python_seeds(0)  # what is frozen is in the fingerprint
            model, self._states = self._called_again()
        self._compiler = Compiler(model, loss, self.config, scales_loss)
        self.loss, self.model, self.callbacks = self._compiler.loss, model, _copied(callbacks)
        self.objective = None if objective is None else objectives.read(objective)
        self.reward: rewards.Reward | None = None
        if reward is not None:
            self.reward = objectives.reward_of(reward, model)
        elif self.objective is None:
            self.reward = rewards.default(model, self.loss, self.validation[1])
        self._activations = activations
        self.sites = sites.searched_sites(model, activations)
        self._has_output = sites.is_output(model, self.sites)
        self._any = functools.partial(
            SearchableActivation, space.core_units, space.primitives["u"], space.primitives["b"]
        )
        with warnings.catch_warnings():
            if self._make:  # no file need give back a child
                warnings.filterwarnings("ignore", "replace_activations: no file gives back")
            self._template, report = self._replace(self._any)
        self.sites = sites.replaced_sites(self.sites, activations, report)
        self._initial_weights: dict[int, list[np.ndarray]] = {}
        self._set_seed: Callable[[int], None]
        self._network = self._drawn()
        self.compile(self._network)
        checks.check_callbacks(self._network, self.callbacks)
        self._searchable = [
            layer
            for layer in inner_layers(self._network)
            if isinstance(layer, SearchableActivation)
        ]
        self._start = read_values(self._unlisted_variables())
        self._try_out()
        # An optimizer keeps the learning rate that it was compiled with.
        self._at_other_rates = [self._at_rate(rate) for rate in self.config.rates[1:]]

    @property
    def batch_size(self) -> int:
        """Examples a step."""
        return self.config.batch_size or _BATCH_SIZE

    @property
    def activations(self) -> list[str]:
        """The activations that are searched for, as their paths and functions."""
        return list(map(str, self.sites))

    def __reduce__(self):
        # To other processes go the parts: what TensorFlow compiled cannot be sent.
        metric = getattr(self.reward, "metric", None)
        known = _Known(own_objects(self.model, self.loss, metric))
        return _rebuild, (known, self._unfiled(), type(self), *self._parts())

    def _unfiled(self) -> "_Unfiled":
        fingerprint = {name: one for name, one in self.fingerprint().items() if name in _SENT}
        if self._make:  # what it makes is as it makes it
            return _Unfiled(fingerprint)
        since = [since_made(one) for one in all_optimizers(self.model)]
        return _Unfiled(fingerprint, since, [*map(trainable_flags, all_layers(self.model))])

    def _parts(self, **config: Any) -> tuple[Any, ...]:
        """Returns what makes a child like this one; its config with changes, if there are any."""
        return (
            self._make or self.model,
            self.train_data,
            self.validation,
            self.space,
            dataclasses.replace(self.given_config, **config),
            self.loss,
            self.reward,
            self._activations,
            self.objective,
            None,  # the weights of classes are in the training data by now
            self.callbacks,
            self._compiler.scales_loss,  # which a copy of the model in a file does not know
        )

    def _at_rate(self, rate: float) -> "Child":
        child = type(self)(*self._parts(learning_rate=rate))
        child.train_data, child.validation = self.train_data, self.validation  # no copies
        return child

    def _try_out(self) -> None:
        """Finds before the first training what would fail after it."""
        network, loss, size = self._network, self.loss, self.batch_size
        checks.try_out(network, loss, self.train_data, "training data", size)
        batch, outputs = checks.try_out(network, loss, self.validation, "validation data", size)
        if self.objective:
            logged = checks.logged_values(network, batch, outputs)
            self.objective = objectives.complete(self.objective, logged, network)
            objectives.check_value(self.objective, logged)
        else:
            self._rewarded(batch[1], keras.tree.map_structure(keras.ops.convert_to_numpy, outputs))
        if self.config.diverged_reward is None:
            worst = self._worst_reward()
            self.config = dataclasses.replace(self.config, diverged_reward=worst)

    def _rewarded(self, y: Any, outputs: Any) -> float:
        """Returns the reward of outputs, as a number."""
        assert self.reward is not None
        try:
            value = self.reward(y, outputs)
        except Exception as error:
            raise ValueError(
                f"The reward {rewards.name_of(self.reward)!r} fails on the labels and outputs of "
                f"the validation data ({first_line(error)})."
            ) from error
        return objectives.number(value, self.reward)

    def _worst_reward(self) -> float:
        """Returns the reward of a child that diverges, where the config has none."""
        if self._counts_from_0:
            return 0.0
        # From one seed, so that a search that resumes has the same.
        assign_values(self._network.variables, self._draw_weights(0))
        for layer in self._searchable:
            layer.set_candidate(self.space, self.space.ordered((0,) * len(self.space.sizes)))
        untrained = self._measure(self._network)
        return objectives.worst(math.nan if untrained is None else untrained)

    def evaluate(self, candidate: Candidate | str, seed: int) -> Outcome:
        """Trains the network with the candidate from the weights that the seed draws.

        The outcome is that of `plain(candidate, seed)`, compiled and trained on its own, as any
        activation that is no candidate of the space is: its formula or name may be given instead.
        With several learning rates it is the best of theirs.
        """
        outcomes = []
        for child in (self, *self._at_other_rates):
            start = time.perf_counter()
            outcomes.append(child.train(child._prepare(candidate, seed), seed, start))
        return Outcome.best_of(outcomes) if self._at_other_rates else outcomes[0]

    def train_by_epoch(self, candidate: Candidate | str, seed: int) -> Iterator[Outcome]:
        """Trains as `evaluate` does, and yields after each epoch the outcome if it stops there.

        The last one is that of `evaluate`, with the curve of rewards; those before are "pruned".
        No other candidate may be trained until then.

        Raises:
            ValueError: If there are several learning rates.
        """
        if self._at_other_rates:
            raise ValueError("A child of several learning rates has no epochs of its own.")
        start = time.perf_counter()
        return self._train(self._prepare(candidate, seed), seed, start, each_epoch=True)

    def plain(self, candidate: Candidate | str, seed: int) -> keras.Model:
        """Returns the network with the candidate, weights drawn from the seed, not compiled."""
        is_text = isinstance(candidate, str)
        formula = candidate if is_text else str(self.space.formula(candidate))
        template = None if self._make else self.with_formula(formula)
        keras.utils.set_random_seed(seed)
        return self._made(formula) if template is None else reinitialize(template)

    def with_formula(self, formula: str) -> keras.Model:
        """Returns the user's network, with its weights, and this activation."""
        return self._replace(formula)[0]

    def _drawn(self) -> keras.Model:
        """Returns the network for any candidate, with new weights."""
        return self._made(self._any) if self._make else reinitialize(self._template)

    def _made(self, activation: Any) -> keras.Model:
        """Returns the network that the user's function makes, with this activation."""
        new, states = self._called_again()
        if new is self.model:
            raise ValueError(
                "The function given as `model` must make a new model each time: it returns the "
                "same one, of which no new weights can be drawn."
            )
        shapes, others = ([v.shape for v in one.variables] for one in (self.model, new))
        if shapes != others:
            raise ValueError(
                "The function given as `model` must make the same network each time. Received: "
                f"variables of the shapes {others}, and before of {shapes}"
            )
        if states[0] != self._states[0] and states[1] == self._states[1]:
            raise ValueError(
                "The function given as `model` sets the random seed, so that children of every "
                "seed would begin with the same weights: leave that out of it."
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what there is to say, was said of the template
            return self._replace(activation, new)[0]

    def _called_again(self) -> tuple[keras.Model, tuple[Any, Any]]:
        """Returns what the user's function makes, and Python's random states before and after."""
        assert self._make is not None
        before = random.getstate()  # from which initializers draw their seeds
        model = checks.made(self._make, self.train_data[0], self.batch_size)
        return model, (before, random.getstate())

    def fingerprint(self) -> dict:
        """Returns all that the rewards depend on, in the form in which JSON gives it back."""
        network = structure(self._template) + own_models(self.model)
        kept = kept_weights(self._template)
        if self._make:  # it may give weights that no seed draws, such as those of a file
            drawn = zip(self._draw_weights(0), self._draw_weights(1), strict=True)
            kept += [one for one, other in drawn if np.array_equal(one, other)]
        return {
            "network": digest(network.encode(), *kept),
            "train": digest(*keras.tree.flatten(self.train_data)),
            "validation": digest(*keras.tree.flatten(self.validation)),
            "config": io.as_json(dataclasses.asdict(self.given_config)),
            "loss": rewards.name_of(self.loss),
            "reward": rewards.name_of(self.reward) if self.reward else str(self.objective),
            "backend": keras.backend.backend(),
            **self._compiler.fingerprint(),
            **({"callbacks": list(map(rewards.name_of, self.callbacks))} if self.callbacks else {}),
        }

    def compile(self, network: keras.Model) -> None:
        """Compiles a network as the children are, and lets its batch statistics converge.

        Of several learning rates the first counts.
        """
        self._compiler.compile(network, self.config.epochs * self.steps_per_epoch)
        network.train_steps = make_train_steps(network, self.batch_size, bool(self.callbacks))

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
        return order[: self.steps_per_epoch * self.batch_size]

    def _prepare(self, candidate: Candidate | str, seed: int) -> keras.Model:
        """Returns the network with the candidate, and the weights that the seed draws."""
        if isinstance(candidate, str):
            network = self.plain(candidate, seed)
            self.compile(network)
            return network
        network = self._network
        assign_values(network.variables, self._draw_weights(seed))
        assign_values(self._unlisted_variables(), self._start)
        for layer in self._searchable:
            layer.set_candidate(self.space, candidate)
        return network

    def _unlisted_variables(self) -> list[Any]:
        """Returns what a training changes besides the network's variables.

        That is the state of all optimizers that it has, and of its stateful recurrent layers.
        """
        optimizers, layers = all_optimizers(self._network), inner_layers(self._network)
        return [
            *(variable for one in optimizers for variable in one.variables),
            *(variable for layer in layers for variable in recurrent_states(layer)),
        ]

    def _train(
        self, network: keras.Model, seed: int, start: float, each_epoch: bool
    ) -> Iterator[Outcome]:
        """Yields the outcome, and if asked for those after each epoch before."""
        _seed_dropout(seed)
        callbacks = self._started_callbacks(network)
        with contextlib.ExitStack() as ending:
            if callbacks:
                ending.callback(callbacks.on_train_end)  # also where a pruner stops the child
            yield from self._train_epochs(network, seed, start, each_epoch, callbacks, ending.close)

    def _train_epochs(
        self,
        network: keras.Model,
        seed: int,
        start: float,
        each_epoch: bool,
        callbacks: keras.callbacks.CallbackList | None,
        end: Callable[[], None],
    ) -> Iterator[Outcome]:
        keeps_curve = each_epoch or bool(callbacks) or self._is_validated_cheaply
        steps, curve = 0, ()
        for epoch in range(self.config.epochs):
            taken, is_finite, logs = self._train_epoch(network, seed, epoch, callbacks)
            steps += taken
            is_last = epoch + 1 == self.config.epochs or network.stop_training
            if is_last and is_finite:
                _finalize_weights(network)
            if is_last or not is_finite:
                end()  # some callbacks give back the weights of the best epoch
            if is_finite and not is_last:
                if keeps_curve:
                    # Not judged yet: a bad beginning may end well.
                    measured = self._measure(network, logs)
                    reward = self._diverged if measured is None else max(measured, self._diverged)
                    curve = (*curve, reward)
                    if each_epoch:
                        yield Outcome(reward, PRUNED, steps, time.perf_counter() - start, curve)
                continue
            reward = self._validate(network) if is_finite else None
            if reward is None:
                seconds = time.perf_counter() - start
                yield Outcome(
                    self._diverged,
                    DIVERGED,
                    steps,
                    seconds,
                    curve,
                    _logged(callbacks),
                )
                return
            curve = (*curve, reward) if keeps_curve else ()
            seconds = time.perf_counter() - start
            yield Outcome(reward, OK, steps, seconds, curve, _logged(callbacks))
            return

    @property
    def _is_validated_cheaply(self) -> bool:
        """Whether to validate after each epoch costs next to nothing of what training does."""
        epochs = self.config.epochs
        training = _TRAINING_COST * epochs * self._examples
        return (epochs - 1) * datasets.size(self.validation) <= _CHEAP * training

    def _started_callbacks(self, network: keras.Model) -> keras.callbacks.CallbackList | None:
        network.stop_training = False
        if not self.callbacks:
            return None
        # Comes last, and so has what they add to the logs.
        copies = [*copy.deepcopy(self.callbacks), _LastLogs()]
        started = keras.callbacks.CallbackList(copies, model=network)
        started.set_params(
            {"epochs": self.config.epochs, "steps": self.steps_per_epoch, "verbose": 0}
        )
        started.on_train_begin()
        return started

    def _train_epoch(
        self,
        network: keras.Model,
        seed: int,
        epoch: int,
        callbacks: keras.callbacks.CallbackList | None,
    ) -> tuple[int, bool, dict[str, float] | None]:
        """Returns the steps taken, whether all losses were finite, and what callbacks were told.

        That is, of the validation data; None without callbacks.
        """
        order, steps, is_finite = self.order(seed, epoch), 0, True
        logged: dict[str, Any] | None = None
        network.reset_metrics()  # what diverged before would count for ever
        if callbacks:
            callbacks.on_epoch_begin(epoch)
        rows_per_call = self.batch_size
        if not any(map(hears_batches, self.callbacks)):
            rows_per_call *= steps_per_execution(self.train_data, self.batch_size)
        for first in range(0, len(order), rows_per_call):
            if callbacks:
                callbacks.on_train_batch_begin(steps)
            rows = order[first : first + rows_per_call]
            taken, is_finite, logged = network.train_steps(take_rows(self.train_data, rows))
            steps += taken
            if callbacks:
                callbacks.on_train_batch_end(steps - 1, epoch_logs(network, logged))
            if not is_finite or network.stop_training:
                break
        if not callbacks:
            return steps, is_finite, None
        of_epoch, of_validation = epoch_logs(network, logged), self._evaluate(network, callbacks)
        callbacks.on_epoch_end(epoch, {**of_epoch, **of_validation})
        return steps, is_finite, of_validation

    def _evaluate(
        self, network: keras.Model, callbacks: keras.callbacks.CallbackList | None = None
    ) -> dict[str, float]:
        """Returns what `fit` logs of the validation data, and tells callbacks as it does."""
        x, y, *weights = self.validation
        x = datasets.for_evaluate(x)
        silent: Any = 0  # Keras's annotation has its default's type
        logs: Any = network.evaluate(
            x, y, self.batch_size, silent, *weights, callbacks=callbacks, return_dict=True
        )
        return {f"{objectives.PREFIX}{name}": value for name, value in logs.items()}

    def _measure(self, network: keras.Model, logs: dict[str, float] | None = None) -> float | None:
        """Returns the reward, or None if it or an output is not finite.

        Args:
            network: The network.
            logs: What it logs of the validation data, where that is known.
        """
        if self.objective:
            logs = self._evaluate(network) if logs is None else logs
            found = [logs[name] for name in ("val_loss", self.objective.name) if name in logs]
            reward = self.objective.sign * logs[self.objective.name]
            return reward if np.isfinite(found).all() else None
        outputs = self._predict(network, self.validation[0])
        if not all(np.isfinite(part).all() for part in keras.tree.flatten(outputs)):
            return None
        reward = self._rewarded(self.validation[1], outputs)
        return reward if np.isfinite(reward) else None

    def _validate(self, network: keras.Model) -> float | None:
        """Returns the reward of a child, or None if it diverged."""
        reward = self._measure(network)
        if reward is None or reward >= self._diverged:
            return reward
        if self.given_config.diverged_reward is None and not self._counts_from_0:
            return None  # worse than what has not been trained
        raise ValueError(
            f"A child reached a reward of {reward}, and one that diverges gets "
            f"{self._diverged}: pass a `ChildConfig` with a lower `diverged_reward`."
        )

    @property
    def _counts_from_0(self) -> bool:
        """Whether 0 is taken for the worst reward of all."""
        objective = self.objective or getattr(self.reward, "objective", None)
        return objective is None or objectives.counts_from_0(objective)

    @property
    def _diverged(self) -> float:
        return self.config.diverged_reward or 0.0

    def _replace(
        self, activation: Any, model: keras.Model | None = None
    ) -> tuple[keras.Model, ReplacementReport]:
        chosen = {sites.key(site) for site in self.sites}
        replacements: dict[Any, Any] = {site.old: activation for site in self.sites}
        try:
            return replace_activations(
                model or self.model,
                replacements,
                where=lambda site: sites.key(site) in chosen,
                except_last=not self._has_output,
                strict=False,
                return_report=True,
            )
        except TypeError as error:  # a layer calls it in another way, as attention its softmax
            raise ValueError(
                f"The model cannot be built with another activation in place of "
                f"{', '.join(self.activations)} ({first_line(error)})."
            ) from error

    def _draw_weights(self, seed: int) -> list[np.ndarray]:
        """Returns the weights that a network built after setting this seed has."""

        def draw(set_seed: Callable[[int], None]) -> list[np.ndarray]:
            set_seed(seed)
            return read_values(self._drawn().variables)

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
        examples, size = len(keras.tree.flatten(x)[0]), self.batch_size
        parts = [
            network.predict_on_batch(take_rows(x, np.arange(first, first + size) % examples))
            for first in range(0, examples, size)
        ]
        return keras.tree.map_structure(lambda *part: np.concatenate(part)[:examples], *parts)


class _Known:
    """Classes and functions that Keras knows by their names where this is unpickled.

    Files have the names alone. What is of a module is imported with that; what is of a script or a
    notebook, Ray sends whole.
    """

    def __init__(self, objects: dict[str, Any]):
        self.objects = objects

    def __reduce__(self):
        return _make_known, (self.objects,)


def _make_known(objects: dict[str, Any]) -> None:
    known = keras.saving.get_custom_objects()
    for name, one in objects.items():
        if known.setdefault(name, one) is one:
            name_for_files(one, name)


# What of a fingerprint a file or the other process may change; the rest is sent as it is, and of
# how the loss is scaled no file knows the reason.
_SENT = ("network", "train", "validation", "backend")


@dataclasses.dataclass(frozen=True)
class _Unfiled:
    """What a file of a child's model may lack.

    Attributes:
        fingerprint: What of the child's fingerprint may be another one there.
        since: Of each optimizer, of which it knows the config alone, or the name.
        trainable: Of each layer; it knows those of layers that no other layer makes.
    """

    fingerprint: dict[str, Any]
    since: Sequence[tuple[Any, ...]] = ()
    trainable: Sequence[tuple[bool, list[bool]]] = ()


def _rebuild(
    known: None, unfiled: _Unfiled, child_class: type["Child"], model: Any, *parts: Any
) -> "Child":
    """Makes a child of its parts; what they name is made known before they are read.

    Raises:
        ValueError: If it is another one.
    """
    if isinstance(model, keras.Model):
        for optimizer, set_before in zip(all_optimizers(model), unfiled.since, strict=False):
            set_since_made(optimizer, *set_before)
        for layer, flags in zip(all_layers(model), unfiled.trainable, strict=False):
            set_trainable_flags(layer, *flags)
    child = child_class(model, *parts)
    found = child.fingerprint()
    others = [name for name in _SENT if found.get(name) != unfiled.fingerprint.get(name)]
    if others:
        raise ValueError(
            f"The child would be another one in another process (its {', '.join(others)}): pass as "
            "`model` a function that makes the model, or search with executor='local'."
        )
    return child


def _copied(callbacks: Sequence[keras.callbacks.Callback]) -> list[keras.callbacks.Callback]:
    """Returns copies of callbacks, without the model that they may have been in a `fit` with."""
    memo: dict[int, Any] = {}  # what they share, their copies share
    copies = []
    with without_model(callbacks):
        for callback in callbacks:
            try:
                copies.append(copy.deepcopy(callback, memo))
            except Exception as error:
                raise ValueError(
                    f"The callback {type(callback).__name__} cannot be copied for each child "
                    f"({first_line(error)}): pass one that was in no `fit`, and that opens its "
                    "files in `on_train_begin`."
                ) from error
    return copies


class _LastLogs(keras.callbacks.Callback):
    """Keeps what was logged of the last epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.logs: dict[str, Any] = {}

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Keeps them."""
        self.logs = logs or {}


def _logged(callbacks: keras.callbacks.CallbackList | None) -> dict[str, float]:
    """Returns the finite numbers that were logged of the last epoch."""
    if callbacks is None:
        return {}
    found = {}
    for name, value in callbacks.callbacks[-1].logs.items():
        if not isinstance(value, str) and np.size(value) == 1:
            number = np.asarray(keras.ops.convert_to_numpy(value)).item()
            if isinstance(number, int | float) and math.isfinite(number):
                found[name] = float(number)
    return found


def _finalize_weights(network: keras.Model) -> None:
    """Lets the optimizer leave the weights that it leaves after a `fit`, such as their averages."""
    optimizer = getattr(network, "optimizer", None)  # that of `compile`, as in `fit`
    if isinstance(optimizer, keras.optimizers.Optimizer):
        optimizer.finalize_variable_values(network.trainable_variables)


def _set_python_seeds(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)


def _seed_dropout(seed: int) -> None:
    """On PyTorch dropout draws from a state of PyTorch's own, elsewhere from the layer's."""
    if keras.backend.backend() == "torch":
        import torch  # pyright: ignore[reportMissingImports]

        torch.manual_seed(seed)
