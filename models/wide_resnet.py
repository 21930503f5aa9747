"""Wide residual networks: fewer layers, more filters.

Zagoruyko and Komodakis, "Wide Residual Networks", 2016. WRN-28-10 is the one that the Swish
paper trains.
"""

from typing import Unpack

import keras

from .network import CIFAR, Network, NetworkArguments
from .resnet import preactivation_unit, units_per_stage


def wide_resnet(
    depth: int, width: int, dropout: float = 0.0, **common: Unpack[NetworkArguments]
) -> keras.Model:
    """Builds WRN-`depth`-`width`, a pre-activation ResNet of basic units.

    Args:
        depth: 6n + 4 for an integer n; 28 in the Swish paper.
        width: Factor on the 16, 32 and 64 filters of the three stages; 10 in the Swish paper.
        dropout: Rate of the dropout between the two convolutions of a unit; 0.3 in the paper
            where it has one.
        **common: Arguments of every network, see `keras_swish.models.network.Network`. By default
            images of 32x32x3, here from 8x8 up, and 10 classes.

    Returns:
        A `keras.Model` from images, `(batch, *input_shape)`, float, to `(batch, classes)`.

    Raises:
        ValueError: If the depth is not 6n + 4, the width is below 1, or one of `common` does
            not fit.

    Example:
        >>> from keras_swish.models import wide_resnet
        >>> wide_resnet.wide_resnet(10, 2, activation="swish").output_shape
        (None, 10)

    Source: Zagoruyko and Komodakis 2016, table 1 and figure 1(d).
    """
    units = units_per_stage(depth, 6, outside=4)
    if width < 1:
        raise ValueError(f"`width` must be at least 1. Received: width={width}")
    net = Network(CIFAR, **common)
    x = net.conv(net.image, 16, 3, "conv")
    for stage, filters in enumerate((16 * width, 32 * width, 64 * width), 1):
        for unit in range(1, units + 1):
            x = preactivation_unit(
                net,
                x,
                [(filters, 3, 2 if stage > 1 and unit == 1 else 1), (filters, 3, 1)],
                f"stage{stage}_unit{unit}_",
                widens=net.channels(x) != filters,
                dropout=dropout,
            )
    x = net.norm(x, "bn")
    x = net.act(x, "act")
    return net.model(x)
