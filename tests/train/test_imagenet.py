import json

import image_files
import keras
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
    assert "the run has not ended; try --checkpoint=newest" in err
    code, best, err = call("evaluate", out, "--checkpoint=best")
    assert code == 0, err
    assert best.startswith("top-1 accuracy")
    assert keras.saving.load_model(lone).output_shape == (None, 12)
    code, _, err = call("evaluate", lone, "--dataset=digits")
    assert code == 2
    assert "takes (None, 32, 32, 3), the data is (8, 8, 1)" in err
