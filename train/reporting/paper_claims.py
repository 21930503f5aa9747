"""The paper's observations on the functions that its search found, checked on a study.

The best are the best tenth of the candidates, in the order of `Study.entries`; each observation
is how often something is found among them, and how often among all others.

Source: Ramachandran et al. 2017, section 3.
"""

import copy
import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from keras_swish.search import SearchSpace, Study
from keras_swish.search.space import Candidate
from keras_swish.search.study import Entry, ranking_key

from . import statistics

BEST = 0.1
# A core unit in words: input1, u1, input2, u2, b.
Unit = tuple[int, str, int, str, str]
# The functions that the paper found and that it compared with, by the names of
# `keras_swish.layer`, as core units: of the first its u1, u2 and b.
FUNCTIONS: dict[str, tuple[tuple[str, str, str], *tuple[Unit, ...]]] = {
    "relu": (("max(x,0)", "max(x,0)", "max(x1,x2)"),),
    "swish_beta": (("beta*x", "x", "sigmoid(x1)*x2"),),
    "swish": (("x", "x", "sigmoid(x1)*x2"),),
    "max_sigmoid": (("x", "sigmoid(x)", "max(x1,x2)"),),
    "cos_minus_x": (("cos(x)", "x", "x1-x2"),),
    "min_sin": (("x", "sin(x)", "min(x1,x2)"),),
    "arctan_squared_minus_x": (
        ("arctan(x)", "arctan(x)", "x1*x2"),
        (1, "x", 0, "x", "x1-x2"),
    ),
    "max_tanh": (("x", "tanh(x)", "max(x1,x2)"),),
    "sinc_plus_x": (("sinc(x)", "x", "x1+x2"),),
    "x_arcsinh_squared": (
        ("arcsinh(x)", "arcsinh(x)", "x1*x2"),
        (1, "x", 0, "x", "x1*x2"),
    ),
    "softplus": (("log(1+exp(x))", "log(1+exp(x))", "max(x1,x2)"),),
    "tanh": (("tanh(x)", "tanh(x)", "max(x1,x2)"),),
}
_DIVISION = "x1/(x2+eps)"
_PERIODIC = ("sin(x)", "cos(x)")
_LINEAR = ("x", "-x", "beta*x")


@dataclasses.dataclass(frozen=True)
class Share:
    """How often something is found among the best candidates, and among the others.

    Attributes:
        best: How many of the best have it.
        of_best: How many the best are.
        others: How many of the others have it.
        of_others: How many the others are.
        p: Two-sided p of Fisher's exact test.
        holm_p: p, corrected for everything that was tested with it.
    """

    best: int
    of_best: int
    others: int
    of_others: int
    p: float
    holm_p: float

    @property
    def side(self) -> int:
        """1 if it is significantly more frequent among the best, -1 if less, 0 if neither."""
        if self.holm_p > 0.05:
            return 0
        return 1 if self.best * self.of_others > self.others * self.of_best else -1


@dataclasses.dataclass(frozen=True)
class Division:
    """A comparison of the candidates that divide with those that do not.

    Attributes:
        rank: Their median rank, as a share of all ranks: 0 is the best.
        other_rank: That of the others.
        rank_p: Two-sided p of the Mann-Whitney test of the ranks.
        diverged: The share of them that diverged.
        other_diverged: That of the others.
        diverged_p: Two-sided p of Fisher's exact test.
    """

    rank: float
    other_rank: float
    rank_p: float
    diverged: float
    other_diverged: float
    diverged_p: float


class Ranked(NamedTuple):
    """A candidate and its rank among all, from 1."""

    rank: int
    entry: Entry


def best_count(entries: list[Entry]) -> int:
    """Returns how many the best tenth are."""
    return math.ceil(BEST * len(entries))


