"""Arguments, layers and head that all networks of the zoo share."""

import dataclasses
import numbers
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict

import keras
from keras import layers

import keras_swish
from keras_swish.registry import Identifier

from . import weights as weight_files
from .batch_normalization import BatchNormalization, has_gamma

# A tensor of the graph being built.
Tensor = keras.KerasTensor
# He et al. 2015 for depthwise kernels, whose inputs are those of one channel: Keras counts
# the channels of all into the fan-in, and the one output channel into the fan-out.
# Typed as Any because Keras's annotations allow only strings.
_HE_DEPTHWISE: Any = {"class_name": "VarianceScaling", "config": {"scale": 2.0, "mode": "fan_out"}}


@dataclasses.dataclass(frozen=True)
class Published:
    """A network as it was published: the defaults of its arguments.

    Attributes:
        size: Height and width of its images.
        min_size: The least height and width that leave a pixel at the end.
        any_size: Whether it can be built for images of unknown height and width.
        classes: Number of classes.
        activation: The activation that its published weights were trained with.
        bn_momentum: Momentum of batch normalisation's moving statistics.
        bn_epsilon: Epsilon of batch normalisation.
        bn_scale: Whether its batch normalisations have a gamma.
        application: Name of the same network in `keras.applications`, if its weights are there.
        application_arguments: Arguments to call that with.
    """

    size: int = 224
    min_size: int = 32
    any_size: bool = True
    classes: int = 1000
    activation: str = "relu"
    bn_momentum: float = 0.99
    bn_epsilon: float = 1e-3
    bn_scale: bool = True
    application: str | None = None
    application_arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)


# The settings that the networks for small images have in common.
CIFAR = Published(size=32, min_size=8, classes=10, bn_momentum=0.9, bn_epsilon=1e-5)


class NetworkArguments(TypedDict, total=False):
    """The arguments that every builder of the zoo takes, described at `Network`.

    A builder passes them on as `**common: Unpack[NetworkArguments]`, so that a type checker
    knows them by name.
    """

    activation: Identifier
    include_top: bool
    weights: str | os.PathLike[str] | None
    input_tensor: Tensor | None
    input_shape: tuple[int | None, ...] | None
    pooling: str | None
    classes: int | None
    classifier_activation: str | Callable | None
    bn_momentum: float | None
    bn_epsilon: float | None
    bn_scale: bool | None
    name: str | None


