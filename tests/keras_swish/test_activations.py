import keras
import ml_dtypes
import numpy as np
import pytest

import keras_swish
import reference as independent
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


FOUND = ["swish", "swish_beta", "max_sigmoid", "cos_minus_x", "min_sin", "arctan_squared_minus_x"]
FOUND += ["max_tanh", "sinc_plus_x", "x_arcsinh_squared"]


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("name", FOUND)
def test_every_half_value_is_within_one_unit_in_the_last_place(name, dtype):
    format = ml_dtypes.finfo(dtype)
    x = np.arange(2**16, dtype=np.uint16).view(dtype)
    with np.errstate(invalid="ignore"):
        x = x[np.isfinite(x.astype("float64"))]
    layer = keras_swish.layer(name)
    layer = type(layer).from_config({**layer.get_config(), "dtype": np.dtype(dtype).name})
    ours = keras.ops.convert_to_numpy(keras.ops.cast(layer(x[:, None])[:, 0], "float32"))
    with np.errstate(over="ignore"):
        true = independent.NAMED[name](x.astype("float64"))
    # Subnormal results may be flushed to zero, and so may Swish's sigmoid before x multiplies
    # it, below -87; what is too large for the format is infinite.
    least = float(format.tiny) * (128 if format.tiny < 1e-30 else 1)
    kept = (np.abs(true) >= least) & (np.abs(true) < float(format.max))
    assert kept.sum() > 20_000
    ulp = 2.0 ** (np.floor(np.log2(np.abs(true[kept]))) - format.nmant)
    assert (np.abs(ours[kept] - true[kept]) / ulp).max() <= 1


def test_a_symbolic_tensor_goes_through_a_layer():
    inputs = keras.Input((3,))
    model = keras.Model(inputs, activations.mish(activations.swish(inputs)))
    x = np.float32([[-1.0, 0.0, 2.0]])
    expected = activations.mish(activations.swish(x))
    np.testing.assert_allclose(model(x), expected, rtol=1e-6)
    np.testing.assert_allclose(keras.models.clone_model(model)(x), expected, rtol=1e-6)
    assert [site.old for site in keras_swish.find_activations(model)] == ["swish", "mish"]
    with pytest.raises(TypeError, match=r"Use a layer instead.*Received: x=<KerasTensor"):
        activations.swish(inputs, beta=np.ones(3))
    with pytest.raises(ValueError, match=r"`beta` of a symbolic x must be finite. .* beta=inf"):
        activations.swish(inputs, beta=float("inf"))


@pytest.mark.parametrize("beta", [1, np.float32(1), 2.0, np.float32(0.1), -3, 1e-5])
def test_a_symbolic_tensor_goes_through_a_layer_with_a_number_as_beta(beta, tmp_path):
    inputs = keras.Input((3,))
    model = keras.Model(inputs, activations.swish(inputs, beta=beta))
    x = np.float32([[-1.0, 0.0, 2.0]])
    model.save(tmp_path / "model.keras")
    for each in (model, keras.models.load_model(tmp_path / "model.keras")):
        np.testing.assert_allclose(each(x), activations.swish(x, beta=beta), rtol=1e-6)
