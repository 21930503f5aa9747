"""Formulas of activation functions: text to tree and back, LaTeX, derivative, evaluation.

The language has numbers, `pi`, the variable `x`, the weights `beta`, `beta1`, `beta2`, ...,
the operators + - * / ** and the functions of `primitives.FUNCTIONS`. It is written as in
Python and read by Python's parser, but nothing of it is ever evaluated as Python: every
node is held against a white list.
"""

import ast
import dataclasses
import difflib
import functools
import math
import re

from keras import ops

from keras_swish.primitives import FUNCTIONS

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

# Binding strength and whether the operator groups to the right.
_OPERATORS = {"+": (1, False), "-": (1, False), "*": (2, False), "/": (2, False)}
_NEG, _POWER, _ATOM = 3, 4, 5
_BINARY_NODES = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**"}
_WEIGHT = re.compile(r"beta\d*")


class FormulaError(ValueError):
    """A text that is no formula."""


def parse(text: str, variables: tuple[str, ...] = ("x",)) -> Formula:
    """Reads a formula.

    Args:
        text: The formula, such as `"x * sigmoid(beta * x)"`.
        variables: Names of the variables, beside the weights `beta`, `beta1`, ...

    Returns:
        The tree. Printing it with `str` and parsing the outcome gives the same tree.

    Raises:
        FormulaError: A `ValueError`, if the text is no formula: it says where and why, and
            names the nearest known name.
        TypeError: If it is no text.

    Example:
        >>> from keras_swish import formula
        >>> str(formula.parse("x*sigmoid( beta*x )"))
        'x * sigmoid(beta * x)'
    """
    if not isinstance(text, str):
        raise TypeError(f"A formula is a string. Received: {text!r}")
    if len(text) > MAX_LENGTH:
        raise FormulaError(
            f"A formula has at most {MAX_LENGTH} characters. Received: {len(text)}, "
            f"beginning {text[:40]!r}"
        )
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError) as error:
        column = getattr(error, "offset", None) or 1
        reason = getattr(error, "msg", str(error))
        raise FormulaError(_located(text, column - 1, reason)) from None
    except (RecursionError, MemoryError):
        raise FormulaError(_located(text, 0, "nested too deeply")) from None
    return _Reader(text, variables).read(tree.body, 0)


def _located(text: str, column: int, reason: str) -> str:
    return f"Not a formula, at position {column + 1}: {reason}. Received: {text[:200]!r}"


class _Reader:
    """From Python's tree to ours, nothing getting through that is not named here."""

    def __init__(self, text: str, variables: tuple[str, ...]):
        self.text = text.strip()
        self.variables = variables

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
        what = re.sub(r"(?<!^)(?=[A-Z])", " ", node_type.__name__).lower()
        raise self.error(node, f"{what} is not part of the language")

    def number(self, node: ast.Constant) -> Formula:
        value = node.value
        if type(value) not in (int, float):
            raise self.error(node, f"{str(value)[:40]!r} is not a number")
        try:
            value = float(value)
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
        if node.id in FUNCTIONS:
            raise self.error(node, f"{node.id!r} is a function and needs arguments")
        raise self.unknown(node, node.id, [*self.variables, "beta", "pi"])

    def call(self, node: ast.Call, depth: int) -> Formula:
        if not isinstance(node.func, ast.Name):
            raise self.error(node, "only a named function can be called")
        name = node.func.id
        if name not in FUNCTIONS:
            raise self.unknown(node, name, list(FUNCTIONS))
        wanted = len(FUNCTIONS[name].derivatives)
        if node.keywords or any(isinstance(a, ast.Starred) for a in node.args):
            raise self.error(node, f"{name} takes plain arguments only")
        if len(node.args) != wanted:
            plural = "s" if wanted > 1 else ""
            raise self.error(node, f"{name} takes {wanted} argument{plural}, not {len(node.args)}")
        return Call(name, tuple(self.read(argument, depth + 1) for argument in node.args))

    def error(self, node: ast.expr, reason: str) -> FormulaError:
        return FormulaError(_located(self.text, node.col_offset, reason))

    def unknown(self, node: ast.expr, name: str, valid: list[str]) -> FormulaError:
        nearest = difflib.get_close_matches(name, [*valid, *FUNCTIONS], n=1, cutoff=0.5)
        hint = f", did you mean {nearest[0]!r}?" if nearest else f"; known: {', '.join(valid)}"
        return self.error(node, f"unknown name {name[:40]!r}{hint}")


