"""A small network of each family."""

import functools

import keras
import pytest

from keras_swish.models import (
    densenet,
    inception_resnet_v2,
    inception_v3,
    inception_v4,
    mobilenet,
    nasnet,
    resnet,
    wide_resnet,
)

_CIFAR = {
    "cifar_resnet": functools.partial(resnet.cifar_resnet, 8),
    "cifar_resnet_v2": functools.partial(resnet.cifar_resnet_v2, 11),
    "wide_resnet": functools.partial(wide_resnet.wide_resnet, 10, 1),
    "cifar_densenet": functools.partial(densenet.cifar_densenet, 7, 4),
}
_IMAGENET = {
    "resnet": functools.partial(resnet.resnet, 18),
    "resnet_v2": functools.partial(resnet.resnet_v2, 18),
    "densenet": functools.partial(densenet.densenet, 121),
    "mobilenet": functools.partial(mobilenet.mobilenet, 0.25),
    "nasnet": functools.partial(nasnet.nasnet, 1, 96),
}
_INCEPTION = {
    "inception_v3": inception_v3.inception_v3,
    "inception_v4": inception_v4.inception_v4,
    "inception_resnet_v2": inception_resnet_v2.inception_resnet_v2,
}
# The builder of a small network of each family, and the smallest images it takes.
FAMILIES = {
    **{name: (builder, 8) for name, builder in _CIFAR.items()},
    **{name: (builder, 32) for name, builder in _IMAGENET.items()},
    **{name: (builder, 75) for name, builder in _INCEPTION.items()},
}


# What the default tests leave out: these have the modules of others in other sizes.
_SLOW = ("densenet", "inception_v3", "inception_v4", "inception_resnet_v2")


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=[pytest.mark.slow] * (name in _SLOW)) for name in FAMILIES],
)
def family(request):
    """Builds a small network of a family, for the smallest images and three classes."""
    builder, size = FAMILIES[request.param]

    def build(**kwargs):
        shape = (3, size, size)
        if keras.config.image_data_format() == "channels_last":
            shape = (size, size, 3)
        return builder(**{"input_shape": shape, "classes": 3, **kwargs})

    build.name, build.size = request.param, size
    return build


@pytest.fixture(scope="module")
def built(family):
    """Networks of the family by activation, each built once for all tests of a file."""
    networks = {}

    def get(activation):
        if activation not in networks:
            model = family(activation=activation)
            networks[activation] = model, model.get_weights()
        return networks[activation]

    return get


@pytest.fixture
def network(built):
    """Returns the family's network with an activation, None for the published one.

    Tests share it, so it has its initial weights again; it must not be changed in another way.
    """

    def get(activation=None):
        model, weights = built(activation)
        model.set_weights(weights)
        return model

    return get
