"""What a search found, in short: the best shape next to ReLU and Swish, and what `confirm` says."""

import itertools
import math
import pathlib
import re
from typing import NamedTuple

from keras_swish import io
from keras_swish.search import Study
from keras_swish.search.child import OK
from keras_swish.search.insight.naming import readable
from keras_swish.search.search import START
from keras_swish.search.study import Entry

from . import html, runs, verdicts
from .paper_claims import Ranked, rank_functions
from .shapes import Shape, group

# Functions that the figures mark, by their names there.
MARKED = {"relu": "ReLU", "swish": "Swish"}
# Names of what trained a candidate, where no algorithm did.
_LABELS = {START: "formulas to start with", "": "no algorithm"}
_DISGUISE = re.compile(r"(?P<factor>-|[\w.-]+ \* )?(?P<name>relu|swish|swish_beta)(?:\(-?x\))?")


class Confirmed(NamedTuple):
    """What `keras-swish confirm` found.

    Attributes:
        text: In one sentence; empty where none of the best functions was trained again.
        cells: By activation, its difference from the first baseline and the interval.
        baseline: The first baseline.
    """

    text: str
    cells: dict[str, str]
    baseline: str


def references(study: Study, ranked: dict[str, Ranked | None]) -> dict[str, Entry]:
    """Returns ReLU and Swish as this search trained them, by their names in figures.

    Those that it trained to compare with; where a study has none, the candidates that they are.
    """
    trained = {entry.formula: entry for entry in study.reference_entries()}
    found = {}
    for name, label in MARKED.items():
        candidate = ranked.get(name)
        entry = trained.get(name) or (candidate.entry if candidate else None)
        if entry is not None and entry.status == OK:
            found[label] = entry
    return found


def given(study: Study) -> list[Entry]:
    """Returns the functions that the search was given to start with, and that are no candidates."""
    return [entry for entry in study.reference_entries() if entry.algorithm == START]


def given_ahead(study: Study) -> Entry | None:
    """Returns the best of `given` where it is ahead of all candidates; None where none is."""
    best = next(iter(study.entries(given(study))), None)
    return best if best and not best.candidate and best.status == OK else None


def answer(
    found: list[Shape],
    candidates: int,
    marked: dict[str, Entry],
    confirmed: Confirmed | None,
    is_of_program: bool = True,
    ahead: Entry | None = None,
) -> str:
    """Returns what the search says, in two sentences.

    Args:
        found: The shapes of its candidates, the best first.
        candidates: How many those are.
        marked: ReLU and Swish, as `references` returns them.
        confirmed: What `keras-swish confirm` found, if it was run.
        is_of_program: Whether `keras-swish search` has made it, and `confirm` knows its data.
        ahead: What `given_ahead` returns.
    """
    leads = ""
    if ahead:
        leads = (
            f"\n\n{html.code(ahead.formula)}, which the search was given to start with, is ahead "
            f"of all candidates: mean reward {_mean(ahead)}."
        )
    if not candidates:
        return f"**No candidate of the space was trained.**{leads}"
    if not found:
        return f"**No candidate was trained to the end.**{leads}"
    best = found[0]
    others = len(best.entries) - 1
    more = f" (with {others} more {'formula' if others == 1 else 'formulas'} of this shape)"
    parts = [f"{label} {_mean(entry)}" for label, entry in marked.items()]
    versus = f"; {', '.join(parts)}" if parts else "; ReLU and Swish were not trained"
    first = (
        f"**The best shape is that of {html.code(name(best))}{more if others else ''}: mean reward "
        f"{_mean(best)}{versus}.**{leads}"
    )
    if confirmed and confirmed.text:
        return f"{first}\n\n{confirmed.text}"
    again = "`keras-swish confirm` trains them again"
    if not is_of_program:
        again = "only data that the search has not seen tells how good they are"
    return (
        f"{first}\n\nIt is not confirmed: the best of {candidates} candidates are chosen for "
        f"their luck, too, and {again}."
    )


def name(shape: Shape) -> str:
    """Returns the shortest of its functions without betas, or with, if all have them."""
    names = [readable(entry.formula) for entry in shape.entries]
    return min(names, key=lambda name: ("beta" in name, len(name)))


def _mean(entry: Entry | Shape) -> str:
    if math.isnan(entry.low):
        return f"{entry.mean:.4f}"
    return f"{entry.mean:.4f} (95% interval {entry.low:.4f} to {entry.high:.4f})"


def reward_cells(entry: Entry) -> list[str]:
    """Returns cells: mean, interval, seeds."""
    interval = "" if math.isnan(entry.low) else f"{entry.low:.4f} to {entry.high:.4f}"
    return [f"{entry.mean:.4f}", interval, str(len(entry.rewards))]


