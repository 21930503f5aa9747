"""The report of a comparison: a page in Markdown and in HTML, a CSV file, and figures."""

import math
import pathlib

import numpy as np

from keras_swish import io
from keras_swish.models import paper
from keras_swish.optimizers import converged_bn_momentum

from ..trainer import trainer
from . import figures, html, statistics

_SWISH = ("swish_beta", "swish")
_TOP_5 = "test_top_5_accuracy"
_COUNTS = ("classes", "training", "test")


def write(out: pathlib.Path, rows: list[dict]) -> None:
    """Writes the report of a comparison into its folder.

    Args:
        out: The folder.
        rows: Its finished runs, as `statistics.read_runs` gives them.
    """
    chosen = [row for row in rows if row["chosen"]]
    io.write_csv(out / statistics.TABLE, rows)
    figures.curves(out, chosen, out / "curves.png")
    figures.accuracies(chosen, out / "accuracy.png")
    markdown = text(out, rows)
    io.write_text(out / "table.md", markdown)
    io.write_text(out / "report.html", html.render(markdown, out))


def text(out: pathlib.Path, rows: list[dict]) -> str:
    """Returns the page in Markdown."""
    record = io.read_json(out / statistics.CONFIG)
    chosen = [row for row in rows if row["chosen"]]
    models = list(_by(chosen, "model"))
    baselines = record["config"].get("baselines", 1)
    tables = summary(chosen, baselines)
    inputs = "![training images, augmented](inputs.png)"
    config = record["config"]
    once = "the test split was read once per run."
    if "pictures" in config:
        once = "the test split is also the one that validates the runs after each epoch."
    blocks = [
        f"# {', '.join(map(html.code, models))} on {html.code(config['dataset'])}",
        f"Test accuracy in percent, at the end of training; {once}",
        tables,
        "![test accuracy of every run](accuracy.png)\n\n![learning curves](curves.png)",
        _how_to_read(chosen, baselines),
        _learning_rates(config, rows),
        "## Beside the paper\n\n" + _beside_the_paper(config, chosen),
        _sign_count(chosen),
        "## Cost\n\n" + _cost(out, chosen),
        "## Where it comes from\n\n" + _provenance(record, rows),
        inputs if (out / "inputs.png").exists() else "",
    ]
    return html.join(blocks)


def summary(rows: list[dict], baselines: int = 1) -> str:
    """Returns a table for each model, and in a sentence each what it says."""
    by_model = _by(rows, "model")
    heading = "## {}\n\n" if len(by_model) > 1 else ""
    return "\n\n".join(
        heading.format(html.code(name)) + table(own, baselines) for name, own in by_model.items()
    )


def table(rows: list[dict], baselines: int = 1) -> str:
    """Returns the comparison on one model as a Markdown table, with a sentence a comparison.

    Args:
        rows: The runs.
        baselines: With how many of the first activations the others are compared.
    """
    found = statistics.accuracies(rows)
    compared = statistics.comparisons(rows, baselines)
    several = sum(map(len, compared.values())) > 1
    seeds = sorted({row["seed"] for row in rows})
    header = ["activation", "mean", "median", "std", *(f"seed {seed}" for seed in seeds)]
    for baseline in compared or [next(iter(found))]:
        header += [f"minus {html.code(baseline)}", "95% interval", "p", *["p (Holm)"] * several]
    lines = [header]
    for activation, by_seed in found.items():
        values = np.array([v for v in by_seed.values() if math.isfinite(v)])
        cells = [
            html.code(activation),
            f"{values.mean():.2f}" if len(values) else "diverged",
            _percent(statistics.median(by_seed.values())),
            f"{values.std(ddof=1):.2f}" if len(values) > 1 else "",
            *(_percent(by_seed.get(seed)) for seed in seeds),
        ]
        for with_one in compared.values():
            own = _difference(with_one.get(activation), several)
            cells += own + [""] * (3 + several - len(own))
        lines.append(cells + [""] * (len(header) - len(cells)))
    diverged = {n: sum(math.isnan(v) for v in by_seed.values()) for n, by_seed in found.items()}
    verdicts = [
        _verdict(name, baseline, outcome, diverged[name] + diverged[baseline])
        for baseline, with_one in compared.items()
        for name, outcome in with_one.items()
    ]
    return "\n".join([html.table(lines), "", *verdicts]).rstrip()


