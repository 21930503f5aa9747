"""Stopping children early that do not promise much: successive halving, by Optuna."""

import functools

from keras_swish.messages import unknown
from keras_swish.search.child import PRUNED, Outcome
from keras_swish.search.journal import import_optuna
from keras_swish.search.space import Candidate
from keras_swish.search.study import Study

# How many of the latest children a child is compared with at least, once there are as many.
LATEST = 1000
# By name: class in `optuna.pruners`, and what it takes. After epochs 1, 3, 9, ... a third remains.
PRUNERS = {"halving": ("SuccessiveHalvingPruner", {"min_resource": 1, "reduction_factor": 3})}


def check_rates(pruner: "Pruner | str | None", rates: tuple[float, ...]) -> None:
    """Refuses a pruner for children that are trained with several learning rates.

    Raises:
        ValueError: If there is one.
    """
    if pruner and len(rates) > 1:
        raise ValueError(
            "A pruner stops children between epochs: it takes those of a single learning rate. "
            f"Received: learning_rate={rates}"
        )


class Pruner:
    """A pruner of Optuna, which compares a child with those before it.

    A study's trials are written when they are finished, and pruners ask about those that are
    not: so this keeps a second study, in memory, in which children that can be stopped are
    trials from their first epoch on. With each finished trial the first study is given what
    the pruner noted of it, from which the second is made again. Optuna looks through all
    trials of a study, so the second holds the latest thousand or two.

    Args:
        name: One of `PRUNERS`.
        study: The study of the search.

    Raises:
        ValueError: If there is no such pruner.
    """

    def __init__(self, name: str, study: Study):
        if name not in PRUNERS:
            raise ValueError(unknown("pruner", name, PRUNERS))
        optuna = import_optuna()
        pruner_class, options = PRUNERS[name]
        self._new_study = functools.partial(
            optuna.create_study,
            direction="maximize",
            sampler=optuna.samplers.RandomSampler(),
            pruner=getattr(optuna.pruners, pruner_class)(**options),
        )
        trials = study.study.get_trials(deepcopy=False)
        # Not all that have a reward after each epoch: what the pruner has noted something of.
        self._finished = [trial for trial in trials if trial.system_attrs]
        self._forgotten = 0
        self._renew()
        self._states = optuna.trial.TrialState
        # Children in training, each with the study that it was begun in.
        self._trials: dict[Candidate, tuple] = {}

    def stops(self, candidate: Candidate, seed: int, outcome: Outcome) -> bool:
        """Says whether to stop a child, from its outcome so far."""
        if len(outcome.curve) == 1:
            self._trials[candidate] = self._study, self._study.ask()
        _, trial = self._trials[candidate]
        trial.report(outcome.reward, len(outcome.curve))
        return trial.should_prune()

    def finish(self, candidate: Candidate, outcome: Outcome) -> dict | None:
        """Takes note of a child that has ended; returns what the pruner noted, if anything."""
        study, trial = self._trials.pop(candidate, (None, None))
        if trial is None:  # it had no epoch after the first
            return None
        if outcome.status == PRUNED:
            told = study.tell(trial, state=self._states.PRUNED)
        else:
            told = study.tell(trial, outcome.reward)
        if study is not self._study:
            self._study.add_trial(told)
        self._finished.append(told)
        if len(self._finished) >= 2 * LATEST:
            self._renew()
        return told.system_attrs

    def _renew(self) -> None:
        """Begins a study with the latest trials; a search that resumes begins with the same."""
        count = self._forgotten + len(self._finished)
        first = max(0, count // LATEST - 1) * LATEST
        self._finished = self._finished[first - self._forgotten :]
        self._forgotten = first
        self._study = self._new_study()
        self._study.add_trials(self._finished)
