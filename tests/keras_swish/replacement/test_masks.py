"""Masks of sequences end where they ended before the replacement."""

import keras
import numpy as np
import pytest
from carrying import assert_equal, disturbed
from keras import layers

import keras_swish
from keras_swish.keras_compat import all_layers
from keras_swish.replacement.masks import StopMask

STEPS = np.float32([[[1], [2], [0]], [[-1], [0], [3]]])
WORDS = np.array([[1, 2, 0, 0], [3, 0, 0, 0]])
replace = keras_swish.replace_activations


def graph(activation):
    inputs = keras.Input((3, 1))
    return keras.Model(inputs, layers.LSTM(2)(activation(layers.Masking()(inputs)))), STEPS


def sequential():
    masked = [keras.Input((3, 1)), layers.Masking()]
    return keras.Sequential([*masked, layers.Lambda(keras.ops.relu), layers.LSTM(2)]), STEPS


def mean():
    inputs = keras.Input((4,), dtype="int32")
    x = keras.ops.relu(layers.Embedding(5, 3, mask_zero=True)(inputs))
    return keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling1D()(x))), WORDS


def nested(activation):
    inner, inputs = keras.Input((3, 1)), keras.Input((3, 1))
    inner = keras.Model(inner, layers.LSTM(2)(activation(inner)))
    return keras.Model(inputs, inner(layers.Masking()(inputs))), STEPS


def twice():
    inputs, relu = keras.Input((3, 1)), layers.Lambda(keras.ops.relu)
    x = [layers.LSTM(2)(relu(layers.Masking()(x))) for x in (inputs, inputs + 1)]
    return keras.Model(inputs, x), STEPS


@keras.saving.register_keras_serializable(package="test_masks")
class Words(keras.Model):
    """Calls an activation in its own code, which no symbolic mask reaches."""

    def __init__(self, act, **kwargs):
        super().__init__(**kwargs)
        self.embedding, self.act = layers.Embedding(5, 3, mask_zero=True), act
        self.last = layers.LSTM(2)

    def call(self, inputs):
        return self.last(self.act(self.embedding(inputs)))

    def get_config(self):
        return {**super().get_config(), "act": keras.saving.serialize_keras_object(self.act)}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "act": keras.saving.deserialize_keras_object(config["act"])})


def in_code(activation):
    model = Words(activation)
    model(WORDS)
    return model, WORDS


@pytest.mark.parametrize(
    "make",
    [
        lambda: graph(keras.ops.relu),
        lambda: graph(layers.Lambda(keras.activations.relu)),
        sequential,
        mean,
        lambda: nested(keras.ops.relu),
        lambda: nested(layers.Lambda(keras.ops.relu)),
        twice,
        lambda: in_code(layers.Lambda(keras.activations.relu)),
        lambda: in_code(keras.activations.relu),
    ],
    ids=[
        *("operation", "lambda", "sequential", "mean", "nested operation", "nested lambda"),
        *("called twice", "lambda in code", "function in code"),
    ],
)
def test_a_new_activation_passes_no_mask_where_the_old_one_passes_none(make, tmp_path):
    model, x = make()
    disturbed(model)
    same = replace(model, {"relu": layers.ReLU()})
    assert_equal(same, model, x)
    same.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert_equal(loaded, model, x)
    assert_equal(replace(replace(loaded, {"relu": "swish_beta"}), {"swish_beta": "relu"}), model, x)


def test_a_new_activation_passes_the_mask_that_the_old_one_passes():
    model, x = graph(layers.ReLU())
    disturbed(model)
    same = replace(model, {"relu": keras.activations.relu})
    assert_equal(same, model, x)
    assert not any(isinstance(layer, StopMask) for layer in same.layers)


def test_a_layer_of_the_users_own_ends_a_mask_as_keras_says():
    class Own(layers.Layer):
        def call(self, inputs):
            return keras.ops.relu(inputs)

    model, x = in_code(Own())
    assert_equal(replace(model, {Own: layers.ReLU()}), model, x)


def test_nothing_is_added_where_no_mask_can_come():
    inner, inputs = keras.Input((3,)), keras.Input((3,))
    inner = keras.Model(inner, layers.Dense(2)(keras.ops.relu(inner)))
    model = keras.Model(inputs, inner(keras.ops.relu(inputs)))
    same = replace(model, {"relu": layers.ReLU()})
    assert not any(isinstance(layer, StopMask) for layer in all_layers(same))


def test_a_stopped_mask_hides_in_no_report():
    model, _ = nested(layers.Lambda(keras.ops.relu, name="act"))
    swish = replace(model, {"relu": "swish_beta"})
    again, report = replace(swish, {"swish_beta": "relu"}, return_report=True)
    assert [str(site) for site in report.replaced] == [
        f"{model.layers[-1].name}/act: swish_beta -> relu"
    ]
    assert again.count_params() == model.count_params()
