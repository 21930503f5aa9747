"""MobileNet: depthwise convolutions, each followed by a 1x1 one.

Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision
Applications", 2017.
"""

from typing import Unpack

import keras
from keras import layers

from .network import Network, NetworkArguments, Published

# Filters and stride of each unit: the paper's table 1, from the second row on.
_UNITS = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)]
_UNITS += [*[(512, 1)] * 5, (1024, 2), (1024, 1)]
# The image sizes that Keras publishes weights for.
_SIZES = (128, 160, 192, 224)


def mobilenet(
    alpha: float = 1.0,
    depth_multiplier: int = 1,
    dropout: float = 0.001,
    **common: Unpack[NetworkArguments],
) -> keras.Model:
    """Builds MobileNet, with a width multiplier.

    It is, weight for weight, that of `keras.applications`, which is built on ReLU6; so is
    this one by default.

    Args:
        alpha: Width multiplier: factor on the filters of all layers.
        depth_multiplier: Outputs of a depthwise convolution for each input channel.
        dropout: Rate of the dropout before the classifier.
        **common: Arguments of every network, see `keras_swish.models.network.Network`. By default
            images of 224x224x3, here from 32x32 up, 1000 classes and `activation="relu6"`.

    Returns:
        A `keras.Model` from images, `(batch, *input_shape)`, float, to `(batch, classes)`.

    Raises:
        ValueError: If a multiplier is not positive, Keras has no ImageNet weights of these
            multipliers, or one of `common` does not fit.

    Example:
        >>> from keras_swish.models import mobilenet
        >>> mobilenet.mobilenet(0.25, activation="swish").output_shape
        (None, 1000)

    Source: Howard et al. 2017, table 1 and figure 3.
    """
    if int(32 * alpha) < 1:
        raise ValueError(f"`alpha` must leave a filter of 32. Received: alpha={alpha}")
    if depth_multiplier < 1:
        raise ValueError(
            f"`depth_multiplier` must be at least 1. Received: depth_multiplier={depth_multiplier}"
        )
    if common.get("weights") == "imagenet" and (
        alpha not in (0.25, 0.5, 0.75, 1.0) or depth_multiplier != 1
    ):
        raise ValueError(
            "`weights='imagenet'` needs alpha 0.25, 0.5, 0.75 or 1 and depth_multiplier 1. "
            f"Received: alpha={alpha}, depth_multiplier={depth_multiplier}"
        )
    size = next((side for side in common.get("input_shape") or () if side in _SIZES), 224)
    published = Published(
        activation="relu6",
        application="MobileNet",
        application_arguments={"alpha": alpha, "input_shape": (size, size, 3)},
    )
    net = Network(published, **common)
    x = net.conv_norm_act(net.image, int(32 * alpha), 3, "conv", 2)
    for unit, (filters, stride) in enumerate(_UNITS, 1):
        at, padding = f"unit{unit}_", "same"
        if stride > 1:
            # Below and on the right, also where "same" would pad an odd size on all sides.
            x = layers.ZeroPadding2D(((0, 1), (0, 1)), name=at + "pad")(x)
            padding = "valid"
        x = net.depthwise_conv(x, 3, at + "depthwise", stride, padding, depth_multiplier)
        x = net.norm(x, at + "depthwise_bn")
        x = net.act(x, at + "depthwise_act")
        x = net.conv_norm_act(x, int(filters * alpha), 1, at + "pointwise")
    return net.model(x, dropout=dropout)
