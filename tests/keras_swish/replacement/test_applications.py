"""Every architecture of `keras.applications`: sites counted, and bits compared."""

import collections
import inspect

import keras
import numpy as np
import pytest

import keras_swish

SMALLEST = {
    "InceptionV3": 75,
    "InceptionResNetV2": 75,
    "Xception": 71,
}


def architectures():
    names = [name for name in dir(keras.applications) if name[0].isupper()]
    assert names
    return [name for name in names if inspect.isfunction(getattr(keras.applications, name))]


def build(name):
    size = SMALLEST.get(name, 32)
    arguments = {"weights": None, "input_shape": (size, size, 3), "classes": 7}
    model = getattr(keras.applications, name)(**arguments, classifier_activation=None)
    x = np.random.default_rng(0).uniform(0, 255, (1, size, size, 3)).astype("float32")
    return model, x


def counted(model):
    """Counts activations in the model's configuration, which no code of ours has made."""
    found = collections.Counter()

    def look(layer):
        kind, config = layer["class_name"], layer["config"]
        for inner in config.get("layers", []):
            look(inner)
        name = config.get("activation")
        if isinstance(name, dict):
            name = name["config"]["name"] if isinstance(name["config"], dict) else name["config"]
        if kind in ("Relu", "Silu", "Gelu", "Relu6", "Sigmoid"):  # operations
            name = kind.lower()
        if kind == "ReLU":
            name = "relu" if config.get("max_value") is None else "relu6"
        if name and name != "linear":
            found["swish" if name == "silu" else name] += 1

    look({"class_name": "Functional", "config": model.get_config()})
    return found


def logits(model, x):
    return keras.ops.convert_to_numpy(model(x, training=False))


def check(name):
    model, x = build(name)
    sites = keras_swish.find_activations(model)
    found = collections.Counter(site.old for site in sites)
    expected = counted(model)
    assert found == expected
    main, count = found.most_common(1)[0]
    # Keras's own function, since ours of the same name rounds better.
    own, other = getattr(keras.activations, main), "swish" if main != "swish" else "relu"
    before = logits(model, x)
    assert np.ptp(before) > 0
    options = {"except_last": False, "return_report": True}
    same, report = keras_swish.replace_activations(model, {main: own}, **options)
    assert len(report.replaced) == count
    np.testing.assert_array_equal(logits(same, x), before)
    changed, report = keras_swish.replace_activations(model, {main: other}, **options)
    assert len(report.replaced) == count
    assert (logits(changed, x) != before).any()
    back, _ = keras_swish.replace_activations(changed, {other: own}, **options)
    np.testing.assert_array_equal(logits(back, x), before)
    return found, report


# What Keras 3.15 has: the most frequent activation, and the sites of it.
MAIN = {
    "ConvNeXtBase": ("gelu", 36),
    "ConvNeXtLarge": ("gelu", 36),
    "ConvNeXtSmall": ("gelu", 36),
    "ConvNeXtTiny": ("gelu", 18),
    "ConvNeXtXLarge": ("gelu", 36),
    "DenseNet121": ("relu", 121),
    "DenseNet169": ("relu", 169),
    "DenseNet201": ("relu", 201),
    "EfficientNetB0": ("swish", 49),
    "EfficientNetB1": ("swish", 69),
    "EfficientNetB2": ("swish", 69),
    "EfficientNetB3": ("swish", 78),
    "EfficientNetB4": ("swish", 96),
    "EfficientNetB5": ("swish", 116),
    "EfficientNetB6": ("swish", 134),
    "EfficientNetB7": ("swish", 163),
    "EfficientNetV2B0": ("swish", 55),
    "EfficientNetV2B1": ("swish", 67),
    "EfficientNetV2B2": ("swish", 70),
    "EfficientNetV2B3": ("swish", 82),
    "EfficientNetV2L": ("swish", 203),
    "EfficientNetV2M": ("swish", 147),
    "EfficientNetV2S": ("swish", 102),
    "InceptionResNetV2": ("relu", 243),
    "InceptionV3": ("relu", 94),
    "MobileNet": ("relu6", 27),
    "MobileNetV2": ("relu6", 35),
    "MobileNetV3Large": ("hard_silu", 21),
    "MobileNetV3Small": ("hard_silu", 19),
    "NASNetLarge": ("relu", 264),
    "NASNetMobile": ("relu", 192),
    "ResNet101": ("relu", 100),
    "ResNet101V2": ("relu", 100),
    "ResNet152": ("relu", 151),
    "ResNet152V2": ("relu", 151),
    "ResNet50": ("relu", 49),
    "ResNet50V2": ("relu", 49),
    "VGG16": ("relu", 15),
    "VGG19": ("relu", 18),
    "Xception": ("relu", 35),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", architectures())
def test_every_architecture_comes_through_bit_for_bit(name):
    found, _ = check(name)
    assert found.most_common(1)[0] == MAIN[name]


def test_mobilenet_comes_through_bit_for_bit():
    found, _ = check("MobileNet")
    assert found == {"relu6": 27}


def test_the_activations_of_vgg_are_inside_its_layers():
    sites = keras_swish.find_activations(build("VGG16")[0])
    assert [site.old for site in sites] == ["relu"] * 15
    assert sum(isinstance(site.layer, keras.layers.Conv2D) for site in sites) == 13
    assert {site.attribute for site in sites} == {"activation"}


@pytest.mark.slow
def test_squeeze_and_excite_gates_are_left_alone():
    model, _ = build("EfficientNetB0")
    changed, report = keras_swish.replace_activations(model, {"silu": "relu"}, return_report=True)
    assert len(report.replaced) == 49
    assert [site.old for site in report.kept] == ["sigmoid"] * 16
    left = collections.Counter(site.old for site in keras_swish.find_activations(changed))
    assert left == {"relu": 49, "sigmoid": 16}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "count"), [("InceptionV3", 94), ("InceptionResNetV2", 204)])
