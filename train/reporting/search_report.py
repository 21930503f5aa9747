"""The report of a search: which functions won, and what they have in common.

`keras-swish search` writes it when it ends, `keras-swish report` at any time.
"""

import collections
import pathlib

import numpy as np

from keras_swish import catalogue, io
from keras_swish.plot import gallery
from keras_swish.search import Study
from keras_swish.search.result import progress_by_algorithm
from keras_swish.search.study import Entry

from ..app import program
from ..errors import ArgumentError
from . import figures, html, paper_claims
from .statistics import CONFIG

STUDY, HTML = "study.log", "report.html"
# How many of the best candidates are in the table, and how many are drawn.
LISTED, DRAWN = 30, 12
# The functions whose reward the pictures mark.
_MARKED = ("relu", "swish", "swish_beta")
# Algorithms whose candidates do not depend on rewards.
_UNBIASED = {"exhaustive", "random"}


def load(argument: str) -> tuple[Study, pathlib.Path | None]:
    """Opens the study that an argument of a program names.

    Args:
        argument: The folder of a search, its journal, any journal of Optuna, or a database's URL.

    Returns:
        The study, and the search's folder, or None if it is not within one.
    """
    storage, folder = argument, None
    if "://" not in argument:
        storage = pathlib.Path(argument).expanduser()
        folder = storage if storage.is_dir() else storage.parent
        if storage.is_dir():
            if settings(folder).get("program") != "search":
                program.fail(f"{argument}: not a folder of results of `keras-swish search`")
            storage = storage / STUDY
        elif storage.name != STUDY or not (folder / CONFIG).is_file():
            folder = None  # whatever else lies there is not its
    try:
        study = Study.load(storage)
    except (ValueError, ModuleNotFoundError) as error:
        program.fail(f"{argument}: {error}")
    if not len(study):
        program.fail(f"{argument}: no child of this search is trained")
    return study, folder


def settings(folder: pathlib.Path) -> dict:
    """Returns the settings of the program that made a folder; none where none did."""
    try:
        return (io.read_json(folder / CONFIG) or {}).get("config", {})
    except (OSError, ValueError, AttributeError) as error:
        program.fail(f"{folder}: not a folder of results ({error})")


def main(argument: str) -> pathlib.Path:
    """Writes the report of the search that an argument names; returns its page."""
    study, folder = load(argument)
    out = folder
    if program.FLAGS.out is not None:
        out = pathlib.Path(program.FLAGS.out).expanduser()
        if out != folder and out.exists():
            if not out.is_dir():
                raise ArgumentError("out", "is no folder")
            is_report = (out / HTML).exists() and not (out / CONFIG).exists()
            if any(out.iterdir()) and not is_report:
                raise ArgumentError("out", "holds other files; choose another folder")
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ArgumentError("out", f"cannot be made ({error})") from error
    if out is None:
        raise ArgumentError("out", f"{argument} is in no folder of a search: name one to write to")
    write(out, study, folder)
    return out / HTML


def write(out: pathlib.Path, study: Study, folder: pathlib.Path | None = None) -> None:
    """Writes the report of a search.

    Args:
        out: Where to.
        study: What was found.
        folder: The search's folder, if there is one; its config.json tells of the child.
    """
    entries = study.entries()
    io.write_csv(out / "results.csv", rows(study, entries))
    with io.atomic(out / "best.png") as temporary:
        gallery([entry.formula for entry in entries[:DRAWN]]).savefig(temporary, dpi=120)
    known = paper_claims.known(study, entries)
    marked = {name: known[name][1].mean for name in _MARKED if known[name]}
    figures.progress(by_algorithm(study), marked, out / "progress.png")
    figures.rewards([entry.mean for entry in entries], marked, out / "rewards.png")
    record = io.read_json(folder / CONFIG) if folder else None
    markdown = text(study, entries, known, record)
    io.write_text(out / "table.md", markdown)
    io.write_text(out / HTML, html.render(markdown, out))


def rows(study: Study, entries: list[Entry]) -> list[dict]:
    """Returns a row for each candidate, with its choices and the reward with each seed."""
    seeds = sorted({seed for entry in entries for seed in entry.rewards})
    found = []
    for rank, entry in enumerate(entries, 1):
        outcomes = study.outcomes[entry.candidate].values()
        found.append(
            {
                "rank": rank,
                "formula": entry.formula,
                **study.space.choices(entry.candidate),
                "mean": round(entry.mean, 5),
                "low": round(entry.low, 5),
                "high": round(entry.high, 5),
                "status": entry.status,
                "seconds": round(sum(outcome.seconds for outcome in outcomes), 2),
                **{f"seed {seed}": entry.rewards.get(seed, "") for seed in seeds},
            }
        )
    return found


