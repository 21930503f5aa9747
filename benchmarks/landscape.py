"""Draws the landscape of a look-up benchmark: which shapes of functions train well.

    python benchmarks/landscape.py --out results/landscape
    python benchmarks/landscape.py --benchmark fashion_mnist_resnet56 --out results/study/landscape

Writes, of the reward of the first seed, which all functions have:

* landscape.svg: every function as a point, near to those of a like shape (t-SNE of the features by
  which the search's surrogate knows a function), coloured by its reward; Swish, ReLU and the
  functions that the paper found are marked;
* landscape.html: the same, with the formula and the reward under the pointer; it loads nothing;
* pairs.svg: the best reward of each pair of unary functions.

Trains nothing. A minute.
"""

import argparse
import html
import pathlib

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_hex
from matplotlib.figure import Figure
from sklearn.manifold import TSNE

from keras_swish import drawing, io
from keras_swish.search.algorithms.surrogate import shape_features
from keras_swish.search.benchmark import Benchmark, load
from keras_swish.train.reporting.paper_claims import FUNCTIONS

# Nobody asks which of the bad functions are worse.
LOWEST = 0.75
COLORS, DIVERGED = colormaps["viridis"], "#b0b0b0"
SIZE = 1000


def rewards(benchmark: Benchmark) -> np.ndarray:
    """Returns the reward of each function with the first seed."""
    key = benchmark.seeds[0], benchmark.epochs
    return np.array([function.trainings[key].reward for function in benchmark.functions])


def embedding(benchmark: Benchmark) -> np.ndarray:
    """Returns a place in the plane for each function, `(functions, 2)`, from 0 to 1."""
    features = shape_features(
        benchmark.space, [function.spellings[0] for function in benchmark.functions]
    )
    places = TSNE(init="pca", perplexity=40, random_state=0).fit_transform(features)
    low, high = places.min(axis=0), places.max(axis=0)
    return (places - low) / (high - low)


def marked(benchmark: Benchmark) -> dict[str, int]:
    """Returns the numbers of ReLU, Swish and the paper's functions, by name."""
    numbers = {}
    for name in FUNCTIONS:
        try:
            numbers[name] = benchmark.find(name).number
        except ValueError:  # of two core units
            continue
    return numbers


def colors(benchmark: Benchmark) -> list[str]:
    """Returns the colour of each function, as HTML writes it."""
    found = rewards(benchmark)
    scaled = np.clip((found - LOWEST) / (found.max() - LOWEST), 0, 1)
    key = benchmark.seeds[0], benchmark.epochs
    return [
        to_hex(COLORS(value)) if function.trainings[key].status == "ok" else DIVERGED
        for function, value in zip(benchmark.functions, scaled, strict=True)
    ]


