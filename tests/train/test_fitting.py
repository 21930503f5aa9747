import json
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

from keras_swish.train import callbacks, fitting, recipes
from keras_swish.train.errors import ArgumentError

RECIPE = recipes.Recipe("a test", epochs=4, batch_size=16, learning_rate=0.1, schedule="cosine")


def run(activation="swish_beta", seed=0, **recipe):
    return fitting.Run(
        "tiny", "resnet8", activation, seed, recipes.dataclasses.replace(RECIPE, **recipe)
    )


def kernels(model):
    return [keras.ops.convert_to_numpy(v) for v in model.weights if v.name == "kernel"]


def test_one_seed_gives_every_activation_the_same_kernels(tiny):
    expected = kernels(fitting.build(run("relu"), tiny))
    for activation in ("swish", "swish_beta", "tanh"):
        for ours, theirs in zip(expected, kernels(fitting.build(run(activation), tiny))):
            np.testing.assert_array_equal(ours, theirs)
    other = kernels(fitting.build(run("relu", seed=1), tiny))
    assert not any(np.array_equal(ours, theirs) for ours, theirs in zip(expected, other))


def test_folders_of_runs_are_readable_and_never_the_same():
    assert fitting.slug("swish_beta", 3) == "swish_beta-seed3"
    formulas = ["x * sin(x)", "x + sin(x)", "x*sin(x)", "x_sin_x"]
    slugs = [fitting.slug(formula, 0) for formula in formulas]
    assert len(set(slugs)) == 4
    assert slugs[0].startswith("x_sin_x-")


def test_a_run_learns_and_leaves_its_files(tiny, tmp_path):
    result = fitting.train(run(epochs=12), tiny, tmp_path)
    assert result["status"] == "ok"
    assert result["test_accuracy"] > 0.9
    assert result["epochs"] == 12
    assert result["steps"] == 12 * 4
    assert {p.name for p in tmp_path.iterdir()} == {"log.csv", "model.keras", "result.json"}
    log = fitting.read_log(tmp_path)
    assert [row["epoch"] for row in log] == list(range(12))
    assert log[-1]["loss"] < log[0]["loss"]
    assert log[-1]["val_accuracy"] == pytest.approx(result["validation_accuracy"])

    # The saved model is the one that was tested.
    model = keras.saving.load_model(tmp_path / "model.keras")
    batches = fitting.Batches(tiny, tiny.test, 30)
    predicted = np.argmax(model.predict(batches[0][0], verbose=0), axis=1)
    accuracy = np.mean(predicted == tiny.test.labels)
    assert accuracy == pytest.approx(result["test_accuracy"])


def test_a_finished_run_is_read_and_not_trained_again(tiny, tmp_path):
    first = fitting.train(run(epochs=1), tiny, tmp_path)
    written = (tmp_path / "model.keras").stat().st_mtime_ns
    assert fitting.train(run(epochs=1), tiny, tmp_path) == first
    assert (tmp_path / "model.keras").stat().st_mtime_ns == written


class CutError(Exception):
    """Stands in for a kill."""


def weights(directory):
    model = keras.saving.load_model(directory / "model.keras")
    return [keras.ops.convert_to_numpy(v) for v in model.weights]


def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(tiny, tmp_path, monkeypatch):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    expected = fitting.train(run(), tiny, whole)

    def interrupt(self, batch, logs=None):
        if (self.epoch, batch) == (2, 1):
            raise CutError

    with monkeypatch.context() as patch:
        patch.setattr(callbacks.Progress, "on_train_batch_end", interrupt)
        with pytest.raises(CutError):
            fitting.train(run(), tiny, cut, checkpoint_seconds=0)
    assert (cut / fitting.CHECKPOINT).exists()
    resumed = fitting.train(run(), tiny, cut, checkpoint_seconds=0)
    timing = {"seconds", "images_per_second"}
    assert {k: resumed[k] for k in resumed.keys() - timing} == {
        k: expected[k] for k in expected.keys() - timing
    }
    for ours, theirs in zip(weights(whole), weights(cut)):
        np.testing.assert_array_equal(ours, theirs)
    logs = [
        [{k: v for k, v in row.items() if k != "seconds"} for row in fitting.read_log(directory)]
        for directory in (whole, cut)
    ]
    assert logs[0] == logs[1]
    assert not (cut / fitting.CHECKPOINT).exists()


