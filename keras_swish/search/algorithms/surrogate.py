"""Bayesian optimisation over the shape of functions.

The paper's controller sees symbols; what a network notices is the function. A Gaussian process
predicts the reward of a candidate from its values and slopes where pre-activations lie, and the
candidate with the highest upper confidence bound is tried next.

Sources: Srinivas et al., "Gaussian Process Optimization in the Bandit Setting", 2010, algorithm 1;
Ginsbourger, Le Riche, Carraro, "Kriging is Well-Suited to Parallelize Optimization", 2010, section
4.2, for candidates in training, whose prediction stands in for their reward.
"""

import copy
import functools

import numpy as np
from scipy import linalg, stats

from keras_swish.search.algorithms import Algorithm, Proposal, no_functions
from keras_swish.search.space import Candidate, SearchSpace

# Where functions are compared: at quantiles of a normal distribution, somewhat wider than the
# pre-activations behind batch normalisation.
QUANTILES, WIDTH = 32, 1.4
# How much of the mean value is taken off: batch normalisation of the next layer takes it off too.
CENTRED = 0.7
# What a trainable beta adds to the distance of two functions.
BETA_WEIGHT = 0.7
# The process's kernel length, as a share of the median distance of two functions, and the variance
# of the noise of a normal score.
LENGTH, NOISE = 0.2, 0.2
# Steeper and larger than this, functions are alike.
_LARGEST = 1e9
# Of the candidates of a space that cannot be listed: how many are ranked, how many of them are
# replaced at each proposal, which share of the known ones is mutated, and how many that were looked
# at are remembered.
_POOL, _FRESH, _PARENTS, _REMEMBERED = 2048, 64, 0.1, 1 << 16
# Random candidates in a row that bring nothing new, after which a space is taken for smaller than
# the pool.
_PATIENCE = 10_000
# The most observations that the process has; time and memory grow with their square. When there are
# as many, it keeps a part of them: half of those the best, the others spread over all ranks.
MOST, _KEPT = 2048, 1024


def shape_features(space: SearchSpace, candidates: list[Candidate]) -> np.ndarray:
    """Returns what the surrogate knows of candidates: their shape.

    f and -f are nearly the same network, so each is taken with the sign that rises on average.

    Args:
        space: The space of the candidates.
        candidates: The candidates.

    Returns:
        An array `(candidates, features)` of float64: arcsinh of the values, then of the slopes,
        each at `QUANTILES` points; the largest magnitude; the number of betas.

    Example:
        >>> import numpy as np
        >>> from keras_swish.search import SearchSpace
        >>> from keras_swish.search.algorithms.surrogate import shape_features
        >>> space = SearchSpace()
        >>> relu = space.candidate(u1="max(x,0)", u2="max(x,0)", b="max(x1,x2)")
        >>> other = space.candidate(u1="min(x,0)", u2="min(x,0)", b="x1+x2")
        >>> shape_features(space, [relu, other]).shape
        (2, 66)
    """
    x = WIDTH * stats.norm.ppf((np.arange(QUANTILES) + 0.5) / QUANTILES)
    values, slopes = space.values_at(candidates, x)
    values, slopes = (
        np.clip(np.nan_to_num(part, nan=_LARGEST), -_LARGEST, _LARGEST) for part in (values, slopes)
    )
    sign = np.where(slopes.mean(axis=1) < 0, -1.0, 1.0)[:, None]
    values, slopes = sign * values, sign * slopes
    magnitude = np.clip(np.arcsinh(np.abs(values).max(axis=1)), 0, 8) / 3
    values = values - CENTRED * values.mean(axis=1, keepdims=True)
    betas = np.array([len(space.betas(candidate)) for candidate in candidates])
    scale = 2 / np.sqrt(QUANTILES)
    return np.column_stack(
        [scale * np.arcsinh(values), scale * np.arcsinh(slopes), magnitude, BETA_WEIGHT * betas]
    )


@functools.lru_cache(maxsize=2)
def _all_features(space: SearchSpace) -> tuple[tuple[Candidate, ...], np.ndarray]:
    """Returns all functions of a space of one unit, and their features, which take a second."""
    candidates = space.survey().candidates
    return candidates, shape_features(space, list(candidates))


