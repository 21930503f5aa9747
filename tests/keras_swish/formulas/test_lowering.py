"""Lowering: formulas become kernels, which do not overflow."""

import numpy as np
import pytest

from keras_swish.elementwise.operation import apply_formula
from keras_swish.formulas.language import parse
from keras_swish.formulas.lowering import lowered


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
