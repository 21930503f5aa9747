"""Keras's own named activations, described: formulas with the default arguments.

Names that are not here, of a newer Keras, are described without a formula.
"""

import inspect
from collections.abc import Callable
from typing import Any

import keras

from keras_swish import catalogue
from keras_swish.formulas.language import parse

# What is computed from each element alone, in the language of formulas.
FORMULAS: dict[str, str] = {
    "celu": "where(x, x, expm1(x))",
    "elu": "where(x, x, expm1(x))",
    "exponential": "exp(x)",
    "gelu": "x * (1 + erf(x / sqrt(2))) / 2",
    "hard_shrink": "where(abs(x) - 0.5, x, 0)",
    "hard_sigmoid": "min(max(x + 3, 0), 6) / 6",
    "hard_silu": "x * min(max(x + 3, 0), 6) / 6",
    "hard_swish": "x * min(max(x + 3, 0), 6) / 6",
    "hard_tanh": "min(max(x, -1), 1)",
    "leaky_relu": "where(x, x, 0.2 * x)",
    "linear": "x",
    "log_sigmoid": "-softplus(-x)",
    "mish": "x * tanh(softplus(x))",
    "relu": "max(x, 0)",
    "relu6": "min(max(x, 0), 6)",
    "selu": "1.0507009873554805 * where(x, x, 1.6732632423543772 * expm1(x))",
    "sigmoid": "sigmoid(x)",
    "silu": "x * sigmoid(x)",
    "soft_shrink": "sign(x) * max(abs(x) - 0.5, 0)",
    "softplus": "softplus(x)",
    "softsign": "x / (1 + abs(x))",
    "sparse_plus": "where(x - 1, x, where(x + 1, (x + 1)**2 / 4, 0))",
    "sparse_sigmoid": "min(max((x + 1) / 2, 0), 1)",
    "squareplus": "(x + sqrt(x**2 + 4)) / 2",
    "swish": "x * sigmoid(x)",
    "tanh": "tanh(x)",
    "tanh_shrink": "x - tanh(x)",
}
# The others, in words.
WORDS: dict[str, str] = {
    "glu": "a * sigmoid(b), where a and b are the halves of x along `axis`",
    "log_softmax": "x - log(sum(exp(x))), summed along `axis`",
    "softmax": "exp(x) / sum(exp(x)), summed along `axis`",
    "sparsemax": "the point nearest to x of those along `axis` that are >= 0 and add up to 1",
    "threshold": "x where x > `threshold`, else `default_value`",
}


def keras_names() -> list[str]:
    """Returns the names for which `keras.activations.get` returns a function."""
    helpers = {"get", "serialize", "deserialize"}
    return [name for name in dir(keras.activations) if name[0] != "_" and name not in helpers]


def describe(name: str) -> str:
    """Returns the facts of an activation of Keras's, a line each.

    Example:
        >>> from keras_swish import keras_activations
        >>> print(keras_activations.describe("leaky_relu").splitlines()[0])
        formula: where(x, x, 0.2 * x)
    """
    formula = FORMULAS.get(name)
    if formula is not None:
        facts = catalogue.describe_formula(formula, {})
    else:
        facts = {"formula": WORDS[name]} if name in WORDS else {}
    facts["source"] = f"Keras {keras.__version__}, keras.activations.{name}"
    arguments = _arguments(getattr(keras.activations, name))
    if arguments:
        facts["arguments"] = arguments
    ours = formula and catalogue.NAMES.get(str(parse(formula)))
    if ours and ours != name:
        facts["note"] = f"keras_swish computes the same function under the name {ours!r}."
    return catalogue.as_lines(facts)


def compare(name: str, entry: catalogue.Entry) -> str:
    """Returns what Keras means by the name of an entry of the catalogue.

    Example:
        >>> from keras_swish import catalogue, keras_activations
        >>> keras_activations.compare("leaky_relu", catalogue.ENTRIES["leaky_relu"])
        'another function of this name: where(x, x, 0.2 * x), with negative_slope=0.2'
    """
    if entry.is_keras_function:
        return "this function itself"
    formula = FORMULAS.get(name, "")
    if formula and parse(formula) == parse(entry.formula):
        return (
            "the same function, computed in another way: the last digits may differ, and what "
            "comes of infinities"
        )
    arguments = _arguments(getattr(keras.activations, name))
    return f"another function of this name: {formula}" + (f", with {arguments}" * bool(arguments))


def _arguments(function: Callable[..., Any]) -> str:
    """Returns the arguments of a function other than x, with their defaults."""
    _, *parameters = inspect.signature(function).parameters.values()
    return ", ".join(map(str, parameters))
