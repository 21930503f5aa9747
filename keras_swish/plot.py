"""Figures of activation functions and of their trained weights."""

import itertools
import math
import os
import pathlib
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_swish import catalogue, drawing
from keras_swish.callbacks import BetaLogger
from keras_swish.drawing import INK, PALETTE
from keras_swish.formulas import language
from keras_swish.formulas.derivative import derivative
from keras_swish.formulas.language import Formula, FormulaError
from keras_swish.keras_compat import ops
from keras_swish.layers import betas
from keras_swish.messages import unknown
from keras_swish.statistics import ActivationStatistics, SiteStatistics

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# As many activations have their names at the axis; more are numbered.
_MOST_NAMES = 40
# As many functions have their names within the panel; more below it.
_MOST_INSIDE = 6
# How many points of a function are drawn, and how many letters a line of its title has.
_POINTS, _TITLE = 401, 26
# What is wider than this is drawn on a logarithmic scale.
_WIDE = 100.0


def plot(identifiers: str | Sequence[str], low: float = -5.0, high: float = 5.0) -> "Figure":
    """Draws functions and their derivatives into one figure.

    Weights (beta) have their initial values.

    Args:
        identifiers: Names of `keras_swish.names()` and formulas; or one of them.
        low: Left end of the x axis.
        high: Right end of the x axis.

    Returns:
        A `matplotlib.figure.Figure`; `figure.savefig(path)` writes it.

    Raises:
        TypeError: If an identifier is no text.
        ValueError: If an identifier is neither a name nor a formula, or the range is empty.

    Example:
        >>> from keras_swish.plot import plot
        >>> figure = plot(["swish", "max(x, 0)"])
        >>> len(figure.axes)
        2
    """
    from matplotlib.figure import Figure

    if not -math.inf < low < high < math.inf:
        raise ValueError(
            f"`low` must be below `high`, and both finite. Received: low={low}, high={high}"
        )
    trees = {identifier: _tree(identifier) for identifier in _several(identifiers)}
    x = np.linspace(low, high, _POINTS)
    with drawing.style():
        figure = Figure(figsize=(8, 3.6), layout="constrained")
        panels = figure.subplots(1, 2)
        looks = itertools.cycle(itertools.product(("-", "--", ":"), PALETTE))
        for (name, (tree, beta)), (line, color) in zip(trees.items(), looks, strict=False):
            look = {"ls": line, "color": color, "label": _label(name, tree)}
            for panel, y in zip(panels, _function_and_slope(tree, beta, x), strict=True):
                panel.plot(x, y, **look)
        for panel, title in zip(panels, ("function", "derivative"), strict=True):
            _draw_zero(panel)
            panel.set(title=title, xlabel="x", xlim=(low, high))
        if len(trees) <= _MOST_INSIDE:
            panels[0].legend()
        else:
            figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center")
    return figure


