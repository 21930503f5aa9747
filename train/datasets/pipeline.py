"""Batches of pictures too many for memory, through tf.data: ImageNet and its like.

Which pictures a batch holds and how they are distorted is a function of (seed, step) alone:
the same for every activation, after a restart, and however many threads decode.

A picture that cannot be decoded, or a record that cannot be read, is replaced (in training)
by the next good one of its batch, or left out (in evaluation). Its name goes into a log, and
too many of them in one epoch end the run. No Python runs inside the pipeline, and no
operation in its parallel parts keeps a state: either would make TensorFlow run all of it one
by one where `tf.config.experimental.enable_op_determinism` is on.
"""

import contextlib
import os
import pathlib
import re
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from ..errors import ArgumentError, DataError
from . import inception_preprocessing, streams
from .sources import Source

# Pictures that one thread decodes in one go, at most.
CHUNK = 32
TOO_MANY = "Too many corrupt pictures"


def steps_per_epoch(source: Source, batch_size: int, shards: int = 1) -> int:
    """Returns the number of full batches in an epoch.

    Args:
        source: The training split.
        batch_size: Pictures in a batch of one host.
        shards: Number of hosts.

    Raises:
        ArgumentError: A `ValueError`, if there is not even one.
    """
    steps = source.examples // (batch_size * shards)
    if not steps:
        raise ArgumentError(
            "batch_size",
            f"{shards} x {batch_size} pictures in a batch are more than the split's "
            f"{source.examples}.",
        )
    return steps


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
    """Makes the batches of a split.

    Args:
        source: The split.
        batch_size: Pictures in a batch of this host.
        image_size: Side of the pictures that come out.
        training: True: an endless stream of full batches, a new order each epoch, distorted.
            False: each picture once, in a fixed order, its centre; the last batch may be
            smaller.
        seed: Seed of order and distortion.
        start_step: The training step to begin with. Class folders begin there at once; of
            TFRecords those before it in its epoch are read, not decoded.
        shard: Number of this host and of all hosts. Each epoch deals all pictures out anew:
            every host gets as many, none gets another's. In evaluation the numbers may differ
            by one.
        distortion: What training does to the pictures; TF-Slim's by default.
        pad: In evaluation, fill up with grey pictures of weight 0, so that every host gets
            the same number of batches, all full.
        corrupt_log: File of this machine that the names of corrupt pictures are added to, one
            a line, again in each epoch.
        max_corrupt: Number of corrupt pictures in one epoch above which the data stops.

    Returns:
        A dataset of images, `(batch, image_size, image_size, 3)` (in Keras's image data
        format), float32 in [-1, 1], and one-hot labels, `(batch, classes)`, float32; with
        `pad` also weights, `(batch,)`, float32.

    Raises:
        ArgumentError: A `ValueError`, if a batch is larger than the split, or there is no such
            shard.
        tf.errors.InvalidArgumentError: From the dataset, when too many pictures are corrupt.
            `clear_errors` turns it into a `DataError`.

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
    chunk = next(n for n in range(min(CHUNK, batch_size), 0, -1) if batch_size % n == 0)
    if training:
        steps = steps_per_epoch(source, batch_size, shards)
        raw = streams.shuffled(source, seed, start_step * batch_size, steps * batch_size, shard)
    else:
        low, high = (source.examples * part // shards for part in (index, index + 1))
        raw = streams.in_order(source, low, high)
        if pad:
            longest = -(-source.examples // shards)
            missing = -(-longest // batch_size) * batch_size - (high - low)
            nothing = tf.constant(0, tf.int64), tf.constant(-1, tf.int64), ""
            raw = raw.concatenate(tf.data.Dataset.from_tensors(nothing).repeat(missing))
    distortion = distortion or inception_preprocessing.Distortion()

    def image(epoch, number, encoded):
        if not training:
            return inception_preprocessing.for_evaluation(encoded, image_size)
        chance = tf.stack([np.int64(seed), epoch * 2**40 + number])
        return inception_preprocessing.for_training(encoded, chance, image_size, distortion)

    whole = _decode(raw.batch(chunk), source, image, chunk, image_size)
    if chunk < batch_size:
        whole = whole.batch(batch_size // chunk).map(_merge)
    checked = whole.scan((np.int64(-1), np.int64(0)), _check(source, corrupt_log, max_corrupt))

    def finish(images, labels, numbers, good):
        if training:
            images, labels = _replace(images, labels, good)
            images = tf.ensure_shape(images, (batch_size, image_size, image_size, 3))
            labels = tf.ensure_shape(labels, (batch_size,))
        elif not pad:
            images, labels = _keep(images, labels, good)
        if keras.config.image_data_format() == "channels_first":
            images = tf.transpose(images, (0, 3, 1, 2))
        labels = tf.one_hot(labels, source.classes)
        return (images, labels, tf.cast(good, tf.float32)) if pad else (images, labels)

    options = tf.data.Options()
    options.deterministic = True
    # Each host has its own part already.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return checked.map(finish).prefetch(2).with_options(options)


@contextlib.contextmanager
def clear_errors() -> Iterator[None]:
    """Turns the error with which batches end for corrupt pictures into a `DataError`."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        found = re.search(rf"{TOO_MANY}[^\]]*", error.message)
        if not found:
            raise
        raise DataError(found[0]) from None


