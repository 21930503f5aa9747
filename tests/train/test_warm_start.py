"""Runs that start from the weights of another network."""

import dataclasses
import warnings

import keras
import numpy as np
import pytest
from small_run import run

from keras_swish.layers import betas
from keras_swish.train.errors import ArgumentError
from keras_swish.train.trainer import model as model_building
from keras_swish.train.trainer import trainer

QUICK = ["--epochs=1", "--train_split=train[:100]", "--batch_size=32", "--model=resnet8"]


def by_path(model):
    return {variable.path: np.asarray(variable.value) for variable in model.weights}


@pytest.mark.usefixtures("small")
def test_a_network_with_another_activation_and_classifier_starts_from_a_file(tiny, tmp_path):
    file = tmp_path / "source.keras"
    source = trainer.build(run("relu", seed=5), tiny)
    model_building.classifier(source).save(file)
    started = trainer.build(run("swish_beta", weights=str(file)), tiny)
    fresh, trained = by_path(trainer.build(run("swish_beta"), tiny)), by_path(source)
    for path, value in by_path(started).items():
        expected = trained.get(path, fresh[path])  # a beta is new
        np.testing.assert_array_equal(value, expected, err_msg=path)


@pytest.mark.usefixtures("small")
def test_only_a_classifier_of_other_classes_is_new(tiny, tmp_path):
    file = tmp_path / "source.keras"
    other = dataclasses.replace(tiny, classes=7)
    source = trainer.build(run("relu", seed=5), other)
    model_building.classifier(source).save(file)
    started = by_path(trainer.build(run("relu", weights=str(file)), tiny))
    fresh, trained = by_path(trainer.build(run("relu"), tiny)), by_path(source)
    for path, value in started.items():
        expected = fresh[path] if value.shape[-1:] == (3,) else trained[path]
        np.testing.assert_array_equal(value, expected, err_msg=path)


@pytest.mark.usefixtures("small")
def test_trained_betas_are_taken_and_others_are_named(tiny, tmp_path):
    file = tmp_path / "source.keras"
    source = model_building.classifier(trainer.build(run("swish_beta", seed=5), tiny))
    for beta in betas(source).values():
        beta.assign(np.full(beta.shape, 3.0))
    source.save(file)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        started = trainer.build(run("swish_beta", weights=str(file)), tiny)
    values = by_path(started)
    for path, value in by_path(source).items():
        np.testing.assert_array_equal(values[path], value, err_msg=path)
    with pytest.warns(UserWarning, match="source.keras has no .*beta.*: initial values kept"):
        trainer.build(run("prelu", weights=str(file)), tiny)


@pytest.mark.usefixtures("small")
def test_a_file_of_a_sequential_of_another_network_is_refused(tiny, tmp_path):
    file = tmp_path / "source.keras"
    keras.Sequential([keras.Input(tiny.input_shape), keras.layers.Flatten()]).save(file)
    with pytest.raises(ArgumentError, match=r"Received: 'sequential.*' with 0"):
        trainer.build(run("relu", weights=str(file)), tiny)


@pytest.mark.slow
def test_a_run_starts_where_another_one_ended(call, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    assert call("cifar", *QUICK, "--activation=relu", f"--out={first}")[0] == 0
    flags = [*QUICK, "--activation=swish_beta", "--learning_rate=1e-9", f"--weights={first}"]
    code, _, err = call("cifar", *flags, f"--out={second}")
    assert code == 0, err
    ours, theirs = (keras.saving.load_model(out / "model.keras") for out in (second, first))
    kernels = [[v for v in model.weights if v.name == "kernel"] for model in (ours, theirs)]
    for left, right in zip(*kernels, strict=True):
        np.testing.assert_allclose(left.value, right.value, atol=1e-6)
    # Another file is another run.
    theirs.trainable_weights[0].assign(theirs.trainable_weights[0] + 1)
    theirs.save(tmp_path / "third.keras")
    flags[-1] = f"--weights={tmp_path / 'third.keras'}"
    code, _, err = call("cifar", *flags, f"--out={second}")
    assert code == 2
    assert "holds the results of other settings (weights " in err


@pytest.mark.parametrize(
    ("weights", "message"),
    [("nothing.keras", "is not there"), ("imagenet", "has no weights of this network")],
)
def test_weights_that_there_are_not_are_one_line(call, tmp_path, weights, message):
    code, _, err = call("cifar", *QUICK, f"--weights={weights}", f"--out={tmp_path / 'run'}")
    assert code == 2
    assert f"--weights={weights}: " in err
    assert message in err
    assert err.count("\n") == 1
