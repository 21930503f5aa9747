"""Residual networks, for small images and for ImageNet.

* `cifar_resnet`: He et al., "Deep Residual Learning for Image Recognition", 2016,
  section 4.2: depth 6n + 2, three stages of n units with 16, 32 and 64 filters,
  shortcuts without parameters (option A).
* `cifar_resnet_v2`: He et al., "Identity Mappings in Deep Residual Networks", 2016,
  appendix: depth 9n + 2, pre-activation bottleneck units. ResNet-164 is the one that
  the Swish paper trains.
* `resnet` and `resnet_v2`: the same two papers' networks for ImageNet.

Layers are named as in the papers' figures: `stage2_unit1_conv2`.
"""

from collections.abc import Sequence
from typing import Unpack

import keras
from keras import layers, ops

from .network import CIFAR, Network, NetworkArguments, Published, Tensor

# Units of each of the four stages; from 50 on they are bottlenecks.
_UNITS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
_FILTERS = (64, 128, 256, 512)


def cifar_resnet(
    depth: int, *, filters: tuple[int, int, int] = (16, 32, 64), **common: Unpack[NetworkArguments]
) -> keras.Model:
    """Builds the CIFAR ResNet of depth 6n + 2: 20, 32, 44, 56, 110 in the paper.

    Args:
        depth: 6n + 2 for an integer n; 8 and 14 make small ones for quick runs.
        filters: Those of the three stages; each at least as many as the one before.
        **common: Arguments of every network, see `keras_swish.models.network.Network`. By default
            images of 32x32x3, here from 8x8x1 up, and 10 classes.

    Returns:
        A `keras.Model` from images, `(batch, *input_shape)`, float, to `(batch, classes)`.

    Raises:
        ValueError: If the depth is not 6n + 2, the filters are not three that grow, or one of
            `common` does not fit.

    Example:
        >>> from keras_swish.models import resnet
        >>> resnet.cifar_resnet(20).count_params()
        271098

    Source: He et al. 2016 (Deep Residual Learning), section 4.2 and table 6.
    """
    units = units_per_stage(depth, 6)
    if len(filters) != 3 or list(filters) != sorted(filters):
        raise ValueError(
            "`filters` must be three numbers, none less than the one before. "
            f"Received: filters={filters}"
        )
    net = Network(CIFAR, **common)

    x = net.conv(net.image, filters[0], 3, "conv")
    x = net.norm(x, "bn")
    x = net.act(x, "act")
    for stage, width in enumerate(filters, 1):
        for unit in range(1, units + 1):
            stride = 2 if stage > 1 and unit == 1 else 1
            at = f"stage{stage}_unit{unit}_"
            shortcut = _padded_shortcut(net, x, width, stride, at + "shortcut")
            x = _unit(net, x, shortcut, [(width, 3, stride), (width, 3, 1)], at)
    return net.model(x)


def cifar_resnet_v2(depth: int, **common: Unpack[NetworkArguments]) -> keras.Model:
    """Builds the pre-activation bottleneck ResNet of depth 9n + 2, such as ResNet-164.

    Args:
        depth: 9n + 2 for an integer n; 164 in the paper.
        **common: Arguments of every network, see `keras_swish.models.network.Network`. By default
            images of 32x32x3, here from 8x8x1 up, and 10 classes.

    Returns:
        A `keras.Model` from images, `(batch, *input_shape)`, float, to `(batch, classes)`.

    Raises:
        ValueError: If the depth is not 9n + 2, or one of `common` does not fit.

    Example:
        >>> from keras_swish.models import resnet
        >>> resnet.cifar_resnet_v2(164, classes=100).output_shape
        (None, 100)

    Source: He et al. 2016 (Identity Mappings), figure 4(e) and appendix.
    """
    units = units_per_stage(depth, 9)
    net = Network(CIFAR, **common)

    x = net.conv(net.image, 16, 3, "conv")
    for stage, filters in enumerate((16, 32, 64), 1):
        for unit in range(1, units + 1):
            stride = 2 if stage > 1 and unit == 1 else 1
            convs = [(filters, 1, stride), (filters, 3, 1), (4 * filters, 1, 1)]
            x = preactivation_unit(net, x, convs, f"stage{stage}_unit{unit}_", widens=unit == 1)
    x = net.norm(x, "bn")
    x = net.act(x, "act")
    return net.model(x)


