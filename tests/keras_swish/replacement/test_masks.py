"""Masks of sequences end where they ended before the replacement."""

import keras
import numpy as np
import pytest
from carrying import assert_equal, disturbed
from keras import layers

import keras_swish
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


@pytest.mark.parametrize(
    "make",
    [
        lambda: graph(keras.ops.relu),
        lambda: graph(layers.Lambda(keras.activations.relu)),
        sequential,
        mean,
    ],
    ids=["operation", "lambda", "sequential", "mean"],
)
def test_a_new_activation_passes_no_mask_where_the_old_one_passes_none(make, tmp_path):
    model, x = make()
    disturbed(model)
    same = replace(model, {"relu": keras.activations.relu})
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
