"""Elementwise functions that neither overflow on the way nor lose their tails.

The frameworks' own elementary functions are off by up to 60 units in the last place
(TensorFlow's erfc), or overflow before their result does (sinh), or take ten times as long
as a copy (XLA's cos and arctan on a CPU). These here keep within 4 in float32, take the limit
at infinity where there is one, keep NaN, and are made of operations that every backend,
compiler and exporter has. In float64 they are the plain
formulas.

Polynomials are fitted to least relative error (Lawson's iteration on Chebyshev nodes, in 50
digits); their coefficients stand lowest power first.
"""

import math

import keras
from keras import ops
from keras.backend import standardize_dtype

# e^r = 1 + r + r^2 P(r) for |r| <= log(2) / 2.
_EXP = (0.5, 0.16666576, 0.041666854, 0.0083632, 0.0013901306)
# log(1 + t) = t - s (t - s^2 P(s^2)) with s = t / (2 + t), for -0.5 <= t <= 1.
_LOG1P = (0.6666667, 0.4000001, 0.28570297, 0.22264951, 0.17462222, 0.20796576)
# f(x) = x + x^3 P(x^2): sine and the cosine below for |x| <= pi/4, the others for |x| <= 1.
_SIN = (-0.16666667, 0.008333332, -0.00019840058, 2.7246344e-06)
_SINH = (0.16666667, 0.008333334, 0.00019841282, 2.7553788e-06, 2.5455787e-08)
_ARCSINH = (
    *(-0.16666667, 0.07499998, -0.044642184, 0.030370869, -0.022277286, 0.016867263),
    *(-0.012357296, 0.007918176, -0.0038937235, 0.0012405851, -0.00018613208),
)
_ARCTAN = (
    *(-0.33333334, 0.19999991, -0.1428534, 0.11104981, -0.09038481, 0.07423855),
    *(-0.05774916, 0.038524177, -0.019426104, 0.006284011, -0.0009514925),
)
# cos(x) = 1 - x^2 / 2 + x^4 P(x^2).
_COS = (0.041666668, -0.0013888888, 2.4800578e-05, -2.7298128e-07)
# erf(x) = x + x P(x^2) for |x| <= 0.9.
_ERF = (
    *(0.12837917, -0.37612638, 0.11283788, -0.026865851),
    *(0.005222523, -0.00085109397, 0.00011504128, -1.0492743e-05),
)
# The normal distribution's tail: Q(u) = e^(-u^2 / 2) P(t) / (u + 2), t = (u - 2) / (u + 2).
_TAIL = (
    *(0.672408, -0.33140457, 0.028798409, 0.036721915, -0.00048323878, -0.0067536524),
    *(-0.0018911992, 0.0008892506, 0.0007267991, 2.667312e-05, -7.917701e-05),
)
# sinc'(x) = -x P(x^2) for |x| <= 1: its power series.
_DSINC = tuple((-1) ** (n + 1) * 2 * n / math.factorial(2 * n + 1) for n in range(1, 10))

# Sums equal to log(2) and pi/2; all parts but the last are so short that their products with
# the integers met here are exact.
_LOG2 = (0.693115234375, 3.1946184945309415e-05)
_HALF_PI = (1.5703125, 0.0004837512969970703, 7.549533620476723e-08, 2.5633440682570896e-12)
# Up to here the reduction by _HALF_PI is exact enough.
TRIGONOMETRIC_BOUND = 1e4

# No float32 times exp(-176) is more than 0, and no finite float32 is exp(130).
_LEAST, _MOST = -176.0, 130.0


def _plain(x) -> bool:
    """Whether to use the backend's own functions: float32 is what needs better ones."""
    return standardize_dtype(x.dtype) != "float32"


def _polynomial(coefficients, x):
    result = coefficients[-1]
    for coefficient in coefficients[-2::-1]:
        result = result * x + coefficient
    return result


def _power_of_2(k):
    """2^k for whole numbers -126 <= k <= 127, by the bits of a float32; 0 for k = -127."""
    # 2^23 + 127 + k ends with the bits of 127 + k, which belong 23 places further left. (A cast
    # to integers takes XLA several times as long, as it has to saturate.)
    return _bits(_bits(k + 8388735.0, "int32") * 8388608, "float32")


def _bits(x, dtype):
    """Returns the bits of x as numbers of another dtype."""
    if keras.backend.backend() == "tensorflow":
        # Keras's `ops.view` refuses shapes that are known at run time only.
        import tensorflow as tf

        return tf.bitcast(x, dtype)
    return ops.view(x, dtype)


