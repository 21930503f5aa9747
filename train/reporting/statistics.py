"""Statistics of numbers: which of two activations is better, and how sure that is."""

import dataclasses
import math
from collections.abc import Iterable, Sequence

import numpy as np
from scipy import stats

# All sign flips are tried up to this many; beyond, as many are drawn.
FLIPS = 2**16
# From this many seeds on, intervals are bootstrapped: below, too few values are drawn again.
BOOTSTRAP = 10


@dataclasses.dataclass(frozen=True)
class Paired:
    """A comparison of two activations over the seeds that both were trained with.

    Attributes:
        seeds: How many seeds.
        difference: Mean of the differences.
        low: Lower end of the 95% interval of the mean difference; nan for one seed.
        high: Its upper end.
        p: Two-sided p of the paired sign-flip permutation test.
        smallest_p: The smallest p that this test can give with so few seeds.
        holm_p: p, corrected for all comparisons that were made with this one.
        smallest_holm_p: The smallest that this can be for the best of them.
    """

    seeds: int
    difference: float
    low: float
    high: float
    p: float
    smallest_p: float
    holm_p: float
    smallest_holm_p: float


def interval(values: np.ndarray) -> tuple[float, float]:
    """Returns the 95% interval of a mean: Student's t, from ten values on the BCa bootstrap.

    Args:
        values: `(n,)`; nan and nan for one alone.

    Source: Efron 1987, "Better Bootstrap Confidence Intervals", for the latter.

    Example:
        >>> import numpy as np
        >>> from keras_swish.train.reporting import statistics
        >>> low, high = statistics.interval(np.array([0.1, 0.3]))
        >>> round(low, 2), round(high, 2)
        (-1.07, 1.47)
    """
    if len(values) == 1:
        return math.nan, math.nan
    if np.ptp(values) == 0:  # neither method divides by a spread of zero
        return float(values[0]), float(values[0])
    if len(values) < BOOTSTRAP:
        mean = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    else:
        random = np.random.default_rng(0)
        mean = stats.bootstrap((values,), np.mean, method="BCa", rng=random).confidence_interval
    return float(mean.low), float(mean.high)


def paired(ours: np.ndarray, theirs: np.ndarray) -> Paired:
    """Compares two activations, seed by seed.

    Under the null hypothesis each seed's difference could have had the other sign as well; p is
    the share of the sign patterns whose mean is at least as far from zero.

    Args:
        ours: Accuracies, `(seeds,)`.
        theirs: Accuracies of the baseline with the same seeds, `(seeds,)`.

    Example:
        >>> import numpy as np
        >>> from keras_swish.train.reporting import statistics
        >>> outcome = statistics.paired(np.array([0.3, 0.4, 0.5]), np.array([0.1, 0.1, 0.1]))
        >>> round(outcome.difference, 2), outcome.p, outcome.smallest_p
        (0.3, 0.25, 0.25)
    """
    differences = np.asarray(ours, float) - np.asarray(theirs, float)
    n = len(differences)
    p = smallest = 1.0
    if n > 1:
        test = stats.permutation_test(
            (differences,),
            np.mean,
            permutation_type="samples",
            vectorized=True,
            n_resamples=FLIPS,
            rng=np.random.default_rng(0),
        )
        p, smallest = float(test.pvalue), 2 / 2**n if 2**n <= FLIPS else 2 / (FLIPS + 1)
    low, high = interval(differences)
    return Paired(n, float(differences.mean()), low, high, p, smallest, p, smallest)


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
