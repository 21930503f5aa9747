"""Formulas of activation functions: text to tree and back, and LaTeX.

The language has numbers, `pi`, the variable `x`, the weights `beta`, `beta1`, `beta2`, ...,
the operators + - * / ** and the functions of `primitives.FUNCTIONS`. It is written as in
Python and read by Python's parser, but nothing of it is ever run as Python: every
node has to be on a list of allowed ones.
"""

import ast
import dataclasses
import math
import re
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping

from keras_swish.formulas.primitives import EPS, FUNCTIONS, Function
from keras_swish.messages import close_matches

MAX_LENGTH = 2000
MAX_DEPTH = 100


@dataclasses.dataclass(frozen=True, slots=True)
class Number:
    """A finite number, not negative: the sign is an operator."""

    value: float

    def __str__(self):
        return to_text(self)


@dataclasses.dataclass(frozen=True, slots=True)
class Name:
    """The variable or a weight."""

    name: str

    def __str__(self):
        return to_text(self)


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    """A function of the language, or an operator, applied to arguments.

    `function` is a key of `primitives.FUNCTIONS`, or one of + - * / ** and "neg".
    """

    function: str
    arguments: tuple["Formula", ...]

    def __str__(self):
        return to_text(self)


Formula = Number | Name | Call

# How strongly each binds.
OPERATORS = {"+": 1, "-": 1, "*": 2, "/": 2}
_NEG, _POWER, _ATOM = 3, 4, 5
_BINARY_NODES = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**"}
_WEIGHT = re.compile(r"beta[0-9]*")


ZERO, ONE = Number(0.0), Number(1.0)


class FormulaError(ValueError):
    """A text that is no formula."""


