import itertools
import math

import numpy as np
import pytest
from scipy import stats

from keras_swish.models.paper_accuracies import CIFAR10, IMAGENET, SIGNS, SOFTPLUS_NOTE
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


@pytest.mark.parametrize(("seeds", "drawn"), [(20, False), (30, True)])
def test_many_seeds_are_drawn_and_say_so(seeds, drawn):
    outcome = statistics.paired(np.linspace(1, 2, seeds), np.zeros(seeds))
    assert outcome.smallest_p == (1 / (statistics.DRAWN + 1) if drawn else 2 / 2**seeds)
    assert outcome.p == outcome.smallest_p


def as_reported(counts, images):
    """Returns accuracies as Keras computes them: in float32, and here in percent."""
    return 100 * np.float64(np.float32(counts) / np.float32(images))


@pytest.mark.parametrize("images", [297, 1_797, 10_000, 50_000])
def test_ties_count_as_ties(images):
    """Exact enumeration in whole numbers of images, 250 cases with many equal sums."""
    random = np.random.default_rng(images)
    tied = 0
    for _ in range(250):
        seeds = int(random.integers(2, 9))
        ours, theirs = random.integers(0.8 * images, 0.8 * images + 5, (2, seeds))
        patterns = np.array(list(itertools.product((1, -1), repeat=seeds)))
        sums, observed = abs(patterns @ (ours - theirs)), abs((ours - theirs).sum())
        tied += np.count_nonzero(sums == observed) > 2
        outcome = statistics.paired(as_reported(ours, images), as_reported(theirs, images))
        assert outcome.p == np.mean(sums >= observed)
    assert tied > 100


@pytest.mark.filterwarnings("ignore:Precision loss")
@pytest.mark.parametrize("images", [297, 10_000])
def test_p_of_two_groups_is_the_share_of_splits(images):
    random = np.random.default_rng(images)
    for _ in range(250):
        n, m = map(int, random.integers(1, 6, 2))
        both = random.integers(0.8 * images, 0.8 * images + 5, n + m)
        ours, theirs = both[:n], both[n:]
        splits = [both[list(split)].sum() for split in itertools.combinations(range(n + m), n)]
        # All times n + m, so that the mean is a whole number too.
        distances = abs((n + m) * np.array(splits) - n * both.sum())
        expected = np.mean(distances >= abs((n + m) * ours.sum() - n * both.sum()))
        outcome = statistics.unpaired(as_reported(ours, images), as_reported(theirs, images))
        assert outcome.p == expected
        assert outcome.smallest_p <= outcome.p


def test_one_run_beside_many_keeps_no_subsets_of_the_many():
    many, one = np.linspace(1, 2, 30), np.array([1.9])
    outcome = statistics.unpaired(many, one)
    swapped = statistics.unpaired(one, many)
    assert outcome.p == swapped.p == 8 / 31  # itself, and those at least as far from the mean
    assert outcome.smallest_p == swapped.smallest_p == 1 / 31


def test_two_groups_have_welchs_interval():
    random = np.random.default_rng(0)
    ours, theirs = random.normal(size=12), 2 * random.normal(size=4)
    welch = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.95)
    outcome = statistics.unpaired(ours, theirs)
    assert (outcome.low, outcome.high) == pytest.approx((welch.low, welch.high))
    assert outcome.difference == pytest.approx(ours.mean() - theirs.mean())
    test = stats.permutation_test((ours, theirs), lambda a, b: np.mean(a) - np.mean(b))
    assert outcome.p == pytest.approx(test.pvalue, abs=0.02)


def test_two_large_groups_are_drawn_and_say_so():
    outcome = statistics.unpaired(np.linspace(1, 2, 20), np.linspace(3, 4, 15))
    assert outcome.p == outcome.smallest_p == 1 / (statistics.DRAWN + 1)
    same = statistics.unpaired(np.linspace(1, 2, 20), np.linspace(1, 2, 20))
    assert same.p == 1


@pytest.mark.parametrize(
    ("ours", "theirs", "message"),
    [
        ([], [], "`ours` must be a list of accuracies"),
        ([0.5, math.nan], [0.5, 0.6], "`ours` has no accuracy for seed 8"),
        ([0.5, 0.6], [0.5, math.inf], "`theirs` has no accuracy for seed 8"),
        ([0.5, 0.6], [0.5], "2 and 1 values"),
        ([[0.5]], [0.5], "`ours` must be a list of accuracies"),
    ],
)
def test_what_cannot_be_compared_is_refused(ours, theirs, message):
    with pytest.raises(ValueError, match=message):
        statistics.paired(ours, theirs, seeds=[7, 8])


@pytest.mark.parametrize(
    "seeds", [3, *(pytest.param(n, marks=pytest.mark.slow) for n in (10, 20, 50))]
)
@pytest.mark.parametrize("kind", ["normal", "skewed"])
def test_intervals_cover_the_mean_in_95_of_100_cases(seeds, kind):
    random = np.random.default_rng(seeds)
    if kind == "normal":
        values, mean = random.normal(size=(2000, seeds)), 0
    else:  # as accuracies are where a run now and then is much worse
        values, mean = -random.gamma(4, size=(2000, seeds)), -4
    ends = np.array([statistics.interval(row) for row in values])
    covered = np.mean((ends[:, 0] <= mean) & (mean <= ends[:, 1]))
    assert covered == pytest.approx(0.95, abs=0.012 if kind == "normal" else 0.035)


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


def test_the_sign_test_is_the_binomial_one():
    for better, worse in ((9, 0), (7, 1), (6, 0), (5, 4), (0, 3)):
        n = better + worse
        expected = sum(math.comb(n, k) for k in range(better, n + 1)) / 2**n
        assert statistics.sign_test(better, worse) == pytest.approx(expected)
    assert statistics.sign_test(0, 0) == 1


def test_the_papers_counts_for_softplus_do_not_follow_from_its_tables():
    networks = [*zip(CIFAR10["swish_beta"][1:], CIFAR10["softplus"][1:], strict=True)]
    for row in IMAGENET.values():
        networks.append(tuple(statistics.median(row[name]) for name in ("swish_beta", "softplus")))
    assert statistics.signs(*zip(*networks, strict=True)) == (4, 2, 2)
    assert "4 / 2 / 2" in SOFTPLUS_NOTE
    assert " / ".join(map(str, SIGNS["softplus"])) in SOFTPLUS_NOTE
