"""Lowering: from the functions of a formula to the kernels that compute it.

`lowered` rewrites what would overflow, cancel or lose its tail if computed function by function,
such as `x * sigmoid(x)`, into kernels; `SLOPES` holds the derivatives of the kernels, and those of
the functions whose derivative needs one. Each rule is one line of a table.
"""

import functools

from keras_swish.formulas.language import Call, Formula, Name, parse, substitute
from keras_swish.formulas.primitives import FUNCTIONS, Function
from keras_swish.kernels import (
    arithmetic,
    exponential,
    logarithmic,
    normal,
    swish_like,
    trigonometric,
)

# Not part of the language: only rules lead here. Their LaTeX is never used.
KERNELS: dict[str, Function] = {
    "gate": Function(exponential.gate, "", arity=2),
    "gate_slope": Function(exponential.gate_slope, "", arity=4),
    "dgate": Function(exponential.dgate, "", arity=3),
    "product_gate": Function(exponential.product_gate, "", arity=3),
    "product_gate_slope": Function(exponential.product_gate_slope, "", arity=5),
    "product_dgate": Function(exponential.product_dgate, "", arity=4),
    "gauss": Function(normal.gauss, "", arity=2),
    "decay": Function(exponential.decay, "", arity=4),
    "decay_squared": Function(exponential.decay_squared, "", arity=4),
    "gelu": Function(normal.gelu, ""),
    "dgelu": Function(normal.dgelu, ""),
    "blend": Function(arithmetic.blend, "", arity=3),
    "quotient": Function(arithmetic.quotient, "", arity=2),
    "zero_product": Function(arithmetic.zero_product, "", arity=2),
    "zero_quotient": Function(arithmetic.zero_quotient, "", arity=2),
    "kept_nan": Function(arithmetic.kept_nan, "", arity=2),
    "add_eps": Function(arithmetic.add_eps, ""),
    "log_abs_eps": Function(logarithmic.log_abs_eps, ""),
    "unit": Function(logarithmic.unit, ""),
    "darcsinh": Function(logarithmic.darcsinh, ""),
    "dsinc_over_x": Function(trigonometric.dsinc_over_x, ""),
    "x_arcsinh_squared": Function(lambda x: x * logarithmic.arcsinh(x) ** 2, ""),
    "hard_swish": Function(swish_like.hard_swish, ""),
    "mish": Function(swish_like.mish, ""),
    "dmish": Function(swish_like.dmish, ""),
    "telu": Function(swish_like.telu, ""),
    "dtelu": Function(swish_like.dtelu, ""),
    "quick_gelu": Function(swish_like.quick_gelu, ""),
    "dquick_gelu": Function(swish_like.dquick_gelu, ""),
    "snake": Function(trigonometric.snake, "", arity=2),
    "snake_slope": Function(trigonometric.snake_slope, "", arity=2),
    "product_sin": Function(trigonometric.product_sin, "", arity=2),
    "product_cos": Function(trigonometric.product_cos, "", arity=2),
}

COMPUTED = {**FUNCTIONS, **KERNELS}
LETTERS = "abcde"
_VARIABLES = (*LETTERS, *(f"d{letter}" for letter in LETTERS))
_COMMUTATIVE = {"+", "*", "max", "min"}

# In the letters a, b, c, d for anything. First those that stay within the language: the
# derivative that people read follows them too.
LANGUAGE_RULES = {
    "log(1 + exp(a))": "softplus(a)",
    "max(a, 0)": "relu(a)",
    "min(a, 0)": "-relu(-a)",
}
RULES = {
    **LANGUAGE_RULES,
    "a * sigmoid(1.702 * a)": "quick_gelu(a)",
    "a * sigmoid(b * c)": "product_gate(a, b, c)",
    "a * sigmoid(b)": "gate(a, b)",
    "a * b + (1 - a) * c": "blend(a, b, c)",
    "exp(-a**2)": "gauss(1, a)",
    "exp(-a * abs(b - c))": "decay(1, a, b, c)",
    "exp(-a * (b - c)**2)": "decay_squared(1, a, b, c)",
    "a * (1 + erf(a / sqrt(2))) / 2": "gelu(a)",
    "max(a, tanh(a))": "where(-a, tanh(a), a)",
    "min(a, sin(a))": "where(a, sin(a), a)",
    "a * arcsinh(a)**2": "x_arcsinh_squared(a)",
    "a * tanh(softplus(a))": "mish(a)",
    "a * tanh(exp(a))": "telu(a)",
    "sin(a * b)**2 / a": "snake(a, b)",
    "sin(b * a)**2 / a": "snake(a, b)",
    "a * min(relu(a + 3), 6) / 6": "hard_swish(a)",
    "a + 1e-07": "add_eps(a)",
    "log(add_eps(abs(a)))": "log_abs_eps(a)",
}

