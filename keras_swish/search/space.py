"""The search space: core units b(u1(x), u2(x)) over the paper's primitives.

A candidate is a tuple of whole numbers, one for each choice. For the first unit these are u1,
u2 and b: the positions of the two unary functions in `primitives.UNARY`, and of the binary one in
`primitives.BINARY`. Each further unit chooses the input of each of its unary functions too, x
(0) or the output of a unit before it (1, 2, ...), and its five are input1, u1, input2, u2, b.

Source: Ramachandran et al. 2017, section 2.
"""

import collections
import copy
import dataclasses
import functools
import math
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from keras_swish.formulas.language import (
    Formula,
    FormulaError,
    Name,
    initial_value,
    parse,
    substitute,
    weights,
)
from keras_swish.formulas.numeric import evaluate
from keras_swish.formulas.primitives import BINARY, UNARY, Primitive
from keras_swish.messages import unknown
from keras_swish.search.identity import REASONS, SETS, Candidate, Identities
from keras_swish.search.values import (
    SLOTS,
    candidate_values,
    candidate_values_and_slopes,
    reads,
)

# By role: the argument of `SearchSpace`, the paper's table, and what a primitive is a function of.
_ROLES: dict[str, tuple[str, dict[str, Primitive], tuple[str, ...]]] = {
    "u": ("unary", UNARY, ("x",)),
    "b": ("binary", BINARY, ("x1", "x2")),
}
POINTS = 256
# More are a mistake, and what grows with them would fill the memory.
MOST_UNITS = 32


class Unit(NamedTuple):
    """The choices of a core unit: the inputs and functions of its two arguments, and the last."""

    input1: int
    u1: int
    input2: int
    u2: int
    b: int


@dataclasses.dataclass(frozen=True)
class Survey:
    """The functions of a space.

    Attributes:
        choices: How many candidates there are.
        rejected: How many of them cannot be activations, by reason.
        repeated: How many are the same function as one before them.
        candidates: The others, the first of each function, in the order of their indices.
        left_out: How many different functions a confined space leaves out.
    """

    choices: int
    rejected: dict[str, int]
    repeated: int
    candidates: tuple[Candidate, ...]
    left_out: int = 0

    def __str__(self):
        rejected = ", ".join(f"{count} {reason}" for reason, count in self.rejected.items())
        left_out = f"{self.left_out} left out, " if self.left_out else ""
        return (
            f"{self.choices}: {rejected}, {self.repeated} repeated, {left_out}"
            f"{len(self.candidates)} different functions"
        )


