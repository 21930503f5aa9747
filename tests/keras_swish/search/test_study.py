import numpy as np
import pytest
from fake_child import Fake, rewards, search

from keras_swish.search import ChildConfig, SearchSpace, Study
from keras_swish.search.child import DIVERGED, OK, PRUNED, Outcome

pytest.importorskip("optuna")


def test_a_study_is_opened_without_knowing_its_space_and_child(tmp_path):
    path, wide = tmp_path / "study.log", SearchSpace(2, (-3.0, 3.0))
    done = search(Fake(wide), path)
    done.explore(3)
    found = Study.load(path)
    assert found.space.config() == wide.config()
    assert found.child == Fake(wide).fingerprint()
    assert rewards(found) == rewards(done.study)
    with pytest.raises(ValueError, match="there is no such file"):
        Study.load(tmp_path / "missing.log")
    assert not (tmp_path / "missing.log").exists()


def test_the_seed_that_chose_a_candidate_does_not_judge_it(space):
    study = Study(space, {})
    lucky, steady, wild = space.survey().candidates[:3]
    for seed, reward in enumerate((0.9, 0.5, 0.52)):
        study.add(lucky, seed, Outcome(reward, OK, 1, 1.0))
    for seed, reward in enumerate((0.7, 0.69, 0.71)):
        study.add(steady, seed, Outcome(reward, OK, 1, 1.0))
    study.add(wild, 0, Outcome(0.95, OK, 1, 1.0))
    study.add(wild, 1, Outcome(0.0, DIVERGED, 1, 1.0))
    best, second, last = study.entries()
    assert (best.candidate, second.candidate, last.candidate) == (steady, lucky, wild)
    assert (best.mean, second.mean) == (pytest.approx(0.70), pytest.approx(0.51))
    assert np.isnan(last.low)


def test_what_a_seed_gives_to_all_counts_for_none(space):
    study, random = Study(space, {}), np.random.default_rng(0)
    candidates = space.survey().candidates[:60]
    lucky = {0: 5.0, 1: 0.0, 2: 0.3, 3: -0.1}
    # The worse a candidate is, the luckier the seeds that it has.
    for place, candidate in enumerate(candidates):
        for seed in (0, 1, 2, 3) if place < 50 else (0, 2):
            reward = 10 - 0.05 * place + lucky[seed] + 0.01 * random.normal()
            study.add(candidate, seed, Outcome(reward, OK, 1, 1.0))
    entries = study.entries()
    means = {entry.candidate: entry.mean for entry in entries}
    found = [means[candidate] for candidate in candidates]
    # The mean over the seeds' luck stays with all.
    wanted = [10 - 0.05 * place + 0.2 / 3 for place in range(60)]
    np.testing.assert_allclose(found, wanted, atol=0.045)
    noise, degrees = study.noise()
    assert noise == pytest.approx(0.01, rel=0.2)
    assert degrees == 50 * 2 - 2


def test_two_seeds_state_their_noise_without_what_chose(space):
    study, random = Study(space, {}), np.random.default_rng(0)
    for place, candidate in enumerate(space.survey().candidates[:200]):
        for seed in (0, 1):
            reward = 0.01 * place + 3.0 * (seed == 0) + 0.01 * random.normal()
            study.add(candidate, seed, Outcome(reward, OK, 1, 1.0))
    assert study.noise() == (pytest.approx(0.01, rel=0.15), 199)
    best = study.entries()[0]
    assert best.mean == best.rewards[1]


def test_what_diverged_comes_after_all_others_also_where_rewards_are_negative(space):
    study = Study(space, {})
    good, bad, cut = space.survey().candidates[:3]
    study.add(good, 0, Outcome(-3.0, OK, 1, 1.0))
    study.add(bad, 0, Outcome(-1.0, DIVERGED, 1, 1.0))
    study.add(cut, 0, Outcome(-0.5, PRUNED, 1, 1.0))
    assert [entry.candidate for entry in study.entries()] == [good, bad, cut]


def test_what_each_learning_rate_came_to_is_kept(tmp_path):
    space, journal = SearchSpace(), tmp_path / "study.log"
    rates = (
        Outcome(0.0, DIVERGED, 3, 0.5),
        Outcome(0.75, OK, 10, 1.5, (0.5, 0.75), {"loss": 0.25, "test_accuracy": 0.5}),
    )
    best = Outcome.best_of(rates)
    study = Study(space, {}, journal)
    study.add((0, 0, 1), 4, best)
    study.add_reference("gelu", "gelu", 4, best)
    loaded = Study.load(journal)
    assert loaded.outcomes[0, 0, 1][4] == loaded.references["gelu"][4] == best
    assert best.rates == rates
    assert best.curve == (0.5, 0.75)


def test_a_storage_of_another_search_is_refused_and_left_alone(tmp_path):
    journal = tmp_path / "study.log"
    search(Fake(SearchSpace()), journal).explore(5)
    before = journal.read_bytes()
    for child, message in [
        (Fake(SearchSpace(2)), "space core_units 1, now 2"),
        (Fake(SearchSpace(), ChildConfig(epochs=9)), "child config epochs 3, now 9"),
    ]:
        with pytest.raises(ValueError, match=f"another space or child .{message}"):
            search(child, journal)
    assert journal.read_bytes() == before


def test_a_database_that_does_not_answer_is_refused_in_one_line():
    with pytest.raises(ValueError, match="'nothing://here' cannot be used"):
        Study(SearchSpace(), {}, "nothing://here")
