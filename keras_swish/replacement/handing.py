"""Activations that a layer hands on to layers inside it.

A layer that keeps its constructor's `activation` in an attribute, and gives it to the layers that
it makes, has one activation, not several: one site, and one layer when it is replaced by one with
weights. Whether it was handed on, or two layers merely have the same function, is seen by making
the layer again with another activation in its configuration.
"""

import functools
import inspect
import json
import types
from collections.abc import Iterator
from typing import Any

import keras

from keras_swish.keras_compat import readable, sublayers, unallocated
from keras_swish.replacement.members import (
    Key,
    is_activation_attribute,
    is_graph,
    is_keras,
    is_sequence,
    members,
    own_classes,
    plain_class,
)
from keras_swish.replacement.recognise import is_unnamed, recognise

# Where an activation is held: the layer, and the key of its attribute.
Holder = tuple[keras.Layer, Key]

# What no configuration is likely to have, to be looked for in the layer made again.
_PROBES = ("exponential", "log_sigmoid", "softsign")


def handed_on(host: keras.Layer) -> dict[Key, list[Holder]]:
    """Returns which attributes of a layer hold an activation that it gave to layers inside it.

    Args:
        host: The layer.

    Returns:
        The holders inside it, by the key of the attribute; only where there are any. An empty
        list where an attribute merely has what the layer has made an `Activation` layer of: that
        layer is where the activation is, unless the attribute is called as well.

    Example:
        >>> import keras
        >>> from keras_swish.replacement.handing import handed_on
        >>> handed_on(keras.layers.Dense(3, "relu"))
        {}
    """
    if is_keras(plain_class(host)) or is_graph(host) or is_sequence(host):
        return {}
    inside = list(_held_inside(host))
    same = {
        key: [(address, holder) for address, holder, held in inside if held is member]
        for key, member in members(host)
        if is_activation(key, member)
    }
    handed = _held_twice(host)
    if any(same.values()):
        for kept, given in _follows(host, {recognise(held) for _, _, held in inside}):
            for key in kept & {key for key, holders in same.items() if holders}:
                found = [holder for address, holder in same[key] if address in given]
                known = handed.setdefault(key, [])
                known += [holder for holder in found if holder not in known]
    return {
        key: [] if any(type(holder) is keras.layers.Activation for holder, _ in given) else given
        for key, given in handed.items()
        if given
    }


def _held_twice(host: keras.Layer) -> dict[Key, list[Holder]]:
    """Returns where else a layer holds the activation layers in its attributes for such."""
    held = [(key, member) for key, member in members(host) if isinstance(member, keras.Layer)]
    first: dict[int, Key] = {}
    for key, member in held:
        if is_activation_attribute(key):
            first.setdefault(id(member), key)
    twice: dict[Key, list[Holder]] = {}
    for key, member in held:
        if first.get(id(member), key) != key:
            twice.setdefault(first[id(member)], []).append((host, key))
    return twice


def is_activation(key: Key, member: Any) -> bool:
    """Says whether a member of a layer is an activation that it holds as its own."""
    if not isinstance(member, keras.Operation):
        return True
    return is_activation_attribute(key) and not _is_composite(member)


def _is_composite(operation: Any) -> bool:
    """Says whether it is a layer to look into, such as a `Sequential` of a norm and a ReLU."""
    if not isinstance(operation, keras.Layer) or recognise(operation) or is_unnamed(operation):
        return False
    return bool(sublayers(operation)) or any(True for _ in members(operation))


def _held_inside(layer: keras.Layer, way: tuple = ()) -> Iterator[tuple[tuple, Holder, Any]]:
    """Yields the activations that layers inside a layer hold, with the way to each."""
    for key, member in members(layer):
        if isinstance(member, keras.Layer) and not is_activation(key, member):
            for inner_key, inner in members(member):
                if is_activation(inner_key, inner):
                    yield (*way, key, inner_key), (member, inner_key), inner
            yield from _held_inside(member, (*way, key))


# For each entry of a configuration with an activation: the attributes of the layer itself that
# have it, and the ways to the holders inside that do.
_Followers = list[tuple[set[Key], set[tuple]]]

# By the class itself: another one, such as that of a cell that is run again, may get its id.
_KNOWN: dict[tuple[type, str], _Followers] = {}
_MOST_KNOWN = 1000


def _follows(host: keras.Layer, used: set[str | None]) -> _Followers:
    try:
        # Of a class made for saving, what the original's class takes.
        config = getattr(host, "plain_config", host.get_config)()
        # Models have many layers that differ in their names alone.
        text = {**config, "name": "", "build": host.get_build_config()}
        text = json.dumps(text, sort_keys=True, default=repr)
    except Exception:
        return []
    known = plain_class(host), text
    if known not in _KNOWN:
        if len(_KNOWN) >= _MOST_KNOWN:
            _KNOWN.clear()
        _KNOWN[known] = list(_made_with_probes(host, config, used))
    return _KNOWN[known]


def _made_with_probes(
    host: keras.Layer, config: dict[str, Any], used: set[str | None]
) -> Iterator[tuple[set[Key], set[tuple]]]:
    """Makes a layer again with another activation in each entry, and yields what has it then."""
    name = next(name for name in _PROBES if name not in used)
    probe = getattr(keras.activations, name)
    for entry, value in _entries(host, config).items():
        with readable(own_classes(host)), unallocated():
            try:
                if not _is_function(value):
                    continue
                made = _made_again(host, config, entry, probe if callable(value) else name)
            except Exception:  # not an entry for an activation, or not for any
                continue
        yield (
            {key for key, member in members(made) if member is probe},
            {address for address, _, held in _held_inside(made) if held is probe},
        )


def _parameters(host: keras.Layer) -> set[str]:
    return set(inspect.signature(plain_class(host).__init__).parameters) - {"self", "kwargs"}


def _entries(host: keras.Layer, config: dict[str, Any]) -> dict[str, Any]:
    """Returns a layer's configuration, and what else its class takes and it holds."""
    own = {name: value for (name, *rest), value in members(host) if not rest}
    left_out = _parameters(host) & own.keys() - config.keys()
    return {**config, **{name: own[name] for name in left_out}}


def _made_again(host: keras.Layer, config: dict[str, Any], entry: str, value: Any) -> keras.Layer:
    """Makes a layer of the same class with another value for an entry, built as the layer is."""
    config = {**config, entry: value}
    try:
        made = plain_class(host).from_config(config)
    except Exception:  # some configurations have entries that their class does not take
        taken = {*_parameters(host), "name", "dtype", "trainable"}
        made = plain_class(host)(**{key: config[key] for key in config.keys() & taken})
    if host.built and not made.built:
        shapes = host.get_build_config() or {}
        try:
            made.build_from_config(shapes)
        except Exception:  # of a layer called with more tensors than it is built for
            made.build(next(iter(shapes["shapes_dict"].values())))
    return made


def _is_function(value: Any) -> bool:
    """Says whether an entry of a configuration may be an activation."""
    if isinstance(value, str):
        return callable(keras.activations.get(value))
    if isinstance(value, dict):
        value = keras.saving.deserialize_keras_object(value)
    is_known = isinstance(value, (types.FunctionType, functools.partial, keras.Layer))
    return is_known or recognise(value) is not None  # such as a compiled one
