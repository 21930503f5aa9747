"""Sources of images larger than memory: class folders, TFRecord shards, TFDS.

Each form becomes one `Source`: the images are numbered, and a number leads to the file.
"""

import contextlib
import dataclasses
import functools
import itertools
import os
import struct
from collections.abc import Iterator, Sequence
from concurrent import futures
from typing import Any

import numpy as np
import tensorflow as tf

from keras_swish.messages import first_line, unknown

from ..errors import ArgumentError
from . import in_memory

# What the class is called, in TF-Slim's TFRecords; other records may lack it.
TEXT_KEY = "image/class/text"
# To find the names of classes, so many records are read for each class, at most.
_RECORDS_PER_NAME = 10
SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp")


@dataclasses.dataclass(frozen=True)
class Records:
    """Positions of images in TFRecord files of `tf.train.Example`.

    Attributes:
        starts: Record to begin with in each file.
        lengths: Records to take from each file.
        image_key: Feature that holds the encoded image.
        label_key: Feature that holds the label.
        first_label: The label of the first class.
    """

    starts: np.ndarray
    lengths: np.ndarray
    image_key: str
    label_key: str
    first_label: int


@dataclasses.dataclass(frozen=True)
class Source:
    """Encoded images with labels, numbered from 0.

    Attributes:
        files: Image files, in the order of their numbers; or TFRecord files.
        class_names: One name for each class; for TFRecords "0", "1", ..., see `named_classes`.
        labels: Class of each image file; None for TFRecords.
        records: The contents of the files, if they are TFRecords.
    """

    files: Sequence[str]
    class_names: Sequence[str]
    labels: np.ndarray | None = None
    records: Records | None = None

    @property
    def examples(self) -> int:
        """Number of images."""
        return len(self.files) if self.records is None else int(self.records.lengths.sum())

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)


def open_source(
    dataset: str,
    split: str,
    *,
    data_dir: str | None = None,
    classes: int | None = None,
    first_label: int | None = None,
) -> Source:
    """Finds a split of a dataset of images.

    Args:
        dataset: One of three forms. A file pattern with a "*", of TFRecords, such as
            "gs://bucket/imagenet/{split}-*", "{split}" standing for the split's name. A
            folder, such as "/data/imagenet", with a folder for each split and in it one for
            each class. Any other word: a dataset of TensorFlow Datasets, such as
            "imagenet2012".
        split: Name of the split; of TFDS also a part of it, as in "train[:10%]".
        data_dir: Folder that holds TFDS's prepared datasets, by default TFDS's own.
        classes: Number of classes; for TFRecords alone, which do not tell.
        first_label: Label of the first class in TFRecords; by default 1 as in TF-Slim's, whose 0
            means "background" and does not occur.

    Returns:
        A `Source`.

    Raises:
        ArgumentError: A `ValueError`: nothing is there, or not in that form; or an argument is for
            another one.
    """
    is_path = in_memory.is_path(dataset)
    dataset = os.path.expanduser(dataset)  # a shell leaves --dataset=~/flowers as it is
    if is_path and data_dir is not None:
        raise ArgumentError("data_dir", f"{dataset!r} is a path, which is not looked for in it.")
    if in_memory.is_pattern(dataset):
        if classes is None:
            raise ArgumentError("classes", "TFRecords do not tell their number of classes.")
        first = 1 if first_label is None else first_label
        with _as_not_readable(dataset):
            return open_records(dataset.replace("{split}", split), classes, first_label=first)
    for name, value in (("classes", classes), ("first_label", first_label)):
        if value is not None:
            message = f"It is for TFRecords named by a file pattern; {dataset!r} tells its classes."
            raise ArgumentError(name, message)
    if is_path:
        with _as_not_readable(dataset):
            if "://" in dataset:
                _look_at(dataset)
            return open_folder(os.path.join(dataset, split))
    return open_tfds(dataset, split, data_dir)


@contextlib.contextmanager
def _as_not_readable(dataset: str) -> Iterator[None]:
    """Turns the errors of TensorFlow's file systems into one that names the dataset."""
    try:
        yield
    except tf.errors.OpError as error:
        raise ArgumentError(
            "dataset", f"{dataset!r} cannot be read ({in_memory.reason(error)})."
        ) from error
    except UnicodeError as error:
        message = f"{dataset!r} cannot be read: TensorFlow takes names in UTF-8 alone ({error})."
        raise ArgumentError("dataset", message) from error


