"""Gamma is switched on before what is no longer homogeneous, through what passes factors on."""

import warnings

import keras
import numpy as np
import pytest
from carrying import assert_equal, disturbed
from keras import layers

import keras_swish

X = np.random.default_rng(0).normal(size=(2, 8, 8, 4)).astype("float32")


def unscaled(name="bn"):
    return layers.BatchNormalization(scale=False, name=name)


def nested(name, *stack):
    x = inputs = keras.Input(X.shape[1:])
    for layer in stack:
        x = layer(x)
    return keras.Model(inputs, x, name=name)


def joined(join):
    def function(x):
        return join([unscaled("bn1")(x), layers.MaxPooling2D(1)(unscaled("bn2")(x))])

    return function


@pytest.mark.parametrize(
    ("before", "relu", "scaled"),
    [
        (lambda x: layers.Dropout(0.5)(unscaled()(x)), layers.ReLU, {"bn"}),
        (lambda x: layers.MaxPooling2D()(layers.ZeroPadding2D()(unscaled()(x))), None, {"bn"}),
        (
            lambda x: layers.Permute((3, 1, 2))(layers.Activation("linear")(unscaled()(x))),
            None,
            {"bn"},
        ),
        (joined(layers.Concatenate()), layers.ReLU, {"bn1", "bn2"}),
        (joined(layers.Add()), layers.ReLU, set()),
        (lambda x: layers.Conv2D(3, 1)(unscaled()(x)), None, set()),
        (lambda x: layers.BatchNormalization()(unscaled()(x)), None, set()),
        (lambda x: nested("in", unscaled(), layers.Identity())(x), None, {"in/bn"}),
        (lambda x: keras.Sequential([unscaled()], name="in")(x), None, {"in/bn"}),
        (lambda x: unscaled()(x), lambda: nested("in", layers.Identity(), layers.ReLU()), {"bn"}),
        (lambda x: unscaled()(x), lambda: keras.Sequential([layers.ReLU()]), {"bn"}),
    ],
)
def test_gamma_is_found_through_layers_and_nested_models(before, relu, scaled):
    inputs = keras.Input(X.shape[1:])
    relu = relu or layers.ReLU
    outputs = layers.Dense(2)(relu()(before(inputs)))
    model = disturbed(keras.Model(inputs, outputs))
    changed, report = keras_swish.replace_activations(model, {"relu": "swish"}, return_report=True)
    assert set(report.scaled) == scaled
    assert changed.count_params() == model.count_params() + 4 * len(scaled)
    assert_equal(keras_swish.replace_activations(changed, {"swish": "relu"}), model, X)
    _, report = keras_swish.replace_activations(model, {"relu": "prelu"}, return_report=True)
    assert report.scaled == ()


@pytest.mark.parametrize("relu", [layers.ReLU, lambda: "relu"])
def test_where_the_users_class_makes_no_gamma_the_report_says_so(relu):
    class Block(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.dense, self.bn, self.drop = layers.Dense(4), unscaled(), layers.Dropout(0.5)
            self.act = keras.activations.get(relu())

        def build(self, shape):
            self.dense.build(shape)
            self.bn.build((None, 4))

        def call(self, x):
            return self.act(self.drop(self.bn(self.dense(x))))

    model = keras.Sequential([keras.Input((4,)), Block(name="block"), layers.Dense(2)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the class is registered nowhere
        _, report = keras_swish.replace_activations(model, {"relu": "swish"}, return_report=True)
        assert report.scaled == ()
        assert any(note.startswith("block/bn: has no gamma") for note in report.notes)
        _, report = keras_swish.replace_activations(model, {"relu": "prelu"}, return_report=True)
        assert not any("gamma" in note for note in report.notes)


class Unscaled(layers.BatchNormalization):
    """Makes no gamma, whatever its configuration says."""

    def __init__(self, name=None, **_):
        super().__init__(scale=False, name=name)

    def get_config(self):
        return {"name": self.name}


def test_a_class_that_would_make_no_gamma_again_gets_none():
    model = keras.Sequential([keras.Input((4,)), Unscaled("bn"), layers.ReLU(), layers.Dense(2)])
    changed, report = keras_swish.replace_activations(model, {"relu": "swish"}, return_report=True)
    assert report.scaled == ()
    assert any(note.startswith("bn: has no gamma") for note in report.notes)
    assert changed.count_params() == model.count_params()
    _, report = keras_swish.replace_activations(model, {"relu": "prelu"}, return_report=True)
    assert not any("gamma" in note for note in report.notes)


class Backbone(keras.Model):
    """Makes the layers of its graph itself."""

    def __init__(self, name=None, **_):
        inputs = keras.Input((4,))
        super().__init__(inputs, unscaled()(inputs), name=name)

    def get_config(self):
        return {"name": self.name}


@pytest.mark.filterwarnings("ignore:replace_activations")
def test_a_gamma_that_no_file_gives_back_is_not_saved(tmp_path):
    inputs = keras.Input((4,))
    outputs = layers.Dense(2)(layers.ReLU()(Backbone(name="backbone")(inputs)))
    model = keras.Model(inputs, outputs)
    changed, report = keras_swish.replace_activations(model, {"relu": "swish"}, return_report=True)
    assert report.scaled == ("backbone/bn",)
    assert any("no file gives back the layer 'backbone'" in note for note in report.notes)
    with pytest.raises(ValueError, match="'backbone' of class Backbone cannot be saved"):
        changed.save(tmp_path / "model.keras")