def _exp_parts(x, tail=0.0):
    """Returns e and k with exp(x + tail) = (1 + e) * 2^k, for x <= _MOST.

    Not 1 + e: y + y * e rounds once where y * (1 + e) rounds twice.
    """
    x = ops.maximum(x, _LEAST)
    k = ops.round(x * (1 / math.log(2)))
    r = ((x - k * _LOG2[0]) - k * _LOG2[1]) + tail
    return r + r * r * _polynomial(_EXP, r), k


def _steps(k):
    """Returns two powers of 2 with the product 2^k, which need not be a float32 itself.

    From k = -253 downwards the product is 0.
    """
    first = ops.floor(k * 0.5)
    return _power_of_2(first), _power_of_2(k - first)


def _scale(y, k):
    """Returns y * 2^k."""
    first, second = _steps(k)
    return y * first * second


def _times_exp(factor, exponent, tail=0.0):
    """Returns factor * exp(exponent + tail): what vanishes exponentially wins over inf."""
    if _plain(exponent):
        half = ops.exp((exponent + tail) / 2)
        product, none = factor * half * half, exponent < -1500
    else:
        e, k = _exp_parts(ops.minimum(exponent, _MOST), tail)
        product, none = _scale(factor + factor * e, k), exponent < _LEAST
    return ops.where(none, _zero_like(factor), product)


def _zero_like(x):
    """0, but NaN where x is NaN."""
    return ops.minimum(ops.abs(x), 0.0)


def _exact_square(x):
    """Returns x^2 as a float and the part that its rounding loses."""
    if _plain(x):
        return x * x, 0.0
    return _exact_product(x, x)


def _exact_product(a, b):
    """Returns a * b as a float and the part that its rounding loses (Dekker)."""
    product = a * b
    if _plain(product):
        return product, 0.0
    (a1, a2), (b1, b2) = _halves(a), _halves(b)
    tail = ((a1 * b1 - product) + a1 * b2 + a2 * b1) + a2 * b2
    # Further out exp is 0 or inf whatever the tail, which overflow may have made NaN.
    return product, ops.where(ops.abs(product) < 256.0, tail, ops.zeros_like(tail))


def _halves(x):
    """Returns x in two parts of 12 bits, whose products are exact."""
    high = _bits(ops.right_shift(_bits(x, "int32"), 12) * 4096, "float32")
    return high, x - high


def exp(x, tail=0.0):
    """exp(x + tail)."""
    if _plain(x):
        return ops.exp(x + tail)
    e, k = _exp_parts(ops.minimum(x, _MOST), tail)
    return _scale(1.0 + e, k)


def expm1(x):
    """exp(x) - 1, also near 0."""
    if _plain(x):
        return ops.expm1(x)
    x = ops.clip(x, -30.0, _MOST)
    k = ops.round(x * (1 / math.log(2)))
    r = (x - k * _LOG2[0]) - k * _LOG2[1]
    # Half of it: 2^128 is no float32.
    half = _power_of_2(ops.minimum(k, 128.0) - 1.0)
    y = 2.0 * (half * (r + r * r * _polynomial(_EXP, r)) + (half - 0.5))
    return ops.where(k == 0.0, r + r * r * _polynomial(_EXP, r), y)


def _log1p(t):
    """log(1 + t) for -0.5 <= t <= 1."""
    s = t / (2.0 + t)
    z = s * s
    return t - s * (t - z * _polynomial(_LOG1P, z))


def softplus(x):
    """log(1 + exp(x))."""
    if _plain(x):
        return ops.relu(x) + ops.log1p(ops.exp(-ops.abs(x)))
    return ops.relu(x) + _log1p(exp(-ops.abs(x)))


def log_abs_eps(x):
    """log(|x| + 1e-7), without losing the eps where the logarithm is near 0."""
    a = ops.abs(x)
    log = ops.log(a + 1e-7)
    if _plain(x):
        return log
    near = ops.abs(a - 1.0) < 0.25
    # The `where` stands between the two sums, which XLA would make one: a + (1e-7 - 1).
    above = ops.where(near, a - 1.0, ops.zeros_like(a))
    return ops.where(near, _log1p(above + 1e-7), log)


def add_eps(x):
    """x + 1e-7, exact also where they cancel: 1e-7 is no float32."""
    if _plain(x):
        return x + 1e-7
    y = x + 1.0000000116860974e-07
    # A `where` between the two sums again.
    near = ops.abs(y) < 1e-6
    return ops.where(near, ops.where(near, y, ops.ones_like(y)) - 1.1686097423080355e-15, y)


