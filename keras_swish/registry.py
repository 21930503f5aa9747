"""From an identifier (a name, a formula, a function, a layer) to a new Keras layer."""

import fnmatch
import functools
import types
import warnings
from collections.abc import Callable
from typing import Any

import keras

from keras_swish import activations, catalogue, keras_activations
from keras_swish.formulas.language import is_formula, parse
from keras_swish.formulas.primitives import FUNCTIONS
from keras_swish.keras_activations import keras_names
from keras_swish.keras_compat import activation_module
from keras_swish.layers import SearchedActivation, Swish, TrainableActivation
from keras_swish.messages import unknown

# Classes of their own; any other entry with a weight is a `SearchedActivation` of its formula.
_LAYER_CLASSES: dict[str, type[TrainableActivation]] = {"swish_beta": Swish}

# Marks Keras's `get` where it takes our formulas already.
_MARK = "takes_formulas_of_keras_swish"

# What an activation may be given as.
Identifier = str | Callable | keras.layers.Layer | type[keras.layers.Layer] | None


def names(pattern: str = "*") -> list[str]:
    """Returns the names of this package's activations, and those registered, sorted.

    `layer` takes the names of `keras.activations` as well.

    Args:
        pattern: Which names, as in `fnmatch`, such as `"*relu*"`. None may fit.

    Example:
        >>> import keras_swish
        >>> keras_swish.names("swish*")
        ['swish', 'swish_beta']
    """
    return sorted(fnmatch.filter(catalogue.ENTRIES, pattern))


def describe(name: str) -> str:
    """Returns the facts of a named activation: formula, source, limits, and so on.

    Args:
        name: One of `names()`, or one of the names of `keras.activations`. A name that both have
            is this package's function, as for `layer`, and a line says what Keras means by it.

    Raises:
        ValueError: If the name is unknown.

    Example:
        >>> import keras_swish
        >>> print(keras_swish.describe("max_tanh").splitlines()[0])
        formula: max(x, tanh(x))
        >>> print(keras_swish.describe("leaky_relu").splitlines()[-1])
        in Keras: another function of this name: where(x, x, 0.2 * x), with negative_slope=0.2
    """
    name = name.strip() if isinstance(name, str) else repr(name)
    if name not in catalogue.ENTRIES:
        if name not in keras_names():
            raise ValueError(unknown("activation", name, {*catalogue.ENTRIES, *keras_names()}))
        return keras_activations.describe(name)
    entry = catalogue.ENTRIES[name]
    text = catalogue.describe(entry)
    if name in keras_names():
        text += f"\nin Keras: {keras_activations.compare(name, entry)}"
    return text


def register(name: str, formula: str) -> None:
    """Gives a formula a name, which then works wherever a name of this package does, in Keras too.

    The name stands for the formula: files have the formula itself, so that a saved model loads in
    a process that has not registered the name. Formulas with betas become layers, as
    `"swish_beta"` does, and each layer has its own. The name is known in this process only: where
    a program of `keras-swish` takes an activation on the command line, give it the formula.

    Args:
        name: A name such as `"bent_tanh"`, which neither this package nor Keras has.
        formula: What it computes, in the language of `keras_swish.formulas.language`.

    Raises:
        ValueError: If the name is taken, or is no name, or if the text is no formula. To register
            the same again is no error.
        TypeError: If one of them is no string.

    Example:
        >>> import keras, keras_swish
        >>> keras_swish.register("bent_tanh", "tanh(x) + 0.1 * x")
        >>> hidden = keras.layers.Dense(8, activation="bent_tanh")
        >>> keras_swish.names("bent*")
        ['bent_tanh']
    """
    if not isinstance(name, str):
        raise TypeError(f"`name` must be a string. Received: {name!r}")
    formula = str(parse(formula))
    if not name.isidentifier() or is_formula(name):
        raise ValueError(
            "`name` must be letters, digits and underscores, must not begin with a digit, and must "
            f"not be a formula itself, as 'x' and 'beta' are. Received: {name!r}"
        )
    entry = catalogue.ENTRIES.get(name)
    if entry and entry.is_registered:
        if entry.formula != formula:
            raise ValueError(
                f"The name {name!r} is registered already, with the formula {entry.formula!r}: use "
                f"another name. Received: {formula!r}"
            )
        return
    if name in FUNCTIONS:
        raise ValueError(f"{name!r} is a function of the formula language: use another name.")
    classes = {layer_class.__name__ for layer_class in _LAYER_CLASSES.values()}
    if entry or name in {*keras_names(), *classes} or hasattr(activations, name):
        owner = "Keras" if not entry and name in keras_names() else "keras_swish"
        raise ValueError(
            f"{owner} has the name {name!r} already: use another one. All names that are taken: "
            f"{', '.join(sorted({*catalogue.ENTRIES, *keras_names()}))}."
        )
    catalogue.add(name, formula)
    activations.add(name, catalogue.ENTRIES[name])


