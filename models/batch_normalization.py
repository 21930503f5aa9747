"""Batch normalisation: whether it has a gamma, and as one operation where the backend has one."""

from typing import Any

import keras

from keras_swish.registry import Identifier, is_homogeneous

# The dtypes of inputs that TensorFlow's fused operation takes.
_FUSED = ("float32", "float16", "bfloat16")


def has_gamma(published: bool, activation: Identifier) -> bool:
    """Says whether the batch normalisations of a network have a gamma: the scale rule.

    Some networks were published without, as a scale before ReLU can as well stand after it. That is
    right for positively homogeneous activations alone.

    Args:
        published: Whether the published network has a gamma.
        activation: The activation after it.

    Example:
        >>> from keras_swish.models.batch_normalization import has_gamma
        >>> has_gamma(False, "relu"), has_gamma(False, "swish"), has_gamma(True, "relu")
        (False, True, True)

    Source: Ramachandran et al. 2017, section 5, advice on batch normalisation.
    """
    return published or not is_homogeneous(activation)


@keras.saving.register_keras_serializable(package="keras_swish")
class BatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization`, trained with TensorFlow's fused operation.

    Keras spells the training step out in some thirty operations, forward and backward. On
    TensorFlow, one fused operation takes their place, with the same results up to rounding:
    the first step of a deep network, most of which goes into building and optimising its
    graph, gets about twice as fast, and the steps after it a tenth to a fifth.

    Arguments, weights and their names are those of `keras.layers.BatchNormalization`.

    Example:
        >>> import keras
        >>> from keras_swish.models.batch_normalization import BatchNormalization
        >>> y = BatchNormalization(momentum=0.9)(keras.ops.ones((2, 4, 4, 3)), training=True)
        >>> tuple(y.shape)
        (2, 4, 4, 3)
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalises, with the batch's statistics in training and the moving ones otherwise."""
        if training and self.trainable and self._can_be_fused(inputs, mask):
            return self._fused(inputs)
        return super().call(inputs, training=training, mask=mask)

    def _can_be_fused(self, inputs: Any, mask: Any) -> bool:
        return (
            keras.backend.backend() == "tensorflow"
            and mask is None
            and len(inputs.shape) == 4
            and keras.backend.standardize_dtype(inputs.dtype) in _FUSED
            # It takes gamma and beta in float32, whatever the inputs are.
            and self.variable_dtype == "float32"
            # The fused operation for channels_first has no kernel on CPUs.
            and self.axis in (-1, 3)
            and not self.synchronized
            and not getattr(self, "renorm", False)  # newer than the oldest Keras we support
        )

    def _fused(self, inputs: Any) -> Any:
        import tensorflow as tf

        channels = inputs.shape[-1]
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs,
            self.gamma if self.scale else tf.ones([channels]),
            self.beta if self.center else tf.zeros([channels]),
            epsilon=self.epsilon,
            is_training=True,
        )
        # The operation returns the unbiased variance; Keras's moving one is of the biased.
        count = tf.cast(tf.size(inputs) // channels, variance.dtype)
        variance = variance * (count - 1) / count
        moving: Any  # annotated as None before the layer is built
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            batch = tf.cast(batch, moving.dtype)
            moving.assign(moving * self.momentum + batch * (1.0 - self.momentum))
        return tf.cast(outputs, self.compute_dtype)
