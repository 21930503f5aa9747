"""The networks of the paper, each with a pluggable activation.

A new network is one file and one line in `BUILDERS`.
"""

import fnmatch
import functools
import inspect
from collections.abc import Callable
from typing import Unpack

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
from .network import NetworkArguments

__all__ = ["BUILDERS", "BuilderArguments", "create", "multiply_adds", "names"]

_partial = functools.partial

BUILDERS: dict[str, Callable[..., keras.Model]] = {
    **{
        f"resnet{depth}": _partial(resnet.cifar_resnet, depth)
        for depth in (8, 14, 20, 32, 44, 56, 110)
    },
    "resnet56v2": _partial(resnet.cifar_resnet_v2, 56),
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


class BuilderArguments(NetworkArguments, total=False):
    """The arguments that the builders take, each described at the builders that have it."""

    alpha: float
    auxiliary: bool
    bottleneck: bool
    depth_multiplier: int
    drop_path: float
    drop_path_steps: int | None
    dropout: float
    filters: tuple[int, int, int]
    skip_reduction: bool
    stem_filters: int


def names(pattern: str = "*") -> list[str]:
    """Returns the names that `create` takes, in the order of the table.

    Args:
        pattern: Which names, as in `fnmatch`, such as `"resnet*"`. None may fit.

    Example:
        >>> from keras_swish import models
        >>> "resnet20" in models.names()
        True
        >>> models.names("nasnet*")
        ['nasnet_mobile', 'nasnet_large']
    """
    return fnmatch.filter(BUILDERS, pattern)


def create(name: str, /, **arguments: Unpack[BuilderArguments]) -> keras.Model:
    """Builds the network of that name.

    Args:
        name: One of `names()`.
        **arguments: Arguments of the network's builder: `activation`, `weights` and all others
            of `keras_swish.models.network.Network`, and those of this builder alone, such as
            `dropout` and `auxiliary`.

    Returns:
        A `keras.Model`.

    Raises:
        TypeError: If the builder has no such argument.
        ValueError: If the name is unknown, or the builder refuses an argument's value.

    Example:
        >>> from keras_swish import models
        >>> model = models.create("resnet20", activation="swish_beta")
        >>> model.output_shape
        (None, 10)
    """
    if name not in BUILDERS:
        raise ValueError(unknown("network", name, BUILDERS))
    builder = BUILDERS[name]
    valid = builder_arguments(builder)
    for argument in arguments:
        if argument not in valid:
            raise TypeError(unknown(f"argument of {name}", argument, valid))
    return builder(**{"name": name, **arguments})


def builder_arguments(builder: Callable[..., keras.Model]) -> list[str]:
    """Returns the names of the arguments that a builder takes by keyword.

    Example:
        >>> from keras_swish import models
        >>> models.builder_arguments(models.BUILDERS["inception_v4"])[:3]
        ['auxiliary', 'dropout', 'activation']
    """
    parameters = inspect.signature(builder).parameters
    spelt_out = [name for name, p in parameters.items() if p.kind is not p.VAR_KEYWORD]
    takes_common = len(spelt_out) < len(parameters)
    return spelt_out + list(NetworkArguments.__annotations__) * takes_common
