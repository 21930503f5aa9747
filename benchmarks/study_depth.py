"""Swish against ReLU by depth and learning rate: the part "Depth and rate" of docs/study.md.

    python benchmarks/study_depth.py results/study/depth --out results/study/depth

Reads the results.csv of each rate's comparison, and trains nothing. Writes, also while runs are
missing (their number is in the table):

* rates.csv: for each network, activation and rate the accuracies and the share of failed runs;
* depth.csv: for each network the difference of the two activations, each at its best rate;
* at_each_rate.csv: their difference at each rate, with p not corrected, as the plan tests none;
* rates.svg and depth.svg, the same as figures;
* table.md: all of it on a page.
"""

import collections
import math
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import recording
from matplotlib.figure import Figure

from keras_swish import drawing, io
from keras_swish.train.reporting import html, statistics

NETWORKS = ("resnet20", "resnet32", "resnet56", "resnet56v2")
RATES = (0.02, 0.05, 0.1, 0.2)
SEEDS = range(200, 206)
OURS, BASELINE = "swish", "relu"
# Of the plan: a run below this accuracy has failed, as one that diverged has; it counts as chance,
# a tenth.
FAILED, CHANCE = 0.70, 0.1
# By how much less than at its best rate the accuracy may be where an activation stands a rate.
STANDS = 0.01
COLORS = {OURS: drawing.PALETTE[0], BASELINE: drawing.PALETTE[1]}

# (validation accuracy, test accuracy) by network, activation and rate, then by seed.
Runs = dict[tuple[str, str, float], dict[int, tuple[float, float]]]


def read(
    folder: pathlib.Path, seeds: Sequence[int] = SEEDS, rates: Sequence[float] = RATES
) -> Runs:
    """Returns the finished runs of the plan."""
    runs: Runs = collections.defaultdict(dict)
    for path in sorted(folder.glob("*/results.csv")):
        for row in io.read_csv(path):
            key = row["model"], row["activation"], float(row["learning_rate"])
            if key[0] in NETWORKS and key[2] in rates and int(row["seed"]) in seeds:
                diverged = row["status"] != "ok"
                accuracies = row["validation_accuracy"], row["test_accuracy"]
                runs[key][int(row["seed"])] = (
                    (CHANCE, CHANCE) if diverged else (float(accuracies[0]), float(accuracies[1]))
                )
    return runs


def rates(runs: Runs) -> list[dict[str, Any]]:
    """Returns a row for each network, activation and rate of which a run is finished."""
    rows = []
    for network in NETWORKS:
        for activation in (BASELINE, OURS):
            best = best_rate(runs, network, activation)
            for rate in RATES:
                found = runs.get((network, activation, rate), {})
                if not found:
                    continue
                test = np.array([accuracies[1] for _, accuracies in sorted(found.items())])
                at_best = [own[1] for own in runs[network, activation, best].values()]
                failed = float(np.mean(test < FAILED))
                low, high = statistics.interval(test)
                rows.append(
                    {
                        "network": network,
                        "activation": activation,
                        "rate": rate,
                        "runs": len(test),
                        "validation accuracy": round(
                            float(np.mean([a for a, _ in found.values()])), 4
                        ),
                        "test accuracy": round(float(test.mean()), 4),
                        "low": round(low, 4),
                        "high": round(high, 4),
                        "failed": round(failed, 3),
                        "best": rate == best,
                        "stands": failed == 0 and test.mean() >= np.mean(at_best) - STANDS,
                    }
                )
    return rows


def best_rate(runs: Runs, network: str, activation: str) -> float:
    """Returns the rate with the best mean validation accuracy; nan where nothing is trained."""
    means = {
        rate: np.mean([accuracies[0] for accuracies in found.values()])
        for (name, own, rate), found in runs.items()
        if (name, own) == (network, activation) and found
    }
    return max(means, key=lambda rate: (means[rate], -rate), default=math.nan)


def depth(runs: Runs) -> list[dict[str, Any]]:
    """Returns a row for each network of which both activations are trained."""
    compared = []
    for network in NETWORKS:
        chosen = [best_rate(runs, network, activation) for activation in (OURS, BASELINE)]
        if any(map(math.isnan, chosen)):
            continue
        ours, theirs = (
            [accuracies[1] for accuracies in runs[network, activation, rate].values()]
            for activation, rate in zip((OURS, BASELINE), chosen, strict=True)
        )
        missing = 2 * len(RATES) * len(SEEDS) - sum(
            len(found) for (name, _, _), found in runs.items() if name == network
        )
        compared.append((network, *chosen, statistics.unpaired(ours, theirs), missing))
    # For all networks of the plan from the start: one that is missing counts as a p of 1.
    given = [entry[3].p for entry in compared] + [1.0] * (len(NETWORKS) - len(compared))
    corrected = statistics.holm(given)[: len(compared)]
    return [
        {
            "network": network,
            "rate of swish": rate,
            "rate of relu": baseline_rate,
            "runs": f"{outcome.seeds} and {outcome.baseline_seeds}",
            **rounded(outcome),
            "p (Holm)": float(f"{holm_p:.3g}"),
            "runs missing": missing,
        }
        for (network, rate, baseline_rate, outcome, missing), holm_p in zip(
            compared, corrected, strict=True
        )
    ]


def rounded(outcome: statistics.Comparison) -> dict[str, float]:
    """Returns the columns that a table has of a comparison."""
    return {
        "difference": round(outcome.difference, 4),
        "low": round(outcome.low, 4),
        "high": round(outcome.high, 4),
        "p": float(f"{outcome.p:.3g}"),
    }


