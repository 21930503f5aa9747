"""Logarithms, softplus and the inverse hyperbolic sine."""

import math

from keras_swish.keras_compat import Tensor, ops
from keras_swish.kernels.arithmetic import backend_op, polynomial, uses_backend_ops, with_sign_of
from keras_swish.kernels.exponential import exp_of_negative

# log(1 + t) = t - s (t - s^2 P(s^2)) with s = t / (2 + t), for -0.5 <= t <= 1.
_LOG1P = (0.6666667, 0.4000001, 0.28570297, 0.22264951, 0.17462222, 0.20796576)
# arcsinh(x) = x + x^3 P(x^2) for |x| <= 1.
_ARCSINH = (
    *(-0.16666667, 0.07499998, -0.044642184, 0.030370869, -0.022277286, 0.016867263),
    *(-0.012357296, 0.007918176, -0.0038937235, 0.0012405851, -0.00018613208),
)


def softplus(x: Tensor) -> Tensor:
    """Returns log(1 + exp(x))."""
    if uses_backend_ops(x):
        return ops.relu(x) + ops.log1p(ops.exp(-ops.abs(x)))
    return ops.relu(x) + log1p(exp_of_negative(-ops.abs(x)))


def log_abs_eps(x: Tensor) -> Tensor:
    """Returns log(|x| + 1e-7), without losing the eps where the logarithm is near 0."""
    a = ops.abs(x)
    log = ops.log(a + 1e-7)
    if uses_backend_ops(x):
        return log
    near = ops.abs(a - 1.0) < 0.25
    # The `where` keeps the two sums apart, which XLA would make one: a + (1e-7 - 1).
    above = ops.where(near, a - 1.0, ops.zeros_like(a))
    return ops.where(near, log1p(above + 1e-7), log)


def log1p(t: Tensor) -> Tensor:
    """Returns log(1 + t) for -0.5 <= t <= 1."""
    s = t / (2.0 + t)
    z = s * s
    return t - s * (t - z * polynomial(_LOG1P, z))


def arcsinh(x: Tensor) -> Tensor:
    """Returns the inverse hyperbolic sine."""
    a = ops.abs(x)
    if uses_backend_ops(x):
        return with_sign_of(x, backend_op("arcsinh", a))
    z = ops.square(ops.minimum(a, 1.0))
    # Far out sqrt(x^2 + 1) is |x|, and x^2 too large.
    far = a > 1e9
    root = ops.sqrt(ops.square(ops.where(far, ops.ones_like(a), a)) + 1.0)
    log = ops.log(ops.where(far, a, a + root)) + ops.where(far, math.log(2), 0.0)
    return ops.where(a < 1.0, x + x * z * polynomial(_ARCSINH, z), with_sign_of(x, log))


def unit(x: Tensor) -> Tensor:
    """Returns x / sqrt(x^2 + 1); +-1 at +-inf."""
    far = ops.abs(x) > 1e9
    near = ops.where(far, ops.zeros_like(x), x)
    return ops.where(far, ops.sign(x), near / ops.sqrt(ops.square(near) + 1.0))


def darcsinh(x: Tensor) -> Tensor:
    """Returns 1 / sqrt(x^2 + 1)."""
    a = ops.abs(x)
    far = a > 1e9
    near = ops.where(far, ops.zeros_like(a), a)
    return ops.where(far, 1.0 / a, 1.0 / ops.sqrt(ops.square(near) + 1.0))
