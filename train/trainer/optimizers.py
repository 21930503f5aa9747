"""Optimizers as in TensorFlow 1, on top of Keras's: what the ImageNet recipes were found with."""

import keras
from keras import ops


class _TensorFlow1:
    """Makes an optimizer's moving average of the weights that of TensorFlow 1; clips globally.

    The momentum starts low and rises to `ema_momentum`, so that the average of a short run is
    not mostly the initial weights. The average stays beside the weights: Keras would write it
    over them at the end of every `fit`, and a run may take several.

    Gradients are clipped after they are summed over the devices of a `tf.distribute.Strategy`;
    Keras clips each device's share.

    Source: `tf.train.ExponentialMovingAverage` with `num_updates`, as in TF-Slim's training.
    """

    @property
    def averages(self) -> list:
        """The moving averages, in the order of the trainable weights; empty without them."""
        return self._model_variables_moving_average if self.use_ema else []

    def _update_model_variables_moving_average(self, trainable_variables):
        if not self.use_ema:
            return
        step = ops.cast(self.iterations, "float32")  # those before this one
        momentum = ops.minimum(self.ema_momentum, (1.0 + step) / (10.0 + step))
        momentum = ops.where(step > 0, momentum, 0.0)  # nothing to average with yet
        for variable, average in zip(trainable_variables, self.averages, strict=True):
            share = ops.cast(1.0 - momentum, average.dtype)
            average.assign_sub(share * (average - ops.cast(variable, average.dtype)))

    def finalize_variable_values(self, var_list):
        """Leaves the weights as they are."""

    def _clip_gradients(self, grads):
        context = _replica_context()
        if context is None or not (self.clipnorm or self.global_clipnorm or self.clipvalue):
            return super()._clip_gradients(grads)
        clipped = super()._clip_gradients(context.all_reduce("SUM", grads))
        # Keras sums over the devices behind this.
        return [gradient / context.num_replicas_in_sync for gradient in clipped]


def _replica_context():
    """Returns TensorFlow's, where there are several devices."""
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return context if context and context.num_replicas_in_sync > 1 else None


@keras.saving.register_keras_serializable(package="keras_swish")
class SGD(_TensorFlow1, keras.optimizers.SGD):
    """`keras.optimizers.SGD`, with TensorFlow 1's moving average of the weights on request.

    Args:
        *args: Those of `keras.optimizers.SGD`.
        factors: By path of a variable, what its learning rate is multiplied by.
        **kwargs: Those of `keras.optimizers.SGD`.

    Example:
        >>> from keras_swish.train.trainer.optimizers import SGD
        >>> SGD(0.1, factors={"swish/beta": 0.1}).get_config()["factors"]
        {'swish/beta': 0.1}
    """

    def __init__(self, *args, factors: dict[str, float] | None = None, **kwargs):
        super().__init__(*args, **kwargs)
        self.factors = factors or {}

    def apply(self, grads, trainable_variables=None):
        """Updates the variables."""
        variables = trainable_variables or self._trainable_variables
        # The steps of SGD are linear in the gradients.
        grads = [
            g if g is None or v.path not in self.factors else g * self.factors[v.path]
            for g, v in zip(grads, variables, strict=True)
        ]
        return super().apply(grads, trainable_variables)

    def get_config(self):
        """Returns what `from_config` needs to make the same optimizer."""
        return {**super().get_config(), "factors": self.factors}


@keras.saving.register_keras_serializable(package="keras_swish")
class RMSprop(_TensorFlow1, keras.optimizers.RMSprop):
    """`keras.optimizers.RMSprop` as in TensorFlow 1: its accumulator starts at one.

    Keras's starts at zero, which makes the first steps longer by the square root of
    `1 / (1 - rho)` and more. The update is `m = momentum * m + lr * g / sqrt(v + epsilon)`.

    Example:
        >>> from keras_swish.train.trainer.optimizers import RMSprop
        >>> optimizer = RMSprop(0.045, rho=0.9, momentum=0.9, epsilon=1.0)

    Source: Tieleman and Hinton 2012; the accumulator as in TensorFlow 1's `RMSPropOptimizer`.
    """

    def build(self, var_list):
        """Creates the accumulators."""
        if self.built:
            return
        super().build(var_list)
        for accumulator in self._velocities:
            accumulator.assign(ops.ones(accumulator.shape, accumulator.dtype))
