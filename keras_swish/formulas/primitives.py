"""The functions that formulas are made of, and the search space of the paper: three tables.

* `FUNCTIONS`: the functions of the formula language, with their derivatives.
* `UNARY`, `BINARY`: the primitives of a core unit b(u1(x), u2(x)), each a formula.

Source of the search space: Ramachandran et al. 2017, section 2.
"""

import dataclasses
import math
from collections.abc import Callable

from keras import ops

from keras_swish.kernels import arithmetic, exponential, logarithmic, normal, trigonometric


@dataclasses.dataclass(frozen=True)
class Function:
    """A function of the formula language.

    Attributes:
        evaluate: From tensors to a tensor.
        latex: LaTeX of the function, with {0}, {1} for its arguments.
        derivative: Formula of the derivative in `x`, for functions of one argument; None
            where the language has none. Those of max, min and where are rules in
            `keras_swish.formulas.derivative`.
        arity: Number of arguments.
    """

    evaluate: Callable
    latex: str
    derivative: str | None = None
    arity: int = 1


def _command(name: str) -> str:
    return rf"\{name}\left({{0}}\right)"


def _operator(name: str) -> str:
    return rf"\operatorname{{{{{name}}}}}\left({{0}}\right)"


FUNCTIONS: dict[str, Function] = {
    "abs": Function(ops.abs, r"\left|{0}\right|", "sign(x)"),
    "sign": Function(arithmetic.sign, _operator("sign"), "0"),
    "step": Function(arithmetic.step, _operator("step"), "0"),
    "relu": Function(ops.relu, r"\max\left({0}, 0\right)", "step(x)"),
    "sqrt": Function(ops.sqrt, r"\sqrt{{{0}}}", "1 / (2 * sqrt(x))"),
    "exp": Function(exponential.exp, _command("exp"), "exp(x)"),
    "expm1": Function(exponential.expm1, r"\left(e^{{{0}}} - 1\right)", "exp(x)"),
    "log": Function(ops.log, _command("log"), "1 / x"),
    "sin": Function(trigonometric.sin, _command("sin"), "cos(x)"),
    "cos": Function(trigonometric.cos, _command("cos"), "-sin(x)"),
    "sinh": Function(exponential.sinh, _command("sinh"), "cosh(x)"),
    "cosh": Function(exponential.cosh, _command("cosh"), "sinh(x)"),
    "tanh": Function(exponential.tanh, _command("tanh"), "4 * sigmoid(2 * x) * sigmoid(-(2 * x))"),
    "arcsinh": Function(logarithmic.arcsinh, _operator("arcsinh"), "1 / sqrt(x**2 + 1)"),
    "arctan": Function(trigonometric.arctan, _command("arctan"), "1 / (x**2 + 1)"),
    "sinc": Function(trigonometric.sinc, _operator("sinc"), "dsinc(x)"),
    "dsinc": Function(trigonometric.dsinc, r"\operatorname{{sinc}}'\left({0}\right)"),
    "sigmoid": Function(exponential.sigmoid, r"\sigma\left({0}\right)", "sigmoid(x) * sigmoid(-x)"),
    "softplus": Function(logarithmic.softplus, r"\log\left(1 + e^{{{0}}}\right)", "sigmoid(x)"),
    "erf": Function(normal.erf, _operator("erf"), f"{2 / math.sqrt(math.pi)!r} * exp(-x**2)"),
    "max": Function(arithmetic.maximum, r"\max\left({0}, {1}\right)", arity=2),
    "min": Function(arithmetic.minimum, r"\min\left({0}, {1}\right)", arity=2),
    "where": Function(
        arithmetic.where, r"\left({1} \text{{ if }} {0} > 0 \text{{ else }} {2}\right)", arity=3
    ),
}


@dataclasses.dataclass(frozen=True)
class Primitive:
    """A primitive of the search space.

    Attributes:
        formula: In `x` (unary) or `x1` and `x2` (binary), and `beta` where it has one.
        beta: Initial value of beta, where it has one.
        note: What else to know.
    """

    formula: str
    beta: float | None = None
    note: str = ""


# The eps of the paper's log(|x| + eps) and x1 / (x2 + eps).
EPS = "1e-07"

UNARY: dict[str, Primitive] = {
    "x": Primitive("x"),
    "-x": Primitive("-x"),
    "|x|": Primitive("abs(x)"),
    "x^2": Primitive("x**2"),
    "x^3": Primitive("x**3"),
    "sqrt(x)": Primitive("sqrt(x)", note="Not defined below 0: NaN there."),
    "beta*x": Primitive("beta * x", 1.0),
    "x+beta": Primitive("x + beta", 0.0),
    "log(|x|+eps)": Primitive(f"log(abs(x) + {EPS})"),
    "exp(x)": Primitive("exp(x)"),
    "sin(x)": Primitive("sin(x)"),
    "cos(x)": Primitive("cos(x)"),
    "sinh(x)": Primitive("sinh(x)"),
    "cosh(x)": Primitive("cosh(x)"),
    "tanh(x)": Primitive("tanh(x)"),
    "arcsinh(x)": Primitive("arcsinh(x)"),
    "arctan(x)": Primitive("arctan(x)"),
    "sinc(x)": Primitive("sinc(x)"),
    "max(x,0)": Primitive("max(x, 0)"),
    "min(x,0)": Primitive("min(x, 0)"),
    "sigmoid(x)": Primitive("sigmoid(x)"),
    "log(1+exp(x))": Primitive("softplus(x)"),
    "exp(-x^2)": Primitive("exp(-x**2)"),
    "erf(x)": Primitive("erf(x)"),
    "beta": Primitive("beta", 1.0),
}

BINARY: dict[str, Primitive] = {
    "x1+x2": Primitive("x1 + x2"),
    "x1*x2": Primitive("x1 * x2"),
    "x1-x2": Primitive("x1 - x2"),
    "x1/(x2+eps)": Primitive(f"x1 / (x2 + {EPS})"),
    "max(x1,x2)": Primitive("max(x1, x2)"),
    "min(x1,x2)": Primitive("min(x1, x2)"),
    "sigmoid(x1)*x2": Primitive("sigmoid(x1) * x2"),
    "exp(-beta*(x1-x2)^2)": Primitive("exp(-beta * (x1 - x2)**2)", 1.0),
    "exp(-beta*|x1-x2|)": Primitive("exp(-beta * abs(x1 - x2))", 1.0),
    "beta*x1+(1-beta)*x2": Primitive("beta * x1 + (1 - beta) * x2", 0.5),
}
