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

from .app import program
from .errors import ArgumentError
from .reporting import comparison, search_report, statistics


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
    made_by = "search" if is_storage else search_report.settings(out).get("program")
    if made_by == "search":
        return search_report.main(argument)
    if made_by != "compare":
        program.fail(
            f"{argument}: not a folder of results of `keras-swish compare` or `keras-swish search`"
        )
    if program.FLAGS.out is not None:
        raise ArgumentError("out", "is for searches: a comparison has its report in its folder")
    rows = statistics.read_runs(out)
    if not rows:
        program.fail(f"{argument}: no run of this comparison is finished")
    comparison.write(out, rows)
    return out / "report.html"


if __name__ == "__main__":
    program.run(main)
