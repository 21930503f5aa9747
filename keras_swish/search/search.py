"""The search itself: an algorithm proposes, the child is trained, the study remembers."""

import copy
import dataclasses
import math
import os
import time
from collections.abc import Callable
from typing import Any

import keras

from keras_swish.search import algorithms, cluster, executors
from keras_swish.search.algorithms import Algorithm, Proposal
from keras_swish.search.child import OK, PRUNED, Child, ChildConfig, Outcome
from keras_swish.search.executors import Executor, WorkerLostError
from keras_swish.search.pruning import Pruner
from keras_swish.search.result import Progress, Result
from keras_swish.search.rewards import Reward
from keras_swish.search.space import Candidate, SearchSpace
from keras_swish.search.study import Proposed, Study

# Called after each training.
OnChild = Callable[[Candidate, int, Outcome], Any]

# Proposals in a row that bring nothing new, after which an algorithm is taken for finished.
_PATIENCE = 2000
# How many proposals for each worker may be without a reward.
_AHEAD = 4
# A snapshot of the algorithm is kept when replaying what it did since the last would take longer
# than this, and than this share of all that it did: a journal keeps every snapshot.
_SNAPSHOT_SECONDS, _SNAPSHOT_SHARE = 10.0, 0.005


@dataclasses.dataclass(frozen=True)
class Race:
    """More seeds for the best candidates.

    Attributes:
        seeds: With how many seeds the best are trained.
        top: Which part of the candidates these are: those that are the best with the first seed.
    """

    seeds: int = 4
    top: float = 0.1

    def __post_init__(self) -> None:
        if self.seeds < 1 or not 0 < self.top <= 1:
            raise ValueError(
                "`seeds` must be positive, and `top` a part in (0, 1]. "
                f"Received: seeds={self.seeds}, top={self.top}"
            )


