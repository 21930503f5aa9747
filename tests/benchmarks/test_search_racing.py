import numpy as np
import pytest

from keras_swish.search import SearchSpace, Study
from keras_swish.search.child import Outcome

pytest.importorskip("optuna")
SECONDS = 3.0


@pytest.fixture(scope="module")
def racing(benchmark_module):
    return benchmark_module("search_racing")


@pytest.fixture
def record():
    """Sixty candidates, of a quality each, that were trained with four seeds for three epochs."""
    space, random = SearchSpace(), np.random.default_rng(0)
    study = Study(space, {})
    candidates = list(space.survey().candidates[:60])
    for quality, candidate in zip(random.permutation(60), candidates):
        for seed in range(4):
            reward = float(quality + random.normal())
            curve = (reward - 2, reward - 1, reward) if seed == 0 else ()
            study.add(candidate, seed, Outcome(reward, "ok", 3, SECONDS, curve))
    diverged = space.survey().candidates[60]
    for seed in range(4):
        study.add(diverged, seed, Outcome(0.0, "diverged", 1, 0.5, ()))
    return study, [*candidates, diverged]


def test_without_racing_every_child_takes_its_time(racing, record):
    found = racing.replay(*record, 4, "all seeds", 0.2)
    assert found["children"] == 61 * 4
    assert found["hours"] == pytest.approx((60 * 4 * SECONDS + 4 * 0.5) / 3600, abs=1e-3)
    assert found["of the ten"] == 10
    # Eight of ten cannot be known before most candidates were looked at.
    assert found["known after, hours"] > found["hours"] / 2


def test_racing_gives_the_other_seeds_to_the_best_alone(racing, record):
    found = racing.replay(*record, 4, "racing", 0.2)
    assert found["children"] == 61 + 13 * 3
    assert found["hours"] == pytest.approx((60 + 39) * SECONDS / 3600, abs=1e-3)
    assert found["of the ten"] >= 8


def test_stopping_takes_a_third_of_the_time_of_a_stopped_child(racing, record):
    stopped = racing.replay(*record, 4, "racing and stopping", 0.2)
    whole = racing.replay(*record, 4, "racing", 0.2)
    assert stopped["children"] == whole["children"]
    # A third or more go on, and two thirds at the most save two of their three epochs.
    saved = (whole["hours"] - stopped["hours"]) * 3600
    assert 0 < saved <= 61 * SECONDS * 4 / 9


def test_how_much_sooner_is_told_from_medians(racing):
    def way(name, known):
        return [{"way": name, "children": 1, "hours": 8.0, "of the ten": 9, **k} for k in known]

    slow = racing.summary(way("a", [{"known after, hours": h} for h in (6.0, "", 4.0)]), [])
    fast = racing.summary(way("b", [{"known after, hours": h} for h in (2.0, 1.0, 3.0)]), [slow])
    assert slow["known after, hours"] == 6
    assert fast["times sooner"] == 3
