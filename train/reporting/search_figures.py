"""The figures of a search."""

import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from keras_swish import drawing
from keras_swish.drawing import BASELINE, INK, PALETTE, WIDTH

# References are told apart by their lines, too.
_LINES = ("-", "--", ":", "-.")


def progress(rewards: dict[str, list[float]], lines: dict[str, float], path: pathlib.Path) -> None:
    """Draws the reward of each candidate, and the best so far, a panel for each algorithm.

    Args:
        rewards: By algorithm, the first reward of each candidate, in the order of their training.
        lines: Rewards to mark, by the function that has them.
        path: The file.
    """
    from matplotlib.figure import Figure

    every = np.concatenate([np.array(values) for values in rewards.values()])
    low, high = upper_range(every, [*lines.values()])
    with drawing.style():
        figure = Figure(figsize=(WIDTH, 0.6 + 2.2 * len(rewards)), layout="constrained")
        panels = figure.subplots(len(rewards), 1, squeeze=False, sharex=True)[:, 0]
        for (algorithm, values), panel in zip(rewards.items(), panels, strict=True):
            tried = np.arange(1, len(values) + 1)
            panel.plot(tried, values, "o", ms=2.5, mew=0, alpha=0.5, color=BASELINE)
            best = np.maximum.accumulate(values)
            panel.plot(tried, best, color=PALETTE[0], drawstyle="steps-post", lw=2)
            panel.set(ylim=(low, high), ylabel="first reward")
            panel.set_title(f"{algorithm}: {len(values)} candidates")
            _mark(panel.axhline, lines)
            panel.grid(axis="y")
        panels[-1].set_xlabel("candidates tried")
        if lines:
            panels[0].legend(loc="lower right", ncols=len(lines))
    drawing.save(figure, path)


def rewards(values: list[float], lines: dict[str, float], path: pathlib.Path) -> None:
    """Draws how many candidates have which reward: of all, and of the upper ones.

    Args:
        values: The mean reward of each candidate.
        lines: As for `progress`.
        path: The file.
    """
    from matplotlib.figure import Figure

    with drawing.style():
        figure = Figure(figsize=(WIDTH, 2.6), layout="constrained")
        whole, upper = figure.subplots(1, 2, width_ratios=(1, 2))
        low, high = upper_range(np.array(values), [*lines.values()])
        whole.hist(values, bins=30, color=BASELINE)
        whole.set(title="all candidates", xlabel="mean reward", ylabel="candidates")
        inside = [value for value in values if value >= low]
        bins = min(50, max(10, len(inside) // 8))
        upper.hist(inside, bins=bins, range=(low, high), color=BASELINE)
        upper.set(xlabel="mean reward", xlim=(low, high))
        upper.set_title(f"the upper {len(inside)} of {len(values)}")
        _mark(upper.axvline, lines)
        if lines:
            upper.legend(loc="upper left")
        for panel in (whole, upper):
            panel.grid(axis="y")
    drawing.save(figure, path)


def upper_range(values: np.ndarray, marked: Sequence[float]) -> tuple[float, float]:
    """Returns the ends of an axis for the better half of rewards, and those that are marked.

    Example:
        >>> import numpy as np
        >>> from keras_swish.train.reporting import search_figures
        >>> low, high = search_figures.upper_range(np.array([0.0, 0.8, 0.84, 0.85]), [0.83])
        >>> round(low, 2), round(high, 2)
        (0.82, 0.85)
    """
    high = float(max([values.max(), *marked]))
    low = float(min([np.median(values), *marked]))
    margin = 0.05 * (high - low) or 1e-3
    return low - margin, high + margin


def predicted(found: np.ndarray, believed: np.ndarray, path: pathlib.Path) -> None:
    """Draws what a surrogate predicts over what was found: of all, and of the best quarter.

    Args:
        found: The rewards, `(n,)`.
        believed: What is predicted of each, `(n,)`.
        path: The file.
    """
    from matplotlib.figure import Figure

    with drawing.style():
        figure = Figure(figsize=(WIDTH, 3), layout="constrained")
        whole, upper = figure.subplots(1, 2)
        for panel, title in ((whole, "all"), (upper, "the best quarter")):
            ends = [found.min(), found.max()]
            panel.plot(ends, ends, color=INK, lw=1)
            panel.plot(found, believed, "o", ms=3, alpha=0.5, mew=0, color=PALETTE[0])
            panel.set(title=title, xlabel="reward found", ylabel="reward predicted")
            panel.locator_params("x", nbins=4)
            panel.grid()
        least, most = np.quantile(found, 0.75), found.max()
        best, margin = believed[found >= least], 0.05 * (most - least)
        if margin:
            upper.set_xlim(least - margin, most + margin)
            upper.set_ylim(np.quantile(best, 0.02) - margin, best.max() + margin)
    drawing.save(figure, path)


def _mark(draw: Callable[..., Any], lines: dict[str, float]) -> None:
    colors = PALETTE[1:]
    for number, (name, value) in enumerate(lines.items()):
        style = {"color": colors[number % len(colors)], "ls": _LINES[number % len(_LINES)]}
        draw(value, lw=1.5, label=name, **style)
