"""What can go wrong with a run, apart from a defect of ours."""

import contextlib
import signal
from collections.abc import Iterator


class UsageError(ValueError):
    """A command that cannot be followed; programs print this message as one line."""


class ArgumentError(UsageError):
    """An argument that cannot be used; programs name the flag, its value and this message.

    Attributes:
        argument: Name of the argument, which is that of the flag.
    """

    def __init__(self, argument: str, message: str) -> None:
        super().__init__(message)
        self.argument = argument

    def __reduce__(self) -> tuple:
        # So that it comes back from another process.
        return type(self), (self.argument, str(self))


class DivergedError(ArithmeticError):
    """The loss is no longer finite."""


class DataError(RuntimeError):
    """Too much of the data cannot be read."""


class HostLostError(RuntimeError):
    """Another machine of the same run is gone."""


class PreemptedError(Exception):
    """The machine is about to be taken away.

    Attributes:
        signal: Number of the signal that said so.
    """

    def __init__(self, message: str, signal: int = signal.SIGTERM) -> None:
        super().__init__(message, int(signal))
        self.signal = int(signal)

    def __str__(self) -> str:
        return self.args[0]


@contextlib.contextmanager
def as_argument_error(argument: str) -> Iterator[None]:
    """Turns a `ValueError` into one that names the argument."""
    try:
        yield
    except ArgumentError:
        raise
    except ValueError as error:
        raise ArgumentError(argument, str(error)) from error


@contextlib.contextmanager
def as_usage_error() -> Iterator[None]:
    """Turns a `ValueError` into one whose message programs print as one line."""
    try:
        yield
    except UsageError:
        raise
    except ValueError as error:
        raise UsageError(str(error)) from error
