"""The search itself: an algorithm proposes, the child is trained, the study remembers."""

import copy
import dataclasses
import math
import numbers
import time
from collections.abc import Callable, Sequence
from typing import Any

from keras_swish.search import executors
from keras_swish.search.algorithms import Algorithm, Proposal, check_proposal
from keras_swish.search.child import OK, PRUNED, Child, Outcome
from keras_swish.search.executors import Executor, WorkerLostError
from keras_swish.search.functions import Function
from keras_swish.search.pruning import Pruner, check_rates
from keras_swish.search.result import Progress
from keras_swish.search.space import Candidate
from keras_swish.search.study import REFERENCE, START, Proposed, Study

# Called after each training.
OnChild = Callable[[Candidate, int, Outcome], Any]
# Called before the best get more seeds, with the number of trainings.
OnRace = Callable[[int], Any]

# Proposals in a row that bring nothing new, after which an algorithm is taken for finished.
_PATIENCE = 2000
# How many proposals for each worker may be without a reward.
_AHEAD = 4
# A snapshot of the algorithm is kept when replaying what it did since the last would take longer
# than this, and than this share of all that it did: a journal keeps every snapshot.
_SNAPSHOT_SECONDS, _SNAPSHOT_SHARE = 10.0, 0.005


def is_whole(value: Any) -> bool:
    """Says whether a value is a whole number, of Python or of NumPy."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


@dataclasses.dataclass(frozen=True)
class Race:
    """More seeds for the best candidates.

    Attributes:
        seeds: With how many seeds the best are trained.
        top: Which part of the candidates these are: those that are the best with the first seed.
            Another gets them, too, if it is the best after that.
    """

    seeds: int = 4
    top: float = 0.1

    def __post_init__(self) -> None:
        is_part = isinstance(self.top, numbers.Real) and 0 < self.top <= 1
        if not (is_whole(self.seeds) and self.seeds >= 1 and is_part):
            raise ValueError(
                "`seeds` must be a positive whole number, and `top` a part in (0, 1]. "
                f"Received: seeds={self.seeds!r}, top={self.top!r}"
            )


class Search:
    """A search in progress.

    Whatever is idle of the executor gets work: the algorithm is asked before the rewards of all
    earlier proposals are known, and told each when it is.

    An interrupted search resumes from its study. Each trial there says what the algorithm had
    proposed and been told before it was written. The same is asked and told again, and what had
    no reward is trained. Where that would take long, it begins at a snapshot of the algorithm.
    What an algorithm proposes that is in the study already is answered from there, also if it has
    other options than it had, or a study has no such notes.

    Args:
        child: What trains a candidate.
        study: Where outcomes are kept.
        algorithm: What proposes candidates.
        name: The algorithm's name.
        seed: The first seed of children.
        on_child: Called after each training of a candidate with it, seed and `Outcome`; not after
            those of ReLU, Swish and functions to begin with that are no candidates of the space.
        executor: Where children are trained, as `executors.start_for` returns it; by default in
            this process, one by one.
        pruner: What stops children early, a `Pruner`; none by default.
        timeout: Seconds after which no more children are begun but those of the references, or
            None.
        on_race: Called before some get more seeds, with the number of trainings.

    Raises:
        ValueError: If the study was begun with another seed, or is in use by another process, or
            its snapshot is of an algorithm of another size; if the algorithm is another search's;
            or if there is a pruner, and children of several learning rates.
    """

    def __init__(
        self,
        child: Child,
        study: Study,
        algorithm: Algorithm,
        name: str,
        seed: int = 0,
        on_child: OnChild | None = None,
        executor: Executor | None = None,
        pruner: Pruner | None = None,
        timeout: float | None = None,
        on_race: OnRace | None = None,
    ):
        self.child, self.study, self.algorithm = child, study, algorithm
        self.name, self.seed, self.on_child = name, int(seed), on_child  # of NumPy's, too
        self.executor = executor or executors.start_for(child)
        check_rates(pruner, child.config.rates)
        self.pruner, self.on_race = pruner, on_race
        self._deadline = math.inf if timeout is None else time.monotonic() + timeout
        self.progress = Progress()
        # What candidates are compared with; they are no trials, and no algorithm is told of them.
        self._references: list[Function] = []
        # By text: whether every search compares with it, or the user began with it.
        self._kinds: dict[str, str] = {}
        # By job: what is trained for comparison, and what is not the algorithm's.
        self._compared: dict[tuple[Candidate | str, int], Function] = {}
        self._given: set[tuple[Candidate, int]] = set()
        # What was proposed since the last trial was written.
        self._proposed: list[Proposed] = []
        # Asked for, and not counted yet.
        self._next: Proposal | None = None
        # By the candidate that stands for their function: proposals without a reward.
        self._waiting: dict[Candidate, list[Proposal]] = {}
        # While the algorithm is not replayed, as there is a snapshot: what it was told before that.
        self._told: list[tuple[Candidate, float]] | None = None
        # What the algorithm took since the last snapshot, and until that.
        self._seconds = self._seconds_before = 0.0
        study.claim()
        self._check_seed()
        algorithm.claim(self)
        self._replay()
        # Those of whom nobody trains the candidate.
        self._left = list(self._waiting)
        child.space.recall(self._left)

    def begin(self, start: Sequence[Function] = (), references: Sequence[Function] = ()) -> None:
        """Trains the functions that the user names with the first seed.

        Those of the space are candidates, of which the algorithm hears if it proposes them. All
        others, and the references, are compared with the candidates, and get all seeds.

        Args:
            start: Functions to begin with.
            references: Functions to compare with.
        """
        compared = {one.text for one in references}
        others = [one for one in start if one.candidate is None and one.text not in compared]
        self._references = [*references, *others]
        self._kinds = {one.text: START for one in others} | {
            one.text: REFERENCE for one in references
        }
        self._train_references(self.seed)
        for function in start:
            candidate = function.candidate
            if candidate is not None and not self.is_late and self._known_reward(candidate) is None:
                self._given.add((candidate, self.seed))
                self._submit(candidate, self.seed)
        self._finish_all()

    def explore(self, max_trials: int | None) -> None:
        """Lets the algorithm propose until so many different candidates were tried."""
        while self._left and not self.is_late:
            self._train(self._left[0])
            del self._left[0]
        while True:
            proposal = self._ask() if self._has_room() and self._wants_more(max_trials) else None
            if proposal is not None:
                self._answer(proposal)
            elif self._is_training:
                self._finish()
            else:
                return

    def race(self, race: Race) -> None:
        """Trains those that are the best with the first seed with further ones.

        The first seed alone chooses, so that the others judge without bias, and an interrupted
        race resumes with the same candidates. If these fall behind a candidate with one seed, it
        gets the others as well, and so on: whoever is the best in the end has all seeds.
        """
        first = {
            candidate: outcomes[self.seed]
            for candidate, outcomes in self.study.outcomes.items()
            if self.seed in outcomes
        }
        fit = [candidate for candidate, outcome in first.items() if outcome.status == OK]
        fit.sort(key=lambda candidate: (-first[candidate].reward, candidate))
        chosen = fit[: math.ceil(race.top * len(first))]
        # What a call that was interrupted left in training.
        self._finish_all()
        seeds = range(self.seed + 1, self.seed + race.seeds)
        if self.on_race:
            outcomes = [self.study.outcomes[candidate] for candidate in chosen]
            self.on_race(sum(seed not in by_seed for by_seed in outcomes for seed in seeds))
        for seed in seeds:
            if not self.is_late:
                self._train_references(seed)
            for candidate in chosen:
                if seed not in self.study.outcomes[candidate] and not self.is_late:
                    self._submit(candidate, seed)
        self._finish_all()
        while missing := self._missing_of_best(seeds):
            if self.on_race:
                self.on_race(len(missing))
            for candidate, seed in missing:
                if not self.is_late:
                    self._submit(candidate, seed)
            self._finish_all()

    def _missing_of_best(self, seeds: Sequence[int]) -> list[tuple[Candidate, int]]:
        """Returns what the best candidate has to be trained with; nothing once time is up.

        Who lacks some of the seeds counts with the first alone, so that what was interrupted
        ends as it would have.
        """
        if not seeds or self.is_late:
            return []
        study = copy.copy(self.study)
        study.outcomes = {
            candidate: outcomes
            if outcomes.keys() >= {*seeds} or self.seed not in outcomes
            else {self.seed: outcomes[self.seed]}
            for candidate, outcomes in self.study.outcomes.items()
        }
        best = next(iter(study.entries()), None)
        if best is None or best.status != OK:
            return []
        present = self.study.outcomes[best.candidate]
        return [(best.candidate, seed) for seed in seeds if seed not in present]

    def _check_seed(self) -> None:
        """Refuses a second first seed: one that chose some candidates would judge others."""
        trained = [*self.study.outcomes.values(), *self.study.references.values()]
        used = min((seed for by_seed in trained for seed in by_seed), default=self.seed)
        if used != self.seed:
            raise ValueError(
                f"The storage holds a search whose first seed is {used}: give that one, or choose "
                f"another storage. Received: seed={self.seed}"
            )

    def _wants_more(self, max_trials: int | None) -> bool:
        wanted = max_trials is None or self.progress.tried < max_trials
        return wanted and self.progress.since_new < _PATIENCE and not self.is_late

    @property
    def is_late(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() > self._deadline

    def _has_room(self) -> bool:
        # Repeats of what is being trained occupy nobody, but keep the algorithm uninformed.
        count = sum(map(len, self._waiting.values()))
        return self.executor.idle > 0 and count < _AHEAD * self.executor.slots

    def _ask(self) -> Proposal | None:
        if self._next is None:
            begun = time.perf_counter()
            proposal = self.algorithm.ask()
            check_proposal(proposal, self.child.space, self.name)
            self._next = proposal
            self._seconds += time.perf_counter() - begun
        return self._next

    def _tell(self, proposal: Proposal, reward: float) -> None:
        if self._told is not None:
            self._told.append((proposal.candidate, reward))
            return
        begun = time.perf_counter()
        self.algorithm.tell(proposal, reward)
        self._seconds += time.perf_counter() - begun

    def _tell_waiting(self, candidate: Candidate, reward: float) -> None:
        for proposal in self._waiting.pop(candidate, ()):
            self._tell(proposal, reward)

    def _answer(self, proposal: Proposal) -> None:
        """Tells the reward of a proposal if it is known, and has it trained if not."""
        candidate, space = proposal.candidate, self.child.space
        reason, same = space.reason(candidate), space.canonical(candidate)
        worst = self.child.config.diverged_reward or 0.0
        reward = worst if reason else self._known_reward(same)
        is_new = reward is None and same not in self._waiting
        proposed = Proposed(candidate, reason, same, reward)
        self._proposed.append(proposed)
        self._take(proposal, proposed)
        if is_new:
            self._train(same)

    def _take(self, proposal: Proposal, proposed: Proposed) -> None:
        """Counts a proposal, and tells its reward if it is known."""
        self._next = None
        self.progress.count(proposed.reason, proposed.same)
        if proposed.reward is None:
            self._waiting.setdefault(proposed.same, []).append(proposal)
        else:
            self._tell(proposal, proposed.reward)

    def _known_reward(self, candidate: Candidate) -> float | None:
        outcome = self.study.outcomes.get(candidate, {}).get(self.seed)
        return outcome.reward if outcome and (outcome.status != PRUNED or self.pruner) else None

    def _train(self, candidate: Candidate) -> None:
        """Has a candidate trained with the first seed."""
        reward = self._known_reward(candidate)
        if reward is None:
            self._submit(candidate, self.seed, self._is_done if self.pruner else None)
        else:  # by another search of the same study
            self._tell_waiting(candidate, reward)

    def _is_done(self, job: tuple[Candidate, int], outcome: Outcome) -> bool:
        assert self.pruner is not None
        return outcome.status != PRUNED or self.pruner.stops(*job, outcome)

    def _train_references(self, seed: int) -> None:
        """Trains what candidates are compared with, as far as it is not trained already."""
        for function in self._references:
            # What every search compares with is trained also where its time is over.
            is_too_late = self.is_late and self._kinds[function.text] == START
            if is_too_late or seed in self.study.references.get(function.text, ()):
                continue
            job = function.candidate or function.text, seed
            self._compared[job] = function
            outcome = self.study.outcomes.get(function.candidate or (), {}).get(seed)
            if outcome and outcome.status != PRUNED:
                self._record(job, outcome)
            else:
                self._start(job)
        self._finish_all()

    def _submit(self, candidate: Candidate, seed: int, done: executors.Done | None = None) -> None:
        """Has a candidate trained, if it was not for comparison."""
        for function in self._references:
            outcome = self.study.references.get(function.text, {}).get(seed)
            if function.candidate == candidate and outcome:
                self._record((candidate, seed), outcome)
                return
        self._start((candidate, seed), done)

    def _start(self, job: tuple[Candidate | str, int], done: executors.Done | None = None) -> None:
        while not self.executor.idle:
            self._finish()
        self.executor.submit(job, done)

    @property
    def _is_training(self) -> bool:
        return self.executor.idle < self.executor.slots

    def _finish_all(self) -> None:
        while self._is_training:
            self._finish()

    def _finish(self) -> None:
        """Waits for a child, and tells its reward to those who wait for it."""
        try:
            job, outcome = self.executor.wait()
        except WorkerLostError as error:
            function, seed = error.job
            if not isinstance(function, str):
                function = self.child.space.formula(function)
            raise WorkerLostError(error.job, f"trained {function} with seed {seed}") from error
        self._record(job, outcome)

    def _record(self, job: tuple[Any, int], outcome: Outcome) -> None:
        candidate, seed = job
        function = self._compared.pop(job, None)
        if function:
            kind = self._kinds[function.text]
            self.study.add_reference(function.text, function.formula, seed, outcome, kind)
            return
        notes = self.pruner.finish(candidate, outcome) if self.pruner else None
        if job in self._given:
            self._given.discard(job)
            self.study.add(candidate, seed, outcome, START, notes)
        else:
            self.study.add(candidate, seed, outcome, self.name, notes, self._proposed)
            self._proposed = []
        if seed == self.seed:
            self._tell_waiting(candidate, outcome.reward)
        if self._seconds > max(_SNAPSHOT_SECONDS, _SNAPSHOT_SHARE * self._seconds_before):
            self._save_snapshot()
        if self.on_child:
            self.on_child(candidate, seed, outcome)

    def _save_snapshot(self) -> None:
        self._seconds_before += self._seconds
        self._seconds = 0.0
        state = self.algorithm.state()
        if state is not None:
            notes = [proposal.note for waiting in self._waiting.values() for proposal in waiting]
            snapshot = {"state": state, "notes": notes, "seconds": self._seconds_before}
            self.study.save_snapshot(self.name, snapshot)

    def _replay(self) -> None:
        """Asks and tells the algorithm what it was asked and told before, as far as it repeats.

        With other options it does not, nor do samplers of Optuna after a snapshot. What they had
        learned after that is lost to them, but not to the study.
        """
        snapshot = self.study.snapshot(self.name)
        self._told = [] if snapshot else None
        for number, trial in enumerate(self.study.trials(), 1):
            is_ours = trial.algorithm == self.name
            if is_ours and not all(map(self._repeat, trial.proposals)):
                return
            if trial.seed == self.seed:
                self._tell_waiting(trial.candidate, trial.outcome.reward)
            if snapshot and number == snapshot["trials"]:
                self._restore(snapshot)

    def _repeat(self, proposed: Proposed) -> bool:
        """Returns whether the algorithm proposes the same as it did, and tells it the same."""
        proposal = Proposal(proposed.candidate) if self._told is not None else self._ask()
        if proposal is None or proposal.candidate != proposed.candidate:
            return False
        self.child.space.remember(proposed.candidate, proposed.reason, proposed.same)
        self._take(proposal, proposed)
        return True

    def _restore(self, snapshot: dict) -> None:
        self.algorithm.restore(snapshot["state"], self._told or [])
        self._told, notes = None, iter(snapshot["notes"])
        self._seconds_before = snapshot["seconds"]
        self._waiting = {
            same: [Proposal(proposal.candidate, next(notes)) for proposal in waiting]
            for same, waiting in self._waiting.items()
        }
