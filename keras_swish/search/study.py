"""The record of a search: every trained child, kept by Optuna.

A trial of the study is one training of one candidate with one seed, written once when it is
finished, with all that the algorithm has proposed since the trial before: from its study alone, in
whichever storage, a search resumes. `optuna-dashboard` shows the trials in a browser.
"""

import collections
import contextlib
import dataclasses
import math
import os
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from keras_swish.messages import differences, first_line
from keras_swish.search.child import DIVERGED, OK, PRUNED, Outcome
from keras_swish.search.functions import REFERENCES
from keras_swish.search.insight.noise import LocalNoise, estimate
from keras_swish.search.journal import claim, import_optuna, open_journal
from keras_swish.search.space import Candidate, SearchSpace

_CONFIG, _PROPOSALS, _REFERENCE = "keras_swish", "proposals", "reference"
_LOGS, _RATES = "logs", "rates"
# In place of the name of an algorithm: the functions that the user began with, and those that
# every search compares with.
START, REFERENCE = "start", "reference"


class Proposed(NamedTuple):
    """A proposal of an algorithm.

    Attributes:
        candidate: The candidate.
        reason: Why it is rejected, or None.
        same: The candidate that stands for its function; itself, if it is rejected.
        reward: The reward, if it was known at once.
    """

    candidate: Candidate
    reason: str | None
    same: Candidate
    reward: float | None


class Trial(NamedTuple):
    """A finished child.

    Attributes:
        candidate: Its candidate.
        seed: Its seed.
        outcome: Its outcome.
        algorithm: Name of the algorithm that had it trained, if it was one.
        proposals: What that had proposed since its trial before.
    """

    candidate: Candidate
    seed: int
    outcome: Outcome
    algorithm: str
    proposals: list[Proposed]


@dataclasses.dataclass(frozen=True)
class Entry:
    """A candidate and its rewards.

    Attributes:
        candidate: The candidate.
        formula: Its formula.
        rewards: The reward with each seed, by seed.
        status: "ok", or "diverged" if it did with any seed, or "pruned": stopped early, its reward
            that of the last epoch it had.
        mean: Mean of the rewards; with several seeds without that of the first, as a candidate
            got the others because it did well, or was lucky, with that one. Seeds that give more
            to all candidates are made up for.
        low: Lower end of the 95% interval of the mean; nan while the noise is not known, and
            where the status is not "ok".
        high: Its upper end.
        algorithm: Name of the algorithm that first had it trained; "start" for a function that the
            user began with, "reference" for one that every search compares with.
    """

    candidate: Candidate
    formula: str
    rewards: dict[int, float]
    status: str
    mean: float
    low: float
    high: float
    algorithm: str = ""


