"""Statistics of numbers: which of two activations is better, and how sure that is."""

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from scipy import stats

# Of up to this many sign patterns or splits all are tried: 22 seeds in pairs, or two groups of 12.
EXACT = 2**22
# Beyond, as many are drawn.
DRAWN = 2**16


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A comparison of two activations.

    Attributes:
        seeds: How many seeds ours was trained with.
        baseline_seeds: How many the baseline was trained with.
        is_paired: Whether they were compared seed by seed, and not as two groups.
        mean: Mean of ours.
        baseline_mean: Mean of the baseline.
        difference: Mean of ours, less that of the baseline.
        low: Lower end of the 95% interval of the difference; nan for one seed.
        high: Its upper end.
        p: Two-sided p of the permutation test.
        smallest_p: The smallest p that this test can give with so few seeds.
        holm_p: p, corrected for all comparisons that were made with this one.
        smallest_holm_p: The smallest that this can be for the best of them.
    """

    seeds: int
    baseline_seeds: int
    is_paired: bool
    mean: float
    baseline_mean: float
    difference: float
    low: float
    high: float
    p: float
    smallest_p: float
    holm_p: float
    smallest_holm_p: float


def interval(values: np.ndarray) -> tuple[float, float]:
    """Returns the 95% interval of a mean, by Student's t.

    Not a bootstrap: of ten to fifty accuracies, one that is said to cover the mean in 95% of the
    cases does so in 88 to 94%.

    Args:
        values: `(n,)`; nan and nan for one alone.

    Example:
        >>> import numpy as np
        >>> from keras_swish.train.reporting import statistics
        >>> low, high = statistics.interval(np.array([0.1, 0.3]))
        >>> round(low, 2), round(high, 2)
        (-1.07, 1.47)
    """
    if len(values) == 1:
        return math.nan, math.nan
    if _is_constant(values):  # t would divide by a spread of zero
        return float(values[0]), float(values[0])
    mean = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    return float(mean.low), float(mean.high)


def paired(
    ours: Sequence[float] | np.ndarray,
    theirs: Sequence[float] | np.ndarray,
    seeds: Sequence[int] | None = None,
) -> Comparison:
    """Compares two activations, seed by seed.

    Under the null hypothesis each seed's difference could have had the other sign as well; p is
    the share of the sign patterns whose mean is at least as far from zero.

    Args:
        ours: Accuracies, `(seeds,)`. They are counts of images over their number, so that sums of
            them are often equal: what differs by no more than the rounding of float32 is equal.
        theirs: Accuracies of the baseline with the same seeds, `(seeds,)`.
        seeds: The seeds, for messages; by default 0, 1, and so on.

    Raises:
        ValueError: If there are no values, not as many of both, or one is not finite.

    Example:
        >>> import numpy as np
        >>> from keras_swish.train.reporting import statistics
        >>> outcome = statistics.paired(np.array([0.3, 0.4, 0.5]), np.array([0.1, 0.1, 0.1]))
        >>> round(outcome.difference, 2), outcome.p, outcome.smallest_p
        (0.3, 0.25, 0.25)
    """
    ours, theirs = _checked("ours", ours, seeds), _checked("theirs", theirs, seeds)
    if len(ours) != len(theirs):
        raise ValueError(
            "A paired comparison needs both activations with the same seeds (`unpaired` does not). "
            f"Received: {len(ours)} and {len(theirs)} values"
        )
    n, differences = len(ours), ours - theirs
    p = smallest = 1.0
    if n > 1:
        exact = 2**n <= EXACT
        sums = _signed_sums(differences) if exact else _drawn_signed_sums(differences)
        p = _share(np.abs(sums), abs(differences.sum()), _rounding(ours, theirs), exact)
        smallest = 2 / 2**n if exact else 1 / (DRAWN + 1)
    low, high = interval(differences)
    means = float(ours.mean()), float(theirs.mean()), float(differences.mean())
    return Comparison(n, n, True, *means, low, high, p, smallest, p, smallest)


def unpaired(
    ours: Sequence[float] | np.ndarray, theirs: Sequence[float] | np.ndarray
) -> Comparison:
    """Compares two activations that were trained with different seeds, or numbers of seeds.

    Under the null hypothesis each accuracy could have been that of the other activation as well; p
    is the share of the splits into groups of these sizes whose means are at least as far apart. The
    interval is Welch's.

    Args:
        ours: Accuracies, `(n,)`, equal within the rounding of float32 as for `paired`.
        theirs: Accuracies of the baseline, `(m,)`.

    Raises:
        ValueError: If there are no values of either, or one is not finite.

    Example:
        >>> from keras_swish.train.reporting import statistics
        >>> outcome = statistics.unpaired([0.3, 0.4, 0.5], [0.1, 0.2])
        >>> round(outcome.difference, 2), outcome.p
        (0.25, 0.2)
    """
    ours, theirs = _checked("ours", ours), _checked("theirs", theirs)
    n, m, difference = len(ours), len(theirs), float(ours.mean() - theirs.mean())
    means = float(ours.mean()), float(theirs.mean()), difference
    # The smaller group says where the other one is, and has far fewer subsets on the way.
    smaller, larger = sorted((ours, theirs), key=len)
    size, values, splits = len(smaller), np.concatenate([smaller, larger]), math.comb(n + m, n)
    exact = splits <= EXACT
    sums = _subset_sums(values, size) if exact else _drawn_subset_sums(values, size)
    # By how much the sum of the smaller is off what it would be with equal means.
    distances = np.abs(sums - size * values.mean())
    observed = abs(smaller.sum() - size * values.mean())
    p = _share(distances, observed, _rounding(ours, theirs), exact)
    # In groups of one size, the two names can be exchanged.
    smallest = (2 if n == m else 1) / splits if exact else 1 / (DRAWN + 1)
    low = high = math.nan
    if n > 1 and m > 1:
        low = high = difference
        if not (_is_constant(ours) and _is_constant(theirs)):
            welch: Any = stats.ttest_ind(ours, theirs, equal_var=False)
            ends = welch.confidence_interval(0.95)
            low, high = float(ends.low), float(ends.high)
    return Comparison(n, m, False, *means, low, high, p, smallest, p, smallest)


def _checked(name: str, values: Any, seeds: Sequence[int] | None = None) -> np.ndarray:
    """Returns the values as an array, which is not empty and finite."""
    array = np.asarray(values, float)
    if array.ndim != 1 or not len(array):
        raise ValueError(f"`{name}` must be a list of accuracies, one or more. Received: {values}")
    for number, value in enumerate(array):
        if not math.isfinite(value):
            seed = seeds[number] if seeds is not None else number
            raise ValueError(
                f"`{name}` has no accuracy for seed {seed} (a run that diverged?): leave the seed "
                f"out of both, and say so. Received: {value}"
            )
    return array


def _is_constant(values: np.ndarray) -> bool:
    return bool(np.ptp(values) <= np.finfo(np.float32).eps * np.abs(values).max())


def _rounding(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Returns how far two sums can lie apart that would be equal without rounding to float32."""
    largest = max(np.abs(ours).max(), np.abs(theirs).max())
    return float((len(ours) + len(theirs)) * np.finfo(np.float32).eps * largest)