# Total derivatives, in the arguments a, b, ... and their slopes da, db, .... A slope goes
# in as a factor where the product of the two may vanish although one of them is huge.
SLOPES = {
    "/": "da / b - quotient(a / b * db, b)",
    "blend": "da * (b - c) + a * db + (1 - a) * dc",
    "quotient": "da / b - quotient(quotient(a, b) * db, b)",
    "zero_product": "zero_product(da, b) + zero_product(a, db)",
    "zero_quotient": "zero_quotient(da, b) - zero_quotient(zero_quotient(a, b) * db, b)",
    "sqrt": "zero_quotient(da, 2 * abs(sqrt(a)))",
    "log": "zero_product(da, 1 / a)",
    "tanh": "dgate(4, da, 2 * a)",
    "sigmoid": "dgate(1, da, a)",
    "arcsinh": "darcsinh(a) * da",
    "erf": "gauss(1.1283791670955126 * da, a)",
    "gate": "gate_slope(a, da, b, db)",
    "gate_slope": "gate_slope(b, db, c, dc) + dgate(da, d, c) + dgate(a, dd, c) "
    "- dgate(a * dc, d, c) * tanh(c / 2)",
    "dgate": "dgate(da, b, c) + dgate(a, db, c) - dgate(a * dc, b, c) * tanh(c / 2)",
    "product_gate": "product_gate_slope(a, da, b, c, db * c + b * dc)",
    "product_gate_slope": "product_gate_slope(b, db, c, d, dc * d + c * dd) "
    "+ product_dgate(da, e, c, d) + product_dgate(a, de, c, d) "
    "- product_dgate(a * (dc * d + c * dd), e, c, d) * tanh(c * d / 2)",
    "product_dgate": "product_dgate(da, b, c, d) + product_dgate(a, db, c, d) "
    "- product_dgate(a * (dc * d + c * dd), b, c, d) * tanh(c * d / 2)",
    "gauss": "gauss(da, b) - gauss(2 * b * a * db, b)",
    "decay": "decay(da, b, c, d) - "
    "decay(a * (abs(c - d) * db + b * sign(c - d) * (dc - dd)), b, c, d)",
    "decay_squared": "decay_squared(da, b, c, d) - "
    "decay_squared(a * ((c - d)**2 * db + 2 * b * (c - d) * (dc - dd)), b, c, d)",
    "gelu": "dgelu(a) * da",
    "dgelu": "gauss(0.3989422804014327 * (2 - a**2) * da, a / sqrt(2))",
    "kept_nan": "kept_nan(da, b)",
    "add_eps": "da",
    "log_abs_eps": "sign(a) * da / (abs(a) + 1e-07)",
    "unit": "darcsinh(a)**3 * da",
    "darcsinh": "-(a * darcsinh(a)**3) * da",
    "dsinc": "-(sinc(a) + 2 * dsinc_over_x(a)) * da",
    # Near 0 the difference cancels.
    "dsinc_over_x": "where(abs(a) - 0.5, -(sinc(a) + 3 * dsinc_over_x(a)) / a, a / 15 * (1 - a**2 "
    "/ 14 + a**4 / 504 - a**6 / 33264 + a**8 / 3459456 - a**10 / 518918400)) * da",
    "x_arcsinh_squared": "arcsinh(a) * (arcsinh(a) + 2 * unit(a)) * da",
    "hard_swish": "kept_nan(where(a - 3, 1, where(a + 3, (2 * a + 3) / 6, 0)), a) * da",
    "mish": "dmish(a) * da",
    "dmish": "dgate(4 * sigmoid(a), 2 + a * (sigmoid(-a) - 2 * tanh(softplus(a)) * sigmoid(a)), "
    "2 * softplus(a)) * da",
    "telu": "dtelu(a) * da",
    "dtelu": "dgate(4 * exp(a), 2 + a - 2 * a * exp(a) * tanh(exp(a)), 2 * exp(a)) * da",
    "quick_gelu": "dquick_gelu(a) * da",
    "dquick_gelu": "dgate(1.702 * da, 2 - 1.702 * a * tanh(0.851 * a), 1.702 * a)",
    "snake": "snake_slope(a, b) * da + 2 * product_sin(a, b) * product_cos(a, b) * db",
    "snake_slope": "2 * b * sinc(a * b) * (2 * cos(a * b) - sinc(a * b)) * db "
    "+ b**2 * (dsinc(a * b) * (2 * cos(a * b) - sinc(a * b)) "
    "- sinc(a * b) * (2 * sin(a * b) + dsinc(a * b))) * (da * b + a * db)",
    "product_sin": "product_cos(a, b) * (da * b + a * db)",
    "product_cos": "-(product_sin(a, b) * (da * b + a * db))",
}

