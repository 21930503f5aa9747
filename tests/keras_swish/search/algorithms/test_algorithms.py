import json

import numpy as np
import pytest

from keras_swish.search import algorithms
from keras_swish.search.space import SearchSpace

# Small enough for a batch to fill within a test.
OPTIONS = {
    "evolution": {"population": 12, "sample": 4},
    "rl": {"batch": 5, "units": 8},
    "pqt": {"batch": 5, "units": 8, "elite": 0.1},
}
NAMES = ["exhaustive", "random", "evolution", "rl", "pqt", "surrogate"]


def make(name, space, seed=0):
    return algorithms.create(name, space, seed, **OPTIONS.get(name, {}))


def reward(space, candidate):
    """How many of the choices are those of Swish."""
    wanted = space.candidate(u1="beta*x", u2="x", b="sigmoid(x1)*x2")
    return float(np.mean([a == b for a, b in zip(candidate, wanted)]))


def run(algorithm, space, n):
    return [candidate for candidate, _ in told(algorithm, space, n)]


def told(algorithm, space, n):
    found = []
    for _ in range(n):
        proposal = algorithm.ask()
        found.append((proposal.candidate, reward(space, proposal.candidate)))
        algorithm.tell(proposal, found[-1][1])
    return found


@pytest.mark.parametrize("name", NAMES)
def test_one_seed_gives_one_sequence_of_candidates_of_the_space(name, space):
    first, second = (run(make(name, space, seed=1), space, 40) for _ in range(2))
    other = run(make(name, space, seed=2), space, 40)
    assert first == second != other
    assert all(candidate in space for candidate in first)


@pytest.mark.parametrize("name", ["rl", "pqt"])
@pytest.mark.parametrize("after", [3, 37])
def test_a_restored_algorithm_proposes_what_the_uninterrupted_one_would_have(name, after, space):
    algorithm = make(name, space)
    rewards = told(algorithm, space, after)
    state = json.loads(json.dumps(algorithm.state()))
    again = make(name, space, seed=99)
    again.restore(state, rewards)
    assert run(again, space, 30) == run(algorithm, space, 30)


@pytest.mark.parametrize("name", ["rl", "pqt"])
def test_a_reward_that_changed_counts_after_a_restart_as_it_did_before(name, space):
    # As when a child that was stopped early is trained to its end.
    algorithm = make(name, space)
    rewards = [(algorithm.ask().candidate, reward) for reward in (0.1, 0.2, 0.3)]
    rewards.append((rewards[0][0], 0.9))
    for candidate, reward in rewards:
        algorithm.tell(algorithms.Proposal(candidate, -8.0), reward)
    again = make(name, space)
    again.restore(json.loads(json.dumps(algorithm.state())), rewards)
    assert again.rewards == algorithm.rewards
    assert again.ordered == algorithm.ordered
    assert (0.9 in again.ordered) == (name == "rl")


def test_exhaustive_gives_every_function_once(space):
    algorithm = make("exhaustive", space)
    seen = run(algorithm, space, len(space.survey().candidates))
    assert sorted(seen) == sorted(space.survey().candidates)
    assert algorithm.ask() is None


@pytest.mark.parametrize("batch", [1, 4])
def test_equal_rewards_do_not_stop_the_controller(batch, space):
    """A distance divided by next to nothing would be a step from which Adam never recovers."""
    algorithm = algorithms.create("rl", space, batch=batch)
    for number in range(40):
        algorithm.tell(algorithm.ask(), 0.0 if number < 8 else 0.5)
    second = algorithm.controller.second.values()
    assert max(np.max(value) for value in second) < 1e3


# A mutant of the best is worse by a third, so that evolution cannot go on to its reward.
@pytest.mark.parametrize(("name", "least"), [("evolution", 0.4), ("rl", 0.5), ("pqt", 0.5)])
def test_those_that_learn_do_better_than_chance(name, least, space):
    algorithm = algorithms.create(name, space, 0)
    rewards = [reward(space, candidate) for candidate in run(algorithm, space, 700)]
    # One of 25 twice, and one of 10: by chance 0.06.
    assert np.mean(rewards[:16]) < 0.2
    assert np.mean(rewards[-100:]) > least


def test_the_controller_learns_what_the_elite_is(space):
    algorithm = make("pqt", space)
    best = [space.candidate(u1="beta*x", u2="x", b=b) for b in ("sigmoid(x1)*x2", "max(x1,x2)")]
    before = algorithm.controller.log_probability(np.array(best))
    for candidate in [*best, *space.survey().candidates[:48]]:
        reward = 1.0 if candidate in best else 0.0
        algorithm.tell(algorithms.Proposal(candidate, np.log(1 / 6250)), reward)
    for _ in range(30):
        algorithm._imitate()
    assert (algorithm.controller.log_probability(np.array(best)) > before + 2).all()


