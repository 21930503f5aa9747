"""Journals of Optuna: files that a killed process leaves usable, and that one process writes."""

import contextlib
import json
import os
import pathlib
import re
import weakref
from typing import Any

from keras_swish import io

# What every record of a journal begins with.
_BEGINS = b'{"op_code"'
# No record of a journal has as many bytes.
_LONGEST = 1 << 24
# By journal: the lock that all searches of this process share.
_locks: weakref.WeakValueDictionary[pathlib.Path, contextlib.ExitStack] = (
    weakref.WeakValueDictionary()
)


def import_optuna() -> Any:
    """Returns the module `optuna`, made to speak up for warnings only."""
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "The search keeps its results with Optuna: pip install 'keras-swish[search]'"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def open_journal(path: pathlib.Path) -> Any:
    """Returns the storage of Optuna in a file, which is made if need be.

    Raises:
        ValueError: If the file is no journal, or damaged.
    """
    optuna = import_optuna()
    journal = optuna.storages.journal
    # Not Optuna's default, a symbolic link, which Windows lets few users make.
    lock = journal.JournalFileOpenLock(str(path))
    _mend(path, lock)
    try:
        return optuna.storages.JournalStorage(journal.JournalFileBackend(str(path), lock))
    except Exception as error:  # whatever a damaged record leads Optuna to
        place = _first_damage(path)
        if place:
            raise ValueError(
                f"{str(path)!r} is damaged in line {place}. Take a copy from before; or cut the "
                "file off in front of that line: what the lines before it say is kept, and the "
                "search trains the others again."
            ) from error
        raise ValueError(f"{str(path)!r} is no journal of Optuna ({error}).") from error


def claim(path: pathlib.Path) -> contextlib.ExitStack:
    """Keeps other processes from searching with a journal, for as long as what it returns lives.

    Raises:
        ValueError: If another process searches with it.
    """
    lock = _locks.get(path)
    if lock is None:
        try:
            lock = io.lock(path.with_name(f".{path.name}.lock"))
        except BlockingIOError as error:
            raise ValueError(
                f"Another process searches with {str(path)!r}: wait for it, or choose another "
                "storage."
            ) from error
        _locks[path] = lock
    return lock


def _mend(path: pathlib.Path, lock: Any) -> None:
    """Cuts off the record that a killed process or machine was writing: the next would join it.

    What is no journal is refused here: Optuna forgives a last line that it cannot read, and would
    write behind it.
    """
    if not path.is_file():
        return
    with open(path, "rb") as file:
        head = file.read(len(_BEGINS))
    if not _is_begun(head):
        raise ValueError(f"{str(path)!r} is no journal of Optuna.")
    if not _torn(path):
        return
    lock.acquire()  # who writes has it
    try:
        while torn := _torn(path):
            if not _is_begun(torn):
                raise ValueError(f"{str(path)!r} is no journal of Optuna.")
            os.truncate(path, path.stat().st_size - len(torn))
    finally:
        lock.release()


def _torn(path: pathlib.Path) -> bytes:
    """Returns what a file has at its end that is no whole record; at most `_LONGEST` bytes."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _LONGEST))
        before, newline, tail = file.read().rpartition(b"\n")
    if tail:
        return tail
    last = before.rpartition(b"\n")[2] + newline
    return b"" if _is_record(last) else last


def _is_begun(text: bytes) -> bool:
    """Says whether a record begins so; a file system leaves NULs where it wrote none of it."""
    text = re.sub(rb"\0+\n?\Z", b"", text)
    return text.startswith(_BEGINS[: len(text)])


def _is_record(line: bytes) -> bool:
    try:
        return not line or isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _first_damage(path: pathlib.Path) -> int | None:
    """Returns the number of the first line, from 1, that is no record, or None."""
    with open(path, "rb") as file:
        return next((number for number, line in enumerate(file, 1) if not _is_record(line)), None)
