"""Encoded pictures in the order in which they are trained on, or evaluated.

Class folders can begin anywhere in an epoch. TFRecords are read from the epoch's beginning.
"""

import numpy as np
import tensorflow as tf

from .sources import Source

# TFRecord files that are read at once, and records that are shuffled together: a gigabyte.
FILES, BUFFER = 16, 8192


def shuffled(
    source: Source, seed: int, start: int, per_epoch: int, shard: tuple[int, int]
) -> tf.data.Dataset:
    """Gives a host's share of one epoch after the other, without end.

    Args:
        source: The training split.
        seed: Seed of the order.
        start: Number of the picture to begin with, counted over all epochs of this host.
        per_epoch: Pictures of an epoch that are for this host.
        shard: Number of this host and of all hosts.

    Returns:
        A dataset of (epoch, number, payload): int64, int64, string. The payload is a path, or
        a record.
    """
    order = _shuffled_files if source.records is None else _shuffled_records
    return order(source, seed, start, per_epoch, shard)


def _shuffled_files(source, seed, start, per_epoch, shard):
    """Gives (epoch, number, path) without end; pictures of their own files, in any order."""
    index, shards = shard
    first_epoch, skip = divmod(start, per_epoch)
    files = tf.constant(source.files)

    def one_epoch(epoch):
        own = _permutation(source.examples, seed, epoch, 0)[index::shards][:per_epoch]
        numbers = own[tf.where(epoch == first_epoch, skip, 0) :]
        paths = tf.gather(files, numbers)
        numbered = tf.data.Dataset.from_tensor_slices((numbers, paths))
        return numbered.map(lambda number, path: (epoch, number, path))

    return tf.data.Dataset.range(first_epoch, np.iinfo("int64").max).flat_map(one_epoch)


def _shuffled_records(source, seed, start, per_epoch, shard):
    """Gives (epoch, number, record) without end.

    The files are read in an order of their own in each epoch, some at once, and their records
    shuffled in a buffer.
    """
    index, shards = shard
    share = source.examples // shards
    first_epoch, skip = divmod(start, per_epoch)

    def one_epoch(epoch):
        order = _permutation(len(source.files), seed, epoch, 1)
        records = _records(source, order, index * share, (index + 1) * share)
        shuffled = _shuffle(records, BUFFER, seed, epoch + 1).take(per_epoch)
        skipped = tf.where(epoch == first_epoch, np.int64(skip), np.int64(0))
        return shuffled.skip(skipped).map(lambda number, payload: (epoch, number, payload))

    return tf.data.Dataset.range(first_epoch, np.iinfo("int64").max).flat_map(one_epoch)


def _shuffle(dataset, buffer_size, seed, other_seed):
    """Shuffles with the operation of TensorFlow 1, which keeps its seeds to itself.

    That of `Dataset.shuffle` keeps a state, so that TensorFlow would run everything after it
    one by one where it has to be deterministic.
    """
    shuffled = tf.raw_ops.ShuffleDataset(
        input_dataset=tf.data.experimental.to_variant(dataset),
        buffer_size=tf.constant(buffer_size, tf.int64),
        seed=tf.constant(seed, tf.int64),
        seed2=other_seed,
        output_types=[spec.dtype for spec in dataset.element_spec],
        output_shapes=[spec.shape for spec in dataset.element_spec],
        reshuffle_each_iteration=False,
    )
    return tf.data.experimental.from_variant(shuffled, dataset.element_spec)


def in_order(source: Source, low: int, high: int) -> tf.data.Dataset:
    """Gives (0, number, path or record) of a range of the pictures, once."""
    if source.records is None:
        files = tf.data.Dataset.from_tensor_slices(source.files[low:high])
        numbered = tf.data.Dataset.zip(tf.data.Dataset.range(low, high), files)
    else:
        order = tf.range(len(source.files), dtype=tf.int64)
        numbered = _records(source, order, np.int64(low), np.int64(high))
    return numbered.map(lambda number, payload: (np.int64(0), number, payload))


def _records(source, order, low, high):
    """Gives (number, record) of files in that order, from the low-th to before the high-th."""
    lengths = source.records.lengths.astype("int64")
    starts = source.records.starts.astype("int64")
    numbers = np.cumsum(lengths) - lengths
    ends = tf.cumsum(tf.gather(lengths, order))
    begins = ends - tf.gather(lengths, order)
    # What of each file lies between the bounds.
    left = tf.clip_by_value(low - begins, 0, ends - begins)
    take = tf.clip_by_value(high - begins, 0, ends - begins) - left
    parts = tf.data.Dataset.from_tensor_slices(
        (
            tf.gather(tf.constant(source.files), order),
            tf.gather(starts, order) + left,
            tf.gather(numbers, order) + left,
            take,
        )
    ).filter(lambda path, start, number, take: take > 0)

    def read(path, start, number, take):
        # A file that is gone must be an empty one: ignore_errors would try it for ever.
        found = tf.data.TFRecordDataset(tf.io.matching_files(path), buffer_size=2**21)
        # Where a record is broken its file ends; what is lost stays numbered, as "".
        lost = tf.data.Dataset.from_tensor_slices([""]).repeat()
        whole = found.ignore_errors().skip(start).concatenate(lost).take(take)
        return tf.data.Dataset.zip(tf.data.Dataset.range(number, number + take), whole)

    return parts.interleave(
        read, cycle_length=FILES, block_length=1, num_parallel_calls=tf.data.AUTOTUNE
    )


def _permutation(size, seed, epoch, purpose):
    """Returns the numbers below `size` in random order.

    Not `index_shuffle`: of its seed it takes as many bits as half a number has, and the next
    epoch's order would be that of the last.
    """
    key = tf.stack([np.int64(seed), 2 * epoch + purpose])
    return tf.random.experimental.stateless_shuffle(tf.range(size, dtype=tf.int64), key)


def reader(source: Source):
    """Returns the function from a picture's number and payload to its encoded form and label."""
    if source.records is None:
        labels = tf.constant(source.labels, tf.int64)
        return lambda number, path: (tf.io.read_file(path), tf.gather(labels, number))
    records = source.records
    features = {
        records.image_key: tf.io.FixedLenFeature((), tf.string),
        records.label_key: tf.io.FixedLenFeature((), tf.int64),
    }

    def read(number, record):
        example = tf.io.parse_single_example(record, features)
        label = example[records.label_key] - records.first_label
        return example[records.image_key], label

    return read


def namer(source: Source):
    """Returns the function from numbers to names: a file, or a file and its record."""
    files = tf.constant(source.files)
    if source.records is None:
        return lambda numbers: tf.gather(files, numbers)
    lengths, starts = source.records.lengths, source.records.starts
    ends = tf.constant(np.cumsum(lengths), tf.int64)
    # From a picture's number to that of its record within the file.
    shifts = tf.constant(starts - (np.cumsum(lengths) - lengths), tf.int64)

    def name(numbers):
        file = tf.searchsorted(ends, numbers, side="right")
        record = tf.strings.as_string(numbers + tf.gather(shifts, file))
        return tf.strings.join([tf.gather(files, file), record], " record ")

    return name
