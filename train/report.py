"""Writes the report of a comparison or a search: a page in Markdown and in HTML, and a CSV file.

Examples:
  keras-swish report runs/mine
      the report of `keras-swish compare --out=runs/mine`, finished or not.
  keras-swish report runs/found
      that of `keras-swish search --out=runs/found`, finished or not.
  keras-swish report mine.log --out=mine
      that of a search begun from Python with storage="mine.log"; a database's URL does as well.

`keras-swish compare` and `keras-swish search` write it, too. This program writes it again from the
results of the runs, into the same folder: results.csv (a row a run, or a candidate), table.md,
report.html (the same page with its figures inside), and the figures.
"""

import pathlib

from absl import flags
from absl.flags import FlagValues

from keras_swish import io

from .app import main as app
from .errors import ArgumentError, UsageError, as_usage_error
from .reporting import comparison, runs, search_report
from .trainer import trainer


def define_flags(flag_values: FlagValues) -> None:
    """Defines the flags of the program."""
    flags.DEFINE_string(
        "out",
        None,
        "Folder for the report of a search; by default the search's own. A comparison has its "
        "report in its folder.",
        flag_values,
    )


def main(flag_values: FlagValues, arguments: list[str]) -> None:
    """Runs the program."""
    if not arguments:
        raise UsageError("name the folder of a comparison or a search, such as runs/mine")
    if flag_values.out is not None and len(arguments) > 1:
        raise ArgumentError("out", "is for the report of one search: name a single one")
    for argument in arguments:
        print(f"report: {write(argument, flag_values.out)}")


def write(argument: str, out: str | None) -> pathlib.Path:
    """Writes the report of a comparison or a search, and returns its page.

    Args:
        argument: Folder of either; the journal of a search, or a database's URL.
        out: Folder for the report of a search; None: its own.

    Raises:
        UsageError: If there is no report to write, or not to this folder.
    """
    folder = pathlib.Path(argument).expanduser()
    is_storage = "://" in argument or folder.is_file()
    with as_usage_error():
        program = "search" if is_storage else search_report.settings(folder).get("program")
    if program == "search":
        return _write_search(argument, out)
    if program != "compare":
        raise UsageError(
            f"{argument}: not a folder of results of `keras-swish compare` or `keras-swish search`"
        )
    if out is not None:
        raise ArgumentError("out", "is for searches: a comparison has its report in its folder")
    with as_usage_error():
        rows = runs.read_runs(folder)
        _check_none_lost(folder)
    if not rows:
        raise UsageError(f"{argument}: no run of this comparison is finished")
    comparison.write(folder, rows)
    return folder / search_report.HTML


def _check_none_lost(folder: pathlib.Path) -> None:
    """Refuses to write the report of a comparison over that of a larger one."""
    finished = len([*folder.glob(f"runs/*/{trainer.RESULT}")])  # damaged ones are there, too
    try:
        before = len(io.read_csv(folder / runs.TABLE))
    except io.DamagedFileError:  # it is written again
        return
    if before > finished:
        raise UsageError(
            f"{folder / runs.TABLE} has {before} runs, the folder only {finished}: take the others "
            f"from a copy; or move {runs.TABLE} away to report on what is left"
        )


def _write_search(argument: str, out: str | None) -> pathlib.Path:
    with as_usage_error():
        study, folder = search_report.load(argument)
    target = folder if out is None else pathlib.Path(out).expanduser()
    if target is None:
        raise ArgumentError(
            "out", f"name a folder for the report: {argument} is in none of a search"
        )
    if target != folder:
        _make_report_folder(target)
    with as_usage_error():
        search_report.write(target, study, folder)
    return target / search_report.HTML


def _make_report_folder(out: pathlib.Path) -> None:
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


if __name__ == "__main__":
    app.run(main, define_flags)
