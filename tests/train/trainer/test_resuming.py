"""An interrupted run ends as if it had not been interrupted."""

import dataclasses
import json
import re
import shutil
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from small_run import run, small_network

from keras_swish import models
from keras_swish.train.errors import ArgumentError, PreemptedError
from keras_swish.train.trainer import callbacks, checkpoints, epoch_log, trainer

pytestmark = pytest.mark.usefixtures("small")
SLOW = pytest.mark.slow


@pytest.fixture(autouse=True)
def sound(request, capsys):
    """Sees to it that no run started again where it should have resumed."""
    yield
    if "damaged" not in request.node.name and "no_whole" not in request.node.name:
        assert "is broken" not in capsys.readouterr().err


@pytest.fixture(scope="module")
def whole(tmp_path_factory, tiny):
    """The folder of a run that was never interrupted."""
    directory = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(models.BUILDERS, "small", small_network)
        trainer.train(run(), tiny, directory)
    return directory


class CutError(Exception):
    """Stands in for a kill."""


def weights(directory):
    model = keras.saving.load_model(directory / "model.keras")
    return [keras.ops.convert_to_numpy(v) for v in model.weights]


def assert_same_outcome(whole, cut):
    """The same weights, the same result, the same log: all but the time that it took."""
    for ours, theirs in zip(weights(whole), weights(cut)):
        np.testing.assert_array_equal(ours, theirs)
    results = [json.loads((directory / trainer.RESULT).read_text()) for directory in (whole, cut)]
    logs = [epoch_log.read_log(directory) for directory in (whole, cut)]
    for rows in (results, *zip(*logs, strict=True)):
        for row in rows:
            row.pop("seconds")
            row.pop("images_per_second", None)
        assert rows[0] == rows[1]


def cut_off(monkeypatch, step):
    """Lets the run end, as if killed, behind that step and its checkpoint."""

    def interrupt(self, batch, logs=None):
        save(self, batch, logs)
        if self.counter.step == step:
            raise CutError

    save = callbacks.RunCallback.on_train_batch_end
    monkeypatch.setattr(callbacks.RunCallback, "on_train_batch_end", interrupt)


def trained_with_and_without_a_cut(run, step, tiny, folder, monkeypatch):
    """The folders of two trainings of one run, of which the second is cut off and resumed."""
    uncut, cut = folder / "uncut", folder / "cut"
    trainer.train(run, tiny, uncut)
    with monkeypatch.context() as patch:
        cut_off(patch, step)
        with pytest.raises(CutError):
            trainer.train(run, tiny, cut, checkpoint_seconds=0)
    trainer.train(run, tiny, cut)
    return uncut, cut


# All that has a state of its own: dropout and drop path their seeds and a count, RMSProp its
# accumulators, the average of the weights.
NASNET = {
    "optimizer": "rmsprop",
    "ema_momentum": 0.9,
    "clip_norm": 10.0,
    "auxiliary_weight": 0.4,
    "dropout": 0.5,
    "drop_path": 0.3,
}


# Behind an epoch's last step, 8, the validation comes before the checkpoint.
@pytest.mark.parametrize(("step", "saved"), [(2, 2), pytest.param(8, 7, marks=SLOW)])
def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(
    step, saved, whole, tiny, tmp_path, monkeypatch, capsys
):
    with monkeypatch.context() as patch:
        cut_off(patch, step)
        with pytest.raises(CutError):
            trainer.train(run(), tiny, tmp_path, checkpoint_seconds=0)
    capsys.readouterr()
    trainer.train(run(), tiny, tmp_path, checkpoint_seconds=0)
    assert f"resuming from step {saved}\n" in capsys.readouterr().out
    assert_same_outcome(whole, tmp_path)


