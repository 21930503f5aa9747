"""The command `keras-swish`: runs the program that its first argument names.

The table of programs is in `keras_swish_cli`, which can print it without importing Keras.
"""

import functools
import importlib
import sys
from collections.abc import Callable

import keras

from keras_swish.messages import unknown
from keras_swish.version import __version__
from keras_swish_cli import COMMANDS, HELP, help_text

from .app import main as app


def main() -> None:
    """Runs the program that the first argument names."""
    try:
        imported()()
    except KeyboardInterrupt:  # while the program is imported
        app.fail("interrupted", status=130)


def imported() -> Callable[[], None]:
    """Imports the program that the first argument names, and returns what runs it."""
    name, *arguments = sys.argv[1:] or ["--help"]
    if name in HELP:
        return lambda: app.print_text(help_text())
    if name == "--version":
        return lambda: print(f"keras-swish {__version__}")
    if name not in COMMANDS:
        sys.argv[0] = "keras-swish"
        return lambda: app.fail(unknown("command", name, COMMANDS))
    sys.argv = [f"keras-swish {name}", *arguments]
    program = importlib.import_module(f"keras_swish.train.{name}")
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        # Says on stderr what it has to say of GPUs now, while `keras_swish_cli` reads that.
        tf.config.list_physical_devices()
    return functools.partial(app.run, program.main, program.define_flags)


if __name__ == "__main__":
    main()
