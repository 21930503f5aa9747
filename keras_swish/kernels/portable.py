"""The kernels in operations that every runtime has, for exported models.

The usual kernels take an exponential apart by the bits of a float32, which ONNX cannot express,
and are many operations where an interpreter pays for each one. These rely on the runtime's own
exponential. LiteRT has no erf, arctan or arcsinh and ONNX no expm1 or log1p: those are made of
what both have.
"""

import functools
import math
from collections.abc import Callable

from keras_swish.keras_compat import Tensor, ops
from keras_swish.kernels.arithmetic import polynomial, with_sign_of
from keras_swish.kernels.exponential import SINH, short_expm1
from keras_swish.kernels.logarithmic import log1p
from keras_swish.kernels.normal import near_erf, tail_factor
from keras_swish.kernels.trigonometric import dsinc, sinc


def expm1(x: Tensor) -> Tensor:
    """Returns exp(x) - 1, also near 0."""
    near = ops.clip(x, -0.35, 0.35)
    return ops.where(near == x, short_expm1(near), ops.exp(x) - 1.0)


def sigmoid(x: Tensor) -> Tensor:
    """Returns the logistic function. ONNX Runtime's own is 0 below -18, and inexact before."""
    t = ops.exp(-ops.abs(x))
    return ops.where(x >= 0, ops.ones_like(t), t) / (1.0 + t)


def near_sigmoid(x: Tensor) -> Tensor:
    """Returns the logistic function, the runtime's own: LiteRT's is NaN at 1e30."""
    return ops.sigmoid(ops.clip(x, -90.0, 90.0))


def hard_sigmoid(x: Tensor) -> Tensor:
    """Returns relu6(x + 3) / 6, which MobileNetV3 has for the logistic function."""
    return ops.relu6(x + 3.0) * (1 / 6)


def gates(sigmoid: Callable) -> dict[str, Callable]:
    """Returns the kernels of Swish's form, made of that sigmoid."""
    return {
        "gate": lambda a, b: a * sigmoid(b),
        "product_gate": lambda a, b, c: a * sigmoid(b * c),
        "quick_gelu": lambda a: a * sigmoid(1.702 * a),
    }


def near_sin(x: Tensor) -> Tensor:
    """Returns the sine, beyond a million that of a million: so far out it is noise in float32."""
    return ops.sin(ops.clip(x, -1e6, 1e6))


def near_cos(x: Tensor) -> Tensor:
    """Returns the cosine, limited too: LiteRT's own is 1e4 at 1e10 and NaN at 1e30."""
    return ops.cos(ops.clip(x, -1e6, 1e6))


def sinh(x: Tensor) -> Tensor:
    """Returns the hyperbolic sine."""
    a = ops.abs(x)
    z = ops.square(ops.minimum(a, 1.0))
    # exp(a) as a square: half of it is finite for longer.
    root = ops.exp(a * 0.5)
    far = (0.5 * root) * root - (0.5 / root) / root
    return ops.where(a < 1.0, x + x * z * polynomial(SINH, z), with_sign_of(x, far))


def cosh(x: Tensor) -> Tensor:
    """Returns the hyperbolic cosine."""
    root = ops.exp(ops.abs(x) * 0.5)
    return (0.5 * root) * root + (0.5 / root) / root


def softplus(x: Tensor) -> Tensor:
    """Returns log(1 + exp(x))."""
    return ops.relu(x) + log1p(ops.exp(-ops.abs(x)))


def gauss(factor: Tensor, x: Tensor) -> Tensor:
    """Returns factor * exp(-x^2)."""
    return factor * ops.exp(-ops.square(ops.clip(x, -40.0, 40.0)))


def decay(factor: Tensor, beta: Tensor, x1: Tensor, x2: Tensor) -> Tensor:
    """Returns factor * exp(-beta * |x1 - x2|)."""
    return factor * ops.exp(-beta * ops.abs(x1 - x2))


def decay_squared(factor: Tensor, beta: Tensor, x1: Tensor, x2: Tensor) -> Tensor:
    """Returns factor * exp(-beta * (x1 - x2)^2)."""
    # Not further: 0 * inf is NaN.
    return factor * ops.exp(-beta * ops.square(ops.clip(x1 - x2, -1e19, 1e19)))


def erf(x: Tensor) -> Tensor:
    """Returns the error function."""
    a = ops.abs(x)
    far = 1.0 - 2.0 * _beyond(ops.minimum(a, 10.0) * math.sqrt(2))
    return ops.where(a < 0.9, near_erf(x), with_sign_of(x, far))


def gelu(x: Tensor) -> Tensor:
    """Returns GELU, x * (1 + erf(x / sqrt(2))) / 2."""
    beyond = _beyond(ops.minimum(ops.abs(x), 14.0))
    return ops.where(x < 0, ops.maximum(x, -14.0) * beyond, x * (1.0 - beyond))


def mish(x: Tensor) -> Tensor:
    """Returns Mish, x * tanh(softplus(x))."""
    t = ops.exp(-ops.abs(x))
    below = (t * (t + 2.0)) / (t * (t + 2.0) + 2.0)
    above = (1.0 + 2.0 * t) / (1.0 + 2.0 * t + 2.0 * t * t)
    return x * ops.where(x < 0, below, above)


def telu(x: Tensor) -> Tensor:
    """Returns TeLU, x * tanh(exp(x))."""
    return x * ops.tanh(ops.exp(ops.minimum(x, 5.0)))


def snake(a: Tensor, b: Tensor, sin: Callable = ops.sin) -> Tensor:
    """Returns sin(a * b)^2 / a; 0 at a = 0."""
    return b * sin(a * b) * sinc(a * b, sin)


def _beyond(u: Tensor) -> Tensor:
    """Returns the share of the normal distribution beyond u >= 0."""
    return tail_factor(u) * ops.exp(-0.5 * ops.square(u))


_COMMON = {
    "exp": ops.exp,
    "expm1": expm1,
    "tanh": ops.tanh,
    "sinh": sinh,
    "cosh": cosh,
    "softplus": softplus,
    "gauss": gauss,
    "decay": decay,
    "decay_squared": decay_squared,
    "erf": erf,
    "gelu": gelu,
    "mish": mish,
    "telu": telu,
    "snake": snake,
}
TENSORFLOW = {**_COMMON, "sigmoid": ops.sigmoid, **gates(ops.sigmoid)}
ONNX = {**_COMMON, "sigmoid": sigmoid, **gates(sigmoid)}
LITERT = {
    **_COMMON,
    "sigmoid": near_sigmoid,
    **gates(near_sigmoid),
    "sin": near_sin,
    "cos": near_cos,
    "snake": functools.partial(snake, sin=near_sin),
    "sinc": functools.partial(sinc, sin=near_sin),
    "dsinc": functools.partial(dsinc, sin=near_sin, cos=near_cos),
}