# Today's: AdamW, images and labels that are mixed.
MODERN = {
    "optimizer": "adamw",
    "weight_decay": 0.05,
    "ema_momentum": 0.9,
    "label_smoothing": 0.1,
    "rand_augment": 9.0,
    "random_erasing": 0.25,
    "mixup": 0.8,
    "cutmix": 1.0,
    "auxiliary_weight": 0.4,
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "others", [pytest.param(NASNET, id="nasnet"), pytest.param(MODERN, id="modern")]
)
def test_seeds_averages_and_counts_are_resumed_too(others, tiny, tmp_path, monkeypatch):
    given = run(**{"epochs": 2, **others})
    uncut, cut = trained_with_and_without_a_cut(given, 3, tiny, tmp_path, monkeypatch)
    assert_same_outcome(uncut, cut)
    # The classifier alone is saved.
    assert len(keras.saving.load_model(uncut / "model.keras").outputs) == 1


OWN = """
import keras

def own(input_shape, classes):
    layers = [keras.layers.Conv2D(4, 3, activation="relu"), keras.layers.Dropout(0.3)]
    layers += [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(classes)]
    return keras.Sequential([keras.Input(input_shape), *layers])
"""


@pytest.mark.slow
def test_a_network_of_ones_own_builder_is_resumed_too(tiny, tmp_path, monkeypatch):
    (tmp_path / "own_network.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    own = dataclasses.replace(run(epochs=2), model="own_network:own")
    uncut, cut = trained_with_and_without_a_cut(own, 3, tiny, tmp_path, monkeypatch)
    assert_same_outcome(uncut, cut)


@pytest.mark.slow
def test_epochs_of_any_length_take_as_many_steps_as_the_recipe_says(tiny, tmp_path, monkeypatch):
    steps = {"steps": 7, "steps_per_epoch": 3}
    uncut, cut = trained_with_and_without_a_cut(run(**steps), 4, tiny, tmp_path, monkeypatch)
    assert trainer.read_result(uncut)["steps"] == 7
    assert [row["epoch"] for row in epoch_log.read_log(uncut)] == [0, 1, 2]
    assert_same_outcome(uncut, cut)


def terminate(*_):
    signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize(
    ("where", "step"),
    [
        pytest.param("train", 1, marks=SLOW),
        ("validation", 4),
        pytest.param("test", 16, marks=SLOW),
    ],
)
def test_sigterm_saves_and_the_run_resumes_from_there(
    where, step, whole, tiny, tmp_path, monkeypatch, capsys
):
    evaluate, look = trainer.evaluate, callbacks.raise_if_diverged

    def evaluated(model, dataset, split, *rest):
        if split == where:
            terminate()
        return evaluate(model, dataset, split, *rest)

    def looked(counter, logs):
        if where == "train":
            terminate()
        look(counter, logs)

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "evaluate", evaluated)
        patch.setattr(callbacks, "raise_if_diverged", looked)
        with pytest.raises(PreemptedError):
            trainer.train(run(), tiny, tmp_path)  # no checkpoint is due for long
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    capsys.readouterr()
    trainer.train(run(), tiny, tmp_path)
    assert f"resuming from step {step}\n" in capsys.readouterr().out
    assert_same_outcome(whole, tmp_path)


def test_sigterm_behind_the_test_ends_the_program_after_the_result(tiny, tmp_path, monkeypatch):
    close = checkpoints.Checkpoints.close

    def closed(self):
        terminate()
        close(self)

    monkeypatch.setattr(checkpoints.Checkpoints, "close", closed)
    with pytest.raises(PreemptedError, match="stopped by SIGTERM, and saved"):
        trainer.train(run(steps=1), tiny, tmp_path)
    assert trainer.read_result(tmp_path)["steps"] == 1


@pytest.mark.slow
def test_the_best_checkpoint_survives_sigterm_in_the_test(tiny, tmp_path, monkeypatch):
    evaluate, accuracies = trainer.evaluate, iter([0.1, 0.2, 0.3, 0.4])
    terminations = iter([terminate, terminate])

    def evaluated(model, dataset, split, *rest):
        if split == "test":
            next(terminations, int)()
            return evaluate(model, dataset, split, *rest)
        return {"loss": 1.0, "accuracy": next(accuracies)}

    monkeypatch.setattr(trainer, "evaluate", evaluated)
    for _ in range(2):  # the second time the run is resumed for the test alone
        with pytest.raises(PreemptedError):
            trainer.train(run(), tiny, tmp_path)
    trainer.train(run(), tiny, tmp_path)
    (best,) = (tmp_path / trainer.CHECKPOINTS).iterdir()
    assert best.name == "step-0000000016.npz"