def best_functions(study: Study) -> dict[str, str | None]:
    """Returns the formulas of the functions trained to the end, the best first, and their names.

    They are candidates, and what the search was given to start with, as in its last lines.
    """
    entries = study.entries(given(study))
    ranked = rank_functions(study, [entry for entry in entries if entry.candidate])
    names = {found.entry.candidate: name for name, found in ranked.items() if found}
    return {e.formula: names.get(e.candidate) for e in entries if e.status == OK}


def confirmed(folder: pathlib.Path | None, study: Study) -> Confirmed | None:
    """Returns what `keras-swish confirm` found, if its results are in the search's folder.

    Of the functions that it trained, those are the search's that are its best; not what else the
    user, or `confirm` by itself, compares them with.
    """
    out = folder / "confirm" if folder else None
    if out is None or not (out / runs.CONFIG).exists():
        return None
    try:
        config, rows = runs.settings(out), runs.read_runs(out)
    except io.DamagedFileError:
        return None
    baselines, count_all = runs.comparing(config)
    counted = runs.counted([row for row in rows if row["chosen"]], count_all)
    if not counted:
        return None
    # With several networks, the first one.
    model, model_rows = next(iter(runs.group(counted, "model").items()))
    made = verdicts.verdicts(model_rows, baselines)
    names = list(runs.group(model_rows, "activation"))
    found = (name or formula for formula, name in best_functions(study).items())
    again = itertools.takewhile(names.__contains__, found)
    searched = [name for name in again if name not in names[:baselines]]
    better = [
        name
        for name in searched
        if all(
            one.is_significant and one.outcome and one.outcome.difference > 0
            for one in made
            if one.name == name
        )
    ]
    said = "Confirmed" if better else "Not confirmed"
    seeds = len({row["seed"] for row in model_rows})
    cells = {}
    for one in made:
        outcome = one.outcome
        if one.baseline == names[0]:
            cells[one.name] = "diverged"
            if outcome:
                cells[one.name] = f"{outcome.difference:+.2f}"
                if math.isfinite(outcome.low):
                    cells[one.name] += f" ({outcome.low:+.2f} to {outcome.high:+.2f})"
    text = (
        f"{said}: `keras-swish confirm` trained the best {len(searched)} again, in "
        f"{html.code(model)} with {seeds} new {'seed' if seeds == 1 else 'seeds'}: "
        f"{verdicts.best(model_rows, baselines, better or searched)}"
    )
    return Confirmed(text if searched else "", cells, names[0])


def disguises(
    study: Study, entries: list[Entry], ranked: dict[str, Ranked | None]
) -> dict[str, str]:
    """Returns by formula which of the candidates are ReLU or Swish, written in another way.

    Multiples of them, also of -x and by a beta, and functions that are the same before their betas
    are trained, or mirrored.

    Args:
        study: The study.
        entries: The candidates that are looked at.
        ranked: The paper's functions among all candidates.
    """
    known = {name: ranked[name] for name in MARKED if ranked.get(name)}
    own = [found.entry.candidate for found in known.values() if found]
    numbers = group(study.space, [*own, *(entry.candidate for entry in entries)])
    shapes_of = dict(zip(numbers[: len(own)], known, strict=True))
    found = {}
    for entry, number in zip(entries, numbers[len(own) :], strict=True):
        text = readable(entry.formula)
        match = _DISGUISE.fullmatch(text)
        base = match["name"].removesuffix("_beta") if match else shapes_of.get(number)
        if base and text not in (*MARKED, "swish_beta"):
            found[entry.formula] = f"{MARKED[base]} in disguise"
    return found


def label(algorithm: str) -> str:
    """Returns what had a candidate trained, as it is called in figures and tables."""
    return _LABELS.get(algorithm, algorithm)


def reference_section(study: Study) -> str:
    """Returns the table of the functions that candidates are compared with; empty without any."""
    entries = study.reference_entries()
    if not entries:
        return ""
    lines = [["function", "what it is", "reward", "95% interval", "seeds"]]
    for entry in entries:
        is_reference = entry.formula in MARKED
        what = "reference" if is_reference else "given to start with, not in the space"
        note = "" if entry.status == OK else f" ({entry.status})"
        lines.append([html.code(entry.formula) + note, what, *reward_cells(entry)])
    return (
        "## What candidates are compared with\n\nThese were trained as candidates are; no "
        "algorithm proposed them, none was told of them, and they have no rank.\n\n"
        f"{html.table(lines)}"
    )
