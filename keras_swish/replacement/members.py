"""What a layer holds: layers and activation functions, in attributes, lists and dictionaries."""

import functools
import types
from collections.abc import Iterator

import keras

from keras_swish.keras_compat import attributes, set_attribute
from keras_swish.replacement.recognise import recognise

# Where a layer keeps a function or another layer: an attribute, then places in lists and dicts.
Key = tuple[str | int, ...]

# Methods that Keras wraps, and keeps in an attribute of the layer.
_METHODS = {"build", "quantize"}


def is_keras(kind) -> bool:
    """Says whether a class or function is Keras's or this package's."""
    return kind.__module__.split(".")[0] in ("keras", "keras_swish")


def is_graph(layer) -> bool:
    """Says whether a layer is a Functional model, whose parts are known with their order."""
    return isinstance(layer, keras.Model) and hasattr(layer, "operations")


def is_sequence(layer) -> bool:
    """Says whether a layer is a Sequential model."""
    return isinstance(layer, keras.Sequential)


def members(layer: keras.Layer) -> Iterator[tuple[Key, object]]:
    """Yields the layers and activation functions that a layer holds, and where it holds them."""
    for name, value in attributes(layer).items():
        if name not in _METHODS:
            yield from _members((name,), value)


def _members(key: Key, value) -> Iterator[tuple[Key, object]]:
    if isinstance(value, keras.Layer):
        yield key, value
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _members((*key, index), item)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _members((*key, name), item)
    elif isinstance(value, (types.FunctionType, functools.partial)):
        is_activation = isinstance(key[0], str) and key[0].endswith("activation")
        if is_activation or recognise(value) is not None:
            yield key, value


def put(owner: keras.Layer, key: Key, value: object) -> None:
    """Puts a layer or function where `members` found another one."""
    old = dict(members(owner)).get(key)
    name, *rest = key
    container = with_value(getattr(owner, name, None), tuple(rest), value)
    set_attribute(owner, name, container, old, value)


def with_value(container, key: Key, value):
    """Returns a copy of a container with another value at a place inside it."""
    if not key:
        return value
    if isinstance(container, dict):
        return {**container, key[0]: with_value(container[key[0]], key[1:], value)}
    items = list(container)
    items[key[0]] = with_value(items[key[0]], key[1:], value)
    return tuple(items) if isinstance(container, tuple) else items
