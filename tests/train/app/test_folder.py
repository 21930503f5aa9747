"""The folder of results: whose it is, and who may write into it."""

import os
import pathlib
import shutil
import sys
import tempfile

import keras
import pytest

from keras_swish import models
from keras_swish.train import finetune
from keras_swish.train.app import training
from keras_swish.train.errors import DivergedError
from keras_swish.train.trainer import distribution

QUICK = ["--epochs=1", "--train_split=train[:200]", "--batch_size=32"]


@pytest.mark.slow
def test_out_of_another_run_is_never_overwritten(call, tmp_path):
    out = tmp_path / "run"
    assert call("cifar", *QUICK, f"--out={out}")[0] == 0
    before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    settings = "holds the results of other settings"
    for other, message in (
        (
            ["cifar", *QUICK, "--learning_rate=0.2"],
            f"{settings} (recipe learning_rate 0.1, now 0.2)",
        ),
        (["cifar", *QUICK, "--activation=relu"], f"{settings} (activation 'swish', now 'relu')"),
        (["compare", *QUICK], "is a folder of `keras-swish cifar`; choose another one"),
    ):
        code, _, err = call(*other, f"--out={out}")
        assert code == 2
        assert f"--out={out}: {message}" in err
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == before


def test_out_with_other_files_is_refused(call, tmp_path):
    (tmp_path / "thesis.tex").touch()
    code, _, err = call("cifar", f"--out={tmp_path}")
    assert code == 2
    assert "holds other files" in err
    code, _, err = call("cifar", f"--out={tmp_path / 'thesis.tex'}")
    assert code == 2
    assert "not a folder of results" in err


def test_by_default_results_go_to_a_new_folder_under_runs(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, printed, err = call("cifar", *QUICK)
    assert code == 0, err
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("cifar-digits-")
    assert f"results: runs/{folder.name}" in printed


@pytest.mark.slow
def test_a_folder_that_another_process_writes_to_is_left_alone(call, tmp_path):
    fcntl = pytest.importorskip("fcntl")
    out = tmp_path / "run"
    assert call("cifar", *QUICK, f"--out={out}")[0] == 0
    with open(out / ".lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, _, err = call("cifar", *QUICK, f"--out={out}")
        assert code == 2
        assert "another process is writing into this folder" in err
    assert call("cifar", *QUICK, f"--out={out}")[0] == 0


@pytest.mark.parametrize("program", ["cifar", "finetune", "compare"])
def test_another_split_of_the_batch_is_refused_on_tensorflow(call, tmp_path, monkeypatch, program):
    arguments = [program, *QUICK, f"--out={tmp_path / 'out'}"]
    if program == "finetune":
        build = models.BUILDERS["resnet8"]
        build(input_shape=(8, 8, 1), classes=10, activation="relu").save(tmp_path / "model.keras")
        arguments.append(tmp_path / "model.keras")

    def stopped(*_, **__):
        raise DivergedError("at once")

    monkeypatch.setattr(training, "train", stopped)
    monkeypatch.setattr(finetune, "finetune", stopped)
    for devices in (1, 2):
        start = distribution.Devices(count=devices)
        monkeypatch.setattr(distribution, "start", lambda *_, start=start: start)
        code, _, err = call(*arguments)
        is_other = devices == 2 and keras.backend.backend() == "tensorflow"
        assert code == (2 if is_other else 1), err
        refusal = "holds the results of other settings (bn_replicas None, now 2)"
        assert (refusal in err) == is_other


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0 or shutil.which("setpriv") is None,
    reason="becomes another user with setpriv, as root",
)
@pytest.mark.slow
@pytest.mark.parametrize("place", ["made", "unreadable", "below"])
def test_a_folder_of_another_user_is_one_line(python, place):
    with tempfile.TemporaryDirectory() as path:  # those of pytest are this user's alone
        os.chmod(path, 0o755)
        out = pathlib.Path(path, "run")
        if place != "below":
            out.mkdir(mode=0o755 if place == "made" else 0o700)
        nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", sys.executable]
        command = [*nobody, "-m", "keras_swish.train.cifar", *QUICK, f"--out={out}"]
        outcome = python(*command, executable="setpriv", check=False, cwd="/", HOME="/nonexistent")
        assert outcome.returncode == 2
        assert "Traceback" not in outcome.stderr
        last = outcome.stderr.splitlines()[-1]
        assert f"--out={out}: " in last
        assert "Permission denied" in last
        # TensorFlow has words of its own.
        assert sum("keras_swish" in line for line in outcome.stderr.splitlines()) == 1
