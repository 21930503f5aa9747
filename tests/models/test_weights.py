"""Weights from keras.applications, from a file of ours, and from one network into another.

Nothing is downloaded: the applications' own downloader is given files that the tests made.
"""

import warnings

import equality
import keras
import numpy as np
import pytest

import keras_swish
from keras_swish import models
from keras_swish.layers import betas
from keras_swish.models import mobilenet, resnet
from keras_swish.models.drop_path import DropPath
from keras_swish.models.weights import load_file, transfer, transfer_in_order, weighted_layers


@pytest.fixture
def published(monkeypatch, tmp_path):
    """Publishes random weights where Keras looks for its own; gives the network they are of.

    The file is made by the application and read by it, through `get_file` with the name and
    the hash that Keras asks for; the download alone is replaced.
    """
    from keras.src.utils import file_utils

    def publish(name, **options):
        options = {"include_top": True, **options}
        model = getattr(keras.applications, name)(weights=None, **options)
        equality.disturb(model)
        path = tmp_path / f"{name}.weights.h5"
        model.save_weights(path)
        asked = []
        monkeypatch.setattr(
            file_utils,
            "get_file",
            lambda fname, origin, **kwargs: asked.append((fname, kwargs)) or str(path),
        )
        return model, asked

    return publish


def assert_same_outputs(ours, theirs):
    x = equality.images(ours)
    a, b = equality.outputs(ours, x), equality.outputs(theirs, x)
    assert max(equality.distance(*both) for both in zip(a, b)) < 1e-5


