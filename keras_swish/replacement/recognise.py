"""The names of activations: functions, layers and operations of a Keras graph."""

import functools
import inspect
import re
from collections.abc import Callable, Collection, Hashable, Mapping
from typing import Any

import keras

from keras_swish import activations, catalogue
from keras_swish.formulas.language import is_formula, parse
from keras_swish.keras_activations import keras_names
from keras_swish.keras_compat import is_keras_own
from keras_swish.layers import SearchedActivation, Swish
from keras_swish.messages import unknown
from keras_swish.replacement.masks import StopMask

# Two names of one function: the second is the one that reports use.
ALIASES = {"silu": "swish", "hard_swish": "hard_silu", "Swish": "swish_beta"}

_LAYERS = {
    keras.layers.ReLU: "",  # the parameters of these two tell it
    SearchedActivation: "",
    keras.layers.LeakyReLU: "leaky_relu",
    keras.layers.PReLU: "prelu",
    keras.layers.ELU: "elu",
    keras.layers.Softmax: "softmax",
    Swish: "swish_beta",
}


def _functions() -> dict[Any, str]:
    names = [*keras_names(), *catalogue.ENTRIES]
    functions = {}
    for module in (activations, keras.ops, keras.activations):
        for name in names:
            function = getattr(module, name, None)
            if function is not None:
                functions[function] = ALIASES.get(name, name)
    return functions


_FUNCTIONS = _functions()
_OPERATIONS = {name.replace("_", ""): ALIASES.get(name, name) for name in keras_names()}
_IN_FRAMEWORKS = {**_OPERATIONS, "logistic": "sigmoid", "expit": "sigmoid"}
# What frameworks have under these names is no activation.
_NO_ACTIVATIONS = {"linear", "exponential"}


def name_of_function(attribute: str) -> str | None:
    """Returns the name of the activation that frameworks have under some attribute's name.

    Example:
        >>> from keras_swish.replacement.recognise import name_of_function
        >>> name_of_function("hardswish"), name_of_function("conv")
        ('hard_silu', None)
    """
    name = _IN_FRAMEWORKS.get(attribute.replace("_", ""))
    return None if name in _NO_ACTIVATIONS else name


def recognise(candidate: Any) -> str | None:
    """Returns the name of an activation, or its formula where it has no name.

    Names mean what they compute: `ReLU(6.0)` is `"relu6"`, whatever made it, and a function
    of the user's own that happens to be called `relu` has no name, nor has a subclass of `ReLU`
    with a `call` of its own. Functions with parameters, such as `leaky_relu`, keep their name
    whatever these are.

    Args:
        candidate: A function, a layer, or an operation of a Keras graph.

    Returns:
        `None` for what is no activation of Keras's or of this package's.

    Example:
        >>> import keras
        >>> from keras_swish.replacement.recognise import recognise
        >>> recognise(keras.layers.ReLU(6.0)), recognise(keras.ops.silu)
        ('relu6', 'swish')
    """
    base = _base(candidate)
    if base is not None:
        return name_of_base(candidate) if calls_as(candidate, base) else None
    if isinstance(candidate, keras.Layer):
        inner = function_of(candidate)
        return None if inner is candidate else recognise(inner)
    if isinstance(candidate, keras.Operation):
        return _operation(candidate)
    if isinstance(candidate, functools.partial):
        return _partial(candidate)
    if not isinstance(candidate, Hashable):
        return None
    if candidate in activations.REGISTERED:
        return name_of_formula(activations.REGISTERED[candidate])
    if candidate in _FUNCTIONS:
        return _FUNCTIONS[candidate]
    # Not above: that module needs this one.
    from keras_swish.replacement.watching.frameworks import name_in_framework

    return name_in_framework(candidate) if callable(candidate) else None


def calls_as(layer: keras.Layer, layer_class: type[keras.Layer]) -> bool:
    """Says whether a layer computes what a class does: its own class may have another `call`."""
    return getattr(layer.call, "__func__", None) is layer_class.call


