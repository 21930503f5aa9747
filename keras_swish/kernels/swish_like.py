"""Relatives of Swish: its piecewise form, Mish, TeLU, and GELU's approximation by a gate."""

from keras_swish.keras_compat import Tensor, ops
from keras_swish.kernels.arithmetic import at_least, at_most, exact_product, uses_backend_ops
from keras_swish.kernels.exponential import (
    dgate,
    exp,
    exp_of_negative,
    gate,
    gate_slope,
    tanh,
    times_exp,
)

# 1.702 as a float32, and what that lacks.
_SLOPE, _SLOPE_REST = 1.7020000219345093, 1.702 - 1.7020000219345093
# From here on tanh(exp(x)) is 1, even in float64.
_TELU_MOST = 5.0
# Below, x * tanh(exp(x)) is x * exp(x), even in float64.
_TELU_LEAST = -20.0


def hard_swish(x: Tensor) -> Tensor:
    """Returns x * min(max(x + 3, 0), 6) / 6, without overflow; 0 at x = -inf."""
    return at_least(x, -3.0) * (at_most(at_least(x + 3.0, 0.0), 6.0) / 6.0)


def mish(x: Tensor) -> Tensor:
    """Returns Mish, x * tanh(softplus(x)), without losing the tail below 0."""
    # With t = exp(x): tanh(softplus(x)) = t (t + 2) / (t (t + 2) + 2).
    t = exp_of_negative(-ops.abs(x))
    below, rational = at_most(x, 0.0), (t + 2.0) / (t * (t + 2.0) + 2.0)
    above = x * ((1.0 + 2.0 * t) / (1.0 + 2.0 * t + 2.0 * t * t))
    return ops.where(x < 0, times_exp(below, below) * rational, above)


def dmish(x: Tensor) -> Tensor:
    """Returns the derivative of `mish`."""
    t = exp_of_negative(-ops.abs(x))
    below, d = at_most(x, 0.0), t * (t + 2.0) + 2.0
    factor = ((t + 2.0) * d + 4.0 * below * (t + 1.0)) / (d * d)
    # Numerator and denominator divided by exp(4 x). Not further: inf * 0 is NaN.
    near, d = at_most(x, 400.0), 1.0 + 2.0 * t + 2.0 * t * t
    above = ((1.0 + 2.0 * t) * d + 4.0 * (near * t) * (t * (1.0 + t))) / (d * d)
    return ops.where(x < 0, times_exp(factor, below), above)


def telu(x: Tensor) -> Tensor:
    """Returns TeLU, x * tanh(exp(x)), without losing the tail below 0."""
    below = at_most(x, 0.0)
    near = x * tanh(exp(at_most(x, _TELU_MOST)))
    return ops.where(x < _TELU_LEAST, times_exp(below, below), near)


def dtelu(x: Tensor) -> Tensor:
    """Returns the derivative of `telu`: tanh(exp(x)) + x * exp(x) / cosh(exp(x))^2."""
    below, above = at_most(x, 0.0), at_most(x, _TELU_MOST)
    t = exp(above)
    near = tanh(t) + dgate(4.0 * at_least(above, _TELU_LEAST), t, 2.0 * t)
    return ops.where(x < _TELU_LEAST, times_exp(1.0 + below, below), near)


def quick_gelu(x: Tensor) -> Tensor:
    """Returns x * sigmoid(1.702 * x), exact in the product: 1.702 is no float32."""
    return gate(x, *_scaled(x))


def dquick_gelu(x: Tensor) -> Tensor:
    """Returns the derivative of `quick_gelu`."""
    product, tail = _scaled(x)
    one = ops.ones_like(x)
    return gate_slope(x, one, product, 1.702 * one, tail)


def _scaled(x: Tensor) -> tuple[Tensor, Tensor]:
    """Returns 1.702 * x as a float and the part that its rounding loses."""
    if uses_backend_ops(x):
        return 1.702 * x, 0.0
    product, tail = exact_product(x, ops.convert_to_tensor(_SLOPE, x.dtype))
    # Further out the sigmoid is 0 or 1 whatever the tail, and inf - inf is NaN.
    near = ops.where(ops.abs(product) < 256.0, x, ops.zeros_like(x))
    return product, tail + near * _SLOPE_REST