class Study:
    """Finished children, in a storage that outlives the process.

    Args:
        space: The search space.
        child: What `Child.fingerprint` returns.
        storage: Path of a journal file; or the URL of a database that Optuna takes, such as
            "postgresql://..."; or None to keep everything in memory.
        name: Name of the study within the storage.

    Raises:
        ValueError: If the storage holds a study of this name of another space or child, or is
            no storage.
        ModuleNotFoundError: If Optuna is not installed.
    """

    def __init__(
        self,
        space: SearchSpace,
        child: dict,
        storage: str | os.PathLike | None = None,
        name: str = "search",
    ):
        optuna = import_optuna()
        self.space, self.child = space, child
        self.path = None
        backend = storage
        if storage is not None and "://" not in str(storage):
            # From the root: Optuna's lock is a link, which is read from its own folder.
            self.path = pathlib.Path(storage).expanduser().resolve()
            backend = open_journal(self.path)
        config = {"space": space.config(), "child": child}
        with _storage_errors(storage):
            self.study = _opened(optuna, name, backend)
            present = self.study.user_attrs.get(_CONFIG)
            if present is None and not self.study.get_trials(deepcopy=False):
                self.study.set_user_attr(_CONFIG, config)
                present = config
        if present != config:
            present = present if isinstance(present, dict) else {}
            raise ValueError(
                f"The storage {str(storage)!r} holds a search of another space or child "
                f"({differences(present, config)}): choose another one."
            )
        # By candidate and seed.
        self.outcomes: dict[Candidate, dict[int, Outcome]] = collections.defaultdict(dict)
        # By what a function is made of, and seed: the children of functions to compare with.
        self.references: dict[str, dict[int, Outcome]] = collections.defaultdict(dict)
        # By candidate, or text of a function to compare with: what first had it trained.
        self._algorithms: dict[Candidate | str, str] = {}
        with _storage_errors(storage):
            self._read_trials()
        space.recall(list(self.outcomes))
        self._distributions = {
            name: optuna.distributions.CategoricalDistribution(
                range(size) if role == "input" else space.primitives[role]
            )
            for name, role, size in zip(space.names, space.roles, space.sizes, strict=True)
        }

    def _read_trials(self) -> None:
        """Reads the children in the storage: of candidates, and of functions to compare with."""
        for trial in self.trials():
            self._algorithms.setdefault(trial.candidate, trial.algorithm)
            by_seed = self.outcomes[trial.candidate]
            # One that was stopped early counts until it is trained to its end.
            if trial.seed not in by_seed or by_seed[trial.seed].status == PRUNED:
                by_seed[trial.seed] = trial.outcome
        for trial in self.study.get_trials(deepcopy=False):
            attrs = trial.user_attrs
            if _REFERENCE in attrs:
                text = attrs[_REFERENCE]
                self.references[text][attrs["seed"]] = _outcome(trial)
                # Storages of before did not say.
                algorithm = attrs.get("algorithm", REFERENCE if text in REFERENCES else START)
                self._algorithms.setdefault(text, str(algorithm))

    @classmethod
    def load(cls, storage: str | os.PathLike, name: str = "search") -> "Study":
        """Opens the study that a storage holds, of whichever space and child.

        Args:
            storage: As for the class; no tables or files are made for it.
            name: Name of the study within the storage.

        Raises:
            ValueError: If there is no such study, or it has other primitives than this version.
            ModuleNotFoundError: If Optuna is not installed.

        Example:
            >>> import pathlib, tempfile
            >>> from keras_swish.search import Outcome, SearchSpace, Study
            >>> space = SearchSpace()
            >>> path = pathlib.Path(tempfile.mkdtemp(), "mine.log")
            >>> Study(space, {}, path).add((0, 0, 1), seed=0, outcome=Outcome(0.5, "ok", 1, 1.0))
            >>> Study.load(path).entries()[0].formula
            'x * x'
        """
        optuna, backend = import_optuna(), str(storage)
        try:
            if "://" in backend:
                _check_file(backend)
                # Looking into a database leaves no tables in it.
                backend = optuna.storages.RDBStorage(backend, skip_table_creation=True)
            else:
                path = pathlib.Path(storage).expanduser().resolve()
                if not path.is_file():
                    raise ValueError("there is no such file")
                backend = open_journal(path)
            config = optuna.load_study(study_name=name, storage=backend).user_attrs[_CONFIG]
            space = SearchSpace(**config["space"])
            child = dict(config["child"])
        except Exception as error:  # a driver's own, where a database does not answer
            raise ValueError(f"no search is stored there ({first_line(error)})") from error
        return cls(space, child, storage, name)

    def __len__(self):
        return sum(map(len, self.outcomes.values()))

    def add(
        self,
        candidate: Candidate,
        seed: int,
        outcome: Outcome,
        algorithm: str = "",
        pruner_notes: dict | None = None,
        proposals: Sequence[Proposed] = (),
    ) -> None:
        """Writes a finished child.

        Args:
            candidate: Its candidate.
            seed: Its seed.
            outcome: Its outcome.
            algorithm: Name of the algorithm that had it trained.
            pruner_notes: What a pruner keeps of it.
            proposals: What the algorithm has proposed since its trial before.
        """
        optuna = import_optuna()
        states = optuna.trial.TrialState
        user_attrs: dict[str, Any] = {
            "formula": str(self.space.formula(candidate)),
            "candidate": list(candidate),
            "seed": seed,
            "algorithm": algorithm,
            **_attributes(outcome),
        }
        if proposals:
            index = self.space.index
            user_attrs[_PROPOSALS] = [
                [index(one.candidate), one.reason or index(one.same), one.reward]
                for one in proposals
            ]
        self.study.add_trial(
            optuna.trial.create_trial(
                state=states.PRUNED if outcome.status == PRUNED else states.COMPLETE,
                value=outcome.reward,
                intermediate_values=dict(enumerate(outcome.curve, 1)),
                system_attrs=pruner_notes,
                params=self.space.choices(candidate),
                distributions=self._distributions,
                user_attrs=user_attrs,
            )
        )
        self.outcomes[candidate][seed] = outcome
        self._algorithms.setdefault(candidate, algorithm)

    def add_reference(
        self, text: str, formula: str, seed: int, outcome: Outcome, algorithm: str = REFERENCE
    ) -> None:
        """Writes a finished child of a function to compare with, which is no candidate here.

        Args:
            text: What the function is made of: its formula or name.
            formula: Its formula.
            seed: Its seed.
            outcome: Its outcome.
            algorithm: "reference", or "start" for one that the user began with.
        """
        optuna = import_optuna()
        self.study.add_trial(
            optuna.trial.create_trial(
                value=outcome.reward,
                intermediate_values=dict(enumerate(outcome.curve, 1)),
                user_attrs={
                    _REFERENCE: text,
                    "algorithm": algorithm,
                    "formula": formula,
                    "seed": seed,
                    **_attributes(outcome),
                },
            )
        )
        self.references[text][seed] = outcome
        self._algorithms.setdefault(text, algorithm)

    def trials(self) -> Iterator[Trial]:
        """Yields all finished children, in the order in which they were written.

        Raises:
            ValueError: If the storage is damaged.
        """
        for trial in self.study.get_trials(deepcopy=False):
            if "candidate" in trial.user_attrs:
                try:
                    yield self._trial(trial)
                except (KeyError, TypeError, ValueError, AttributeError) as error:
                    raise ValueError(
                        f"trial {trial.number} is damaged: {first_line(error)}"
                    ) from error

    def _trial(self, trial: Any) -> Trial:
        attrs = trial.user_attrs
        candidate = tuple(attrs["candidate"])
        self._check_candidate(candidate)
        notes = attrs.get(_PROPOSALS, ())
        return Trial(
            candidate,
            attrs["seed"],
            _outcome(trial),
            str(attrs["algorithm"]),
            [self._proposed(*note) for note in notes],
        )

    def _check_candidate(self, candidate: Candidate) -> None:
        if not all(type(choice) is int for choice in candidate) or candidate not in self.space:
            raise ValueError(f"{candidate} is no candidate of the space")

    def _proposed(self, index: int, same: int | str, reward: float | None) -> Proposed:
        candidate = self._candidate(index)
        if reward is not None and not math.isfinite(reward):
            raise ValueError(f"a reward is {reward}")
        if isinstance(same, str):
            return Proposed(candidate, same, candidate, reward)
        stands = candidate if same == index else self._candidate(same)
        return Proposed(candidate, None, stands, reward)

    def _candidate(self, index: int) -> Candidate:
        if not 0 <= index < len(self.space):
            raise ValueError(f"{index} is the number of no candidate")
        return self.space.from_index(index)

    def save_snapshot(self, algorithm: str, snapshot: dict) -> None:
        """Keeps a snapshot of an algorithm, with the number of trials until now."""
        trials = sum(1 for _ in self.trials())
        self.study.set_user_attr(f"snapshot {algorithm}", {"trials": trials, **snapshot})

    def snapshot(self, algorithm: str) -> dict | None:
        """Returns the last snapshot of an algorithm, if there is one."""
        return self.study.user_attrs.get(f"snapshot {algorithm}")

    def claim(self) -> None:
        """Keeps other processes from searching with this journal while this object lives.

        Raises:
            ValueError: If another process searches with it.
        """
        self._lock = claim(self.path) if self.path else None

    def noise(self) -> tuple[float, int]:
        """Returns the standard deviation between seeds, and the degrees of freedom it has.

        Pooled over the candidates that did not diverge and were trained with several seeds, and
        without what all candidates owe to a seed.
        """
        _, noise, degrees = self._fit()
        return noise, degrees

    def _fit(self) -> tuple[dict[int, float], float, int]:
        """Fits reward = candidate + seed + noise; returns the seeds' effects, and the noise.

        A seed draws the same weights and batches for all candidates, and some are luckier than
        others. Without that, candidates with different judging seeds are compared fairly. Those
        with the first seed alone keep what it gives to all: they lie below those that it chose.
        """
        # The first seed has chosen: what it says of the noise is the second best there is.
        chose = int(any(len(outcomes) > 2 for outcomes in self.outcomes.values()))
        groups = self._judged(chose)
        if not groups:
            return {}, math.nan, 0
        seeds = sorted(set().union(*groups))
        # From each candidate's mean, which falls out of the fit.
        design = np.concatenate(
            [
                _centred([[float(seed == other) for other in seeds] for seed in rewards])
                for rewards in groups
            ]
        )
        centred = np.concatenate([_centred(list(rewards.values())) for rewards in groups])
        effects, _, rank, _ = np.linalg.lstsq(design, centred, rcond=None)
        degrees = len(centred) - len(groups) - int(rank)
        squares = float(np.sum((centred - design @ effects) ** 2))
        noise = math.sqrt(squares / degrees) if degrees else math.nan
        return dict(zip(seeds, map(float, effects), strict=True)) if chose else {}, noise, degrees

    def _judged(self, chose: int) -> list[dict[int, float]]:
        """Returns the rewards by seed that say what the noise is, without the seeds that chose."""
        return [
            {seed: outcomes[seed].reward for seed in sorted(outcomes)[chose:]}
            for outcomes in self.outcomes.values()
            if len(outcomes) > 1 + chose and all(o.status == OK for o in outcomes.values())
        ]

    def local_noise(self) -> LocalNoise | None:
        """Returns the noise by reward; None where it is not known."""
        effects, overall, degrees = self._fit()
        chose = int(any(len(outcomes) > 2 for outcomes in self.outcomes.values()))
        groups = [
            np.array([reward - effects.get(seed, 0.0) for seed, reward in rewards.items()])
            for rewards in self._judged(chose)
        ]
        return estimate(groups, overall, degrees)

    def entries(self, others: Iterable[Entry] = ()) -> list[Entry]:
        """Returns all candidates, the best first: by the lower end of the mean's interval.

        Of many candidates trained once, the highest reward is as likely luck as merit. While
        the noise is not known, they are ordered by their mean. Then come those that diverged, and
        those that were stopped early, whatever they had reached.

        Args:
            others: Functions to rank among them, of `reference_entries`.
        """
        candidates = self._entries(
            [(c, str(self.space.formula(c)), by_seed) for c, by_seed in self.outcomes.items()]
        )
        return sorted([*candidates, *others], key=ranking_key)

    def reference_entries(self) -> list[Entry]:
        """Returns the functions to compare with, judged as candidates are; their candidate is ().

        A reference was not chosen by its first reward, which is left out all the same: so it is
        judged by the seeds that judge the others.
        """
        return self._entries([((), text, by_seed) for text, by_seed in self.references.items()])

    def _entries(self, functions: list[tuple[Candidate, str, dict[int, Outcome]]]) -> list[Entry]:
        effects, _, degrees = self._fit()
        width = float(stats.t.ppf(0.975, degrees)) if degrees else math.nan
        local = self.local_noise()
        entries = []
        for candidate, formula, outcomes in functions:
            rewards = {seed: outcome.reward for seed, outcome in sorted(outcomes.items())}
            judging = list(rewards)[1:]
            judged = [rewards[seed] - effects.get(seed, 0.0) for seed in judging]
            judged = judged or [*rewards.values()]
            mean = float(np.mean(judged))
            statuses = {outcome.status for outcome in outcomes.values()}
            status = next((s for s in (PRUNED, DIVERGED) if s in statuses), OK)
            deviation = local.at(mean) if local and status == OK else math.nan
            half = width * deviation / math.sqrt(len(judged))
            interval = mean - half, mean + half
            algorithm = self._algorithms.get(candidate or formula, "")
            entries.append(Entry(candidate, formula, rewards, status, mean, *interval, algorithm))
        return entries


