import keras
import numpy as np
import pytest

import keras_swish
from keras_swish.elementwise.operation import Operation
from keras_swish.formulas.lowering import lowered
from keras_swish.search import functions
from keras_swish.search.searchable import SearchableActivation
from keras_swish.search.space import SearchSpace

numpy = keras.ops.convert_to_numpy
X = np.random.default_rng(0).normal(size=(6, 3)).astype("float32") * 2


def outputs_and_gradients(layer, x, target):
    """The layer's outputs, and what one step of gradient descent changes before and in it."""
    model = keras.Sequential([keras.Input(x.shape[1:]), keras.layers.EinsumDense("bi,i->bi", 3)])
    shift = model.layers[0]
    shift.set_weights([np.ones_like(w) for w in shift.get_weights()])
    model.add(layer)
    before = [numpy(w).copy() for w in model.trainable_variables]
    y = numpy(model(x))
    model.compile(keras.optimizers.SGD(1.0), "mse")
    model.train_on_batch(x, target)
    after = [numpy(w) for w in model.trainable_variables]
    return y, [b - a for b, a in zip(before, after)]


def candidates(space, n, seed):
    random = np.random.default_rng(seed)
    while n:
        candidate = space.sample(random)
        if space.reason(candidate) is None and _is_tame(space, candidate):
            n -= 1
            yield candidate


def _is_tame(space, candidate):
    values, slopes = space.values_and_slopes([candidate])
    return max(np.abs(values[:, 0]).max(), np.abs(slopes[:, 0]).max()) < 100


@pytest.mark.parametrize(
    ("units", "n"),
    [(1, 1), *(pytest.param(*one, marks=pytest.mark.slow) for one in ((1, 3), (2, 2), (2, 20)))],
)
def test_values_and_gradients_are_those_of_the_formula(units, n):
    space = SearchSpace(units)
    target = np.zeros_like(X)
    for candidate in candidates(space, n, seed=units):
        searchable = SearchableActivation(units)
        searchable.build((None, 3))
        searchable.set_candidate(space, candidate)
        text = str(space.formula(candidate))
        y, (kernel, *betas) = outputs_and_gradients(searchable, X, target)
        wanted, (wanted_kernel, *wanted_betas) = outputs_and_gradients(
            keras_swish.SearchedActivation(text), X, target
        )
        np.testing.assert_allclose(y, wanted, rtol=2e-5, atol=2e-6, err_msg=text)
        np.testing.assert_allclose(kernel, wanted_kernel, rtol=1e-3, atol=1e-4, err_msg=text)
        used = list(space.betas(candidate))
        for got, beta in zip([betas[slot] for slot in used], wanted_betas):
            np.testing.assert_allclose(got, beta, rtol=1e-3, atol=1e-4, err_msg=text)
        unused = [beta for slot, beta in enumerate(betas) if slot not in used]
        assert all((beta == 0).all() for beta in unused)


@pytest.mark.slow
def test_a_unit_that_nobody_reads_spoils_nothing():
    space = SearchSpace(2)
    unread = {"u1": "x", "u2": "sqrt(x)", "b": "x1+x2"}
    swish = {"u1_2": "beta*x", "input2_2": 0, "u2_2": "x", "b_2": "sigmoid(x1)*x2"}
    given = space.candidate(**unread, input1_2=0, **swish)
    only_beta = space.candidate(**unread, input1_2=1, **{**swish, "u1_2": "beta", "u2_2": "sin(x)"})
    for candidate in (given, only_beta):
        assert space.reason(candidate) is None
        stands = space.canonical(candidate)
        assert "sqrt(x)" not in space.choices(stands).values()
        layer = SearchableActivation(2)
        layer.build((None, 3))
        layer.set_candidate(space, stands)
        y, (kernel, *_) = outputs_and_gradients(layer, X, np.zeros_like(X))
        text = str(space.formula(candidate))
        wanted, (slope, *_) = outputs_and_gradients(
            keras_swish.SearchedActivation(text), X, np.zeros_like(X)
        )
        np.testing.assert_allclose(y, wanted, rtol=2e-5, atol=2e-6)
        np.testing.assert_allclose(kernel, slope, rtol=1e-3, atol=1e-4)


def test_another_candidate_is_another_function_of_the_same_compiled_model():
    space, layer = SearchSpace(), SearchableActivation()
    model = keras.Sequential([keras.Input((3,)), layer])
    model.predict_on_batch(X)
    compiled = model.predict_function
    for name, wanted in [("sin(x)", X + np.sin(X)), ("arctan(x)", X + np.arctan(X))]:
        layer.set_candidate(space, space.candidate(u1="x", u2=name, b="x1+x2"))
        np.testing.assert_allclose(model.predict_on_batch(X), wanted, rtol=1e-5, atol=1e-6)
    assert model.predict_function is compiled


