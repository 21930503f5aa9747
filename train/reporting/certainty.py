"""Sections of a search's report: how sure its ranks are, and what a surrogate believes of it."""

import math
import pathlib

from keras_swish.search import Study
from keras_swish.search.insight.belief import believe
from keras_swish.search.insight.naming import readable
from keras_swish.search.study import Entry

from . import html, search_figures
from .search_answer import name
from .shapes import Gain, Shape, beta_gain, twin_agreement, twin_gain, twins

# How many shapes, and untrained functions, are listed.
SHAPES, UNTRAINED = 15, 10
FIGURE = "predicted.svg"


def shape_section(study: Study, entries: list[Entry], found: list[Shape]) -> str:
    """Returns the section on functions of one shape, on twins and on betas.

    Args:
        study: The study.
        entries: Its candidates, the best first.
        found: Their shapes, as `shapes.shapes` returns them.
    """
    if not found:
        return "No function was trained to the end."
    lines = [["shape", "functions", "ranks", "reward", "95% interval", "with betas minus without"]]
    for shape in [one for one in found if len(one.entries) > 1][:SHAPES]:
        interval = "" if math.isnan(shape.low) else f"{shape.low:.4f} to {shape.high:.4f}"
        gain = "" if math.isnan(shape.beta_gain) else f"{shape.beta_gain:+.4f}"
        count, ranks = str(len(shape.entries)), f"{shape.ranks[0]} to {shape.ranks[-1]}"
        lines.append([html.code(name(shape)), count, ranks, f"{shape.mean:.4f}", interval, gain])
    if len(lines) == 1:
        return "No two of the functions have one shape."
    return "\n\n".join(
        [
            "Functions of one shape are the same before their betas are trained, or mirror twins: "
            "f(x) and -f(-x), which a network with symmetric initialisers and without maximum "
            "pooling cannot tell apart. How far their ranks lie apart says how much of a rank is "
            "luck, or due to the training of betas. "
            f"The {len(found)} shapes of the functions that were trained to the end are ranked by "
            "the lower end of their mean's interval, which allows for the luck of a seed that "
            f"functions of one shape share; the first {len(lines) - 1} with several functions are:",
            html.table(lines),
            _betas(beta_gain(found)),
            _twins(twins(study.space, entries)),
        ]
    )


def _betas(gain: Gain | None) -> str:
    if gain is None:
        return "No shape was tried with betas and without."
    return (
        f"Over the {gain.count} shapes that were tried with betas and without, betas change the "
        f"reward of the first seed by {_difference(gain)}."
    )


def _twins(pairs: list[tuple[Entry, Entry]]) -> str:
    gain = twin_gain(pairs)
    if gain is None:
        return "No function was tried together with its twin."
    agreement = twin_agreement(pairs)
    alike = "" if math.isnan(agreement) else f", whose rewards correlate by rank by {agreement:.2f}"
    return (
        f"{len(pairs)} pairs of twins were tried{alike}. The one that is larger on average is "
        f"better by {_difference(gain)}; all pairs share what a seed draws, so that seeds are "
        f"counted ({gain.count})."
    )


def _difference(gain: Gain) -> str:
    if math.isnan(gain.low):
        return f"{gain.mean:+.4f}"
    verdict = "" if gain.low > 0 or gain.high < 0 else ", not statistically significant"
    return f"{gain.mean:+.4f} (95% interval: {gain.low:+.4f} to {gain.high:+.4f}{verdict})"


def belief_section(study: Study, entries: list[Entry], out: pathlib.Path) -> str:
    """Draws what the surrogate predicts, and returns the section on it.

    Args:
        study: The study.
        entries: Its candidates, the best first.
        out: Folder of the report.
    """
    belief = believe(study, entries, UNTRAINED)
    if belief is None:
        return "Too few functions are trained."
    search_figures.predicted(belief.found, belief.predicted, out / FIGURE)
    count = len(belief.found)
    of = "" if count == len(entries) else f" Of {len(entries)} it knows these, of all ranks."
    parts = [
        html.figure(FIGURE, "predicted and found rewards", "Each function is a dot."),
        "A Gaussian process over the shape of functions, that of the algorithm `surrogate`, "
        f"predicts the reward of each of {count} functions from those of all others: the rank "
        f"correlation of what it predicts with what was found is {belief.correlation:.2f}, and "
        f"{belief.upper_correlation:.2f} among the best quarter of them.{of}",
    ]
    if not belief.untrained:
        return "\n\n".join([*parts, "No function of the space is left untrained."])
    lines = [["function", "formula", "predicted", "95% interval"]]
    for candidate, mean, low, high in belief.untrained:
        formula = str(study.space.formula(candidate))
        interval = f"{low:.4f} to {high:.4f}"
        lines.append([html.code(readable(formula)), html.code(formula), f"{mean:.4f}", interval])
    asked = f"the {belief.asked}" if study.space.core_units == 1 else f"{belief.asked} drawn"
    return "\n\n".join(
        [*parts, f"Of {asked} untrained functions it believes most in:", html.table(lines)]
    )
