import time

import hypothesis
import keras
import numpy as np
import pytest
from hypothesis import strategies

import reference
from keras_swish import catalogue, formula, primitives

LEAVES = strategies.one_of(
    strategies.sampled_from(["x", "beta", "beta1"]).map(formula.Name),
    strategies.floats(0, 1e300, allow_nan=False).map(lambda v: formula.Number(abs(v))),
    strategies.integers(0, 20).map(lambda v: formula.Number(float(v))),
)


def calls(children):
    def with_arity(name, arity):
        return strategies.tuples(*[children] * arity).map(lambda a: formula.Call(name, a))

    operators = [with_arity(name, 2) for name in ("+", "-", "*", "/", "**")]
    functions = [with_arity(n, len(f.derivatives)) for n, f in primitives.FUNCTIONS.items()]
    return strategies.one_of(*operators, with_arity("neg", 1), *functions)


TREES = strategies.recursive(LEAVES, calls, max_leaves=12)


@hypothesis.given(TREES)
@hypothesis.settings(max_examples=500, deadline=None)
def test_printing_and_parsing_gives_the_same_tree(tree):
    assert formula.parse(str(tree)) == tree


@hypothesis.given(TREES)
@hypothesis.settings(max_examples=200, deadline=None)
def test_derivatives_and_latex_exist_and_print(tree):
    formula.to_latex(tree)
    for name in ("x", "beta"):
        try:
            slope = formula.derivative(tree, name)
        except formula.FormulaError:
            assert "dsinc" in str(tree)
        else:
            assert formula.parse(str(slope)) == slope


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("x*sigmoid( beta*x )", "x * sigmoid(beta * x)"),
        ("((x))", "x"),
        ("(-x)**2", "(-x)**2"),
        ("-(x**2)", "-x**2"),
        ("x-(x-1)", "x - (x - 1)"),
        ("(x-x)-1.0", "x - x - 1"),
        ("2**(x**2)", "2**x**2"),
        ("(2**x)**2", "(2**x)**2"),
        ("+x", "x"),
        ("1e-7", "1e-07"),
        ("  x\n", "x"),
    ],
)
def test_printing_is_tidy(text, printed):
    assert str(formula.parse(text)) == printed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "at position 1"),
        ("x +", "Not a formula"),
        ("x; x", "position 2: invalid syntax"),
        ("2 * foo(x)", "position 5: unknown name 'foo'"),
        ("x + sigmoyd(x)", "position 5: unknown name 'sigmoyd', did you mean 'sigmoid'"),
        ("bta * x", "did you mean 'beta'"),
        ("y", "unknown name 'y'"),
        ("__import__('os').system('true')", "only a named function can be called"),
        ("__import__('os')", "unknown name '__import__'"),
        ("x.__class__", "attribute is not part of the language"),
        ("x[0]", "subscript is not part"),
        ("(lambda: x)()", "only a named function"),
        ("lambda: x", "lambda is not part"),
        ("[x for x in x]", "list comp is not part"),
        ("x if x else x", "if exp is not part"),
        ("x @ x", "mat mult is not part"),
        ("~x", "invert is not part"),
        ("x < 1", "compare is not part"),
        ("x and x", "bool op is not part"),
        ("(y := x)", "named expr is not part"),
        ("f'{x}'", "joined str is not part"),
        ("sin(x=x)", "plain arguments only"),
        ("sin(*x)", "plain arguments only"),
        ("sin(x, x)", "sin takes 1 argument, not 2"),
        ("max(x)", "max takes 2 arguments, not 1"),
        ("sin", "is a function and needs arguments"),
        ("True", "'True' is not a number"),
        ("1j", "is not a number"),
        ("'x'", "is not a number"),
        ("1" + "0" * 400, "too large"),
        ("1e999", "too large"),
        ("x\x00", "Not a formula"),
        ("-" * 900 + "x", "nested"),
        ("(" * 250 + "x" + ")" * 250, "nested|too many"),
        ("sin(" * 150 + "x" + ")" * 150, "nested|too many"),
        ("+".join("x" * 300), "nested more than"),
        ("(" * 1000 + "x" + ")" * 1000, "at most 2000 characters"),
        ("x + " * 250_000 + "x", "at most 2000 characters. Received: 1000001"),
    ],
)
def test_what_is_no_formula_is_refused_at_once(text, message):
    began = time.process_time()
    with pytest.raises(ValueError, match=message):
        formula.parse(text)
    assert time.process_time() - began < 1


def test_only_text_is_parsed():
    with pytest.raises(TypeError, match="Received: 3"):
        formula.parse(3)


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("x * sigmoid(beta * x)", r"x \sigma\left(\beta x\right)"),
        ("exp(-x**2)", r"\exp\left(-x^{2}\right)"),
        ("x / (x + 1e-7)", r"\frac{x}{x + 1 \cdot 10^{-7}}"),
        ("beta1 * x + 2 * 3", r"\beta_{1} x + 2 \cdot 3"),
        ("x - (x - 1)", r"x - \left(x - 1\right)"),
        ("x * -x", r"x \left(-x\right)"),
        ("sin(2 * pi)", r"\sin\left(2 \pi\right)"),
    ],
)
def test_latex(text, latex):
    assert formula.to_latex(text) == latex


