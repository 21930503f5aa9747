"""The noise of rewards, which is not equal: what learns badly depends more on its seed."""

import dataclasses

import numpy as np

# For each estimate so many degrees of freedom, and at most so many estimates.
_DEGREES, _MOST = 120, 8


@dataclasses.dataclass(frozen=True)
class LocalNoise:
    """The standard deviation between seeds, by reward.

    Attributes:
        rewards: Mean rewards of groups of candidates, rising.
        deviations: The standard deviation in each group.
    """

    rewards: np.ndarray
    deviations: np.ndarray

    def at(self, reward: float) -> float:
        """Returns the standard deviation at a reward, between groups along a line."""
        return float(np.interp(reward, self.rewards, self.deviations))


def estimate(groups: list[np.ndarray], overall: float, degrees: int) -> LocalNoise | None:
    """Estimates the noise by reward.

    Args:
        groups: Of each candidate its rewards with several seeds, without what the seeds give to
            all.
        overall: The standard deviation over all of them.
        degrees: Its degrees of freedom.

    Returns:
        The estimates; a single one where there are few degrees of freedom. None without any.

    Example:
        >>> import numpy as np
        >>> from keras_swish.search.insight import noise
        >>> random = np.random.default_rng(0)
        >>> groups = [random.normal(mean, 0.2 - 0.1 * mean, 3) for mean in np.linspace(0, 1, 600)]
        >>> found = noise.estimate(groups, overall=0.15, degrees=1200)
        >>> round(found.at(0.1), 2), round(found.at(0.9), 2)
        (0.19, 0.11)
    """
    if not degrees:
        return None
    means = np.array([group.mean() for group in groups])
    squares = np.array([((group - group.mean()) ** 2).sum() for group in groups])
    free = np.array([len(group) - 1 for group in groups])
    if not squares.any():
        return LocalNoise(means[:1], np.array([overall]))
    bins = np.array_split(np.argsort(means), min(_MOST, max(1, degrees // _DEGREES)))
    # The effects of the seeds were estimated, too, which the overall one allows for.
    scale = overall**2 / (squares.sum() / free.sum())
    return LocalNoise(
        np.array([means[part].mean() for part in bins]),
        np.array([np.sqrt(scale * squares[part].sum() / free[part].sum()) for part in bins]),
    )