def test_every_gamma_of_the_inceptions_is_switched_on(name, count):
    _, report = check(name)
    assert len(report.scaled) == count


def test_our_own_networks_come_through(tmp_path):
    from keras_swish import models

    network = {"input_shape": (8, 8, 1), "classes": 3, "classifier_activation": None}
    model = models.create("resnet8", **network)
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 1)).astype("float32")
    changed = keras_swish.replace_activations(model, {"relu": "swish_beta"})
    made = models.create("resnet8", activation="swish_beta", **network)
    assert changed.count_params() == made.count_params()
    models.weights.transfer(changed, made)
    np.testing.assert_allclose(logits(changed, x), logits(made, x), rtol=1e-5, atol=1e-6)
    back = keras_swish.replace_activations(changed, {"swish_beta": "relu"})
    np.testing.assert_array_equal(logits(back, x), logits(model, x))
    changed.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(logits(loaded, x), logits(changed, x))


def test_a_backbone_of_keras_hub_keeps_its_class(tmp_path):
    hub = pytest.importorskip("keras_hub")
    model = hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[3],
        stackwise_num_filters=[64, 16],
        stackwise_num_blocks=[1, 1],
        stackwise_num_strides=[1, 2],
        block_type="basic_block",
        image_shape=(32, 32, 3),
    )
    x = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype("float32")
    changed, report = keras_swish.replace_activations(
        model, {"relu": "swish_beta"}, return_report=True
    )
    assert not report.notes
    assert isinstance(changed, hub.models.ResNetBackbone)
    assert (logits(changed, x) != logits(model, x)).any()
    back = keras_swish.replace_activations(changed, {"swish_beta": "relu"})
    np.testing.assert_array_equal(logits(back, x), logits(model, x))
    changed.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(logits(loaded, x), logits(changed, x))


def test_a_transformer_of_keras_hub_comes_through():
    hub = pytest.importorskip("keras_hub")
    model = hub.models.BertBackbone(
        vocabulary_size=30,
        num_layers=2,
        num_heads=2,
        hidden_dim=8,
        intermediate_dim=16,
        max_sequence_length=8,
    )
    x = {
        "token_ids": np.arange(8)[None],
        "segment_ids": np.zeros((1, 8), "int32"),
        "padding_mask": np.ones((1, 8), "int32"),
    }
    gelu = model.get_layer("transformer_layer_0").activation
    before = model(x)
    changed = keras_swish.replace_activations(model, {gelu: "swish"})
    assert isinstance(changed, hub.models.BertBackbone)
    back = keras_swish.replace_activations(changed, {"swish": gelu})
    for name, output in before.items():
        one, two, three = map(keras.ops.convert_to_numpy, (output, changed(x)[name], back(x)[name]))
        assert (one != two).any()
        np.testing.assert_array_equal(one, three)
