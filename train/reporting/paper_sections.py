"""Sections of a search's report: whether the paper's observations hold, and primitives."""

from keras_swish.search import Study
from keras_swish.search.study import Entry

from . import html, paper_claims


def observations(study: Study, entries: list[Entry], learned: list[str]) -> str:
    """Returns the section on what the paper observed.

    Args:
        study: The study.
        entries: Its candidates, the best first.
        learned: Its algorithms whose proposals depend on rewards: what they try is no sample.
    """
    observed = paper_claims.observations(study.space, entries)
    lines = [["candidates", "the paper", "of the best", "of the others", "p", "p (Holm)", "here"]]
    for name, (expected, share) in observed.items():
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
    size = "one core unit" if units == 1 else f"at most {units} core units"
    limits = "functions of one or two core units win" if units < 3 else "more would do worse"
    notes = [
        f"The best are the {paper_claims.best_count(entries)} of the first tenth; p is that of "
        "Fisher's exact test, and p (Holm), which decides, is corrected for the "
        f"{len(observed)} observations. A function that can be written in several ways counts "
        "for each of them.",
        _no_sample(learned),
        _division(study, entries),
        f"This storage holds only candidates of {size}: whether {limits}, it cannot say.",
    ]
    return "\n\n".join([html.table(lines), *filter(None, notes)])


def _no_sample(learned: list[str]) -> str:
    """Returns what to make of p where algorithms were led by rewards; empty where none was."""
    if not learned:
        return ""
    return (
        f"{html.code(', '.join(learned))} proposed what is like the best so far: candidates are no "
        "sample of the space, p is too small, and nothing is concluded."
    )


def _verdict(expected: int, side: int) -> str:
    if side == 0:
        return "not statistically significant"
    if expected == 0:
        return "more among the best" if side > 0 else "fewer among the best"
    return "as in the paper" if side == expected else "the opposite"


def _division(study: Study, entries: list[Entry]) -> str:
    division = paper_claims.division(study.space, entries)
    if division is None:
        return ""
    rank, other_rank = 100 * division.rank, 100 * division.other_rank
    diverged, other_diverged = 100 * division.diverged, 100 * division.other_diverged
    return (
        f"Candidates that divide have the median rank {rank:.0f}% of the way from the first to the "
        f"last, the others {other_rank:.0f}% (p = {division.rank_p:.2g}, Mann-Whitney test); "
        f"{diverged:.0f}% of them diverged, of the others {other_diverged:.0f}% "
        f"(p = {division.diverged_p:.2g}, Fisher's exact test)."
    )


def primitives(study: Study, entries: list[Entry], learned: list[str]) -> str:
    """Returns the section on the primitives of the best; for its arguments see `observations`."""
    blocks = [
        "In how many of the best tenth a primitive is, and of all candidates, where it is in any. "
        "p is that of Fisher's exact test, the best against the others; p (Holm) is corrected for "
        "all primitives of the table. A function that can be written in several ways counts as it "
        "is written here.",
        *filter(None, [_no_sample(learned)]),
    ]
    for arity, shares in paper_claims.primitives(study.space, entries).items():
        lines = [[arity, "of the best", "of all", "p", "p (Holm)"]]
        order = sorted(shares.items(), key=lambda item: (item[1].p, -item[1].best))
        for name, share in order:
            lines.append(
                [
                    html.code(name),
                    _part(share.best, share.of_best),
                    _part(share.best + share.others, len(entries)),
                    f"{share.p:.2g}",
                    f"{share.holm_p:.2g}",
                ]
            )
        blocks.append(html.table(lines))
    return "\n\n".join(blocks)


def _part(count: int, of: int) -> str:
    return f"{100 * count / of:.0f}% ({count} of {of})" if of else ""
