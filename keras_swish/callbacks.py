"""Callbacks that record the activations of a model while it is trained."""

import dataclasses
import math
import os
import pathlib
import time
from typing import Any

import keras
import numpy as np

from keras_swish import io
from keras_swish.keras_compat import Tensor, ops
from keras_swish.layers import betas, weighted_layers
from keras_swish.recording import recorder
from keras_swish.replacement.sites import LocatedActivation
from keras_swish.statistics import ActivationStatistics, activation_statistics

# How many of them a histogram is made of, at most.
_PRE_ACTIVATIONS = 100_000


class BetaLogger(keras.callbacks.Callback):
    """Records the weights of a model's activations before the first epoch and after each.

    `keras_swish.plot_betas(logger)` draws them.

    Args:
        log_dir: Folder for a log with histograms of them that TensorBoard shows; `None`: no log.
            Needs the package `tensorboard`, not TensorFlow.
        samples: A batch of inputs, as the model takes them. After each epoch the model is
            called with it, and histograms of the inputs of each activation, with weights or
            without, inside layers too, are logged.

    Attributes:
        epochs: The number of epochs completed at each record, from 0.
        history: By path of a weight, such as `"swish/beta"`, its value at each record.

    Raises:
        ImportError: If `log_dir` is given and `tensorboard` is not installed.
        ValueError: If `samples` is given without `log_dir`; in `fit`, if the model has no
            activation with weights and no `samples` are given, or no activation at all.

    Example:
        >>> import keras, keras_swish
        >>> model = keras.Sequential([keras.Input((3,)), keras_swish.Swish(name="act")])
        >>> model.compile("sgd", "mse")
        >>> logger = keras_swish.BetaLogger()
        >>> x = keras.ops.ones((4, 3))
        >>> history = model.fit(x, x, epochs=2, verbose=0, callbacks=[logger])
        >>> logger.epochs, len(logger.history["act/beta"])
        ([0, 1, 2], 3)
    """

    def __init__(self, log_dir: str | os.PathLike | None = None, samples: Any = None):
        super().__init__()
        if samples is not None and log_dir is None:
            raise ValueError("`samples` needs `log_dir`: their histograms are written there.")
        self.samples = samples
        self.epochs: list[int] = []
        self.history: dict[str, list[np.ndarray]] = {}
        self._writer = None if log_dir is None else _Writer(log_dir)

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Records the weights before the first epoch."""
        if _is_another_training(self.epochs, epoch):
            self.epochs, self.history = [], {}
        if not self.epochs:
            self._record(epoch)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Records the weights."""
        self._record(epoch + 1)

    def _record(self, epochs: int) -> None:
        self.epochs.append(epochs)
        model: Any = self.model
        has_weights = self.samples is None or weighted_layers(model)
        for path, variable in (betas(model) if has_weights else {}).items():
            value = np.array(ops.convert_to_numpy(variable))
            self.history.setdefault(path, []).append(value)
            if self._writer:
                self._writer.histogram(path, value, epochs)
        if self._writer:
            if self.samples is not None:
                random = np.random.default_rng(0)
                for path, value in pre_activations(model, self.samples).items():
                    some = random.choice(value, min(len(value), _PRE_ACTIVATIONS), replace=False)
                    self._writer.histogram(f"{path}/pre_activation", some, epochs)
            self._writer.flush()


def _is_another_training(epochs: list[int], epoch: int) -> bool:
    """Says whether an epoch begins that is recorded: of another call of `fit`, from its start.

    Of a training that ended within its first epoch only the beginning is recorded.
    """
    return bool(epochs) and (epoch < epochs[-1] or epochs == [epoch])


def pre_activations(model: keras.Model, samples: Any) -> dict[str, np.ndarray]:
    """Returns the inputs of each activation, those inside layers too, in the order of the calls.

    Args:
        model: The model, built.
        samples: A batch of inputs, as the model takes them.

    Returns:
        By path, with the attribute where a layer holds the activation, all numbers in a row.

    Raises:
        ValueError: If the model has no activation.

    Example:
        >>> import keras
        >>> from keras_swish.callbacks import pre_activations
        >>> layers = [keras.layers.Dense(4, "relu", name="one"), keras.layers.ReLU(name="two")]
        >>> model = keras.Sequential([keras.Input((3,)), *layers])
        >>> {path: len(x) for path, x in pre_activations(model, keras.ops.ones((2, 3))).items()}
        {'one/activation': 8, 'two': 8}
    """
    inputs_by_path: dict[str, list[np.ndarray]] = {}

    def on_call(located: LocatedActivation, _: Any, x: Tensor, __: Tensor) -> None:
        path = "/".join(filter(None, (located.site.path, located.site.attribute)))
        inputs_by_path.setdefault(path, []).append(np.ravel(ops.convert_to_numpy(x)))

    samples = keras.tree.map_structure(ops.convert_to_tensor, samples)
    size = len(keras.tree.flatten(samples)[0])
    for _ in recorder.runs(
        model, recorder.activation_sites(model), samples, on_call, batch_size=size
    ):
        pass
    return {path: np.concatenate(inputs) for path, inputs in inputs_by_path.items()}


