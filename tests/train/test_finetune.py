"""Fine-tuning: from a saved network to one with other activations."""

import dataclasses
import json
import re
import sys

import image_files
import keras
import numpy as np
import pytest

import keras_swish
from keras_swish import io, models, optimizers
from keras_swish.train import finetune
from keras_swish.train.datasets import in_memory
from keras_swish.train.datasets.augmentation import Batches
from keras_swish.train.errors import DivergedError
from keras_swish.train.trainer import model as model_building
from keras_swish.train.trainer import recipes, trainer

QUICK = ["--epochs=1", "--train_split=train[:200]", "--batch_size=32", "--test_split=test[:100]"]


@pytest.fixture
def network(tmp_path):
    """A file with a network for the digits, as `keras-swish cifar` writes it."""
    keras.utils.set_random_seed(0)
    model = models.create(
        "resnet8", input_shape=(8, 8, 1), classes=10, activation="relu", classifier_activation=None
    )
    model.save(tmp_path / "model.keras")
    return tmp_path / "model.keras"


def run(model, **changes):
    recipe = recipes.RECIPES["finetune"]
    fields = {"activation": "relu:swish_beta", "seed": 0, "recipe": recipe}
    return finetune.Finetuning(**{"dataset": "digits", "model": str(model), **fields, **changes})


def test_it_tests_trains_and_saves(call, network, tmp_path):
    out = tmp_path / "run"
    code, printed, err = call("finetune", network, *QUICK, f"--out={out}")
    assert code == 0, err
    assert "7 activations replaced" in printed
    assert "after the replacement" in printed
    stages = json.loads((out / "stages.json").read_text())
    assert stages.keys() == {"before", "replaced"}
    tuned = keras.saving.load_model(out / "model.keras")
    assert not tuned.compiled
    values = keras_swish.layers.betas(tuned)
    assert len(values) == 7
    assert any(np.any(keras.ops.convert_to_numpy(beta) != 1) for beta in values.values())

    again = call("finetune", network, *QUICK, f"--out={out}")
    assert again[0] == 0
    assert again[1].splitlines()[-2:] == printed.splitlines()[-2:]
    network.write_bytes(network.read_bytes() + b" ")
    code, _, err = call("finetune", network, *QUICK, f"--out={out}")
    assert code == 2


@pytest.mark.slow
def test_the_network_of_a_run_is_tuned_on_the_runs_own_data(call, tmp_path):
    splits = ["--train_split=train[:200]", "--test_split=test[:100]", "--image_size=12", "--pad=2"]
    flags = ["--epochs=1", "--batch_size=32", "--activation=relu", f"--out={tmp_path / 'run'}"]
    assert call("cifar", *splits, *flags)[0] == 0
    flags = ["--epochs=1", "--batch_size=32", f"--out={tmp_path / 'tuned'}"]
    code, printed, err = call("finetune", tmp_path / "run", *flags)
    assert code == 0, err
    assert "7 activations replaced" in printed
    configs = [io.read_json(tmp_path / n / "config.json")["config"] for n in ("run", "tuned")]
    for name in ("dataset", "train_split", "test_split", "image_size", "pad", "flip"):
        assert configs[0][name] == configs[1][name]
    assert configs[1]["model"] == str(tmp_path / "run/model.keras")


@pytest.mark.slow
def test_images_in_files_are_data_as_well(call, tmp_path):
    pytest.importorskip("tensorflow")
    for split in ("train", "validation"):
        image_files.make_folder(tmp_path / "data" / split, classes=3, per_class=4)
    layers = [keras.Input((32, 32, 3)), keras.layers.Conv2D(4, 3, activation="relu")]
    layers += [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)]
    keras.Sequential(layers).save(tmp_path / "model.keras")
    flags = [f"--dataset={tmp_path / 'data'}", "--image_size=32", "--steps=2", "--batch_size=4"]
    flags += ["--warmup_epochs=0", f"--out={tmp_path / 'out'}"]
    code, printed, err = call("finetune", tmp_path / "model.keras", *flags)
    assert code == 0, err
    assert "1 activations replaced" in printed
    config = io.read_json(tmp_path / "out/config.json")["config"]
    assert config["image_files"] == {"classes": 3, "training": 12, "test": 12}


def test_relu_by_relu_changes_nothing(network):
    digits = in_memory.load("digits")
    original, model, words = finetune.prepare(run(network, activation="relu:relu"), digits)
    x, _ = Batches(digits, digits.test, 16)[0]
    np.testing.assert_array_equal(*(keras.ops.convert_to_numpy(m(x)) for m in (original, model)))
    assert words == "7 activations replaced"


def test_betas_start_from_the_number_given(network):
    _, model, _ = finetune.prepare(run(network, beta_initializer="2.5"), in_memory.load("digits"))
    for beta in keras_swish.layers.betas(model).values():
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(beta), 2.5)