def search_activations(
    model: keras.Model,
    train: tuple[Any, Any],
    validation: tuple[Any, Any],
    *,
    space: SearchSpace | None = None,
    algorithm: str | Algorithm = algorithms.DEFAULT,
    trials: int | None = 500,
    child_config: ChildConfig | None = None,
    loss: Any = None,
    reward: Reward | None = None,
    activations: list[str] | None = None,
    storage: str | os.PathLike | None = None,
    seed: int = 0,
    on_child: OnChild | None = None,
    executor: str | Executor = "local",
    pruner: str | None = None,
    race: Race | None = None,
) -> Result:
    """Searches for the activation function with which a network learns best.

    The network's activations are replaced by one that computes any candidate, and the network is
    trained from the start with each candidate that the algorithm proposes. Then the best get
    more seeds. A search that was interrupted resumes when it is called again with its storage.

    Args:
        model: A Keras model, built; it is left as it is.
        train: Inputs and labels to train on: arrays whose first axis is the examples.
        validation: Inputs and labels for the reward, in the same form.
        space: The search space; by default one core unit.
        algorithm: One of `keras_swish.search.algorithms.ALGORITHMS`, a sampler of Optuna such as
            "optuna:TPESampler", or an `Algorithm`; by default "surrogate".
        trials: How many different candidates to train; None for as many as the algorithm
            proposes. It is asked no more after 2,000 proposals without a new function.
        child_config: How the network is trained; by default `ChildConfig()`, three epochs of SGD,
            whatever optimizer the model is compiled with.
        loss: As in `compile`; by default that which the model is compiled with.
        reward: From labels and outputs to a number, higher being better; by default accuracy, for
            models of one output that are trained with a cross-entropy. A storage knows a function
            by its name alone: give one that changes another storage.
        activations: Names of the activations to replace; by default all but the output's.
        storage: Path of a journal file to keep the results in, or a database's URL; by default
            they are kept in memory, and a search that is interrupted is lost.
        seed: The first seed of children, and that of the algorithm.
        on_child: Called after each training with candidate, seed and `Outcome`.
        executor: "local" to train in this process, one candidate at a time; "ray" or a
            `keras_swish.search.Ray` for the workers of a Ray cluster.
        pruner: "halving" to stop children early that do worse than most, or None.
        race: How many seeds the best get, and how many are the best; by default `Race()`, four
            for the best tenth.

    Returns:
        A `Result`: `best.formula`, `table()`, `model()`.

    Raises:
        ValueError: If the model has nothing to replace, the data cannot be trained on, the
            algorithm, executor or pruner is unknown, the algorithm is of another space, no worker
            fits into the Ray cluster, or the storage is of another search or first seed, or in use
            by another process.

    Example:
        >>> import keras, keras_swish, numpy as np
        >>> from keras_swish.search import ChildConfig, Race
        >>> x = np.random.default_rng(0).normal(size=(64, 2)).astype("float32")
        >>> y = (x[:, 0] * x[:, 1] > 0).astype("int32")
        >>> model = keras.Sequential(
        ...     [keras.Input((2,)), keras.layers.Dense(8, name="hidden"), keras.layers.ReLU(),
        ...      keras.layers.Dense(2, "softmax")]
        ... )
        >>> result = keras_swish.search_activations(
        ...     model, (x, y), (x, y), loss="sparse_categorical_crossentropy", trials=2,
        ...     algorithm="random", child_config=ChildConfig(batch_size=32), race=Race(seeds=1),
        ... )
        >>> len(result.study), result.model().layers[1].formula == result.best.formula
        (2, True)

    Source: Ramachandran et al. 2017, section 2.
    """
    if trials is not None and trials < 1:
        raise ValueError(f"`trials` must be positive, or None. Received: trials={trials}")
    executor = executors.get(executor)
    if isinstance(algorithm, str):
        name, space = algorithm, space or SearchSpace()
        if space.core_units > 1:
            # Which candidate stands for a function depends there on what the space was asked.
            space = copy.copy(space)
        algorithm = algorithms.create(name, space, seed)
    else:
        name = algorithms.name_of(algorithm)
        if space is not None and space.config() != algorithm.space.config():
            raise ValueError("The algorithm was made for another `space`.")
        space = algorithm.space
    child = Child(model, train, validation, space, child_config, loss, reward, activations)
    study = Study(space, child.fingerprint(), storage)
    stops = Pruner(pruner, study) if pruner else None
    with executors.start_for(child, executor) as started:
        search = Search(child, study, algorithm, name, seed, on_child, started, stops)
        search.explore(trials)
        search.race(race or Race())
    return Result(study, child, search.progress)


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
        on_child: Called after each training with candidate, seed and `Outcome`.
        executor: Where children are trained, as `executors.start_for` returns it; by default in
            this process, one by one.
        pruner: What stops children early, a `Pruner`; none by default.

    Raises:
        ValueError: If the study was begun with another seed, or is in use by another process, or
            its snapshot is of an algorithm of another size.
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
    ):
        self.child, self.study, self.algorithm = child, study, algorithm
        self.name, self.seed, self.on_child = name, seed, on_child
        self.executor = executor or executors.start_for(child)
        self.pruner = pruner
        self.progress = Progress()
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
        self._replay()
        # Those of whom nobody trains the candidate.
        self._left = list(self._waiting)
        child.space.recall(self._left)

    def explore(self, trials: int | None) -> None:
        """Lets the algorithm propose until so many different candidates were tried."""
        while self._left:
            self._train(self._left[0])
            del self._left[0]
        while True:
            proposal = self._ask() if self._has_room() and self._wants_more(trials) else None
            if proposal is not None:
                self._answer(proposal)
            elif self._waiting:
                self._finish()
            else:
                return

    def race(self, race: Race) -> None:
        """Trains those that are the best with the first seed with further ones.

        The first seed alone chooses, so that the others judge without bias, and an interrupted
        race resumes with the same candidates.
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
        for seed in range(self.seed + 1, self.seed + race.seeds):
            for candidate in chosen:
                if seed not in self.study.outcomes[candidate]:
                    self._submit(candidate, seed)
        self._finish_all()

    def _check_seed(self) -> None:
        """Refuses a second first seed: one that chose some candidates would judge others."""
        used = min((seed for by in self.study.outcomes.values() for seed in by), default=self.seed)
        if used != self.seed:
            raise ValueError(
                f"The storage holds a search whose first seed is {used}: give that one, or choose "
                f"another storage. Received: seed={self.seed}"
            )

    def _wants_more(self, trials: int | None) -> bool:
        wanted = trials is None or self.progress.tried < trials
        return wanted and self.progress.since_new < _PATIENCE

    def _has_room(self) -> bool:
        # Repeats of what is being trained occupy nobody, but keep the algorithm uninformed.
        count = sum(map(len, self._waiting.values()))
        return self.executor.idle > 0 and count < _AHEAD * self.executor.slots

    def _ask(self) -> Proposal | None:
        if self._next is None:
            begun = time.perf_counter()
            self._next = self.algorithm.ask()
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
        reward = self.child.config.diverged_reward if reason else self._known_reward(same)
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

    def _submit(self, candidate: Candidate, seed: int, done: executors.Done | None = None) -> None:
        while not self.executor.idle:
            self._finish()
        self.executor.submit((candidate, seed), done)

    def _finish_all(self) -> None:
        while self.executor.idle < self.executor.slots:
            self._finish()

    def _finish(self) -> None:
        """Waits for a child, and tells its reward to those who wait for it."""
        try:
            (candidate, seed), outcome = self.executor.wait()
        except WorkerLostError as error:
            candidate, seed = error.job
            raise RuntimeError(
                f"The worker was lost {cluster.RETRIES} times while it trained "
                f"{self.child.space.formula(candidate)} with seed {seed}."
            ) from error
        notes = self.pruner.finish(candidate, outcome) if self.pruner else None
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
