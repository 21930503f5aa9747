"""With their published activation, the networks are those of `keras.applications`.

In float64: a deep network in training multiplies the rounding of float32 until gradients
agree to some percent only, which would hide a wrong layer.
"""

import equality
import keras
import numpy as np
import pytest

from keras_swish import models
from keras_swish.models.weights import transfer

# Keras normalises float64 in float64 on TensorFlow alone.
IS_EXACT = keras.backend.backend() == "tensorflow"
OUTPUTS, STEP = (1e-10, 1e-8) if IS_EXACT else (1e-5, 1e-2)

# Ours, theirs, their number of parameters (Keras 3.15), and a small size for the images, odd
# where that leads elsewhere.
SMALL = [
    ("resnet50", "ResNet50", 25_636_712, 64),
    ("resnet50v2", "ResNet50V2", 25_613_800, 65),
    ("densenet121", "DenseNet121", 8_062_504, 64),
    ("nasnet_mobile", "NASNetMobile", 5_326_716, 75),
    ("inception_v3", "InceptionV3", 23_851_784, 75),
    ("inception_resnet_v2", "InceptionResNetV2", 55_873_736, 75),
    ("mobilenet", "MobileNet", 4_253_864, 65),
]
# The modules of these are in the others, or they take as long as all the others.
_SLOW = ("resnet50v2", "densenet121", "inception_v3", "inception_resnet_v2")


def small_ones(*slow):
    """The rows of small networks, these marked as slow."""
    return [
        pytest.param(row, id=row[0], marks=[pytest.mark.slow] * (row[0] in slow)) for row in SMALL
    ]


IN_DEPTH = small_ones(*_SLOW)
# MobileNet's alone take little time.
GRADIENTS = small_ones(*_SLOW, "nasnet_mobile", "resnet50")
WHOLE = [
    ("resnet50", "ResNet50", 224),
    ("resnet101", "ResNet101", 224),
    ("resnet152", "ResNet152", 224),
    ("resnet50v2", "ResNet50V2", 224),
    ("resnet101v2", "ResNet101V2", 224),
    ("resnet152v2", "ResNet152V2", 224),
    ("densenet121", "DenseNet121", 224),
    ("densenet169", "DenseNet169", 224),
    ("densenet201", "DenseNet201", 224),
    ("nasnet_mobile", "NASNetMobile", 224),
    ("nasnet_large", "NASNetLarge", 331),
    ("inception_v3", "InceptionV3", 299),
    ("inception_resnet_v2", "InceptionResNetV2", 299),
    ("mobilenet", "MobileNet", 224),
]


def use(dtype):
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)


@pytest.fixture(scope="module", autouse=True)
def _float32_afterwards():
    yield
    use("float32")


def pair(ours, theirs, size, dtype="float64"):
    """The two networks, theirs with random weights; neither has dropout."""
    keras.utils.clear_session()
    use(dtype)
    options = {"input_shape": (size, size, 3), "classifier_activation": None}
    if ours == "mobilenet":
        options["dropout"] = 0.0
    theirs = getattr(keras.applications, theirs)(weights=None, **options)
    equality.randomise(theirs)
    return models.create(ours, **options), theirs


@pytest.fixture(scope="module", params=IN_DEPTH)
def small(request):
    ours, theirs, parameters, size = request.param
    if theirs == "NASNetMobile" and keras.backend.backend() == "torch":
        pytest.skip("keras.applications refuses to build it on PyTorch")
    ours, theirs = pair(ours, theirs, size)
    transfer(theirs, ours)
    return ours, theirs, parameters


def distances(ours, theirs):
    """Of the features and of the logits."""
    x = equality.images(ours)
    return [
        equality.distance(a, b)
        for a, b in zip(equality.outputs(ours, x), equality.outputs(theirs, x), strict=True)
    ]


def step_distances(ours, theirs, batch=4):
    """Of the gradients and of the batch statistics."""
    x, labels = equality.images(ours, batch), np.arange(batch)
    changes = [equality.step(model, x, labels) for model in (ours, theirs)]
    return [equality.step_distance(a, b) for a, b in zip(*changes, strict=True)]


def test_parameters_are_as_many(small):
    ours, theirs, parameters = small
    assert ours.count_params() == theirs.count_params() == parameters


def test_outputs_agree_with_the_weights_carried_over(small):
    ours, theirs, _ = small
    assert max(distances(ours, theirs)) < OUTPUTS


@pytest.mark.parametrize("small", IN_DEPTH, indirect=True)
def test_outputs_agree_with_the_weights_carried_back(small):
    ours, theirs, _ = small
    equality.disturb(ours)
    assert min(distances(ours, theirs)) > 1e-3
    assert transfer(ours, theirs) == []
    assert max(distances(ours, theirs)) < OUTPUTS


@pytest.mark.parametrize("small", IN_DEPTH, indirect=True)
def test_one_wrong_activation_is_noticed(small):
    ours, theirs, _ = small
    places = [layer for layer in ours.layers if isinstance(layer, keras.layers.Activation)]
    place = places[len(places) // 2]
    right, place.activation = place.activation, keras.activations.leaky_relu
    assert min(distances(ours, theirs)) > 1e-3
    place.activation = right


@pytest.mark.parametrize("small", SMALL[:1], indirect=True, ids=["resnet50"])
def test_a_stride_in_the_wrong_convolution_is_noticed(small):
    ours, theirs, _ = small
    first, second = (ours.get_layer(f"stage2_unit1_conv{number}") for number in (1, 2))
    first.strides, second.strides = (1, 1), (2, 2)
    assert min(distances(ours, theirs)) > 1e-3
    first.strides, second.strides = (2, 2), (1, 1)


@pytest.mark.parametrize("small", GRADIENTS, indirect=True)
def test_gradients_and_batch_statistics_of_a_step_agree(small):
    ours, theirs, _ = small
    assert max(step_distances(ours, theirs)) < STEP


@pytest.mark.slow
@pytest.mark.parametrize(("ours", "theirs", "size"), WHOLE)
def test_the_whole_network_agrees(ours, theirs, size):
    ours, theirs = pair(ours, theirs, size)
    assert ours.count_params() == theirs.count_params()
    assert transfer(theirs, ours) == []
    assert max(distances(ours, theirs)) < OUTPUTS
    assert max(step_distances(ours, theirs, 2)) < STEP


@pytest.mark.slow
@pytest.mark.parametrize(("ours", "theirs", "size"), WHOLE)
def test_the_whole_network_agrees_in_float32(ours, theirs, size):
    ours, theirs = pair(ours, theirs, size, "float32")
    transfer(theirs, ours)
    assert max(distances(ours, theirs)) < 1e-5
