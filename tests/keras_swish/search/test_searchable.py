import keras
import numpy as np
import pytest

import keras_swish
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


@pytest.mark.parametrize(("units", "n"), [(1, 6), (2, 4)])
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
