"""Makes a look-up benchmark of a search, as `keras_swish.search.benchmark` loads it.

    python benchmarks/search_table.py results/search --name fashion_mnist_resnet8 \
        --out keras_swish/search/tables

Reads the folder of `keras-swish search --algorithm=exhaustive`, and trains nothing; with --partial
that of any search, also one that `study_table.py` made. Half a minute.
"""

import argparse
import pathlib
from typing import Any

import numpy as np
from scipy import sparse
from scipy.spatial import KDTree

from keras_swish import io
from keras_swish.search import SearchSpace, Study, benchmark
from keras_swish.search.child import OK, PRUNED, Outcome
from keras_swish.search.functions import find
from keras_swish.search.insight.naming import readable
from keras_swish.search.space import Candidate

LICENCE = "CC BY 4.0"
# Of functions of one shape, at so many points from -5 to 5; relative to the largest magnitude.
POINTS, TOLERANCE = 1001, 1e-6


def shapes(space: SearchSpace, candidates: list[Candidate]) -> list[int]:
    """Returns the number of each candidate's shape, in the order in which they come.

    Functions of one shape are equal up to a factor and to mirroring, with betas as they begin.
    """
    values = _normalised(space, candidates)
    both = [values, -values, values[:, ::-1], -values[:, ::-1]]
    n = len(candidates)
    # Near in a few dimensions first: a tree is of no use in a thousand.
    projection = np.random.default_rng(0).normal(size=(POINTS, 8)) / np.sqrt(POINTS)
    pairs = KDTree(np.concatenate(both) @ projection).query_pairs(
        10 * TOLERANCE, output_type="ndarray"
    )
    every = np.concatenate(both)
    near = np.abs(every[pairs[:, 0]] - every[pairs[:, 1]]).max(axis=1) <= TOLERANCE
    first, second = (pairs[near] % n).T
    graph = sparse.coo_matrix((np.ones(len(first)), (first, second)), (n, n))
    return sparse.csgraph.connected_components(graph, directed=False)[1].tolist()


def one_of_each_shape(space: SearchSpace, candidates: list[Candidate]) -> list[int]:
    """Returns the places of those candidates that are the first of their shape."""
    firsts: dict[int, int] = {}
    for place, shape in enumerate(shapes(space, candidates)):
        firsts.setdefault(shape, place)
    return list(firsts.values())


def mirrors(space: SearchSpace, candidates: list[Candidate]) -> list[int | None]:
    """Returns the number of each candidate's mirror twin, -f(-x), of as many betas."""
    values = _values(space, candidates)
    scale = np.abs(values).max(axis=1)
    betas = [len(space.betas(candidate)) for candidate in candidates]
    projection = np.random.default_rng(0).normal(size=(POINTS, 8)) / np.sqrt(POINTS)
    scaled = values / scale[:, None]
    tree = KDTree(scaled @ projection)
    twins: list[int | None] = []
    for number, near in enumerate(tree.query_ball_point(-scaled[:, ::-1] @ projection, 1e-5)):
        same = [
            other
            for other in near
            if betas[other] == betas[number]
            and np.abs(values[other] + values[number, ::-1]).max() <= TOLERANCE * scale[number]
        ]
        # An odd function first of all is its own.
        twins.append(number if number in same else min(same, default=None))
    return twins


def _values(space: SearchSpace, candidates: list[Candidate]) -> np.ndarray:
    return space.values_at(candidates, np.linspace(-5, 5, POINTS))[0]


def _normalised(space: SearchSpace, candidates: list[Candidate]) -> np.ndarray:
    values = _values(space, candidates)
    return values / np.abs(values).max(axis=1, keepdims=True)