# What slopes shrink to where a factor is 0.
REDUCTIONS = {
    "quotient(0, a)": "0",
    "zero_quotient(0, a)": "0",
    "zero_product(0, a)": "0",
    "zero_product(a, 0)": "0",
    "zero_product(1, a)": "a",
    "gate(0, a)": "0",
    "gate_slope(a, 0, b, 0)": "0",
    "gate_slope(a, 0, b, c)": "dgate(a, c, b)",
    "gate_slope(a, c, b, 0)": "gate(c, b)",
    "gate_slope(0, a, b, c)": "gate(a, b)",
    "dgate(0, a, b)": "0",
    "dgate(a, 0, b)": "0",
    "product_gate(0, a, b)": "0",
    "product_gate_slope(a, 0, b, c, 0)": "0",
    "product_gate_slope(a, 0, b, c, d)": "product_dgate(a, d, b, c)",
    "product_gate_slope(a, d, b, c, 0)": "product_gate(d, b, c)",
    "product_gate_slope(0, a, b, c, d)": "product_gate(a, b, c)",
    "product_dgate(0, a, b, c)": "0",
    "product_dgate(a, 0, b, c)": "0",
    "gauss(0, a)": "0",
    "decay(0, a, b, c)": "0",
    "decay_squared(0, a, b, c)": "0",
}


@functools.cache
def read(text: str) -> Formula:
    """Reads a rule: a formula in letters, with kernels."""
    return parse(text, _VARIABLES, COMPUTED)


def rewritten(formula: Formula, rules: dict[str, str]) -> Formula:
    """Returns the formula with the first rule that matches it applied at its top."""
    for pattern, replacement in rules.items():
        bound = _match(read(pattern), formula, {})
        if bound is not None:
            return substitute(read(replacement), bound)
    return formula


def lowered(formula: Formula) -> Formula:
    """Returns the formula in kernels, all rules applied, innermost first."""
    if not isinstance(formula, Call):
        return formula
    call = Call(formula.function, tuple(map(lowered, formula.arguments)))
    return rewritten(call, RULES)


def _match(
    pattern: Formula, formula: Formula, bound: dict[str, Formula]
) -> dict[str, Formula] | None:
    """Returns the formulas that the pattern's letters stand for, or None."""
    if isinstance(pattern, Name):
        if bound.get(pattern.name, formula) != formula:
            return None
        return {**bound, pattern.name: formula}
    if not isinstance(pattern, Call):
        return bound if pattern == formula else None
    if not isinstance(formula, Call) or pattern.function != formula.function:
        return None
    orders = [formula.arguments]
    if pattern.function in _COMMUTATIVE:
        orders.append(formula.arguments[::-1])
    for arguments in orders:
        extended: dict[str, Formula] | None = bound
        for part, argument in zip(pattern.arguments, arguments, strict=True):
            extended = _match(part, argument, extended)
            if extended is None:
                break
        else:
            return extended
    return None
