"""The console command `keras-swish`, which is quiet and quick before Keras is imported.

It stands next to the package, because importing anything of `keras_swish` imports Keras, and with
it TensorFlow: seconds, during which a Ctrl-C may come, and a dozen lines on stderr.
"""

import contextlib
import glob
import importlib.util
import os
import pathlib
import re
import runpy
import signal
import sys
from collections.abc import Callable, Iterator

# Name of each program, which is that of its module in keras_swish.train, and what it does.
COMMANDS = {
    "compare": "train a network with each of several activations, and say which is better",
    "cifar": "train one network with one activation on small images",
    "finetune": "replace the activations of a trained network, and train it a little more",
    "report": "write the report of a comparison or a search again, finished or not",
    "imagenet": "train one network with one activation on images larger than memory",
    "evaluate": "test a trained network: top-1 and top-5 accuracy, loss",
    "export": "write a trained network for other runtimes",
    "models": "print the networks as a table: parameters, multiply-adds, published accuracy",
    "plot": "draw activations and their derivatives into one figure",
    "search": "search for activation functions with which a network learns best",
    "confirm": "train the best of a search again, next to ReLU and Swish, and say which is better",
    "prepare": "make Fashion-MNIST ready offline, from Debian's package",
}
HELP = ("--help", "-h", "help")

# What TensorFlow 2.19 to 2.21 write at every start, whatever is well.
_NOISE = (
    r"WARNING: All log messages before absl::InitializeLog\(\) is called are written to STDERR",
    r"\d{4}-\d\d-\d\d .*: I tensorflow/|\d{4}-\d\d-\d\d .*: I external/local_xla/",
    r"I0000 .*\b(cpu_feature_guard|port|service|dump_mlir_util)\.cc:",
    r"To enable the following instructions: .*, in other operations, rebuild TensorFlow with",
    r"[EW]0000 .*Unable to register cu\w+ factory: Attempting to register",
    r"[EW]0000 .*computation_placer\.cc:\d+\] computation placer already registered",
)
# Where there is no GPU, it is no error that none is found.
_NOISE_WITHOUT_GPU = (r".*failed call to cuInit: ", r".*cudart_stub\.cc:\d+\] ")
_GPUS = "/dev/nvidia[0-9]*"
# The last line for the process that reads them.
_END = b"\0\n"


def main() -> None:
    """Runs the program that the first argument names."""
    open_streams()
    name = (sys.argv[1:] or ["--help"])[0]
    try:
        if name in HELP:
            _print(help_text())
        elif name == "--version":
            print(f"keras-swish {_version()}")
        else:
            with without_noise():
                run = _imported()
            run()
    except KeyboardInterrupt:  # while it is imported
        print("keras-swish: interrupted", file=sys.stderr, flush=True)
        sys.exit(130)


def _imported() -> Callable[[], None]:
    """Returns what runs the program."""
    backend = os.environ.get("KERAS_BACKEND")
    try:
        import keras  # noqa: F401
    except (ImportError, ValueError) as error:
        if not backend:  # of Keras's own configuration file, which it knows better
            raise
        print(f"keras-swish: KERAS_BACKEND={backend} cannot be used ({error})", file=sys.stderr)
        sys.exit(2)
    from keras_swish.train import cli

    return cli.imported()


def help_text() -> str:
    """Returns the table of programs."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {summary}" for name, summary in COMMANDS.items()]
    return "\n".join(
        [
            "usage: keras-swish COMMAND [--flag=value ...]",
            "",
            "Commands:",
            *lines,
            "",
            "keras-swish COMMAND --help explains a command and its flags; each one also runs as",
            "python -m keras_swish.train.COMMAND.",
        ]
    )


def open_streams() -> None:
    """Opens what the program was started without, as by `>&-`, to print into nothing."""
    for name in ("stdin", "stdout", "stderr"):  # each gets the lowest descriptor, which is its own
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: SIM115


def _print(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:  # as of `head`: Python would try to write the rest at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _version() -> str:
    spec = importlib.util.find_spec("keras_swish")
    folders = spec.submodule_search_locations if spec else None
    assert folders, "the package is installed with this module"
    path = pathlib.Path(folders[0], "version.py")
    return runpy.run_path(str(path))["__version__"]


def noise(line: str, has_gpu: bool) -> bool:
    """Says whether a line is one that TensorFlow writes at every start.

    Example:
        >>> import keras_swish_cli
        >>> line = "E0000 00:00:1 2 cuda_platform.cc:52] failed call to cuInit: INTERNAL"
        >>> keras_swish_cli.noise(line, has_gpu=False), keras_swish_cli.noise(line, has_gpu=True)
        (True, False)
    """
    patterns = _NOISE if has_gpu else (*_NOISE, *_NOISE_WITHOUT_GPU)
    return any(re.match(pattern, line) for pattern in patterns)


@contextlib.contextmanager
def without_noise() -> Iterator[None]:
    """Keeps lines that TensorFlow writes at every start off stderr for as long as the block lasts.

    The native code writes to the file descriptor, some of it before it has read a level of
    logging. So a process of its own passes on all other lines: also the last words of a crash,
    which a thread of this process would take with it. Where the system has no `fork`, only the
    level is set. Whoever sets TF_CPP_MIN_LOG_LEVEL sees every line.
    """
    is_wanted = "TF_CPP_MIN_LOG_LEVEL" not in os.environ
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")  # later lines: warnings and errors
    if not is_wanted or not hasattr(os, "fork"):
        yield
        return
    sys.stdout.flush()
    sys.stderr.flush()
    reading, writing = os.pipe()
    child = os.fork()  # there is but one thread yet
    if not child:
        os.close(writing)
        _pass_on(reading)
    os.close(reading)
    terminal = os.dup(2)
    os.dup2(writing, 2)
    os.close(writing)
    try:
        yield
    finally:
        sys.stderr.flush()
        # Not the end of the pipe: a process that was started meanwhile may have it, too.
        os.write(2, _END)
        os.dup2(terminal, 2)
        os.close(terminal)
        os.waitpid(child, 0)


def _pass_on(reading: int) -> None:
    """Writes the lines of a pipe to stderr, but no noise; ends this process."""
    try:
        # Ctrl-C is meant for the program, whose last words are still to come.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        has_gpu = bool(glob.glob(_GPUS))
        with os.fdopen(reading, "rb") as lines:
            for line in iter(lines.readline, b""):
                if line.endswith(_END):
                    os.write(2, line.removesuffix(_END))
                    break
                if not noise(line.decode(errors="replace"), has_gpu):
                    os.write(2, line)
    finally:
        os._exit(0)


if __name__ == "__main__":
    main()
