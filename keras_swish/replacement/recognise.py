"""Which activation a function, a layer or an operation of a Keras graph is."""

import functools
from collections.abc import Callable, Hashable

import keras

from keras_swish import activations, catalogue
from keras_swish.formulas.language import is_formula, parse
from keras_swish.keras_compat import is_keras_operation
from keras_swish.layers import SearchedActivation, Swish
from keras_swish.messages import unknown
from keras_swish.registry import keras_names

# Two names of one function: the second is the one that reports use.
ALIASES = {"silu": "swish", "hard_swish": "hard_silu", "Swish": "swish_beta"}

_LAYERS = {
    keras.layers.LeakyReLU: "leaky_relu",
    keras.layers.PReLU: "prelu",
    keras.layers.ELU: "elu",
    keras.layers.Softmax: "softmax",
    Swish: "swish_beta",
}


def _functions() -> dict[Callable, str]:
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
_FORMULAS = {str(parse(entry.formula)): name for name, entry in catalogue.ENTRIES.items()}


def recognise(thing) -> str | None:
    """Returns the name of an activation, or its formula where it has no name.

    Names mean what they compute: `ReLU(6.0)` is `"relu6"`, whatever made it, and a function
    of the user's own that happens to be called `relu` has no name. Functions with parameters,
    such as `leaky_relu`, keep their name whatever these are.

    Args:
        thing: A function, a layer, or an operation of a Keras graph.

    Returns:
        `None` for what is no activation known to Keras or to this package.

    Example:
        >>> import keras
        >>> from keras_swish.replacement.recognise import recognise
        >>> recognise(keras.layers.ReLU(6.0)), recognise(keras.ops.silu)
        ('relu6', 'swish')
    """
    if isinstance(thing, keras.layers.ReLU):
        return _relu(thing.negative_slope, thing.max_value, thing.threshold)
    if isinstance(thing, SearchedActivation):
        return _FORMULAS.get(thing.formula, thing.formula)
    for kind, name in _LAYERS.items():
        if isinstance(thing, kind):
            return name
    if isinstance(thing, keras.Layer):
        inner = function_of(thing)
        return None if inner is thing else recognise(inner)
    if isinstance(thing, keras.Operation):
        return _operation(thing)
    if isinstance(thing, functools.partial):
        return _partial(thing)
    return _FUNCTIONS.get(thing) if isinstance(thing, Hashable) else None


def function_of(thing):
    """Returns the function inside an `Activation` or a `Lambda`, and anything else itself."""
    if type(thing) is keras.layers.Activation:
        return thing.activation
    if isinstance(thing, keras.layers.Lambda) and not thing.arguments:
        return thing.function
    return thing


def describe(thing) -> str:
    """Returns what a report calls an activation, known or not.

    Example:
        >>> import keras
        >>> from keras_swish.replacement.recognise import describe
        >>> describe(keras.layers.ReLU(max_value=1.0))
        'ReLU'
    """
    name = recognise(thing)
    if name:
        return name
    thing = function_of(thing)
    if isinstance(thing, functools.partial):
        return f"partial of {describe(thing.func)}"
    if isinstance(thing, keras.Operation):
        return type(thing).__name__
    return f"{thing.__module__}.{getattr(thing, '__qualname__', type(thing).__name__)}"


def matcher(key) -> Callable[[object], bool]:
    """Returns the predicate that says whether an activation is the one that a key means.

    Args:
        key: A name of this package or of Keras, a formula, a function, a layer class, or a
            layer, which stands for what it computes.

    Raises:
        ValueError: If a name is unknown or a formula cannot be read.
        TypeError: If the key is of another kind.

    Example:
        >>> import keras
        >>> from keras_swish.replacement.recognise import matcher
        >>> is_relu = matcher("max(x, 0)")
        >>> is_relu(keras.layers.ReLU()), is_relu(keras.layers.ReLU(6.0))
        (True, False)
    """
    if isinstance(key, str):
        name = _canonical(key)
        return lambda thing: recognise(thing) == name
    if isinstance(key, type) and issubclass(key, keras.Layer):
        return lambda thing: isinstance(thing, key)
    if isinstance(key, keras.Layer) or callable(key):
        name, function = recognise(key), function_of(key)
        if name:
            return lambda thing: recognise(thing) == name
        if not isinstance(function, keras.Layer | type):
            return lambda thing: function_of(thing) is function
    raise TypeError(
        "An activation to replace is a name, a formula, a function, a layer class, or a layer "
        f"whose function is known. Received: {key!r} (of type {type(key).__name__})"
    )


def _canonical(text: str) -> str:
    known = {*_FUNCTIONS.values(), *catalogue.ENTRIES, *ALIASES}
    if text in known:
        return ALIASES.get(text, text)
    if is_formula(text):
        formula = str(parse(text))
        return _FORMULAS.get(formula, formula)
    raise ValueError(unknown("activation", text, known))


def _relu(negative_slope=0.0, max_value=None, threshold=0.0) -> str | None:
    if threshold or (max_value is not None and (negative_slope or max_value != 6)):
        return None
    if max_value is not None:
        return "relu6"
    return "leaky_relu" if negative_slope else "relu"


def _partial(thing: functools.partial) -> str | None:
    name = recognise(thing.func)
    if thing.args or not thing.keywords:
        return None if thing.args else name
    is_relu = name == "relu" and set(thing.keywords) <= {"negative_slope", "max_value", "threshold"}
    return _relu(**thing.keywords) if is_relu else None


def _operation(thing: keras.Operation) -> str | None:
    """Names an operation that a function such as `keras.ops.relu` left in a graph."""
    if not is_keras_operation(thing):
        return None
    name = _OPERATIONS.get(type(thing).__name__.lower())
    if name == "relu" and hasattr(thing, "max_value"):
        return _relu(thing.negative_slope, thing.max_value, thing.threshold)
    return name
