"""What betas a comparison's networks have learned, as the paper shows those of Mobile NASNet-A."""

import pathlib
import sys
from typing import Any

import keras
import numpy as np

from keras_swish import catalogue, drawing, io, layers
from keras_swish.formulas import language
from keras_swish.keras_compat import ops
from keras_swish.messages import first_line

from ..trainer import trainer
from . import html
from .runs import Row

FIGURE = "betas.svg"
# What a run's folder keeps of its network: by variable, its values.
_VALUES = "betas.json"
# What lies further out is counted at the ends.
_ENDS = (0.002, 0.998)


def section(out: pathlib.Path, rows: list[Row]) -> str:
    """Draws the betas, and returns the section on them; empty where there are none.

    Args:
        out: Folder of the comparison.
        rows: The runs that count.
    """
    found: dict[str, list[dict[str, np.ndarray]]] = {}
    for row in rows:
        if row["status"] == "ok" and _has_betas(row["activation"]):
            values = _values(out / "runs" / row["folder"])
            if values:
                found.setdefault(f"{row['activation']}, {row['model']}", []).append(values)
    if not found:
        return ""
    _draw(found, out / FIGURE)
    facts = []
    for name, networks in found.items():
        every = np.concatenate([array for one in networks for array in one.values()])
        low, middle, high = np.quantile(every, [0.05, 0.5, 0.95])
        facts.append(
            f"* {html.code(name)}: {len(every):,} betas of {len(networks)} "
            f"{'run' if len(networks) == 1 else 'runs'}; 90% of them lie between {low:.2f} and "
            f"{high:.2f}, half below {middle:.2f}."
        )
    caption = (
        "All betas of all seeds at the end of training, and by layer their median and 90% of them; "
        "dashed at 1, where Swish is x sigmoid(x)."
    )
    return "\n\n".join(
        [
            "## Learned betas",
            html.figure(FIGURE, "distribution of the learned betas", caption),
            "\n".join(facts),
            "The paper reports betas between 0 and 1.5 with a peak near 1 for Mobile NASNet-A on "
            "ImageNet (section 5).",
        ]
    )


def _has_betas(activation: str) -> bool:
    entry = catalogue.ENTRIES.get(activation)
    try:
        return bool(language.weights(language.parse(entry.formula if entry else activation)))
    except ValueError:  # Keras's, a replacement, or a name from outside
        return False


def _values(directory: pathlib.Path) -> dict[str, np.ndarray]:
    """Returns the betas of a run: from its network, and after that from a small file."""
    file, kept_file = directory / trainer.MODEL, directory / _VALUES
    try:
        kept = io.read_json(kept_file)
    except io.DamagedFileError:  # it is written again
        kept = None
    if file.exists() and (kept is None or file.stat().st_mtime > kept_file.stat().st_mtime):
        try:
            model: Any = keras.models.load_model(file, compile=False)
        except Exception as error:  # of a damaged file it may be any
            reason = f"{file} cannot be read ({first_line(error)})"
            print(f"{reason}; the figure of betas is without it", file=sys.stderr, flush=True)
            return {}
        kept = {
            path: [float(f"{value:.6g}") for value in np.ravel(ops.convert_to_numpy(beta))]
            for path, beta in layers.betas(model).items()
        }
        io.write_json(kept_file, kept)
    return {path: np.array(values) for path, values in (kept or {}).items()}


def _draw(found: dict[str, list[dict[str, np.ndarray]]], path: pathlib.Path) -> None:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    with drawing.style():
        figure = Figure(figsize=(drawing.WIDTH, 2.5 * len(found)), layout="constrained")
        panels = figure.subplots(len(found), 2, squeeze=False)
        for (name, networks), (left, right) in zip(found.items(), panels, strict=True):
            all_seeds = zip(*(betas.values() for betas in networks), strict=True)
            by_layer = [np.concatenate(arrays) for arrays in all_seeds]
            every = np.concatenate(by_layer)
            low, high = np.quantile(every, _ENDS)
            low, high = min(low, 0.9), max(high, 1.1)
            bins = np.linspace(low, high, 61)
            left.hist(np.clip(every, low, high), bins, color=drawing.PALETTE[0])
            left.axvline(1, color=drawing.INK, lw=1, ls="--")
            left.set(title=name, xlabel="beta", ylabel="betas")
            depths = np.arange(1, len(by_layer) + 1)
            ends = np.array([np.quantile(values, [0.05, 0.5, 0.95]) for values in by_layer]).T
            right.vlines(depths, ends[0], ends[2], color=drawing.PALETTE[0], lw=2)
            right.plot(depths, ends[1], "o", ms=4, color=drawing.PALETTE[1])
            right.axhline(1, color=drawing.INK, lw=1, ls="--")
            right.set(title="by layer", xlabel="layer, from the input on", ylabel="beta")
            right.xaxis.set_major_locator(MaxNLocator(integer=True))
    drawing.save(figure, path)