def _difference(outcome: statistics.Paired | None, several: bool) -> list[str]:
    """Returns the cells of a comparison."""
    if outcome is None:
        return []
    cells = [f"{round(outcome.difference, 2) + 0.0:+.2f}"]  # no minus zero
    if outcome.seeds > 1:
        cells += [f"{outcome.low:+.2f} to {outcome.high:+.2f}", f"{outcome.p:.3g}"]
        cells += [f"{outcome.holm_p:.3g}"] * several
    return cells


def _verdict(name: str, baseline: str, outcome: statistics.Paired | None, diverged: int) -> str:
    name, baseline = html.code(name), html.code(baseline)
    if outcome is None:
        return f"* {name} and {baseline} have no seed in common that both finished."
    amount = f"{abs(outcome.difference):.2f} points"
    side = "better" if outcome.difference > 0 else "worse"
    if outcome.seeds == 1:
        return f"* {name} is {amount} {side} than {baseline}; one seed says nothing about others."
    excludes_zero = outcome.low * outcome.high > 0
    if diverged:
        verdict = f"not settled, as runs diverged ({diverged}) and are left out"
    elif excludes_zero and outcome.holm_p <= 0.05:
        verdict = "settled at the 5% level"
    elif excludes_zero and outcome.smallest_holm_p > 0.05:
        verdict = "the interval excludes 0, but so few seeds cannot settle it"
    else:
        verdict = "not settled"
    # Below what the table shows, there is no side.
    is_what = f"{amount} {side} than" if amount != "0.00 points" else "as good as"
    return (
        f"* {name} is {is_what} {baseline} on average over {outcome.seeds} seeds: "
        f"{verdict} (p = {outcome.p:.3g}; {outcome.seeds} seeds cannot give less than "
        f"{outcome.smallest_p:.3g})."
    )


def _how_to_read(rows: list[dict], baselines: int) -> str:
    by_model = _by(rows, "model").values()
    counts = [len(runs) for own in by_model for runs in _by(own, "activation").values()]
    methods = ["Student's t"] if min(counts) < statistics.BOOTSTRAP else []
    if max(counts) >= statistics.BOOTSTRAP:
        methods.append(f"from {statistics.BOOTSTRAP} seeds on the BCa bootstrap")
    lines = [
        "One seed means the same initial kernels, batches and augmentation for every activation, "
        "so differences are taken seed by seed. The interval is that of the mean difference "
        f"({', '.join(methods)}); p is that of the two-sided sign-flip permutation test over the "
        "seeds."
    ]
    functions = max(len(_by(own, "activation")) for own in by_model)
    compared = sum(range(functions - min(baselines, functions - 1), functions))
    if compared > 1:
        needed = math.ceil(math.log2(2 * compared / 0.05))
        lines.append(
            f"Of {compared} comparisons some look good by chance: p (Holm) is corrected for that, "
            f"and decides what is settled; {needed} seeds are the fewest that can settle one. The "
            "intervals are not corrected."
        )
    if any(row["test_accuracy"] is None for row in rows):
        lines.append(
            "A run that diverged is the worst in the median, and is left out of mean, std and "
            "differences."
        )
    return " ".join(lines)


def _learning_rates(config: dict, rows: list[dict]) -> str:
    """Returns a table of the validation accuracies by learning rate, if there are several."""
    rates = sorted({row["learning_rate"] for row in rows})
    if len(rates) == 1:
        return ""
    lines = [["network", "activation", *(f"{rate:g}" for rate in rates)]]
    for model, own in _by(rows, "model").items():
        for activation, runs in _by(own, "activation").items():
            by_rate = _by(runs, "learning_rate")
            cells = [_validation(by_rate.get(rate, [])) for rate in rates]
            lines.append([html.code(model), html.code(activation), *cells])
    seen = " Validation and test are one split here: the choice has seen the test."
    seen = seen if "pictures" in config else ""
    return (
        "## Learning rates\n\nMean validation accuracy in percent. The learning rate that counts, "
        "in bold, is the best one by the validation accuracy of the seed that all were run with; "
        f"it alone is repeated with the other seeds, as in the paper.{seen}\n\n{html.table(lines)}"
    )


