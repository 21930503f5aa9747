"""Files that are either whole or not there."""

import contextlib
import csv
import io
import itertools
import json
import os
import pathlib
from collections.abc import Iterator


@contextlib.contextmanager
def atomic(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Gives a temporary path to write to, and renames it to `path` at the end.

    Whoever kills the program, and whenever, finds the old file or the new one. The
    temporary name keeps the suffixes, from which Keras and matplotlib take the format.
    """
    suffixes = "".join(path.suffixes)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp{suffixes}")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def lock(path: pathlib.Path) -> contextlib.ExitStack:
    """Locks a file against other processes, until what is returned is closed or this one ends.

    A lock that a killed process held is free. Where the system or the file system knows no locks,
    as on Windows, none is taken.

    Args:
        path: The file, which is made if need be, and stays.

    Raises:
        BlockingIOError: If another process holds it.
    """
    held = contextlib.ExitStack()
    try:
        import fcntl
    except ImportError:
        return held
    file = held.enter_context(open(path, "w"))  # noqa: SIM115
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        held.close()
        raise
    except OSError:
        pass
    return held


def remove_temporaries(directory: pathlib.Path) -> None:
    """Removes what a program that was killed while writing left behind."""
    for path in directory.glob(".*.tmp*"):
        path.unlink()


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes a text file atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: pathlib.Path, value) -> None:
    """Writes a JSON file atomically."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def write_csv(path: pathlib.Path, rows: list[dict]) -> None:
    """Writes a CSV file atomically; its columns are those of any row."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(itertools.chain(*rows))), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def read_column(path: pathlib.Path, column: str) -> list[str]:
    """Reads a column of a CSV file; empty where there is no such file or column."""
    if not path.exists():
        return []
    with open(path, encoding="utf-8", newline="") as file:
        return [row[column] for row in csv.DictReader(file) if column in row]


def read_json(path: pathlib.Path):
    """Reads a JSON file, or gives `None` where there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
