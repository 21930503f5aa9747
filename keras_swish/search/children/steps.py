"""Training steps, several to a call where the backend can."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

# The most steps, and bytes of batches, of one call.
_STEPS, _BYTES = 64, 1 << 26

# Trains on the batches of some rows: the steps taken, and whether all losses were finite.
TrainSteps = Callable[[Any, Any], tuple[int, bool]]


def steps_per_execution(data: Any, batch_size: int) -> int:
    """Returns on how many batches to train in one call: between two calls the device waits."""
    example = sum(array[:1].nbytes for array in keras.tree.flatten(data))
    return max(1, min(_STEPS, _BYTES // (batch_size * example)))


def take_rows(data: Any, rows: np.ndarray) -> Any:
    """Returns these rows of all arrays."""
    return keras.tree.map_structure(lambda array: array[rows], data)


def make_train_steps(network: keras.Model, batch_size: int) -> TrainSteps:
    """Returns the function that trains a compiled network on the batches of some rows.

    It stops after a step whose loss is not finite.
    """
    if keras.backend.backend() == "tensorflow":
        return _tensorflow_train_steps(network, batch_size)

    def train_steps(x: Any, y: Any) -> tuple[int, bool]:
        for count in range(1, len(keras.tree.flatten(x)[0]) // batch_size + 1):
            rows = np.arange((count - 1) * batch_size, count * batch_size)
            loss = network.train_on_batch(take_rows(x, rows), take_rows(y, rows))
            if not np.isfinite(loss).all():
                return count, False
        return count, True

    return train_steps


def _tensorflow_train_steps(network: keras.Model, batch_size: int) -> TrainSteps:
    """As one call: of a step of 17 ms of a small child, 2 to 3 were spent on calling it."""
    import tensorflow as tf

    def batch(data, count):
        return keras.tree.map_structure(
            lambda rows: rows[count * batch_size : (count + 1) * batch_size], data
        )

    one_step = network.train_step
    if network.jit_compile:
        one_step = tf.function(one_step, autograph=False, jit_compile=True)

    @tf.function(autograph=False, reduce_retracing=True)
    def steps(x, y):
        total = tf.shape(keras.tree.flatten(x)[0])[0] // batch_size

        def step(count, loss):
            xy = batch(x, count), batch(y, count)
            for tensor in keras.tree.flatten(xy):
                tensor.set_shape((batch_size, *tensor.shape[1:]))
            return count + 1, tf.cast(one_step(xy)["loss"], tf.float32)

        return tf.while_loop(
            lambda count, loss: (count < total) & tf.math.is_finite(loss),
            step,
            (0, tf.constant(0.0)),
        )

    def train_steps(x: Any, y: Any) -> tuple[int, bool]:
        network.reset_metrics()  # what diverged before would count for ever
        tensors: Any = keras.tree.map_structure(tf.convert_to_tensor, (x, y))
        count, loss = steps(*tensors)  # pyright: ignore[reportGeneralTypeIssues]
        return int(count), bool(np.isfinite(loss))

    return train_steps
