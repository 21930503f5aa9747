import numpy as np
import pytest

from keras_swish.train.datasets import in_memory
from keras_swish.train.errors import ArgumentError


def test_digits_split_without_overlap_and_without_loss():
    digits = in_memory.load("digits")
    splits = [digits.train, digits.validation, digits.test]
    assert [len(split) for split in splits] == [1294, 143, 360]
    from sklearn.datasets import load_digits

    whole = load_digits()
    ours = np.concatenate([split.images[..., 0] for split in splits]).reshape(1797, -1)
    # Compared as multisets: every scan is in one split, once.
    assert sorted(map(bytes, ours)) == sorted(map(bytes, whole.data.astype("uint8")))
    labels = np.bincount(np.concatenate([split.labels for split in splits]))
    np.testing.assert_array_equal(labels, np.bincount(whole.target))


def test_normalisation_constants_are_those_of_the_training_split():
    digits = in_memory.load("digits")
    assert digits.spec.mean[0] == pytest.approx(digits.train.images.mean(), abs=0.01)
    assert digits.spec.std[0] == pytest.approx(digits.train.images.std(), abs=0.01)


@pytest.mark.parametrize(
    ("train_split", "images"),
    [("train[:100]", 100), ("train[10%:]", 1293), ("train[100:300]", 200)],
)
def test_a_split_can_be_a_part(train_split, images):
    digits = in_memory.load("digits", train_split=train_split)
    assert len(digits.train) + len(digits.validation) == images


def test_images_can_be_scaled():
    digits = in_memory.load("digits", train_split="train[:50]", image_size=16)
    assert digits.train.images.shape == (45, 16, 16, 1)
    assert digits.spec.mean[0] == pytest.approx(digits.train.images.mean())


def test_test_images_may_come_from_another_part_of_the_training_split():
    digits = in_memory.load("digits", train_split="train[:50%]", test_split="train[50%:]")
    assert len(digits.train) + len(digits.validation) + len(digits.test) == 1437


def test_even_the_smallest_split_has_a_validation_image():
    assert len(in_memory.load("digits", train_split="train[:9]").validation) == 1


def test_unknown_datasets_are_not_mirrored():
    assert not in_memory.OTHER.flip
    assert not in_memory.SPECS["digits"].flip


def test_without_tensorflow_keras_gives_its_datasets(monkeypatch):
    def load_data():
        images = np.zeros((20, 28, 28), "uint8"), np.ones((10, 28, 28), "uint8")
        return (images[0], np.arange(20) % 10), (images[1], np.arange(10))

    monkeypatch.setattr(in_memory, "has_tensorflow", lambda: False)
    monkeypatch.setattr(in_memory.keras.datasets.fashion_mnist, "load_data", load_data)
    fashion = in_memory.load("fashion_mnist")
    assert fashion.input_shape == (28, 28, 1)
    assert (len(fashion.train), len(fashion.validation), len(fashion.test)) == (18, 2, 10)
    assert fashion.classes == 10


@pytest.mark.parametrize("order", ["channels_last", "channels_first"])
def test_keras_has_colours_in_its_own_data_format(order, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3)).astype("uint8")
    given = images.transpose(0, 3, 1, 2) if order == "channels_first" else images
    labels = np.arange(20)[:, None] % 10
    monkeypatch.setattr(in_memory, "has_tensorflow", lambda: False)
    load_data = lambda: ((given, labels), (given, labels))  # noqa: E731
    monkeypatch.setattr(in_memory.keras.datasets.cifar10, "load_data", load_data)
    monkeypatch.setattr(in_memory.keras.config, "image_data_format", lambda: order)
    np.testing.assert_array_equal(in_memory.load("cifar10").test.images, images)


def test_without_tensorflow_a_failed_download_is_one_line(monkeypatch):
    def load_data():
        raise Exception("URL fetch failure on https://...")

    monkeypatch.setattr(in_memory, "has_tensorflow", lambda: False)
    monkeypatch.setattr(in_memory.keras.datasets.cifar10, "load_data", load_data)
    with pytest.raises(ArgumentError, match=r"could not be downloaded .*URL fetch failure"):
        in_memory.load("cifar10")


@pytest.mark.parametrize(
    ("arguments", "argument", "message"),
    [
        ({"name": "digts"}, "dataset", "Did you mean 'digits'"),
        ({"name": "cifar-10"}, "dataset", "Did you mean 'cifar10'"),
        ({"name": "cifar10/large"}, "dataset", "Unknown dataset 'cifar10/large'"),
        ({"name": "multi_news"}, "dataset", "does not hold images with one label each"),
        ({"data_dir": "/not/there"}, "data_dir", "'/not/there' is not there"),
        ({"train_split": "tran"}, "train_split", "Did you mean 'train'"),
        ({"test_split": "test[a:b]"}, "test_split", "Not a split: 'test"),
        ({"train_split": "train[9999:]"}, "train_split", "is empty: 'train' has 1437 images"),
        ({"train_split": "train[:1438]"}, "train_split", "beyond its end: 'train' has 1437"),
        ({"train_split": "train[:1]"}, "train_split", "At least 2 images"),
        ({"test_split": "train[:10]"}, "test_split", "overlaps with the training split"),
    ],
)
def test_bad_arguments_are_named(arguments, argument, message):
    with pytest.raises(ArgumentError, match=message) as caught:
        in_memory.load(**{"name": "digits", **arguments})
    assert caught.value.argument == argument


