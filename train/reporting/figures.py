"""The figures of a comparison, and those of a search."""

import itertools
import math
import pathlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_swish import io

from . import runs
from .runs import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def curves(out: pathlib.Path, rows: list[Row], path: pathlib.Path) -> None:
    """Draws training loss and validation accuracy over the epochs: mean and range of the seeds."""
    from matplotlib.ticker import MaxNLocator

    models = list(dict.fromkeys(row["model"] for row in rows))
    activations = list(dict.fromkeys(row["activation"] for row in rows))
    figure, panels = _figure(len(models), 2, 10, max(4, 0.2 * len(activations) + 1))
    for model, (losses, scores) in zip(models, panels, strict=True):
        for activation, style in zip(activations, _styles(), strict=False):
            logs = [
                runs.read_log(out, row)
                for row in rows
                if (row["model"], row["activation"]) == (model, activation)
                and row["status"] == "ok"
            ]
            # Of a log that was damaged the rest may be there.
            length = max(map(len, logs), default=0)
            logs = [log for log in logs if length and len(log) == length]
            if not logs:
                continue
            label = f"{activation} ({len(logs)} seed{'s' if len(logs) > 1 else ''})"
            for panel, key, scale in ((losses, "loss", 1), (scores, "val_accuracy", 100)):
                drawn = np.array([[scale * row[key] for row in log] for log in logs])
                epochs = np.arange(1, drawn.shape[1] + 1)
                panel.plot(epochs, drawn.mean(0), label=label, **style)
                panel.fill_between(
                    epochs, drawn.min(0), drawn.max(0), color=style["color"], alpha=0.15, lw=0
                )
        losses.set(xlabel="epoch", ylabel="training loss (with penalty)", yscale="log", title=model)
        losses.yaxis.set_major_formatter("{x:g}")
        losses.yaxis.set_minor_formatter("{x:g}")
        scores.set(xlabel="epoch", ylabel="validation accuracy, %")
        if scores.lines:
            many = len(activations) > 6
            outside = {"loc": "center left", "bbox_to_anchor": (1, 0.5)} if many else {}
            scores.legend(title="mean and range", fontsize="small", **outside)
        for panel in (losses, scores):
            panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    _save(figure, path)


def accuracies(rows: list[Row], path: pathlib.Path) -> None:
    """Draws the test accuracy of every run, a line for each activation, the best at the top."""
    models = list(dict.fromkeys(row["model"] for row in rows))
    count = len({row["activation"] for row in rows})
    figure, panels = _figure(len(models), 1, 8, 0.3 * count + 1.2)
    for model, (panel,) in zip(models, panels, strict=True):
        by_activation = runs.accuracies([row for row in rows if row["model"] == model])
        baseline = next(iter(by_activation))
        finite = {
            name: [value for value in by_seed.values() if math.isfinite(value)]
            for name, by_seed in by_activation.items()
        }
        means = {name: float(np.mean(values)) for name, values in finite.items() if values}
        order = sorted(by_activation, key=lambda name: means.get(name, -math.inf))
        for height, name in enumerate(order):
            values = finite[name]
            panel.plot(values, [height] * len(values), "o", alpha=0.5, mew=0, color="C0")
            if name in means:
                panel.plot(means[name], height, "k|", ms=14)
        if baseline in means:
            panel.axvline(means[baseline], color="0.6", lw=1, zorder=0)
        panel.set_yticks(range(len(order)), order)
        panel.set_ylim(-0.6, len(order) - 0.4)
        panel.set(xlabel="test accuracy, %", title=f"{model}: each seed, and the mean")
    _save(figure, path)


def inputs(images: np.ndarray, path: pathlib.Path) -> None:
    """Draws images as the network gets them, eight in a row.

    Args:
        images: `(n, height, width, channels)`, between 0 and 1, of one channel or three.
        path: The file.
    """
    rows = math.ceil(len(images) / 8)
    figure, panels = _figure(rows, 8, 8, 1)
    for panel in panels.flat:
        panel.axis("off")
    for panel, image in zip(panels.flat, images, strict=False):
        panel.imshow(image, cmap="gray", vmin=0, vmax=1)
    _save(figure, path)


