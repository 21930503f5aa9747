"""Activations that the code of layers calls, found by running the layers' calls once, watched.

A profiler of Python's sees every function that a call runs, however the code came by it: by an
import, a name, a string looked up in a table, a lambda, a layer made on the spot. The calls run on
symbolic tensors, in inference and, where a layer's `call` asks whether it trains, in training too.
What the layers hold, and Keras's own code calls, is no call of this kind.
"""

import contextlib
import dataclasses
import functools
import sys
import types
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras

from keras_swish import registry
from keras_swish.keras_compat import all_layers, attributes
from keras_swish.messages import first_line
from keras_swish.replacement.members import is_keras
from keras_swish.replacement.recognise import (
    describe,
    function_of,
    name_of_base,
    recognise,
)
from keras_swish.replacement.sites import LocatedActivation, locate_activations, paths
from keras_swish.replacement.watching.frameworks import (
    KnownFunction,
    builtin_calls,
    code_of,
    compiled_code,
    forget_traces,
    known_builtin,
    known_by_code,
    traces_anyway,
)
from keras_swish.replacement.watching.reach import (
    called_layer,
    masked_in_graphs,
    never_called,
    takes_mask,
)
from keras_swish.replacement.watching.running import (
    FOREIGN,
    WAYS,
    Call,
    Stack,
    arguments,
    asks_for_training,
    callables,
    first_shape,
    float_dtype,
    given_arguments,
    is_users,
    runs_own_code,
    unchanged,
    units_with_own_code,
)


@dataclasses.dataclass(frozen=True)
class CodeCall:
    """An activation that code calls.

    Attributes:
        path: The path of the layer whose code it is.
        location: The code: a method, a function, or an attribute that holds one.
        label: What is called, such as `"keras.ops.relu"`.
        name: The name of the activation; that of its function where it has none.
        exact: Whether it is called with the arguments that the name stands for.
        candidates: Functions or layers that compute it, for the keys of a replacement.
        layers: The layer whose code it is, and those around it.
        site: The site whose function it is that calls it, where there is one.
        shape: The shape of what it is applied to, as far as known.
    """

    path: str
    location: str
    label: str
    name: str
    exact: bool
    candidates: tuple[Any, ...] = dataclasses.field(repr=False, compare=False)
    layers: tuple[keras.Layer, ...] = dataclasses.field(repr=False, compare=False)
    site: LocatedActivation | None = dataclasses.field(repr=False, compare=False)
    shape: tuple[int | None, ...] | None = dataclasses.field(repr=False, compare=False)

    def __str__(self):
        return f"{self.path} ({self.location}): {self.label}"


@dataclasses.dataclass(frozen=True)
class Observations:
    """What running the calls of a model's layers showed.

    Attributes:
        calls: The activations that code calls, each once.
        not_examined: Lines about the layers whose code could not be run, or computes something
            elementwise that is no known activation.
        reached: The sites that were called: the id of the layer that holds an activation function,
            with its key; the id of an activation layer or operation, with None.
        masked: The softmax layers that are called with a mask, by id.
        never_called: Why no call of the model reaches a layer, by the layer's id.
        dtypes: Of what an activation function that a layer holds was called with, where it is
            always the same, by the id of the layer and the key.
    """

    calls: tuple[CodeCall, ...]
    not_examined: tuple[str, ...]
    reached: frozenset[tuple[int, Any]]
    masked: frozenset[int] = frozenset()
    never_called: Mapping[int, str] = dataclasses.field(default_factory=dict)
    dtypes: Mapping[tuple[int, Any], str] = dataclasses.field(default_factory=dict)


