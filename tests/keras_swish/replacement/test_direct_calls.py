"""Subclassed models and layers: what they own is reached, what their code calls is told."""

import keras
import numpy as np
import pytest
from carrying import assert_equal, differ, disturbed
from keras import layers, ops
from keras.activations import relu as imported

import keras_swish
from keras_swish.replacement.direct_calls import find_direct_calls
from keras_swish.replacement.saving import CannotSaveError

X = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")
replace = keras_swish.replace_activations


def helper(x):
    return ops.relu(x) * 2


class Owning(keras.Model):
    """All its activations are layers, or attributes of layers."""

    def __init__(self, units=6, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.hidden = layers.Dense(units, activation="relu")
        self.act = layers.ReLU()
        self.blocks = [keras.Sequential([layers.Dense(units, "relu"), layers.ReLU()])]
        self.function = keras.activations.relu
        self.out = layers.Dense(2, "softmax")

    def call(self, x):
        for block in self.blocks:
            x = block(self.act(self.hidden(x) - 0.1))
        return self.out(self.function(x - 0.1))

    def get_config(self):
        return {**super().get_config(), "units": self.units}


class Calling(layers.Layer):
    """Calls activations in its code."""

    def __init__(self, how, **kwargs):
        super().__init__(**kwargs)
        self.how = how
        self.dense = layers.Dense(6, activation="relu")

    def call(self, x):
        return getattr(self, self.how)(self.dense(x))

    def keras_s(self, x):
        return keras.ops.relu(x)

    def get_config(self):
        return {**super().get_config(), "how": self.how}


def built(model):
    model(X)
    return disturbed(model)


def test_a_subclassed_model_is_reached_through_the_layers_that_it_owns():
    model = built(Owning(6))
    changed, report = replace(model, {"relu": "swish_beta"}, return_report=True)
    assert not report.notes
    assert isinstance(changed, Owning)
    assert len(report.replaced) == 5
    assert [site.old for site in report.kept] == ["softmax"]
    assert changed.count_params() == model.count_params() + 5 * 6
    assert differ(model, changed, X)
    assert_equal(replace(changed, {"swish_beta": "relu"}), model, X)
    changed.compile("sgd", "mse")
    changed.fit(X, np.ones((4, 2)), verbose=0)


def test_weights_saved_from_it_load_into_a_fresh_one(tmp_path):
    model = built(Owning(6))
    changed = disturbed(replace(model, {"relu": "swish_beta"}), seed=1)
    changed.save_weights(tmp_path / "model.weights.h5")
    fresh = replace(built(Owning(6)), {"relu": "swish_beta"})
    fresh.load_weights(tmp_path / "model.weights.h5")
    assert_equal(fresh, changed, X)


def test_an_activation_that_code_calls_is_never_passed_over():
    model = keras.Sequential(
        [keras.Input((6,)), Calling("keras_s", name="calling"), layers.Dense(1)]
    )
    told = r"calling \(Calling.keras_s\): keras.*relu"
    with pytest.raises(ValueError, match=told):
        replace(model, {"relu": "swish"})
    with pytest.warns(UserWarning, match=told):
        _, report = replace(model, {"relu": "swish"}, strict=False, return_report=True)
    assert len(report.direct_calls) == 1
    assert len(report.replaced) == 1
    with pytest.raises(ValueError, match="no such activation"):
        replace(model, {"gelu": "swish"})


def layer_that_calls(function):
    class Custom(layers.Layer):
        def call(self, x):
            return function(x)

        def inner(self, x):
            return [imported(one) for one in x]

    return keras.Sequential([keras.Input((6,)), Custom(name="custom")])


def names(model, wanted):
    is_meant = keras_swish.replacement.recognise.matcher(wanted)
    return [line.split(": ")[1] for line in find_direct_calls(model, is_meant, {wanted})]


def test_code_is_read_through_imports_helpers_closures_and_lambdas():
    found = names(layer_that_calls(helper), "relu")
    assert len(found) == 2
    assert all(name.endswith(".relu") for name in found)
    assert names(layer_that_calls(helper), "gelu") == []
    inputs = keras.Input((6,))
    assert names(keras.Model(inputs, layers.Lambda(lambda x: ops.silu(x) + 1)(inputs)), "silu")
    assert not names(keras.Model(inputs, layers.Lambda(ops.silu)(inputs)), "silu")


def test_a_framework_s_own_function_is_told_too():
    relu = {
        "tensorflow": lambda: __import__("tensorflow").nn.relu,
        "jax": lambda: __import__("jax").nn.relu,
        "torch": lambda: __import__("torch").nn.functional.relu,
    }[keras.backend.backend()]()
    assert len(names(layer_that_calls(relu), "relu")) == 2


def test_a_subclassed_model_that_cannot_be_made_again_comes_through_and_is_told():
    class Fixed(keras.Model):
        def __init__(self, thing):
            super().__init__()
            self.hidden = layers.Dense(3, "relu")

        def call(self, x):
            return self.hidden(x) + 1

    model = built(Fixed(object()))
    with pytest.warns(UserWarning, match="no file gives back the layer 'fixed'"):
        changed = replace(model, {"relu": "swish"}, except_last=False)
    assert differ(model, changed, X)
    with pytest.raises((NotImplementedError, CannotSaveError)):
        changed.get_config()
