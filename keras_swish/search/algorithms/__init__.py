"""Search algorithms, by ask and tell. A new one is one file, and one line in `ALGORITHMS`."""

import abc
import dataclasses
import importlib
import importlib.util
from typing import Any

import numpy as np

from keras_swish.messages import unknown
from keras_swish.search.space import Candidate, SearchSpace


@dataclasses.dataclass(frozen=True)
class Proposal:
    """A candidate that an algorithm asks to be tried.

    Attributes:
        candidate: The candidate.
        note: What the algorithm wants to see again with the reward, as JSON gives it back.
    """

    candidate: Candidate
    note: object = None

    def __post_init__(self) -> None:
        # Of NumPy's whole numbers, which no storage holds.
        object.__setattr__(self, "candidate", tuple(map(int, self.candidate)))


class Algorithm(abc.ABC):
    """What proposes candidates, and learns from their rewards.

    Args:
        space: The search space.
        seed: Seed of all that is random in it.

    Raises:
        ValueError: If no candidate of the space can be an activation.
    """

    _user: object | None = None

    def __init__(self, space: SearchSpace, seed: int = 0):
        if space.core_units == 1 and not space.survey().candidates:
            raise no_functions(space)
        self.space = space
        self.random = np.random.default_rng(seed)

    def claim(self, user: object) -> None:
        """Keeps the algorithm for one search, which asks it from now on.

        Raises:
            ValueError: If another one has asked it: it would go on from what it learned there.
        """
        if self._user is not None and self._user is not user:
            raise ValueError(
                f"This {type(self).__name__} is of another search, and would go on from what it "
                "learned there: make a new one. A search with a storage resumes with a new one."
            )
        self._user = user

    @abc.abstractmethod
    def ask(self) -> Proposal | None:
        """Returns what to try next, or None where there is nothing left."""

    def tell(self, proposal: Proposal, reward: float) -> None:
        """Learns the reward of a proposal; proposals may come back in any order."""
        return None  # not all learn

    def state(self) -> dict | None:
        """Returns what `restore` takes, as JSON can hold it; None where replaying is fast.

        Its size must not grow with what was told.
        """
        return None

    def restore(self, state: dict, told: list[tuple[Candidate, float]]) -> None:
        """Resumes where `state` was called, after these rewards had been told in this order."""
        raise NotImplementedError


def check_proposal(proposal: Any, space: SearchSpace, name: str) -> None:
    """Refuses what an algorithm proposes if it is no `Proposal` of a candidate of the space.

    Raises:
        ValueError: If it is none; None, where nothing is left, is taken.
    """
    if proposal is not None and getattr(proposal, "candidate", ()) not in space:
        raise ValueError(
            f"The algorithm {name!r} must propose a `Proposal` of a candidate of its space, such "
            f"as Proposal(space.sample(random)). Received: {proposal!r}"
        )


def no_functions(space: SearchSpace) -> ValueError:
    """Returns the error of a space none of whose candidates can be an activation."""
    return ValueError(
        "The search space has no function that can be an activation: all are constant, affine, or "
        f"not finite on its interval. Give it other primitives. Received: {space.config()}"
    )


# By name: module and class. "optuna:" and the name of a sampler is one as well.
ALGORITHMS = {
    "exhaustive": ("exhaustive", "Exhaustive"),
    "random": ("uniform", "Random"),
    "evolution": ("evolution", "RegularisedEvolution"),
    "rl": ("rl", "ReinforcementLearning"),
    "pqt": ("pqt", "PriorityQueueTraining"),
    "surrogate": ("surrogate", "Surrogate"),
}
OPTUNA = "optuna:"
# What searches where nothing else is said: it finds the best functions with the fewest children
# (results/search_benchmarks).
DEFAULT = "surrogate"


def create(name: str, space: SearchSpace, seed: int = 0, **options: Any) -> Algorithm:
    """Makes the algorithm of that name.

    Args:
        name: One of `ALGORITHMS`, or any sampler of Optuna, such as "optuna:TPESampler".
        space: The search space.
        seed: Seed of all that is random in it.
        **options: What else the algorithm's class takes.

    Raises:
        ValueError: If there is no such algorithm, or no candidate of the space can be an
            activation.

    Example:
        >>> from keras_swish.search import algorithms
        >>> from keras_swish.search.space import SearchSpace
        >>> algorithm = algorithms.create("evolution", SearchSpace(), population=20)
        >>> len(algorithm.ask().candidate)
        3
    """
    if name.startswith(OPTUNA):
        from keras_swish.search.algorithms.optuna_sampler import OptunaSampler

        return OptunaSampler(space, seed, name.removeprefix(OPTUNA), **options)
    if name not in ALGORITHMS:
        raise ValueError(unknown("algorithm", name, startable(space)))
    module_name, class_name = ALGORITHMS[name]
    module = importlib.import_module(f"{__name__}.{module_name}")
    return getattr(module, class_name)(space, seed, **options)


def startable(space: SearchSpace) -> list[str]:
    """Returns the names of the algorithms that can search a space here.

    Example:
        >>> from keras_swish.search import SearchSpace, algorithms
        >>> "exhaustive" in algorithms.startable(SearchSpace(2))
        False
    """
    names = [name for name in ALGORITHMS if name != "exhaustive" or space.core_units == 1]
    if importlib.util.find_spec("optuna"):
        names.append(f"{OPTUNA}TPESampler")
    return names


def name_of(algorithm: Algorithm) -> str:
    """Returns the name by which an algorithm is made, or that of its class.

    Example:
        >>> from keras_swish.search import SearchSpace, algorithms
        >>> algorithms.name_of(algorithms.create("random", SearchSpace()))
        'random'
    """
    algorithm_class = type(algorithm)
    for name, (module, class_name) in ALGORITHMS.items():
        if (algorithm_class.__module__, algorithm_class.__name__) == (
            f"{__name__}.{module}",
            class_name,
        ):
            return name
    return algorithm_class.__name__
