"""Formulas in mpmath, evaluated by Python itself: independent of our reader and operations."""

import mpmath
from mpmath import mpf


def sinc(x):
    return mpmath.sin(x) / x if x else mpf(1)


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
    "tanh": mpmath.tanh,
    "arcsinh": mpmath.asinh,
    "arctan": mpmath.atan,
    "sinc": sinc,
    "dsinc": lambda x: (mpmath.cos(x) - sinc(x)) / x if x else mpf(0),
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
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
