"""The surrogate: its process against scikit-learn's, and what it proposes."""

import inspect

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern

from keras_swish.search import algorithms
from keras_swish.search.algorithms import surrogate
from keras_swish.search.algorithms.surrogate import GaussianProcess, shape_features
from keras_swish.search.space import SearchSpace


@pytest.fixture(scope="module")
def space():
    return SearchSpace()


def test_the_process_is_that_of_scikit_learn():
    random = np.random.default_rng(0)
    pool, fresh = random.normal(size=(200, 5)), random.normal(size=(7, 5))
    process = GaussianProcess(pool.copy(), length=0.3, noise=0.2)
    observed = random.permutation(200)[:90]
    for index in observed[:70]:
        process.observe(int(index))
    unused = np.setdiff1d(np.arange(200), observed)[:7]
    process.replace(unused, fresh)
    for index in observed[70:]:
        process.observe(int(index))
    values = random.normal(size=90)
    distances = np.linalg.norm(pool[:, None] - pool[None], axis=-1)
    length = 0.3 * np.median(distances[np.triu_indices(200, 1)])
    peer = GaussianProcessRegressor(Matern(length, nu=1.5), alpha=0.2, optimizer=None)
    peer.fit(pool[observed], values)
    pool[unused] = fresh
    mean, deviation = peer.predict(pool, return_std=True)
    np.testing.assert_allclose(process.mean(values), mean, atol=1e-9)
    np.testing.assert_allclose(np.sqrt(process.variance), deviation, atol=1e-9)
    some = np.arange(0, 90, 3)
    process.keep(some)
    process.observe(int(observed[1]))
    peer.fit(np.array(peer.X_train_)[[*some, 1]], values[[*some, 1]])
    mean, deviation = peer.predict(pool, return_std=True)
    np.testing.assert_allclose(process.mean(values[[*some, 1]]), mean, atol=1e-9)
    np.testing.assert_allclose(process.mean(values[[*some, 1]], unused), mean[unused], atol=1e-9)
    np.testing.assert_allclose(np.sqrt(process.variance), deviation, atol=1e-9)


def test_a_function_and_its_negative_have_one_shape(space):
    down = space.candidate(u1="cos(x)", u2="x", b="x1-x2")
    up = space.candidate(u1="x", u2="cos(x)", b="x1-x2")
    relu = space.candidate(u1="max(x,0)", u2="max(x,0)", b="max(x1,x2)")
    features = shape_features(space, [down, up, relu])
    np.testing.assert_allclose(*features[:2], atol=1e-12)
    assert np.abs(features[2] - features[0]).max() > 0.1


def test_shapes_of_all_functions_are_finite(space):
    features = shape_features(space, list(space.survey().candidates))
    assert len(features) == 3358
    assert np.isfinite(features).all()


def nearness(space):
    """Returns a reward that depends on the shape alone: how near f or -f is to Swish."""
    x = np.linspace(-3, 3, 41)
    target = np.arcsinh(x / (1 + np.exp(-x)))

    def reward(candidate):
        values, _ = space.values_at([candidate], x)
        return -min(
            float(np.mean(np.abs(np.arcsinh(sign * values[0]) - target))) for sign in (1, -1)
        )

    return reward


def test_it_finds_what_random_search_does_not(space):
    reward = nearness(space)
    rewards = {candidate: reward(candidate) for candidate in space.survey().candidates}
    best = set(sorted(rewards, key=lambda candidate: -rewards[candidate])[:34])
    found = {}
    for name in ("surrogate", "exhaustive"):  # the latter in a random order
        algorithm, found[name] = algorithms.create(name, space, seed=4), set()
        for _ in range(100):
            proposal = algorithm.ask()
            found[name].add(proposal.candidate)
            algorithm.tell(proposal, rewards[proposal.candidate])
    assert len(found["surrogate"] & best) > 20
    assert len(found["exhaustive"] & best) < 5


def test_what_is_in_training_is_not_proposed_again_and_counts_as_predicted(space):
    reward = nearness(space)
    algorithm = algorithms.create("surrogate", space, seed=0, initial=8)
    waiting = [algorithm.ask() for _ in range(40)]  # no reward known yet
    assert len({proposal.candidate for proposal in waiting}) == 40
    for proposal in waiting[::-1]:
        algorithm.tell(proposal, reward(proposal.candidate))
    ahead = [algorithm.ask() for _ in range(16)]
    assert len({p.candidate for p in (*waiting, *ahead)}) == 56


