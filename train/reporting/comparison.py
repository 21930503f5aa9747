"""The report of a comparison: a page in Markdown and in HTML, a CSV file, and figures."""

import math
import pathlib
from typing import Any

import numpy as np

from keras_swish import io
from keras_swish.models import paper_accuracies

from . import figures, html, learned, provenance, runs, statistics
from .runs import CONFIG, Row
from .verdicts import Verdict, answer, cell, median, seeds_needed, sentence, verdicts

_SWISH = ("swish_beta", "swish")
_TOP_5 = "test_top_5_accuracy"
# The figures of the page.
_FIGURES = ("differences.svg", "accuracy.svg", "curves.svg", "losses.svg")


def write(out: pathlib.Path, rows: list[Row]) -> None:
    """Writes the report of a comparison into its folder.

    Args:
        out: The folder.
        rows: Its finished runs, as `runs.read_runs` returns them.
    """
    io.write_csv(out / runs.TABLE, rows)
    markdown = text(out, rows)
    io.write_text(out / "table.md", markdown)
    io.write_text(out / "report.html", html.render(markdown, out))


def text(out: pathlib.Path, rows: list[Row]) -> str:
    """Draws the figures, and returns the page in Markdown."""
    record = _record(out)
    config = record["config"]
    chosen = [row for row in rows if row["chosen"]]
    models = list(runs.group(chosen, "model"))
    baselines, count_all = runs.comparing(config)
    rates = runs.rates_tried(rows)
    counted = runs.counted(chosen, count_all)
    judged = {
        model: verdicts(model_rows, baselines)
        for model, model_rows in runs.group(counted, "model").items()
    }
    forest, dots, curves = _figures(out, chosen, counted, baselines, judged)
    inputs = html.figure(
        "inputs.png", "training images", "Training images, as the network gets them."
    )
    once = "the test split was read once per run."
    if "image_files" in config and not config.get("validation_split"):
        once = "the test split is also the one that validates the runs after each epoch."
    blocks = [
        f"# {', '.join(map(html.code, models))} on {html.code(config['dataset'])}",
        answer(counted, baselines, rates),
        forest,
        f"Test accuracy in percent, at the end of training; {once}",
        summary(chosen, baselines, count_all),
        _in_words(judged),
        dots,
        curves,
        learned.section(out, chosen),
        "## Method\n\n" + _how_to_read(chosen, counted, judged),
        _learning_rates(config, rows),
        _compared_with_paper(config, chosen),
        _sign_count(chosen),
        "## Cost\n\n" + _cost(out, chosen),
        "## Provenance\n\n" + provenance.section(record, rows),
        inputs if (out / "inputs.png").exists() else "",
    ]
    return html.join(blocks)


def _record(out: pathlib.Path) -> dict[str, Any]:
    """Returns the content of config.json, which holds all that the page says of it.

    Raises:
        DamagedFileError: If it does not.
    """
    record = runs.record_of(out)
    config = record["config"]

    def need(part: Any, *names: str) -> None:
        if not isinstance(part, dict) or not part.keys() >= {*names}:
            raise io.DamagedFileError(out / CONFIG, f"it lacks {', '.join(names) or 'networks'}")

    need(config, "dataset", "train_split", "test_split", "image_size", "flip")
    if "image_files" in config:
        need(config["image_files"], *provenance.COUNTS)
    else:
        need(config, "pad")
    networks = config.get("networks", {"": config})
    need(networks)
    for network in networks.values():
        need(network, "image_size", "recipe")
        need(network["recipe"], "source", "bn_momentum")
    for start in record["starts"]:
        need(start, "command", "environment")
    return record


