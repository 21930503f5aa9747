"""The derivative of a formula, as a formula of the same language."""

import functools

from keras_swish.formula import (
    ONE,
    ZERO,
    Call,
    Formula,
    FormulaError,
    Name,
    Number,
    as_tree,
    check_names,
    names,
    parse,
    rewritten,
    substitute,
)
from keras_swish.primitives import FUNCTIONS


def derivative(formula: Formula | str, name: str = "x") -> Formula:
    """Returns the derivative as a formula of the same language.

    At a kink it is the slope that training uses too: 0 for |x|, max(x, 0) and min(x, 0); a
    tie of any other max or min takes the first argument. The derivative of a long formula
    may be longer than `formula.parse` reads.

    Args:
        formula: A formula or its text.
        name: What to differentiate by: the variable or a weight.

    Raises:
        ValueError: If there is no such name in the formula, or the language has no word for
            the derivative, as for that of sinc'.

    Example:
        >>> from keras_swish.derivative import derivative
        >>> str(derivative("arctan(x)**2 - x"))
        '2 * arctan(x) * (1 / (x**2 + 1)) - 1'
    """
    tree = as_tree(formula)
    check_names([name], sorted(names(tree) | {"x"}), "variable or weight")
    return _derivative(tree, name)


def _derivative(formula: Formula, name: str) -> Formula:
    if isinstance(formula, Number):
        return ZERO
    if isinstance(formula, Name):
        return ONE if formula.name == name else ZERO
    formula = rewritten(formula)
    function, arguments = formula.function, formula.arguments
    inner = [_derivative(argument, name) for argument in arguments]
    if all(slope == ZERO for slope in inner):
        return ZERO
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
    outer = FUNCTIONS[function].derivative
    if outer is None:
        raise FormulaError(f"The language has no derivative of {function}.")
    return _product(substitute(_outer(outer), {"x": arguments[0]}), inner[0])


@functools.cache
def _outer(text: str) -> Formula:
    return parse(text)


def _choice_derivative(function, a, b, da, db):
    """Slope of max or min: a tie takes the first argument."""
    second_by = (b, a) if function == "max" else (a, b)
    return Call("where", (_sum("-", *second_by), db, da))


def _power_derivative(formula, base, exponent, dbase, dexponent):
    if isinstance(exponent, Number) and exponent.value == 2:
        return _product(_product(exponent, base), dbase)
    if dexponent == ZERO:
        lowered = _number(exponent.value - 1) if isinstance(exponent, Number) else None
        power = Call("**", (base, lowered or Call("-", (exponent, ONE))))
        return _product(_product(exponent, power), dbase)
    logarithm = _product(dexponent, Call("log", (base,)))
    return _product(formula, _sum("+", logarithm, _product(exponent, _quotient(dbase, base))))


def _number(value: float) -> Formula:
    return Call("neg", (Number(-value),)) if value < 0 else Number(value)


def _neg(a: Formula) -> Formula:
    if a == ZERO:
        return a
    return a.arguments[0] if isinstance(a, Call) and a.function == "neg" else Call("neg", (a,))


def _sum(operator: str, a: Formula, b: Formula) -> Formula:
    if b == ZERO:
        return a
    if a == ZERO:
        return b if operator == "+" else _neg(b)
    if isinstance(b, Call) and b.function == "neg":
        return Call("-" if operator == "+" else "+", (a, b.arguments[0]))
    return Call(operator, (a, b))


def _product(a: Formula, b: Formula) -> Formula:
    if ZERO in (a, b):
        return ZERO
    if a == ONE:
        return b
    if b == ONE:
        return a
    if isinstance(b, Call) and b.function == "neg":
        return _neg(_product(a, b.arguments[0]))
    if isinstance(a, Call) and a.function == "neg":
        return _neg(_product(a.arguments[0], b))
    return Call("*", (a, b))


def _quotient(a: Formula, b: Formula) -> Formula:
    return a if b == ONE or a == ZERO else Call("/", (a, b))
