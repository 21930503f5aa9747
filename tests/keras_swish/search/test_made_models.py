"""Searches on what a function makes: models that no configuration makes again."""

import pickle
import warnings

import keras
import pytest

import keras_swish
from keras_swish.search.child import Child, ChildConfig
from keras_swish.search.search import Race
from keras_swish.search.space import SearchSpace

pytestmark = pytest.mark.usefixtures("without_graph_optimizer")

LOSS = "sparse_categorical_crossentropy"
CONFIG = ChildConfig(4, 16, learning_rate=0.1)


@pytest.fixture(scope="module")
def space():
    return SearchSpace(unary=["x", "beta*x", "sin(x)"], binary=["x1+x2", "sigmoid(x1)*x2"])


class Listed(keras.Model):
    """Takes a list, which Keras does not note, and nothing that its configurations have."""

    def __init__(self, units, activation="relu"):
        super().__init__()
        self.hidden = [keras.layers.Dense(n, activation) for n in units]
        self.drop, self.last = keras.layers.Dropout(0.2), keras.layers.Dense(2, "softmax")

    def call(self, x):
        for layer in self.hidden:
            x = layer(x)
        return self.last(self.drop(x))


class Block(keras.layers.Layer):
    def __init__(self, sizes, activation="relu"):
        super().__init__()
        self.hidden = [keras.layers.Dense(n, activation) for n in sizes]

    def build(self, shape):
        for layer in self.hidden:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
        self.built = True

    def call(self, x):
        for layer in self.hidden:
            x = layer(x)
        return x


def listed(activation="relu"):
    return Listed([8, 4], activation)


def of_blocks(activation="relu"):
    inputs = keras.Input((2,))
    x = Block([8, 4], activation)(inputs)
    return keras.Model(inputs, keras.layers.Dense(2, "softmax")(x))


def unbuilt(activation="relu"):
    return keras.Sequential([keras.layers.Dense(8, activation), keras.layers.Dense(2, "softmax")])


@pytest.mark.parametrize("make", [listed, of_blocks, unbuilt])
def test_a_child_is_the_network_that_the_function_makes(make, data, space):
    child = Child(make, *data, space, CONFIG, LOSS)
    candidate = space.candidate(u1="x", u2="x", b="sigmoid(x1)*x2")
    outcomes = [child.evaluate(candidate, seed) for seed in (3, 4, 3)]
    assert outcomes[0].reward == outcomes[2].reward != outcomes[1].reward
    for network in (child.plain(candidate, 3), by_hand(make, data[0][0])):
        child.compile(network)
        assert child.train(network, 3).reward == outcomes[0].reward


def by_hand(make, x):
    keras.utils.set_random_seed(3)
    network = make("swish")
    network(x[:1])
    return network


def test_the_best_is_given_back_and_the_search_resumes(data, space, tmp_path):
    def make():
        model = Listed([4])
        model.compile("adam", LOSS, metrics=["accuracy"])
        return model

    def search():
        (x, y), validation_data = data
        return keras_swish.search_activations(
            make, x, y, validation_data=validation_data, objective="val_accuracy", max_trials=2,
            epochs=1, batch_size=16, space=space, algorithm="random", race=Race(seeds=1), verbose=0,
            storage=tmp_path / "study.log",
        )  # fmt: skip

    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # no file need give back a child
        result = search()
    keras.layers.Dense(1)  # which has the number of another name
    assert search().table() == result.table()
    with pytest.warns(UserWarning, match="no file gives back"):
        best = result.model()
    assert isinstance(best, Listed)
    assert best.hidden[0].activation.formula == result.best.formula


def test_a_child_goes_to_another_process(data, space):
    child = Child(unbuilt, *data, space, ChildConfig(1, 16), LOSS)
    again = pickle.loads(pickle.dumps(child))
    assert again.fingerprint() == child.fingerprint()
    candidate = space.candidate(u1="x", u2="sin(x)", b="x1+x2")
    assert again.evaluate(candidate, 1).reward == child.evaluate(candidate, 1).reward


def test_the_fingerprint_knows_the_weights_that_a_function_gives(data, space):
    def of(value):
        def make():
            model = of_blocks()
            model.layers[1].hidden[0].kernel.assign(keras.ops.full((2, 8), value))
            return model

        child = Child(make, *data, space, ChildConfig(1, 16), LOSS)
        return child.fingerprint()["network"]

    first = of(0.5)
    keras.layers.Dense(1).build((1, 1))  # which draws
    assert first == of(0.5) != of(0.25)


class ScaledBlock(Block):
    def __init__(self, sizes, scale=1.0):
        super().__init__(sizes)
        self.scale = scale

    def call(self, x):
        return super().call(x) * self.scale


class ScaledModel(Listed):
    def __init__(self, units, scale=1.0):
        super().__init__(units)
        self.scale = scale

    def call(self, x):
        return super().call(x * self.scale)


def headed(*arguments):
    return keras.Sequential([ScaledBlock(*arguments), keras.layers.Dense(2, "softmax")])


@pytest.mark.parametrize("make", [headed, ScaledModel])
def test_the_fingerprint_knows_what_has_no_configuration(make, data, space):
    def of(*arguments):
        child = Child(lambda: make(*arguments), *data, space, ChildConfig(1, 16), LOSS)
        return child.fingerprint()["network"]

    prints = [of([4]), of([5]), of([4], 0.5)]
    assert len({*prints}) == 3
    assert of([4]) == prints[0]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda units: None, TypeError, "or a function without arguments that makes one"),
        (keras.layers.Dense(3), TypeError, "or a function without arguments that makes one"),
        (lambda: 3, TypeError, "must return a keras.Model. Received: 3"),
        (lambda: keras.Sequential([keras.layers.ReLU()]), ValueError, "no weights to train"),
        (lambda: keras.Sequential([keras.layers.Conv2D(1, 3)]), ValueError, "does not take the in"),
    ],
)
def test_what_makes_no_network_is_refused(make, error, message, data):
    x, y = data[0]
    with pytest.raises(error, match=message):
        keras_swish.search_activations(make, x, y, validation_data=data[1], loss=LOSS, batch_size=8)


def seeded():
    keras.utils.set_random_seed(1)
    return of_blocks()


def test_a_function_that_makes_another_network_or_none_is_refused(data, space):
    def refused(make, message):
        with pytest.raises(ValueError, match=message):
            Child(make, *data, space, ChildConfig(1, 16), LOSS)

    widths, model = iter(range(4, 9)), of_blocks()
    refused(lambda: Listed([next(widths)]), "must make the same network each time")
    refused(lambda: model, "must make a new model each time")
    refused(seeded, "sets the random seed")


class CallsOne(Listed):
    def call(self, x):
        return super().call(keras.ops.relu(x))


def test_activations_that_code_calls_are_said_to_be_left(data, space):
    with pytest.warns(UserWarning, match="called from Python code"):
        Child(lambda: CallsOne([4]), *data, space, ChildConfig(1, 16), LOSS)


def test_a_stateful_layer_is_built_for_the_batches(data, space):
    def make():
        rnn = keras.layers.SimpleRNN(4, stateful=True)
        last = [keras.layers.Dense(4, "relu"), keras.layers.Dense(2, "softmax")]
        return keras.Sequential([keras.layers.Reshape((2, 1)), rnn, *last])

    child = Child(make, *data, space, ChildConfig(1, 16), LOSS)
    assert child.evaluate("swish", 0).status == "ok"