def test_a_saved_layer_comes_back(tmp_path):
    space, layer = SearchSpace(), SearchableActivation()
    model = keras.Sequential([keras.Input((3,)), layer])
    layer.set_candidate(space, space.candidate(u1="beta*x", u2="x", b="sigmoid(x1)*x2"))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(numpy(again(X)), numpy(model(X)))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="about TensorFlow's tapes")
def test_a_tape_outside_of_a_graph_finds_the_gradient():
    import tensorflow as tf

    space, layer = SearchSpace(), SearchableActivation()
    layer.build((None, 3))
    layer.set_candidate(space, space.candidate(u1="sin(x)", u2="x", b="x1*x2"))
    x = tf.Variable(X)
    with tf.GradientTape() as tape:
        y = layer(x)
    np.testing.assert_allclose(tape.gradient(y, x), np.sin(X) + X * np.cos(X), rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="about TensorFlow's graphs")
def test_branches_that_are_not_chosen_are_no_part_of_the_graph():
    import tensorflow as tf

    layer = SearchableActivation()
    step = tf.function(layer).get_concrete_function(tf.TensorSpec((None, 3), "float32"))
    definition = step.graph.as_graph_def()
    nodes = [
        *definition.node,
        *(node for function in definition.library.function for node in function.node_def),
    ]
    switches = [node for node in nodes if node.op in ("Case", "StatelessCase")]
    assert len(switches) == 2  # unary and binary functions
    assert not any("_lower_using_switch_merge" in node.attr for node in switches)


def gradients(layer, x, upstream):
    """The layer's value, and the gradients of x and of its betas, for a gradient of its output."""
    model = keras.Sequential([keras.Input(x.shape[1:]), layer])
    weights = keras.layers.EinsumDense("bi,i->bi", x.shape[1])
    probe = keras.Sequential([keras.Input(x.shape[1:]), weights, layer])
    weights.set_weights([np.ones(x.shape[1:], "float32")])
    # The gradient by each weight is that by its column, times x.
    before = [numpy(w).copy() for w in probe.trainable_variables]
    probe.compile(keras.optimizers.SGD(1.0), lambda y, outputs: keras.ops.sum(outputs * y, axis=-1))
    probe.train_on_batch(x, len(x) * upstream)
    return numpy(model(x)), [b - numpy(w) for b, w in zip(before, probe.trainable_variables)]


@pytest.mark.slow
def test_where_the_function_is_flat_what_overflows_inside_of_it_is_no_matter():
    """Of the whole formula, the derivative of what overflows is a factor of what vanishes."""
    space = SearchSpace(2)
    text = "exp(-beta1 * abs(-(beta2 - x**2) - cosh(beta2 - x**2)))"
    candidate = functions.find(text, space).candidate
    assert candidate is not None
    assert functions.find(str(space.formula(candidate)), space).candidate == candidate
    # In each column one x, so that each gradient is seen.
    x = np.array([[9.6, -9.6, 1.0, 12.0, 0.5]], "float32")
    layer = SearchableActivation(2)
    layer.build(x.shape)
    layer.set_candidate(space, candidate)
    plain = keras_swish.SearchedActivation(str(space.formula(candidate)))
    y, (dx, *betas) = gradients(layer, x, np.ones_like(x))
    wanted, (slope, *plain_betas) = gradients(plain, x, np.ones_like(x))
    assert np.isfinite(slope).all()
    np.testing.assert_allclose(y, wanted, rtol=1e-5)
    np.testing.assert_allclose(dx, slope, rtol=1e-3, atol=1e-6)
    used = [betas[slot] for slot in space.betas(candidate)]
    for got, beta in zip(used, plain_betas):
        np.testing.assert_allclose(got, beta, rtol=1e-3, atol=1e-6)


def test_half_formats_are_rounded_once():
    space = SearchSpace()
    candidate = space.candidate(u1="sin(x)", u2="x", b="x1+x2")
    policy = keras.DTypePolicy("mixed_float16")
    layer = SearchableActivation(dtype=policy)
    layer.build((None, 3))
    layer.set_candidate(space, candidate)
    plain = keras_swish.SearchedActivation(str(space.formula(candidate)), dtype=policy)
    x = keras.ops.cast(X, "float16")
    assert keras.backend.standardize_dtype(layer(x).dtype) == "float16"
    np.testing.assert_array_equal(numpy(layer(x)), numpy(plain(x)))


