"""Elementwise operations keep what each backend does with functions of its own."""

import time

import keras
import mpmath
import numpy as np
import pytest

import keras_swish
from keras_swish import catalogue
from keras_swish.elementwise.operation import apply_formula
from keras_swish.formulas import derivative, language, numeric
from keras_swish.formulas.evaluate import evaluate
from keras_swish.formulas.lowering import lowered

BACKEND = keras.backend.backend()
numpy = keras.ops.convert_to_numpy
X = np.float32([-3.0, -1e-3, 0.5, 2.0, 7.0])
FORMULA = "x * sigmoid(beta * x) + cos(x) + sinc(x) + exp(-x**2)"


def function(x):
    return apply_formula(FORMULA, x, beta=1.3)


def true_derivative(order):
    def f(t):
        gate = t / (1 + mpmath.exp(mpmath.mpf("-1.3") * t))
        return gate + mpmath.cos(t) + mpmath.sin(t) / t + mpmath.exp(-t * t)

    with mpmath.workdps(40):
        return [float(mpmath.diff(f, mpmath.mpf(float(x)), order)) for x in X]


def gradient(f):
    """The derivative of an elementwise function, by the backend's reverse mode."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        def derivative(x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = f(x)
            return tape.gradient(y, x)

        return derivative
    if BACKEND == "jax":
        import jax

        return jax.grad(lambda x: f(x).sum())
    import torch

    def derivative(x):
        x = x if x.requires_grad else x.clone().requires_grad_()
        return torch.autograd.grad(f(x).sum(), x, create_graph=True)[0]

    return derivative


@pytest.mark.parametrize("orders", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_derivatives_of_all_orders(orders):
    tensor = keras.ops.convert_to_tensor(X)
    if BACKEND == "torch":
        tensor.requires_grad_()
    derivative = function
    for order in range(1, orders + 1):
        derivative = gradient(derivative)
        ours = numpy(derivative(tensor)).astype("float64")
        np.testing.assert_allclose(ours, true_derivative(order), rtol=1e-4, atol=3e-5)


def gradients(f, tensors, upstream):
    """The gradient of each tensor, by the backend's reverse mode."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(tensors)
            y = f(*tensors)
        return tape.gradient(y, tensors, upstream)
    if BACKEND == "jax":
        import jax

        return jax.vjp(f, *tensors)[1](upstream)
    import torch

    tensors = [tensor.clone().requires_grad_() for tensor in tensors]
    return torch.autograd.grad(f(*tensors), tensors, upstream, create_graph=True)


def arrays(shape, beta_shape):
    """x, two betas, and an upstream gradient of x's shape, in float64."""
    random = np.random.default_rng(0)
    x, upstream = random.normal(size=shape), random.normal(size=shape)
    return x, *random.uniform(0.5, 2, (2, *beta_shape)), upstream


def scaled_swish(x, beta1, beta2):
    return apply_formula("beta1 * x * sigmoid(beta2 * x)", x, beta1=beta1, beta2=beta2)


def gradients_of_scaled_swish(x, beta1, beta2, upstream):
    s = 1 / (1 + np.exp(-beta2 * x))
    slopes = beta1 * (s + beta2 * x * s * (1 - s)), x * s, beta1 * x * x * s * (1 - s)

    def summed(y, like):
        padded = (1,) * (y.ndim - like.ndim) + like.shape
        axes = tuple(i for i, size in enumerate(padded) if size != y.shape[i])
        return y.sum(axes).reshape(like.shape)

    inputs = x, beta1, beta2
    return [summed(upstream * d, like) for d, like in zip(slopes, inputs, strict=True)]