def used_units(space: SearchSpace, candidate: Candidate) -> list[Unit]:
    """Returns the core units that the candidate's value depends on, the last one at the end.

    Example:
        >>> from keras_swish.search import SearchSpace
        >>> from keras_swish.train.reporting.paper_claims import used_units
        >>> space = SearchSpace(core_units=2)
        >>> both = space.candidate(u1="x", u2="x", b="x1*x2", input1_2=1, u1_2="sin(x)",
        ...                        input2_2=0, u2_2="x", b_2="x1+x2")
        >>> last = space.candidate(u1="x", u2="x", b="x1*x2", input1_2=0, u1_2="sin(x)",
        ...                        input2_2=1, u2_2="beta", b_2="x1+x2")
        >>> len(used_units(space, both)), len(used_units(space, last))
        (2, 1)
    """
    units = space.units(candidate)
    read, names = space.read_units(units), space.primitives
    return [
        (
            input1,
            names["u"][u1],
            input2,
            names["u"][u2],
            names["b"][b],
        )
        for number, (input1, u1, input2, u2, b) in enumerate(units, 1)
        if number in read
    ]


def _uses_raw_x(units: list[Unit]) -> bool:
    input1, u1, input2, u2, _ = units[-1]
    return (0, "x") in ((input1, u1), (input2, u2))


def _divides(units: list[Unit]) -> bool:
    return any(b == _DIVISION for *_, b in units)


def _is_periodic(units: list[Unit]) -> bool:
    return any(u in _PERIODIC for _, u1, _, u2, _ in units for u in (u1, u2))


def _is_periodic_plus_line(units: list[Unit]) -> bool:
    input1, u1, input2, u2, b = units[-1]
    pairs = (input1, u1, u2), (input2, u2, u1)
    return b in ("x1+x2", "x1-x2") and any(
        source == 0 and line in _LINEAR and other in _PERIODIC for source, line, other in pairs
    )


# The paper's observations: whether it expects more (1) or fewer (-1) among the best, and which
# units have it. For one or two core units see `observations`. A function can be spelled in several
# ways: it has what any of them has, and divides if all of them do.
OBSERVED: dict[str, tuple[int, Callable[[list[Unit]], bool]]] = {
    "the last binary function has the raw x as an input": (1, _uses_raw_x),
    "divides": (-1, _divides),
    "has sin or cos": (1, _is_periodic),
    "sin or cos, added to or subtracted from a multiple of x": (1, _is_periodic_plus_line),
}


def shares(flags: dict[str, list[bool]], best: int) -> dict[str, Share]:
    """Returns how often each thing is found among the first `best` ranks and the others.

    Args:
        flags: By thing, whether each candidate has it, in the order of their ranks.
        best: How many of them the best are.

    Example:
        >>> from keras_swish.train.reporting.paper_claims import shares
        >>> share = shares({"it": [True] * 4 + [False] * 36}, best=4)["it"]
        >>> share.best, share.others, f"{share.p:.1g}"
        (4, 0, '1e-05')
    """
    counts: dict[str, tuple[int, int, int, int]] = {}
    for name, flag in flags.items():
        first, rest = np.array(flag[:best]), np.array(flag[best:])
        counts[name] = int(first.sum()), len(first), int(rest.sum()), len(rest)
    p = [_fisher_p([[a, n - a], [b, m - b]]) for a, n, b, m in counts.values()]
    corrected = statistics.holm(p)
    return {
        name: Share(*counts[name], own_p, holm_p)
        for name, own_p, holm_p in zip(counts, p, corrected, strict=True)
    }


def _fisher_p(table: list[list[int]]) -> float:
    outcome: Any = stats.fisher_exact(table)  # SciPy's stubs leave its type open
    return float(outcome.pvalue)


def primitives(space: SearchSpace, entries: list[Entry]) -> dict[str, dict[str, Share]]:
    """Returns how often each "unary" and "binary" primitive that was tried is found."""
    units = [used_units(space, entry.candidate) for entry in entries]
    used = {
        "unary": [{u for _, u1, _, u2, _ in one for u in (u1, u2)} for one in units],
        "binary": [{b for *_, b in one} for one in units],
    }
    return {
        arity: shares(
            {name: [name in names for names in by_entry] for name in sorted(set.union(*by_entry))},
            best_count(entries),
        )
        for arity, by_entry in used.items()
    }


