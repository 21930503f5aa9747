"""What happens during `fit`: counting steps, validation, checkpoints, divergence, progress."""

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator

import keras
import numpy as np

from ..errors import DivergedError, PreemptedError
from .checkpoints import Checkpoints


class Position(keras.callbacks.Callback):
    """Where a run is. The first of the callbacks: the others ask it.

    Args:
        steps: Training steps of the run.
        steps_per_epoch: Training steps of an epoch; the last one may be shorter.
        step: Steps done before.
        epochs: Epochs done before, validated and logged.
        seconds: Time that the epoch took before.

    Attributes:
        step: Number of training steps done.
        epochs: Number of epochs done.
    """

    def __init__(self, steps, steps_per_epoch, step=0, epochs=0, seconds=0.0):
        super().__init__()
        self.steps = steps
        self.steps_per_epoch = steps_per_epoch
        self.step = step
        self.epochs = epochs
        self._before = seconds
        self._began = time.perf_counter()
        self._metrics = None

    @property
    def is_within_epoch(self) -> bool:
        """Whether the epoch has begun and goes on."""
        return self.step < self.steps and self.step % self.steps_per_epoch > 0

    @property
    def record(self) -> dict:
        """What a checkpoint needs to know."""
        seconds = self._before + time.perf_counter() - self._began
        return {"step": self.step, "epochs": self.epochs, "seconds": seconds}

    def keep_metrics(self, model: keras.Model) -> None:
        """Lets the next epoch go on with the metrics as they are: it was begun before."""
        self._metrics = [keras.ops.convert_to_numpy(v) for v in model.metrics_variables]

    def on_epoch_begin(self, epoch, logs=None):
        """Starts the clock, or goes on with that of the epoch that was cut off."""
        self._began = time.perf_counter()
        if self._metrics is not None:
            for variable, value in zip(self.model.metrics_variables, self._metrics, strict=True):
                variable.assign(value)
            self._metrics = None

    def on_train_batch_end(self, batch, logs=None):
        """Counts."""
        self.step += 1

    def finish_epoch(self, logs: dict) -> None:
        """Counts the epoch, and adds its time and its steps to the log."""
        logs["seconds"] = round(self.record["seconds"], 3)
        logs["steps"] = min(self.steps_per_epoch, self.steps - self.epochs * self.steps_per_epoch)
        self._before, self._began = 0.0, time.perf_counter()
        self.epochs += 1


class StopWhenDiverged(keras.callbacks.Callback):
    """Raises `DivergedError` soon after the loss is no longer finite."""

    # Every look waits for the step to be computed, and a GPU then for the next one.
    EVERY = 16

    def __init__(self, position: Position):
        super().__init__()
        self.position = position

    def on_train_batch_end(self, batch, logs=None):
        """Looks at the loss, the mean over the epoch so far."""
        if self.position.is_within_epoch and self.position.step % self.EVERY:
            return
        loss = float(logs["loss"])
        if not np.isfinite(loss):
            epochs, step = self.position.epochs, self.position.step
            step -= epochs * self.position.steps_per_epoch
            raise DivergedError(f"the loss is {loss} in epoch {epochs + 1}, step {step}")


class Preemption:
    """Notices SIGTERM, by which schedulers say that the machine is about to be taken away."""

    def __init__(self):
        self.noticed = False

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Replaces the signal's handler for a while; in the main thread, elsewhere it cannot."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGTERM, self._notice)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def _notice(self, *_):
        self.noticed = True

    def stop(self, saved: bool = False) -> None:
        """Raises `PreemptedError`, if the signal came, and says whether it was saved before."""
        if self.noticed:
            raise PreemptedError(f"stopped by SIGTERM{', and saved' if saved else ''}")


class Stop(keras.callbacks.Callback):
    """Stops an evaluation when the signal came."""

    def __init__(self, preemption: Preemption):
        super().__init__()
        self.preemption = preemption

    def on_test_batch_end(self, batch, logs=None):
        """Looks whether the signal came."""
        # On JAX an exception would leave the model without the weights it had before.
        self.model.stop_evaluating = self.preemption.noticed


class Checkpoint(keras.callbacks.Callback):
    """Saves when the last checkpoint is old enough, at any step, and when the signal came.

    An epoch of the highest validation accuracy so far is saved in any case.

    The last of the callbacks: what it saves behind an epoch is in the log.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        position: Position,
        preemption: Preemption,
        seconds: float,
    ):
        super().__init__()
        self.checkpoints = checkpoints
        self.position = position
        self.preemption = preemption
        self.seconds = seconds
        self.saved = time.monotonic()
        self.best = checkpoints.best_accuracy()

    def on_train_batch_end(self, batch, logs=None):
        """Saves within an epoch."""
        if self.position.is_within_epoch:
            self.save()

    def on_epoch_end(self, epoch, logs=None):
        """Saves behind an epoch."""
        accuracy = logs["val_accuracy"]
        is_best = self.best is None or accuracy > self.best
        self.best = accuracy if is_best else self.best
        self.save(is_best, val_accuracy=accuracy)

    def save(self, at_once: bool = False, **record) -> None:
        """Saves, if it is time or is to be done at once.

        Raises:
            PreemptedError: If the signal came.
        """
        due = time.monotonic() - self.saved >= self.seconds
        if at_once or due or self.preemption.noticed:
            saved = self.checkpoints.save(self.model, **self.position.record, **record)
            self.saved = time.monotonic()
            self.preemption.stop(saved)


class Validate(keras.callbacks.Callback):
    """Evaluates at the end of an epoch; the callbacks behind this one see the results.

    Validation may take long, so what was trained is saved before, if it is time.

    Args:
        evaluate: Returns the validation's metrics.
        checkpoint: What saves.
    """

    def __init__(self, evaluate: Callable[[], dict], checkpoint: Checkpoint):
        super().__init__()
        self.evaluate = evaluate
        self.checkpoint = checkpoint

    def on_epoch_end(self, epoch, logs=None):
        """Evaluates, and adds to the log."""
        trained = dict(logs)
        self.checkpoint.save(trained=trained)
        try:
            validated = self.evaluate()
        except PreemptedError:
            self.checkpoint.save(trained=trained)
            raise
        logs |= {f"val_{name}": value for name, value in validated.items()}
        logs["learning_rate"] = float(self.model.optimizer.learning_rate)
        self.checkpoint.position.finish_epoch(logs)


class Progress(keras.callbacks.Callback):
    """One progress bar for a whole run."""

    def __init__(self, title: str, position: Position):
        super().__init__()
        self.position = position
        print(title, flush=True)
        # On a terminal the bar moves with each step, in a file with each epoch.
        self.live = sys.stdout.isatty()
        self.bar = keras.utils.Progbar(
            position.steps, stateful_metrics=["loss", "accuracy", "val_loss", "val_accuracy"]
        )

    def on_train_batch_end(self, batch, logs=None):
        """Moves the bar."""
        if self.live and self.position.is_within_epoch:
            self._show(logs)

    def on_epoch_end(self, epoch, logs=None):
        """Moves the bar, with the validation's figures."""
        self._show(logs)

    def _show(self, logs):
        shown = [(k, float(v)) for k, v in logs.items() if k in self.bar.stateful_metrics]
        self.bar.update(self.position.step, shown)
