"""The runs of a comparison: their folders, their results as rows, and how they compare.

A row is what `trainer.train` returns of a run, with its folder.
"""

import contextlib
import dataclasses
import functools
import hashlib
import math
import pathlib
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from keras_swish import io

from ..trainer import epoch_log, trainer
from ..trainer.environment import CONFIG, read_record
from . import statistics
from .statistics import Comparison

Row = dict[str, Any]
TABLE = "results.csv"
# Letters of a formula in the name of a folder: file systems take 255 in all.
LONGEST = 80
# What a report needs of every epoch of a log.
_LOGGED = {"loss", "val_accuracy", "seconds"}


def slug(activation: str, seed: int) -> str:
    """Returns the name of a run's folder within a comparison, another one for each activation.

    Example:
        >>> from keras_swish.train.reporting import runs
        >>> runs.slug("swish", 0), runs.slug("x * sin(x)", 3)
        ('swish-seed0', 'x_sin_x-ffb84972-seed3')
    """
    return f"{_readable(activation)}-seed{seed}"


def _readable(name: str, most: int | None = LONGEST) -> str:
    readable = re.sub(r"\W+", "_", name).strip("_")[:most]
    if readable != name:
        # Different formulas may read alike: x + 1 and x - 1.
        readable += "-" + hashlib.sha256(name.encode()).hexdigest()[:8]
    return readable


def record_of(out: pathlib.Path) -> dict[str, Any]:
    """Returns the content of a comparison's config.json, with its settings and starts.

    Raises:
        DamagedFileError: If it is damaged.
    """
    record = read_record(out)
    if record is None or not isinstance(record["config"].get("recipe"), dict):
        raise io.DamagedFileError(out / CONFIG, "it has no settings of a comparison")
    return record


def settings(out: pathlib.Path) -> dict[str, Any]:
    """Returns the settings of a comparison.

    Raises:
        DamagedFileError: If they are damaged.
    """
    return record_of(out)["config"]


def comparing(config: dict[str, Any]) -> tuple[int, bool]:
    """Returns how the settings of a comparison have activations compared.

    Returns:
        With how many of the first, and whether the seed that chose a learning rate counts.

    Example:
        >>> from keras_swish.train.reporting import runs
        >>> runs.comparing({"baselines": None})  # as flags are recorded that were left out
        (1, False)
    """
    return config.get("baselines") or 1, bool(config.get("count_choosing_seed"))


def directory(out: pathlib.Path, run: trainer.Run) -> pathlib.Path:
    """Returns the folder of one run of a comparison.

    Its name has the settings that the comparison's config.json does not: before networks and
    learning rates could be compared, it had both.
    """
    row = {"model": run.model, "activation": run.activation, "seed": run.seed}
    row["learning_rate"] = run.recipe.learning_rate
    return out / "runs" / _folder_name(settings(out), row)


def _folder_name(common: dict[str, Any], row: Row) -> str:
    name, rate = slug(row["activation"], row["seed"]), row["learning_rate"]
    # Folders of before, of rates that are told apart by six digits.
    if common["recipe"].get("learning_rate") != rate:
        name = f"lr{rate:g}-{name}" if float(f"{rate:g}") == rate else f"lr{rate!r}-{name}"
    if common.get("model") != row["model"]:
        name = f"{_readable(row['model'])}-{name}"
    return name


@contextlib.contextmanager
def _without_damaged() -> Iterator[None]:
    """Leaves a run out whose files are damaged, and says so on stderr."""
    try:
        yield
    except io.DamagedFileError as error:
        remedy = "the run is left out until the command that made it is given again"
        print(f"{error}; {remedy}", file=sys.stderr, flush=True)


def _is_in_its_folder(folder: pathlib.Path, common: dict[str, Any], row: Row) -> bool:
    """Says whether a run lies where its comparison trains it; of others a line on stderr says so.

    A copy, or a run that another program has put there, would count twice or in place of it.
    """
    if common.get("program") != "compare":  # others have names of their own
        return True
    name = _folder_name(common, row)
    if name != folder.name:
        _print_once(
            f"{folder} is left out: its run, {row['model']} with {row['activation']}, learning "
            f"rate {row['learning_rate']:g}, seed {row['seed']}, would be in {name}"
        )
    return name == folder.name


