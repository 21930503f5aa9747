"""The named activations, as data: one entry makes an activation."""

import dataclasses
import math

from keras_swish.elementwise.operation import apply_formula
from keras_swish.formulas.derivative import derivative
from keras_swish.formulas.language import Formula, weights


@dataclasses.dataclass(frozen=True)
class Entry:
    """One named activation and its facts.

    Attributes:
        formula: What it computes, in the language of `keras_swish.formulas.language`.
        source: Who proposed it, and where this form is written.
        limits: Limits at minus and plus infinity; nan where there is none.
        bounded_below: Whether it stays above some number.
        monotone: Whether it never falls, or never rises.
        homogeneous: Whether f(a x) = a f(x) for a > 0, so that a scale before it may as
            well follow it: batch normalisation without gamma relies on that.
        beta: Initial value of its trainable beta, where it has one.
        is_keras_function: Whether Keras's function of the same name is used: it computes the
            same, and every exporter and optimiser of graphs has a form for it.
        note: What else to know, such as what Keras means by the same name.
    """

    formula: str
    source: str
    limits: tuple[float, float]
    bounded_below: bool
    monotone: bool
    homogeneous: bool = False
    beta: float | None = None
    is_keras_function: bool = False
    note: str = ""


_INF, _NONE = math.inf, math.nan
_SEARCHED = "Ramachandran et al. 2017, section 3: found by the search"

# The order of the fields: formula, source, limits, bounded below, monotone.
ENTRIES: dict[str, Entry] = {
    "relu": Entry(
        "max(x, 0)",
        "Nair and Hinton 2010",
        (0, _INF),
        True,
        True,
        homogeneous=True,
        is_keras_function=True,
    ),
    "relu6": Entry(
        "min(max(x, 0), 6)", "Krizhevsky 2010", (0, 6), True, True, is_keras_function=True
    ),
    "leaky_relu": Entry(
        "where(x, x, 0.01 * x)",
        "Maas et al. 2013; slope as in Ramachandran et al. 2017, section 5",
        (-_INF, _INF),
        False,
        True,
        homogeneous=True,
        note="Keras's function of this name has the slope 0.2, its layer 0.3.",
    ),
    "prelu": Entry(
        "where(x, x, beta * x)",
        "He et al. 2015; initial slope as in Ramachandran et al. 2017, section 5",
        (-_INF, _INF),
        False,
        True,
        homogeneous=True,
        beta=0.25,
        note="One slope for each channel; Keras's layer has one for each element, from 0. Monotone "
        "for beta >= 0.",
    ),
    "softplus": Entry("softplus(x)", "Nair and Hinton 2010", (0, _INF), True, True),
    "elu": Entry("where(x, x, expm1(x))", "Clevert et al. 2015, alpha = 1", (-1, _INF), True, True),
    "selu": Entry(
        "1.0507009873554805 * where(x, x, 1.6732632423543772 * expm1(x))",
        "Klambauer et al. 2017",
        (-1.0507009873554805 * 1.6732632423543772, _INF),
        True,
        True,
    ),
    "gelu": Entry(
        "x * (1 + erf(x / sqrt(2))) / 2",
        "Hendrycks and Gimpel 2016",
        (0, _INF),
        True,
        False,
        note="Keras's function of this name rounds otherwise: it is not equal bit for bit.",
    ),
    "swish": Entry(
        "x * sigmoid(x)",
        f"{_SEARCHED}; beta = 1, there Swish-1",
        (0, _INF),
        True,
        False,
        note="Keras calls it silu, and swish too.",
    ),
    "swish_beta": Entry(
        "x * sigmoid(beta * x)",
        f"{_SEARCHED}, there Swish",
        (0, _INF),
        True,
        False,
        beta=1.0,
        note="Between x / 2 (beta = 0) and max(x, 0) (beta to infinity). Limits for beta > 0.",
    ),
    "max_sigmoid": Entry("max(x, sigmoid(x))", _SEARCHED, (0, _INF), True, True),
    "cos_minus_x": Entry("cos(x) - x", _SEARCHED, (_INF, -_INF), False, True),
    "min_sin": Entry("min(x, sin(x))", _SEARCHED, (-_INF, _NONE), False, False),
    "arctan_squared_minus_x": Entry("arctan(x)**2 - x", _SEARCHED, (_INF, -_INF), False, True),
    "max_tanh": Entry("max(x, tanh(x))", _SEARCHED, (-1, _INF), True, True),
    "sinc_plus_x": Entry("sinc(x) + x", _SEARCHED, (-_INF, _INF), False, True),
    "x_arcsinh_squared": Entry("x * arcsinh(x)**2", _SEARCHED, (-_INF, _INF), False, True),
}


def describe(entry: Entry) -> str:
    """Returns the facts of an entry, a line each."""
    yes_or_no = {True: "yes", False: "no"}
    slope = derivative(entry.formula)
    lines = {
        "formula": entry.formula,
        "derivative": str(slope),
        "source": entry.source,
        "at 0": f"value {_at_0(entry, entry.formula):g}, slope {_at_0(entry, slope):g}",
        "limits": " and ".join("none" if math.isnan(v) else f"{v:g}" for v in entry.limits)
        + " at minus and plus infinity",
        "bounded below": yes_or_no[entry.bounded_below],
        "monotone": yes_or_no[entry.monotone],
        "positively homogeneous": yes_or_no[entry.homogeneous],
    }
    if entry.beta is not None:
        lines["beta"] = f"trainable, one for each channel, from {entry.beta:g}"
    if entry.note:
        lines["note"] = entry.note
    return "\n".join(f"{key}: {value}" for key, value in lines.items())


def _at_0(entry: Entry, formula: Formula | str) -> float:
    return float(apply_formula(formula, [0.0], **dict.fromkeys(weights(formula), entry.beta))[0])
