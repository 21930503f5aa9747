import functools

import keras
import numpy as np
import pytest

from keras_swish.search.child import Child
from keras_swish.search.children import rewards


def test_accuracy_is_not_the_reward_of_everything(model, data, space, child_config):
    with pytest.raises(ValueError, match=r"pass another `reward`. Received: loss='mse'"):
        Child(model, *data, space, child_config, loss="mse")
    two = keras.Model(model.inputs, [model.outputs[0], model.outputs[0]])
    with pytest.raises(ValueError, match="The model has 2 outputs"):
        Child(two, *data, space, child_config, loss="sparse_categorical_crossentropy")


def test_the_threshold_of_two_classes_is_that_of_the_loss(model, data, space, child_config):
    (x, y), _ = data
    one = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(1)]
    )
    entropy = keras.losses.BinaryCrossentropy
    outputs = np.array([[0.2], [-0.2]])
    found = [
        Child(one, *data, space, child_config, entropy(from_logits=logits)).reward([1, 0], outputs)
        for logits in (True, False)
    ]
    assert found == [1.0, 0.5]
    partial = functools.partial(keras.losses.binary_crossentropy, from_logits=True)
    assert rewards.default(one, partial, y)([1, 0], outputs) == 1.0
    several = np.stack([y, 1 - y, y], 1)
    with pytest.raises(ValueError, match="several labels, or none: pass a `reward`"):
        Child(model, (x, several), (x, several), space, child_config, entropy())


def test_two_classes_that_are_not_numbered_0_and_1_have_no_accuracy(model):
    for labels in (np.array([1, 2]), np.array([[-1.0], [1.0]])):
        with pytest.raises(ValueError, match=r"must lie between 0 and 1: .* or an `objective`"):
            rewards.default(model, "binary_crossentropy", labels)
    labels = np.array([True, False])
    assert rewards.default(model, "binary_crossentropy", labels) is rewards.accuracy