def test_betas_have_a_learning_rate_of_their_own():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1), keras_swish.Swish()])
    kernel, bias, beta = model.trainable_variables
    optimizer = optimizers.SGD(0.1, momentum=0.9, nesterov=True, factors={beta.path: 5.0})
    optimizer.build(model.trainable_variables)
    before = [float(keras.ops.convert_to_numpy(v).ravel()[0]) for v in (bias, beta)]
    for _ in range(3):
        gradients = [keras.ops.ones(v.shape) for v in (kernel, bias, beta)]
        optimizer.apply(gradients, model.trainable_variables)
    moved = [
        float(keras.ops.convert_to_numpy(v).ravel()[0]) - start
        for v, start in zip((bias, beta), before)
    ]
    assert moved[0] < -0.3
    assert moved[1] == pytest.approx(5 * moved[0], rel=1e-5)
    config = optimizers.SGD.from_config(optimizer.get_config())
    assert config.factors == optimizer.factors


def test_the_learning_rate_reaches_every_beta(network):
    digits = in_memory.load("digits")
    tuning = run(network, beta_learning_rate=0.05)
    _, model, _ = finetune.prepare(tuning, digits)
    finetune.compile_for(model, tuning, digits)
    assert set(model.optimizer.factors.values()) == {0.05 / tuning.recipe.learning_rate}
    assert len(model.optimizer.factors) == 7


def test_the_recipe_is_followed(network):
    digits = in_memory.load("digits")
    changes = {"optimizer": "rmsprop", "clip_norm": 2.0, "ema_momentum": 0.9, "steps": 40}
    recipe = dataclasses.replace(recipes.RECIPES["finetune"], **changes)
    tuning = run(network, recipe=recipe)
    _, model, _ = finetune.prepare(tuning, digits)
    model = finetune.compile_for(model, tuning, digits)
    assert isinstance(model.optimizer, optimizers.RMSprop)
    assert model.optimizer.global_clipnorm == 2
    assert len(model.optimizer.averages) == len(model.trainable_variables)
    norms = [v for v in model.layers if isinstance(v, keras.layers.BatchNormalization)]
    assert {layer.momentum for layer in norms} == {0.5}
    recipe = dataclasses.replace(recipes.RECIPES["finetune"], nesterov=False)
    model = finetune.compile_for(model, run(network, recipe=recipe), digits)
    assert not model.optimizer.nesterov


def test_a_trained_network_keeps_its_dtype_policy(call, network, tmp_path):
    code, _, err = call("finetune", network, *QUICK, "--dtype_policy=mixed_float16")
    assert code == 2
    message = "--dtype_policy=mixed_float16: a trained network keeps its dtype policy, float32"
    assert message in err
    keras.config.set_dtype_policy("mixed_float16")
    try:
        layers = [keras.layers.Flatten(), keras.layers.Dense(8, "relu"), keras.layers.Dense(10)]
        keras.Sequential([keras.Input((8, 8, 1)), *layers]).save(network)
    finally:
        keras.config.set_dtype_policy("float32")
    digits, tuning = in_memory.load("digits"), run(network)
    _, model, _ = finetune.prepare(tuning, digits)
    keras.utils.clear_session()  # as before a training
    for changes in ({}, {"ema_momentum": 0.9}):
        recipe = dataclasses.replace(tuning.recipe, **changes)
        compiled = finetune.compile_for(model, run(network, recipe=recipe), digits)
        assert isinstance(compiled.optimizer, keras.optimizers.LossScaleOptimizer)
    out = tmp_path / "run"
    code, _, err = call("finetune", network, *QUICK, f"--out={out}")
    assert code == 0, err
    assert io.read_json(out / "config.json")["config"]["dtype_policy"] == "mixed_float16"


def test_the_tests_before_the_training_take_parts_of_a_batch(tiny, tmp_path, monkeypatch):
    sizes = []
    evaluate = lambda *arguments: sizes.append(arguments[3]) or {"accuracy": 0.5}  # noqa: E731
    monkeypatch.setattr(trainer, "evaluate", evaluate)
    monkeypatch.setattr(trainer, "train", lambda *_, **__: {})
    recipe = dataclasses.replace(recipes.RECIPES["finetune"], batch_size=64, accumulation_steps=4)
    layers = [keras.layers.Flatten(), keras.layers.Dense(10)]
    model = keras.Sequential([keras.Input(tiny.input_shape), *layers])
    finetune.finetune(run("mine.keras", recipe=recipe), tiny, tmp_path, (model, model, ""))
    assert sizes == [16, 16]


