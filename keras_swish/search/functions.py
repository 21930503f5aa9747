"""Functions that the user names: those to begin with, and those to compare with."""

import dataclasses
import itertools
import os
import pathlib
import re
from collections.abc import Iterable, Iterator

import numpy as np

from keras_swish import catalogue, registry
from keras_swish.formulas.language import (
    Call,
    Formula,
    FormulaError,
    Name,
    initial_value,
    is_formula,
    parse,
    weights,
)
from keras_swish.formulas.numeric import evaluate
from keras_swish.formulas.primitives import FUNCTIONS
from keras_swish.messages import unknown
from keras_swish.replacement.rules import change_of_shape
from keras_swish.search.identity import SETS
from keras_swish.search.space import Candidate, SearchSpace, Unit

# What every search compares with.
REFERENCES = ("relu", "swish")
# What may be given as functions to begin with: their texts, or a file of them.
Start = str | os.PathLike | Iterable[str]

_COMMUTATIVE = {"+", "*", "max", "min"}
_X = Name("x")


@dataclasses.dataclass(frozen=True)
class Function:
    """A function that the user names.

    Attributes:
        text: What `keras_swish.layer` makes it of.
        formula: Its formula, or its name, where it has no formula.
        candidate: The candidate that computes it; None where the space has none.
    """

    text: str
    formula: str
    candidate: Candidate | None


def read(start: Start | None, space: SearchSpace) -> list[Function]:
    """Returns functions to begin with, each once.

    Args:
        start: Formulas and names of activations; or the path of a text file, a line for each, in
            which empty lines and those that begin with # do not count.
        space: Where candidates are looked for.

    Raises:
        ValueError: If one is neither a formula nor a name, or changes the shape, or the file cannot
            be read.

    Example:
        >>> from keras_swish.search import SearchSpace, functions
        >>> for function in functions.read(["x * sigmoid(x)", "swish", "gelu"], SearchSpace()):
        ...     print(function.formula, function.candidate)
        x * sigmoid(x) (0, 0, 6)
        x * (1 + erf(x / sqrt(2))) / 2 None
    """
    if start is None:
        return []
    found: dict[object, Function] = {}
    for text in _texts(start):
        function = find(text, space)
        in_space = function.candidate is not None
        change = "" if in_space else change_of_shape(registry.layer(function.text))
        if change:
            raise ValueError(
                "A function of `start` must keep the shape of what it is applied to. Received: "
                f"{text!r}, which changes it, such as {change}"
            )
        found.setdefault(function.candidate or function.formula, function)
    return list(found.values())


def _texts(start: Start) -> list[str]:
    if isinstance(start, str) and _is_function(start.strip()):
        return [start]
    if isinstance(start, str | os.PathLike):
        path = pathlib.Path(start).expanduser()
        try:
            lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(
                "`start` must be a list of formulas, or the path of a text file with one a line. "
                f"Received: {str(start)!r} ({getattr(error, 'strerror', None) or error})"
            ) from error
        return [line for line in lines if line and not line.startswith("#")]
    texts: list[str] = list(start) if isinstance(start, Iterable) else [start]
    for text in texts:
        if not isinstance(text, str):
            raise ValueError(
                "`start` must be formulas or names of activations, such as "
                f"['x * sigmoid(x)', 'gelu']. Received: {text!r}"
            )
    return texts


def _is_function(text: str) -> bool:
    try:
        return bool(_formula(text))
    except ValueError:
        return False


def find(text: str, space: SearchSpace) -> Function:
    """Returns the function of a text, with its candidate in the space.

    Args:
        text: A formula, or the name of an activation.
        space: The search space.

    Raises:
        ValueError: If it is neither.

    Example:
        >>> from keras_swish.search import SearchSpace, functions
        >>> functions.find("relu", SearchSpace()).candidate
        (0, 18, 4)
    """
    text = text.strip()
    formula = _formula(text)
    if formula is None:
        return Function(text, text, None)
    if text in FUNCTIONS and text not in {*catalogue.ENTRIES, *registry.keras_names()}:
        text = formula  # `keras_swish.layer` takes no name of a function such as expm1
    tree = parse(formula)
    betas = {name: initial_value(tree, name) for name in weights(tree)}
    entry = catalogue.ENTRIES.get(text)
    if entry and entry.beta is not None:
        betas = dict.fromkeys(betas, entry.beta)
    candidate = _by_structure(tree, space) or _by_value(tree, betas, space)
    if candidate is not None:
        candidate = None if space.reason(candidate) else space.canonical(candidate)
    # With as many betas, from the same values: others could come to differ in training.
    if candidate and sorted(space.betas(candidate).values()) != sorted(betas.values()):
        candidate = None
    return Function(text, str(tree), candidate)


