"""Activation layers with weights."""

from collections.abc import Sequence

import keras
from keras import constraints, initializers, regularizers

from keras_swish import activations


@keras.saving.register_keras_serializable(package="keras_swish")
class Swish(keras.layers.Layer):
    """Swish with a trainable beta: `x * sigmoid(beta * x)`.

    By default each channel owns one beta, shared over all spatial axes, as in the
    paper. `shared_axes` shares differently, in the words of `keras.layers.PReLU`:
    for images, `shared_axes=[1, 2, 3]` makes one beta for the whole layer and
    `shared_axes=[]` one for each element. `trainable=False` keeps beta fixed.

    Args:
        beta_initializer: Initializer of beta.
        beta_regularizer: Regularizer of beta, or `None`.
        beta_constraint: Constraint on beta, or `None`.
        shared_axes: Axes along which beta is shared (the batch axis, 0, is not
            counted among them), or `None`: all but the channel axis.
        data_format: `"channels_last"` or `"channels_first"`, which says where the
            channel axis is when `shared_axes` is `None`; by default Keras's
            image data format.
        **kwargs: Those of every Keras layer, such as `name`, `dtype`, `trainable`.

    Input shape:
        Any, of two dimensions or more; the axes that beta is not shared over must
        be of known size.

    Output shape:
        That of the input, in the layer's compute dtype.

    Raises:
        ValueError: If an entry of `shared_axes` is no axis of the input, or an axis
            that needs a beta of its own has no known size.

    Example:
        >>> import keras, keras_swish
        >>> layer = keras_swish.Swish()
        >>> y = layer(keras.ops.ones((2, 8, 8, 3)))
        >>> tuple(layer.beta.shape)
        (1, 1, 3)

    Source: Ramachandran et al. 2017, section 4: "beta is either a constant or a
    trainable parameter".
    """

    def __init__(
        self,
        beta_initializer="ones",
        beta_regularizer=None,
        beta_constraint=None,
        shared_axes: int | Sequence[int] | None = None,
        data_format: str | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.beta_initializer = initializers.get(beta_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        if isinstance(shared_axes, int):
            shared_axes = [shared_axes]
        self.shared_axes = None if shared_axes is None else list(shared_axes)
        self.data_format = data_format or keras.config.image_data_format()
        if self.data_format not in ("channels_last", "channels_first"):
            raise ValueError(
                "`data_format` must be 'channels_last' or 'channels_first'. "
                f"Received: data_format={data_format!r}"
            )

    def build(self, input_shape):
        """Creates beta for inputs of this shape."""
        rank = len(input_shape)
        if self.shared_axes is None:
            channel = 1 if self.data_format == "channels_first" else rank - 1
            shared = set(range(1, rank)) - {channel}
        else:
            shared = {axis + rank if axis < 0 else axis for axis in self.shared_axes}
            if not shared <= set(range(1, rank)):
                raise ValueError(
                    f"`shared_axes` must lie between 1 and {rank - 1} for an input of shape "
                    f"{tuple(input_shape)}. Received: shared_axes={self.shared_axes}"
                )
        shape = [1 if axis in shared else input_shape[axis] for axis in range(1, rank)]
        if None in shape:
            raise ValueError(
                f"Axis {shape.index(None) + 1} of the input {tuple(input_shape)} has no known "
                "size, so beta cannot have one value for each of its elements: put the axis "
                f"into `shared_axes`. Received: shared_axes={self.shared_axes}"
            )
        self.beta = self.add_weight(
            name="beta",
            shape=shape,
            initializer=self.beta_initializer,
            regularizer=self.beta_regularizer,
            constraint=self.beta_constraint,
        )

    def call(self, inputs):
        """Returns `inputs * sigmoid(beta * inputs)`."""
        return activations.swish(inputs, self.beta)

    def compute_output_shape(self, input_shape):
        """Returns the input's shape: the function is elementwise."""
        return input_shape

    def get_config(self):
        """Returns what `from_config` needs to make the same layer."""
        return {
            **super().get_config(),
            "beta_initializer": initializers.serialize(self.beta_initializer),
            "beta_regularizer": regularizers.serialize(self.beta_regularizer),
            "beta_constraint": constraints.serialize(self.beta_constraint),
            "shared_axes": self.shared_axes,
            "data_format": self.data_format,
        }
