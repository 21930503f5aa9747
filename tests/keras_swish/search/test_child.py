import dataclasses
import json
import pickle

import keras
import numpy as np
import pytest

from keras_swish import models
from keras_swish.keras_compat import all_layers
from keras_swish.search import child as children
from keras_swish.search import executors
from keras_swish.search.child import Child, ChildConfig
from keras_swish.search.children import networks, objectives, rewards
from keras_swish.search.children.compiling import Compiler
from keras_swish.search.children.data import digest
from keras_swish.search.children.networks import structure
from keras_swish.search.searchable import SearchableActivation
from keras_swish.search.space import SearchSpace

pytestmark = pytest.mark.usefixtures("without_graph_optimizer")

numpy = keras.ops.convert_to_numpy
CHOICES = [("beta*x", "x", "sigmoid(x1)*x2"), ("cos(x)", "x+beta", "x1-x2")]
UNARY = ["x", "beta*x", "x+beta", "|x|", "x^3", "sin(x)", "cos(x)", "exp(x)"]
BINARY = ["x1+x2", "x1-x2", "x1*x2", "max(x1,x2)", "sigmoid(x1)*x2"]


@pytest.fixture(scope="module")
def space():
    """The primitives that are chosen here: the others take a child seconds to compile."""
    return SearchSpace(unary=UNARY, binary=BINARY)


@pytest.fixture(scope="module")
def child(model, data, space, child_config):
    return Child(model, *data, space, child_config)


@pytest.mark.parametrize("choices", CHOICES)
def test_a_candidate_gets_the_weights_that_a_plain_network_gets(child, space, choices):
    candidate = space.candidate(**dict(zip(("u1", "u2", "b"), choices)))
    outcome = child.evaluate(candidate, seed=3)
    plain = child.plain(candidate, seed=3)
    child.compile(plain)
    wanted = child.train(plain, 3)
    assert (outcome.reward, outcome.status) == (wanted.reward, wanted.status)
    ours, theirs = child._network.layers, plain.layers
    for mine, other in zip(ours, theirs):
        if isinstance(mine, keras.layers.Dense | keras.layers.BatchNormalization):
            for a, b in zip(mine.get_weights(), other.get_weights()):
                np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    betas = child._searchable[0].betas
    (slot,) = space.betas(candidate)
    np.testing.assert_allclose(
        numpy(betas[slot]), numpy(plain.layers[2].betas["beta"]), rtol=1e-4, atol=1e-6
    )
    assert np.abs(numpy(betas[slot]) - space.betas(candidate)[slot]).max() > 1e-3


@keras.saving.register_keras_serializable(package="tests")
def unseeded(shape, dtype=None):
    """An initializer that draws from a generator of Keras's own."""
    return keras.random.normal(shape, dtype=dtype)