def _figures(
    out: pathlib.Path,
    rows: list[Row],
    counted: list[Row],
    baselines: int,
    judged: dict[str, list[Verdict]],
) -> tuple[str, str, str]:
    """Draws the figures, and returns the blocks with them: differences, runs and curves."""
    names = list(runs.group(rows, "activation"))[:baselines]
    against = " or ".join(map(html.code, names))
    forest, dots, curves, losses = _FIGURES
    several = len({row["activation"] for row in rows}) > 1
    blocks = ["", "", ""]
    if figures.differences(judged, out / forest):
        caption = (
            f"Mean difference of each activation from {against}, with its 95% interval; filled "
            "where it is statistically significant. An arrow's number lies outside of the axis."
        )
        blocks[0] = html.figure(forest, "differences from the baseline, with intervals", caption)
    figures.accuracies(counted, baselines, out / dots)
    caption = (
        f"Each seed is a dot, the mean a line; {against} in grey. Equal dots are moved up and "
        "down; what lies far below the axis stands at its left end as a number."
    )
    blocks[1] = html.figure(dots, "test accuracy of every run", caption)
    versus = f" Grey is {html.code(names[0])}." if several else ""
    parts = []
    logs = {row["folder"]: runs.read_log(out, row) for row in rows if row["status"] == "ok"}
    if figures.curves(logs, rows, "val_accuracy", 100, out / curves):
        caption = (
            "Validation accuracy in percent over the epochs, mean and range of the seeds; the axis "
            f"shows what the last half of the epochs needs.{versus}"
        )
        parts.append(html.figure(curves, "learning curves", caption))
    if figures.curves(logs, rows, "loss", 1, out / losses):
        caption = f"Training loss over the epochs, with the penalty of weight decay.{versus}"
        figure = html.figure(losses, "training losses", caption)
        parts.append(html.fold("Training losses", figure))
    blocks[2] = "\n\n".join(parts)
    return blocks[0], blocks[1], blocks[2]


def summary(rows: list[Row], baselines: int = 1, count_choosing_seed: bool = False) -> str:
    """Returns a table for each model."""
    by_model = runs.group(rows, "model")
    heading = "## {}\n\n" if len(by_model) > 1 else ""
    return "\n\n".join(
        heading.format(html.code(model)) + table(model_rows, baselines, count_choosing_seed)
        for model, model_rows in by_model.items()
    )


def _in_words(judged: dict[str, list[Verdict]]) -> str:
    """Returns a sentence for each comparison, folded away."""
    lines = []
    for model, every in judged.items():
        lines += [f"{html.code(model)}:\n"] * (len(judged) > 1 and bool(every))
        lines += [*map(sentence, every), ""]
    return html.fold("Each comparison in words", "\n".join(lines).strip()) if any(lines) else ""


def table(rows: list[Row], baselines: int = 1, count_choosing_seed: bool = False) -> str:
    """Returns the comparison on one model as a Markdown table, the best mean first.

    Args:
        rows: The runs.
        baselines: With how many of the first activations the others are compared.
        count_choosing_seed: Whether the seed that chose a learning rate counts.
    """
    counted = runs.counted(rows, count_choosing_seed)
    accuracies, every = runs.accuracies(counted), runs.accuracies(rows)
    compared = runs.comparisons(counted, baselines)
    several = sum(map(len, compared.values())) > 1
    seeds = sorted({row["seed"] for row in rows})
    chose = {row["seed"] for row in rows if row.get("chose")}
    seeds_shown = [f"seed {seed}{' (chose)' if seed in chose else ''}" for seed in seeds]
    header = ["activation", "mean"]
    for baseline in compared:
        header += [f"minus {html.code(baseline)}", "95% interval", "p", *["p (Holm)"] * several]
    lines = [[*header, "median", "std", *seeds_shown]]
    finite = {
        activation: np.array([v for v in by_seed.values() if math.isfinite(v)])
        for activation, by_seed in accuracies.items()
    }
    means = {name: values.mean() if len(values) else -math.inf for name, values in finite.items()}
    for activation in sorted(accuracies, key=lambda name: -means[name]):
        by_seed, values = accuracies[activation], finite[activation]
        is_baseline = activation in list(accuracies)[:baselines] and len(accuracies) > 1
        cells = [
            html.code(activation) + " (baseline)" * is_baseline,
            f"{values.mean():.2f}" if len(values) else "diverged",
        ]
        for with_baseline in compared.values():
            difference = []
            if activation in with_baseline:
                difference = _difference(with_baseline[activation], several)
            cells += difference + [""] * (3 + several - len(difference))
        cells += [
            cell(statistics.median(by_seed.values())),
            f"{values.std(ddof=1):.2f}" if len(values) > 1 else "",
            *(cell(every[activation].get(seed)) for seed in seeds),
        ]
        lines.append(cells)
    return html.table(lines)


