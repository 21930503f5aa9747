"""Files and folders that are written all or nothing, and a lock for those of a folder."""

import contextlib
import csv
import fnmatch
import io
import itertools
import json
import os
import pathlib
import shutil
import sys
from collections.abc import Iterator
from typing import Any


class DamagedFileError(ValueError):
    """A file that was cut short or changed; the message names it."""

    def __init__(self, path: pathlib.Path, reason: object) -> None:
        super().__init__(f"{path} is damaged ({reason})")
        self.path = path

    def __reduce__(self) -> tuple:
        # So that it comes back from another process.
        return ValueError, (str(self),)


@contextlib.contextmanager
def atomic(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a temporary path to write to, and renames it to `path` at the end.

    Whenever the program is killed, the file is the old one or the new one. A folder may be written
    too, where none is. The temporary name keeps the suffixes, from which Keras and matplotlib take
    the format.

    Example:
        >>> import pathlib, tempfile
        >>> from keras_swish import io
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "a.txt")
        ...     with io.atomic(path) as temporary:
        ...         _ = temporary.write_text("all")
        ...     path.read_text()
        'all'
    """
    suffixes = "".join(path.suffixes)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp{suffixes}")
    try:
        yield temporary
        if temporary.is_file():
            with open(temporary, "r+b") as file:  # Windows syncs only what may be written
                os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        else:
            temporary.unlink(missing_ok=True)


def as_json(value: Any) -> Any:
    """Returns a value as JSON gives it back.

    Example:
        >>> from keras_swish import io
        >>> io.as_json({"filters": (8, 16), 1: None})
        {'filters': [8, 16], '1': None}
    """
    return json.loads(json.dumps(value))


def lock(path: pathlib.Path) -> contextlib.ExitStack:
    """Locks a file against other processes, until what it returns is closed or this one ends.

    A lock that a killed process held is free. Where the system or the file system has no locks,
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


def is_temporary(path: pathlib.Path) -> bool:
    """Says whether a path is a file that `atomic` writes to; folders are exports, and stay."""
    return fnmatch.fnmatchcase(path.name, ".*.[0-9]*.tmp*") and path.is_file()


def remove_temporaries(directory: pathlib.Path) -> None:
    """Removes the files that a program left behind that was killed while it wrote them."""
    for path in filter(is_temporary, directory.glob(".*")):
        path.unlink()


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes a text file all or nothing; bytes of a path that are no UTF-8 are escaped."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: pathlib.Path, value: Any) -> None:
    """Writes a JSON file all or nothing."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def read_json(path: pathlib.Path) -> Any:
    """Reads a JSON file that holds an object; returns `None` where there is no such file.

    Raises:
        DamagedFileError: If it holds something else, or is no file.
    """
    if not path.exists():
        return None
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError) as error:
        raise DamagedFileError(path, error) from error
    if not isinstance(value, dict):
        raise DamagedFileError(path, f"a {type(value).__name__} where an object should be")
    return value


def set_aside(error: DamagedFileError, instead: str) -> None:
    """Renames a damaged file, so that another one can take its place, and says so on stderr.

    Args:
        error: What was raised.
        instead: What happens now.
    """
    error.path.rename(error.path.with_name(f"{error.path.name}.broken"))
    print(f"{error}; {instead}", file=sys.stderr, flush=True)


def write_csv(path: pathlib.Path, rows: list[dict[str, Any]]) -> None:
    """Writes a CSV file all or nothing; its columns are those of any row."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(itertools.chain(*rows))), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def read_csv(path: pathlib.Path) -> list[dict[str, str]]:
    """Reads the rows of a CSV file; none where there is no such file, nor rows that are cut short.

    Raises:
        DamagedFileError: If it is no CSV file.

    Example:
        >>> import pathlib, tempfile
        >>> from keras_swish import io
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "a.csv")
        ...     io.write_csv(path, [{"x": 1}, {"x": 2, "y": 3}])
        ...     io.read_csv(path)
        [{'x': '1', 'y': ''}, {'x': '2', 'y': '3'}]
    """
    if not path.exists():
        return []
    try:
        text = path.read_text(encoding="utf-8")
        # A last row without an end may be cut inside its last number.
        rows = list(csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1], newline="")))
    except (ValueError, csv.Error, OSError) as error:
        raise DamagedFileError(path, error) from error
    return [row for row in rows if None not in row and None not in row.values()]
