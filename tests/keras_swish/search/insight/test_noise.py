"""The noise by reward, and the intervals that it gives."""

import numpy as np
import pytest

from keras_swish.search import Outcome, Study
from keras_swish.search.insight.noise import estimate

pytest.importorskip("optuna")


def noisy_study(space, deviation, count=400, seeds=4):
    """Returns a study whose rewards rise with the candidate, and whose noise is a function."""
    study, random = Study(space, {}), np.random.default_rng(0)
    for place, candidate in enumerate(space.survey().candidates[:count]):
        mean = place / count
        for seed in range(seeds):
            reward = 5 + mean + 0.3 * seed + deviation(mean) * random.normal()
            study.add(candidate, seed, Outcome(reward, "ok", 1, 1.0))
    return study


def test_what_learns_worse_has_the_wider_interval(space):
    study = noisy_study(space, lambda mean: 0.03 - 0.02 * mean)
    entries = {entry.candidate: entry for entry in study.entries()}
    for place, deviation in ((40, 0.028), (360, 0.012)):
        entry = entries[space.survey().candidates[place]]
        half = 1.96 * deviation / np.sqrt(3)
        assert (entry.high - entry.low) / 2 == pytest.approx(half, rel=0.15)
    overall, _ = study.noise()
    local = study.local_noise()
    assert np.sqrt(np.mean(local.deviations**2)) == pytest.approx(overall, rel=0.01)


def test_equal_noise_is_found_equal_and_little_is_not_split(space):
    local = noisy_study(space, lambda mean: 0.02).local_noise()
    np.testing.assert_allclose(local.deviations, 0.02, rtol=0.25)
    few = noisy_study(space, lambda mean: 0.02, count=20).local_noise()
    assert len(few.rewards) == 1


def test_without_a_second_seed_no_noise_is_known(space):
    assert noisy_study(space, lambda mean: 0.02, count=20, seeds=1).local_noise() is None
    assert estimate([np.array([0.5, 0.5])] * 3, 0.0, 3).at(0.7) == 0.0