def at_each_rate(runs: Runs) -> list[dict[str, Any]]:
    """Returns a row for each network and rate with which both activations are trained."""
    rows = []
    for network in NETWORKS:
        for rate in RATES:
            ours, theirs = (
                [test for _, test in runs.get((network, activation, rate), {}).values()]
                for activation in (OURS, BASELINE)
            )
            if ours and theirs:
                outcome = statistics.unpaired(ours, theirs)
                rows.append(
                    {
                        "network": network,
                        "rate": rate,
                        "runs": f"{outcome.seeds} and {outcome.baseline_seeds}",
                        **rounded(outcome),
                    }
                )
    return rows


def page(runs: Runs) -> str:
    """Returns the differences and the accuracies in Markdown."""
    differences = [["network", "Swish at", "ReLU at", "points", "95% interval", "p", "p (Holm)"]]
    differences[0].append("runs missing")
    for row in depth(runs):
        low, high = (f"{100 * row[end]:+.2f}" for end in ("low", "high"))
        interval = "" if math.isnan(row["low"]) else f"{low} to {high}"  # of a single run
        cells = [row["network"], row["rate of swish"], row["rate of relu"]]
        cells += [f"{100 * row['difference']:+.2f}", interval, row["p"], row["p (Holm)"]]
        differences.append([*map(str, cells), str(row["runs missing"])])
    accuracies = [["network", "activation", *map(str, RATES)]]
    found = {(row["network"], row["activation"], row["rate"]): row for row in rates(runs)}
    for network, activation in dict.fromkeys(key[:2] for key in found):
        cells = []
        for rate in RATES:
            row = found.get((network, activation, rate))
            cells.append(f"{100 * row['test accuracy']:.2f}" if row else "")
        accuracies.append([network, activation, *cells])
    return html.join(
        [
            "# Swish against ReLU by depth and learning rate",
            "Swish minus ReLU, in points of test accuracy, each at the learning rate that "
            "validates best: Welch's interval, and the exact unpaired permutation test, corrected "
            "after Holm over the four networks. The plan is docs/study.md.",
            html.table(differences),
            html.figure("depth.svg", "difference by depth", "Each at its best learning rate."),
            "Test accuracy in percent by learning rate, the mean of six seeds if none is missing.",
            html.table(accuracies),
            html.figure("rates.svg", "accuracy by learning rate", "Each run is a dot."),
        ]
    )


def draw(runs: Runs, out: pathlib.Path) -> None:
    """Draws accuracy and failures over the rate, and the difference by depth."""
    rows = rates(runs)
    networks = [name for name in NETWORKS if any(row["network"] == name for row in rows)]
    figure = Figure((3 * len(networks) + 1, 5), layout="constrained")
    panels = figure.subplots(2, len(networks), squeeze=False, sharex=True, sharey="row")
    for column, network in enumerate(networks):
        for activation, color in COLORS.items():
            own = [
                row for row in rows if (row["network"], row["activation"]) == (network, activation)
            ]
            x = [row["rate"] for row in own]
            for rate in x:
                tests = [100 * test for _, test in runs[network, activation, rate].values()]
                dots = {"color": color, "alpha": 0.4, "ms": 4}
                panels[0, column].plot([rate] * len(tests), tests, ".", **dots)
            panels[0, column].plot(
                x, [100 * row["test accuracy"] for row in own], "o-", color=color, label=activation
            )
            panels[1, column].plot(x, [100 * row["failed"] for row in own], "o-", color=color)
        panels[0, column].set(title=network, xscale="log")
        panels[1, column].set(xlabel="learning rate", xticks=RATES)
        panels[1, column].xaxis.set_major_formatter("{x:g}")
        panels[1, column].xaxis.set_minor_formatter("")
    panels[0, 0].set_ylabel("test accuracy, %")
    panels[1, 0].set(ylabel="failed runs, %", ylim=(-4, 104))
    panels[0, 0].legend()
    drawing.save(figure, out / "rates.svg")

    compared = depth(runs)
    figure = Figure((drawing.WIDTH, 1 + 0.6 * max(1, len(compared))), layout="constrained")
    panel = figure.add_subplot()
    for place, row in enumerate(compared):
        low, high = (100 * row[end] for end in ("low", "high"))
        if not math.isnan(low):
            panel.plot([low, high], [place, place], color=COLORS[OURS])
        panel.plot(100 * row["difference"], place, "o", color=COLORS[OURS])
    panel.axvline(0, color=drawing.BASELINE, lw=0.8)
    panel.set(
        yticks=range(len(compared)),
        yticklabels=[row["network"] for row in compared],
        xlabel="Swish minus ReLU, each at its best rate:\npoints of test accuracy, 95% interval",
    )
    panel.invert_yaxis()
    drawing.save(figure, out / "depth.svg")


def main() -> None:
    """Prints and writes the tables, and draws the figures."""
    parser = recording.parser(__doc__)
    parser.add_argument("folder", type=pathlib.Path, help="where each rate has its comparison")
    arguments = parser.parse_args()
    runs = read(arguments.folder)
    if not runs:
        parser.error(f"{arguments.folder}: no */results.csv with runs of the plan")
    tables = {"rates": rates(runs), "depth": depth(runs), "at_each_rate": at_each_rate(runs)}
    for name, rows in tables.items():
        for row in rows:
            recording.show(row)
        if arguments.out:
            io.write_csv(arguments.out / f"{name}.csv", rows)
    if arguments.out:
        with drawing.style():
            draw(runs, arguments.out)
        io.write_text(arguments.out / "table.md", page(runs))


if __name__ == "__main__":
    main()
