"""Batches of images in memory: normalised, and for training shuffled, cropped and mirrored.

Batches, their order and their augmentation are a function of (seed, epoch, step) alone: the same
for every activation, and the same after a restart. Nothing but the numbers is drawn in Python.
TensorFlow cuts out the images in a graph, some batches ahead; the other backends get arrays from
NumPy, the same to the bit.
"""

from typing import TYPE_CHECKING, NamedTuple

import keras
import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf

    from .in_memory import ImageArrays, Split


class AugmentationParams(NamedTuple):
    """Random numbers of training batches, each array `(batch_size,)` or `(steps, batch_size)`.

    Attributes:
        picked: Numbers of the images.
        top: First row of the crop in the padded image.
        left: First column of the crop.
        mirrored: Whether left and right are swapped.
    """

    picked: np.ndarray
    top: np.ndarray
    left: np.ndarray
    mirrored: np.ndarray


class Batches(keras.utils.PyDataset):
    """Normalised batches of a split, for `fit` and `evaluate`.

    With a seed they are training batches: shuffled and augmented, all of full size, a new
    order each pass. Without, they are the split as it is.

    Args:
        dataset: The `in_memory.ImageArrays` that the split belongs to.
        split: The images and labels.
        batch_size: Images a batch, over all hosts.
        seed: Seed of order and augmentation.
        steps: How many batches; by default those of one pass.
        first_step: Number of the first of them, counted from the start of the run.
        shard: The part of each batch to give, `(number, of how many)`: one a host.
        pad: Whether the last batch is filled up, and all come with weights: zero for the filling,
            and for the rest such that the mean over the batches is that over the split.
    """

    def __init__(
        self,
        dataset: "ImageArrays",
        split: "Split",
        batch_size: int,
        seed: int | None = None,
        steps: int | None = None,
        first_step: int = 0,
        shard: tuple[int, int] = (0, 1),
        pad: bool = False,
    ) -> None:
        super().__init__()
        self.split = split
        self.classes = dataset.classes
        self.mean, self.std = (np.asarray(part, "float32") for part in dataset.normalization)
        self.spec = dataset.spec
        self.batch_size = batch_size
        self.seed = seed
        self.first_step = first_step
        self.shard = shard
        self.pad = pad
        full, rest = divmod(len(split), batch_size)
        self.steps_per_pass = full + (seed is None and rest > 0)
        self.steps = self.steps_per_pass if steps is None else steps
        # An epoch, and the order of its images.
        self._order = -1, np.empty(0, "int32")

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> tuple[np.ndarray, ...]:
        images, *others = self._in_order(step) if self.seed is None else self._augmented(step)
        if keras.config.image_data_format() == "channels_first":
            images = images.transpose(0, 3, 1, 2)
        return images, *others

    def _augmented(self, step: int) -> tuple[np.ndarray, ...]:
        params = self.draw(step)
        images, labels = self._read(params.picked)
        return augment(images, params, self.spec.pad), labels

    def _in_order(self, step: int) -> tuple[np.ndarray, ...]:
        first = step * self.batch_size
        batch = self._read(slice(first, first + self.batch_size))
        if self.pad:
            weight = self.steps_per_pass * self.batch_size / len(self.split)
            missing = self.batch_size - len(batch[1])
            batch = *batch, np.full(len(batch[1]), weight, "float32")
            batch = tuple(np.pad(b, [(0, missing)] + [(0, 0)] * (b.ndim - 1)) for b in batch)
        return tuple(part[self._share(part)] for part in batch)

    def draw(self, step: int) -> AugmentationParams:
        """Returns the random numbers of a batch, for this host's part of it."""
        assert self.seed is not None, "evaluation batches have no random numbers"
        epoch, step = divmod(self.first_step + step, self.steps_per_pass)
        if self._order[0] != epoch:
            order = np.random.default_rng([self.seed, epoch]).permutation(len(self.split))
            self._order = epoch, order.astype("int32")
        size, offsets = self.batch_size, 2 * self.spec.pad + 1
        picked = self._order[1][step * size : (step + 1) * size]
        random = np.random.default_rng([self.seed, epoch, step])
        top, left = random.integers(0, offsets, size=(2, size)).astype("int32")
        mirrored = random.random(size) < 0.5 if self.spec.flip else np.full(size, False)
        share = self._share(picked)
        return AugmentationParams(picked[share], top[share], left[share], mirrored[share])

    def tf_data(self) -> "tf.data.Dataset":
        """Returns the same training batches as a `tf.data.Dataset`, prepared ahead.

        The numbers of all steps are drawn beforehand, some milliseconds an epoch: where TensorFlow
        has to be deterministic, it prepares nothing ahead that comes from Python step by step.
        """
        import tensorflow as tf

        steps = [self.draw(step) for step in range(len(self))]
        drawn = tuple(np.stack(part) for part in zip(*steps, strict=True))
        height, width = self.split.images.shape[1:3]
        pad = self.spec.pad
        with tf.device("CPU"):
            images, labels = tf.constant(self.split.images), tf.constant(self.split.labels)

        def batch(*tensors):
            params = AugmentationParams(*tensors)
            rows, columns = params.top[:, None] + tf.range(height), tf.range(width)
            columns = tf.where(params.mirrored[:, None], columns[::-1], columns)
            columns += params.left[:, None]
            x = tf.cast(tf.gather(images, params.picked), tf.float32)
            x = (x - self.mean) / self.std
            x = tf.pad(x, [(0, 0), (pad, pad), (pad, pad), (0, 0)])
            x = tf.gather(tf.gather(x, rows, batch_dims=1), columns, axis=2, batch_dims=1)
            if keras.config.image_data_format() == "channels_first":
                x = tf.transpose(x, (0, 3, 1, 2))
            return x, tf.one_hot(tf.gather(labels, params.picked), self.classes)

        batches = tf.data.Dataset.from_tensor_slices(drawn)
        return batches.map(batch, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)

    def _read(self, picked: np.ndarray | slice) -> tuple[np.ndarray, np.ndarray]:
        images, labels = self.split.images[picked], self.split.labels[picked]
        images = (images - self.mean) / self.std
        return images, np.eye(self.classes, dtype="float32")[labels]

    def _share(self, batch: np.ndarray) -> slice:
        number, count = self.shard
        return slice(number * len(batch) // count, (number + 1) * len(batch) // count)


def augment(images: np.ndarray, params: AugmentationParams, pad: int) -> np.ndarray:
    """Crops images at random positions after padding with zeros, and mirrors some of them.

    Args:
        images: `(n, height, width, channels)`, normalised, so that zero is the mean.
        params: Where each crop begins, and whether it is mirrored.
        pad: Pixels of padding on each side.

    Returns:
        An array of the same shape.

    Source: He et al. 2016 (Deep Residual Learning), section 4.2.
    """
    n, height, width, _ = images.shape
    padded = np.pad(images, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    rows = params.top[:, None] + np.arange(height)
    columns = params.left[:, None] + np.arange(width)
    columns[params.mirrored] = columns[params.mirrored, ::-1]
    return padded[np.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]
