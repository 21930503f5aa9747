"""The search itself: an algorithm proposes, the child is trained, the study remembers."""

import collections
import copy
import dataclasses
import itertools
import math
import os
import time
from collections.abc import Callable, Iterator

import keras
import numpy as np

from keras_swish.search import algorithms, executors
from keras_swish.search.algorithms import Algorithm, Proposal
from keras_swish.search.child import OK, PRUNED, Child, ChildConfig
from keras_swish.search.history import History, Told
from keras_swish.search.pruning import Pruner
from keras_swish.search.space import Candidate, SearchSpace
from keras_swish.search.study import Entry, Study

# Proposals in a row that bring nothing new, after which an algorithm is taken for finished.
_PATIENCE = 2000
# How many proposals for each worker may be without a reward.
_AHEAD = 4


@dataclasses.dataclass
class Progress:
    """How far a search has come.

    Attributes:
        tried: Different candidates whose reward the algorithm has asked for.
        repeats: Proposals that were answered from the study, as they had been made before.
        rejected: Proposals that cannot be activations, by reason.
        in_vain: Proposals since the last one that was new.
    """

    tried: int = 0
    repeats: int = 0
    rejected: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    in_vain: int = 0


@dataclasses.dataclass(frozen=True)
class Result:
    """What a search found.

    Attributes:
        study: All finished children.
        child: The child.
        progress: What was proposed.
    """

    study: Study
    child: Child
    progress: Progress

    @property
    def best(self) -> Entry:
        """The candidate of whose reward least can be luck: see `Study.entries`."""
        return self.study.entries()[0]

    def table(self, rows: int = 20) -> str:
        """Returns the best candidates as a Markdown table, and the noise of the child."""
        noise, degrees = self.study.noise()
        lines = ["| formula | mean | 95% interval | seeds |", "|---|---|---|---|"]
        for entry in self.study.entries()[:rows]:
            interval = "" if math.isnan(entry.low) else f"{entry.low:.4f} to {entry.high:.4f}"
            formula = f"`{entry.formula}`" + (f" ({entry.status})" if entry.status != "ok" else "")
            lines.append(f"| {formula} | {entry.mean:.4f} | {interval} | {len(entry.rewards)} |")
        stated = "not known: too few candidates were trained with several seeds"
        if degrees:
            stated = f"{noise:.4f} (standard deviation between seeds, {degrees} degrees of freedom)"
        rejected = sum(self.progress.rejected.values())
        return "\n".join(
            [
                *lines,
                "",
                f"{self.progress.tried} candidates tried, {self.progress.repeats} proposals "
                f"repeated, {rejected} rejected untried. Noise of the child: {stated}.",
            ]
        )

    def model(self) -> keras.Model:
        """Returns the user's network, with its weights, and the best activation inside."""
        return self.child.with_formula(self.best.formula)