def _difference(outcome: statistics.Comparison | None, several: bool) -> list[str]:
    """Returns the cells of a comparison."""
    if outcome is None:
        return ["diverged"]
    cells = [f"{round(outcome.difference, 2) + 0.0:+.2f}"]  # no minus zero
    if min(outcome.seeds, outcome.baseline_seeds) > 1:
        cells += [f"{outcome.low:+.2f} to {outcome.high:+.2f}", f"{outcome.p:.3g}"]
        cells += [f"{outcome.holm_p:.3g}"] * several
    return cells


def _how_to_read(rows: list[Row], counted: list[Row], judged: dict[str, list[Verdict]]) -> str:
    """Returns the notes on a table of these runs, and of those that count in its means."""
    every = [one for of_model in judged.values() for one in of_model]
    lines = [
        "One seed means the same initial kernels, batches and augmentation for every activation, "
        "so differences are taken seed by seed. The interval is that of the mean difference "
        "(Student's t); p is that of the two-sided sign-flip permutation test over the seeds."
    ]
    has_groups = any(one.outcome and not one.outcome.is_paired for one in every)
    if has_groups:
        lines.append(
            "An activation whose seeds are not all those of the baseline, or with no seed that "
            "came to the end with both, is compared with it as two groups: Welch's interval, and "
            "the two-sided permutation test over the splits of all runs into groups of these sizes."
        )
    compared = max(map(len, judged.values()))
    if compared > 1:
        least = f", which none can be with fewer than {seeds_needed(compared)} seeds"
        lines.append(
            f"Of {compared} comparisons some look good by chance: p (Holm) is corrected for that, "
            f"and decides what is statistically significant{'' if has_groups else least}. The "
            "intervals are not corrected."
        )
    lines += _which_chose(rows, counted)
    if any(row["test_accuracy"] is None for row in rows):
        lines.append(
            "A run that diverged is the worst in the median, and is left out of mean, std and "
            "differences"
            + (
                "; where these are taken seed by seed, the other run of its seed is, too."
                if any(one.outcome and one.outcome.is_paired and one.diverged for one in every)
                else "."
            )
        )
    return " ".join(lines)


def _which_chose(rows: list[Row], counted: list[Row]) -> list[str]:
    """Returns a sentence on the seeds that chose and are left out, and one on those that count."""
    kept = runs.group(counted, "model")
    chose: dict[bool, list[Row]] = {True: [], False: []}
    for model, of_model in runs.group(rows, "model").items():
        left_out = len(kept[model]) < len(of_model)
        chose[left_out] += [row for row in of_model if row.get("chose")]
    sentences = []
    for left_out, those in chose.items():
        if not those:
            continue
        seeds = sorted({row["seed"] for row in those})
        several = len(seeds) > 1
        line = f"seed{'s' * several} {', '.join(map(str, seeds))}"
        networks = ", ".join(map(html.code, runs.group(those, "model")))
        line = f"On {networks} {line}" if all(chose.values()) else line.capitalize()
        line += " chose the learning rates"
        if left_out:
            line += (
                ", left out of mean, median, std, differences, intervals and p; not of what is "
                "compared with the paper, whose runs chose as well."
            )
        else:
            count, their = ("count", "their") if several else ("counts", "its")
            line += f", and {count} all the same: {their} accuracies are too high by the choice."
        sentences.append(line)
    return sentences


def _learning_rates(config: dict[str, Any], rows: list[Row]) -> str:
    """Returns a table of the validation accuracies by learning rate, if there are several."""
    if runs.rates_tried(rows) == 1:
        return ""
    rates = sorted({row["learning_rate"] for row in rows})
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
    """Returns the section in the paper's layout, functions down, networks across; where it has any.

    A network that the paper did not measure on this data has no column of it.
    """
    dataset = _as_in_the_paper(config)
    printed = {
        (model, activation): paper_accuracies.accuracy(model, activation, dataset)
        for model, activation in {(row["model"], row["activation"]) for row in rows}
        if dataset
    }
    measured = {model for (model, _), values in printed.items() if values}
    if not measured:
        return ""
    by_model = [model for model in runs.group(rows, "model") if model in measured]
    five = "image_files" in config and any(_TOP_5 in row for row in rows)
    columns = ("here", "paper", *["top-5, here"] * five)
    lines = [["activation", *(f"{html.code(m)}, {column}" for m in by_model for column in columns)]]
    for activation, activation_rows in runs.group(rows, "activation").items():
        cells = [html.code(activation)]
        for model in by_model:
            seeds = [row for row in activation_rows if row["model"] == model]
            values = printed.get((model, activation)) or ()
            cells.append(median(seeds, "test_accuracy"))
            cells.append(" ".join(f"{value:.1f}" for value in values) or "not measured")
            cells += [median(seeds, _TOP_5)] * five
        lines.append(cells)
    note = (
        "Here: the median over the seeds. Paper: what Ramachandran et al. 2017 print, by their "
        "recipe; nothing of it was measured here."
    )
    if dataset == "imagenet2012":
        note += (
            " Three numbers are those of three runs with the best of three learning rates, the "
            "middle one their median; one is that of the only run."
        )
    return f"## Compared with the paper\n\n{note}\n\n{html.table(lines)}"


