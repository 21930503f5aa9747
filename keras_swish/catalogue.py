"""The named activations, as data: one entry makes an activation."""

import dataclasses
import math

from keras_swish.formulas.derivative import derivative
from keras_swish.formulas.evaluate import evaluate
from keras_swish.formulas.language import (
    Formula,
    FormulaError,
    as_tree,
    initial_value,
    parse,
    to_text,
    weights,
)
from keras_swish.formulas.lowering import lowered
from keras_swish.keras_compat import ops


@dataclasses.dataclass(frozen=True)
class Entry:
    """One named activation and its facts; those that are None are not known.

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
        is_registered: Whether a user registered it: files then have the formula, not the name.
    """

    formula: str
    source: str
    limits: tuple[float, float] | None = None
    bounded_below: bool | None = None
    monotone: bool | None = None
    homogeneous: bool | None = False
    beta: float | None = None
    is_keras_function: bool = False
    note: str = ""
    is_registered: bool = False

    @property
    def initial_values(self) -> dict[str, float]:
        """The initial value of each weight, by name: `beta`, or what its role calls for."""
        tree = parse(self.formula)
        return {
            name: initial_value(tree, name) if self.beta is None else self.beta
            for name in weights(tree)
        }


_INF, _NONE = math.inf, math.nan
_SEARCHED = "Ramachandran et al. 2017, section 3: found by the search"

_ROUNDED_OTHERWISE = "Keras's function of this name rounds otherwise."

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
    "softplus": Entry(
        "softplus(x)", "Nair and Hinton 2010", (0, _INF), True, True, note=_ROUNDED_OTHERWISE
    ),
    "elu": Entry(
        "where(x, x, expm1(x))",
        "Clevert et al. 2015, alpha = 1",
        (-1, _INF),
        True,
        True,
        note=_ROUNDED_OTHERWISE,
    ),
    "selu": Entry(
        "1.0507009873554805 * where(x, x, 1.6732632423543772 * expm1(x))",
        "Klambauer et al. 2017",
        (-1.0507009873554805 * 1.6732632423543772, _INF),
        True,
        True,
        note=_ROUNDED_OTHERWISE,
    ),
    "gelu": Entry(
        "x * (1 + erf(x / sqrt(2))) / 2",
        "Hendrycks and Gimpel 2016",
        (0, _INF),
        True,
        False,
        note=f"{_ROUNDED_OTHERWISE} With approximate=True, the default of keras.ops.gelu, it is "
        "the approximation by tanh.",
    ),
    "quick_gelu": Entry(
        "x * sigmoid(1.702 * x)",
        "Hendrycks and Gimpel 2016, section 2, as an approximation of GELU; CLIP (Radford et al. "
        "2021) has it",
        (0, _INF),
        True,
        False,
    ),
    "swish": Entry(
        "x * sigmoid(x)",
        f"{_SEARCHED}; beta = 1, there Swish-1",
        (0, _INF),
        True,
        False,
        note="The function of Keras's silu and swish, whose last digits differ.",
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
    "hard_swish": Entry(
        "x * min(max(x + 3, 0), 6) / 6",
        "Howard et al. 2019 (MobileNetV3), section 5.2, there h-swish",
        (0, _INF),
        True,
        False,
        note="Keras calls it hard_silu, and hard_swish too.",
    ),
    "mish": Entry("x * tanh(softplus(x))", "Misra 2019", (0, _INF), True, False),
    "telu": Entry("x * tanh(exp(x))", "Fernandez and Mali 2024", (0, _INF), True, False),
    "squared_relu": Entry(
        "max(x, 0)**2", "So et al. 2021 (Primer), section 3.1", (0, _INF), True, True
    ),
    "snake": Entry(
        "x + sin(beta * x)**2 / beta",
        "Ziyin et al. 2020, there with the letter a; initial value as there for most data",
        (-_INF, _INF),
        False,
        True,
        beta=0.5,
        note="x at beta = 0, its limit. For periodic data the paper takes 5 to 50 for beta. "
        "Monotone for every beta.",
    ),
    "max_sigmoid": Entry("max(x, sigmoid(x))", _SEARCHED, (0, _INF), True, True),
    "cos_minus_x": Entry("cos(x) - x", _SEARCHED, (_INF, -_INF), False, True),
    "min_sin": Entry("min(x, sin(x))", _SEARCHED, (-_INF, _NONE), False, False),
    "arctan_squared_minus_x": Entry("arctan(x)**2 - x", _SEARCHED, (_INF, -_INF), False, True),
    "max_tanh": Entry("max(x, tanh(x))", _SEARCHED, (-1, _INF), True, True),
    "sinc_plus_x": Entry("sinc(x) + x", _SEARCHED, (-_INF, _INF), False, True),
    "x_arcsinh_squared": Entry("x * arcsinh(x)**2", _SEARCHED, (-_INF, _INF), False, True),
}


# The names by the printed formula, the first one where several have the same.
NAMES: dict[str, str] = {}
for _name, _entry in ENTRIES.items():
    NAMES.setdefault(to_text(parse(_entry.formula)), _name)


def add(name: str, formula: str) -> None:
    """Adds an entry for a name of the user's own."""
    ENTRIES[name] = Entry(
        formula, "registered with keras_swish.register", homogeneous=None, is_registered=True
    )
    NAMES.setdefault(formula, name)


def describe(entry: Entry) -> str:
    """Returns the facts of an entry, a line each."""
    lines = describe_formula(entry.formula, entry.initial_values)
    lines["source"] = entry.source
    if entry.limits is not None:
        limits = ("none" if math.isnan(limit) else f"{limit:g}" for limit in entry.limits)
        lines["limits"] = f"{' and '.join(limits)} at minus and plus infinity"
    properties = {
        "bounded below": entry.bounded_below,
        "monotone": entry.monotone,
        "positively homogeneous": entry.homogeneous,
    }
    for key, holds in properties.items():
        if holds is not None:
            lines[key] = "yes" if holds else "no"
    for name, value in entry.initial_values.items():
        lines[name] = f"trainable, one for each channel, from {value:g}"
    if entry.note:
        lines["note"] = entry.note
    return as_lines(lines)


def as_lines(facts: dict[str, str]) -> str:
    """Returns facts as text, a line each."""
    return "\n".join(f"{key}: {value}" for key, value in facts.items())


def describe_formula(formula: str, initial_values: dict[str, float]) -> dict[str, str]:
    """Returns the facts that a formula tells by itself, by what they are called."""
    value = f"value {_at_0(formula, initial_values):g}"
    try:
        slope = derivative(formula)
    except FormulaError:  # The language has no name for the derivative of sinc'.
        return {"formula": formula, "at 0": value}
    return {
        "formula": formula,
        "derivative": str(slope),
        "at 0": f"{value}, slope {_at_0(slope, initial_values):g}",
    }


def _at_0(formula: Formula | str, initial_values: dict[str, float]) -> float:
    # Not as training computes it, which compiles a gradient, and refuses those of high cost.
    values = {"x": 0.0, **{name: initial_values[name] for name in weights(formula)}}
    tensors = {name: ops.convert_to_tensor(value, "float32") for name, value in values.items()}
    return float(evaluate([lowered(as_tree(formula))], tensors, "float32")[0])
