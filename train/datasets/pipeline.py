"""Batches of images larger than memory, through tf.data: ImageNet and its like.

The file has the order in which an image travels: its place in the epoch, its bytes, its pixels, its
batch, the check for corrupt images, the tensors for the network.

Which images a batch holds and how they are distorted is a function of (seed, step) alone: the same
for every activation, after a restart, and however many threads decode.

An image that cannot be decoded, a record that cannot be read or whose label is out of range is
replaced (in training) by the next good one of its batch, or left out (in evaluation). Its name goes
into a log, and too many of them in one epoch end the run. No Python runs inside the pipeline, and
no operation in its parallel parts keeps a state: either would make TensorFlow run all of it
sequentially where `tf.config.experimental.enable_op_determinism` is on.
"""

import contextlib
import os
import pathlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ..errors import ArgumentError, DataError
from . import inception_preprocessing
from .sources import Source

# TFRecord files that are read at once, and records that are shuffled together: a gigabyte.
FILES, BUFFER = 16, 8192
# Images that one thread decodes in one go, at most.
CHUNK = 32
TOO_MANY = "Too many corrupt images"
TOO_MANY_LABELS = "Too many labels out of range"
# What stands between the name and the label of a record, in the log.
_LABEL = ": the label "


def batches(
    source: Source,
    *,
    batch_size: int,
    image_size: int,
    training: bool,
    seed: int = 0,
    start_step: int = 0,
    shard: tuple[int, int] = (0, 1),
    distortion: inception_preprocessing.Distortion | None = None,
    pad: bool = False,
    corrupt_log: str | os.PathLike | None = None,
    max_corrupt: int = 100,
) -> tf.data.Dataset:
    """Returns the batches of a split.

    Args:
        source: The split.
        batch_size: Images in a batch of this host.
        image_size: Side of the images that come out.
        training: True: an endless stream of full batches, a new order each epoch, distorted.
            False: each image once, in a fixed order, its centre; the last batch may be smaller, as
            are those with corrupt images, and one of nothing else is left out.
        seed: Seed of order and distortion.
        start_step: The training step to begin with. Class folders begin there at once; of
            TFRecords those before it in its epoch are read, not decoded.
        shard: Number of this host and of all hosts. Each epoch deals all images out again: every
            host gets as many, none gets another's. In evaluation the numbers may differ by one.
        distortion: The changes that training makes to the images; TF-Slim's by default.
        pad: In evaluation, fill up with grey images of weight 0, so that every host gets the same
            number of batches, all full.
        corrupt_log: File of this machine that the names of corrupt images are added to, one a
            line, again in each epoch.
        max_corrupt: Number of corrupt images in one epoch above which the data stops; of labels
            out of range, too.

    Returns:
        A dataset of images, `(batch, image_size, image_size, 3)` (in Keras's image data
        format), float32 in [-1, 1], and one-hot labels, `(batch, classes)`, float32; with
        `pad` also weights, `(batch,)`, float32.

    Raises:
        ArgumentError: A `ValueError`, if a batch is larger than the split, or there is no such
            shard.
        tf.errors.InvalidArgumentError: From the dataset, when too many images are corrupt.
            `as_data_errors` turns it into a `DataError`.

    Example:
        >>> from keras_swish.train.datasets import sources
        >>> from keras_swish.train.datasets import pipeline
        >>> source = sources.open_source("/data/imagenet", "train")  # doctest: +SKIP
        >>> train = pipeline.batches(
        ...     source, batch_size=32, image_size=224, training=True, seed=1
        ... )  # doctest: +SKIP
    """
    index, shards = shard
    if not 0 <= index < shards:
        raise ArgumentError("shard", f"There is no shard {index} of {shards}.")
    distortion = distortion or inception_preprocessing.Distortion()

    def pixels(epoch: tf.Tensor, number: tf.Tensor, encoded: tf.Tensor) -> tf.Tensor:
        if not training:
            return inception_preprocessing.for_evaluation(encoded, image_size)
        image_seed = tf.stack([np.int64(seed), epoch * 2**40 + number])
        return inception_preprocessing.for_training(encoded, image_seed, image_size, distortion)

    def finish(images: tf.Tensor, labels: tf.Tensor, numbers: tf.Tensor, good: tf.Tensor) -> tuple:
        if training:
            images, labels = _replace_corrupt(images, labels, good, source.classes)
            images = tf.ensure_shape(images, (batch_size, image_size, image_size, 3))
            labels = tf.ensure_shape(labels, (batch_size,))
        elif not pad:
            images, labels = _drop_corrupt(images, labels, good)
        if keras.config.image_data_format() == "channels_first":
            images = tf.transpose(images, (0, 3, 1, 2))
        labels = tf.one_hot(labels, source.classes)
        return (images, labels, tf.cast(good, tf.float32)) if pad else (images, labels)

    if training:
        per_epoch = steps_per_epoch(source, batch_size, shards) * batch_size
        encoded = shuffled(source, seed, start_step * batch_size, per_epoch, shard)
    else:
        encoded = _once(source, batch_size, shard, pad)
    chunk = next(n for n in range(min(CHUNK, batch_size), 0, -1) if batch_size % n == 0)
    decoded = _decode(encoded.batch(chunk), source, pixels, chunk, image_size)
    if chunk < batch_size:
        decoded = decoded.batch(batch_size // chunk).map(_merge_chunks)
    checked = _limit_corrupt(decoded, source, corrupt_log, max_corrupt)
    if not training and not pad:
        # Without one good image it would be an empty batch, which no network takes.
        checked = checked.filter(lambda *parts: tf.reduce_any(parts[-1]))
    options = tf.data.Options()
    options.deterministic = True
    # Each host has its own part already.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return checked.map(finish).prefetch(2).with_options(options)


def steps_per_epoch(source: Source, batch_size: int, shards: int = 1) -> int:
    """Returns the number of full batches in an epoch.

    Args:
        source: The training split.
        batch_size: Images in a batch of one host.
        shards: Number of hosts.

    Raises:
        ArgumentError: A `ValueError`, if there is not even one.
    """
    steps = source.examples // (batch_size * shards)
    if not steps:
        raise ArgumentError(
            "batch_size",
            f"{shards} x {batch_size} images in a batch are more than the split's "
            f"{source.examples}.",
        )
    return steps


@contextlib.contextmanager
def as_data_errors() -> Iterator[None]:
    """Turns the error with which batches end for corrupt images into a `DataError`."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        message = re.search(rf"({TOO_MANY}|{TOO_MANY_LABELS})[^\]]*", error.message)
        if not message:
            raise
        raise DataError(message[0]) from None


def describe_corrupt(corrupt_log: str | os.PathLike) -> str | None:
    """Returns a line on the images that batches left out so far; None: they left none out."""
    path = pathlib.Path(corrupt_log)
    lines = dict.fromkeys(path.read_text().splitlines()) if path.exists() else {}
    mislabeled = [line for line in lines if _LABEL in line]
    corrupt = [line for line in lines if _LABEL not in line]
    parts = [
        f"{len(names)} image{'s' * (len(names) > 1)} {what}, the first {names[0]}"
        for what, names in (
            ("cannot be decoded", corrupt),
            ("with a label out of range", mislabeled),
        )
        if names
    ]
    return f"left out: {'; '.join(parts)} (all in {path})" if parts else None


# The order: (epoch, number, payload) of each image, int64, int64, string. The payload is a path, or
# a record.


def shuffled(
    source: Source, seed: int, start: int, per_epoch: int, shard: tuple[int, int]
) -> tf.data.Dataset:
    """Returns a host's share of one epoch after the other, without end.

    Class folders can begin anywhere in an epoch. TFRecords are read from the epoch's beginning.

    Args:
        source: The training split.
        seed: Seed of the order.
        start: Number of the image to begin with, counted over all epochs of this host.
        per_epoch: Images of an epoch that are for this host.
        shard: Number of this host and of all hosts.

    Returns:
        A dataset of (epoch, number, payload).
    """
    one_epoch = _files_of_epoch if source.records is None else _records_of_epoch
    files = tf.constant(source.files)  # here, so that it is no constant of each epoch's graph
    first_epoch, skip = divmod(start, per_epoch)

    def from_start(epoch: tf.Tensor) -> tf.data.Dataset:
        skipped = tf.where(epoch == first_epoch, np.int64(skip), np.int64(0))
        numbered = one_epoch(source, files, seed, epoch, per_epoch, shard).skip(skipped)
        return numbered.map(lambda number, payload: (epoch, number, payload))

    return tf.data.Dataset.range(first_epoch, np.iinfo("int64").max).flat_map(from_start)


def _files_of_epoch(source, files, seed, epoch, per_epoch, shard) -> tf.data.Dataset:
    """Returns (number, path) of image files, in any order."""
    index, shards = shard
    order = _permutation(source.examples, seed, epoch, 0)
    numbers = order[index::shards][:per_epoch]
    return tf.data.Dataset.from_tensor_slices((numbers, tf.gather(files, numbers)))


def _records_of_epoch(source, files, seed, epoch, per_epoch, shard) -> tf.data.Dataset:
    """Returns (number, record), shuffled in a buffer, of files in an order of the epoch's own."""
    index, shards = shard
    share = source.examples // shards
    order = _permutation(len(source.files), seed, epoch, 1)
    records = _records(source, files, order, index * share, (index + 1) * share)
    return _shuffle(records, BUFFER, seed, epoch + 1).take(per_epoch)


def _once(source, batch_size, shard, pad) -> tf.data.Dataset:
    """Returns (0, number, payload) of a host's share, in order; number -1 for what fills up."""
    index, shards = shard
    low, high = (source.examples * part // shards for part in (index, index + 1))
    if source.records is None:
        paths = tf.data.Dataset.from_tensor_slices(source.files[low:high])
        numbered = tf.data.Dataset.zip(tf.data.Dataset.range(low, high), paths)
    else:
        order = tf.range(len(source.files), dtype=tf.int64)
        files = tf.constant(source.files)
        numbered = _records(source, files, order, np.int64(low), np.int64(high))
    images = numbered.map(lambda number, payload: (np.int64(0), number, payload))
    if not pad:
        return images
    longest = -(-source.examples // shards)
    missing = -(-longest // batch_size) * batch_size - (high - low)
    nothing = tf.constant(0, tf.int64), tf.constant(-1, tf.int64), ""
    return images.concatenate(tf.data.Dataset.from_tensors(nothing).repeat(missing))


def _records(source, files, order, low, high) -> tf.data.Dataset:
    """Returns (number, record) of files in that order, from the low-th to before the high-th."""
    lengths = source.records.lengths.astype("int64")
    starts = source.records.starts.astype("int64")
    numbers = np.cumsum(lengths) - lengths
    ends = tf.cumsum(tf.gather(lengths, order))
    begins = ends - tf.gather(lengths, order)
    # The part of each file that lies between the bounds.
    left = tf.clip_by_value(low - begins, 0, ends - begins)
    take = tf.clip_by_value(high - begins, 0, ends - begins) - left
    # The stubs have no functions of several arguments.
    slices: Any = tf.data.Dataset.from_tensor_slices(
        (
            tf.gather(files, order),
            tf.gather(starts, order) + left,
            tf.gather(numbers, order) + left,
            take,
        )
    )
    parts = slices.filter(lambda path, start, number, take: take > 0)

    def read(path, start, number, take):
        # A file that is gone must be an empty one: ignore_errors would try it for ever.
        records = tf.data.TFRecordDataset(tf.io.matching_files(path), buffer_size=2**21)
        # Where a record is broken its file ends; what is lost stays numbered, as "".
        lost = tf.data.Dataset.from_tensor_slices([""]).repeat()
        filled = records.ignore_errors().skip(start).concatenate(lost).take(take)
        return tf.data.Dataset.zip(tf.data.Dataset.range(number, number + take), filled)

    return parts.interleave(
        read, cycle_length=FILES, block_length=1, num_parallel_calls=tf.data.AUTOTUNE
    )


def _shuffle(dataset, buffer_size, seed, other_seed) -> tf.data.Dataset:
    """Shuffles with the operation of TensorFlow 1, which keeps its seeds to itself.

    That of `Dataset.shuffle` keeps a state, so that TensorFlow would run everything after it
    sequentially where it has to be deterministic.
    """
    variant = tf.raw_ops.ShuffleDataset(
        input_dataset=tf.data.experimental.to_variant(dataset),
        buffer_size=tf.constant(buffer_size, tf.int64),
        seed=tf.constant(seed, tf.int64),
        seed2=other_seed,
        output_types=[spec.dtype for spec in dataset.element_spec],
        output_shapes=[spec.shape for spec in dataset.element_spec],
        reshuffle_each_iteration=False,
    )
    return tf.data.experimental.from_variant(variant, dataset.element_spec)


def _permutation(size, seed, epoch, purpose) -> tf.Tensor:
    """Returns the numbers below `size` in random order.

    Not `index_shuffle`: of its seed it takes as many bits as half a number has, and the next
    epoch's order would be that of the last.
    """
    key = tf.stack([np.int64(seed), 2 * epoch + purpose])
    numbers = tf.range(size, dtype=tf.int64)
    return tf.random.experimental.stateless_shuffle(numbers, key)  # pyright: ignore[reportAttributeAccessIssue]


# The bytes and the pixels: chunks of (images, labels, numbers, good, epoch).


def _decode(chunks, source, pixels: Callable, chunk: int, image_size: int) -> tf.data.Dataset:
    """Turns chunks of (epoch, number, payload) into (images, labels, numbers, good, epoch).

    An error in TensorFlow's graph can be caught by `ignore_errors` alone, which drops the
    element. So each chunk becomes a dataset of its own; what is dropped leaves a gap there.
    """
    read = _reader(source)

    def example(slot, epoch, number, payload):
        encoded, label = read(number, payload)
        return slot, pixels(epoch, number, encoded), label

    def decode(epochs, numbers, payloads):
        slots = tf.range(tf.size(numbers))
        examples = tf.data.Dataset.from_tensor_slices((slots, epochs, numbers, payloads))
        decoded = examples.map(example).ignore_errors().batch(chunk)
        nothing = tf.data.Dataset.from_tensor_slices([0]).map(
            lambda _: (
                tf.zeros((0,), tf.int32),
                tf.zeros((0, image_size, image_size, 3)),
                tf.zeros((0,), tf.int64),
            )
        )
        first = decoded.concatenate(nothing).take(1)
        return first.map(
            lambda slots, images, labels: _spread(
                slots, images, labels, epochs, numbers, chunk, source.classes
            )
        )

    return chunks.interleave(
        decode,
        cycle_length=os.cpu_count(),
        block_length=1,
        num_parallel_calls=tf.data.AUTOTUNE,
    )


def _reader(source: Source) -> Callable:
    """Returns the function from an image's number and payload to its encoded form and label."""
    if source.records is None:
        labels = tf.constant(np.asarray(source.labels), tf.int64)
        return lambda number, path: (tf.io.read_file(path), tf.gather(labels, number))
    records = source.records
    features = {
        records.image_key: tf.io.FixedLenFeature((), tf.string),
        records.label_key: tf.io.FixedLenFeature((), tf.int64),
    }

    def read(number, record):
        example = tf.io.parse_single_example(record, features)
        return example[records.image_key], example[records.label_key] - records.first_label

    return read


def _spread(slots, images, labels, epochs, numbers, chunk: int, classes: int) -> tuple:
    """Puts the images that could be decoded into their slots of a full chunk."""
    images = tf.cond(
        tf.size(slots) == chunk,
        lambda: images,
        lambda: tf.scatter_nd(slots[:, None], images, (chunk, *images.shape[1:])),
    )
    images = tf.ensure_shape(images, (chunk, *images.shape[1:]))
    labels = tf.scatter_nd(slots[:, None], labels, (chunk,))
    good = tf.scatter_nd(slots[:, None], tf.ones_like(slots), (chunk,)) > 0
    good = tf.logical_and(good, tf.logical_not(_is_out_of_range(labels, classes)))
    missing = chunk - tf.size(numbers)
    numbers = tf.pad(numbers, [[0, missing]], constant_values=-1)
    return images, labels, numbers, good, epochs[0]


def _is_out_of_range(labels: tf.Tensor, classes: int) -> tf.Tensor:
    return (labels < 0) | (labels >= classes)


def _merge_chunks(images, labels, numbers, good, epochs) -> tuple:
    """Returns one batch of a batch of chunks."""
    merged = (
        tf.reshape(part, tf.concat([[-1], tf.shape(part)[2:]], 0))
        for part in (images, labels, numbers, good)
    )
    return (*merged, epochs[0])


# Corrupt images: batches of (images, labels, numbers, good).


def _limit_corrupt(batched, source, corrupt_log, max_corrupt: int) -> tf.data.Dataset:
    """Counts and names the images that could not be used, and stops at too many."""
    where = f" Their names are in {corrupt_log}." if corrupt_log else ""
    first = 0 if source.records is None else source.records.first_label
    valid = f"{first} to {first + source.classes - 1}"
    limits = [
        f"{TOO_MANY}: more than {max_corrupt} in one epoch (max_corrupt raises the limit).",
        f"{TOO_MANY_LABELS}: more than {max_corrupt} in one epoch; valid are {valid}, see "
        "--classes and --first_label.",
    ]
    name = _namer(source)

    def check(state, batch):
        (counted_epoch, counts), (*parts, epoch) = state, batch
        _, labels, numbers, good = parts
        bad = ~good & (numbers >= 0)
        mislabeled = bad & _is_out_of_range(labels, source.classes)
        found = tf.stack(
            [tf.math.count_nonzero(bad & ~mislabeled), tf.math.count_nonzero(mislabeled)]
        )
        counts = tf.where(counted_epoch == epoch, counts, tf.zeros_like(counts)) + found

        def report():
            label = tf.strings.as_string(tf.boolean_mask(labels, bad) + first)
            reason = tf.strings.join([_LABEL, label, f" is none of {valid}"])
            reason = tf.where(tf.boolean_mask(mislabeled, bad), reason, "")
            names = tf.strings.join([name(tf.boolean_mask(numbers, bad)), reason])
            names = tf.strings.reduce_join(names, separator="\n")
            if corrupt_log is not None:
                tf.print(names, output_stream=f"file://{os.path.abspath(corrupt_log)}")
            for count, limit in zip(tf.unstack(counts), limits, strict=True):
                message = tf.strings.join([f"{limit}{where} The last ones: ", names])
                tf.debugging.Assert(count <= max_corrupt, [message])
            return True

        tf.cond(tf.reduce_any(bad), report, lambda: True)
        return (epoch, counts), tuple(parts)

    return batched.scan((np.int64(-1), np.zeros(2, np.int64)), check)


def _namer(source: Source) -> Callable:
    """Returns the function from numbers to names: a file, or a file and its record."""
    files = tf.constant(source.files)
    if source.records is None:
        return lambda numbers: tf.gather(files, numbers)
    lengths, starts = source.records.lengths, source.records.starts
    ends = tf.constant(np.cumsum(lengths), tf.int64)
    # From an image's number to that of its record within the file.
    shifts = tf.constant(starts - (np.cumsum(lengths) - lengths), tf.int64)

    def name(numbers):
        file = tf.searchsorted(ends, numbers, side="right")
        record = tf.strings.as_string(numbers + tf.gather(shifts, file))
        return tf.strings.join([tf.gather(files, file), record], " record ")

    return name


def _replace_corrupt(images, labels, good, classes: int) -> tuple:
    """Puts the next good image, in a circle, in the slot of each that could not be used."""

    def replaced():
        there = tf.where(good)[:, 0]
        none = "not one of a whole batch can be used."
        message = tf.where(
            tf.reduce_any(_is_out_of_range(labels, classes)),
            f"{TOO_MANY_LABELS}: {none}",
            f"{TOO_MANY}: {none}",
        )
        # Otherwise the division by none of them may come first, and be the error.
        with tf.control_dependencies([tf.debugging.Assert(tf.size(there) > 0, [message])]):
            there = tf.identity(there)
        next_good = tf.searchsorted(there, tf.range(tf.size(good, tf.int64)))
        rows = tf.gather(there, next_good % tf.size(there))
        return tf.gather(images, rows), tf.gather(labels, rows)

    return tf.cond(tf.reduce_all(good), lambda: (images, labels), replaced)


def _drop_corrupt(images, labels, good) -> tuple:
    """Leaves out the images that could not be used."""
    return tf.cond(
        tf.reduce_all(good),
        lambda: (images, labels),
        lambda: (tf.boolean_mask(images, good), tf.boolean_mask(labels, good)),
    )
