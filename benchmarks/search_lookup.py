r"""How fast do the search algorithms find what an exhaustive search found?

    python benchmarks/search_lookup.py results/search/results.csv --out results/search_benchmarks
    python benchmarks/search_lookup.py results/search/results.csv --first=1000 \
        --algorithms rl 'rl {"entropy": 0.1}'

A table of rewards stands in for the child, so that each algorithm can be repeated a hundred
times. An algorithm is told the mean reward over one half of the seeds and judged by the other
half, which it has never seen: a function with luck in the first half does not count. The halves
are drawn again for each repetition, the same for all algorithms. What has a single seed is told
and judged by it.

"exhaustive", in an order drawn again, is sampling without replacement, the measure of the others.
Options are to be tried with other repetitions (--first) than those that are reported.

The algorithm's own time is that of the processor, whatever else the machine does; set
OPENBLAS_NUM_THREADS=1, or threads that wait for each other are counted, too.

Each repetition is in lookup_repetitions.csv: how many of the best it found, and after how many
functions it came to the first of the very best (inf: never).

Takes a quarter of an hour for 100 repetitions. Needs a results.csv of `keras-swish search
--algorithm=exhaustive`, its best trained with several seeds.
"""

import collections
import csv
import json
import pathlib
import time
from collections.abc import Callable

import numpy as np
import recording
from scipy import stats

from keras_swish import io
from keras_swish.search import algorithms
from keras_swish.search.space import Candidate, SearchSpace

DEFAULT = ("exhaustive", "random", "evolution", "rl", "pqt", "optuna:TPESampler")
# Proposals in a row that bring nothing new, after which an algorithm is given up.
PATIENCE = 2000


class Table:
    """Rewards by candidate and seed.

    Args:
        rows: Those of a results.csv.
        space: The space that was searched.

    Raises:
        ValueError: If no candidate has several seeds, or some have fewer of them than others.
    """

    def __init__(self, rows: list[dict], space: SearchSpace):
        self.seeds = [column for column in rows[0] if column.startswith("seed ")]
        counts = {sum(row[seed] != "" for seed in self.seeds) for row in rows}
        if not counts <= {1, len(self.seeds)}:
            # A half without any would be told what it is judged by.
            raise ValueError("the race is not finished: some candidates lack some of its seeds")
        self.rewards: dict[Candidate, dict[str, float]] = {
            space.canonical(space.candidate(u1=row["u1"], u2=row["u2"], b=row["b"])): {
                seed: float(row[seed]) for seed in self.seeds if row[seed] != ""
            }
            for row in rows
        }
        if all(len(rewards) < 2 for rewards in self.rewards.values()):
            raise ValueError("every candidate has one seed: none is left to judge by")

    def halves(self, random: np.random.Generator) -> tuple[dict, dict]:
        """Returns each candidate's reward over two halves of the seeds.

        The same seeds for all candidates: what a seed has in common for them would be told
        otherwise of the half that judges.
        """
        order = random.permutation(self.seeds)
        middle = len(order) // 2
        return self._means(order[:middle]), self._means(order[middle:])

    def _means(self, seeds) -> dict[Candidate, float]:
        return {
            candidate: float(
                np.mean([rewards[s] for s in seeds if s in rewards] or [*rewards.values()])
            )
            for candidate, rewards in self.rewards.items()
        }

    def rank_correlation(self, random: np.random.Generator, repetitions: int) -> float:
        """Returns the mean Spearman correlation of two halves, of those with all seeds."""
        whole = [c for c, rewards in self.rewards.items() if len(rewards) == len(self.seeds)]
        found = []
        for _ in range(repetitions):
            pairs = [[half[c] for c in whole] for half in self.halves(random)]
            found.append(stats.spearmanr(*pairs).statistic)
        return float(np.mean(found))


def run(
    algorithm,
    space: SearchSpace,
    told: dict[Candidate, float],
    enough: Callable[[dict[Candidate, float]], bool],
) -> tuple[list[Candidate], int, int, float]:
    """Lets an algorithm search the table until enough different candidates are known.

    Returns:
        The different candidates in the order in which it came to them, how many proposals
        repeated one, how many there were, and the seconds of processor time that the algorithm
        itself took.
    """
    seen, repeats, proposals, idle, own = {}, 0, 0, 0, 0.0
    while not enough(seen) and idle < PATIENCE:
        start = time.process_time()
        proposal = algorithm.ask()
        own += time.process_time() - start
        if proposal is None:
            break
        proposals += 1
        idle += 1
        reward = 0.0
        if space.reason(proposal.candidate) is None:
            candidate = space.canonical(proposal.candidate)
            # Not in the table: a search that was not finished.
            reward = told.get(candidate, 0.0)
            if candidate in seen:
                repeats += 1
            elif candidate in told:
                seen[candidate], idle = reward, 0
        start = time.process_time()
        algorithm.tell(proposal, reward)
        own += time.process_time() - start
    return list(seen), repeats, proposals, own


