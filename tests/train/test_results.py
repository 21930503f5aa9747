import itertools
import math

import numpy as np
import pytest
from scipy import stats

from keras_swish.train import results


def row(activation, seed, accuracy):
    return {"activation": activation, "seed": seed, "test_accuracy": accuracy}


@pytest.mark.parametrize("seeds", [2, 3, 5, 8])
def test_p_is_the_share_of_sign_patterns_at_least_as_far_from_zero(seeds):
    random = np.random.default_rng(seeds)
    ours, theirs = random.normal(0.5, 1, (2, seeds))
    difference = ours - theirs
    patterns = np.array(list(itertools.product((1, -1), repeat=seeds)))
    means = np.abs((patterns * difference).mean(1))
    expected = np.mean(means >= abs(difference.mean()) - 1e-12)
    outcome = results.paired(ours, theirs)
    assert outcome.p == pytest.approx(expected)
    assert outcome.smallest_p == 2 / 2**seeds


def test_smallest_p_is_reached_when_all_seeds_agree():
    for seeds in (2, 3, 5, 10):
        ours = np.linspace(1, 2, seeds)
        outcome = results.paired(ours, np.zeros(seeds))
        assert outcome.p == pytest.approx(outcome.smallest_p)


def test_many_seeds_are_sampled_and_say_so():
    outcome = results.paired(np.linspace(1, 2, 20), np.zeros(20))
    assert outcome.smallest_p == 2 / (results.FLIPS + 1)
    assert outcome.p == pytest.approx(outcome.smallest_p)


def test_interval_is_that_of_the_paired_t_test():
    random = np.random.default_rng(0)
    ours, theirs = random.normal(size=(2, 6))
    interval = stats.ttest_rel(ours, theirs).confidence_interval(0.95)
    outcome = results.paired(ours, theirs)
    assert (outcome.low, outcome.high) == pytest.approx((interval.low, interval.high))


def test_one_seed_has_no_interval():
    outcome = results.paired(np.array([0.9]), np.array([0.8]))
    assert math.isnan(outcome.low)
    assert outcome.p == outcome.smallest_p == 1


def test_table_says_who_is_better_and_how_sure_that_is():
    rows = [row("relu", seed, 0.90 + 0.001 * seed) for seed in range(3)]
    rows += [row("swish", seed, 0.92 + 0.001 * seed + 0.0001 * (seed == 1)) for seed in range(3)]
    rows += [row("tanh", seed, 0.89 + 0.02 * (seed == 2)) for seed in range(3)]
    table = results.table(rows)
    relu, swish, tanh = table.splitlines()[2:5]
    assert relu.split("|")[1:7] == [
        " relu       ",
        " 90.10 ",
        " 0.10 ",
        " 90.00  ",
        " 90.10  ",
        " 90.20  ",
    ]
    assert "+2.00" in swish
    assert "0.25" in swish
    assert "swish is 2.00 points better than relu on average over 3 seeds: the interval" in table
    assert "so few seeds cannot settle it (p = 0.25; 3 seeds cannot give less than 0.25)" in table
    assert "tanh is 0.43 points worse than relu on average over 3 seeds: not settled" in table
    assert "-0.43" in tanh


def test_only_what_both_methods_say_is_settled():
    rows = [row("relu", seed, 0.90 + 0.001 * seed) for seed in range(8)]
    rows += [row("swish", seed, 0.92 + 0.0011 * seed) for seed in range(8)]
    assert "points better than relu on average over 8 seeds: settled at" in results.table(rows)


def test_no_difference_on_average_is_not_a_draw_that_is_settled():
    rows = [row("relu", 0, 0.5), row("relu", 1, 0.5), row("swish", 0, 0.55), row("swish", 1, 0.45)]
    assert "swish is as good as relu on average over 2 seeds: not settled (p = 1" in (
        results.table(rows)
    )


def test_only_seeds_of_both_are_compared():
    rows = [row("relu", 0, 0.5), row("relu", 1, 0.9), row("swish", 1, 0.8), row("swish", 2, 0.1)]
    assert results.comparisons(rows)["swish"].difference == pytest.approx(-10)
    assert "swish is 10.00 points worse than relu; one seed says nothing" in results.table(rows)


def test_diverged_runs_are_shown_and_not_averaged():
    rows = [row("relu", 0, 0.5), row("relu", 1, 0.6), row("exp", 0, None), row("exp", 1, 0.4)]
    table = results.table(rows)
    assert "diverged" in table
    assert results.comparisons(rows)["exp"].seeds == 1
    rows[3] = row("exp", 1, None)
    assert results.comparisons(rows)["exp"] is None
    assert "no seed in common" in results.table(rows)