def layer(identifier: Identifier, name: str | None = None) -> keras.layers.Layer:
    """Returns a new activation layer, at each call another one.

    Network builders call it once for each activation of the network, so that each has weights (its
    beta, say) that no other one shares, even where all were given the same identifier.

    Args:
        identifier: What to make the layer from:
            a name of this package, of `keras.activations`, or given to `register`;
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
        return _from_name(identifier.strip(), name)
    if isinstance(identifier, keras.layers.Layer):
        return _like(identifier, name)
    function = identifier.func if isinstance(identifier, functools.partial) else identifier
    if isinstance(function, type) and issubclass(function, keras.layers.Layer):
        return identifier(name=name) if name else identifier()
    if _registered_formula(identifier):
        return SearchedActivation(_registered_formula(identifier), name=name)
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
    if type(identifier) is keras.layers.ReLU:
        return identifier.max_value is None and not identifier.threshold
    if isinstance(identifier, str):
        identifier = identifier.strip()
    names = ["linear", *(name for name, entry in catalogue.ENTRIES.items() if entry.homogeneous)]
    functions = [activations.BY_NAME.get(name) for name in names]
    functions += [getattr(keras.activations, name, None) for name in names]
    functions += [keras.ops.relu, keras.layers.ReLU]
    return identifier in [None, *names, *functions]


def _from_name(identifier: str, name: str | None) -> keras.layers.Layer:
    if identifier in catalogue.ENTRIES:
        return _from_entry(identifier, name)
    if identifier in keras_names():
        return keras.layers.Activation(identifier, name=name)
    if is_formula(identifier):
        return SearchedActivation(identifier, name=name)
    raise ValueError(_unknown_name(identifier))


def _unknown_name(identifier: str) -> str:
    message = unknown("activation", identifier, {*catalogue.ENTRIES, *keras_names()})
    return (
        f"{message} A name of your own is known after keras_swish.register(name, formula) in the "
        "same process."
    )


def _from_entry(identifier: str, name: str | None) -> keras.layers.Layer:
    entry = catalogue.ENTRIES[identifier]
    if entry.is_registered:
        return SearchedActivation(entry.formula, name=name)
    if entry.beta is None:
        return keras.layers.Activation(activations.BY_NAME[identifier], name=name)
    if identifier in _LAYER_CLASSES:
        return _LAYER_CLASSES[identifier](name=name)
    initial = keras.initializers.Constant(entry.beta)
    return SearchedActivation(entry.formula, initial, name=name)


def _registered_formula(identifier: Any) -> str:
    """Returns the formula of a function of `activations` that was registered, or an empty text."""
    is_function = isinstance(identifier, types.FunctionType)
    return activations.REGISTERED.get(identifier, "") if is_function else ""


def _like(template: keras.layers.Layer, name: str | None) -> keras.layers.Layer:
    if type(template) is keras.layers.Activation:
        if isinstance(template.activation, keras.layers.Layer):
            layer = _like(template.activation, name)
            layer.dtype_policy, layer.autocast = template.dtype_policy, template.autocast
            layer.trainable = template.trainable
            layer.activity_regularizer = template.activity_regularizer
            return layer
        # Through the function itself: a user's own one cannot be found by its name.
        return keras.layers.Activation(
            template.activation,
            name=name,
            dtype=template.dtype_policy,
            trainable=template.trainable,
            activity_regularizer=template.activity_regularizer,
        )
    try:
        # One model cannot have two layers of one name: None lets Keras find one.
        config = {**template.get_config(), "name": name}
        if isinstance(template, TrainableActivation) and "data_format" in config:
            # Where the template's channels were says nothing of other places.
            config["data_format"] = template.given_data_format
        return type(template).from_config(config)
    except Exception as error:
        raise ValueError(
            f"The layer {template.name!r} of class {type(template).__name__} cannot be made "
            f"again from its configuration ({error}): pass the class, or a functools.partial of it."
        ) from error


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
        identifier = _registered_formula(identifier) or identifier
        if isinstance(identifier, str) and identifier not in keras_names():
            identifier = _without_weights(identifier)
        try:
            activation = get(identifier)
        except ValueError as error:
            if isinstance(identifier, str):
                raise ValueError(f"{error}. {_unknown_name(identifier)}") from None
            raise
        is_class = isinstance(activation, type) and issubclass(activation, TrainableActivation)
        is_layer = isinstance(activation, TrainableActivation)
        if is_class or (is_layer and activation.initial_values and not activation.built):
            name = (activation if is_class else type(activation)).__name__
            raise ValueError(
                f"{name} as the `activation` of another layer has no weights until it is first "
                "called, so counting and loading weights would miss them: put it behind the other "
                f"layer, as one of its own. Received: {activation}"
            )
        return activation

    vars(get_activation)[_MARK] = True
    return get_activation


def _without_weights(identifier: str) -> Any:
    """Returns what Keras takes for a name of ours or a formula; refuses those with weights."""
    entry = catalogue.ENTRIES.get(identifier)
    if entry and entry.initial_values:
        raise ValueError(_needs_a_layer(f"The activation {identifier!r}", identifier))
    is_function = entry and not entry.is_registered
    if is_function or (not entry and not is_formula(identifier)):
        return identifier
    # In the dtype of its host, as a function computes, whatever Keras's global dtype policy is.
    activation = SearchedActivation(entry.formula if entry else identifier, autocast=False)
    if activation.initial_values:
        text = activation.formula
        raise ValueError(_needs_a_layer(f"The formula {text!r}", text))
    return activation


def _needs_a_layer(subject: str, identifier: str) -> str:
    return (
        f"{subject} has trainable weights, which a string cannot carry: use the layer "
        f"keras_swish.layer({identifier!r}) behind this one instead."
    )