def _validation(rows: list[dict]) -> str:
    if not rows:
        return ""
    values = [row["validation_accuracy"] for row in rows if row["validation_accuracy"] is not None]
    mean = f"{100 * np.mean(values):.2f}" if len(values) == len(rows) else "diverged"
    return f"**{mean}**" if rows[0]["chosen"] else mean


def _beside_the_paper(config: dict, rows: list[dict]) -> str:
    """Returns the table in the paper's layout: functions down, networks across."""
    by_model = _by(rows, "model")
    dataset = _as_in_the_paper(config)
    five = "pictures" in config and any(_TOP_5 in row for row in rows)
    columns = ("here", "paper", *["top-5, here"] * five)
    lines = [["activation", *(f"{html.code(m)}, {column}" for m in by_model for column in columns)]]
    measured = False
    for activation, of_one in _by(rows, "activation").items():
        cells = [html.code(activation)]
        for model in by_model:
            own = [row for row in of_one if row["model"] == model]
            there = paper.accuracy(model, activation, dataset) if dataset else None
            measured = measured or there is not None
            cells.append(_median(own, "test_accuracy"))
            cells.append(" ".join(f"{value:.1f}" for value in there or ()))
            cells += [_median(own, _TOP_5)] * five
        lines.append(cells)
    note = (
        "Here: the median over the seeds. Paper: what Ramachandran et al. 2017 print, by their "
        "recipe; nothing of it was measured here."
    )
    if not measured:
        note += " They did not measure these networks on this data, so those cells are empty."
    elif dataset == "imagenet2012":
        note += (
            " Three figures are those of three runs with the best of three learning rates, the "
            "middle one their median; one is that of the only run."
        )
    return f"{note}\n\n{html.table(lines)}"


def _as_in_the_paper(config: dict) -> str | None:
    """Returns the name of the dataset, if all of it was used at the networks' own image size."""
    if config["image_size"]:
        return None
    if "pictures" in config:  # ImageNet in any form
        classes, training, test = (config["pictures"][k] for k in _COUNTS)
        # Of 1,281,167 and 50,000 pictures a few may be missing.
        whole = (classes, round(training, -4), round(test, -3)) == (1000, 1_280_000, 50_000)
        return "imagenet2012" if whole else None
    return config["dataset"] if config["train_split"] == "train" else None


def _median(rows: list[dict], column: str) -> str:
    values = [v for seeds in statistics.accuracies(rows, column).values() for v in seeds.values()]
    return _percent(statistics.median(values), 1) if values else ""


def _sign_count(rows: list[dict]) -> str:
    """Returns how often Swish is better, equal and worse, as the paper's Table 3 counts it."""
    found = {model: statistics.accuracies(own) for model, own in _by(rows, "model").items()}
    names = list(_by(rows, "activation"))
    ours = [name for name in _SWISH if name in names]
    baselines = [name for name in names if name not in _SWISH]
    if not ours or not baselines:
        return ""
    header = [f"{name}, {unit}" for name in ours for unit in ("networks", "runs")]
    lines = [["compared with", *header, "paper: Swish, 9 networks"]]
    for baseline in baselines:
        cells = [html.code(baseline)]
        for name in ours:
            both = [one for one in found.values() if name in one and baseline in one]
            medians = [
                [round(statistics.median(one[which].values()), 1) for one in both]
                for which in (name, baseline)
            ]
            pairs = [
                (one[name][seed], one[baseline][seed])
                for one in both
                for seed in one[name].keys() & one[baseline].keys()
            ]
            runs = list(zip(*pairs, strict=True)) if pairs else ([], [])
            cells += [_signs(statistics.signs(*medians)), _signs(statistics.signs(*runs))]
        lines.append([*cells, _signs(paper.SIGNS.get(baseline, ()))])
    return (
        "## How often Swish is better\n\nBetter / equal / worse: over the networks by the median, "
        "at the paper's precision of 0.1 points, and over the runs of the same network and seed."
        f"\n\n{html.table(lines)}"
    )