def name_of_base(layer: Any) -> str | None:
    """Returns the name of an activation layer, if need be of that which its class extends."""
    if isinstance(layer, keras.layers.ReLU):
        return _relu(layer.negative_slope, layer.max_value, layer.threshold)
    if isinstance(layer, SearchedActivation):
        return name_of_formula(layer.formula)
    base = _base(layer)
    return base and _LAYERS[base]


def name_of_formula(formula: str) -> str:
    """Returns the name of a formula that the language prints, and itself where it has none."""
    name = catalogue.NAMES.get(formula, formula)
    return ALIASES.get(name, name)


def function_of(candidate: Any) -> Any:
    """Returns the function inside an `Activation` or a `Lambda`, and anything else itself."""
    if isinstance(candidate, StopMask):
        candidate = candidate.layer
    if type(candidate) is keras.layers.Activation:
        return candidate.activation
    if isinstance(candidate, keras.layers.Lambda) and calls_as(candidate, keras.layers.Lambda):
        if candidate.arguments:
            return functools.partial(candidate.function, **candidate.arguments)
        return candidate.function
    return candidate


def is_unnamed(candidate: Any) -> bool:
    """Says whether a layer is an `Activation`, or a `Lambda` around one with other parameters."""
    if isinstance(candidate, keras.layers.Lambda) and calls_as(candidate, keras.layers.Lambda):
        return recognise(candidate.function) is not None
    return type(candidate) is keras.layers.Activation


def describe(candidate: Any) -> str:
    """Returns what a report calls an activation: its name, or else that of its function or class.

    Example:
        >>> import keras
        >>> from keras_swish.replacement.recognise import describe
        >>> describe(keras.layers.ReLU(max_value=1.0))
        'ReLU'
    """
    name = recognise(candidate)
    if name:
        return name
    candidate = function_of(candidate)
    if isinstance(candidate, functools.partial):
        return f"partial of {describe(candidate.func)}"
    # A class of the user's own may be called Swish, which means ours.
    if isinstance(candidate, keras.Operation) and type(candidate).__name__ not in _names():
        return type(candidate).__name__
    function = getattr(candidate, "__wrapped__", candidate)  # inside one that is compiled
    named: Any = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}"


# Parameters that activations of one name differ in, with the values that our names stand for.
_PARAMETERS = {
    "leaky_relu": ("negative_slope", 0.01),
    "elu": ("alpha", 1.0),
    "gelu": ("approximate", False),
}


def unlike_ours(candidate: Any) -> str:
    """Returns the parameter in which a named activation is not what our name computes.

    Example:
        >>> import keras
        >>> from keras_swish.replacement.recognise import unlike_ours
        >>> unlike_ours(keras.layers.LeakyReLU()), unlike_ours(keras.ops.gelu)
        ('negative_slope=0.3', 'approximate=True')
    """
    parameter, ours = _PARAMETERS.get(recognise(candidate) or "", ("", None))
    inner = function_of(candidate)
    if not parameter or isinstance(inner, SearchedActivation):
        return ""
    if hasattr(inner, parameter):
        value = getattr(inner, parameter)
    elif isinstance(inner, functools.partial):
        value = inner.keywords.get(parameter, ours)
    else:
        taken = _parameters(inner)
        # TensorFlow's slope is an `alpha`.
        taken = [taken[each] for each in (parameter, "alpha") if each in taken]
        value = taken[0].default if taken else ours
    return "" if value == ours else f"{parameter}={value}"


def _parameters(function: Any) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):  # of a function in C, such as PyTorch's gelu
        return {}


def difference_from_keras(name: str) -> str:
    """Returns what Keras means by the name of one of our activations, where that differs.

    Example:
        >>> from keras_swish.replacement.recognise import difference_from_keras
        >>> difference_from_keras("leaky_relu")
        "Keras's function of this name has the slope 0.2, its layer 0.3."
    """
    entry = catalogue.ENTRIES.get(name)
    differs = entry and not entry.is_keras_function and "Keras" in entry.note
    return entry.note if entry and differs else ""


