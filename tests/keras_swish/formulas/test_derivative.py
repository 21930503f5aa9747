"""Derivatives of formulas, against mpmath and against the gradients that training takes."""

import hypothesis
import keras
import mpmath
import numpy as np
import pytest
from formula_trees import TREES

import reference
from keras_swish import catalogue
from keras_swish.elementwise.operation import apply_formula
from keras_swish.formulas import language, primitives
from keras_swish.formulas.derivative import derivative

POINTS = np.array([-7.5, -3.0, -1.25, -0.5, -1e-3, 1e-3, 0.3, 0.9, 1.1, 2.0, 3.25, 9.0])


@hypothesis.given(TREES)
@hypothesis.settings(max_examples=200, deadline=None)
def test_derivatives_are_formulas(tree):
    for name in language.names(tree):
        try:
            slope = derivative(tree, name)
        except language.FormulaError:
            assert "dsinc" in str(tree)
        else:
            hypothesis.assume(len(str(slope)) < language.MAX_LENGTH)
            assert language.parse(str(slope)) == slope


@pytest.mark.parametrize("name", [n for n in primitives.FUNCTIONS if n != "where"])
def test_functions_and_their_derivatives_equal_mpmath(name):
    text = f"{name}(x, 1.5 - x)" if primitives.FUNCTIONS[name].arity == 2 else f"{name}(x)"
    points = POINTS[POINTS > 0] if name in ("sqrt", "log") else POINTS
    ours = apply_formula(text, keras.ops.cast(points, "float64"))
    expected = [reference.value(text, x) for x in points]
    np.testing.assert_allclose(ours, expected, rtol=1e-13, atol=1e-15)
    if name == "dsinc":
        return
    ours = apply_formula(derivative(text), keras.ops.cast(points, "float64"))
    expected = [reference.slope(text, x) for x in points]
    np.testing.assert_allclose(ours, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("weight", ["x", "beta"])
@pytest.mark.parametrize(
    "text", ["x * sigmoid(beta * x)", "exp(-beta * (x - 1)**2)", "(x**2 + 1)**beta", "beta / x"]
)
def test_derivative_by_a_weight(text, weight):
    x, beta, h = 0.7, 1.3, 1e-6
    point = {"x": x, "beta": beta}
    up, down = ({**point, weight: point[weight] + s * h} for s in (1, -1))
    expected = (reference.value(text, **up) - reference.value(text, **down)) / (2 * h)
    slope = derivative(text, weight)
    known = dict.fromkeys(language.weights(slope), beta)
    ours = apply_formula(slope, keras.ops.cast([x], "float64"), **known)
    np.testing.assert_allclose(ours, [expected], rtol=1e-7)


KINKS = [
    ("abs(x)", 0),
    ("max(x, 0)", 0),
    ("max(0, x)", 0),
    ("min(x, 0)", 0),
    ("min(0, x)", 0),
    ("relu(x)", 0),
    ("max(x, 2 * x)", 1),
    ("max(2 * x, x)", 2),
    ("min(x, 2 * x)", 1),
    ("min(2 * x, x)", 2),
    ("max(x - 1, -1)", 1),
    ("max(-1, x - 1)", 0),
    ("sinc(x)", 0),
    ("arcsinh(x) + x", 2),
    ("softplus(x)", 0.5),
    ("log(1 + exp(x))", 0.5),
    ("max(x, expm1(min(x, 0)))", 1),
]


@pytest.mark.parametrize(("text", "slope"), KINKS)
def test_slopes_at_zero_kinks_and_ties(text, slope):
    assert float(apply_formula(derivative(text), keras.ops.zeros((1,)))[0]) == slope


def gradient(text, x, **weights):
    tf = pytest.importorskip("tensorflow")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("the gradient is taken with TensorFlow")
    x = tf.constant(x, "float64")
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = apply_formula(text, x, **weights)
    slope = tape.gradient(y, x)
    return np.zeros(x.shape) if slope is None else slope.numpy()


@pytest.mark.parametrize(("text", "slope"), KINKS)
def test_training_has_the_same_slopes_at_zero_kinks_and_ties(text, slope):
    np.testing.assert_allclose(gradient(text, [0.0, -0.0]), slope)


@pytest.mark.parametrize("name", [*primitives.UNARY, *catalogue.ENTRIES])
def test_training_follows_the_derivative_formula(name):
    if name in catalogue.ENTRIES:
        text, beta = catalogue.ENTRIES[name].formula, catalogue.ENTRIES[name].beta
    else:
        text, beta = primitives.UNARY[name].formula, primitives.UNARY[name].beta
    weights = {} if beta is None else {"beta": beta}
    points = np.abs(POINTS) if name == "sqrt(x)" else np.append(POINTS, 0.0)
    slope = derivative(text)
    known = dict.fromkeys(language.weights(slope), beta)
    expected = apply_formula(slope, keras.ops.cast(points, "float64"), **known)
    np.testing.assert_allclose(gradient(text, points, **weights), expected, rtol=1e-10, atol=1e-12)


def test_sinc_is_safe_at_zero_with_its_gradient():
    x = [0.0, 1e-20, 1e-3, 2.0]
    for text in ("sinc(x)", "dsinc(x)"):
        assert np.isfinite(apply_formula(text, x)).all()
        assert np.isfinite(gradient(text, x)).all()


@pytest.mark.parametrize(("dtype", "rtol"), [("float32", 2e-5), ("float64", 1e-12)])
def test_the_third_derivative_of_sinc_is_right_near_zero(dtype, rtol):
    tf = pytest.importorskip("tensorflow")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("the gradients are taken with TensorFlow")
    points = [-2.0, -0.6, -0.4, -1e-3, 1e-6, 0.1, 0.49, 0.51, 3.0]
    x = tf.constant(points, dtype)
    with tf.GradientTape() as third:
        third.watch(x)
        with tf.GradientTape() as second:
            second.watch(x)
            with tf.GradientTape() as first:
                first.watch(x)
                y = apply_formula("sinc(x)", x)
            slope = first.gradient(y, x)
        slope = second.gradient(slope, x)
    ours = third.gradient(slope, x)
    with mpmath.workdps(60):
        expected = [
            float(mpmath.diff(mpmath.sinc, mpmath.mpf(one), 3)) for one in x.numpy().tolist()
        ]
    np.testing.assert_allclose(ours, expected, rtol=rtol)


def test_a_name_that_the_formula_lacks_is_refused():
    with pytest.raises(ValueError, match="Received: 'bta'"):
        derivative("beta * x", "bta")