@pytest.mark.parametrize("include_top", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_imagenet_weights_are_those_of_keras(published, include_top):
    theirs, asked = published("MobileNet", include_top=include_top, input_shape=(128, 128, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours = models.create(
            "mobilenet",
            weights="imagenet",
            include_top=include_top,
            input_shape=(128, 128, 3),
            activation=lambda x: keras.ops.relu6(x),
        )
    top = "" if include_top else "_no_top"
    assert [fname for fname, _ in asked] == [f"mobilenet_1_0_128_tf{top}.h5"]
    for a, b in zip(weighted_layers(ours), weighted_layers(theirs), strict=True):
        for v, w in zip(a.get_weights(), b.get_weights(), strict=True):
            np.testing.assert_array_equal(v.ravel(), w.ravel())
    if include_top:
        assert_same_outputs(ours, theirs)


def test_imagenet_weights_go_with_any_size_of_image_and_width(published):
    _, asked = published("MobileNet", alpha=0.25)
    mobilenet.mobilenet(0.25, weights="imagenet", input_shape=(64, 64, 3))
    assert asked[0][0] == "mobilenet_2_5_224_tf.h5"


@pytest.mark.slow
def test_imagenet_weights_are_asked_for_by_hash(published):
    _, asked = published("ResNet50", include_top=False)
    models.create("resnet50", weights="imagenet", include_top=False)
    assert asked[0][0] == "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"
    assert asked[0][1]["file_hash"] == "4d473c1dd8becc155b73f8504c6f6626"
    assert asked[0][1]["cache_subdir"] == "models"


def test_another_activation_is_said_once(published):
    published("MobileNet")
    with pytest.warns(UserWarning, match="trained with 'relu6', not with 'swish'") as caught:
        models.create("mobilenet", weights="imagenet", activation="swish")
    assert len(caught) == 1
    assert "recipe 'finetune'" in str(caught[0].message)


@pytest.mark.slow
def test_gamma_that_the_file_lacks_keeps_its_value_and_is_named(published):
    theirs, _ = published("InceptionV3", include_top=False)
    options = {"weights": "imagenet", "include_top": False, "input_shape": (75, 75, 3)}
    with pytest.warns(UserWarning, match="no stem_conv1_bn/gamma, stem_conv2_bn/gamma") as caught:
        ours = models.create("inception_v3", activation="swish", auxiliary=False, **options)
    assert "and 91 more such weights" in str(caught[0].message)
    for a, b in zip(weighted_layers(ours), weighted_layers(theirs), strict=True):
        if isinstance(a, keras.layers.BatchNormalization):
            assert np.all(a.get_weights()[0] == 1)
            values = a.get_weights()[1:]
        else:
            values = a.get_weights()
        for v, w in zip(values, b.get_weights(), strict=True):
            np.testing.assert_array_equal(v, w)


def test_channels_first_takes_the_same_file(published):
    theirs, _ = published("MobileNet", alpha=0.25)
    keras.config.set_image_data_format("channels_first")
    try:
        ours = mobilenet.mobilenet(0.25, weights="imagenet")
        assert keras.config.image_data_format() == "channels_first"
    finally:
        keras.config.set_image_data_format("channels_last")
    for v, w in zip(weighted_layers(ours), weighted_layers(theirs)):
        np.testing.assert_array_equal(v.get_weights()[0].ravel(), w.get_weights()[0].ravel())


def test_a_file_of_ours(tmp_path):
    # With dropout, whose random state is no weight.
    options = {"alpha": 0.25, "input_shape": (32, 32, 3), "activation": "swish_beta"}
    saved = models.create("mobilenet", **options)
    saved.compile("adam")
    equality.disturb(saved)
    for suffix, save in ((".weights.h5", saved.save_weights), (".keras", saved.save)):
        path = tmp_path / f"mine{suffix}"
        save(path)
        for weights in (path, str(path)):
            loaded = models.create("mobilenet", weights=weights, **options)
            for v, w in zip(loaded.get_weights(), saved.get_weights(), strict=True):
                np.testing.assert_array_equal(v, w)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("resnet14", {}),
        ("resnet8", {"classes": 7}),
        ("resnet8", {"activation": "relu"}),
        ("resnet8", {"input_shape": (8, 8, 1)}),
        pytest.param("resnet164", {}, marks=pytest.mark.slow),
    ],
)
def test_a_file_of_another_network_is_refused(tmp_path, name, options):
    common = {"input_shape": (8, 8, 3), "activation": "swish_beta"}
    models.create("resnet8", **common).save_weights(tmp_path / "a.weights.h5")
    with pytest.raises(ValueError, match=rf"saved from this network, '{name}'.*Received: weights="):
        models.create(name, weights=tmp_path / "a.weights.h5", **{**common, **options})


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mobilenet", {"classes": 10}, "`classes` must be 1000.*Received: classes=10"),
        ("mobilenet", {"input_shape": (64, 64, 1)}, "Received: input_shape with 1 channels"),
        ("mobilenet", {"alpha": 0.3}, "Received: alpha=0.3, depth_multiplier=1"),
        ("mobilenet", {"depth_multiplier": 2}, "Received: alpha=1.0, depth_multiplier=2"),
        ("resnet20", {}, "no weights of this network. Received: weights='imagenet'"),
        ("resnet18", {}, "no weights of this network"),
        ("mobilenet", {"weights": "image_net"}, "Received: weights='image_net'"),
        ("mobilenet", {"weights": True}, "the path of a file. Received: weights=True"),
        ("mobilenet", {"weights": "/no/such.weights.h5"}, "Received: weights='/no/such.weights.h5"),
    ],
)
def test_weights_that_cannot_be_had_are_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        models.create(name, **{"weights": "imagenet", **options})


def test_transfer_refuses_another_architecture_and_leaves_the_target_alone():
    small = {"input_shape": (8, 8, 3)}
    source = models.create("resnet8", **small)
    equality.disturb(source)
    others = {
        "has 24 layers.*Received: 'resnet8' with 15": resnet.cifar_resnet_v2(11, **small),
        "kernel of shape": resnet.cifar_resnet(8, classes=7, **small),
        "has no gamma": resnet.cifar_resnet(8, bn_scale=False, **small),
    }
    for message, target in others.items():
        before = target.get_weights()
        with pytest.raises(ValueError, match=message):
            transfer(source, target)
        for v, w in zip(before, target.get_weights()):
            np.testing.assert_array_equal(v, w)


def test_the_order_of_layers_is_that_of_the_graph_not_of_their_making():
    def build(backwards):
        image = keras.Input((4,))
        sizes = (3, 5)
        made = {size: keras.layers.Dense(size) for size in (sizes[::-1] if backwards else sizes)}
        branches = {size: made[size](image) for size in made}
        joined = keras.layers.Concatenate()([branches[3], branches[5]])
        return keras.Model(image, keras.layers.Dense(2)(joined))

    for model in (build(False), build(True)):
        assert [layer.units for layer in weighted_layers(model)] == [3, 5, 2]