@pytest.mark.parametrize("core_units", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_what_is_in_training_changes_how_sure_the_process_is_but_not_what_it_predicts(
    core_units, monkeypatch
):
    monkeypatch.setattr(surrogate, "_POOL", 500)
    space = SearchSpace(core_units)
    reward = nearness(space)
    algorithm = algorithms.create("surrogate", space, seed=2, initial=16)
    for _ in range(40):
        proposal = algorithm.ask()
        algorithm.tell(proposal, reward(proposal.candidate))
    waiting = [algorithm.ask() for _ in range(4)]
    process = algorithm._process
    mean, variance = process.mean(algorithm._scores()), process.variance.copy()
    # As if the last four had not been asked for.
    process.keep(np.arange(40))
    np.testing.assert_allclose(process.mean(algorithm._scores()[:40]), mean, atol=1e-8)
    assert (process.variance >= variance - 1e-12).all()
    assert (process.variance - variance).max() > 0.1
    last = waiting[-1].candidate  # those before may have left the pool
    predicted = mean[algorithm._pool.index(last)]
    assert predicted == pytest.approx(algorithm._proposed[last], abs=1e-8)


@pytest.mark.parametrize("core_units", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_of_very_many_rewards_it_keeps_the_best_and_some_of_the_others(core_units, monkeypatch):
    monkeypatch.setattr(surrogate, "MOST", 60)
    monkeypatch.setattr(surrogate, "_KEPT", 30)
    monkeypatch.setattr(surrogate, "_POOL", 300)
    monkeypatch.setattr(surrogate, "_FRESH", 16)
    monkeypatch.setattr(surrogate, "_REMEMBERED", 1500)
    space = SearchSpace(core_units)
    reward = nearness(space)
    algorithm, rewards = algorithms.create("surrogate", space, seed=0), {}
    for _ in range(200):
        proposal = algorithm.ask()
        assert proposal.candidate not in rewards
        rewards[proposal.candidate] = reward(proposal.candidate)
        algorithm.tell(proposal, rewards[proposal.candidate])
        assert len(algorithm._process) == len(algorithm._observed) < 60
    values = list(rewards.values())
    assert np.median(values[150:]) > np.quantile(values[:32], 0.75)
    best = sorted(rewards, key=lambda candidate: -rewards[candidate])[:10]
    assert len(set(best) & set(algorithm._observed)) >= 8


@pytest.mark.slow
def test_what_others_ask_of_the_space_does_not_change_what_it_proposes(monkeypatch):
    monkeypatch.setattr(surrogate, "_POOL", 300)
    reward = nearness(SearchSpace(2))
    runs = []
    for disturbed in (False, True):
        space = SearchSpace(2)
        algorithm, run = algorithms.create("surrogate", space, seed=5, initial=8), []
        for _ in range(30):
            run.append(algorithm.ask())
            algorithm.tell(run[-1], reward(run[-1].candidate))
            if disturbed:  # as a study does that is opened again
                space.recall([proposal.candidate for proposal in runs[0]])
                space.canonical(space.mutate(run[-1].candidate, np.random.default_rng(1)))
        runs.append(run)
    assert runs[0] == runs[1]


def test_it_is_what_a_search_uses_unless_told_otherwise():
    from absl import flags

    from keras_swish.search import search_activations
    from keras_swish.train import search

    flag_values = flags.FlagValues()
    search.define_flags(flag_values)
    parameters = inspect.signature(search_activations).parameters
    assert flag_values["algorithm"].default == parameters["algorithm"].default == "surrogate"


@pytest.mark.slow
def test_two_core_units_are_searched_through_a_pool(monkeypatch):
    monkeypatch.setattr(surrogate, "_POOL", 500)
    space = SearchSpace(2)
    reward = nearness(space)
    algorithm, rewards = algorithms.create("surrogate", space, seed=1), []
    for _ in range(120):
        proposal = algorithm.ask()
        assert space.reason(proposal.candidate) is None
        rewards.append(reward(proposal.candidate))
        algorithm.tell(proposal, rewards[-1])
    assert max(rewards[32:]) > max(rewards[:32])
    assert np.median(rewards[80:]) > np.median(rewards[:32])


def test_the_same_rewards_bring_the_same_proposals(space):
    reward = nearness(space)
    runs = []
    for _ in range(2):
        algorithm, run = algorithms.create("surrogate", space, seed=5), []
        for _ in range(50):
            run.append(algorithm.ask())
            algorithm.tell(run[-1], reward(run[-1].candidate))
        runs.append(run)
    assert runs[0] == runs[1]


@pytest.mark.parametrize("wrong", [{"initial": 0}, {"kappa": -1.0}, {"noise": float("nan")}])
def test_wrong_options_are_refused(space, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        algorithms.create("surrogate", space, **wrong)


@pytest.mark.parametrize(
    ("unary", "functions"), [(["x", "-x"], 14), (["x", "sigmoid(x)", "tanh(beta * x)"], 293)]
)
def test_a_space_smaller_than_the_pool_is_proposed_to_its_end(unary, functions):
    space = SearchSpace(2, unary=unary, binary=["x1 * x2", "max(x1, x2)"])
    algorithm, proposed = algorithms.create("surrogate", space), set()
    while proposal := algorithm.ask():
        proposed.add(proposal.candidate)
        algorithm.tell(proposal, len(proposed) % 7 / 7)
    assert len(proposed) == functions