@pytest.mark.parametrize(("initializer", "times"), [("he_normal", 1), (unseeded, 3)])
def test_the_seed_of_tensorflow_is_set_where_weights_come_from_it(
    data, space, child_config, monkeypatch, initializer, times
):
    model = keras.Sequential(
        [
            keras.Input((2,)),
            keras.layers.Dense(4, kernel_initializer=initializer),
            keras.layers.ReLU(),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    child = Child(model, *data, space, child_config, loss="sparse_categorical_crossentropy")
    set_random_seed, calls = keras.utils.set_random_seed, []
    monkeypatch.setattr(
        keras.utils, "set_random_seed", lambda seed: (calls.append(seed), set_random_seed(seed))
    )
    candidate = space.candidate(u1="x", u2="x", b="x1*x2")
    ours = [child._prepare(candidate, seed).get_weights()[0].copy() for seed in (4, 5, 6)]
    assert len(calls) == times
    theirs = [child.plain(candidate, seed).get_weights()[0] for seed in (4, 5, 6)]
    np.testing.assert_array_equal(ours, theirs)
    assert not np.array_equal(ours[0], ours[1])


def test_the_outcome_depends_on_candidate_and_seed_alone(child, space):
    product = space.candidate(u1="x", u2="x", b="x1*x2")
    first = [child.evaluate(product, seed) for seed in (0, 1)]
    child.evaluate(space.candidate(u1="exp(x)", u2="x", b="x1*x2"), 0)
    again = [child.evaluate(product, seed) for seed in (0, 1)]
    assert [o.reward for o in first] == [o.reward for o in again]
    assert first[0].steps == 20


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="PyTorch compiles nothing here")
def test_one_compiled_step_serves_every_candidate(model, data, space, child_config, monkeypatch):
    traces = []
    call = SearchableActivation.call

    def traced(layer, inputs):
        traces.append(layer)
        return call(layer, inputs)

    monkeypatch.setattr(SearchableActivation, "call", traced)
    child = Child(model, *data, space, child_config)
    child.evaluate(space.candidate(u1="x", u2="sin(x)", b="x1+x2"), 0)
    before = len(traces)
    assert before
    child.evaluate(space.candidate(u1="x", u2="|x|", b="max(x1,x2)"), 1)
    assert len(traces) == before


def test_a_better_function_gets_a_better_reward(child, space):
    square = child.evaluate(space.candidate(u1="x", u2="x", b="x1*x2"), 0)
    assert square.reward > 0.85


def test_what_diverges_stops_at_once_with_a_reward(model, data, space, child_config):
    wild = Child(model, *data, space, dataclasses.replace(child_config, learning_rate=1e30))
    outcome = wild.evaluate(space.candidate(u1="x^3", u2="x^3", b="x1*x2"), 0)
    assert outcome.status == children.DIVERGED
    assert outcome.reward == 0
    assert outcome.steps < 20


def test_what_diverged_leaves_no_trace(model, data, space, child_config):
    (x, y), validation = data
    child = Child(model, (x.copy(), y), validation, space, child_config)
    product = space.candidate(u1="x", u2="x", b="x1*x2")
    before = child.evaluate(product, 0)
    child.train_data[0][:] = np.inf
    assert child.evaluate(product, 0).steps == 1
    child.train_data[0][:] = x
    after = child.evaluate(product, 0)
    assert (after.status, after.reward, after.steps) == (children.OK, before.reward, before.steps)


def test_the_users_network_stays_as_it_was(model, child, space):
    before = [w.copy() for w in model.get_weights()]
    child.evaluate(space.candidate(u1="x", u2="sin(x)", b="x1+x2"), 0)
    for a, b in zip(before, model.get_weights()):
        np.testing.assert_array_equal(a, b)
    assert isinstance(model.layers[2], keras.layers.ReLU)


def test_batch_normalisation_converges_within_the_run(model, data, space, child_config):
    (x, y), validation = data
    long = Child(model, (x, y), validation, space, dataclasses.replace(child_config, epochs=30))
    long.evaluate(space.candidate(u1="x", u2="x", b="x1*x2"), 0)
    dense, normalisation = long._network.layers[:2]
    assert 0.8 < normalisation.momentum < 0.99
    outputs = numpy(dense(x))
    np.testing.assert_allclose(numpy(normalisation.moving_mean), outputs.mean(0), atol=0.2)
    np.testing.assert_allclose(numpy(normalisation.moving_variance), outputs.var(0), rtol=0.3)


def test_what_is_not_trained_stays(data, space, child_config):
    normalisation = keras.layers.Normalization()
    normalisation.adapt(100 + 5 * data[0][0])
    model = keras.Sequential(
        [
            keras.Input((2,)),
            normalisation,
            keras.layers.Dense(4, trainable=False, name="frozen"),
            keras.layers.ReLU(),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    child = Child(model, *data, space, child_config, loss="sparse_categorical_crossentropy")
    candidate = space.candidate(u1="x", u2="x", b="x1*x2")
    child.evaluate(candidate, 3)
    for network in (child._network, child.plain(candidate, 3)):
        np.testing.assert_array_equal(
            numpy(network.layers[1].get_weights()[0]), numpy(model.layers[1].get_weights()[0])
        )
        x = 100 + 5 * data[0][0]
        np.testing.assert_allclose(
            numpy(network.layers[0](x)), numpy(model.layers[0](x)), rtol=1e-5, atol=1e-6
        )
    before = model.layers[3].get_weights()[0]
    assert not np.array_equal(child._network.layers[3].get_weights()[0], before)


@keras.saving.register_keras_serializable(package="tests")
class Branches(keras.Model):
    """Makes its layers itself, of which one is shared with a model within it."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.base, self.head = keras.layers.Dense(2, "relu"), keras.layers.Dense(2, "softmax")
        self.branch = keras.Sequential([self.base, keras.layers.Dense(2)])

    def call(self, inputs):
        return self.head(self.base(inputs) + self.branch(inputs))


def frozen_branches():
    model = Branches()
    model(np.zeros((1, 2)))
    model.base.trainable = False
    return model, lambda model: model.branch


def frozen_attention():
    attention = keras.layers.MultiHeadAttention(1, 2)
    inputs = keras.Input((2,))
    hidden = keras.layers.Reshape((2, 1))(keras.layers.Dense(2, "relu")(inputs))
    hidden = keras.layers.Flatten()(attention(hidden, hidden))
    attention.trainable = False
    return keras.Model(inputs, keras.layers.Dense(2, "softmax")(hidden)), lambda m: m.layers[-3]


def low_rank():
    layers = [keras.layers.Dense(4, "relu"), keras.layers.Dense(2, "softmax")]
    model = keras.Sequential([keras.Input((2,)), *layers])
    layers[0].enable_lora(2)
    return model, lambda model: model.layers[0]


@pytest.mark.parametrize(
    "make", [pytest.param(frozen_branches, marks=pytest.mark.slow), frozen_attention, low_rank]
)
def test_what_is_frozen_after_it_was_made_stays(make, data, space):
    def frozen(network):
        variables = [one for one in part(network).variables if "float" in one.dtype]  # no choices
        return [numpy(one) for one in variables if not one.trainable]

    def layers(network):
        return [one for one in all_layers(part(network)) if not one.trainable]

    prints = []
    for changes in (False, False, True):
        keras.utils.set_random_seed(1)
        model, part = make()
        if changes:
            for one in part(model).variables:
                one.assign(one if one.trainable else one + 1.0)
        child = Child(model, *data, space, ChildConfig(1, 32), "sparse_categorical_crossentropy")
        prints.append(child.fingerprint())
    assert prints[0] == prints[1] != prints[2]
    child.evaluate(swish_and_sine(space)[0], 0)
    for network in (child._network, child.plain("swish", 0)):
        new, old = ([*map(type, layers(one))] for one in (network, model))
        assert new == old
        assert len(frozen(network)) == len(frozen(model)) > 0
        for new, old in zip(frozen(network), frozen(model)):
            np.testing.assert_array_equal(new, old)


@keras.saving.register_keras_serializable(package="tests")
class Scales(keras.Model):
    """Has no `get_config`, and counts its calls."""

    def __init__(self, scale=1.0, sizes=(2,), note=None, **kwargs):
        super().__init__(**kwargs)
        self._scale, self.sizes, self.note, self.calls = scale, list(sizes), note, 0
        self.hidden = [keras.layers.Dense(size, "relu") for size in sizes]
        self.head = keras.layers.Dense(2, "softmax")

    def call(self, inputs):
        self.calls += 1
        for layer in self.hidden:
            inputs = layer(inputs)
        return self.head(self._scale * inputs)


@keras.saving.register_keras_serializable(package="tests")
class SaysScale(Scales):
    def get_config(self):
        return {**super().get_config(), "scale": self._scale, "sizes": self.sizes}


@pytest.mark.parametrize("is_inner", [False, True])
@pytest.mark.parametrize(
    ("make", "arguments"),
    [
        (Scales, {}),
        (Scales, {"scale": 100.0}),
        (Scales, {"sizes": [2, 2]}),
        (SaysScale, {"scale": 100.0, "sizes": [2, 2]}),
    ],
)
def test_a_model_that_would_be_made_with_other_arguments_is_refused(make, arguments, is_inner):
    model = make(**arguments)
    if is_inner:
        model = keras.Sequential([keras.Input((2,)), model])
    model(np.zeros((1, 2)))
    if make is SaysScale or not arguments:
        networks.reinitialize(model)
    else:
        (name,) = arguments
        with pytest.raises(ValueError, match=rf"with other arguments \({name}\): give Scales a"):
            networks.reinitialize(model)


class Plain(keras.Model):
    """Of the kind that no configuration makes again, as its constructor takes none of it."""

    def __init__(self):
        super().__init__()
        self.hidden, self.last = keras.layers.Dense(4, "relu"), keras.layers.Dense(2)

    def call(self, x):
        return self.last(self.hidden(x))


class Wide(keras.Model):
    """Of the kind of which a configuration makes another one."""

    def __init__(self, units=4, **keywords):
        inputs = keras.Input((2,))
        hidden = keras.layers.Dense(units, "relu")(inputs)
        super().__init__(inputs, keras.layers.Dense(2)(hidden), **keywords)


@pytest.mark.parametrize(
    ("make", "why"), [(Plain, "unexpected keyword argument"), (lambda: Wide(8), "makes others")]
)
def test_a_model_that_cannot_be_made_again_says_what_it_lacks(make, why, data, space):
    model = make()
    model(np.zeros((1, 2)))
    model.compile("sgd", "sparse_categorical_crossentropy")
    name = type(model).__name__
    message = rf"made again for each child \(.*{why}.*\): give {name} a `get_config`"
    with pytest.raises(ValueError, match=message):
        Child(model, *data, space, ChildConfig(1, 32)).evaluate("swish", 0)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tables of TensorFlow's")
@pytest.mark.parametrize(
    "padding",
    [
        pytest.param({}, marks=pytest.mark.slow),
        {"max_tokens": 20, "pad_to_max_tokens": True},
    ],
)
def test_vocabularies_stay_and_are_in_the_fingerprint(padding, space):
    texts, labels = np.array(["a b c", "b c d"] * 16), np.arange(32) % 2
    both = texts, labels
    prints = []
    for adapted in (texts, texts, ["x y z w"]):
        words = keras.layers.TextVectorization(output_mode="tf_idf", **padding)
        words.adapt(adapted)
        inputs = keras.Input((), dtype="string")
        hidden = keras.layers.Dense(4, "relu")(words(inputs))
        model = keras.Model(inputs, keras.layers.Dense(2, "softmax")(hidden))
        model.compile("adam", "sparse_categorical_crossentropy")
        child = Child(model, both, both, space, ChildConfig(1, 16))
        prints.append(child.fingerprint()["network"])
        for network in (child._network, child.plain("swish", 0)):
            np.testing.assert_array_equal(numpy(network.layers[1](texts)), numpy(words(texts)))
    assert child.evaluate(swish_and_sine(space)[0], 0).status == children.OK
    assert prints[0] == prints[1] != prints[2]


@keras.saving.register_keras_serializable(package="tests")
class LooksUp(keras.layers.Layer):
    """Makes its lookup when it is built."""

    def build(self, shape):
        self.make()

    def make(self):
        self.words = keras.layers.StringLookup(output_mode="multi_hot", max_tokens=5)

    def call(self, inputs):
        return self.words(inputs)

    def compute_output_shape(self, shape):
        return (shape[0], 5)


@keras.saving.register_keras_serializable(package="tests")
class LooksUpLater(LooksUp):
    def build(self, shape):
        pass


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tables of TensorFlow's")
def test_vocabularies_of_layers_that_make_their_lookup_when_built_stay(space):
    words, labels = np.array([["a"], ["b"], ["c"], ["d"]] * 8), np.arange(32) % 2
    for maker in (LooksUp, LooksUpLater):
        layer, inputs = maker(), keras.Input((1,), dtype="string")
        layer.build((None, 1)) if maker is LooksUp else layer.make()
        layer.words.adapt(words)
        hidden = keras.layers.Dense(4, "relu")(layer(inputs))
        model = keras.Model(inputs, keras.layers.Dense(2, "softmax")(hidden))
        model.compile("adam", "sparse_categorical_crossentropy")
        if maker is LooksUpLater:
            with pytest.raises(ValueError, match="vocabulary of the layer 'looks_up_later"):
                Child(model, (words, labels), (words, labels), space, ChildConfig(1, 16))
            continue
        child = Child(model, (words, labels), (words, labels), space, ChildConfig(1, 16))
        for network in (child._network, child.plain("swish", 0)):
            new = network.layers[1].words
            assert new.get_vocabulary() == layer.words.get_vocabulary() == ["[UNK]", *"dcba"]


class Doubles(keras.layers.Layer):
    """Is registered nowhere."""

    def call(self, inputs):
        return inputs * 2


class OwnModel(keras.Model):
    pass


def with_lambda(way, factor=3.0, lines=0):
    """A model with a lambda and a class of its own."""
    names = {"keras": keras}
    # A copy of a model of the user's has to come back from a file, which has no modules.
    x = "x" if way == "own class" else "keras.ops.abs(x)"
    code = f"layer = lambda x: {x} * {factor} + sum(n for n in range(1))"
    exec(compile("\n" * lines + code, f"script{lines}.py", "exec"), names)
    keras.utils.set_random_seed(0)
    inputs = keras.Input((2,))
    layers = [keras.layers.Lambda(names["layer"]), Doubles(), keras.layers.Dense(4)]
    inner = layers if way != "nested" else [keras.Sequential([keras.Input((2,)), *layers])]
    outputs = inputs
    for layer in (*inner, keras.layers.ReLU(), keras.layers.Dense(2, "softmax")):
        outputs = layer(outputs)
    model = (OwnModel if way == "own class" else keras.Model)(inputs, outputs)
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


@pytest.mark.parametrize("way", ["flat", "nested", "own class"])
def test_lambdas_and_classes_that_are_not_registered_are_taken(way, data, space):
    (x, _), _ = data
    model = with_lambda(way)
    child = Child(model, *data, space, ChildConfig(1, 32))
    assert child.evaluate("swish", 0).status == children.OK
    network = child._network
    network.set_weights(child._template.get_weights())
    np.testing.assert_allclose(network.predict(x, verbose=0), child._template.predict(x, verbose=0))


class Ridge(keras.regularizers.Regularizer):
    def __call__(self, weights):
        return 0.01 * keras.ops.sum(weights**2)

    def get_config(self):
        return {}


def small(shape, dtype=None):
    return keras.random.uniform(shape, -0.1, 0.1, dtype)


def probabilities(logits):
    return keras.ops.softmax(logits)


def test_what_layers_are_made_with_need_not_be_registered(data, space):
    inputs = keras.Input((2,))
    hidden = keras.layers.Dense(
        4, "relu", kernel_initializer=small, kernel_regularizer=Ridge(), bias_regularizer=Ridge()
    )
    inner = keras.Sequential([keras.Input((2,)), hidden])
    model = keras.Model(inputs, keras.layers.Dense(2, probabilities)(inner(inputs)))
    model.compile("adam", "sparse_categorical_crossentropy")
    child = Child(model, *data, space, ChildConfig(1, 32))
    assert child.evaluate("swish", 0).status == children.OK


def test_the_fingerprint_knows_what_a_lambda_does_and_not_its_place():
    networks = with_lambda("nested"), with_lambda("nested", lines=5), with_lambda("nested", 4.0)
    first, moved, other = map(structure, networks)
    assert first == moved != other


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="has no texts")
@pytest.mark.parametrize("shape", [(), (1,)])
def test_an_objective_of_texts_is_measured(shape, space):
    texts, labels = np.array(["café", "thé"] * 4).reshape(-1, *shape), np.array([0, 1] * 4)
    lookup = keras.layers.StringLookup(vocabulary=["café", "thé"], output_mode="one_hot")
    model = keras.Sequential(
        [
            keras.Input(shape, dtype="string"),
            lookup,
            keras.layers.Dense(4, "relu"),
            keras.layers.Dense(2, "softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    data = np.char.encode(texts, "utf-8").astype(object), labels
    child = Child(model, data, data, space, ChildConfig(1, 4), objective="val_loss")
    assert child.evaluate("swish", 0).status == children.OK


def test_the_fingerprint_tells_children_apart(model, data, space, child_config, child):
    (x, y), validation = data
    same = Child(model, (x, y), validation, space, child_config)
    assert same.fingerprint() == child.fingerprint()
    shuffled = Child(model, (x[::-1], y), validation, space, child_config)
    assert shuffled.fingerprint() != child.fingerprint()


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a dataset of TensorFlow's")
def test_the_fingerprint_knows_the_batches_of_a_dataset(model, data, space):
    import tensorflow as tf

    def fingerprint(train, batch_size=None):
        return Child(model, train, data[1], space, ChildConfig(1, batch_size)).fingerprint()

    rows = tf.data.Dataset.from_tensor_slices(data[0])
    small, large = (fingerprint(rows.batch(size)) for size in (8, 32))
    assert small != large == fingerprint(data[0], 32)
    assert fingerprint(data[0])["config"]["batch_size"] is None


def wired(first: bool, factor: float):
    inputs = keras.Input((2,))
    one = keras.layers.Dense(4, "relu")(inputs)
    other = keras.layers.Dense(4)(one)
    added = keras.layers.Add()([other, one if first else other]) * factor
    return keras.Model(inputs, keras.layers.Dense(2)(added))


def test_the_fingerprint_knows_the_wiring(data, space, child_config):
    entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    made = [
        Child(wired(*way), *data, space, child_config, entropy).fingerprint()["network"]
        for way in [(True, 2.0), (True, 2.0), (False, 2.0), (True, 3.0)]
    ]
    assert made[0] == made[1]
    assert len(set(made)) == 3


@pytest.mark.parametrize(
    "pair",
    [
        [lambda x: x[:, :2], lambda x: x[:, 2:]],
        [lambda x: keras.ops.roll(x, 1, axis=1), lambda x: keras.ops.roll(x, 2, axis=1)],
        [lambda x: keras.ops.clip(x, -1, 1), lambda x: keras.ops.clip(x, -1, 2)],
        [
            lambda x: keras.ops.vectorized_map(lambda row: row * 2, x),
            lambda x: keras.ops.vectorized_map(lambda row: row * 3, x),
        ],
    ],
    ids=["slice", "roll", "clip", "lambda"],
)
def test_the_fingerprint_knows_what_operations_are_made_with(pair):
    def of(function):
        inputs = keras.Input((4,))
        return networks.structure(keras.Model(inputs, keras.layers.Dense(2)(function(inputs))))

    prints = [of(function) for function in (*pair, pair[0])]
    assert prints[0] == prints[2] != prints[1]


def test_fingerprints_of_stored_studies_stay():
    network = models.create("resnet8", input_shape=(8, 8, 1), classes=3, filters=(4, 8, 8))
    assert digest(networks.structure(network).encode()) == "80228d1527fc9a7d"


def test_the_fingerprint_knows_frozen_weights(data, space, child_config):
    def network(value, trainable):
        model = keras.Sequential(
            [
                keras.Input((2,)),
                keras.layers.Dense(4, "relu", trainable=trainable),
                keras.layers.Dense(2, "softmax"),
            ]
        )
        model.layers[0].set_weights([np.full((2, 4), value), np.zeros(4)])
        return Child(
            model, *data, space, child_config, loss="sparse_categorical_crossentropy"
        ).fingerprint()["network"]

    assert network(0.5, False) == network(0.5, False) != network(0.6, False)
    # What is drawn again does not matter.
    assert network(0.5, True) == network(0.6, True)


@keras.saving.register_keras_serializable(package="tests")
class Weighs(keras.Model):
    """Has a weight of which no layer knows."""

    def __init__(self, branch, weight=1.0, **kwargs):
        super().__init__(**kwargs)
        self.branch, self.weight = branch, weight

    def call(self, inputs):
        return self.weight * self.branch(inputs)

    def get_config(self):
        branch = keras.saving.serialize_keras_object(self.branch)
        return {**super().get_config(), "branch": branch, "weight": self.weight}


class OtherSteps(keras.Sequential):
    pass


@keras.saving.register_keras_serializable(package="tests")
class OwnCompile(keras.Model):
    """Has a factor of its loss."""

    def compile(self, optimizer, loss, alpha=1.0, **kwargs):
        super().compile(optimizer, loss, **kwargs)
        self.alpha = alpha

    def get_compile_config(self):
        return {**super().get_compile_config(), "alpha": self.alpha}

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))


def nested(within=keras.Sequential, around=keras.Model):
    inner = within([keras.Input((2,)), keras.layers.ReLU()])
    inputs = keras.Input((2,))
    return around(inputs, keras.layers.Dense(2, "softmax")(inner(inputs)))


def weighs(weight, is_inner=False):
    model = Weighs(nested(), weight)
    return keras.Sequential([keras.Input((2,)), model]) if is_inner else model


def test_models_of_the_users_own_are_told_apart():
    makers = [
        nested,
        lambda: nested(within=OtherSteps),
        lambda: nested(around=OwnCompile),
        lambda: weighs(1.0),
        lambda: weighs(2.0),
        lambda: keras.Sequential([keras.Input((2,)), OtherSteps([weighs(2.0)])]),
    ]
    prints = [networks.own_models(make()) for make in makers]
    assert len({*prints}) == len(makers)
    assert not prints[0]
    # Their layers have other names.
    assert [networks.own_models(make()) for make in makers] == prints
    assert networks.own_models(weighs(2.0, is_inner=True)) == prints[4]


def test_the_fingerprint_of_plain_models_stays(data, space):
    model = keras.Sequential([keras.Input((2,)), keras.layers.ReLU()])
    dtype = '{"class_name": "DTypePolicy", "config": {"name": "float32"}, "module": "keras", '
    assert networks.structure(model) == (
        '[[["InputLayer", {"batch_shape": [null, 2], "dtype": "float32", "name": null, '
        '"optional": false, "ragged": false, "sparse": false}], '
        f'["ReLU", {{"dtype": {dtype}"registered_name": null}}, "max_value": null, '
        '"name": null, "negative_slope": 0.0, "threshold": 0.0, "trainable": true}]], []]'
    )
    for around in (keras.Model, OwnCompile):
        model = nested(around=around)
        child = Child(model, *data, space, ChildConfig(1, 32), "sparse_categorical_crossentropy")
        is_plain = around is keras.Model
        structure = digest(networks.structure(child._template).encode())
        assert (child.fingerprint()["network"] == structure) is is_plain


def test_the_fingerprint_knows_numbers_of_numpy():
    def of(rate):
        return networks.structure(keras.Sequential([keras.Input((2,)), keras.layers.Dropout(rate)]))

    assert of(np.float32(0.25)) == of(0.25) != of(np.float32(0.5))


def test_the_fingerprint_knows_a_compile_of_the_users_own():
    prints = []
    for alpha in (1.0, 1.0, 50.0):
        model = nested(around=OwnCompile)
        model.compile(keras.optimizers.Adam(), "sparse_categorical_crossentropy", alpha=alpha)
        prints.append(Compiler(model, None, ChildConfig(1, 32)).fingerprint())
    assert prints[0] == prints[1] != prints[2]
    assert json.loads(json.dumps(prints[0])) == prints[0]


def broken(x, y):
    return [
        ((x[:8], y[:8]), "larger than the training data, 8 examples"),
        ((x, y[:5]), "as many inputs as labels"),
        ((x[:0], y[:0]), "at least one"),
        ((np.full_like(x, np.nan), y), "The training data holds numbers that are not finite"),
        (x, "must be a pair"),
    ]


@pytest.mark.parametrize("number", range(5))
def test_bad_data_is_refused(number, model, data, space, child_config):
    train, message = broken(*data[0])[number]
    with pytest.raises(ValueError, match=message):
        Child(model, train, data[1], space, child_config)


def test_a_model_without_loss_or_activation_is_refused(model, data, space, child_config):
    with pytest.raises(ValueError, match="pass its `loss`"):
        Child(keras.Model(model.inputs, model.outputs), *data, space, child_config)
    linear = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match="no activation to search for"):
        Child(linear, *data, space, child_config, loss="mse", reward=len)


def test_a_reward_that_is_not_finite_counts_as_diverged(model, data, space, child_config):
    child = Child(model, *data, space, child_config, reward=lambda y, predicted: float("nan"))
    outcome = child.evaluate(space.candidate(u1="x", u2="x", b="x1*x2"), 0)
    assert (outcome.status, outcome.reward) == (children.DIVERGED, 0.0)


def test_a_reward_below_that_of_what_diverges_is_refused(model, data, space, child_config):
    child = Child(model, *data, space, child_config, reward=lambda y, predicted: -2.0)
    candidate = space.candidate(u1="x", u2="x", b="x1*x2")
    with pytest.raises(ValueError, match=r"a reward of -2.0, and one that diverges gets 0.0"):
        child.evaluate(candidate, 0)
    low = dataclasses.replace(child_config, diverged_reward=-10.0)
    child = Child(model, *data, space, low, reward=lambda y, predicted: -2.0)
    assert child.evaluate(candidate, 0).reward == -2


@pytest.mark.parametrize("early", [-2.0, -0.75, float("nan")])
def test_a_bad_beginning_is_not_judged_before_the_last_epoch(early, model, data, space):
    found = {"trying out": 0.5, "first": early, "last": 0.5}
    left = iter(found.values())
    config = children.ChildConfig(2, 32, diverged_reward=-1.0)
    child = Child(model, *data, space, config, reward=lambda y, predicted: next(left))
    first, last = child.train_by_epoch(space.candidate(u1="x", u2="x", b="x1*x2"), 0)
    reward = max(early, -1.0) if early == early else -1.0  # none is below that of a diverged child
    assert (first.status, first.reward, first.curve) == (children.PRUNED, reward, (reward,))
    assert (last.status, last.reward, last.curve) == (children.OK, 0.5, (reward, 0.5))


def test_a_model_with_several_outputs_has_a_reward_of_them_all(data, space, child_config):
    (x, y), (vx, vy) = data
    inputs = keras.Input((2,))
    hidden = keras.layers.Dense(4, "relu")(inputs)
    model = keras.Model(
        inputs, [keras.layers.Dense(2, "softmax")(hidden), keras.layers.Dense(1)(hidden)]
    )
    shapes = []

    def reward(labels, outputs):
        shapes.append([part.shape for part in (*labels, *outputs)])
        return rewards.accuracy(labels[0], outputs[0])

    child = Child(
        model,
        (x, (y, y)),
        (vx, (vy, vy)),
        space,
        dataclasses.replace(child_config, learning_rate=0.01),
        loss=["sparse_categorical_crossentropy", "mse"],
        reward=reward,
    )
    outcome = child.evaluate(space.candidate(u1="x", u2="x", b="x1*x2"), 0)
    assert outcome.status == children.OK
    examples = len(vy)
    # First it is tried on a few examples.
    assert shapes[1:] == [[vy.shape, vy.shape, (examples, 2), (examples, 1)]]


def test_bad_configs_say_what_came():
    with pytest.raises(ValueError, match=r"Unknown optimizer 'sdg'\. Did you mean 'sgd'"):
        children.ChildConfig(optimizer="sdg")
    with pytest.raises(ValueError, match="Received: epochs=0"):
        children.ChildConfig(epochs=0)


@pytest.mark.slow
def test_another_process_knows_the_layers_of_the_network(data, space, tmp_path, python):
    network = models.create("resnet8", input_shape=(8, 8, 1), classes=3, filters=(4, 4, 4))
    images = np.random.default_rng(0).normal(size=(16, 8, 8, 1)).astype("float32")
    both = images, np.arange(16) % 3
    child = Child(
        network, both, both, space, ChildConfig(1, 16), loss="sparse_categorical_crossentropy"
    )
    path = tmp_path / "child"
    path.write_bytes(pickle.dumps(child))
    code = "import pickle, sys; print(len(pickle.load(open(sys.argv[1], 'rb')).activations))"
    assert python("-c", code, path).stdout.split()[-1] == str(len(child.activations))


def near_labels(y, outputs):
    return keras.ops.mean(keras.ops.cast(abs(y - outputs) < 0.5, "float32"), axis=-1)


class NearAccuracy(keras.metrics.Mean):
    def update_state(self, y, outputs, sample_weight=None):
        super().update_state(near_labels(y, outputs))


class SquaresOfErrors(keras.losses.Loss):
    def call(self, y, outputs):
        return keras.ops.mean((y - outputs) ** 2, axis=-1)


class SlowerSGD(keras.optimizers.SGD):
    pass


@pytest.mark.parametrize("rewarded", [False, True])
def test_another_process_knows_what_the_model_is_compiled_with(rewarded, data, space):
    model = with_outputs(1)
    metrics = [near_labels, NearAccuracy(name="share")]
    model.compile(SlowerSGD(0.1), SquaresOfErrors(), metrics=metrics)
    judged = {"reward": metrics[1]} if rewarded else {"objective": ("val_share", "max")}
    both = [(x, y[:, None].astype("float32")) for x, y in data]
    child = Child(model, *both, space, ChildConfig(1, 32), **judged)
    # Nothing is registered: here files do not know the names either.
    again = pickle.loads(pickle.dumps(child))
    assert again.fingerprint() == child.fingerprint()


class Backbone(keras.Model):
    """Makes its layers itself, of which a file knows only that it does."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.backbone = keras.layers.Dense(4, "tanh")
        self.hidden = keras.layers.Dense(4, "relu")
        self.last = keras.layers.Dense(2, "softmax")

    def call(self, x):
        return self.last(self.hidden(self.backbone(x)))

    def get_config(self):
        return {}


def of_backbone(x):
    model = Backbone()
    model(x[:1])
    model.compile(keras.optimizers.SGD(0.5), "sparse_categorical_crossentropy")
    return model


def test_another_process_trains_what_is_trained_in_this_one(data, space):
    (x, _), _ = data
    model = of_backbone(x)
    model.backbone.trainable = False
    model.hidden.bias.trainable = False
    child = Child(model, *data, space, ChildConfig(1))
    again = pickle.loads(pickle.dumps(child))
    assert again.fingerprint() == child.fingerprint()
    assert [one.trainable for one in again.model.variables] == [
        one.trainable for one in model.variables
    ]
    assert again.evaluate("swish", 0).reward == child.evaluate("swish", 0).reward


def test_what_would_be_another_child_in_another_process_is_refused(model, data, space):
    sent = pickle.dumps(Child(model, *data, space, ChildConfig(1, 32)))
    keras.config.set_floatx("float64")
    try:
        with pytest.raises(ValueError, match=r"another one in another process \(its train, valid"):
            pickle.loads(sent)
    finally:
        keras.config.set_floatx("float32")


def swish_and_sine(space):
    return [space.candidate(**dict(zip(("u1", "u2", "b"), choices))) for choices in CHOICES]


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: keras.optimizers.Adam(
            keras.optimizers.schedules.ExponentialDecay(0.05, 3, 0.5), use_ema=True
        ),
        lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.RMSprop(0.02, momentum=0.9)),
        lambda: keras.optimizers.SGD(0.1, gradient_accumulation_steps=2),
    ],
    ids=["schedule and averages", "loss scale", "accumulation"],
)
@pytest.mark.slow
def test_the_compiled_optimizer_begins_anew_with_each_child(optimizer, data, space):
    model = wired(True, 1.0)
    model.compile(optimizer(), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    child = Child(model, *data, space, ChildConfig(epochs=2, batch_size=32), objective="val_loss")
    first, second = swish_and_sine(space)
    before = child.evaluate(first, 0).reward
    child.evaluate(second, 1)
    assert child.evaluate(first, 0).reward == before
    plain = child.plain(first, 0)
    child.compile(plain)
    assert child.train(plain, 0).reward == pytest.approx(before, rel=1e-4)
    assert type(child._network.optimizer) is type(model.optimizer)
    # The user's own stays as it was.
    assert int(model.optimizer.iterations) == 0


@pytest.mark.parametrize("stops", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_child_is_measured_with_the_averages_that_fit_leaves(stops, data, space):
    def optimizer():
        return keras.optimizers.Adam(0.05, use_ema=True, ema_momentum=0.9)

    model = with_outputs(2)
    model.compile(optimizer(), "sparse_categorical_crossentropy")
    stop = keras.callbacks.EarlyStopping("val_loss", patience=0, min_delta=100.0)
    config, callbacks = ChildConfig(9 if stops else 2, 32), [stop] if stops else []
    child = Child(model, *data, space, config, objective="val_loss", callbacks=callbacks)
    candidate, _ = swish_and_sine(space)
    *_, outcome = child.train_by_epoch(candidate, 0)
    plain = child.plain(candidate, 0)
    plain.compile(optimizer(), "sparse_categorical_crossentropy")
    # In one call, at whose end the averages become the weights.
    rows = np.concatenate([child.order(0, epoch) for epoch in range(2)])
    (x, y), validation = data
    plain.fit(x[rows], y[rows], 32, verbose=0, shuffle=False)
    assert outcome.reward == pytest.approx(-plain.evaluate(*validation, verbose=0), rel=1e-4)
    assert len(outcome.curve) == 2


def test_loss_weights_metrics_and_sample_weights_are_those_of_the_model(data, space):
    (x, y), (vx, vy) = data
    inputs = keras.Input((2,))
    hidden = keras.layers.Dense(4, "relu")(inputs)
    outputs = {
        "a": keras.layers.Dense(2, "softmax", name="a")(hidden),
        "b": keras.layers.Dense(1, name="b")(hidden),
    }
    rewarded = {}
    for weight in (0.5, 4.0):
        model = keras.Model(inputs, outputs)
        model.compile(
            "adam",
            {"a": "sparse_categorical_crossentropy", "b": "mse"},
            loss_weights={"a": 1.0, "b": weight},
        )
        labels, validation = {"a": y, "b": x[:, :1]}, (vx, {"a": vy, "b": vx[:, :1]})
        child = Child(
            model, (x, labels), validation, space, ChildConfig(1, 32), objective="val_loss"
        )
        plain = child.plain("swish", 0)
        child.compile(plain)
        outcome = child.train(plain, 0)
        own = plain.evaluate(*validation, verbose=0, return_dict=True)
        assert outcome.reward == pytest.approx(-own["loss"], rel=1e-4)
        rewarded[weight] = outcome.reward
    assert rewarded[4.0] < rewarded[0.5]


def test_labels_by_name_belong_to_the_outputs_of_their_names(data, space):
    (x, y), (vx, vy) = data
    losses = {"b": "mse", "a": "sparse_categorical_crossentropy"}

    def child(outputs_of, loss, few=0):
        inputs = keras.Input((2,))
        hidden = keras.layers.Dense(4, "relu")(inputs)
        layers = keras.layers.Dense(1, name="b"), keras.layers.Dense(2, "softmax", name="a")
        model = keras.Model(inputs, outputs_of(*(layer(hidden) for layer in layers)))
        model.compile("adam", loss)
        labels, of_validation = {"b": x[:, :1], "a": y + few}, {"b": vx[:, :1], "a": vy}
        both = [{k: part[k] for k in loss} for part in (labels, of_validation)]
        return Child(
            model, (x, both[0]), (vx, both[1]), space, ChildConfig(1, 32), objective="val_loss"
        )

    assert child(lambda b, a: [b, a], losses).evaluate("swish", 0).status == children.OK
    one = {"a": losses["a"]}
    assert child(lambda b, a: {"b": b, "a": a}, one).evaluate("swish", 0).status == children.OK
    for outputs_of, loss in ((lambda b, a: [b, a], losses), (lambda b, a: {"b": b, "a": a}, one)):
        with pytest.raises(ValueError, match="lie between 5 and 6"):
            child(outputs_of, loss, few=5)


@keras.saving.register_keras_serializable(package="tests")
class AddsLoss(keras.layers.Layer):
    def call(self, inputs):
        self.add_loss(keras.ops.mean(inputs**2))
        return inputs


@keras.saving.register_keras_serializable(package="tests")
class AddsLossInTraining(AddsLoss):
    def call(self, inputs, training=False):
        return super().call(inputs) if training else inputs


class Computes(keras.Model):
    """Computes its loss as before Keras 3.3."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
        return keras.ops.mean(y_pred**2)


def with_outputs(count, base=keras.Model, end=lambda outputs: outputs):
    inputs = keras.Input((2,))
    hidden = keras.layers.Dense(4, "relu")(inputs)
    return base(inputs, end(keras.layers.Dense(count)(hidden)))


@pytest.mark.parametrize(
    ("make", "loss"),
    [
        (lambda: with_outputs(2, Computes), "sparse_categorical_crossentropy"),
        (lambda: with_outputs(2, Computes), None),
        (lambda: with_outputs(2, end=AddsLoss()), None),
        (lambda: with_outputs(3), "circle"),
    ],
    ids=["compute_loss", "compute_loss alone", "add_loss alone", "circle"],
)
def test_losses_that_fit_takes_are_taken(make, loss, data, space):
    model = make()
    model.compile("adam", loss)
    child = Child(model, *data, space, ChildConfig(1, 32), objective="val_loss")
    assert child.evaluate("swish", 0).status == children.OK


def test_a_loss_that_layers_add_in_training_alone_is_taken(data, space):
    model = with_outputs(2, end=AddsLossInTraining())
    model.compile("adam")
    child = Child(model, *data, space, ChildConfig(1, 32), reward=rewards.accuracy)
    assert child.evaluate("swish", 0).status == children.OK


def test_a_model_that_is_compiled_without_any_loss_is_refused(data, space):
    model = with_outputs(2)
    model.compile("adam")
    with pytest.raises(ValueError, match="compiled without a loss, and no layer adds one"):
        Child(model, *data, space, ChildConfig(1, 32), objective="val_loss")


@pytest.mark.parametrize(("jit_compile", "auto_scale_loss"), [(True, False), (False, True)])
def test_a_child_is_compiled_as_the_model_was(jit_compile, auto_scale_loss, data, space):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = wired(True, 1.0)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("sgd", loss, jit_compile=jit_compile, auto_scale_loss=auto_scale_loss)
        child = Child(model, *data, space, ChildConfig(1, 32))
        written = pickle.dumps(child)
        same = pickle.loads(written)
    finally:
        keras.config.set_dtype_policy(policy)
    assert same.fingerprint() == child.fingerprint()
    assert ("auto_scale_loss" in child.fingerprint()["compiled"]) is not auto_scale_loss
    # Another process has not set the policy.
    for one in (child, same, pickle.loads(written)):
        assert one._network.jit_compile is jit_compile
        assert type(one._network.optimizer) is type(model.optimizer)


@pytest.mark.parametrize("optimizer", ["sgd", keras.optimizers.SGD()])
def test_a_learning_rate_that_was_set_after_compile_is_that_of_children(optimizer, data, space):
    model = with_outputs(2)
    model.compile(optimizer, "sparse_categorical_crossentropy")
    before = Child(model, *data, space, ChildConfig(1, 32)).fingerprint()
    model.optimizer.learning_rate = 0.25
    child = Child(model, *data, space, ChildConfig(1, 32))
    assert child.fingerprint() != before
    for one in (child, pickle.loads(pickle.dumps(child))):
        assert float(one._network.optimizer.learning_rate) == 0.25
        assert one.fingerprint() == child.fingerprint()


class Dampened(keras.optimizers.SGD):
    """Does not say its strength in `get_config`."""

    def __init__(self, learning_rate=0.1, strength=0.5, **kwargs):
        super().__init__(learning_rate * strength, **kwargs)
        self.strength = strength


def test_an_optimizer_that_would_be_another_one_is_refused(data, space):
    model = with_outputs(2)
    for optimizer in (keras.optimizers.SGD(0.1), Dampened(strength=0.25)):
        model.compile(optimizer, "sparse_categorical_crossentropy")
        model.fit(*data[0], verbose=0)
        if isinstance(optimizer, Dampened):
            with pytest.raises(ValueError, match=r"Dampened, cannot be made again .* `get_config`"):
                Child(model, *data, space, ChildConfig(1, 32))
        else:
            Child(model, *data, space, ChildConfig(1, 32))


@keras.saving.register_keras_serializable(package="tests")
class TwoOptimizers(keras.Model):
    """Trains with the one optimizer and after that with the other."""

    def compile(self, optimizer, d_optimizer, place, **kwargs):
        super().compile(optimizer, **kwargs)
        self.place = place
        if place == "inner":
            self.layers[-1].compile(d_optimizer)
        else:
            held = {"itself": d_optimizer, "list": [d_optimizer], "dict": {"d": d_optimizer}}
            self.held = held[place]

    @property
    def d_optimizer(self):
        held = self.layers[-1].optimizer if self.place == "inner" else self.held
        return keras.tree.flatten(held)[0]

    def get_compile_config(self):
        if not self.compiled:
            return {}
        both = self.optimizer, self.d_optimizer
        return {"rates": [float(one.learning_rate) for one in both], "place": self.place}

    def compile_from_config(self, config):
        first, second = map(keras.optimizers.Adam, config["rates"])
        self.compile(first, second, config["place"], loss="sparse_categorical_crossentropy")

    def train_step(self, data):
        logs = super().train_step(data)
        usual, self.optimizer = self.optimizer, self.d_optimizer
        try:
            super().train_step(data)
        finally:
            self.optimizer = usual
        return logs


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX's steps have one optimizer")
@pytest.mark.parametrize(
    "place",
    ["dict", *(pytest.param(x, marks=pytest.mark.slow) for x in ("itself", "list", "inner"))],
)
def test_each_optimizer_of_a_model_begins_again_with_each_child(place, data, space):
    inputs = keras.Input((2,))
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, "softmax")])
    model = TwoOptimizers(inputs, inner(keras.layers.Dense(4, "relu")(inputs)))
    model.compile_from_config({"rates": [0.1, 0.05], "place": place})
    child = Child(model, *data, space, ChildConfig(1, 32), objective="val_loss")
    first, second = swish_and_sine(space)
    rewards = [child.evaluate(one, 0).reward for one in (first, second, first)]
    assert rewards[0] == rewards[2] != rewards[1]
    assert int(child._network.d_optimizer.iterations) == 5


@keras.saving.register_keras_serializable(package="tests")
class Scaled(keras.Model):
    """Has an argument of its own for `compile`."""

    def compile(self, optimizer, loss, scale=1.0, **kwargs):
        super().compile(optimizer=optimizer, loss=loss, **kwargs)
        self.scale = scale

    def get_compile_config(self):
        return {**super().get_compile_config(), "scale": self.scale} if self.compiled else {}

    def compile_from_config(self, config):
        if config:
            self.compile(**keras.saving.deserialize_keras_object(config))


class Unrepeatable(keras.Model):
    def compile(self, d_optimizer, loss_fn):
        super().compile(d_optimizer, loss_fn)


def test_another_optimizer_or_loss_leaves_the_other_arguments_of_compile(data, space):
    model = with_outputs(2, Scaled)
    model.compile("adam", "sparse_categorical_crossentropy", 50.0)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    config = ChildConfig(1, 32, learning_rate=[0.1, 0.3])
    child = Child(model, *data, space, config, loss)
    for one, rate in zip([child, *child._at_other_rates], config.rates):
        network = one._network
        assert (network.scale, network.loss.get_config()) == (50.0, loss.get_config())
        schedule = network.optimizer.get_config()["learning_rate"]["config"]
        assert schedule["initial_learning_rate"] == rate


@pytest.mark.filterwarnings("ignore:`compile:UserWarning")
def test_another_optimizer_that_compile_cannot_take_is_refused(data, space):
    loss, config = "sparse_categorical_crossentropy", ChildConfig(1, 32, learning_rate=0.1)
    model = with_outputs(2, Unrepeatable)
    model.compile("adam", loss)
    with pytest.raises(ValueError, match="`compile` of its own, which cannot be repeated"):
        Child(model, *data, space, config)
    model = with_outputs(2, TwoOptimizers)
    model.compile_from_config({"rates": [0.1, 0.05], "place": "itself"})
    with pytest.raises(ValueError, match="another optimizer: let `get_compile_config` return 'opt"):
        Child(model, *data, space, config)


@pytest.mark.parametrize("base", [keras.Model, Scaled], ids=["plain", "own compile"])
def test_children_exclude_the_same_from_weight_decay(base, data, space):
    model = with_outputs(2, base)

    def child(**excluded):
        optimizer = keras.optimizers.AdamW(0.01, weight_decay=0.5)
        if excluded:
            optimizer.exclude_from_weight_decay(**excluded)
        model.compile(optimizer, "sparse_categorical_crossentropy")
        return Child(model, *data, space, ChildConfig(1, 32))

    named = child(var_names=["bias", "gamma"])
    copy = pickle.loads(pickle.dumps(named))
    for one in (named, copy):
        kernel, bias, *_ = one._network.trainable_variables
        decays = one._network.optimizer._use_weight_decay
        assert (decays(kernel), decays(bias)) == (True, False)
    fingerprints = [one.fingerprint() for one in (named, copy, child())]
    assert fingerprints[0] == fingerprints[1] != fingerprints[2]
    with pytest.raises(ValueError, match=r"children have others: name them, as in .*var_names="):
        child(var_list=model.trainable_variables[:1])


def test_a_metric_as_reward_forgets_the_children_before(model, data, space):
    child = Child(
        model,
        *data,
        space,
        ChildConfig(1, 32),
        reward=keras.metrics.SparseCategoricalCrossentropy(),
    )
    first, second = swish_and_sine(space)
    with_metric = [child.evaluate(one, 0).reward for one in (first, second, first)]
    assert with_metric[0] == with_metric[2] != with_metric[1]
    assert all(reward < 0 for reward in with_metric)


class OwnTestStep(keras.Model):
    def test_step(self, *args):
        return super().test_step(*args)


@pytest.mark.parametrize("base", [keras.Model, OwnTestStep])
def test_an_objective_with_a_number_for_each_class_is_refused(base, data, space):
    both = [(x, keras.utils.to_categorical(y, 2)) for x, y in data]
    model = with_outputs(2, base)

    def child(average):
        metric = keras.metrics.F1Score(average)
        model.compile("adam", "categorical_crossentropy", metrics=[metric])
        return Child(model, *both, space, ChildConfig(1, 32), objective="val_f1_score")

    assert child("macro").objective.direction == "max"
    with pytest.raises(ValueError, match=r"must be one number, and is .* average='macro'"):
        child(None)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="steps of TensorFlow's")
@pytest.mark.parametrize("base", [keras.Sequential, keras.Model])
def test_a_training_step_of_the_users_is_taken_and_need_log_no_loss(base, data, space):
    import tensorflow as tf

    class Own(base):
        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                loss = self.compute_loss(x, y, self(x, training=True))
            self.optimizer.apply(tape.gradient(loss, self.trainable_variables))
            return {"steps": self.optimizer.iterations}

    inputs = keras.Input((2,))
    layers = [keras.layers.Dense(4, "relu"), keras.layers.Dense(2, "softmax")]
    if base is keras.Sequential:
        model = Own([inputs, *layers])
    else:
        model = Own(inputs, layers[1](layers[0](inputs)))
    model.compile("adam", "sparse_categorical_crossentropy")
    child = Child(model, *data, space, ChildConfig(2, 32))
    assert type(child._network) is type(child.plain("swish", 0)) is Own
    first, _ = swish_and_sine(space)
    outcome = child.evaluate(first, 0)
    assert (outcome.status, outcome.steps) == (children.OK, 10)
    assert int(child._network.optimizer.iterations) == 10


@keras.saving.register_keras_serializable(package="tests")
class Unpacks(keras.Model):
    """Takes data as the examples of Keras's guides do, and logs more than the metrics."""

    def train_step(self, *args):
        _, _ = args[-1]
        done = super().train_step(*args)
        if keras.backend.backend() == "jax":
            return {**done[0], "two": 2.0}, done[1]
        return {**done, "two": 2.0}

    def test_step(self, *args):
        _, _ = args[-1]
        return super().test_step(*args)


def test_steps_of_the_users_get_data_and_log_as_in_fit(data, space):
    inputs = keras.Input((2,))
    hidden = keras.layers.Dense(4, "relu")(inputs)
    model = Unpacks(inputs, keras.layers.Dense(2, "softmax")(hidden))
    model.compile("adam", "sparse_categorical_crossentropy")
    stop = keras.callbacks.EarlyStopping("loss", patience=9)
    child = Child(model, *data, space, ChildConfig(2, 32), objective="val_loss", callbacks=[stop])
    outcome = child.evaluate(swish_and_sine(space)[0], 0)
    assert (outcome.status, outcome.steps) == (children.OK, 10)
    assert outcome.logs.keys() == {"loss", "two", "val_loss"}
    assert outcome.logs["two"] == 2.0
    assert 0.1 < outcome.logs["loss"] < 10


def test_metrics_that_are_no_means_count_the_whole_epoch(data, space):
    model = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(1, "sigmoid")]
    )
    model.compile(keras.optimizers.SGD(0.0), "binary_crossentropy", metrics=["auc"])
    child = Child(
        model,
        data[0],
        data[0],
        space,
        ChildConfig(1, 32),
        objective="val_auc",
        callbacks=[keras.callbacks.TerminateOnNaN()],
    )
    logs = child.evaluate(swish_and_sine(space)[0], 0).logs
    assert logs["auc"] == pytest.approx(logs["val_auc"], abs=1e-6)
    assert logs["loss"] == pytest.approx(logs["val_loss"], abs=1e-6)


