"""Training steps, several to a call where the backend can."""

from collections.abc import Callable

import keras
import numpy as np

# The most steps, and bytes of batches, that are handed over at once.
_STEPS, _BYTES = 64, 1 << 26


def together(data, size: int) -> int:
    """Returns on how many batches of the data to train in a call: the device waits between two."""
    example = sum(array[:1].nbytes for array in keras.tree.flatten(data))
    return max(1, min(_STEPS, _BYTES // (size * example)))


def rows_of(data, rows):
    """Returns these rows of all arrays."""
    return keras.tree.map_structure(lambda array: array[rows], data)


def steps_of(network: keras.Model, size: int) -> Callable:
    """Returns what trains on the batches of some rows: the steps taken, and if all went well.

    It stops after a step whose loss is not finite.
    """
    if keras.backend.backend() == "tensorflow":
        return _tensorflow_steps(network, size)

    def steps(x, y):
        for count in range(1, len(keras.tree.flatten(x)[0]) // size + 1):
            rows = np.arange((count - 1) * size, count * size)
            loss = network.train_on_batch(rows_of(x, rows), rows_of(y, rows))
            if not np.isfinite(loss).all():
                return count, False
        return count, True

    return steps


def _tensorflow_steps(network, size):
    """As one call: of a step of 17 ms of a small child, 2 to 3 were spent on calling it."""
    import tensorflow as tf

    def batch(data, count):
        return keras.tree.map_structure(lambda rows: rows[count * size : (count + 1) * size], data)

    one_step = network.train_step
    if network.jit_compile:
        one_step = tf.function(one_step, autograph=False, jit_compile=True)

    @tf.function(autograph=False, reduce_retracing=True)
    def steps(x, y):
        total = tf.shape(keras.tree.flatten(x)[0])[0] // size

        def step(count, loss):
            own = [batch(data, count) for data in (x, y)]
            for tensor in keras.tree.flatten(own):
                tensor.set_shape((size, *tensor.shape[1:]))
            return count + 1, tf.cast(one_step(tuple(own))["loss"], tf.float32)

        return tf.while_loop(
            lambda count, loss: (count < total) & tf.math.is_finite(loss),
            step,
            (0, tf.constant(0.0)),
        )

    def run(x, y):
        network.reset_metrics()  # what diverged before would count for ever
        count, loss = steps(*keras.tree.map_structure(tf.convert_to_tensor, (x, y)))
        return int(count), bool(np.isfinite(loss))

    return run
