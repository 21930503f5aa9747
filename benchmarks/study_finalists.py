"""The best of the table against ReLU in the target network: "Finalists" of docs/study.md.

    python benchmarks/study_finalists.py results/study/finalists --table results/study/table \
        --count 4 --out results/study/finalists

Trains nothing: it prints the commands that train what is missing, and is given again after them.

1. finalists.txt: the best shapes of functions.csv of --table by their judging seeds, one function
   of each, with Swish, Swish with trainable beta and ReLU where they are not among them.
2. FOLDER/rates/RATE: each with the seeds that choose its rate, by mean validation accuracy.
3. FOLDER/judged/RATE: each at its rate with new seeds. finalists.csv compares them with ReLU, on
   the test split.
"""

import collections
import pathlib
import shlex
from typing import Any

import numpy as np
import recording
import search_table
import study_depth
import study_proxy
import study_table

from keras_swish import io
from keras_swish.search import SearchSpace, functions
from keras_swish.train.reporting import statistics

NETWORK, BASELINE = "resnet56", "relu"
REFERENCES = ("swish", "swish_beta", BASELINE)
RATES = (0.1, 0.05, 0.03)
CHOOSING, JUDGING = range(600, 604), range(700, 712)
COUNT = 8
FINALISTS = "finalists.txt"


def choose(rows: list[dict[str, str]], space: SearchSpace, count: int = COUNT) -> list[str]:
    """Returns the best function of each of the best shapes of a table.

    Raises:
        ValueError: If so many shapes are not judged, or some functions by a part of the seeds.
    """
    judged = [row for row in rows if row["kind"] != "reference" and row["judging seeds"] != "0"]
    left = sum(int(row["judging seeds"]) < len(study_table.JUDGING) for row in judged)
    if left or not judged:
        missing = f"{left} functions lack judging seeds" if left else "no function is judged"
        raise ValueError(f"{missing} yet: give the command of the table again")
    judged.sort(key=lambda row: -float(row["judged"]))
    candidates = [space.candidate(**{key: row[key] for key in space.names}) for row in judged]
    places = search_table.one_of_each_shape(space, candidates)
    best = [judged[place]["formula"] for place in places]
    if len(best) < count:
        raise ValueError(f"{len(best)} shapes are judged, and --count={count}: judge more of them")
    return best[:count]


def with_references(found: list[str], space: SearchSpace) -> list[str]:
    """Returns the finalists: what was found, and what it is compared with, each function once."""
    named = {study_proxy.identity(name, space): name for name in REFERENCES}
    identities = [study_proxy.identity(formula, space) for formula in found]
    # ReLU goes by its name also where it was found: all are compared with it.
    finalists = [
        BASELINE if named.get(identity) == BASELINE else formula
        for formula, identity in zip(found, identities, strict=True)
    ]
    return [*finalists, *(name for identity, name in named.items() if identity not in identities)]


def has_swishs_shape(formula: str, space: SearchSpace) -> bool:
    """Says whether a function is Swish up to a factor and mirroring, betas as they begin."""
    candidates = [functions.find(text, space).candidate for text in (formula, "swish")]
    if None in candidates:
        return formula in ("swish", "swish_beta")
    first, second = search_table.shapes(space, candidates)
    return first == second


def commands(
    finalists: list[str], runs: study_depth.Runs, judged: study_depth.Runs, folder: pathlib.Path
) -> list[str]:
    """Returns the commands that train what is missing."""
    missing = [
        ("rates", rate, finalists, CHOOSING)
        for rate in RATES
        if any(len(runs.get((NETWORK, name, rate), {})) < len(CHOOSING) for name in finalists)
    ]
    if not missing:
        by_rate = collections.defaultdict(list)
        for name in finalists:
            by_rate[study_depth.best_rate(runs, NETWORK, name)].append(name)
        missing = [
            ("judged", rate, names, JUDGING)
            for rate, names in sorted(by_rate.items())
            if any(len(judged.get((NETWORK, name, rate), {})) < len(JUDGING) for name in names)
        ]
    return [
        shlex.join(
            [
                *("keras-swish", "compare", "--dataset=fashion_mnist", "--image_size=14"),
                *("--pad=2", "--train_split=train[:12000]", "--recipe=short", "--epochs=10"),
                *("--batch_size=128", f"--models={NETWORK}", f"--learning_rate={rate}"),
                *(f"--activations={', '.join(names)}", f"--seed={seeds[0]}"),
                *(f"--seeds={len(seeds)}", f"--out={folder / stage / str(rate)}"),
            ]
        )
        for stage, rate, names, seeds in missing
    ]