TRANSFERS = pytest.mark.parametrize("transfer", [transfer, transfer_in_order])


def assert_same_weights(ours, theirs):
    for v, w in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(v, w)


@TRANSFERS
def test_betas_go_with_the_same_activation(transfer):
    source, target = (
        models.create("resnet8", input_shape=(8, 8, 1), activation="swish_beta") for _ in range(2)
    )
    equality.disturb(source)
    assert transfer(source, target) == []
    assert_same_weights(target, source)


@TRANSFERS
@pytest.mark.parametrize("activation", ["relu", "max(x, beta * x)"])
def test_betas_of_another_activation_are_left_alone_and_named(transfer, activation):
    source, target = (
        models.create("resnet8", input_shape=(8, 8, 1), activation=name)
        for name in (activation, "swish_beta")
    )
    equality.disturb(source)
    assert sorted(transfer(source, target)) == sorted(betas(target))
    assert all(np.all(np.asarray(beta) == 1) for beta in betas(target).values())


@TRANSFERS
def test_betas_go_where_other_activations_differ(transfer):
    def build(second):
        image = keras.Input((4,))
        x = keras_swish.layer("swish_beta", name="first")(keras.layers.Dense(3)(image))
        x = keras_swish.layer(second, name="second")(keras.layers.Dense(3)(x))
        x = keras_swish.layer("swish_beta", name="third")(keras.layers.Dense(3)(x))
        return keras.Model(image, x)

    source, target = build("relu"), build("swish_beta")
    equality.disturb(source)
    assert transfer(source, target) == ["second/beta"]
    for name in ("first", "third"):
        assert_same_weights(target.get_layer(name), source.get_layer(name))


def nested():
    def tower():
        image = keras.Input((4, 4, 3))
        x = keras.layers.Conv2D(4, 3, name="hidden")(image)
        return keras.Model(image, keras_swish.Swish()(keras.layers.GroupNormalization(2)(x)))

    image = keras.Input((4, 4, 3))
    x = keras.layers.Concatenate()([tower()(image), tower()(image)])
    inner = keras.Sequential([keras.layers.Conv2DTranspose(2, 3), keras.layers.Flatten()])
    return keras.Model(image, keras.layers.Dense(2)(inner(x)))


