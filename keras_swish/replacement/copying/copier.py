"""Copies of models: new layers, the same weights, and other activations where a plan says so."""

import contextlib
import functools
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras

from keras_swish.keras_compat import (
    add_gamma,
    all_layers,
    call_symbolically,
    calls,
    sublayers,
    track_torch_parameters,
)
from keras_swish.messages import first_line
from keras_swish.replacement.copying.duplication import Duplicator
from keras_swish.replacement.copying.errors import CannotCopyError, reason
from keras_swish.replacement.handing import Holder
from keras_swish.replacement.members import (
    Key,
    is_activation_attribute,
    is_graph,
    is_keras,
    is_sequence,
    members,
    put,
)
from keras_swish.replacement.sites import children
from keras_swish.replacement.watching.running import arguments, unchanged

# Makes an activation: from the layer or operation that it replaces, or whose attribute it becomes.
# One for a layer or operation takes another `name`, too.
Factory = Callable[..., Any]


class Copier:
    """Copies a model, and puts other activations into the copy.

    The copy is made object by object (`Duplicator`): one copy for one original, wherever it is
    held, of the original's class, with its weights, names, flags and state. New activations that
    stand where layers and operations were come with it; those in attributes are put there
    afterwards. A check that nothing is missing, shared or too much comes last.

    Args:
        layer_factories: What makes the layer that replaces a layer or operation, by the id of the
            latter.
        attribute_factories: What makes the activation that a layer holds, or a string that names
            one, by the id of the layer and the key of its attribute.
        rescaled: Ids of the batch normalisations that get a gamma.
        shared: Whether a shared activation layer stays shared; otherwise each call has its own.
        followers: The holders inside a layer that its constructor gave the activation of one of
            its attributes, by the id of the layer and the key of the attribute: they hold the same
            new activation.

    Attributes:
        activations: The new activation layers.
        calls: The new activation layers by the id of the layer or operation that they replace: one
            for each of its calls where `shared` is false.
        carried: Each layer that is not replaced, with its copy.
    """

    def __init__(
        self,
        layer_factories: Mapping[int, Factory],
        attribute_factories: Mapping[tuple[int, Key], Factory],
        rescaled: set[int],
        shared: bool,
        followers: Mapping[tuple[int, Key], Sequence[Holder]] | None = None,
    ):
        self.layer_factories = layer_factories
        self.attribute_factories = attribute_factories
        self.rescaled = rescaled
        self.shared = shared
        self.followers = followers or {}
        self.activations: list[keras.Layer] = []
        self.calls: dict[int, list[Any]] = {}
        self.carried: list[tuple[keras.Layer, keras.Layer]] = []
        self._call_counts: Counter[int] = Counter()
        self._handed_on: list[tuple[keras.Layer, Key, keras.Layer, Factory, keras.Layer]] = []
        given = itertools.chain.from_iterable(self.followers.values())
        self._chosen = {*attribute_factories, *((id(holder), key) for holder, key in given)}
        self._kept: dict[int, keras.Layer] = {}  # copies of layers that are replaced elsewhere

    def copy_model(self, model: keras.Layer) -> Any:
        """Returns the copy of a model.

        Raises:
            CannotCopyError: If an object in a layer cannot be copied, or a weight is not reached.
        """
        self._duplicator = Duplicator(model, self._replacing, self._call)
        parts = [one for layer in all_layers(model) for _, one in children(layer)]
        self._names = {one.name for one in parts if isinstance(one, keras.Operation)}
        new = self._duplicator.duplicate(model)
        pairs = [pair for pair in self._duplicator.copied() if isinstance(pair[0], keras.Layer)]
        pairs = [pair for pair in pairs if id(pair[0]) not in self.layer_factories]
        self.carried = pairs
        gammas = [add_gamma(copy) for old, copy in pairs if id(old) in self.rescaled]
        for old, copy in pairs:
            self._replace_attributes(old, copy)
            self._keep_attributes(old, copy)
        self._build_new_activations(pairs)
        self._fit_hosts()
        track_torch_parameters(new)
        self._check(model, new, gammas)
        return new

    def copy_of(self, original: Any) -> Any:
        """Returns the copy of a layer, operation or variable."""
        return self._duplicator.copy_of(original)

    # In the place of layers and operations.

    def _replacing(self, operation: Any) -> Any:
        factory = self.layer_factories.get(id(operation))
        if factory is None:
            return None
        new = self._new_activation(factory, operation)
        self.calls[id(operation)] = [new]
        return new

    def _new_activation(self, factory: Factory, old: Any) -> Any:
        new = factory(old)
        if isinstance(new, keras.Layer):
            self.activations.append(new)
        return new

    def _call(self, operation: Any, *args: Any, **kwargs: Any) -> Any:
        count = self._call_counts[id(operation)] = self._call_counts[id(operation)] + 1
        if count > 1 and not self.shared:
            # As the first one was made: what that was told of its place is in no configuration.
            old = next(one for one, new in self._duplicator.copied() if new is operation)
            factory = functools.partial(self.layer_factories[id(old)], name=self._free(old, count))
            operation = self._new_activation(factory, old)
            self.calls[id(old)].append(operation)
        first = [*args, *kwargs.values()][0]
        if isinstance(operation, keras.Layer) and not _fits(operation, first.shape):
            raise ValueError(
                f"The layer {operation.name!r} is called with inputs of several sizes, and its "
                "new activation has weights for those of the first call: pass shared=False, which "
                "gives each call a layer of its own."
            )
        with _named(operation.name, first.shape):
            return operation(*args, **kwargs)

    def _free(self, old: Any, count: int) -> str:
        """Returns a name for the activation of a later call, which nothing in the model has."""
        names = (f"{old.name}_{number}" for number in itertools.count(count))
        name = next(name for name in names if name not in self._names)
        self._names.add(name)
        return name

    # In attributes.

    def _replace_attributes(self, old: keras.Layer, copy: keras.Layer) -> None:
        for (host, key), factory in self.attribute_factories.items():
            if host == id(old):
                self._replace_attribute(old, key, copy, factory)

    def _replace_attribute(
        self, old: keras.Layer, key: Key, copy: keras.Layer, factory: Factory
    ) -> None:
        following = self.followers.get((id(old), key), ())
        new = self._new_activation(factory, old)
        for host in [old, *(holder for holder, _ in following)]:
            new = self._built(new, host)
        self._put(old, key, copy, factory, new)
        if following and isinstance(new, keras.Layer) and new.weights:
            self._handed_on.append((old, key, copy, factory, new))

    def _put(
        self, old: keras.Layer, key: Key, copy: keras.Layer, factory: Factory, new: Any
    ) -> None:
        """Puts an activation into a layer, and into those inside that it was handed on to."""
        put(copy, key, new)
        for holder, held_at in self.followers.get((id(old), key), ()):
            shapes = self._activated_shapes(holder) if isinstance(new, keras.Layer) else []
            if not all(_fits(new, shape) for shape in shapes):
                one = self._built(self._new_activation(factory, holder), holder)
            else:
                one = new
            put(self.copy_of(holder), held_at, one)

    def _keep_attributes(self, old: keras.Layer, copy: keras.Layer) -> None:
        """Lets a layer keep an activation layer as its own that is replaced at another place."""
        held = [
            (key, child)
            for key, child in children(old)
            if key and id(child) in self.layer_factories and (id(old), key) not in self._chosen
        ]
        # What else the layer holds it as is one with the attribute for an activation.
        kept = {id(child) for key, child in held if is_activation_attribute(key)}
        for key, child in held:
            if id(child) in kept:
                if id(child) not in self._kept:
                    self._kept[id(child)] = Duplicator(child, _nothing, _nothing).duplicate(child)
                put(copy, key, self._kept[id(child)])

    def _built(self, activation: Any, host: keras.Layer) -> Any:
        """Builds an activation that a layer holds, which would never build it."""
        if isinstance(activation, keras.Layer) and not activation.built:
            if not host.built:
                raise ValueError(
                    f"The layer {host.name!r} is not built, so the weights of its new activation "
                    "cannot be made: call the model, or give it an Input, before."
                )
            shapes = self._activated_shapes(host)
            if shapes[0] is not None:
                with _named(host.name, shapes[0]):
                    activation.build(shapes[0])
            if not all(_fits(activation, shape) for shape in shapes):
                raise ValueError(
                    f"The layer {host.name!r} is called with inputs of several sizes, and its new "
                    "activation has weights for those of the first call: leave it out with "
                    "`where`, or give each call a layer of its own."
                )
        return activation

    def _activated_shapes(self, host: keras.Layer) -> list[Any]:
        """Returns what a layer applies its activation to, for each of its calls in the model."""
        nodes = calls(self.copy_of(host))
        return [activated_shape(host, node.input_tensors[0].shape) for node in nodes] or [
            activated_shape(host)
        ]

    # Those of which only a call of a layer around them tells the shapes.

    def _build_new_activations(self, pairs: list[tuple[keras.Layer, keras.Layer]]) -> None:
        failed: list[tuple[keras.Layer, Exception]] = []
        for old, copy in reversed(pairs):  # the inner ones first
            waiting = [one for one in self.activations if not one.built]
            if not (waiting or failed):
                return
            if is_graph(old) or is_sequence(old):
                continue
            inside = {id(layer) for layer in _inside(copy)}
            if any(id(one) in inside for one in [*waiting, *(layer for layer, _ in failed)]):
                try:
                    is_called = call_for_shapes(old, copy)
                except Exception as error:  # a layer around it may know more of its arguments
                    failed.append((copy, error))
                    continue
                if is_called:
                    failed = [each for each in failed if id(each[0]) not in inside]
        if failed:
            raise _cannot_be_called(*failed[0])

    def _fit_hosts(self) -> None:
        """Gives layers that apply what they hand on at another width an activation of their own."""
        for old, key, copy, factory, new in self._handed_on:
            if _failure(old, copy) is None:
                continue
            own = self._new_activation(factory, old)
            put(copy, key, own)
            error = _failure(old, copy)
            if error is None:
                self._put(old, key, copy, factory, own)
            elif _failure(old, old) is None:
                raise _cannot_be_called(copy, error)
            else:  # it is not known how to call it
                self.activations.remove(own)
                put(copy, key, new)

    # Check.

    def _check(self, model: keras.Layer, new: keras.Layer, gammas: list[keras.Variable]) -> None:
        """Raises where the copy has not exactly the original's variables and the new ones."""
        copies = [(variable, self.copy_of(variable)) for variable in model.variables]
        apart = [*self.activations, *self._kept.values()]
        added = {id(v) for one in apart for v in one.variables} | set(map(id, gammas))
        kept = [variable for variable in new.variables if id(variable) not in added]
        is_kept = {id(variable) for variable in kept}
        dropped = self._dropped()
        missing = [
            old for old, copy in copies if id(copy) not in is_kept and id(old) not in dropped
        ]
        if missing:
            raise CannotCopyError(
                f"The model {model.name!r} cannot be copied: no attribute of its layers leads to "
                f"the weights {_paths(missing)}."
            )
        expected = [copy for _, copy in copies if id(copy) in is_kept]
        if list(map(id, kept)) != list(map(id, expected)):
            strange = [one for one in kept if not any(one is copy for copy in expected)]
            raise CannotCopyError(
                f"The model {model.name!r} cannot be copied: the copy has its weights in another "
                f"order, or others: {_paths(strange or kept)}."
            )
        changed = [
            old for old, copy in copies if copy is not None and old.trainable != copy.trainable
        ]
        if changed:
            raise CannotCopyError(
                f"The model {model.name!r} cannot be copied: in the copy, other weights are "
                f"trainable: {_paths(changed)}."
            )

    def _dropped(self) -> set[int]:
        """Returns the ids of the variables of the activations that are replaced."""
        pairs = self._duplicator.copied()
        replaced = [old for old, _ in pairs if id(old) in self.layer_factories]
        for old, _ in pairs:
            if isinstance(old, keras.Layer):
                held = [m for key, m in members(old) if (id(old), key) in self.attribute_factories]
                replaced += held
        return {id(v) for old in replaced if isinstance(old, keras.Layer) for v in old.variables}