def tables(study: Study, partial: bool = False) -> dict[str, list[dict[str, Any]]]:
    """Returns the rows of each file, of a part of all functions if that is allowed."""
    space = study.space
    if space.core_units > 1:
        raise ValueError("a table is of functions of one core unit, which alone can be listed")
    outcomes = _outcomes(study)
    everything = space.survey().candidates
    candidates = [candidate for candidate in everything if candidate in outcomes]
    missing = len(everything) - len(candidates)
    if missing and not partial:
        raise ValueError(f"{missing} of {len(everything)} functions are not trained")
    numbers = {candidate: number for number, candidate in enumerate(candidates)}
    epochs = study.child["config"]["epochs"]
    functions, trainings, spellings = [], [], []
    for number, (candidate, shape, mirror) in enumerate(
        zip(candidates, shapes(space, candidates), mirrors(space, candidates), strict=True)
    ):
        formula = str(space.formula(candidate))
        functions.append(
            {
                "formula": formula,
                "name": readable(formula),
                "betas": len(space.betas(candidate)),
                "shape": shape,
                "mirror": "" if mirror is None else mirror,
            }
        )
        for seed, outcome in sorted(outcomes[candidate].items()):
            row = {"function": number, "seed": seed}
            if not outcome.rates:
                trainings += [{**row, **values} for values in _by_epoch(outcome, epochs)]
                continue
            rates = study.child["config"]["learning_rate"]
            for rate, one in zip(rates, outcome.rates, strict=True):
                logged = {key: one.logs.get(key, "") for key in ("test_accuracy", "loss")}
                of_epochs = _by_epoch(one, epochs)
                if one.status != OK:
                    # After each epoch, or it would not be among the rates there.
                    of_epochs = [{**of_epochs[0], "epoch": epoch + 1} for epoch in range(epochs)]
                for values in of_epochs:
                    # Of the last epoch alone.
                    more = logged if values["epoch"] == epochs else dict.fromkeys(logged, "")
                    trainings.append({**row, "learning_rate": rate, **values, **more})
    for index in range(len(space)):
        candidate = space.from_index(index)
        reason = space.reason(candidate)
        same = "" if reason else numbers.get(space.canonical(candidate), "")
        spellings.append({**space.choices(candidate), "function": same, "reason": reason or ""})
    return {"functions.csv": functions, "spellings.csv": spellings, "trainings.csv": trainings}


def _outcomes(study: Study) -> dict[Candidate, dict[int, Outcome]]:
    """Returns what was trained to its end, also to compare with, by candidate and seed."""
    found = {candidate: dict(by_seed) for candidate, by_seed in study.outcomes.items()}
    for text, by_seed in study.references.items():
        candidate = find(text, study.space).candidate
        if candidate is not None:
            found[candidate] = {**by_seed, **found.get(candidate, {})}
    ended = {
        candidate: {seed: outcome for seed, outcome in by_seed.items() if outcome.status != PRUNED}
        for candidate, by_seed in found.items()
    }
    return {candidate: by_seed for candidate, by_seed in ended.items() if by_seed}


def _by_epoch(outcome: Outcome, epochs: int) -> list[dict[str, Any]]:
    """Returns the reward after each epoch, where that was recorded.

    Each epoch takes as long as another. What diverged has its reward alone.
    """
    curve = outcome.curve if outcome.status == OK else ()
    return [
        {
            "epoch": epoch,
            "reward": reward,
            "status": outcome.status,
            "seconds": outcome.seconds * epoch / epochs if epoch < epochs else outcome.seconds,
        }
        for epoch, reward in {**dict(enumerate(curve, 1)), epochs: outcome.reward}.items()
    ]


def main() -> None:
    """Writes the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=pathlib.Path, help="folder of a search")
    parser.add_argument("--name", required=True, help="the benchmark's name")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder of the tables")
    parser.add_argument("--partial", action="store_true", help="a part of all functions will do")
    arguments = parser.parse_args()
    record = io.read_json(arguments.results / "config.json")
    study = Study.load(arguments.results / "study.log")
    try:
        made = tables(study, arguments.partial)
    except ValueError as error:
        parser.error(str(error))
    out = arguments.out / arguments.name
    out.mkdir(parents=True, exist_ok=True)
    sums = {}
    for name, rows in made.items():
        io.write_csv(out / name, rows)
        sums[name] = benchmark.checksum((out / name).read_text(encoding="utf-8"))
        print(f"{out / name}: {len(rows)} rows")
    card = {
        "name": arguments.name,
        "licence": LICENCE,
        "source": str(arguments.results),
        # That of the last start, which came to the end.
        "command": record["starts"][-1]["command"],
        "dataset": record["config"]["dataset"],
        "child": record["config"]["child"],
        # A start outside of a checkout has none.
        "commits": sorted({start["environment"]["git"] for start in record["starts"]} - {None}),
        "environment": record["starts"][-1]["environment"],
        "space": io.as_json(study.space.config()),
        "sha256": sums,
    }
    io.write_json(out / benchmark.CARD, card)


if __name__ == "__main__":
    main()