def _look_at(url: str) -> None:
    """Lets an error say why there is no such folder: `isdir` is false if there is no network."""
    with contextlib.suppress(tf.errors.NotFoundError):
        tf.io.gfile.stat(url)


def open_folder(path: str) -> Source:
    """Finds the images of a folder with one folder for each class.

    Args:
        path: The folder, on any file system that TensorFlow reads. Classes are numbered in
            the order of their folders' names, images in that of their files' names.

    Returns:
        A `Source`.

    Raises:
        ArgumentError: A `ValueError`, if the folder is not there or holds fewer than two
            classes, or one without images.
    """
    if not tf.io.gfile.isdir(path):
        raise ArgumentError("dataset", f"There is no folder {path!r}.")
    names = sorted(
        name.rstrip("/")
        for name in tf.io.gfile.listdir(path)
        if not name.startswith(".") and tf.io.gfile.isdir(os.path.join(path, name))
    )
    if len(names) < 2:
        found = f"one, {names[0]!r}" if names else "none"
        raise ArgumentError(
            "dataset", f"The folder {path!r} needs at least two folders of classes; it has {found}."
        )
    with futures.ThreadPoolExecutor(32) as pool:
        files = list(pool.map(lambda name: _image_files(os.path.join(path, name)), names))
    for name, of_class in zip(names, files, strict=True):
        if not of_class:
            raise ArgumentError(
                "dataset",
                f"The class folder {os.path.join(path, name)!r} holds no images "
                f"({', '.join(SUFFIXES)}).",
            )
    labels = np.repeat(np.arange(len(names)), [len(of_class) for of_class in files])
    return Source(list(itertools.chain(*files)), names, labels=labels)


def _image_files(folder: str) -> list[str]:
    names = sorted(tf.io.gfile.listdir(folder))
    return [os.path.join(folder, name) for name in names if name.lower().endswith(SUFFIXES)]


def open_records(
    pattern: str,
    classes: int,
    *,
    first_label: int = 1,
    image_key: str = "image/encoded",
    label_key: str = "image/class/label",
) -> Source:
    """Finds the images in TFRecord files of `tf.train.Example`.

    Args:
        pattern: File pattern, on any file system that TensorFlow reads.
        classes: Number of classes.
        first_label: Label of the first class.
        image_key: Feature that holds the encoded image.
        label_key: Feature that holds the label.

    Returns:
        A `Source`. To count its records, files of this machine are read at each record's
        head only, those of elsewhere as a whole.

    Raises:
        ArgumentError: A `ValueError`, if no file matches, or the records are of another form.
    """
    files = sorted(tf.io.gfile.glob(pattern))
    if not files:
        raise ArgumentError("dataset", f"No file matches {pattern!r}.")
    with futures.ThreadPoolExecutor(32) as pool:
        lengths = np.array(list(pool.map(count_records, files)))
    if not lengths.sum():
        raise ArgumentError("dataset", f"The files {pattern!r} hold no TFRecords.")
    records = Records(np.zeros_like(lengths), lengths, image_key, label_key, first_label)
    _check_labels(files, records, classes)
    return Source(files, _numbers(classes), records=records)


def count_records(path: str) -> int:
    """Counts the records of a TFRecord file; of one that is cut off, those that have begun."""
    if not os.path.exists(path):  # not of this machine
        records = tf.data.TFRecordDataset(path, buffer_size=2**23).ignore_errors()
        return int(records.reduce(np.int64(0), lambda count, _: count + 1))
    size, position, count = os.path.getsize(path), 0, 0
    # A record: its length in 8 bytes, their checksum in 4, the content, its checksum in 4.
    with open(path, "rb", buffering=0) as file:
        while position < size:
            count += 1
            file.seek(position)
            head = file.read(8)
            position += 16 + struct.unpack("<Q", head)[0] if len(head) == 8 else size
    return count


