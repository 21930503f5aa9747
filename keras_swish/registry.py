"""From an identifier (a name, a formula, a function, a layer) to a new Keras layer."""

import functools
import warnings
from collections.abc import Callable
from typing import Any

import keras

from keras_swish import activations, catalogue
from keras_swish.formulas.language import is_formula
from keras_swish.keras_compat import activation_module
from keras_swish.layers import SearchedActivation, Swish, TrainableActivation
from keras_swish.messages import unknown

# Classes of their own; any other entry with a weight is a `SearchedActivation` of its formula.
_LAYER_CLASSES: dict[str, type[TrainableActivation]] = {"swish_beta": Swish}

# Marks Keras's `get` where it takes our formulas already.
_MARK = "takes_formulas_of_keras_swish"

# What an activation may be given as.
Identifier = str | Callable | keras.layers.Layer | type[keras.layers.Layer] | None


def names() -> list[str]:
    """Returns the names of this package's activations, sorted.

    `layer` takes the names of `keras.activations` as well.

    Example:
        >>> import keras_swish
        >>> "swish_beta" in keras_swish.names()
        True
    """
    return sorted(catalogue.ENTRIES)


def describe(name: str) -> str:
    """Returns the facts of a named activation: formula, source, limits, and so on.

    Args:
        name: One of `names()`.

    Raises:
        ValueError: If the name is unknown.

    Example:
        >>> import keras_swish
        >>> print(keras_swish.describe("max_tanh").splitlines()[0])
        formula: max(x, tanh(x))
    """
    if name not in catalogue.ENTRIES:
        raise ValueError(unknown("activation", name, catalogue.ENTRIES))
    return catalogue.describe(catalogue.ENTRIES[name])


def layer(identifier: Identifier, name: str | None = None) -> keras.layers.Layer:
    """Returns a new activation layer, at each call another one.

    Network builders call it once for each activation of the network, so that each has weights (its
    beta, say) that no other one shares, even where all were given the same identifier.

    Args:
        identifier: What to make the layer from:
            a name of this package or of `keras.activations`;
            a formula, such as `"x * sigmoid(beta * x)"`;
            a function from tensor to tensor;
            a layer, taken as a template: its configuration is used, its weights are not;
            a layer class, or a `functools.partial` of one;
            `None`, which is the linear function as everywhere in Keras.
        name: Name of the new layer; by default Keras makes one.

    Returns:
        A `keras.layers.Layer`, not built yet.

    Raises:
        ValueError: If a name is unknown, a formula cannot be read, or a layer cannot be made
            again from its configuration.
        TypeError: If the identifier is of another type.

    Example:
        >>> import keras, keras_swish
        >>> keras_swish.layer("swish_beta") is keras_swish.layer("swish_beta")
        False
        >>> keras_swish.layer(keras.ops.tanh, name="act").name
        'act'
    """
    if identifier is None:
        identifier = "linear"
    if isinstance(identifier, str):
        return _from_name(identifier, name)
    if isinstance(identifier, keras.layers.Layer):
        return _like(identifier, name)
    function = identifier.func if isinstance(identifier, functools.partial) else identifier
    if isinstance(function, type) and issubclass(function, keras.layers.Layer):
        return identifier(name=name) if name else identifier()
    if callable(identifier) and not isinstance(identifier, type):
        return keras.layers.Activation(identifier, name=name)
    raise TypeError(
        "An activation is a name, a function, a Keras layer or a layer class. "
        f"Received: {identifier!r} (of type {type(identifier).__name__})"
    )


def is_homogeneous(identifier: Identifier) -> bool:
    """Says whether an activation is positively homogeneous: f(a x) = a f(x) for a > 0, as ReLU.

    A function of which no entry of the catalogue says so, such as a user's own, counts as not.

    Args:
        identifier: What `layer` takes.

    Example:
        >>> import keras_swish
        >>> from keras_swish.registry import is_homogeneous
        >>> is_homogeneous("relu"), is_homogeneous("swish"), is_homogeneous(lambda x: x)
        (True, False, False)
    """
    if type(identifier) is keras.layers.Activation:
        identifier = identifier.activation
    names = ["linear", *(name for name, entry in catalogue.ENTRIES.items() if entry.homogeneous)]
    functions = [activations.BY_NAME.get(name) for name in names]
    functions += [getattr(keras.activations, name, None) for name in names]
    return identifier in [None, *names, *functions]


