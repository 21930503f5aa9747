"""Images in memory: scikit-learn's digits, or a dataset of TensorFlow Datasets, in three splits."""

import contextlib
import dataclasses
import importlib.util
import os
import pathlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_swish.messages import first_line, unknown

from ..errors import ArgumentError
from .augmentation import Batches
from .base import Augmentation, HasImageSize, held_out_share

# The part of the training split that is held out for validation.
VALIDATION = 0.1
Normalization = tuple[tuple[float, ...], tuple[float, ...]]


@dataclasses.dataclass(frozen=True)
class Spec:
    """Normalization, augmentation and defaults of a dataset.

    Attributes:
        mean: Mean of each channel over the training split, in pixel values.
        std: Standard deviation of each channel, in the same way; None for both: computed.
        pad: Zero pixels put on each side before a random crop.
        flip: Whether a mirrored image is as good.
        model: The network to train on it by default.
        recipe: The recipe to train with by default.
        white: The largest value that a pixel may have.
    """

    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    pad: int = 4
    flip: bool = True
    model: str = "resnet20"
    recipe: str = "cifar"
    white: float = 255.0


SPECS = {
    "digits": Spec(
        (4.88,), (6.01,), pad=1, flip=False, model="resnet8", recipe="short", white=16.0
    ),
    "fashion_mnist": Spec((72.94,), (90.02,)),
    "cifar10": Spec((125.31, 122.95, 113.87), (62.99, 62.09, 66.70)),
    "cifar100": Spec((129.30, 124.07, 112.43), (68.17, 65.39, 70.42)),
}
# For every other name of TensorFlow Datasets: a mirrored digit or letter is another one.
OTHER = Spec(flip=False)


@dataclasses.dataclass(frozen=True)
class Split:
    """Images, `(n, height, width, channels)` of uint8, and labels, `(n,)` of int32."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: slice | np.ndarray) -> "Split":
        return Split(self.images[index], self.labels[index])


@dataclasses.dataclass(frozen=True)
class ImageArrays:
    """Images in memory, a `base.ImageDataset`.

    Attributes:
        name: Name of the dataset.
        train: Images to train on.
        validation: Images to validate with.
        test: Images to test with.
        classes: Number of classes.
        spec: Their normalization and augmentation.
        class_names: One name for each class; None: unknown.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    classes: int
    spec: Spec
    class_names: Sequence[str] | None = None

    @property
    def validates_on_test(self) -> bool:
        """No: a tenth of the training split is held out."""
        return False

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Shape of one image as the network receives it, in Keras's image data format."""
        height, width, channels = self.train.images.shape[1:]
        if keras.config.image_data_format() == "channels_first":
            return (channels, height, width)
        return (height, width, channels)

    @property
    def training_images(self) -> int:
        """Number of images in a pass over the training split."""
        return len(self.train)

    @property
    def normalization(self) -> Normalization:
        """Mean that was subtracted from pixel values, and what they were divided by."""
        assert self.spec.mean is not None and self.spec.std is not None  # noqa: PT018
        return self.spec.mean, self.spec.std

    @property
    def white(self) -> float:
        """The largest value that a pixel may have."""
        return self.spec.white

    @property
    def facts(self) -> None:
        """Nothing that the settings of a run do not say already."""
        return None

    def for_run(self, run: HasImageSize, directory: pathlib.Path) -> "ImageArrays":
        """Returns these images: the same for every run."""
        return self

    def unreadable(self) -> None:
        """Nothing: all images are read."""
        return None

    def errors(self) -> contextlib.AbstractContextManager[None]:
        """Returns a context that changes nothing: all images are read."""
        return contextlib.nullcontext()

    def training(
        self,
        batch_size: int,
        seed: int,
        first_step: int,
        steps: int,
        shard: tuple[int, int] = (0, 1),
        augmentation: Augmentation | None = None,
    ) -> Any:
        """Returns `steps` training batches, from that one of the whole run on.

        Raises:
            ArgumentError: If they are to be augmented, and TensorFlow is not installed.
        """
        batches = Batches(self, self.train, batch_size, seed, steps, first_step, shard)
        if augmentation is not None:
            if not has_tensorflow():
                raise ArgumentError("recipe", "its augmentation needs TensorFlow: pip install it")
            from . import mixing

            return mixing.augmented(
                batches.tf_data(), self, augmentation, seed, first_step, shard[0]
            )
        # The other backends need no TensorFlow, and JAX computes while Python prepares.
        return batches.tf_data() if keras.backend.backend() == "tensorflow" else batches

    def evaluation(
        self, split: str, batch_size: int, shard: tuple[int, int] = (0, 1), pad: bool = False
    ) -> Batches:
        """Returns all batches of "validation" or "test", as they are."""
        return Batches(self, getattr(self, split), batch_size, shard=shard, pad=pad)


