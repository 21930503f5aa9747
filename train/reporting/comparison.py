"""The report of a comparison: a page in Markdown and in HTML, a CSV file, and figures."""

import math
import pathlib
from typing import Any

import numpy as np

from keras_swish import io
from keras_swish.models import paper_accuracies

from . import figures, html, provenance, runs, statistics
from .runs import CONFIG, Row

_SWISH = ("swish_beta", "swish")
_TOP_5 = "test_top_5_accuracy"


def write(out: pathlib.Path, rows: list[Row]) -> None:
    """Writes the report of a comparison into its folder.

    Args:
        out: The folder.
        rows: Its finished runs, as `runs.read_runs` returns them.
    """
    chosen = [row for row in rows if row["chosen"]]
    io.write_csv(out / runs.TABLE, rows)
    figures.curves(out, chosen, out / "curves.png")
    figures.accuracies(chosen, out / "accuracy.png")
    markdown = text(out, rows)
    io.write_text(out / "table.md", markdown)
    io.write_text(out / "report.html", html.render(markdown, out))


def text(out: pathlib.Path, rows: list[Row]) -> str:
    """Returns the page in Markdown."""
    record = io.read_json(out / CONFIG)
    config = runs.settings(out)
    chosen = [row for row in rows if row["chosen"]]
    models = list(runs.group(chosen, "model"))
    baselines = config.get("baselines", 1)
    count_all = config.get("count_choosing_seed", False)
    tables = summary(chosen, baselines, count_all)
    counted = chosen if count_all else runs.counted(chosen)
    inputs = "![training images, augmented](inputs.png)"
    once = "the test split was read once per run."
    if "image_files" in config and not config.get("validation_split"):
        once = "the test split is also the one that validates the runs after each epoch."
    blocks = [
        f"# {', '.join(map(html.code, models))} on {html.code(config['dataset'])}",
        f"Test accuracy in percent, at the end of training; {once}",
        tables,
        "![test accuracy of every run](accuracy.png)\n\n![learning curves](curves.png)",
        _how_to_read(chosen, counted, baselines),
        _learning_rates(config, rows),
        "## Compared with the paper\n\n" + _compared_with_paper(config, chosen),
        _sign_count(chosen),
        "## Cost\n\n" + _cost(out, chosen),
        "## Provenance\n\n" + provenance.text(record, rows),
        inputs if (out / "inputs.png").exists() else "",
    ]
    return html.join(blocks)


def summary(rows: list[Row], baselines: int = 1, count_choosing_seed: bool = False) -> str:
    """Returns a table for each model, and in a sentence each what it says."""
    by_model = runs.group(rows, "model")
    heading = "## {}\n\n" if len(by_model) > 1 else ""
    return "\n\n".join(
        heading.format(html.code(model)) + table(model_rows, baselines, count_choosing_seed)
        for model, model_rows in by_model.items()
    )


def table(rows: list[Row], baselines: int = 1, count_choosing_seed: bool = False) -> str:
    """Returns the comparison on one model as a Markdown table, with a sentence a comparison.

    Args:
        rows: The runs.
        baselines: With how many of the first activations the others are compared.
        count_choosing_seed: Whether the seed that chose a learning rate counts.
    """
    counted = rows if count_choosing_seed else runs.counted(rows)
    accuracies, every = runs.accuracies(counted), runs.accuracies(rows)
    compared = runs.comparisons(counted, baselines)
    several = sum(map(len, compared.values())) > 1
    seeds = sorted({row["seed"] for row in rows})
    chose = {row["seed"] for row in rows if row.get("chose")}
    header = ["activation", "mean", "median", "std"]
    header += [f"seed {seed}{' (chose)' if seed in chose else ''}" for seed in seeds]
    for baseline in compared or [next(iter(accuracies))]:
        header += [f"minus {html.code(baseline)}", "95% interval", "p", *["p (Holm)"] * several]
    lines = [header]
    for activation, by_seed in accuracies.items():
        values = np.array([v for v in by_seed.values() if math.isfinite(v)])
        cells = [
            html.code(activation),
            f"{values.mean():.2f}" if len(values) else "diverged",
            _percent(statistics.median(by_seed.values())),
            f"{values.std(ddof=1):.2f}" if len(values) > 1 else "",
            *(_percent(every[activation].get(seed)) for seed in seeds),
        ]
        for with_baseline in compared.values():
            difference = _difference(with_baseline.get(activation), several)
            cells += difference + [""] * (3 + several - len(difference))
        lines.append(cells + [""] * (len(header) - len(cells)))
    diverged = {
        activation: sum(math.isnan(value) for value in by_seed.values())
        for activation, by_seed in accuracies.items()
    }
    verdicts = [
        _verdict(activation, baseline, outcome, diverged[activation] + diverged[baseline])
        for baseline, with_baseline in compared.items()
        for activation, outcome in with_baseline.items()
    ]
    return "\n".join([html.table(lines), "", *verdicts]).rstrip()


