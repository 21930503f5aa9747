"""Values and slopes of many candidates at once, in NumPy: for looking at them."""

import functools

import numpy as np

from keras_swish.formulas.derivative import derivative
from keras_swish.formulas.language import Formula, Number, names
from keras_swish.formulas.numeric import evaluate

# The primitives by role: "u" in x and beta, "b" in x1, x2 and beta.
Trees = dict[str, list[Formula]]
# The betas of a unit: those of u1, of u2 and of b.
SLOTS = 3


def candidate_values(
    trees: Trees, units: np.ndarray, grid: np.ndarray, betas: np.ndarray
) -> np.ndarray:
    """Computes candidates.

    Args:
        trees: The primitives.
        units: The choices of each unit of each candidate, `(candidates, units, 5)`.
        grid: Values of x, `(points,)`.
        betas: Values of the betas, `(candidates, sets, SLOTS * units, 1)`.

    Returns:
        Values of shape `(candidates, sets, points)`.
    """
    return _compute(trees, units, grid, betas, has_slopes=False)[0]


def candidate_values_and_slopes(
    trees: Trees, units: np.ndarray, grid: np.ndarray, betas: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Computes candidates and their derivatives, as `candidate_values` does."""
    return _compute(trees, units, grid, betas, has_slopes=True)


def _compute(
    trees: Trees, units: np.ndarray, grid: np.ndarray, betas: np.ndarray, has_slopes: bool
) -> tuple[np.ndarray, np.ndarray]:
    x = np.broadcast_to(grid, (len(units), betas.shape[1], len(grid)))
    values, slopes = [x], [np.ones_like(x)]
    reads_x = [reads(tree, "x") for tree in trees["u"]]
    for unit in range(units.shape[1]):
        input1, u1, input2, u2, b = units[:, unit].T
        beta1, beta2, beta3 = (betas[:, :, SLOTS * unit + slot] for slot in range(SLOTS))
        inputs = [{"x": _choose(input1, values), "beta": beta1}]
        inputs += [{"x": _choose(input2, values), "beta": beta2}]
        x1, x2 = (_by_choice(trees["u"], u, i) for u, i in zip((u1, u2), inputs, strict=True))
        arguments = {"x1": x1, "x2": x2, "beta": beta3}
        values.append(_by_choice(trees["b"], b, arguments))
        if not has_slopes:
            continue
        slope = np.zeros_like(x1)
        for name, source, u, argument in (
            ("x1", input1, u1, inputs[0]),
            ("x2", input2, u2, inputs[1]),
        ):
            inner = _product(
                _by_choice(_slopes(trees["u"], "x"), u, argument), _choose(source, slopes)
            )
            inner[[not reads_x[choice] for choice in u]] = 0.0
            with np.errstate(all="ignore"):
                slope = slope + _product(_by_choice(_slopes(trees["b"], name), b, arguments), inner)
        slopes.append(slope)
    return values[-1], slopes[-1]


def _choose(source: np.ndarray, arrays: list[np.ndarray]) -> np.ndarray:
    """Returns each row from the array that its source names."""
    if len(arrays) == 1:
        return arrays[0]
    chosen = np.empty_like(arrays[0])
    for number, array in enumerate(arrays):
        rows = source == number
        chosen[rows] = array[rows]
    return chosen


def _by_choice(
    trees: list[Formula], chosen: np.ndarray, inputs: dict[str, np.ndarray]
) -> np.ndarray:
    """Evaluates in each row the tree that is chosen there."""
    y = np.empty_like(next(iter(inputs.values())))
    for choice in np.unique(chosen):
        rows = chosen == choice
        y[rows] = evaluate(trees[choice], {name: array[rows] for name, array in inputs.items()})
    return y


def _slopes(trees: list[Formula], name: str) -> list[Formula]:
    return [_slope(tree, name) for tree in trees]


@functools.cache
def _slope(tree: Formula, name: str) -> Formula:
    return derivative(tree, name) if reads(tree, name) else Number(0.0)


@functools.cache
def reads(tree: Formula, name: str) -> bool:
    """Says whether a formula depends on a name."""
    return name in names(tree)


def _product(slope: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """Chain rule, a constant's slope of 0 staying 0 next to an infinite one."""
    with np.errstate(all="ignore"):
        return np.where(inner == 0, 0.0, slope * inner)
