"""Intervals of ranks, functions of one shape, and mirror twins."""

import collections
import math

import numpy as np
import pytest

from keras_swish.search import Outcome, SearchSpace, Study
from keras_swish.search.study import Entry
from keras_swish.train.reporting import shapes

pytest.importorskip("optuna")
RELU = {"u1": "max(x,0)", "u2": "max(x,0)", "b": "max(x1,x2)"}
MAX_BETA = {"u1": "beta*x", "u2": "max(x,0)", "b": "max(x1,x2)"}
TWIN = {"u1": "min(x,0)", "u2": "x", "b": "min(x1,x2)"}
TWICE = {"u1": "x", "u2": "|x|", "b": "x1+x2"}
SWISH = {"u1": "x", "u2": "x", "b": "sigmoid(x1)*x2"}
TANH = {"u1": "tanh(x)", "u2": "tanh(x)", "b": "max(x1,x2)"}


def entry(mean, half):
    return Entry((), "x", {0: mean}, "ok", mean, mean - half, mean + half)


def test_a_ranks_interval_counts_who_is_surely_better_and_worse():
    entries = [entry(0.9, 0.05), entry(0.88, 0.05), entry(0.7, 0.05), entry(0.69, 0.3)]
    entries.append(Entry((), "x", {0: 0.0}, "diverged", 0.0, math.nan, math.nan))
    assert shapes.rank_intervals(entries) == [(1, 3), (1, 3), (3, 4), (1, 4), None]


def test_a_ranks_interval_holds_the_true_rank():
    random, inside, total = np.random.default_rng(0), 0, 0
    for _ in range(30):
        truth = np.sort(random.normal(size=60))[::-1]
        found = truth + 0.2 * random.normal(size=60)
        order = np.argsort(-found)
        intervals = shapes.rank_intervals([entry(found[i], 0.392) for i in order])
        for rank, (i, (first, last)) in enumerate(zip(order, intervals, strict=True), 1):
            assert first <= rank <= last
            inside += first <= i + 1 <= last
            total += 1
    assert inside / total >= 0.95


@pytest.fixture
def study():
    space = SearchSpace()
    study = Study(space, {})
    for choices, rewards in [
        (RELU, (0.80, 0.81, 0.82)),
        (MAX_BETA, (0.84, 0.85, 0.86)),
        (TWIN, (0.81, 0.80, 0.81)),
        (TWICE, (0.70, 0.71, 0.70)),
        (SWISH, (0.90, 0.89, 0.91)),
        (TANH, (0.60, 0.60, 0.62)),
    ]:
        for seed, reward in enumerate(rewards):
            study.add(space.candidate(**choices), seed, Outcome(reward, "ok", 1, 1.0))
    return study


def test_one_function_and_its_twin_are_one_shape_and_its_multiple_is_another(study):
    found = {len(shape.entries): shape for shape in shapes.shapes(study, study.entries())}
    assert sorted(found) == [1, 3]
    relu = found[3]
    choices = {study.space.canonical(study.space.candidate(**c)) for c in (RELU, MAX_BETA, TWIN)}
    assert {study.space.canonical(one.candidate) for one in relu.entries} == choices
    assert relu.ranks == [2, 3, 4]
    assert relu.mean == pytest.approx(np.mean([one.mean for one in relu.entries]))
    gain = shapes.beta_gain(shapes.shapes(study, study.entries()))
    assert (gain.count, gain.mean) == (1, pytest.approx(0.84 - (0.80 + 0.81) / 2))


@pytest.mark.parametrize("is_shared", [False, True])
def test_the_mean_of_many_is_surer_than_each_unless_they_share_the_luck_of_a_seed(is_shared):
    space, random = SearchSpace(), np.random.default_rng(0)
    study, candidates = Study(space, {}), list(space.survey().candidates)
    members = collections.defaultdict(list)
    for candidate, number in zip(candidates, shapes.group(space, candidates), strict=True):
        members[number].append(candidate)
    large = [some[:9] for some in members.values() if len(some) >= 9][:8]
    for some in large:
        shared = random.normal(size=4)
        for candidate in some:
            for seed, own in enumerate(random.normal(size=4)):
                reward = 0.5 + 0.01 * (shared[seed] if is_shared else own)
                study.add(candidate, seed, Outcome(reward, "ok", 1, 1.0))
    found = shapes.shapes(study, study.entries())
    assert [len(shape.entries) for shape in found] == 8 * [9]
    of_one = np.mean([one.high - one.low for shape in found for one in shape.entries])
    of_all = np.mean([shape.high - shape.low for shape in found])
    assert of_all / of_one == pytest.approx(1 if is_shared else 1 / 3, rel=0.2)


def test_twins_are_compared_seed_by_seed_and_odd_functions_have_none(study):
    ((larger, other),) = shapes.twins(study.space, study.entries())
    assert larger.candidate == study.space.candidate(**RELU)
    assert other.candidate == study.space.candidate(**TWIN)
    gain = shapes.twin_gain([(larger, other)])
    assert gain.count == 3
    assert gain.mean == pytest.approx(np.mean([0.80 - 0.81, 0.81 - 0.80, 0.82 - 0.81]))
    assert gain.low < gain.mean < gain.high


def test_all_functions_of_one_unit_fall_into_shapes_as_they_should():
    space = SearchSpace()
    candidates = list(space.survey().candidates)
    numbers = shapes.group(space, candidates)
    by_formula = {str(space.formula(c)): n for c, n in zip(candidates, numbers, strict=True)}
    swish = by_formula["sigmoid(x) * x"]
    assert by_formula["sigmoid(beta * x) * x"] == swish
    assert by_formula["sigmoid(-x) * x"] == swish  # the twin
    assert by_formula["sigmoid(-x) * -x"] != swish  # f(-x), without the sign
    assert 1500 < len(set(numbers)) < 3358
