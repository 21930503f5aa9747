"""Checkpoints of a run: the newest few and the best, each written all or nothing."""

import contextlib
import json
import pathlib
import sys
import time
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import keras
import numpy as np

from keras_swish import io
from keras_swish.messages import differences, first_line

from ..errors import ArgumentError
from . import recipes


class BrokenError(Exception):
    """A checkpoint that cannot be read; the message says why."""


def state(model: keras.Model) -> list[keras.Variable]:
    """Returns all variables that training changes: nothing else need be saved.

    Weights, seeds of dropout and drop path, the optimizer's accumulators with its moving
    average of the weights and its count of steps, which the schedule follows, and the metrics of
    the epoch so far. `keras.Model.save_weights` leaves seeds and metrics out.
    """
    optimizer = model.optimizer
    assert optimizer is not None
    return [*model.variables, *optimizer.variables, *model.metrics_variables]


class Checkpoints:
    """The checkpoints of one run, the only files in their folder.

    A thread writes them, one at a time, while training proceeds. Each is a NumPy archive, whose
    checksums tell a damaged file, with the arrays of `state` and a record: the run's settings, the
    number of training steps done (from which the order of the images and their augmentation
    follow), and what else `save` was given.

    Args:
        directory: The folder.
        config: The run's settings; a checkpoint of others is refused.
        keep: How many of the newest to keep, in addition to the one with the highest validation
            accuracy.
        writes: Whether to write at all: of many hosts, one does.

    Attributes:
        seconds: How long the last one took, from copying the variables to the disk.
    """

    def __init__(
        self, directory: pathlib.Path, config: dict[str, Any], keep: int = 2, writes: bool = True
    ) -> None:
        self.directory = directory
        self.config = config
        self.keep = keep
        self.writes = writes
        self.seconds = 0.0
        self._writer = futures.ThreadPoolExecutor(1, "checkpoints")
        self._written: futures.Future[bool] | None = None

    def paths(self) -> list[pathlib.Path]:
        """Returns the files, the newest first."""
        return sorted(self.directory.glob("step-*.npz"), reverse=True)

    def save(self, model: keras.Model, step: int, **record: Any) -> None:
        """Copies the variables, and starts to write a checkpoint, after the one before.

        Where the disk is full, it prints so, and the ones before it stay.
        """
        if not self.writes:
            return
        self.wait()
        began = time.monotonic()
        # Copies: on some backends NumPy looks into the memory that the next step writes to.
        arrays = [np.array(keras.ops.convert_to_numpy(variable)) for variable in state(model)]
        known = {"run": self.config, "step": step, "arrays": len(arrays)}
        text = json.dumps({**known, **record})
        self._written = self._writer.submit(self._write, step, arrays, text, began)

    def wait(self) -> bool:
        """Waits until the last checkpoint is written, and returns whether it was."""
        written, self._written = self._written, None  # what it raises is raised once
        is_written = written is not None and written.result()
        self._written = written
        return is_written

    def raise_if_failed(self) -> None:
        """Raises what writing the last checkpoint raised, unless it is still being written."""
        if self._written is not None and self._written.done():
            self.wait()

    def close(self) -> None:
        """Waits until the last checkpoint is written; there will be no other."""
        self.wait()
        self._writer.shutdown()

    def _write(self, step: int, arrays: list[np.ndarray], record: str, began: float) -> bool:
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            with io.atomic(self.directory / f"step-{step:010}.npz") as path:
                np.savez(path, *arrays, record=np.array(record))
            self._prune(self.keep)
        except OSError as error:
            older = [path for path in self.paths() if path.name < f"step-{step:010}"]
            remains = f"the one of {_step(older[0])} remains" if older else "there is none yet"
            print(
                f"checkpoint of step {step} not written ({error.strerror or error}); {remains}",
                file=sys.stderr,
                flush=True,
            )
            return False
        finally:
            self.seconds = time.monotonic() - began
        return True

    def restore(self, model: keras.Model) -> dict[str, Any] | None:
        """Loads the newest checkpoint that can be read, and returns its record.

        One that cannot be is renamed, with a line that says so.

        Raises:
            ArgumentError: If a checkpoint is of another run.
        """
        if self.writes:
            io.remove_temporaries(self.directory)
        for path in self.paths():
            try:
                return self.load(path, model)
            except BrokenError as error:
                self._rename_broken(path, error)
        return None

    def load(self, path: pathlib.Path, model: keras.Model) -> dict[str, Any]:
        """Loads a checkpoint and returns its record.

        Raises:
            ArgumentError: If it is of another run.
            BrokenError: If it is damaged.
        """
        with _opened(path) as archive:
            # An array whose header was changed may end before the checksum is looked at.
            if damaged := archive.zip.testzip():
                raise ValueError(f"{damaged} has another checksum")
            record = _record(archive)
            count = record.get("arrays", len(archive.files) - 1)  # of before: what there is
            arrays = [archive[f"arr_{number}"] for number in range(count)]
        variables = state(model)
        other = changed_settings(record["run"], self.config)
        if not other and [a.shape for a in arrays] != [tuple(v.shape) for v in variables]:
            other = "its weights are others, as of another version of this package"
        if other:
            raise ArgumentError("out", f"the checkpoint {path} is of another run ({other})")
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)
        return record

    def best(self) -> pathlib.Path | None:
        """Returns the checkpoint with the highest validation accuracy, if one has any."""
        accuracies = self._accuracies()
        return max(accuracies, key=lambda path: accuracies[path], default=None)

    def best_accuracy(self) -> float | None:
        """Returns the highest validation accuracy of the checkpoints, if one has any."""
        return max(self._accuracies().values(), default=None)

    def _accuracies(self) -> dict[pathlib.Path, float]:
        accuracies = {path: _accuracy(path) for path in self.paths()}
        return {path: accuracy for path, accuracy in accuracies.items() if accuracy is not None}

    def keep_best(self) -> None:
        """Removes all but the best: the run is over."""
        if self.writes:
            self._prune(keep=0)

    def _prune(self, keep: int) -> None:
        old = self.paths()[keep:]
        best = self.best() if old else None
        for path in old:
            if path != best:
                path.unlink()

    def _rename_broken(self, path: pathlib.Path, error: BaseException) -> None:
        if self.writes:
            path.rename(path.with_suffix(".npz.broken"))
        older = [other for other in self.paths() if other.name < path.name]
        instead = f"resuming from {_step(older[0])}" if older else "starting from the beginning"
        print(f"{path} is broken ({first_line(error)}); {instead}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _opened(path: pathlib.Path) -> Iterator[Any]:
    """Opens a checkpoint; whatever is raised while it is read says that it is broken."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            yield archive
    except Exception as error:  # of a flipped bit, zipfile, NumPy and Python's parser have many
        raise BrokenError(first_line(error)) from error


def _record(archive: Any) -> dict[str, Any]:
    record = json.loads(str(archive["record"]))
    if not isinstance(record, dict) or not record.keys() >= {"run", "step"}:
        raise ValueError("it is no checkpoint of a run")
    return record


def _accuracy(path: pathlib.Path) -> float | None:
    try:
        with _opened(path) as archive:
            return _record(archive).get("val_accuracy")
    except BrokenError:
        return None


def _step(path: pathlib.Path) -> str:
    return f"step {int(path.stem.removeprefix('step-'))}"


def changed_settings(present: dict[str, Any], wanted: dict[str, Any]) -> str:
    """Returns in which entries two settings differ; empty where they agree.

    Fields that a recipe did not have yet when it was written have their defaults; its source
    changes nothing in its outcome. A digest that was not recorded is not compared.

    Example:
        >>> from keras_swish.train.trainer.checkpoints import changed_settings
        >>> changed_settings({"seed": 0, "recipe": {"epochs": 2}}, {"seed": 1, "recipe": {}})
        'seed 0, now 1'
    """
    present, wanted = _as_comparable(present), _as_comparable(wanted)
    return differences(present, _recorded(wanted, present))


def _recorded(wanted: dict[str, Any], present: dict[str, Any]) -> dict[str, Any]:
    """Returns what is wanted without the digests that an earlier version did not record."""
    return {
        key: _recorded(value, present[key])
        if isinstance(value, dict) and isinstance(present.get(key), dict)
        else value
        for key, value in wanted.items()
        if key != "model_digest" or present.get(key) is not None
    }


# Of a recipe: where its settings come from, not what they are.
_OF_NO_CONSEQUENCE = {"source", "reference_batch", "batch_scaling"}


def _as_comparable(settings: dict[str, Any]) -> dict[str, Any]:
    return _with_defaults(json.loads(json.dumps(settings)))


def _with_defaults(settings: dict[str, Any]) -> dict[str, Any]:
    defaults = json.loads(json.dumps(recipes.DEFAULTS))
    return {
        key: _with_defaults(defaults | value if key == "recipe" else value)
        if isinstance(value, dict)
        else value
        for key, value in settings.items()
        if key not in _OF_NO_CONSEQUENCE
    }
