import dataclasses
import json

import keras
import numpy as np
import pytest
from small_run import RECIPE, run

from keras_swish import models, optimizers
from keras_swish.train.datasets.augmentation import Batches
from keras_swish.train.errors import ArgumentError
from keras_swish.train.trainer import epoch_log, trainer

pytestmark = pytest.mark.usefixtures("small")


def kernels(model):
    return [keras.ops.convert_to_numpy(v) for v in model.weights if v.name == "kernel"]


def test_one_seed_gives_every_activation_the_same_kernels(tiny):
    expected = kernels(trainer.build(run("relu"), tiny))
    for activation in ("swish", "swish_beta", "tanh"):
        for ours, theirs in zip(expected, kernels(trainer.build(run(activation), tiny))):
            np.testing.assert_array_equal(ours, theirs)
    other = kernels(trainer.build(run("relu", seed=1), tiny))
    assert not any(np.array_equal(ours, theirs) for ours, theirs in zip(expected, other))


def test_a_run_learns_and_leaves_its_files(tiny, tmp_path):
    result = trainer.train(run(epochs=12), tiny, tmp_path)
    assert result["status"] == "ok"
    assert result["test_accuracy"] > 0.9
    assert result["epochs"] == 12
    assert result["steps"] == 12 * 4
    left = {"checkpoints", "config.json", "log.csv", "model.keras", "result.json"}
    assert {p.name for p in tmp_path.iterdir()} == left
    log = epoch_log.read_log(tmp_path)
    assert [row["epoch"] for row in log] == list(range(12))
    assert log[-1]["loss"] < log[0]["loss"]
    assert log[-1]["val_accuracy"] == pytest.approx(result["validation_accuracy"])

    # The saved model is the one that was tested.
    model = keras.saving.load_model(tmp_path / "model.keras")
    batches = Batches(tiny, tiny.test, 30)
    predicted = np.argmax(model.predict(batches[0][0], verbose=0), axis=1)
    accuracy = np.mean(predicted == tiny.test.labels)
    assert accuracy == pytest.approx(result["test_accuracy"])


def test_a_run_names_every_machine_that_trained_it(tiny, tmp_path, monkeypatch):
    for processor in ("one", "two", "two"):
        monkeypatch.setattr(trainer, "environment", lambda: {"processor": processor})  # noqa: B023
        trainer._record(run(), tmp_path, tiny)
    record = json.loads((tmp_path / "config.json").read_text())
    assert trainer.Run.from_config(record["config"]) == run()
    assert [start["environment"]["processor"] for start in record["starts"]] == ["one", "two"]
    # What a program has written stays as it is.
    written = json.dumps({"config": {"program": "cifar"}, "starts": []})
    (tmp_path / "config.json").write_text(written)
    trainer._record(run(), tmp_path, tiny)
    assert (tmp_path / "config.json").read_text() == written
    named = dataclasses.replace(tiny, class_names=["cat", "dog", "eel"])
    trainer._record(run(), tmp_path, named)
    assert json.loads((tmp_path / "config.json").read_text())["class_names"] == named.class_names
    trainer._record(run(), tmp_path, tiny)  # of unknown ones
    other = dataclasses.replace(tiny, class_names=["cat", "eel", "dog"])
    with pytest.raises(ArgumentError, match=r"other classes \(class 1 'dog', now 'eel'\)"):
        trainer._record(run(), tmp_path, other)


def test_a_finished_run_is_read_and_not_trained_again(tiny, tmp_path):
    first = trainer.train(run(epochs=1), tiny, tmp_path)
    written = (tmp_path / "model.keras").stat().st_mtime_ns
    assert trainer.train(run(epochs=1), tiny, tmp_path) == first
    assert (tmp_path / "model.keras").stat().st_mtime_ns == written


def test_weights_are_averaged_for_the_tests_alone(tiny, tmp_path):
    model = trainer.build(run(ema_momentum=0.5), tiny)
    model.fit(tiny.training(16, 0, 0, 4), shuffle=False, verbose=0)
    trained = [keras.ops.convert_to_numpy(v) for v in model.trainable_variables]
    averages = [keras.ops.convert_to_numpy(v) for v in model.optimizer.averages]
    assert not np.array_equal(trained[0], averages[0])
    with trainer.averaged(model):
        for variable, average in zip(model.trainable_variables, averages):
            np.testing.assert_array_equal(variable, average)
    for variable, before in zip(model.trainable_variables, trained):
        np.testing.assert_array_equal(variable, before)


def test_a_loss_that_is_not_finite_stops_the_run_at_once(tiny, tmp_path):
    result = trainer.train(run("relu", learning_rate=1e30), tiny, tmp_path)
    assert result["status"].startswith("diverged: the loss is ")
    assert "in epoch 1, step " in result["status"]
    assert result["test_accuracy"] is None
    assert not (tmp_path / "model.keras").exists()