def test_primitives_of_the_users_are_computed(tmp_path):
    space = SearchSpace(2, unary=["x", "x * sigmoid(beta * x)"], binary=["x1 * tanh(x2)", "x1+x2"])
    layer = SearchableActivation(2, space.primitives["u"], space.primitives["b"])
    model = keras.Sequential([keras.Input((3,)), layer])
    for number in (3, 50, len(space) - 1):
        candidate = space.from_index(number)
        layer.set_candidate(space, candidate)
        plain = keras_swish.SearchedActivation(str(space.formula(candidate)))
        np.testing.assert_allclose(numpy(model(X)), numpy(plain(X)), rtol=1e-5, atol=1e-6)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(numpy(again(X)), numpy(model(X)))


def of_the_formula(space, candidate, x, upstream):
    """Value and gradients of the whole lowered formula, without a compiler."""
    formula, initial = space.formula(candidate), list(space.betas(candidate).values())
    names = ["beta"] if len(initial) == 1 else [f"beta{i + 1}" for i in range(len(initial))]
    operation = Operation(("x", *names), (lowered(formula),), ("x",))
    tensor = keras.ops.convert_to_tensor
    inputs = [tensor(x), *(tensor(np.full((1, 1), beta, "float32")) for beta in initial)]
    slopes = operation.gradient
    found = dict(zip(slopes.like, slopes.compute(*inputs, tensor(upstream))))
    zero = np.zeros_like(x)
    wanted = [found.get("x", zero), *(found.get(name, np.zeros((1, 1))) for name in names)]
    return numpy(operation.compute(*inputs)[0]), list(map(numpy, wanted))


def of_the_layer(units):
    """A function that gives value and gradients of the layer, compiled once."""
    import tensorflow as tf

    layer = SearchableActivation(units)
    layer.build((None, 1))

    @tf.function(autograph=False)
    def compute(x, upstream):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        return y, tape.gradient(y, [x, *layer.betas], upstream)

    return layer, compute


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="uses TensorFlow's tapes")
@pytest.mark.parametrize("units", [1, 2])
def test_a_thousand_random_candidates_have_the_gradients_of_their_formulas(units):
    space, random = SearchSpace(units), np.random.default_rng(units)
    far = [9.6, -9.6, 12.0, -20.0, 60.0, -100.0, 0.0]
    x = np.concatenate([random.normal(size=96) * 2, far]).astype("float32")[:, None]
    upstream = random.normal(size=x.shape).astype("float32")
    layer, compute = of_the_layer(units)
    seen, only_plain = 0, 0
    while seen < 1000:
        candidate = space.sample(random)
        if space.reason(candidate):
            continue
        seen += 1
        candidate = space.canonical(candidate)
        layer.set_candidate(space, candidate)
        y, (dx, *betas) = compute(keras.ops.array(x), keras.ops.array(upstream))
        wanted, (slope, *plain_betas) = of_the_formula(space, candidate, x, upstream)
        text, is_finite = str(space.formula(candidate)), np.isfinite(wanted)
        np.testing.assert_allclose(
            numpy(y)[is_finite], wanted[is_finite], rtol=2e-3, atol=1e-4, err_msg=text
        )
        # Where the formula's own derivative overflows, the layer's may be finite.
        both = is_finite & np.isfinite(slope)
        only_plain += (both != is_finite).any()
        # Terms that cancel leave a rounding of their own size.
        atol = max(1e-3, 1e-4 * np.abs(slope[both]).max(initial=0.0))
        np.testing.assert_allclose(numpy(dx)[both], slope[both], rtol=2e-3, atol=atol, err_msg=text)
        if both.all():
            for slot, beta in zip(space.betas(candidate), plain_betas):
                if not np.isfinite(beta).all():
                    continue
                np.testing.assert_allclose(
                    numpy(betas[slot])[None], beta, rtol=5e-3, atol=10 * atol, err_msg=text
                )
    assert only_plain < 100


@pytest.mark.slow
@pytest.mark.parametrize("units", [1, 2])
def test_after_ten_steps_a_small_network_is_that_of_the_formula(units):
    space, random = SearchSpace(units), np.random.default_rng(units)
    x = random.normal(size=(40, 3)).astype("float32")
    y = x[:, :1] * x[:, 1:2]

    def trained(activation):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(8)])
        model.add(activation)
        model.add(keras.layers.Dense(1))
        model.compile(keras.optimizers.SGD(1e-3), "mse", run_eagerly=True)
        for _ in range(10):
            model.train_on_batch(x, y)
        return model.predict_on_batch(x)

    for candidate in candidates(space, 20, seed=units):
        same = space.canonical(candidate)
        layer = SearchableActivation(units)
        layer.build((None, 8))
        layer.set_candidate(space, same)
        text = str(space.formula(same))
        wanted = trained(keras_swish.SearchedActivation(text))
        np.testing.assert_allclose(trained(layer), wanted, rtol=1e-2, atol=1e-3, err_msg=text)
