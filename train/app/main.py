"""Runs a program: its flags, its help, and one line with an exit code for what went wrong.

A program is a module with a docstring, `define_flags` and `main`; the two get the `FlagValues` of
this one run. A user's mistake ends it with one line that names the flag, and exit code 2.
"""

import errno
import inspect
import math
import os
import pathlib
import re
import shlex
import sys
import textwrap
from collections.abc import Callable
from typing import NoReturn

from absl import flags, logging
from absl.flags import FlagValues

from keras_swish import io, startup
from keras_swish.messages import first_line, unknown
from keras_swish.search.executors import WorkerLostError, is_out_of_memory
from keras_swish_cli import open_streams

from ..errors import (
    ArgumentError,
    DataError,
    DivergedError,
    HostLostError,
    PreemptedError,
    UsageError,
)
from . import folder

_HELP = {"--help", "-help", "-h", "--helpshort", "--helpfull"}
# Flags of which programs say themselves what to name in them.
_LISTS = {"activations", "models", "replace"}


def run(main: Callable[..., None], define_flags: Callable[[FlagValues], None]) -> None:
    """Runs a program with the command line's flags, and says what went wrong.

    Args:
        main: The program. It gets the flags; where it has a second parameter, also the list of
            the arguments that are no flags.
        define_flags: Adds the flags that the program obeys.
    """
    script = pathlib.Path(sys.argv[0])
    if script.suffix == ".py":
        is_ours = script.resolve().parent == pathlib.Path(__file__).resolve().parent.parent
        sys.argv[0] = f"python {f'-m keras_swish.train.{script.stem}' if is_ours else script}"
    # TensorFlow Datasets reports every file that it opens.
    logging.set_verbosity(logging.WARNING)
    flag_values = FlagValues()
    define_flags(flag_values)
    startup.raise_again()
    open_streams()
    for stream in (sys.stdout, sys.stderr):
        # A path need not be UTF-8, nor the terminal know its letters.
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")
    if _HELP & set(sys.argv[1:]):
        print_text(help_text(main, flag_values))
        return
    try:
        takes_arguments = len(inspect.signature(main).parameters) > 1
        arguments = _parse(flag_values, takes_arguments)
        if "out" in flag_values:  # before any work
            folder.refuse_url("out", flag_values["out"].value)
        main(flag_values, *[arguments] * takes_arguments)
        sys.stdout.flush()
    except ArgumentError as error:
        fail(f"{_named(flag_values, error.argument)}: {error}")
    except UsageError as error:
        fail(str(error))
    except DivergedError as error:
        fail(f"{error}: try a lower --learning_rate or a longer --warmup_epochs", status=1)
    except KeyboardInterrupt:
        fail(f"interrupted{_how_to_resume(flag_values)}", status=130)
    except PreemptedError as error:
        fail(f"{error}{_how_to_resume(flag_values)}", status=128 + error.signal)
    except HostLostError as error:
        _print_error(f"{error}{_how_to_resume(flag_values)}, on all hosts")
        os._exit(1)  # without JAX's farewell, which waits for all hosts, and aborts
    except DataError as error:
        fail(str(error), status=1)
    except io.DamagedFileError as error:
        fail(f"{error}{_how_to_resume(flag_values)}")
    except WorkerLostError as error:
        fail(f"{str(error).rstrip('.')}{_how_to_resume(flag_values)}", status=1)
    except BrokenPipeError:
        _end_without_reader()
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            saved = f"{error.strerror}: nothing is lost that was saved"
            fail(f"{saved}{_how_to_resume(flag_values)}", status=1)
        path = error.filename2 or error.filename  # of two, the one that was to be
        if path is None:
            raise
        fail(f"{path}: {error.strerror}{_how_to_resume(flag_values)}", status=1)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        said = first_line(error).rstrip(".") if str(error) else "no memory is left"
        remedy = " (try a smaller --batch_size)" if "batch_size" in flag_values else ""
        fail(f"{said}{remedy}{_how_to_resume(flag_values)}", status=1)
    finally:
        folder.release_locks()


