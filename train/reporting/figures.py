"""The figures of a comparison."""

import math
import pathlib
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_swish import drawing
from keras_swish.drawing import BASELINE, INK, PALETTE, WIDTH

from . import runs
from .runs import Row
from .verdicts import Verdict

# Of a run, as `runs.read_log` returns it.
Log = list[dict[str, float]]

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Panels side by side.
_COLUMNS = 3
# Axes are not stretched for what lies further out than this many times the usual distance.
_FAR = 4.0
# Curves nearer than this part of the axis lie under each other.
_SAME = 0.004


def label(activation: str, baselines: list[str]) -> str:
    """Returns the name of an activation as figures and tables have it.

    Example:
        >>> from keras_swish.train.reporting import figures
        >>> figures.label("relu", ["relu"]), figures.label("swish", ["relu"])
        ('relu (baseline)', 'swish')
    """
    return f"{activation} (baseline)" if activation in baselines else activation


def _wrapped(name: str, width: int = 28) -> str:
    """Returns a name in a few short lines, as long formulas would leave no room for the panel."""
    short = name if len(name) <= 3 * width else f"{name[: 3 * width - 3]}..."
    return textwrap.fill(short, width)


def differences(judged: dict[str, list[Verdict]], path: pathlib.Path) -> bool:
    """Draws the difference of each activation from the baselines, with its 95% interval.

    Args:
        judged: The comparisons on each network.
        path: The file.

    Returns:
        Whether there was anything to compare.
    """
    compared: dict[tuple[str, str], list[Verdict]] = {}
    for model, every in judged.items():
        for one in every:
            compared.setdefault((model, one.baseline), []).append(one)
    if not compared:
        return False
    several = len({model for model, _ in compared}) > 1
    heights = [0.27 * len(others) + 0.8 for others in compared.values()]
    with drawing.style():
        figure, panels = _figure(len(compared), 1, WIDTH, heights)
        for ((model, baseline), others), (panel,) in zip(compared.items(), panels, strict=True):
            _forest(panel, others)
            title = f"difference from {baseline}, points"
            panel.set_title(_wrapped(f"{model}: {title}" if several else title, 60))
    drawing.save(figure, path)
    return True


def _forest(panel: "Axes", others: list[Verdict]) -> None:
    """Draws one difference a line, the best at the top."""
    made = [one.outcome for one in others if one.outcome]
    order = sorted(others, key=lambda one: one.outcome.difference if one.outcome else -math.inf)
    ends = [abs(end) for one in made for end in (one.difference, one.low, one.high)]
    ends = [end for end in ends if math.isfinite(end)] or [1.0]
    limit = 1.1 * min(max(ends), _FAR * float(np.median(ends))) or 1.0
    panel.axvline(0, color=INK, lw=1)
    for height, one in enumerate(order):
        outcome = one.outcome
        if outcome is None:
            panel.text(0, height, " diverged", va="center", fontsize="small")
            continue
        color = PALETTE[0] if outcome.difference >= 0 else PALETTE[1]
        if math.isfinite(outcome.low):
            low, high = np.clip([outcome.low, outcome.high], -limit, limit)
            panel.plot([low, high], [height] * 2, color=color, lw=1.5, solid_capstyle="butt")
        place = float(np.clip(outcome.difference, -limit, limit))
        face = color if one.is_significant else "none"
        panel.plot(place, height, "o", ms=6, mec=color, mfc=face, mew=1.5)
        if place != outcome.difference:  # where it is, is out of sight
            is_left = place < 0
            text = f"\N{LEFTWARDS ARROW} {outcome.difference:.1f}"
            if not is_left:
                text = f"{outcome.difference:+.1f} \N{RIGHTWARDS ARROW}"
            side = "left" if is_left else "right"
            panel.text(place, height + 0.25, text, ha=side, fontsize="small")
    panel.set_yticks(range(len(order)), [_wrapped(one.name) for one in order])
    panel.set(ylim=(-0.6, len(order) - 0.4), xlim=(-limit * 1.05, limit * 1.05))
    panel.grid(axis="x")


