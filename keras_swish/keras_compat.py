"""Keras's private parts, used in this file and in no other: a new Keras is tried here.

Each function says in public words what the rest of the package needs.
"""

from typing import Any

import keras
from keras import ops


def sublayers(layer: keras.Layer) -> list[keras.Layer]:
    """Returns the layers that a layer holds directly, also those that are no output's path.

    `model.layers` leaves out what stands inside other layers.
    """
    return list(layer._layers)


def all_layers(layer: keras.Layer, include_self: bool = True) -> list[keras.Layer]:
    """Returns a layer and all that it holds, at any depth, in Keras's order."""
    return list(layer._flatten_layers(include_self=include_self, recursive=True))


def producer(tensor: keras.KerasTensor) -> tuple[keras.Operation, int, int]:
    """Returns the operation that made a symbolic tensor, and the numbers of its call and output."""
    history = tensor._keras_history
    return history.operation, history.node_index, history.tensor_index


class TensorFlow1Averages(keras.optimizers.Optimizer):
    """Makes an optimizer's moving average of the weights that of TensorFlow 1; clips globally.

    To be named as a base before one of Keras's optimizers, whose private hooks it overrides.

    The momentum starts low and rises to `ema_momentum`, so that the average of a short run is
    not mostly the initial weights. The average stays next to the weights: Keras would write it
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
        step: Any = ops.cast(self.iterations, "float32")  # those before this one
        momentum: Any = ops.minimum(self.ema_momentum, (1.0 + step) / (10.0 + step))
        momentum = ops.where(step > 0, momentum, 0.0)  # nothing to average with yet
        for variable, average in zip(trainable_variables, self.averages, strict=True):
            share: Any = ops.cast(1.0 - momentum, average.dtype)
            average.assign_sub(share * (average - ops.cast(variable, average.dtype)))

    def finalize_variable_values(self, var_list: list) -> None:
        """Leaves the weights as they are."""

    def _clip_gradients(self, grads):
        context = _replica_context()
        if context is None or not (self.clipnorm or self.global_clipnorm or self.clipvalue):
            return super()._clip_gradients(grads)
        clipped = super()._clip_gradients(context.all_reduce("SUM", grads))
        # Keras sums over the devices after this.
        return [gradient / context.num_replicas_in_sync for gradient in clipped]


def _replica_context():
    """Returns TensorFlow's, where there are several devices."""
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return context if context and context.num_replicas_in_sync > 1 else None


def trained_variables(optimizer: keras.optimizers.Optimizer) -> list:
    """Returns the variables that an optimizer was built for."""
    return list(optimizer._trainable_variables)


def squared_gradients(optimizer: keras.optimizers.RMSprop) -> list:
    """Returns the moving averages of squared gradients that RMSprop divides by."""
    return list(optimizer._velocities)
