"""Which candidates are one function, and which cannot be an activation at all."""

import collections
import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from keras_swish.search.space import SearchSpace

Candidate = tuple[int, ...]

REASONS = ("not finite", "constant or affine")
# With how many sets of betas candidates are compared; the first is the initial one.
SETS = 4
# The largest number that float32, which children train in, has.
_LARGEST = float(np.finfo("float32").max)
# How far apart functions may lie that are one function up to rounding: x and x * x / (x + eps).
_TOLERANCE = 1e-5


class Identities:
    """Which candidates are one function, as far as has been asked.

    Args:
        space: The `SearchSpace`.
    """

    def __init__(self, space: "SearchSpace"):
        self.space = space
        random, points = np.random.default_rng(1), len(space.grid)
        self._projection = random.normal(size=(SETS * points, 8)) / math.sqrt(points)
        # At how many grid points a straight line may be off.
        self._holes = points // 50
        self.by_candidate: dict[Candidate, tuple[str | None, Candidate]] = {}
        # By the cell of the first number of its signature: signatures and their candidates.
        self.cells: dict[int, list[tuple[np.ndarray, Candidate]]] = collections.defaultdict(list)

    def find(self, candidate: Candidate) -> tuple[str | None, Candidate]:
        """Returns why the candidate is rejected, and the candidate that stands for it."""
        if candidate not in self.by_candidate:
            self.find_all([candidate])
        return self.by_candidate[candidate]

    def find_all(
        self, candidates: list[Candidate], are_fit: bool = False
    ) -> list[tuple[str | None, Candidate]]:
        """Does the same for many at once, in half of the time if none is to be rejected."""
        ordered = [self.space.ordered(candidate) for candidate in candidates]
        new = list(dict.fromkeys(c for c in ordered if c not in self.by_candidate))
        for start in range(0, len(new), 512):
            self._look(new[start : start + 512], are_fit)
        for candidate, same in zip(candidates, ordered, strict=True):
            self.by_candidate[candidate] = self.by_candidate[same]
        return [self.by_candidate[candidate] for candidate in candidates]

    def remember(self, candidate: Candidate, reason: str | None, same: Candidate) -> None:
        """Takes note of what `find` returned in an earlier process."""
        if reason:
            same = self.space.ordered(candidate)
            self.by_candidate.setdefault(same, (reason, same))
        self.by_candidate.setdefault(candidate, (reason, same))

    def with_values(self, values: np.ndarray) -> Candidate | None:
        """Returns the candidate that stands for the function with these values, if one does."""
        return self._nearest(self._signature(values))

    def _look(self, candidates: list[Candidate], are_fit: bool) -> None:
        reasons: list[str | None] = [None] * len(candidates)
        if are_fit:
            values = self.space.values(candidates)
        else:
            values, slopes = self.space.values_and_slopes(candidates)
            reasons = self._reasons(values, slopes)
        for candidate, reason, on_grid in zip(candidates, reasons, values, strict=True):
            same = candidate if reason else self._first(self._signature(on_grid), candidate)
            self.by_candidate[candidate] = (reason, same)

    def _reasons(self, values: np.ndarray, slopes: np.ndarray) -> list[str | None]:
        initial = np.concatenate([values[:, 0], slopes[:, 0]], axis=1)
        with np.errstate(invalid="ignore"):
            is_finite = np.all(np.abs(initial) <= _LARGEST, axis=1)
        is_affine = self._affine(values)
        return [
            REASONS[0] if not finite else REASONS[1] if affine else None
            for finite, affine in zip(is_finite, is_affine, strict=True)
        ]

    def _affine(self, values: np.ndarray) -> np.ndarray:
        """Says of each whether it is a straight line, for each set of betas, but for a few points.

        x / (x + eps) is 1, but for a hole at 0 that no pre-activation ever meets.
        """
        x, (low, high) = self.space.grid, (len(self.space.grid) // 4, 3 * len(self.space.grid) // 4)
        with np.errstate(all="ignore"):
            slope = (values[..., high] - values[..., low]) / (x[high] - x[low])
            line = values[..., low, None] + slope[..., None] * (x - x[low])
            off = np.abs(values - line) > _TOLERANCE * (np.abs(values) + np.abs(line))
        return (off.sum(axis=-1) <= self._holes).all(axis=-1)

    def _signature(self, values: np.ndarray) -> np.ndarray:
        """Returns a few numbers that change when the function changes anywhere."""
        # Steep near 0 and flat far out, so that equal is meant relative to the size.
        return np.arcsinh(np.nan_to_num(values, nan=1.0).ravel()) @ self._projection

    def _first(self, signature: np.ndarray, candidate: Candidate) -> Candidate:
        first = self._nearest(signature)
        if first is None:
            first = candidate
            self.cells[_cell(signature)].append((signature, candidate))
        return first

    def _nearest(self, signature: np.ndarray) -> Candidate | None:
        cell = _cell(signature)
        for near in (cell - 1, cell, cell + 1):
            for other, first in self.cells.get(near, ()):
                if np.abs(other - signature).max() <= _TOLERANCE:
                    return first
        return None


def _cell(signature: np.ndarray) -> int:
    return math.floor(signature[0] / _TOLERANCE)
