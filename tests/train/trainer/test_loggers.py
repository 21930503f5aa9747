import keras
import numpy as np
import pytest
from small_run import run

from keras_swish.train.trainer import loggers, trainer


@pytest.mark.usefixtures("small")
def test_tensorboard_log_is_written(tiny, tmp_path):
    pytest.importorskip("tensorboard")
    pytest.importorskip("tensorflow")
    trainer.train(run(epochs=1), tiny, tmp_path, tensorboard=True)
    assert list(tmp_path.glob("tensorboard/train/*tfevents*"))
    assert list(tmp_path.glob("tensorboard/validation/*tfevents*"))


def test_inputs_of_two_channels_are_shown_as_one(monkeypatch):
    inputs = np.random.default_rng(0).normal(size=(3, 8, 8, 2))
    images = loggers.as_images(inputs)
    assert images.shape == (3, 8, 8, 1)
    monkeypatch.setattr(keras.config, "image_data_format", lambda: "channels_first")
    np.testing.assert_array_equal(loggers.as_images(np.moveaxis(inputs, -1, 1)), images)
