"""Activations have TensorFlow's derivatives wherever Keras's silu has them."""

import functools
import gc

import keras
import numpy as np
import pytest

import keras_swish
from keras_swish import activations
from keras_swish.elementwise.operation import apply_formula

tf = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="of TensorFlow")

X = np.float32([-3.0, -1e-3, 0.5, 2.0, 7.0])
SILU = keras.activations.silu
FORMULA = "x * sigmoid(beta * x) + cos(x)"


def swish(x):
    return activations.swish(x)


def formula(x):
    return apply_formula(FORMULA, x, beta=1.3)


def reverse(f):
    def derivative(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = f(x)
        return tape.gradient(y, x)

    return derivative


def forward(f):
    def derivative(x):
        with tf.autodiff.ForwardAccumulator(x, tf.ones_like(x)) as accumulator:
            y = f(x)
        return accumulator.jvp(y)

    return derivative


def in_graph(f, **options):
    return tf.function(f, autograph=False, **options)


def repeated(f):
    return lambda x: tf.while_loop(lambda i, x: i < 2, lambda i, x: (i + 1, f(x)), (0, x))[1]


WAYS = {
    "inside": lambda f: in_graph(forward(f)),
    "inside, compiled": lambda f: in_graph(forward(f), jit_compile=True),
    "outside": lambda f: forward(in_graph(f)),
    "outside, compiled": lambda f: forward(in_graph(f, jit_compile=True)),
    "eager": forward,
    "forward twice": lambda f: in_graph(forward(forward(f))),
    "forward twice, half outside": lambda f: forward(in_graph(forward(f))),
    "forward over reverse": lambda f: in_graph(forward(reverse(f))),
    "reverse over forward": lambda f: in_graph(reverse(forward(f))),
    "reverse over forward, half outside": lambda f: reverse(in_graph(forward(f))),
    "reverse twice": lambda f: in_graph(reverse(reverse(f))),
    "each element": lambda f: lambda x: tf.vectorized_map(forward(f), x),
    "loop": lambda f: forward(in_graph(repeated(f))),
    "loop, reverse twice": lambda f: in_graph(reverse(reverse(repeated(f)))),
    "inside a loop": lambda f: in_graph(repeated(forward(f))),
    "variable": lambda f: in_graph(lambda x: forward(f)(tf.identity(x))),
}


@pytest.mark.parametrize("way", WAYS)
def test_derivatives_equal_those_of_silu(way):
    x = tf.constant(X)
    np.testing.assert_allclose(WAYS[way](swish)(x), WAYS[way](SILU)(x), rtol=2e-5, atol=2e-6)


@pytest.mark.slow
def test_forward_mode_equals_reverse_mode_for_all_names():
    x = tf.constant(np.linspace(-9.5, 9.3, 12, dtype="float32")[:, None])
    layers = {name: keras_swish.layer(name) for name in keras_swish.names()}
    layers["formula"] = formula

    @in_graph
    def derivatives(x):
        return {n: (forward(f)(x), reverse(f)(x)) for n, f in layers.items()}

    for f in layers.values():
        f(x)
    for name, (ahead, back) in derivatives(x).items():
        np.testing.assert_allclose(ahead, back, rtol=1e-6, atol=1e-7, err_msg=name)
        assert np.any(ahead), name


def test_forward_mode_knows_betas():
    x, beta = tf.constant(X), tf.Variable([1.3])

    @in_graph
    def both():
        with tf.autodiff.ForwardAccumulator(beta, tf.ones([1])) as accumulator:
            y = apply_formula(FORMULA, x, beta=beta)
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(apply_formula(FORMULA, x, beta=beta))
        return tf.reduce_sum(accumulator.jvp(y)), tape.gradient(total, beta)[0]

    np.testing.assert_allclose(*both(), rtol=1e-6)


def test_a_weight_alone_has_a_tangent_of_the_output_s_shape():
    beta = tf.constant(2.0)
    with tf.autodiff.ForwardAccumulator(beta, tf.constant(1.0)) as accumulator:
        y = apply_formula("3 * beta", tf.ones((2, 3)), beta=beta)
    np.testing.assert_array_equal(accumulator.jvp(y), np.full((2, 3), 3.0))


def test_gradients_that_are_asked_for_in_a_graph():
    # A function that nothing before has traced: the gradient is, beside its operation.
    x = tf.constant(X)
    slope = in_graph(lambda x: tf.gradients(apply_formula("sin(x) * tanh(3 * x)", x), x)[0])
    expected = np.cos(X) * np.tanh(3 * X) + 3 * np.sin(X) / np.cosh(3 * X) ** 2
    np.testing.assert_allclose(slope(x), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("f", [swish, pytest.param(formula, marks=pytest.mark.slow)])
def test_jacobian_and_hessian(f):
    def jacobian(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = f(x)
        return tape.jacobian(y, x)

    x = tf.constant(X)
    np.testing.assert_allclose(np.diag(in_graph(jacobian)(x)), reverse(f)(x), rtol=1e-6)
    hessian = in_graph(lambda x: tf.hessians(tf.reduce_sum(f(x)), x)[0])(x)
    np.testing.assert_allclose(np.diag(hessian), reverse(reverse(f))(x), rtol=1e-6)


@pytest.mark.parametrize(
    "formula",
    [
        "x * sigmoid(beta1 * x) + beta2",
        pytest.param("sin(beta1) + cos(x) / beta2", marks=pytest.mark.slow),
        pytest.param("tanh(x) + beta1 + beta2", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize(
    "shape",
    [
        pytest.param((3, 4, 5, 11), marks=pytest.mark.slow),
        (2, 6, 44),
        pytest.param((0, 6, 3), marks=pytest.mark.slow),
    ],
)
def test_rows_that_are_joined_are_computed_as_by_themselves(formula, shape, monkeypatch):
    random = np.random.default_rng(0)
    x, upstream = (tf.constant(random.normal(size=shape), tf.float32) for _ in range(2))
    beta1 = tf.constant(random.uniform(0.5, 1.5, shape[-1:]), tf.float32)
    tensors = [x, beta1, tf.constant(1.25), upstream]

    def function(x, beta1, beta2, upstream):
        inputs = [x, beta1, beta2, upstream]
        with tf.GradientTape() as outer:
            outer.watch(inputs)
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                y = apply_formula(formula, x, beta1=beta1, beta2=beta2)
            slopes = tape.gradient(y, inputs[:3], upstream)
            total = tf.add_n([tf.reduce_sum(slope) for slope in slopes])
        return [y, *slopes, *(z for z in outer.gradient(total, inputs) if z is not None)]

    signature = [tf.TensorSpec((None, *shape[1:])), *map(tf.TensorSpec, [shape[-1:], ()])]
    signature.append(signature[0])
    joined = [
        f(*tensors)
        for f in (
            function,
            tf.function(function),
            tf.function(function, jit_compile=True),
            tf.function(function, signature),
        )
    ]
    rows = "keras_swish.elementwise.tensorflow._rows_to_join"
    monkeypatch.setattr(rows, lambda *_: None)
    for outputs in joined:
        for ours, theirs in zip(outputs, function(*tensors), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_unknown_rank():
    @tf.function(input_signature=[tf.TensorSpec(None)], autograph=False)
    def both(x):
        return formula(x), reverse(formula)(x)

    for x in (tf.constant(X), tf.constant(2.0), tf.ones((1, 2, 1))):
        y, slope = both(x)
        assert y.shape == slope.shape == x.shape
        flat = tf.reshape(x, [-1])
        np.testing.assert_allclose(np.ravel(y), formula(flat), rtol=1e-6)
        np.testing.assert_allclose(np.ravel(slope), reverse(formula)(flat), rtol=1e-6)


def test_ragged_tensors():
    x = tf.ragged.constant([[1.0, 2.0], [-3.0]])
    for f in (swish, in_graph(swish), reverse(swish)):
        expected = (reverse(SILU) if f.__name__ == "derivative" else SILU)(x)
        np.testing.assert_allclose(f(x).flat_values, expected.flat_values, rtol=1e-6)
        np.testing.assert_array_equal(f(x).row_splits, expected.row_splits)
    with pytest.raises(ValueError, match=r"ragged axis\. Received: x of shape \(2, None\)"):
        activations.swish(x, beta=tf.ones(3))
    double = tf.RaggedTensor.from_row_splits(tf.constant([3.0], "float64"), [0, 1])
    assert apply_formula("beta * x", double, beta=0.1).flat_values[0] == 3.0 * 0.1
    channels = tf.RaggedTensor.from_row_splits(tf.ones((3, 2)), [0, 1, 3])
    layer = keras_swish.Swish()
    layer.build((None, None, 2))
    layer.beta.assign([[1.0, 0.0]])
    np.testing.assert_allclose(layer(channels).flat_values, [[0.731059, 0.5]] * 3, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("names", [["swish_beta"], ["cos_minus_x", "gelu", "x_arcsinh_squared"]])
def test_a_saved_gradient_is_differentiable(names, tmp_path):
    x = tf.constant(np.linspace(-9.5, 9.3, 12, dtype="float32")[:, None])
    module = tf.Module()
    module.layers = {name: keras_swish.layer(name) for name in names}
    for name, layer in module.layers.items():
        layer(x)
        signature = [tf.TensorSpec([None, 1])]
        setattr(module, name, tf.function(layer.__call__, signature, autograph=False))
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=True)
    tf.saved_model.save(module, tmp_path, options=options)
    loaded = tf.saved_model.load(tmp_path)
    for name, layer in module.layers.items():
        served = getattr(loaded, name)
        for derivative in (reverse, lambda f: reverse(reverse(f))):
            ours, expected = derivative(served)(x), derivative(layer)(x)
            np.testing.assert_allclose(ours, expected, rtol=2e-5, atol=1e-6, err_msg=name)


def test_a_graph_is_freed_with_its_function():
    def graphs():
        gc.collect()
        return sum(type(one).__name__ == "FuncGraph" for one in gc.get_objects())

    def use():
        in_graph(reverse(swish))(tf.constant(X))

    use()
    before = graphs()
    for _ in range(3):
        use()
    assert graphs() <= before + 1


def test_gradient_is_traced_inside_recompute_grad():
    x = tf.constant(X)
    # Formulas that no other test has: nothing of them is compiled before.
    for number, derivative in enumerate((reverse, lambda f: reverse(reverse(f)))):
        f = functools.partial(apply_formula, f"sin(x) * {number}.1875")
        ours, expected = derivative(tf.recompute_grad(f))(x), derivative(f)(x)
        np.testing.assert_allclose(ours, expected, rtol=1e-6)


@pytest.mark.parametrize("private", ["record", "_FuncGraph"])
def test_without_private_parts_of_tensorflow_there_is_reverse_mode(private, monkeypatch):
    from keras_swish.elementwise import tensorflow as backend

    monkeypatch.setattr(backend, private, None)
    backend._differentiable.cache_clear()
    x = tf.constant(X)
    forward_too = [WAYS["inside"]] if private != "record" else []
    for derivative in (reverse, WAYS["reverse twice"], *forward_too):
        np.testing.assert_allclose(derivative(swish)(x), derivative(SILU)(x), rtol=2e-5, atol=2e-6)
    backend._differentiable.cache_clear()


def gradients_by_swish_s_beta(x, beta, upstream):
    with tf.GradientTape(persistent=True) as outer:
        outer.watch((x, beta))
        with tf.GradientTape() as tape:
            tape.watch(beta)
            y = apply_formula("x * sigmoid(beta * x)", x, beta=beta)
        first = tape.gradient(y, beta, upstream)
    return first, outer.gradient(first, x), outer.gradient(first, beta)


WAYS_TO_CALL = {
    "eager": lambda f, _: f,
    "graph": lambda f, _: in_graph(f),
    "compiled": lambda f, _: in_graph(f, jit_compile=True),
    "unknown sizes": lambda f, beta: in_graph(
        f, input_signature=[tf.TensorSpec([None] * 3), tf.TensorSpec(beta), tf.TensorSpec(None)]
    ),
    "unknown batch size": lambda f, beta: in_graph(
        f,
        input_signature=[
            tf.TensorSpec([None, 3, beta[-1]]),
            tf.TensorSpec(beta),
            tf.TensorSpec([None, 3, beta[-1]]),
        ],
    ),
}


@pytest.mark.parametrize("way", WAYS_TO_CALL)
def test_sums_for_beta_and_their_derivatives(way):
    random = np.random.default_rng(0)
    beta = random.uniform(0.5, 2, (1, 1, 5))
    f = WAYS_TO_CALL[way](gradients_by_swish_s_beta, beta.shape)
    for batch in (7, 0):
        x, upstream = random.normal(size=(2, batch, 3, 5))
        s = 1 / (1 + np.exp(-beta * x))
        curve = upstream * s * (1 - s)
        expected = (
            (x**2 * curve).sum((0, 1), keepdims=True),
            2 * x * curve + beta * x**2 * curve * (1 - 2 * s),
            (x**3 * curve * (1 - 2 * s)).sum((0, 1), keepdims=True),
        )
        ours = f(*(tf.constant(array, tf.float32) for array in (x, beta, upstream)))
        for value, true in zip(ours, expected, strict=True):
            np.testing.assert_allclose(value, true, rtol=2e-5, atol=2e-5)


def test_sums_for_beta_are_the_same_each_time():
    random = np.random.default_rng(0)
    x, upstream = (tf.constant(random.normal(size=(1003, 24)), tf.float32) for _ in range(2))
    f = in_graph(gradients_by_swish_s_beta)
    first, *again = (f(x, tf.ones((1, 24)), upstream)[0].numpy() for _ in range(5))
    for value in again:
        np.testing.assert_array_equal(value, first)


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param((5, 3), marks=pytest.mark.slow),
        (2, 3, 2, 8),
        (0, 4),
        pytest.param((7, 1), marks=pytest.mark.slow),
        (2, 9),
    ],
)
def test_few_channels_are_computed_in_one_axis(shape):
    random = np.random.default_rng(0)
    x, upstream = (tf.constant(random.normal(size=shape), tf.float32) for _ in range(2))
    beta = tf.constant(1.3)
    f = functools.partial(apply_formula, "x * sigmoid(beta * x)")
    unknown = [tf.TensorSpec([None] * len(shape[:-1]) + [shape[-1]])] * 2

    def gradients(x, upstream):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as tape:
                tape.watch((x, beta))
                y = f(x, beta=beta)
            by_x, by_beta = tape.gradient(y, (x, beta), upstream)
        return y, by_x, by_beta, outer.gradient(by_x, x)

    flat = gradients(*(tf.reshape(array, [-1]) for array in (x, upstream)))
    for call in (gradients, in_graph(gradients), in_graph(gradients, input_signature=unknown)):
        for value, expected in zip(call(x, upstream), flat, strict=True):
            assert value.shape == (() if expected.shape.rank == 0 else shape)
            np.testing.assert_allclose(tf.reshape(value, expected.shape), expected, 1e-5, 1e-6)


def test_weights_of_few_channels_are_still_broadcast():
    x = tf.constant(np.random.default_rng(0).normal(size=(5, 3)), tf.float32)
    betas = tf.constant([1.0, 2.0, 3.0])
    y = apply_formula("beta * x", x, beta=betas)
    np.testing.assert_allclose(y, x * betas)


def test_a_tangent_of_an_added_beta_has_its_shape():
    x, beta = tf.constant(X[:, None] * np.float32([1, 2, 3])), tf.Variable([0.5, 1.0, 2.0])
    with tf.autodiff.ForwardAccumulator(beta, tf.constant([1.0, 2.0, 3.0])) as accumulator:
        y = apply_formula("tanh(x) + beta", x, beta=beta)
    np.testing.assert_allclose(accumulator.jvp(y), np.float32([[1, 2, 3]] * len(X)))


def test_one_row_is_not_taken_for_a_weights():
    x, beta, upstream = tf.ones((1, 5)), tf.constant([0.5]), tf.ones((1, 5))
    with tf.GradientTape(persistent=True) as outer:
        outer.watch([beta, upstream])
        with tf.GradientTape() as tape:
            tape.watch([x, beta])
            y = apply_formula("sin(beta)", x, beta=beta)
        slope = tape.gradient(y, beta, upstream)
    np.testing.assert_allclose(outer.gradient(slope, beta), -5 * np.sin([0.5]), rtol=1e-6)
    np.testing.assert_allclose(outer.gradient(slope, upstream), np.cos([[0.5] * 5]), rtol=1e-6)


@pytest.mark.parametrize("formula", ["beta * x", "x + beta", "x * sigmoid(beta * x)"])
def test_betas_are_summed_in_slices(formula, monkeypatch):
    from keras_swish.elementwise import tensorflow as backend

    counted, sum_of_rows = [], backend._sum_of_rows
    monkeypatch.setattr(backend, "_sum_of_rows", lambda y: counted.append(y) or sum_of_rows(y))
    backend._differentiable.cache_clear()
    x, beta = tf.ones((6, 2, 64)), tf.ones((1, 64))  # no rows of these are joined
    with tf.GradientTape() as tape:
        tape.watch(beta)
        y = apply_formula(formula, x, beta=beta)
    assert tape.gradient(y, beta).shape == (1, 64)
    assert counted
    backend._differentiable.cache_clear()
