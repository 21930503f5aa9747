"""Images larger than memory, in ImageNet's form, whatever they show.

Class folders, TFRecords, or a dataset of TensorFlow Datasets; all are read by TensorFlow, which is
imported when they are opened.
"""

import contextlib
import dataclasses
import math
import pathlib
from typing import TYPE_CHECKING, Any

import keras

from ..errors import ArgumentError
from . import in_memory
from .base import Augmentation, HasImageSize, held_out_share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .sources import Source

# File in a run's folder for the names of corrupt images.
CORRUPT = "corrupt.txt"
# The network to train by default.
MODEL = "nasnet_mobile"
# Side of the images that a network was published for, where it is not 224.
SIZES = {"nasnet_large": 331}
SIZES |= dict.fromkeys(("inception_v3", "inception_v4", "inception_resnet_v2"), 299)


@dataclasses.dataclass(frozen=True)
class ImageFiles:
    """Images in files, a `base.ImageDataset`; decoded while a network is trained on them.

    Attributes:
        train: The training split.
        test: The split for the test.
        image_size: Side of the images that the network gets.
        validation: The split for validation; None: that for the test.
        flip: Whether half of the training images are mirrored.
        color_distortion: What is changed in their colours: "fast", "full" or "none".
        corrupt_log: File for the names of corrupt images.
        max_corrupt: How many may be corrupt.
    """

    train: "Source"
    test: "Source"
    image_size: int
    validation: "Source | None" = None
    flip: bool = True
    color_distortion: str = "fast"
    corrupt_log: pathlib.Path | None = None
    max_corrupt: int = 100

    @property
    def class_names(self) -> "Sequence[str]":
        """One name for each class; for TFRecords without names its number."""
        from . import sources

        return sources.named_classes(self.train)

    @property
    def validates_on_test(self) -> bool:
        """Whether the test split is the validation split too."""
        return self.validation is None

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.train.classes

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Shape of one image, in Keras's image data format."""
        side = self.image_size
        if keras.config.image_data_format() == "channels_first":
            return (3, side, side)
        return (side, side, 3)

    @property
    def training_images(self) -> int:
        """Number of images in a pass over the training split."""
        return self.train.examples

    @property
    def normalization(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean that was subtracted from pixel values, and what they were divided by."""
        return (127.5,) * 3, (127.5,) * 3

    @property
    def white(self) -> float:
        """The largest value that a pixel may have."""
        return 255.0

    @property
    def facts(self) -> dict[str, int]:
        """How many classes and images of each split there are; of TFRecords the first label."""
        records = self.train.records
        return {
            "classes": self.classes,
            "training": self.train.examples,
            "test": self.test.examples,
            **({} if self.validation is None else {"validation": self.validation.examples}),
            **({} if records is None else {"first_label": records.first_label}),
        }

    def for_run(self, run: HasImageSize, directory: pathlib.Path) -> "ImageFiles":
        """Returns the images in the run's size, with a log of corrupt ones in its folder."""
        size = run.image_size or self.image_size
        return dataclasses.replace(self, image_size=size, corrupt_log=directory / CORRUPT)

    def unreadable(self) -> str | None:
        """Returns a line on the images that were left out so far; None: none was."""
        from . import pipeline

        return pipeline.describe_corrupt(self.corrupt_log) if self.corrupt_log else None

    def errors(self) -> contextlib.AbstractContextManager[None]:
        """Returns a context that raises `DataError` where too many images are corrupt."""
        from . import pipeline

        return pipeline.as_data_errors()

    def training(
        self,
        batch_size: int,
        seed: int,
        first_step: int,
        steps: int,
        shard: tuple[int, int] = (0, 1),
        augmentation: Augmentation | None = None,
    ) -> Any:
        """Returns training batches, without end, from that one of the whole run on."""
        from . import inception_preprocessing, mixing, pipeline

        batches = pipeline.batches(
            self.train,
            batch_size=batch_size // shard[1],
            image_size=self.image_size,
            training=True,
            seed=seed,
            start_step=first_step,
            shard=shard,
            distortion=inception_preprocessing.Distortion(
                flip=self.flip, color=self.color_distortion
            ),
            corrupt_log=self.corrupt_log,
            max_corrupt=self.max_corrupt,
        )
        if augmentation is None:
            return batches
        return mixing.augmented(batches, self, augmentation, seed, first_step, shard[0])

    def evaluation(
        self, split: str, batch_size: int, shard: tuple[int, int] = (0, 1), pad: bool = False
    ) -> Any:
        """Returns all batches of a split, "validation" or "test", but those without a good image.

        With `pad`, the weights make the mean over all batches that over the split. Images that are
        corrupt count in it with a loss of 0.
        """
        import tensorflow as tf

        from . import pipeline

        source = self.test
        if split == "validation" and self.validation is not None:
            source = self.validation
        host_batch = batch_size // shard[1]
        batches = pipeline.batches(
            source,
            batch_size=host_batch,
            image_size=self.image_size,
            training=False,
            shard=shard,
            pad=pad,
            corrupt_log=self.corrupt_log,
            max_corrupt=self.max_corrupt,
        )
        if not pad:
            return batches
        longest = math.ceil(source.examples / shard[1])
        count = math.ceil(longest / host_batch)
        batches = batches.apply(tf.data.experimental.assert_cardinality(count))
        # As `augmentation.Batches`.
        weight = count * host_batch * shard[1] / source.examples
        return batches.map(lambda images, labels, weights: (images, labels, weights * weight))


def is_image_files(dataset: str) -> bool:
    """Whether a dataset is named as one of ImageNet's form, and not as one in memory.

    Example:
        >>> from keras_swish.train.datasets import imagenet
        >>> [imagenet.is_image_files(name) for name in ("imagenet2012", "emnist/letters")]
        [True, False]
    """
    return dataset.startswith("imagenet") or in_memory.is_path(dataset)


def load(
    dataset: str,
    train_split: str | None = "train",
    test_split: str = "validation",
    *,
    image_size: int = 224,
    flip: bool = True,
    color_distortion: str = "fast",
    data_dir: str | None = None,
    classes: int | None = None,
    first_label: int | None = None,
    max_corrupt: int = 100,
    validation_split: str | None = None,
) -> ImageFiles:
    """Finds the images of a dataset, without decoding them.

    Args:
        dataset: As for `sources.open_source`, as are the next two.
        train_split: Split to train on; None: there need be none, as for a test.
        test_split: Split for the test.
        image_size: Side of the images that the network gets.
        flip: Whether half of the training images are mirrored.
        color_distortion: What is changed in their colours: "fast", "full" or "none".
        data_dir: Folder that holds TFDS's prepared datasets, by default TFDS's own.
        classes: Number of classes, which TFRecords do not tell.
        first_label: Label of the first class in TFRecords, by default 1.
        max_corrupt: How many images may be corrupt in a pass.
        validation_split: Split for validation, or the share of the training split that is held out
            for it; None: the split for the test.

    Raises:
        ArgumentError: If they are not there, two splits have the same images, or they need
            TensorFlow and it is not.
    """
    if not in_memory.has_tensorflow():
        raise ArgumentError("dataset", "ImageNet's form is read by TensorFlow: pip install it")
    from . import sources

    def opened(argument: str, split: str) -> "Source":
        try:
            return sources.open_source(
                dataset, split, data_dir=data_dir, classes=classes, first_label=first_label
            )
        except ArgumentError as error:
            # There are two splits.
            argument = argument if error.argument == "split" else error.argument
            raise ArgumentError(argument, str(error)) from error

    validation = None
    if train_split is None:
        train = test = opened("test_split", test_split)
    else:
        train, test = opened("train_split", train_split), opened("test_split", test_split)
        sources.check_same_classes(train, test)
        sources.check_apart(train, test)
        if validation_split is not None:
            share = held_out_share(validation_split)
            if share is not None:
                train, validation = sources.hold_out(train, share)
            else:
                validation = opened("validation_split", validation_split)
                sources.check_same_classes(train, validation)
                for use, other in (("training", train), ("test", test)):
                    sources.check_apart(other, validation, "validation_split", use)
    return ImageFiles(
        train, test, image_size, validation, flip, color_distortion, max_corrupt=max_corrupt
    )
