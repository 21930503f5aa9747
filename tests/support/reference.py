"""The functions a second time, independent of our formulas, parser and operations.

`UNARY`, `BINARY` and `NAMED` are written from the paper's own words in NumPy, for float64;
`value` and `slope` evaluate the text of a formula with mpmath, by Python itself.
"""

import math

import mpmath
import numpy as np
from mpmath import mpf

erf = np.vectorize(math.erf)
EPS = 1e-7


def sigmoid(x):
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-x))


# beta stands for its value.
UNARY = {
    "x": lambda x, beta: x,
    "-x": lambda x, beta: -x,
    "|x|": lambda x, beta: np.abs(x),
    "x^2": lambda x, beta: x * x,
    "x^3": lambda x, beta: x * x * x,
    "sqrt(x)": lambda x, beta: np.sqrt(x),
    "beta*x": lambda x, beta: beta * x,
    "x+beta": lambda x, beta: x + beta,
    "log(|x|+eps)": lambda x, beta: np.log(np.abs(x) + EPS),
    "exp(x)": lambda x, beta: np.exp(x),
    "sin(x)": lambda x, beta: np.sin(x),
    "cos(x)": lambda x, beta: np.cos(x),
    "sinh(x)": lambda x, beta: (np.exp(x) - np.exp(-x)) / 2,
    "cosh(x)": lambda x, beta: (np.exp(x) + np.exp(-x)) / 2,
    "tanh(x)": lambda x, beta: np.tanh(x),
    "arcsinh(x)": lambda x, beta: np.arcsinh(x),
    "arctan(x)": lambda x, beta: np.arctan(x),
    "sinc(x)": lambda x, beta: np.sinc(x / np.pi),
    "max(x,0)": lambda x, beta: np.maximum(x, 0),
    "min(x,0)": lambda x, beta: np.minimum(x, 0),
    "sigmoid(x)": lambda x, beta: sigmoid(x),
    "log(1+exp(x))": lambda x, beta: np.logaddexp(0, x),
    "exp(-x^2)": lambda x, beta: np.exp(-x * x),
    "erf(x)": lambda x, beta: erf(x),
    "beta": lambda x, beta: beta + 0 * x,
}
BINARY = {
    "x1+x2": lambda a, b, beta: a + b,
    "x1*x2": lambda a, b, beta: a * b,
    "x1-x2": lambda a, b, beta: a - b,
    "x1/(x2+eps)": lambda a, b, beta: a / (b + EPS),
    "max(x1,x2)": lambda a, b, beta: np.maximum(a, b),
    "min(x1,x2)": lambda a, b, beta: np.minimum(a, b),
    "sigmoid(x1)*x2": lambda a, b, beta: sigmoid(a) * b,
    "exp(-beta*(x1-x2)^2)": lambda a, b, beta: np.exp(-beta * (a - b) ** 2),
    "exp(-beta*|x1-x2|)": lambda a, b, beta: np.exp(-beta * np.abs(a - b)),
    "beta*x1+(1-beta)*x2": lambda a, b, beta: beta * a + (1 - beta) * b,
}
NAMED = {
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "leaky_relu": lambda x: np.where(x < 0, 0.01 * x, x),
    "prelu": lambda x: np.where(x < 0, 0.25 * x, x),
    "softplus": lambda x: np.logaddexp(0, x),
    "elu": lambda x: np.where(x < 0, np.expm1(np.minimum(x, 0)), x),
    "selu": lambda x: (
        1.0507009873554805 * np.where(x < 0, 1.6732632423543772 * np.expm1(np.minimum(x, 0)), x)
    ),
    "gelu": lambda x: x * 0.5 * (1 + erf(x / np.sqrt(2))),
    "swish": lambda x: x * sigmoid(x),
    "swish_beta": lambda x: x * sigmoid(1.0 * x),
    "quick_gelu": lambda x: x * sigmoid(1.702 * x),
    "hard_swish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "mish": lambda x: x * np.tanh(np.logaddexp(0, x)),
    "telu": lambda x: x * np.tanh(np.exp(np.minimum(x, 10))),
    "squared_relu": lambda x: np.square(np.maximum(x, 0)),
    "snake": lambda x: x + np.sin(0.5 * x) ** 2 / 0.5,
    "max_sigmoid": lambda x: np.maximum(x, sigmoid(x)),
    "cos_minus_x": lambda x: np.cos(x) - x,
    "min_sin": lambda x: np.minimum(x, np.sin(x)),
    "arctan_squared_minus_x": lambda x: np.arctan(x) ** 2 - x,
    "max_tanh": lambda x: np.maximum(x, np.tanh(x)),
    "sinc_plus_x": lambda x: np.sinc(x / np.pi) + x,
    "x_arcsinh_squared": lambda x: x * np.arcsinh(x) ** 2,
}


def _sinc(x):
    return mpmath.sin(x) / x if x else mpf(1)


# Of exp(x), say, for a large x: the exponential of that has more digits than there is memory.
def _tanh(x):
    return mpmath.tanh(x) if abs(x) < 1e4 else mpmath.sign(x)


def _sigmoid(x):
    if x > 1e4:
        return mpf(1)
    return 1 / (1 + mpmath.exp(-x)) if x > -(mpf(10) ** 200) else mpf(0)


NAMES = {
    "__builtins__": {},
    "pi": mpmath.pi,
    "abs": abs,
    "sign": mpmath.sign,
    "step": lambda x: mpf(x > 0),
    "relu": lambda x: max(x, mpf(0)),
    "sqrt": mpmath.sqrt,
    "exp": mpmath.exp,
    "expm1": mpmath.expm1,
    "log": mpmath.log,
    "sin": mpmath.sin,
    "cos": mpmath.cos,
    "sinh": mpmath.sinh,
    "cosh": mpmath.cosh,
    "tanh": _tanh,
    "arcsinh": mpmath.asinh,
    "arctan": mpmath.atan,
    "sinc": _sinc,
    # Near 0 the difference has no digits left.
    "dsinc": lambda x: (mpmath.cos(x) - _sinc(x)) / x if abs(x) > 1e-10 else -x / 3,
    "sigmoid": _sigmoid,
    "softplus": lambda x: mpmath.log1p(mpmath.exp(x)),
    "erf": mpmath.erf,
    "max": max,
    "min": min,
    "where": lambda condition, a, b: a if condition > 0 else b,
}


def value(text: str, x: float, **weights: float) -> float:
    """The formula at x, to 50 digits, then rounded."""
    with mpmath.workdps(50):
        names = {name: mpf(weight) for name, weight in weights.items()}
        return float(eval(text, NAMES, {"x": mpf(float(x)), **names}))


def slope(text: str, x: float, **weights: float) -> float:
    """The derivative at x by differences, to more digits than a float has."""
    with mpmath.workdps(60):
        names = {name: mpf(weight) for name, weight in weights.items()}
        return float(mpmath.diff(lambda at: eval(text, NAMES, {"x": at, **names}), mpf(float(x))))
