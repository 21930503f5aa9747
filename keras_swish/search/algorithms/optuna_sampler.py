"""Any sampler of Optuna, for comparison."""

import inspect
import warnings
from typing import Any

from keras_swish.messages import unknown
from keras_swish.search.algorithms import Algorithm, Proposal
from keras_swish.search.journal import import_optuna
from keras_swish.search.space import Candidate, SearchSpace

# Trials that samplers draw at random before they think, and one more.
_FEW = 11


class OptunaSampler(Algorithm):
    """A sampler of Optuna, on the components of a candidate as categories.

    One that resumes from a snapshot knows all earlier rewards, but draws other random numbers than
    one that was never interrupted: Optuna's samplers do not say what state they are in.

    Args:
        space: The search space.
        seed: Seed of the sampler.
        sampler: Name of a class in `optuna.samplers`.
        **options: What that class takes.

    Raises:
        ValueError: If there is no such sampler, it cannot be made of the options, or it needs
            a package that is not installed.
    """

    def __init__(
        self, space: SearchSpace, seed: int = 0, sampler: str = "TPESampler", **options: Any
    ):
        optuna = import_optuna()
        super().__init__(space, seed)
        samplers = {name for name in dir(optuna.samplers) if name.endswith("Sampler")}
        samplers -= {"BaseSampler", "BruteForceSampler"}  # the latter ends a study by itself
        self.distributions = {
            name: optuna.distributions.CategoricalDistribution(range(size))
            for name, size in zip(space.names, space.sizes, strict=True)
        }
        if sampler not in samplers:
            offered = [name for name in samplers if self._starts(name, seed, {})]
            raise ValueError(unknown("sampler of Optuna", sampler, offered))
        try:
            self.study = self._start(sampler, seed, options)
        except (TypeError, ImportError) as error:  # it needs arguments, or another package
            raise ValueError(f"{sampler} cannot be used: {error}") from error
        self.asked = 0
        # The numbers of the trials that wait for a reward, by note.
        self.trials: dict[object, int] = {}

    def _start(self, sampler: str, seed: int, options: dict[str, Any]) -> Any:
        """Returns a study with the sampler, which was seen to work."""
        optuna = import_optuna()
        sampler_class = getattr(optuna.samplers, sampler)
        if "seed" in inspect.signature(sampler_class).parameters:
            options = {"seed": seed, **options}
        # Some import what they need when they have seen a few trials, in a search after hours.
        tried = optuna.create_study(sampler=sampler_class(**options))
        for _ in range(_FEW):
            tried.tell(tried.ask(self.distributions), 0.0)
        return optuna.create_study(direction="maximize", sampler=sampler_class(**options))

    def _starts(self, sampler: str, seed: int, options: dict[str, Any]) -> bool:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # which are experimental
                self._start(sampler, seed, options)
        except (TypeError, ImportError):
            return False
        return True

    def ask(self) -> Proposal:
        """Returns what the sampler suggests; the note counts the proposals."""
        trial = self.study.ask(self.distributions)
        self.trials[self.asked] = trial.number
        self.asked += 1
        candidate = tuple(trial.params[name] for name in self.distributions)
        return Proposal(candidate, self.asked - 1)

    def tell(self, proposal: Proposal, reward: float) -> None:
        """Tells the sampler."""
        if proposal.note in self.trials:
            self.study.tell(self.trials.pop(proposal.note), reward)
        else:  # proposed before the sampler was restored
            self._add(proposal.candidate, reward)

    def state(self) -> dict:
        """Returns how many were asked for: the sampler itself is made from what it was told."""
        return {"asked": self.asked}

    def restore(self, state: dict, told: list[tuple[Candidate, float]]) -> None:
        """Tells the sampler all these."""
        self.asked = state["asked"]
        for candidate, reward in told:
            self._add(candidate, reward)
        self.study.sampler.reseed_rng()

    def _add(self, candidate: Candidate, reward: float) -> None:
        optuna = import_optuna()
        params = dict(zip(self.distributions, candidate, strict=True))
        self.study.add_trial(
            optuna.trial.create_trial(params=params, distributions=self.distributions, value=reward)
        )
