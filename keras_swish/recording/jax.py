"""Recording on JAX: what is compiled, and the steps of a loop, run operation by operation."""

import contextlib
from collections.abc import Callable

import jax
import jax.core

from keras_swish.keras_compat import Tensor

# Whether a recurrent layer's loop computes its first step once more beforehand, for its shape.
TRIES_FIRST_STEP = False


def eager() -> contextlib.AbstractContextManager[None]:
    """Lets every tensor have a value, those inside of `jax.jit` and `lax.scan` too."""
    return jax.disable_jit()


def has_value(x: Tensor) -> bool:
    """Says whether a tensor has a value, and is not one that is traced."""
    return isinstance(x, jax.Array) and not isinstance(x, jax.core.Tracer)


def slope(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Returns the derivative of an elementwise function at each element."""
    y, pull = jax.vjp(function, x)
    return pull(jax.numpy.ones_like(y))[0]