def observe(
    model: keras.Model, functions: tuple[Any, ...] = (), classes: tuple[type, ...] = ()
) -> Observations:
    """Runs the calls of the layers that have code of the user's own, and says what they call.

    Layers of Keras's own are not run, unless they hold a function or a layer of the user's, or a
    softmax, which they may call with a mask, or never.

    Args:
        model: The model. It is left as it is.
        functions: Further functions to look for.
        classes: Classes of the user's own whose layers are activations.

    Example:
        >>> import keras
        >>> from keras_swish.replacement.watching.observation import observe
        >>> inputs = keras.Input((4,))
        >>> outputs = keras.layers.Lambda(lambda x: keras.ops.relu(x) + 1, name="shifted")(inputs)
        >>> str(observe(keras.Model(inputs, outputs)).calls[0])
        'shifted (Lambda of <lambda>): keras.ops.relu'
    """
    watch = _Watch(model, functions, classes)
    for layer in units_with_own_code(model, set()):
        watch.run(layer)
    return watch.observations()


# What is said of layers that were run, but not in all that they do.
_ON_VALUES = "its code was run on ones alone, for which it may take one branch of several"
_COMPILED = "calls compiled code, of which it is not known what that calls"


class _Watch:
    """Notes the calls of activations while layers run."""

    def __init__(self, model: keras.Model, functions: tuple[Any, ...], classes: tuple[type, ...]):
        self._known = known_by_code()
        self._traces_anyway, self._runs_compiled = traces_anyway(), compiled_code()
        self._paths = paths(model)
        self._inside = {*self._paths, *map(id, all_layers(model))}
        self._calls: dict[CodeCall, None] = {}
        self._parts: dict[int, dict[str, None]] = {}  # by the layer's id
        self._not_run: dict[int, str] = {}
        self._run_on_values: set[int] = set()
        self._compiled: set[int] = set()
        self._reached: set[tuple[int, Any]] = set()
        self._dtypes: dict[tuple[int, Any], set[str]] = {}
        self._called: set[int] = set()
        self._masked = masked_in_graphs(model)
        self._layers: dict[int, keras.Layer] = {}
        self._located: dict[int, LocatedActivation] = {}
        self._held: dict[int, list[tuple[types.CodeType, LocatedActivation]]] = {}
        own = [function for function in functions if code_of(function) is not None]
        for located in locate_activations(model, classes):
            activation = located.activation
            if isinstance(activation, keras.Operation):
                self._located[id(activation)] = located
                activation = function_of(activation)
            code = code_of(activation)
            if code is not None and located.key is not None:
                for holder in (located.owner, *(holder for holder, _ in located.followers)):
                    self._held.setdefault(id(holder), []).append((code, located))
            if code is not None and recognise(activation) is None:
                own.append(activation)
        # Functions of the user's own that stand for an activation, by the id of their code.
        self._own = {id(code_of(each)): each for each in own if not is_known(each)}

    def observations(self) -> Observations:
        lines = self._lines(self._not_run)
        lines += self._lines(dict.fromkeys(self._run_on_values, _ON_VALUES))
        lines += self._lines(dict.fromkeys(self._compiled, _COMPILED))
        lines += self._lines(
            {
                key: f"calls {', '.join(parts)}, which may be part of an activation"
                for key, parts in self._parts.items()
            }
        )
        run = [layer for key, layer in self._layers.items() if key not in self._not_run]
        return Observations(
            tuple(self._calls),
            tuple(lines),
            frozenset(self._reached),
            frozenset(self._masked),
            never_called(run, self._called, self._run_on_values),
            {key: dtype for key, (dtype, *others) in self._dtypes.items() if not others},
        )

    def _lines(self, notes: dict[int, str]) -> list[str]:
        """Returns what is noted of layers, in the order of the layers."""
        return [
            f"{self._path(layer)} ({type(layer).__name__}): {notes[key]}"
            for key, layer in self._layers.items()
            if key in notes
        ]

    def _path(self, layer: keras.Layer) -> str:
        return self._paths.get(id(layer)) or layer.name

    # Running a layer.

    def run(self, layer: keras.Layer) -> None:
        """Runs the calls of a layer, and notes if that isn't possible."""
        self._layers[id(layer)] = layer
        if isinstance(layer, getattr(keras.layers, "TFSMLayer", ())):
            self._not_run[id(layer)] = "runs a SavedModel"
            return
        if not layer.built:
            self._not_run[id(layer)] = "not built, so that its code was not run"
            return
        alternatives = arguments(layer)
        if not alternatives:
            self._not_run[id(layer)] = "the shapes of its inputs are unknown: its code was not run"
        for calls_ in alternatives:
            error = self._run_one(layer, calls_)
            if error is not None:
                self._not_run[id(layer)] = f"its code could not be run ({first_line(error)})"

    def _run_one(self, layer: keras.Layer, calls_: list[Call]) -> Exception | None:
        """Runs the first of some calls of a layer that can be run."""
        error = None
        for way in WAYS:
            for args, kwargs in calls_:
                try:
                    with unchanged(layer), self._watched():
                        has_values = way(layer, args, kwargs)
                except Exception as failure:
                    error = error or failure
                    continue
                if has_values:
                    self._run_on_values.add(id(layer))
                # Keras notes the default of a call's parameter as if it had been given.
                if asks_for_training(layer) and kwargs.get("training") is not True:
                    self._run_in_training(way, layer, args, kwargs)
                return None
        return error

    def _run_in_training(
        self, way: Callable, layer: keras.Layer, args: tuple, kwargs: dict
    ) -> None:
        unbuilt = [part for part in all_layers(layer) if not part.built]
        if unbuilt:  # running it would build them
            names = ", ".join(self._path(part) for part in unbuilt)
            self._not_run[id(layer)] = f"its code was not run in training: not built is {names}"
            return
        try:
            with unchanged(layer), self._watched():
                way(layer, args, {**kwargs, "training": True})
        except Exception as error:
            reason = f"its code could not be run in training ({first_line(error)})"
            self._not_run[id(layer)] = reason

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        before: Any = sys.getprofile()
        # That of cProfile is no function.
        resume = getattr(before, "enable", functools.partial(sys.setprofile, before))
        is_filtering = keras.config.is_traceback_filtering_enabled()
        with warnings.catch_warnings(), builtin_calls(self._on_builtin):
            warnings.simplefilter("ignore")
            keras.config.disable_traceback_filtering()  # it rewrites what errors say
            sys.setprofile(self._on_event)
            try:
                yield
            finally:
                resume()
                if is_filtering:
                    keras.config.enable_traceback_filtering()

    def _on_event(self, frame: types.FrameType, event: str, _: Any) -> None:
        if event != "call":
            return
        layer = called_layer(frame)
        if layer is not None:
            self._called.add(id(layer))
            if takes_mask(layer, frame):
                self._masked.add(id(layer))
        code = id(frame.f_code)
        if code in self._traces_anyway:
            forget_traces()
        elif code in self._runs_compiled:
            self._note_compiled(frame)
        known = self._known.get(code)
        if known is not None and not known.is_opaque:
            self._note(known, frame, given_arguments(frame))
        elif code in self._own:
            function = self._own[code]
            self._note(
                KnownFunction(describe(function), None, function), frame, given_arguments(frame)
            )

    def _on_builtin(self, function: Any, args: tuple) -> None:
        known = known_builtin(function)
        if known is not None:
            given = {str(index): value for index, value in enumerate(args)}
            # Above this function and PyTorch's hook there is what has called it.
            self._note(known, sys._getframe(1), given)

    def _note_compiled(self, frame: types.FrameType) -> None:
        """Notes that compiled code is called, which tells no profiler of Python's what it calls."""
        stack = Stack(frame, self._known, self._is_made_on_the_spot)
        if stack.owners and not stack.is_part_of_another:
            layer, _ = stack.owners[0]
            self._layers.setdefault(id(layer), layer)
            self._compiled.add(id(layer))

    # Who called it.

    def _note(self, known: KnownFunction, frame: types.FrameType, given: dict[str, Any]) -> None:
        """Notes that a function is called: the frame is its own."""
        stack = Stack(frame, self._known, self._is_made_on_the_spot)
        owners, made = stack.owners, stack.made
        if stack.is_part_of_another or not owners:
            return
        is_own = id(frame.f_code) in self._own
        exact = True
        if not is_own:
            known, exact = known.called_as(given)
        located = next((id(o) for o, _ in owners if id(o) in self._located), None)
        site = self._held_at(owners, stack.codes, known.name)
        for called in (site, self._located[located] if located else None):
            if called is not None:
                is_held = called.key is not None
                holder = called.owner if is_held else called.activation
                self._reached.add((id(holder), called.key))
        if site is not None and (dtype := float_dtype(given)):
            self._dtypes.setdefault((id(site.owner), site.key), set()).add(dtype)
        if site is not None and (code_of(site.activation) is frame.f_code or known.name is None):
            return
        layer, layer_frame = owners[0]
        is_users_call = stack.user_codes or is_users(layer_frame) or _calls_super(layer, known.name)
        if not (is_users_call or _runs_foreign_code(layer)):
            return
        if located is not None:
            site = self._located[located]
            if (
                recognise(site.activation) is not None
                or code_of(function_of(site.activation)) is frame.f_code
            ):
                return
        if known.name is None and not is_own and made is None:
            if float_dtype(given):
                self._layers.setdefault(id(layer), layer)
                self._parts.setdefault(id(layer), {})[known.label] = None
            return
        self._add(known, exact, made, owners, stack, site, given)

    def _add(
        self,
        known: KnownFunction,
        exact: bool,
        made: Any,
        owners: list[tuple[Any, types.FrameType]],
        stack: "Stack",
        site: LocatedActivation | None,
        given: dict[str, Any],
    ) -> None:
        layer, layer_frame = owners[0]
        name, label, candidates = known.name, known.label, [known.function]
        if made is not None and (recognise(made) or name is None):
            name, label, candidates = describe(made), f"a layer {type(made).__name__}", [made]
        elif name is not None:
            candidates.append(_representative(name))
        call = CodeCall(
            self._path(layer),
            _location(layer, layer_frame, stack.user_codes, site),
            label,
            name or label,
            exact,
            tuple(candidates),
            tuple(owner for owner, _ in owners if isinstance(owner, keras.Layer)),
            site,
            first_shape(given),
        )
        self._calls.setdefault(call)

    def _is_made_on_the_spot(self, layer: Any) -> bool:
        """Says whether a layer or operation of Keras's is none of the model's."""
        return id(layer) not in self._inside and is_keras(type(layer))

    def _held_at(self, owners: list, codes: set[int], name: str | None) -> LocatedActivation | None:
        """Returns the site in whose function the call is, or whose function it is."""
        for owner, _ in owners[:1]:
            for code, located in self._held.get(id(owner), ()):
                # The functions of this package share their code.
                is_shared = getattr(located.activation, "__module__", "").startswith("keras_swish.")
                if id(code) in codes and not (is_shared and recognise(located.activation) != name):
                    return located
        return None