# Shapes of x and of its betas: odd sizes, rows that no number of slices divides, no rows at all.
SHAPES = [
    ((5,), ()),
    ((5,), (1,)),
    ((5,), (5,)),
    ((16, 5), (5,)),
    ((17, 5), (1, 5)),
    ((7, 3), (3,)),
    ((0, 3), (1, 3)),
    ((33, 1), (1, 1)),
    ((6, 5), (6, 1)),
    ((3, 7, 5), (1, 1, 5)),
    ((3, 7, 5), (7, 1)),
    ((2, 4, 3), ()),
    ((2, 4, 3), (2, 4, 3)),
    ((2, 4, 3), (2, 1, 3)),
    ((2, 5, 3, 9), (1, 1, 1, 9)),
    ((2, 9, 5, 3), (9, 1, 1)),
    ((2, 9, 5, 3), (1, 1, 1)),
    ((2, 3, 2, 5, 3), (1, 1, 1, 3)),
    ((3, 5, 7, 11), (1, 1, 11)),
    ((2, 4, 6, 44), (44,)),
]


@pytest.mark.jax
@pytest.mark.torch
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_gradients_of_shared_betas_are_summed(dtype):
    if (BACKEND, dtype) == ("jax", "float64"):
        pytest.skip("JAX has none unless the process is told so")
    # Of numbers that the format has.
    tolerance = {"float32": 1e-5, "float64": 1e-12, "bfloat16": 1e-2}[dtype]
    for shape, beta_shape in SHAPES if dtype == "float32" else SHAPES[3::6]:
        tensors = [keras.ops.cast(array, dtype) for array in arrays(shape, beta_shape)]
        exact = [numpy(keras.ops.cast(tensor, "float64")) for tensor in tensors]
        ours = gradients(scaled_swish, tensors[:3], tensors[3])
        for value, expected in zip(ours, gradients_of_scaled_swish(*exact), strict=True):
            assert tuple(value.shape) == expected.shape
            assert keras.backend.standardize_dtype(value.dtype) == dtype
            value = numpy(keras.ops.cast(value, "float64"))
            np.testing.assert_allclose(value, expected, tolerance, tolerance, err_msg=f"{shape}")


@pytest.mark.jax
@pytest.mark.torch
def test_second_derivatives_where_the_function_does_not_depend_on_x():
    x, upstream = keras.ops.ones((2, 4, 3)), keras.ops.ones((2, 4, 3))
    beta = keras.ops.convert_to_tensor(np.float32([0.5, 1.0, 2.0]))

    def slope(beta, upstream):
        def function(beta):
            return apply_formula("sin(beta) + 0 * x", x, beta=beta)

        return gradients(function, [beta], upstream)[0]

    expected = gradients(
        lambda b, u: keras.ops.sum(u * keras.ops.cos(b), (0, 1)), [beta, upstream], x[0, 0]
    )
    for ours, theirs in zip(gradients(slope, [beta, upstream], x[0, 0]), expected, strict=True):
        np.testing.assert_allclose(numpy(ours), numpy(theirs), rtol=1e-5)


@pytest.mark.parametrize(
    ("text", "beta", "by_x", "by_beta"),
    [
        ("max(x, 0)**beta", 1.5, 1.5 * 2**0.5, 2**1.5 * np.log(2)),
        ("max(x, 0)**beta", 0.9, 0.9 * 2**-0.1, 2**0.9 * np.log(2)),
        ("max(x, 0)**(2 * beta)", 0.5, 1, 4 * np.log(2)),
        ("max(x, 0)**beta + beta", 1.0, 1, 2 * np.log(2) + 1),
        ("beta * max(x, 0)**0.5", 1.0, 0.5**1.5, 2**0.5),
        ("beta * sqrt(max(x, 0))", 1.0, 0.5**1.5, 2**0.5),
        ("max(beta * x, 0)**beta", 1.0, 1, 2 * np.log(2) + 2),
        ("max(x, 0)**max(x, beta)", 3.0, 12, 8 * np.log(2)),
    ],
)
def test_a_power_of_0_and_a_root_of_0_have_gradients(text, beta, by_x, by_beta):
    x = keras.ops.convert_to_tensor(np.float32([-1.0, 0.0, 2.0]))
    betas = keras.ops.ones((3,)) * beta
    tensors, upstream = [x, betas], keras.ops.ones((3,))
    found = gradients(lambda x, beta: apply_formula(text, x, beta=beta), tensors, upstream)
    rest = 1 if text.endswith("+ beta") else 0
    np.testing.assert_allclose(numpy(found[0]), [0, 0, by_x], rtol=1e-5)
    np.testing.assert_allclose(numpy(found[1]), [rest, rest, by_beta], rtol=1e-5)