@pytest.mark.parametrize("activation", [None, "softmax"])
def test_logits_and_probabilities_have_the_same_loss(activation, tiny):
    keras.utils.set_random_seed(0)
    layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3, activation)]
    model = keras.Sequential(layers)
    model_building.compile_for(model, (8, 8, 1))
    loss = model.evaluate(Batches(tiny, tiny.test, 8), verbose=0)[0]
    logits = keras.Sequential([keras.Input((8, 8, 1)), *layers[1:2], keras.layers.Dense(3)])
    logits.set_weights(model.get_weights())
    images, labels = Batches(tiny, tiny.test, 30)[0]
    y = keras.ops.log_softmax(logits(images))
    expected = -np.mean(np.sum(keras.ops.convert_to_numpy(y) * labels, -1))
    assert loss == pytest.approx(expected, rel=1e-4)


def test_an_application_gets_the_pixels_that_it_knows(monkeypatch):
    published, seen = keras.applications.MobileNet, {}

    def application(**arguments):
        seen.update(arguments)
        return published(**{**arguments, "weights": None})

    application.__module__ = published.__module__
    monkeypatch.setattr(keras.applications, "MobileNet", application)
    digits = in_memory.load("digits", image_size=32)
    model = finetune.load(run("MobileNet", activation="relu6:swish"), digits)
    assert seen["weights"] == "imagenet"
    assert model.output_shape == (None, 10)
    images, _ = Batches(digits, digits.test, 4)[0]
    taken = keras.Model(model.inputs[0], model.get_layer("rgb").output)
    pixels = keras.ops.convert_to_numpy(taken(images))
    # Up to 255, as an image file's; the digits' end at 16.
    expected = np.repeat(digits.test.images[:4].astype("float32"), 3, -1) * 255 / 16
    np.testing.assert_allclose(pixels, expected, atol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a folder of a run, a .keras file, or one of keras.applications"),
        (["MobilNet"], "Unknown network 'MobilNet'. Did you mean 'MobileNet'"),
        (["not_there.keras"], "not_there.keras is not there"),
        (["--replace=relu"], "name an old and a new activation"),
        (["--replace=relu:swsh"], "Unknown activation 'swsh'. Did you mean 'swish'"),
        (["--replace=gelu:swish"], "--replace=gelu:swish:"),
        (["--replace=relu:swish_beta,relu:gelu"], "--replace=relu:swish_beta,relu:gelu: replaces"),
        (["--beta_initializer=nan"], "--beta_initializer=nan: is not a finite number"),
        (["--replace=relu:swish", "--beta_initializer=1"], "no new activation has one"),
        (["--replace=relu:swish", "--beta_learning_rate=1"], "no new activation has one"),
        (["--beta_initializer=high"], "is no number and not 'relu_like'"),
        (["--dataset=digits", "--image_size=16"], "is from (None, 8, 8, 1)"),
        (["--strategy=data_paralel"], "--strategy=data_paralel: "),
        (["--strateg=data_parallel"], "Unknown flag 'strateg'."),
        (["--dropout=0.5"], "Unknown flag 'dropout'."),
        (
            ["--recipe=mobilenet"],
            "--recipe=mobilenet: a trained network keeps the parts that it has, the recipe changes "
            "dropout",
        ),
        (["--optimizer=rmsprop", "--beta_learning_rate=1"], "=1.0: needs --optimizer=sgd"),
    ],
)
def test_mistakes_end_with_one_line(call, network, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    named = [network] if arguments and arguments[0].startswith("--") else []
    code, _, err = call("finetune", *named, *arguments)
    assert code == 2
    assert len(err.strip().splitlines()) == 1, err
    assert message in err
    assert [path.name for path in tmp_path.iterdir()] == ["model.keras"]


@pytest.mark.slow
@pytest.mark.parametrize("content", ["{}", "garbage"])
def test_damaged_tests_before_the_training_are_made_again(call, network, tmp_path, content):
    flags = [*QUICK, f"--out={tmp_path / 'run'}"]
    _, printed, _ = call("finetune", network, *flags)
    (tmp_path / "run/stages.json").write_text(content)
    code, again, err = call("finetune", network, *flags)
    assert code == 0, err
    assert "the network is tested again" in err
    assert again.splitlines()[-2:] == printed.splitlines()[-2:]


@keras.saving.register_keras_serializable(package="test_finetune")
class Features(keras.Model):
    """Makes the layers of its graph itself, so that no file gives back a new gamma."""

    def __init__(self, name=None, **_):
        inputs = keras.Input((8, 8, 1))
        outputs = keras.layers.BatchNormalization(scale=False)(keras.layers.Flatten()(inputs))
        super().__init__(inputs, outputs, name=name)

    def get_config(self):
        return {"name": self.name}


@pytest.mark.filterwarnings("ignore:replace_activations")
def test_what_no_file_would_give_back_is_refused_before_the_training(call, tmp_path):
    layers = [keras.Input((8, 8, 1)), Features(), keras.layers.ReLU(), keras.layers.Dense(10)]
    keras.Sequential(layers).save(tmp_path / "mine.keras")
    out = tmp_path / "run"
    code, _, err = call("finetune", tmp_path / "mine.keras", *QUICK, f"--out={out}")
    assert code == 2
    assert "--replace: the network of" in err.splitlines()[-1]
    assert "cannot be saved with its new activations" in err
    assert "Traceback" not in err
    assert not out.exists()


def test_betas_alone_are_not_trained_by_a_multiple_of_nothing(call, network, tmp_path):
    flags = ["--learning_rate=0", "--beta_learning_rate=0.1", f"--out={tmp_path / 'run'}"]
    code, _, err = call("finetune", network, *QUICK, *flags)
    assert code == 2
    assert "--learning_rate=0.0: must be above 0" in err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_other_data_is_normalised_as_the_network_was_trained(call, tmp_path):
    """The digits at another size have no known normalization: it is that of the split."""
    short = ["--epochs=1", "--batch_size=32"]
    splits = ["--train_split=train[:200]", "--test_split=test[:100]", "--image_size=12"]
    assert call("cifar", *splits, *short, "--activation=relu", f"--out={tmp_path / 'run'}")[0] == 0
    part = "--train_split=train[100:300]"
    code, printed, err = call(
        "finetune", tmp_path / "run", *short, part, f"--out={tmp_path / 'tuned'}"
    )
    assert code == 0, err
    (before,) = re.findall(r"before ([\d.]+%)", printed)
    assert f"top-1 accuracy {before}" in call("evaluate", tmp_path / "run")[1]
    config = io.read_json(tmp_path / "tuned/config.json")["config"]
    dataset = in_memory.load("digits", None, "train[:200]", "test[:100]", 12)
    assert [list(part) for part in dataset.normalization] == config["normalization"]
    (end,) = re.findall(r"at the end ([\d.]+%)", printed)
    assert f"top-1 accuracy {end}" in call("evaluate", tmp_path / "tuned")[1]


@pytest.mark.parametrize(
    "flag", ["--dataset=digits", "--train_split=train[:80]", "--validation_split=0.5"]
)
def test_whatever_changes_the_training_images_keeps_the_normalization(
    call, network, tmp_path, monkeypatch, flag
):
    """The images that are held out have no part in the normalization that is computed."""
    data = {"image_size": 8, "train_split": "train[:100]", "test_split": "test[:50]"}
    origin = trainer.Run("digits", "resnet8", "relu", 0, recipes.RECIPES["short"], **data)
    io.write_json(tmp_path / "config.json", {"config": origin.config()})

    def stopped(*_, **__):
        raise DivergedError("at once")

    monkeypatch.setattr(finetune, "finetune", stopped)
    flags = [flag, "--batch_size=32", f"--out={tmp_path / 'out'}"]
    code, _, err = call("finetune", network, *flags)
    assert code == 1, err
    config = io.read_json(tmp_path / "out/config.json")["config"]
    dataset = in_memory.load("digits", None, data["train_split"], data["test_split"], 8)
    assert config["normalization"] == [list(part) for part in dataset.normalization]


OWN = """
import keras

@keras.saving.register_keras_serializable(package="{module}")
class Twice(keras.layers.Layer):
    def call(self, x):
        return 2 * x

def small(input_shape, classes, activation="relu"):
    return keras.Sequential([
        keras.Input(input_shape), keras.layers.Flatten(), Twice(),
        keras.layers.Dense(8, activation), keras.layers.Dense(classes),
    ])
"""


@pytest.mark.slow
def test_a_tuned_network_of_an_own_builder_is_loaded_in_another_process(
    call, tmp_path, monkeypatch
):
    (tmp_path / "own_small.py").write_text(OWN.format(module="own_small"))
    monkeypatch.chdir(tmp_path)
    flags = [*QUICK, "--activation=relu", "--model=own_small:small", f"--out={tmp_path / 'run'}"]
    code, _, err = call("cifar", *flags)
    assert code == 0, err
    run, tuned, again = (tmp_path / name for name in ("run", "tuned", "again"))
    short = ["--epochs=1", "--batch_size=32"]
    code, _, err = call("finetune", run, *short, f"--out={tuned}")
    assert code == 0, err
    other = ["--replace=swish_beta:gelu", *short, f"--out={again}"]
    for arguments in (["evaluate", tuned], ["finetune", tuned, *other], ["evaluate", again]):
        # As a process that has not imported the module.
        keras.saving.get_custom_objects().pop("own_small>Twice", None)
        monkeypatch.delitem(sys.modules, "own_small", raising=False)
        code, _, err = call(*arguments)
        assert code == 0, err
    config = io.read_json(again / "config.json")["config"]
    assert config["builder"] == "own_small:small"
