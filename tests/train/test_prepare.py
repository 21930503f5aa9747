import gzip
import hashlib
import importlib.util

import numpy as np
import pytest

from keras_swish.train import prepare
from keras_swish.train.datasets import in_memory

FILES = [*prepare.FILES]


@pytest.fixture
def source(tmp_path, monkeypatch):
    """The four files, in MNIST's own format, with as many images as TFDS insists on."""
    folder = tmp_path / "source"
    folder.mkdir()
    for part, n in (("train", 60_000), ("t10k", 10_000)):
        labels = (np.arange(n) % 10).astype("uint8")
        images = np.repeat(labels, 28 * 28)
        with gzip.open(folder / f"{part}-images-idx3-ubyte.gz", "wb", 1) as file:
            header = np.array([2051, n, 28, 28], ">i4")
            file.write(header.tobytes() + images.tobytes())
        with gzip.open(folder / f"{part}-labels-idx1-ubyte.gz", "wb", 1) as file:
            file.write(np.array([2049, n], ">i4").tobytes() + labels.tobytes())
    contents = {name: gzip.decompress((folder / name).read_bytes()) for name in prepare.FILES}
    sums = {name: hashlib.sha256(content).hexdigest()[:16] for name, content in contents.items()}
    monkeypatch.setattr(prepare, "FILES", sums)
    return folder


def test_keras_finds_the_linked_files(source, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    cache = prepare._link(source)
    assert cache == tmp_path / "keras" / "datasets" / "fashion-mnist"
    assert sorted(path.name for path in cache.iterdir()) == sorted(prepare.FILES)
    # A second time, and over a link whose target is gone.
    (cache / FILES[0]).unlink()
    (cache / FILES[0]).symlink_to(tmp_path / "gone")
    prepare._link(source)
    assert all((cache / name).exists() for name in prepare.FILES)


def test_damaged_files_are_refused_before_anything_is_linked(source, tmp_path, monkeypatch, call):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    file = source / FILES[0]
    whole = file.read_bytes()
    for content in (whole[: len(whole) // 2], b"junk", whole[:-9] + b"123456789"):
        file.write_bytes(content)
        code, _, err = call("prepare", f"--source={source}", f"--data_dir={tmp_path}")
        assert code == 2
        assert f"{file.name} is damaged" in err
        assert not (tmp_path / "keras").exists()


def test_files_of_another_dataset_are_refused(source, tmp_path, monkeypatch, call):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    (source / FILES[-1]).write_bytes(gzip.compress(b"the labels of MNIST"))
    code, _, err = call("prepare", f"--source={source}")
    assert code == 2
    assert f"{FILES[-1]} is not that of Fashion-MNIST" in err
    assert not (tmp_path / "keras").exists()


@pytest.mark.parametrize("lacking", ["tensorflow", "tensorflow_datasets"])
def test_without_tfds_keras_is_served(source, tmp_path, monkeypatch, call, lacking):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == lacking else find(name, *a)
    )
    code, _, err = call("prepare", f"--source={source}", f"--data_dir={tmp_path}")
    assert code == 2
    assert f"is for TensorFlow Datasets, which needs {lacking}" in err
    code, printed, err = call("prepare", f"--source={source}")
    assert code == 0, err
    assert printed.splitlines()[-1] == f"TFDS: left out, needs {lacking}"
    assert (tmp_path / "keras/datasets/fashion-mnist" / FILES[0]).exists()


def test_tfds_gets_the_home_folder_by_its_name(tmp_path, monkeypatch, call):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(prepare, "FILES", {})
    monkeypatch.setattr(prepare, "_prepare", lambda source, data_dir: data_dir)
    code, printed, err = call("prepare", "--data_dir=~/tfds")
    assert code == 0, err
    assert printed.endswith(f"TFDS: {tmp_path}/tfds\n")


@pytest.mark.slow
def test_prepared_images_are_loaded_through_tfds(source, tmp_path, monkeypatch, call):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    folder = tmp_path / "tfds"
    folder.mkdir()
    code, printed, err = call("prepare", f"--source={source}", f"--data_dir={folder}")
    assert code == 0, err
    assert f"TFDS: {folder}/fashion_mnist" in printed
    fashion = in_memory.load("fashion_mnist", data_dir=str(folder))
    assert (len(fashion.train), len(fashion.validation), len(fashion.test)) == (
        54_000,
        6_000,
        10_000,
    )
    np.testing.assert_array_equal(fashion.test.images[:, 0, 0, 0], fashion.test.labels)