def search_activations(
    model: keras.Model,
    train: tuple,
    validation: tuple,
    *,
    space: SearchSpace | None = None,
    algorithm: str | Algorithm = "rl",
    trials: int | None = 500,
    seeds: int = 4,
    top: float = 0.1,
    child_config: ChildConfig | None = None,
    loss=None,
    reward: Callable[[np.ndarray, np.ndarray], float] | None = None,
    activations: list[str] | None = None,
    storage: str | os.PathLike | None = None,
    seed: int = 0,
    on_child: Callable | None = None,
    executor: str = "local",
    cpus: float = 1.0,
    gpus: float = 0.0,
    pruner: str | None = None,
) -> Result:
    """Searches for the activation function with which a network learns best.

    The network's activations are replaced by one that computes any candidate, and the network is
    trained from the start with each candidate that the algorithm proposes. Then the best get
    more seeds. A search that was cut off goes on when it is called again with its storage.

    Args:
        model: A Keras model, built; it is left as it is.
        train: Inputs and labels to train on: arrays whose first axis is the examples.
        validation: Inputs and labels for the reward, likewise.
        space: The search space; by default one core unit.
        algorithm: One of `keras_swish.search.algorithms.ALGORITHMS`, a sampler of Optuna such as
            "optuna:TPESampler", or an `Algorithm`.
        trials: How many different candidates to train; None for as many as the algorithm
            proposes. One whose last 2,000 proposals were all known or unfit is asked no more.
        seeds: With how many seeds the best are trained.
        top: Which part of the candidates these are: those that are the best with the first seed.
        child_config: How the network is trained; by default `ChildConfig()`, three epochs of SGD,
            whatever optimizer the model is compiled with.
        loss: As in `compile`; by default that which the model is compiled with.
        reward: From labels and outputs to a number, higher being better; by default accuracy, for
            models of one output that are trained with a cross-entropy. A storage knows a function
            by its name alone: give one that changes another storage.
        activations: Names of the activations to replace; by default all but the output's.
        storage: Path of a journal file to keep the results in, or a database's URL; by default
            they are kept in memory, and a search that is cut off is lost.
        seed: The first seed of children, and that of the algorithm.
        on_child: Called after each training with candidate, seed and `Outcome`.
        executor: "local" to train in this process, one candidate at a time; or "ray", on the Ray
            cluster that RAY_ADDRESS names or else in several processes of this machine.
        cpus: CPU cores that each of Ray's workers needs.
        gpus: GPUs that each of Ray's workers needs; may be a fraction. This process must leave them
            room: set TF_FORCE_GPU_ALLOW_GROWTH to true, or XLA_PYTHON_CLIENT_PREALLOCATE to false.
        pruner: "halving" to stop children early that do worse than most, or None.

    Returns:
        A `Result`: `best.formula`, `table()`, `model()`.

    Raises:
        ValueError: If the model has nothing to replace, the data cannot be trained on, the
            algorithm, executor or pruner is unknown, the algorithm is of another space, no worker
            fits into the Ray cluster, or the storage is of another search or first seed, or in use
            by another process.

    Example:
        >>> import keras, keras_swish, numpy as np
        >>> x = np.random.default_rng(0).normal(size=(64, 2)).astype("float32")
        >>> y = (x[:, 0] * x[:, 1] > 0).astype("int32")
        >>> model = keras.Sequential(
        ...     [keras.Input((2,)), keras.layers.Dense(8, name="hidden"), keras.layers.ReLU(),
        ...      keras.layers.Dense(2, "softmax")]
        ... )
        >>> result = keras_swish.search_activations(
        ...     model, (x, y), (x, y), loss="sparse_categorical_crossentropy", trials=2, seeds=1,
        ...     algorithm="random", child_config=keras_swish.search.ChildConfig(batch_size=32),
        ... )
        >>> len(result.study), result.model().layers[1].formula == result.best.formula
        (2, True)

    Source: Ramachandran et al. 2017, section 2.
    """
    if trials is not None and trials < 1:
        raise ValueError(f"`trials` must be positive, or None. Received: trials={trials}")
    if seeds < 1 or not 0 < top <= 1:
        raise ValueError(
            "`seeds` must be positive, and `top` a part in (0, 1]. "
            f"Received: seeds={seeds}, top={top}"
        )
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
    needs = {"cpus": cpus, "gpus": gpus} if executor == "ray" else {}
    with executors.create(executor, child, **needs) as where:
        search = Search(child, study, algorithm, name, seed, on_child, where, stops)
        search.explore(trials)
        search.race(seeds, top)
    return Result(study, child, search.progress)