def gallery(
    identifiers: str | Sequence[str] | None = None,
    titles: Sequence[str] | None = None,
    columns: int = 4,
) -> "Figure":
    """Draws a panel for each function: the function and its derivative.

    Args:
        identifiers: Names of `keras_swish.names()` and formulas, or one of them; by default the
            whole catalogue.
        titles: What stands above the panels; by default the identifiers.
        columns: How many panels stand side by side.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        TypeError: If an identifier is no text.
        ValueError: If an identifier is neither a name nor a formula, or there is none, or no
            column, or there are not as many titles.

    Example:
        >>> from keras_swish.plot import gallery
        >>> [panel.get_title() for panel in gallery(["swish", "cos(x) - x"]).axes]
        ['swish', 'cos(x) - x']
    """
    from matplotlib.figure import Figure

    identifiers = _several(catalogue.ENTRIES if identifiers is None else identifiers)
    if columns < 1:
        raise ValueError(f"`columns` must be 1 or more. Received: {columns}")
    titles = titles or identifiers
    if len(titles) != len(identifiers):
        raise ValueError(
            "Each panel needs a title. "
            f"Received: {len(titles)} titles, {len(identifiers)} functions"
        )
    trees = [_tree(identifier) for identifier in identifiers]
    columns = min(columns, len(identifiers))
    rows = -(-len(identifiers) // columns)
    x = np.linspace(-5, 5, _POINTS)
    with drawing.style():
        figure = Figure(figsize=(2.2 * columns, 2 * rows), layout="constrained")
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for panel, title, (tree, beta) in zip(panels, titles, trees, strict=False):
            _draw_zero(panel)
            y, slope = _function_and_slope(tree, beta, x)
            panel.plot(x, slope, color=PALETTE[1], lw=1, ls="--", label="derivative")
            panel.plot(x, y, color=PALETTE[0], ls="-", label="function")
            panel.set(ylim=(-4, 6), xlim=(-5, 5), xticks=[-4, 0, 4], yticks=[-4, 0, 4])
            panel.set_title(textwrap.fill(title, _TITLE), fontsize="small")
        for panel in panels[len(identifiers) :]:
            panel.set_axis_off()
        handles = panels[0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside lower center", ncols=2)
    return figure


def _draw_zero(panel: Any) -> None:
    panel.axhline(0, color=INK, alpha=0.5, lw=0.8, zorder=0)
    panel.axvline(0, color=INK, alpha=0.5, lw=0.8, zorder=0)


def plot_betas(source: keras.Model | BetaLogger, path: str | os.PathLike | None = None) -> "Figure":
    """Draws the weights of a model's activations: all of them, by layer, and over the epochs.

    A row of panels for each name of a weight: a formula may have `beta1` and `beta2`. In the
    second and third panel each column is one distribution, the darker the denser,
    with a dot at its median.

    Args:
        source: A model whose activations have weights, such as `Swish`; or the `BetaLogger` that
            recorded its training, for the panel with the epochs.
        path: Where to write the figure, if anywhere; the suffix gives the format.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: If the model has no such activation, or the logger has seen no epoch.

    Example:
        >>> import keras, keras_swish
        >>> model = keras.Sequential([keras.Input((3,)), keras_swish.Swish()])
        >>> figure = keras_swish.plot_betas(model)
        >>> len(figure.axes)
        2

    Source: Ramachandran et al. 2017, section 5: the betas that Mobile NASNet-A has learned.
    """
    from matplotlib.figure import Figure

    if isinstance(source, BetaLogger):
        epochs, history = source.epochs, source.history
        if not epochs:
            raise ValueError("The BetaLogger has seen no epoch: give it to `fit` first.")
    else:
        epochs, history = [], {p: [_array(v)] for p, v in betas(source).items()}
    names = list(dict.fromkeys(_weight_name(path) for path in history))
    columns = 3 if len(epochs) > 1 else 2
    with drawing.style():
        figure = Figure(figsize=(4 * columns, 3 * len(names)), layout="constrained")
        rows = figure.subplots(len(names), columns, squeeze=False)
        for name, row in zip(names, rows, strict=True):
            histories = [values for path, values in history.items() if _weight_name(path) == name]
            _draw_betas(row, name, histories, epochs)
    if path is not None:
        drawing.save(figure, pathlib.Path(path))
    return figure


def _draw_betas(panels: Any, name: str, history: list[list[np.ndarray]], epochs: list[int]) -> None:
    """Draws the panels of one weight; `history` has a list of arrays over time for each layer."""
    # Of a training that diverged, the rest is there to see.
    history = [[values[np.isfinite(values)] for values in layer] for layer in history]
    last = [values[-1].ravel() for values in history]
    times = [np.concatenate([v.ravel() for v in values]) for values in zip(*history, strict=True)]
    every = np.concatenate(times)
    if not every.size:
        raise ValueError(f"No weight {name} is finite.")
    low, high = np.quantile(every, [0.001, 0.999])
    margin = max(0.05 * (high - low), 0.05)
    bins = np.linspace(low - margin, high + margin, 61)
    panels[0].hist(np.clip(np.concatenate(last), bins[0], bins[-1]), bins, color=PALETTE[0])
    panels[0].set(xlabel=name, ylabel="number of weights", title="all layers")
    _draw_distributions(panels[1], range(1, len(last) + 1), last, bins[::2])
    panels[1].set(xlabel="layer, from the input on", ylabel=name, title="by layer")
    if len(epochs) > 1:
        _draw_distributions(panels[2], epochs, times, bins[::2])
        panels[2].set(xlabel="epoch", ylabel=name, title="all layers, over the epochs")


def _draw_distributions(
    panel: Any, x: Iterable[int], distributions: list[np.ndarray], bins: np.ndarray
) -> None:
    from matplotlib.colors import LinearSegmentedColormap, to_rgb
    from matplotlib.ticker import MaxNLocator

    x = np.array(list(x))
    heights = [np.histogram(np.clip(v, bins[0], bins[-1]), bins)[0] for v in distributions]
    heights = np.array([height / max(height.max(), 1) for height in heights])
    edges = np.append(x, x[-1] + 1) - 0.5
    # From transparent to the colour, so that it is read on a dark page, too.
    shades = LinearSegmentedColormap.from_list("shades", [(*to_rgb(PALETTE[0]), 0), PALETTE[0]])
    mesh = panel.pcolormesh(edges, bins, heights.T, cmap=shades, vmin=0, vmax=1, rasterized=True)
    mesh.set_edgecolor("none")
    medians = [np.median(v) if v.size else np.nan for v in distributions]
    panel.plot(x, medians, ".", color=PALETTE[1])
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def plot_statistics(
    statistics: ActivationStatistics, path: str | os.PathLike | None = None
) -> "Figure":
    """Draws the statistics of a model's activations by depth.

    Three panels: the shares of dead units, of dead inputs and of saturated ones; the inputs of
    each activation; its outputs. Of inputs and outputs there are mean, standard deviation (the dark
    band) and range (the light one).

    Args:
        statistics: What `keras_swish.activation_statistics` returned.
        path: Where to write the figure, if anywhere; the suffix gives the format.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: If no activation was observed.

    Example:
        >>> import keras, keras_swish
        >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, "relu")])
        >>> statistics = keras_swish.activation_statistics(model, keras.ops.ones((8, 3)))
        >>> len(keras_swish.plot_statistics(statistics).axes)
        3
    """
    from matplotlib.figure import Figure

    rows = statistics.rows
    if not rows:
        raise ValueError("Nothing to draw: no activation was observed.")
    with drawing.style():
        width = max(6.0, min(0.35 * len(rows) + 2, 14.0))
        figure = Figure(figsize=(width, 8.5), layout="constrained")
        _draw_statistics(figure.subplots(3, 1, sharex=True), rows)
    if path is not None:
        drawing.save(figure, pathlib.Path(path))
    return figure


def _draw_statistics(panels: Any, rows: Sequence[SiteStatistics]) -> None:
    from matplotlib.ticker import MaxNLocator

    depths = np.arange(1, len(rows) + 1)

    def of(name: str) -> np.ndarray:
        return np.array([getattr(row, name) for row in rows])

    # The widest line first: where all that is saturated is dead, one hides the other.
    for name, width in (("saturated", 6), ("dead_inputs", 2), ("dead_units", 1)):
        label = name.replace("_", " ")
        panels[0].plot(
            depths,
            100 * of(name),
            ls="-",
            marker="o",
            ms=width + 2,
            lw=width,
            alpha=0.6,
            label=label,
        )
    panels[0].set(ylabel="share in percent", ylim=(-4, 104))
    for panel, end in zip(panels[1:], ("input", "output"), strict=True):
        mean, std = of(f"{end}_mean"), of(f"{end}_std")
        low, high = of(f"{end}_min"), of(f"{end}_max")
        bar = {"color": PALETTE[0], "lw": 6}
        panel.axhline(0, color=INK, alpha=0.5, lw=0.8, zorder=0)
        panel.vlines(depths, low, high, alpha=0.25, label="range", **bar)
        ends = np.maximum(mean - std, low), np.minimum(mean + std, high)
        panel.vlines(depths, *ends, alpha=0.6, label="mean +- std", **bar)
        panel.plot(depths, mean, ls="", marker=".", color=PALETTE[1], label="mean")
        panel.set(ylabel=f"{end}s")
        panel.set_yscale("symlog" if np.abs([low, high]).max() > _WIDE else "linear")
    if len(rows) <= _MOST_NAMES:
        names = [f"{row.site}: {row.activation}" for row in rows]
        panels[2].set_xticks(depths, names, rotation=60, ha="right", fontsize="x-small")
    else:
        panels[2].xaxis.set_major_locator(MaxNLocator(integer=True))
        panels[2].set(xlabel="activation, from the input on")
    panels[2].set(xlim=(0.4, len(rows) + 0.6))
    for panel in panels:
        place = {"loc": "lower left", "bbox_to_anchor": (0, 1)}
        panel.legend(fontsize="x-small", ncols=3, **place)


def _weight_name(path: str) -> str:
    return path.rpartition("/")[2].partition(" ")[0]


def _array(variable: keras.Variable) -> np.ndarray:
    return ops.convert_to_numpy(variable)


def _several(identifiers: str | Iterable[str]) -> list[str]:
    is_one = isinstance(identifiers, str) or not isinstance(identifiers, Iterable)
    names = []
    for identifier in [identifiers] if is_one else identifiers:
        if not isinstance(identifier, str):
            raise TypeError(f"Names and formulas are text. Received: {identifier!r}")
        names.append(identifier.strip())
    if not names:
        raise ValueError("Nothing to draw: give at least one name or formula.")
    return names


def _tree(identifier: str) -> tuple[Formula, float | None]:
    entry = catalogue.ENTRIES.get(identifier)
    if entry is None and not language.is_formula(identifier):
        raise ValueError(unknown("activation", identifier, catalogue.ENTRIES))
    if entry is None:
        return language.parse(identifier), None
    return language.parse(entry.formula), entry.beta


def _function_and_slope(
    tree: Formula, beta: float | None, x: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    y = _values(tree, tree, beta, x)
    try:
        return y, _values(derivative(tree), tree, beta, x)
    except FormulaError:  # The language has no name for the derivative of sinc'.
        return y, np.gradient(y, x)


def _values(drawn: Formula, tree: Formula, beta: float | None, x: np.ndarray) -> np.ndarray:
    # SciPy is imported where a figure is drawn, and not by `import keras_swish`.
    from keras_swish.formulas import numeric

    weights = {
        name: language.initial_value(tree, name) if beta is None else beta
        for name in language.weights(drawn)
    }
    return np.broadcast_to(numeric.evaluate(drawn, {"x": x, **weights}), x.shape)


def _label(name: str, tree: Formula) -> str:
    return f"{name}: {tree}" if name in catalogue.ENTRIES else name
