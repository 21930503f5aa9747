"""The named activation functions without weights, tensor to tensor.

One for each entry of the catalogue without a weight: `swish` is written out, as its beta may be
given; `relu` and `relu6` are Keras's; the others compute the entry's formula, those that
`keras_swish.register` adds too.
"""

import math
import numbers
from collections.abc import Callable
from typing import Any

import keras

from keras_swish import catalogue
from keras_swish.elementwise.operation import apply_formula
from keras_swish.formulas.language import parse

_SWISH = parse(catalogue.ENTRIES["swish"].formula)
_SWISH_BETA = parse(catalogue.ENTRIES["swish_beta"].formula)


@keras.saving.register_keras_serializable(package="keras_swish")
def swish(x: Any, beta: Any = 1.0) -> Any:
    """Returns Swish of x, `x * sigmoid(beta * x)`.

    With `beta=1` it is what Keras calls `silu`; `beta=0` gives the linear function
    `x / 2`, and as `beta` grows Swish tends to ReLU.

    Args:
        x: Tensor of a float dtype, of any shape; a symbolic one goes through a layer, with a
            number as beta.
        beta: A number, or a tensor that broadcasts to the shape of `x`.

    Returns:
        A tensor with the shape and dtype of `x`.

    Example:
        >>> import keras_swish
        >>> y = keras_swish.activations.swish([-1.0, 0.0, 2.0])
        >>> [round(float(v), 4) for v in y]
        [-0.2689, 0.0, 1.7616]

    Source: Ramachandran et al. 2017, section 4.
    """
    is_number = isinstance(beta, numbers.Real)
    if is_number and isinstance(x, keras.KerasTensor):
        if not math.isfinite(beta):
            raise ValueError(f"`beta` of a symbolic x must be finite. Received: beta={beta}")
        # By its formula, which files have, too: Keras knows those.
        function = swish if beta == 1 else f"x * sigmoid({float(beta)!r} * x)"
        return keras.layers.Activation(function)(x)
    if is_number and beta == 1:
        return apply_formula(_SWISH, x)
    return apply_formula(_SWISH_BETA, x, beta=beta)


def _from_catalogue(name: str, entry: catalogue.Entry) -> Callable[[Any], Any]:
    if entry.is_keras_function:
        return getattr(keras.activations, name)
    tree = parse(entry.formula)

    def activation(x: Any) -> Any:
        if isinstance(x, keras.KerasTensor):
            return keras.layers.Activation(activation)(x)
        return apply_formula(tree, x)

    activation.__name__ = activation.__qualname__ = name
    activation.__doc__ = f"""`{entry.formula}`.

    Args:
        x: Tensor of a float dtype, of any shape.

    Returns:
        A tensor with the shape and dtype of `x`.

    Source: {entry.source}.
    """
    # A user's may have the name of a class of ours, by which files find that.
    package = "keras_swish.registered" if entry.is_registered else "keras_swish"
    return keras.saving.register_keras_serializable(package=package)(activation)


# The functions of this module.
BY_NAME: dict[str, Callable[..., Any]] = {
    name: swish if name == "swish" else _from_catalogue(name, entry)
    for name, entry in catalogue.ENTRIES.items()
    if entry.beta is None
}
globals().update(BY_NAME)
# The formulas of those that a user registered.
REGISTERED: dict[Any, str] = {}


def add(name: str, entry: catalogue.Entry) -> None:
    """Adds the function of an entry that a user registered, unless it has weights."""
    if not entry.initial_values:
        BY_NAME[name] = _from_catalogue(name, entry)
        REGISTERED[BY_NAME[name]] = entry.formula


def __getattr__(name: str) -> Callable[..., Any]:
    # Those registered; a type checker takes it for all.
    if name in BY_NAME:
        return BY_NAME[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *BY_NAME})
