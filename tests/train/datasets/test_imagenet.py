"""Images of ImageNet's form: what a run gets, and which names mean them."""

import dataclasses
import shutil
import types

import image_files
import numpy as np
import pytest

from keras_swish import models
from keras_swish.train.datasets import imagenet
from keras_swish.train.errors import ArgumentError
from keras_swish.train.trainer import model, trainer

pytest.importorskip("tensorflow")
from keras_swish.train.datasets import sources


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("imagenet")
    image_files.make_folder(path / "train", classes=12, per_class=2)
    image_files.make_folder(path / "validation", classes=12, per_class=1, seed=1)
    return path


@pytest.fixture(scope="module")
def source(folder):
    return imagenet.load(str(folder), "train", "validation", image_size=32)


def test_batches_are_images_of_the_size_and_labels(source):
    assert (source.classes, source.input_shape, source.training_images) == (12, (32, 32, 3), 24)
    images, labels = next(iter(source.training(4, 0, 0, 2)))
    assert images.shape == (4, 32, 32, 3)
    assert labels.shape == (4, 12)


def test_a_run_gets_its_own_size_and_log_of_corrupt_files(source, tmp_path):
    run = types.SimpleNamespace(image_size=48)
    own = source.for_run(run, tmp_path)
    assert own.input_shape == (48, 48, 3)
    assert own.corrupt_log == tmp_path / "corrupt.txt"
    assert source.input_shape == (32, 32, 3)


@pytest.mark.parametrize("form", ["folders", pytest.param("records", marks=pytest.mark.slow)])
def test_a_share_of_the_training_images_validates(form, folder, tmp_path):
    dataset, classes = str(folder), None
    if form == "records":
        classes = 12
        for split in ("train", "validation"):
            image_files.write_records(folder / split, tmp_path, name=split)
        dataset = f"{tmp_path}/{{split}}-*"
    source = imagenet.load(dataset, image_size=32, validation_split="0.25", classes=classes)
    assert (source.training_images, source.facts["validation"]) == (18, 6)
    held_out = np.concatenate([images for images, _ in source.evaluation("validation", 4)])
    assert len(held_out) == 6
    assert sum(len(images) for images, _ in source.evaluation("test", 4)) == 12
    sources.check_apart(source.train, source.validation)
    whole = imagenet.load(dataset, "train", "validation", image_size=32, classes=classes)
    as_test = dataclasses.replace(source, test=whole.train)
    every = np.concatenate([images for images, _ in as_test.evaluation("test", 4)])
    assert {image.tobytes() for image in held_out} < {image.tobytes() for image in every}


def test_a_validation_split_of_other_use_is_refused(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    folder = tmp_path / "copy"
    shutil.copytree(folder / "validation", folder / "test")
    for split, message in (
        ("train", "images of the training split"),
        ("validation", "images of the test split"),
        ("1.0", "between 0 and 1"),
    ):
        with pytest.raises(ArgumentError, match=message) as caught:
            imagenet.load(str(folder), validation_split=split)
        assert caught.value.argument == "validation_split"
    named = imagenet.load(str(folder), test_split="test", validation_split="validation")
    assert (named.facts["validation"], named.validates_on_test) == (12, False)


def test_a_test_needs_no_training_split(folder):
    source = imagenet.load(str(folder), None, "validation")
    assert source.facts == {"classes": 12, "training": 12, "test": 12}


def test_padding_changes_no_mean_over_the_split(source):
    whole = np.concatenate([images for images, _ in source.evaluation("test", 5)])
    batches = list(source.evaluation("test", 5, pad=True))
    assert all(len(part) == 5 for batch in batches for part in batch)
    means = [np.mean(images * weights[:, None, None, None]) for images, _, weights in batches]
    assert len(whole) == 12
    assert np.mean(means) == pytest.approx(whole.mean(), rel=1e-4)


def test_a_last_batch_of_one_corrupt_image_changes_no_result(folder, tmp_path, recwarn):
    shutil.copytree(folder / "train", tmp_path / "train")
    image_files.make_folder(tmp_path / "validation", classes=12, per_class=1, seed=1)
    last = max((tmp_path / "validation").glob("*/*"))
    last.write_bytes(b"broken")
    dataset = imagenet.load(str(tmp_path), image_size=16)
    shape = dataset.input_shape
    network = models.create("resnet8", input_shape=shape, classes=12, classifier_activation=None)
    model.compile_for(network)
    # Of 12 images, the last is alone in its batch, or with four others.
    alone, others = (trainer.evaluate(network, dataset, "test", size) for size in (11, 7))
    assert alone == pytest.approx(others, rel=1e-5)
    assert alone["accuracy"] * 11 == pytest.approx(round(alone["accuracy"] * 11), abs=1e-5)
    assert not [one for one in recwarn if "ran out of data" in str(one.message)]


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        ("imagenet2012", True),
        ("imagenet_v2/matched-frequency", True),
        ("/data/flowers", True),
        ("~/flowers", True),
        ("../flowers", True),
        ("gs://bucket/flowers", True),
        ("shards/{split}-*", True),
        ("cifar10", False),
        ("emnist/letters", False),
    ],
)
def test_a_path_or_imagenet_means_files(dataset, expected):
    assert imagenet.is_image_files(dataset) == expected


def test_a_folder_here_means_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert not imagenet.is_image_files("data/flowers")
    (tmp_path / "data/flowers").mkdir(parents=True)
    assert imagenet.is_image_files("data/flowers")


def test_a_test_on_the_training_images_is_refused(call, folder, tmp_path):
    image_files.write_records(folder / "train", tmp_path / "shards", name="train")
    shards = [f"--dataset={tmp_path}/shards/train-*", "--classes=12"]
    for flags in (shards, [f"--dataset={folder}", "--test_split=train"]):
        code, _, err = call("imagenet", *flags, f"--out={tmp_path / 'out'}")
        assert code == 2
        assert "--test_split" in err
        assert "It has images of the training split, such as those of '" in err
        assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_parts_of_the_same_records_are_told_apart():
    from keras_swish.train.datasets import sources

    def part(*ranges):
        starts, stops = np.array(ranges).T
        records = sources.Records(starts, stops - starts, "image", "label", 0)
        return sources.Source(["a", "b"], ["0", "1"], records=records)

    sources.check_apart(part((0, 5), (0, 0)), part((5, 9), (0, 9)))
    with pytest.raises(ValueError, match="such as those of 'a'"):
        sources.check_apart(part((0, 5), (0, 0)), part((4, 9), (0, 9)))


@pytest.mark.parametrize("flag", ["train_split", "test_split"])
def test_a_mistake_in_a_split_names_its_flag(call, folder, monkeypatch, flag):
    from keras_swish.train.datasets import sources
    from keras_swish.train.errors import ArgumentError

    source = sources.open_source(str(folder), "train")

    def opened(dataset, split, **options):
        if split == "trian":
            raise ArgumentError("split", "Unknown split 'trian'.")
        return source

    monkeypatch.setattr(sources, "open_source", opened)
    code, _, err = call("imagenet", f"--{flag}=trian")
    assert code == 2
    assert f"--{flag}=trian: Unknown split 'trian'." in err


def test_a_mistake_in_what_is_no_flag_is_said_too(call, folder, monkeypatch):
    from keras_swish.train.errors import ArgumentError

    def load(*arguments, **settings):
        raise ArgumentError("shard", "There is no shard 2 of 1.")

    monkeypatch.setattr(imagenet, "load", load)
    code, _, err = call("imagenet", f"--dataset={folder}")
    assert code == 2
    assert err.strip() == "keras-swish imagenet: shard: There is no shard 2 of 1."
