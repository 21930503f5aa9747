"""Formulas on NumPy arrays, in float64, without a backend and its compiler.

What the backends compute is `keras_swish.elementwise`; this is for looking at functions, not
for training with them.
"""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import special

from keras_swish.formulas.language import Formula, Name, Number


def _sinc(x: np.ndarray) -> np.ndarray:
    return np.sinc(x / np.pi)


def _dsinc(x: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = (np.cos(x) - _sinc(x)) / x
    return np.where(x == 0, 0.0, slope)


_FUNCTIONS = {
    "neg": np.negative,
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "**": np.power,
    "abs": np.abs,
    "sign": np.sign,
    "step": lambda x: np.where(np.isnan(x), x, x > 0),
    "relu": lambda x: np.maximum(x, 0),
    "sqrt": np.sqrt,
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "sin": np.sin,
    "cos": np.cos,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "arcsinh": np.arcsinh,
    "arctan": np.arctan,
    "sinc": _sinc,
    "dsinc": _dsinc,
    "sigmoid": special.expit,
    "softplus": functools.partial(np.logaddexp, 0),
    "erf": special.erf,
    "max": np.maximum,
    "min": np.minimum,
    "where": lambda condition, a, b: np.where(condition > 0, a, b),
}


def evaluate(formula: Formula, values: Mapping[str, np.ndarray | float]) -> np.ndarray:
    """Returns the formula's value; what overflows is inf, what is undefined NaN, silently.

    Args:
        formula: The formula.
        values: An array of float64, or a number, for each name; they broadcast with one another.

    Example:
        >>> import numpy as np
        >>> from keras_swish.formulas.language import parse
        >>> from keras_swish.formulas import numeric
        >>> numeric.evaluate(parse("max(x, 0) - 1"), {"x": np.array([-2.0, 3.0])}).tolist()
        [-1.0, 2.0]
    """
    with np.errstate(all="ignore"):
        return _evaluate(formula, values)


def _evaluate(formula: Formula, values: Mapping[str, np.ndarray | float]) -> Any:
    if isinstance(formula, Number):
        return np.float64(formula.value)
    if isinstance(formula, Name):
        return values[formula.name]
    return _FUNCTIONS[formula.function](*(_evaluate(a, values) for a in formula.arguments))