def _difference(outcome: statistics.Comparison | None, several: bool) -> list[str]:
    """Returns the cells of a comparison."""
    if outcome is None:
        return []
    cells = [f"{round(outcome.difference, 2) + 0.0:+.2f}"]  # no minus zero
    if min(outcome.seeds, outcome.baseline_seeds) > 1:
        cells += [f"{outcome.low:+.2f} to {outcome.high:+.2f}", f"{outcome.p:.3g}"]
        cells += [f"{outcome.holm_p:.3g}"] * several
    return cells


def _verdict(name: str, baseline: str, outcome: statistics.Comparison | None, diverged: int) -> str:
    name, baseline = html.code(name), html.code(baseline)
    if outcome is None:
        return f"* {name} and {baseline} have no runs to compare: too many diverged."
    amount = f"{abs(outcome.difference):.2f} points"
    side = "better" if outcome.difference > 0 else "worse"
    if min(outcome.seeds, outcome.baseline_seeds) == 1:
        return f"* {name} is {amount} {side} than {baseline}; one seed says nothing about others."
    excludes_zero = outcome.low * outcome.high > 0
    if diverged:
        verdict = f"not significant, as runs diverged ({diverged}) and are left out"
    elif excludes_zero and outcome.holm_p <= 0.05:
        verdict = "statistically significant at the 5% level"
    elif excludes_zero and outcome.smallest_holm_p > 0.05:
        verdict = "the interval excludes 0, but with so few seeds nothing can be significant"
    else:
        verdict = "not statistically significant"
    # A difference that the table rounds to 0 has no side.
    is_what = f"{amount} {side} than" if amount != "0.00 points" else "as good as"
    seeds = f"{outcome.seeds} seeds"
    if outcome.seeds != outcome.baseline_seeds:
        seeds = f"{outcome.seeds} seeds against {outcome.baseline_seeds}"
    return (
        f"* {name} is {is_what} {baseline} on average over {seeds}: {verdict} "
        f"(p = {outcome.p:.3g}; {seeds} cannot give less than {outcome.smallest_p:.3g})."
    )


def _how_to_read(rows: list[Row], counted: list[Row], baselines: int) -> str:
    """Returns the notes on a table of these runs, and of those that count in its means."""
    by_model = [runs.accuracies(model) for model in runs.group(counted, "model").values()]
    lines = [
        "One seed means the same initial kernels, batches and augmentation for every activation, "
        "so differences are taken seed by seed. The interval is that of the mean difference "
        "(Student's t); p is that of the two-sided sign-flip permutation test over the seeds."
    ]
    if any(len({frozenset(seeds) for seeds in each.values()}) > 1 for each in by_model):
        lines.append(
            "An activation with more or fewer seeds than the baseline is compared with it as two "
            "groups: Welch's interval, and the two-sided permutation test over the splits of all "
            "runs into groups of these sizes."
        )
    functions = max(map(len, by_model))
    compared = sum(range(functions - min(baselines, functions - 1), functions))
    if compared > 1:
        needed = math.ceil(math.log2(2 * compared / 0.05))
        lines.append(
            f"Of {compared} comparisons some look good by chance: p (Holm) is corrected for that, "
            "and decides what is statistically significant, which no comparison can be with fewer "
            f"than {needed} seeds. The intervals are not corrected."
        )
    if chose := sorted({row["seed"] for row in rows if row.get("chose")}):
        seeds = f"Seed{'s' * (len(chose) > 1)} {', '.join(map(str, chose))}"
        left_out = len(counted) < len(rows)
        lines.append(
            f"{seeds} chose the learning rates"
            + (
                ", left out of mean, median, std, differences, intervals and p; not of what is "
                "compared with the paper, whose runs chose as well."
                if left_out
                else ", and counts all the same: its accuracies are too high by the choice."
            )
        )
    if any(row["test_accuracy"] is None for row in rows):
        lines.append(
            "A run that diverged is the worst in the median, and is left out of mean, std and "
            "differences."
        )
    return " ".join(lines)