def _cost(out: pathlib.Path, rows: list[dict]) -> str:
    """Returns the time of a step of each activation beside that of the first."""
    by_model = _by(rows, "model")
    several = len(by_model) > 1
    lines = [[*["network"] * several, "activation", "milliseconds a step", "times the first"]]
    for model, own in by_model.items():
        first = None
        for activation, runs in _by(own, "activation").items():
            times = [_step_seconds(out / "runs" / row["folder"], row) for row in runs]
            times = [seconds for seconds in times if seconds]
            seconds = min(times, default=math.nan)
            first = seconds if first is None else first
            cells = [f"{1000 * seconds:.1f}", f"{seconds / first:.2f}"] if times else ["", ""]
            lines.append([*[html.code(model)] * several, html.code(activation), *cells])
    return (
        "Time of the fastest epoch of all seeds, validation included, by its steps: the one that "
        "other programs on the machine disturbed least.\n\n" + html.table(lines)
    )


def _step_seconds(directory: pathlib.Path, row: dict) -> float | None:
    log = trainer.read_log(directory)
    if row["status"] != "ok" or not log:
        return None
    # Logs of earlier versions do not say how many steps an epoch had.
    usual = row["steps"] / row["epochs"]
    return min(epoch["seconds"] / epoch.get("steps", usual) for epoch in log)


def _provenance(record: dict, rows: list[dict]) -> str:
    minutes = sum(row["seconds"] for row in rows) / 60
    command, machine = html.origin(record)
    facts = [
        command,
        _data(record["config"]),
        *_recipes(record["config"], rows),
        f"Budget: {minutes:.1f} minutes of training for all {len(rows)} runs.",
        machine,
    ]
    return "\n".join(f"* {fact}" for fact in facts)


def _data(config: dict) -> str:
    dataset, *splits = (html.code(config[k]) for k in ("dataset", "train_split", "test_split"))
    mirrored = "half of them" if config["flip"] else "not"
    if "pictures" in config:
        classes, training, test = (f"{config['pictures'][k]:,}" for k in _COUNTS)
        return (
            f"Data: {dataset}, {classes} classes; {training} pictures of the split {splits[0]} for "
            f"training, cropped at random, distorted, {mirrored} mirrored; {test} of the split "
            f"{splits[1]} for validation and test, the single central crop."
        )
    size = f", scaled to {config['image_size']} pixels" if config["image_size"] else ""
    return (
        f"Data: {dataset}{size}, training split {splits[0]} of which a tenth is held out for "
        f"validation, test split {splits[1]}; random crops after padding with {config['pad']} "
        f"pixels on each side, {mirrored} mirrored."
    )


def _recipes(config: dict, rows: list[dict]) -> list[str]:
    """Returns a sentence for each recipe, with its networks where there are several recipes."""
    found: dict[str, list[str]] = {}
    for model, runs in _by(rows, "model").items():
        own = config.get("networks", {}).get(model, config)
        recipe = dict(own["recipe"])
        rates = sorted({row["learning_rate"] for row in runs})
        recipe["learning_rate"] = " and ".join(f"{rate:g}" for rate in rates)
        steps = max(row["steps"] for row in runs)
        if recipe["bn_momentum"] is None and steps:  # none where every run diverged at once
            chosen = converged_bn_momentum(steps)
            recipe["bn_momentum"] = f"{chosen:.4g} (from the number of steps)"
        if "pictures" in config:
            recipe["image_size"] = own["image_size"]
        settings = ", ".join(f"{k} {v}" for k, v in recipe.items() if k != "source")
        found.setdefault(f"{settings} ({recipe['source']}).", []).append(html.code(model))
    several = len(found) > 1
    return [
        f"Recipe{' of ' + ', '.join(names) if several else ''}: {text}"
        for text, names in found.items()
    ]


def _by(rows: list[dict], column: str) -> dict[str, list[dict]]:
    """Returns the rows by the value that they have in a column, in their order."""
    found: dict[str, list[dict]] = {}
    for row in rows:
        found.setdefault(row[column], []).append(row)
    return found


def _percent(value: float | None, digits: int = 2) -> str:
    if value is None:
        return ""
    return f"{value:.{digits}f}" if math.isfinite(value) else "diverged"


def _signs(counts: tuple) -> str:
    return " / ".join(map(str, counts))