def by_algorithm(study: Study) -> dict[str, list[float]]:
    """Returns the first reward of each candidate by the algorithm that had it trained first."""
    seen, found = set(), collections.defaultdict(list)
    for trial in study.study.get_trials(deepcopy=False):
        candidate = tuple(trial.user_attrs.get("candidate", ()))
        if candidate and candidate not in seen:
            seen.add(candidate)
            found[trial.user_attrs["algorithm"] or "no algorithm"].append(trial.value)
    return dict(found)


def text(study: Study, entries: list[Entry], known: dict, record: dict | None) -> str:
    """Returns the page in Markdown."""
    units = f"core units: {study.space.core_units}"
    title = f"# Search, {units}"
    if record:
        title = f"# Search on {html.code(record['config']['dataset'])}, {units}"
    blocks = [
        title,
        _best(study, entries),
        f"![the best {min(DRAWN, len(entries))} candidates and their derivatives](best.png)",
        "Each function with the initial values of its weights, and dashed its derivative; the best "
        "at the upper left.",
        _noise(study),
        "## Functions of the paper\n\n" + _known(study, entries, known),
        "## The best reward over the candidates tried\n\n" + _algorithms(study),
        "## What the paper observed\n\n" + _observations(study, entries),
        "## Primitives of the best\n\n" + _primitives(study, entries),
        "## All rewards\n\n" + _rewards(entries),
        "## Where it comes from\n\n" + _provenance(study, entries, record),
    ]
    return html.join(blocks)


def _reward(entry: Entry) -> list[str]:
    """Returns cells: mean, interval, seeds."""
    known = not np.isnan(entry.low)
    interval = f"{entry.low:.4f} to {entry.high:.4f}" if known else ""
    return [f"{entry.mean:.4f}", interval, str(len(entry.rewards))]


def _formula(entry: Entry) -> str:
    return html.code(entry.formula) + ("" if entry.status == "ok" else f" ({entry.status})")


def _best(study: Study, entries: list[Entry]) -> str:
    lines = [["formula", "rank", "reward", "95% interval", "seeds"]]
    for rank, entry in enumerate(entries[:LISTED], 1):
        lines.append([_formula(entry), str(rank), *_reward(entry)])
    return f"The best {len(lines) - 1} of {len(entries)} candidates.\n\n{html.table(lines)}"


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
        "are ranked by the lower end of the mean's 95% interval, for which the noise is taken to "
        "be the same for all that did not diverge: "
        f"{noise:.4f}, the standard deviation between seeds ({degrees} degrees of freedom). It is "
        "that of seeds on these validation examples; other examples would differ, too, and the "
        "best of many are chosen for their luck: `keras-swish confirm` trains them anew."
    )


def _known(study: Study, entries: list[Entry], known: dict) -> str:
    lines = [["function", "formula", f"rank of {len(entries)}", "reward", "95% interval", "seeds"]]
    for name, found in known.items():
        units = len(paper_claims.KNOWN[name])
        cells = [f"not here: has {units} core units", "", "", ""]
        if found:
            cells = [str(found[0]), *_reward(found[1])]
        elif units <= study.space.core_units:
            cells[0] = "not tried"
        formula = catalogue.ENTRIES[name].formula if name in catalogue.ENTRIES else f"{name}(x)"
        lines.append([name, html.code(formula), *cells])
    return html.table(lines)


def _algorithms(study: Study) -> str:
    lines = [["algorithm", "candidates", "best reward", "found as number"]]
    for algorithm, rewards in by_algorithm(study).items():
        place = int(np.argmax(rewards))
        cells = [str(len(rewards)), f"{rewards[place]:.4f}", str(place + 1)]
        lines.append([html.code(algorithm), *cells])
    return (
        "![best reward over the number of candidates](progress.png)\n\nOf each candidate the "
        "reward of its first training counts, for the algorithm that had it trained; what was in "
        "the study already is not counted again. The best of many single rewards is higher than a "
        "mean by luck alone, and an algorithm that shares a study gets what others left: to "
        f"compare algorithms, give each a study of its own.\n\n{html.table(lines)}"
    )


