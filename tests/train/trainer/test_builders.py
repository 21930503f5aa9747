"""Networks of the user's own builders."""

import dataclasses
import types

import keras
import numpy as np
import pytest

import keras_swish
from keras_swish.train.errors import ArgumentError
from keras_swish.train.trainer import builders, recipes, trainer
from keras_swish.train.trainer import model as model_building

MODULE = """
import keras

def plain(input_shape, classes):
    layers = [keras.layers.Conv2D(4, 3, activation="relu"), keras.layers.BatchNormalization()]
    layers += [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(classes)]
    return keras.Sequential([keras.Input(input_shape), *layers])

def softmax(input_shape, classes, activation):
    import keras_swish
    layers = [keras_swish.layer(activation), keras.layers.Flatten()]
    layers.append(keras.layers.Dense(classes, "softmax"))
    return keras.Sequential([keras.Input(input_shape), *layers])

def linear(input_shape, classes):
    layers = [keras.layers.Flatten(), keras.layers.Dense(classes)]
    return keras.Sequential([keras.Input(input_shape), *layers])

def two(input_shape, classes, auxiliary=False):
    image = keras.Input(input_shape)
    hidden = keras.layers.Dense(4, "relu")(keras.layers.Flatten()(image))
    second = keras.layers.Dense(classes, name="second")(hidden)
    last = keras.layers.Dense(classes)(keras.layers.Dense(4, "relu")(hidden))
    return keras.Model(image, [last, second] if auxiliary else last)

class Unregistered(keras.Model):
    def __init__(self, classes):
        super().__init__()
        self.flatten, self.hidden = keras.layers.Flatten(), keras.layers.Dense(4, "relu")
        self.dense = keras.layers.Dense(classes)
        self.inputs = self.outputs = classes  # names that a functional model has

    def call(self, x):
        return self.dense(self.hidden(self.flatten(x)))

    def get_config(self):
        return {"classes": self.dense.units}

def unregistered(classes):
    return Unregistered(classes)

def choosy(input_shape, classes, activation):
    return softmax(input_shape, classes, {"relu": "relu", "swish": "swish"}[activation])

def three(input_shape):
    return 3

def seven(input_shape):
    return plain(input_shape, 7)

def needs(input_shape, depth):
    return plain(input_shape, depth)

def broken():
    raise RuntimeError("out of order")

number = 3
"""
RECIPE = recipes.Recipe("a test", epochs=2, batch_size=16, learning_rate=0.1, schedule="cosine")


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module of builders in the current folder."""
    (tmp_path / "own_networks.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(builders.sys.modules, "own_networks", raising=False)
    return tmp_path


def run(name, activation="swish_beta", **settings):
    return trainer.Run("tiny", f"own_networks:{name}", activation, 0, RECIPE, **settings)


@pytest.mark.usefixtures("own")
def test_activations_that_cannot_be_passed_are_replaced(tiny):
    model = model_building.build(run("plain"), tiny)
    assert len(keras_swish.layers.betas(model)) == 1
    assert tuple(model.output_shape) == (None, 3)
    (normalisation,) = [v for v in model.layers if isinstance(v, keras.layers.BatchNormalization)]
    calls, _ = recipes.parts(RECIPE, tiny.training_images)
    assert normalisation.momentum == recipes.bn_momentum(RECIPE, calls)
    relu = model_building.build(run("plain", "relu"), tiny)
    kernels = [[v for v in m.weights if v.name == "kernel"] for m in (model, relu)]
    for ours, theirs in zip(*kernels, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.usefixtures("own")
def test_probabilities_are_trained_as_such(tiny):
    model = model_building.build(run("softmax"), tiny)
    x, y = next(iter(tiny.evaluation("test", 16)))
    p = model.predict(x, verbose=0)
    expected = -np.mean(np.log(np.sum(p * y, axis=1)))
    loss = float(model.compute_loss(x, y, keras.ops.convert_to_tensor(p), training=False))
    assert loss == pytest.approx(
        expected + float(sum(map(keras.ops.convert_to_numpy, model.losses))), rel=1e-4
    )


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere:f", "there is no module 'nowhere'"),
        ("own_networks:plan", "Did you mean 'plain'"),
        ("own_networks:number", "is no function, but int"),
        ("own_networks:needs", "it needs an argument 'depth'; given are activation, classes"),
        ("own_networks:three", "returns no keras.Model, but int"),
        ("own_networks:seven", r"the outputs of own_networks:seven are \[\(None, 7\)\], the data"),
        ("own_networks:linear", "takes no `activation`, and its network has none to replace"),
        ("own_networks:broken", r"cannot be built \(RuntimeError: out of order\)"),
    ],
)
def test_a_builder_that_cannot_be_used_is_named(name, message, tiny):
    with pytest.raises(ArgumentError, match=message) as caught:
        model_building.build(trainer.Run("tiny", name, "swish", 0, RECIPE), tiny)
    assert caught.value.argument == "model"


@pytest.mark.usefixtures("own")
def test_a_network_that_could_not_be_loaded_is_refused_before(call, tmp_path):
    out = tmp_path / "out"
    code, _, err = call("cifar", "--model=own_networks:unregistered", f"--out={out}")
    assert code == 2
    assert "class 'Unregistered': has it @keras.saving.register_keras_serializable()?" in err
    assert err.count("\n") == 1
    assert not out.exists()


@pytest.mark.usefixtures("own")
def test_a_comparison_builds_it_with_each_activation_before(call, tmp_path):
    out = tmp_path / "out"
    flags = ["--model=own_networks:choosy", "--activations=relu,gelu,swish", f"--out={out}"]
    code, _, err = call("compare", *flags)
    assert code == 2
    assert "cannot be built (KeyError: 'gelu')" in err
    assert not out.exists()


@pytest.mark.usefixtures("own")
def test_with_an_auxiliary_classifier_it_starts_from_a_file_of_its_run(tiny, tmp_path):
    recipe = dataclasses.replace(RECIPE, auxiliary_weight=0.4)
    one = dataclasses.replace(run("two", "relu"), recipe=recipe)
    source = model_building.classifier(model_building.build(one, tiny))
    source.save(tmp_path / "source.keras")
    other = dataclasses.replace(one, seed=1, weights=str(tmp_path / "source.keras"))
    with pytest.warns(UserWarning, match="has no second/kernel, second/bias: initial values kept"):
        started = model_building.build(other, tiny)
    ours = model_building.classifier(started).get_weights()
    for left, right in zip(ours, source.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


def test_a_network_of_keras_gets_the_pixels():
    dataset = types.SimpleNamespace(
        input_shape=(32, 32, 1), classes=3, normalization=((5.0,), (6.0,))
    )
    model = builders.create("keras.applications:MobileNetV2", dataset, "swish")
    assert tuple(model.input_shape) == (None, 32, 32, 1)
    assert tuple(model.output_shape) == (None, 3)
    found = {type(layer).__name__ for layer in model.layers}
    assert "ReLU" not in found
    scaled = keras.Model(model.inputs, model.get_layer("rgb").output)
    images = np.full((1, 32, 32, 1), 2.0, "float32")
    np.testing.assert_allclose(scaled(images), np.full((1, 32, 32, 3), 17.0), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.usefixtures("own")
def test_it_is_compared_evaluated_tuned_and_warm_started(call, tmp_path):
    name = "own_networks:plain"
    quick = ["--epochs=1", "--warmup_epochs=0", "--train_split=train[:100]", "--batch_size=32"]
    out = tmp_path / "out"
    flags = [*quick, f"--models=resnet8,{name}", "--activations=relu,swish", "--seeds=1"]
    code, printed, err = call("compare", *flags, f"--out={out}")
    assert code == 0, err
    assert f"## `{name}`" in printed
    (made,) = out.glob("runs/own_networks_plain-*-swish-seed0")
    code, printed, err = call("compare", *flags, f"--out={out}")
    assert printed.count("finished before") == 4
    assert call("evaluate", made)[0] == 0
    assert call("evaluate", made, "--checkpoint=best")[0] == 0
    tuned = ["--replace=swish:relu", "--epochs=1", "--batch_size=32", f"--out={tmp_path / 'ft'}"]
    code, _, err = call("finetune", made, *tuned)
    assert code == 0, err
    warm = [*quick, f"--model={name}", f"--weights={made}", "--learning_rate=1e-9"]
    code, _, err = call("cifar", *warm, f"--out={tmp_path / 'warm'}")
    assert code == 0, err
    ours, theirs = (keras.saving.load_model(p / "model.keras") for p in (tmp_path / "warm", made))
    for left, right in zip(ours.trainable_weights, theirs.trainable_weights, strict=True):
        np.testing.assert_allclose(left, right, atol=1e-6)
