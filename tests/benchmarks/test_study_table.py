import pathlib

import numpy as np
import pytest
from fake_child import Fake
from scipy import stats

from keras_swish.search import ChildConfig, Search, SearchSpace, Study, algorithms, functions
from keras_swish.search.algorithms import surrogate
from keras_swish.search.child import DIVERGED, OK, Outcome
from keras_swish.search.executors import Local

RATES = (0.1, 0.03)


class AtTwoRates(Fake):
    """Knows what its candidates come to at two rates: the second is better for every other one."""

    def evaluate(self, candidate, seed):
        base = super().evaluate(candidate, seed) if not isinstance(candidate, str) else None
        reward = base.reward if base else 0.6
        logs = {"loss": 1 - reward, "test_accuracy": reward - 0.01}
        second = Outcome(reward + 0.01, OK, 10, 0.5, (0.1, reward + 0.01), logs)
        first = Outcome(reward, OK, 10, 0.5, (0.1, reward), logs)
        if base and base.status == DIVERGED:
            first = base
        return Outcome.best_of([first, second])

    def fingerprint(self):
        return {"config": {"learning_rate": list(RATES)}}


@pytest.fixture(scope="module")
def table(benchmark_module):
    return benchmark_module("study_table")


@pytest.fixture
def trained(table, tmp_path):
    """A study of thirty functions, the best four and the references with all seeds."""
    space = SearchSpace()
    (tmp_path / "references.txt").write_text("relu\nswish\ngelu\n")
    references = functions.read(pathlib.Path(tmp_path, "references.txt"), space)
    child = AtTwoRates(space, ChildConfig(learning_rate=RATES))
    study = Study(space, child.fingerprint(), tmp_path / "study.log")
    executor = Local().start(lambda job: child.evaluate(*job))
    algorithm = algorithms.create("surrogate", space, table.SEED, initial=10)
    search = Search(child, study, algorithm, "surrogate", table.SEED, executor=executor)
    search.begin((), references)
    search.explore(30)
    best = table.likeliest(study, 4)
    table.judge(study, executor, best, references)
    before = len(child.trained)
    table.judge(study, executor, best, references)
    assert len(child.trained) == before
    return Study.load(tmp_path / "study.log"), best


def test_the_best_and_the_references_are_judged_by_other_seeds(trained):
    study, best = trained
    assert len(study.outcomes) == 30
    for candidate in best:
        assert sorted(study.outcomes[candidate]) == [400, 401, 402, 403]
    others = [candidate for candidate in study.outcomes if candidate not in best]
    assert all(sorted(study.outcomes[candidate]) == [400] for candidate in others)
    assert study.references.keys() == {"relu", "swish", "gelu"}
    assert all(sorted(seeds) == [400, 401, 402, 403] for seeds in study.references.values())
    # They are those of the highest mean of a Gaussian process of the surrogate's own length.
    known = sorted(c for c, o in study.outcomes.items() if o[400].status == OK)
    features = surrogate.shape_features(study.space, known)
    unit = surrogate.LENGTH * surrogate.median_distance(features)
    covariance = surrogate.kernel(features, features, unit)
    scores = surrogate.normal_scores(stats.rankdata([study.outcomes[c][400].reward for c in known]))
    noisy = covariance + surrogate.NOISE * np.eye(len(known))
    means = covariance @ np.linalg.solve(noisy, scores)
    assert best == [known[place] for place in np.argsort(-means)[:4]]
    # What the surrogate's mean likes is good, if not the luckiest.
    rewards = [study.outcomes[candidate][400].reward for candidate in study.outcomes]
    likely = [study.outcomes[candidate][400].reward for candidate in best]
    assert np.mean(likely) > np.quantile(rewards, 0.75)


def test_the_tables_have_all_rates_and_the_judged_first(table, trained):
    study, best = trained
    ranked, trainings = table.rows(study, 10)
    judged = [row for row in ranked if row["judging seeds"]]
    assert ranked[: len(judged)] == judged
    assert len(judged) == len(best) + 3
    assert [row["judged"] for row in judged] == sorted(
        (row["judged"] for row in judged), reverse=True
    )
    kinds = [row["kind"] for row in ranked]
    assert [kinds.count(kind) for kind in ("drawn", "led", "reference")] == [10, 20, 3]
    assert len(trainings) == 2 * (30 + 3 * 4 + 3 * 4)
    swish = [row for row in trainings if row["formula"] == "swish" and row["seed"] == 402]
    assert [row["learning_rate"] for row in swish] == list(RATES)
    rewards = [float(row["epochs"].split()[-1]) for row in swish]
    assert rewards == pytest.approx([row["reward"] for row in swish], abs=1e-5)
    assert swish[0]["test_accuracy"] == pytest.approx(swish[0]["reward"] - 0.01, abs=1e-4)
    diverged = [row for row in trainings if row["status"] == DIVERGED]
    assert all(row["test_accuracy"] == row["loss"] == "" for row in diverged)


def test_the_likeliest_are_one_of_each_shape(table):
    space = SearchSpace()
    study = Study(space, {})
    texts = ("x * sigmoid(x)", "x * sigmoid(-x)", "sigmoid(beta * x) * x", "sin(x)", "cos(x) - x")
    *_, sine, cosine = candidates = [functions.find(text, space).candidate for text in texts]
    for candidate, reward in zip(candidates, (0.90, 0.89, 0.88, 0.5, 0.7), strict=True):
        study.add(candidate, table.SEED, Outcome(reward, OK, 1, 1.0))
    found = table.likeliest(study, 3)
    assert found[0] in candidates[:3]
    assert found[1:] == [cosine, sine]
    assert table.likeliest(study, 1) == found[:1]


def test_what_diverges_with_the_seeds_that_judge_is_ranked_by_them(table):
    space = SearchSpace()
    study = Study(space, {"config": {"learning_rate": list(RATES)}})
    lucky, good = space.survey().candidates[:2]
    for candidate, rewards in ((lucky, [0.9, 0.0, 0.0, 0.0]), (good, [0.8] * 4)):
        for seed, reward in enumerate(rewards, 400):
            one = Outcome(reward, OK if reward else DIVERGED, 1, 1.0)
            study.add(candidate, seed, Outcome.best_of([one, one]))
    ranked, _ = table.rows(study, 0)
    assert [row["judged"] for row in ranked] == [0.8, 0.0]
