"""How sure the ranks of a search are: intervals of ranks, and functions of one shape together.

Candidates of one shape are the same function before their weights are trained, or mirror twins:
f(x) and -f(-x), which a network whose weights are drawn symmetrically about zero, and that has no
maximum pooling, cannot tell apart.
"""

import collections
import dataclasses
import itertools
import math
from typing import Any

import numpy as np
from scipy import sparse, stats
from scipy.spatial import KDTree

from keras_swish.search import Study
from keras_swish.search.child import OK
from keras_swish.search.space import Candidate, SearchSpace
from keras_swish.search.study import Entry

from . import statistics

# Where shapes are compared, and how far apart those of one may lie.
_POINTS, _TOLERANCE = 201, 1e-5


@dataclasses.dataclass(frozen=True)
class Shape:
    """Candidates of one shape.

    Attributes:
        entries: The candidates that were trained to the end, the best first.
        ranks: Their ranks.
        mean: Mean of their rewards, each weighted with its seeds that judge.
        low: Lower end of its 95% interval, which allows for the luck of a seed that its functions
            share; nan while the noise is not known.
        high: Its upper end.
        beta_gain: How much better those with weights are on average than those without, with the
            first seed; nan if there are not both.
    """

    entries: list[Entry]
    ranks: list[int]
    mean: float
    low: float
    high: float
    beta_gain: float


@dataclasses.dataclass(frozen=True)
class Gain:
    """A mean difference.

    Attributes:
        count: Of how many differences.
        mean: The mean of the differences.
        low: Lower end of its 95% interval; nan for one alone.
        high: Its upper end.
    """

    count: int
    mean: float
    low: float
    high: float


def rank_intervals(entries: list[Entry]) -> list[tuple[int, int] | None]:
    """Returns the 95% interval of each rank: between those better, and those worse than it.

    Another candidate is better, or worse, if the 95% interval of the difference is.

    Args:
        entries: As `Study.entries` returns them.

    Returns:
        The first and last rank; None where the mean has no interval.

    Source: Mogstad, Romano, Shaikh, Wilhelm 2024, "Inference for Ranks with Applications to
    Mobility across Neighbourhoods and Academic Achievement across Countries", section 3, each
    comparison at 95%.
    """
    known = [number for number, entry in enumerate(entries) if not math.isnan(entry.low)]
    means = np.array([entries[number].mean for number in known])
    halves = np.array([(entries[number].high - entries[number].low) / 2 for number in known])
    intervals: list[tuple[int, int] | None] = [None] * len(entries)
    # What has no interval did not get to the end: it comes after all others.
    last = len(known)
    for place, number in enumerate(known):
        width = np.hypot(halves, halves[place])
        better, worse = means - means[place] > width, means[place] - means > width
        intervals[number] = 1 + int(better.sum()), last - int(worse.sum())
    return intervals


def group(space: SearchSpace, candidates: list[Candidate]) -> list[int]:
    """Returns the number of each candidate's shape.

    Example:
        >>> from keras_swish.search import SearchSpace
        >>> from keras_swish.train.reporting import shapes
        >>> space = SearchSpace()
        >>> relu = space.candidate(u1="max(x,0)", u2="max(x,0)", b="max(x1,x2)")
        >>> trained = space.candidate(u1="beta*x", u2="max(x,0)", b="max(x1,x2)")
        >>> twin = space.candidate(u1="min(x,0)", u2="x", b="min(x1,x2)")
        >>> sine = space.candidate(u1="sin(x)", u2="sin(x)", b="max(x1,x2)")
        >>> shapes.group(space, [relu, sine, trained, twin])
        [0, 1, 0, 0]
    """
    if not candidates:
        return []
    both = np.stack(_signatures(space, candidates), axis=1)
    # Of a function and its twin the one that comes first, whichever the candidate is.
    first = np.lexsort(np.moveaxis(both.round(6), -1, 0)[::-1], axis=1)[:, 0]
    chosen = both[np.arange(len(candidates)), first]
    pairs = KDTree(chosen).query_pairs(_TOLERANCE, output_type="ndarray")
    size = (len(candidates), len(candidates))
    graph = sparse.coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), size)
    return sparse.csgraph.connected_components(graph, directed=False)[1].tolist()


def shapes(study: Study, entries: list[Entry]) -> list[Shape]:
    """Returns the shapes of the candidates that were trained to the end, the best first."""
    by_shape = collections.defaultdict(list)
    trained = [(rank, entry) for rank, entry in enumerate(entries, 1) if entry.status == OK]
    numbers = group(study.space, [entry.candidate for _, entry in trained])
    for number, one in zip(numbers, trained, strict=True):
        by_shape[number].append(one)
    alike = _likeness([[entry for _, entry in members] for members in by_shape.values()])
    found = [_shape(study, members, alike) for members in by_shape.values()]
    return sorted(found, key=lambda shape: -(shape.mean if math.isnan(shape.low) else shape.low))


