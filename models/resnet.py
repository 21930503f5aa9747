"""Residual networks for small images.

* `cifar_resnet`: He et al., "Deep Residual Learning for Image Recognition", 2016,
  section 4.2: depth 6n + 2, three stages of n units with 16, 32 and 64 filters,
  shortcuts without parameters (option A).
* `cifar_resnet_v2`: He et al., "Identity Mappings in Deep Residual Networks", 2016,
  appendix: depth 9n + 2, pre-activation bottleneck units. ResNet-164 is the one that
  the Swish paper trains.

Layers are named as in the papers' figures: `stage2_unit1_conv2`.
"""

from collections.abc import Callable

import keras
from keras import layers, ops

import keras_swish
from keras_swish.registry import Identifier


def cifar_resnet(
    depth: int,
    input_shape: tuple[int | None, ...] = (32, 32, 3),
    classes: int = 10,
    activation: Identifier = "relu",
    classifier_activation: str | Callable | None = "softmax",
    bn_momentum: float = 0.9,
    bn_epsilon: float = 1e-5,
    name: str | None = None,
) -> keras.Model:
    """Builds the CIFAR ResNet of depth 6n + 2: 20, 32, 44, 56, 110 in the paper.

    Args:
        depth: 6n + 2 for a whole n; 8 and 14 make small ones for quick runs.
        input_shape: Shape of one image, in Keras's image data format, from 8x8x1 up.
        classes: Number of classes.
        activation: What `keras_swish.layer` takes; each place gets a layer of its own.
        classifier_activation: Activation of the last layer; `None` returns logits.
        bn_momentum: Momentum of the moving statistics of batch normalisation.
        bn_epsilon: Epsilon of batch normalisation.
        name: Name of the model.

    Returns:
        A `keras.Model` from images, `(batch, *input_shape)`, float, to `(batch, classes)`.

    Raises:
        ValueError: If the depth is not 6n + 2 or the input is too small.

    Example:
        >>> from keras_swish.models import resnet
        >>> resnet.cifar_resnet(20).count_params()
        271098

    Source: He et al. 2016 (Deep Residual Learning), section 4.2 and table 6.
    """
    units = _units(depth, 6)
    net = _Layers(activation, bn_momentum, bn_epsilon)
    inputs = _input(input_shape)

    x = net.conv(inputs, 16, 3, "conv")
    x = net.norm(x, "bn")
    x = net.act(x, "act")
    for stage, filters in enumerate((16, 32, 64), 1):
        for unit in range(1, units + 1):
            stride = 2 if stage > 1 and unit == 1 else 1
            at = f"stage{stage}_unit{unit}_"
            shortcut = net.pad_shortcut(x, filters, stride, at + "shortcut")
            y = net.conv(x, filters, 3, at + "conv1", stride)
            y = net.norm(y, at + "bn1")
            y = net.act(y, at + "act1")
            y = net.conv(y, filters, 3, at + "conv2")
            y = net.norm(y, at + "bn2")
            x = layers.Add(name=at + "add")([shortcut, y])
            x = net.act(x, at + "act2")
    return _classifier(inputs, x, classes, classifier_activation, name)


