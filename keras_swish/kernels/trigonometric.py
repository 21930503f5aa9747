"""Sine and cosine, sinc and arctan."""

import math
from collections.abc import Callable

from keras_swish.keras_compat import Tensor, ops
from keras_swish.kernels.arithmetic import (
    backend_op,
    kept_nan,
    polynomial,
    product_tail,
    uses_backend_ops,
    with_sign_of,
)

Function = Callable[[Tensor], Tensor]
# From two tensors to sine and cosine of their product.
Wave = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

# sin(x) = x + x^3 P(x^2), cos(x) = 1 - x^2 / 2 + x^4 P(x^2) for |x| <= pi / 4.
_SIN = (-0.16666667, 0.008333332, -0.00019840058, 2.7246344e-06)
_COS = (0.041666668, -0.0013888888, 2.4800578e-05, -2.7298128e-07)
# arctan(x) = x + x^3 P(x^2) for |x| <= 1.
_ARCTAN = (
    *(-0.33333334, 0.19999991, -0.1428534, 0.11104981, -0.09038481, 0.07423855),
    *(-0.05774916, 0.038524177, -0.019426104, 0.006284011, -0.0009514925),
)
# sinc'(x) = -x P(x^2) for |x| <= 1: its power series.
_DSINC = tuple((-1) ** (n + 1) * 2 * n / math.factorial(2 * n + 1) for n in range(1, 10))
# pi / 2 in four parts; all but the last are so short that their products with the integers
# below TRIGONOMETRIC_BOUND are exact.
_HALF_PI = (1.5703125, 0.0004837512969970703, 7.549533620476723e-08, 2.5633440682570896e-12)
TRIGONOMETRIC_BOUND = 1e4


def sin(x: Tensor) -> Tensor:
    """Returns the sine."""
    return backend_op("sin", x)


def cos(x: Tensor) -> Tensor:
    """Returns the cosine."""
    return backend_op("cos", x)


def near_sin(x: Tensor) -> Tensor:
    """Returns the sine for |x| < TRIGONOMETRIC_BOUND, in float32."""
    r, q = _reduced(x)
    y = ops.where((q == 0) | (q == 2), _short_sine(r), _short_cosine(r))
    return ops.where(q >= 2, -y, y)


def near_cos(x: Tensor) -> Tensor:
    """Returns the cosine for |x| < TRIGONOMETRIC_BOUND, in float32."""
    r, q = _reduced(x)
    y = ops.where((q == 0) | (q == 2), _short_cosine(r), _short_sine(r))
    return ops.where((q == 1) | (q == 2), -y, y)


def _reduced(x: Tensor) -> tuple[Tensor, Tensor]:
    """Returns r and q with x = r + q pi/2 + 2 pi n, |r| <= pi/4, q one of 0, 1, 2, 3."""
    k = ops.round(x * (2 / math.pi))
    r = x
    for part in _HALF_PI:
        r = r - k * part
    return r, k - 4.0 * ops.floor(k * 0.25)


def _short_sine(r: Tensor) -> Tensor:
    z = r * r
    return r + r * z * polynomial(_SIN, z)


def _short_cosine(r: Tensor) -> Tensor:
    z = r * r
    return 1.0 - (0.5 * z - z * z * polynomial(_COS, z))


def sinc(x: Tensor, sin: Function = sin) -> Tensor:
    """Returns sin(x) / x, unnormalised: 1 at 0, 0 at +-inf."""
    # The inner `where` keeps 0/0 out of the branch not taken: exporters multiply by masks.
    a = ops.abs(x)
    usual = (a > 1e-30) & (a < math.inf)
    nonzero = ops.where(usual, x, ops.ones_like(x))
    y = ops.where(usual, sin(nonzero) / nonzero, ops.cast(a < 1.0, x.dtype))
    return kept_nan(y, x)


def dsinc(x: Tensor, sin: Function = sin, cos: Function = cos) -> Tensor:
    """Returns the derivative of `sinc`: (cos(x) - sinc(x)) / x; 0 at 0 and at +-inf."""
    near, infinite, series, _, quotient = _dsinc_parts(x, sin, cos)
    return ops.where(infinite, ops.zeros_like(x), ops.where(near, -x * series, quotient))


def dsinc_over_x(x: Tensor, sin: Function = sin, cos: Function = cos) -> Tensor:
    """Returns the derivative of `sinc`, divided by x: (cos(x) - sinc(x)) / x^2; 0 at +-inf."""
    near, infinite, series, far, quotient = _dsinc_parts(x, sin, cos)
    return ops.where(infinite, ops.zeros_like(x), ops.where(near, -series, quotient / far))


