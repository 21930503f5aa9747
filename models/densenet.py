"""Densely connected networks: each layer sees the outputs of all layers before it.

Huang et al., "Densely Connected Convolutional Networks", 2017. DenseNet-100-12 is the one
that the Swish paper trains.
"""

from typing import Unpack

import keras
from keras import layers

from .network import CIFAR, Network, NetworkArguments, Published, Tensor
from .resnet import units_per_stage

# Layers of each of the four dense blocks of the ImageNet networks.
_LAYERS = {121: (6, 12, 24, 16), 169: (6, 12, 32, 32), 201: (6, 12, 48, 32)}


def cifar_densenet(
    depth: int,
    growth: int,
    bottleneck: bool = False,
    dropout: float = 0.0,
    **common: Unpack[NetworkArguments],
) -> keras.Model:
    """Builds the DenseNet for small images: three dense blocks of as many layers.

    Args:
        depth: 3n + 4 for an integer n, with bottlenecks 6n + 4; 100 in the Swish paper.
        growth: Growth rate, the filters that each layer adds; 12 in the Swish paper.
        bottleneck: Whether it is a DenseNet-BC: a 1x1 convolution before each 3x3 one, and
            transitions that halve the channels.
        dropout: Rate of the dropout behind each convolution but the first; 0.2 in the paper
            where the images are not augmented.
        **common: Arguments of every network, see `keras_swish.models.network.Network`. By default
            images of 32x32x3, here from 8x8 up, and 10 classes.

    Returns:
        A `keras.Model` from images, `(batch, *input_shape)`, float, to `(batch, classes)`.

    Raises:
        ValueError: If the depth does not fit, the growth rate is below 1, or one of `common`
            does not fit.

    Example:
        >>> from keras_swish.models import densenet
        >>> densenet.cifar_densenet(22, 12, bottleneck=True, activation="swish").output_shape
        (None, 10)

    Source: Huang et al. 2017, section 3 and table 2.
    """
    count = units_per_stage(depth, 6 if bottleneck else 3, outside=4)
    if growth < 1:
        raise ValueError(f"`growth` must be at least 1. Received: growth={growth}")
    net = Network(CIFAR, **common)
    x = net.conv(net.image, 2 * growth if bottleneck else 16, 3, "conv")
    return _dense_blocks(net, x, (count,) * 3, growth, bottleneck, dropout)


def densenet(depth: int, **common: Unpack[NetworkArguments]) -> keras.Model:
    """Builds the DenseNet-BC for ImageNet: 121, 169 or 201 layers, growth rate 32.

    It is, weight for weight, that of `keras.applications`.

    Args:
        depth: One of the three depths.
        **common: Arguments of every network, see `keras_swish.models.network.Network`. By default
            images of 224x224x3, here from 32x32 up, and 1000 classes.

    Returns:
        A `keras.Model` from images, `(batch, *input_shape)`, float, to `(batch, classes)`.

    Raises:
        ValueError: If the depth is none of the three, or one of `common` does not fit.

    Example:
        >>> from keras_swish.models import densenet
        >>> densenet.densenet(121, include_top=False, pooling="avg").output_shape
        (None, 1024)

    Source: Huang et al. 2017, table 1.
    """
    if depth not in _LAYERS:
        raise ValueError(f"`depth` must be one of {[*_LAYERS]}. Received: depth={depth}")
    published = Published(bn_epsilon=1.001e-5, application=f"DenseNet{depth}")
    net = Network(published, **common)
    x = net.conv(net.image, 64, 7, "conv", 2)
    x = net.norm(x, "bn1")
    x = net.act(x, "act1")
    x = net.max_pool(x)
    return _dense_blocks(net, x, _LAYERS[depth], growth=32, bottleneck=True)


def _dense_blocks(
    net: Network,
    x: Tensor,
    counts: tuple[int, ...],
    growth: int,
    bottleneck: bool,
    dropout: float = 0.0,
) -> keras.Model:
    """Adds the dense blocks, the transitions between them, and the head."""

    def norm_act_conv(
        x: Tensor, filters: int, size: int, at: str, number: int | str = ""
    ) -> Tensor:
        x = net.norm(x, f"{at}bn{number}")
        x = net.act(x, f"{at}act{number}")
        x = net.conv(x, filters, size, f"{at}conv{number}")
        return layers.Dropout(dropout, name=f"{at}dropout{number}")(x) if dropout else x

    for block, count in enumerate(counts, 1):
        for layer in range(1, count + 1):
            at = f"block{block}_layer{layer}_"
            if bottleneck:
                y = norm_act_conv(x, 4 * growth, 1, at, 1)
                y = norm_act_conv(y, growth, 3, at, 2)
            else:
                y = norm_act_conv(x, growth, 3, at)
            x = net.concat([x, y], at + "concat")
        if block < len(counts):
            at = f"transition{block}_"
            channels = net.channels(x)
            x = norm_act_conv(x, channels // 2 if bottleneck else channels, 1, at)
            x = layers.AveragePooling2D(2, name=at + "pool")(x)
    x = net.norm(x, "bn")
    x = net.act(x, "act")
    return net.model(x)
