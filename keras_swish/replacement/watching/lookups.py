"""Strings in the attributes of layers, by which their code looks activations up when called.

`keras.activations.get(self.activation)(x)` in a `call` makes the string in `activation` an
activation site: watching the call tells that it is one, and whether the string put in its place
does what it should.
"""

import dataclasses
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import keras

from keras_swish import catalogue, registry
from keras_swish.keras_compat import (
    all_layers,
    attributes,
    constructor_arguments,
    set_attribute,
    set_constructor_arguments,
    sublayers,
)
from keras_swish.layers import SearchedActivation
from keras_swish.registry import Identifier
from keras_swish.replacement.members import Key, is_keras, with_value
from keras_swish.replacement.recognise import function_of, name_of_text, recognise
from keras_swish.replacement.sites import ActivationSite, LocatedActivation
from keras_swish.replacement.watching.observation import CodeCall
from keras_swish.replacement.watching.running import runs_own_code


@dataclasses.dataclass(frozen=True)
class Lookup:
    """A string by which code looks an activation up.

    Attributes:
        located: Where it is.
        call: The call that it leads to.
    """

    located: LocatedActivation
    call: CodeCall


def find_lookups(calls: Iterable[CodeCall], paths: Mapping[int, str]) -> list[Lookup]:
    """Returns the strings that name what code calls, in the layer that calls it or around it."""
    found = []
    for call in calls:
        if call.site is not None:
            continue
        for layer in call.layers:
            keys = [
                (key, text)
                for key, text in (strings(layer) if runs_own_code(layer) else ())
                if name_of_text(text) == call.name
            ]
            for key, text in keys:
                attribute = ".".join(map(str, key))
                path = paths.get(id(layer)) or layer.name
                site = ActivationSite(path, attribute, call.name, layer=layer)
                located = LocatedActivation(site, call.candidates[-1], layer, key, text=text)
                found.append(Lookup(located, call))
            if keys:
                break
    return found


def spelling(new: Identifier) -> str | None:
    """Returns the string for which `keras.activations.get` gives a new activation.

    Returns:
        A name, or a formula where Keras means another function by the name; None where the
        activation has weights, or is a function of the user's own.

    Example:
        >>> import keras, keras_swish
        >>> from keras_swish.replacement.watching.lookups import spelling
        >>> spelling("tanh"), spelling("leaky_relu"), spelling("swish_beta")
        ('tanh', 'where(x, x, 0.01 * x)', None)
    """
    function = function_of(registry.layer(new))
    if isinstance(function, SearchedActivation) and not function.initial_values:
        return function.formula
    name = recognise(function)
    if name is None or isinstance(function, keras.Layer):
        return None
    for text in (new, name):
        if isinstance(text, str) and keras.activations.get(text) is function:
            return text
    if function.__module__.startswith("keras_swish."):
        return catalogue.ENTRIES[function.__name__].formula  # `name` may be Keras's
    # A function of `keras.ops` computes what that of `keras.activations` of the name does.
    function = getattr(keras.activations, name, None)
    return name if name != "gelu" and function is not None else None


def set_texts(layer: keras.Layer, texts: Mapping[Key, str]) -> None:
    """Sets strings in the attributes of a layer, and in what Keras keeps to make it again."""
    for key, text in texts.items():
        name, *rest = key
        old = dict(strings(layer)).get(key)
        if old is None or old == text:
            continue
        value = with_value(attributes(layer)[name], rest, text)
        set_attribute(layer, name, value, old, text)
        arguments = constructor_arguments(layer)
        if arguments is not None:
            named = {name, name.lstrip("_")} & set(arguments)
            for argument in named or [each for each in arguments if arguments[each] == old]:
                if not rest and arguments[argument] == old:
                    arguments = {**arguments, argument: text}
            set_constructor_arguments(layer, arguments)


def build_again(layer: keras.Layer) -> None:
    """Builds a layer once more that keeps nothing from it but what its strings say."""
    if layer.built and not (layer.variables or sublayers(layer) or is_keras(type(layer).build)):
        shapes = layer.get_build_config()
        layer.built = False
        layer.build_from_config(shapes or {})
        layer.built = True


def check_is_tracked(owner: keras.Layer, activation: keras.Layer) -> None:
    """Refuses an activation that stands where a layer does not know of its weights.

    Raises:
        ValueError: If it does.
    """
    if not any(layer is activation for layer in all_layers(owner)):
        raise ValueError("the weights of a layer there would be nobody's")


def strings(layer: keras.Layer) -> Iterator[tuple[Key, str]]:
    """Yields the strings in the attributes of a layer, and where it holds them."""
    for name, value in attributes(layer).items():
        # What a replacement has noted for a file is not what code looks up.
        if name not in ("name", "_name", "_path") and not name.startswith("_keras_swish"):
            yield from _strings_in((name,), value)


def _strings_in(key: Key, value: Any) -> Iterator[tuple[Key, str]]:
    if isinstance(value, str):
        yield key, value
        return
    if isinstance(value, (list, tuple)):
        items: Iterable[tuple[Any, Any]] = enumerate(value)
    elif isinstance(value, dict):
        items = value.items()
    elif isinstance(value, types.SimpleNamespace) or (
        dataclasses.is_dataclass(value) and not isinstance(value, type)
    ):
        items = vars(value).items()
    else:
        return
    for name, item in items:
        yield from _strings_in((*key, name), item)
