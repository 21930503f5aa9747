r"""How fast do the search algorithms find what an exhaustive search found?

    OPENBLAS_NUM_THREADS=1 python benchmarks/search_lookup.py --out results/search_benchmarks
    python benchmarks/search_lookup.py --first=1000 --algorithms rl 'rl {"entropy": 0.1}'

Each algorithm searches a look-up benchmark (docs/benchmark.md) a hundred times. How far it came is
said by functions of which it knows nothing but what it was told, and judged by other seeds; see
`keras_swish.search.benchmark.Session`.

"exhaustive", in an order drawn again, is sampling without replacement, the measure of the others.
Options are to be tried with other repetitions (--first) than those that are reported.

The algorithm's own time is that of the processor, whatever else the machine does; set
OPENBLAS_NUM_THREADS=1, or threads that wait for each other are counted, too.

Each repetition is in lookup_repetitions.csv: how many of the best it found, and after how many
functions it came to the first of the very best, and of Swish's shape (inf: never).

Takes twenty minutes for 100 repetitions.
"""

import collections
import json

import numpy as np
import recording
from scipy import stats

from keras_swish import io
from keras_swish.search import algorithms
from keras_swish.search.benchmark import Benchmark, load

DEFAULT = ("exhaustive", "random", "evolution", "rl", "pqt", "optuna:TPESampler", "surrogate")


def rank_correlation(benchmark: Benchmark, repetitions: int = 20) -> float:
    """Returns the mean Spearman correlation of two halves, of the functions with all seeds."""
    whole = [one for one in benchmark.functions if one.seeds == benchmark.seeds]
    found = []
    for repetition in range(repetitions):
        session = benchmark.session(repetition)
        pairs = [
            [
                np.mean([one.trainings[seed, benchmark.epochs].reward for seed in half])
                for one in whole
            ]
            for half in (session.told, session.judging)
        ]
        found.append(stats.spearmanr(*pairs).statistic)
    return float(np.mean(found))


def measure(name: str, options: dict, benchmark: Benchmark, arguments) -> tuple[dict, list[dict]]:
    """Repeats an algorithm; returns what it comes to, and a row for each repetition."""
    swish = benchmark.find("swish").shape
    shape = [one for one in benchmark.functions if one.shape == swish]
    rows = collections.defaultdict(list)
    numbers = range(arguments.first, arguments.first + arguments.repetitions)
    for repetition in numbers:
        session = benchmark.session(repetition)
        top = session.best(arguments.share)
        few = session.ranked[: arguments.few]
        algorithm = algorithms.create(name, benchmark.space, repetition, **options)
        session.run(algorithm, arguments.evaluations)
        rows["found"].append(session.found(arguments.share))
        rows["trained"].append(len(session.trained))
        rows["proposals"].append(session.proposals)
        rows["repeats"].append(session.repeats / session.proposals)
        rows["hours"].append(session.seconds / 3600)
        rows["milliseconds"].append(1000 * session.thinking / session.proposals)
        # On to the first of each, one after the other.
        for targets in (few, shape):
            while np.isinf(session.first(targets)) and len(session.trained) < arguments.until:
                before = len(session.trained)
                session.run(algorithm, before + 1)
                if len(session.trained) == before:
                    break
        rows["first"].append(session.first(few))
        rows["swish"].append(session.first(shape))
    found, first, swish_first = (np.array(rows[key]) for key in ("found", "first", "swish"))
    text = json.dumps(options) if options else ""
    repetitions = [
        {
            "algorithm": name,
            "options": text,
            "repetition": number,
            **{key: round(float(values[place]), 4) for key, values in rows.items()},
        }
        for place, number in enumerate(numbers)
    ]
    return {
        "algorithm": name,
        "options": text,
        "repetitions": len(found),
        f"of the best {len(top)} among {arguments.evaluations}": round(float(found.mean()), 2),
        "standard error": round(float(found.std(ddof=1) / np.sqrt(len(found))), 2),
        # Never found counts as later than all others.
        f"first of the best {len(few)}, median": float(np.median(first)),
        f"first of the best {len(few)}, worst": float(first.max()),
        "never found": int(np.isinf(first).sum()),
        "Swish's shape, median": float(np.median(swish_first)),
        "Swish's shape, never": int(np.isinf(swish_first).sum()),
        # Fewer than asked for where an algorithm gave up, or a table of a part has no more.
        "trained, median": float(np.median(rows["trained"])),
        "proposals, median": float(np.median(rows["proposals"])),
        f"hours for {arguments.evaluations}": round(float(np.mean(rows["hours"])), 2),
        "share of repeats": round(float(np.mean(rows["repeats"])), 3),
        "ms a proposal": round(float(np.mean(rows["milliseconds"])), 2),
    }, repetitions


def main() -> None:
    """Measures, prints and writes the table."""
    parser = recording.parser(__doc__)
    parser.add_argument("--benchmark", default="fashion_mnist_resnet8")
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
    try:
        benchmark = load(arguments.benchmark)
    except ValueError as error:
        parser.error(str(error))
    correlation = rank_correlation(benchmark)
    print(f"{benchmark}, split-half rank correlation {correlation:.3f}")
    measured, repetitions = [], []
    for entry in arguments.algorithms:
        name, _, options = entry.partition(" ")
        summary, rows = measure(name, json.loads(options or "{}"), benchmark, arguments)
        measured.append(summary)
        repetitions += rows
        print(summary, flush=True)
        facts = {"benchmark": benchmark.name, "split-half rank correlation": correlation}
        recording.write(arguments.out, "lookup", measured, **facts)
        if arguments.out:
            io.write_csv(arguments.out / "lookup_repetitions.csv", repetitions)


if __name__ == "__main__":
    main()
