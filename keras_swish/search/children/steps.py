"""Training steps, several to a call where the backend can."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_swish.keras_compat import fit_logs, overrides, train_on_batch
from keras_swish.search.children.data import Data, size, take_rows

# The most steps, and bytes of batches, of one call.
_STEPS, _BYTES = 64, 1 << 26

# Trains on the batches of some rows: the steps taken, whether all losses were finite, and what
# the last step has logged, or None where that is left to the metrics.
TrainSteps = Callable[[Data], tuple[int, bool, dict[str, Any] | None]]


def steps_per_execution(data: Any, batch_size: int) -> int:
    """Returns on how many batches to train in one call: between two calls the device waits."""
    example = sum(array[:1].nbytes for array in keras.tree.flatten(data))
    return max(1, min(_STEPS, _BYTES // max(1, batch_size * example)))


def make_train_steps(network: keras.Model, batch_size: int, has_callbacks: bool) -> TrainSteps:
    """Returns the function that trains a compiled network on the batches of some rows.

    It stops after a step whose loss is not finite. A model with a `train_step` of its own that logs
    no loss is trained on: what it has become is found when it is validated. With callbacks, what
    such a step logs is returned.
    """
    # Its steps may log something else than the metrics.
    needs_logs = has_callbacks and overrides(network, "train_step", "compute_metrics")
    if keras.backend.backend() == "tensorflow" and not (network.run_eagerly or needs_logs):
        return _tensorflow_train_steps(network, batch_size)

    def train_steps(data: Data) -> tuple[int, bool, dict[str, Any] | None]:
        steps, logs = 0, None
        for first in range(0, size(data), batch_size):
            rows = np.arange(first, first + batch_size)
            steps, logs = steps + 1, train_on_batch(network, tuple(take_rows(data, rows)))
            if not all(np.isfinite(loss).all() for loss in _losses(logs)):
                return steps, False, logs
        return steps, True, logs

    return train_steps


def epoch_logs(network: keras.Model, logged: dict[str, Any] | None) -> dict[str, float]:
    """Returns what `fit` would log of an epoch.

    Args:
        network: The network, whose metrics were reset before the epoch.
        logged: What the last step has logged, or None where that is left to the metrics.
    """
    logs: Any = network.get_metrics_result() if logged is None else fit_logs(network, logged)
    logs = keras.tree.map_structure(keras.ops.convert_to_numpy, logs)
    return {name: float(np.mean(value)) for name, value in logs.items()}


def _losses(logs: Any) -> list[Any]:
    """Returns what a step logs as losses; nothing for a step that logs something else."""
    if not isinstance(logs, dict):
        return []
    if "loss" in logs:
        return [logs["loss"]]
    return [value for name, value in logs.items() if "loss" in str(name)]


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
    def steps(data):
        total = tf.shape(keras.tree.flatten(data)[0])[0] // batch_size

        def step(count, is_finite):
            taken = batch(data, count)
            for tensor in keras.tree.flatten(taken):
                tensor.set_shape((batch_size, *tensor.shape[1:]))
            for loss in _losses(one_step(taken)):
                is_finite &= tf.reduce_all(tf.math.is_finite(tf.cast(loss, tf.float32)))
            return count + 1, is_finite

        return tf.while_loop(
            lambda count, is_finite: (count < total) & is_finite, step, (0, tf.constant(True))
        )

    def train_steps(data: Data) -> tuple[int, bool, dict[str, Any] | None]:
        tensors: Any = keras.tree.map_structure(tf.convert_to_tensor, data)
        count, is_finite = steps(tensors)  # pyright: ignore[reportGeneralTypeIssues]
        return int(count), bool(is_finite), None

    return train_steps