@pytest.mark.parametrize("label", [-1, 10])
def test_labels_that_are_no_class_are_refused(label, monkeypatch):
    labels = np.append(np.arange(19) % 10, label)
    split = in_memory.Split(np.zeros((20, 8, 8, 1), "uint8"), labels.astype("int32"))
    source = in_memory._Source({"train": 20, "test": 20}, lambda name: split, 10)
    monkeypatch.setattr(in_memory, "_digits", lambda name, data_dir: source)
    message = f"'test' has the label {label}; valid are 0 to 9"
    with pytest.raises(ArgumentError, match=message) as caught:
        in_memory.load("digits", train_split="train[:19]")
    assert caught.value.argument == "test_split"
    in_memory.load("digits", train_split="train[:19]", test_split="test[:19]")


@pytest.fixture
def tfds_cifar10(tmp_path, monkeypatch):
    """TFDS's own CIFAR-10 builder over a few random images in CIFAR's binary format."""
    import tensorflow_datasets as tfds

    source = tmp_path / "download" / "cifar-10-batches-bin"
    source.mkdir(parents=True)
    random = np.random.default_rng(0)
    records = {}
    for file, n in {
        **{f"data_batch_{i}.bin": 20 for i in range(1, 6)},
        "test_batch.bin": 30,
    }.items():
        labels = random.integers(0, 10, (n, 1))
        record = np.concatenate([labels, random.integers(0, 256, (n, 3072))], axis=1)
        records[file] = record.astype("uint8")
        (source / file).write_bytes(records[file].tobytes())
    names = "airplane automobile bird cat deer dog frog horse ship truck"
    (source / "batches.meta.txt").write_text(names.replace(" ", "\n"))
    monkeypatch.setattr(
        tfds.download.DownloadManager,
        "download_and_extract",
        lambda manager, url: source.parent,
    )
    (tmp_path / "tfds").mkdir()
    return tmp_path / "tfds", np.concatenate([records[f] for f in sorted(records)[:5]])


def test_cifar10_through_tfds(tfds_cifar10):
    data_dir, train = tfds_cifar10
    cifar = in_memory.load("cifar10", data_dir=str(data_dir))
    assert cifar.input_shape == (32, 32, 3)
    assert (len(cifar.train), len(cifar.validation), len(cifar.test)) == (90, 10, 30)
    assert cifar.classes == 10
    ours = np.concatenate([cifar.train.images, cifar.validation.images])
    labels = np.concatenate([cifar.train.labels, cifar.validation.labels])
    expected = train[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    pairs = sorted(zip(map(bytes, ours), labels))
    assert pairs == sorted(zip(map(bytes, expected), train[:, 0].astype("int32")))


@pytest.mark.parametrize("data_dir", ["{}", "~"])
def test_a_dataset_that_cannot_be_had_says_where_it_was_looked_for(data_dir, tmp_path, monkeypatch):
    import tensorflow_datasets as tfds

    def no_network(manager, url):
        raise OSError("no route to host")

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(tfds.download.DownloadManager, "download_and_extract", no_network)
    with pytest.raises(ArgumentError, match=f"is not under {tmp_path}.*no route to host"):
        in_memory.load("cifar10", data_dir=data_dir.format(tmp_path))


def test_validation_images_are_held_out_or_named():
    held_out = in_memory.load("digits", validation_split="0.25")
    assert (len(held_out.train), len(held_out.validation)) == (1078, 359)
    named = in_memory.load("digits", train_split="train[:1000]", validation_split="train[1000:]")
    assert (len(named.train), len(named.validation)) == (1000, 437)
    for split in ("train[900:]", "test[:10]", "nowhere", "1.5"):
        with pytest.raises(ArgumentError) as caught:
            in_memory.load("digits", train_split="train[:1000]", validation_split=split)
        assert caught.value.argument == "validation_split"


def test_folders_are_told_from_datasets(call, tmp_path, monkeypatch):
    pytest.importorskip("tensorflow")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flowers").mkdir()
    folder, image_files = tmp_path / "flowers", "is of ImageNet's form, for `keras-swish imagenet`"
    for program, name, message in (
        ("cifar", folder, image_files),
        ("cifar", "not/there-*", image_files),
        ("cifar", "flowers", "is no dataset but a folder: write './flowers'"),
        ("imagenet", "flowers", "is no dataset but a folder: write './flowers'"),
    ):
        code, _, err = call(program, f"--dataset={name}")
        assert code == 2
        assert f"--dataset={name}: '{name}' {message}" in err