def _check_labels(files, records, classes):
    """Looks into the first readable record of some files for the features and their range."""
    some = np.linspace(0, len(files) - 1, min(len(files), 16)).astype(int)
    for path in sorted({files[index] for index in some}):
        for record in tf.data.TFRecordDataset(path).take(8).ignore_errors().as_numpy_iterator():
            try:
                features = tf.train.Example.FromString(record).features.feature
            except Exception as error:
                raise ArgumentError(
                    "dataset", f"The records of {path!r} are no tf.train.Example."
                ) from error
            for key in (records.image_key, records.label_key):
                if key not in features:
                    raise ArgumentError(
                        "dataset", f"In {path!r}: {unknown('feature', key, sorted(features))}"
                    )
            labels = features[records.label_key].int64_list.value
            if not labels:
                raise ArgumentError(
                    "dataset", f"In {path!r}: the feature {records.label_key!r} is no whole number."
                )
            label = labels[0]
            first, last = records.first_label, records.first_label + classes - 1
            if not first <= label <= last:
                raise ArgumentError(
                    "first_label",
                    f"In {path!r} is the label {label}; valid are {first} to {last}, for "
                    f"{classes} classes whose first has the label {first}.",
                )


def named_classes(source: Source) -> Sequence[str]:
    """Returns the names of the classes, for TFRecords those that the records hold as text.

    They are looked for in some records of every file; a class that is not met there, or not named,
    has its number.
    """
    records = source.records
    if records is None or list(source.class_names) != _numbers(source.classes):
        return source.class_names
    found = _texts(tuple(source.files), records.label_key, records.first_label, source.classes)
    return [found.get(label, name) for label, name in enumerate(source.class_names)]


def _features(record: Any) -> Any:
    """Returns the features of a record by name; none of one that is no `tf.train.Example`."""
    try:
        return tf.train.Example.FromString(record).features.feature
    except Exception:  # protobuf's own
        return {}


def _numbers(classes: int) -> list[str]:
    return [str(number) for number in range(classes)]