def _formula(text: str) -> str | None:
    """Returns the formula of a text, None for a name of Keras's that has none.

    Raises:
        ValueError: If it is neither a formula nor a name.
    """
    if text in catalogue.ENTRIES:
        return catalogue.ENTRIES[text].formula
    if is_formula(text):
        try:
            return str(parse(text))
        except FormulaError as error:
            raise ValueError(f"{error} It is no name of an activation either.") from error
    if text in FUNCTIONS and FUNCTIONS[text].arity == 1:
        return f"{text}(x)"
    if text in ("silu", "hard_silu", "hard_swish"):
        return catalogue.ENTRIES["swish"].formula if text == "silu" else None
    keras_names = registry.keras_names()
    if text in keras_names:
        return None
    raise ValueError(unknown("activation", text, {*catalogue.ENTRIES, *keras_names}))


def _by_value(tree: Formula, betas: dict[str, float], space: SearchSpace) -> Candidate | None:
    """Returns a candidate of one unit with the formula's values."""
    one = space.of_one_unit
    drawn = one.drawn_betas
    if len(betas) > len(drawn):
        return None
    read = list(dict.fromkeys(re.findall(r"beta[0-9]*", str(tree))))
    # The order in which a candidate of this function reads them may be another one.
    for order in itertools.permutations(read):
        values: dict[str, np.ndarray] = {
            name: np.array([betas[name], *drawn[place]])[:, None]
            for place, name in enumerate(order)
        }
        on_grid = evaluate(tree, {"x": one.grid[None], **values})
        found = one.with_values(np.broadcast_to(on_grid, (SETS, len(one.grid))))
        if found is not None:
            return space.from_units([*_UNREAD * (space.core_units - 1), *one.units(found)])
    return None


# A unit that nothing depends on.
_UNREAD = [Unit(0, 0, 0, 0, 0)]


def _by_structure(tree: Formula, space: SearchSpace) -> Candidate | None:
    """Returns the candidate that is spelled as the formula, with the last unit at its top."""
    ways = (_units(frozenset([tree]), count, space) for count in range(1, space.core_units + 1))
    made = next(itertools.chain.from_iterable(ways), None)
    if made is None:
        return None
    unread = space.core_units - len(made)
    # By formula, the number of the unit that makes it.
    numbers = {output: number for number, (output, *_) in enumerate(made, unread + 1)}
    numbers[_X] = 0
    return space.from_units(
        [
            *_UNREAD * unread,
            *(
                Unit(numbers[source1], u1, numbers[source2], u2, b)
                for _, source1, u1, source2, u2, b in made
            ),
        ]
    )


def _units(needed: frozenset[Formula], count: int, space: SearchSpace) -> Iterator[list[tuple]]:
    """Yields so many units, in their order, that make the formulas out of x."""
    if not needed and not count:
        yield []
    if not count:
        return
    for output in needed:
        for b, x1, x2 in _split(output, space):
            for u1, source1 in _inner(x1, space):
                for u2, source2 in _inner(x2, space):
                    rest = (needed - {output} | {source1, source2}) - {_X}
                    for before in _units(rest, count - 1, space):
                        yield [*before, (output, source1, u1, source2, u2, b)]


def _split(formula: Formula, space: SearchSpace) -> Iterator[tuple[int, Formula, Formula]]:
    for b, tree in enumerate(space.trees["b"]):
        for bound in _matches(tree, formula, {}):
            yield b, bound["x1"], bound["x2"]
    if "max(x1,x2)" in space.primitives["b"] and not weights(formula):
        # A unary function alone, as the input of another one.
        yield space.primitives["b"].index("max(x1,x2)"), formula, formula


def _inner(formula: Formula, space: SearchSpace) -> Iterator[tuple[int, Formula]]:
    for u, tree in enumerate(space.trees["u"]):
        for bound in _matches(tree, formula, {}):
            yield u, bound.get("x", _X)


def _matches(
    pattern: Formula, formula: Formula, bound: dict[str, Formula]
) -> Iterator[dict[str, Formula]]:
    """Yields all that the names of a primitive may stand for in a formula."""
    if isinstance(pattern, Name):
        is_weight = isinstance(formula, Name) and formula != _X
        if bound.get(pattern.name, formula) == formula and (pattern.name != "beta" or is_weight):
            yield {**bound, pattern.name: formula}
    elif not isinstance(pattern, Call):
        if pattern == formula:
            yield bound
    elif isinstance(formula, Call) and (formula.function, len(formula.arguments)) == (
        pattern.function,
        len(pattern.arguments),
    ):
        orders = [formula.arguments]
        if pattern.function in _COMMUTATIVE:
            orders.append(formula.arguments[::-1])
        for arguments in orders:
            found = [bound]
            for part, argument in zip(pattern.arguments, arguments, strict=True):
                found = [more for one in found for more in _matches(part, argument, one)]
            yield from found