class Noted(keras.callbacks.Callback):
    """Notes what is logged; shared by its copies."""

    noted: list = []  # noqa: RUF012

    def on_epoch_end(self, epoch, logs):
        Noted.noted.append((epoch, sorted(logs)))

    def __deepcopy__(self, memo):
        return Noted()


def test_callbacks_see_the_epochs_of_each_child_and_may_stop_it(model, data, space):
    Noted.noted.clear()
    stop = keras.callbacks.EarlyStopping(
        "val_loss", patience=0, min_delta=100.0, restore_best_weights=True
    )
    child = Child(
        model, *data, space, ChildConfig(9, 32, bn_momentum=0.9), callbacks=[stop, Noted()]
    )
    first, second = swish_and_sine(space)
    outcomes = [child.evaluate(one, 0) for one in (first, second, first)]
    # The second epoch is not better by 100, and the weights of the first come back.
    assert [outcome.steps for outcome in outcomes] == [10, 10, 10]
    assert [epoch for epoch, _ in Noted.noted] == [0, 1] * 3
    assert {"loss", "val_loss"} <= set(Noted.noted[0][1])
    once = Child(model, *data, space, ChildConfig(1, 32, bn_momentum=0.9))
    assert outcomes[0].reward == outcomes[2].reward == once.evaluate(first, 0).reward
    assert stop.best is None or not np.isfinite(stop.best)