def resnet(depth: int, **common: Unpack[NetworkArguments]) -> keras.Model:
    """Builds the ResNet for ImageNet: 18, 34, 50, 101 or 152 layers.

    From 50 layers on it is, weight for weight, that of `keras.applications`: the strides in
    the first convolution of a unit, as in the paper, and convolutions with a bias.

    Args:
        depth: One of the five depths.
        **common: Arguments of every network, see `keras_swish.models.network.Network`. By default
            images of 224x224x3, here from 32x32 up, and 1000 classes.

    Returns:
        A `keras.Model` from images, `(batch, *input_shape)`, float, to `(batch, classes)`.

    Raises:
        ValueError: If the depth is none of the five, or one of `common` does not fit.

    Example:
        >>> from keras_swish.models import resnet
        >>> resnet.resnet(18, activation="swish").output_shape
        (None, 1000)

    Source: He et al. 2016 (Deep Residual Learning), table 1 and figure 5.
    """
    net = _imagenet(depth, "", common)
    bottleneck = depth >= 50
    x = net.conv(net.image, 64, 7, "conv", 2, use_bias=bottleneck)
    x = net.norm(x, "bn")
    x = net.act(x, "act")
    x = net.max_pool(x)
    for stage, (units, filters) in enumerate(zip(_UNITS[depth], _FILTERS, strict=True), 1):
        for unit in range(1, units + 1):
            stride = 2 if stage > 1 and unit == 1 else 1
            at = f"stage{stage}_unit{unit}_"
            convs = [(filters, 3, stride), (filters, 3, 1)]
            if bottleneck:
                convs = [(filters, 1, stride), (filters, 3, 1), (4 * filters, 1, 1)]
            shortcut, width = x, convs[-1][0]
            if unit == 1 and (stride > 1 or net.channels(x) != width):
                shortcut = net.conv(x, width, 1, at + "shortcut", stride, use_bias=bottleneck)
                shortcut = net.norm(shortcut, at + "shortcut_bn")
            x = _unit(net, x, shortcut, convs, at, use_bias=bottleneck)
    return net.model(x)


def resnet_v2(depth: int, **common: Unpack[NetworkArguments]) -> keras.Model:
    """Builds the pre-activation ResNet for ImageNet: 18, 34, 50, 101 or 152 layers.

    From 50 layers on it is, weight for weight, that of `keras.applications`: the strides in
    the last unit of a stage, and a bias where no normalisation follows.

    Args:
        depth: One of the five depths.
        **common: Arguments of every network, see `keras_swish.models.network.Network`. By default
            images of 224x224x3, here from 32x32 up, and 1000 classes.

    Returns:
        A `keras.Model` from images, `(batch, *input_shape)`, float, to `(batch, classes)`.

    Raises:
        ValueError: If the depth is none of the five, or one of `common` does not fit.

    Example:
        >>> from keras_swish.models import resnet
        >>> resnet.resnet_v2(18, include_top=False, pooling="avg").output_shape
        (None, 512)

    Source: He et al. 2016 (Identity Mappings), figure 1(b) and section 5.
    """
    net = _imagenet(depth, "V2", common)
    x = net.conv(net.image, 64, 7, "conv", 2, use_bias=True)
    x = net.max_pool(x)
    for stage, (units, filters) in enumerate(zip(_UNITS[depth], _FILTERS, strict=True), 1):
        for unit in range(1, units + 1):
            stride = 2 if stage < 4 and unit == units else 1
            convs = [(filters, 3, 1), (filters, 3, stride)]
            if depth >= 50:
                convs = [(filters, 1, 1), (filters, 3, stride), (4 * filters, 1, 1)]
            x = preactivation_unit(
                net,
                x,
                convs,
                f"stage{stage}_unit{unit}_",
                widens=net.channels(x) != convs[-1][0],
                use_bias=True,
            )
    x = net.norm(x, "bn")
    x = net.act(x, "act")
    return net.model(x)


