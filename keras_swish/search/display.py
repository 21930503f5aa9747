"""What a search shows of itself while it runs: a bar, or a line for each function."""

import sys
import time

from keras_swish.messages import clock
from keras_swish.search.child import Outcome
from keras_swish.search.result import Measure
from keras_swish.search.space import Candidate, SearchSpace
from keras_swish.search.study import Entry

VERBOSE = ("auto", 0, 1, 2)
_WIDTH = 20
# How often a bar is drawn again where lines cannot be overwritten: at each such part of it.
_PARTS = 10


class Display:
    """Prints the progress of a search.

    Args:
        space: The search space.
        measure: How rewards are written.
        verbose: One of `VERBOSE`: 0 for nothing, 1 for a bar, 2 for a line a function; "auto" is 1.
    """

    def __init__(self, space: SearchSpace, measure: Measure, verbose: int | str = "auto"):
        self.space, self.measure = space, measure
        self.verbose = 1 if verbose == "auto" else int(verbose)
        self._is_dynamic = sys.stdout.isatty() or "ipykernel" in sys.modules
        self.begin("functions", None)

    def begin(self, what: str, total: int | None) -> None:
        """Begins to count: so many trainings, if that is known."""
        self._what, self._total, self._done, self._shown = what, total, 0, -1
        self._started, self._width = time.monotonic(), 0
        self.best: tuple[float, str] | None = None

    def describe(self, text: str) -> None:
        """Prints a line of text."""
        if self.verbose:
            print(text, flush=True)

    def compare(self, references: list[Entry]) -> None:
        """Prints what candidates are compared with."""
        stated = ", ".join(f"{one.formula} {self.measure.text(one.mean)}" for one in references)
        self.describe(f"to compare with: {stated} ({self.measure.name})")

    def count(self, candidate: Candidate, seed: int, outcome: Outcome) -> None:
        """Shows a child that is trained."""
        self._done += 1
        if not self.verbose:
            return
        formula = str(self.space.formula(candidate))
        if outcome.status == "ok" and (self.best is None or outcome.reward > self.best[0]):
            self.best = outcome.reward, formula
        if self.verbose == 2:
            note = "" if outcome.status == "ok" else f" ({outcome.status})"
            value = self.measure.text(outcome.reward)
            print(f"{self._done:5}  {value}{note}  {formula}  (seed {seed})", flush=True)
        else:
            self._draw()

    def end(self) -> None:
        """Ends the line of a bar."""
        if self.verbose == 1 and self._is_dynamic and self._done:
            print(flush=True)

    def _draw(self) -> None:
        of = f"/{self._total}" if self._total else ""
        best = f"best {self.measure.text(self.best[0])} {self.best[1]}" if self.best else ""
        parts = [f"{self._done}{of} {self._what}", self._bar(), self._left(), best]
        line = "  ".join(filter(None, parts))
        if self._is_dynamic:
            print(f"\r{line:<{self._width}}", end="", flush=True)
            self._width = len(line)
            return
        part = self._done * _PARTS // (self._total or 100)
        if part != self._shown:
            self._shown = part
            print(line, flush=True)

    def _bar(self) -> str:
        if not self._total:
            return ""
        filled = min(_WIDTH, self._done * _WIDTH // self._total)
        return "[" + "=" * filled + "." * (_WIDTH - filled) + "]"

    def _left(self) -> str:
        if not self._total:
            return ""
        per_child = (time.monotonic() - self._started) / self._done
        return f"{clock(per_child * max(0, self._total - self._done))} left"