def _share(sums: np.ndarray, observed: float, rounding: float, exact: bool) -> float:
    count = int(np.count_nonzero(sums >= observed - rounding))
    # What was observed is one of all, and has to be counted with those that are drawn.
    return count / len(sums) if exact else (count + 1) / (len(sums) + 1)


def _signed_sums(differences: np.ndarray) -> np.ndarray:
    """Returns the sum of the differences under every pattern of signs."""
    sums = np.zeros(1)
    for difference in differences:
        sums = np.concatenate([sums + difference, sums - difference])
    return sums


def _drawn_signed_sums(differences: np.ndarray) -> np.ndarray:
    random = np.random.default_rng(0)
    return random.choice([-1.0, 1.0], (DRAWN, len(differences))) @ differences


def _subset_sums(values: np.ndarray, size: int) -> np.ndarray:
    """Returns the sum of every subset of a size."""
    by_size = [np.zeros(1), *[np.zeros(0)] * size]
    for value in values:
        for larger in range(size, 0, -1):
            by_size[larger] = np.concatenate([by_size[larger], by_size[larger - 1] + value])
    return by_size[size]


def _drawn_subset_sums(values: np.ndarray, size: int) -> np.ndarray:
    random = np.random.default_rng(0)
    return random.permuted(np.tile(values, (DRAWN, 1)), axis=1)[:, :size].sum(1)


def holm(p: Sequence[float]) -> list[float]:
    """Corrects the p of as many comparisons, so that in 5% of the cases one of them or more errs.

    Source: Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure".

    Example:
        >>> from keras_swish.train.reporting import statistics
        >>> statistics.holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    order = np.argsort(p, kind="stable")
    scaled = np.asarray(p)[order] * np.arange(len(p), 0, -1)
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(1, np.maximum.accumulate(scaled))
    return corrected.tolist()


def median(values: Iterable[float]) -> float:
    """Returns the median, with those that diverged (nan) as the worst; -inf if it is one of them.

    Example:
        >>> import math
        >>> from keras_swish.train.reporting import statistics
        >>> statistics.median([1.0, math.nan, 3.0])
        1.0
    """
    return float(np.median([value if math.isfinite(value) else -math.inf for value in values]))


def signs(ours: Sequence[float], theirs: Sequence[float]) -> tuple[int, int, int]:
    """Counts how often ours is better, equal and worse; one that diverged (nan) is the worst.

    Example:
        >>> from keras_swish.train.reporting import statistics
        >>> statistics.signs([1.0, 2.0, 3.0], [0.0, 2.0, 2.0])
        (2, 1, 0)
    """
    pairs = np.nan_to_num(np.array([ours, theirs], float), nan=-np.inf, neginf=-np.inf)
    better, worse = pairs[0] > pairs[1], pairs[0] < pairs[1]
    return int(better.sum()), int((~better & ~worse).sum()), int(worse.sum())


def sign_test(better: int, worse: int) -> float:
    """Returns the one-sided p of the sign test: that ours is better no more often than worse.

    Args:
        better: On how many networks ours is better; those on which both are equal do not count.
        worse: On how many it is worse.

    Source: Ramachandran et al. 2017, the text next to Table 3, which tests Swish against each
    baseline in this way.

    Example:
        >>> from keras_swish.train.reporting import statistics
        >>> statistics.sign_test(9, 0)
        0.001953125
    """
    if better + worse == 0:
        return 1.0
    return float(stats.binomtest(better, better + worse, alternative="greater").pvalue)
