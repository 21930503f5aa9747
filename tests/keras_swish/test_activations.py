import keras
import numpy as np
import pytest

from keras_swish import activations


def reference(x, beta):
    return x / (1 + np.exp(-beta * x))


@pytest.mark.parametrize("beta", [0.0, 0.7, 1, 1.0, 3.0, -1.0])
def test_swish_equals_the_formula_in_float64(beta):
    x = np.linspace(-20, 20, 1001)
    ours = keras.ops.convert_to_numpy(activations.swish(keras.ops.cast(x, "float64"), beta))
    np.testing.assert_allclose(ours, reference(x, beta), rtol=1e-12, atol=1e-14)


def test_swish_takes_one_beta_for_each_channel():
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 3)).astype("float32")
    beta = np.array([0.5, 1.0, 2.0], "float32")
    ours = keras.ops.convert_to_numpy(activations.swish(x, keras.ops.convert_to_tensor(beta)))
    np.testing.assert_allclose(ours, reference(x, beta), rtol=2e-6, atol=1e-7)


def test_swish_limits_are_linear_and_relu():
    x = np.array([-3.0, -0.5, 0.0, 0.5, 3.0], "float32")
    linear, relu = (keras.ops.convert_to_numpy(activations.swish(x, beta)) for beta in (0.0, 1e4))
    np.testing.assert_array_equal(linear, x / 2)
    np.testing.assert_array_equal(relu, np.maximum(x, 0))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_swish_keeps_the_dtype(dtype):
    x = keras.ops.ones((3,), dtype)
    assert keras.backend.standardize_dtype(activations.swish(x).dtype) == dtype
    assert keras.backend.standardize_dtype(activations.swish(x, 1.5).dtype) == dtype


def test_integers_are_taken_as_floats():
    np.testing.assert_allclose(activations.swish([1, 2]), reference(np.array([1.0, 2.0]), 1), 1e-6)
    np.testing.assert_allclose(activations.cos_minus_x([1]), [np.cos(1) - 1], 1e-6)