def matcher(key: Any, printed: Collection[str] = ()) -> Callable[[Any], bool]:
    """Returns the predicate that says whether an activation is the one that a key means.

    Args:
        key: A name of this package or of Keras, a formula, a function, a layer class, or a
            layer, which means what it computes.
        printed: Further strings that are keys: what `describe` returns of activations without a
            name.

    Raises:
        ValueError: If a name is unknown or a formula cannot be read.
        TypeError: If the key is of another type.

    Example:
        >>> import keras
        >>> from keras_swish.replacement.recognise import matcher
        >>> is_relu = matcher("max(x, 0)")
        >>> is_relu(keras.layers.ReLU()), is_relu(keras.layers.ReLU(6.0))
        (True, False)
    """
    if isinstance(key, str):
        if key in printed and key not in _names():
            return lambda candidate: describe(candidate) == key
        if not _looks_like_formula(key) and key not in _names():
            raise ValueError(unknown("activation", key, {*_names(), *printed}))
        name = name_of_text(key) or name_of_formula(str(parse(key)))  # which says what is wrong
        return lambda candidate: recognise(candidate) == name
    if isinstance(key, type) and issubclass(key, keras.Layer):
        return lambda candidate: isinstance(candidate, key)
    if isinstance(key, keras.Layer) or callable(key):
        name, function = recognise(key), function_of(key)
        if name:
            return lambda candidate: recognise(candidate) == name
        if not isinstance(function, keras.Layer | type):
            return lambda candidate: function_of(candidate) is function
    raise TypeError(
        "An activation to replace is a name, a formula, a function, a layer class, or a layer "
        f"that computes a named function. Received: {key!r} (of type {type(key).__name__})"
    )


def name_of_text(text: str) -> str | None:
    """Returns the name of the activation that a name or formula means; None for other texts.

    Example:
        >>> from keras_swish.replacement.recognise import name_of_text
        >>> name_of_text("silu"), name_of_text("x * sigmoid(x)"), name_of_text("same")
        ('swish', 'swish', None)
    """
    entry = catalogue.ENTRIES.get(text)
    if entry is not None and entry.is_registered:
        return name_of_formula(entry.formula)
    if text in _names():
        return ALIASES.get(text, text)
    try:
        return name_of_formula(str(parse(text))) if _looks_like_formula(text) else None
    except ValueError:
        return None


def _looks_like_formula(text: str) -> bool:
    """Says whether a text is meant as a formula, not as the path of a function."""
    return is_formula(text) and not re.fullmatch(r"[^\W\d]\w*(\.[\w<>]+)+", text)


def _names() -> set[str]:
    return {*_FUNCTIONS.values(), *catalogue.ENTRIES, *ALIASES}


def _base(candidate: Any) -> type[keras.Layer] | None:
    return next((each for each in _LAYERS if isinstance(candidate, each)), None)


def _relu(
    negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0
) -> str | None:
    if threshold or (max_value is not None and (negative_slope or max_value != 6)):
        return None
    if max_value is not None:
        return "relu6"
    return "leaky_relu" if negative_slope else "relu"


def _partial(candidate: functools.partial) -> str | None:
    name = recognise(candidate.func)
    if candidate.args or not candidate.keywords:
        return None if candidate.args else name
    if name != "relu" or set(candidate.keywords) - {"negative_slope", "max_value", "threshold"}:
        return None
    return _relu(**candidate.keywords)


def _operation(candidate: Any) -> str | None:
    """Names an operation that a function such as `keras.ops.relu` left in a graph."""
    if not is_keras_own(candidate):
        return None
    name = _OPERATIONS.get(type(candidate).__name__.lower())
    if name == "relu" and hasattr(candidate, "max_value"):
        return _relu(candidate.negative_slope, candidate.max_value, candidate.threshold)
    return name