PLATEAU = keras.callbacks.ReduceLROnPlateau("val_loss")
HALVES = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)


@pytest.mark.parametrize(
    ("callback", "rate", "settings"),
    [
        (PLATEAU, 0.1, {"learning_rate": 0.1}),
        (PLATEAU, 0.1, {"learning_rate": (0.1, 0.03)}),
        (HALVES, 0.1, {"optimizer": "adam"}),
        (HALVES, keras.optimizers.schedules.CosineDecay(0.1, 10), {}),
        (PLATEAU, None, {}),
    ],
)
def test_no_callback_sets_a_learning_rate_that_is_a_schedule(callback, rate, settings, data, space):
    model, loss = with_outputs(2), "sparse_categorical_crossentropy"
    if rate is not None:
        model.compile(keras.optimizers.SGD(rate), loss)
    with pytest.raises(ValueError, match=f"{type(callback).__name__} sets the learning rate, and"):
        Child(model, *data, space, ChildConfig(2, 32, **settings), loss, callbacks=[callback])


@pytest.mark.parametrize("around", [lambda one: one, keras.optimizers.LossScaleOptimizer])
def test_callbacks_may_set_the_learning_rate_that_the_model_is_compiled_with(around, data, space):
    model = with_outputs(2)
    model.compile(around(keras.optimizers.SGD(0.1)), "sparse_categorical_crossentropy")
    child = Child(model, *data, space, ChildConfig(2, 32), callbacks=[PLATEAU, HALVES])
    child._network.optimizer.learning_rate = 0.05


