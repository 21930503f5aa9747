"""Prints the networks as a table: parameters, multiply-adds, image size, the paper's accuracy.

Examples:
  keras-swish models
      every network that --model takes; builds them all, in a minute.
  keras-swish models "resnet*v2" mobilenet
      those whose names fit.

Parameters are the trainable ones, with ReLU (MobileNet: ReLU6), in millions; multiply-adds are
those of convolutions and dense layers for one image, in millions. Accuracies are those that the
Swish paper prints, in percent, on ImageNet or, for images of 32x32, on CIFAR-10; the median
where it prints three runs. Nothing in their columns was measured by this project.
"""

import fnmatch
import math
import statistics

import keras
from absl.flags import FlagValues

from keras_swish import models
from keras_swish.messages import unknown
from keras_swish.models import paper_accuracies

from .app import main as app
from .errors import UsageError

_ACTIVATIONS = {"relu": "ReLU", "swish": "Swish-1", "swish_beta": "Swish"}
_HEADER = ["network", "parameters, M", "multiply-adds, M", "image size"]
_HEADER += [f"paper: {title}" for title in _ACTIVATIONS.values()]


def row(name: str) -> list[str]:
    """Returns a network's row of the table.

    Example:
        >>> from keras_swish.train import models
        >>> models.row("resnet20")
        ['resnet20', '0.27', '41', '32x32', '', '', '']
    """
    keras.utils.clear_session()
    model = models.create(name)
    parameters = sum(math.prod(variable.shape) for variable in model.trainable_variables)
    accuracies = [paper_accuracies.accuracy(name, activation) for activation in _ACTIVATIONS]
    size = [side for side in model.input_shape[1:] if side != 3]
    return [
        name,
        f"{parameters / 1e6:.2f}",
        f"{models.multiply_adds(model) / 1e6:.0f}",
        "x".join(map(str, size)),
        *("" if runs is None else f"{statistics.median(runs):.1f}" for runs in accuracies),
    ]


def define_flags(flag_values: FlagValues) -> None:
    """Defines the flags of the program: it has none."""


def main(flag_values: FlagValues, patterns: list[str]) -> None:
    """Runs the program."""
    names = models.names()
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            raise UsageError(unknown("network", pattern, names))
    chosen = [
        name for name in names if not patterns or any(fnmatch.fnmatch(name, p) for p in patterns)
    ]
    widths = [max(map(len, [_HEADER[0], *chosen])), *map(len, _HEADER[1:])]
    rule = ["-" * width for width in widths]
    for cells in (_HEADER, rule):
        _print(cells, widths)
    for name in chosen:
        _print(row(name), widths)


def _print(cells: list[str], widths: list[int]) -> None:
    # One line at once: the large networks take seconds to build.
    print(f"| {' | '.join(map(str.ljust, cells, widths))} |", flush=True)


if __name__ == "__main__":
    app.run(main, define_flags)