def _likeness(members: list[list[Entry]]) -> float:
    """Returns how far the noise of one seed is the same for functions of one shape, from 0 to 1.

    They begin as one function, with the same weights and batches. It is the correlation over all
    pairs of functions of one shape; 1 where none of them has several seeds that judge.
    """
    judged = {
        entry.formula: {seed: entry.rewards[seed] for seed in sorted(entry.rewards)[1:]}
        for entry in itertools.chain(*members)
        if len(entry.rewards) > 2
    }
    centred = {
        formula: {seed: reward - np.mean([*rewards.values()]) for seed, reward in rewards.items()}
        for formula, rewards in judged.items()
    }
    by_seed = collections.defaultdict(list)
    for noise in centred.values():
        for seed, value in noise.items():
            by_seed[seed].append(value)
    # What a seed gives to all is no matter of shapes.
    effects = {seed: np.mean(values) for seed, values in by_seed.items()}
    products, squares = 0.0, 0.0
    for entries in members:
        known = [centred[entry.formula] for entry in entries if entry.formula in centred]
        for one, other in itertools.combinations(known, 2):
            for seed in one.keys() & other.keys():
                a, b = one[seed] - effects[seed], other[seed] - effects[seed]
                products, squares = products + a * b, squares + (a * a + b * b) / 2
    return float(np.clip(products / squares, 0, 1)) if squares > 1e-12 else 1.0


def _shape(study: Study, members: list[tuple[int, Entry]], alike: float) -> Shape:
    ranks, entries = ([*part] for part in zip(*members, strict=True))
    means = np.array([entry.mean for entry in entries])
    # The first seed judges where there is no other.
    seeds = np.array([max(1, len(entry.rewards) - 1) for entry in entries])
    halves = np.array([(entry.high - entry.low) / 2 for entry in entries])
    mean = float(np.average(means, weights=seeds))
    parts = seeds * halves / seeds.sum()
    half = math.sqrt((1 - alike) * np.sum(parts**2) + alike * np.sum(parts) ** 2)
    # Of the first seed, which all have: of the others those that it chose.
    first = np.array([_first_reward(entry) for entry in entries])
    has_betas = np.array([bool(study.space.betas(entry.candidate)) for entry in entries])
    gain = math.nan
    if has_betas.any() and not has_betas.all():
        gain = float(first[has_betas].mean() - first[~has_betas].mean())
    return Shape(entries, ranks, mean, mean - half, mean + half, gain)


def beta_gain(found: list[Shape]) -> Gain | None:
    """Returns what betas gain with the first seed, over the shapes with and without them."""
    return _gain([shape.beta_gain for shape in found if not math.isnan(shape.beta_gain)])


def twins(space: SearchSpace, entries: list[Entry]) -> list[tuple[Entry, Entry]]:
    """Returns the pairs of f(x) and -f(-x), of as many weights, that were trained to the end.

    First comes the one that is larger on average. An odd function is no twin of itself.
    """
    trained = [entry for entry in entries if entry.status == OK]
    if len(trained) < 2:
        return []
    candidates = [entry.candidate for entry in trained]
    own, mirrored = _signatures(space, candidates)
    means = np.arcsinh(_values(space, candidates)).mean(axis=1)
    betas = [len(space.betas(candidate)) for candidate in candidates]
    is_odd = np.abs(own - mirrored).max(axis=1) <= _TOLERANCE
    found = []
    for number, near in enumerate(KDTree(own).query_ball_point(mirrored, _TOLERANCE)):
        for other in near:
            if number < other and betas[number] == betas[other] and not is_odd[number]:
                pair = sorted((number, other), key=lambda place: -means[place])
                found.append((trained[pair[0]], trained[pair[1]]))
    return found


def twin_gain(pairs: list[tuple[Entry, Entry]]) -> Gain | None:
    """Returns by how much the larger of two twins is better, over the seeds that both have.

    All pairs share what a seed draws: seeds count, not pairs.
    """
    by_seed = collections.defaultdict(list)
    for larger, other in pairs:
        for seed in larger.rewards.keys() & other.rewards.keys():
            by_seed[seed].append(larger.rewards[seed] - other.rewards[seed])
    return _gain([float(np.mean(differences)) for _, differences in sorted(by_seed.items())])


def twin_agreement(pairs: list[tuple[Entry, Entry]]) -> float:
    """Returns the rank correlation of the first rewards of twins; nan for fewer than three."""
    if len(pairs) < 3:
        return math.nan
    rewards = [[_first_reward(a), _first_reward(b)] for a, b in pairs]
    outcome: Any = stats.spearmanr(rewards)  # SciPy's stubs leave its type open
    return float(outcome.statistic)


def _gain(differences: list[float]) -> Gain | None:
    if not differences:
        return None
    interval = statistics.interval(np.array(differences))
    return Gain(len(differences), float(np.mean(differences)), *interval)


def _first_reward(entry: Entry) -> float:
    return entry.rewards[min(entry.rewards)]


def _signatures(space: SearchSpace, candidates: list[Candidate]) -> tuple[np.ndarray, np.ndarray]:
    """Returns a few numbers of each function, and those of its mirror twin."""
    values = np.arcsinh(_values(space, candidates))
    projection = np.random.default_rng(0).normal(size=(_POINTS, 8)) / math.sqrt(_POINTS)
    return values @ projection, -values[:, ::-1] @ projection


def _values(space: SearchSpace, candidates: list[Candidate]) -> np.ndarray:
    low, high = space.interval
    x = np.linspace(-1, 1, _POINTS) * max(abs(low), abs(high))
    values, _ = space.values_at(candidates, x)
    return np.clip(np.nan_to_num(values), -1e30, 1e30)