class Batches(keras.callbacks.Callback):
    """Notes the numbers of the batches, also of validation; stops within the second epoch."""

    noted: list = []  # noqa: RUF012

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        Batches.noted.append(batch)

    def on_train_batch_end(self, batch, logs=None):
        Batches.noted.append((batch, sorted(logs)))
        self.model.stop_training = self.epoch == 1 and batch == 2

    def on_test_begin(self, logs=None):
        Batches.noted.append("test")

    def on_test_batch_end(self, batch, logs=None):
        Batches.noted.append((batch, sorted(logs)))


def test_callbacks_are_told_of_each_batch_as_fit_does(model, data, space):
    Batches.noted.clear()
    child = Child(model, *data, space, ChildConfig(9, 32), callbacks=[Batches()])
    outcome = child.evaluate(swish_and_sine(space)[0], 0)
    told, Batches.noted = Batches.noted, []
    plain = child.plain(swish_and_sine(space)[0], 0)
    child.compile(plain)
    plain.fit(*data[0], 32, 9, 0, [Batches()], validation_data=data[1])
    assert told == Batches.noted
    assert (outcome.status, outcome.steps) == (children.OK, 8)


@pytest.mark.slow
def test_with_several_learning_rates_the_best_counts(model, data, space, child_config):
    rates = (1e-4, 0.1, 1e30)
    child = Child(model, *data, space, dataclasses.replace(child_config, learning_rate=list(rates)))
    candidate, _ = swish_and_sine(space)
    outcome = child.evaluate(candidate, 3)
    singles = [
        Child(model, *data, space, dataclasses.replace(child_config, learning_rate=rate))
        for rate in rates
    ]
    wanted = [single.evaluate(candidate, 3) for single in singles]
    assert [one.reward for one in outcome.rates] == [one.reward for one in wanted]
    assert [one.status for one in outcome.rates] == [children.OK, children.OK, children.DIVERGED]
    assert (outcome.reward, outcome.status) == (wanted[1].reward, children.OK)
    assert wanted[1].reward > wanted[0].reward
    assert outcome.steps == sum(one.steps for one in wanted)
    # Also what is no candidate, in a process of its own, and in a storage.
    assert len(child.evaluate("gelu", 3).rates) == 3
    again = pickle.loads(pickle.dumps(child)).evaluate(candidate, 3)
    assert [one.reward for one in again.rates] == [one.reward for one in wanted]
    assert json.loads(json.dumps(child.fingerprint())) == child.fingerprint()
    with pytest.raises(ValueError, match="several learning rates"):
        next(child.train_by_epoch(candidate, 3))


