"""The callback of a run: everything that happens after a step and at an epoch's end, in order."""

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any

import keras
import numpy as np

from ..errors import DivergedError, PreemptedError
from .checkpoints import Checkpoints
from .epoch_log import EpochLog
from .stopwatch import SPEED, Stopwatch

Logs = dict[str, Any]
# Reading the loss waits for the step to be computed, and a GPU then for the next one.
_STEPS_BETWEEN_READINGS = 16
# The metrics in the progress bar.
_SHOWN = ["loss", "accuracy", "val_loss", "val_accuracy", SPEED]
# Saving takes at most one part in so many of the time, where that is allowed for as many times
# the seconds that a checkpoint may be old.
_SAVING = 20


class StepCounter:
    """Counts the steps and epochs of a run, and measures the time of the current epoch.

    Args:
        steps: Training steps of the run: calls of the network.
        steps_per_epoch: Training steps of an epoch; the last one may be shorter.
        accumulation_steps: How many of them make one step of the optimizer.
        step: Steps done before.
        epochs: Epochs done before, validated and logged.
        seconds: Time that the current epoch took before.

    Attributes:
        step: Number of training steps done.
        epochs: Number of epochs done.

    Example:
        >>> from keras_swish.train.trainer.callbacks import StepCounter
        >>> counter = StepCounter(steps=5, steps_per_epoch=2, step=4, epochs=2)
        >>> counter.is_within_epoch, counter.finish_epoch()["steps"], counter.epochs
        (False, 1, 3)
    """

    def __init__(
        self,
        steps: int,
        steps_per_epoch: int,
        accumulation_steps: int = 1,
        step: int = 0,
        epochs: int = 0,
        seconds: float = 0.0,
    ) -> None:
        self.steps = steps
        self.accumulation_steps = accumulation_steps
        self.steps_per_epoch = steps_per_epoch
        self.step = step
        self.epochs = epochs
        self._earlier_seconds = seconds
        self._began = time.perf_counter()

    @property
    def is_within_epoch(self) -> bool:
        """Whether the current epoch has begun and has steps left."""
        return self.step < self.steps and self.step % self.steps_per_epoch > 0

    @property
    def record(self) -> dict[str, Any]:
        """The arguments that a resumed run needs to count from here."""
        seconds = self._earlier_seconds + time.perf_counter() - self._began
        return {"step": self.step, "epochs": self.epochs, "seconds": seconds}

    def start_clock(self) -> None:
        """Starts the clock of the current epoch; the time that it took before is added."""
        self._began = time.perf_counter()

    def finish_epoch(self) -> dict[str, float]:
        """Counts the epoch, and returns its seconds and its steps, those of the optimizer."""
        steps = min(self.steps_per_epoch, self.steps - self.epochs * self.steps_per_epoch)
        finished = {
            "seconds": round(self.record["seconds"], 3),
            "steps": steps // self.accumulation_steps,
        }
        self._earlier_seconds = 0.0
        self.start_clock()
        self.epochs += 1
        return finished


class Preemption:
    """Notices SIGTERM and SIGHUP: the machine, or the terminal, is about to be taken away.

    Attributes:
        signal: The signal that came, or None.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    @property
    def noticed(self) -> bool:
        """Whether a signal came."""
        return self.signal is not None

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Replaces the signals' handlers for a while, in the main thread; others cannot."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        watched = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
        # Under `nohup`, SIGHUP is to be ignored.
        handlers = {one: signal.getsignal(one) for one in watched}
        handlers = {one: old for one, old in handlers.items() if old is not signal.SIG_IGN}
        for one in handlers:
            signal.signal(one, self._notice)
        try:
            yield
        finally:
            for one, old in handlers.items():
                signal.signal(one, old)

    def _notice(self, number: int, frame: FrameType | None) -> None:
        self.signal = signal.Signals(number)

    def raise_if_noticed(self, saved: bool = False) -> None:
        """Raises `PreemptedError` if the signal came; its message says whether it was saved."""
        if self.signal is not None:
            words = f"stopped by {self.signal.name}{', and saved' if saved else ''}"
            raise PreemptedError(words, self.signal)


class StopEvaluation(keras.callbacks.Callback):
    """Stops an evaluation when SIGTERM came."""

    def __init__(self, preemption: Preemption) -> None:
        super().__init__()
        self.preemption = preemption

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Stops it behind the batch."""
        model = self.model
        assert model is not None
        # On JAX an exception would leave the model without the weights it had before.
        model.stop_evaluating = self.preemption.noticed


