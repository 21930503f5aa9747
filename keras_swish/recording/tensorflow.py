"""Recording on TensorFlow: its functions, which are graphs, run operation by operation."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import tensorflow as tf

from keras_swish.keras_compat import Tensor
from keras_swish.replacement.watching.frameworks import untraced

# Whether a recurrent layer's loop computes its first step once more beforehand, for its shape.
TRIES_FIRST_STEP = True


def eager() -> AbstractContextManager[None]:
    """Lets every tensor have a value, those inside of a `tf.function` too."""
    return untraced()


def has_value(x: Tensor) -> bool:
    """Says whether a tensor has a value, and is not one of a graph."""
    return isinstance(x, tf.Tensor) and not tf.is_symbolic_tensor(x)


def slope(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Returns the derivative of an elementwise function at each element."""
    x = tf.stop_gradient(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    return tape.gradient(y, x, unconnected_gradients=tf.UnconnectedGradients.ZERO)
