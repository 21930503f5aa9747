"""Draws activations and their derivatives into one figure, or the betas that a network learned.

Examples:
  keras-swish plot swish relu max_sigmoid
      three functions of the catalogue, into activations.svg.
  keras-swish plot swish "x * tanh(softplus(x))" --out=mine.png --low=-8 --high=3
      a name next to a formula of your own; the suffix gives the format.
  keras-swish plot -- "-x" "cos(x) - x"
      arguments that begin with a minus stand behind two of them.
  keras-swish plot
      the whole catalogue, a panel for each function.
  keras-swish plot runs/mine --out=betas.svg
      the trained betas of the network in a run's folder; or in any .keras file.

Names are those of keras_swish.names(). Formulas have x, beta, numbers, + - * / ** and the
functions of keras_swish.formulas.primitives.FUNCTIONS; beta has its initial value.
"""

import pathlib

from absl import flags
from absl.flags import FlagValues

from keras_swish import drawing
from keras_swish.plot import gallery, plot, plot_betas

from .app import main as app
from .app import networks
from .errors import ArgumentError, as_usage_error
from .trainer import trainer


def define_flags(flag_values: FlagValues) -> None:
    """Defines the flags of the program."""
    flags.DEFINE_string("out", "activations.svg", "File for the figure.", flag_values)
    flags.DEFINE_float("low", -5.0, "Left end of the x axis.", flag_values=flag_values)
    flags.DEFINE_float("high", 5.0, "Right end of the x axis.", flag_values=flag_values)


def main(flag_values: FlagValues, identifiers: list[str]) -> None:
    """Runs the program."""
    with as_usage_error():
        low, high = flag_values.low, flag_values.high
        is_plot = bool(identifiers) and not _network(identifiers[0])
        for flag in ("low", "high"):
            if flag_values[flag].present and not is_plot:
                raise ArgumentError(flag, "is for a figure of activations that are named")
        if len(identifiers) == 1 and (model := _network(identifiers[0])):
            figure = plot_betas(networks.load(model))
        else:
            figure = plot(identifiers, low, high) if identifiers else gallery()
    out = pathlib.Path(flag_values.out).expanduser()
    if out.exists():
        raise ArgumentError("out", f"{out} exists; choose another name")
    if not out.parent.is_dir():
        raise ArgumentError("out", f"there is no folder {out.parent}; make it first")
    try:
        drawing.save(figure, out)
    except (OSError, ValueError) as error:
        raise ArgumentError("out", str(error)) from error
    print(f"figure: {out}")


def _network(argument: str) -> pathlib.Path | None:
    """Returns the file of a trained network that an argument names, if it does."""
    path = pathlib.Path(argument).expanduser()
    path = path / trainer.MODEL if path.is_dir() else path
    return path if path.suffix == ".keras" and path.is_file() else None


if __name__ == "__main__":
    app.run(main, define_flags)