def _dsinc_parts(x: Tensor, sin: Function, cos: Function) -> tuple[Tensor, ...]:
    """Returns where x is near 0 and where infinite, P(x^2), x far from 0, and `dsinc` there."""
    # Near 0 the difference cancels; there, the series.
    near, infinite = ops.abs(x) < 1, ops.abs(x) == math.inf
    far = ops.where(near | infinite, ops.ones_like(x), x)
    square = ops.square(ops.where(near, x, ops.zeros_like(x)))
    return near, infinite, polynomial(_DSINC, square), far, (cos(far) - sin(far) / far) / far


def arctan(x: Tensor) -> Tensor:
    """Returns the inverse tangent."""
    if uses_backend_ops(x):
        return backend_op("arctan", x)
    a = ops.abs(x)
    far = a > 1.0
    y = ops.where(far, 1.0 / a, a)
    z = y * y
    y = y + y * z * polynomial(_ARCTAN, z)
    # pi/2 in two floats.
    return with_sign_of(x, ops.where(far, 1.5707963705062866 - (y + 4.371139000186243e-08), y))


def product_wave(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Returns sine and cosine of a * b, exact in the product: their error grows with its."""
    product = a * b
    if uses_backend_ops(product):
        return sin(product), cos(product)
    # Beyond the largest float32, of half the angle; beyond twice that, of 0: a sine is noise there,
    # but no NaN.
    overflows = ops.abs(product) == math.inf
    a = ops.where(overflows, 0.5 * a, a)
    product = a * b
    finite = (ops.abs(a) < math.inf) & (ops.abs(b) < math.inf)
    b = ops.where(finite & (ops.abs(product) == math.inf), ops.zeros_like(b), b)
    product = a * b
    tail = product_tail(a, b, product)
    s, c, tail_s, tail_c = sin(product), cos(product), sin(tail), cos(tail)
    s, c = s * tail_c + c * tail_s, c * tail_c - s * tail_s
    # Of the smaller one, whose square has the smaller error.
    doubled = ops.where(ops.abs(s) < ops.abs(c), 1.0 - 2.0 * s * s, 2.0 * c * c - 1.0)
    return _where(overflows, (2.0 * s * c, doubled), (s, c))


def near_product_wave(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Returns sine and cosine of a * b for |a * b| < TRIGONOMETRIC_BOUND, in float32."""
    product = a * b
    r, q = _reduced(product)
    r = r + product_tail(a, b, product)
    sine, cosine = _short_sine(r), _short_cosine(r)
    is_even = (q == 0) | (q == 2)
    s, c = _where(is_even, (sine, cosine), (cosine, sine))
    return ops.where(q >= 2, -s, s), ops.where((q == 1) | (q == 2), -c, c)


def _where(
    condition: Tensor, pair: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    return ops.where(condition, pair[0], other[0]), ops.where(condition, pair[1], other[1])


def product_sin(a: Tensor, b: Tensor, wave: Wave = product_wave) -> Tensor:
    """Returns sin(a * b)."""
    return wave(a, b)[0]


def product_cos(a: Tensor, b: Tensor, wave: Wave = product_wave) -> Tensor:
    """Returns cos(a * b)."""
    return wave(a, b)[1]


def snake(a: Tensor, b: Tensor, wave: Wave = product_wave) -> Tensor:
    """Returns sin(a * b)^2 / a; 0 at a = 0."""
    s, _ = wave(a, b)
    return s * _quotient(a, b, s)


def snake_slope(a: Tensor, b: Tensor, wave: Wave = product_wave) -> Tensor:
    """Returns the derivative of `snake` by a: b^2 at a = 0."""
    s, c = wave(a, b)
    quotient = _quotient(a, b, s)
    return 2.0 * quotient * (b * c - 0.5 * quotient)


def _quotient(a: Tensor, b: Tensor, s: Tensor) -> Tensor:
    """Returns sin(a * b) / a, with s = sin(a * b); b at a = 0."""
    u = a * b
    far, zero = ops.abs(u) > 1.0, ops.abs(u) < 1e-30
    one = ops.ones_like(u)
    near = b * ops.where(zero, one, s / ops.where(zero, one, u))
    return ops.where(far, s / ops.where(far, a, one), near)
