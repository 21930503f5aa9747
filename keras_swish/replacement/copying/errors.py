"""What is said where a layer cannot be copied."""

import re

from keras_swish.messages import first_line


class CannotCopyError(ValueError):
    """A layer that cannot be made a second time."""


def reason(error: Exception) -> str:
    """Returns what an error says, without what Keras writes around it."""
    while isinstance(error.__cause__, Exception):
        error = error.__cause__
    text = str(error.args[0]) if error.args else str(error)
    inner = re.split(r"Error encountered:\s+|Exception encountered:\s+|\x1b\[1m", text)[-1]
    return first_line(ValueError(re.sub(r"\x1b\[\d*m", "", inner)))
