"""What a comparison says, in words: the answer, and a sentence for each difference."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from . import html, runs, statistics
from .runs import Row
from .statistics import Comparison

_SURE = 0.05
# With which words a sentence begins that does not begin with a name.
_WORDS = ("none is better", "every run of")


def answer(rows: list[Row], baselines: int, rates: int = 1) -> str:
    """Returns what the comparison says, in two sentences.

    Args:
        rows: The runs that count.
        baselines: With how many of the first activations the others are compared.
        rates: How many learning rates were tried.

    Example:
        >>> from keras_swish.train.reporting import verdicts
        >>> rows = [{"model": "resnet8", "activation": name, "seed": seed, "test_accuracy": 0.5}
        ...         for name in ("relu", "swish") for seed in (0, 1)]
        >>> print(verdicts.answer(rows, 1).partition(":")[0])
        **swish reaches 50.00%, as good as relu (50.00%)
    """
    by_model = runs.group(rows, "model")
    found = [best(model_rows, baselines) for model_rows in by_model.values()]
    if len(found) > 1:
        found = [
            f"On {html.code(model)}, {text}" for model, text in zip(by_model, found, strict=True)
        ]
    elif found[0].startswith(_WORDS):  # the name of an activation stays as it is
        found[0] = found[0][0].upper() + found[0][1:]
    first = "\n\n".join(f"**{text}**" for text in found)
    return f"{first}\n\n{_count(list(by_model.values()), baselines, rates)}".rstrip()


class Verdict(NamedTuple):
    """One activation compared with a baseline.

    Attributes:
        name: The activation.
        baseline: The baseline.
        outcome: Their comparison; None where one of them has no run that came to the end.
        diverged: How many runs of both diverged.
    """

    name: str
    baseline: str
    outcome: Comparison | None
    diverged: int

    @property
    def is_significant(self) -> bool:
        """Whether interval and corrected p both tell the two apart, and no run is left out."""
        one = self.outcome
        if one is None or self.diverged:
            return False
        return one.low * one.high > 0 and one.holm_p <= _SURE


def verdicts(rows: list[Row], baselines: int) -> list[Verdict]:
    """Returns all comparisons on one network.

    Args:
        rows: Its runs that count.
        baselines: With how many of the first activations the others are compared.
    """
    diverged = {
        activation: sum(math.isnan(value) for value in by_seed.values())
        for activation, by_seed in runs.accuracies(rows).items()
    }
    return [
        Verdict(name, baseline, outcome, diverged[name] + diverged[baseline])
        for baseline, outcomes in runs.comparisons(rows, baselines).items()
        for name, outcome in outcomes.items()
    ]


def best(rows: list[Row], baselines: int, names: Sequence[str] = ()) -> str:
    """Returns the sentence on the activation with the highest mean, and the baselines.

    Args:
        rows: The runs of one network that count.
        baselines: With how many of the first activations the others are compared.
        names: The activations to choose from; by default all but those.
    """
    accuracies = runs.accuracies(rows)
    means = {name: mean(list(by_seed.values())) for name, by_seed in accuracies.items()}
    first, *rest = accuracies
    others = [*names] or [*accuracies][baselines:] or rest or [first]
    finite = [name for name in others if math.isfinite(means[name])]
    if not finite:
        return f"every run of {', '.join(map(html.code, others))} diverged."
    chosen = max(finite, key=lambda name: means[name])
    reaches = f"reaches {percent(means[chosen])}"
    if not rest:
        lost = sum(map(math.isnan, accuracies[first].values()))
        over = _over(_seeds(len(accuracies[first]) - lost), lost)
        return f"{html.code(first)} {reaches}{over}; nothing is compared."
    every = [one for one in verdicts(rows, baselines) if one.name in finite]
    own = [one for one in every if one.name == chosen]
    made = [(one, one.outcome) for one in own if one.outcome]
    if not made:
        against = " and ".join(html.code(one.baseline) for one in own)
        return f"{html.code(chosen)} {reaches}; every run of {against} diverged."
    parts = [
        f"{side(outcome)} {html.code(one.baseline)} ({_means(one, outcome)}): {_sure(one)}"
        for one, outcome in made
    ]
    text = f"{reaches}, {'; and '.join(parts)}."
    if len(finite) > 1 and all(one.outcome and one.outcome.difference < 0 for one in every):
        against = " or ".join(html.code(one.baseline) for one in own)
        return f"none is better than {against}; the best of them, {html.code(chosen)}, {text}"
    return f"{html.code(chosen)} {text}"


def side(outcome: Comparison) -> str:
    """Returns on which side of the baseline it is, such as "1.20 points better than"."""
    amount = f"{abs(outcome.difference):.2f} points"
    # A difference that the tables round to 0 has no side.
    if amount == "0.00 points":
        return "as good as"
    return f"{amount} {'better' if outcome.difference > 0 else 'worse'} than"


def _means(one: Verdict, outcome: Comparison) -> str:
    """Returns the baseline's mean; where runs are left out, both means of those that are not."""
    theirs = percent(outcome.baseline_mean)
    if not one.diverged:
        return theirs
    seeds = _seeds(outcome.seeds, outcome.baseline_seeds)
    return f"{percent(outcome.mean)} against {theirs}{_over(seeds, one.diverged)}"


