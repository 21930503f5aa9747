"""The derivative of a formula, as a formula of the same language."""

import functools

from keras_swish.formulas.language import (
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
    substitute,
)
from keras_swish.formulas.lowering import (
    LANGUAGE_RULES,
    LETTERS,
    REDUCTIONS,
    SLOPES,
    read,
    rewritten,
)
from keras_swish.formulas.primitives import FUNCTIONS


def derivative(formula: Formula | str, name: str = "x") -> Formula:
    """Returns the derivative as a formula of the same language.

    At a kink it is the slope that training uses too: 0 for |x|, max(x, 0) and min(x, 0); a
    tie of any other max or min takes the first argument. The derivative of a long formula
    may be longer than `language.parse` reads.

    Args:
        formula: A formula or its text.
        name: What to differentiate by: the variable or a weight.

    Raises:
        ValueError: If there is no such name in the formula, or the language has no name for
            the derivative, as for that of sinc'.

    Example:
        >>> from keras_swish.formulas.derivative import derivative
        >>> str(derivative("arctan(x)**2 - x"))
        '2 * arctan(x) * (1 / (x**2 + 1)) - 1'
    """
    tree = as_tree(formula)
    check_names([name], sorted(names(tree) | {"x"}), "variable or weight")
    return _derivative(tree, name, lowered=False)


def slope(formula: Formula, name: str) -> Formula:
    """Returns the derivative of a lowered formula, in kernels as `lowering.SLOPES` has them."""
    return _derivative(formula, name, lowered=True)


def _derivative(formula: Formula, name: str, lowered: bool) -> Formula:
    if isinstance(formula, Number):
        return ZERO
    if isinstance(formula, Name):
        return ONE if formula.name == name else ZERO
    call = formula if lowered else rewritten(formula, LANGUAGE_RULES)
    assert isinstance(call, Call)  # no rule makes a number or name of a call
    function, arguments = call.function, call.arguments
    inner = [_derivative(argument, name, lowered) for argument in arguments]
    if all(part == ZERO for part in inner):
        return ZERO
    if function == "**":
        return _power_derivative(call, inner, lowered)
    if function in ("max", "min"):
        # A tie takes the first argument.
        a, b = arguments if function == "min" else arguments[::-1]
        return _choice(add("-", a, b), inner[1], inner[0], lowered)
    if function == "where":
        return _choice(arguments[0], inner[1], inner[2], lowered)
    if lowered and function in SLOPES:
        rule = SLOPES[function]
    elif function in _OPERATORS:
        rule = _OPERATORS[function]
    else:
        outer = FUNCTIONS[function].derivative
        if outer is None:
            raise FormulaError(f"The language has no derivative of {function}.")
        return product(substitute(_parsed(outer), {"x": arguments[0]}), inner[0])
    letters = dict(zip(LETTERS, arguments, strict=False))
    letters |= {f"d{letter}": part for letter, part in zip(LETTERS, inner, strict=False)}
    return _simplified(read(rule), letters)


# In the sides a, b and their derivatives da, db.
_OPERATORS = {
    "neg": "-da",
    "+": "da + db",
    "-": "da - db",
    "*": "da * b + a * db",
    "/": "da / b - a / b * (db / b)",
}


@functools.cache
def _parsed(text: str) -> Formula:
    return parse(text)


def _simplified(rule: Formula, letters: dict[str, Formula]) -> Formula:
    """Returns the rule with its letters replaced, without what is multiplied by 0 or 1."""
    if isinstance(rule, Name):
        return letters[rule.name]
    if isinstance(rule, Number):
        return rule
    arguments = [_simplified(argument, letters) for argument in rule.arguments]
    if rule.function in _BUILD:
        return _BUILD[rule.function](*arguments)
    return rewritten(Call(rule.function, tuple(arguments)), REDUCTIONS)


def _choice(condition: Formula, a: Formula, b: Formula, lowered: bool) -> Formula:
    slope = Call("where", (condition, a, b))
    return Call("kept_nan", (slope, condition)) if lowered else slope


def _power_derivative(power: Call, inner: list[Formula], lowered: bool) -> Formula:
    (base, exponent), (dbase, dexponent) = power.arguments, inner
    if lowered and exponent == Number(3):
        # (3 a) a: the square of a small a may be 0 where three times it is not.
        return product(product(product(exponent, base), base), dbase)
    if isinstance(exponent, Number) and exponent.value == 2:
        return product(product(exponent, base), dbase)
    less = _number(exponent.value - 1) if isinstance(exponent, Number) else None
    lower_power = Call("**", (base, less or Call("-", (exponent, ONE))))
    if lowered:
        # At a base of 0, where the lower power or the logarithm may be infinite.
        by_base = _zero_product(dbase, _zero_product(exponent, lower_power))
        by_exponent = _zero_product(dexponent, _zero_product(power, Call("log", (base,))))
        return add("+", by_exponent, by_base)
    if dexponent == ZERO:
        return product(product(exponent, lower_power), dbase)
    logarithm = product(dexponent, Call("log", (base,)))
    return product(power, add("+", logarithm, product(exponent, _quotient(dbase, base))))


def _number(value: float) -> Formula:
    return Call("neg", (Number(-value),)) if value < 0 else Number(value)


def _neg(a: Formula) -> Formula:
    if a == ZERO:
        return a
    return a.arguments[0] if isinstance(a, Call) and a.function == "neg" else Call("neg", (a,))


def add(operator: str, a: Formula, b: Formula) -> Formula:
    """Returns a + b or a - b, without summands 0."""
    if b == ZERO:
        return a
    if a == ZERO:
        return b if operator == "+" else _neg(b)
    if isinstance(b, Call) and b.function == "neg":
        return Call("-" if operator == "+" else "+", (a, b.arguments[0]))
    return Call(operator, (a, b))


def product(a: Formula, b: Formula) -> Formula:
    """Returns a * b, without factors 0 and 1."""
    if ZERO in (a, b):
        return ZERO
    if a == ONE:
        return b
    if b == ONE:
        return a
    if isinstance(b, Call) and b.function == "neg":
        return _neg(product(a, b.arguments[0]))
    if isinstance(a, Call) and a.function == "neg":
        return _neg(product(a.arguments[0], b))
    return Call("*", (a, b))


def _zero_product(a: Formula, b: Formula) -> Formula:
    """Returns a * b, which is 0 where a is 0 and b infinite."""
    is_plain = ZERO in (a, b) or isinstance(a, Number)
    return product(a, b) if is_plain else Call("zero_product", (a, b))


def _quotient(a: Formula, b: Formula) -> Formula:
    return a if b == ONE or a == ZERO else Call("/", (a, b))


_BUILD = {
    "neg": _neg,
    "+": functools.partial(add, "+"),
    "-": functools.partial(add, "-"),
    "*": product,
    "/": _quotient,
}