def cifar_resnet_v2(
    depth: int,
    input_shape: tuple[int | None, ...] = (32, 32, 3),
    classes: int = 10,
    activation: Identifier = "relu",
    classifier_activation: str | Callable | None = "softmax",
    bn_momentum: float = 0.9,
    bn_epsilon: float = 1e-5,
    name: str | None = None,
) -> keras.Model:
    """Builds the pre-activation bottleneck ResNet of depth 9n + 2, such as ResNet-164.

    Args:
        depth: 9n + 2 for a whole n; 164 in the paper.
        input_shape: Shape of one image, in Keras's image data format, from 8x8x1 up.
        classes: Number of classes.
        activation: What `keras_swish.layer` takes; each place gets a layer of its own.
        classifier_activation: Activation of the last layer; `None` returns logits.
        bn_momentum: Momentum of the moving statistics of batch normalisation.
        bn_epsilon: Epsilon of batch normalisation.
        name: Name of the model.

    Returns:
        A `keras.Model` from images, `(batch, *input_shape)`, float, to `(batch, classes)`.

    Raises:
        ValueError: If the depth is not 9n + 2 or the input is too small.

    Example:
        >>> from keras_swish.models import resnet
        >>> resnet.cifar_resnet_v2(164, classes=100).output_shape
        (None, 100)

    Source: He et al. 2016 (Identity Mappings), figure 4(e) and appendix.
    """
    units = _units(depth, 9)
    net = _Layers(activation, bn_momentum, bn_epsilon)
    inputs = _input(input_shape)

    x = net.conv(inputs, 16, 3, "conv")
    for stage, filters in enumerate((16, 32, 64), 1):
        for unit in range(1, units + 1):
            stride = 2 if stage > 1 and unit == 1 else 1
            at = f"stage{stage}_unit{unit}_"
            y = net.norm(x, at + "bn1")
            y = net.act(y, at + "act1")
            # Where the width changes, both branches start from the activated tensor.
            shortcut = net.conv(y, 4 * filters, 1, at + "shortcut", stride) if unit == 1 else x
            y = net.conv(y, filters, 1, at + "conv1", stride)
            y = net.norm(y, at + "bn2")
            y = net.act(y, at + "act2")
            y = net.conv(y, filters, 3, at + "conv2")
            y = net.norm(y, at + "bn3")
            y = net.act(y, at + "act3")
            y = net.conv(y, 4 * filters, 1, at + "conv3")
            x = layers.Add(name=at + "add")([shortcut, y])
    x = net.norm(x, "bn")
    x = net.act(x, "act")
    return _classifier(inputs, x, classes, classifier_activation, name)


class _Layers:
    """The layers that all units are made of, with the network's settings."""

    def __init__(self, activation, bn_momentum, bn_epsilon):
        self.activation = activation
        self.channels_first = keras.config.image_data_format() == "channels_first"
        self.bn = {
            "axis": 1 if self.channels_first else -1,
            "momentum": bn_momentum,
            "epsilon": bn_epsilon,
        }

    def conv(self, x, filters, size, name, stride=1):
        if size > 1 and stride > 1:
            # Padding "same" would shift the centres of a strided convolution by one
            # pixel from those that the shortcut picks; the paper pads on both sides.
            x = layers.ZeroPadding2D(size // 2, name=name + "_pad")(x)
        return layers.Conv2D(
            filters,
            size,
            strides=stride,
            padding="same" if stride == 1 else "valid",
            use_bias=False,
            kernel_initializer="he_normal",
            name=name,
        )(x)

    def norm(self, x, name):
        return layers.BatchNormalization(**self.bn, name=name)(x)

    def act(self, x, name):
        return keras_swish.layer(self.activation, name=name)(x)

    def pad_shortcut(self, x, filters, stride, name):
        """Option A: every second pixel, missing channels zero; no parameters."""
        if stride > 1:
            x = layers.MaxPooling2D(1, strides=stride, name=name + "_pool")(x)
        channel = 1 if self.channels_first else 3
        missing = filters - x.shape[channel]
        if missing:
            x = ops.pad(x, [(0, missing if axis == channel else 0) for axis in range(4)])
        return x


def _units(depth: int, layers_per_unit: int) -> int:
    units, rest = divmod(depth - 2, layers_per_unit)
    if rest or units < 1:
        raise ValueError(
            f"`depth` must be {layers_per_unit}n + 2 (such as "
            f"{layers_per_unit * 3 + 2}). Received: depth={depth}"
        )
    return units


def _input(input_shape):
    channels_first = keras.config.image_data_format() == "channels_first"
    size = tuple(input_shape)[1:] if channels_first else tuple(input_shape)[:2]
    if len(input_shape) != 3 or any(side is not None and side < 8 for side in size):
        raise ValueError(
            "`input_shape` must be (height, width, channels), in Keras's image data format, with "
            f"height and width of at least 8. Received: input_shape={tuple(input_shape)}"
        )
    return keras.Input(input_shape, name="image")


def _classifier(inputs, x, classes, classifier_activation, name):
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    outputs = layers.Dense(
        classes,
        activation=classifier_activation,
        kernel_initializer="he_normal",
        # Logits and probabilities in float32, whatever the layers compute in.
        dtype="float32",
        name="classifier",
    )(x)
    return keras.Model(inputs, outputs, name=name)