def _observations(study: Study, entries: list[Entry]) -> str:
    found = paper_claims.observations(study.space, entries)
    lines = [["candidates", "the paper", "of the best", "of the others", "p", "p (Holm)", "here"]]
    learned = sorted(set(by_algorithm(study)) - _UNBIASED)
    for name, (expected, share) in found.items():
        lines.append(
            [
                name,
                {1: "among the winners", -1: "do badly", 0: "win, as do two"}[expected],
                _part(share.best, share.of_best),
                _part(share.others, share.of_others),
                f"{share.p:.2g}",
                f"{share.holm_p:.2g}",
                "no sample" if learned else _verdict(expected, share.side),
            ]
        )
    units = study.space.core_units
    held = "one core unit" if units == 1 else f"at most {units} core units"
    limits = "functions of one or two core units win" if units < 3 else "more would do worse"
    notes = [
        f"The best are the {paper_claims.best_count(entries)} of the first tenth; p is that of "
        "Fisher's exact test, and p (Holm), which decides, is corrected for the "
        f"{len(found)} observations. A function that can be written in several ways counts for "
        "each of them.",
        f"{html.code(', '.join(learned))} proposed what is like the best so far: candidates are no "
        "sample of the space, p is too small, and nothing is concluded."
        if learned
        else "",
        _division(study, entries),
        f"This storage holds only candidates of {held}: whether {limits}, it cannot say.",
    ]
    return "\n\n".join([html.table(lines), *filter(None, notes)])


def _verdict(expected: int, side: int) -> str:
    if side == 0:
        return "not settled"
    if expected == 0:
        return "more among the best" if side > 0 else "fewer among the best"
    return "as in the paper" if side == expected else "the opposite"


def _division(study: Study, entries: list[Entry]) -> str:
    found = paper_claims.division(study.space, entries)
    if found is None:
        return ""
    return (
        f"Candidates that divide have the median rank {100 * found.rank:.0f}% of the way from the "
        f"first to the last, the others {100 * found.other_rank:.0f}% (p = {found.rank_p:.2g}, "
        f"Mann-Whitney test); {100 * found.diverged:.0f}% of them diverged, of the others "
        f"{100 * found.other_diverged:.0f}% (p = {found.diverged_p:.2g}, Fisher's exact test)."
    )


def _primitives(study: Study, entries: list[Entry]) -> str:
    blocks = [
        "In how many of the best tenth a primitive is, and of all candidates, where it is in any. "
        "p is that of Fisher's exact test, the best against the others; p (Holm) is corrected for "
        "all primitives of the table. A function that can be written in several ways counts as it "
        "is written here."
    ]
    for kind, found in paper_claims.primitives(study.space, entries).items():
        lines = [[kind, "of the best", "of all", "p", "p (Holm)"]]
        order = sorted(found.items(), key=lambda item: (item[1].p, -item[1].best))
        for name, share in order:
            every = share.best + share.others
            lines.append(
                [
                    html.code(name),
                    _part(share.best, share.of_best),
                    _part(every, len(entries)),
                    f"{share.p:.2g}",
                    f"{share.holm_p:.2g}",
                ]
            )
        blocks.append(html.table(lines))
    return "\n\n".join(blocks)


def _part(count: int, of: int) -> str:
    return f"{100 * count / of:.0f}% ({count} of {of})" if of else ""


def _rewards(entries: list[Entry]) -> str:
    means = [entry.mean for entry in entries]
    diverged = sum(entry.status == "diverged" for entry in entries)
    quartiles = ", ".join(f"{value:.4f}" for value in np.quantile(means, [0.25, 0.5, 0.75]))
    return (
        f"![how many candidates have which reward](rewards.png)\n\nQuartiles: {quartiles}; "
        f"{diverged} of {len(entries)} candidates diverged."
    )


def _provenance(study: Study, entries: list[Entry], record: dict | None) -> str:
    space, children = study.space, len(study)
    held = str(space.survey()) if space.core_units == 1 else f"{len(space):,} choices"
    outcomes = [one for by_seed in study.outcomes.values() for one in by_seed.values()]
    seconds = sum(outcome.seconds for outcome in outcomes)
    starts = f", in {_times(len(record['starts']))} of the program" if record else ""
    facts = [
        f"Space: {held}.",
        f"Trained: {children} children of {len(entries)} candidates; {seconds / 3600:.2f} hours "
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
        child = study.child.get("config", {})
        facts.append(f"Child: {html.code(', '.join(f'{k} {v}' for k, v in child.items()))}.")
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
