"""Watches the activations of a model while it is called, and leaves the model as it was.

For the time of the call each activation site holds something else that calls the activation and
reports; whatever the backend compiles runs operation by operation, so that tensors have values.
"""

import contextlib
import dataclasses
import functools
import importlib
import types
from collections.abc import Callable, Iterator
from typing import Any

import keras

from keras_swish.keras_compat import (
    PREPARES_CELLS,
    Tensor,
    all_layers,
    attributes,
    batches,
    ops,
    set_raw_attribute,
    state_variables,
)
from keras_swish.replacement.members import with_value
from keras_swish.replacement.sites import LocatedActivation, locate_activations
from keras_swish.replacement.watching.running import unchanged

# What is told of a call: the site, with the layer that calls it as its owner; the activation as a
# function of its input alone; input and output.
OnCall = Callable[[LocatedActivation, Callable[[Tensor], Tensor], Tensor, Tensor], None]


def watched_sites(model: keras.Layer) -> list[LocatedActivation]:
    """Returns the activations of a built model that are to be watched: all but linear ones."""
    return [located for located in locate_activations(model) if located.site.old != "linear"]


def activation_sites(model: keras.Layer) -> list[LocatedActivation]:
    """Returns `watched_sites`, of which there must be one.

    Raises:
        ValueError: If the model is not built, or has none.
    """
    if not model.built:
        raise ValueError(
            f"The model {model.name!r} is not built yet: call it with a batch of inputs first."
        )
    sites = watched_sites(model)
    if not sites:
        raise ValueError(
            f"The model {model.name!r} has no activation that keras_swish.find_activations sees: "
            "no activation layer, no `activation` of a layer, no operation of its graph. Those "
            "called in the Python code of a layer are not seen."
        )
    return sites


def runs(
    model: keras.Model,
    sites: list[LocatedActivation],
    x: Any,
    on_call: OnCall,
    *,
    batch_size: int | None = None,
    steps: int | None = None,
    training: bool = False,
) -> Iterator[None]:
    """Calls a model with each batch of inputs, and yields after it.

    Args:
        model: The model, which is the same afterwards: weights, states, attributes and all.
        sites: The activations to watch.
        x: Inputs as `model.predict` takes them: arrays, or batches of a dataset.
        on_call: What to do at each call.
        batch_size: As in `model.predict`, for arrays.
        steps: How many batches; `None`: all.
        training: Whether the model runs as in training.

    Raises:
        ValueError: If there is no batch.
    """
    backend = _backend_module()
    trial = _Trial()
    watching = [
        functools.partial(_watched, held, _reporter(held, on_call, backend, trial))
        for located in sites
        for held in _held(located)
    ]
    # Not unrolled instead: of masked steps Keras then makes other outputs.
    for layer in all_layers(model):
        if isinstance(layer, keras.layers.RNN):
            watching.append(functools.partial(_step_by_step, layer, backend, trial))
    is_empty = True
    with states_kept(model), unchanged(model):
        for batch in batches(x, batch_size, steps):
            inputs = keras.tree.map_structure(ops.convert_to_tensor, batch)
            with contextlib.ExitStack() as stack:
                for watch in watching:
                    stack.enter_context(watch())
                stack.enter_context(backend.eager())
                model(inputs, training=training)
            yield
            is_empty = False
    if is_empty:
        raise ValueError(f"There is no batch of inputs. Received: {x!r}")