@contextlib.contextmanager
def _named(layer: str, shape: Any) -> Iterator[None]:
    """Says of an error whose new activation does not take what."""
    try:
        yield
    except Exception as error:
        raise ValueError(
            f"The new activation of the layer {layer!r} does not take inputs of shape "
            f"{tuple(shape)} ({reason(error)}): leave it out with `where`."
        ) from error


def _nothing(*_: Any) -> None:
    """Stands for no substitution."""


def _cannot_be_called(layer: keras.Layer, error: Exception) -> ValueError:
    refusal = ValueError(
        f"The layer {layer.name!r} of class {type(layer).__name__} cannot be called with its new "
        f"activations, which have weights ({first_line(error)}). Where its code applies one "
        "activation to inputs of several sizes, give each a layer or an attribute of its own."
    )
    refusal.__cause__ = error
    return refusal


def _failure(old: keras.Layer, copy: keras.Layer) -> Exception | None:
    """Returns what goes wrong if a layer is called as the original was, as far as that is known."""
    try:
        call_for_shapes(old, copy)
    except Exception as error:
        return error
    return None


def _paths(variables: list[keras.Variable]) -> str:
    paths = [variable.path for variable in variables]
    return f"{', '.join(paths[:5])}{' and more' if paths[5:] else ''}"