def _as_in_the_paper(config: dict[str, Any]) -> str | None:
    """Returns the name of the dataset, if all of it was used at the networks' own image size.

    None also for networks that started from weights, which the paper's did not.
    """
    if config["image_size"] or config.get("weights"):
        return None
    if "image_files" in config:  # ImageNet in any form
        classes, training, test = (config["image_files"][k] for k in provenance.COUNTS)
        # Of 1,281,167 and 50,000 images a few may be missing.
        is_imagenet = (classes, round(training, -4), round(test, -3)) == (1000, 1_280_000, 50_000)
        return "imagenet2012" if is_imagenet else None
    is_whole = (config["train_split"], config["test_split"]) == ("train", "test")
    return config["dataset"] if is_whole else None


def _sign_count(rows: list[Row]) -> str:
    """Returns how often Swish is better, equal and worse, as the paper's Table 3 counts it."""
    accuracies = [runs.accuracies(model) for model in runs.group(rows, "model").values()]
    names = list(runs.group(rows, "activation"))
    ours = [name for name in _SWISH if name in names]
    baselines = [name for name in names if name not in _SWISH]
    if not ours or not baselines or len(accuracies) < 2:  # one network says nothing about others
        return ""
    header = [f"{name}, {unit}" for name in ours for unit in ("networks", "p", "runs")]
    in_paper = [name for name in baselines if name in paper_accuracies.SIGNS]
    header += ["paper: Swish, 9 networks", "paper: p"] if in_paper else []
    lines = [["compared with", *header]]
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
            cells += _signs(statistics.signs(*medians))
            cells.append(_signs(statistics.signs(swish_runs, baseline_runs))[0])
        cells += _signs(paper_accuracies.SIGNS.get(baseline)) if in_paper else []
        lines.append(cells)
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
    columns = ["milliseconds a step", "times the first", "images a second"]
    lines = [[*["network"] * several, "activation", *columns]]
    for model, model_rows in by_model.items():
        by_activation = runs.group(model_rows, "activation")
        seconds = [
            min(_step_seconds(out, row) for row in seeds) for seeds in by_activation.values()
        ]
        first = seconds[0]
        for (activation, seeds), time in zip(by_activation.items(), seconds, strict=True):
            has_ended = any(row["status"] == "ok" for row in seeds)
            speed = max(row.get("images_per_second") or 0 for row in seeds)
            lines.append(
                [
                    *[html.code(model)] * several,
                    html.code(activation),
                    f"{1000 * time:.1f}" if math.isfinite(time) else "diverged" * (not has_ended),
                    f"{time / first:.2f}" if math.isfinite(time) and math.isfinite(first) else "",
                    f"{speed:,.0f}" if speed else "",
                ]
            )
    return (
        "Time of the fastest epoch of all seeds, validation included, by its steps: the one that "
        "other programs on the machine disturbed least. Images a second are those of the fastest "
        "run, its training steps alone.\n\n" + html.table(lines)
    )


def _step_seconds(out: pathlib.Path, row: Row) -> float:
    log = runs.read_log(out, row, quiet=True)
    if row["status"] != "ok" or not log:
        return math.inf
    # Logs of earlier versions do not say how many steps an epoch had.
    usual = {"steps": row["steps"] / row["epochs"]}
    return min(epoch["seconds"] / (usual | epoch)["steps"] for epoch in log)


def _signs(counts: tuple[int, int, int] | None) -> list[str]:
    """Returns the cells of counts: better / equal / worse, and p of the sign test."""
    if counts is None:
        return ["not compared", ""]
    better, _, worse = counts
    return [" / ".join(map(str, counts)), f"{statistics.sign_test(better, worse):.3g}"]
