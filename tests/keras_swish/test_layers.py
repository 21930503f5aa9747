import keras
import numpy as np
import pytest

import keras_swish
from keras_swish import Swish

numpy = keras.ops.convert_to_numpy


def built(layer, shape):
    layer.build(shape)
    return tuple(layer.beta.shape)


@pytest.mark.parametrize(
    ("arguments", "shape", "expected"),
    [
        ({}, (None, 8, 8, 3), (1, 1, 3)),
        ({}, (None, 5, 7), (1, 7)),
        ({}, (None, 7), (7,)),
        ({}, (None, None, None, 3), (1, 1, 3)),
        ({"data_format": "channels_first"}, (None, 3, 8, 8), (3, 1, 1)),
        ({"shared_axes": [1, 2, 3]}, (None, 8, 8, 3), (1, 1, 1)),
        ({"shared_axes": [-1]}, (None, 8, 8, 3), (8, 8, 1)),
        ({"shared_axes": 1}, (None, 8, 3), (1, 3)),
        ({"shared_axes": np.int64(1)}, (None, 8, 3), (1, 3)),
        ({"shared_axes": np.array([1])}, (None, 8, 3), (1, 3)),
        ({"shared_axes": []}, (None, 8, 8, 3), (8, 8, 3)),
    ],
)
def test_beta_is_shared_as_asked(arguments, shape, expected):
    assert built(Swish(**arguments), shape) == expected


def test_bad_arguments_say_what_came():
    with pytest.raises(ValueError, match=r"between 1 and 3.*Received: shared_axes=\[4\]"):
        Swish(shared_axes=[4]).build((None, 8, 8, 3))
    with pytest.raises(ValueError, match="put the axis into `shared_axes`"):
        Swish(shared_axes=[]).build((None, None, 8, 3))
    with pytest.raises(ValueError, match="data_format='channels_first'"):
        Swish(data_format="channels_first").build((None, None, 3))
    with pytest.raises(ValueError, match="Received: data_format='channels_middle'"):
        Swish(data_format="channels_middle")
    for axes in ([1.5], "1", 1.5):
        with pytest.raises(TypeError, match="must be a whole number, or several"):
            Swish(shared_axes=axes)
    for initializer in (0, ""):
        with pytest.raises(ValueError, match="Could not interpret initializer"):
            Swish(beta_initializer=initializer)


def test_another_number_of_channels_is_refused():
    layer = Swish()
    layer(np.ones((2, 8, 8, 3), "float32"))
    with pytest.raises(ValueError, match="incompatible with the layer"):
        layer(np.ones((2, 8, 8, 1), "float32"))
    layer(np.ones((2, 4, 5, 3), "float32"))


def test_fixed_beta_is_no_trainable_weight():
    layer = Swish(beta_initializer=keras.initializers.Constant(2.0), trainable=False)
    y = layer(np.float32([[1.0, -1.0]]))
    assert layer.trainable_variables == []
    np.testing.assert_allclose(numpy(y), [[1 / (1 + np.exp(-2)), -1 / (1 + np.exp(2))]], rtol=1e-6)


@pytest.mark.slow
def test_beta_learns_the_beta_that_made_the_data():
    random = np.random.default_rng(0)
    x = random.normal(size=(512, 2)).astype("float32") * 3
    beta = np.array([0.3, 2.0])
    y = x / (1 + np.exp(-beta * x))
    model = keras.Sequential([keras.Input((2,)), Swish()])
    model.compile(keras.optimizers.Adam(0.05), "mse")
    model.fit(x, y, epochs=60, batch_size=128, verbose=0)
    np.testing.assert_allclose(numpy(model.layers[0].beta), beta, rtol=0.02)


def test_regularizer_and_constraint_act_on_beta():
    layer = Swish(beta_regularizer="l2", beta_constraint="non_neg")
    layer.build((None, 4))
    assert float(layer.losses[0]) == pytest.approx(4 * 0.01)
    assert isinstance(layer.beta.constraint, keras.constraints.NonNeg)


def test_the_session_s_data_format_is_read_when_the_layer_is_built(tmp_path):
    layer = Swish()
    keras.config.set_image_data_format("channels_first")
    try:
        built(layer, (None, 3, 8, 8))
    finally:
        keras.config.set_image_data_format("channels_last")
    assert tuple(layer.beta.shape) == (3, 1, 1)
    assert layer.get_config()["data_format"] == "channels_first"


def test_two_axes_say_nothing_of_a_data_format():
    layer = Swish()
    layer.build((None, 7))
    assert layer.get_config()["data_format"] is None


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_dtype_policies(policy):
    layer = Swish(dtype=policy)
    y = layer(np.ones((2, 3), "float32"))
    assert keras.backend.standardize_dtype(y.dtype) == layer.compute_dtype
    assert layer.beta.dtype == layer.variable_dtype


def test_masks_pass_through():
    layer = Swish()
    inputs = keras.Input((5, 2))
    assert layer.supports_masking
    masked = keras.layers.Masking()(inputs)
    assert layer(masked)._keras_mask is not None


def test_config_round_trip():
    layer = Swish("zeros", "l1", "unit_norm", [1, 2], "channels_first", name="s", trainable=False)
    assert Swish.from_config(layer.get_config()).get_config() == layer.get_config()


