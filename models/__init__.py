"""The networks of the paper, each with a pluggable activation.

A new network is one file and one line in `BUILDERS`.
"""

import functools
from collections.abc import Callable

import keras

from keras_swish.models import resnet
from keras_swish.registry import unknown

__all__ = ["BUILDERS", "create", "names", "resnet"]

BUILDERS: dict[str, Callable[..., keras.Model]] = {
    **{
        f"resnet{depth}": functools.partial(resnet.cifar_resnet, depth)
        for depth in (8, 14, 20, 32, 44, 56, 110)
    },
    "resnet164": functools.partial(resnet.cifar_resnet_v2, 164),
}


def names() -> list[str]:
    """Returns the names that `create` knows, in the order of the table.

    Example:
        >>> from keras_swish import models
        >>> "resnet20" in models.names()
        True
    """
    return list(BUILDERS)


def create(name: str, /, **kwargs) -> keras.Model:
    """Builds the network of that name.

    Args:
        name: One of `names()`.
        **kwargs: Arguments of the network's builder: `activation`, `input_shape`,
            `classes`, `classifier_activation`, `name` and what else it has.

    Returns:
        A `keras.Model`.

    Raises:
        ValueError: If the name is unknown, or the builder refuses an argument.

    Example:
        >>> from keras_swish import models
        >>> model = models.create("resnet20", activation="swish_beta")
        >>> model.output_shape
        (None, 10)
    """
    if name not in BUILDERS:
        raise ValueError(unknown("network", name, BUILDERS))
    return BUILDERS[name](**{"name": name, **kwargs})