def parse(
    text: str,
    variables: tuple[str, ...] = ("x",),
    functions: Mapping[str, Function] = FUNCTIONS,
) -> Formula:
    """Reads a formula.

    Args:
        text: The formula, such as `"x * sigmoid(beta * x)"`.
        variables: Names of the variables, besides the weights `beta`, `beta1`, ...
        functions: What may be called, by name.

    Returns:
        The tree. Printing it with `str` and parsing the outcome gives the same tree.

    Raises:
        FormulaError: A `ValueError`, if the text is no formula: it says where and why, and
            names the nearest valid one.
        TypeError: If it is no string.

    Example:
        >>> from keras_swish.formulas import language
        >>> str(language.parse("x*sigmoid( beta*x )"))
        'x * sigmoid(beta * x)'
    """
    if not isinstance(text, str):
        raise TypeError(f"A formula is a string. Received: {text!r}")
    text = text.strip()
    if len(text) > MAX_LENGTH:
        raise FormulaError(_too_long(len(text), text))
    for column, character in enumerate(text):
        if not character.isascii() or not character.isprintable():
            raise FormulaError(_located(text, column, f"unexpected character {character!r}"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's remarks on what it reads
            tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError) as error:
        column = getattr(error, "offset", None) or 1
        raise FormulaError(_located(text, column - 1, getattr(error, "msg", str(error)))) from None
    except (RecursionError, MemoryError):
        raise FormulaError(_located(text, 0, "nested too deeply")) from None
    formula = _Reader(text, variables, functions).read(tree.body, 0)
    printed = to_text(formula)
    if len(printed) > MAX_LENGTH:
        # What is saved is the printed form, and it has to be read again.
        raise FormulaError(_too_long(len(printed), printed))
    return formula


def is_formula(text: str) -> bool:
    """Says whether a text is a formula rather than the name of a function."""
    return not text.isidentifier() or text in ("x", "pi") or bool(_WEIGHT.fullmatch(text))


def _too_long(length: int, text: str) -> str:
    return (
        f"A formula has at most {MAX_LENGTH} characters. Received: {length}, "
        f"beginning {text[:40]!r}"
    )


# What formulas are written with elsewhere, and how it is written here.
_ELSEWHERE = {
    "^": "a power is written x**2",
    "\N{SUPERSCRIPT TWO}": "a power is written x**2",
    "\N{SUPERSCRIPT THREE}": "a power is written x**3",
    "|": "an absolute value is written abs(x)",
    "\N{MIDDLE DOT}": "a product is written a * b",
    "\N{MULTIPLICATION SIGN}": "a product is written a * b",
    "\N{DIVISION SIGN}": "a quotient is written a / b",
    "\N{MINUS SIGN}": "minus is written -",
    "\N{EN DASH}": "minus is written -",
    "\N{SQUARE ROOT}": "a root is written sqrt(x)",
    "\N{GREEK SMALL LETTER BETA}": "a weight is written beta",
    "\N{GREEK SMALL LETTER SIGMA}": "the sigmoid is written sigmoid(x)",
    "\N{GREEK SMALL LETTER PI}": "it is written pi",
}


def _located(text: str, column: int, reason: str) -> str:
    hints = dict.fromkeys(_ELSEWHERE[character] for character in text if character in _ELSEWHERE)
    reason = "; ".join([reason, *hints])
    return f"Not a formula, at position {column + 1}: {reason}. Received: {text[:200]!r}"


class _Reader:
    """Converts Python's tree to ours; what is not named here is refused."""

    def __init__(self, text: str, variables: tuple[str, ...], functions: Mapping[str, Function]):
        self.text = text
        self.variables = variables
        self.functions = functions

    def read(self, node: ast.expr, depth: int) -> Formula:
        if depth > MAX_DEPTH:
            raise self.error(node, f"nested more than {MAX_DEPTH} levels deep")
        if isinstance(node, ast.Constant):
            return self.number(node)
        if isinstance(node, ast.Name):
            return self.name(node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
            operand = self.read(node.operand, depth + 1)
            return Call("neg", (operand,)) if isinstance(node.op, ast.USub) else operand
        if isinstance(node, ast.BinOp) and type(node.op) in _BINARY_NODES:
            sides = (self.read(side, depth + 1) for side in (node.left, node.right))
            return Call(_BINARY_NODES[type(node.op)], tuple(sides))
        if isinstance(node, ast.Call):
            return self.call(node, depth)
        node_type = type(node.op if isinstance(node, (ast.BinOp, ast.UnaryOp)) else node)
        construct = re.sub(r"(?<!^)(?=[A-Z])", " ", node_type.__name__).lower()
        raise self.error(node, f"{construct} is not part of the language")

    def number(self, node: ast.Constant) -> Formula:
        if isinstance(node.value, bool) or not isinstance(node.value, int | float):
            raise self.error(node, f"{str(node.value)[:40]!r} is not a number")
        try:
            value = float(node.value)
        except OverflowError:
            value = math.inf
        if not math.isfinite(value):
            raise self.error(node, "the number is too large")
        return Number(value)

    def name(self, node: ast.Name) -> Formula:
        if node.id == "pi":
            return Number(math.pi)
        if node.id in self.variables or _WEIGHT.fullmatch(node.id):
            return Name(node.id)
        if node.id in self.functions:
            raise self.error(node, f"{node.id!r} is a function and needs arguments")
        raise self.unknown(node, node.id, [*self.variables, "beta", "pi"])

    def call(self, node: ast.Call, depth: int) -> Formula:
        if not isinstance(node.func, ast.Name):
            raise self.error(node, "only a named function can be called")
        name = node.func.id
        if name not in self.functions:
            raise self.unknown(node, name, list(self.functions))
        arity = self.functions[name].arity
        if node.keywords or any(isinstance(a, ast.Starred) for a in node.args):
            raise self.error(node, f"{name} takes plain arguments only")
        if len(node.args) != arity:
            plural = "s" if arity > 1 else ""
            raise self.error(node, f"{name} takes {arity} argument{plural}, not {len(node.args)}")
        return Call(name, tuple(self.read(argument, depth + 1) for argument in node.args))

    def error(self, node: ast.expr, reason: str) -> FormulaError:
        return FormulaError(_located(self.text, node.col_offset, reason))

    def unknown(self, node: ast.expr, name: str, valid: list[str]) -> FormulaError:
        nearest = close_matches(name, [*valid, *self.functions], count=1)
        hint = f", did you mean {nearest[0]!r}?" if nearest else f"; valid: {', '.join(valid)}"
        return self.error(node, f"unknown name {name[:40]!r}{hint}")


def to_text(formula: Formula) -> str:
    """Prints a formula, with no more brackets than it needs."""
    return _print(formula)[0]


def _print(formula: Formula) -> tuple[str, int]:
    """Returns the text and how strongly its outermost operator binds."""
    if isinstance(formula, Number):
        value = formula.value
        is_integer = value.is_integer() and value < 1e15
        return (str(int(value)) if is_integer else repr(value)), _ATOM
    if isinstance(formula, Name):
        return formula.name, _ATOM

    def bracketed(argument: Formula, least: int) -> str:
        text, strength = _print(argument)
        return text if strength >= least else f"({text})"

    name, arguments = formula.function, formula.arguments
    if name == "neg":
        return "-" + bracketed(arguments[0], _NEG), _NEG
    if name == "**":
        # The exponent may carry a sign: x**-2.
        return f"{bracketed(arguments[0], _ATOM)}**{bracketed(arguments[1], _NEG)}", _POWER
    if name in OPERATORS:
        strength = OPERATORS[name]
        left, right = bracketed(arguments[0], strength), bracketed(arguments[1], strength + 1)
        return f"{left} {name} {right}", strength
    return f"{name}({', '.join(map(to_text, arguments))})", _ATOM


def to_latex(formula: Formula | str) -> str:
    r"""Returns the formula as LaTeX, for use within a formula environment.

    Example:
        >>> from keras_swish.formulas import language
        >>> language.to_latex("x * sigmoid(beta * x)")
        'x \\sigma\\left(\\beta x\\right)'
    """
    return _latex(as_tree(formula))[0]


def _latex(formula: Formula) -> tuple[str, int]:
    if isinstance(formula, Number):
        if formula.value == math.pi:
            return r"\pi", _ATOM
        text = _print(formula)[0]
        mantissa, exponent = [*text.split("e"), ""][:2]
        return (rf"{mantissa} \cdot 10^{{{int(exponent)}}}", 2) if exponent else (text, _ATOM)
    if isinstance(formula, Name):
        letter = formula.name.rstrip("0123456789")
        index = formula.name[len(letter) :]
        letter = r"\beta" if letter == "beta" else letter
        return (f"{letter}_{{{index}}}" if index else letter), _ATOM

    def bracketed(argument: Formula, least: int) -> str:
        text, strength = _latex(argument)
        return text if strength >= least else rf"\left({text}\right)"

    name, arguments = formula.function, formula.arguments

    def right_side(argument: Formula, least: int) -> str:
        text = bracketed(argument, least)
        return rf"\left({text}\right)" if text.startswith("-") else text

    if name == "neg":
        return "-" + right_side(arguments[0], 2), _NEG
    if name == "/":
        # Of less than an atom's strength: as a base it needs brackets.
        return rf"\frac{{{to_latex(arguments[0])}}}{{{to_latex(arguments[1])}}}", _POWER
    if name == "**":
        return f"{bracketed(arguments[0], _ATOM)}^{{{to_latex(arguments[1])}}}", _POWER
    if name == "*":
        left, right = bracketed(arguments[0], 2), right_side(arguments[1], 3)
        sign = r" \cdot " if right.startswith((*"0123456789", r"\frac")) else " "
        return left + sign + right, 2
    if name in OPERATORS:
        return f"{bracketed(arguments[0], 1)} {name} {right_side(arguments[1], 2)}", 1
    text = FUNCTIONS[name].latex.format(*map(to_latex, arguments))
    return text, _POWER if name == "sqrt" else _ATOM


def as_tree(formula: Formula | str) -> Formula:
    """Returns the tree of a formula given as one or as text."""
    return parse(formula) if isinstance(formula, str) else formula


def weights(formula: Formula | str) -> list[str]:
    """Returns the names of a formula's weights, sorted.

    Example:
        >>> from keras_swish.formulas import language
        >>> language.weights("beta * x + beta1")
        ['beta', 'beta1']
    """
    return sorted(name for name in names(as_tree(formula)) if is_weight(name))


def is_weight(name: str) -> bool:
    """Says whether a name is that of a weight."""
    return bool(_WEIGHT.fullmatch(name))


def names(formula: Formula) -> set[str]:
    """Returns the names of a formula's variables and weights."""
    if isinstance(formula, Call):
        return set().union(*map(names, formula.arguments))
    return {formula.name} if isinstance(formula, Name) else set()


def check_names(received: Iterable[str], names: Collection[str], noun: str) -> None:
    """Raises a `ValueError` at the first received name that is not among the names."""
    for name in received:
        if name not in names:
            raise ValueError(
                f"The formula has no {noun} of that name; it has {', '.join(names) or 'none'}. "
                f"Received: {name!r}"
            )


def substitute(formula: Formula, replacements: dict[str, Formula]) -> Formula:
    """Returns the formula with names replaced by formulas."""
    if isinstance(formula, Name):
        return replacements.get(formula.name, formula)
    if isinstance(formula, Call):
        arguments = tuple(substitute(a, replacements) for a in formula.arguments)
        return Call(formula.function, arguments)
    return formula


def initial_value(formula: Formula | str, weight: str) -> float:
    """Returns the value that a weight starts from, by its role in the formula.

    As in the table of primitives: a blend `beta * a + (1 - beta) * b` starts from 0.5, what
    is only added or subtracted from 0, anything else from 1; so does what only the eps of a
    division is added to.

    Example:
        >>> from keras_swish.formulas import language
        >>> language.initial_value("x * sigmoid(beta * x)", "beta")
        1.0
        >>> language.initial_value("x + beta", "beta")
        0.0
    """
    tree, beta = as_tree(formula), Name(weight)
    if any(_is_blend(call, beta) for call in _calls(tree)):
        return 0.5
    users = [
        call.function
        for call in _calls(tree)
        if call.function != "neg" and call != Call("+", (beta, Number(float(EPS))))
        for argument in call.arguments
        if argument == beta or argument == Call("neg", (beta,))
    ]
    return 0.0 if users and set(users) <= {"+", "-"} else 1.0


def _is_blend(call: Call, beta: Name) -> bool:
    terms = [term for term in call.arguments if isinstance(term, Call) and term.function == "*"]
    if call.function != "+" or len(terms) != 2:
        return False
    rest = Call("-", (ONE, beta))
    factors = [term.arguments for term in terms]
    return any(beta in a and rest in b for a, b in (factors, reversed(factors)))


def _calls(formula: Formula) -> Iterator[Call]:
    if isinstance(formula, Call):
        yield formula
        for argument in formula.arguments:
            yield from _calls(argument)
