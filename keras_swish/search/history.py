"""What an algorithm was told, and the state that it was in, kept beside a study's journal.

Every reward that is told adds a line, at a cost that does not grow; the state is written now and
then. To go on, an algorithm takes the last state and hears again what it was told after it.
"""

import json
import os
import pathlib
from typing import NamedTuple


class Told(NamedTuple):
    """A reward that an algorithm was told.

    Attributes:
        number: The proposal's, counted from 0.
        index: That of its candidate in the space.
        same: Index of the candidate that stands for it, or None if it was rejected.
        reward: The reward.
        asked: How many proposals had been asked for by then.
    """

    number: int
    index: int
    same: int | None
    reward: float
    asked: int


class History:
    """A file of lines, and a checkpoint that says what was true after how many of them.

    Args:
        path: Path of the checkpoint; the lines lie beside it, in a file ending in .jsonl. None
            to keep nothing.
    """

    def __init__(self, path: pathlib.Path | None):
        self._checkpoint = path
        self._lines = None if path is None else path.with_suffix(".jsonl")
        self._length = 0
        self._lock = None

    def claim(self) -> None:
        """Keeps other processes from these files for as long as this object lives.

        Raises:
            ValueError: If another process has them.
        """
        try:
            import fcntl
        except ImportError:  # not on Windows
            return
        if self._checkpoint is None:
            return
        # A lock of the process, not of the object: here a search that was cut off is gone on with.
        self._lock = open(self._checkpoint.with_suffix(".lock"), "w")  # noqa: SIM115
        try:
            fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            raise ValueError(
                f"Another process searches with {str(self._checkpoint)!r}: wait for it, or choose "
                "another storage."
            ) from error
        except OSError:  # a file system that knows no locks
            pass

    def read(self) -> tuple[dict | None, list[Told], list[Told]]:
        """Returns the checkpoint, what was told before it, and what after it.

        Raises:
            ValueError: If the files are broken.
        """
        if self._checkpoint is None:
            return None, [], []
        lines = self._lines
        try:
            # What follows the last newline was being written when the process was killed.
            whole = lines.read_bytes().rpartition(b"\n")[0].splitlines() if lines.exists() else []
            told = [Told(*json.loads(line)) for line in whole]
        except (ValueError, TypeError) as error:
            raise ValueError(f"The checkpoint {str(lines)!r} is broken ({error}).") from error
        record = None
        try:
            if self._checkpoint.exists():
                record = json.loads(self._checkpoint.read_text(encoding="utf-8"))
                if record["lines"] > len(told):
                    raise ValueError(f"{lines.name} has fewer lines than it counts")
        except (ValueError, KeyError, TypeError) as error:
            raise self.broken(error) from error
        lines_before = record["lines"] if record else 0
        return record, told[:lines_before], told[lines_before:]

    def broken(self, error: Exception) -> ValueError:
        """Returns the error that says so of the checkpoint."""
        return ValueError(
            f"The checkpoint {str(self._checkpoint)!r} is broken ({error}). If you remove it, what "
            f"the algorithm was told is read from {self._lines.name}."
        )

    def begin(self, told: list[Told]) -> None:
        """Makes these the lines, to which more are added."""
        self._length = len(told)
        if self._lines is not None:
            if not told:
                self._checkpoint.unlink(missing_ok=True)  # it counts lines that are gone
            _write(self._lines, "".join(map(_line, told)))

    def append(self, told: Told) -> None:
        """Adds a line."""
        self._length += 1
        if self._lines is not None:
            with open(self._lines, "a", encoding="utf-8") as file:
                file.write(_line(told))

    def save(self, record: dict) -> None:
        """Writes a checkpoint of what is true after the lines so far."""
        if self._lines is not None:
            with open(self._lines, "rb") as file:
                os.fsync(file.fileno())
            _write(self._checkpoint, json.dumps({"lines": self._length, **record}))


def _line(told: Told) -> str:
    return json.dumps(told) + "\n"


def _write(path: pathlib.Path, text: str) -> None:
    """Writes a file that is whole or not there."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())  # or the name outlives a power cut, and the text does not
    os.replace(temporary, path)