def test_rows_behind_the_checkpoint_are_logged_once(tiny, tmp_path, monkeypatch):
    save = callbacks.Checkpoint.on_epoch_end

    def interrupt(self, epoch, logs=None):
        if epoch == 2:
            # The row of this epoch is in the log, its checkpoint is not.
            raise CutError
        save(self, epoch, logs)

    with monkeypatch.context() as patch:
        patch.setattr(callbacks.Checkpoint, "on_epoch_end", interrupt)
        with pytest.raises(CutError):
            fitting.train(run(), tiny, tmp_path, checkpoint_seconds=0)
    before = fitting.read_log(tmp_path)
    assert [row["epoch"] for row in before] == [0, 1, 2]
    with open(tmp_path / fitting.LOG, "a") as file:
        file.write("3,0.5")  # a row that a kill cut short
    fitting.train(run(), tiny, tmp_path)
    after = fitting.read_log(tmp_path)
    assert [row["epoch"] for row in after] == [0, 1, 2, 3]
    # Epochs 0 and 1 were not trained again: their times are the old ones.
    assert after[:2] == before[:2]


def interrupted(run, tiny, directory, monkeypatch):
    """Leaves the checkpoint of a run that was cut off."""

    def interrupt(self, batch, logs=None):
        if self.epoch == 1:
            raise CutError

    with monkeypatch.context() as patch:
        patch.setattr(callbacks.Progress, "on_train_batch_end", interrupt)
        with pytest.raises(CutError):
            fitting.train(run, tiny, directory, checkpoint_seconds=0)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"model": "resnet14"}, "model 'resnet14', now 'resnet8'"),
        ({"activation": "relu"}, "activation 'relu', now 'swish_beta'"),
        ({"seed": 1}, "seed 1, now 0"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(tiny, tmp_path, monkeypatch, other, message):
    interrupted(fitting.dataclasses.replace(run(), **other), tiny, tmp_path, monkeypatch)
    before = (tmp_path / fitting.CHECKPOINT).read_bytes()
    with pytest.raises(ArgumentError, match=f"is of another run \\({message}") as caught:
        fitting.train(run(), tiny, tmp_path)
    assert caught.value.argument == "out"
    assert (tmp_path / fitting.CHECKPOINT).read_bytes() == before


def test_a_broken_checkpoint_is_refused(tiny, tmp_path):
    (tmp_path / fitting.CHECKPOINT).write_text("nonsense")
    with pytest.raises(ArgumentError, match="is broken"):
        fitting.train(run(), tiny, tmp_path)
    assert (tmp_path / fitting.CHECKPOINT).read_text() == "nonsense"


def test_a_loss_that_is_not_finite_stops_the_run_at_once(tiny, tmp_path):
    result = fitting.train(run("relu", learning_rate=1e30), tiny, tmp_path)
    assert result["status"].startswith("diverged: the loss is ")
    assert "in epoch 1, step " in result["status"]
    assert result["test_accuracy"] is None
    assert not (tmp_path / "model.keras").exists()


def test_a_network_that_does_not_fit_the_data_is_named(tiny):
    small = recipes.dataclasses.replace(
        tiny, train=tiny.train.__class__(tiny.train.images[:, :4, :4], tiny.train.labels)
    )
    with pytest.raises(ArgumentError, match="at least 8"):
        fitting.build(run(), small)


def test_mixed_precision_trains_and_saves(tiny, tmp_path):
    mixed = fitting.Run("tiny", "resnet8", "swish_beta", 0, RECIPE, dtype_policy="mixed_bfloat16")
    try:
        assert fitting.train(mixed, tiny, tmp_path)["status"] == "ok"
    finally:
        keras.config.set_dtype_policy("float32")


def test_short_runs_get_statistics_that_converge(tiny):
    model = fitting.build(run(epochs=10), tiny)
    assert model.get_layer("bn").momentum == recipes.converged_bn_momentum(40)
    assert fitting.build(run(bn_momentum=0.7), tiny).get_layer("bn").momentum == 0.7


def test_tensorboard_log_is_written(tiny, tmp_path):
    pytest.importorskip("tensorboard")
    pytest.importorskip("tensorflow")
    fitting.train(run(epochs=1), tiny, tmp_path, tensorboard=True)
    assert list(tmp_path.glob("tensorboard/train/*tfevents*"))
    assert list(tmp_path.glob("tensorboard/validation/*tfevents*"))


def killed_run(command, checkpoint, random, kills):
    """Starts a command until it ends by itself, killing it when it has saved and trains on."""
    done = 0
    for _ in range(kills + 1):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        present = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        moment = None
        while process.poll() is None:
            if moment is None and checkpoint.exists() and checkpoint.stat().st_mtime_ns > present:
                moment = time.time() + random.uniform(0, 0.5)
            if done < kills and moment and time.time() > moment:
                process.send_signal(signal.SIGKILL)
                done += 1
                break
            time.sleep(0.002)
        error = process.communicate()[1].decode()
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, error
        assert checkpoint.exists()
    return done


@pytest.mark.parametrize(
    ("kills", "epochs"), [(1, 12), pytest.param(8, 60, marks=pytest.mark.slow)]
)
def test_killed_at_a_random_step_it_ends_with_the_same_weights(
    kills, epochs, tmp_path, root, monkeypatch
):
    monkeypatch.setenv("PYTHONPATH", str(root))
    command = [sys.executable, "-m", "keras_swish.train.cifar", "--activation=swish_beta"]
    command += [f"--epochs={epochs}", "--checkpoint_seconds=0"]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    subprocess.run([*command, f"--out={whole}"], check=True, capture_output=True)
    random = np.random.default_rng()
    command += [f"--out={cut}"]
    assert killed_run(command, cut / fitting.CHECKPOINT, random, kills) == kills
    results = [json.loads((d / fitting.RESULT).read_text()) for d in (whole, cut)]
    assert results[0]["test_accuracy"] == results[1]["test_accuracy"]
    assert results[0]["test_loss"] == results[1]["test_loss"]
    for ours, theirs in zip(weights(whole), weights(cut)):
        np.testing.assert_array_equal(ours, theirs)


def test_on_jax_a_run_learns(tmp_path, python):
    pytest.importorskip("jax")
    outcome = python(
        "-m", "keras_swish.train.cifar", "--epochs=4", f"--out={tmp_path}", KERAS_BACKEND="jax"
    )
    result = json.loads((tmp_path / fitting.RESULT).read_text())
    assert result["test_accuracy"] > 0.8
    assert "test accuracy" in outcome.stdout


def test_killed_between_the_last_epoch_and_the_test_it_is_only_tested(tiny, tmp_path, monkeypatch):
    expected = fitting.train(run(), tiny, tmp_path / "whole")

    def interrupt(*arguments, **keywords):
        raise CutError

    with monkeypatch.context() as patch:
        patch.setattr(keras.Model, "save", interrupt)
        with pytest.raises(CutError):
            fitting.train(run(), tiny, tmp_path / "cut", checkpoint_seconds=0)
    log = fitting.read_log(tmp_path / "cut")
    resumed = fitting.train(run(), tiny, tmp_path / "cut")
    assert fitting.read_log(tmp_path / "cut") == log
    assert resumed["test_loss"] == expected["test_loss"]
    assert resumed["validation_accuracy"] == expected["validation_accuracy"]
