"""The members of a layer: layers and functions in its attributes, lists and dictionaries."""

import copy
import functools
import types
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import keras

from keras_swish.keras_compat import all_layers, attributes, has_graph, set_attribute
from keras_swish.replacement.recognise import recognise

# Where a layer holds a member: the name of an attribute, then indices and keys inside it.
Key = tuple[str, *tuple[str | int, ...]]

# Methods that Keras wraps, and keeps in an attribute of the layer.
_METHODS = {"build", "quantize"}


def is_keras(function_or_class: Any) -> bool:
    """Says whether a class or function is Keras's or this package's."""
    return function_or_class.__module__.split(".")[0] in ("keras", "keras_swish")


def plain_class(layer: Any) -> type:
    """Returns the class of a layer, or that of which `saving` made its class."""
    return vars(type(layer)).get("_plain_class", type(layer))


def own_classes(layer: keras.Layer) -> dict[str, type]:
    """Returns the classes in a layer that are not Keras's, by name."""
    classes = {plain_class(one) for one in all_layers(layer)}
    return {each.__name__: each for each in classes if not is_keras(each)}


def is_graph(layer: Any) -> bool:
    """Says whether a layer is a Functional model, whose parts are listed with their order."""
    return isinstance(layer, keras.Model) and has_graph(layer)


def is_sequence(layer: Any) -> bool:
    """Says whether a layer is a Sequential model."""
    return isinstance(layer, keras.Sequential)


def members(layer: keras.Layer) -> Iterator[tuple[Key, Any]]:
    """Yields the layers and activation functions that a layer holds, and where it holds them."""
    for name, value in attributes(layer).items():
        if name not in _METHODS:
            yield from _members((name,), value)


def _members(key: Key, value: Any) -> Iterator[tuple[Key, Any]]:
    if isinstance(value, keras.Layer):
        yield key, value
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _members((*key, index), item)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _members((*key, name), item)
    elif isinstance(value, (set, frozenset)):
        for index, layer in enumerate(_layers_in_order(value)):
            yield (*key, index), layer
    elif is_activation_attribute(key):
        # A function of any kind: compiled, a method, an object that can be called.
        if callable(value) and not isinstance(value, type):
            yield key, value
    elif isinstance(value, (types.FunctionType, functools.partial)) and recognise(value):
        yield key, value


def _layers_in_order(value: Iterable[Any]) -> list[keras.Layer]:
    """Returns the layers in a set in an order that a copy of it has, too."""
    return sorted((one for one in value if isinstance(one, keras.Layer)), key=lambda one: one.name)


def is_activation_attribute(key: Key) -> bool:
    """Says whether the name of an attribute says that it is for an activation."""
    return isinstance(key[0], str) and key[0].endswith("activation")


def put(owner: keras.Layer, key: Key, value: Any) -> None:
    """Puts a layer or function where `members` found another one."""
    old = dict(members(owner)).get(key)
    name, *rest = key
    container = with_value(getattr(owner, name, None), rest, value)
    set_attribute(owner, name, container, old, value)


def with_value(container: Any, key: Sequence[str | int], value: Any) -> Any:
    """Returns a copy of a container with another value inside it.

    Example:
        >>> from keras_swish.replacement.members import with_value
        >>> with_value([1, {"a": 2}], [1, "a"], 3)
        [1, {'a': 3}]
    """
    if not key:
        return value
    if isinstance(container, dict):
        return {**container, key[0]: with_value(container[key[0]], key[1:], value)}
    if isinstance(container, (set, frozenset)):
        old = _layers_in_order(container)[int(key[0])]
        return type(container)(one for one in container if one is not old) | {value}
    if not isinstance(container, (list, tuple)):  # an object that holds settings
        changed = copy.copy(container)
        object.__setattr__(
            changed, str(key[0]), with_value(vars(container)[key[0]], key[1:], value)
        )
        return changed
    items = list(container)
    index: Any = key[0]
    items[index] = with_value(items[index], key[1:], value)
    if not isinstance(container, tuple):
        return items
    return tuple_like(container, items)


def tuple_like(container: tuple, items: Iterable[Any]) -> tuple:
    """Returns a tuple of these items, a named one like a named one."""
    make: Any = getattr(container, "_make", tuple)  # which a named tuple has
    return make(items)
