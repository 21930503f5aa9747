"""What a program of this package does before Keras is imported, which takes seconds.

Importing it changes nothing; `keras_swish/__init__.py` calls it first of all.
"""

import os
import pathlib
import signal
import sys
from types import FrameType


def end_quietly() -> None:
    """Lets Ctrl-C end a program of this package in one line while it is imported.

    In other processes nothing changes.
    """
    if _is_program() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def raise_again() -> None:
    """Lets Ctrl-C raise `KeyboardInterrupt` again: the program is imported."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _is_program() -> bool:
    """Whether this is the command `keras-swish`, or `python -m` with one of its modules."""
    if sys.argv[:1] == ["-m"]:  # as long as the module is looked for
        arguments = sys.orig_argv
        return arguments[arguments.index("-m") + 1].startswith(f"{__package__}.")
    return bool(sys.argv) and pathlib.Path(sys.argv[0]).stem == "keras-swish"


def _end(number: int, frame: FrameType | None) -> None:
    # An exception would become another one inside of TensorFlow's import, with a traceback.
    os.write(2, b"keras-swish: interrupted\n")
    os._exit(130)