class GaussianProcess:
    """A Gaussian process whose observations come one by one, and which is asked at a fixed pool.

    scikit-learn's starts again with each observation: a second at 2,000 of them. Here a row is
    appended to the Cholesky factor and to its solution at the pool.

    Args:
        pool: Features of the candidates that may be asked about, `(candidates, features)`.
        length: Length of the Matern 3/2 kernel, as a share of the median distance in the pool.
        noise: Variance of the noise of an observation, where that of the function is 1.
    """

    def __init__(self, pool: np.ndarray, length: float, noise: float):
        self.pool, self.noise = pool, noise
        self._unit = length * median_distance(pool)
        self._observed = np.empty((0, pool.shape[1]))
        self._factor = np.empty((64, 64))
        self._solved = np.empty((64, len(pool)))
        self.variance = np.ones(len(pool))

    def __len__(self) -> int:
        return len(self._observed)

    def observe(self, index: int) -> None:
        """Adds an observation at a candidate of the pool; its value is given to `mean`."""
        count = len(self)
        if count == len(self._factor):
            self._factor = np.pad(self._factor, (0, count))
            self._solved = np.pad(self._solved, ((0, count), (0, 0)))
        row = self._solved[:count, index].copy()
        diagonal = np.sqrt(max(1 + self.noise - row @ row, self.noise / 2))
        self._factor[count, :count], self._factor[count, count] = row, diagonal
        solved = self._kernel(self.pool[index][None])[0] - row @ self._solved[:count]
        self._solved[count] = solved / diagonal
        self.variance = np.maximum(self.variance - self._solved[count] ** 2, 1e-9)
        self._observed = np.append(self._observed, self.pool[index][None], axis=0)

    def mean(self, values: np.ndarray, indices: np.ndarray | None = None) -> np.ndarray:
        """Returns the mean at the pool, given the values of all observations in their order.

        Args:
            values: The values, `(observations,)`.
            indices: Where in the pool; by default everywhere.
        """
        weights = self._solve(values)
        solved = self._solved[: len(self)]
        return weights @ (solved if indices is None else solved[:, indices])

    def keep(self, observations: np.ndarray) -> None:
        """Forgets all observations but these.

        Args:
            observations: Their numbers, in the order in which they are to be.
        """
        self._observed = self._observed[observations]
        count = len(self)
        covariance = self._kernel(self._observed, self._observed) + self.noise * np.eye(count)
        self._factor[:count, :count] = linalg.cholesky(covariance, lower=True)
        self._solved[:count] = self._solve(self._kernel(self._observed))
        self.variance = np.maximum(1 - (self._solved[:count] ** 2).sum(axis=0), 1e-9)

    def replace(self, indices: np.ndarray, features: np.ndarray) -> None:
        """Puts other candidates into the pool."""
        count = len(self)
        self.pool[indices] = features
        self._solved[:count, indices] = self._solve(self._kernel(self._observed, features))
        self.variance[indices] = np.maximum(
            1 - (self._solved[:count, indices] ** 2).sum(axis=0), 1e-9
        )

    def _solve(self, right: np.ndarray) -> np.ndarray:
        count = len(self)
        return linalg.solve_triangular(
            self._factor[:count, :count], right, lower=True, check_finite=False
        )

    def _kernel(self, first: np.ndarray, second: np.ndarray | None = None) -> np.ndarray:
        return kernel(first, self.pool if second is None else second, self._unit)


def kernel(first: np.ndarray, second: np.ndarray, unit: float) -> np.ndarray:
    """Returns the Matern 3/2 kernel of two sets of features.

    Args:
        first: `(n, features)`.
        second: `(m, features)`.
        unit: Its length.

    Returns:
        An array `(n, m)`.
    """
    scaled = np.sqrt(3) / unit * _distances(first, second)
    return (1 + scaled) * np.exp(-scaled)


def median_distance(features: np.ndarray) -> float:
    """Returns the median distance of some of the features, `(n, features)`."""
    sample = features[np.random.default_rng(0).permutation(len(features))[:512]]
    distances = _distances(sample, sample)[np.triu_indices(len(sample), 1)]
    return float(np.median(distances) if len(distances) else 1.0) or 1.0


def normal_scores(ranks: np.ndarray) -> np.ndarray:
    """Returns what a standard normal distribution has at these ranks, counted from 1.

    Example:
        >>> import numpy as np
        >>> from keras_swish.search.algorithms.surrogate import normal_scores
        >>> normal_scores(np.array([1, 2, 3])).round(2).tolist()
        [-0.97, 0.0, 0.97]
    """
    return stats.norm.ppf((ranks - 0.5) / len(ranks))


def _distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    squares = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1) - 2 * first @ second.T
    return np.sqrt(np.maximum(squares, 0))


