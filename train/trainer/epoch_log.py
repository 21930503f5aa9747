"""The log of a run: a CSV file with a row for each epoch."""

import pathlib
from typing import Any

from keras_swish import io

LOG = "log.csv"


class EpochLog:
    """Writes the log of a run.

    Args:
        directory: Folder of the run.
        epochs: How many epochs are done; later ones will be logged again.
        writes: Whether to write at all: of many hosts, one does.
        rows: The rows of the epochs that are done, from a checkpoint; None: those of the file, as
            checkpoints of earlier versions have none.

    Attributes:
        rows: A row for each epoch, as `read_log` returns them; none on the other hosts.
    """

    def __init__(
        self,
        directory: pathlib.Path,
        epochs: int = 0,
        writes: bool = True,
        rows: list[dict[str, Any]] | None = None,
    ) -> None:
        self.path = directory / LOG
        self.writes = writes
        self.rows: list[dict[str, Any]] = []
        if writes:
            done = _rows(directory, epochs) if rows is None else rows
            self.rows = [{**row, "epoch": int(row["epoch"])} for row in done]
            self._write()

    def append(self, epoch: int, metrics: dict[str, Any]) -> None:
        """Adds the row of an epoch, counted from 0."""
        if self.writes:
            self.rows.append({"epoch": epoch, **dict(sorted(metrics.items()))})
            self._write()

    def _write(self) -> None:
        if self.rows:
            io.write_csv(self.path, self.rows)
        else:
            self.path.unlink(missing_ok=True)


def _rows(directory: pathlib.Path, epochs: int) -> list[dict[str, float]]:
    """Returns the rows of the epochs that are done."""
    try:
        return [row for row in read_log(directory) if row.get("epoch", epochs) < epochs]
    except io.DamagedFileError as error:
        io.set_aside(error, "the epochs before are not logged")
        return []


def read_log(directory: pathlib.Path) -> list[dict[str, float]]:
    """Reads a run's log: a row an epoch (from 0), with its metrics, seconds and steps.

    Raises:
        DamagedFileError: If it is none.

    Example:
        >>> import pathlib, tempfile
        >>> from keras_swish.train.trainer.epoch_log import EpochLog, read_log
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     EpochLog(pathlib.Path(folder)).append(0, {"loss": 0.5, "steps": 20})
        ...     read_log(pathlib.Path(folder))
        [{'epoch': 0.0, 'loss': 0.5, 'steps': 20.0}]
    """
    # A column that an earlier version did not write is empty in its rows.
    try:
        return [
            {key: float(value) for key, value in row.items() if value}
            for row in io.read_csv(directory / LOG)
        ]
    except ValueError as error:
        if isinstance(error, io.DamagedFileError):
            raise
        raise io.DamagedFileError(directory / LOG, error) from error