def test_an_elite_is_a_part(space):
    with pytest.raises(ValueError, match=r"a part in \(0, 1\]. Received: elite=16"):
        algorithms.create("pqt", space, elite=16)


def test_to_an_elite_a_function_known_already_is_no_news(space):
    algorithm = make("pqt", space)
    one, same = (
        space.candidate(u1=u1, u2=u2, b="x1+x2") for u1, u2 in (("x", "sin(x)"), ("sin(x)", "x"))
    )
    for candidate in (one, same, same):
        algorithm.tell(algorithms.Proposal(candidate, -8.0), 0.5)
    assert len(algorithm.finished) == len(algorithm.rewards) == 1


def test_evolution_lets_the_oldest_die():
    space = SearchSpace()
    algorithm = make("evolution", space)
    best = algorithm.ask()
    algorithm.tell(best, 1.0)
    for _ in range(12):
        algorithm.tell(algorithm.ask(), 0.0)
    assert best.candidate not in [candidate for candidate, _ in algorithm.living]


def test_an_update_follows_the_clipped_objective():
    algorithm = make("rl", SearchSpace())
    new = np.log([1.5, 1.5, 0.5, 0.5, 1.0])
    slope = algorithm._slope(new, np.zeros(5), np.array([2.0, -2.0, 2.0, -2.0, 1.0]))
    np.testing.assert_allclose(slope, np.array([0, -3.0, 1.0, 0, 1.0]) / 5)


@pytest.mark.parametrize("sampler", ["TPESampler", "RandomSampler"])
def test_samplers_of_optuna_by_name(sampler, space):
    pytest.importorskip("optuna")
    algorithm = algorithms.create(f"optuna:{sampler}", space, 0)
    rewards = told(algorithm, space, 15)
    assert all(candidate in space for candidate, _ in rewards)
    waiting = algorithm.ask()
    again = algorithms.create(f"optuna:{sampler}", space, 0)
    again.restore(json.loads(json.dumps(algorithm.state())), rewards)
    assert len(again.study.trials) == 15
    assert again.study.best_value == algorithm.study.best_value
    # What was proposed before is not taken for what is proposed after.
    run(again, space, 3)
    again.tell(waiting, 2.0)
    assert len(again.study.trials) == 19
    assert again.study.best_trial.params == dict(zip(algorithm.distributions, waiting.candidate))


@pytest.mark.parametrize(
    ("name", "units"),
    [*((name, 1) for name in (*NAMES, "optuna:RandomSampler")), ("surrogate", 2)],
)
def test_a_space_without_any_function_is_refused(name, units):
    if name.startswith("optuna"):
        pytest.importorskip("optuna")
    with pytest.raises(ValueError, match=r"no function that can be an activation: .*'unary': \["):
        algorithms.create(name, SearchSpace(units, unary=["x"], binary=["x1+x2"]))


def test_unknown_algorithms_say_what_came(space):
    with pytest.raises(ValueError, match=r"Unknown algorithm 'evoluton'\. Did you mean 'evol"):
        algorithms.create("evoluton", space)
    pytest.importorskip("optuna")
    with pytest.raises(ValueError, match="Unknown sampler of Optuna 'TPE'"):
        algorithms.create("optuna:TPE", space)
    with pytest.raises(ValueError, match="Received: sample=9, population=3"):
        algorithms.create("evolution", space, population=3, sample=9)


def test_only_what_can_start_is_offered(space):
    optuna = pytest.importorskip("optuna")
    with pytest.raises(ValueError, match="Did you mean 'TPESampler'") as caught:
        algorithms.create("optuna:tpesampler", space)
    offered = str(caught.value).partition("Valid: ")[2].rstrip(".").split(", ")
    assert "TPESampler" in offered
    for name in offered:
        assert algorithms.create(f"optuna:{name}", space).ask().candidate in space
    # One that needs arguments is taken with them, and not offered without.
    assert hasattr(optuna.samplers, "GridSampler")
    assert "GridSampler" not in offered
    with pytest.raises(ValueError, match="GridSampler cannot be used"):
        algorithms.create("optuna:GridSampler", space)
    for wide, is_offered in ((space, True), (SearchSpace(2), False)):
        with pytest.raises(ValueError, match="Unknown algorithm 'Exhaustif'") as caught:
            algorithms.create("Exhaustif", wide)
        assert ("Did you mean 'exhaustive'" in str(caught.value)) is is_offered
        for name in algorithms.startable(wide):
            algorithms.create(name, wide)
