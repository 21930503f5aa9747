"""The report of a search: the best functions, and what they have in common.

`keras-swish search` writes it when it ends, `keras-swish report` at any time.
"""

import csv
import pathlib
import re
from typing import Any

import numpy as np

from keras_swish import catalogue, drawing, io
from keras_swish.plot import gallery
from keras_swish.search import Study
from keras_swish.search.insight.naming import readable
from keras_swish.search.result import progress_by_algorithm
from keras_swish.search.search import START
from keras_swish.search.study import Entry

from ..trainer.environment import CONFIG
from . import certainty, html, paper_claims, paper_sections, search_answer, search_figures
from .paper_claims import Ranked
from .runs import Row
from .shapes import rank_intervals, shapes

STUDY, HTML, TABLE = "study.log", "report.html", "results.csv"
# How many of the best candidates are in the table, and how many are drawn.
LISTED, DRAWN = 30, 12
# What has candidates trained that do not depend on rewards.
_UNBIASED = {"exhaustive", "random", search_answer.label(START)}


def load(argument: str) -> tuple[Study, pathlib.Path | None]:
    """Opens a study.

    Args:
        argument: The folder of a search, its journal, any journal of Optuna, or a database's URL.

    Returns:
        The study, and the search's folder, or None if it is not within one.

    Raises:
        ValueError: If there is no study, or it has nothing to report on.
    """
    folder = None
    storage = argument if "://" in argument else pathlib.Path(argument).expanduser()
    if isinstance(storage, pathlib.Path):
        if storage.is_dir():
            folder, storage = storage, storage / STUDY
            if settings(folder).get("program") != "search":
                raise ValueError(f"{argument}: not a folder of results of `keras-swish search`")
        elif storage.name == STUDY and (storage.parent / CONFIG).is_file():
            folder = storage.parent
    try:
        study = Study.load(storage)
    except (ValueError, ModuleNotFoundError) as error:
        raise ValueError(f"{argument}: {error}") from error
    if not has_results(study):
        raise ValueError(f"{argument}: no child of this search is trained")
    return study, folder


def has_results(study: Study) -> bool:
    """Says whether a candidate, or a function that the search was given, is trained."""
    return bool(len(study) or search_answer.given(study))


def settings(folder: pathlib.Path) -> dict[str, Any]:
    """Returns the settings of the program that made a folder; none where none did.

    Raises:
        ValueError: If they cannot be read.
    """
    try:
        return dict((io.read_json(folder / CONFIG) or {}).get("config", {}))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{folder}: not a folder of results ({error})") from error


def check_none_lost(out: pathlib.Path, study: Study) -> None:
    """Refuses to write the report of a study over that of a larger one.

    A journal that was cut short looks like that of a search that has just begun.

    Args:
        out: Folder of the report.
        study: The study.

    Raises:
        ValueError: If results.csv there has more trained children than the study.
    """
    try:
        before = io.read_csv(out / TABLE)
    except (ValueError, csv.Error):  # damaged itself
        return
    candidates = [row for row in before if row.get("rank")]
    children = sum(bool(row[key]) for row in candidates for key in row if key.startswith("seed "))
    if children > len(study):
        raise ValueError(
            f"{out / TABLE} has {children} trained children of {len(candidates)} candidates, the "
            f"storage only {len(study)} of {len(study.outcomes)}: was its file cut short? Take a "
            f"copy of it from before; or move {TABLE} away to go on with what is left."
        )


def write(out: pathlib.Path, study: Study, folder: pathlib.Path | None = None) -> None:
    """Writes the report of a search.

    Args:
        out: Folder of the report.
        study: The study.
        folder: The search's folder, if there is one; its config.json tells of the child.

    Raises:
        ValueError: If a report there has more trained children, or config.json is damaged.
    """
    check_none_lost(out, study)
    record = _record(folder) if folder else None
    entries = study.entries()
    io.write_csv(out / TABLE, rows(study, entries))
    ranked = paper_claims.rank_functions(study, entries)
    belief = ""
    if entries:
        _draw(out, study, entries, search_answer.references(study, ranked))
        belief = certainty.belief_section(study, entries, out)
    confirmed = search_answer.confirmed(folder, study)
    markdown = text(study, entries, ranked, record, belief, confirmed)
    io.write_text(out / "table.md", markdown)
    io.write_text(out / HTML, html.render(markdown, out))


