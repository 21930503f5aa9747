"""What a Gaussian process over the shape of functions believes of a study, whatever found it."""

import copy
import dataclasses
import math
from typing import Any

import numpy as np
from scipy import linalg, stats

from keras_swish.search.algorithms.surrogate import (
    LENGTH,
    NOISE,
    kernel,
    median_distance,
    normal_scores,
    shape_features,
)
from keras_swish.search.space import Candidate, SearchSpace
from keras_swish.search.study import Entry, Study

# Of how many rewards the process knows at most, spread over all ranks; and of a space that cannot
# be listed, how many functions it is asked about.
KNOWN, DRAWN = 1500, 2048


@dataclasses.dataclass(frozen=True)
class Belief:
    """What the process believes.

    Attributes:
        found: The rewards that it knows.
        predicted: What it predicts of each from all the others.
        correlation: The rank correlation of the two.
        upper_correlation: That among the best quarter of what was found.
        untrained: Functions that were not trained, with the reward that it predicts and the ends
            of its 95% interval, the best first.
        asked: Of how many untrained functions.
    """

    found: np.ndarray
    predicted: np.ndarray
    correlation: float
    upper_correlation: float
    untrained: list[tuple[Candidate, float, float, float]]
    asked: int


def believe(study: Study, entries: list[Entry], count: int = 10) -> Belief | None:
    """Returns what the process believes of a study; None of fewer than ten candidates.

    It knows normal scores of the ranked rewards, as the algorithm `surrogate` does; what it
    predicts is given as the reward that has such a rank here.

    Args:
        study: The study.
        entries: Its candidates, as `Study.entries` returns them.
        count: How many untrained functions are wanted.
    """
    if len(entries) < 10:
        return None
    places = np.linspace(0, len(entries) - 1, min(KNOWN, len(entries))).astype(int)
    known = [entries[place] for place in np.unique(places)]
    found = np.array([entry.mean for entry in known])
    scores = normal_scores(stats.rankdata(found))
    features = shape_features(study.space, [entry.candidate for entry in known])
    unit = LENGTH * median_distance(features)
    covariance = kernel(features, features, unit) + NOISE * np.eye(len(known))
    inverse = linalg.inv(covariance)
    weights = inverse @ scores
    # Rasmussen and Williams 2006, "Gaussian Processes for Machine Learning", equation 5.12.
    predicted = scores - weights / np.diag(inverse)
    asked = _untrained(study.space, entries)
    untrained = []
    if asked:
        across = kernel(shape_features(study.space, asked), features, unit)
        means = across @ weights
        variances = np.maximum(1 - ((across @ inverse) * across).sum(axis=1), 0)
        for place in np.argsort(-means, kind="stable")[:count]:
            ends = means[place] + np.sqrt(variances[place]) * np.array([0, -1.96, 1.96])
            mean, low, high = _as_rewards(ends, found)
            untrained.append((asked[place], float(mean), float(low), float(high)))
    upper = found >= np.quantile(found, 0.75)
    return Belief(
        found,
        _as_rewards(predicted, found),
        _rank_correlation(predicted, found),
        _rank_correlation(predicted[upper], found[upper]),
        untrained,
        len(asked),
    )


def _rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return math.nan
    outcome: Any = stats.spearmanr(a, b)  # SciPy's stubs leave its type open
    return float(outcome.statistic)


def _as_rewards(scores: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Returns the rewards that have these normal scores among those found."""
    return np.quantile(found, stats.norm.cdf(scores))


def _untrained(space: SearchSpace, entries: list[Entry]) -> list[Candidate]:
    """Returns functions that are not among the entries: all, or random ones and mutants."""
    trained = {entry.candidate for entry in entries}
    if space.core_units == 1:
        return [c for c in space.survey().candidates if c not in trained]
    # A copy: in spaces too large to survey, asking for a function would take note of it.
    space = copy.copy(space)
    space.recall(list(trained))
    random, best = np.random.default_rng(0), entries[: max(1, len(entries) // 10)]
    drawn = [space.sample(random) for _ in range(DRAWN // 2)]
    for _ in range(DRAWN // 2):
        drawn.append(space.mutate(best[random.integers(len(best))].candidate, random))
    fit = [space.canonical(c) for c in drawn if space.reason(c) is None]
    return [candidate for candidate in dict.fromkeys(fit) if candidate not in trained]
