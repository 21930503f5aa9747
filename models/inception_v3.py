"""Inception-v3.

Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", 2016. Modules are
named as in the authors' code, `mixed_5b` and so on.
"""

from typing import Unpack

import keras

from .inception import AVERAGE, MAXIMUM, STEM, Conv, Module, stack, valid
from .network import Network, NetworkArguments, Published


def _module_a(pool_filters: int) -> Module:
    """Returns figure 5: 35x35 pixels."""
    return [
        [Conv(64, 1)],
        [Conv(48, 1), Conv(64, 5)],
        [Conv(64, 1), Conv(96, 3), Conv(96, 3)],
        [AVERAGE, Conv(pool_filters, 1)],
    ]


def _module_b(inner: int) -> Module:
    """Returns figure 6: 17x17 pixels, 7x7 convolutions factorised."""
    row, column = (1, 7), (7, 1)
    return [
        [Conv(192, 1)],
        [Conv(inner, 1), Conv(inner, row), Conv(192, column)],
        [
            Conv(inner, 1),
            Conv(inner, column),
            Conv(inner, row),
            Conv(inner, column),
            Conv(192, row),
        ],
        [AVERAGE, Conv(192, 1)],
    ]


# Figure 7: 8x8 pixels, branches that fork.
_FORK: Module = [[Conv(384, (1, 3))], [Conv(384, (3, 1))]]
_MODULE_C: Module = [
    [Conv(320, 1)],
    [Conv(384, 1), _FORK],
    [Conv(448, 1), Conv(384, 3), _FORK],
    [AVERAGE, Conv(192, 1)],
]

_MODULES: dict[str, Module] = {
    "mixed_5b": _module_a(32),
    "mixed_5c": _module_a(64),
    "mixed_5d": _module_a(64),
    "mixed_6a": [
        [valid(384, 3, 2)],
        [Conv(64, 1), Conv(96, 3), valid(96, 3, 2)],
        [MAXIMUM],
    ],
    "mixed_6b": _module_b(128),
    "mixed_6c": _module_b(160),
    "mixed_6d": _module_b(160),
    "mixed_6e": _module_b(192),
    "mixed_7a": [
        [Conv(192, 1), valid(320, 3, 2)],
        [Conv(192, 1), Conv(192, (1, 7)), Conv(192, (7, 1)), valid(192, 3, 2)],
        [MAXIMUM],
    ],
    "mixed_7b": _MODULE_C,
    "mixed_7c": _MODULE_C,
}


def inception_v3(
    auxiliary: bool = False, dropout: float = 0.0, **common: Unpack[NetworkArguments]
) -> keras.Model:
    """Builds Inception-v3.

    It is, weight for weight, that of `keras.applications`.

    Args:
        auxiliary: Whether the network has a second output, of the auxiliary classifier that
            was trained with it, at a weight of 0.4.
        dropout: Rate of the dropout before the classifier; 0.2 in the authors' code.
        **common: Arguments of every network, see `keras_swish.models.network.Network`. By default
            images of 299x299x3, here from 75x75 up, and 1000 classes. Its batch normalisations
            were published without a scale.

    Returns:
        A `keras.Model` from images, `(batch, *input_shape)`, float, to `(batch, classes)`, or
        to a list of two such outputs.

    Raises:
        ValueError: If one of `common` does not fit.

    Example:
        >>> from keras_swish.models import inception_v3
        >>> model = inception_v3.inception_v3(auxiliary=True, activation="swish")
        >>> model.output_names
        ['classifier', 'auxiliary']

    Source: Szegedy et al. 2016, table 1 and figures 5 to 8.
    """
    published = Published(size=299, min_size=75, bn_scale=False, application="InceptionV3")
    net = Network(published, **common)
    after = "mixed_6e" if auxiliary else None
    x, second = stack(net, STEM, _MODULES, auxiliary_after=after)
    return net.model(x, dropout, second)