class Surrogate(Algorithm):
    """Proposes the candidate with the highest upper confidence bound of a Gaussian process.

    The process predicts the normal scores of the ranked rewards, so that only their order counts.
    A candidate in training counts as what was predicted of it, so that many workers can ask.

    In a space of one core unit all its functions are ranked at each proposal; larger ones cannot be
    listed, and a pool of random candidates and mutants of the best is.

    Of more than `MOST` proposals the process knows a part: the best, and of the others some of each
    rank. None is proposed again.

    Args:
        space: The search space.
        seed: Seed of all that is random in it.
        initial: How many candidates are drawn at random before the process is asked.
        kappa: How many standard deviations the upper confidence bound lies above the mean.
        length: Length of the process's kernel, as a share of the median distance of two functions.
        noise: Variance of the noise of a normal score.

    Raises:
        ValueError: If an argument is out of range, or no candidate of the space can be an
            activation.
    """

    def __init__(
        self,
        space: SearchSpace,
        seed: int = 0,
        initial: int = 32,
        kappa: float = 0.5,
        length: float = LENGTH,
        noise: float = NOISE,
    ):
        super().__init__(space, seed)
        if initial < 1:
            raise ValueError(f"`initial` must be positive. Received: initial={initial}")
        for name, value in (("kappa", kappa), ("length", length), ("noise", noise)):
            if not 0 < value < np.inf:
                raise ValueError(f"`{name}` must be positive. Received: {name}={value}")
        self.initial, self.kappa = initial, kappa
        # The candidates that were proposed, in that order, with what was predicted of each; and
        # those of them that the process has observed.
        self._proposed: dict[Candidate, float] = {}
        self._observed: list[Candidate] = []
        self._rewards: dict[Candidate, float] = {}
        # What tells candidates apart in the pool. Its own: what others ask of a space would change
        # what this proposes.
        self._looked, self._count_looked = copy.copy(space), 0
        if space.core_units == 1:
            everything, features = _all_features(space)
            order = self.random.permutation(len(everything))
            self._pool, features = [everything[i] for i in order], features[order]
        else:
            self._pool, idle = [], 0
            while (missing := _POOL - len(self._pool)) and idle < _PATIENCE:
                fresh = self._fresh([], missing)
                self._pool += fresh
                idle = 0 if fresh else idle + missing
            if not self._pool:
                raise no_functions(space)
            features = shape_features(space, self._pool)
        self._process = GaussianProcess(features, length, noise)
        self._is_open = np.ones(len(self._pool), bool)

    def ask(self) -> Proposal | None:
        """Returns the candidate of the pool that promises most, or a random one at first."""
        if not self._is_open.any():
            return None
        if len(self._proposed) < self.initial:
            # The pool lies in a random order.
            index, predicted = int(self._is_open.argmax()), 0.0
        else:
            scores = self._scores()
            mean = self._process.mean(scores)
            if self.space.core_units > 1:
                fresh = self._renew_pool(self._bound(mean))
                mean[fresh] = self._process.mean(scores, fresh)
            index = int(self._bound(mean).argmax())
            predicted = float(mean[index])
        candidate = self._pool[index]
        self._process.observe(index)
        self._is_open[index] = False
        self._proposed[candidate] = predicted
        self._observed.append(candidate)
        if len(self._observed) == MOST:
            self._forget()
        return Proposal(candidate)

    def tell(self, proposal: Proposal, reward: float) -> None:
        """Keeps the reward."""
        if proposal.candidate in self._proposed:
            self._rewards[proposal.candidate] = reward

    def _bound(self, mean: np.ndarray) -> np.ndarray:
        """Returns the upper confidence bound of the pool, minus infinity where proposed."""
        bound = mean + self.kappa * np.sqrt(self._process.variance)
        return np.where(self._is_open, bound, -np.inf)

    def _scores(self) -> np.ndarray:
        """Returns the normal scores of what is observed, as predicted where it is in training."""
        ranks = stats.rankdata([*self._rewards.values()])
        told = dict(zip(self._rewards, normal_scores(ranks), strict=True))
        return np.array([told.get(c, self._proposed[c]) for c in self._observed])

    def _forget(self) -> None:
        """Lets the process keep a part of its observations."""
        scores = self._scores()
        order = np.argsort(-scores, kind="stable")
        best, others = order[: _KEPT // 2], order[_KEPT // 2 :]
        spread = others[np.linspace(0, len(others) - 1, _KEPT - len(best)).astype(int)]
        kept = np.sort(np.concatenate([best, spread]))
        self._process.keep(kept)
        self._observed = [self._observed[number] for number in kept]

    def _renew_pool(self, bound: np.ndarray) -> np.ndarray:
        """Replaces the candidates that promise least, and returns where they were."""
        best = sorted(self._rewards, key=lambda candidate: -self._rewards[candidate])
        parents = best[: max(1, round(_PARENTS * len(best)))]
        fresh = self._fresh(parents, _FRESH)
        indices = np.argsort(bound, kind="stable")[: len(fresh)]
        if fresh:
            for index, candidate in zip(indices, fresh, strict=True):
                self._pool[index] = candidate
            self._process.replace(indices, shape_features(self.space, fresh))
            self._is_open[indices] = True
        return indices

    def _fresh(self, parents: list[Candidate], count: int) -> list[Candidate]:
        """Draws candidates that are new to the pool: at random, and mutants of the parents."""
        drawn = [self.space.sample(self.random) for _ in range(count)]
        for i in range(count // 2 if parents else 0):
            parent = parents[int(self.random.integers(len(parents)))]
            drawn[i] = self.space.mutate(parent, self.random)
        self._count_looked += count
        if self._count_looked > _REMEMBERED:
            self._looked, self._count_looked = copy.copy(self.space), 0
            self._looked.recall([*self._proposed, *self._pool])
        looked = self._looked
        kept = [looked.canonical(c) for c in drawn if looked.reason(c) is None]
        known = {*self._pool, *self._proposed}
        return [candidate for candidate in dict.fromkeys(kept) if candidate not in known]