@pytest.mark.jax
@SLOW
def test_sigterm_on_jax(python, root):
    # Where a model's weights are elsewhere during an evaluation.
    pytest.importorskip("jax")
    path = "tests/train/trainer/test_resuming.py"
    tests = "test_sigterm_saves or test_a_resumed"
    # The slow ones of them, too.
    all_of_them = ("-m", "pytest", "-m", "", "-k", tests, path)
    assert "5 passed" in python(*all_of_them, cwd=root, KERAS_BACKEND="jax").stdout


@pytest.mark.slow
def test_the_best_checkpoint_is_there_however_short_the_run(tiny, tmp_path):
    trainer.train(run(), tiny, tmp_path)
    (best,) = (tmp_path / trainer.CHECKPOINTS).iterdir()
    log = epoch_log.read_log(tmp_path)
    first = max(log, key=lambda row: row["val_accuracy"])
    assert best.name == f"step-{4 * (int(first['epoch']) + 1):010}.npz"


@pytest.mark.slow
def test_rows_behind_the_checkpoint_are_logged_once(tiny, tmp_path, monkeypatch):
    save_epoch, save_if_due = callbacks.RunCallback.save_epoch, callbacks.RunCallback.save_if_due

    def interrupt(self, accuracy):
        if self.counter.epochs == 3:
            # The row of this epoch is in the log, its checkpoint is not.
            raise CutError
        save_epoch(self, accuracy)

    def save_epochs_only(self, at_once=False, **record):
        if "val_accuracy" in record:
            save_if_due(self, at_once, **record)

    with monkeypatch.context() as patch:
        patch.setattr(callbacks.RunCallback, "save_epoch", interrupt)
        patch.setattr(callbacks.RunCallback, "save_if_due", save_epochs_only)
        with pytest.raises(CutError):
            trainer.train(run(), tiny, tmp_path, checkpoint_seconds=0)
    before = epoch_log.read_log(tmp_path)
    assert [row["epoch"] for row in before] == [0, 1, 2]
    with open(tmp_path / epoch_log.LOG, "a") as file:
        file.write("3,0.5")  # a row that a kill cut short
    trainer.train(run(), tiny, tmp_path)
    after = epoch_log.read_log(tmp_path)
    assert [row["epoch"] for row in after] == [0, 1, 2, 3]
    # Epochs 0 and 1 were not trained again: their times are the old ones.
    assert after[:2] == before[:2]


def interrupted(run, tiny, directory, monkeypatch):
    """Leaves the checkpoints of a run that was cut off, the newest first."""
    with monkeypatch.context() as patch:
        cut_off(patch, 6)
        with pytest.raises(CutError):
            trainer.train(run, tiny, directory, checkpoint_seconds=0)
    return sorted((directory / trainer.CHECKPOINTS).iterdir(), reverse=True)


@pytest.fixture(scope="module")
def begun(tmp_path_factory, tiny):
    """The folder of a run that was cut off, for tests that copy it."""
    directory = tmp_path_factory.mktemp("begun")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(models.BUILDERS, "small", small_network)
        interrupted(run(), tiny, directory, patch)
    return directory


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"model": "resnet8"}, "model 'small', now 'resnet8'"),
        ({"activation": "relu"}, "activation 'swish_beta', now 'relu'"),
        ({"seed": 1}, "seed 0, now 1"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(begun, tiny, tmp_path, other, message):
    shutil.copytree(begun, tmp_path, dirs_exist_ok=True)
    path = max((tmp_path / trainer.CHECKPOINTS).iterdir())
    before = path.read_bytes()
    with pytest.raises(ArgumentError, match=f"is of another run \\({message}") as caught:
        trainer.train(dataclasses.replace(run(), **other), tiny, tmp_path)
    assert caught.value.argument == "out"
    assert path.read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["changed", "cut", "empty"])