def known_normalization(name: str, image_size: int | None) -> Normalization | None:
    """Returns the normalization of a dataset, unless it is computed from its training images."""
    spec = SPECS.get(name, OTHER)
    return None if image_size or not spec.mean or not spec.std else (spec.mean, spec.std)


def load(
    name: str,
    data_dir: str | None = None,
    train_split: str = "train",
    test_split: str = "test",
    image_size: int | None = None,
    pad: int | None = None,
    flip: bool | None = None,
    validation_split: str | float = VALIDATION,
    *,
    normalization: Normalization | None = None,
    test_only: bool = False,
) -> ImageArrays:
    """Loads a dataset into memory.

    Args:
        name: "digits" (inside scikit-learn), or an image classification dataset of
            TensorFlow Datasets, such as "fashion_mnist", "cifar10", "cifar100".
        data_dir: Folder that holds TFDS's prepared datasets, by default TFDS's own.
        train_split: Split to train on and to hold the validation images out of; may be
            a part, as in "train[:10000]" or "train[20%:]".
        test_split: Split for the final test, in the same notation.
        image_size: Side to scale the images to; needed where they differ in size.
        pad: Pixels of padding before a random crop; by default the dataset's own.
        flip: Whether half of the training images are mirrored; by default as fits the dataset.
        validation_split: Split to validate with, in the same notation; or the share of the
            training split that is held out for it.
        normalization: As `ImageArrays.normalization`; by default the dataset's own.
        test_only: Whether there need be no training split, unless for the normalization.

    Returns:
        `ImageArrays`; what is held out of the training split is the same in every run.

    Raises:
        ArgumentError: A `ValueError`, if the dataset, a split or the folder does not exist,
            or the dataset does not hold images of classes.

    Example:
        >>> from keras_swish.train.datasets import in_memory
        >>> digits = in_memory.load("digits")
        >>> len(digits.train), len(digits.validation), len(digits.test)
        (1294, 143, 360)
    """
    data_dir = data_folder(data_dir)
    open_splits = _digits if name == "digits" else _tfds if has_tensorflow() else _keras
    source = open_splits(name, data_dir)
    normalization = normalization or known_normalization(name, image_size)
    if test_only and normalization is not None:
        train = test = _part(source, "test_split", test_split)
    else:
        train = _part(source, "train_split", train_split)
        test = _part(source, "test_split", test_split, {"training": train})
    share = held_out_share(validation_split)
    validation = None
    if share is None and not test_only:
        others = {"training": train, "test": test}
        validation = _part(source, "validation_split", str(validation_split), others)
        validation = validation.read()
    train, test = train.read(), test.read()
    if image_size:
        train, test = (_resized(split, image_size) for split in (train, test))
        validation = validation and _resized(validation, image_size)
    elif train.images.dtype == object:
        raise ArgumentError("image_size", f"The images of {name!r} differ in size: give one.")
    if len(train) < 2 and not test_only:
        raise ArgumentError("train_split", "At least 2 images are needed, one for validation.")

    if share is not None:
        # The same images for every seed: the runs of a comparison share their test and
        # validation splits.
        order = np.random.default_rng(0).permutation(len(train))
        held_out = max(1, int(len(train) * share))
        validation, train = train[order[:held_out]], train[order[held_out:]]
    validation = validation or test  # of a test alone, which asks for none
    if normalization is None:
        axes = (0, 1, 2)
        std = np.maximum(train.images.std(axes), 1)
        normalization = tuple(train.images.mean(axes)), tuple(std)
    changes = {"pad": pad, "flip": flip, "mean": normalization[0], "std": normalization[1]}
    spec = dataclasses.replace(
        SPECS.get(name, OTHER), **{k: v for k, v in changes.items() if v is not None}
    )
    names = source.class_names
    return ImageArrays(name, train, validation, test, source.classes, spec, names)


@dataclasses.dataclass(frozen=True)
class _Source:
    """Splits that are not read yet: their sizes, and a function that reads one."""

    sizes: dict[str, int]
    read: Callable[[str], Split]
    classes: int
    class_names: Sequence[str] | None = None