class Adds(keras.callbacks.Callback):
    """Adds to what is logged."""

    def on_epoch_end(self, epoch, logs):
        logs["added"] = float(epoch)
        logs["tensor"] = keras.ops.convert_to_tensor(0.5)
        logs["array"] = np.array(0.25)
        logs["infinite"] = np.inf
        logs["words"] = "many"
        if epoch == 0:
            logs["of the first"] = 1.0


def test_an_outcome_has_what_the_last_epoch_logged(model, data, space, child_config):
    candidate, _ = swish_and_sine(space)
    child = Child(model, *data, space, child_config, callbacks=[Adds()])
    logs = child.evaluate(candidate, 0).logs
    assert logs.keys() == {"loss", "val_loss", "added", "tensor", "array"}
    assert (logs["tensor"], logs["array"]) == (0.5, 0.25)
    assert logs["added"] == child_config.epochs - 1
    assert logs["val_loss"] == pytest.approx(child._evaluate(child._network)["val_loss"])
    assert Child(model, *data, space, child_config).evaluate(candidate, 0).logs == {}


class Ended(keras.callbacks.Callback):
    """Counts beginnings and ends; shared by its copies."""

    counts: dict = {}  # noqa: RUF012

    def on_train_begin(self, logs=None):
        Ended.counts["begun"] = Ended.counts.get("begun", 0) + 1

    def on_train_end(self, logs=None):
        Ended.counts["ended"] = Ended.counts.get("ended", 0) + 1