def _learning_rates(config: dict[str, Any], rows: list[Row]) -> str:
    """Returns a table of the validation accuracies by learning rate, if there are several."""
    rates = sorted({row["learning_rate"] for row in rows})
    if len(rates) == 1:
        return ""
    lines = [["network", "activation", *(f"{rate:g}" for rate in rates)]]
    for model, model_rows in runs.group(rows, "model").items():
        for activation, activation_rows in runs.group(model_rows, "activation").items():
            by_rate = runs.group(activation_rows, "learning_rate")
            cells = [_validation(by_rate.get(rate, [])) for rate in rates]
            lines.append([html.code(model), html.code(activation), *cells])
    note = " Validation and test are one split here: the choice has seen the test."
    sees = "image_files" in config and not config.get("validation_split")
    note = note if sees else ""
    return (
        "## Learning rates\n\nMean validation accuracy in percent. The learning rate that counts, "
        "in bold, is the best one by the validation accuracy of the seed that all were run with; "
        f"it alone is repeated with the other seeds, as in the paper.{note}\n\n{html.table(lines)}"
    )


def _validation(rows: list[Row]) -> str:
    if not rows:
        return ""
    values = [row["validation_accuracy"] for row in rows if row["validation_accuracy"] is not None]
    mean = f"{100 * np.mean(values):.2f}" if len(values) == len(rows) else "diverged"
    return f"**{mean}**" if rows[0]["chosen"] else mean


def _compared_with_paper(config: dict[str, Any], rows: list[Row]) -> str:
    """Returns the table in the paper's layout: functions down, networks across."""
    by_model = runs.group(rows, "model")
    dataset = _as_in_the_paper(config)
    five = "image_files" in config and any(_TOP_5 in row for row in rows)
    columns = ("here", "paper", *["top-5, here"] * five)
    lines = [["activation", *(f"{html.code(m)}, {column}" for m in by_model for column in columns)]]
    measured = False
    for activation, activation_rows in runs.group(rows, "activation").items():
        cells = [html.code(activation)]
        for model in by_model:
            seeds = [row for row in activation_rows if row["model"] == model]
            printed = paper_accuracies.accuracy(model, activation, dataset) if dataset else None
            measured = measured or printed is not None
            cells.append(_median(seeds, "test_accuracy"))
            cells.append(" ".join(f"{value:.1f}" for value in printed or ()))
            cells += [_median(seeds, _TOP_5)] * five
        lines.append(cells)
    note = (
        "Here: the median over the seeds. Paper: what Ramachandran et al. 2017 print, by their "
        "recipe; nothing of it was measured here."
    )
    if not measured:
        note += " They did not measure these networks on this data, so those cells are empty."
    elif dataset == "imagenet2012":
        note += (
            " Three numbers are those of three runs with the best of three learning rates, the "
            "middle one their median; one is that of the only run."
        )
    return f"{note}\n\n{html.table(lines)}"


def _as_in_the_paper(config: dict[str, Any]) -> str | None:
    """Returns the name of the dataset, if all of it was used at the networks' own image size."""
    if config["image_size"]:
        return None
    if "image_files" in config:  # ImageNet in any form
        classes, training, test = (config["image_files"][k] for k in provenance.COUNTS)
        # Of 1,281,167 and 50,000 images a few may be missing.
        is_imagenet = (classes, round(training, -4), round(test, -3)) == (1000, 1_280_000, 50_000)
        return "imagenet2012" if is_imagenet else None
    return config["dataset"] if config["train_split"] == "train" else None


