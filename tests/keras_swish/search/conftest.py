"""A child that trains in a blink."""

import keras
import numpy as np
import pytest

from keras_swish.search.child import Child, ChildConfig
from keras_swish.search.space import SearchSpace


@pytest.fixture(scope="session")
def data():
    """Points in a plane, whose class is the sign of the product of their coordinates."""
    random = np.random.default_rng(0)
    x = random.normal(size=(256, 2)).astype("float32")
    y = (x[:, 0] * x[:, 1] > 0).astype("int32")
    return (x[:160], y[:160]), (x[160:], y[160:])


@pytest.fixture(scope="session")
def model():
    """A network with one activation and batch normalisation, compiled."""
    keras.utils.set_random_seed(7)
    model = keras.Sequential(
        [
            keras.Input((2,)),
            keras.layers.Dense(8),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
            keras.layers.Dropout(0.1),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


@pytest.fixture(scope="session")
def space():
    return SearchSpace()


@pytest.fixture(scope="session")
def child_config():
    return ChildConfig(epochs=4, batch_size=32, learning_rate=0.1)


@pytest.fixture(scope="session")
def child(model, data, space, child_config):
    return Child(model, *data, space, child_config)