def to_text(formula: Formula) -> str:
    """Prints a formula, with no more brackets than it needs."""
    return _print(formula)[0]


def _print(formula: Formula) -> tuple[str, int]:
    """Returns the text and how strongly its outermost operator binds."""
    if isinstance(formula, Number):
        value = formula.value
        whole = value.is_integer() and value < 1e15
        return (str(int(value)) if whole else repr(value)), _ATOM
    if isinstance(formula, Name):
        return formula.name, _ATOM

    def inside(argument: Formula, least: int) -> str:
        text, strength = _print(argument)
        return text if strength >= least else f"({text})"

    name, arguments = formula.function, formula.arguments
    if name == "neg":
        return "-" + inside(arguments[0], _NEG), _NEG
    if name == "**":
        # The exponent may carry a sign: x**-2.
        return f"{inside(arguments[0], _ATOM)}**{inside(arguments[1], _NEG)}", _POWER
    if name in _OPERATORS:
        strength = _OPERATORS[name][0]
        left, right = inside(arguments[0], strength), inside(arguments[1], strength + 1)
        return f"{left} {name} {right}", strength
    return f"{name}({', '.join(map(to_text, arguments))})", _ATOM


def to_latex(formula: Formula | str) -> str:
    r"""Returns the formula as LaTeX, for use within a formula environment.

    Example:
        >>> from keras_swish import formula
        >>> formula.to_latex("x * sigmoid(beta * x)")
        'x \\sigma\\left(\\beta x\\right)'
    """
    return _latex(_tree(formula))[0]


def _latex(formula: Formula) -> tuple[str, int]:
    if isinstance(formula, Number):
        if formula.value == math.pi:
            return r"\pi", _ATOM
        text = _print(formula)[0]
        mantissa, exponent = [*text.split("e"), ""][:2]
        return (rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if exponent else text), _ATOM
    if isinstance(formula, Name):
        match = re.fullmatch(r"(beta|x)(\d*)", formula.name)
        letter = r"\beta" if match[1] == "beta" else "x"
        return (f"{letter}_{{{match[2]}}}" if match[2] else letter), _ATOM

    def inside(argument: Formula, least: int) -> str:
        text, strength = _latex(argument)
        return text if strength >= least else rf"\left({text}\right)"

    name, arguments = formula.function, formula.arguments
    if name == "neg":
        return "-" + inside(arguments[0], 2), _NEG
    if name == "/":
        return rf"\frac{{{to_latex(arguments[0])}}}{{{to_latex(arguments[1])}}}", _ATOM
    if name == "**":
        return f"{inside(arguments[0], _ATOM)}^{{{to_latex(arguments[1])}}}", _POWER
    if name == "*":
        left, right = inside(arguments[0], 2), inside(arguments[1], 3)
        if right.startswith("-"):
            right = rf"\left({right}\right)"
        sign = r" \cdot " if right[0].isdigit() else " "
        return left + sign + right, 2
    if name in _OPERATORS:
        right = inside(arguments[1], 2)
        if right.startswith("-"):
            right = rf"\left({right}\right)"
        return f"{inside(arguments[0], 1)} {name} {right}", 1
    return FUNCTIONS[name].latex.format(*map(to_latex, arguments)), _ATOM


def _tree(formula: Formula | str) -> Formula:
    return parse(formula) if isinstance(formula, str) else formula


def weights(formula: Formula | str) -> list[str]:
    """Returns the names of a formula's weights, sorted.

    Example:
        >>> from keras_swish import formula
        >>> formula.weights("beta * x + beta1")
        ['beta', 'beta1']
    """
    return sorted(name for name in _names(_tree(formula)) if _WEIGHT.fullmatch(name))


def _names(formula: Formula) -> set[str]:
    if isinstance(formula, Call):
        return set().union(*map(_names, formula.arguments))
    return {formula.name} if isinstance(formula, Name) else set()


