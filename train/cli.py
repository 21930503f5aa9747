"""The command `keras-swish`: a table of programs."""

import importlib
import sys

from keras_swish.messages import unknown
from keras_swish.version import __version__

from .app import main as app

# Name of the program, which is that of its module, and what it does.
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


def main() -> None:
    """Runs the program that the first argument names."""
    try:
        _run()
    except KeyboardInterrupt:  # while the program is imported
        app.fail("interrupted", status=130)


def _run() -> None:
    name, *arguments = sys.argv[1:] or ["--help"]
    if name in ("--help", "-h", "help"):
        app.print_text(_help())
    elif name == "--version":
        print(f"keras-swish {__version__}")
    elif name in COMMANDS:
        sys.argv = [f"keras-swish {name}", *arguments]
        program = importlib.import_module(f"keras_swish.train.{name}")
        app.run(program.main, program.define_flags)
    else:
        sys.argv[0] = "keras-swish"
        app.fail(unknown("command", name, COMMANDS))


def _help() -> str:
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


if __name__ == "__main__":
    main()