def progress(rewards: dict[str, list[float]], lines: dict[str, float], path: pathlib.Path) -> None:
    """Draws the best reward over the number of candidates tried, a line for each algorithm.

    Args:
        rewards: By algorithm, the first reward of each candidate, in the order of their training.
        lines: Rewards to mark, by the function that has them.
        path: The file.
    """
    figure, ((panel,),) = _figure(1, 1, 8, 4)
    for (algorithm, values), style in zip(rewards.items(), _styles(), strict=False):
        tried = np.arange(1, len(values) + 1)
        best = np.maximum.accumulate(values)
        label = f"{len(values)} candidates of {algorithm}"
        panel.plot(tried, best, label=label, **{**style, "marker": None}, drawstyle="steps-post")
        panel.plot(tried[-1], best[-1], "o", ms=4, color=style["color"])
    _mark(panel.axhline, lines)
    panel.set(xlabel="different candidates tried", ylabel="best reward of a first training")
    _legend(panel, "lower right")
    _save(figure, path)


def rewards(values: list[float], lines: dict[str, float], path: pathlib.Path) -> None:
    """Draws how many candidates have which reward.

    Args:
        values: The mean reward of each candidate.
        lines: As for `progress`.
        path: The file.
    """
    figure, ((panel,),) = _figure(1, 1, 8, 4)
    panel.hist(values, bins=min(60, max(10, len(values) // 10)), color="0.6")
    _mark(panel.axvline, lines)
    panel.set(xlabel="mean reward", ylabel="candidates", yscale="symlog")
    panel.yaxis.set_major_formatter("{x:g}")
    if lines:
        _legend(panel, "upper center")
    _save(figure, path)


def predicted(found: np.ndarray, believed: np.ndarray, path: pathlib.Path) -> None:
    """Draws what a surrogate predicts over what was found: of all, and of the best quarter.

    Args:
        found: The rewards, `(n,)`.
        believed: What is predicted of each, `(n,)`.
        path: The file.
    """
    figure, ((whole, upper),) = _figure(1, 2, 10, 5)
    for panel, title in ((whole, "all"), (upper, "the best quarter")):
        panel.plot([found.min(), found.max()], [found.min(), found.max()], color="0.6", lw=1)
        panel.plot(found, believed, "o", ms=3, alpha=0.4, mew=0)
        panel.set(title=title, xlabel="reward found", ylabel="reward predicted from all others")
    least, most = np.quantile(found, 0.75), found.max()
    best, margin = believed[found >= least], 0.05 * (most - least)
    if margin:
        upper.set_xlim(least - margin, most + margin)
        upper.set_ylim(np.quantile(best, 0.02) - margin, best.max() + margin)
    _save(figure, path)


def _mark(draw: Callable[..., Any], lines: dict[str, float]) -> None:
    for (name, value), line in zip(lines.items(), itertools.cycle(("-", "--", ":"))):
        draw(value, color="k", ls=line, lw=1, label=name)


def _legend(panel: "Axes", location: Any) -> None:
    for text in panel.legend(fontsize="small", loc=location).get_texts():
        text.set_parse_math(False)  # a name from outside may have dollars


def _figure(rows: int, columns: int, width: float, height: float) -> tuple["Figure", np.ndarray]:
    """Returns a figure and its panels, `(rows, columns)`; its height is that of one row."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, rows * height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def _styles() -> Iterator[dict[str, Any]]:
    """Yields ten colours, and then the same ones with other lines."""
    for line, color in itertools.cycle(itertools.product(("-", "--", ":"), range(10))):
        yield {"linestyle": line, "color": f"C{color}", "marker": ".", "markersize": 4}


def _save(figure: "Figure", path: pathlib.Path) -> None:
    for panel in figure.axes:
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    with io.atomic(path) as temporary:
        figure.savefig(temporary, dpi=120)