def quotient(a, b):
    """a / b, where XLA would make a / (c * b) of (a / c) / b, and overflow."""
    return ops.sign(a) * (ops.abs(a) / b)


def sigmoid(x):
    """1 / (1 + exp(-x))."""
    return gate(ops.ones_like(x), x)


def _downwards(b, tail):
    """Returns -|b + tail| in its two parts."""
    return -ops.abs(b), tail if isinstance(tail, float) else ops.where(b < 0, tail, -tail)


def gate(a, b, tail=0.0):
    """a * sigmoid(b + tail): Swish's form. 0 at b = -inf, whatever a."""
    exponent, tail = _downwards(b, tail)
    if _plain(b):
        r = 1.0 / (1.0 + ops.exp(exponent))
        return ops.where(b >= 0, a * r, _times_exp(a * r, exponent))
    # t = exp(-|b|) may vanish before its product with a does: that is multiplied in two steps.
    e, k = _exp_parts(exponent, tail)
    first, second = _steps(k)
    half = first + first * e
    r = 1.0 / (1.0 + half * second)
    y = ops.where(b >= 0, a * r, (a * half) * r * second)
    return ops.where(b < _LEAST, _zero_like(a), y)


def gate_slope(a, da, b, db, tail=0.0):
    """Derivative of `gate`: da * sigmoid(b) + a * db * sigmoid'(b)."""
    exponent, tail = _downwards(b, tail)
    up = b >= 0
    if _plain(b):
        t = ops.exp(exponent)
        r = 1.0 / (1.0 + t)
        u = r * (da + a * (db * r) * ops.where(up, t, ops.ones_like(t)))
        y = ops.where(up, u, _times_exp(u, exponent))
        vanished = exponent < -700.0
    else:
        e, k = _exp_parts(exponent, tail)
        first, second = _steps(k)
        half = first + first * e
        t = half * second
        r = 1.0 / (1.0 + t)
        u = r * (da + a * (db * r) * ops.where(up, t, ops.ones_like(t)))
        y = ops.where(up, u, (u * half) * second)
        vanished = exponent < _LEAST
    return ops.where(vanished, ops.where(up, da, ops.zeros_like(y)), y)


def dgate(a, c, b, tail=0.0):
    """a * c * sigmoid'(b), of which x^2 * sigmoid'(beta * x) is a case; 0 at b = +-inf."""
    exponent, tail = _downwards(b, tail)
    # Half of the exponential to each factor: both may be huge.
    if _plain(b):
        first = second = ops.exp((exponent + tail) / 2)
        vanished = exponent < -1500.0
    else:
        e, k = _exp_parts(exponent, tail)
        first, second = _steps(k)
        first = first + first * e
        vanished = exponent < _LEAST
    r = 1.0 / (1.0 + first * second)
    return ops.where(vanished, _zero_like(a), (a * r * first) * (c * r * second))


def product_gate(a, b, c):
    """a * sigmoid(b * c), exact in the product: an exponent's error grows with it."""
    return gate(a, *_exact_product(b, c))


def product_gate_slope(a, da, b, c, slope):
    """Derivative of `product_gate`, `slope` being that of b * c."""
    product, tail = _exact_product(b, c)
    return gate_slope(a, da, product, slope, tail)


def product_dgate(a, d, b, c):
    """a * d * sigmoid'(b * c)."""
    return dgate(a, d, *_exact_product(b, c))


def tanh(x):
    """Hyperbolic tangent."""
    if _plain(x):
        return _own("tanh", x)
    m = expm1(-2.0 * ops.abs(x))
    return _with_sign_of(x, -m / (2.0 + m))


def _with_sign_of(x, y):
    return ops.where(x < 0, -y, y)


def sinh(x):
    """Hyperbolic sine."""
    if _plain(x):
        return _own("sinh", x)
    a = ops.abs(x)
    e, k = _exp_parts(ops.minimum(a, _MOST))
    half = _scale(1.0 + e, k - 1.0)
    z = ops.square(ops.minimum(a, 1.0))
    return ops.where(a < 1.0, x + x * z * _polynomial(_SINH, z), _with_sign_of(x, half - 0.25 / half))


def cosh(x):
    """Hyperbolic cosine."""
    if _plain(x):
        return _own("cosh", x)
    e, k = _exp_parts(ops.minimum(ops.abs(x), _MOST))
    half = _scale(1.0 + e, k - 1.0)
    return half + 0.25 / half


