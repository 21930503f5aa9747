"""Exported runs, served by the file alone: without this package, and without Keras."""

import json

import image_files
import numpy as np
import pytest

from keras_swish.train.datasets import in_memory, inception_preprocessing, serving

tf = pytest.importorskip("tensorflow")

QUICK = ["--epochs=1", "--train_split=train[:200]", "--batch_size=32"]
TINY = ["--image_size=32", "--batch_size=4", "--steps=2", "--model=resnet8", "--recipe=mobilenet"]
TINY += ["--dropout=0"]
# What a server does: it knows TensorFlow, the file, and images on its disk.
SERVE = """
import json, pathlib, sys
sys.modules["keras_swish"] = sys.modules["keras"] = None
import tensorflow as tf
served = tf.saved_model.load(sys.argv[1])
images = [pathlib.Path(name).read_bytes() for name in sys.argv[2:]]
outputs = served.serve(tf.constant(images))
classes = [name.decode() for name in outputs["classes"].numpy()]
print(json.dumps({"classes": classes, "scores": outputs["scores"].numpy().tolist()}))
"""


@pytest.mark.slow
def test_a_folder_of_classes_is_served_by_name(call, python, tmp_path):
    for split, per_class in (("train", 2), ("validation", 1)):
        image_files.make_folder(tmp_path / "data" / split, classes=3, per_class=per_class)
    out = tmp_path / "run"
    code, _, err = call("imagenet", *TINY, f"--dataset={tmp_path / 'data'}", f"--out={out}")
    assert code == 0, err
    served = tmp_path / "served"
    flags = ["--inputs=encoded", "--outputs=probabilities"]
    code, printed, err = call("export", out, served, *flags)
    assert code == 0, err
    assert printed.startswith(f"{served}: its outputs differ from the network's by ")
    files = sorted((tmp_path / "data/validation").glob("*/*"))
    outcome = python("-c", SERVE, served, *files, PYTHONPATH="")
    answer = json.loads(outcome.stdout.splitlines()[-1])
    scores = np.array(answer["scores"])
    np.testing.assert_allclose(scores.sum(1), 1, rtol=1e-5)
    names = sorted(path.name for path in (tmp_path / "data/train").iterdir())
    assert answer["classes"] == [names[number] for number in scores.argmax(1)]
    # As the run's own test sees them.
    from keras_swish.train.app import networks

    images = [
        inception_preprocessing.for_evaluation(tf.constant(file.read_bytes()), 32) for file in files
    ]
    logits = networks.load(out).predict(np.stack(images), verbose=0)
    np.testing.assert_allclose(scores, tf.nn.softmax(logits), rtol=1e-3, atol=1e-6)


@pytest.mark.slow
def test_digits_are_served_from_pixels_and_from_files(call, tmp_path):
    out = tmp_path / "run"
    code, _, err = call("cifar", *QUICK, f"--out={out}")
    assert code == 0, err
    record = json.loads((out / "config.json").read_text())
    assert record["class_names"] == list("0123456789")
    code, _, err = call("export", out, tmp_path / "pixels", "--inputs=uint8")
    assert code == 0, err
    served = tf.saved_model.load(str(tmp_path / "pixels"))
    digits = in_memory.load("digits", train_split="train[:200]")
    pixels = np.round(digits.test.images[:50] / 16.0 * 255.0)  # theirs end at 16
    outputs = served.serve(tf.constant(pixels.astype("uint8")))
    from keras_swish.train.app import networks

    (mean,), (std,) = digits.normalization
    images = ((pixels * 16.0 / 255.0 - mean) / std).astype("float32")
    assert abs(images - digits.evaluation("test", 50)[0][0]).max() < 0.01
    expected = networks.load(out).predict(images, verbose=0)
    np.testing.assert_allclose(outputs["scores"], expected, rtol=1e-4, atol=1e-4)
    # A scan of twice the size, as a PNG.
    encoded = serving.examples("encoded", (16, 16, 1))
    prepared = serving.of_arrays("encoded", digits)(tf.constant(encoded))
    assert prepared.shape == (3, 8, 8, 1)
    code, _, err = call("export", out, tmp_path / "pixels")
    assert code == 2
    assert "exists: choose another name" in err


def test_the_centre_of_decoded_images_is_that_of_encoded_ones():
    encoded = serving.examples("encoded", (41, 57, 3))
    pixels = serving.examples("uint8", (41, 57, 3))
    ours = [serving.of_image_files(*form)(x) for form, x in ((("uint8", 24), pixels),)]
    theirs = serving.of_image_files("encoded", 24)(tf.constant(encoded))
    np.testing.assert_allclose(ours[0], theirs, atol=1e-5)


def test_what_cannot_be_exported_is_one_line(call, tmp_path):
    import keras

    lone = tmp_path / "lone.keras"
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]).save(lone)
    for arguments, message in (
        ([lone], "name a folder of a run, or a .keras file, and what to write"),
        ([lone, "gs://bucket/served"], "files go to a folder that this machine has mounted"),
        ([lone, tmp_path / "x", "--inputs=uint8"], "--inputs=uint8: no run has written"),
        ([lone, tmp_path / "x.onx"], "Unknown format '.onx'. Did you mean"),
    ):
        code, _, err = call("export", *arguments)
        assert code == 2
        assert message in err
        assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == [lone]
    assert call("export", lone, tmp_path / "lone")[0] == 0