@pytest.mark.parametrize(
    "text",
    ["abs(x)**beta", "sqrt(abs(x)) + beta", "log(max(x, 0)) + beta", "max(x, 0)**(beta - 1)"],
)
def test_a_slope_of_0_outweighs_an_infinite_one(text):
    tensors, upstream = [keras.ops.zeros((1,)), keras.ops.ones((1,))], keras.ops.ones((1,))
    found = gradients(lambda x, beta: apply_formula(text, x, beta=beta), tensors, upstream)
    assert float(found[0][0]) == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("max(x, 0)**1.5", 0.75 * 2**-0.5),
        ("sqrt(max(x, 0))", -0.25 * 2**-1.5),
        ("max(x, 0)**2.5", 3.75 * 2**0.5),
    ],
)
def test_a_power_of_0_and_a_root_of_0_have_second_derivatives(text, expected):
    x = keras.ops.convert_to_tensor(np.float32([-1.0, 2.0]))
    if BACKEND == "torch":
        x.requires_grad_()
    second = gradient(gradient(lambda x: apply_formula(text, x)))
    np.testing.assert_allclose(numpy(second(x)), [0, expected], rtol=1e-5)


def test_the_gradient_by_an_exponent_has_one_by_x_at_a_power_of_0():
    x = keras.ops.convert_to_tensor(np.float32([-1.0, 2.0]))
    if BACKEND == "torch":
        x.requires_grad_()

    def by_beta(x):
        beta = keras.ops.ones_like(x) * 1.5
        return gradient(lambda beta: apply_formula("max(x, 0)**beta", x, beta=beta))(beta)

    expected = [0, 2**0.5 * (1.5 * np.log(2) + 1)]
    np.testing.assert_allclose(numpy(gradient(by_beta)(x)), expected, rtol=1e-5)


@pytest.mark.parametrize("far", [0.0, 1e5, 3e38])
def test_one_huge_number_changes_nothing_for_its_neighbours(far):
    x = np.float32([0.3, -2.0, far, 9999.0])
    with mpmath.workdps(80):
        expected = [float(mpmath.sin(mpmath.mpf(float(v)))) for v in x]
    ours = numpy(apply_formula("sin(x)", keras.ops.convert_to_tensor(x)))
    np.testing.assert_allclose(ours, expected, rtol=3e-7)


def test_infinities_and_nan():
    x = np.float32([-np.inf, np.inf, np.nan])
    for name, entry in keras_swish.catalogue.ENTRIES.items():
        ours = numpy(keras_swish.layer(name)(keras.ops.convert_to_tensor(x[:, None])))[:, 0]
        np.testing.assert_allclose(ours[:2], entry.limits, rtol=1e-6, err_msg=name)
        assert np.isnan(ours[2]), name