def _inside(layer: keras.Layer) -> Iterator[keras.Layer]:
    for inner in sublayers(layer):
        yield inner
        yield from _inside(inner)


def _fits(activation: keras.Layer, shape: Any) -> bool:
    """Says whether an activation layer takes inputs of this shape."""
    spec = activation.input_spec
    if not isinstance(spec, keras.layers.InputSpec) or shape is None:
        return True
    sizes = spec.axes or {}
    has_rank = spec.ndim is None or spec.ndim == len(shape)
    return has_rank and all(shape[axis] in (None, size) for axis, size in sizes.items())


def call_for_shapes(old: keras.Layer, copy: keras.Layer) -> bool:
    """Builds what is not built in a layer by calling it as the original was, symbolically.

    Returns:
        Whether it is known how the original was called; a layer around it may know it.
    """
    if isinstance(copy, keras.layers.Wrapper) and is_keras(type(copy)):
        # Its `call` may pass by its layer's `build`.
        shapes = old.get_build_config() or {}
        if "input_shape" in shapes:
            type(copy).build(copy, shapes["input_shape"])
        return "input_shape" in shapes
    failure = None
    for args, kwargs in next(iter(arguments(old)), ()):
        try:
            with unchanged(copy, unbuilt=False):
                call_symbolically(copy.call, *args, **kwargs)
        except Exception as error:
            failure = failure or error
        else:
            return True
    if failure is not None:
        raise failure
    return False


def activated_shape(host: keras.Layer, input_shape: Any = None) -> Any:
    """Returns the shape of what a layer applies its activation to, where that is known.

    Args:
        host: The layer.
        input_shape: Of its input; by default that for which it was built.
    """
    built_for = (host.get_build_config() or {}).get("input_shape")
    shape = built_for and (input_shape or built_for)
    units = getattr(host, "units", None) or getattr(host, "filters", None)
    if hasattr(host, "state_size") and units and is_keras(type(host)):  # a recurrent layer's cell
        sizes = [None] * getattr(host, "rank", 0)
        is_first = getattr(host, "data_format", None) == "channels_first"
        return (None, units, *sizes) if is_first else (None, *sizes, units)
    if not is_keras(type(host)) or shape is None:
        return None
    return host.compute_output_shape(shape)