def test_behind_a_damaged_checkpoint_is_the_one_before(
    damage, whole, tiny, tmp_path, monkeypatch, capsys
):
    newest, *older = interrupted(run(), tiny, tmp_path, monkeypatch)
    assert older
    content = newest.read_bytes()
    with np.load(newest) as archive:
        kernel = max((archive[name] for name in archive.files), key=np.size)
    middle = content.index(kernel.tobytes()) + 100
    damaged = {
        "cut": content[:middle],
        "changed": content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :],
        "empty": b"",
    }
    newest.write_bytes(damaged[damage])
    capsys.readouterr()
    trainer.train(run(), tiny, tmp_path)
    assert f"{newest} is broken" in (said := capsys.readouterr().err)
    assert "resuming from step 5" in said
    assert newest.with_suffix(".npz.broken").read_bytes() == damaged[damage]
    assert_same_outcome(whole, tmp_path)


def test_with_no_whole_checkpoint_a_run_starts_again(tiny, tmp_path, capsys):
    (tmp_path / trainer.CHECKPOINTS).mkdir()
    (tmp_path / trainer.CHECKPOINTS / "step-0000000003.npz").write_text("nonsense")
    assert trainer.train(run(epochs=1), tiny, tmp_path)["status"] == "ok"
    assert "starting from the beginning" in capsys.readouterr().err


def killed_run(command, checkpoints, random, kills):
    """Starts a command until it ends by itself; returns the steps that it resumed from.

    Each second time it is killed when it has saved and trains on, and otherwise at any moment
    from its start: while it starts, loads, or saves for the first time.
    """
    resumed, startup = [], 10.0
    for kill in range(kills + 1):
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        start, present = time.time(), set(checkpoints.glob("step-*.npz"))
        moment = start + random.uniform(0, 1.5 * startup) if kill % 2 else None
        while process.poll() is None:
            if set(checkpoints.glob("step-*.npz")) - present:
                startup = min(startup, time.time() - start)
                moment = moment or time.time() + random.uniform(0, 0.5)
            if kill < kills and moment and time.time() > moment:
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.002)
        printed = process.communicate()[0]
        assert process.returncode == (-signal.SIGKILL if kill < kills else 0), printed
        resumed += map(int, re.findall(r"resuming from step (\d+)", printed))
    return resumed


@SLOW
@pytest.mark.parametrize(("kills", "epochs"), [(1, 12), (20, 120)])
def test_killed_at_a_random_moment_it_ends_with_the_same_weights(
    kills, epochs, tmp_path, root, monkeypatch
):
    monkeypatch.setenv("PYTHONPATH", str(root))
    command = [sys.executable, "-m", "keras_swish.train.cifar", "--activation=swish_beta"]
    command += [f"--epochs={epochs}", "--checkpoint_seconds=0"]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    quick = [*command, "--checkpoint_seconds=1000"]
    subprocess.run([*quick, f"--out={whole}"], check=True, capture_output=True)
    random = np.random.default_rng()
    command += [f"--out={cut}"]
    resumed = killed_run(command, cut / trainer.CHECKPOINTS, random, kills)
    # Those that were killed while they started may not have said so.
    assert len(resumed) >= kills / 2
    assert resumed == sorted(resumed)
    assert resumed[0] > 0
    assert_same_outcome(whole, cut)


@pytest.mark.slow
def test_killed_between_the_last_epoch_and_the_test_it_is_only_tested(
    whole, tiny, tmp_path, monkeypatch
):

    def interrupt(*arguments, **keywords):
        raise CutError

    with monkeypatch.context() as patch:
        patch.setattr(keras.Model, "save", interrupt)
        with pytest.raises(CutError):
            trainer.train(run(), tiny, tmp_path / "cut", checkpoint_seconds=0)
    log = epoch_log.read_log(tmp_path / "cut")
    trainer.train(run(), tiny, tmp_path / "cut")
    assert epoch_log.read_log(tmp_path / "cut") == log
    assert_same_outcome(whole, tmp_path / "cut")


@pytest.mark.slow
def test_the_scale_of_the_loss_in_float16_is_resumed_too(tiny, tmp_path, monkeypatch):
    given = dataclasses.replace(run(epochs=1), dtype_policy="mixed_float16")
    try:
        uncut, cut = trained_with_and_without_a_cut(given, 2, tiny, tmp_path, monkeypatch)
        assert_same_outcome(uncut, cut)
    finally:
        keras.config.set_dtype_policy("float32")
