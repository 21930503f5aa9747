"""Pictures too many for memory, as the training programs take them: their flags, their settings.

ImageNet's form, whatever the pictures show: class folders, TFRecords, TensorFlow Datasets.
"""

import dataclasses
import math
import os
import pathlib

import keras
import numpy as np
from absl import flags

from ..app import program, recipe_flags
from ..errors import ArgumentError
from ..trainer import loggers, recipes, trainer
from . import in_memory

CLASSES = flags.DEFINE_integer(
    "classes", None, "Number of classes, which TFRecords do not tell.", lower_bound=2
)
FIRST_LABEL = flags.DEFINE_integer(
    "first_label", 1, "Label of the first class in TFRecords.", lower_bound=0
)
MAX_CORRUPT = flags.DEFINE_integer(
    "max_corrupt", 100, "Corrupt pictures in one pass that are left out; one more stops it.", 0
)
CORRUPT = "corrupt.txt"
# The network to train by default.
MODEL = "nasnet_mobile"
# Side of the images that a network was published for, where it is not 224.
_SIZES = {"nasnet_large": 331}
_SIZES |= dict.fromkeys(("inception_v3", "inception_v4", "inception_resnet_v2"), 299)


@dataclasses.dataclass(frozen=True)
class Pictures:
    """ImageNet's form of what `trainer.train` trains on, see `in_memory.Dataset`.

    Attributes:
        train: The training split, an `sources.Source`.
        test: The split for validation and test.
        image_size: Side of the pictures that the network gets.
        flip: Whether half of the training pictures are mirrored.
        corrupt_log: File for the names of corrupt pictures.
        max_corrupt: How many may be corrupt.
    """

    train: object
    test: object
    image_size: int
    flip: bool = True
    corrupt_log: os.PathLike | None = None
    max_corrupt: int = 100

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
        """Number of pictures in a pass over the training split."""
        return self.train.examples

    @property
    def facts(self) -> dict[str, int]:
        """How many classes there are, and pictures in each split; of TFRecords the first label."""
        records = self.train.records
        return {
            "classes": self.classes,
            "training": self.train.examples,
            "test": self.test.examples,
            **({} if records is None else {"first_label": records.first_label}),
        }

    def training(self, batch_size, seed, first_step, steps, shard=(0, 1)):
        """Returns training batches, without end, from that one of the whole run on."""
        from . import inception_preprocessing, pipeline

        return pipeline.batches(
            self.train,
            batch_size=batch_size // shard[1],
            image_size=self.image_size,
            training=True,
            seed=seed,
            start_step=first_step,
            shard=shard,
            distortion=inception_preprocessing.Distortion(flip=self.flip),
            corrupt_log=self.corrupt_log,
            max_corrupt=self.max_corrupt,
        )

    def evaluation(self, split, batch_size, shard=(0, 1), pad=False):
        """Returns all batches of the test split, which is the validation split too."""
        import tensorflow as tf

        from . import pipeline

        own = batch_size // shard[1]
        batches = pipeline.batches(
            self.test,
            batch_size=own,
            image_size=self.image_size,
            training=False,
            shard=shard,
            pad=pad,
            corrupt_log=self.corrupt_log,
            max_corrupt=self.max_corrupt,
        )
        longest = math.ceil(self.test.examples / shard[1])
        count = math.ceil(longest / own)
        # Without the number, Keras warns at the end that the data ran out.
        batches = batches.apply(tf.data.experimental.assert_cardinality(count))
        if not pad:
            return batches
        # As `batches.Batches`: the mean over all batches is that over the split.
        weight = count * own * shard[1] / self.test.examples
        return batches.map(lambda images, labels, weights: (images, labels, weights * weight))


def is_pictures(dataset: str) -> bool:
    """Whether a dataset is of ImageNet's form, and not one in memory.

    Example:
        >>> from keras_swish.train.datasets import imagenet as imagenet_dataset
        >>> [imagenet_dataset.is_pictures(name) for name in ("imagenet2012", "emnist/letters")]
        [True, False]
    """
    is_path = dataset.startswith(("/", ".", "~")) or "://" in dataset
    is_path = is_path or ("/" in dataset and os.path.isdir(dataset))
    return dataset.startswith("imagenet") or is_path or any(mark in dataset for mark in "*?[")


def settings(model: str, activation: str | None = None) -> dict:
    """Returns all of a `trainer.Run` but its activation and seed, from the flags.

    Args:
        model: The network. One that is not the paper's is trained as Inception-v3 is.
        activation: Whose learning rate to take where none is given; None: the same for all.
    """
    if program.FLAGS["pad"].present:
        raise ArgumentError("pad", "pictures of ImageNet's form are cropped in another way")
    own = model if model in recipes.RECIPES else "inception_v3"
    return {
        "dataset": program.or_default("dataset", "imagenet2012"),
        "train_split": program.FLAGS.train_split,
        "test_split": program.or_default("test_split", "validation"),
        "image_size": program.FLAGS.image_size or _SIZES.get(model, 224),
        "pad": 0,
        "flip": program.or_default("flip", True),
        "model": model,
        "recipe": recipe_flags.chosen(own, model, activation),
        "dtype_policy": program.FLAGS.dtype_policy,
    }


def load(settings: dict) -> Pictures:
    """Finds the pictures that settings name; `--data_dir` and this module's flags say the rest.

    Raises:
        ArgumentError: If they are not there, the test's are those of the training, or they need
            TensorFlow and it is not.
    """
    train, test = (_open(settings, flag) for flag in ("train_split", "test_split"))
    from . import sources

    sources.check_same_classes(train, test)
    sources.check_apart(train, test)
    size, flip = settings["image_size"], settings["flip"]
    return Pictures(train, test, size, flip, max_corrupt=MAX_CORRUPT.value)


def load_test(settings: dict) -> Pictures:
    """As `load`, but for a test alone: there need be no training split."""
    test = _open(settings, "test_split")
    return Pictures(test, test, settings["image_size"], max_corrupt=MAX_CORRUPT.value)


def _open(settings, flag):
    """Opens a split; what a run has written down about TFRecords holds where no flag is given."""
    if not in_memory.has_tensorflow():
        raise ArgumentError("dataset", "ImageNet's form is read by TensorFlow: pip install it")
    from . import sources

    known = settings.get("pictures") or {}
    try:
        return sources.open_source(
            settings["dataset"],
            settings[flag],
            data_dir=program.FLAGS.data_dir,
            classes=program.or_default("classes", known.get("classes")),
            first_label=program.or_default("first_label", known.get("first_label", 1)),
        )
    except ArgumentError as error:
        # There are two flags of a split.
        argument = flag if error.argument == "split" else error.argument
        raise ArgumentError(argument, str(error)) from error


def inputs(dataset: Pictures, seed: int) -> np.ndarray:
    """Returns the first training images, as `loggers.sample_inputs` does.

    Raises:
        DataError: If too many of the pictures are corrupt.
    """
    from . import pipeline

    with pipeline.clear_errors():
        return loggers.sample_inputs(dataset, seed)


def train(run: trainer.Run, dataset: Pictures, directory: pathlib.Path, **options) -> dict:
    """Trains as `trainer.train` does, on pictures of the run's own size.

    The names of those that are corrupt go into a file of the run's own, and what the data is
    becomes a part of the run.

    Raises:
        DataError: If too many of them are corrupt.
    """
    from . import pipeline

    run = dataclasses.replace(run, pictures=dataset.facts)
    own = dataclasses.replace(dataset, image_size=run.image_size, corrupt_log=directory / CORRUPT)
    with pipeline.clear_errors():
        return trainer.train(run, own, directory, **options)
