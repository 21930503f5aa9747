import numpy as np
import pytest

from keras_swish.search import SearchSpace, Study
from keras_swish.search.child import Outcome
from keras_swish.train.reporting import paper_claims

pytest.importorskip("optuna")


@pytest.fixture(scope="module")
def depth(benchmark_module):
    return benchmark_module("search_depth")


@pytest.fixture
def shallow():
    """Forty candidates, the paper's among them, each worth its place."""
    space = SearchSpace()
    paper = [
        space.canonical(paper_claims.candidate(space, name))
        for name, units in paper_claims.FUNCTIONS.items()
        if len(units) == 1
    ]
    candidates = list(dict.fromkeys([*paper, *space.survey().candidates]))[:40]
    study = Study(space, {})
    for place, candidate in enumerate(candidates):
        study.add(candidate, 0, Outcome(1 - place / 40, "ok", 1, 1.0))
    return study


def deeper(shallow, reward):
    study = Study(shallow.space, {})
    for candidate, outcomes in shallow.outcomes.items():
        for seed in (4, 5):
            study.add(candidate, seed, Outcome(reward(outcomes[0].reward), "ok", 1, 1.0))
    return study


def test_each_group_is_what_its_name_says(depth, shallow):
    chosen = depth.groups(shallow, best=5, drawn=30)
    ranked = [entry.candidate for entry in shallow.entries()]
    assert chosen[depth.BEST] == ranked[:5]
    assert len(chosen[depth.PAPER]) == 10
    assert len(set(chosen[depth.DRAWN])) == 30
    # Drawn from all, good and bad.
    places = [ranked.index(candidate) for candidate in chosen[depth.DRAWN]]
    assert 12 < np.mean(places) < 27


def test_a_child_that_agrees_and_one_that_disagrees(depth, shallow):
    chosen = depth.groups(shallow, best=5, drawn=30)
    rows, same = depth.compare(shallow, deeper(shallow, lambda reward: reward / 2), chosen)
    assert same[depth.DRAWN]["rank correlation"] == 1
    assert {"shallow, seed 0", "deeper, seed 4", "deeper, seed 5"} <= rows[0].keys()
    assert rows[0]["deeper, seed 5"] == pytest.approx(rows[0]["shallow, seed 0"] / 2)
    assert [row["shallow, rank"] for row in rows] == sorted(row["shallow, rank"] for row in rows)
    # ReLU is the first of the paper's, and so the best of all.
    assert same[depth.BEST]["as good as ReLU, shallow"] == 1
    assert same[depth.BEST]["as good as ReLU, deeper"] == 1
    rows, other = depth.compare(shallow, deeper(shallow, lambda reward: -reward), chosen)
    assert other[depth.DRAWN]["rank correlation"] == -1
    assert other[depth.BEST]["as good as ReLU, deeper"] == 5
    assert rows[-1]["groups"].split()[:2] == [depth.PAPER, depth.BEST]
    assert rows[-1]["shallow, rank"] == 1