def _sides(marks: dict[str, int], places: np.ndarray) -> dict[str, int]:
    """Returns on which side of its mark each name stands, 1 is right: where it covers least."""
    # Left, right, below and above, in parts of the figure.
    covered = [(x - 0.01, x + 0.01, y - 0.01, y + 0.01) for x, y in places[[*marks.values()]]]
    sides = {}
    for name, number in sorted(marks.items(), key=lambda item: -places[item[1], 1]):
        x, y = places[number]
        width, ways = 0.015 * len(name), {}
        for side in (1, -1):
            left, right = sorted((x + 0.015 * side, x + side * (0.015 + width)))
            box = left, right, y - 0.012, y + 0.012
            ways[side] = sum(_overlap(box, other) for other in covered), -side, box
        sides[name] = min(ways, key=ways.__getitem__)
        covered.append(ways[sides[name]][-1])
    return sides


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Returns the area that two boxes share."""
    width = min(one[1], other[1]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[2], other[2])
    return max(0.0, width) * max(0.0, height)


def _scale(benchmark: Benchmark) -> float:
    """Returns how many times as large as in a table of thousands the points are."""
    return float(np.clip(60 / np.sqrt(len(benchmark.functions)), 1, 2))


def draw(benchmark: Benchmark, places: np.ndarray, path: pathlib.Path) -> None:
    """Draws the landscape."""
    found = rewards(benchmark)
    order = np.argsort(found)
    figure = Figure((9, 8), layout="constrained")
    panel = figure.add_subplot()
    size, shown = 9 * _scale(benchmark) ** 2, np.array(colors(benchmark))
    panel.scatter(*places[order].T, c=shown[order], s=size, linewidths=0)
    marks = marked(benchmark)
    sides = _sides(marks, places)
    for name, number in marks.items():
        ring = {"mfc": "none", "mec": "#d55e00", "ms": 8 + _scale(benchmark), "mew": 1.5}
        panel.plot(*places[number], "o", zorder=5, **ring)
        panel.annotate(
            name,
            places[number],
            xytext=(8 * sides[name], 3),
            textcoords="offset points",
            ha="left" if sides[name] > 0 else "right",
            fontsize=9,
        )
    panel.set_axis_off()
    panel.set_title(f"{len(found)} functions, near to those of a like shape")
    scale = ScalarMappable(Normalize(LOWEST, found.max()), COLORS)
    bar = figure.colorbar(scale, ax=panel, shrink=0.6, extend="min")
    bar.set_label(f"validation accuracy with seed {benchmark.seeds[0]}; gray: diverged")
    drawing.save(figure, path)


def pairs(benchmark: Benchmark, path: pathlib.Path) -> None:
    """Draws the best reward of each pair of unary functions, whichever joins them."""
    found = rewards(benchmark)
    names = benchmark.space.primitives["u"]
    best = np.full((len(names), len(names)), np.nan)
    for function in benchmark.functions:
        for u1, u2, _ in function.spellings:
            best[u1, u2] = best[u2, u1] = np.nanmax([best[u1, u2], found[function.number]])
    # The most useful functions first.
    trained = np.flatnonzero(np.isfinite(best).any(axis=1))
    order = trained[np.argsort(-np.nanmedian(best[trained], axis=1))]
    figure = Figure((9, 8), layout="constrained")
    panel = figure.add_subplot()
    shown = panel.imshow(best[np.ix_(order, order)], cmap=COLORS, vmin=LOWEST)
    labels = [names[number] for number in order]
    panel.set_xticks(range(len(labels)), labels, rotation=90)
    panel.set_yticks(range(len(labels)), labels)
    panel.set_title(f"{len(found)} functions: the best of each pair, whichever function joins it")
    figure.colorbar(shown, shrink=0.6, extend="min").set_label(
        f"validation accuracy with seed {benchmark.seeds[0]}"
    )
    drawing.save(figure, path)


def page(benchmark: Benchmark, places: np.ndarray) -> str:
    """Returns the landscape as a page that shows each function under the pointer."""
    found = rewards(benchmark)
    shown, marks = colors(benchmark), marked(benchmark)
    sides, radius = _sides(marks, places), 4 * _scale(benchmark)
    circles = []
    for number in np.argsort(found):
        function, (x, y) = benchmark.functions[number], SIZE * places[number]
        name = "" if function.name == function.formula else f"{function.name}: "
        title = html.escape(f"{name}{function.formula}\n{found[number]:.4f}")
        circles.append(
            f'<circle cx="{x:.1f}" cy="{SIZE - y:.1f}" r="{radius:g}" fill="{shown[number]}">'
            f"<title>{title}</title></circle>"
        )
    for name, number in marks.items():
        x, y = SIZE * places[number]
        anchor = "start" if sides[name] > 0 else "end"
        circles.append(
            f'<circle class="mark" cx="{x:.1f}" cy="{SIZE - y:.1f}" r="{radius + 5:g}"/>'
        )
        circles.append(
            f'<text x="{x + 13 * sides[name]:.1f}" y="{SIZE - y:.1f}" text-anchor="{anchor}">'
            f"{html.escape(name)}</text>"
        )
    return _PAGE.format(
        count=len(found),
        name=benchmark.name,
        seed=benchmark.seeds[0],
        low=LOWEST,
        high=found.max(),
        view=f"-20 -20 {SIZE + 140} {SIZE + 40}",
        circles="\n".join(circles),
        gradient=", ".join(to_hex(COLORS(x)) for x in np.linspace(0, 1, 9)),
    )


_PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>The landscape of activation functions</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 1rem auto;
       padding: 0 1rem; }}
svg {{ width: 100%; height: auto; }}
circle:hover {{ stroke: currentColor; stroke-width: 3; }}
.mark {{ fill: none; stroke: #d55e00; stroke-width: 3; pointer-events: none; }}
text {{ font-size: 20px; fill: currentColor; pointer-events: none; paint-order: stroke;
        stroke: Canvas; stroke-width: 5px; }}
.bar {{ height: 1rem; background: linear-gradient(to right, {gradient}); }}
.ends {{ display: flex; justify-content: space-between; }}
#shown {{ min-height: 3em; font-family: ui-monospace, monospace; white-space: pre-wrap;
          overflow-wrap: anywhere; }}
</style>
<h1>The landscape of activation functions</h1>
<p>{count} functions, near to those of a like shape. Colours: validation accuracy with seed {seed}
in the table {name}. Point at, or tap, a function.</p>
<div class="bar"></div>
<div class="ends"><span>{low:.2f} or less (gray: diverged)</span><span>{high:.4f}</span></div>
<p id="shown"></p>
<svg viewBox="{view}" role="img" aria-label="functions by shape">
{circles}
</svg>
<script>
const shown = document.getElementById("shown");
const show = event => {{
  const title = event.target.querySelector && event.target.querySelector("title");
  if (title && event.target.tagName === "circle") shown.textContent = title.textContent;
}};
document.querySelector("svg").addEventListener("mouseover", show);
document.querySelector("svg").addEventListener("click", show);
</script>
</html>
"""


def main() -> None:
    """Writes the figures and the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--benchmark", default="fashion_mnist_resnet8")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder for the figures")
    arguments = parser.parse_args()
    try:
        benchmark = load(arguments.benchmark)
    except ValueError as error:
        parser.error(str(error))
    arguments.out.mkdir(parents=True, exist_ok=True)
    places = embedding(benchmark)
    with drawing.style():
        draw(benchmark, places, arguments.out / "landscape.svg")
        pairs(benchmark, arguments.out / "pairs.svg")
    io.write_text(arguments.out / "landscape.html", page(benchmark, places))
    print(f"{arguments.out}: landscape.svg, landscape.html, pairs.svg")


if __name__ == "__main__":
    main()
