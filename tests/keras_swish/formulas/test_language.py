import time

import hypothesis
import keras
import numpy as np
import pytest
from hypothesis import strategies
from matplotlib.mathtext import MathTextParser

import reference
from keras_swish import catalogue
from keras_swish.elementwise.operation import apply_formula
from keras_swish.formulas import language, primitives
from keras_swish.formulas.derivative import derivative

LEAVES = strategies.one_of(
    strategies.sampled_from(["x", "beta", "beta1"]).map(language.Name),
    strategies.floats(0, 1e300, allow_nan=False).map(lambda v: language.Number(abs(v))),
    strategies.integers(0, 20).map(lambda v: language.Number(float(v))),
)


def calls(children):
    def with_arity(name, arity):
        return strategies.tuples(*[children] * arity).map(lambda a: language.Call(name, a))

    operators = [with_arity(name, 2) for name in ("+", "-", "*", "/", "**")]
    functions = [with_arity(n, f.arity) for n, f in primitives.FUNCTIONS.items()]
    return strategies.one_of(*operators, with_arity("neg", 1), *functions)


TREES = strategies.recursive(LEAVES, calls, max_leaves=12)


@hypothesis.given(TREES)
@hypothesis.settings(max_examples=500, deadline=None)
def test_printing_and_parsing_gives_the_same_tree(tree):
    assert language.parse(str(tree)) == tree


@hypothesis.given(TREES)
@hypothesis.settings(max_examples=200, deadline=None)
def test_latex_is_read_by_a_renderer(tree):
    MathTextParser("path").parse(f"${language.to_latex(tree)}$")


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
    assert str(language.parse(text)) == printed


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
        language.parse(text)
    assert time.process_time() - began < 1


def test_only_text_is_parsed():
    with pytest.raises(TypeError, match="Received: 3"):
        language.parse(3)


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("x * sigmoid(beta * x)", r"x \sigma\left(\beta x\right)"),
        ("exp(-x**2)", r"\exp\left(-x^{2}\right)"),
        ("x / (x + 1e-7)", r"\frac{x}{x + 1 \cdot 10^{-7}}"),
        ("beta1 * x + 2 * 3", r"\beta_{1} x + 2 \cdot 3"),
        ("x - (x - 1)", r"x - \left(x - 1\right)"),
        ("x * -x", r"x \left(-x\right)"),
        ("--x", r"-\left(-x\right)"),
        ("1e-7**x", r"\left(1 \cdot 10^{-7}\right)^{x}"),
        ("(x / 2)**2", r"\left(\frac{x}{2}\right)^{2}"),
        ("2 * (1 / 2)", r"2 \cdot \frac{1}{2}"),
        ("sin(2 * pi)", r"\sin\left(2 \pi\right)"),
    ],
)
def test_latex(text, latex):
    assert language.to_latex(text) == latex


POINTS = np.array([-7.5, -3.0, -1.25, -0.5, -1e-3, 1e-3, 0.3, 0.9, 1.1, 2.0, 3.25, 9.0])


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


def test_nan_stays_nan_in_max_and_min():
    x = np.float32([np.nan])
    for text in ("max(x, 1)", "max(1, x)", "min(x, 1)", "min(1, x)", "max(x, 0)", "min(0, x)"):
        assert np.isnan(apply_formula(text, x)).all(), text


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("beta * x", "beta", 1),
        ("x + beta", "beta", 0),
        ("beta", "beta", 1),
        ("beta * x + (1 - beta) * sin(x)", "beta", 0.5),
        ("exp(-beta * x**2)", "beta", 1),
        ("x * (1 - beta)", "beta", 0),
        ("x + -beta", "beta", 0),
        ("x / (beta + 1e-07)", "beta", 1),
        ("x * (beta + 1)", "beta", 0),
        ("beta * x + beta", "beta", 1),
        ("(1 - beta1) * x + beta1 * sin(x)", "beta1", 0.5),
        ("x * sigmoid(beta1 * x) + beta2", "beta2", 0),
    ],
)
def test_initial_values_follow_the_table_of_primitives(text, name, value):
    # Beside the eps of a division, 0 would divide by next to nothing.
    assert language.initial_value(text, name) == value