def arcsinh(x):
    """Inverse hyperbolic sine."""
    a = ops.abs(x)
    if _plain(x):
        return _with_sign_of(x, _own("arcsinh", a))
    z = ops.square(ops.minimum(a, 1.0))
    # Far out sqrt(x^2 + 1) is |x|, and x^2 too large.
    far = a > 1e9
    root = ops.sqrt(ops.square(ops.where(far, ops.ones_like(a), a)) + 1.0)
    log = ops.log(ops.where(far, a, a + root)) + ops.where(far, math.log(2), 0.0)
    return ops.where(a < 1.0, x + x * z * _polynomial(_ARCSINH, z), _with_sign_of(x, log))


def unit(x):
    """x / sqrt(x^2 + 1); +-1 at +-inf."""
    far = ops.abs(x) > 1e9
    near = ops.where(far, ops.zeros_like(x), x)
    return ops.where(far, ops.sign(x), near / ops.sqrt(ops.square(near) + 1.0))


def darcsinh(x):
    """1 / sqrt(x^2 + 1)."""
    a = ops.abs(x)
    far = a > 1e9
    near = ops.where(far, ops.zeros_like(a), a)
    return ops.where(far, 1.0 / a, 1.0 / ops.sqrt(ops.square(near) + 1.0))


def arctan(x):
    """Inverse tangent."""
    if _plain(x):
        return _own("arctan", x)
    a = ops.abs(x)
    far = a > 1.0
    y = ops.where(far, 1.0 / a, a)
    z = y * y
    y = y + y * z * _polynomial(_ARCTAN, z)
    # pi/2 in two floats.
    return _with_sign_of(x, ops.where(far, 1.5707963705062866 - (y + 4.371139000186243e-08), y))


def gauss(factor, x):
    """factor * exp(-x^2); 0 at x = +-inf."""
    square, tail = _exact_square(ops.clip(x, -40.0, 40.0))
    return _times_exp(factor, -square, -tail)


def decay(factor, beta, x1, x2):
    """factor * exp(-beta * |x1 - x2|)."""
    distance, tail = _exact_distance(x1, x2)
    exponent, rest = _exact_product(beta, distance)
    return _times_exp(factor, -exponent, -(rest + beta * tail))


def decay_squared(factor, beta, x1, x2):
    """factor * exp(-beta * (x1 - x2)^2)."""
    distance, tail = _exact_distance(x1, x2)
    square, square_rest = _exact_square(distance)
    exponent, rest = _exact_product(beta, square)
    return _times_exp(factor, -exponent, -(rest + beta * (square_rest + 2.0 * distance * tail)))


def _exact_distance(x1, x2):
    """Returns |x1 - x2| as a float and the part that its rounding loses (Knuth)."""
    difference = x1 - x2
    if _plain(difference):
        return ops.abs(difference), 0.0
    back = difference - x1
    tail = (x1 - (difference - back)) - (x2 + back)
    tail = ops.where(difference < 0, -tail, tail)
    return ops.abs(difference), ops.where(ops.abs(tail) < 1e30, tail, ops.zeros_like(tail))


def _normal_tail(u):
    """Returns q, e, k: the normal distribution has q * (1 + e) * 2^k of its mass beyond u >= 0.

    (1 + e) * 2^k is exp(-u^2 / 2).
    """
    square, tail = _exact_square(u)
    e, k = _exp_parts(-0.5 * square, -0.5 * tail)
    w = 1.0 / (u + 2.0)
    return w * _polynomial(_TAIL, 1.0 - 4.0 * w), e, k


def erf(x):
    """Error function."""
    if _plain(x):
        return ops.erf(x)
    a = ops.abs(x)
    q, e, k = _normal_tail(ops.minimum(a, 10.0) * math.sqrt(2))
    z = ops.square(ops.minimum(a, 1.0))
    far = _with_sign_of(x, 1.0 - 2.0 * _scale(q + q * e, k))
    return ops.where(a < 0.9, x + x * _polynomial(_ERF, z), far)


def gelu(x):
    """x * (1 + erf(x / sqrt(2))) / 2, without losing the tail below 0."""
    if _plain(x):
        # erf(-t) = -erf(t): of 1 + erf nothing is left far below 0, but less than float64 sees.
        return ops.where(x < -40, _zero_like(x), x * _plain_normal(x))
    u = ops.minimum(ops.abs(x), 18.7)
    q, e, k = _normal_tail(u)
    below = _scale(ops.maximum(x, -18.7) * (q + q * e), k)
    return ops.where(x < 0, below, x * (1.0 - _scale(q + q * e, k)))