def _draw(out: pathlib.Path, study: Study, entries: list[Entry], marked: dict[str, Entry]) -> None:
    """Draws the figures, but that of the surrogate."""
    formulas = [entry.formula for entry in entries[:DRAWN]]
    drawing.save(gallery(formulas, [*map(readable, formulas)], columns=3), out / "best.svg")
    lines = {name: entry.mean for name, entry in marked.items()}
    search_figures.progress(by_algorithm(study), lines, out / "progress.svg")
    search_figures.rewards([entry.mean for entry in entries], lines, out / "rewards.svg")


def _record(folder: pathlib.Path) -> dict[str, Any]:
    """Returns the content of a search's config.json, which holds all that the page says of it."""
    try:
        record = io.read_json(folder / CONFIG)
        _ = str(record["config"]["dataset"]), dict(record["config"]["child"]["config"])
        _ = [(str(s["command"]), s["environment"].items()) for s in record["starts"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{folder / CONFIG} is damaged ({error!r})") from error
    return record


def rows(study: Study, entries: list[Entry]) -> list[Row]:
    """Returns a row for each candidate, with its choices and the reward with each seed.

    Functions that are compared with the candidates follow; they have no rank. Where rewards after
    each epoch are known, they are in the row, too: see `Outcome.curve`; and those with each
    learning rate where there are several.
    """
    compared = study.reference_entries()
    seeds = sorted({seed for entry in [*entries, *compared] for seed in entry.rewards})
    ranks: list[Row] = []
    for rank, interval in enumerate(rank_intervals(entries), 1):
        low, high = interval or ("", "")
        ranks.append({"rank": rank, "rank low": low, "rank high": high})
    ranks += [{"rank": "", "rank low": "", "rank high": ""}] * len(compared)
    return [
        {**rank, **_row(study, entry, seeds)}
        for rank, entry in zip(ranks, [*entries, *compared], strict=True)
    ]


def _row(study: Study, entry: Entry, seeds: list[int]) -> Row:
    if entry.candidate:
        by_seed, choices = study.outcomes[entry.candidate], study.space.choices(entry.candidate)
        function = readable(entry.formula)
    else:
        by_seed, choices, function = study.references[entry.formula], {}, entry.formula
    return {
        "formula": entry.formula,
        "function": function,
        **choices,
        "mean": round(entry.mean, 5),
        "low": round(entry.low, 5),
        "high": round(entry.high, 5),
        "status": entry.status,
        "algorithm": entry.algorithm,
        "seconds": round(sum(outcome.seconds for outcome in by_seed.values()), 2),
        **{f"seed {seed}": entry.rewards.get(seed, "") for seed in seeds},
        **{
            f"epochs of seed {seed}": " ".join(f"{reward:.5f}" for reward in outcome.curve)
            for seed, outcome in sorted(by_seed.items())
            if outcome.curve
        },
        **{
            f"rates of seed {seed}": " ".join(f"{one.reward:.5f}" for one in outcome.rates)
            for seed, outcome in sorted(by_seed.items())
            if outcome.rates
        },
    }


def by_algorithm(study: Study) -> dict[str, list[float]]:
    """Returns the first reward of each candidate by the algorithm that had it trained first."""
    seen: set[tuple[int, ...]] = set()
    rewards: dict[str, list[float]] = {}
    for trial in study.study.get_trials(deepcopy=False):
        candidate = tuple(trial.user_attrs.get("candidate", ()))
        if candidate and candidate not in seen and trial.value is not None:
            seen.add(candidate)
            algorithm = search_answer.label(trial.user_attrs["algorithm"])
            rewards.setdefault(algorithm, []).append(trial.value)
    return rewards


def text(
    study: Study,
    entries: list[Entry],
    ranked: dict[str, Ranked | None],
    record: dict[str, Any] | None,
    belief: str = "",
    confirmed: search_answer.Confirmed | None = None,
) -> str:
    """Returns the page in Markdown.

    Args:
        study: The study.
        entries: Its candidates, the best first.
        ranked: The paper's functions among them, as `paper_claims.rank_functions` returns them.
        record: The content of the folder's config.json, if there is one.
        belief: The section on what a surrogate believes.
        confirmed: What `keras-swish confirm` found, if it was run.
    """
    marked, found = search_answer.references(study, ranked), shapes(study, entries)
    units = f"core units: {study.space.core_units}"
    title = f"# Search, {units}"
    if record:
        title = f"# Search on {html.code(record['config']['dataset'])}, {units}"
    first = [
        title,
        search_answer.answer(
            found,
            len(entries),
            marked,
            confirmed,
            record is not None,
            search_answer.given_ahead(study),
        ),
    ]
    references = search_answer.reference_section(study)
    provenance = "## Provenance\n\n" + _provenance(study, entries, record)
    if not entries:
        return html.join([*first, references, provenance])
    learned = sorted(set(by_algorithm(study)) - _UNBIASED)
    blocks = [
        *first,
        _drawn(entries),
        _best(study, entries, ranked, confirmed),
        _noise(study),
        references,
        "## Functions of the paper\n\n" + _paper_functions(study, entries, ranked),
        "## Functions of one shape\n\n" + certainty.shape_section(study, entries, found),
        f"## What a surrogate believes\n\n{belief}" if belief else "",
        "## The best reward over the candidates tried\n\n" + _algorithms(study),
        "## Observations of the paper\n\n" + paper_sections.observations(study, entries, learned),
        "## Primitives of the best\n\n" + paper_sections.primitives(study, entries, learned),
        "## All rewards\n\n" + _rewards(entries),
        provenance,
    ]
    return html.join(blocks)


def _function(entry: Entry) -> str:
    note = "" if entry.status == "ok" else f" ({entry.status})"
    return html.code(readable(entry.formula)) + note


def _rank(rank: int, interval: tuple[int, int] | None) -> list[str]:
    """Returns cells: a rank and its interval."""
    return [str(rank), f"{interval[0]} to {interval[1]}" if interval else ""]


def _drawn(entries: list[Entry]) -> str:
    caption = (
        "The best candidates, with the initial values of their weights, and dashed their "
        "derivatives; the best at the upper left."
    )
    count = min(DRAWN, len(entries))
    return html.figure("best.svg", f"the best {count} candidates and their derivatives", caption)


def _best(
    study: Study,
    entries: list[Entry],
    ranked: dict[str, Ranked | None],
    confirmed: search_answer.Confirmed | None,
) -> str:
    lines = [["function", "formula", "rank", "interval", "reward", "95% interval", "seeds"]]
    names = {found.entry.candidate: name for name, found in ranked.items() if found}
    if confirmed:
        lines[0].append(f"confirm: minus {html.code(confirmed.baseline)}, points")
    intervals = rank_intervals(entries)
    best = entries[:LISTED]
    disguises = search_answer.disguises(study, best, ranked)
    for rank, entry in enumerate(best, 1):
        cells = [*_rank(rank, intervals[rank - 1]), *search_answer.reward_cells(entry)]
        if confirmed:
            keys = (entry.formula, names.get(entry.candidate, ""))
            found = [confirmed.cells[key] for key in keys if key in confirmed.cells]
            cells.append(found[0] if found else "not trained again")
        disguise = f", {disguises[entry.formula]}" if entry.formula in disguises else ""
        written = html.code(entry.formula) if readable(entry.formula) != entry.formula else ""
        lines.append([_function(entry) + disguise, written, *cells])
    again = ""
    if confirmed:
        again = " The last column is what `keras-swish confirm` found of those that it trained."
    table = html.table(html.without_empty_columns(lines))
    return f"The best {len(best)} of {len(entries)} candidates.{again}\n\n{table}"


def _noise(study: Study) -> str:
    noise, degrees = study.noise()
    if not degrees:
        return (
            "Too few candidates were trained with several seeds, so that the noise of the child is "
            "not known, and neither is who of them is better."
        )
    return (
        "Rewards are means over the seeds; where there are several, without the first, which chose "
        "the candidate for the others, and without what all candidates owe to a seed. Candidates "
        "are ranked by the lower end of the mean's 95% interval. Its noise, the standard deviation "
        f"between seeds, is {noise:.4f} ({degrees} degrees of freedom) over all that did not "
        f"diverge{_local_noise(study)}. It is that of seeds on these validation examples; other "
        "examples would differ, too, and the best of many are chosen for their luck. The interval "
        "of a rank goes from those that are better to those that are worse, each at 95%."
    )


def _local_noise(study: Study) -> str:
    local = study.local_noise()
    if local is None or len(local.rewards) < 2:
        return ""
    return (
        f", and estimated by reward: from {local.deviations[0]:.4f} around {local.rewards[0]:.4f} "
        f"to {local.deviations[-1]:.4f} around {local.rewards[-1]:.4f}"
    )


def _paper_functions(study: Study, entries: list[Entry], ranked: dict[str, Ranked | None]) -> str:
    if not any(ranked.values()):
        return "None of them was tried."
    header = ["function", "formula", f"rank of {len(entries)}", "interval", "reward"]
    lines = [[*header, "95% interval", "seeds"]]
    intervals = rank_intervals(entries)
    for name, function in ranked.items():
        units = len(paper_claims.FUNCTIONS[name])
        cells = [f"not here: has {units} core units", "", "", "", ""]
        if function:
            rank = _rank(function.rank, intervals[function.rank - 1])
            cells = [*rank, *search_answer.reward_cells(function.entry)]
        elif units <= study.space.core_units:
            cells[0] = "not tried"
        formula = catalogue.ENTRIES[name].formula if name in catalogue.ENTRIES else f"{name}(x)"
        lines.append([name, html.code(formula), *cells])
    return html.table(lines)


def _algorithms(study: Study) -> str:
    lines = [["algorithm", "candidates", "best reward", "found as number"]]
    for algorithm, rewards in by_algorithm(study).items():
        best = int(np.argmax(rewards))
        cells = [str(len(rewards)), f"{rewards[best]:.4f}", str(best + 1)]
        lines.append([html.code(algorithm), *cells])
    caption = (
        "Each candidate's first reward is a dot, the best so far a line, with the rewards of ReLU "
        "and Swish; the axis is that of the better half."
    )
    figure = html.figure("progress.svg", "rewards in the order of training", caption)
    return (
        f"{figure}\n\nOf each candidate the "
        "reward of its first training counts, for the algorithm that had it trained; what was in "
        "the study already is not counted again. The best of many single rewards is higher than a "
        "mean by luck alone, and an algorithm that shares a study gets what others left: to "
        f"compare algorithms, give each a study of its own.\n\n{html.table(lines)}"
    )


def _rewards(entries: list[Entry]) -> str:
    means = [entry.mean for entry in entries]
    diverged = sum(entry.status == "diverged" for entry in entries)
    quartiles = ", ".join(f"{value:.4f}" for value in np.quantile(means, [0.25, 0.5, 0.75]))
    caption = "How many candidates have which mean reward: all, and those near and above ReLU."
    figure = html.figure("rewards.svg", "histogram of the rewards", caption)
    return f"{figure}\n\nQuartiles: {quartiles}; {diverged} of {len(entries)} candidates diverged."


def _provenance(study: Study, entries: list[Entry], record: dict[str, Any] | None) -> str:
    space = study.space
    size = str(space.survey()) if space.core_units == 1 else f"{len(space):,} choices"
    trained = study.outcomes if entries else study.references
    outcomes = [one for by_seed in trained.values() for one in by_seed.values()]
    children, seconds = len(outcomes), sum(outcome.seconds for outcome in outcomes)
    functions = f"{len(entries)} candidates" if entries else "functions outside the space"
    starts = f", in {_times(len(record['starts']))} of the program" if record else ""
    facts = [
        f"Space: {size}.",
        f"Trained: {children} children of {functions}; {seconds / 3600:.2f} hours "
        f"of all workers together, {seconds / children:.2f} s a child{starts}.",
        *_proposals(study),
    ]
    if record:
        child = dict(record["config"]["child"])
        child |= child.pop("config")
        child = ", ".join(f"{k} {v}" for k, v in child.items())
        facts += [
            f"Child: {html.code(child)}; SGD with Nesterov momentum, cosine schedule after a tenth "
            "of warm-up, no augmentation.",
            *html.origin(record),
        ]
    else:
        child = {k: v for k, v in study.child.get("config", {}).items() if v is not None}
        facts.append(f"Child: {html.code(', '.join(f'{k} {v}' for k, v in child.items()))}.")
        if "reward" in study.child:
            reward = str(study.child["reward"])
            objective = re.match(r"Objective\(name='([^']*)', direction='(\w+)'\)", reward)
            name, direction = objective.groups() if objective else (reward, "max")
            minus = "minus " * (direction == "min")
            facts.append(f"Reward: {minus}{html.code(name)}, larger being better.")
    return "\n".join(f"* {fact}" for fact in facts)


def _times(starts: int) -> str:
    return "one start" if starts == 1 else f"{starts} starts"


def _proposals(study: Study) -> list[str]:
    """Returns what the study says of the algorithms' proposals."""
    return [
        f"Proposals of {html.code(algorithm)}: {progress.tried} candidates, {progress.repeats} "
        f"repeated, {sum(progress.rejected.values())} rejected untried."
        for algorithm, progress in progress_by_algorithm(study).items()
    ]