def _attributes(outcome: Outcome) -> dict[str, Any]:
    """Returns what a trial keeps of an outcome besides its reward and curve."""
    kept = {
        "status": outcome.status,
        "steps": outcome.steps,
        "seconds": round(outcome.seconds, 3),
        _LOGS: outcome.logs,
        _RATES: [
            {"reward": one.reward, "curve": list(one.curve), **_attributes(one)}
            for one in outcome.rates
        ],
    }
    return {name: value for name, value in kept.items() if value or name not in (_LOGS, _RATES)}


def _outcome(trial: Any) -> Outcome:
    """Returns the outcome of a stored child.

    Raises:
        ValueError: If it is damaged.
    """
    if not isinstance(trial.user_attrs["seed"], int):
        raise ValueError(f"its seed is {trial.user_attrs['seed']!r}")
    curve = [trial.intermediate_values[epoch] for epoch in sorted(trial.intermediate_values)]
    return _read(trial.value, curve, trial.user_attrs)


def _read(reward: float, curve: list[float], attributes: dict[str, Any]) -> Outcome:
    """Returns the outcome of which `_attributes` are kept."""
    status, steps, seconds = (attributes[name] for name in ("status", "steps", "seconds"))
    if status not in (OK, DIVERGED, PRUNED):
        raise ValueError(f"its status is {status!r}")
    logs = dict(attributes.get(_LOGS, {}))
    if not all(map(math.isfinite, (reward, steps, seconds, *curve, *logs.values()))):
        raise ValueError("its numbers are not finite")
    rates = [_read(one["reward"], one["curve"], one) for one in attributes.get(_RATES, ())]
    return Outcome(reward, status, steps, seconds, tuple(curve), logs, tuple(rates))