def _digits(name: str, data_dir: str | None) -> _Source:
    from sklearn import datasets

    if data_dir is not None:
        raise ArgumentError("data_dir", "The digits are those inside scikit-learn; leave it out.")
    pixels, labels = datasets.load_digits(return_X_y=True)
    scans = Split(pixels.reshape(-1, 8, 8, 1).astype("uint8"), labels.astype("int32"))
    order = np.random.default_rng(0).permutation(len(scans))
    held_out = len(scans) // 5 + 1
    splits = {"train": scans[order[held_out:]], "test": scans[order[:held_out]]}
    return _in_memory(splits, 10, list("0123456789"))


def _keras(name: str, data_dir: str | None) -> _Source:
    """Without TensorFlow there is no TFDS; Keras downloads a few datasets itself."""
    module = getattr(keras.datasets, name, None)
    if name not in SPECS or module is None or data_dir is not None:
        raise ArgumentError(
            "dataset",
            f"The dataset {name!r}, or a data directory, needs TensorFlow Datasets, which needs "
            "TensorFlow (pip install tensorflow). Without: digits, fashion_mnist, cifar10, "
            "cifar100, from Keras's own cache.",
        )
    with _as_not_available(name, "in Keras's cache"):
        train, test = (
            Split(_channels_last(images), labels.ravel().astype("int32"))
            for images, labels in module.load_data()
        )
    return _in_memory({"train": train, "test": test}, int(train.labels.max()) + 1)


def _channels_last(images: np.ndarray) -> np.ndarray:
    """Returns images of Keras, which has colours in its own data format, as `Split` has them."""
    if images.ndim == 3:
        return images[..., None]
    is_first = keras.config.image_data_format() == "channels_first"
    return images.transpose(0, 2, 3, 1) if is_first else images


def _in_memory(
    splits: dict[str, Split], classes: int, class_names: Sequence[str] | None = None
) -> _Source:
    sizes = {name: len(split) for name, split in splits.items()}
    return _Source(sizes, splits.__getitem__, classes, class_names)


def _tfds(name: str, data_dir: str | None) -> _Source:
    import tensorflow_datasets as tfds

    try:
        builder: Any = tfds.builder(name, data_dir=data_dir)
    except (tfds.core.DatasetNotFoundError, ValueError):  # the latter: no name at all, to TFDS
        if is_path(name):
            message = f"{name!r} is of ImageNet's form, for `keras-swish imagenet` and its runs"
            raise ArgumentError("dataset", message) from None
        refuse_folder(name)
        known = {*SPECS, *tfds.list_builders(with_community_datasets=False)}
        valid = f"{', '.join(SPECS)} and every image classification dataset of TensorFlow Datasets"
        raise ArgumentError("dataset", unknown("dataset", name, known, valid)) from None
    features = builder.info.features
    if not {"image", "label"} <= set(features or ()) or not hasattr(
        features["label"], "num_classes"
    ):
        raise ArgumentError(
            "dataset", f"The dataset {name!r} does not hold images with one label each."
        )
    with _as_not_available(name, f"under {builder.data_dir}"):
        builder.download_and_prepare()

    def read(split: str) -> Split:
        same_size = None not in features["image"].shape
        examples = builder.as_dataset(
            split=split,
            as_supervised=True,
            shuffle_files=False,
            batch_size=-1 if same_size else None,
        )
        if same_size:
            images, labels = tfds.as_numpy(examples)
        else:
            pairs = list(tfds.as_numpy(examples))
            images = np.empty(len(pairs), object)
            images[:] = [image for image, _ in pairs]
            labels = np.array([label for _, label in pairs])
        return Split(images, labels.astype("int32"))

    sizes = {split: info.num_examples for split, info in builder.info.splits.items()}
    return _Source(sizes, read, features["label"].num_classes, features["label"].names)


def is_path(dataset: str) -> bool:
    """Whether a dataset is named as a folder or a file pattern.

    Example:
        >>> from keras_swish.train.datasets import in_memory
        >>> [in_memory.is_path(name) for name in ("/data/flowers", "x/{split}-*", "emnist/letters")]
        [True, True, False]
    """
    is_folder = dataset.startswith(("/", ".", "~")) or "://" in dataset
    is_folder = is_folder or ("/" in dataset and os.path.exists(dataset))
    return is_folder or is_pattern(dataset)


def is_pattern(dataset: str) -> bool:
    """Whether a dataset is named as a file pattern, which is one of TFRecords."""
    return any(mark in dataset for mark in "*?[")