@pytest.mark.parametrize("host", [0, 1])
@pytest.mark.parametrize("where", ["validation", "test"])
def test_a_network_whose_loss_is_not_finite_on_other_images_diverged(
    tiny, tmp_path, monkeypatch, where, host
):
    """On the host without a log, too: they have to go on alike. Answers are the first class."""
    evaluate, splits = trainer.evaluate, []

    def broken(model, dataset, split, *arguments):
        splits.append(split)
        found = evaluate(model, dataset, split, *arguments)
        return {**found, "loss": np.nan} if split == where else found

    monkeypatch.setattr(trainer, "evaluate", broken)
    devices = trainer.Devices(count=2, host=host, hosts=2)
    result = trainer.train(run(epochs=1), tiny, tmp_path, devices=devices)
    assert result["status"] == f"diverged: the {where} loss is nan"
    assert (result["test_accuracy"], result["test_loss"]) == (None, None)
    assert result["validation_accuracy"] is None
    assert splits[-1] == where
    assert not (tmp_path / "model.keras").exists()


def test_a_network_that_does_not_fit_the_data_is_named(tiny):
    small = dataclasses.replace(
        tiny, train=tiny.train.__class__(tiny.train.images[:, :4, :4], tiny.train.labels)
    )
    with pytest.raises(ArgumentError, match="at least 8"):
        trainer.build(run(), small)


@pytest.mark.slow
def test_mixed_precision_trains_and_saves(tiny, tmp_path):
    mixed = trainer.Run("tiny", "resnet8", "swish_beta", 0, RECIPE, dtype_policy="mixed_bfloat16")
    try:
        assert trainer.train(mixed, tiny, tmp_path)["status"] == "ok"
    finally:
        keras.config.set_dtype_policy("float32")


def test_short_runs_get_statistics_that_converge(tiny):
    model = trainer.build(run(epochs=10), tiny)
    assert model.get_layer("conv1_bn").momentum == optimizers.converged_bn_momentum(40)
    assert trainer.build(run(bn_momentum=0.7), tiny).get_layer("conv1_bn").momentum == 0.7


@pytest.mark.jax
def test_on_jax_a_run_learns(tmp_path, python):
    pytest.importorskip("jax")
    outcome = python(
        "-m", "keras_swish.train.cifar", "--epochs=4", f"--out={tmp_path}", KERAS_BACKEND="jax"
    )
    result = json.loads((tmp_path / trainer.RESULT).read_text())
    assert result["test_accuracy"] > 0.8
    assert "test accuracy" in outcome.stdout


def test_parts_of_a_batch_train_as_the_batch_does(tiny, tmp_path, monkeypatch):
    """Without batch normalisation, which sees parts."""

    def build(input_shape, classes, activation, **_):
        layers = [
            keras.Input(input_shape),
            keras.layers.Flatten(),
            keras.layers.Dense(8, activation),
        ]
        return keras.Sequential([*layers, keras.layers.Dense(classes)])

    monkeypatch.setitem(models.BUILDERS, "small", build)
    # What is drawn for a batch is not drawn for its parts, and the passes have to be the same.
    spec = dataclasses.replace(tiny.spec, pad=0, flip=False)
    tiny = dataclasses.replace(tiny, train=tiny.train[:64], spec=spec)
    recipe = {"epochs": 3, "optimizer": "rmsprop", "ema_momentum": 0.8, "clip_norm": 0.5}
    results = []
    for parts in (1, 2):
        one = run("relu", **recipe, accumulation_steps=parts)
        results.append(trainer.train(one, tiny, tmp_path / str(parts)))
    whole, in_parts = results
    assert in_parts["steps"] == whole["steps"] == 3 * 4
    assert in_parts["test_loss"] == pytest.approx(whole["test_loss"], rel=1e-4)
    logs = [epoch_log.read_log(tmp_path / parts) for parts in ("1", "2")]
    for name in ("loss", "learning_rate", "steps", "val_loss"):
        ours, theirs = ([row[name] for row in log] for log in logs)
        assert ours == pytest.approx(theirs, rel=1e-4), name


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="is TensorFlow's")
@pytest.mark.parametrize(
    ("wanted", "gpus", "enabled"),
    [(None, 0, True), (None, 1, False), (True, 1, True), (False, 0, False)],
)
def test_gpus_are_deterministic_on_request_alone(monkeypatch, wanted, gpus, enabled):
    import tensorflow as tf

    called = []
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind] * gpus)
    monkeypatch.setattr(
        tf.config.experimental, "enable_op_determinism", lambda: called.append(True)
    )
    trainer.make_deterministic(wanted)
    assert bool(called) is enabled
