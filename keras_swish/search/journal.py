"""Journals of Optuna: files that a killed process leaves usable, and that one process writes."""

import contextlib
import os
import pathlib
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
        ValueError: If the file is no journal.
    """
    optuna = import_optuna()
    journal = optuna.storages.journal
    _mend(path, journal.JournalFileSymlinkLock(str(path)))
    try:
        return optuna.storages.JournalStorage(journal.JournalFileBackend(str(path)))
    except (OSError, ValueError, KeyError, TypeError) as error:
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
    """Cuts off the record that a killed process was writing: Optuna would add the next to it.

    What is no journal is refused here: Optuna forgives a last line that it cannot read, and would
    write behind it.
    """
    if not path.is_file():
        return
    with open(path, "rb") as file:
        head = file.read(len(_BEGINS))
    if not _BEGINS.startswith(head):
        raise ValueError(f"{str(path)!r} is no journal of Optuna.")
    if not _torn(path):
        return
    lock.acquire()  # who writes has it
    try:
        torn = _torn(path)
        if not torn.startswith(_BEGINS[: len(torn)]):
            raise ValueError(f"{str(path)!r} is no journal of Optuna.")
        os.truncate(path, path.stat().st_size - len(torn))
    finally:
        lock.release()


def _torn(path: pathlib.Path) -> bytes:
    """Returns what a file has after its last newline."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _LONGEST))
        return file.read().rpartition(b"\n")[2]
