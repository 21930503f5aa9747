"""The parts of the other kernels: exact sums and products, bits, signs and choices."""

import math
from collections.abc import Sequence

import keras
from keras.backend import standardize_dtype

from keras_swish.keras_compat import Tensor, ops


def uses_backend_ops(x: Tensor) -> bool:
    """Says whether the backend's functions are good enough: float32 is what needs better ones."""
    return standardize_dtype(x.dtype) != "float32"


def polynomial(coefficients: Sequence[float], x: Tensor) -> Tensor:
    """Returns a polynomial in x, its coefficients given lowest power first."""
    result: Tensor = coefficients[-1]
    for coefficient in coefficients[-2::-1]:
        result = result * x + coefficient
    return result


def bits(x: Tensor, dtype: str) -> Tensor:
    """Returns the bits of x as numbers of another dtype."""
    if keras.backend.backend() == "tensorflow":
        # Keras's `ops.view` refuses shapes that are known at run time only.
        import tensorflow as tf

        return tf.bitcast(x, dtype)
    return ops.view(x, dtype)


def backend_op(name: str, x: Tensor) -> Tensor:
    """Returns the backend's own function of that name at x."""
    if keras.backend.backend() == "jax":
        # Keras's takes a detour through float32.
        import jax.numpy

        return getattr(jax.numpy, name)(x)
    return getattr(ops, name)(x)


def with_sign_of(x: Tensor, y: Tensor) -> Tensor:
    """Returns y, or -y where x < 0."""
    return ops.where(x < 0, -y, y)


def at_most(x: Tensor, most: float) -> Tensor:
    """Returns x, but `most` where x is larger; NaN stays NaN."""
    # Of a float64 Keras's `minimum` makes a float32 on PyTorch.
    return minimum(x, most) if uses_backend_ops(x) else ops.minimum(x, most)


def at_least(x: Tensor, least: float) -> Tensor:
    """Returns x, but `least` where x is smaller; NaN stays NaN."""
    return maximum(x, least) if uses_backend_ops(x) else ops.maximum(x, least)


def zero_like(x: Tensor) -> Tensor:
    """Returns 0, but NaN where x is NaN."""
    return ops.minimum(ops.abs(x), 0.0)


def exact_square(x: Tensor) -> tuple[Tensor, Tensor]:
    """Returns x^2 as a float and the part that its rounding loses."""
    if uses_backend_ops(x):
        return x * x, 0.0
    return exact_product(x, x)


def exact_product(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Returns a * b as a float and the part that its rounding loses (Dekker)."""
    product = a * b
    if uses_backend_ops(product):
        return product, 0.0
    # Further out exp is 0 or inf whatever the tail, which overflow may have made NaN.
    tail = product_tail(a, b, product)
    return product, ops.where(ops.abs(product) < 256.0, tail, ops.zeros_like(tail))


def product_tail(a: Tensor, b: Tensor, product: Tensor) -> Tensor:
    """Returns what the product a * b lost when it was rounded to a float32."""
    (a1, a2), (b1, b2) = _halves(a), _halves(b)
    return ((a1 * b1 - product) + a1 * b2 + a2 * b1) + a2 * b2


def _halves(x: Tensor) -> tuple[Tensor, Tensor]:
    """Returns x in two parts of 12 bits, whose products are exact."""
    high = bits(ops.right_shift(bits(x, "int32"), 12) * 4096, "float32")
    return high, x - high


def exact_distance(x1: Tensor, x2: Tensor) -> tuple[Tensor, Tensor]:
    """Returns |x1 - x2| as a float and the part that its rounding loses (Knuth)."""
    difference = x1 - x2
    if uses_backend_ops(difference):
        return ops.abs(difference), 0.0
    back = difference - x1
    tail = (x1 - (difference - back)) - (x2 + back)
    tail = ops.where(difference < 0, -tail, tail)
    return ops.abs(difference), ops.where(ops.abs(tail) < 1e30, tail, ops.zeros_like(tail))


def blend(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Returns a * b + (1 - a) * c; where a term overflows, of terms of half their size."""
    y = a * b + (1.0 - a) * c
    halved = 2.0 * (a * (b * 0.5) + (1.0 - a) * (c * 0.5))
    return ops.where(ops.abs(y) < math.inf, y, halved)


def quotient(a: Tensor, b: Tensor) -> Tensor:
    """Returns a / b, where XLA would make a / (c * b) of (a / c) / b, and overflow.

    It is 0 for an infinite b, also where a is NaN. It stands in the derivative of a / b alone, and
    what makes b overflow does so to its derivative: (a / b) * b' is 0 * inf, and (a / b) * (b' / b)
    is as good as 0.
    """
    found = ops.sign(a) * (ops.abs(a) / b)
    return ops.where(ops.isinf(b), ops.zeros_like(found), found)


def zero_product(a: Tensor, b: Tensor) -> Tensor:
    """Returns a * b, also 0 where a is 0 and b infinite.

    In the derivative of f(g(x)) a slope g'(x) = 0 outweighs that of f: max(x, 0)**1.5 is constant
    for x < 0, though the derivative of its derivative there is infinite.
    """
    product = a * b
    return ops.where((a == 0) & ops.isinf(b), ops.zeros_like(product), product)


def zero_quotient(a: Tensor, b: Tensor) -> Tensor:
    """Returns a / b, also 0 where both are 0: see `zero_product`."""
    quotient = a / b
    return ops.where((a == 0) & (b == 0), ops.zeros_like(quotient), quotient)


def add_eps(x: Tensor) -> Tensor:
    """Returns x + 1e-7, exact also where they cancel: 1e-7 is no float32."""
    if uses_backend_ops(x):
        return x + 1e-7
    y = x + 1.0000000116860974e-07
    # A `where` between the two sums again.
    near = ops.abs(y) < 1e-6
    return ops.where(near, ops.where(near, y, ops.ones_like(y)) - 1.1686097423080355e-15, y)


def sign(x: Tensor) -> Tensor:
    """Returns -1, 0 or 1; NaN stays NaN."""
    return kept_nan(ops.sign(x), x)


def step(x: Tensor) -> Tensor:
    """Returns 1 where x > 0, else 0; NaN stays NaN."""
    return ops.maximum(sign(x), 0.0)


def where(condition: Tensor, x1: Tensor, x2: Tensor) -> Tensor:
    """Returns x1 where the condition is above 0, else x2."""
    return ops.where(condition > 0, x1, x2)


def maximum(x1: Tensor, x2: Tensor | float) -> Tensor:
    """Returns the larger one; a tie takes the first; NaN stays NaN."""
    return ops.where((x1 >= x2) | (x1 != x1), x1, x2)


def minimum(x1: Tensor, x2: Tensor | float) -> Tensor:
    """Returns the smaller one; a tie takes the first; NaN stays NaN."""
    return ops.where((x1 <= x2) | (x1 != x1), x1, x2)


def kept_nan(y: Tensor, x: Tensor) -> Tensor:
    """Returns y, but NaN where x is NaN: what a choice by x comes to."""
    return ops.where(x != x, x, y)
