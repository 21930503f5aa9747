"""The named activations, as data: a new one is one line."""

import dataclasses
import functools
from collections.abc import Callable

from keras import layers

from keras_swish import activations
from keras_swish.layers import Swish


@dataclasses.dataclass(frozen=True)
class Entry:
    """One named activation.

    Attributes:
        formula: What it computes, in the words of Python and of the paper.
        source: Who proposed it, and where this form stands.
        make: Called with a layer's keywords (`name`), gives a new layer.
    """

    formula: str
    source: str
    make: Callable[..., layers.Layer]


_PAPER = "Ramachandran et al. 2017, section 4"

ENTRIES: dict[str, Entry] = {
    "relu": Entry(
        "max(x, 0)",
        "Nair and Hinton 2010",
        functools.partial(layers.Activation, "relu"),
    ),
    # Keras's own function of this name has the slope 0.2; the paper compares with 0.01.
    "leaky_relu": Entry(
        "max(x, 0.01 * x)",
        "Maas et al. 2013; slope as in Ramachandran et al. 2017, section 5",
        functools.partial(layers.LeakyReLU, negative_slope=0.01),
    ),
    "swish": Entry(
        "x * sigmoid(x)",
        f"{_PAPER}, Swish-1",
        functools.partial(layers.Activation, activations.swish),
    ),
    "swish_beta": Entry("x * sigmoid(beta * x)", f"{_PAPER}, Swish", Swish),
}
