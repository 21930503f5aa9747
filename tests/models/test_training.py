"""Every network trains a step with every activation, is saved, and answers the same when loaded."""

import keras
import numpy as np
import pytest

import keras_swish

FORMULA = "max(x, beta1 * sin(x) + beta2)"
# Their slope grows without bound: in the deep networks, untrained, values and gradients overflow.
OVERFLOWING = ("squared_relu", "x_arcsinh_squared")


def check(family, activation, path, **options):
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    # With the step's own statistics: untrained ones would let deep networks overflow.
    model = family(activation=activation, bn_momentum=0.0, **options)
    model.compile(
        # Batches of four, of a pixel each at the end, have huge gradients.
        keras.optimizers.SGD(0.01, clipnorm=1.0),
        ["sparse_categorical_crossentropy"] * len(model.outputs),
        run_eagerly=keras.backend.backend() != "jax",
    )
    x = np.random.default_rng(0).normal(size=(4, *model.input_shape[1:])).astype("float32")
    labels = np.array([0, 1, 2, 0])
    before = model.get_weights()
    loss = model.train_on_batch(x, [labels] * len(model.outputs))
    assert np.all(np.isfinite(loss)) or activation in OVERFLOWING
    changed = [np.any(a != b) for a, b in zip(before, model.get_weights())]
    # Exactly zero are the gradients of some biases alone.
    assert np.mean(changed) > 0.9
    model.save(path)
    loaded = keras.saving.load_model(path)
    for y, z in zip(keras.tree.flatten(model(x)), keras.tree.flatten(loaded(x)), strict=True):
        assert np.all(np.isfinite(keras.ops.convert_to_numpy(y))) or activation in OVERFLOWING
        np.testing.assert_allclose(*map(keras.ops.convert_to_numpy, (y, z)), rtol=1e-5)


# Each kind of block once; NASNet's is tested below.
@pytest.mark.slow
@pytest.mark.parametrize("family", ["resnet", "mobilenet", "cifar_densenet"], indirect=True)
def test_one_step_with_a_formula(family, tmp_path):
    check(family, FORMULA, tmp_path / "model.keras")


@pytest.mark.slow
@pytest.mark.parametrize("activation", [FORMULA, *keras_swish.names()])
def test_one_step_with_every_activation(family, activation, tmp_path):
    check(family, activation, tmp_path / "model.keras")


@pytest.mark.slow
def test_one_step_of_all_that_nasnet_has_for_training(tmp_path):
    from keras_swish.models import nasnet

    def build(**options):
        return nasnet.nasnet(1, 96, input_shape=(32, 32, 3), classes=3, **options)

    options = {"auxiliary": True, "dropout": 0.5, "drop_path": 0.3, "drop_path_steps": 10}
    check(build, "swish_beta", tmp_path / "model.keras", **options)