def test_callbacks_are_told_the_end_also_of_what_diverges(model, data, space, child_config):
    Ended.counts.clear()
    config = dataclasses.replace(child_config, learning_rate=(1e30, 0.1))
    child = Child(model, *data, space, config, callbacks=[Ended()])
    outcome = child.evaluate(swish_and_sine(space)[0], 0)
    assert [one.status for one in outcome.rates] == [children.DIVERGED, children.OK]
    assert Ended.counts == {"begun": 2, "ended": 2}


def test_callbacks_are_told_the_end_of_a_pruned_child_once(model, data, space, child_config):
    Ended.counts.clear()
    child = Child(model, *data, space, child_config, callbacks=[Ended()])
    job = swish_and_sine(space)[0], 0
    for done in (True, False):
        with executors.start_for(child) as executor:
            executor.submit(
                job, lambda _, outcome, done=done: done or outcome.status != children.PRUNED
            )
            executor.wait()
        assert Ended.counts["begun"] == Ended.counts["ended"] == 2 - done


def test_the_fingerprint_knows_what_callbacks_were_made_with(model, data, space, child_config):
    prints = []
    for patience in (1, 1, 50):
        stop = keras.callbacks.EarlyStopping("val_loss", patience=patience)
        child = Child(model, *data, space, child_config, callbacks=[stop])
        prints.append(child.fingerprint())
    assert prints[0] == prints[1] != prints[2]
    logs = [keras.callbacks.CSVLogger(path) for path in ("a.csv", "b.csv")]
    assert rewards.name_of(logs[0]) == rewards.name_of(logs[1])
    assert json.loads(json.dumps(prints[0])) == prints[0]


