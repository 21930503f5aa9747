"""The mask of a sequence, where a new activation would pass it on and the old one does not."""

from typing import Any

import keras

from keras_swish.keras_compat import Tensor, mask_of


@keras.saving.register_keras_serializable(package="keras_swish")
class StopMask(keras.layers.Layer):
    """Gives its input without the mask that goes with it.

    An operation such as `keras.ops.relu`, or a `Lambda` layer, drops the mask of a `Masking` or
    `Embedding` layer before it. An activation layer passes it on, so that what follows, such as an
    LSTM or a mean over time, would compute something else.

    Example:
        >>> import keras
        >>> from keras_swish.replacement.masks import StopMask
        >>> inputs = keras.Input((3, 1))
        >>> hasattr(StopMask()(keras.layers.Masking()(inputs)), "_keras_mask")
        False
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.supports_masking = True  # Keras warns where a mask ends at a layer that does not

    def call(self, inputs: Tensor) -> Tensor:
        """Returns a copy, as the mask belongs to the tensor itself."""
        return keras.ops.copy(inputs)

    def compute_mask(self, inputs: Tensor, previous_mask: Any = None) -> None:
        """Returns no mask."""

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the input's shape."""
        return input_shape


def masked_alike(new: keras.KerasTensor, old: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Returns the output of a new activation, without a mask if the old one's has none.

    Args:
        new: The output.
        old: That of the old activation.
        name: Name of the new one.
    """
    if mask_of(new) is None or mask_of(old) is not None:
        return new
    return StopMask(name=f"{name}_unmasked", dtype=new.dtype)(new)