class SearchSpace:
    """All activation functions of some core units.

    Args:
        core_units: How many units: 1 has 6,250 candidates, 2 have 156 millions.
        interval: The range of the child's pre-activations, on which candidates must be finite
            and are compared.
        unary: The primitives of one argument: names of the paper's, or formulas of x and beta,
            such as "x * sigmoid(x)"; by default the paper's.
        binary: Those of two arguments, of x1, x2 and beta, such as "x1 * tanh(x2)".

    Raises:
        ValueError: If there is no unit, the interval is empty, or a primitive is no formula.

    Example:
        >>> from keras_swish.search.space import SearchSpace
        >>> space = SearchSpace(core_units=1)
        >>> len(space)
        6250
        >>> str(space.formula(space.candidate(u1="beta*x", u2="x", b="sigmoid(x1)*x2")))
        'sigmoid(beta * x) * x'
        >>> small = SearchSpace(unary=["x", "x * sigmoid(x)"], binary=["x1+x2", "x1 * tanh(x2)"])
        >>> len(small)
        8
    """

    def __init__(
        self,
        core_units: int = 1,
        interval: tuple[float, float] = (-6.0, 6.0),
        unary: Sequence[str] | None = None,
        binary: Sequence[str] | None = None,
    ):
        if not isinstance(core_units, int) or not 1 <= core_units <= MOST_UNITS:
            raise ValueError(
                f"`core_units` must be a whole number from 1 to {MOST_UNITS}. "
                f"Received: core_units={core_units!r}"
            )
        low, high = map(float, interval)
        if not low < high or not math.isfinite(high - low):
            raise ValueError(
                f"`interval` must be (low, high) with low < high. Received: interval={interval!r}"
            )
        self.core_units = core_units
        self.interval = (low, high)
        named = {"u": _primitives("u", unary), "b": _primitives("b", binary)}
        # The names of the primitives by role, and their formulas.
        self.primitives = {role: list(by_name) for role, by_name in named.items()}
        self.trees = {role: list(by_name.values()) for role, by_name in named.items()}
        # Binary functions whose arguments can be swapped; in a blend beta becomes 1 - beta then.
        self.commutative = frozenset(
            number for number, tree in enumerate(self.trees["b"]) if _is_commutative(tree)
        )
        # Unary functions that do not read their input, and those with a weight.
        self._beta_alone = frozenset(
            number for number, tree in enumerate(self.trees["u"]) if not reads(tree, "x")
        )
        self._with_beta = frozenset(u for u, tree in enumerate(self.trees["u"]) if weights(tree))
        self._no_beta = min(set(range(len(self.trees["u"]))) - self._with_beta, default=0)
        count, binaries = len(self.trees["u"]), len(self.trees["b"])
        roles, sizes = ["u", "u", "b"], [count, count, binaries]
        names = ["u1", "u2", "b"]
        for unit in range(2, core_units + 1):
            roles += ["input", "u", "input", "u", "b"]
            sizes += [unit, count, unit, count, binaries]
            names += [f"{name}_{unit}" for name in Unit._fields]
        # Of each component of a candidate: its name, whether it chooses a unary function, a binary
        # one or an input, and of how many.
        self.names, self.roles, self.sizes = tuple(names), tuple(roles), tuple(sizes)
        # Grid points that no function is likely to treat alike: multiples of the golden ratio.
        inner = np.sort(np.arange(1, POINTS - 2) * (math.sqrt(5) - 1) / 2 % 1)
        self.grid = np.sort([low, high, min(max(0.0, low), high), *(low + (high - low) * inner)])
        # What a survey is to find alone; None: everything.
        self._confined_to: tuple[Candidate, ...] | None = None
        self._betas_of = functools.cache(self._initial_betas)
        self._betas = np.random.default_rng(0).uniform(0.3, 1.7, (SETS - 1, SLOTS * core_units))

    def __len__(self):
        return math.prod(self.sizes)

    def __reduce__(self):
        # Without what it has computed of candidates.
        arguments = (self.core_units, self.interval, *self.primitives.values())
        return type(self), arguments, {"_confined_to": self._confined_to}

    def __contains__(self, candidate):
        return len(candidate) == len(self.sizes) and all(
            0 <= choice < size for choice, size in zip(candidate, self.sizes, strict=True)
        )

    @property
    def _given(self) -> dict[str, list[str]]:
        return {_ROLES[role][0]: names for role, names in self.primitives.items()}

    def config(self) -> dict:
        """Returns what makes this space, in the form in which JSON gives it back."""
        return {
            "core_units": self.core_units,
            "interval": list(self.interval),
            "unary": list(map(str, self.trees["u"])),
            "binary": list(map(str, self.trees["b"])),
        }

    def index(self, candidate: Candidate) -> int:
        """Returns the candidate's number, from 0."""
        index = 0
        for choice, size in zip(candidate, self.sizes, strict=True):
            index = index * size + choice
        return index

    def from_index(self, index: int) -> Candidate:
        """Returns the candidate with that number."""
        choices = []
        for size in reversed(self.sizes):
            index, choice = divmod(index, size)
            choices.append(choice)
        return tuple(reversed(choices))

    def candidate(self, **choices: str | int) -> Candidate:
        """Returns the candidate with the choices given by component: u1="sin(x)", b="x1+x2".

        Raises:
            ValueError: If a component is missing or unknown, or a primitive unknown.
        """
        if set(choices) != set(self.names):
            raise ValueError(
                f"A candidate has a choice for each of {', '.join(self.names)}. Received: {choices}"
            )
        return tuple(
            int(choices[name]) if role == "input" else self._number(role, str(choices[name]))
            for name, role in zip(self.names, self.roles, strict=True)
        )

    def _number(self, role: str, primitive: str) -> int:
        names = self.primitives[role]
        if primitive not in names:
            raise ValueError(unknown(f"{_ROLES[role][0]} primitive", primitive, names))
        return names.index(primitive)

    def choices(self, candidate: Candidate) -> dict[str, str | int]:
        """Returns the candidate's choices by component, as `candidate` takes them."""
        return {
            name: choice if role == "input" else self.primitives[role][choice]
            for name, role, choice in zip(self.names, self.roles, candidate, strict=True)
        }

    def units(self, candidate: Candidate) -> list[Unit]:
        """Returns input1, u1, input2, u2 and b of each unit."""
        u1, u2, b, *rest = candidate
        units = [Unit(0, u1, 0, u2, b)]
        return units + [Unit(*rest[i : i + 5]) for i in range(0, len(rest), 5)]

    def from_units(self, units: Sequence[tuple[int, ...]]) -> Candidate:
        """Returns the candidate that `units` takes apart."""
        (_, u1, _, u2, b), *rest = units
        return (u1, u2, b, *(choice for unit in rest for choice in unit))

    def formula(self, candidate: Candidate) -> Formula:
        """Returns the candidate as a formula, its weights named beta, or beta1, beta2, ...

        Every slot has another weight. The formula says all that there is to say:
        `keras_swish.SearchedActivation` of it is the candidate, initial values included.
        """
        tree = self._with_slots(candidate)
        slots = _slots(tree)
        names = ["beta"] if len(slots) == 1 else [f"beta{i + 1}" for i in range(len(slots))]
        return substitute(tree, {f"beta{s}": Name(n) for s, n in zip(slots, names, strict=True)})

    def betas(self, candidate: Candidate) -> dict[int, float]:
        """Returns the initial value of each weight by slot, in the order in which they are read.

        The slots of a unit are those of u1, u2 and b, counted from 0 over all units.
        """
        # Unary functions without a beta do not matter, which leaves few cases.
        return dict(
            self._betas_of(
                tuple(
                    self._no_beta if role == "u" and choice not in self._with_beta else choice
                    for role, choice in zip(self.roles, candidate, strict=True)
                )
            )
        )

    def _initial_betas(self, candidate: Candidate) -> dict[int, float]:
        tree = self._with_slots(candidate)
        return {slot: initial_value(tree, f"beta{slot}") for slot in _slots(tree)}

    def _with_slots(self, candidate: Candidate) -> Formula:
        outputs: list[Formula] = [Name("x")]
        for unit, (input1, u1, input2, u2, b) in enumerate(self.units(candidate)):
            beta1, beta2, beta3 = (Name(f"beta{SLOTS * unit + i}") for i in range(SLOTS))
            x1 = substitute(self.trees["u"][u1], {"x": outputs[input1], "beta": beta1})
            x2 = substitute(self.trees["u"][u2], {"x": outputs[input2], "beta": beta2})
            outputs.append(substitute(self.trees["b"][b], {"x1": x1, "x2": x2, "beta": beta3}))
        return outputs[-1]

    def sample(self, random: np.random.Generator) -> Candidate:
        """Draws a candidate, every choice alike."""
        return tuple(int(random.integers(size)) for size in self.sizes)

    def mutate(self, candidate: Candidate, random: np.random.Generator) -> Candidate:
        """Changes one choice of the candidate to another one, drawn at random, if there is any."""
        free = [component for component, size in enumerate(self.sizes) if size > 1]
        if not free:
            return candidate
        component = free[random.integers(len(free))]
        step = 1 + int(random.integers(self.sizes[component] - 1))
        changed = (candidate[component] + step) % self.sizes[component]
        return (*candidate[:component], changed, *candidate[component + 1 :])

    def ordered(self, candidate: Candidate) -> Candidate:
        """Returns the candidate with the arguments of commutative functions in one order.

        First what has a weight: max(beta * x, x) learns, where at a tie max(x, beta * x) would
        take the first argument, and leave beta without a gradient for ever. Units that the value
        does not depend on become the first of all: a layer computes them all the same, and
        one that is not finite would spoil the gradient.
        """
        units = []
        for input1, u1, input2, u2, b in self.units(candidate):
            first, second = (input1, u1), (input2, u2)
            if b in self.commutative:
                first, second = sorted((first, second), key=self._order)
            units.append(Unit(*first, *second, b))
        return self.from_units(self._without_unread(units))

    def _order(self, argument: tuple[int, int]) -> tuple:
        source, unary = argument
        return unary not in self._with_beta, source, unary

    def read_units(self, units: Sequence[Unit]) -> set[int]:
        """Returns the numbers, from 1, of the units that the last one's value depends on.

        0 is x.
        """
        read = {len(units)}
        for number in range(len(units), 0, -1):
            if number in read:
                input1, u1, input2, u2, _ = units[number - 1]
                read |= {i for i, u in ((input1, u1), (input2, u2)) if u not in self._beta_alone}
        return read

    def _without_unread(self, units: Sequence[Unit]) -> list[tuple[int, ...]]:
        read, alone = self.read_units(units), self._beta_alone
        return [
            # A beta alone reads nothing.
            (i * (u1 not in alone), u1, j * (u2 not in alone), u2, b)
            if number in read
            else (0, 0, 0, 0, 0)
            for number, (i, u1, j, u2, b) in enumerate(units, 1)
        ]

    @property
    def drawn_betas(self) -> np.ndarray:
        """Values of the betas, in the order in which they are read, in all sets but the first."""
        return self._betas.T

    @functools.cached_property
    def of_one_unit(self) -> "SearchSpace":
        """The space of one unit with the same primitives."""
        return self if self.core_units == 1 else SearchSpace(1, self.interval, **self._given)

    def with_values(self, values: np.ndarray) -> Candidate | None:
        """Returns the candidate with these values on the grid, of those that were looked at.

        Args:
            values: As `values` returns them of one candidate, `(SETS, POINTS)`.
        """
        return self._identities.with_values(values)

    @functools.cached_property
    def _identities(self) -> Identities:
        if self.core_units > 1:
            return Identities(self)
        unary, binary = map(tuple, self.primitives.values())
        return _identities_of_one_unit(self.interval, unary, binary)

    def _all(self) -> list[Candidate]:
        return [self.from_index(index) for index in range(len(self))]

    def reason(self, candidate: Candidate) -> str | None:
        """Returns why the candidate cannot be an activation, one of `REASONS`, or None."""
        return self._identities.find(candidate)[0]

    def canonical(self, candidate: Candidate) -> Candidate:
        """Returns the candidate that stands for all that compute the same function.

        In a space of one unit it is always the same, `ordered`; in larger ones, which nobody
        walks through, that which this object was asked about first.
        """
        return self._identities.find(candidate)[1]

    def spellings(self, candidate: Candidate) -> list[Candidate]:
        """Returns the candidates that compute the same function, itself among them.

        In a space of several units, which nobody walks through, itself alone.

        Example:
            >>> from keras_swish.search.space import SearchSpace
            >>> space = SearchSpace()
            >>> spellings = space.spellings(space.candidate(u1="cos(x)", u2="x", b="x1-x2"))
            >>> [str(space.formula(candidate)) for candidate in spellings]
            ['-x + cos(x)', 'cos(x) - x', 'cos(x) + -x']
        """
        if self.core_units > 1:
            return [candidate]
        return self._classes[self.canonical(candidate)]

    @functools.cached_property
    def _classes(self) -> dict[Candidate, list[Candidate]]:
        classes = collections.defaultdict(list)
        for candidate in self._all():
            classes[self.canonical(candidate)].append(candidate)
        return dict(classes)

    def recall(self, candidates: list[Candidate]) -> None:
        """Takes note of candidates that stood for their functions in an earlier process."""
        if self.core_units > 1:
            self._identities.find_all(candidates, are_fit=True)

    def remember(self, candidate: Candidate, reason: str | None, same: Candidate) -> None:
        """Takes note of what `reason` and `canonical` gave in an earlier process."""
        if self.core_units > 1:
            self._identities.remember(candidate, reason, same)

    def survey(self) -> Survey:
        """Looks at every candidate of a space of one unit.

        Raises:
            ValueError: If the space has more than one unit: 156 million candidates are too many.

        Example:
            >>> from keras_swish.search.space import SearchSpace
            >>> print(SearchSpace().survey())
            6250: 490 not finite, 229 constant or affine, 2173 repeated, 3358 different functions
        """
        if self.core_units > 1:
            raise ValueError(
                "Only a space of one core unit can be surveyed. "
                f"Received: core_units={self.core_units}, {len(self):,} candidates"
            )
        return self._surveyed

    def confined(self, candidates: Iterable[Candidate]) -> "SearchSpace":
        """Returns a space of one unit of which a survey finds no other functions than these.

        What proposes of a survey, as `surrogate` and `exhaustive` do, proposes these alone.
        """
        space = copy.copy(self)
        space._confined_to = tuple(sorted({self.canonical(candidate) for candidate in candidates}))
        return space

    @functools.cached_property
    def _surveyed(self) -> Survey:
        everything = self._all()
        identities = self._identities.find_all(everything)
        rejected = collections.Counter(reason for reason, _ in identities if reason)
        fit = sum(not reason for reason, _ in identities)
        firsts = dict.fromkeys(same for reason, same in identities if not reason)
        kept = firsts if self._confined_to is None else self._confined_to
        return Survey(
            len(everything),
            {reason: rejected[reason] for reason in REASONS},
            fit - len(firsts),
            tuple(first for first in firsts if first in kept),
            len(firsts) - len(kept),
        )

    def values(self, candidates: list[Candidate]) -> np.ndarray:
        """Computes candidates on the grid with several values of their betas.

        Returns:
            Values of shape `(candidates, SETS, POINTS)`: first with the initial betas, then with
            sets drawn at random.
        """
        return candidate_values(self.trees, *self._numbers(candidates))

    def values_and_slopes(self, candidates: list[Candidate]) -> tuple[np.ndarray, np.ndarray]:
        """Computes candidates and their derivatives, as `values` does."""
        return candidate_values_and_slopes(self.trees, *self._numbers(candidates))

    def values_at(
        self, candidates: list[Candidate], x: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Computes candidates at some points with their initial betas.

        Args:
            candidates: The candidates.
            x: The points, of float64, of one dimension.

        Returns:
            Values and slopes, each of shape `(candidates, points)`.

        Example:
            >>> import numpy as np
            >>> from keras_swish.search.space import SearchSpace
            >>> space = SearchSpace()
            >>> square = space.candidate(u1="x", u2="x", b="x1*x2")
            >>> [part.tolist() for part in space.values_at([square], np.array([-1.0, 3.0]))]
            [[[1.0, 9.0]], [[-2.0, 6.0]]]
        """
        betas = np.ones((len(candidates), 1, SLOTS * self.core_units, 1))
        for row, candidate in zip(betas, candidates, strict=True):
            for slot, value in self.betas(candidate).items():
                row[0, slot] = value
        values, slopes = candidate_values_and_slopes(
            self.trees, self._choices(candidates), x, betas
        )
        return values[:, 0], slopes[:, 0]

    def _choices(self, candidates: list[Candidate]) -> np.ndarray:
        """Returns the units of each candidate, `(candidates, units, 5)`, of none as well."""
        units = [self.units(candidate) for candidate in candidates]
        return np.array(units, dtype=int).reshape(len(candidates), self.core_units, -1)

    def _numbers(self, candidates: list[Candidate]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns the candidates' units, the grid and the betas."""
        n = len(candidates)
        betas = np.ones((n, 1 + len(self._betas), SLOTS * self.core_units, 1))
        for row, candidate in zip(betas, candidates, strict=True):
            # In the order in which they are read, whichever unit they are of.
            for (slot, value), drawn in zip(
                self.betas(candidate).items(), self._betas.T, strict=False
            ):
                row[0, slot], row[1:, slot, 0] = value, drawn
        return self._choices(candidates), self.grid, betas


def _primitives(role: str, given: Sequence[str] | None) -> dict[str, Formula]:
    """Returns primitives by name: the paper's have its names, others their formula."""
    argument, table, variables = _ROLES[role]
    formulas = {name: parse(primitive.formula, variables) for name, primitive in table.items()}
    if given is None:
        return formulas
    if isinstance(given, str) or not len(given):
        raise ValueError(
            f"`{argument}` must be a list of primitives, such as {list(table)[:2]}. "
            f"Received: {argument}={given!r}"
        )
    names = {formula: name for name, formula in formulas.items()}
    chosen = {}
    for text in given:
        tree = formulas.get(text) or _parsed(text, argument, variables)
        chosen[names.get(tree, str(tree))] = tree
    if len(chosen) < len(given):
        raise ValueError(f"`{argument}` has a primitive twice. Received: {argument}={given!r}")
    return chosen


def _parsed(text: str, argument: str, variables: tuple[str, ...]) -> Formula:
    try:
        tree = parse(text, variables)
    except (FormulaError, TypeError) as error:
        raise ValueError(
            f"A primitive of `{argument}` is one of the paper's or a formula of "
            f"{', '.join((*variables, 'beta'))}: {error}"
        ) from error
    is_alone = len(variables) == 1 and tree == Name("beta")
    if set(weights(tree)) - {"beta"} or not (
        is_alone or all(reads(tree, name) for name in variables)
    ):
        raise ValueError(
            f"A primitive of `{argument}` is a function of {' and '.join(variables)}, and may have "
            f"one weight, beta. Received: {text!r}"
        )
    return tree


def _is_commutative(tree: Formula) -> bool:
    """Says whether the arguments can be swapped, with beta or with 1 - beta where that is 0.5."""
    x1, x2, beta = np.random.default_rng(2).uniform(-2, 2, (3, 64))
    values = evaluate(tree, {"x1": x1, "x2": x2, "beta": beta})
    ways = [beta] if initial_value(tree, "beta") != 0.5 else [beta, 1 - beta]
    return any(
        np.allclose(values, evaluate(tree, {"x1": x2, "x2": x1, "beta": way}), equal_nan=True)
        for way in ways
    )


def _slots(tree: Formula) -> list[int]:
    """Returns the slots of a formula's weights, in the order in which they are read."""
    return [int(n) for n in dict.fromkeys(re.findall(r"beta([0-9]+)", str(tree)))]


@functools.lru_cache(maxsize=4)
def _identities_of_one_unit(
    interval: tuple[float, float], unary: tuple[str, ...], binary: tuple[str, ...]
) -> Identities:
    """Looks at all candidates of one unit, which takes seconds, once for all equal spaces.

    All at once and in their order, or whichever is asked about first would stand for its
    function, another one in the next process.
    """
    space = SearchSpace(1, interval, unary, binary)
    identities = Identities(space)
    identities.find_all(space._all())
    return identities
