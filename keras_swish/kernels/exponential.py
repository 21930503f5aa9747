"""Exponential and hyperbolic functions, and the gates made of the logistic one."""

import math

from keras_swish.keras_compat import Tensor, ops
from keras_swish.kernels.arithmetic import (
    backend_op,
    bits,
    exact_distance,
    exact_product,
    exact_square,
    polynomial,
    uses_backend_ops,
    with_sign_of,
    zero_like,
)

# e^r = 1 + r + r^2 P(r) for |r| <= log(2) / 2.
_EXP = (0.5, 0.16666576, 0.041666854, 0.0083632, 0.0013901306)
# sinh(x) = x + x^3 P(x^2) for |x| <= 1.
SINH = (0.16666667, 0.008333334, 0.00019841282, 2.7553788e-06, 2.5455787e-08)
# log(2) in two parts; the first is so short that its products with the integers used here are
# exact.
_LOG2 = (0.693115234375, 3.1946184945309415e-05)
# No float32 times exp(-176) is more than 0, and no finite float32 is exp(130).
_LEAST, _MOST = -176.0, 130.0
# Nor is exp(-104.6) more than 0, which 2^24 times exp(-104.6) is on the way to a float32.
_LEAST_ALONE = -104.6


def exp_parts(x: Tensor, tail: Tensor = 0.0) -> tuple[Tensor, Tensor]:
    """Returns e and k with exp(x + tail) = (1 + e) * 2^k, for x <= _MOST.

    Not 1 + e: y + y * e rounds once where y * (1 + e) rounds twice.
    """
    r, k = _reduced(ops.maximum(x, _LEAST))
    return short_expm1(r + tail), k


def _reduced(x: Tensor) -> tuple[Tensor, Tensor]:
    """Returns r and k with x = r + k log(2), |r| <= log(2) / 2, k an integer."""
    k = ops.round(x * (1 / math.log(2)))
    return (x - k * _LOG2[0]) - k * _LOG2[1], k


def short_expm1(r: Tensor) -> Tensor:
    """Returns exp(r) - 1 for |r| <= log(2) / 2."""
    return r + r * r * polynomial(_EXP, r)


def _power_of_2(k: Tensor, more: int = 0) -> Tensor:
    """Returns 2^(k + more) for integers from -126 to 127, by a float32's bits; 0 for -127."""
    # 2^23 + 127 + k ends with the bits of 127 + k, which belong 23 places further left. (A cast
    # to integers takes XLA several times as long, as it has to saturate.)
    return bits(bits(k + (8388735.0 + more), "int32") * 8388608, "float32")


def _steps(k: Tensor) -> tuple[Tensor, Tensor]:
    """Returns two powers of 2 with the product 2^k, which need not be a float32 itself.

    From k = -253 downwards the product is 0.
    """
    first = ops.floor(k * 0.5)
    return _power_of_2(first), _power_of_2(k - first)


def scale(y: Tensor, k: Tensor) -> Tensor:
    """Returns y * 2^k."""
    first, second = _steps(k)
    return y * first * second


def times_exp(factor: Tensor, exponent: Tensor, tail: Tensor = 0.0) -> Tensor:
    """Returns factor * exp(exponent + tail): what vanishes exponentially wins over inf."""
    if uses_backend_ops(exponent):
        half = ops.exp((exponent + tail) / 2)
        product, none = factor * half * half, exponent < -1500
    else:
        e, k = exp_parts(ops.minimum(exponent, _MOST), tail)
        product, none = scale(factor + factor * e, k), exponent < _LEAST
    return ops.where(none, zero_like(factor), product)


def exp(x: Tensor) -> Tensor:
    """Returns the exponential function."""
    if uses_backend_ops(x):
        return ops.exp(x)
    e, k = exp_parts(ops.minimum(x, _MOST))
    return scale(1.0 + e, k)


def exp_of_negative(x: Tensor) -> Tensor:
    """Returns the exponential function of x <= 0, in fewer steps than `exp`."""
    return ops.exp(x) if uses_backend_ops(x) else _large_exp(x) * 2.0**-24


def _large_exp(x: Tensor, tail: Tensor = 0.0) -> Tensor:
    """Returns 2^24 * exp(x + tail) for x <= 0, which is a float32 where the exponential is none."""
    r, k = _reduced(ops.maximum(x, _LEAST_ALONE))
    power = _power_of_2(k, 24)
    return power + power * short_expm1(r + tail)


def expm1(x: Tensor) -> Tensor:
    """Returns exp(x) - 1, also near 0."""
    if uses_backend_ops(x):
        return ops.expm1(x)
    r, k = _reduced(ops.clip(x, -30.0, _MOST))
    e = short_expm1(r)
    # Half of it: 2^128 is no float32.
    half = _power_of_2(ops.minimum(k, 128.0) - 1.0)
    return ops.where(k == 0.0, e, 2.0 * (half * e + (half - 0.5)))


def sigmoid(x: Tensor) -> Tensor:
    """Returns the logistic function, 1 / (1 + exp(-x))."""
    t = exp_of_negative(-ops.abs(x))
    r = 1.0 / (1.0 + t)
    return ops.where(x >= 0, r, t * r)


def _downwards(b: Tensor, tail: Tensor) -> tuple[Tensor, Tensor]:
    """Returns -|b + tail| in its two parts."""
    return -ops.abs(b), tail if isinstance(tail, float) else ops.where(b < 0, tail, -tail)