def _check_file(url: str) -> None:
    """Refuses the URL of a file of SQLite that is not there: SQLite would make an empty one.

    Raises:
        ValueError: If there is no such file.
    """
    import sqlalchemy

    parts = sqlalchemy.engine.make_url(url)
    path = parts.database or ":memory:"
    is_file = parts.get_backend_name() == "sqlite" and not path.startswith((":memory:", "file:"))
    if is_file and not os.path.isfile(path):
        raise ValueError("there is no such file")


@contextlib.contextmanager
def _storage_errors(storage: str | os.PathLike | None) -> Iterator[None]:
    """Says which storage it is that cannot be used, whatever a driver raises."""
    try:
        yield
    except Exception as error:
        raise ValueError(
            f"The storage {str(storage)!r} cannot be used ({first_line(error)})."
        ) from error


def _opened(optuna: Any, name: str, storage: Any) -> Any:
    """Returns the study of that name, made if need be."""
    try:
        return optuna.load_study(study_name=name, storage=storage)
    except (KeyError, ValueError):  # none there; without a storage there cannot be one
        return optuna.create_study(
            storage=storage, study_name=name, direction="maximize", load_if_exists=True
        )


def _centred(rows: list) -> np.ndarray:
    array = np.array(rows)
    return array - array.mean(0)


def ranking_key(entry: Entry) -> tuple:
    """Returns the key by which entries are sorted; equal keys mean equally good."""
    has_interval = not math.isnan(entry.low)
    return (OK, DIVERGED, PRUNED).index(entry.status), -(entry.low if has_interval else entry.mean)
