"""Notation of the Inception networks: modules of branches, as data.

A branch is a list of steps, from the module's input upwards. A step is a `Conv`, a pooling
(`AVERAGE`, `MAXIMUM`) or, where a branch forks, a module inside it. A module is a list of
branches, whose outputs are concatenated.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

from keras import layers

from .network import Network, Tensor

AVERAGE = "average pooling, 3x3, stride 1, padding same"
MAXIMUM = "max pooling, 3x3, stride 2, no padding"


class Conv(NamedTuple):
    """A convolution with batch normalisation and activation."""

    filters: int
    size: int | tuple[int, int]
    stride: int = 1
    padding: str = "same"


# Strings, because each needs the other: a branch forks into a module.
Step: TypeAlias = "Conv | str | Module"
Module: TypeAlias = "Sequence[Sequence[Step]]"


def valid(filters: int, size: int | tuple[int, int], stride: int = 1) -> Conv:
    """Returns a convolution without padding."""
    return Conv(filters, size, stride, "valid")


# The first layers of Inception-v3 and Inception-ResNet-v2.
STEM: list[Step] = [
    valid(32, 3, 2),
    valid(32, 3),
    Conv(64, 3),
    MAXIMUM,
    valid(80, 1),
    valid(192, 3),
    MAXIMUM,
]


def stack(
    net: Network,
    stem: Sequence[Step],
    modules: Mapping[str, Module],
    auxiliary_after: str | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Adds a stem and modules, one after the other.

    Args:
        net: The network.
        stem: The steps of the stem.
        modules: Branches by the module's name.
        auxiliary_after: Name of the module whose output the auxiliary classifier gets.

    Returns:
        The output of the last module, and that of the auxiliary classifier or `None`.
    """
    x, auxiliary = branch(net, net.image, stem, "stem_"), None
    for name, branches in modules.items():
        x = module(net, x, branches, name)
        if name == auxiliary_after:
            auxiliary = net.auxiliary_classifier(x)
    return x, auxiliary


def branch(net: Network, x: Tensor, steps: Sequence[Step], at: str) -> Tensor:
    """Adds the steps of a branch, one after the other.

    Args:
        net: The network.
        x: Input of the branch.
        steps: Its steps.
        at: Prefix of its layers' names.
    """
    for number, step in enumerate(steps, 1):
        if step == AVERAGE:
            x = layers.AveragePooling2D(3, 1, padding="same", name=f"{at}pool{number}")(x)
        elif step == MAXIMUM:
            x = layers.MaxPooling2D(3, 2, name=f"{at}pool{number}")(x)
        elif isinstance(step, Conv):
            filters, size, stride, padding = step
            x = net.conv_norm_act(x, filters, size, f"{at}conv{number}", stride, padding)
        else:
            x = module(net, x, step, f"{at}fork{number}")
    return x


def module(net: Network, x: Tensor, branches: Module, name: str) -> Tensor:
    """Adds a module.

    Args:
        net: The network.
        x: Input of the module.
        branches: Its branches.
        name: Its name, and the prefix of its layers' names.
    """
    outputs = [
        branch(net, x, steps, f"{name}_branch{number}_") for number, steps in enumerate(branches, 1)
    ]
    return net.concat(outputs, name)
