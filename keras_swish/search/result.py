"""The result of a search, and its progress."""

import collections
import dataclasses
import html
import math
from typing import Any

import keras

from keras_swish.search.child import OK, Child
from keras_swish.search.functions import REFERENCES, Function
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
class Measure:
    """How rewards are written for people: those of an objective as the model measures it.

    Attributes:
        name: What is measured.
        sign: -1 where a reward is the negative of what is measured.
    """

    name: str = "reward"
    sign: int = 1

    def text(self, reward: float) -> str:
        """Returns a reward, with four digits."""
        return f"{self.sign * reward:.4f}"

    def interval(self, entry: Entry) -> str:
        """Returns the interval of an entry; empty while it is not known."""
        if math.isnan(entry.low):
            return ""
        low, high = sorted((self.sign * entry.low, self.sign * entry.high))
        return f"{low:.4f} to {high:.4f}"


def measure_of(child: Any) -> Measure:
    """Returns how the rewards of a child are written."""
    objective = getattr(child, "objective", None)
    return Measure(objective.name, objective.sign) if objective else Measure()


@dataclasses.dataclass(frozen=True)
class Result:
    """The result of a search.

    Attributes:
        study: All finished children.
        child: The child.
        progress: How far the algorithm has come.
        start: The functions that the search began with.
    """

    study: Study
    child: Child
    progress: Progress
    start: tuple[Function, ...] = ()

    @property
    def best(self) -> Entry:
        """The function of whose reward least can be luck: see `Study.entries`.

        Raises:
            ValueError: If none was trained to the end.
        """
        best = next(iter(self.entries()), None)
        if best is None or best.status != OK:
            raise ValueError(
                f"No function was trained to the end: of {len(self.entries())}, all diverged or "
                "were stopped. Try a lower learning rate, or more trials."
            )
        return best

    def entries(self) -> list[Entry]:
        """Returns the functions, the best first: the candidates, and what the search began with."""
        texts = {function.text for function in self.start if function.candidate is None}
        others = [one for one in self.study.reference_entries() if one.formula in texts]
        return self.study.entries(others)

    def references(self) -> list[Entry]:
        """Returns ReLU and Swish, which every search trains to compare with."""
        return [one for one in self.study.reference_entries() if one.formula in REFERENCES]

    def rows(self, count: int = 20) -> list[list[str]]:
        """Returns the best functions: formula, mean, 95% interval, number of seeds."""
        measure = measure_of(self.child)
        return [
            [
                _shown(entry) + ("" if entry.status == OK else f" ({entry.status})"),
                measure.text(entry.mean),
                measure.interval(entry),
                str(len(entry.rewards)),
            ]
            for entry in self.entries()[:count]
        ]

    @property
    def _titles(self) -> list[str]:
        return ["formula", measure_of(self.child).name, "95% interval", "seeds"]

    def table(self, rows: int = 20) -> str:
        """Returns the best functions as a Markdown table, and the noise of the child."""
        noise, degrees = self.study.noise()
        lines = [f"| {' | '.join(self._titles)} |", "|---|---|---|---|"]
        for formula, *cells in self.rows(rows):
            lines.append(f"| `{formula}` | {' | '.join(cells)} |")
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

    def summary(self) -> str:
        """Returns the best function, and ReLU and Swish to compare it with, a line each."""
        measure = measure_of(self.child)
        lines = []
        entries = [(one.formula, one) for one in self.references()]
        try:
            entries.insert(0, ("best", self.best))
        except ValueError as error:
            lines.append(str(error))
        for name, entry in entries:
            interval = measure.interval(entry)
            judged = f", 95% interval {interval}" if interval else ""
            seeds = "one seed" if len(entry.rewards) == 1 else f"{len(entry.rewards)} seeds"
            formula = f" {entry.formula}," if name == "best" else ""
            note = "" if entry.status == OK else f" ({entry.status})"
            value = measure.text(entry.mean)
            lines.append(f"{name}:{formula} {measure.name} {value}{note}{judged}, {seeds}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """Returns the table for a notebook."""
        rows = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self.rows()
        )
        titles = "".join(f"<th>{title}</th>" for title in self._titles)
        summary = html.escape(self.summary()).replace("\n", "<br>")
        return f"<p>{summary}</p><table><tr>{titles}</tr>{rows}</table>"

    def model(self) -> keras.Model:
        """Returns a copy of the user's network with the best activation.

        It has the weights that the network had before the search, and is not compiled: compile
        it, and train it.
        """
        return self.child.with_formula(self.best.formula)


def progress_by_algorithm(study: Study) -> dict[str, Progress]:
    """Returns the progress of each algorithm that the study has notes of, up to its last child."""
    by_algorithm: dict[str, Progress] = collections.defaultdict(Progress)
    for trial in study.trials():
        for proposed in trial.proposals:
            by_algorithm[trial.algorithm].count(proposed.reason, proposed.same)
    return dict(by_algorithm)


def _shown(entry: Entry) -> str:
    """Returns what people read of a function; one to begin with is shown as it was given."""
    return readable(entry.formula) if entry.candidate else entry.formula
