"""Writes the report of a comparison or a search: a page in Markdown and in HTML, and a CSV file.

Examples:
  keras-swish report runs/mine
      the report of `keras-swish compare --out=runs/mine`, finished or not.
  keras-swish report runs/found
      that of `keras-swish search --out=runs/found`, finished or not.
  keras-swish report mine.log --out=mine
      that of a search begun from Python with storage="mine.log"; a database's URL does as well.

`keras-swish compare` and `keras-swish search` write it, too. This program writes it anew from the
results of the runs, into the same folder: results.csv (a row a run, or a candidate), table.md,
report.html (the same page with its pictures inside), and the pictures.
"""

import pathlib
from collections.abc import Callable
from typing import Any

from .app import program
from .errors import ArgumentError
from .reporting import comparison, runs, search_report


def main(arguments: list[str]) -> None:
    """Runs the program."""
    if not arguments:
        program.fail("name the folder of a comparison or a search, such as runs/mine")
    if program.FLAGS.out is not None and len(arguments) > 1:
        raise ArgumentError("out", "is for the report of one search: name a single one")
    for argument in arguments:
        print(f"report: {_written(argument)}")


def _written(argument: str) -> pathlib.Path:
    """Writes one report; returns its page."""
    out = pathlib.Path(argument).expanduser()
    is_storage = "://" in argument or out.is_file()
    made_by = "search" if is_storage else _without_error(search_report.settings, out).get("program")
    if made_by == "search":
        return _written_search(argument)
    if made_by != "compare":
        program.fail(
            f"{argument}: not a folder of results of `keras-swish compare` or `keras-swish search`"
        )
    if program.FLAGS.out is not None:
        raise ArgumentError("out", "is for searches: a comparison has its report in its folder")
    rows = runs.read_runs(out)
    if not rows:
        program.fail(f"{argument}: no run of this comparison is finished")
    comparison.write(out, rows)
    return out / "report.html"


def _written_search(argument: str) -> pathlib.Path:
    study, folder = _without_error(search_report.load, argument)
    out = folder if program.FLAGS.out is None else pathlib.Path(program.FLAGS.out).expanduser()
    if out is None:
        raise ArgumentError("out", f"{argument} is in no folder of a search: name one to write to")
    if out != folder:
        _make_folder(out)
    search_report.write(out, study, folder)
    return out / search_report.HTML


def _make_folder(out: pathlib.Path) -> None:
    """Makes a folder for a report, and refuses one that holds anything else."""
    if out.exists() and not out.is_dir():
        raise ArgumentError("out", "is no folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArgumentError("out", f"cannot be made ({error})") from error
    is_report = (out / search_report.HTML).exists() and not (out / runs.CONFIG).exists()
    if any(out.iterdir()) and not is_report:
        raise ArgumentError("out", "holds other files; choose another folder")


def _without_error(read: Callable[..., Any], argument: object) -> Any:
    """Calls a function, and ends the program with its message where it raises `ValueError`."""
    try:
        return read(argument)
    except ValueError as error:
        program.fail(str(error))


if __name__ == "__main__":
    program.run(main)
