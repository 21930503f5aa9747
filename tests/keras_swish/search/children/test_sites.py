import re

import keras
import numpy as np
import pytest

from keras_swish.search import Child, ChildConfig, SearchSpace
from keras_swish.search.children.sites import searched_sites


def dense(units, activation, name):
    return keras.layers.Dense(units, activation=activation, name=name)


def text_model(cell):
    return keras.Sequential(
        [
            keras.Input((5,)),
            keras.layers.Embedding(9, 4),
            cell,
            dense(4, "relu", "hidden"),
            dense(2, "softmax", "last"),
        ]
    )


def attention_model():
    inputs = keras.Input((5, 4))
    x = inputs + keras.layers.MultiHeadAttention(2, 2, name="attention")(inputs, inputs)
    x = dense(8, "gelu", "wide")(x)
    gate = keras.layers.Reshape((1, 8))(
        dense(8, "sigmoid", "gate")(keras.layers.GlobalAveragePooling1D()(x))
    )
    x = keras.layers.GlobalAveragePooling1D()(keras.layers.Multiply()([x, gate]))
    return keras.Model(inputs, [dense(2, "softmax", "a")(x), dense(1, "sigmoid", "b")(x)])


def names(model, activations=None):
    return [str(site) for site in searched_sites(model, activations)]


@pytest.mark.parametrize(
    "cell",
    [
        lambda: keras.layers.LSTM(3),
        lambda: keras.layers.GRU(3),
        lambda: keras.layers.SimpleRNN(3),
        lambda: keras.layers.Bidirectional(keras.layers.LSTM(3)),
        lambda: keras.layers.RNN([keras.layers.GRUCell(3), keras.layers.LSTMCell(3)]),
    ],
    ids=["lstm", "gru", "rnn", "bidirectional", "stacked"],
)
def test_what_recurrent_layers_compute_with_is_left_alone(cell):
    assert names(text_model(cell())) == ["hidden (activation): relu"]


def test_gates_attention_and_outputs_are_left_alone():
    assert names(attention_model()) == ["wide (activation): gelu"]


def test_a_sigmoid_that_is_no_gate_is_searched_for():
    model = keras.Sequential(
        [keras.Input((3,)), dense(4, "sigmoid", "hidden"), dense(1, "sigmoid", "last")]
    )
    assert names(model) == ["hidden (activation): sigmoid"]


def test_anything_is_searched_for_where_it_is_named():
    model = text_model(keras.layers.LSTM(3, name="lstm"))
    gate = "lstm/lstm_cell (recurrent_activation): sigmoid"
    tanh = "lstm/lstm_cell (activation): tanh"
    assert names(model, ["recurrent_activation"]) == [gate]
    assert names(model, ["tanh", "relu"]) == [tanh, "hidden (activation): relu"]
    assert names(model, ["lstm/*"]) == [tanh, gate]
    assert names(model, ["last"]) == ["last (activation): softmax"]
    other = attention_model()
    (softmax,) = names(other, ["attention/*"])
    assert softmax.endswith(": softmax")
    assert names(other, ["gate/activation"]) == ["gate (activation): sigmoid"]
    # By its function an output is not named: that belongs to the loss.
    assert names(other, ["sigmoid"]) == ["gate (activation): sigmoid"]


def test_what_is_not_there_is_refused():
    model = text_model(keras.layers.LSTM(3))
    with pytest.raises(ValueError, match=r"Unknown activation of this model 'rleu'.*'relu'"):
        searched_sites(model, ["rleu"])
    with pytest.raises(ValueError, match=r"activations=\['last/activation'\]"):
        searched_sites(model, ["softmax"])
    with pytest.raises(ValueError, match=r"such as \['relu'\]. Received: 'relu'"):
        searched_sites(model, "relu")
    only = keras.Sequential([keras.Input((5, 3)), keras.layers.LSTM(3), dense(1, "sigmoid", "end")])
    with pytest.raises(ValueError, match=r"no activation that shapes features.*end .*an output"):
        searched_sites(only)


@pytest.mark.slow
def test_the_softmax_of_attention_stays_and_nobody_is_told_that_it_is_searched_for():
    inputs = keras.Input((4, 3))
    attention = keras.layers.MultiHeadAttention(2, 2, dropout=0.1, name="attention")
    x = dense(5, "relu", "hidden")(attention(inputs, inputs))
    x = keras.layers.GlobalAveragePooling1D()(x)
    model = keras.Model(inputs, dense(1, "sigmoid", "last")(x))
    model.compile("sgd", "mse")
    data = np.ones((8, 4, 3)), np.ones((8, 1))

    def searched(activations):
        config = ChildConfig(batch_size=4)
        space = SearchSpace()
        child = Child(
            model, data, data, space, config, objective="val_loss", activations=activations
        )
        return [str(site) for site in child.sites]

    for named in ("softmax", "attention/*"):
        message = f"{re.escape(repr(named))} of `activations` cannot be .*attention/.* with a mask"
        with pytest.raises(ValueError, match=message):
            searched(["relu", named])
    assert searched(["*"]) == ["hidden (activation): relu", "last (activation): sigmoid"]


class Agent(keras.Model):
    """Has attributes of the names that a functional model and a recurrent cell have."""

    def __init__(self, state_size=2, **kwargs):
        super().__init__(**kwargs)
        self.state_size, self.inputs = state_size, dense(4, "relu", "hidden")
        self.outputs = dense(2, "softmax", "last")

    def call(self, x):
        return self.outputs(self.inputs(x))


def test_attributes_may_be_called_like_those_of_a_graph():
    model, x = Agent(), np.ones((4, 2))
    model(x)
    model.compile("sgd", "sparse_categorical_crossentropy")
    child = Child(model, (x, np.arange(4) % 2), (x, np.zeros(4)), SearchSpace(), ChildConfig(1, 4))
    assert child.activations == ["hidden (activation): relu"]
    assert child.evaluate("swish", 0).status == "ok"
