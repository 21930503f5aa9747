"""Inception-v4.

Szegedy et al., "Inception-v4, Inception-ResNet and the Impact of Residual Connections on
Learning", 2017. Modules are named as in the authors' code, `mixed_5b` and so on.
"""

from typing import Unpack

import keras

from .inception import AVERAGE, MAXIMUM, Conv, Module, Step, stack, valid
from .network import Network, NetworkArguments, Published

_ROW, _COLUMN = (1, 7), (7, 1)

# Figure 4 (35x35 pixels), figure 5 (17x17), figure 6 (8x8).
_MODULE_A: Module = [
    [Conv(96, 1)],
    [Conv(64, 1), Conv(96, 3)],
    [Conv(64, 1), Conv(96, 3), Conv(96, 3)],
    [AVERAGE, Conv(96, 1)],
]
_MODULE_B: Module = [
    [Conv(384, 1)],
    [Conv(192, 1), Conv(224, _ROW), Conv(256, _COLUMN)],
    [Conv(192, 1), Conv(192, _COLUMN), Conv(224, _ROW), Conv(224, _COLUMN), Conv(256, _ROW)],
    [AVERAGE, Conv(128, 1)],
]
_FORK: Module = [[Conv(256, (1, 3))], [Conv(256, (3, 1))]]
_MODULE_C: Module = [
    [Conv(256, 1)],
    [Conv(384, 1), _FORK],
    [Conv(384, 1), Conv(448, (3, 1)), Conv(512, (1, 3)), _FORK],
    [AVERAGE, Conv(256, 1)],
]

# Figure 3.
_STEM: list[Step] = [valid(32, 3, 2), valid(32, 3), Conv(64, 3)]
_MODULES: dict[str, Module] = {
    "mixed_3a": [[MAXIMUM], [valid(96, 3, 2)]],
    "mixed_4a": [
        [Conv(64, 1), valid(96, 3)],
        [Conv(64, 1), Conv(64, _ROW), Conv(64, _COLUMN), valid(96, 3)],
    ],
    "mixed_5a": [[valid(192, 3, 2)], [MAXIMUM]],
    **{f"mixed_5{letter}": _MODULE_A for letter in "bcde"},
    # Figure 7, with k = 192, l = 224, m = 256, n = 384 of table 1.
    "mixed_6a": [
        [valid(384, 3, 2)],
        [Conv(192, 1), Conv(224, 3), valid(256, 3, 2)],
        [MAXIMUM],
    ],
    **{f"mixed_6{letter}": _MODULE_B for letter in "bcdefgh"},
    # Figure 8.
    "mixed_7a": [
        [Conv(192, 1), valid(192, 3, 2)],
        [Conv(256, 1), Conv(256, _ROW), Conv(320, _COLUMN), valid(320, 3, 2)],
        [MAXIMUM],
    ],
    **{f"mixed_7{letter}": _MODULE_C for letter in "bcd"},
}


def inception_v4(
    auxiliary: bool = False, dropout: float = 0.0, **common: Unpack[NetworkArguments]
) -> keras.Model:
    """Builds Inception-v4.

    Args:
        auxiliary: Whether the network has a second output, of the auxiliary classifier that
            was trained with it, at a weight of 0.4.
        dropout: Rate of the dropout before the classifier; 0.2 in the paper.
        **common: Arguments of every network, see `keras_swish.models.network.Network`. By default
            images of 299x299x3, here from 75x75 up, and 1000 classes. Batch normalisations
            were published without a scale.

    Returns:
        A `keras.Model` from images, `(batch, *input_shape)`, float, to `(batch, classes)`, or
        to a list of two such outputs.

    Raises:
        ValueError: If one of `common` does not fit.

    Example:
        >>> from keras_swish.models import inception_v4
        >>> inception_v4.inception_v4(include_top=False, pooling="avg").output_shape
        (None, 1536)

    Source: Szegedy et al. 2017, figures 3 to 9; the auxiliary classifier and the settings of
    batch normalisation are those of the authors' code.
    """
    published = Published(size=299, min_size=75, bn_momentum=0.9997, bn_scale=False)
    net = Network(published, **common)
    after = "mixed_6h" if auxiliary else None
    x, second = stack(net, _STEM, _MODULES, auxiliary_after=after)
    return net.model(x, dropout, second)