def corrupt_names(corrupt_log: str | os.PathLike) -> list[str]:
    """Returns the names of the corrupt pictures that batches met so far, each once."""
    path = pathlib.Path(corrupt_log)
    return sorted(set(path.read_text().splitlines())) if path.exists() else []


def _decode(chunks, source, image, chunk, image_size):
    """Turns chunks of (epoch, number, payload) into (images, labels, numbers, good, epoch).

    An error in TensorFlow's graph can be caught by `ignore_errors` alone, which drops the
    element. So each chunk becomes a dataset of its own; what is dropped leaves a gap there.
    """
    read = streams.reader(source)
    classes = tf.range(source.classes, dtype=tf.int64)

    def decode(epochs, numbers, payloads):
        def example(slot, epoch, number, payload):
            encoded, label = read(number, payload)
            # The check is an operation that fails for a label beyond the classes.
            return slot, image(epoch, number, encoded), tf.gather(classes, label)

        slots = tf.range(tf.size(numbers))
        nothing = tf.data.Dataset.from_tensor_slices([0]).map(
            lambda _: (
                tf.zeros((0,), tf.int32),
                tf.zeros((0, image_size, image_size, 3)),
                tf.zeros((0,), tf.int64),
            )
        )
        examples = tf.data.Dataset.from_tensor_slices((slots, epochs, numbers, payloads))
        found = examples.map(example).ignore_errors().batch(chunk)
        return (
            found.concatenate(nothing)
            .take(1)
            .map(lambda *there: _spread(*there, epochs, numbers, chunk))
        )

    return chunks.interleave(
        decode,
        cycle_length=os.cpu_count(),
        block_length=1,
        num_parallel_calls=tf.data.AUTOTUNE,
    )


def _spread(slots, images, labels, epochs, numbers, chunk):
    """Puts the pictures that could be decoded into their slots of a full chunk."""
    full = tf.size(slots) == chunk
    images = tf.cond(
        full,
        lambda: images,
        lambda: tf.scatter_nd(slots[:, None], images, (chunk, *images.shape[1:])),
    )
    images = tf.ensure_shape(images, (chunk, *images.shape[1:]))
    labels = tf.scatter_nd(slots[:, None], labels, (chunk,))
    good = tf.scatter_nd(slots[:, None], tf.ones_like(slots), (chunk,)) > 0
    missing = chunk - tf.size(numbers)
    numbers = tf.pad(numbers, [[0, missing]], constant_values=-1)
    return images, labels, numbers, good, epochs[0]


def _merge(images, labels, numbers, good, epochs):
    """Makes one batch of a batch of chunks."""
    merged = (
        tf.reshape(part, tf.concat([[-1], tf.shape(part)[2:]], 0))
        for part in (images, labels, numbers, good)
    )
    return (*merged, epochs[0])


def _check(source, corrupt_log, max_corrupt):
    """Returns a step that counts and names what could not be read, and stops at too many."""
    place = f" Their names are in {corrupt_log}." if corrupt_log else ""
    names_of = streams.namer(source)
    text = f"{TOO_MANY}: more than {max_corrupt} in one epoch (max_corrupt raises the limit)."

    def check(state, batch):
        epoch, count = state
        *parts, now = batch
        _, _, numbers, good = parts
        bad = tf.boolean_mask(numbers, ~good & (numbers >= 0))
        count = tf.where(epoch == now, count, 0) + tf.size(bad, tf.int64)

        def report():
            names = tf.strings.reduce_join(names_of(bad), separator="\n")
            if corrupt_log is not None:
                tf.print(names, output_stream=f"file://{os.path.abspath(corrupt_log)}")
            message = tf.strings.join([f"{text}{place} The last ones: ", names])
            tf.debugging.Assert(count <= max_corrupt, [message])
            return True

        tf.cond(tf.size(bad) > 0, report, lambda: True)
        return (now, count), tuple(parts)

    return check


def _replace(images, labels, good):
    """Puts the next good picture, in a circle, in the place of each that could not be read."""

    def replaced():
        there = tf.where(good)[:, 0]
        tf.debugging.Assert(
            tf.size(there) > 0, [f"{TOO_MANY}: not one of a whole batch can be read."]
        )
        next_good = tf.searchsorted(there, tf.range(tf.size(good, tf.int64)))
        rows = tf.gather(there, next_good % tf.size(there))
        return tf.gather(images, rows), tf.gather(labels, rows)

    return tf.cond(tf.reduce_all(good), lambda: (images, labels), replaced)


def _keep(images, labels, good):
    """Leaves out what could not be read."""
    return tf.cond(
        tf.reduce_all(good),
        lambda: (images, labels),
        lambda: (tf.boolean_mask(images, good), tf.boolean_mask(labels, good)),
    )
