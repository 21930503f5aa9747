"""One run on small images: its table, its folder, its end."""

import json

import keras
import pytest

QUICK = ["--epochs=1", "--train_split=train[:200]", "--batch_size=32"]


def test_cifar_trains_tests_and_says_where(call, tmp_path):
    out = tmp_path / "run"
    code, printed, err = call("cifar", *QUICK, "--activation=swish", f"--out={out}")
    assert code == 0, err
    assert "test accuracy" in printed
    assert printed.strip().splitlines()[-1] == f"results: {out}"
    config = json.loads((out / "config.json").read_text())
    assert config["config"]["recipe"]["epochs"] == 1
    (start,) = config["starts"]
    assert start["command"].startswith("keras-swish cifar --epochs=1")
    assert start["environment"]["keras_swish"]
    assert (out / "model.keras").exists()


def test_divergence_ends_with_one_line_and_code_1(call, tmp_path):
    code, _, err = call("cifar", *QUICK, "--learning_rate=1e30", f"--out={tmp_path / 'run'}")
    assert code == 1
    assert "diverged: the loss is" in err
    assert "try a lower --learning_rate" in err


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="of TensorFlow alone")
def test_tensorflow_does_not_train_on_the_cpu_of_a_machine_with_tpus(call, tmp_path, monkeypatch):
    monkeypatch.setenv("TPU_NAME", "local")
    code, _, err = call("cifar", "--strategy=data_parallel", f"--out={tmp_path / 'run'}")
    assert code == 2
    assert "--strategy=data_parallel: on TPUs it needs KERAS_BACKEND=jax" in err