def measure(
    name: str, options: dict, table: Table, space: SearchSpace, arguments
) -> tuple[dict, list[dict]]:
    """Repeats an algorithm; returns what it comes to, and a row for each repetition."""
    outcomes = collections.defaultdict(list)
    for repetition in range(arguments.first, arguments.first + arguments.repetitions):
        told, judged = table.halves(np.random.default_rng([1, repetition]))
        ranked = sorted(judged, key=lambda candidate: -judged[candidate])
        top = set(ranked[: max(1, round(arguments.share * len(ranked)))])
        best = set(ranked[: arguments.few])

        def enough(seen, best=best):
            if len(seen) < arguments.evaluations:
                return False
            return len(seen) >= arguments.until or not best.isdisjoint(seen)

        algorithm = algorithms.create(name, space, repetition, **options)
        seen, repeats, proposals, seconds = run(algorithm, space, told, enough)
        first = next((i for i, candidate in enumerate(seen, 1) if candidate in best), np.inf)
        outcomes["found"].append(len(top.intersection(seen[: arguments.evaluations])))
        outcomes["first"].append(first)
        outcomes["repeats"].append(repeats / proposals)
        outcomes["milliseconds"].append(1000 * seconds / proposals)
    found, first = np.array(outcomes["found"]), np.array(outcomes["first"])
    repetitions = [
        {
            "algorithm": name,
            "options": json.dumps(options) if options else "",
            "repetition": number,
            **{key: round(float(values[place]), 4) for key, values in outcomes.items()},
        }
        for place, number in enumerate(
            range(arguments.first, arguments.first + arguments.repetitions)
        )
    ]
    return {
        "algorithm": name,
        "options": json.dumps(options) if options else "",
        "repetitions": len(found),
        f"of the best {len(top)} among {arguments.evaluations}": round(float(found.mean()), 2),
        "standard error": round(float(found.std(ddof=1) / np.sqrt(len(found))), 2),
        # Never found counts as later than all others.
        f"first of the best {len(best)}, median": float(np.median(first)),
        f"first of the best {len(best)}, worst": float(first.max()),
        "never found": int(np.isinf(first).sum()),
        "share of repeats": round(float(np.mean(outcomes["repeats"])), 3),
        "ms a proposal": round(float(np.mean(outcomes["milliseconds"])), 2),
    }, repetitions


def main() -> None:
    """Measures, prints and writes the table."""
    parser = recording.parser(__doc__)
    parser.add_argument("results", type=pathlib.Path, help="results.csv of an exhaustive search")
    parser.add_argument(
        "--algorithms", nargs="+", default=DEFAULT, help="a name, or one with its options as JSON"
    )
    parser.add_argument("--repetitions", type=int, default=100)
    parser.add_argument("--first", type=int, default=0, help="number of the first repetition")
    parser.add_argument("--evaluations", type=int, default=500, help="different candidates")
    parser.add_argument(
        "--until",
        type=int,
        default=1500,
        help="where the first of the best is no longer looked for",
    )
    parser.add_argument("--share", type=float, default=0.01, help="the best share to be found")
    parser.add_argument("--few", type=int, default=4, help="how many are the very best")
    arguments = parser.parse_args()
    with open(arguments.results, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    space = SearchSpace()
    try:
        table = Table(rows, space)
    except ValueError as error:
        parser.error(str(error))
    correlation = table.rank_correlation(np.random.default_rng(0), 20)
    print(f"{len(table.rewards)} candidates, split-half rank correlation {correlation:.3f}")
    measured, repetitions = [], []
    for entry in arguments.algorithms:
        name, _, options = entry.partition(" ")
        summary, rows = measure(name, json.loads(options or "{}"), table, space, arguments)
        measured.append(summary)
        repetitions += rows
        print(summary, flush=True)
    facts = {"candidates": len(table.rewards), "split-half rank correlation": correlation}
    recording.write(arguments.out, "lookup", measured, **facts)
    if arguments.out:
        io.write_csv(arguments.out / "lookup_repetitions.csv", repetitions)


if __name__ == "__main__":
    main()