@pytest.mark.jax
@pytest.mark.skipif(BACKEND != "jax", reason="of JAX")
def test_jax_has_forward_mode_and_keeps_x_alone(capsys):
    import jax

    x = jax.numpy.array(X)
    slope = jax.jvp(function, (x,), (jax.numpy.ones_like(x),))[1]
    np.testing.assert_allclose(slope, true_derivative(1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(jax.vmap(function)(x), function(x), rtol=1e-6)
    np.testing.assert_allclose(np.diag(jax.jacfwd(function)(x)), slope, rtol=1e-5, atol=1e-6)
    jax.ad_checkpoint.print_saved_residuals(function, x)
    arrays = [line for line in capsys.readouterr().out.splitlines() if not line.startswith("f32[]")]
    assert len(arrays) == 1
    assert "from the argument" in arrays[0]


@pytest.mark.torch
@pytest.mark.skipif(BACKEND != "torch", reason="of PyTorch")
def test_pytorch_compiles_large_tensors_to_the_same_values():
    import torch

    from keras_swish.elementwise.torch import WORTH_COMPILING

    torch.manual_seed(0)
    x = (torch.randn(WORTH_COMPILING + 7) * 20).requires_grad_()
    y = function(x)
    (slope,) = torch.autograd.grad(y.sum(), x)
    small = x.detach()[:1000].clone().requires_grad_()
    torch.testing.assert_close(y[:1000], function(small), rtol=1e-6, atol=1e-7)
    (small_slope,) = torch.autograd.grad(function(small).sum(), small)
    torch.testing.assert_close(slope[:1000], small_slope, rtol=1e-5, atol=1e-6)


@pytest.mark.torch
@pytest.mark.skipif(BACKEND != "torch", reason="of PyTorch")
def test_a_graph_of_pytorch_is_for_any_sizes(monkeypatch):
    import torch

    from keras_swish.elementwise import torch as ours

    def swish(x, beta):
        return apply_formula("x * sigmoid(beta * x)", x, beta=beta)

    # The graphs alone, which a C++ compiler need not be there for.
    monkeypatch.setattr(torch, "compile", lambda graph, **_: graph)
    monkeypatch.setattr(ours, "WORTH_COMPILING", 8)
    ours._COMPILED.clear()
    beta = torch.tensor([0.5, 1.0, 1.5, 2.0])
    # One image, then several; an axis as long as another one, then not; another channel.
    for shape in [(1, 6, 6, 4), (2, 6, 6, 4), (2, 6, 5, 4), (6, 6, 6, 4), (3, 1, 5, 4), (4, 4)]:
        x, upstream = torch.randn(2, *shape)
        slopes = gradients(swish, [x, beta], upstream)
        plain = gradients(lambda x, b: x * (b * x).sigmoid(), [x, beta], upstream)
        for slope, expected in zip(slopes, plain, strict=True):
            torch.testing.assert_close(slope, expected, rtol=1e-5, atol=1e-5)
    ours._COMPILED.clear()


@pytest.mark.torch
@pytest.mark.skipif(BACKEND != "torch", reason="of PyTorch")
def test_pytorch_has_vmap_and_forward_mode():
    import torch

    x = torch.tensor(X)
    slope = torch.func.jvp(function, (x,), (torch.ones_like(x),))[1]
    np.testing.assert_allclose(slope, true_derivative(1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(torch.vmap(function)(x), function(x), rtol=1e-6)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="of TensorFlow")
def test_tensorflow_takes_unknown_sizes_and_users_functions(recwarn):
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.float32)])
    def f(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        return y, tape.gradient(y, x)

    for columns in (1, 5):
        y, slope = f(np.tile(X[:, None], columns))
        np.testing.assert_allclose(slope[:, 0], true_derivative(1), rtol=1e-5, atol=1e-6)
        assert y.shape == (5, columns)
    mapped = tf.vectorized_map(function, tf.constant(X))
    np.testing.assert_allclose(mapped, function(tf.constant(X)), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "tensorflow", reason="of TensorFlow")
def test_many_functions_are_no_function_traced_too_often(caplog):
    for number in range(12):
        apply_formula(f"sin(x) + {number + 0.0625} * exp(x)", X)
    assert "retracing" not in caplog.text


@pytest.mark.skipif(BACKEND != "tensorflow", reason="of TensorFlow")
@pytest.mark.parametrize("name", ["swish_beta", "cos_minus_x", "x_arcsinh_squared"])
def test_saved_model_computes_the_same(name, tmp_path):
    import tensorflow as tf

    model = keras.Sequential([keras.Input((8,)), keras_swish.layer(name)])
    x = np.linspace(-9, 9, 24, dtype="float32").reshape(3, 8)
    model.export(tmp_path, verbose=False)
    served = tf.saved_model.load(tmp_path)
    np.testing.assert_allclose(served.serve(x), model(x), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_evaluation_keeps_shape_and_dtype(dtype):
    x = keras.ops.ones((2, 3), dtype)
    for text in ("3", "beta", "x", "1 + exp(1)", "x**2.5", "max(0, 1)", "1 / 0 + x"):
        y = apply_formula(text, x, **dict.fromkeys(language.weights(text), 0.5))
        assert tuple(y.shape) == (2, 3)
        assert keras.backend.standardize_dtype(y.dtype) == dtype


@pytest.mark.skipif(BACKEND == "jax", reason="without x64, JAX has no float64")
@pytest.mark.parametrize("name", ["gelu", "hard_swish", "mish", "quick_gelu", "snake", "telu"])
def test_float64_is_kept_between_the_steps_of_a_kernel(name):
    tree, x = language.parse(catalogue.ENTRIES[name].formula), np.linspace(-5, 5, 101)
    tensors = {"x": keras.ops.convert_to_tensor(x, "float64")}
    tensors["beta"] = keras.ops.convert_to_tensor(0.7, "float64")
    kernels = lowered(tree)
    computed = evaluate([kernels, derivative.slope(kernels, "x")], tensors, "float64")
    for y, formula in zip(computed, (tree, derivative.derivative(tree)), strict=True):
        true = numeric.evaluate(formula, {"x": x, "beta": np.float64(0.7)})
        np.testing.assert_allclose(numpy(y), true, rtol=1e-9, atol=1e-13)


def test_nan_stays_nan_in_max_and_min():
    x = np.float32([np.nan])
    for text in ("max(x, 1)", "max(1, x)", "min(x, 1)", "min(1, x)", "max(x, 0)", "min(0, x)"):
        assert np.isnan(apply_formula(text, x)).all(), text


def test_integers_are_taken_as_floats():
    np.testing.assert_allclose(apply_formula("x * 0.5", [1, 2]), [0.5, 1.0])


def test_wrong_weights_are_named():
    with pytest.raises(ValueError, match=r"no value for a weight .* Received: 'beta'"):
        apply_formula("beta * x", [1.0])
    with pytest.raises(ValueError, match=r"no weight of that name; it has beta\. Received: 'bta'"):
        apply_formula("beta * x", [1.0], beta=1, bta=2)


def test_what_is_no_real_number_is_refused():
    for x in (np.array([1 + 2j], "complex64"), [1j]):
        with pytest.raises(TypeError, match=r"real numbers.*Received: dtype=complex"):
            apply_formula("x * sigmoid(x)", x)
    with pytest.raises(TypeError, match="Received: dtype=complex"):
        apply_formula("beta * x", [1.0], beta=1j)


def test_what_would_take_minutes_to_compile_is_refused_at_once():
    began = time.process_time()
    for depth in (40, 95):
        with pytest.raises(ValueError, match="at most 60 different functions"):
            apply_formula("sin(" * depth + "x" + ")" * depth, [1.0])
    assert time.process_time() - began < 2


def test_repetitions_and_operators_are_not_counted():
    for text in ("*".join(["tanh(x)"] * 80), "+".join(f"{i} * x" for i in range(90))):
        assert np.isfinite(numpy(apply_formula(text, keras.ops.zeros(2)))).all()


@pytest.mark.jax
@pytest.mark.torch
@pytest.mark.parametrize(("shape", "weight"), [((), (3,)), ((2, 1), (3,)), ((2, 3), (1, 2, 3))])
def test_a_weight_that_is_larger_than_x_is_refused(shape, weight):
    x, beta = keras.ops.ones(shape), keras.ops.ones(weight)
    with pytest.raises(ValueError, match=r"broadcast to the shape of x, .* Received: beta of"):
        apply_formula("x * sigmoid(beta * x)", x, beta=beta)
