import json
import shutil

import image_files
import keras
import numpy as np
import pytest

from keras_swish.train.trainer import epoch_log, trainer

pytest.importorskip("tensorflow")

QUICK = ["--image_size=32", "--batch_size=4", "--steps=3", "--model=resnet8"]
QUICK += ["--recipe=mobilenet", "--dropout=0"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("imagenet")
    image_files.make_folder(path / "train", classes=12, per_class=2)
    image_files.make_folder(path / "validation", classes=12, per_class=1, seed=1)
    return path


def test_imagenet_trains_tests_and_is_evaluated(call, folder, tmp_path):
    out = tmp_path / "run"
    flags = [*QUICK, f"--dataset={folder}", f"--out={out}", "--steps_per_epoch=2"]
    flags += ["--checkpoint_seconds=0"]
    code, printed, err = call("imagenet", *flags, "--activation=swish")
    assert code == 0, err
    assert "test accuracy" in printed
    assert "test top-5 accuracy" in printed
    config = json.loads((out / "config.json").read_text())
    # The authors' rate for 32 images, three quarters of it for Swish, for a batch of 4.
    assert config["config"]["recipe"]["learning_rate"] == 0.03375 / 8
    assert config["starts"][0]["environment"]["devices"]
    result = json.loads((out / trainer.RESULT).read_text())
    assert result["steps"] == 3
    assert 0 <= result["test_accuracy"] <= result["test_top_5_accuracy"] <= 1
    assert [row["epoch"] for row in epoch_log.read_log(out)] == [0, 1]

    # The weights that were tested are the averages, and so are those that were saved.
    code, printed, err = call("evaluate", out)
    assert code == 0, err
    assert f"top-1 accuracy {result['test_accuracy']:.2%}" in printed
    lone = tmp_path / "lone.keras"
    (out / trainer.MODEL).rename(lone)
    again = call("evaluate", lone, f"--dataset={folder}", "--test_split=validation")[1]
    assert again == printed
    code, _, err = call("evaluate", out)
    assert code == 2
    assert "model.keras was taken away; try --checkpoint=newest" in err
    code, best, err = call("evaluate", out, "--checkpoint=best")
    assert code == 0, err
    assert best.startswith("top-1 accuracy")
    assert keras.saving.load_model(lone).output_shape == (None, 12)
    code, _, err = call("evaluate", lone, "--dataset=digits")
    assert code == 2
    assert "takes (None, 32, 32, 3), the data is (8, 8, 1)" in err


@pytest.mark.slow
def test_one_split_for_validation_and_test_is_evaluated_once_an_epoch(
    call, folder, tmp_path, monkeypatch
):
    evaluated, evaluate = [], trainer.evaluate

    def noted(model, dataset, split, *rest):
        evaluated.append(split)
        return evaluate(model, dataset, split, *rest)

    monkeypatch.setattr(trainer, "evaluate", noted)
    out = tmp_path / "run"
    flags = [*QUICK, f"--dataset={folder}", f"--out={out}", "--steps_per_epoch=2"]
    assert call("imagenet", *flags)[0] == 0
    assert evaluated == ["validation", "validation"]
    result = json.loads((out / trainer.RESULT).read_text())
    # Killed before the result, it is neither trained nor tested again.
    evaluated.clear()
    (out / trainer.RESULT).unlink()
    checkpoint = max((out / trainer.CHECKPOINTS).iterdir())
    again = json.loads(str(np.load(checkpoint)["record"]))
    code, _, err = call("imagenet", *flags)
    assert code == 0, err
    is_last = again["step"] == 3 and "val_accuracy" in again
    assert evaluated == ["validation"] * (not is_last)
    repeated = json.loads((out / trainer.RESULT).read_text())
    timed = {"seconds": 0, "images_per_second": 0}
    assert {**repeated, **timed} == {**result, **timed}


@pytest.mark.slow
def test_corrupt_images_are_mentioned_and_classes_keep_their_names(call, folder, tmp_path):
    damaged = shutil.copytree(folder, tmp_path / "damaged")
    (bad,) = (damaged / "validation" / image_files.CLASSES[0]).iterdir()
    bad.write_bytes(b"no image")
    out = tmp_path / "run"
    code, _, err = call("imagenet", *QUICK, f"--dataset={damaged}", f"--out={out}")
    assert code == 0, err
    said = f"left out: 1 image cannot be decoded, the first {bad} (all in {out}/corrupt.txt)"
    assert err.splitlines().count(said) == 1
    names = json.loads((out / "config.json").read_text())["class_names"]
    assert names == sorted(path.name for path in (folder / "train").iterdir())
    code, _, err = call("evaluate", out)
    assert code == 0, err
    assert f"left out: 1 image cannot be decoded, the first {bad}" in err