def gate(a: Tensor, b: Tensor, tail: Tensor = 0.0) -> Tensor:
    """Returns a * sigmoid(b + tail): Swish's form. 0 at b = -inf, whatever a."""
    exponent, tail = _downwards(b, tail)
    if uses_backend_ops(b):
        r = 1.0 / (1.0 + ops.exp(exponent))
        return ops.where(b >= 0, a * r, times_exp(a * r, exponent))
    # t = exp(-|b|) may vanish before its product with a does: that is multiplied in two steps.
    e, k = exp_parts(exponent, tail)
    first, second = _steps(k)
    half = first + first * e
    r = 1.0 / (1.0 + half * second)
    y = ops.where(b >= 0, a * r, (a * half) * r * second)
    return ops.where(b < _LEAST, zero_like(a), y)


def gate_slope(a: Tensor, da: Tensor, b: Tensor, db: Tensor, tail: Tensor = 0.0) -> Tensor:
    """Returns the derivative of `gate`: da * sigmoid(b) + a * db * sigmoid'(b)."""
    exponent, tail = _downwards(b, tail)
    up = b >= 0
    # exp(-|b|), made larger by 2^24: it may vanish before its product with a does. (In this
    # form, each result used by few others, XLA makes one loop of all this.)
    if uses_backend_ops(b):
        large, vanished = ops.exp(exponent + tail) * 16777216.0, exponent < -700.0
    else:
        large, vanished = _large_exp(exponent, tail), exponent < _LEAST
    t, one = large * 2.0**-24, ops.ones_like(large)
    r = 1.0 / (1.0 + t)
    u = r * (da + a * (db * r) * ops.where(up, t, one))
    y = u * ops.where(up, one, large) * ops.where(up, one, 2.0**-24 * one)
    return ops.where(vanished, ops.where(up, da, ops.zeros_like(y)), y)


def dgate(a: Tensor, c: Tensor, b: Tensor, tail: Tensor = 0.0) -> Tensor:
    """Returns a * c * sigmoid'(b), of which x^2 * sigmoid'(beta * x) is a case; 0 at b = +-inf."""
    exponent, tail = _downwards(b, tail)
    # Half of the exponential to each factor: both may be huge.
    if uses_backend_ops(b):
        first = second = ops.exp((exponent + tail) / 2)
        product, t, vanished = (a * first) * (c * second), first * second, exponent < -1500.0
    else:
        e, k = exp_parts(exponent, tail)
        first, second = _steps(k)
        # Of a finite a, as inf - inf is NaN.
        finite = ops.clip(a, -3.4028234663852886e38, 3.4028234663852886e38)
        product = (a * first + (finite * first) * e) * (c * second)
        t, vanished = (first + first * e) * second, exponent < _LEAST
    q = 1.0 + t
    return ops.where(vanished, zero_like(a), product / (q * q))


def product_gate(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Returns a * sigmoid(b * c), exact in the product: an exponent's error grows with it."""
    return gate(a, *exact_product(b, c))


def product_gate_slope(a: Tensor, da: Tensor, b: Tensor, c: Tensor, slope: Tensor) -> Tensor:
    """Returns the derivative of `product_gate`, `slope` being that of b * c."""
    product, tail = exact_product(b, c)
    return gate_slope(a, da, product, slope, tail)


def product_dgate(a: Tensor, d: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Returns a * d * sigmoid'(b * c)."""
    return dgate(a, d, *exact_product(b, c))


def tanh(x: Tensor) -> Tensor:
    """Returns the hyperbolic tangent."""
    if uses_backend_ops(x):
        return backend_op("tanh", x)
    m = expm1(-2.0 * ops.abs(x))
    return with_sign_of(x, -m / (2.0 + m))


def sinh(x: Tensor) -> Tensor:
    """Returns the hyperbolic sine."""
    if uses_backend_ops(x):
        return backend_op("sinh", x)
    a = ops.abs(x)
    half = _half_exp(a)
    z = ops.square(ops.minimum(a, 1.0))
    return ops.where(a < 1.0, x + x * z * polynomial(SINH, z), with_sign_of(x, half - 0.25 / half))


def cosh(x: Tensor) -> Tensor:
    """Returns the hyperbolic cosine."""
    if uses_backend_ops(x):
        return backend_op("cosh", x)
    half = _half_exp(ops.abs(x))
    return half + 0.25 / half


def _half_exp(x: Tensor) -> Tensor:
    """Returns exp(x) / 2, which is finite for longer."""
    e, k = exp_parts(ops.minimum(x, _MOST))
    return scale(1.0 + e, k - 1.0)


def decay(factor: Tensor, beta: Tensor, x1: Tensor, x2: Tensor) -> Tensor:
    """Returns factor * exp(-beta * |x1 - x2|)."""
    distance, tail = exact_distance(x1, x2)
    exponent, rest = exact_product(beta, distance)
    return times_exp(factor, -exponent, -(rest + beta * tail))


def decay_squared(factor: Tensor, beta: Tensor, x1: Tensor, x2: Tensor) -> Tensor:
    """Returns factor * exp(-beta * (x1 - x2)^2)."""
    distance, tail = exact_distance(x1, x2)
    square, square_rest = exact_square(distance)
    exponent, rest = exact_product(beta, square)
    return times_exp(factor, -exponent, -(rest + beta * (square_rest + 2.0 * distance * tail)))