@functools.cache  # a comparison reads its runs again and again
def _print_once(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def read_log(out: pathlib.Path, row: Row, quiet: bool = False) -> list[dict[str, float]]:
    """Returns the log of a run, empty where it is damaged, which a line on stderr says."""
    try:
        log = epoch_log.read_log(out / "runs" / row["folder"])
        if not all(epoch.keys() >= _LOGGED for epoch in log):
            path = out / "runs" / row["folder"] / epoch_log.LOG
            raise io.DamagedFileError(path, f"an epoch has not all of {sorted(_LOGGED)}")
        return log
    except io.DamagedFileError as error:
        if not quiet:
            print(f"{error}; the figures are without it", file=sys.stderr, flush=True)
        return []


def read_runs(out: pathlib.Path, first: dict[str, list[str]] | None = None) -> list[Row]:
    """Reads the finished runs of a comparison, those in the folders that it trains them in.

    Args:
        out: Its folder.
        first: Models and activations to put first, as `{"model": [...], "activation": [...]}`;
            those follow that the commands of the folder named, the last command first, then those
            of `results.csv`, in their order, and then all others by name.

    Returns:
        A row for each run. Its `chosen` says whether its learning rate counts: it is the only
        one, or has the best validation accuracy (see `choose_learning_rates`). Those that it was
        chosen by have `chose`.
    """
    record = record_of(out)
    common = record["config"]
    defaults = {
        "model": common.get("model"),
        "learning_rate": common["recipe"].get("learning_rate"),
    }
    rows: list[Row] = []
    for path in sorted(out.glob(f"runs/*/{trainer.RESULT}")):
        with _without_damaged():
            result = trainer.read_result(path.parent) or {}
            row = {**defaults, **result, "folder": path.parent.name}
            if _is_in_its_folder(path.parent, common, row):
                rows.append(row)
    try:
        before = io.read_csv(out / TABLE)
    except io.DamagedFileError:  # it is written again, in another order
        before = []
    rank = {}
    for column in ("model", "activation"):
        names = [
            name for order in (first, record.get("order")) for name in (order or {}).get(column, ())
        ]
        # Folders of earlier versions have no order.
        names += [row[column] for row in before if column in row]
        names += sorted(row[column] for row in rows)
        rank[column] = {name: number for number, name in enumerate(dict.fromkeys(names))}
    rows.sort(
        key=lambda row: (
            *(rank[column][row[column]] for column in ("model", "activation")),
            row["learning_rate"],
            row["seed"],
        )
    )
    best = choose_learning_rates(rows)
    for row in rows:
        row["chosen"] = row["learning_rate"] == best[row["model"], row["activation"]]
    chose = _choosing_seeds(rows)
    for row in rows:
        if row["seed"] in chose[row["model"], row["activation"]]:
            row["chose"] = True
    return rows


def _choosing_seeds(rows: Iterable[Row]) -> dict[tuple[str, str], set[int]]:
    """Returns the seed that chose, by network and activation; none where there is one rate."""
    return {
        pair: _choosing_seed(by_rate) if len(by_rate) > 1 else set()
        for pair, by_rate in _by_rate(rows).items()
    }


def _choosing_seed(by_rate: dict[float, list[Row]]) -> set[int]:
    """Returns the first seed that every learning rate was run with, none where there is none.

    It alone: a rate that was added later and is better gets the other seeds, too. With these the
    choice could move, and would depend on when a comparison was interrupted.
    """
    common = set.intersection(*({row["seed"] for row in tried} for tried in by_rate.values()))
    return {min(common)} if common else set()


def _by_rate(rows: Iterable[Row]) -> dict[tuple[str, str], dict[float, list[Row]]]:
    """Returns the rows by network and activation, and then by learning rate."""
    groups: dict[tuple[str, str], dict[float, list[Row]]] = {}
    for row in rows:
        by_rate = groups.setdefault((row["model"], row["activation"]), {})
        by_rate.setdefault(row["learning_rate"], []).append(row)
    return groups


def counted(rows: Iterable[Row], count_choosing_seed: bool = False) -> list[Row]:
    """Returns the runs that count in means and comparisons: those of seeds that chose nothing.

    A learning rate was chosen for being good with the seed that chose, which is therefore left out
    for all activations of the network; unless one of them has no other, or all are to count.

    Example:
        >>> from keras_swish.train.reporting import runs
        >>> rows = [{"model": "resnet8", "activation": "relu", "seed": seed, "chose": seed == 0}
        ...         for seed in (0, 1)]
        >>> [row["seed"] for row in runs.counted(rows)], len(runs.counted(rows[:1]))
        ([1], 1)
    """
    if count_choosing_seed:
        return list(rows)
    kept: list[Row] = []
    for model_rows in group(rows, "model").values():
        chose = {row["seed"] for row in model_rows if row.get("chose")}
        others = [row for row in model_rows if row["seed"] not in chose]
        names = {row["activation"] for row in model_rows}
        kept += others if {row["activation"] for row in others} == names else model_rows
    return kept


def choose_learning_rates(rows: Iterable[Row]) -> dict[tuple[str, str], float]:
    """Returns the learning rate of each model and activation with the best validation accuracy.

    It is that of the first seed that every learning rate was run with: only the best is repeated.
    Where there is none, as its result with one of them is damaged, the rate that was repeated
    counts, the one with most runs, by their mean. A run that diverged is worse than every other,
    and among equals the lowest learning rate is taken. The test accuracy plays no part.

    Example:
        >>> from keras_swish.train.reporting import runs
        >>> run = {"model": "resnet8", "activation": "relu", "seed": 0}
        >>> rows = [{**run, "learning_rate": 0.1, "validation_accuracy": 0.8},
        ...         {**run, "learning_rate": 0.2, "validation_accuracy": 0.9}]
        >>> runs.choose_learning_rates(rows)
        {('resnet8', 'relu'): 0.2}
    """
    best = {}
    for key, by_rate in _by_rate(rows).items():
        rates = {
            rate: {
                row["seed"]: -math.inf if (found := row["validation_accuracy"]) is None else found
                for row in tried
            }
            for rate, tried in by_rate.items()
        }
        seeds = _choosing_seed(by_rate)
        merits = {
            rate: (
                0 if seeds else len(by_seed),
                float(np.mean([by_seed[seed] for seed in seeds or by_seed])),
            )
            for rate, by_seed in sorted(rates.items())
        }
        best[key] = max(merits, key=lambda rate: merits[rate])
    return best


def rates_tried(rows: Iterable[Row]) -> int:
    """Returns with how many learning rates an activation was trained, the most of any network.

    Not how many there are in all: networks and activations may have different ones, of which
    none was chosen.

    Example:
        >>> from keras_swish.train.reporting import runs
        >>> runs.rates_tried([{"model": "resnet8", "activation": name, "learning_rate": rate}
        ...                   for name, rate in (("relu", 0.1), ("swish", 0.05))])
        1
    """
    return max(map(len, _by_rate(rows).values()), default=0)


def group(rows: Iterable[Row], column: str) -> dict[Any, list[Row]]:
    """Returns the rows by the value that they have in a column, in their order.

    Example:
        >>> from keras_swish.train.reporting import runs
        >>> runs.group([{"seed": 0}, {"seed": 1}, {"seed": 0}], "seed")
        {0: [{'seed': 0}, {'seed': 0}], 1: [{'seed': 1}]}
    """
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(row[column], []).append(row)
    return groups


def accuracies(rows: Iterable[Row], column: str = "test_accuracy") -> dict[str, dict[int, float]]:
    """Returns the test accuracy in percent by activation and seed; nan where it diverged.

    Example:
        >>> from keras_swish.train.reporting import runs
        >>> runs.accuracies([{"activation": "relu", "seed": 0, "test_accuracy": 0.5}])
        {'relu': {0: 50.0}}
    """
    by_activation: dict[str, dict[int, float]] = {}
    for row in rows:
        accuracy = row.get(column)
        percent = math.nan if accuracy is None else 100 * accuracy
        by_activation.setdefault(row["activation"], {})[row["seed"]] = percent
    return by_activation


def comparisons(rows: Iterable[Row], baselines: int = 1) -> dict[str, dict[str, Comparison | None]]:
    """Compares each activation with the first ones, whose comparisons are corrected together.

    Seed by seed where both have the same seeds, and one with which neither diverged; as two groups
    where not. A run that diverged is left out, and seed by seed the other one of its seed, too.

    Args:
        rows: Those of one model, with the learning rate that counts.
        baselines: With how many; each of them is compared with those before it, too.

    Returns:
        By baseline, and by the activation that is compared with it; None where there is nothing
        to compare.

    Example:
        >>> from keras_swish.train.reporting import runs
        >>> rows = [{"activation": name, "seed": seed, "test_accuracy": accuracy}
        ...         for name, accuracy in (("relu", 0.5), ("swish", 0.75)) for seed in (0, 1)]
        >>> runs.comparisons(rows)["relu"]["swish"].difference
        25.0
    """
    by_activation = accuracies(rows)
    names = list(by_activation)
    outcomes: dict[tuple[str, str], Comparison | None] = {}
    for number, baseline in enumerate(names[:baselines], 1):
        for other in names[number:]:
            outcomes[baseline, other] = _compare(by_activation[other], by_activation[baseline])
    made = {pair: outcome for pair, outcome in outcomes.items() if outcome is not None}
    corrected = statistics.holm([outcome.p for outcome in made.values()])
    for (pair, outcome), p in zip(made.items(), corrected, strict=True):
        smallest = min(1.0, outcome.smallest_p * len(made))
        outcomes[pair] = dataclasses.replace(outcome, holm_p=p, smallest_holm_p=smallest)
    by_baseline: dict[str, dict[str, Comparison | None]] = {}
    for (baseline, other), outcome in outcomes.items():
        by_baseline.setdefault(baseline, {})[other] = outcome
    return by_baseline


def _compare(ours: dict[int, float], theirs: dict[int, float]) -> Comparison | None:
    finite, baseline = (
        {seed: value for seed, value in by_seed.items() if math.isfinite(value)}
        for by_seed in (ours, theirs)
    )
    if not finite or not baseline:
        return None
    seeds = [seed for seed in finite if seed in baseline]
    if ours.keys() != theirs.keys() or not seeds:
        return statistics.unpaired([*finite.values()], [*baseline.values()])
    both = [finite[seed] for seed in seeds], [baseline[seed] for seed in seeds]
    return statistics.paired(*both, seeds)