def substitute(formula: Formula, replacements: dict[str, Formula]) -> Formula:
    """Returns the formula with names replaced by formulas."""
    if isinstance(formula, Name):
        return replacements.get(formula.name, formula)
    if isinstance(formula, Call):
        arguments = tuple(substitute(a, replacements) for a in formula.arguments)
        return Call(formula.function, arguments)
    return formula


def initial_value(formula: Formula | str, weight: str) -> float:
    """Returns the value that a weight starts from, by its place in the formula.

    As in the table of primitives: a blend beta * a + (1 - beta) * b starts from 0.5, a
    summand from 0, anything else from 1.

    Example:
        >>> from keras_swish import formula
        >>> formula.initial_value("x * sigmoid(beta * x)", "beta")
        1.0
        >>> formula.initial_value("x + beta", "beta")
        0.0
    """
    tree, beta = _tree(formula), Name(weight)
    calls = list(_calls(tree))
    if Call("-", (Number(1.0), beta)) in calls:
        return 0.5
    is_summand = any(call.function in "+-" and beta in call.arguments for call in calls)
    return 0.0 if is_summand else 1.0


def _calls(formula: Formula):
    if isinstance(formula, Call):
        yield formula
        for argument in formula.arguments:
            yield from _calls(argument)


def derivative(formula: Formula | str, name: str = "x") -> Formula:
    """Returns the derivative as a formula of the same language.

    At a kink it is the slope that training uses: 0 for |x| and max(x, 0); a tie in max or
    min takes the first argument, or the constant where there is one.

    Args:
        formula: A formula or its text.
        name: What to differentiate by: the variable or a weight.

    Raises:
        FormulaError: If the language has no word for it (the derivative of sinc').

    Example:
        >>> from keras_swish import formula
        >>> str(formula.derivative("arctan(x)**2 - x"))
        '2 * arctan(x) * (1 / (x**2 + 1)) - 1'
    """
    return _derivative(_tree(formula), name)


_ZERO, _ONE = Number(0.0), Number(1.0)


def _derivative(formula: Formula, name: str) -> Formula:
    if isinstance(formula, Number):
        return _ZERO
    if isinstance(formula, Name):
        return _ONE if formula.name == name else _ZERO
    function, arguments = formula.function, formula.arguments
    inner = [_derivative(argument, name) for argument in arguments]
    if all(slope == _ZERO for slope in inner):
        return _ZERO
    if function == "neg":
        return _neg(inner[0])
    if function in ("+", "-"):
        return _sum(function, *inner)
    if function == "*":
        (a, b), (da, db) = arguments, inner
        return _sum("+", _product(da, b), _product(a, db))
    if function == "/":
        (a, b), (da, db) = arguments, inner
        return _sum("-", _quotient(da, b), _product(formula, _quotient(db, b)))
    if function == "**":
        return _power_derivative(formula, *arguments, *inner)
    if function in ("max", "min"):
        return _choice_derivative(function, *arguments, *inner)
    if function == "where":
        return Call("where", (arguments[0], *inner[1:]))
    outer = FUNCTIONS[function].derivatives[0]
    if outer is None:
        raise FormulaError(f"The language has no derivative of {function}.")
    return _product(substitute(_outer(outer), {"x": arguments[0]}), inner[0])


@functools.cache
def _outer(text: str) -> Formula:
    return parse(text)


def _choice_derivative(function, a, b, da, db):
    """Slope of max or min: a tie takes the first argument, or the constant."""
    greater, lesser = (a, b) if function == "max" else (b, a)
    if isinstance(b, Number):
        return Call("where", (_sum("-", greater, lesser), da, db))
    return Call("where", (_sum("-", lesser, greater), db, da))


def _power_derivative(formula, base, exponent, dbase, dexponent):
    if isinstance(exponent, Number) and exponent.value == 2:
        return _product(_product(exponent, base), dbase)
    if dexponent == _ZERO:
        lowered = _number(exponent.value - 1) if isinstance(exponent, Number) else None
        power = Call("**", (base, lowered or Call("-", (exponent, _ONE))))
        return _product(_product(exponent, power), dbase)
    logarithm = _product(dexponent, Call("log", (base,)))
    return _product(formula, _sum("+", logarithm, _product(exponent, _quotient(dbase, base))))


