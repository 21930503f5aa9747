"""The networks of the paper, each with a pluggable activation.

A new network is one file and one line in `BUILDERS`.
"""

import functools
from collections.abc import Callable

import keras

from keras_swish.messages import unknown

from . import (
    densenet,
    inception_resnet_v2,
    inception_v3,
    inception_v4,
    mobilenet,
    nasnet,
    resnet,
    wide_resnet,
)
from .cost import multiply_adds

__all__ = ["BUILDERS", "create", "multiply_adds", "names"]

_partial = functools.partial

BUILDERS: dict[str, Callable[..., keras.Model]] = {
    **{
        f"resnet{depth}": _partial(resnet.cifar_resnet, depth)
        for depth in (8, 14, 20, 32, 44, 56, 110)
    },
    "resnet164": _partial(resnet.cifar_resnet_v2, 164),
    **{f"resnet{depth}": _partial(resnet.resnet, depth) for depth in (18, 34, 50, 101, 152)},
    **{f"resnet{depth}v2": _partial(resnet.resnet_v2, depth) for depth in (18, 34, 50, 101, 152)},
    "wrn_28_10": _partial(wide_resnet.wide_resnet, 28, 10),
    "densenet_100_12": _partial(densenet.cifar_densenet, 100, 12),
    "densenet_bc_100_12": _partial(densenet.cifar_densenet, 100, 12, bottleneck=True),
    "densenet_bc_250_24": _partial(densenet.cifar_densenet, 250, 24, bottleneck=True),
    "densenet_bc_190_40": _partial(densenet.cifar_densenet, 190, 40, bottleneck=True),
    **{f"densenet{depth}": _partial(densenet.densenet, depth) for depth in (121, 169, 201)},
    "nasnet_mobile": _partial(nasnet.nasnet, 4, 1056),
    "nasnet_large": _partial(nasnet.nasnet, 6, 4032, stem_filters=96, skip_reduction=True),
    "inception_resnet_v2": inception_resnet_v2.inception_resnet_v2,
    "inception_v3": inception_v3.inception_v3,
    "inception_v4": inception_v4.inception_v4,
    "mobilenet": mobilenet.mobilenet,
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
        **kwargs: Arguments of the network's builder: `activation`, `weights` and all else
            that `keras_swish.models.network.Network` takes, and what it has of its own, such as
            `dropout` and `auxiliary`.

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
