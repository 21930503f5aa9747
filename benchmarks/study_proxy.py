"""Which child ranks functions as the target network does: "Choice of a proxy" of docs/study.md.

    python benchmarks/study_proxy.py results/study/proxy --out results/study/proxy

Reads FOLDER/target/RATE, comparisons of `keras-swish compare`, and FOLDER/CHILD/RATE, searches of
`keras-swish search --start=FILE --max_trials=0 --top=1` with the same functions; trains nothing.

proxy.csv has a row for each child and rate: the rank correlation of the mean rewards of the
functions with their mean validation accuracies in the target, each function there at the better of
its rates, with the 95% bootstrap interval over the functions; and the seconds of a training, the
median, and their part of those that a training of the target takes at as many rates. The last rate,
"better", takes the better of its rates for each function in the child, too. The child to take is
the cheapest whose correlation lies within the interval of the best one's.
"""

import collections
import pathlib
from typing import Any

import numpy as np
import recording
from scipy import stats

from keras_swish import io
from keras_swish.search import SearchSpace, functions

BETTER, TARGET = "better", "target"
# Trained when the child had been chosen: reported, and no longer to be chosen.
LATER = ("narrow32_half", "narrow32_warmup")
RESAMPLES = 10_000
# What a network that has not learned answers right; the share of a diverged run.
CHANCE = 0.1
# Below this no child stands for the target, which is said.
AGREES = 0.5

# Mean accuracy by function, and the seconds of a training.
Ranked = tuple[dict[Any, float], float]


def target(folder: pathlib.Path, space: SearchSpace) -> Ranked:
    """Returns the functions of a comparison by what computes them."""
    accuracies, seconds = collections.defaultdict(list), []
    for row in io.read_csv(folder / "results.csv"):
        has_ended = row["status"] == "ok"
        accuracy = float(row["validation_accuracy"]) if has_ended else CHANCE
        accuracies[identity(row["activation"], space)].append(accuracy)
        seconds += [float(row["seconds"])] * has_ended
    return _means(accuracies), float(np.median(seconds))  # some were disturbed


def child(folder: pathlib.Path, space: SearchSpace) -> Ranked:
    """Returns the functions of a search by what computes them."""
    rewards, seconds = {}, []
    for row in io.read_csv(folder / "results.csv"):
        if row["algorithm"] != "reference":
            seeds = [float(row[key]) for key in row if key.startswith("seed ") and row[key]]
            found = [max(reward, CHANCE) for reward in seeds]  # as in the target
            rewards[identity(row["formula"], space)] = found
            seconds += [float(row["seconds"]) / len(found)] * (row["status"] == "ok")
    return _means(rewards), float(np.median(seconds))


def identity(text: str, space: SearchSpace) -> Any:
    """Returns what two names or formulas have in common that compute the same."""
    candidate = functions.find(text, space).candidate
    return text if candidate is None else space.canonical(candidate)


def _means(rewards: dict[Any, list[float]]) -> dict[Any, float]:
    return {key: float(np.mean(values)) for key, values in rewards.items()}


def better(of_rates: list[Ranked]) -> Ranked:
    """Returns each function at the better of the rates; it costs a training at each."""
    keys = set.intersection(*(set(means) for means, _ in of_rates))
    means = {key: max(means[key] for means, _ in of_rates) for key in keys}
    return means, sum(seconds for _, seconds in of_rates)


def correlation(a: np.ndarray, b: np.ndarray) -> tuple[float, float, float]:
    """Returns Spearman's rank correlation with its 95% bootstrap interval over the functions."""
    random = np.random.default_rng(0)
    drawn = random.integers(0, len(a), (RESAMPLES, len(a)))
    ranks = [stats.rankdata(values[drawn], axis=1) for values in (a, b)]
    x, y = (one - one.mean(axis=1, keepdims=True) for one in ranks)
    with np.errstate(invalid="ignore"):  # one function, drawn each time, has no ranks
        resampled = (x * y).sum(1) / np.sqrt((x**2).sum(1) * (y**2).sum(1))
    low, high = np.nanquantile(resampled, [0.025, 0.975])
    return float(stats.spearmanr(a, b).statistic), float(low), float(high)


def rows(folder: pathlib.Path) -> list[dict[str, Any]]:
    """Returns a row for each child and rate; the chosen child is marked."""
    space = SearchSpace()
    rates = sorted(path.parent for path in (folder / TARGET).glob("*/results.csv"))
    truth, seconds = better([target(path, space) for path in rates])
    made = []
    for name in sorted(path.name for path in folder.iterdir() if path.is_dir()):
        paths = sorted(path.parent for path in (folder / name).glob("*/results.csv"))
        if name == TARGET or not paths:
            continue
        of_rates = {path.name: child(path, space) for path in paths}
        if len(paths) > 1:
            of_rates[BETTER] = better([*of_rates.values()])
        for rate, (means, cost) in of_rates.items():
            target_cost = seconds if rate == BETTER else seconds / len(rates)
            keys = sorted(set(means) & set(truth), key=str)
            values = (np.array([one[key] for key in keys]) for one in (means, truth))
            found, low, high = correlation(*values)
            made.append(
                {
                    "child": name,
                    "rate": rate,
                    "functions": len(keys),
                    "rank correlation": round(found, 3),
                    "low": round(low, 3),
                    "high": round(high, 3),
                    "seconds": round(cost, 1),
                    "part of the target's": round(cost / target_cost, 3),
                }
            )
    planned = [row for row in made if row["child"] not in LATER]
    if not planned:
        return []
    best = max(planned, key=lambda row: row["rank correlation"])
    agreeing = [row for row in planned if row["rank correlation"] >= best["low"]]
    # Where none agrees, the one that agrees best.
    chosen = min(agreeing, key=lambda row: row["seconds"])
    if best["rank correlation"] < AGREES:
        chosen = best
    return [{**row, "chosen": row is chosen} for row in made]


def main() -> None:
    """Prints and writes the table."""
    parser = recording.parser(__doc__)
    parser.add_argument("folder", type=pathlib.Path, help="has target/ and a folder for each child")
    arguments = parser.parse_args()
    if not list((arguments.folder / TARGET).glob("*/results.csv")):
        parser.error(f"{arguments.folder}: no {TARGET}/RATE/results.csv of the target network")
    made = rows(arguments.folder)
    if not made:
        parser.error(f"{arguments.folder}: no CHILD/RATE/results.csv of a child yet")
    for row in made:
        recording.show(row)
    if max(row["rank correlation"] for row in made) < AGREES:
        print(f"no child reaches a rank correlation of {AGREES}")
    if arguments.out:
        io.write_csv(arguments.out / "proxy.csv", made)


if __name__ == "__main__":
    main()
