import itertools
import json
import math

import numpy as np
import pytest
from scipy import stats

from keras_swish.train.reporting import statistics


def row(activation, seed, accuracy, model="resnet8", rate=0.1, validation=0.5):
    return {
        "model": model,
        "learning_rate": rate,
        "activation": activation,
        "seed": seed,
        "test_accuracy": accuracy,
        "validation_accuracy": validation,
    }


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


def test_comparisons_are_corrected_together():
    rows = [row("relu", seed, 0.5) for seed in range(6)]
    rows += [row("swish", seed, 0.6 + 0.01 * seed) for seed in range(6)]
    rows += [row("elu", seed, 0.5 + 0.01 * (-1) ** seed) for seed in range(6)]
    found = statistics.comparisons(rows)["relu"]
    assert found["swish"].p == 2 / 2**6
    assert found["swish"].holm_p == 2 * found["swish"].p == found["swish"].smallest_holm_p
    assert found["elu"].holm_p == 1


def test_two_baselines_are_corrected_as_one():
    rows = [row("relu", seed, 0.5) for seed in range(6)]
    rows += [row("swish", seed, 0.6 + 0.01 * seed) for seed in range(6)]
    rows += [row("elu", seed, 0.8 + 0.01 * seed**2) for seed in range(6)]
    found = statistics.comparisons(rows, 2)
    assert {name: list(own) for name, own in found.items()} == {
        "relu": ["swish", "elu"],
        "swish": ["elu"],
    }
    assert found["swish"]["elu"].difference == pytest.approx(100 * (0.2 + 0.2 / 3), abs=0.1)
    assert found["swish"]["elu"].holm_p == pytest.approx(3 * 2 / 2**6)


def test_only_seeds_of_both_are_compared():
    rows = [row("relu", 0, 0.5), row("relu", 1, 0.9), row("swish", 1, 0.8), row("swish", 2, 0.1)]
    assert statistics.comparisons(rows)["relu"]["swish"].difference == pytest.approx(-10)


def test_runs_that_diverged_are_not_compared():
    rows = [row("relu", 0, 0.5), row("relu", 1, 0.6), row("exp", 0, None), row("exp", 1, 0.4)]
    assert statistics.comparisons(rows)["relu"]["exp"].seeds == 1
    rows[3] = row("exp", 1, None)
    assert statistics.comparisons(rows)["relu"]["exp"] is None


def test_a_run_that_diverged_is_the_worst_in_median_and_signs():
    assert statistics.median([1.0, math.nan, 3.0]) == 1.0
    assert statistics.median([math.nan, math.nan, 3.0]) == -math.inf
    assert statistics.signs([1, 2, math.nan, 3, math.nan], [0, 2, 1, math.nan, math.nan]) == (
        2,
        2,
        1,
    )


def test_the_learning_rate_is_chosen_by_validation_and_not_by_test():
    rows = [
        row("relu", 0, 0.9, rate=0.1, validation=0.5),
        row("relu", 0, 0.1, rate=0.2, validation=0.6),
        row("swish", 0, 0.1, rate=0.1, validation=0.6),
        row("swish", 0, 0.9, rate=0.2, validation=0.6),
        row("exp", 0, 0.1, rate=0.1, validation=0.1),
        row("exp", 0, None, rate=0.2, validation=None),
    ]
    assert statistics.choose_learning_rates(rows) == {
        ("resnet8", "relu"): 0.2,
        ("resnet8", "swish"): 0.1,
        ("resnet8", "exp"): 0.1,
    }


def test_the_seeds_that_only_the_best_has_do_not_unseat_it():
    rows = [
        row("relu", 0, 0.5, rate=0.1, validation=0.5),
        row("relu", 0, 0.5, rate=0.2, validation=0.6),
        row("relu", 1, 0.5, rate=0.2, validation=0.1),
    ]
    assert statistics.choose_learning_rates(rows) == {("resnet8", "relu"): 0.2}


def write_runs(out, rows, **settled):
    """Writes a folder of finished runs, with what its config.json settles for all."""
    settled = {"recipe": {}} | settled
    out.mkdir()
    (out / "config.json").write_text(json.dumps({"config": settled, "starts": []}))
    for number, one in enumerate(rows):
        (out / f"runs/{number}").mkdir(parents=True)
        (out / f"runs/{number}/result.json").write_text(json.dumps(one))


def test_runs_come_in_the_order_asked_for_then_as_before_then_by_name(tmp_path):
    names = ["gelu", "swish", "relu", "elu", "selu"]
    write_runs(tmp_path / "out", [row(name, seed, 0.5) for seed in (1, 0) for name in names])
    (tmp_path / "out/results.csv").write_text("activation\nswish\ngelu\nrelu\n")
    rows = statistics.read_runs(tmp_path / "out", {"activation": ["relu"]})
    assert [row["activation"] for row in rows[::2]] == ["relu", "swish", "gelu", "elu", "selu"]
    assert [row["seed"] for row in rows[:2]] == [0, 1]


def test_a_folder_from_before_networks_were_compared_is_read(tmp_path):
    old = {k: v for k, v in row("relu", 0, 0.5).items() if k not in ("model", "learning_rate")}
    new = row("relu", 0, 0.5, model="resnet14", rate=0.2)
    write_runs(tmp_path / "out", [old, new], model="resnet20", recipe={"learning_rate": 0.1})
    rows = statistics.read_runs(tmp_path / "out", {"model": ["resnet20"]})
    assert [(row["model"], row["learning_rate"]) for row in rows] == [
        ("resnet20", 0.1),
        ("resnet14", 0.2),
    ]


def test_folders_of_runs_are_readable_and_never_the_same():
    assert statistics.slug("swish_beta", 3) == "swish_beta-seed3"
    formulas = ["x * sin(x)", "x + sin(x)", "x*sin(x)", "x_sin_x"]
    slugs = [statistics.slug(formula, 0) for formula in formulas]
    assert len(set(slugs)) == 4
    assert slugs[0].startswith("x_sin_x-")
