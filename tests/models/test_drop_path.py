import keras
import numpy as np
import pytest

from keras_swish.models.drop_path import DropPath

ONES = np.ones((10_000, 1, 2, 3), "float32")


def kept(layer):
    """The share of images that a training step keeps."""
    y = keras.ops.convert_to_numpy(layer(ONES, training=True))
    values = y.reshape(len(ONES), -1)
    assert np.all(values == values[:, :1]), "an image was dropped in part"
    return np.mean(values[:, 0] > 0), y


def test_images_are_dropped_whole_and_the_expectation_stays():
    keras.utils.set_random_seed(0)
    share, y = kept(DropPath(0.3))
    assert share == pytest.approx(0.7, abs=0.02)
    assert y.max() == pytest.approx(1 / 0.7)
    assert y.mean() == pytest.approx(1, abs=0.03)


def test_each_step_drops_other_images():
    layer = DropPath(0.5)
    assert not np.array_equal(kept(layer)[1], kept(layer)[1])


def test_outside_of_training_nothing_is_dropped():
    np.testing.assert_array_equal(DropPath(0.9)(ONES, training=False), ONES)
    np.testing.assert_array_equal(DropPath(0.9)(ONES), ONES)


def test_the_rate_rises_over_the_steps():
    layer = DropPath(0.8, steps=4, seed=1)
    shares = [kept(layer)[0] for _ in range(6)]
    np.testing.assert_allclose(shares, [1, 0.8, 0.6, 0.4, 0.2, 0.2], atol=0.02)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_counts_all_steps(policy):
    layer = DropPath(0.8, steps=4000, dtype=policy)
    layer.build((None, 2))
    layer.step.assign(2999.0)
    y = layer(np.ones((4, 2), "float32"), training=True)
    assert keras.backend.standardize_dtype(y.dtype) == policy.removeprefix("mixed_")
    assert float(layer.step) == 3000.0


def test_training_counts_its_steps_and_saves_them(tmp_path):
    model = keras.Sequential([keras.Input((1, 2, 3)), DropPath(0.5, steps=10, seed=3)])
    model.compile("sgd", "mse")
    model.fit(ONES[:8], ONES[:8], batch_size=2, epochs=2, verbose=0)
    model.evaluate(ONES[:8], ONES[:8], verbose=0)
    assert float(model.layers[0].step) == 8
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras").layers[0]
    assert (float(loaded.step), loaded.rate, loaded.steps, loaded.seed) == (8, 0.5, 10, 3)


def test_bad_arguments_say_what_came():
    for rate in (-0.1, 1.0):
        with pytest.raises(ValueError, match=f"below 1. Received: rate={rate}"):
            DropPath(rate)
    with pytest.raises(ValueError, match=r"at least 1, or None. Received: steps=0"):
        DropPath(0.1, steps=0)
