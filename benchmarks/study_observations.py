"""Do the paper's observations hold in the deep child? "The paper's observations" of docs/study.md.

    python benchmarks/study_observations.py results/study/table --out results/study/table

Reads functions.csv of `study_table.py`, and trains nothing. Of the functions with each property and
those without: the mean ranks (1 is the best), by the first seed, whose difference is tested by
drawing other groups of these sizes; p is corrected after Holm over the properties. Once for the
functions that were drawn at random, a sample of the space, and once for all that were searched,
which are none: the surrogate went where the best were.

A function can be spelled in several ways: it has a property if any of them has, and divides if all
of them do.
"""

import pathlib
from typing import Any

import numpy as np
import recording
from scipy import stats

from keras_swish import io
from keras_swish.search import SearchSpace
from keras_swish.train.reporting import paper_claims, statistics

PROPERTIES = (
    "divides",
    "has sin or cos",
    "the last binary function has the raw x as an input",
)
RESAMPLES = 99_999


def has(space: SearchSpace, rows: list[dict[str, str]]) -> dict[str, np.ndarray]:
    """Returns whether each function has each property, `(functions,)`."""
    spelled = []
    for row in rows:
        candidate = space.candidate(**{name: row[name] for name in space.names})
        spellings = space.spellings(candidate)
        spelled.append([paper_claims.used_units(space, one) for one in spellings])
    found = {}
    for name in PROPERTIES:
        expected, predicate = paper_claims.OBSERVED[name]
        quantifier = any if expected > 0 else all
        found[name] = np.array([quantifier(map(predicate, units)) for units in spelled])
    return found


def observations(rows: list[dict[str, str]], space: SearchSpace) -> list[dict[str, Any]]:
    """Returns a row for each property."""
    ranks = stats.rankdata([-float(row["reward"]) for row in rows])
    made = []
    for name, flags in has(space, rows).items():
        groups = ranks[flags], ranks[~flags]
        row = {
            "property": name,
            "with": len(groups[0]),
            "without": len(groups[1]),
            **dict.fromkeys(("mean rank with", "mean rank without", "p"), ""),
        }
        if min(map(len, groups)) > 1:
            outcome: Any = stats.permutation_test(
                groups,
                lambda a, b, axis: a.mean(axis=axis) - b.mean(axis=axis),
                vectorized=True,
                n_resamples=RESAMPLES,
                rng=np.random.default_rng(0),
            )
            row |= {
                "mean rank with": round(float(groups[0].mean()), 1),
                "mean rank without": round(float(groups[1].mean()), 1),
                "p": float(f"{outcome.pvalue:.2g}"),
            }
        made.append(row)
    # What hardly any has is tested by nothing, and counts as a p of 1.
    corrected = statistics.holm([1.0 if row["p"] == "" else row["p"] for row in made])
    return [{**row, "p (Holm)": float(f"{p:.2g}")} for row, p in zip(made, corrected, strict=True)]


def main() -> None:
    """Prints and writes the table."""
    parser = recording.parser(__doc__)
    parser.add_argument("folder", type=pathlib.Path, help="folder of the table")
    arguments = parser.parse_args()
    rows = io.read_csv(arguments.folder / "functions.csv")
    searched = [row for row in rows if row["kind"] != "reference" and row["reward"]]
    groups = {"drawn": [row for row in searched if row["kind"] == "drawn"], "all": searched}
    space, made = SearchSpace(), []
    for name, group in groups.items():
        for row in observations(group, space) if group else ():
            made.append({"functions": name, **row})
            recording.show(made[-1])
    if arguments.out:
        io.write_csv(arguments.out / "observations.csv", made)


if __name__ == "__main__":
    main()
