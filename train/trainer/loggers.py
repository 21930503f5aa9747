"""Logs of a run for TensorBoard and Weights & Biases, and a sample of what the network gets."""

import contextlib
import hashlib
import os
import pathlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

import keras_swish
from keras_swish.keras_compat import train_writer
from keras_swish.recording import recorder

from . import recipes

if TYPE_CHECKING:
    from ..datasets.base import Dataset
    from .trainer import Run


def sample_inputs(
    dataset: "Dataset", seed: int, recipe: recipes.Recipe, count: int = 32
) -> np.ndarray:
    """Returns images of a run's first batch as the network gets them: normalised and augmented.

    Args:
        dataset: The data.
        seed: Seed of order and augmentation.
        recipe: That of the run. Another batch would have other random numbers.
        count: How many, at most.
    """
    augmentation = recipes.augmentation(recipe)
    batches = dataset.training(recipe.part, seed, 0, 1, augmentation=augmentation)
    return np.asarray(keras.ops.convert_to_numpy(next(iter(batches))[0][:count]))


def as_images(inputs: np.ndarray) -> np.ndarray:
    """Returns inputs of a network as images to look at.

    Args:
        inputs: As the network gets them, in Keras's image data format.

    Returns:
        `(n, height, width, channels)` between 0 and 1, of one channel or three.

    Example:
        >>> import numpy as np
        >>> from keras_swish.train.trainer import loggers
        >>> images = loggers.as_images(np.linspace(-1, 1, 2 * 8 * 8 * 3).reshape(2, 8, 8, 3))
        >>> images.shape, float(images.min()), float(images.max())
        ((2, 8, 8, 3), 0.0, 1.0)
    """
    if keras.config.image_data_format() == "channels_first":
        inputs = np.moveaxis(inputs, 1, -1)
    low, high = inputs.min(), inputs.max()
    return ((inputs - low) / max(high - low, 1e-6))[..., : 3 if inputs.shape[-1] >= 3 else 1]


def callbacks(
    model: keras.Model,
    run: "Run",
    dataset: "Dataset",
    directory: pathlib.Path,
    tensorboard: bool,
    wandb: bool,
) -> list[keras.callbacks.Callback]:
    """Returns the callbacks that report the epochs of a run elsewhere.

    Args:
        model: The network.
        run: The run.
        dataset: Its data.
        directory: Its folder; TensorBoard's log goes to a folder in it.
        tensorboard: Whether to write that log, with the betas and what flows into activations.
        wandb: Whether to report to Weights & Biases.
    """
    loggers: list[keras.callbacks.Callback] = []
    if tensorboard:
        log = directory / "tensorboard"
        sample = sample_inputs(dataset, run.seed, run.recipe)
        loggers.append(_TensorBoard(log, as_images(sample), run.recipe.batch_size))
        # None are seen of a linear network, nor of one that calls them in its code alone.
        if recorder.watched_sites(model):
            # TensorBoard follows one file a folder.
            loggers.append(keras_swish.BetaLogger(log / "activations", sample))
    if wandb:
        loggers.append(_wandb(run, directory))
    return loggers


@contextlib.contextmanager
def finishing(loggers: Iterable[keras.callbacks.Callback]) -> Iterator[None]:
    """Ends the reports to Weights & Biases that these callbacks began, at the end of the block."""
    try:
        yield
    finally:
        for logger in loggers:
            begun = getattr(logger, "begun", None)
            if begun is not None:
                begun.finish()


class _TensorBoard(keras.callbacks.TensorBoard):
    """Keras's, with the throughput and a sample of the inputs."""

    def __init__(self, directory: pathlib.Path, images: np.ndarray, batch_size: int) -> None:
        super().__init__(str(directory))
        self.images = images
        self.batch_size = batch_size

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        super().on_train_begin(logs)
        with train_writer(self).as_default():
            self.summary.image("augmented inputs", self.images, step=0, max_outputs=8)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        speed = {"images_per_second": logs["steps"] * self.batch_size / logs["seconds"]}
        super().on_epoch_end(epoch, {**logs, **speed})


def _wandb(run: "Run", directory: pathlib.Path) -> keras.callbacks.Callback:
    import wandb  # pyright: ignore[reportMissingImports]
    from wandb.integration.keras import (  # pyright: ignore[reportMissingImports]
        WandbMetricsLogger,
    )

    running = wandb.run
    report = wandb.init(
        project="keras-swish",
        name=f"{run.model}, {run.activation}, seed {run.seed}",
        # A resumed run is the same one there.
        id=hashlib.sha256(os.fsencode(directory.resolve())).hexdigest()[:16],
        resume="allow",
        config=run.config(),
        dir=directory,
    )
    logger: Any = WandbMetricsLogger()
    # One that was running before is its owner's to end: `init` may have returned it.
    logger.begun = None if report is running else report
    return logger