def test_padding_is_not_counted_as_right(space, child_config):
    # Of the padding, which is one class for a network, a third or two thirds are right.
    x, y = (np.tile(row, (64, 1)) for row in ([1, 2, 0, 0, 0], [1, 0, 0, 1, 1]))
    both = x, y
    layers = [keras.layers.Embedding(3, 4, mask_zero=True), keras.layers.Dense(4, "relu")]
    model = keras.Sequential([keras.Input((5,)), *layers, keras.layers.Dense(2, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    for reward in (None, keras.metrics.SparseCategoricalAccuracy()):
        with pytest.raises(ValueError, match="has a mask, and what it leaves out"):
            Child(model, both, both, space, child_config, reward=reward)
    child = Child(model, both, both, space, child_config, objective="val_accuracy")
    outcome = child.evaluate("swish", 0)
    network = child.plain("swish", 0)
    child.compile(network)
    child.train(network, 0)
    right = network.predict(x, verbose=0).argmax(-1) == y
    assert outcome.reward == pytest.approx(right[x > 0].mean()) != right.mean()
    own = Child(model, both, both, space, child_config, reward=lambda y, p: 0.5)
    assert own.evaluate("swish", 0).reward == 0.5


def test_classes_are_along_the_last_axis(model):
    labels, loss = np.array([0, 1]), keras.losses.SparseCategoricalCrossentropy
    inputs = keras.Input((3, 4, 4))
    first = keras.Model(inputs, keras.layers.Softmax(axis=1)(inputs))
    with pytest.raises(ValueError, match=r"along the last axis: .* Received: .* axis=1$"):
        rewards.default(first, loss(axis=1), labels)
    assert rewards.default(first, loss(axis=3), labels) is rewards.accuracy
    assert rewards.default(model, loss(axis=1), labels) is rewards.accuracy


@pytest.mark.parametrize("given", [np.float32, lambda one: np.full(2, one), keras.ops.array])
def test_loss_weights_that_are_no_python_numbers_are_told_apart(given):
    one, two, again = (rewards.name_of({"out": [given(value)]}) for value in (1.0, 2.0, 1.0))
    assert one == again != two
    assert rewards.name_of([np.float32(1), np.float64(0.5)]) == rewards.name_of([1.0, 0.5])


def test_names_have_all_of_an_array_and_no_addresses():
    long = np.zeros(2000)
    other = long.copy()
    other[1000] = 1.0
    assert rewards.as_text({"of": long}) != rewards.as_text({"of": other})
    names = [rewards.name_of(functools.partial(rewards.accuracy, object())) for _ in range(2)]
    assert names[0] == names[1] == "accuracy (<object object>,) {}"


def test_losses_and_rewards_are_told_apart(model, data, space, child_config):
    entropy = keras.losses.SparseCategoricalCrossentropy
    named = [
        Child(model, *data, space, child_config, loss=loss, reward=reward).fingerprint()
        for loss, reward in [
            (entropy(), None),
            (entropy(from_logits=True), None),
            (keras.losses.sparse_categorical_crossentropy, None),
            (entropy(), functools.partial(rewards.accuracy)),
        ]
    ]
    assert all(one != other for i, one in enumerate(named) for other in named[:i])
    again = Child(model, *data, space, child_config, loss=entropy()).fingerprint()
    assert again == named[0]


class Focal(keras.losses.Loss):
    def __init__(self, gamma, weights=(1.0, 2.0)):
        super().__init__()
        self.gamma, self.weights, self.held = gamma, weights, object()

    def call(self, y, outputs):
        return 0 * outputs


class Above(keras.metrics.Mean):
    def __init__(self, threshold=0.5, name="above"):
        super().__init__(name)
        self.threshold = threshold

    def update_state(self, y, outputs, sample_weight=None):
        super().update_state(keras.ops.cast(outputs > self.threshold, "float32"))


@pytest.mark.parametrize("made", [Focal, Above])
def test_losses_and_metrics_without_a_config_are_told_apart_by_their_numbers(made):
    assert rewards.name_of(made(1.0)) == rewards.name_of(made(1.0)) != rewards.name_of(made(5.0))
    assert rewards.name_of(Focal(1.0)) != rewards.name_of(Focal(1.0, (1.0, 3.0)))


def test_accuracy_knows_the_ways_to_write_labels():
    scores = np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]])
    assert rewards.accuracy(np.array([1, 0, 0]), scores) == pytest.approx(2 / 3)
    assert rewards.accuracy(np.array([[1], [0], [0]]), scores) == pytest.approx(2 / 3)
    assert rewards.accuracy(np.eye(2)[[1, 0, 0]], scores) == pytest.approx(2 / 3)
    assert rewards.accuracy(np.array([1, 0, 0]), scores[:, 1:]) == pytest.approx(2 / 3)
    for y in (np.array([1, 0, 0]), np.array([[True], [False], [False]])):
        assert rewards.accuracy(y, scores[:, 1]) == pytest.approx(2 / 3)
    positions = np.stack([scores, scores])
    labels = np.array([[1, 0, 0], [0, 0, 0]])
    assert rewards.accuracy(labels, positions) == pytest.approx(1 / 2)
    assert rewards.accuracy(labels[..., None], positions) == pytest.approx(1 / 2)
    assert rewards.accuracy(np.eye(2)[labels], positions) == pytest.approx(1 / 2)
    model = keras.Sequential([keras.Input((3, 2)), keras.layers.Dense(2)])
    assert rewards.default(model, "sparse_categorical_crossentropy", labels) is rewards.accuracy


@pytest.mark.parametrize("around", [lambda part: {"out": part}, lambda part: [part]])
@pytest.mark.parametrize("reward", [None, keras.metrics.BinaryAccuracy()])
def test_one_output_may_be_in_a_dictionary_or_a_list(around, reward, data, space, child_config):
    inputs = keras.Input((2,))
    hidden = keras.layers.Dense(4, "relu")(inputs)
    outputs = around(keras.layers.Dense(1, "sigmoid", name="out")(hidden))
    both = [(x, around(y[:, None])) for x, y in data]
    model = keras.Model(inputs, outputs)
    child = Child(model, *both, space, child_config, "binary_crossentropy", reward)
    y, scores = np.array([[1], [0], [0]]), np.array([[0.9], [0.2], [0.7]])
    assert child.reward(around(y), around(scores)) == pytest.approx(2 / 3)
