"""Callbacks that record the activations of a model while it is trained."""

import contextlib
import os
import time
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_swish.keras_compat import ops
from keras_swish.layers import activation_layers, betas, weighted_layers

# How many of them a histogram is made of, at most.
_PRE_ACTIVATIONS = 100_000


class BetaLogger(keras.callbacks.Callback):
    """Records the weights of a model's activations before the first epoch and after each.

    `keras_swish.plot_betas(logger)` draws them.

    Args:
        log_dir: Folder for a log with histograms of them that TensorBoard shows; `None`: no log.
            Needs the package `tensorboard`, not TensorFlow.
        samples: A batch of inputs, as the model takes them. After each epoch the model is
            called with it, and histograms of the inputs of each activation layer, with
            weights or without, are logged too.

    Attributes:
        epochs: The number of epochs completed at each record, from 0.
        history: By path of a weight, such as `"swish/beta"`, its value at each record.

    Raises:
        ImportError: If `log_dir` is given and `tensorboard` is not installed.
        ValueError: If `samples` is given without `log_dir`; in `fit`, if the model has no
            activation with weights and no `samples` are given.

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


def pre_activations(model: keras.Model, samples: Any) -> dict[str, np.ndarray]:
    """Returns the inputs of each activation layer, by its path.

    Args:
        model: The model.
        samples: A batch of inputs, as the model takes them.
    """
    inputs_by_path: dict[str, list] = {}
    with contextlib.ExitStack() as stack:
        for layer in activation_layers(model):
            # A layer without weights has no path.
            path = (layer.path or layer.name).removeprefix(f"{model.name}/")
            stack.enter_context(_recorded_inputs(layer, inputs_by_path.setdefault(path, [])))
        model(keras.tree.map_structure(ops.convert_to_tensor, samples), training=False)
    return {
        path: np.concatenate([np.ravel(ops.convert_to_numpy(x)) for x in inputs])
        for path, inputs in inputs_by_path.items()
        if inputs
    }


@contextlib.contextmanager
def _recorded_inputs(layer: keras.Layer, record: list) -> Iterator[None]:
    """Records what the layer is called with."""
    call = layer.call

    def recording_call(inputs, *args, **kwargs):
        record.append(inputs)
        return call(inputs, *args, **kwargs)

    layer.call = recording_call
    try:
        yield
    finally:
        del layer.call


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
        from tensorboard.compat.proto.event_pb2 import (
            Event,  # pyright: ignore[reportAttributeAccessIssue] (made when it is imported)
        )
        from tensorboard.plugins.histogram.summary_v2 import histogram_pb

        summary = histogram_pb(tag, values.astype("float64"))
        self.file.add_event(Event(wall_time=time.time(), step=step, summary=summary))

    def flush(self) -> None:
        self.file.flush()