class ProgressBar:
    """Shows the progress of a run: on a terminal a bar, elsewhere a line for each epoch.

    Args:
        title: Text above it.
        counter: Counter of the run's steps.
        shown: Whether to print at all: of many hosts, one does.
    """

    def __init__(self, title: str, counter: StepCounter, shown: bool = True) -> None:
        self.counter = counter
        self.shown = shown
        self.is_live = shown and sys.stdout.isatty()
        if shown:
            print(title, flush=True)
        self._bar = keras.utils.Progbar(counter.steps, stateful_metrics=_SHOWN)

    def show_step(self, logs: Logs) -> None:
        """Moves the bar within an epoch."""
        if self.is_live and self.counter.is_within_epoch:
            self._show(logs)

    def show_epoch(self, logs: Logs) -> None:
        """Moves the bar to the end of an epoch, with the results of the validation."""
        if self.is_live:
            self._show(logs)
        elif self.shown:
            # Keras's bar moves the cursor on every POSIX system, and a file has none.
            values = "  ".join(
                f"{name} {value:.{0 if name == SPEED else 4}f}"
                for name, value in self._values(logs)
            )
            steps = f"{self.counter.step}/{self.counter.steps}"
            print(f"epoch {self.counter.epochs}, step {steps}  {values}", flush=True)

    def _show(self, logs: Logs) -> None:
        self._bar.update(self.counter.step, self._values(logs))

    def _values(self, logs: Logs) -> list[tuple[str, float]]:
        return [(name, float(value)) for name, value in logs.items() if name in _SHOWN]