def test_every_primitive_starts_from_its_own_beta():
    for table in (primitives.UNARY, primitives.BINARY):
        for primitive in table.values():
            tree = language.parse(primitive.formula, ("x", "x1", "x2"))
            weights = language.weights(tree)
            assert weights == ([] if primitive.beta is None else ["beta"])
            for weight in weights:
                assert language.initial_value(tree, weight) == primitive.beta


@pytest.mark.parametrize("name", primitives.UNARY)
def test_unary_primitives_are_those_of_the_paper(name):
    assert set(primitives.UNARY) == set(reference.UNARY)
    primitive = primitives.UNARY[name]
    points = np.abs(POINTS) if name == "sqrt(x)" else POINTS
    weights = {} if primitive.beta is None else {"beta": 0.7}
    ours = apply_formula(primitive.formula, keras.ops.cast(points, "float64"), **weights)
    np.testing.assert_allclose(ours, reference.UNARY[name](points, 0.7), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", primitives.BINARY)
def test_binary_primitives_are_those_of_the_paper(name):
    assert set(primitives.BINARY) == set(reference.BINARY)
    primitive = primitives.BINARY[name]
    tree = language.parse(primitive.formula, ("x1", "x2"))
    inputs = {"x1": language.parse("x"), "x2": language.parse("1.5 - x / 3")}
    weights = {} if primitive.beta is None else {"beta": 0.7}
    x = keras.ops.cast(POINTS, "float64")
    ours = apply_formula(language.substitute(tree, inputs), x, **weights)
    expected = reference.BINARY[name](POINTS, 1.5 - POINTS / 3, 0.7)
    np.testing.assert_allclose(ours, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_evaluation_keeps_shape_and_dtype(dtype):
    x = keras.ops.ones((2, 3), dtype)
    for text in ("3", "beta", "x", "1 + exp(1)", "x**2.5", "max(0, 1)", "1 / 0 + x"):
        y = apply_formula(text, x, **dict.fromkeys(language.weights(text), 0.5))
        assert tuple(y.shape) == (2, 3)
        assert keras.backend.standardize_dtype(y.dtype) == dtype


def test_log_of_one_plus_exp_does_not_overflow():
    y = apply_formula("log(1 + exp(x)) + log(exp(x) + 1)", np.float32([-200, 0, 200]))
    np.testing.assert_allclose(y, [0, 2 * np.log(2), 400], rtol=1e-6, atol=1e-30)


def test_sinc_is_safe_at_zero_with_its_gradient():
    x = [0.0, 1e-20, 1e-3, 2.0]
    for text in ("sinc(x)", "dsinc(x)"):
        assert np.isfinite(apply_formula(text, x)).all()
        assert np.isfinite(gradient(text, x)).all()


def test_integers_are_taken_as_floats():
    np.testing.assert_allclose(apply_formula("x * 0.5", [1, 2]), [0.5, 1.0])


def test_wrong_weights_are_named():
    with pytest.raises(ValueError, match=r"no value for a weight .* Received: 'beta'"):
        apply_formula("beta * x", [1.0])
    with pytest.raises(ValueError, match=r"no weight of that name; it has beta\. Received: 'bta'"):
        apply_formula("beta * x", [1.0], beta=1, bta=2)
    with pytest.raises(ValueError, match="Received: 'bta'"):
        derivative("beta * x", "bta")


def test_what_is_saved_can_be_read_again():
    text = "*".join("(" + "+".join("x" * 45) + ")" for _ in range(20))
    with pytest.raises(ValueError, match=r"at most 2000 characters\. Received: 3"):
        language.parse(text)


@pytest.mark.parametrize(
    ("text", "position"),
    [("   x + y", 5), ("(x +\n  yy)", 5), ("beta\u0663 + x", 5), ("sin(x) * (x + foo(x))", 15)],
)
def test_positions_count_characters(text, position):
    with pytest.raises(ValueError, match=f"at position {position}:"):
        language.parse(text)


@pytest.mark.parametrize("text", ["x", "beta", "pi", "beta12", "-x", "x+x", "sin(x)"])
def test_formulas_are_told_from_names(text):
    assert language.is_formula(text)
    assert not language.is_formula("swish")
