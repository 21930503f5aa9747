"""Every architecture of `keras.applications`: sites counted, and bits compared."""

import collections

import application_families
import family_matrix
import keras
import numpy as np
import pytest

import keras_swish


def build(name):
    return application_families.application(name, {}).build()


def logits(model, x):
    return keras.ops.convert_to_numpy(model(x, training=False))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "check"), family_matrix.cases(application_families.APPLICATIONS)
)
def test_architecture(family, check, tmp_path):
    family_matrix.run(family, check, tmp_path)


def test_every_architecture_is_in_the_table():
    assert application_families.architectures() == list(application_families.FOUND)


def test_mobilenet_comes_through_and_back_bit_for_bit():
    model, x = build("MobileNet")
    before = logits(model, x)
    changed, report = keras_swish.replace_activations(
        model, {"relu6": "swish_beta"}, return_report=True
    )
    assert len(report.replaced) == 27
    assert (logits(changed, x) != before).any()
    back = keras_swish.replace_activations(changed, {"swish_beta": keras.activations.relu6})
    np.testing.assert_array_equal(logits(back, x), before)


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
    model, _ = build(name)
    _, report = keras_swish.replace_activations(
        model, {"relu": "swish"}, except_last=False, return_report=True
    )
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
