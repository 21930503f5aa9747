"""Lowering: formulas become kernels, which do not overflow."""

import keras
import mpmath
import numpy as np
import pytest

from keras_swish.elementwise.operation import apply_formula
from keras_swish.formulas.language import parse
from keras_swish.formulas.lowering import lowered
from keras_swish.recording import recorder


def test_log_of_one_plus_exp_does_not_overflow():
    y = apply_formula("log(1 + exp(x)) + log(exp(x) + 1)", np.float32([-200, 0, 200]))
    np.testing.assert_allclose(y, [0, 2 * np.log(2), 400], rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize(
    ("text", "kernels"),
    [
        ("x * sigmoid(x)", "gate(x, x)"),
        ("sigmoid(beta * x) * x", "product_gate(x, beta, x)"),
        ("log(1 + exp(x))", "softplus(x)"),
        ("x * (1 + erf(x / sqrt(2))) / 2", "gelu(x)"),
        ("sin(x) + x", "sin(x) + x"),
        ("tanh(log(exp(x) + 1)) * x", "mish(x)"),
        ("tanh(exp(x)) * x", "telu(x)"),
        ("sigmoid(x * 1.702) * x", "quick_gelu(x)"),
        ("x * sigmoid(1.7 * x)", "product_gate(x, 1.7, x)"),
        ("min(6, max(0, 3 + x)) * x / 6", "hard_swish(x)"),
        ("sin(x * beta)**2 / beta + x", "snake(beta, x) + x"),
        ("sin(x * beta)**2 / 2", "sin(x * beta)**2 / 2"),
    ],
)
def test_rules_apply_in_any_order_of_what_commutes(text, kernels):
    assert str(lowered(parse(text))) == kernels


@pytest.mark.parametrize(
    ("text", "function"),
    [
        ("-x / (cosh(x) + 1e-07)", lambda x: -x / (mpmath.cosh(x) + 1e-7)),
        ("x**3 / (sinh(x) + 1e-07)", lambda x: x**3 / (mpmath.sinh(x) + 1e-7)),
        ("sin(x) / exp(x**2)", lambda x: mpmath.sin(x) / mpmath.exp(x**2)),
        ("x / (1 + abs(x))", lambda x: x / (1 + abs(x))),
    ],
)
def test_a_quotient_has_a_derivative_where_its_divisor_overflows(text, function):
    x = np.float32([-100.0, -20.0, -9.6, -1.5, 0.3, 12.0, 95.0, 1e30])
    slope = recorder.slope(lambda x: apply_formula(text, x), keras.ops.array(x))
    found = keras.ops.convert_to_numpy(slope)
    with mpmath.workdps(60):
        wanted = [float(mpmath.diff(function, float(one))) for one in x[:-1]]
    np.testing.assert_allclose(found[:-1], wanted, rtol=1e-5, atol=1e-35)
    assert abs(float(found[-1])) < 1e-37 or text.startswith("x**3")  # x**3 overflows itself
