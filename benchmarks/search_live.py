r"""Which algorithm finds better functions, where nobody can look at them all?

    python benchmarks/search_live.py --record runs/live --out results/search_benchmarks
    python benchmarks/search_live.py --record runs/pairs --network conv --executor local \
        --algorithms pqt surrogate --out results/search_benchmarks/surrogate

Each algorithm searches the space of two core units, which has 156 million candidates, with a small
Fashion-MNIST child until it has tried --trials different candidates; several times, from other
seeds. The child is a narrow ResNet-8 with 2,560 images in batches of 64, on a Ray worker for each
core; or, for fewer cores, three convolutions on half as many images. Then its best tenth gets three
more seeds. Reported of each search: how many candidates are at least as good as ReLU with the first
seed; and the mean reward of the ten that were best with it, over the seeds that did not choose
them. The difference between each algorithm and the first is tested over the repetitions, seed by
seed, and corrected for the number of algorithms. Six repetitions can settle one difference and no
more; the smallest p that can come out is given next to it.

About an hour, kept in a journal for each search: interrupted and given again, it resumes. Every
candidate is in live_trials.csv with its reward with each seed.
"""

import dataclasses
import pathlib

import keras
import numpy as np
import recording

from keras_swish import io
from keras_swish.search import ChildConfig, Race, Search, SearchSpace, Study, algorithms, executors
from keras_swish.search.child import OK, Child
from keras_swish.train import search
from keras_swish.train.reporting import paper_claims, statistics

TEN, SEEDS = 10, 4
# An algorithm learns from many children more than from a few that say more.
SMALL = dataclasses.replace(search.DEFAULT_CHILD, images=2560, config=ChildConfig(batch_size=64))
SMALLER = dataclasses.replace(SMALL, images=1280)


def make_child(network: str, data_dir: str | None) -> Child:
    """Returns the child of a network's name, equal in every run."""
    settings = SMALL if network == "resnet8" else SMALLER
    child = recording.fashion_mnist_child(SearchSpace(2), data_dir, settings)
    if network == "resnet8":
        return child
    layers = keras.layers
    inputs = x = keras.Input(child.model.input_shape[1:])
    for filters in (16, 32, 64):
        x = layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    outputs = layers.Dense(10)(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, outputs)
    data = child.train_data, child.validation
    return Child(model, *data, child.space, child.config, child.loss)


def explore(
    child: Child, executor, path: pathlib.Path, name: str, seed: int, trials: int
) -> tuple[Study, Search]:
    """Searches, and trains the best tenth with three seeds more."""
    # A new one: it takes note of the candidates that it is asked about, as a new process does.
    child.space = SearchSpace(2)
    study = Study(child.space, child.fingerprint(), path)
    algorithm = algorithms.create(name, child.space, seed)
    found = Search(child, study, algorithm, name, seed * SEEDS, executor=executor)
    found.explore(trials)
    found.race(Race(SEEDS, 0.1))
    return study, found


def summary(study: Study, found: Search, relu: dict[int, float]) -> dict:
    """Returns what a search found, with ReLU's reward with each seed."""
    first = found.seed
    fit = {c: by for c, by in study.outcomes.items() if by[first].status == OK}
    ranked = sorted(fit, key=lambda c: (-fit[c][first].reward, c))
    ten = [[o.reward for seed, o in fit[c].items() if seed != first] for c in ranked[:TEN]]
    of_relu = np.mean([reward for seed, reward in relu.items() if seed != first])
    return {
        "algorithm": found.name,
        "seed": first,
        "tried": len(study.outcomes),
        "repeats": found.progress.repeats,
        "rejected": sum(found.progress.rejected.values()),
        "diverged": len(study.outcomes) - len(fit),
        "as good as ReLU": sum(fit[c][first].reward >= relu[first] for c in fit),
        "best ten, mean": round(float(np.mean(np.concatenate(ten))), 5),
        "ReLU, mean": round(float(of_relu), 5),
        "best": study.entries()[0].formula,
    }


def candidates(study: Study, found: Search) -> list[dict]:
    """Returns the candidates of a search in the order in which they were tried."""
    return [
        {
            "algorithm": found.name,
            "search": found.seed,
            "number": number,
            "formula": str(study.space.formula(candidate)),
            "status": outcomes[found.seed].status,
            **{
                f"seed {seed - found.seed}": round(outcome.reward, 5)
                for seed, outcome in sorted(outcomes.items())
            },
        }
        for number, (candidate, outcomes) in enumerate(study.outcomes.items(), 1)
    ]


def main() -> None:
    """Measures, prints and writes the table."""
    parser = recording.parser(__doc__)
    parser.add_argument("--record", type=pathlib.Path, required=True, help="folder of journals")
    parser.add_argument("--data_dir", help="folder of TensorFlow Datasets")
    parser.add_argument("--network", choices=["resnet8", "conv"], default="resnet8")
    parser.add_argument("--executor", choices=["local", "ray"], default="ray")
    parser.add_argument("--algorithms", nargs="+", default=["random", "pqt"])
    parser.add_argument("--trials", type=int, default=150, help="different candidates a search")
    parser.add_argument("--repetitions", type=int, default=6)
    parser.add_argument("--first", type=int, default=0, help="number of the first repetition")
    arguments = parser.parse_args()
    arguments.record.mkdir(parents=True, exist_ok=True)
    child = make_child(arguments.network, arguments.data_dir)
    rows, trained = [], []
    with executors.start_for(child, arguments.executor) as executor:
        for seed in range(arguments.first, arguments.first + arguments.repetitions):
            relu = baseline(child, executor, arguments.record / "relu.log", seed * SEEDS)
            for name in arguments.algorithms:
                path = arguments.record / f"{name.replace(':', '-')}-{seed}.log"
                found = explore(child, executor, path, name, seed, arguments.trials)
                rows.append(summary(*found, relu))
                trained += candidates(*found)
                print(rows[-1], flush=True)
                recording.write(arguments.out, "live", rows, comparisons=compared(rows))
                if arguments.out:
                    io.write_csv(arguments.out / "live_trials.csv", trained)


def baseline(child: Child, executor, path: pathlib.Path, first: int) -> dict[int, float]:
    """Returns ReLU's reward with each of a search's seeds."""
    child.space = SearchSpace(2)
    study = Study(child.space, child.fingerprint(), path)
    relu = paper_claims.candidate(child.space, "relu")
    seeds = range(first, first + SEEDS)
    recording.complete(executor, study, [(relu, seed) for seed in seeds])
    return {seed: study.outcomes[relu][seed].reward for seed in seeds}


def compared(rows: list[dict]) -> dict[str, dict]:
    """Returns how the best ten of each algorithm differ from those of the first, seed by seed."""
    by_name: dict[str, dict[int, float]] = {}
    for row in rows:
        by_name.setdefault(row["algorithm"], {})[row["seed"]] = row["best ten, mean"]
    baseline, *others = by_name
    made = {}
    for other in others:
        seeds = sorted(by_name[other].keys() & by_name[baseline].keys())
        pairs = [np.array([by_name[name][seed] for seed in seeds]) for name in (other, baseline)]
        outcome = statistics.paired(*pairs)
        figures = ("seeds", "difference", "p", "smallest_p", *["low", "high"] * (len(seeds) > 1))
        made[f"{other} minus {baseline}"] = {key: getattr(outcome, key) for key in figures}
    corrected = statistics.holm([comparison["p"] for comparison in made.values()])
    for comparison, p in zip(made.values(), corrected, strict=True):
        comparison["holm_p"] = p
    return made


if __name__ == "__main__":
    main()