class Network:
    """A network being built: its settings, its input, and the layers it is made of.

    Its keyword arguments are those that every builder of the zoo takes, named as in
    `keras.applications`; `NetworkArguments` is their type.

    Args:
        published: The published network.
        activation: An identifier, as `keras_swish.layer` takes; each activation is a new layer.
            `None` stands for the published activation, `"linear"` for no activation.
        include_top: Whether the network ends in its classifier.
        weights: `None` for random ones; `"imagenet"` for those of `keras.applications`,
            whatever the activation; or the path of a file saved from the same network. A warning
            says if they were trained with another activation.
        input_tensor: Keras tensor to build the network on, in place of a new input.
        input_shape: Shape of one image, in Keras's image data format; height and width may
            be `None` where the network does not need them. By default the published shape;
            without the classifier, of any height and width.
        pooling: Global pooling after the last layer where `include_top` is `False`: `"avg"`,
            `"max"` or `None`.
        classes: Number of classes.
        classifier_activation: Activation of the last layer; `None` returns logits.
        bn_momentum: Momentum of the moving statistics of batch normalisation.
        bn_epsilon: Epsilon of batch normalisation.
        bn_scale: Whether batch normalisation has a gamma. By default it has, unless the
            published network has none and the activation is known to be positively
            homogeneous, which makes a scale before it redundant.
        name: Name of the model.

    Raises:
        ValueError: If an argument is out of range or contradicts another one.
    """

    def __init__(
        self,
        published: Published,
        *,
        activation: Identifier = None,
        include_top: bool = True,
        weights: str | os.PathLike[str] | None = None,
        input_tensor: Tensor | None = None,
        input_shape: tuple[int | None, ...] | None = None,
        pooling: str | None = None,
        classes: int | None = None,
        classifier_activation: str | Callable | None = "softmax",
        bn_momentum: float | None = None,
        bn_epsilon: float | None = None,
        bn_scale: bool | None = None,
        name: str | None = None,
    ) -> None:
        self.published = published
        self.activation = published.activation if activation is None else activation
        self.include_top = include_top
        classes = published.classes if classes is None else classes
        if not isinstance(classes, numbers.Integral) or classes < 1:
            raise ValueError(f"`classes` must be a positive integer. Received: classes={classes!r}")
        # Keras takes Python's integers alone.
        self.classes = int(classes)
        self.classifier_activation = classifier_activation
        self.pooling = pooling
        self.name = name
        self.channel_axis = 1 if keras.config.image_data_format() == "channels_first" else 3
        self.bn = {
            "axis": self.channel_axis if self.channel_axis == 1 else -1,
            "momentum": published.bn_momentum if bn_momentum is None else bn_momentum,
            "epsilon": published.bn_epsilon if bn_epsilon is None else bn_epsilon,
            "scale": has_gamma(published.bn_scale, self.activation)
            if bn_scale is None
            else bn_scale,
        }
        if pooling not in (None, "avg", "max"):
            raise ValueError(
                f"`pooling` must be None, 'avg' or 'max'. Received: pooling={pooling!r}"
            )
        self.image = self._image(input_tensor, input_shape)
        self.weights = weights
        weight_files.check(weights, published, include_top, self.classes, self.channels(self.image))

    def channels(self, x: Tensor) -> int:
        """Returns the number of channels of a tensor."""
        return x.shape[self.channel_axis]

    def size(self, x: Tensor) -> tuple[int, int]:
        """Returns height and width of a tensor, for layers that cannot be built without.

        Raises:
            ValueError: If they are unknown.
        """
        size = x.shape[2:] if self.channel_axis == 1 else x.shape[1:3]
        if None in size:
            raise ValueError(
                "`input_shape` must have a known height and width, without which NASNet and the "
                f"auxiliary heads cannot be built. Received: input_shape={self.image.shape[1:]}"
            )
        return tuple(size)

    def conv(
        self,
        x: Tensor,
        filters: int,
        size: int | tuple[int, int],
        name: str,
        stride: int = 1,
        padding: str = "centred",
        use_bias: bool = False,
    ) -> Tensor:
        """Convolves; `"centred"` pads by half the kernel on both sides.

        Padding `"same"` does so too, but not where there is a stride: it would shift the
        centres by a pixel from those that a shortcut picks. The residual networks pad on
        both sides.
        """
        if padding == "centred":
            padding = "same"
            height, width = (size, size) if isinstance(size, int) else size
            if stride > 1 and max(height, width) > 1:
                padding = "valid"
                x = layers.ZeroPadding2D((height // 2, width // 2), name=name + "_pad")(x)
        return layers.Conv2D(
            filters,
            size,
            strides=stride,
            padding=padding,
            use_bias=use_bias,
            kernel_initializer="he_normal",
            name=name,
        )(x)

    def depthwise_conv(
        self,
        x: Tensor,
        size: int,
        name: str,
        stride: int = 1,
        padding: str = "same",
        multiplier: int = 1,
    ) -> Tensor:
        """Convolves each channel on its own."""
        return layers.DepthwiseConv2D(
            size,
            strides=stride,
            padding=padding,
            depth_multiplier=multiplier,
            use_bias=False,
            depthwise_initializer=_HE_DEPTHWISE,
            name=name,
        )(x)

    def separable_conv(
        self, x: Tensor, filters: int, size: int, name: str, stride: int = 1
    ) -> Tensor:
        """Convolves each channel on its own, and then across the channels."""
        return layers.SeparableConv2D(
            filters,
            size,
            strides=stride,
            padding="same",
            use_bias=False,
            depthwise_initializer=_HE_DEPTHWISE,
            pointwise_initializer="he_normal",
            name=name,
        )(x)

    def norm(self, x: Tensor, name: str) -> Tensor:
        """Normalises over the batch."""
        return BatchNormalization(**self.bn, name=name)(x)

    def act(self, x: Tensor, name: str) -> Tensor:
        """Applies the network's activation, in a new layer."""
        return keras_swish.layer(self.activation, name=name)(x)

    def conv_norm_act(
        self,
        x: Tensor,
        filters: int,
        size: int | tuple[int, int],
        name: str,
        stride: int = 1,
        padding: str = "same",
    ) -> Tensor:
        """Convolves, normalises, applies the activation."""
        x = self.conv(x, filters, size, name, stride, padding)
        return self.act(self.norm(x, name + "_bn"), name + "_act")

    def max_pool(self, x: Tensor) -> Tensor:
        """Halves the image by 3x3 max pooling, as the stems of ResNet and DenseNet do."""
        # Not padding "same": its windows would lie elsewhere, and zero is not its least value.
        x = layers.ZeroPadding2D(1, name="max_pool_pad")(x)
        return layers.MaxPooling2D(3, strides=2, name="max_pool")(x)

    def concat(self, branches: Sequence[Tensor], name: str) -> Tensor:
        """Concatenates the channels of all branches."""
        return layers.Concatenate(axis=self.bn["axis"], name=name)(branches)

    def classifier(self, x: Tensor, name: str = "classifier") -> Tensor:
        """Applies the layer of the classes, in float32 where the other layers compute in half."""
        is_half = keras.config.dtype_policy().compute_dtype in ("float16", "bfloat16")
        return layers.Dense(
            self.classes,
            activation=self.classifier_activation,
            kernel_initializer="he_normal",
            dtype="float32" if is_half else None,
            name=name,
        )(x)

    def auxiliary_classifier(self, x: Tensor) -> Tensor:
        """Classifies from halfway, as the Inception networks and NASNet do to train better.

        Source: Szegedy et al. 2016 (Rethinking the Inception Architecture), section 4 and
        figure 8, for 17x17 pixels; the windows shrink with a smaller image.
        """
        if not self.include_top:
            raise ValueError(
                "`auxiliary` needs the classifier. Received: auxiliary=True, include_top=False"
            )
        window = min(5, *self.size(x))
        x = layers.AveragePooling2D(window, strides=3, name="auxiliary_pool")(x)
        x = self.conv_norm_act(x, 128, 1, "auxiliary_conv1")
        x = self.conv_norm_act(x, 768, self.size(x), "auxiliary_conv2", padding="valid")
        return self.classifier(layers.Flatten(name="auxiliary_flatten")(x), "auxiliary")

    def model(
        self,
        x: Tensor,
        dropout: float = 0.0,
        auxiliary: Tensor | None = None,
    ) -> keras.Model:
        """Returns the network that ends in `x`: with its head, its weights loaded.

        Args:
            x: Output of the last layer before the head.
            dropout: Rate of the dropout before the classifier.
            auxiliary: Output of `auxiliary_classifier`, which becomes the model's second one.
        """
        if self.include_top or self.pooling == "avg":
            x = layers.GlobalAveragePooling2D(name="pool")(x)
        elif self.pooling == "max":
            x = layers.GlobalMaxPooling2D(name="pool")(x)
        if self.include_top:
            if dropout:
                x = layers.Dropout(dropout, name="dropout")(x)
            x = self.classifier(x)
        outputs = x if auxiliary is None else [x, auxiliary]
        inputs = keras.utils.get_source_inputs(self.image)
        inputs = inputs[0] if len(inputs) == 1 else inputs
        model = keras.Model(inputs, outputs, name=self.name)
        weight_files.load(
            model, self.weights, self.published, self.include_top, self.activation, self.image
        )
        return model

    def _image(
        self,
        tensor: Tensor | None,
        shape: tuple[int | None, ...] | None,
    ) -> Tensor:
        channels_first = self.channel_axis == 1
        if tensor is not None:
            if not keras.backend.is_keras_tensor(tensor):
                raise ValueError(
                    "`input_tensor` must be a Keras tensor, such as the output of `keras.Input`. "
                    f"Received: input_tensor={tensor!r}"
                )
            if shape is not None and tuple(shape) != tuple(tensor.shape[1:]):
                raise ValueError(
                    "`input_shape` must be that of `input_tensor`, or None. Received: "
                    f"input_shape={tuple(shape)}, input_tensor of shape {tuple(tensor.shape)}"
                )
            shape = tensor.shape[1:]
        elif shape is None:
            any_size = self.published.any_size and not self.include_top
            size = (None if any_size else self.published.size,) * 2
            shape = (3, *size) if channels_first else (*size, 3)
        shape, least = tuple(shape), self.published.min_size
        channels = shape[:1] if channels_first else shape[2:]
        size = shape[1:] if channels_first else shape[:2]
        if (
            len(shape) != 3
            or channels[0] is None
            or channels[0] < 1
            or any(side is not None and side < least for side in size)
        ):
            order = "channels, height, width" if channels_first else "height, width, channels"
            raise ValueError(
                f"`input_shape` must be ({order}), in Keras's image data format, with "
                f"height and width of at least {least}. Received: input_shape={shape}"
            )
        if tensor is not None:
            return tensor
        return keras.Input(shape, name="image")  # pyright: ignore[reportReturnType]