def is_known(function: Any) -> bool:
    """Says whether a function is one of those that are always looked for."""
    return id(code_of(function)) in known_by_code()


def _calls_super(layer: Any, name: str | None) -> bool:
    """Says whether a layer with a `call` of its own has an activation of this name from Keras's."""
    is_layer = isinstance(layer, keras.Layer)
    return name is not None and is_layer and name == name_of_base(layer) and runs_own_code(layer)


def _runs_foreign_code(layer: Any) -> bool:
    return isinstance(layer, (keras.layers.Lambda, *FOREIGN))


def _representative(name: str) -> Any:
    """Returns something that computes the activation of a name."""
    function = getattr(keras.activations, name, None)
    return function if recognise(function) == name else registry.layer(name)


def _location(
    layer: Any, frame: types.FrameType, user_codes: list[types.CodeType], site: Any
) -> str:
    """Returns what to call the code that a call is in: a method, or an attribute."""
    if isinstance(layer, keras.layers.Lambda):
        return f"Lambda of {getattr(layer.function, '__name__', type(layer.function).__name__)}"
    class_name = type(layer).__name__
    if site is not None:
        return f"{class_name}.{site.site.attribute or 'activation'}"
    for name, value in attributes(layer).items():
        if any(code_of(each) in user_codes for each in callables(value)):
            return f"{class_name}.{name}"
    if not is_users(frame) and user_codes:
        return user_codes[-1].co_qualname.rpartition("<locals>.")[2]
    # AutoGraph, which writes a method again, gives it a prefix.
    return f"{class_name}.{frame.f_code.co_name.removeprefix('tf__')}"