def accuracies(rows: list[Row], baselines: int, path: pathlib.Path) -> None:
    """Draws the test accuracy of every run, a line for each activation, the best at the top."""
    by_model = runs.group(rows, "model")
    counts = [len(runs.group(model_rows, "activation")) for model_rows in by_model.values()]
    with drawing.style():
        figure, panels = _figure(len(by_model), 1, WIDTH, [0.27 * count + 0.8 for count in counts])
        for (model, model_rows), (panel,) in zip(by_model.items(), panels, strict=True):
            _runs(panel, runs.accuracies(model_rows), baselines)
            title = "test accuracy of each seed, %"
            panel.set_title(_wrapped(f"{model}: {title}" if len(by_model) > 1 else title, 60))
    drawing.save(figure, path)


def _runs(panel: "Axes", by_activation: dict[str, dict[int, float]], baselines: int) -> None:
    first = list(by_activation)[:baselines]
    finite = {
        name: [value for value in by_seed.values() if math.isfinite(value)]
        for name, by_seed in by_activation.items()
    }
    means = {name: float(np.mean(values)) for name, values in finite.items() if values}
    order = sorted(by_activation, key=lambda name: means.get(name, -math.inf))
    every = [value for values in finite.values() for value in values]
    low, high = _range(every)
    for height, name in enumerate(order):
        values = np.array(finite[name])
        color = BASELINE if name in first else PALETTE[0]
        if not len(values):
            panel.text(low, height, " diverged", va="center", fontsize="small")
            continue
        seen = values[values >= low]
        places = height + _jitter(seen, 0.012 * (high - low))
        panel.plot(seen, places, "o", ms=5, alpha=0.7, mew=0, color=color)
        if means[name] >= low:
            panel.plot([means[name]] * 2, [height - 0.32, height + 0.32], color=color, lw=2)
        notes = []
        if len(seen) < len(values):
            notes.append(f"{', '.join(f'{value:.1f}' for value in sorted(values[values < low]))}")
        lost = len(by_activation[name]) - len(values)
        notes += [f"{lost} diverged"] * bool(lost)
        if notes:
            text = f"\N{LEFTWARDS ARROW} {'; '.join(notes)}"
            panel.text(low, height, text, va="center", fontsize="small")
    for name in first:
        if name in means:
            panel.axvline(means[name], color=BASELINE, lw=1, zorder=0, ls="--")
    panel.set_yticks(range(len(order)), [_wrapped(label(name, first)) for name in order])
    margin = 0.03 * (high - low)
    panel.set(ylim=(-0.6, len(order) - 0.4), xlim=(low - margin, high + margin))
    panel.grid(axis="x")


def _range(values: list[float]) -> tuple[float, float]:
    """Returns the ends of an axis that what lies far below does not stretch."""
    if not values:
        return 0.0, 1.0
    high, middle = max(values), float(np.median(values))
    low = max(min(values), middle - _FAR * max(high - middle, 0.25))
    return low, max(high, low + 0.1)


def _jitter(values: np.ndarray, near: float) -> np.ndarray:
    """Returns how far to move each point up or down, so that equal ones are all seen."""
    order = np.argsort(values, kind="stable")
    groups = np.cumsum(np.diff(values[order], prepend=-np.inf) > near)
    offsets = np.zeros(len(values))
    for group in np.unique(groups):
        members = order[groups == group]
        offsets[members] = np.linspace(-1, 1, len(members)) * min(0.25, 0.08 * (len(members) - 1))
    return offsets


def curves(
    logs: dict[str, Log], rows: list[Row], column: str, scale: float, path: pathlib.Path
) -> bool:
    """Draws what the logs say over the epochs, a panel for each activation against the baseline.

    The axis shows what the last half of the epochs needs.

    Args:
        logs: The log of each run, by its folder.
        rows: The runs that count.
        column: Column of the logs.
        scale: What its values are multiplied with.
        path: The file.

    Returns:
        Whether there was anything to draw.
    """
    drawn = {}
    for model, model_rows in runs.group(rows, "model").items():
        values = {
            name: _values(logs, activation_rows, column, scale)
            for name, activation_rows in runs.group(model_rows, "activation").items()
        }
        if any(each.size for each in values.values()):
            drawn[model] = values
    if not drawn:
        return False
    lines = [
        (model, names[first : first + _COLUMNS])
        for model, logs in drawn.items()
        for names in [[*logs][1:] or [*logs]]
        for first in range(0, len(names), _COLUMNS)
    ]
    columns = max(len(names) for _, names in lines)
    with drawing.style():
        figure, panels = _figure(len(lines), columns, WIDTH / columns, [1.9] * len(lines))
        for (model, names), line in zip(lines, panels, strict=True):
            values = drawn[model]
            limits = _end(values)
            for panel in line[len(names) :]:
                panel.set_axis_off()
            for panel, name in zip(line, names, strict=False):
                _curve(panel, values, name, limits)
                title = f"{model}, {name}" if len(drawn) > 1 else name
                panel.set_title(_wrapped(title, 24), fontsize="small")
        figure.supxlabel("epoch", fontsize="medium")
    drawing.save(figure, path)
    return True