class Block(keras.layers.Layer):
    """Layers with names that occur twice, and an activation."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.parts = [keras.layers.Dense(3), keras.layers.Dense(3), keras_swish.Swish()]

    def build(self, input_shape):
        for part in self.parts:
            part.build(input_shape)

    def call(self, inputs):
        for part in self.parts:
            inputs = part(inputs)
        return inputs


NETWORKS = {
    "nested": nested,
    "sequential": lambda: keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]),
    "block": lambda: keras.Sequential([keras.Input((3,)), Block()]),
    "recurrent": lambda: keras.Sequential(
        [keras.Input((5, 3)), keras.layers.Bidirectional(keras.layers.GRU(2))]
    ),
    "prelu": lambda: keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(2), keras.layers.PReLU()]
    ),
}


@TRANSFERS
@pytest.mark.parametrize("name", NETWORKS)
def test_every_weight_of_a_network_is_copied(transfer, name):
    source, target = (NETWORKS[name]() for _ in range(2))
    random = np.random.default_rng(0)
    source.set_weights([random.normal(size=w.shape) for w in source.get_weights()])
    assert transfer(source, target) == []
    assert_same_weights(target, source)


@TRANSFERS
def test_a_normalization_computes_with_what_was_copied(transfer):
    def build():
        normalization = keras.layers.Normalization()
        normalization.build((None, 3))
        return normalization, keras.Sequential([keras.Input((3,)), normalization])

    x = np.random.default_rng(0).normal(5, 3, (8, 3)).astype("float32")
    (normalization, source), (_, target) = build(), build()
    normalization.adapt(x)
    transfer(source, target)
    np.testing.assert_allclose(target(x), source(x), rtol=1e-6)


@TRANSFERS
def test_the_steps_of_drop_path_are_left_alone(transfer):
    def build(steps):
        image = keras.Input((4,))
        x = keras.layers.Dense(4)(image)
        return keras.Model(image, DropPath(0.5, steps=steps)(x))

    for source, target in ((build(5), build(None)), (build(None), build(5))):
        assert transfer(source, target) == []


def test_a_layer_that_is_called_twice_counts_once():
    image = keras.Input((4,))
    shared = keras.layers.Dense(4)
    assert weighted_layers(keras.Model(image, shared(shared(image)))) == [shared]


def test_a_model_without_a_graph_is_refused():
    class Own(keras.Model):
        pass

    for model in (Own(), keras.Sequential([keras.layers.Dense(2)])):
        with pytest.raises(ValueError, match="must be functional, or a Sequential that is built"):
            weighted_layers(model)


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_a_file_with_the_steps_of_drop_path_goes_with_a_network_without(tmp_path, suffix):
    def build(steps):
        image = keras.Input((4,))
        return keras.Model(image, DropPath(0.5, steps=steps)(keras.layers.Dense(4)(image)))

    for steps, others in ((5, None), (None, 5)):
        saved, loaded = build(steps), build(others)
        path = tmp_path / f"a{suffix}"
        (saved.save if suffix == ".keras" else saved.save_weights)(path)
        load_file(loaded, path)
        assert_same_weights(loaded.layers[1], saved.layers[1])


def test_a_file_with_other_parts_or_of_a_whole_model_is_refused_in_words(tmp_path):
    model = models.create("resnet8", input_shape=(8, 8, 3), include_top=False)
    model.save_weights(tmp_path / "a.weights.h5")
    model.save(tmp_path / "a.h5")
    for name, message in {
        "a.weights.h5": "`include_top`, `bn_scale` and `auxiliary`.*the network has",
        "a.h5": "whole model as HDF5: save it as .keras",
    }.items():
        with pytest.raises(ValueError, match=message):
            models.create("resnet8", input_shape=(8, 8, 3), weights=tmp_path / name)


@pytest.mark.parametrize(
    ("saved", "loaded", "warns"),
    [
        ("relu", "swish", True),
        ("max(x, beta * x)", "x * tanh(beta * x)", True),
        ("relu", "max(x, 0)", False),
        ("swish", "silu", False),
        ("sqrt(x)", "sqrt(x)", False),  # which is nan for half of all x
    ],
)
def test_a_file_of_another_activation_is_loaded_with_a_warning(tmp_path, saved, loaded, warns):
    options = {"input_shape": (8, 8, 3), "filters": (2, 2, 4)}
    models.create("resnet8", activation=saved, **options).save(tmp_path / "a.keras")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        models.create("resnet8", activation=loaded, weights=tmp_path / "a.keras", **options)
    messages = [str(each.message) for each in caught if "trained with" in str(each.message)]
    assert len(messages) == warns
    assert not warns or "recipe 'finetune'" in messages[0]


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_a_file_goes_with_a_network_behind_layers_with_weights(tmp_path, suffix):
    def behind(weights=None):
        image = keras.Input((8, 8, 1))
        rgb = keras.layers.Conv2D(3, 1, name="to_rgb")(image)
        return models.create("resnet8", input_tensor=rgb, weights=weights, filters=(2, 2, 4))

    def save(model):
        equality.disturb(model)
        path = tmp_path / f"a{suffix}"
        (model.save if suffix == ".keras" else model.save_weights)(path)
        return path

    bare = models.create("resnet8", input_shape=(8, 8, 3), filters=(2, 2, 4))
    loaded = behind(save(bare))
    assert weighted_layers(loaded)[0].name == "to_rgb"
    for a, b in zip(weighted_layers(loaded)[1:], weighted_layers(bare), strict=True):
        assert_same_weights(a, b)
    whole = behind()
    assert_same_weights(behind(save(whole)), whole)


def test_imagenet_weights_go_with_a_network_behind_layers_with_weights(published):
    theirs, _ = published("MobileNet", alpha=0.25, include_top=False)
    rgb = keras.layers.Conv2D(3, 1)(keras.Input((32, 32, 1)))
    options = {"include_top": False, "activation": "relu6"}
    ours = mobilenet.mobilenet(0.25, weights="imagenet", input_tensor=rgb, **options)
    for a, b in zip(weighted_layers(ours)[1:], weighted_layers(theirs), strict=True):
        for v, w in zip(a.get_weights(), b.get_weights(), strict=True):
            np.testing.assert_array_equal(v.ravel(), w.ravel())
