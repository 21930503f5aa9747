r"""The betas that a trained network has learned, and the figure of the README.

    keras-swish cifar --dataset=fashion_mnist --image_size=14 --pad=2 \
        '--train_split=train[:12000]' --model=resnet20 --recipe=short --activation=swish_beta \
        --epochs=10 --batch_size=128 --out=runs/betas
    python benchmarks/learned_betas.py runs/betas --out results/learned_betas

writes betas.csv (a row a beta: the path of its weight, its channel, its value), betas.json (the
settings and the accuracy of the run), and figure.svg: ReLU and Swish, Swish over beta, and the
betas as a histogram. Without a folder the figure is drawn from betas.csv. The training needs
minutes on two cores.
"""

import csv
import json
import pathlib

import keras
import matplotlib
import numpy as np
import recording
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from keras_swish import activations, io
from keras_swish.layers import betas

# After Okabe and Ito, so that the colour-blind tell them apart; all have a contrast of 3 or more
# with white and with the dark of a page.
BLUE, ORANGE, GREEN, GREY = "#1f83c8", "#d55e00", "#009e73", "#787878"
STYLE = {
    "font.size": 10,
    "svg.fonttype": "none",
    "svg.hashsalt": "keras-swish",
    "axes.spines.top": False,
    "axes.spines.right": False,
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "axes.titlecolor"), GREY),
    **dict.fromkeys(("xtick.color", "ytick.color"), GREY),
}


def rows_of(run: pathlib.Path) -> list[dict]:
    """Returns the betas of the network of a finished run."""
    model = keras.saving.load_model(run / "model.keras")
    return [
        {"path": path, "channel": channel, "beta": float(value)}
        for path, variable in betas(model).items()
        for channel, value in enumerate(np.ravel(keras.ops.convert_to_numpy(variable)))
    ]


def draw(values: np.ndarray, network: str) -> Figure:
    """Returns the figure."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 3.0), layout="constrained")
        functions, over_beta, learned = figure.subplots(1, 3)
        _draw_functions(functions)
        _draw_over_beta(over_beta)
        learned.hist(values, 40, color=BLUE)
        learned.axvline(1, color=ORANGE, ls="--", lw=1.2)
        top = 1.15 * learned.get_ylim()[1]
        learned.text(1.01, top, "initial value", color=ORANGE, va="top")
        learned.set(
            title="Learned betas",
            xlabel=f"beta ({len(values)} channels of a {network})",
            ylabel="channels",
            ylim=(0, top),
        )
    return figure


def _draw_functions(panel: Axes) -> None:
    x = np.linspace(-5, 3, 321, dtype="float32")
    panel.plot(x, np.maximum(x, 0), color=ORANGE, lw=2, ls="--")
    panel.plot(x, _swish(x, 1.0), color=BLUE, lw=2)
    panel.text(1.3, 1.7, "ReLU", color=ORANGE, ha="right")
    panel.text(1.4, 0.7, "Swish", color=BLUE)
    panel.set(title="ReLU and Swish", xlabel="x", ylabel="f(x)")


def _draw_over_beta(panel: Axes) -> None:
    x = np.linspace(-5, 3, 321, dtype="float32")
    styles = {0.1: (GREEN, ":"), 1.0: (BLUE, "-"), 10.0: (ORANGE, "--")}
    for beta, (color, style) in styles.items():
        panel.plot(x, _swish(x, beta), color=color, ls=style, lw=2)
    panel.text(-2.4, -1.3, "beta = 0.1", color=GREEN, va="top")
    panel.text(-5, 0.15, "beta = 10", color=ORANGE)
    panel.text(-5, -0.25, "beta = 1", color=BLUE, va="top")
    panel.set(title="x * sigmoid(beta * x)", xlabel="x", ylabel="f(x)")


def _swish(x: np.ndarray, beta: float) -> np.ndarray:
    return keras.ops.convert_to_numpy(activations.swish(x, beta=beta))


def main() -> None:
    """Writes betas and figure."""
    parser = recording.parser(__doc__)
    parser.add_argument("run", nargs="?", type=pathlib.Path, help="folder of a finished run")
    arguments = parser.parse_args()
    out = arguments.out or pathlib.Path("results/learned_betas")
    if arguments.run:
        result = json.loads((arguments.run / "result.json").read_text())
        config = json.loads((arguments.run / "config.json").read_text())
        recording.write(out, "betas", rows_of(arguments.run), run=config, result=result)
    with open(out / "betas.csv", newline="") as file:
        values = np.array([float(row["beta"]) for row in csv.DictReader(file)])
    figure = draw(values, "ResNet-20")
    with io.atomic(out / "figure.svg") as temporary, matplotlib.rc_context(STYLE):
        figure.savefig(temporary, format="svg", transparent=True, metadata={"Date": None})
    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
    print(f"{len(values)} betas, median {middle:.2f}, nine of ten from {low:.2f} to {high:.2f}")


if __name__ == "__main__":
    main()