class StatisticsLogger(keras.callbacks.Callback):
    """Records `keras_swish.activation_statistics` of a model before the first epoch and after each.

    The logs of each epoch get `dead_units`, `dead_inputs` and `saturated`, the shares of the whole
    model, so that Keras's `History`, `CSVLogger` (named after this callback), `EarlyStopping` and
    others see them.

    Args:
        x: Inputs, as `activation_statistics` takes them. A generator would be empty after
            the first record: give arrays or a dataset.
        path: A CSV file to write, with a line for each site and record; `None`: no file.
        log_dir: Folder for a log with a curve of each statistic and site that TensorBoard shows;
            `None`: no log. Needs the package `tensorboard`, not TensorFlow.
        batch_size: As in `activation_statistics`.
        steps: As in `activation_statistics`.
        saturation_threshold: As in `activation_statistics`.

    Attributes:
        epochs: The number of epochs completed at each record, from 0.
        history: The `ActivationStatistics` of each record.

    Raises:
        ImportError: If `log_dir` is given and `tensorboard` is not installed.

    Example:
        >>> import keras, keras_swish
        >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, "relu")])
        >>> model.compile("sgd", "mse")
        >>> x = keras.ops.ones((4, 3))
        >>> logger = keras_swish.StatisticsLogger(x)
        >>> history = model.fit(x, x[:, :1], epochs=2, verbose=0, callbacks=[logger])
        >>> logger.epochs, len(logger.history), len(history.history["dead_units"])
        ([0, 1, 2], 3, 2)
    """

    def __init__(
        self,
        x: Any,
        path: str | os.PathLike | None = None,
        log_dir: str | os.PathLike | None = None,
        *,
        batch_size: int | None = None,
        steps: int | None = None,
        saturation_threshold: float = 0.01,
    ):
        super().__init__()
        self.x = x
        self.path = None if path is None else pathlib.Path(path)
        self.batch_size, self.steps = batch_size, steps
        self.saturation_threshold = saturation_threshold
        self.epochs: list[int] = []
        self.history: list[ActivationStatistics] = []
        self._writer = None if log_dir is None else _Writer(log_dir)

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Records the statistics before the first epoch."""
        if _is_another_training(self.epochs, epoch):
            self.epochs, self.history = [], []
        if not self.epochs:
            self._record(epoch)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Records the statistics, and adds those of the whole model to the logs."""
        statistics = self._record(epoch + 1)
        if logs is not None:
            for share in ("dead_units", "dead_inputs", "saturated"):
                logs[share] = statistics.total(share)

    def _record(self, epochs: int) -> ActivationStatistics:
        model: Any = self.model
        statistics = activation_statistics(
            model,
            self.x,
            batch_size=self.batch_size,
            steps=self.steps,
            saturation_threshold=self.saturation_threshold,
        )
        self.epochs.append(epochs)
        self.history.append(statistics)
        if self.path:
            rows = [
                {"epoch": number, **dataclasses.asdict(row)}
                for number, record in zip(self.epochs, self.history, strict=True)
                for row in record.rows
            ]
            io.write_csv(self.path, rows)
        if self._writer:
            for row in statistics.rows:
                path = "/".join(filter(None, (row.path, row.attribute)))
                for name, value in dataclasses.asdict(row).items():
                    if isinstance(value, float) and not math.isnan(value):
                        self._writer.scalar(f"{path}/{name}", value, epochs)
            self._writer.flush()
        return statistics


class _Writer:
    """Writes histograms for TensorBoard, with what its package has for use without TensorFlow."""

    def __init__(self, log_dir: str | os.PathLike):
        try:
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ImportError as error:
            raise ImportError(
                "`log_dir` needs tensorboard: pip install 'keras-swish[tensorboard]'"
            ) from error
        self.file = EventFileWriter(os.fspath(log_dir))

    def histogram(self, tag: str, values: np.ndarray, step: int) -> None:
        from tensorboard.plugins.histogram.summary_v2 import histogram_pb

        self._add(histogram_pb(tag, values.astype("float64")), step)

    def scalar(self, tag: str, value: float, step: int) -> None:
        from tensorboard.plugins.scalar.summary_v2 import scalar_pb

        self._add(scalar_pb(tag, value), step)

    def _add(self, summary: Any, step: int) -> None:
        from tensorboard.compat.proto.event_pb2 import (
            Event,  # pyright: ignore[reportAttributeAccessIssue] (made when it is imported)
        )

        self.file.add_event(Event(wall_time=time.time(), step=step, summary=summary))

    def flush(self) -> None:
        self.file.flush()
