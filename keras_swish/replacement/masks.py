"""The mask of a sequence, where a new activation would pass it on and the old one does not."""

from typing import Any

import keras

from keras_swish.keras_compat import Tensor


@keras.saving.register_keras_serializable(package="keras_swish")
class StopMask(keras.layers.Wrapper):
    """Applies an activation layer without the mask that goes with its input.

    An operation such as `keras.ops.relu`, or a `Lambda` layer, drops the mask of a `Masking` or
    `Embedding` layer before it. An activation layer passes it on, so that what follows, such as an
    LSTM or a mean over time, would compute something else.

    Args:
        layer: The activation layer.
        **kwargs: Those of every Keras layer.

    Example:
        >>> import keras
        >>> from keras_swish.replacement.masks import StopMask
        >>> inputs = keras.layers.Masking()(keras.Input((3, 1)))
        >>> hasattr(StopMask(keras.layers.ReLU())(inputs), "_keras_mask")
        False
    """

    def __init__(self, layer: keras.Layer, **kwargs: Any):
        super().__init__(layer, **kwargs)
        self.supports_masking = True  # Keras warns where a mask ends at a layer that does not

    def build(self, input_shape: Any = None) -> None:
        """Builds the activation."""
        super().build(input_shape)
        self.input_spec = self.layer.input_spec

    def call(self, inputs: Tensor) -> Tensor:
        """Applies the activation to a copy, as the mask belongs to the tensor itself."""
        return self.layer(keras.ops.copy(inputs))

    def compute_mask(self, inputs: Tensor, previous_mask: Any = None) -> None:
        """Returns no mask."""

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the activation's output shape."""
        return self.layer.compute_output_shape(input_shape)