def _number(value: float) -> Formula:
    return Call("neg", (Number(-value),)) if value < 0 else Number(value)


def _neg(a: Formula) -> Formula:
    if a == _ZERO:
        return a
    return a.arguments[0] if isinstance(a, Call) and a.function == "neg" else Call("neg", (a,))


def _sum(operator: str, a: Formula, b: Formula) -> Formula:
    if b == _ZERO:
        return a
    if a == _ZERO:
        return b if operator == "+" else _neg(b)
    if isinstance(b, Call) and b.function == "neg":
        return Call("-" if operator == "+" else "+", (a, b.arguments[0]))
    return Call(operator, (a, b))


def _product(a: Formula, b: Formula) -> Formula:
    if _ZERO in (a, b):
        return _ZERO
    if a == _ONE:
        return b
    if b == _ONE:
        return a
    if isinstance(b, Call) and b.function == "neg":
        return _neg(_product(a, b.arguments[0]))
    if isinstance(a, Call) and a.function == "neg":
        return _neg(_product(a.arguments[0], b))
    return Call("*", (a, b))


def _quotient(a: Formula, b: Formula) -> Formula:
    return a if b == _ONE or a == _ZERO else Call("/", (a, b))


def evaluate(formula: Formula | str, x, **weights):
    """Computes a formula with `keras.ops`.

    Args:
        formula: A formula or its text.
        x: Tensor of a float dtype.
        **weights: The formula's weights by name: numbers, or tensors that broadcast with x.

    Returns:
        A tensor with the shape and dtype of x.

    Example:
        >>> from keras_swish import formula
        >>> [float(y) for y in formula.evaluate("beta * x + 1", [0.0, 2.0], beta=3)]
        [1.0, 7.0]
    """
    x = ops.convert_to_tensor(x)
    values = {name: ops.cast(weight, x.dtype) for name, weight in weights.items()}
    result = _evaluate(_tree(formula), {"x": x, **values}, x.dtype, {})
    result = ops.cast(result, x.dtype)
    # A formula need not contain x.
    return result if result.shape == x.shape else ops.broadcast_to(result, ops.shape(x))


def _evaluate(formula, values, dtype, known):
    if isinstance(formula, Number):
        return formula.value
    if isinstance(formula, Name):
        return values[formula.name]
    if formula not in known:
        call = _stable(formula)
        arguments = [_evaluate(argument, values, dtype, known) for argument in call.arguments]
        known[formula] = _apply(call.function, arguments, dtype)
    return known[formula]


def _stable(formula: Call) -> Call:
    """Returns log(1 + exp(a)) as softplus(a), which does not overflow."""
    if formula.function == "log" and isinstance(formula.arguments[0], Call):
        inner = formula.arguments[0]
        if inner.function == "+" and _ONE in inner.arguments:
            other = inner.arguments[1 - inner.arguments.index(_ONE)]
            if isinstance(other, Call) and other.function == "exp":
                return Call("softplus", other.arguments)
    return formula


def _apply(function: str, arguments: list, dtype):
    if function == "neg":
        return -arguments[0]
    if function == "**":
        return _power(ops.convert_to_tensor(arguments[0], dtype), arguments[1])
    if function in _OPERATORS:
        # Two numbers are computed by the backend too: 1 / 0 is inf there, not an exception.
        a, b = (ops.convert_to_tensor(argument, dtype) for argument in arguments)
        operations = {"+": ops.add, "-": ops.subtract, "*": ops.multiply, "/": ops.divide}
        return operations[function](a, b)
    tensors = [ops.convert_to_tensor(argument, dtype) for argument in arguments]
    return FUNCTIONS[function].evaluate(*tensors)


def _power(base, exponent):
    if isinstance(exponent, float) and exponent in (2.0, 3.0, 4.0):
        square = ops.square(base)
        return {2.0: square, 3.0: square * base, 4.0: ops.square(square)}[exponent]
    return ops.power(base, exponent)
