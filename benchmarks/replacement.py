"""Replacement of activations in families of models: found, replaced, saved, trained, refused.

    python benchmarks/replacement.py --out results/replacement

writes `families.csv`, one row for each family whose package is installed, `families.json` with the
command and the machine, and the table of docs/replacing.md from the rows of all. `--only` takes
names: rows of other families stay as they are, so that packages that need an environment of their
own are measured one after the other.

The families and what must hold for them are those of the tests (tests/support/family_matrix.py).
"""

import importlib.metadata
import importlib.util
import pathlib
import re
import sys
import tempfile
import warnings
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

import family_matrix  # noqa: E402
import recording  # noqa: E402
from application_families import APPLICATIONS  # noqa: E402
from family import Family  # noqa: E402
from hub_families import HUB  # noqa: E402
from third_party_families import THIRD_PARTY  # noqa: E402

from keras_swish import io  # noqa: E402

FAMILIES = [*APPLICATIONS, *HUB, *THIRD_PARTY]
PAGE = ROOT / "docs" / "replacing.md"
MARKS = "<!-- families -->\n", "<!-- end of families -->\n"


def main() -> None:
    """Measures, and writes rows and page."""
    parser = recording.parser(__doc__)
    parser.add_argument("--only", nargs="*", default=[], help="families, by name or package")
    options = parser.parse_args()
    for family in FAMILIES:
        chosen = not options.only or {family.name, family.package} & set(options.only)
        if chosen and importlib.util.find_spec(family.package):
            row = measured(family)
            print(row, flush=True)
            add_row(options.out, row)


def add_row(out: pathlib.Path | None, row: dict[str, Any]) -> None:
    """Writes a row into the table of all: what is measured stays if a later family fails."""
    written = io.read_csv(out / "families.csv") if out else []
    rows: dict[tuple[str, str], dict[str, Any]] = {
        (row["package"], row["family"]): dict(row) for row in [*written, row]
    }
    order = [(family.package, family.name) for family in FAMILIES]
    sorted_rows = [rows[key] for key in order if key in rows]
    recording.write(out, "families", sorted_rows)
    if out:
        write_page(sorted_rows)


def measured(family: Family) -> dict[str, Any]:
    """Returns a family's row: numbers, and what failed, where something did."""
    row: dict[str, Any] = {
        "package": family.package,
        "version": _version(family.package),
        "family": family.name,
        "class": family.model,
        "sites": "",
        "in_code": "",
        "identity_difference": "",
        "betas": "",
        "saves": "",
        "trains": "",
        "generates": "",
        "note": family.note,
    }
    subject = family_matrix.subject(family)
    row["sites"] = sum(not getattr(site, "code", "") for site in subject.sites)
    row["in_code"] = len(subject.sites) - row["sites"]
    if family.found:
        row["identity_difference"] = _attempt(row, subject.identity_difference)
    if family.refused:
        row["note"] = _note(row, _refusal(subject))
        return row
    betas = _attempt(row, lambda: family_matrix.number_of_betas(subject))
    row["betas"] = betas
    if betas != "no":
        row["saves"] = _answer(row, family, family_matrix.file_gives_the_model_back)
        row["trains"] = _answer(row, family, family_matrix.one_step_moves_every_beta)
    if family.generates:
        row["generates"] = _answer(row, family, family_matrix.generates_as_before)
    return row


def write_page(rows: list[dict[str, Any]]) -> None:
    """Puts the table into the documentation, between its two marks."""
    columns = {
        "package": "package",
        "family": "model",
        "sites": "replaceable",
        "in_code": "in code",
        "identity_difference": "identity",
        "betas": "betas",
        "saves": "saved and loaded",
        "trains": "trained",
        "generates": "generates",
        "note": "note",
    }
    lines = [f"| {' | '.join(columns.values())} |", "|" + "---|" * len(columns)]
    lines += [f"| {' | '.join(str(row[name]) for name in columns)} |" for row in rows]
    table = "\n".join(lines) + "\n"
    start, end = MARKS
    pattern = re.compile(f"{re.escape(start)}.*?{re.escape(end)}", re.DOTALL)
    PAGE.write_text(pattern.sub(lambda _: f"{start}\n{table}\n{end}", PAGE.read_text()))


def _answer(row: dict[str, Any], family: Family, check: Any) -> str:
    if not family.loads and check is family_matrix.file_gives_the_model_back:
        return "no"
    with tempfile.TemporaryDirectory() as folder:
        outcome = _attempt(row, lambda: family_matrix.run(family, check, pathlib.Path(folder)))
    return outcome or "yes"


def _attempt(row: dict[str, Any], measure: Any) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return measure()
    except Exception as error:
        row["note"] = _note(row, f"{type(error).__name__}: {_shortened(error)}")
        return "no"


def _refusal(subject: family_matrix.Subject) -> str:
    try:
        subject.replace(subject.family.to_replace)
    except ValueError as error:
        return f"refused: {_shortened(error)}"
    return "not refused"


def _shortened(error: Exception) -> str:
    line = " ".join(str(error).split())
    return (line if len(line) < 160 else line[:157] + "...").replace("|", "/")


def _note(row: dict[str, Any], text: str) -> str:
    notes = [part for part in row["note"].split("; ") if part]
    return "; ".join(notes if text in notes else [*notes, text])


def _version(package: str) -> str:
    names = importlib.metadata.packages_distributions().get(package, [package])
    return importlib.metadata.version(names[0])


if __name__ == "__main__":
    main()