def _median(rows: list[Row], column: str) -> str:
    values = [v for seeds in runs.accuracies(rows, column).values() for v in seeds.values()]
    return _percent(statistics.median(values), 1) if values else ""


def _sign_count(rows: list[Row]) -> str:
    """Returns how often Swish is better, equal and worse, as the paper's Table 3 counts it."""
    accuracies = [runs.accuracies(model) for model in runs.group(rows, "model").values()]
    names = list(runs.group(rows, "activation"))
    ours = [name for name in _SWISH if name in names]
    baselines = [name for name in names if name not in _SWISH]
    if not ours or not baselines:
        return ""
    several = len(accuracies) > 1  # one network says nothing about others
    units = [*["networks", "p"] * several, "runs"]
    header = [f"{name}, {unit}" for name in ours for unit in units]
    lines = [["compared with", *header, "paper: Swish, 9 networks", "paper: p"]]
    for baseline in baselines:
        cells = [html.code(baseline)]
        for name in ours:
            both = [model for model in accuracies if name in model and baseline in model]
            medians = [
                [round(statistics.median(model[which].values()), 1) for model in both]
                for which in (name, baseline)
            ]
            pairs = [
                (model[name][seed], model[baseline][seed])
                for model in both
                for seed in model[name].keys() & model[baseline].keys()
            ]
            swish_runs, baseline_runs = [a for a, _ in pairs], [b for _, b in pairs]
            cells += _signs(statistics.signs(*medians)) * several
            cells.append(_signs(statistics.signs(swish_runs, baseline_runs))[0])
        lines.append([*cells, *_signs(paper_accuracies.SIGNS.get(baseline))])
    notes = [
        "Better / equal / worse: over the networks by the median, at the paper's precision of 0.1 "
        "points, and over the runs of the same network and seed. p is that of the paper's test, "
        "the one-sided sign test over the networks; runs of one network are not independent, and "
        "have none. The paper's column was written down without the PDF at hand."
    ]
    if "softplus" in baselines:
        notes.append(paper_accuracies.SOFTPLUS_NOTE)
    return f"## How often Swish is better\n\n{' '.join(notes)}\n\n{html.table(lines)}"


def _cost(out: pathlib.Path, rows: list[Row]) -> str:
    """Returns the time of a step of each activation, and how many times that of the first it is."""
    by_model = runs.group(rows, "model")
    several = len(by_model) > 1
    lines = [[*["network"] * several, "activation", "milliseconds a step", "times the first"]]
    for model, model_rows in by_model.items():
        seconds = {
            activation: min(_step_seconds(out, row) for row in seeds)
            for activation, seeds in runs.group(model_rows, "activation").items()
        }
        first = next(iter(seconds.values()))
        for activation, time in seconds.items():
            lines.append(
                [
                    *[html.code(model)] * several,
                    html.code(activation),
                    f"{1000 * time:.1f}" if math.isfinite(time) else "",
                    f"{time / first:.2f}" if math.isfinite(time / first) else "",
                ]
            )
    return (
        "Time of the fastest epoch of all seeds, validation included, by its steps: the one that "
        "other programs on the machine disturbed least.\n\n" + html.table(lines)
    )


def _step_seconds(out: pathlib.Path, row: Row) -> float:
    log = runs.read_log(out, row, quiet=True)
    if row["status"] != "ok" or not log:
        return math.inf
    # Logs of earlier versions do not say how many steps an epoch had.
    usual = {"steps": row["steps"] / row["epochs"]}
    return min(epoch["seconds"] / (usual | epoch)["steps"] for epoch in log)


def _percent(value: float | None, digits: int = 2) -> str:
    if value is None:
        return ""
    return f"{value:.{digits}f}" if math.isfinite(value) else "diverged"


def _signs(counts: tuple[int, int, int] | None) -> list[str]:
    """Returns the cells of counts: better / equal / worse, and p of the sign test."""
    if counts is None:
        return ["", ""]
    better, _, worse = counts
    return [" / ".join(map(str, counts)), f"{statistics.sign_test(better, worse):.3g}"]