@functools.cache  # each run of a comparison asks for it
def _texts(
    files: tuple[str, ...], label_key: str, first_label: int, classes: int
) -> dict[int, str]:
    """Returns the names of classes that records hold as text, by number."""
    found: dict[int, str] = {}
    most = -(-classes * _RECORDS_PER_NAME // len(files))
    for path in files:
        for record in tf.data.TFRecordDataset(path).take(most).ignore_errors().as_numpy_iterator():
            features = _features(record)
            if TEXT_KEY not in features:
                return found
            for text, label in zip(
                features[TEXT_KEY].bytes_list.value,
                features[label_key].int64_list.value,
                strict=False,
            ):
                if text and 0 <= label - first_label < classes:
                    found.setdefault(label - first_label, text.decode(errors="replace"))
        if len(found) == classes:
            break
    return found


def open_tfds(name: str, split: str, data_dir: str | None = None) -> Source:
    """Finds the images of a dataset of TensorFlow Datasets, without decoding them.

    Args:
        name: Such as "imagenet2012"; prepared, or one that TFDS can prepare.
        split: Such as "train", "validation[:10%]".
        data_dir: Folder that holds the prepared datasets, by default TFDS's own.

    Returns:
        A `Source`.

    Raises:
        ArgumentError: A `ValueError`, if the dataset or the split is not there, or holds
            something else than images with one label each in TFRecords.
    """
    import tensorflow_datasets as tfds

    data_dir = in_memory.data_folder(data_dir)
    try:
        builder: Any = tfds.builder(name, data_dir=data_dir)
    except (tfds.core.DatasetNotFoundError, ValueError):  # the latter: no name at all, to TFDS
        in_memory.refuse_folder(name)
        known = tfds.list_builders(with_community_datasets=False)
        valid = "imagenet2012, another dataset of TensorFlow Datasets, a folder, a file pattern"
        raise ArgumentError("dataset", unknown("dataset", name, known, valid)) from None
    features = builder.info.features
    if not (
        {"image", "label"} <= set(features or ())
        and isinstance(features["image"], tfds.features.Image)
        and isinstance(features["label"], tfds.features.ClassLabel)
    ):
        raise ArgumentError(
            "dataset", f"The dataset {name!r} does not hold images with one label each."
        )
    try:
        builder.download_and_prepare()
    except Exception as error:
        raise ArgumentError(
            "dataset",
            f"The dataset {name!r} is not under {builder.data_dir} and could not be downloaded "
            f"({type(error).__name__}: {first_line(error)[:200]}).",
        ) from error
    if builder.info.file_format != tfds.core.FileFormat.TFRECORD:
        raise ArgumentError(
            "dataset",
            f"The dataset {name!r} is prepared as {builder.info.file_format.value}; only "
            "tfrecord is read here.",
        )
    try:
        parts = builder.info.splits[split].file_instructions
    except (KeyError, ValueError):
        raise ArgumentError("split", unknown("split", split, builder.info.splits)) from None
    takes = [part.examples_in_shard - part.skip if part.take == -1 else part.take for part in parts]
    if not sum(takes):
        raise ArgumentError("split", f"The split {split!r} of {name!r} is empty.")
    starts = np.array([part.skip for part in parts])
    records = Records(starts, np.array(takes), "image", "label", first_label=0)
    return Source([part.filename for part in parts], features["label"].names, records=records)


def hold_out(source: Source, share: float) -> tuple[Source, Source]:
    """Returns two parts of a split: to train on, and a share that is held out.

    Of class folders, images drawn at random, the same each time; of TFRecords, the last ones of
    each file.

    Raises:
        ArgumentError: A `ValueError`, if one of them has no image.

    Example:
        >>> import numpy as np
        >>> from keras_swish.train.datasets import sources
        >>> files = [f"{number}.png" for number in range(10)]
        >>> source = sources.Source(files, ["a", "b"], labels=np.arange(10) % 2)
        >>> [part.examples for part in sources.hold_out(source, 0.2)]
        [8, 2]
    """
    count = round(source.examples * share)
    if not 0 < count < source.examples:
        raise ArgumentError(
            "validation_split", f"{share} of {source.examples} images leaves none of one part"
        )
    records = source.records
    if records is not None:
        ends = np.round(np.cumsum(records.lengths) * (count / source.examples)).astype("int64")
        held = np.diff(ends, prepend=0)
        kept = records.lengths - held
        parts = (records.starts, kept), (records.starts + kept, held)
        train, validation = (
            dataclasses.replace(
                source, records=dataclasses.replace(records, starts=starts, lengths=lengths)
            )
            for starts, lengths in parts
        )
        return train, validation
    assert source.labels is not None
    order = np.random.default_rng(0).permutation(source.examples)
    train, validation = (
        dataclasses.replace(
            source, files=[source.files[n] for n in numbers], labels=source.labels[numbers]
        )
        for numbers in (np.sort(order[count:]), np.sort(order[:count]))
    )
    return train, validation


def check_apart(
    used: Source, source: Source, argument: str = "test_split", use: str = "training"
) -> None:
    """Refuses a split with images of another one, such as a test on images that were trained on.

    Args:
        used: The other one.
        source: The split.
        argument: What names the split.
        use: What the other one is for.

    Raises:
        ArgumentError: A `ValueError` that names a file which both read.
    """
    known: dict[str, list[range]] = {}
    for path, part in _parts(used):
        known.setdefault(path, []).append(part)
    for path, part in _parts(source):
        for other in known.get(path, ()):
            if max(part.start, other.start) < min(part.stop, other.stop):
                raise ArgumentError(
                    argument,
                    f"It has images of the {use} split, such as those of {path!r}. (In a "
                    "file pattern {split} stands for the split's name.)",
                )


def _parts(source):
    """Yields each file with the range of its records that is read."""
    if source.records is None:
        return ((path, range(1)) for path in source.files)
    starts, lengths = source.records.starts.tolist(), source.records.lengths.tolist()
    stops = map(sum, zip(starts, lengths, strict=True))
    return zip(source.files, map(range, starts, stops), strict=True)


def check_same_classes(train: Source, test: Source) -> None:
    """Refuses two splits of which a class's number does not mean the same.

    Raises:
        ArgumentError: A `ValueError` that names a class which only one of them has.
    """
    if list(train.class_names) != list(test.class_names):
        lone = sorted(set(train.class_names) ^ set(test.class_names))[0]
        raise ArgumentError(
            "dataset",
            f"The splits have different classes ({train.classes} and {test.classes}): only one "
            f"of them has {lone!r}.",
        )
