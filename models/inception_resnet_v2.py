"""Inception-ResNet-v2: Inception modules with residual connections.

Szegedy et al., "Inception-v4, Inception-ResNet and the Impact of Residual Connections on
Learning", 2017. Modules are named as in the authors' code: `mixed_5b`, `block35_1`.
"""

from typing import Unpack

import keras

from .inception import AVERAGE, MAXIMUM, STEM, Conv, Module, branch, module, valid
from .network import Network, NetworkArguments, Published, Tensor

_MIXED_5B: Module = [
    [Conv(96, 1)],
    [Conv(48, 1), Conv(64, 5)],
    [Conv(64, 1), Conv(96, 3), Conv(96, 3)],
    [AVERAGE, Conv(64, 1)],
]
# Figure 7, with the filters of table 1.
_MIXED_6A: Module = [
    [valid(384, 3, 2)],
    [Conv(256, 1), Conv(256, 3), valid(384, 3, 2)],
    [MAXIMUM],
]
# Figure 18.
_MIXED_7A: Module = [
    [Conv(256, 1), valid(384, 3, 2)],
    [Conv(256, 1), valid(288, 3, 2)],
    [Conv(256, 1), Conv(288, 3), valid(320, 3, 2)],
    [MAXIMUM],
]
# Figures 16, 17 and 19: residuals, which are scaled and added to the module's input.
_BLOCK_35: Module = [
    [Conv(32, 1)],
    [Conv(32, 1), Conv(32, 3)],
    [Conv(32, 1), Conv(48, 3), Conv(64, 3)],
]
_BLOCK_17: Module = [[Conv(192, 1)], [Conv(128, 1), Conv(160, (1, 7)), Conv(192, (7, 1))]]
_BLOCK_8: Module = [[Conv(192, 1)], [Conv(192, 1), Conv(224, (1, 3)), Conv(256, (3, 1))]]


def inception_resnet_v2(
    auxiliary: bool = False, dropout: float = 0.0, **common: Unpack[NetworkArguments]
) -> keras.Model:
    """Builds Inception-ResNet-v2.

    It is, weight for weight, that of `keras.applications`.

    Args:
        auxiliary: Whether the network has a second output, of the auxiliary classifier that
            was trained with it, at a weight of 0.4.
        dropout: Rate of the dropout before the classifier; 0.2 in the paper.
        **common: Arguments of every network, see `keras_swish.models.network.Network`. By default
            images of 299x299x3, here from 75x75 up, and 1000 classes. Its batch normalisations
            were published without a scale.

    Returns:
        A `keras.Model` from images, `(batch, *input_shape)`, float, to `(batch, classes)`, or
        to a list of two such outputs.

    Raises:
        ValueError: If one of `common` does not fit.

    Example:
        >>> from keras_swish.models import inception_resnet_v2
        >>> model = inception_resnet_v2.inception_resnet_v2(activation="swish")
        >>> model.get_layer("stem_conv1_bn").scale
        True

    Source: Szegedy et al. 2017, figures 15 to 19, in the sizes of the authors' code, which has
    twice as many residual modules as the paper's text.
    """
    published = Published(size=299, min_size=75, bn_scale=False, application="InceptionResNetV2")
    net = Network(published, **common)
    x = branch(net, net.image, STEM, "stem_")
    x = module(net, x, _MIXED_5B, "mixed_5b")
    for number in range(1, 11):
        x = _residual(net, x, _BLOCK_35, 0.17, f"block35_{number}")
    x = module(net, x, _MIXED_6A, "mixed_6a")
    for number in range(1, 21):
        x = _residual(net, x, _BLOCK_17, 0.1, f"block17_{number}")
    second = net.auxiliary_classifier(x) if auxiliary else None
    x = module(net, x, _MIXED_7A, "mixed_7a")
    for number in range(1, 10):
        x = _residual(net, x, _BLOCK_8, 0.2, f"block8_{number}")
    x = _residual(net, x, _BLOCK_8, 1.0, "block8_10", activated=False)
    x = net.conv_norm_act(x, 1536, 1, "conv_7b")
    return net.model(x, dropout, second)


def _residual(
    net: Network, x: Tensor, branches: Module, scale: float, name: str, activated: bool = True
) -> Tensor:
    residual = module(net, x, branches, f"{name}_mixed")
    residual = net.conv(residual, net.channels(x), 1, f"{name}_conv", use_bias=True)
    x = x + scale * residual  # pyright: ignore[reportAssignmentType]
    return net.act(x, f"{name}_act") if activated else x
