"""Elementwise operations on JAX: a rule for forward mode, from which JAX derives all others.

So vmap, jacfwd and derivatives of any order work, which a rule for the gradient alone rules out.
"""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

import jax
from jax.custom_derivatives import SymbolicZero

from keras_swish.elementwise.caching import CACHED_OPERATIONS
from keras_swish.formulas.language import ZERO
from keras_swish.keras_compat import Tensor, ops

if TYPE_CHECKING:
    from keras_swish.elementwise.operation import Operation


def apply(operation: "Operation", inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Applies an operation of one output."""
    return (_differentiable(operation)(*inputs),)


def compiles_for_cpu() -> bool:
    """Says whether XLA compiles for a CPU."""
    return jax.default_backend() == "cpu"


@functools.lru_cache(CACHED_OPERATIONS)
def _differentiable(operation: "Operation") -> Callable[..., Tensor]:
    # Of the inputs alone the backward pass computes the slope again.
    return jax.checkpoint(jax.jit(_with_rule(operation)))


@functools.lru_cache(CACHED_OPERATIONS)
def _with_rule(operation: "Operation") -> Callable[..., Tensor]:
    @jax.custom_jvp
    def function(*inputs):
        return operation.compute(*inputs)[0]

    @functools.partial(function.defjvp, symbolic_zeros=True)
    def jvp(inputs, tangents):
        # Not `function`: JAX keeps the rule as long as the function, which would keep itself.
        y = _with_rule(operation)(*inputs)
        dy = 0.0
        for part, tangent in zip(operation.slopes, tangents, strict=True):
            if part.outputs != (ZERO,) and type(tangent) is not SymbolicZero:
                dy = dy + _differentiable(part)(*inputs) * tangent
        return y, ops.broadcast_to(ops.cast(dy, y.dtype), y.shape)

    return function
