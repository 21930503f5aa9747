"""Elementwise operations on TensorFlow: compiled by XLA, forward and backward.

Without XLA each of a formula's operations reads and writes all of its memory.
"""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla

from keras_swish.keras_compat import Tensor

if TYPE_CHECKING:
    from keras_swish.elementwise.operation import Operation

_barrier: Callable[..., Tensor] = xla.optimization_barrier


def apply(operation: "Operation", inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Applies an operation."""
    return _differentiable(operation)(*inputs)


def compiles_for_cpu() -> bool:
    """Says whether XLA compiles for a CPU."""
    return all(device.device_type == "CPU" for device in tf.config.list_logical_devices())


def sum_to_shape_of(like: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Returns y, summed over the axes along which `like` was broadcast."""
    shape = like.shape
    if y.shape == shape and shape.is_fully_defined():
        return y
    is_last_axis = shape.rank and shape.is_fully_defined() and shape[-1] == shape.num_elements()
    if is_last_axis and compiles_for_cpu():
        # Over all axes but the last XLA on a CPU sums with one core; as a product, with all.
        rows = tf.reshape(y, (-1, shape[-1]))
        return tf.reshape(tf.linalg.matmul(tf.ones((1, tf.shape(rows)[0]), y.dtype), rows), shape)
    axes = tf.raw_ops.BroadcastGradientArgs(s0=tf.shape(like), s1=tf.shape(y)).r0
    return tf.reshape(tf.reduce_sum(y, axes), tf.shape(like))


@functools.lru_cache(maxsize=1024)
def _differentiable(operation: "Operation") -> Callable[..., tuple[Tensor, ...]]:
    def compute(*inputs: Tensor) -> tuple[Tensor, ...]:
        if operation.backward:
            # Or XLA finds what forward and backward pass have in common, and keeps it.
            inputs = _barrier(*inputs)
        outputs = operation.compute(*inputs)
        if len(outputs) > 1:
            # Or XLA puts the sums for the betas off, and keeps what they are made of.
            outputs = tuple(_barrier(*outputs))
        return outputs

    @functools.cache
    def compiled(*signature):
        specifications = [tf.TensorSpec(shape, dtype) for shape, dtype in signature]
        # TensorFlow knows functions by their code, which all operations share, and would warn of
        # one that is traced again and again; a `partial` it knows by itself.
        function = functools.partial(compute)
        return tf.function(function, specifications, jit_compile=True, autograph=False)

    def specification(x):
        # One trace for all sizes; what is broadcast, such as beta, keeps its shape.
        is_small = x.shape.is_fully_defined() and (x.shape.rank == 0 or 1 in x.shape)
        return tuple(x.shape) if is_small else (None,) * x.shape.rank, x.dtype

    @tf.custom_gradient
    def differentiable(*inputs):
        # `stop_gradient`: else an eager tape records how these come about as well.
        outputs = compiled(*map(specification, inputs))(*map(tf.stop_gradient, inputs))
        for output, like in zip(outputs, operation.like, strict=True):
            output.set_shape(inputs[operation.names.index(like)].shape)
        return outputs, lambda *upstream: operation.gradients(inputs, upstream)

    # Else AutoGraph rewrites our functions where a user's tf.function calls them.
    @tf.autograph.experimental.do_not_convert
    def of_tensors(*inputs):
        # The gradient goes to a variable through its value.
        return differentiable(*map(tf.convert_to_tensor, inputs))

    return of_tensors