class Search:
    """A search in progress.

    Whatever is idle of the executor gets work: the algorithm is asked before the rewards of all
    earlier proposals are known, and told each when it is. Cut off, a search goes on from its
    study and history: the algorithm is as it was, and what it had asked for is trained again. A
    study in a database has no history: the algorithm begins anew, and is answered from the study.

    Args:
        child: What trains a candidate.
        study: Where outcomes are kept.
        algorithm: What proposes candidates.
        name: The algorithm's name.
        seed: The first seed of children.
        on_child: Called after each training with candidate, seed and `Outcome`.
        executor: Where children are trained; by default in this process, one by one.
        pruner: What stops children early, a `Pruner`; none by default.
        checkpoint_seconds: The algorithm's state is written when it is older than this.

    Raises:
        ValueError: If the study was begun with another seed, or what is beside it is broken or in
            use by another process.
    """

    def __init__(
        self,
        child: Child,
        study: Study,
        algorithm: Algorithm,
        name: str,
        seed: int = 0,
        on_child: Callable | None = None,
        executor: executors.Local | executors.Ray | None = None,
        pruner: Pruner | None = None,
        checkpoint_seconds: float = 60.0,
    ):
        self.child, self.study, self.algorithm = child, study, algorithm
        self.name, self.seed, self.on_child = name, seed, on_child
        self.executor = executor or executors.Local(child)
        self.pruner = pruner
        self.progress = Progress()
        self.checkpoint_seconds = checkpoint_seconds
        self._history = History(study.checkpoint_path(name, seed))
        self._asked = 0
        # Proposals whose reward the algorithm has not been told, by number.
        self._open: dict[int, Proposal] = {}
        # By candidate in training: the numbers of the proposals that wait for it.
        self._waiting: dict[Candidate, list[int]] = {}
        self._seen: set[Candidate] = set()
        self._saved = time.monotonic()
        self._check_seed()
        self._restore()

    def explore(self, trials: int | None) -> None:
        """Lets the algorithm propose until so many different candidates were tried."""
        # None of those whose child a call that was interrupted left in training.
        for number in set(self._open).difference(*self._waiting.values()):
            self._answer(number)
        numbers = self._proposals(trials)
        while True:
            number = next(numbers, None) if self._has_room() else None
            if number is not None:
                self._answer(number)
            elif self._waiting:
                self._finish()
            else:
                break
        self._save()

    def race(self, seeds: int, top: float) -> None:
        """Trains those that are the best with the first seed with further ones.

        The first seed alone chooses, so that the others judge without bias, and a race cut off
        goes on with the same candidates.
        """
        first = {
            candidate: outcomes[self.seed]
            for candidate, outcomes in self.study.outcomes.items()
            if self.seed in outcomes
        }
        fit = [candidate for candidate, outcome in first.items() if outcome.status == OK]
        fit.sort(key=lambda candidate: (-first[candidate].reward, candidate))
        chosen = fit[: math.ceil(top * len(first))]
        # What a call that was interrupted left in training.
        self._finish_all()
        for seed in range(self.seed + 1, self.seed + seeds):
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

    def _proposals(self, trials: int | None) -> Iterator[int]:
        """Asks until enough different candidates were tried; yields the proposals' numbers."""
        progress = self.progress
        while (trials is None or progress.tried < trials) and progress.in_vain < _PATIENCE:
            proposal = self.algorithm.ask()
            if proposal is None:
                return
            self._count(proposal)
            yield self._asked - 1

    def _has_room(self) -> bool:
        # Repeats of what is being trained occupy nobody, but keep the algorithm uninformed.
        return self.executor.idle > 0 and len(self._open) < _AHEAD * self.executor.places

    def _count(self, proposal: Proposal) -> None:
        """Takes note of a proposal."""
        self._open[self._asked] = proposal
        self._asked += 1
        self.progress.in_vain += 1
        reason = self.child.space.reason(proposal.candidate)
        if reason:
            self.progress.rejected[reason] += 1
            return
        candidate = self.child.space.canonical(proposal.candidate)
        if candidate in self._seen:
            self.progress.repeats += 1
        else:
            self.progress.tried += 1
            self.progress.in_vain = 0
            self._seen.add(candidate)

    def _answer(self, number: int) -> None:
        """Tells the reward of a proposal if it is known, and has it trained if not."""
        candidate = self._open[number].candidate
        if self.child.space.reason(candidate):
            self._tell(number, None, self.child.config.diverged_reward)
            return
        candidate = self.child.space.canonical(candidate)
        known = self.study.outcomes.get(candidate, {}).get(self.seed)
        if known and (known.status != PRUNED or self.pruner):
            self._tell(number, candidate, known.reward)
        elif candidate in self._waiting:
            self._waiting[candidate].append(number)
        else:
            self._waiting[candidate] = [number]
            self._submit(candidate, self.seed, self.pruner and self.pruner.stops)

    def _submit(self, candidate: Candidate, seed: int, stop: executors.Stop | None = None) -> None:
        while not self.executor.idle:
            self._finish()
        self.executor.submit(candidate, seed, stop)

    def _finish_all(self) -> None:
        while self.executor.idle < self.executor.places:
            self._finish()

    def _finish(self) -> None:
        """Waits for a child, and tells its reward to those who wait for it."""
        candidate, seed, outcome = self.executor.wait()
        notes = self.pruner.finish(candidate, outcome) if self.pruner else None
        self.study.add(candidate, seed, outcome, self.name, notes)
        for number in self._waiting.pop(candidate, ()):
            self._tell(number, candidate, outcome.reward)
        if self.on_child:
            self.on_child(candidate, seed, outcome)

    def _tell(self, number: int, same: Candidate | None, reward: float) -> None:
        proposal, index = self._open.pop(number), self.child.space.index
        self.algorithm.tell(proposal, reward)
        stands = None if same is None else index(same)
        self._history.append(Told(number, index(proposal.candidate), stands, reward, self._asked))
        if time.monotonic() - self._saved > self.checkpoint_seconds:
            self._save()

    def _save(self) -> None:
        record = {
            "state": self.algorithm.state(),
            "progress": vars(self.progress),
            "asked": self._asked,
            "open": [[n, list(p.candidate), p.note] for n, p in self._open.items()],
        }
        self._history.save(record)
        self._saved = time.monotonic()

    def _restore(self) -> None:
        self._history.claim()
        record, before, after = self._history.read()
        if not self.study.outcomes:
            # Somebody has removed the journal.
            record, before, after = None, [], []
        from_index = self.child.space.from_index
        if record is not None:
            try:
                told = [(from_index(line.index), line.reward) for line in before]
                self.algorithm.restore(record["state"], told)
                self.progress = Progress(**record["progress"])
                self.progress.rejected = collections.Counter(self.progress.rejected)
                self._asked = record["asked"]
                self._open = {n: Proposal(tuple(c), note) for n, c, note in record["open"]}
            except (ValueError, KeyError, TypeError) as error:
                raise self._history.broken(error) from error
            waiting = [p.candidate for p in self._open.values()]
            self._seen = {from_index(line.same) for line in before if line.same is not None}
            self._seen.update(
                self.child.space.canonical(c) for c in waiting if not self.child.space.reason(c)
            )
        self._history.begin([*before, *itertools.takewhile(self._replay, after)])

    def _replay(self, line: Told) -> bool:
        """Asks and tells as it was done; returns whether the algorithm still does the same.

        Samplers of Optuna do not. What they had learned since their state was written is lost to
        them, but not to the study.
        """
        while self._asked < line.asked:
            proposal = self.algorithm.ask()
            if proposal is None:
                return False
            self._count(proposal)
        proposal = self._open.get(line.number)
        if proposal is None or self.child.space.index(proposal.candidate) != line.index:
            return False
        self.algorithm.tell(self._open.pop(line.number), line.reward)
        return True
