"""What training and evaluation ask of a dataset; a new kind of data is one class that has it."""

import contextlib
import dataclasses
import pathlib
import re
from collections.abc import Sequence
from typing import Any, Protocol

from ..errors import ArgumentError

# Of mixup and CutMix.
SMALLEST_ALPHA = 0.05
_WORDNET = re.compile(r"n\d{8}")


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """What is done to training batches of images next to cropping, mirroring and colours.

    Attributes:
        rand_augment: Magnitude of RandAugment, of 30; 0: none.
        random_erasing: Probability that a part of an image is erased.
        mixup: Alpha of mixup's Beta distribution; 0: none.
        cutmix: Alpha of CutMix's; 0: none. With both, a batch gets one of them.

    Raises:
        ArgumentError: If an alpha is too small to be drawn with.
    """

    rand_augment: float = 0.0
    random_erasing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        for name in ("mixup", "cutmix"):
            # Of smaller ones TensorFlow draws both gammas of a Beta as the smallest float: halves.
            if 0 < getattr(self, name) < SMALLEST_ALPHA:
                raise ArgumentError(name, f"must be 0 or at least {SMALLEST_ALPHA}")


def held_out_share(validation_split: str | float) -> float | None:
    """Returns the share of the training split that is held out, or None where a split is named.

    Raises:
        ArgumentError: If it is a number, and no share.

    Example:
        >>> from keras_swish.train.datasets.base import held_out_share
        >>> held_out_share("0.2"), held_out_share("validation")
        (0.2, None)
    """
    try:
        share = float(validation_split)
    except ValueError:
        return None
    if not 0 < share < 1:
        raise ArgumentError("validation_split", "a share must be between 0 and 1, such as 0.1")
    return share


def renamed_class(
    before: Sequence[str] | None, now: Sequence[str] | None
) -> tuple[int, str, str] | None:
    """Returns the first class whose number means something else now, and both of its names.

    Example:
        >>> from keras_swish.train.datasets.base import renamed_class
        >>> renamed_class(["ant", "bee"], ["bee", "wasp"])
        (0, 'ant', 'bee')
        >>> renamed_class(["ant", "bee"], ["0", "1"]), renamed_class(None, ["ant", "bee"])
        (None, None)
    """
    for number, pair in enumerate(zip(before or (), now or (), strict=False)):
        # Classes without a name have their numbers; two numbers may be names, of folders sorted as
        # text. ImageNet's have those of WordNet or a text.
        numbers = [int(name) for name in pair if name.isdecimal()]
        if numbers:
            is_other = numbers not in ([number], [numbers[0]] * 2)
        else:
            is_wordnet = {_WORDNET.fullmatch(name) is not None for name in pair}
            is_other = pair[0] != pair[1] and len(is_wordnet) == 1
        if is_other:
            return number, *pair
    return None


def normalization_up_to_255(
    dataset: "ImageDataset",
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns `dataset.normalization` for pixels up to 255, whatever is white in the dataset."""
    factor = 255.0 / dataset.white
    mean, scale = dataset.normalization
    return tuple(factor * value for value in mean), tuple(factor * value for value in scale)


class HasImageSize(Protocol):
    """The part of a run that its data depends on, see `trainer.Run`."""

    @property
    def image_size(self) -> int | None:
        """Side that the images are scaled to."""
        ...


class Dataset(Protocol):
    """Training, validation and test data of classes.

    A run, its checkpoints and its report need nothing else: what the inputs are is between the
    dataset and the network. `class_names`, `validates_on_test` and `unreadable`, as `ImageDataset`
    has them, are used where a dataset has them.
    """

    @property
    def classes(self) -> int:
        """Number of classes."""
        ...

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input as the network receives it, without the batch."""
        ...

    @property
    def training_images(self) -> int:
        """Number of images, or whatever the inputs are, in a pass over the training split."""
        ...

    @property
    def facts(self) -> dict[str, int] | None:
        """What the files tell of the data and becomes a part of the run; None: nothing."""
        ...

    def training(
        self,
        batch_size: int,
        seed: int,
        first_step: int,
        steps: int,
        shard: tuple[int, int] = ...,
        augmentation: Augmentation | None = ...,
    ) -> Any:
        """Returns training batches, inputs and one-hot labels, in a form that `fit` takes.

        They are a function of seed and step alone, so that every activation gets the same, and a
        resumed run those that it lacks.

        Args:
            batch_size: Inputs a batch, over all hosts.
            seed: Seed of order and augmentation.
            first_step: Number of the first batch, counted from the start of the run.
            steps: How many batches are needed; there may be more.
            shard: The part of each batch to give, `(number, of how many)`: one a host.
            augmentation: What else is done to them; mixed, they have labels that are not one-hot.
        """
        ...

    def evaluation(
        self, split: str, batch_size: int, shard: tuple[int, int] = ..., pad: bool = ...
    ) -> Any:
        """Returns all batches of a split once, in a form that `evaluate` takes.

        Args:
            split: "validation" or "test".
            batch_size: Inputs a batch, over all hosts.
            shard: As for `training`.
            pad: Whether all batches are full and come with weights, of which those of the filling
                are zero, and the mean over the batches is that over the split.
        """
        ...

    def for_run(self, run: HasImageSize, directory: pathlib.Path) -> "Dataset":
        """Returns the data as one run gets it: in its size, with its log in the run's folder."""
        ...

    def errors(self) -> contextlib.AbstractContextManager[None]:
        """Returns a context that turns the errors of these batches into `DataError`."""
        ...


class ImageDataset(Dataset, Protocol):
    """A dataset of images."""

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Shape of one image, in Keras's image data format."""
        ...

    @property
    def class_names(self) -> Sequence[str] | None:
        """One name for each class; None: they have none."""
        ...

    @property
    def validates_on_test(self) -> bool:
        """Whether the validation split is the test split, which is then evaluated once."""
        ...

    @property
    def normalization(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean that was subtracted from pixel values, and what they were divided by, by channel."""
        ...

    @property
    def white(self) -> float:
        """The largest value that a pixel may have: 255 in an image file."""
        ...

    def unreadable(self) -> str | None:
        """Returns a line on what of the data could not be used so far; None: all was."""
        ...

    def for_run(self, run: HasImageSize, directory: pathlib.Path) -> "ImageDataset":
        """Returns the data as one run gets it."""
        ...