def _from_name(identifier: str, name: str | None) -> keras.layers.Layer:
    if identifier in catalogue.ENTRIES:
        return _from_entry(identifier, name)
    valid_in_keras = keras_names()
    if identifier in valid_in_keras:
        return keras.layers.Activation(identifier, name=name)
    if is_formula(identifier):
        return SearchedActivation(identifier, name=name)
    raise ValueError(unknown("activation", identifier, {*catalogue.ENTRIES, *valid_in_keras}))


def _from_entry(identifier: str, name: str | None) -> keras.layers.Layer:
    entry = catalogue.ENTRIES[identifier]
    if entry.beta is None:
        return keras.layers.Activation(activations.BY_NAME[identifier], name=name)
    if identifier in _LAYER_CLASSES:
        return _LAYER_CLASSES[identifier](name=name)
    initial = keras.initializers.Constant(entry.beta)
    return SearchedActivation(entry.formula, initial, name=name)


def _like(template: keras.layers.Layer, name: str | None) -> keras.layers.Layer:
    if type(template) is keras.layers.Activation:
        if isinstance(template.activation, keras.layers.Layer):
            return _like(template.activation, name)
        # Through the function itself: a user's own one cannot be found by its name.
        return keras.layers.Activation(
            template.activation,
            name=name,
            dtype=template.dtype_policy,
            trainable=template.trainable,
        )
    try:
        # One model cannot have two layers of one name: None lets Keras find one.
        return type(template).from_config({**template.get_config(), "name": name})
    except Exception as error:
        raise ValueError(
            f"The layer {template.name!r} of class {type(template).__name__} cannot be made "
            f"again from its configuration ({error}): pass the class, or a functools.partial of it."
        ) from error


def keras_names() -> list[str]:
    """Returns the names for which `keras.activations.get` returns a function."""
    helpers = {"get", "serialize", "deserialize"}
    return [name for name in dir(keras.activations) if name[0] != "_" and name not in helpers]


def register_with_keras() -> None:
    """Lets `Dense(8, activation="max_sigmoid")` and every other string in Keras work.

    Keras 3 looks strings up in a table of its own and never in the custom objects, so
    the names are written into that table; those that Keras has keep Keras's meaning.
    Formulas, and activations with weights, are handled before the look-up.
    """
    module = activation_module()
    if module is None:
        warnings.warn(
            f"Keras {keras.__version__} keeps its activations elsewhere: strings such as "
            "activation='max_sigmoid' will not work, keras_swish.layer('max_sigmoid') does.",
            stacklevel=2,
        )
        return
    for name, function in activations.BY_NAME.items():
        module.ALL_OBJECTS_DICT.setdefault(name, function)
    if not hasattr(module.get, _MARK):
        module.get = keras.activations.get = _with_formulas(module.get)


def _with_formulas(get: Callable) -> Callable:
    @functools.wraps(get)
    def get_activation(identifier: Any) -> Any:
        if isinstance(identifier, str) and identifier not in keras_names():
            entry = catalogue.ENTRIES.get(identifier)
            if entry and entry.beta is not None:
                raise ValueError(_needs_a_layer(f"The activation {identifier!r}", identifier))
            if not entry and not identifier.isidentifier():
                identifier = SearchedActivation(identifier)
                if identifier.initial_values:
                    text = identifier.formula
                    raise ValueError(_needs_a_layer(f"The formula {text!r}", text))
        activation = get(identifier)
        if (
            isinstance(activation, TrainableActivation)
            and activation.initial_values
            and not activation.built
        ):
            raise ValueError(
                f"{type(activation).__name__} as the `activation` of another layer has no weights "
                "until it is first called, so counting and loading weights would miss them: put "
                f"it behind the other layer, as one of its own. Received: {activation}"
            )
        return activation

    vars(get_activation)[_MARK] = True
    return get_activation


def _needs_a_layer(subject: str, identifier: str) -> str:
    return (
        f"{subject} has trainable weights, which a string cannot carry: use the layer "
        f"keras_swish.layer({identifier!r}) behind this one instead."
    )