def slope(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Returns the derivative of an elementwise function at each element of a tensor."""
    return _backend_module().slope(function, x)


def _backend_module() -> types.ModuleType:
    return importlib.import_module(f"keras_swish.recording.{keras.config.backend()}")


@contextlib.contextmanager
def states_kept(model: keras.Model) -> Iterator[None]:
    """Gives what calls change, such as moving averages and seeds, the values it had before."""
    values = [(variable, ops.copy(variable.value)) for variable in state_variables(model)]
    try:
        yield
    finally:
        for variable, value in values:
            variable.assign(value)


def _held(located: LocatedActivation) -> Iterator[LocatedActivation]:
    """Yields an activation as its owner holds it, and as those do that it was handed on to."""
    yield located
    for holder, key in located.followers:
        yield dataclasses.replace(located, owner=holder, key=key)


class _Trial:
    """Whether what is being called is a step that is computed for its shape alone."""

    running = False

    def run(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Calls a function, all of whose steps are such."""
        before, self.running = self.running, True
        try:
            return function(*args, **kwargs)
        finally:
            self.running = before


def _reporter(
    located: LocatedActivation, on_call: OnCall, backend: types.ModuleType, trial: _Trial
) -> Callable[..., Any]:
    def report(activation: Callable, output: Any, args: tuple, kwargs: dict[str, Any]) -> None:
        if args:
            x, rest = args[0], args[1:]
            function = lambda x: activation(x, *rest, **kwargs)  # noqa: E731
        else:
            name, x = next(iter(kwargs.items()))
            function = lambda x: activation(**{**kwargs, name: x})  # noqa: E731
        if not trial.running and backend.has_value(x) and backend.has_value(output):
            on_call(located, function, x, output)

    return report


class _Watched:
    """An activation that reports its calls, and is the activation in all else."""

    def __init__(self, activation: Callable, report: Callable[..., None]):
        self._activation, self._report = activation, report

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        output = self._activation(*args, **kwargs)
        self._report(self._activation, output, args, kwargs)
        return output

    def __getattr__(self, name: str) -> Any:
        return getattr(self._activation, name)


@contextlib.contextmanager
def _watched(located: LocatedActivation, report: Callable[..., None]) -> Iterator[None]:
    """Puts a reporter where the activation is."""
    # Past Keras's attribute tracking, which would count the layer in another place afterwards.
    if located.key is None:
        with _method(located.activation, "call", _Watched(located.activation.call, report)):
            yield
        return
    name, *rest = located.key
    watched = _Watched(located.activation, report)
    with _attribute(located.owner, name, lambda value: with_value(value, rest, watched)):
        yield


@contextlib.contextmanager
def _step_by_step(
    layer: keras.layers.RNN, backend: types.ModuleType, trial: _Trial
) -> Iterator[None]:
    """Lets a recurrent layer call its cell at each step, and says which call is a trial."""
    loop, step = layer.inner_loop, layer.cell.call
    is_trial = False

    def watched_loop(*args: Any, **kwargs: Any) -> Any:
        nonlocal is_trial
        is_trial = backend.TRIES_FIRST_STEP and not layer.unroll
        return loop(*args, **kwargs)

    def watched_step(*args: Any, **kwargs: Any) -> Any:
        nonlocal is_trial
        was_trial, is_trial = is_trial, False
        return trial.run(step, *args, **kwargs) if was_trial else step(*args, **kwargs)

    with contextlib.ExitStack() as stack:
        stack.enter_context(_method(layer, "inner_loop", watched_loop))
        stack.enter_context(_method(layer.cell, "call", watched_step))
        if prepare := getattr(layer, PREPARES_CELLS, None):
            prepare = functools.partial(trial.run, prepare)
            stack.enter_context(_method(layer, PREPARES_CELLS, prepare))
        if hasattr(layer, "use_cudnn"):  # it computes all steps at once
            stack.enter_context(_attribute(layer, "use_cudnn", lambda _: False))
        yield


@contextlib.contextmanager
def _method(layer: Any, name: str, method: Callable[..., Any]) -> Iterator[None]:
    """Gives a layer or operation a method of its own for a while."""
    raw = vars(layer)
    before = raw.get(name)
    raw[name] = method
    try:
        yield
    finally:
        if before is None:
            del raw[name]
        else:
            raw[name] = before


@contextlib.contextmanager
def _attribute(layer: keras.Layer, name: str, change: Callable[[Any], Any]) -> Iterator[None]:
    """Changes an attribute of a layer for a while."""
    before = attributes(layer)[name]
    set_raw_attribute(layer, name, change(before))
    try:
        yield
    finally:
        set_raw_attribute(layer, name, before)
