"""What is said of Keras's own activations is what they compute."""

import inspect

import keras
import numpy as np
import pytest

import keras_swish
from keras_swish import catalogue, keras_activations
from keras_swish.elementwise.operation import apply_formula

X = np.float32([[-30, -6, -3.5, -1.7, -1, -0.6, -0.5, -0.3, 0, 0.3, 0.5, 0.6, 1, 1.7, 3.5, 6, 30]])
NAMES = keras_activations.keras_names()


def of_keras(name):
    return keras.ops.convert_to_numpy(getattr(keras.activations, name)(X))


def test_every_name_is_described():
    described = {*keras_activations.FORMULAS, *keras_activations.WORDS}
    assert described == set(NAMES)
    assert not keras_activations.FORMULAS.keys() & keras_activations.WORDS.keys()


@pytest.mark.parametrize("name", keras_activations.FORMULAS)
def test_formula_is_what_keras_computes(name):
    ours = keras.ops.convert_to_numpy(apply_formula(keras_activations.FORMULAS[name], X))
    np.testing.assert_allclose(ours, of_keras(name), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_arguments_are_those_of_keras(name):
    described = keras_swish.describe(name)
    _, *parameters = inspect.signature(getattr(keras.activations, name)).parameters
    for parameter in parameters if name not in catalogue.ENTRIES else []:
        assert parameter in described.partition("arguments: ")[2]


@pytest.mark.parametrize("name", sorted({*NAMES} & {*catalogue.ENTRIES}))
def test_it_says_whether_ours_of_the_same_name_is_another_function(name):
    ours = keras.ops.convert_to_numpy(keras_swish.layer(name)(X))
    is_same = np.allclose(ours, of_keras(name), rtol=1e-5, atol=1e-6)
    line = keras_swish.describe(name).splitlines()[-1]
    assert line.startswith("in Keras: another") == (not is_same)
    if "itself" in line:
        np.testing.assert_array_equal(ours, of_keras(name))


def test_the_facts_of_single_names():
    assert keras_swish.describe("softsign").startswith("formula: x / (1 + abs(x))\nderivative: ")
    assert f"source: Keras {keras.__version__}" in keras_swish.describe("softsign")
    assert "arguments: threshold, default_value" in keras_swish.describe("threshold")
    assert "under the name 'hard_swish'" in keras_swish.describe("hard_silu")
    assert "with negative_slope=0.2" in keras_swish.describe("leaky_relu")
    assert "axis=-1" in keras_swish.describe("softmax")
    with pytest.raises(ValueError, match="Did you mean 'softsign'"):
        keras_swish.describe("softsing")


def test_the_approximation_of_gelu_is_where_it_is_said_to_be():
    assert "approximate=True, the default of keras.ops.gelu" in keras_swish.describe("gelu")
    exact, by_ops, by_activations = (
        keras.ops.convert_to_numpy(f(X))
        for f in (keras_swish.activations.gelu, keras.ops.gelu, keras.activations.gelu)
    )
    np.testing.assert_allclose(by_activations, exact, rtol=2e-5, atol=1e-6)
    assert np.abs(by_ops - exact).max() > 1e-4
    said = {keras.layers.LeakyReLU().negative_slope, 0.2}
    assert said == {0.3, 0.2}
    assert "its layer 0.3" in keras_swish.describe("leaky_relu")


def test_a_name_of_a_newer_keras_is_described_without_a_formula(monkeypatch):
    monkeypatch.setattr(keras.activations, "newest", lambda x, sharpness=2: x, raising=False)
    lines = keras_swish.describe("newest").splitlines()
    assert lines[0].startswith("source: Keras")
    assert lines[1] == "arguments: sharpness=2"
