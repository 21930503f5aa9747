"""What the surrogate believes of a study: against leaving out one by one, and on the truth."""

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern

from keras_swish.search import Outcome, SearchSpace, Study
from keras_swish.search.algorithms.surrogate import (
    LENGTH,
    NOISE,
    median_distance,
    normal_scores,
    shape_features,
)
from keras_swish.search.insight import belief

pytest.importorskip("optuna")


def made_up(space, candidates):
    """Returns a study in which a function is better the more it rises, and its truth."""
    x = np.linspace(-2, 2, 21)
    values, _ = space.values_at(candidates, x)
    truth = np.tanh(np.abs(np.arcsinh(np.nan_to_num(values)) @ x) / 20)
    study = Study(space, {})
    for candidate, reward in zip(candidates, truth, strict=True):
        study.add(candidate, 0, Outcome(float(reward), "ok", 1, 1.0), "random")
    return study, dict(zip(candidates, truth, strict=True))


def test_predictions_are_those_of_a_process_that_does_not_know_the_one(space):
    chosen = list(space.survey().candidates[::120])
    study, _ = made_up(space, chosen)
    entries = study.entries()
    found = belief.believe(study, entries)
    rewards = np.array([entry.mean for entry in entries])
    np.testing.assert_array_equal(found.found, rewards)
    features = shape_features(space, [entry.candidate for entry in entries])
    scores = normal_scores(np.argsort(np.argsort(rewards)) + 1)
    peer = GaussianProcessRegressor(
        Matern(LENGTH * median_distance(features), nu=1.5), alpha=NOISE, optimizer=None
    )
    for left_out in (0, 7, len(entries) - 1):
        rest = np.delete(np.arange(len(entries)), left_out)
        peer.fit(features[rest], scores[rest])
        (score,) = peer.predict(features[[left_out]])
        below = np.sort(rewards)[: 1 + int((found.predicted[left_out] >= rewards).sum())]
        assert below[0] <= found.predicted[left_out] <= rewards.max()
        order = np.argsort(scores)
        share = np.interp(score, scores[order], np.linspace(0, 1, len(order)))
        assert found.predicted[left_out] == pytest.approx(np.quantile(rewards, share), abs=0.05)


def test_it_believes_in_what_is_good_and_was_not_trained(space):
    everything = list(space.survey().candidates)
    study, _ = made_up(space, everything[::8])
    _, truth = made_up(space, everything)
    found = belief.believe(study, study.entries(), count=10)
    assert found.correlation > 0.8
    assert found.asked == len(everything) - len(everything[::8])
    assert len(found.untrained) == 10
    values = np.array([*truth.values()])
    for candidate, mean, low, high in found.untrained:
        assert candidate not in study.outcomes
        assert low <= mean <= high
        assert truth[candidate] > np.quantile(values, 0.8)


def test_of_thousands_it_knows_some_of_every_rank(space, monkeypatch):
    monkeypatch.setattr(belief, "KNOWN", 50)
    study, _ = made_up(space, list(space.survey().candidates[:200]))
    found = belief.believe(study, study.entries())
    assert len(found.found) == 50
    assert found.found.max() == study.entries()[0].mean
    assert found.found.min() == study.entries()[-1].mean


def test_a_space_too_large_to_list_is_drawn_from_and_left_as_it_was(monkeypatch):
    monkeypatch.setattr(belief, "DRAWN", 60)
    space, random = SearchSpace(2), np.random.default_rng(0)
    drawn = [space.sample(random) for _ in range(40)]
    fit = [space.canonical(c) for c in drawn if space.reason(c) is None]
    study, _ = made_up(space, list(dict.fromkeys(fit)))
    known = set(space._identities.by_candidate)
    found = belief.believe(study, study.entries(), count=5)
    assert 5 == len(found.untrained) < found.asked <= 60
    assert set(space._identities.by_candidate) == known


def test_of_a_few_functions_nothing_is_believed(space):
    study, _ = made_up(space, list(space.survey().candidates[:9]))
    assert belief.believe(study, study.entries()) is None
