r"""Does a deeper child find the same functions?

    python benchmarks/search_depth.py results/search --record runs/depth.log \
        --out results/search_benchmarks

Of a finished search in a shallow child, three groups of functions are trained with the data, the
recipe and the seeds of that child in a deeper one, ResNet-20 of the same widths: some drawn
from all, whatever they are worth, the best of the shallow child, and the paper's. Reported: how
the rewards of the drawn ones in both children correlate by rank, how many of each group are at
least as good as ReLU in each child, and every function with its reward in both.

In the shallow child a reward is the mean that the search ranks by, in the deeper one that over
its --seeds, which none of the functions was chosen by.

Takes half an hour on two cores, kept in a journal; cut off and given again, it goes on.
"""

import dataclasses
import itertools
import pathlib

import numpy as np
import recording
from scipy import stats

from keras_swish.search import Child, SearchSpace, Study, executors
from keras_swish.search.space import Candidate
from keras_swish.search.study import Entry
from keras_swish.train import observations, search

DEEPER = dataclasses.replace(search.OTHER, model="resnet20")
# Seeds of which the shallow child has seen none.
FIRST_SEED = 4
PAPER, BEST, DRAWN = "paper", "best", "drawn"


def groups(shallow: Study, best: int, drawn: int) -> dict[str, list[Candidate]]:
    """Returns which functions to train, by group; a function may be in several."""
    entries = [entry.candidate for entry in shallow.entries()]
    paper = [
        shallow.space.canonical(observations.candidate(shallow.space, units))
        for units in observations.KNOWN.values()
        if len(units) == 1
    ]
    order = np.random.default_rng(0).permutation(len(entries))
    return {
        PAPER: [candidate for candidate in paper if candidate in shallow.outcomes],
        BEST: entries[:best],
        DRAWN: [entries[place] for place in order[:drawn]],
    }


def train(child: Child, study: Study, chosen: dict[str, list[Candidate]], seeds: int) -> None:
    """Trains what the deeper study lacks, one seed after the other."""
    jobs = [
        (candidate, seed)
        for seed in range(FIRST_SEED, FIRST_SEED + seeds)
        for candidate in dict.fromkeys(itertools.chain(*chosen.values()))
        if seed not in study.outcomes[candidate]
    ]
    with executors.create("ray", child) as executor:
        print(f"{len(jobs)} children to train", flush=True)
        for finished in recording.trained(executor, jobs):
            study.add(*finished)


def compare(
    shallow: Study, deeper: Study, chosen: dict[str, list[Candidate]]
) -> tuple[list[dict], dict]:
    """Returns a row a function, the best of the deeper child first, and what they say together."""
    before = {entry.candidate: (rank, entry) for rank, entry in enumerate(shallow.entries(), 1)}
    after = {candidate: _mean(deeper, candidate) for candidate in itertools.chain(*chosen.values())}
    rows = []
    for candidate in sorted(after, key=lambda c: -after[c]):
        rank, entry = before[candidate]
        rows.append(
            {
                "formula": entry.formula,
                "groups": " ".join(group for group in chosen if candidate in chosen[group]),
                "shallow, rank": rank,
                "shallow, reward": round(entry.mean, 4),
                "deeper, reward": round(after[candidate], 4),
                "deeper, status": _status(deeper, candidate),
            }
        )
    relu = shallow.space.canonical(
        observations.candidate(shallow.space, observations.KNOWN["relu"])
    )
    found = {"ReLU": {"shallow": before[relu][1].mean, "deeper": after[relu]}}
    for group, candidates in chosen.items():
        entries: list[Entry] = [before[candidate][1] for candidate in candidates]
        pairs = np.array([(e.mean, after[e.candidate]) for e in entries])
        found[group] = {
            "functions": len(candidates),
            "as good as ReLU, shallow": int((pairs[:, 0] >= before[relu][1].mean).sum()),
            "as good as ReLU, deeper": int((pairs[:, 1] >= after[relu]).sum()),
            "rank correlation": round(float(stats.spearmanr(*pairs.T).statistic), 3),
        }
    return rows, found


def _mean(study: Study, candidate: Candidate) -> float:
    return float(np.mean([outcome.reward for outcome in study.outcomes[candidate].values()]))


def _status(study: Study, candidate: Candidate) -> str:
    stati = {outcome.status for outcome in study.outcomes[candidate].values()}
    return " ".join(sorted(stati))


def main() -> None:
    """Measures, prints and writes the table."""
    parser = recording.parser(__doc__)
    parser.add_argument("search", type=pathlib.Path, help="folder of a finished search")
    parser.add_argument("--record", type=pathlib.Path, required=True, help="journal of children")
    parser.add_argument("--data_dir", help="folder of TensorFlow Datasets")
    parser.add_argument("--best", type=int, default=20)
    parser.add_argument("--drawn", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=2)
    arguments = parser.parse_args()
    try:
        shallow = Study.load(arguments.search / "study.log")
    except ValueError as error:
        parser.error(str(error))
    chosen = groups(shallow, arguments.best, arguments.drawn)
    space = SearchSpace()
    child = recording.fashion_mnist_child(space, arguments.data_dir, DEEPER)
    arguments.record.parent.mkdir(parents=True, exist_ok=True)
    deeper = Study(space, child.config(), arguments.record)
    train(child, deeper, chosen, arguments.seeds)
    rows, found = compare(shallow, deeper, chosen)
    for group, figures in found.items():
        print(group, figures)
    recording.write(arguments.out, "depth", rows, **found)


if __name__ == "__main__":
    main()