def refuse_folder(name: str) -> None:
    """Refuses an unknown name of a dataset that is a folder's, which needs a slash.

    Raises:
        ArgumentError: It says how to write the folder.
    """
    if os.path.isdir(name):
        raise ArgumentError("dataset", f"{name!r} is no dataset but a folder: write './{name}'")


@contextlib.contextmanager
def _as_not_available(name: str, place: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        hint = " Offline: keras-swish prepare." if name == "fashion_mnist" else ""
        raise ArgumentError(
            "dataset",
            f"The dataset {name!r} is not {place} and could not be downloaded "
            f"({type(error).__name__}: {first_line(error)[:200]}).{hint}",
        ) from error


@dataclasses.dataclass(frozen=True)
class _Part:
    """A range of a split that an argument names, not read yet."""

    source: _Source
    argument: str
    name: str
    range: range

    def read(self) -> Split:
        split = self.source.read(self.name)[self.range.start : self.range.stop]
        last = self.source.classes - 1
        # Such as -1, which TFDS has for images without a label.
        for label in split.labels[(split.labels < 0) | (split.labels > last)]:
            raise ArgumentError(
                self.argument, f"{self.name!r} has the label {label}; valid are 0 to {last}."
            )
        return split


def _part(
    source: _Source, argument: str, spec: str, apart_from: Mapping[str, _Part] | None = None
) -> _Part:
    """Finds a split, or the slice of it that TFDS's notation `name[from:to]` asks for.

    Raises:
        ArgumentError: If there is none, or it has images of those that it has to be apart from.
    """
    match = re.fullmatch(r"(\w+)(?:\[(\d{1,18}%?)?:(\d{1,18}%?)?\])?", spec)
    if not match:
        raise ArgumentError(
            argument, f"Not a split: {spec!r}. Valid: 'train', 'train[:1000]', 'train[50%:]'."
        )
    name, start, stop = match.groups()
    if name not in source.sizes:
        raise ArgumentError(argument, unknown("split", name, source.sizes))
    size = source.sizes[name]
    part = range(_bound(start or "0", size), _bound(stop or "100%", size))
    if not part or part.stop > size:
        problem = "reaches beyond its end" if part else "is empty"
        raise ArgumentError(argument, f"The split {spec!r} {problem}: {name!r} has {size} images.")
    for use, other in (apart_from or {}).items():
        both = range(max(part.start, other.range.start), min(part.stop, other.range.stop))
        if name == other.name and both:
            raise ArgumentError(argument, f"The split {spec!r} overlaps with the {use} split.")
    return _Part(source, argument, name, part)


def _bound(text: str, size: int) -> int:
    return round(int(text[:-1]) * size / 100) if text.endswith("%") else int(text)


def _resized(split: Split, side: int) -> Split:
    return Split(_resize(split.images, side), split.labels)


def _resize(images: np.ndarray, side: int) -> np.ndarray:
    from PIL import Image

    scaled = [
        np.asarray(Image.fromarray(image.squeeze()).resize((side, side), Image.Resampling.BILINEAR))
        for image in images
    ]
    return np.stack(scaled).reshape(len(scaled), side, side, -1)


# File systems that TensorFlow Datasets reads, besides that of the machine; any other URL would
# become a folder of that name.
_SCHEMES = ("gs://", "s3://")


def data_folder(data_dir: str | None) -> str | None:
    """Returns a folder of TFDS's datasets as TFDS takes it, which does not know `~`.

    Raises:
        ArgumentError: If it cannot be read; it says why.
    """
    if data_dir is None:
        return None
    if "://" not in data_dir:
        folder = os.path.expanduser(data_dir)
        if not os.path.isdir(folder):
            raise ArgumentError("data_dir", f"The data directory {data_dir!r} is not there.")
        return folder
    if not data_dir.startswith(_SCHEMES) or not has_tensorflow():
        works = f"or, with TensorFlow, {' and '.join(_SCHEMES)}"
        raise ArgumentError("data_dir", f"datasets are read from a folder, {works}")
    import tensorflow as tf

    try:
        tf.io.gfile.stat(data_dir)
    except tf.errors.OpError as error:
        message = f"The data directory {data_dir!r} cannot be read ({reason(error)})."
        raise ArgumentError("data_dir", message) from error
    return data_dir


def reason(error: Exception) -> str:
    """Returns what went wrong in one of TensorFlow's file systems."""
    return str(getattr(error, "message", error)).split("\n")[0].strip()


def has_tensorflow() -> bool:
    """Whether TensorFlow is installed, which may not be the backend."""
    return importlib.util.find_spec("tensorflow") is not None
