"""The result of a search, and its progress."""

import collections
import dataclasses
import math

import keras

from keras_swish.search.child import Child
from keras_swish.search.insight.naming import readable
from keras_swish.search.space import Candidate
from keras_swish.search.study import Entry, Study


@dataclasses.dataclass
class Progress:
    """How far an algorithm has come.

    Attributes:
        tried: Different candidates whose reward the algorithm has asked for.
        repeats: Proposals that were answered from the study, as they had been made before.
        rejected: Proposals that cannot be activations, by reason.
        since_new: Proposals since the last one that was new.
        functions: The candidates that stand for the functions proposed.
    """

    tried: int = 0
    repeats: int = 0
    rejected: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    since_new: int = 0
    functions: set[Candidate] = dataclasses.field(default_factory=set, repr=False)

    @property
    def asked(self) -> int:
        """How many proposals there were."""
        return self.tried + self.repeats + sum(self.rejected.values())

    def count(self, reason: str | None, same: Candidate) -> None:
        """Counts a proposal: why it is rejected, if it is, and what stands for its function."""
        self.since_new += 1
        if reason:
            self.rejected[reason] += 1
        elif same in self.functions:
            self.repeats += 1
        else:
            self.tried += 1
            self.since_new = 0
            self.functions.add(same)


@dataclasses.dataclass(frozen=True)
class Result:
    """The result of a search.

    Attributes:
        study: All finished children.
        child: The child.
        progress: How far the algorithm has come.
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
            formula = f"`{readable(entry.formula)}`" + (
                f" ({entry.status})" if entry.status != "ok" else ""
            )
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
        """Returns the user's network, with its weights and the best activation."""
        return self.child.with_formula(self.best.formula)


def progress_by_algorithm(study: Study) -> dict[str, Progress]:
    """Returns the progress of each algorithm that the study has notes of, up to its last child."""
    by_algorithm: dict[str, Progress] = collections.defaultdict(Progress)
    for trial in study.trials():
        for proposed in trial.proposals:
            by_algorithm[trial.algorithm].count(proposed.reason, proposed.same)
    return dict(by_algorithm)