def test_latex_of_everything_is_understood_by_a_renderer():
    from matplotlib.figure import Figure

    texts = [entry.formula for entry in catalogue.ENTRIES.values()]
    texts += [p.formula for p in primitives.UNARY.values()]
    figure = Figure()
    for text in texts:
        # matplotlib knows neither \operatorname's star nor \text; both are not used here.
        figure.text(0, 0, f"${formula.to_latex(text)}$")
    figure.canvas.draw()


POINTS = np.array([-7.5, -3.0, -1.25, -0.5, -1e-3, 1e-3, 0.3, 0.9, 1.1, 2.0, 3.25, 9.0])


@pytest.mark.parametrize("name", [n for n in primitives.FUNCTIONS if n != "where"])
def test_functions_and_their_derivatives_equal_mpmath(name):
    if len(primitives.FUNCTIONS[name].derivatives) == 2:
        text = f"{name}(x, 1.5 - x)"
    else:
        text = f"{name}(x)"
    points = POINTS[POINTS > 0] if name in ("sqrt", "log") else POINTS
    ours = formula.evaluate(text, keras.ops.cast(points, "float64"))
    expected = [reference.value(text, x) for x in points]
    np.testing.assert_allclose(ours, expected, rtol=1e-13, atol=1e-15)
    if name == "dsinc":
        return
    ours = formula.evaluate(formula.derivative(text), keras.ops.cast(points, "float64"))
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
    slope = formula.derivative(text, weight)
    ours = formula.evaluate(slope, keras.ops.cast([x], "float64"), beta=beta)
    np.testing.assert_allclose(ours, [expected], rtol=1e-7)


@pytest.mark.parametrize(
    ("text", "slope"),
    [
        ("abs(x)", 0),
        ("max(x, 0)", 0),
        ("max(0, x)", 0),
        ("min(x, 0)", 0),
        ("relu(x)", 0),
        ("max(x, 2 * x)", 1),
        ("max(2 * x, x)", 2),
        ("min(x, 2 * x)", 1),
        ("min(2 * x, x)", 2),
        ("sinc(x)", 0),
        ("max(x, expm1(min(x, 0)))", 1),
    ],
)
def test_slopes_at_kinks_and_ties(text, slope):
    ours = formula.evaluate(formula.derivative(text), keras.ops.zeros((1,)))
    assert float(ours[0]) == slope


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("beta * x", "beta", 1),
        ("x + beta", "beta", 0),
        ("beta", "beta", 1),
        ("beta * x + (1 - beta) * sin(x)", "beta", 0.5),
        ("exp(-beta * x**2)", "beta", 1),
        ("x * sigmoid(beta1 * x) + beta2", "beta2", 0),
    ],
)
def test_initial_values_follow_the_table_of_primitives(text, name, value):
    assert formula.initial_value(text, name) == value


def test_every_primitive_starts_from_its_own_beta():
    for table in (primitives.UNARY, primitives.BINARY):
        for primitive in table.values():
            tree = formula.parse(primitive.formula, ("x", "x1", "x2"))
            weights = formula.weights(tree)
            assert weights == ([] if primitive.beta is None else ["beta"])
            for weight in weights:
                assert formula.initial_value(tree, weight) == primitive.beta


def test_the_search_space_is_that_of_the_paper():
    assert len(primitives.UNARY) == 25
    assert len(primitives.BINARY) == 10


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_evaluation_keeps_shape_and_dtype(dtype):
    x = keras.ops.ones((2, 3), dtype)
    for text in ("3", "beta", "x", "1 + exp(1)", "x**2.5", "max(0, 1)", "1 / 0 + x"):
        y = formula.evaluate(text, x, beta=0.5)
        assert tuple(y.shape) == (2, 3)
        assert keras.backend.standardize_dtype(y.dtype) == dtype


def test_log_of_one_plus_exp_does_not_overflow():
    y = formula.evaluate("log(1 + exp(x)) + log(exp(x) + 1)", np.float32([-200, 0, 200]))
    np.testing.assert_allclose(y, [0, 2 * np.log(2), 400], rtol=1e-6, atol=1e-30)


def test_sinc_is_safe_at_zero_with_its_gradient():
    if keras.backend.backend() != "tensorflow":
        pytest.skip("the gradient is taken with TensorFlow")
    import tensorflow as tf

    x = tf.constant([0.0, 1e-20, 1e-3, 2.0])
    for text in ("sinc(x)", "dsinc(x)"):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = formula.evaluate(text, x)
        assert np.isfinite(y).all()
        assert np.isfinite(tape.gradient(y, x)).all()
