"""What is no model of Keras 3 is refused with a way out."""

import keras
import numpy as np
import pytest

import keras_swish


class OfKeras2:
    """Stands for a model of the Keras 2 package."""

    __module__ = "tf_keras.src.engine.training"


class Inherits(OfKeras2):
    """A user's own class of such a model."""


class OfTensorFlow:
    """Stands for a model of the Keras 2 inside TensorFlow."""

    __module__ = "tensorflow.python.keras.engine.training"


class OfPyTorch:
    """Stands for a module of PyTorch's."""

    __module__ = "torch.nn.modules.module"


class Other:
    """Is of no framework, although its module's name begins like one's."""

    __module__ = "tf_keras_like.models"


@pytest.mark.parametrize(
    ("model", "advice"),
    [
        (OfKeras2(), r"load_model\('model.h5'\)"),
        (Inherits(), r"load_model\('model.h5'\)"),
        (OfTensorFlow(), r"load_model\('model.h5'\)"),
        (OfPyTorch(), r"keras_swish.layer\(name\)"),
        (keras.layers.Dense(3, "relu"), r"keras.Sequential\(\[keras.Input\(shape\), layer\]\)"),
        (keras.Sequential, "not the class"),
        (Other(), r"\(of type Other\)$"),
        ("vgg16", r"Received: 'vgg16' \(of type str\)$"),
    ],
)
def test_what_is_no_model_is_refused_with_advice(model, advice):
    calls = [
        lambda: keras_swish.find_activations(model),
        lambda: keras_swish.replace_activations(model, {"relu": "swish"}),
    ]
    for call in calls:
        with pytest.raises(TypeError, match="`model` must be a keras.Model.*" + advice):
            call()


@pytest.mark.filterwarnings("ignore:The structure of `inputs`")
def test_the_advice_for_a_model_of_keras_2_works(tmp_path):
    tf_keras = pytest.importorskip("tf_keras")
    inputs = tf_keras.Input((4,))
    hidden = tf_keras.layers.Dense(3, "relu", name="hidden")(inputs)
    model = tf_keras.Model(inputs, tf_keras.layers.Dense(2)(hidden))
    with pytest.raises(TypeError, match="Keras 2"):
        keras_swish.find_activations(model)
    model.save(tmp_path / "model.h5")
    loaded = keras.models.load_model(tmp_path / "model.h5", compile=False)
    assert [str(site) for site in keras_swish.find_activations(loaded)] == [
        "hidden (activation): relu"
    ]
    x = np.ones((2, 4), "float32")
    y = keras.ops.convert_to_numpy(keras_swish.replace_activations(loaded, {"relu": "relu"})(x))
    np.testing.assert_allclose(y, model(x), rtol=1e-6)