class OfNoFile(keras.Model):
    """A model whose class no file knows."""


def test_callbacks_may_have_been_in_a_fit_before(data, space):
    inputs = keras.Input((2,))
    hidden = keras.layers.Dense(4, "relu")(inputs)
    model = OfNoFile(inputs, keras.layers.Dense(2, "softmax")(hidden))
    model.compile("sgd", "sparse_categorical_crossentropy")
    stop = keras.callbacks.EarlyStopping("val_loss", min_delta=0.1, restore_best_weights=True)
    prints = []
    for _ in range(2):
        child = Child(model, *data, space, ChildConfig(2, 32), callbacks=[stop])
        prints.append(child.fingerprint())
        assert child.evaluate(swish_and_sine(space)[0], 0).steps == 10
        model.fit(*data[0], validation_data=data[1], verbose=0, callbacks=[stop])
    assert prints[0] == prints[1]
    assert stop.model is model


class Asks(keras.callbacks.Callback):
    """Asks a model of its own, and counts with others of its kind."""

    def __init__(self, teacher, counts):
        super().__init__()
        self.teacher, self.counts = teacher, counts

    def on_epoch_end(self, epoch, logs):
        assert self.teacher.predict_on_batch(np.ones((1, 2))).shape == (1, 2)
        self.counts.append(epoch)
        logs["counts"] = len(self.counts)


def test_callbacks_keep_their_own_models_and_what_they_share(model, data, space, child_config):
    teacher, counts = with_outputs(2), []
    teacher.compile("sgd", "sparse_categorical_crossentropy")
    stop = keras.callbacks.EarlyStopping("loss")
    teacher.fit(*data[0], verbose=0, callbacks=[stop])
    asking = [stop, Asks(teacher, counts), Asks(teacher, counts)]
    child = Child(model, *data, space, child_config, callbacks=asking)
    logs = child.evaluate(swish_and_sine(space)[0], 0).logs
    assert logs["counts"] == 2 * child_config.epochs
    assert counts == []
    assert stop.model is teacher


class HoldsFile(keras.callbacks.Callback):
    def __init__(self, path):
        super().__init__()
        self.file = path.open("w")


def test_callbacks_that_cannot_be_copied_are_refused(model, data, space, child_config, tmp_path):
    holds = HoldsFile(tmp_path / "log")
    with pytest.raises(ValueError, match="callback HoldsFile cannot be copied for each child"):
        Child(model, *data, space, child_config, callbacks=[holds])
    holds.file.close()


def test_rewards_after_each_epoch_are_kept_where_that_is_cheap(model, data, space, child_config):
    candidate = space.candidate(u1="x", u2="sin(x)", b="x1*x2")
    few = [part[:8] for part in data[1]]
    for validation, epochs in ((data[1], 0), (few, child_config.epochs)):
        one = Child(model, data[0], tuple(validation), space, child_config)
        outcome = one.evaluate(candidate, 0)
        *_, by_epoch = one.train_by_epoch(candidate, 0)
        assert outcome.reward == by_epoch.reward == by_epoch.curve[-1]
        assert outcome.curve == by_epoch.curve[:epochs]


def test_what_is_worse_than_the_untrained_network_counts_as_diverged(data, space):
    model = wired(True, 1.0)
    model.compile(keras.optimizers.SGD(30.0), keras.losses.SparseCategoricalCrossentropy(True))
    child = Child(model, *data, space, ChildConfig(1, 32), objective="val_loss")
    worst = child.config.diverged_reward
    assert -6 < worst < -1
    again = Child(model, *data, space, ChildConfig(1, 32), objective="val_loss")
    assert again.config.diverged_reward == worst
    assert again.fingerprint() == child.fingerprint()
    outcome = child.evaluate(swish_and_sine(space)[0], 0)
    assert (outcome.status, outcome.reward) == (children.DIVERGED, worst)


def test_an_untrained_network_above_0_leaves_room_below_0(model, data, space):
    left = iter([0.5, 0.5, -0.4, -0.6])  # tried out, untrained, and two children

    def similarity(y, predicted):
        return next(left)

    vars(similarity)["objective"] = objectives.Objective("cosine_similarity", "max")
    child = Child(model, *data, space, ChildConfig(1, 32), reward=similarity)
    outcomes = [child.evaluate(one, 0) for one in swish_and_sine(space)]
    assert [one.reward for one in outcomes] == [-0.4, -0.5]
    assert [one.status for one in outcomes] == [children.OK, children.DIVERGED]


def test_a_stateful_layer_gets_batches_of_its_size_and_begins_each_child_again(data, space):
    both = [(x[:64, None], y[:64]) for x, y in data]
    model = keras.Sequential(
        [
            keras.Input(batch_shape=(32, 1, 2)),
            keras.layers.SimpleRNN(4, stateful=True),
            keras.layers.ReLU(),
            keras.layers.Dense(2, "softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    for objective, rows in ((None, 40), ("val_loss", 64)):
        (x, y), train = both[1], both[0]
        child = Child(
            model, train, (x[:rows], y[:rows]), space, ChildConfig(1, 32), objective=objective
        )
        assert child.evaluate("swish", 0).status == children.OK
    first, second = swish_and_sine(space)
    rewards = [child.evaluate(one, 0).reward for one in (first, second, first)]
    assert rewards[0] == rewards[2] != rewards[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    "named", [["recurrent_activation", "relu"], ["tanh", "relu"], ["*lstm_cell*"]]
)
def test_the_gates_of_a_recurrent_layer_are_searched_for_where_they_are_named(named, space):
    random = np.random.default_rng(0)
    x = random.integers(0, 9, (32, 6))
    both = x, (x[:, 0] > 4).astype("int32")
    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Embedding(9, 4, mask_zero=True),
            keras.layers.LSTM(3),
            keras.layers.Dense(4, "relu"),
            keras.layers.Dense(2, "softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    child = Child(
        model, both, both, space, ChildConfig(1, 16), activations=named, objective="val_loss"
    )
    for candidate in swish_and_sine(space)[named != ["tanh", "relu"] :]:
        plain = child.plain(candidate, 0)
        child.compile(plain)
        wanted = child.train(plain, 0).reward
        assert child.evaluate(candidate, 0).reward == pytest.approx(wanted, rel=1e-4)
