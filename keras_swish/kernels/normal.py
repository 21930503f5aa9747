"""Functions of the normal distribution: the Gaussian, erf and GELU."""

import math

from keras_swish.keras_compat import Tensor, ops
from keras_swish.kernels.arithmetic import (
    exact_square,
    polynomial,
    uses_backend_ops,
    with_sign_of,
    zero_like,
)
from keras_swish.kernels.exponential import exp_parts, scale, times_exp

# erf(x) = x + x P(x^2) for |x| <= 0.9.
_ERF = (
    *(0.12837917, -0.37612638, 0.11283788, -0.026865851),
    *(0.005222523, -0.00085109397, 0.00011504128, -1.0492743e-05),
)
# The tail: Q(u) = e^(-u^2 / 2) P(t) / (u + 2), t = (u - 2) / (u + 2).
_TAIL = (
    *(0.672408, -0.33140457, 0.028798409, 0.036721915, -0.00048323878, -0.0067536524),
    *(-0.0018911992, 0.0008892506, 0.0007267991, 2.667312e-05, -7.917701e-05),
)


def gauss(factor: Tensor, x: Tensor) -> Tensor:
    """Returns factor * exp(-x^2); 0 at x = +-inf."""
    square, tail = exact_square(ops.clip(x, -40.0, 40.0))
    return times_exp(factor, -square, -tail)


def erf(x: Tensor) -> Tensor:
    """Returns the error function."""
    if uses_backend_ops(x):
        return ops.erf(x)
    a = ops.abs(x)
    q, e, k = _normal_tail(ops.minimum(a, 10.0) * math.sqrt(2))
    far = with_sign_of(x, 1.0 - 2.0 * scale(q + q * e, k))
    return ops.where(a < 0.9, near_erf(x), far)


def near_erf(x: Tensor) -> Tensor:
    """Returns the error function for |x| <= 0.9."""
    return x + x * polynomial(_ERF, ops.square(ops.clip(x, -1.0, 1.0)))


def gelu(x: Tensor) -> Tensor:
    """Returns GELU, x * (1 + erf(x / sqrt(2))) / 2, without losing the tail below 0."""
    if uses_backend_ops(x):
        # erf(-t) = -erf(t): of 1 + erf nothing is left far below 0, but less than float64 sees.
        return ops.where(x < -40, zero_like(x), x * _plain_normal(x))
    u = ops.minimum(ops.abs(x), 18.7)
    q, e, k = _normal_tail(u)
    below = scale(ops.maximum(x, -18.7) * (q + q * e), k)
    return ops.where(x < 0, below, x * (1.0 - scale(q + q * e, k)))


def dgelu(x: Tensor) -> Tensor:
    """Returns the derivative of `gelu`: Phi(x) + x phi(x)."""
    if uses_backend_ops(x):
        near = ops.clip(x, -40.0, 40.0)
        density = ops.exp(-0.5 * ops.square(near)) / math.sqrt(2 * math.pi)
        return _plain_normal(x) + near * density
    u = ops.minimum(ops.abs(x), 18.7)
    q, e, k = _normal_tail(u)
    difference = q - u * (1 / math.sqrt(2 * math.pi))
    tail = scale(difference + difference * e, k)
    return ops.where(x < 0, tail, 1.0 - tail)


def _normal_tail(u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns q, e, k: the normal distribution has q * (1 + e) * 2^k of its mass beyond u >= 0.

    (1 + e) * 2^k is exp(-u^2 / 2).
    """
    square, tail = exact_square(u)
    e, k = exp_parts(-0.5 * square, -0.5 * tail)
    return tail_factor(u), e, k


def tail_factor(u: Tensor) -> Tensor:
    """Returns what exp(-u^2 / 2) is multiplied by: the mass beyond u >= 0 is their product."""
    w = 1.0 / (u + 2.0)
    return w * polynomial(_TAIL, 1.0 - 4.0 * w)


def _plain_normal(x: Tensor) -> Tensor:
    return (1.0 + ops.erf(x * math.sqrt(0.5))) * 0.5
