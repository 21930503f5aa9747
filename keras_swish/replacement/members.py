"""What a layer holds: layers and activation functions, in attributes, lists and dictionaries."""

import functools
import types
from collections.abc import Iterator

import keras

from keras_swish.replacement.recognise import recognise

# Where a layer keeps a function or another layer: an attribute, then places in lists and dicts.
Key = tuple[str | int, ...]

# What Keras itself keeps its layers in, beside the attributes that the user gave them;
# TensorFlow keeps them in `_self_unconditional_...` too.
_INTERNAL = {"_layers", "_metrics", "_functional", "_operations", "_modules", "build", "quantize"}


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
    attributes = vars(layer)
    # With PyTorch, a layer is a module, which keeps other modules apart.
    attributes = {**attributes, **attributes.get("_modules", {})}
    for name, value in attributes.items():
        if name not in _INTERNAL and not name.startswith("_self_unconditional_"):
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


def put(owner: keras.Layer, key: Key, value) -> None:
    """Puts a layer or function where `members` found another one."""
    old = dict(members(owner)).get(key)
    tracker = owner._tracker
    was_locked = tracker.locked
    # A built layer refuses new sublayers; Keras's own `quantize` opens it in the same way.
    tracker.unlock()
    try:
        if isinstance(old, keras.Layer) and tracker.is_in_store("layers", old):
            if isinstance(value, keras.Layer) and not tracker.is_in_store("layers", value):
                tracker.replace_tracked_value("layers", old, value)
            else:
                tracker.untrack(old)
        if len(key) == 1 and isinstance(old, keras.Layer) and not isinstance(value, keras.Layer):
            delattr(owner, key[0])  # PyTorch refuses a function where a module was
        setattr(owner, key[0], with_value(getattr(owner, key[0], None), key[1:], value))
        if not isinstance(old, keras.Layer) and key[0] in vars(owner).get("_modules", ()):
            # To where `members` found the function: the order tells which layer is the last.
            modules = vars(owner)["_modules"]
            rest = {name: module for name, module in modules.items() if name != key[0]}
            modules.clear()
            modules.update({key[0]: value, **rest})
    finally:
        if was_locked:
            tracker.lock()


def with_value(container, key: Key, value):
    """Returns a copy of a container with another value at a place inside it."""
    if not key:
        return value
    if isinstance(container, dict):
        return {**container, key[0]: with_value(container[key[0]], key[1:], value)}
    items = list(container)
    items[key[0]] = with_value(items[key[0]], key[1:], value)
    return tuple(items) if isinstance(container, tuple) else items
