"""Formulas as people write them: the names of known functions, and no needless terms."""

import functools
from typing import NamedTuple

import numpy as np

from keras_swish import catalogue
from keras_swish.formulas.language import (
    ONE,
    Call,
    Formula,
    initial_value,
    parse,
    substitute,
    weights,
)
from keras_swish.formulas.lowering import rewritten
from keras_swish.formulas.numeric import evaluate

# In the letters a and b for anything; "+", "*", max and min match in both orders.
_SIMPLER = {
    "max(a, a)": "a",
    "min(a, a)": "a",
    "max(a, max(a, b))": "max(a, b)",
    "min(a, min(a, b))": "min(a, b)",
    "max(a, 0)": "relu(a)",
    "log(1 + exp(a))": "softplus(a)",
    "-(-a)": "a",
    "a - -b": "a + b",
    "a + -b": "a - b",
    "a + a": "2 * a",
    "a * a": "a**2",
    "-a * -b": "a * b",
}
# Of a known function: which multiples of it have its name, too.
_FACTORS = (1.0, -1.0, 2.0, -2.0, 0.5, -0.5)
# Names that say no more than their formula: of these no multiple is named, nor what they are of -x.
_SPELT = {
    "max_sigmoid",
    "cos_minus_x",
    "min_sin",
    "arctan_squared_minus_x",
    "max_tanh",
    "sinc_plus_x",
    "x_arcsinh_squared",
}
# Where functions are compared, and how far apart one may lie, relative to its size.
_POINTS, _SETS, _TOLERANCE = 301, 3, 1e-9


class _Known(NamedTuple):
    """A function of the catalogue, of x or of -x, and its values."""

    text: str
    betas: tuple[float, ...]
    values: np.ndarray


def readable(formula: Formula | str) -> str:
    """Returns a formula as people write it: by its name, if it has one, or simplified.

    What it returns computes the same in float64 wherever it was compared, with several values of
    the weights, and its weights start from the same values. It is meant to be read: a multiple
    such as `2 * swish(x)` is no formula that `keras_swish.layer` takes.

    Args:
        formula: A formula in x and weights.

    Example:
        >>> from keras_swish.search.insight.naming import readable
        >>> readable("max(x, max(x, 0))"), readable("sigmoid(x) * x"), readable("-x - abs(x)")
        ('relu', 'swish', '-2 * relu(x)')
        >>> readable("sigmoid(beta1 * x) * (beta2 * x)"), readable("tanh(x) + tanh(x)")
        ('beta2 * swish_beta(x)', '2 * tanh(x)')
    """
    return _readable(str(formula))


@functools.lru_cache(maxsize=1 << 14)
def _readable(text: str) -> str:
    tree = parse(text)
    named = _named(tree)
    if named:
        return named
    simple = _simplified(tree)
    is_same = _betas(simple) == _betas(tree) and _close(_values(simple), _values(tree))
    return str(simple) if is_same else text


def _simplified(formula: Formula) -> Formula:
    if not isinstance(formula, Call):
        return formula
    call = Call(formula.function, tuple(map(_simplified, formula.arguments)))
    simpler = rewritten(call, _SIMPLER)
    return call if simpler == call else _simplified(simpler)


def _named(tree: Formula) -> str | None:
    """Returns the name of the function, or the multiple of one that it is, or None."""
    names, betas, values = weights(tree), _betas(tree), _values(tree)
    for known in _all_known():
        if known.betas == betas:
            factor = _factor(values, known.values)
            if factor is not None and (factor == 1 or known.text not in _SPELT):
                return _times(f"{factor:g}", known.text)
    # One of the weights may be a factor, as in beta * max(x, 0).
    for number, name in enumerate(names):
        rest = substitute(tree, {name: ONE})
        if betas[number] == 1 and _close(values, _drawn(names)[name] * _values(rest, names)):
            named = _named(rest)
            return _times(name, named) if named else None
    return None


def _times(factor: str, named: str) -> str:
    """Returns the text of a multiple of a named function."""
    if factor == "1":
        return named
    if named.isidentifier():
        named = f"{named}(x)"
    return f"-{named}" if factor == "-1" else f"{factor} * {named}"


def _factor(values: np.ndarray, known: np.ndarray) -> float | None:
    """Returns which simple multiple of a known function has these values, if one has."""
    place = np.abs(known).argmax()
    with np.errstate(all="ignore"):
        ratio = values.flat[place] / known.flat[place]
    for factor in _FACTORS:
        if abs(ratio - factor) < 1e-6 and _close(values, factor * known):
            return factor
    return None


def _close(a: np.ndarray, b: np.ndarray) -> bool:
    return np.allclose(a, b, rtol=_TOLERANCE, atol=1e-12, equal_nan=True)


def _betas(tree: Formula) -> tuple[float, ...]:
    return tuple(initial_value(tree, name) for name in weights(tree))


@functools.lru_cache
def _points() -> np.ndarray:
    return np.linspace(-12.0, 12.5, _POINTS)


def _drawn(names: list[str]) -> dict[str, np.ndarray]:
    """Returns values of weights, in the order of their names, `(sets, 1)` each."""
    values = np.random.default_rng(0).uniform(0.3, 1.7, (len(names), _SETS, 1))
    return dict(zip(names, values, strict=True))


def _values(tree: Formula, names: list[str] | None = None, sign: float = 1.0) -> np.ndarray:
    """Returns values `(sets, points)`; `names` are those of all weights that are drawn."""
    drawn = _drawn(weights(tree) if names is None else names)
    y = evaluate(tree, {"x": sign * _points(), **drawn})
    return np.broadcast_to(y, (_SETS, _POINTS))


@functools.lru_cache
def _all_known() -> list[_Known]:
    known = []
    for sign, argument in ((1.0, "x"), (-1.0, "-x")):
        for name, entry in catalogue.ENTRIES.items():
            if sign == -1 and name in _SPELT:
                continue
            tree = parse(entry.formula)
            betas = (entry.beta or 0.0,) * len(weights(tree))
            text = name if sign == 1 else f"{name}({argument})"
            known.append(_Known(text, betas, _values(tree, sign=sign)))
    return known
