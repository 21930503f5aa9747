"""What can be watched while a run trains: TensorBoard, Weights & Biases, a sample of the inputs."""

import contextlib
import hashlib
import pathlib
import sys
from collections.abc import Iterator

import keras
import numpy as np

import keras_swish

from ..datasets.base import Dataset


def inputs(dataset: Dataset, seed: int, count: int = 32) -> np.ndarray:
    """Returns the first training images as the network gets them: normalised and augmented."""
    batches = dataset.training(min(count, dataset.training_images), seed, 0, 1)
    return keras.ops.convert_to_numpy(next(iter(batches))[0])


def pictures(images: np.ndarray) -> np.ndarray:
    """Returns inputs as people can look at them.

    Args:
        images: As the network gets them.

    Returns:
        `(n, height, width, channels)` between 0 and 1, of one channel or three.
    """
    if keras.config.image_data_format() == "channels_first":
        images = np.moveaxis(images, 1, -1)
    low, high = images.min(), images.max()
    return ((images - low) / max(high - low, 1e-6))[..., : 3 if images.shape[-1] >= 3 else 1]


def callbacks(
    model: keras.Model,
    run,
    dataset: Dataset,
    directory: pathlib.Path,
    tensorboard: bool,
    wandb: bool,
) -> list[keras.callbacks.Callback]:
    """Returns the callbacks that report a run elsewhere.

    They belong behind those that add to the log of an epoch.

    Args:
        model: What is trained.
        run: The `fitting.Run`.
        dataset: Its data.
        directory: Its folder; TensorBoard's log goes to a folder in it.
        tensorboard: Whether to write that log, with the betas and what flows into them.
        wandb: Whether to report to Weights & Biases.
    """
    found: list[keras.callbacks.Callback] = []
    if tensorboard:
        log, sample = directory / "tensorboard", inputs(dataset, run.seed)
        found.append(_TensorBoard(log, pictures(sample), run.recipe.batch_size))
        # TensorBoard follows one file a folder.
        found.append(keras_swish.BetaLogger(log / "activations", sample))
    if wandb:
        found.append(_wandb(run, directory))
    return found


@contextlib.contextmanager
def finishing() -> Iterator[None]:
    """Ends the report to Weights & Biases, if there is one, with what it stands around."""
    try:
        yield
    finally:
        if "wandb" in sys.modules:
            sys.modules["wandb"].finish()


class _TensorBoard(keras.callbacks.TensorBoard):
    """Keras's, with the throughput and a sample of the inputs."""

    def __init__(self, directory, images, batch_size):
        super().__init__(directory)
        self.images = images
        self.batch_size = batch_size

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        with self._train_writer.as_default():
            self.summary.image("augmented inputs", self.images, step=0, max_outputs=8)

    def on_epoch_end(self, epoch, logs=None):
        speed = {"images_per_second": logs["steps"] * self.batch_size / logs["seconds"]}
        super().on_epoch_end(epoch, {**logs, **speed})


def _wandb(run, directory) -> keras.callbacks.Callback:
    import wandb
    from wandb.integration.keras import WandbMetricsLogger

    wandb.init(
        project="keras-swish",
        name=f"{run.model}, {run.activation}, seed {run.seed}",
        # A run that goes on is the same one there.
        id=hashlib.sha256(str(directory.resolve()).encode()).hexdigest()[:16],
        resume="allow",
        config=run.config(),
        dir=directory,
    )
    return WandbMetricsLogger()