def _over(seeds: str, diverged: int) -> str:
    """Returns over how many seeds a mean is, where not all runs came to the end."""
    runs_lost = f"{diverged} {'run' if diverged == 1 else 'runs'} diverged"
    return f" over {seeds}, as {runs_lost}" if diverged else ""


def _seeds(count: int, baseline: int | None = None) -> str:
    seeds = f"{count} {'seed' if count == 1 else 'seeds'}"
    return seeds if baseline in (None, count) else f"{seeds} against {baseline}"


def _sure(one: Verdict) -> str:
    """Returns the interval, p and what follows from them."""
    outcome = one.outcome
    assert outcome is not None
    if min(outcome.seeds, outcome.baseline_seeds) == 1:
        return "one seed says nothing about others"
    p = f"p = {outcome.p:.3g}"
    if outcome.holm_p != outcome.p:
        p = f"p (Holm) = {outcome.holm_p:.3g}"
    text = f"95% interval {outcome.low:+.2f} to {outcome.high:+.2f} points, {p}"
    if side(outcome) == "as good as":
        return text
    return f"{text}, {'' if one.is_significant else 'not '}statistically significant"


def _count(models: list[list[Row]], baselines: int, rates: int) -> str:
    """Returns the sentence on how many comparisons say what."""
    every = [one for rows in models for one in verdicts(rows, baselines)]
    if not every:
        return ""
    made = [one.outcome for one in every if one.outcome]
    sure = [one.outcome for one in every if one.outcome and one.is_significant]
    better = sum(outcome.difference > 0 for outcome in sure)
    names = dict.fromkeys(html.code(one.baseline) for one in every)
    each = ", each activation at the learning rate that validates best" if rates > 1 else ""
    text = (
        f"Of {len(every)} {'comparison' if len(every) == 1 else 'comparisons'} with "
        f"{' or '.join(names)}{each}, {_counted(better)} significantly better and "
        f"{_counted(len(sure) - better)} significantly worse"
    )
    if len(made) < len(every):
        text += f", and {len(every) - len(made)} cannot be made, as all runs diverged"
    if made and all(outcome.smallest_holm_p > _SURE for outcome in made):
        text += "; with so few seeds none can be significant"
        if all(outcome.is_paired for outcome in made):  # of two groups it depends on both sizes
            text += f": that takes {seeds_needed(len(made) // len(models))}"
    return text + "."


def _counted(count: int) -> str:
    return {0: "none is", 1: "one is"}.get(count, f"{count} are")


def seeds_needed(comparisons: int) -> int:
    """Returns with how many seeds one of so many comparisons can be significant.

    Example:
        >>> from keras_swish.train.reporting import verdicts
        >>> verdicts.seeds_needed(1), verdicts.seeds_needed(14)
        (6, 10)
    """
    return math.ceil(math.log2(2 * max(1, comparisons) / _SURE))


def sentence(one: Verdict) -> str:
    """Returns an item of a list: how one activation compares with a baseline."""
    name, baseline, outcome = html.code(one.name), html.code(one.baseline), one.outcome
    if outcome is None:
        return f"* {name} and {baseline} have no runs to compare: too many diverged."
    if min(outcome.seeds, outcome.baseline_seeds) == 1:
        return f"* {name} is {side(outcome)} {baseline}; one seed says nothing about others."
    if one.diverged:
        verdict = f"not significant, as runs diverged ({one.diverged}) and are left out"
    elif one.is_significant:
        verdict = "statistically significant at the 5% level"
    elif outcome.low * outcome.high > 0 and outcome.smallest_holm_p > _SURE:
        verdict = "the interval excludes 0, but with so few seeds nothing can be significant"
    else:
        verdict = "not statistically significant"
    seeds = _seeds(outcome.seeds, outcome.baseline_seeds)
    return (
        f"* {name} is {side(outcome)} {baseline} on average over {seeds}: {verdict} "
        f"(p = {outcome.p:.3g}; {seeds} cannot give less than {outcome.smallest_p:.3g})."
    )


def mean(values: list[float]) -> float:
    """Returns the mean of those that did not diverge; nan if all did."""
    finite = [value for value in values if math.isfinite(value)]
    return float(np.mean(finite)) if finite else math.nan


def percent(value: float) -> str:
    """Returns an accuracy as text."""
    return f"{value:.2f}%" if math.isfinite(value) else "diverged"


def cell(value: float | None, digits: int = 2) -> str:
    """Returns an accuracy as a cell of a table; empty where there is no run."""
    if value is None:
        return ""
    return f"{value:.{digits}f}" if math.isfinite(value) else "diverged"


def median(rows: list[Row], column: str) -> str:
    """Returns the median of the runs as a cell; empty where there is no run."""
    values = [v for seeds in runs.accuracies(rows, column).values() for v in seeds.values()]
    return cell(statistics.median(values), 1) if values else ""
