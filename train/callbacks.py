"""What happens during `fit`: epochs, checkpoints, divergence, the progress bar."""

import json
import pathlib
import sys
import time

import h5py
import keras
import numpy as np

from keras_swish.train import files
from keras_swish.train.data import Batches
from keras_swish.train.errors import DivergedError


class FollowEpochs(keras.callbacks.Callback):
    """Tells the batches which epoch it is: Keras does not say after a restart."""

    def __init__(self, batches: Batches):
        super().__init__()
        self.batches = batches

    def on_epoch_begin(self, epoch, logs=None):
        """Starts the epoch, and its clock."""
        self.batches.start_epoch(epoch)
        self.began = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        """Adds the time to the log; the callbacks behind this one see it."""
        logs["seconds"] = round(time.perf_counter() - self.began, 3)
        logs["learning_rate"] = float(self.model.optimizer.learning_rate)


class StopWhenDiverged(keras.callbacks.Callback):
    """Raises `DivergedError` at the first loss that is not finite."""

    def on_epoch_begin(self, epoch, logs=None):
        """Remembers the epoch, for the message."""
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        """Looks at the loss, the mean over the epoch so far."""
        loss = float(logs["loss"])
        if not np.isfinite(loss):
            raise DivergedError(f"the loss is {loss} in epoch {self.epoch + 1}, step {batch + 1}")


class Checkpoint(keras.callbacks.Callback):
    """Keeps one checkpoint: weights, optimizer state and the number of finished epochs."""

    def __init__(self, path: pathlib.Path, config: dict, seconds: float):
        super().__init__()
        self.path = path
        self.config = config
        self.seconds = seconds
        self.saved = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        """Saves, if the last checkpoint is old enough."""
        if time.monotonic() - self.saved >= self.seconds:
            with files.atomic(self.path) as path:
                self.model.save_weights(path)
                # Not the optimizer's own count: loss scaling skips steps.
                with h5py.File(path, "a") as file:
                    file.attrs["epochs"] = epoch + 1
                    file.attrs["run"] = json.dumps(self.config)
            self.saved = time.monotonic()


class Progress(keras.callbacks.Callback):
    """One progress bar for a whole run."""

    def __init__(self, title: str, epochs: int, steps_per_epoch: int):
        super().__init__()
        self.title = title
        self.steps_per_epoch = steps_per_epoch
        # On a terminal the bar moves with each step, in a file with each epoch.
        self.live = sys.stdout.isatty()
        self.bar = keras.utils.Progbar(
            epochs * steps_per_epoch,
            stateful_metrics=["loss", "accuracy", "val_loss", "val_accuracy"],
        )

    def on_train_begin(self, logs=None):
        """Prints the title."""
        print(self.title, flush=True)

    def on_epoch_begin(self, epoch, logs=None):
        """Remembers the epoch."""
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        """Moves the bar."""
        if self.live and batch + 1 < self.steps_per_epoch:
            self._show(batch + 1, logs)

    def on_epoch_end(self, epoch, logs=None):
        """Moves the bar, with the validation's figures."""
        self._show(self.steps_per_epoch, logs)

    def _show(self, step, logs):
        shown = [(k, float(v)) for k, v in logs.items() if k in self.bar.stateful_metrics]
        self.bar.update(self.epoch * self.steps_per_epoch + step, shown)
