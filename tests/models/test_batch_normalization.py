"""Batch normalisation in one operation is Keras's own, up to rounding."""

import equality
import keras
import numpy as np
import pytest

from keras_swish import models
from keras_swish.models.batch_normalization import BatchNormalization


def pair(shape, **options):
    ours, theirs = BatchNormalization(**options), keras.layers.BatchNormalization(**options)
    random = np.random.default_rng(0)
    for layer in (ours, theirs):
        layer.build(shape)
    theirs.set_weights([random.uniform(0.5, 2, w.shape) for w in theirs.get_weights()])
    ours.set_weights(theirs.get_weights())
    return ours, theirs


def step(layer, x):
    """Output, change of all weights in one step of SGD, and gradient at the input."""
    inputs = keras.Input(x.shape[1:])
    shift = keras.layers.Dense(x.shape[-1], kernel_initializer="identity")
    model = keras.Model(inputs, layer(shift(inputs)))
    y = keras.ops.convert_to_numpy(model(x, training=True))
    before = model.get_weights()
    target = np.random.default_rng(2).normal(size=y.shape)
    model.compile(keras.optimizers.SGD(1.0), "mse")
    model.train_on_batch(x, target)
    return [y, *(a - b for a, b in zip(model.get_weights(), before))]


@pytest.mark.parametrize(
    "options", [{}, {"scale": False}, {"center": False}, {"momentum": 0.5, "epsilon": 0.1}]
)
@pytest.mark.parametrize("shape", [(8, 5, 4, 3), (2, 1, 1, 3)])
def test_a_training_step_is_that_of_keras(shape, options):
    x = np.random.default_rng(1).normal(2, 3, shape).astype("float32")
    for a, b in zip(*(step(layer, x) for layer in pair(shape, **options)), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)


def test_the_fused_operation_is_used(monkeypatch):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("other backends have none")
    import tensorflow as tf

    calls, fused = [], tf.compat.v1.nn.fused_batch_norm
    monkeypatch.setattr(
        tf.compat.v1.nn, "fused_batch_norm", lambda *a, **k: calls.append(a) or fused(*a, **k)
    )
    images, vectors = np.ones((2, 4, 4, 3), "float32"), np.ones((2, 3), "float32")
    BatchNormalization()(images, training=True)
    assert len(calls) == 1
    # What it cannot do is left to Keras.
    BatchNormalization()(images, training=False)
    BatchNormalization(trainable=False)(images, training=True)
    BatchNormalization()(vectors, training=True)
    BatchNormalization(axis=1)(images, training=True)
    BatchNormalization()(images, training=True, mask=np.ones((2, 4, 4), bool))
    BatchNormalization(dtype="float64")(images.astype("float64"), training=True)
    assert len(calls) == 1


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_in_half_precision_the_statistics_are_in_float32(dtype):
    x = np.random.default_rng(1).normal(20, 3, (8, 5, 4, 3)).astype("float32")
    ours, theirs = pair(x.shape, dtype=dtype)
    a, b = ours(x, training=True), theirs(x, training=True)
    assert ours.moving_mean.dtype == "float32"
    assert a.dtype == b.dtype
    a, b = (keras.ops.convert_to_numpy(keras.ops.cast(v, "float32")) for v in (a, b))
    assert equality.distance(a, b) < 0.01
    for v, w in zip(ours.get_weights(), theirs.get_weights()):
        np.testing.assert_allclose(v, w, rtol=2e-3)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("options", [{}, {"scale": False, "center": False}])
def test_weights_of_another_dtype_than_float32_are_left_to_keras(dtype, options):
    x = np.random.default_rng(1).normal(2, 3, (4, 3, 3, 2))
    ours, theirs = pair(x.shape, dtype=dtype, **options)
    a, b = (keras.ops.cast(layer(x, training=True), "float32") for layer in (ours, theirs))
    np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (a, b)))
    assert ours.compute_dtype == dtype


def test_integers_are_normalised_as_keras_does():
    x = np.arange(96).reshape(4, 3, 4, 2).astype("int32")
    ours, theirs = pair(x.shape)
    a, b = ours(x, training=True), theirs(x, training=True)
    assert a.dtype == b.dtype
    np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (a, b)))


@pytest.mark.parametrize("policy", ["float16", "bfloat16"])
def test_a_network_trains_under_a_half_policy(policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = models.create("resnet8", input_shape=(8, 8, 3), filters=(2, 2, 4))
    finally:
        keras.config.set_dtype_policy("float32")
    model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=False)
    model.train_on_batch(np.ones((2, 8, 8, 3), "float32"), np.array([0, 1]))
    assert np.isfinite(model.predict_on_batch(np.ones((2, 8, 8, 3)))).all()


def test_it_is_saved_under_the_names_of_keras(tmp_path):
    pairs = [
        keras.Sequential([keras.Input((4, 4, 3)), layer()])
        for layer in (BatchNormalization, keras.layers.BatchNormalization)
    ]
    pairs[0].set_weights([w + 1 for w in pairs[0].get_weights()])
    pairs[0].save_weights(tmp_path / "a.weights.h5")
    pairs[1].load_weights(tmp_path / "a.weights.h5")
    for a, b in zip(pairs[0].get_weights(), pairs[1].get_weights()):
        np.testing.assert_array_equal(a, b)
    pairs[0].save(tmp_path / "a.keras")
    loaded = keras.saving.load_model(tmp_path / "a.keras")
    assert type(loaded.layers[0]) is BatchNormalization
