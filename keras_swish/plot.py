"""Pictures of activation functions."""

from collections.abc import Sequence

import numpy as np
from keras import ops

from keras_swish import catalogue, formula
from keras_swish.derivative import derivative
from keras_swish.evaluate import evaluate
from keras_swish.registry import unknown


def plot(identifiers: Sequence[str], low: float = -5.0, high: float = 5.0):
    """Draws functions and their derivatives into one picture.

    Weights (beta) have their initial values.

    Args:
        identifiers: Names of `keras_swish.names()` and formulas; or one of them.
        low: Left end of the x axis.
        high: Right end of the x axis.

    Returns:
        A `matplotlib.figure.Figure`; `figure.savefig(path)` writes it.

    Raises:
        ValueError: If an identifier is neither a name nor a formula, or the range is empty.

    Example:
        >>> from keras_swish.plot import plot
        >>> figure = plot(["swish", "max(x, 0)"])
        >>> len(figure.axes)
        2
    """
    from matplotlib.figure import Figure

    if not low < high:
        raise ValueError(f"`low` must be below `high`. Received: low={low}, high={high}")
    if isinstance(identifiers, str):
        identifiers = [identifiers]
    if not identifiers:
        raise ValueError("Nothing to draw: give at least one name or formula.")
    trees = {identifier: _tree(identifier) for identifier in identifiers}
    figure = Figure(figsize=(10, 4), layout="constrained")
    panels = figure.subplots(1, 2)
    x = np.linspace(low, high, 1001, dtype="float32")
    for name, (tree, beta) in trees.items():
        for panel, drawn in zip(panels, (tree, derivative(tree)), strict=True):
            panel.plot(x, _values(drawn, tree, beta, x), label=_label(name, tree))
    for panel, title in zip(panels, ("function", "derivative"), strict=True):
        panel.axhline(0, color="0.7", lw=0.8, zorder=0)
        panel.axvline(0, color="0.7", lw=0.8, zorder=0)
        panel.set(title=title, xlabel="x", xlim=(low, high))
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].legend(fontsize="small", frameon=False)
    return figure


def gallery():
    """Draws every entry of the catalogue, a panel each: the function and its derivative."""
    from matplotlib.figure import Figure

    columns = 6
    rows = -(-len(catalogue.ENTRIES) // columns)
    figure = Figure(figsize=(2.4 * columns, 2.2 * rows), layout="constrained")
    panels = figure.subplots(rows, columns).ravel()
    x = np.linspace(-5, 5, 1001, dtype="float32")
    for panel, name in zip(panels, catalogue.ENTRIES, strict=False):
        tree, beta = _tree(name)
        panel.axhline(0, color="0.8", lw=0.8, zorder=0)
        panel.axvline(0, color="0.8", lw=0.8, zorder=0)
        slope = _values(derivative(tree), tree, beta, x)
        panel.plot(x, slope, color="tab:orange", lw=1, ls="--", label="derivative")
        panel.plot(x, _values(tree, tree, beta, x), color="tab:blue", label="function")
        panel.set(title=name, ylim=(-4, 6), xlim=(-5, 5), xticks=[-4, 0, 4], yticks=[-4, 0, 4])
        panel.title.set_fontsize("medium")
        panel.spines[["top", "right"]].set_visible(False)
    for panel in panels[len(catalogue.ENTRIES) :]:
        panel.set_axis_off()
    panels[0].legend(fontsize="x-small", frameon=False)
    return figure


def _tree(identifier: str):
    entry = catalogue.ENTRIES.get(identifier)
    if entry is None and not formula.is_formula(identifier):
        raise ValueError(unknown("activation", identifier, catalogue.ENTRIES))
    return formula.parse(entry.formula if entry else identifier), entry and entry.beta


def _values(drawn, tree, beta, x):
    weights = {
        name: formula.initial_value(tree, name) if beta is None else beta
        for name in formula.weights(drawn)
    }
    return ops.convert_to_numpy(evaluate(drawn, x, **weights))


def _label(name: str, tree) -> str:
    return f"{name}: {tree}" if name in catalogue.ENTRIES else name
