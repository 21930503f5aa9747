import itertools
import math

import numpy as np
import pytest
from scipy import stats

from keras_swish.train.reporting import statistics


@pytest.mark.parametrize("seeds", [2, 3, 5, 8])
def test_p_is_the_share_of_sign_patterns_at_least_as_far_from_zero(seeds):
    random = np.random.default_rng(seeds)
    ours, theirs = random.normal(0.5, 1, (2, seeds))
    difference = ours - theirs
    patterns = np.array(list(itertools.product((1, -1), repeat=seeds)))
    means = np.abs((patterns * difference).mean(1))
    expected = np.mean(means >= abs(difference.mean()) - 1e-12)
    outcome = statistics.paired(ours, theirs)
    assert outcome.p == pytest.approx(expected)
    assert outcome.smallest_p == 2 / 2**seeds


def test_smallest_p_is_reached_when_all_seeds_agree():
    for seeds in (2, 3, 5, 10):
        ours = np.linspace(1, 2, seeds)
        outcome = statistics.paired(ours, np.zeros(seeds))
        assert outcome.p == pytest.approx(outcome.smallest_p)


def test_many_seeds_are_sampled_and_say_so():
    outcome = statistics.paired(np.linspace(1, 2, 20), np.zeros(20))
    assert outcome.smallest_p == 2 / (statistics.FLIPS + 1)
    assert outcome.p == pytest.approx(outcome.smallest_p)


def test_interval_is_that_of_the_paired_t_test():
    random = np.random.default_rng(0)
    ours, theirs = random.normal(size=(2, 6))
    interval = stats.ttest_rel(ours, theirs).confidence_interval(0.95)
    outcome = statistics.paired(ours, theirs)
    assert (outcome.low, outcome.high) == pytest.approx((interval.low, interval.high))


def test_one_seed_has_no_interval():
    outcome = statistics.paired(np.array([0.9]), np.array([0.8]))
    assert math.isnan(outcome.low)
    assert outcome.p == outcome.smallest_p == 1


def test_ten_seeds_get_the_bca_bootstrap():
    values = np.random.default_rng(0).exponential(size=10)
    low, high = statistics.interval(values)
    # Efron's formula, step by step: bias and acceleration move the percentiles.
    drawn = np.random.default_rng(1).choice(values, (100_000, 10)).mean(1)
    bias = stats.norm.ppf((drawn < values.mean()).mean())
    without = np.array([np.delete(values, i).mean() for i in range(10)])
    spread = without.mean() - without
    acceleration = (spread**3).sum() / (6 * (spread**2).sum() ** 1.5)
    moved = bias + stats.norm.ppf([0.025, 0.975])
    ends = np.quantile(drawn, stats.norm.cdf(bias + moved / (1 - acceleration * moved)))
    assert (low, high) == pytest.approx(tuple(ends), abs=0.05)
    t = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (low, high) != pytest.approx((t.low, t.high), abs=0.2)


@pytest.mark.parametrize("seeds", [2, 12])
def test_equal_differences_have_an_interval_without_width(seeds):
    assert statistics.interval(np.full(seeds, 0.25)) == (0.25, 0.25)


def test_holm_is_that_of_the_books():
    # Holm 1979: the smallest p times m, the next times m - 1, never falling, at most one.
    assert statistics.holm([0.01, 0.02, 0.03, 0.04]) == pytest.approx([0.04, 0.06, 0.06, 0.06])
    assert statistics.holm([0.9, 0.001, 0.6]) == pytest.approx([1, 0.003, 1])
    assert statistics.holm([0.2]) == [0.2]
    assert statistics.holm([]) == []


def test_holm_is_that_of_statsmodels():
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    random = np.random.default_rng(0)
    for n in (1, 2, 7, 30):
        p = random.random(n) ** 3
        assert statistics.holm(list(p)) == pytest.approx(
            multitest.multipletests(p, method="holm")[1]
        )


def test_a_run_that_diverged_is_the_worst_in_median_and_signs():
    assert statistics.median([1.0, math.nan, 3.0]) == 1.0
    assert statistics.median([math.nan, math.nan, 3.0]) == -math.inf
    assert statistics.signs([1, 2, math.nan, 3, math.nan], [0, 2, 1, math.nan, math.nan]) == (
        2,
        2,
        1,
    )
