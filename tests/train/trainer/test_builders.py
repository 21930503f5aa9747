"""Networks of the user's own builders."""

import dataclasses
import importlib
import json
import shutil
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

QUICK = ["--epochs=1", "--warmup_epochs=0", "--train_split=train[:100]", "--batch_size=32"]


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


def change(folder, old, new):
    """Changes the module of builders, and forgets what was imported of it."""
    file = folder / "own_networks.py"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    builders.sys.modules.pop("own_networks", None)
    shutil.rmtree(folder / "__pycache__", ignore_errors=True)  # it goes by size and second
    importlib.invalidate_caches()


# Of as many weights; of a subclass whose configuration does not tell; of a comment.
CHANGES = {
    "plain": ('Conv2D(4, 3, activation="relu")', 'Conv2D(4, 3, 2, activation="relu")', True),
    "unregistered": (
        'Dense(4, "relu")\n        self.dense',
        'Dense(5, "relu")\n        self.dense',
        True,
    ),
    "two": ("image = keras.Input(input_shape)\n", "image = keras.Input(input_shape)  #\n", False),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_digest_tells_a_builder_that_was_changed(own, tiny, name):
    model, (old, new, is_other) = f"own_networks:{name}", CHANGES[name]
    before = builders.digest(model, tiny, "float32")
    keras.layers.Dense(3)  # which is one more in the process's count
    assert builders.digest(model, tiny, "float32") == before
    change(own, old, new)
    assert (builders.digest(model, tiny, "float32") != before) == is_other


def test_a_digest_does_not_depend_on_the_pixels():
    """Their deviation may have another last bit on another machine."""
    digests = set()
    for std in (70.0, 71.0):
        dataset = types.SimpleNamespace(
            input_shape=(32, 32, 1), classes=3, normalization=((100.0,), (std,)), white=255.0
        )
        digests.add(builders.digest("keras.applications:MobileNet", dataset, "float32"))
    assert len(digests) == 1


def test_of_the_zoo_or_without_relu_there_is_no_digest(own, tiny):
    assert builders.digest("resnet8", tiny, "float32") is None
    change(own, '{"relu": "relu", ', "{")
    assert builders.digest("own_networks:choosy", tiny, "float32") is None


def test_a_comparison_of_a_builder_that_was_changed_is_not_resumed(own, call, trained):
    flags = ["compare", "--model=own_networks:plain", "--activations=relu", "--out=out"]
    code, _, err = call(*flags, "--seeds=1")
    assert code == 0, err
    change(own, "Conv2D(4,", "Conv2D(5,")
    code, _, err = call(*flags, "--seeds=2")
    assert code == 2
    assert "other settings (own_networks:plain model_digest '106 weights, " in err
    assert len(trained) == 1
    # As an earlier version began it; with the next command it is recorded.
    record = json.loads((own / "out/config.json").read_text())
    del record["config"]["networks"]["own_networks:plain"]["model_digest"]
    (own / "out/config.json").write_text(json.dumps(record))
    assert call(*flags, "--seeds=2")[0] == 0
    change(own, "Conv2D(5,", "Conv2D(4,")
    assert call(*flags, "--seeds=2")[0] == 2


def test_a_run_of_a_builder_that_was_changed_is_neither_resumed_nor_evaluated(own, call):
    flags = ["cifar", "--model=own_networks:plain", *QUICK, "--out=out"]
    code, _, err = call(*flags)
    assert code == 0, err
    assert call("evaluate", "out", "--checkpoint=best")[0] == 0
    change(own, "Conv2D(4, 3,", "Conv2D(4, 3, 2,")
    code, _, err = call(*flags)
    assert code == 2
    assert "other settings (model_digest '106 weights, " in err
    code, _, err = call("evaluate", "out", "--checkpoint=best")
    assert code == 2
    assert "own_networks:plain makes another network than that of the run" in err
    assert call("evaluate", "out")[0] == 0  # of the file


def test_a_network_of_keras_gets_the_pixels():
    dataset = types.SimpleNamespace(
        input_shape=(32, 32, 1), classes=3, normalization=((5.0,), (6.0,)), white=255.0
    )
    model = builders.create("keras.applications:MobileNetV2", dataset, "swish")
    assert tuple(model.input_shape) == (None, 32, 32, 1)
    assert tuple(model.output_shape) == (None, 3)
    found = {type(layer).__name__ for layer in model.layers}
    assert "ReLU" not in found
    scaled = keras.Model(model.inputs, model.get_layer("rgb").output)
    images = np.full((1, 32, 32, 1), 2.0, "float32")
    np.testing.assert_allclose(scaled(images), np.full((1, 32, 32, 3), 17.0), rtol=1e-6)
    dataset.white = 34.0  # of twice its 17 are 255
    pixels = builders.pixels(keras.Input((32, 32, 1)), dataset)
    scaled = keras.Model(keras.utils.get_source_inputs(pixels), pixels)
    np.testing.assert_allclose(scaled(images), np.full((1, 32, 32, 3), 127.5), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.usefixtures("own")
def test_it_is_compared_evaluated_tuned_and_warm_started(call, tmp_path):
    name = "own_networks:plain"
    out = tmp_path / "out"
    flags = [*QUICK, f"--models=resnet8,{name}", "--activations=relu,swish", "--seeds=1"]
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
    warm = [*QUICK, f"--model={name}", f"--weights={made}", "--learning_rate=1e-9"]
    code, _, err = call("cifar", *warm, f"--out={tmp_path / 'warm'}")
    assert code == 0, err
    ours, theirs = (keras.saving.load_model(p / "model.keras") for p in (tmp_path / "warm", made))
    for left, right in zip(ours.trainable_weights, theirs.trainable_weights, strict=True):
        np.testing.assert_allclose(left, right, atol=1e-6)
