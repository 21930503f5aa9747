r"""Does a deeper child find the same functions?

    python benchmarks/search_depth.py results/search --record runs/depth.log \
        --out results/search_benchmarks

Of a finished search in a shallow child, three groups of functions are trained with the data and
the recipe of that child in a deeper one, ResNet-20 of the same widths: some drawn from all,
whatever they are worth, the best of the shallow child, and the paper's. Reported of each group: how
its rewards in both children correlate by rank, and how many are at least as good as ReLU in each;
and every function with its reward in both.

In the shallow child a reward is the mean that the search ranks by, in the deeper one that over
its --seeds, which none of the functions was chosen by.

The reward with each seed is in the table, and of the deeper child that after each epoch.

Takes half an hour on two cores, kept in a journal; interrupted and given again, it resumes.
"""

import dataclasses
import itertools
import pathlib

import numpy as np
import recording
from scipy import stats

from keras_swish.search import Child, SearchSpace, Study, executors
from keras_swish.search.child import PRUNED
from keras_swish.search.space import Candidate
from keras_swish.train import search
from keras_swish.train.reporting import paper_claims

DEEPER = dataclasses.replace(search.DEFAULT_CHILD, model="resnet20")
# Seeds of which the shallow child has seen none.
FIRST_SEED = 4
PAPER, BEST, DRAWN = "paper", "best", "drawn"


def groups(shallow: Study, best: int, drawn: int) -> dict[str, list[Candidate]]:
    """Returns which functions to train, by group; a function may be in several."""
    entries = shallow.entries()
    known = paper_claims.rank_functions(shallow, entries)
    ranked = [entry.candidate for entry in entries]
    order = np.random.default_rng(0).permutation(len(ranked))
    return {
        PAPER: [found[1].candidate for found in known.values() if found],
        BEST: ranked[:best],
        DRAWN: [ranked[place] for place in order[:drawn]],
    }


def train(child: Child, study: Study, chosen: dict[str, list[Candidate]], seeds: int) -> None:
    """Trains what the deeper study lacks, one seed after the other."""
    jobs = [
        (candidate, seed)
        for seed in range(FIRST_SEED, FIRST_SEED + seeds)
        for candidate in dict.fromkeys(itertools.chain(*chosen.values()))
    ]
    with executors.start_for(child, "ray") as executor:
        # All epochs of each, of which the record keeps the rewards.
        recording.complete(executor, study, jobs, lambda _, outcome: outcome.status != PRUNED)


def compare(
    shallow: Study, deeper: Study, chosen: dict[str, list[Candidate]]
) -> tuple[list[dict], dict]:
    """Returns a row a function, the best of the deeper child first, and what they say together."""
    entries = shallow.entries()
    before = {entry.candidate: (rank, entry) for rank, entry in enumerate(entries, 1)}
    statuses = {entry.candidate: entry.status for entry in deeper.entries()}
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
                "deeper, status": statuses[candidate],
                **_by_seed("shallow", shallow, candidate),
                **_by_seed("deeper", deeper, candidate),
            }
        )
    _, relu = paper_claims.rank_functions(shallow, entries)["relu"]
    found = {"ReLU": {"shallow": relu.mean, "deeper": after[relu.candidate]}}
    for group, candidates in chosen.items():
        pairs = np.array([(before[c][1].mean, after[c]) for c in candidates])
        found[group] = {
            "functions": len(candidates),
            "as good as ReLU, shallow": int((pairs[:, 0] >= relu.mean).sum()),
            "as good as ReLU, deeper": int((pairs[:, 1] >= after[relu.candidate]).sum()),
            "rank correlation": round(float(stats.spearmanr(*pairs.T).statistic), 3),
        }
    return rows, found


def _by_seed(name: str, study: Study, candidate: Candidate) -> dict[str, float | str]:
    """Returns the reward with each seed, and after each epoch where that is known."""
    outcomes = sorted(study.outcomes[candidate].items())
    return {
        **{f"{name}, seed {seed}": round(outcome.reward, 5) for seed, outcome in outcomes},
        **{
            f"{name}, epochs of seed {seed}": " ".join(f"{one:.5f}" for one in outcome.curve)
            for seed, outcome in outcomes
            if outcome.curve
        },
    }


def _mean(study: Study, candidate: Candidate) -> float:
    return float(np.mean([outcome.reward for outcome in study.outcomes[candidate].values()]))


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
    deeper = Study(space, child.fingerprint(), arguments.record)
    train(child, deeper, chosen, arguments.seeds)
    rows, found = compare(shallow, deeper, chosen)
    for group, figures in found.items():
        print(group, figures)
    recording.write(arguments.out, "depth", rows, **found)


if __name__ == "__main__":
    main()