def _values(logs: dict[str, Log], rows: list[Row], column: str, scale: float) -> np.ndarray:
    """Returns the values of the runs that came to the end, `(runs, epochs)`."""
    ended = [logs[row["folder"]] for row in rows if row["status"] == "ok"]
    # Of a log that was damaged the rest may be there.
    length = max(map(len, ended), default=0)
    return np.array([[scale * row[column] for row in log] for log in ended if len(log) == length])


def _end(logs: dict[str, np.ndarray]) -> tuple[float, float]:
    """Returns the ends of the axis for what the last half of the epochs has."""
    ends = [log[:, log.shape[1] // 2 :].ravel() for log in logs.values() if log.size]
    values = np.concatenate(ends)
    middle = np.median([np.median(end) for end in ends])
    reach = _FAR * max(float(np.median(np.abs(values - middle))), 1e-3)
    low, high = max(values.min(), middle - reach), min(values.max(), middle + reach)
    margin = 0.05 * (high - low) or 1e-3
    return low - margin, high + margin


def _curve(
    panel: "Axes", logs: dict[str, np.ndarray], name: str, limits: tuple[float, float]
) -> None:
    from matplotlib.ticker import MaxNLocator

    baseline, *_ = logs
    panel.set_ylim(limits)
    for which, color in ((baseline, BASELINE), (name, PALETTE[0])):
        log = logs[which]
        if log.size:
            epochs = np.arange(1, log.shape[1] + 1)
            width = 2.5 if which == baseline else 1.5
            marker = "." if log.shape[1] < 2 else None
            panel.plot(epochs, log.mean(0), color=color, lw=width, marker=marker)
            panel.fill_between(epochs, log.min(0), log.max(0), color=color, alpha=0.2, lw=0)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    panel.grid()
    note = _note(logs, name, limits)
    if note:
        panel.text(0.97, 0.05, note, transform=panel.transAxes, ha="right", fontsize="small")


def _note(logs: dict[str, np.ndarray], name: str, limits: tuple[float, float]) -> str:
    """Returns what has to be said of a curve that cannot be seen."""
    log = logs[name]
    if not log.size:
        return "diverged"
    mean, (low, high) = log.mean(0), limits
    for other, others in logs.items():
        if other == name:
            break
        is_comparable = others.size and others.shape[1] == log.shape[1]
        if is_comparable and np.abs(others.mean(0) - mean).max() < _SAME * (high - low):
            return f"the same curve as {other}"
    if not ((mean >= low) & (mean <= high)).any():
        return f"out of sight: ends at {mean[-1]:.3g}"
    return ""


def inputs(images: np.ndarray, path: pathlib.Path) -> None:
    """Draws images as the network gets them, eight in a row.

    Args:
        images: `(n, height, width, channels)`, between 0 and 1, of one channel or three.
        path: The file.
    """
    rows = math.ceil(len(images) / 8)
    with drawing.style():
        figure, panels = _figure(rows, 8, 1, [1.0] * rows)
        for panel in panels.flat:
            panel.axis("off")
        for panel, image in zip(panels.flat, images, strict=False):
            panel.imshow(image, cmap="gray", vmin=0, vmax=1)
    drawing.save(figure, path)


def _figure(rows: int, columns: int, width: float, heights: list[float]) -> tuple["Figure", Any]:
    """Returns a figure and its panels, `(rows, columns)`, each of this width, in inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(columns * width, sum(heights)), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, height_ratios=heights)
