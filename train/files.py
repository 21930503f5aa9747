"""Files that are either whole or not there."""

import contextlib
import csv
import io
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
    """Writes a CSV file atomically; the columns are those of the first row."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def read_json(path: pathlib.Path):
    """Reads a JSON file, or gives `None` where there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