def observations(space: SearchSpace, entries: list[Entry]) -> dict[str, tuple[int, Share]]:
    """Returns of each observation what the paper lets expect, and how often it is true here."""
    units = [
        [used_units(space, spelling) for spelling in space.spellings(entry.candidate)]
        for entry in entries
    ]
    observed = dict(OBSERVED)
    if space.core_units > 1:
        # Of two units the paper says no more than of one.
        few, name, expected = 1, "one core unit", 0
        if space.core_units > 2:
            few, name, expected = 2, "one or two core units", 1
        observed = {name: (expected, lambda used: len(used) <= few), **observed}
    flags = {
        name: [(all if has is _divides else any)(map(has, spellings)) for spellings in units]
        for name, (_, has) in observed.items()
    }
    by_name = shares(flags, best_count(entries))
    return {name: (observed[name][0], share) for name, share in by_name.items()}


def division(space: SearchSpace, entries: list[Entry]) -> Division | None:
    """Compares the candidates that divide with the others; None where there are not both."""
    divides = np.array([_divides(used_units(space, entry.candidate)) for entry in entries])
    if divides.all() or not divides.any():
        return None
    order = {key: number for number, key in enumerate(dict.fromkeys(map(ranking_key, entries)))}
    ranks = stats.rankdata([order[ranking_key(entry)] for entry in entries]) / len(entries)
    diverged = np.array([entry.status == "diverged" for entry in entries])
    table = [
        [int(diverged[rows].sum()), int((~diverged[rows]).sum())] for rows in (divides, ~divides)
    ]
    return Division(
        float(np.median(ranks[divides])),
        float(np.median(ranks[~divides])),
        float(stats.mannwhitneyu(ranks[divides], ranks[~divides]).pvalue),
        float(diverged[divides].mean()),
        float(diverged[~divides].mean()),
        _fisher_p(table),
    )


def rank_functions(study: Study, entries: list[Entry]) -> dict[str, Ranked | None]:
    """Returns the rank of each function of the paper, or None for one that was not tried."""
    space = study.space
    if space.core_units > 1:
        # A copy: in spaces too large to survey, asking for a function would take note of it.
        space = copy.copy(space)
        space.recall([entry.candidate for entry in entries])
    ranks = {
        space.canonical(entry.candidate): Ranked(rank, entry)
        for rank, entry in enumerate(entries, 1)
    }
    return {
        name: ranks.get(space.canonical(candidate(space, name)))
        if len(units) <= space.core_units and _has(space, units)
        else None
        for name, units in FUNCTIONS.items()
    }


def _has(space: SearchSpace, units: Any) -> bool:
    """Says whether a space has the primitives of a function."""
    (u1, u2, b), *rest = units
    needed = {u1, u2, b, "x", "max(x1,x2)", *(choice for unit in rest for choice in unit)}
    return needed <= {0, 1, *space.primitives["u"], *space.primitives["b"]}


def candidate(space: SearchSpace, name: str) -> Candidate:
    """Returns the candidate that is a function of the paper.

    The space's further units pass on what those of the function give.

    Example:
        >>> from keras_swish.search import SearchSpace
        >>> from keras_swish.train.reporting import paper_claims
        >>> space = SearchSpace()
        >>> print(space.formula(paper_claims.candidate(space, "swish_beta")))
        sigmoid(beta * x) * x
    """
    (u1, u2, b), *rest = FUNCTIONS[name]
    units: list[Unit] = [(0, u1, 0, u2, b), *rest]
    for number in range(len(units), space.core_units):
        units.append((number, "x", number, "x", "max(x1,x2)"))
    unary, binary = space.primitives["u"].index, space.primitives["b"].index
    return space.from_units(
        [(i, unary(first), j, unary(second), binary(b)) for i, first, j, second, b in units]
    )