def verdicts(
    finalists: list[str], runs: study_depth.Runs, judged: study_depth.Runs, space: SearchSpace
) -> list[dict[str, Any]]:
    """Returns a row for each finalist that is judged, the best first; none without ReLU."""
    tests = {}
    for name in finalists:
        rate = study_depth.best_rate(runs, NETWORK, name)
        found = judged.get((NETWORK, name, rate), {})
        if found:
            tests[name] = rate, [test for _, test in found.values()]
    if BASELINE not in tests:
        return []
    _, theirs = tests[BASELINE]
    others = [name for name in tests if name != BASELINE]
    outcomes = {name: statistics.unpaired(tests[name][1], theirs) for name in others}
    # For all finalists from the start: one that is missing counts as a p of 1.
    left = len(finalists) - 1 - len(others)
    given = [outcomes[name].p for name in others] + [1.0] * left
    corrected = dict(zip(others, statistics.holm(given), strict=False))
    rows = [
        {
            "function": name,
            "found": name not in REFERENCES,
            "Swish's shape": has_swishs_shape(name, space),
            "rate": rate,
            "runs": len(test),
            "test accuracy": round(float(np.mean(test)), 4),
            **dict.fromkeys(("difference", "low", "high", "p", "p (Holm)"), ""),
        }
        for name, (rate, test) in tests.items()
    ]
    for row in rows:
        if row["function"] != BASELINE:
            outcome = outcomes[row["function"]]
            row |= {
                **study_depth.rounded(outcome),
                "p (Holm)": float(f"{corrected[row['function']]:.3g}"),
            }
    return sorted(rows, key=lambda row: -row["test accuracy"])


def main() -> None:
    """Chooses the finalists, prints what to train, and writes the verdicts."""
    parser = recording.parser(__doc__)
    parser.add_argument("folder", type=pathlib.Path, help="where the comparisons are")
    parser.add_argument("--table", type=pathlib.Path, help="folder of the deep child's table")
    parser.add_argument("--count", type=int, default=COUNT, help="how many shapes to choose")
    arguments = parser.parse_args()
    space, chosen = SearchSpace(), arguments.folder / FINALISTS
    if arguments.table is None and not chosen.exists():
        parser.error(f"{chosen}: not chosen yet; name a --table to choose them from")
    if arguments.table is not None:
        try:
            table = io.read_csv(arguments.table / "functions.csv")
            finalists = with_references(choose(table, space, arguments.count), space)
        except (OSError, ValueError) as error:
            parser.error(f"--table={arguments.table}: {error}")
        text = "\n".join(finalists) + "\n"
        if chosen.exists() and chosen.read_text(encoding="utf-8") != text:
            parser.error(f"{chosen}: chosen otherwise before; give the same --table and --count")
        arguments.folder.mkdir(parents=True, exist_ok=True)
        io.write_text(chosen, text)
    finalists = chosen.read_text(encoding="utf-8").splitlines()
    runs = study_depth.read(arguments.folder / "rates", CHOOSING, RATES)
    judged = study_depth.read(arguments.folder / "judged", JUDGING, RATES)
    for command in commands(finalists, runs, judged, arguments.folder):
        print(command)
    rows = verdicts(finalists, runs, judged, space)
    for row in rows:
        recording.show(row)
    if arguments.out and rows:
        io.write_csv(arguments.out / "finalists.csv", rows)


if __name__ == "__main__":
    main()