def dgelu(x):
    """Derivative of `gelu`: Phi(x) + x phi(x)."""
    if _plain(x):
        near = ops.clip(x, -40.0, 40.0)
        density = ops.exp(-0.5 * ops.square(near)) / math.sqrt(2 * math.pi)
        return _plain_normal(x) + near * density
    u = ops.minimum(ops.abs(x), 18.7)
    q, e, k = _normal_tail(u)
    difference = q - u * (1 / math.sqrt(2 * math.pi))
    tail = _scale(difference + difference * e, k)
    return ops.where(x < 0, tail, 1.0 - tail)


def _plain_normal(x):
    return (1.0 + ops.erf(x * math.sqrt(0.5))) * 0.5


def _reduced(x):
    """Returns r and q with x = r + q pi/2 + 2 pi n, |r| <= pi/4, q one of 0, 1, 2, 3."""
    k = ops.round(x * (2 / math.pi))
    r = x
    for part in _HALF_PI:
        r = r - k * part
    return r, k - 4.0 * ops.floor(k * 0.25)


def _short_sine(r):
    z = r * r
    return r + r * z * _polynomial(_SIN, z)


def _short_cosine(r):
    z = r * r
    return 1.0 - (0.5 * z - z * z * _polynomial(_COS, z))


def near_sin(x):
    """Sine for |x| < TRIGONOMETRIC_BOUND, in float32."""
    r, q = _reduced(x)
    y = ops.where((q == 0) | (q == 2), _short_sine(r), _short_cosine(r))
    return ops.where(q >= 2, -y, y)


def near_cos(x):
    """Cosine for |x| < TRIGONOMETRIC_BOUND, in float32."""
    r, q = _reduced(x)
    y = ops.where((q == 0) | (q == 2), _short_cosine(r), _short_sine(r))
    return ops.where((q == 1) | (q == 2), -y, y)


def sin(x):
    """Sine."""
    return _own("sin", x)


def cos(x):
    """Cosine."""
    return _own("cos", x)


def _own(name, x):
    """The backend's own function of that name."""
    if keras.backend.backend() == "jax":
        # Keras's takes a detour through float32.
        import jax.numpy as own
    else:
        own = ops
    return getattr(own, name)(x)


def sinc(x, sin=sin):
    """sin(x) / x, unnormalised: 1 at 0, 0 at +-inf."""
    # The inner `where` keeps 0/0 out of the branch not taken: exporters multiply by masks.
    a = ops.abs(x)
    usual = (a > 1e-30) & (a < math.inf)
    nonzero = ops.where(usual, x, ops.ones_like(x))
    y = ops.where(usual, sin(nonzero) / nonzero, ops.cast(a < 1.0, x.dtype))
    return kept_nan(y, x)


def dsinc_over_x(x, sin=sin, cos=cos):
    """Derivative of `sinc`, divided by x: (cos(x) - sinc(x)) / x^2; 0 at +-inf."""
    # Near 0 the difference cancels; there, the series.
    near, infinite = ops.abs(x) < 1, ops.abs(x) == math.inf
    far = ops.where(near | infinite, ops.ones_like(x), x)
    square = ops.square(ops.where(near, x, ops.zeros_like(x)))
    y = ops.where(near, -_polynomial(_DSINC, square), (cos(far) - sin(far) / far) / far / far)
    return ops.where(infinite, ops.zeros_like(x), y)


def dsinc(x, sin=sin, cos=cos):
    """Derivative of `sinc`: (cos(x) - sinc(x)) / x; 0 at 0 and at +-inf."""
    near, infinite = ops.abs(x) < 1, ops.abs(x) == math.inf
    far = ops.where(near | infinite, ops.ones_like(x), x)
    square = ops.square(ops.where(near, x, ops.zeros_like(x)))
    y = ops.where(near, -x * _polynomial(_DSINC, square), (cos(far) - sin(far) / far) / far)
    return ops.where(infinite, ops.zeros_like(x), y)


def step(x):
    """1 where x > 0, else 0; NaN stays NaN."""
    return ops.maximum(ops.sign(x), 0)


def where(condition, x1, x2):
    """x1 where the condition is above 0, else x2."""
    return ops.where(condition > 0, x1, x2)


def maximum(x1, x2):
    """The larger one; a tie takes the first; NaN stays NaN."""
    return ops.where((x1 >= x2) | (x1 != x1), x1, x2)


def minimum(x1, x2):
    """The smaller one; a tie takes the first; NaN stays NaN."""
    return ops.where((x1 <= x2) | (x1 != x1), x1, x2)


def kept_nan(y, x):
    """y, but NaN where x is NaN: what a choice by x comes to."""
    return ops.where(x != x, x, y)
