"""Every network of the paper, in the form of its own training, cut off once by SIGKILL.

`benchmarks/train_all_networks.sh` runs these alone.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time

import image_files
import keras
import numpy as np
import pytest

from keras_swish.train.datasets import inception_preprocessing
from keras_swish.train.trainer import epoch_log, trainer

tf = pytest.importorskip("tensorflow")

pytestmark = pytest.mark.slow

CIFAR = ["resnet164", "wrn_28_10", "densenet_100_12"]
# The least side of the images that the network takes.
IMAGENET = {
    "nasnet_mobile": 32,
    "inception_resnet_v2": 75,
    "inception_v3": 75,
    "inception_v4": 75,
    "mobilenet": 32,
}
ACTIVATIONS = ["relu", "swish"]
STEPS = ["--batch_size=4", "--steps=4", "--steps_per_epoch=2", "--checkpoint_seconds=0"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """JPEGs as ImageNet has them, a few."""
    path = tmp_path_factory.mktemp("imagenet")
    image_files.make_folder(path / "train", classes=3, per_class=4)
    image_files.make_folder(path / "validation", classes=3, per_class=2, seed=1)
    return path


# What a server does: it knows TensorFlow, the file, and images on its disk.
SERVE = """
import json, pathlib, sys
sys.modules["keras_swish"] = sys.modules["keras"] = None
import tensorflow as tf
served = tf.saved_model.load(sys.argv[1])
outputs = served.serve(tf.constant([pathlib.Path(name).read_bytes() for name in sys.argv[2:]]))
classes = [name.decode() for name in outputs["classes"].numpy()]
print(json.dumps({"classes": classes, "scores": outputs["scores"].numpy().tolist()}))
"""


def trained(command, out, root, kill=True):
    """Runs a command to its end, and in between kills it as soon as it has saved."""
    environment = {**os.environ, "PYTHONPATH": str(root)}
    command = [sys.executable, "-m", *command, f"--out={out}"]
    if kill:
        process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
        while not list((out / trainer.CHECKPOINTS).glob("step-*.npz")):
            assert process.poll() is None, process.communicate()[1].decode()
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not (out / trainer.RESULT).exists()
    outcome = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stderr
    assert bool(re.search(r"resuming from step [1-4]\b", outcome.stdout)) == kill
    assert "is broken" not in outcome.stderr
    result = json.loads((out / trainer.RESULT).read_text())
    assert result["status"] == "ok"
    assert result["steps"] == 4
    assert np.isfinite(result["test_loss"])
    assert [row["epoch"] for row in epoch_log.read_log(out)] == [0, 1]
    return keras.saving.load_model(out / trainer.MODEL)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("model", CIFAR)
def test_cifars_networks_resume_after_a_kill(model, activation, tmp_path, root):
    command = ["keras_swish.train.cifar", f"--model={model}", f"--activation={activation}"]
    command += [*STEPS, f"--recipe={model}", "--train_split=train[:40]", "--test_split=test[:8]"]
    network = trained([*command, "--warmup_epochs=0"], tmp_path / "run", root)
    assert network.output_shape == (None, 10)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("model", list(IMAGENET))
def test_imagenets_networks_resume_after_a_kill(model, activation, folder, tmp_path, root):
    command = ["keras_swish.train.imagenet", f"--model={model}", f"--activation={activation}"]
    command += [*STEPS, f"--image_size={IMAGENET[model]}", f"--dataset={folder}"]
    network = trained(command, tmp_path / "run", root)
    assert network.output_shape == (None, 3)


def test_a_network_cut_off_ends_with_the_weights_of_one_that_was_not(folder, tmp_path, root):
    command = ["keras_swish.train.imagenet", "--model=nasnet_mobile", "--drop_path=0.3"]
    command += [*STEPS, "--image_size=32", f"--dataset={folder}"]
    networks = [
        trained(command, tmp_path / str(kill), root, kill).weights for kill in (False, True)
    ]
    for ours, theirs in zip(*networks, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    "recipe", [[], ["--recipe=modern", "--warmup_epochs=0"]], ids=["own", "modern"]
)
@pytest.mark.parametrize("model", ["resnet50", "nasnet_mobile"])
def test_from_records_to_a_file_that_serves_by_name(
    model, recipe, folder, tmp_path, root, call, python
):
    """Warm start, a kill, the resumption, the export, and a server without this package."""
    texts = ["tench", "goldfish", "great white shark"]
    for split in ("train", "validation"):
        image_files.write_records(folder / split, tmp_path / "data", name=split, texts=texts)
    command = ["keras_swish.train.imagenet", f"--model={model}", "--activation=swish"]
    command += [*STEPS, "--image_size=32", f"--dataset={tmp_path}/data/{{split}}-*", "--classes=3"]
    command += recipe
    base = trained([*command, "--activation=relu"], tmp_path / "base", root, kill=False)
    command += [f"--weights={tmp_path / 'base'}"]
    whole = trained(command, tmp_path / "whole", root, kill=False)
    network = trained(command, tmp_path / "run", root)
    for ours, theirs in zip(network.weights, whole.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    # It started from those weights: of four steps, they are near.
    kernel, start = (np.asarray(one.trainable_weights[0]) for one in (network, base))
    assert np.abs(kernel - start).max() < 0.1 * np.abs(start).max()

    flags = ["--inputs=encoded", "--outputs=probabilities"]
    code, _, err = call("export", tmp_path / "run", tmp_path / "served", *flags)
    assert code == 0, err
    files = sorted((folder / "validation").glob("*/*"))
    outcome = python("-c", SERVE, tmp_path / "served", *files, PYTHONPATH="")
    answer = json.loads(outcome.stdout.splitlines()[-1])
    images = [
        inception_preprocessing.for_evaluation(tf.constant(file.read_bytes()), 32) for file in files
    ]
    expected = tf.nn.softmax(network.predict(np.stack(images), verbose=0)).numpy()
    np.testing.assert_allclose(answer["scores"], expected, atol=1e-4)
    assert answer["classes"] == [texts[number] for number in np.argmax(answer["scores"], 1)]