def _in_words(message: str) -> str:
    """Returns what absl says of a flag's value as this package says it."""
    message = re.sub(r"invalid literal for int.*: ('.*')", r"\1 is not a whole number", message)
    message = re.sub(r"could not convert string to float: ('.*')", r"\1 is not a number", message)
    return re.sub(r"^flag (--\S+=)", r"\1", message)


def _parse(flag_values: FlagValues, takes_arguments: bool) -> list[str]:
    """Parses the command line, and returns the arguments that are no flags."""
    try:
        _, *arguments = flag_values(sys.argv)
    except flags.UnrecognizedFlagError as error:
        valid = "those that --help lists" if len(flag_values) > 12 else None
        raise UsageError(unknown("flag", error.flagname, flag_values, valid)) from error
    except (flags.Error, ValueError) as error:  # of --noflip=true it is none of absl's
        raise UsageError(_in_words(str(error))) from error
    for name in flag_values:  # absl's bounds let nan through
        value = flag_values[name].value
        if isinstance(value, float) and not math.isfinite(value):
            raise ArgumentError(name, "is not a finite number")
        if isinstance(value, str) and not value.strip() and name not in _LISTS:
            raise ArgumentError(name, "is empty; leave the flag out for its default")
        if isinstance(value, str) and (missing := _missing_home(value)):
            raise ArgumentError(name, missing)
    for argument in arguments:
        if not argument.strip():
            raise UsageError("an argument is empty")
        if missing := _missing_home(argument):
            raise UsageError(f"{argument}: {missing}")
    if arguments and not takes_arguments:
        raise UsageError(f"unexpected argument {arguments[0]!r}: every setting is a --flag")
    return arguments


def _missing_home(path: str) -> str | None:
    """Returns why what a path begins with is the home folder of nobody; None where it is not."""
    try:
        pathlib.Path(path).expanduser()
    except RuntimeError:
        user = pathlib.Path(path).parts[0]
        return f"{user} is no home folder: there is no such user, or its home is not known"
    return None


def _named(flag_values: FlagValues, argument: str) -> str:
    """Returns the flag of an argument, with its value if it was given."""
    if argument not in flag_values:
        return argument
    flag = flag_values[argument]
    if not flag.present:  # a default may not be what the program took
        return f"--{argument}"
    value = ",".join(map(str, flag.value)) if isinstance(flag.value, list) else flag.value
    return f"--{argument}={value}"


def _how_to_resume(flag_values: FlagValues) -> str:
    # Of programs that do not train, it is a file.
    out = flag_values["out"].value if {"out", "seed"} <= set(flag_values) else None
    return f"; the same command with --out={shlex.quote(out)} resumes" if out else ""


def fail(message: str, status: int = 2) -> NoReturn:
    """Ends the program with one line on stderr."""
    _print_error(message)
    sys.exit(status)


def print_text(text: str) -> None:
    """Prints a text, which a pipe may not take to its end."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        _end_without_reader()


def _end_without_reader() -> NoReturn:
    """Ends the program in silence: what read its output, such as `head`, has enough."""
    # Python would try to write the rest at its end.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(128 + 13)  # SIGPIPE, which Windows has not


def _print_error(message: str) -> None:
    print(f"{sys.argv[0]}: {' '.join(message.split())}", file=sys.stderr, flush=True)


def help_text(main: Callable[..., None], flag_values: FlagValues) -> str:
    """Returns the help of a program: its module's docstring, and every flag."""
    lines = [(sys.modules[main.__module__].__doc__ or "").strip(), "", "Flags:"]
    for name in flag_values:
        flag = flag_values[name]
        default = "" if flag.default is None else f" (default: {flag.default_as_str})"
        lines.append(f"  --{name}{default}")
        indent = " " * 6
        lines += textwrap.wrap(flag.help, 88, initial_indent=indent, subsequent_indent=indent)
    return "\n".join(lines if len(flag_values) else lines[:1])