def preactivation_unit(
    net: Network,
    x: Tensor,
    convs: Sequence[tuple[int, int, int]],
    at: str,
    widens: bool,
    use_bias: bool = False,
    dropout: float = 0.0,
) -> Tensor:
    """Adds a residual unit whose normalisations and activations stand before its convolutions.

    Args:
        net: The network.
        x: Input of the unit.
        convs: Filters, size and stride of each convolution.
        at: Prefix of its layers' names.
        widens: Whether the shortcut is a convolution too, because the width changes.
        use_bias: Whether the convolutions have a bias that no normalisation follows.
        dropout: Rate of the dropout before the last convolution.
    """
    stride = max(stride for *_, stride in convs)
    y, shortcut = x, x
    for number, (filters, size, conv_stride) in enumerate(convs, 1):
        is_last = number == len(convs)
        y = net.norm(y, f"{at}bn{number}")
        y = net.act(y, f"{at}act{number}")
        if number == 1 and widens:
            # Where the width changes, both branches start from the activated tensor.
            width = convs[-1][0]
            shortcut = net.conv(y, width, 1, at + "shortcut", stride, use_bias=use_bias)
        if is_last and dropout:
            y = layers.Dropout(dropout, name=at + "dropout")(y)
        bias = use_bias and is_last
        y = net.conv(y, filters, size, f"{at}conv{number}", conv_stride, use_bias=bias)
    if stride > 1 and not widens:
        shortcut = layers.MaxPooling2D(1, strides=stride, name=at + "shortcut_pool")(x)
    return layers.Add(name=at + "add")([shortcut, y])


def units_per_stage(depth: int, layers_per_unit: int, outside: int = 2) -> int:
    """Returns n where the depth is `layers_per_unit * n + outside`."""
    units, rest = divmod(depth - outside, layers_per_unit)
    if rest or units < 1:
        raise ValueError(
            f"`depth` must be {layers_per_unit}n + {outside} (such as "
            f"{layers_per_unit * 3 + outside}). Received: depth={depth}"
        )
    return units


def _unit(
    net: Network,
    x: Tensor,
    shortcut: Tensor,
    convs: Sequence[tuple[int, int, int]],
    at: str,
    use_bias: bool = False,
) -> Tensor:
    for number, (filters, size, stride) in enumerate(convs, 1):
        x = net.conv(x, filters, size, f"{at}conv{number}", stride, use_bias=use_bias)
        x = net.norm(x, f"{at}bn{number}")
        if number < len(convs):
            x = net.act(x, f"{at}act{number}")
    x = layers.Add(name=at + "add")([shortcut, x])
    return net.act(x, f"{at}act{len(convs)}")


def _padded_shortcut(net: Network, x: Tensor, filters: int, stride: int, name: str) -> Tensor:
    """Option A: every second pixel, missing channels zero; no parameters."""
    if stride > 1:
        x = layers.MaxPooling2D(1, strides=stride, name=name + "_pool")(x)
    missing = filters - net.channels(x)
    if missing:
        width = [(0, missing if axis == net.channel_axis else 0) for axis in range(4)]
        x = ops.pad(x, width)  # pyright: ignore[reportAssignmentType]
    return x


def _imagenet(depth: int, version: str, common: NetworkArguments) -> Network:
    if depth not in _UNITS:
        raise ValueError(f"`depth` must be one of {[*_UNITS]}. Received: depth={depth}")
    application = f"ResNet{depth}{version}" if depth >= 50 else None
    return Network(Published(bn_epsilon=1.001e-5, application=application), **common)
