"""The architectures of keras.applications at the smallest size, and what Keras 3.15 has in them."""

import contextlib
import inspect

import keras
import pytest
from family import Family, images

FOUND = {
    "ConvNeXtBase": {"gelu": 36},
    "ConvNeXtLarge": {"gelu": 36},
    "ConvNeXtSmall": {"gelu": 36},
    "ConvNeXtTiny": {"gelu": 18},
    "ConvNeXtXLarge": {"gelu": 36},
    "DenseNet121": {"relu": 121},
    "DenseNet169": {"relu": 169},
    "DenseNet201": {"relu": 201},
    "EfficientNetB0": {"swish": 49, "sigmoid": 16},
    "EfficientNetB1": {"swish": 69, "sigmoid": 23},
    "EfficientNetB2": {"swish": 69, "sigmoid": 23},
    "EfficientNetB3": {"swish": 78, "sigmoid": 26},
    "EfficientNetB4": {"swish": 96, "sigmoid": 32},
    "EfficientNetB5": {"swish": 116, "sigmoid": 39},
    "EfficientNetB6": {"swish": 134, "sigmoid": 45},
    "EfficientNetB7": {"swish": 163, "sigmoid": 55},
    "EfficientNetV2B0": {"swish": 55, "sigmoid": 16},
    "EfficientNetV2B1": {"swish": 67, "sigmoid": 19},
    "EfficientNetV2B2": {"swish": 70, "sigmoid": 20},
    "EfficientNetV2B3": {"swish": 82, "sigmoid": 24},
    "EfficientNetV2L": {"swish": 203, "sigmoid": 61},
    "EfficientNetV2M": {"swish": 147, "sigmoid": 44},
    "EfficientNetV2S": {"swish": 102, "sigmoid": 30},
    "InceptionResNetV2": {"relu": 243},
    "InceptionV3": {"relu": 94},
    "MobileNet": {"relu6": 27},
    "MobileNetV2": {"relu6": 35},
    "MobileNetV3Large": {"hard_silu": 21, "relu": 19, "relu6": 8},
    "MobileNetV3Small": {"hard_silu": 19, "relu": 14, "relu6": 9},
    "NASNetLarge": {"relu": 264},
    "NASNetMobile": {"relu": 192},
    "ResNet101": {"relu": 100},
    "ResNet101V2": {"relu": 100},
    "ResNet152": {"relu": 151},
    "ResNet152V2": {"relu": 151},
    "ResNet50": {"relu": 49},
    "ResNet50V2": {"relu": 49},
    "VGG16": {"relu": 15},
    "VGG19": {"relu": 18},
    "Xception": {"relu": 35},
}

SMALLEST = {"InceptionV3": 75, "InceptionResNetV2": 75, "Xception": 71}


def architectures():
    names = [name for name in dir(keras.applications) if name[0].isupper()]
    assert names
    return [name for name in names if inspect.isfunction(getattr(keras.applications, name))]


def application(name, found):
    def build():
        size = SMALLEST.get(name, 32)
        arguments = {"weights": None, "input_shape": (size, size, 3), "classes": 7}
        with narrow_convnext():
            model = getattr(keras.applications, name)(**arguments, classifier_activation=None)
        return model, images(size)

    return Family("keras", name, build, found)


@contextlib.contextmanager
def narrow_convnext():
    """Makes networks of an eighth of the features, as the largest has 350 million weights."""
    configs = inspect.getmodule(keras.applications.ConvNeXtTiny).MODEL_CONFIGS
    with pytest.MonkeyPatch.context() as patch:
        for config in configs.values():
            patch.setitem(config, "projection_dims", [n // 8 for n in config["projection_dims"]])
        yield


APPLICATIONS = [application(name, found) for name, found in FOUND.items()]