def test_layer_passes_the_harness_of_keras():
    from keras.src import testing

    class Harness(testing.TestCase):
        def runTest(self):  # noqa: N802
            self.run_layer_test(
                Swish,
                init_kwargs={"beta_regularizer": "l2"},
                input_shape=(2, 4, 4, 3),
                expected_output_shape=(2, 4, 4, 3),
                expected_num_trainable_weights=1,
                expected_num_losses=1,
                supports_masking=True,
                assert_built_after_instantiation=False,
            )

    Harness().debug()


@pytest.mark.slow
def test_model_saved_here_loads_in_a_new_process(tmp_path, python):
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, 3),
            keras_swish.layer("swish"),
            Swish("random_uniform"),
        ]
    )
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "data.npz", x=x, y=keras.ops.convert_to_numpy(model(x)))
    python(
        "-c",
        "import keras, keras_swish, numpy as np\n"
        "data = np.load('data.npz')\n"
        "model = keras.saving.load_model('model.keras')\n"
        "y = keras.ops.convert_to_numpy(model(data['x']))\n"
        "np.testing.assert_allclose(y, data['y'], rtol=1e-6, atol=1e-6)",
        cwd=tmp_path,
    )


def test_searched_activation_owns_one_weight_for_each_name():
    layer = keras_swish.SearchedActivation("beta1 * x + beta2 * sin(beta1 * x) + beta3")
    layer.build((None, 4, 4, 3))
    assert [v.name for v in layer.trainable_variables] == ["beta1", "beta2", "beta3"]
    assert all(tuple(v.shape) == (1, 1, 3) for v in layer.trainable_variables)
    initial = [float(v[0, 0, 0]) for v in layer.trainable_variables]
    assert initial == [1.0, 1.0, 0.0]


def test_random_weights_of_one_formula_differ():
    layer = keras_swish.SearchedActivation("beta1 * x + beta2 * sin(x)", "random_normal")
    layer.build((None, 5))
    beta1, beta2 = map(keras.ops.convert_to_numpy, layer.trainable_variables)
    assert not np.array_equal(beta1, beta2)


def test_random_weights_of_one_formula_differ_with_a_seed_and_are_the_same_each_time():
    def weights(seed):
        initializer = keras.initializers.RandomUniform(0, 1, seed=seed)
        layer = keras_swish.SearchedActivation("beta1 * x + beta2 * max(x, 0)", initializer)
        layer.build((None, 5))
        return np.array([numpy(beta) for beta in layer.betas.values()])

    assert not np.array_equal(*weights(3))
    np.testing.assert_array_equal(weights(3), weights(3))
    expected = keras.initializers.RandomUniform(0, 1, seed=3)((5,))
    np.testing.assert_array_equal(weights(3)[0], numpy(expected))
    assert not np.array_equal(*weights(keras.random.SeedGenerator(3)))


def test_searched_activation_of_the_swish_formula_is_swish():
    x = np.random.default_rng(0).normal(size=(2, 5)).astype("float32")
    ours = keras_swish.SearchedActivation("x * sigmoid(beta * x)", "random_normal")
    swish = Swish()
    y = ours(x), swish(x)
    swish.beta.assign(ours.betas["beta"])
    np.testing.assert_allclose(numpy(y[0]), numpy(swish(x)), rtol=1e-6)


@pytest.mark.parametrize(
    "formula", ["max(x, sigmoid(x))", "x * sigmoid(beta * x)", "beta1 * x + (1 - beta1) * sin(x)"]
)
def test_searched_activation_saves_loads_and_clones(formula, tmp_path):
    model = keras.Sequential(
        [keras.Input((4, 4, 3)), keras_swish.SearchedActivation(formula, "random_uniform")]
    )
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 3)).astype("float32")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(numpy(loaded(x)), numpy(model(x)))
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(numpy(clone(x)), numpy(model(x)))
    assert keras.models.model_from_json(model.to_json()).count_params() == model.count_params()


def test_searched_activation_passes_the_harness_of_keras():
    from keras.src import testing

    class Harness(testing.TestCase):
        def runTest(self):  # noqa: N802
            self.run_layer_test(
                keras_swish.SearchedActivation,
                init_kwargs={"formula": "beta1 * x + beta2 * cos(x)"},
                input_shape=(2, 4, 4, 3),
                expected_output_shape=(2, 4, 4, 3),
                expected_num_trainable_weights=2,
                supports_masking=True,
                assert_built_after_instantiation=False,
            )

    Harness().debug()


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="Keras quantises on it by Triton")
def test_a_formula_without_weights_is_built_as_keras_s_activations_are():
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(2, activation="cos(x) - x")])
    x = np.linspace(-1, 1, 10, dtype="float32").reshape(2, 5)
    dense = keras.layers.Dense(2)
    dense.build((None, 5))
    dense.set_weights(model.get_weights())
    y = keras.ops.convert_to_numpy(dense(x))
    model.quantize("int8")  # refuses what is not built, when half of the model is quantised
    np.testing.assert_allclose(model.predict(x, verbose=0), np.cos(y) - y, atol=0.05)