class RunCallback(keras.callbacks.Callback):
    """Does everything that happens within `fit`, one call after the other.

    Args:
        model: The network.
        counter: Counter of its steps.
        stopwatch: Measures them.
        checkpoints: Its checkpoints.
        checkpoint_seconds: It is saved when the last checkpoint is older than this; less often
            where saving takes long; also when SIGTERM came, and at the end of the epoch with the
            highest validation accuracy so far.
        preemption: Watcher for SIGTERM.
        evaluate: Function that returns the metrics of the "validation" or "test" split.
        unreadable: Function that returns a line on what of the data could not be used, or None.
        log: Log of its epochs.
        progress_bar: Its progress bar.
        loggers: Keras's callbacks that report an epoch elsewhere, such as TensorBoard's.

    Attributes:
        validated: Metrics of the last epoch's validation, if there was one.
    """

    def __init__(
        self,
        model: keras.Model,
        counter: StepCounter,
        stopwatch: Stopwatch,
        checkpoints: Checkpoints,
        checkpoint_seconds: float,
        preemption: Preemption,
        evaluate: Callable[[str], dict[str, float]],
        unreadable: Callable[[], str | None],
        log: EpochLog,
        progress_bar: ProgressBar,
        loggers: Sequence[keras.callbacks.Callback] = (),
    ) -> None:
        super().__init__()
        super().set_model(model)
        self.counter = counter
        self.stopwatch = stopwatch
        self.validated: dict[str, float] | None = None
        self.checkpoints = checkpoints
        self.checkpoint_seconds = checkpoint_seconds
        self.preemption = preemption
        self.log = log
        self.progress_bar = progress_bar
        # Keras's plain callback does nothing.
        self.loggers = (
            keras.callbacks.CallbackList(list(loggers)) if loggers else keras.callbacks.Callback()
        )
        self._evaluate = evaluate
        self._unreadable = unreadable
        self._said: str | None = None
        self._last_saved = time.monotonic()
        self._best_accuracy = checkpoints.best_accuracy()
        # `fit` resets the metrics of an epoch that was begun before.
        self._begun_metrics = self._metrics() if counter.is_within_epoch else None

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Starts the clock, and gives an epoch that was begun before its metrics back."""
        self.counter.start_clock()
        if self._begun_metrics is not None:
            variables = self._current_model().metrics_variables
            for variable, value in zip(variables, self._begun_metrics, strict=True):
                variable.assign(value)
            self._begun_metrics = None
        self.loggers.on_epoch_begin(epoch, logs)
        self.stopwatch.start()

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        """Counts, stops a run that diverged, and saves if it is time."""
        self.counter.step += 1
        raise_if_diverged(self.counter, logs)
        self.progress_bar.show_step({**logs, **self.stopwatch.recent})
        self.loggers.on_train_batch_end(batch, logs)
        if not self.counter.is_within_epoch:  # its end is saved below
            self.stopwatch.stop()
            return
        if self._is_due:
            float(logs["loss"])  # waits for the step, which a GPU computes meanwhile
        self.stopwatch.stop()
        self.save_if_due()
        self.stopwatch.start()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Saves, as a validation may take long; validates, logs, and saves what is logged."""
        trained = dict(logs)
        self.save_if_due(trained=trained)
        self.validated = self.evaluate("validation", trained=trained)
        logs |= {f"val_{name}": value for name, value in self.validated.items()}
        logs["learning_rate"] = float(self._current_model().optimizer.learning_rate)
        logs |= self.counter.finish_epoch()
        self.log.append(epoch, logs)
        self.progress_bar.show_epoch({**logs, **self.stopwatch.recent})
        self.loggers.on_epoch_end(epoch, logs)
        # Answers of a network whose loss is not finite are none.
        self.save_epoch(logs["val_accuracy"] if np.isfinite(logs["val_loss"]) else 0.0)

    def evaluate(self, split: str, **record: Any) -> dict[str, float]:
        """Returns the metrics of a split, unless SIGTERM comes: then it saves, with the record.

        Raises:
            PreemptedError: If the signal came.
        """
        metrics = self._evaluate(split)
        line = self._unreadable()
        if line != self._said:
            print(line, file=sys.stderr, flush=True)
            self._said = line
        if self.preemption.noticed:
            self.save_if_due(**record)
        return metrics

    def save_epoch(self, accuracy: float) -> None:
        """Saves behind an epoch, if it is time or its validation accuracy is the highest so far."""
        is_best = self._best_accuracy is None or accuracy > self._best_accuracy
        if is_best:
            self._best_accuracy = accuracy
        self.save_if_due(at_once=is_best, val_accuracy=accuracy)

    def save_if_due(self, at_once: bool = False, **record: Any) -> None:
        """Saves, if it is time, SIGTERM came, or it is to be done at once.

        Raises:
            PreemptedError: If the signal came.
        """
        self.checkpoints.raise_if_failed()
        is_last = self.preemption.noticed
        if at_once or is_last or self._is_due:
            model = self._current_model()
            so_far = {**self.counter.record, "log": self.log.rows, "timed": self.stopwatch.record}
            self.checkpoints.save(model, **{**so_far, **record})
            self._last_saved = time.monotonic()
        if is_last:
            self.preemption.raise_if_noticed(self.checkpoints.wait())

    @property
    def _is_due(self) -> bool:
        """Whether the last checkpoint is old: older than it may be, or than saving is worth."""
        asked = self.checkpoint_seconds
        seconds = min(max(asked, _SAVING * self.checkpoints.seconds), _SAVING * asked)
        return time.monotonic() - self._last_saved >= seconds

    def set_params(self, params: dict[str, Any]) -> None:
        """Tells the loggers as well."""
        super().set_params(params)
        self.loggers.set_params(params)

    def set_model(self, model: keras.Model) -> None:
        """Tells the loggers as well."""
        super().set_model(model)
        self.loggers.set_model(model)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Tells the loggers."""
        self.stopwatch.skip_compilation()
        self.loggers.on_train_begin(logs)

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Tells the loggers."""
        self.loggers.on_train_batch_begin(batch, logs)

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Tells the loggers."""
        self.loggers.on_train_end(logs)

    def _current_model(self) -> keras.Model:
        # Asked for its model, Keras's callback brings the weights up to date on JAX.
        model = self.model
        assert model is not None
        return model

    def _metrics(self) -> list[np.ndarray]:
        variables = self._current_model().metrics_variables
        return [np.asarray(keras.ops.convert_to_numpy(variable)) for variable in variables]


def raise_if_diverged(counter: StepCounter, logs: Logs) -> None:
    """Raises `DivergedError` soon after the loss, the epoch's mean so far, is not finite."""
    if counter.is_within_epoch and counter.step % _STEPS_BETWEEN_READINGS:
        return
    loss = float(logs["loss"])
    if not np.isfinite(loss):
        step = counter.step - counter.epochs * counter.steps_per_epoch
        raise DivergedError(f"the loss is {loss} in epoch {counter.epochs + 1}, step {step}")


def raise_if_not_finite(split: str, loss: float) -> None:
    """Raises `DivergedError` if the loss on a split is not finite."""
    if not np.isfinite(loss):
        raise DivergedError(f"the {split} loss is {loss}")
