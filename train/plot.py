"""Draws activations and their derivatives into one picture.

Examples:
  keras-swish plot swish relu max_sigmoid
      three functions of the catalogue, into activations.png.
  keras-swish plot swish "x * tanh(softplus(x))" --out=mine.svg --low=-8 --high=3
      a name beside a formula of your own; the suffix gives the format.
  keras-swish plot -- "-x" "cos(x) - x"
      what begins with a minus stands behind two of them.
  keras-swish plot
      the whole catalogue, a panel for each function.

Names are those of keras_swish.names(). Formulas have x, beta, numbers, + - * / ** and the
functions of keras_swish.formulas.primitives.FUNCTIONS; beta has its initial value.
"""

import pathlib

from absl import flags

from keras_swish import io
from keras_swish.plot import gallery, plot

from .app import program
from .errors import ArgumentError

LOW = flags.DEFINE_float("low", -5.0, "Left end of the x axis.")
HIGH = flags.DEFINE_float("high", 5.0, "Right end of the x axis.")


def main(identifiers: list[str]) -> None:
    """Runs the program."""
    out = pathlib.Path(program.FLAGS.out or "activations.png").expanduser()
    if out.exists():
        raise ArgumentError("out", f"{out} exists; choose another name")
    try:
        figure = plot(identifiers, LOW.value, HIGH.value) if identifiers else gallery()
    except ValueError as error:
        program.fail(str(error))
    try:
        with io.atomic(out) as temporary:
            figure.savefig(temporary, dpi=120)
    except (OSError, ValueError) as error:
        raise ArgumentError("out", str(error)) from error
    print(f"picture: {out}")


if __name__ == "__main__":
    program.run(main)
