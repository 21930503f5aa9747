"""From finished runs to rows, and from rows to who is better and how sure that is."""

import dataclasses
import hashlib
import math
import pathlib
import re

import numpy as np
from scipy import stats

from keras_swish import io

from ..trainer import trainer
from ..trainer.environment import CONFIG

TABLE = "results.csv"
# All sign flips are tried up to this many; beyond, as many are drawn.
FLIPS = 2**16
# From this many seeds on, intervals are bootstrapped: below, too few values are drawn again.
BOOTSTRAP = 10


@dataclasses.dataclass(frozen=True)
class Paired:
    """A comparison of two activations over the seeds that both were trained with.

    Attributes:
        seeds: How many seeds.
        difference: Mean of the differences.
        low: Lower end of the 95% interval of the mean difference; nan for one seed.
        high: Its upper end.
        p: Two-sided p of the paired sign-flip permutation test.
        smallest_p: The smallest p that this test can give with so few seeds.
        holm_p: p, corrected for the comparisons that were made beside this one.
        smallest_holm_p: The smallest that this can be for the best of them.
    """

    seeds: int
    difference: float
    low: float
    high: float
    p: float
    smallest_p: float
    holm_p: float
    smallest_holm_p: float


def interval(values: np.ndarray) -> tuple[float, float]:
    """Returns the 95% interval of a mean: Student's t, from ten values on the BCa bootstrap.

    Args:
        values: `(n,)`; nan and nan for one alone.

    Source: Efron 1987, "Better Bootstrap Confidence Intervals", for the latter.

    Example:
        >>> import numpy as np
        >>> from keras_swish.train.reporting import statistics
        >>> low, high = statistics.interval(np.array([0.1, 0.3]))
        >>> round(low, 2), round(high, 2)
        (-1.07, 1.47)
    """
    if len(values) == 1:
        return math.nan, math.nan
    if np.ptp(values) == 0:  # neither method divides by a spread of zero
        return float(values[0]), float(values[0])
    if len(values) < BOOTSTRAP:
        found = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    else:
        random = np.random.default_rng(0)
        found = stats.bootstrap((values,), np.mean, method="BCa", rng=random).confidence_interval
    return float(found.low), float(found.high)


def paired(ours: np.ndarray, theirs: np.ndarray) -> Paired:
    """Compares two activations, seed by seed.

    Under the null hypothesis each seed's difference could as well have had the other
    sign; p is the share of the sign patterns whose mean is at least as far from zero.

    Args:
        ours: Accuracies, `(seeds,)`.
        theirs: Accuracies of the baseline with the same seeds, `(seeds,)`.

    Example:
        >>> import numpy as np
        >>> from keras_swish.train.reporting import statistics
        >>> outcome = statistics.paired(np.array([0.3, 0.4, 0.5]), np.array([0.1, 0.1, 0.1]))
        >>> round(outcome.difference, 2), outcome.p, outcome.smallest_p
        (0.3, 0.25, 0.25)
    """
    differences = np.asarray(ours, float) - np.asarray(theirs, float)
    n = len(differences)
    p = smallest = 1.0
    if n > 1:
        test = stats.permutation_test(
            (differences,),
            np.mean,
            permutation_type="samples",
            vectorized=True,
            n_resamples=FLIPS,
            rng=np.random.default_rng(0),
        )
        p, smallest = float(test.pvalue), 2 / 2**n if 2**n <= FLIPS else 2 / (FLIPS + 1)
    low, high = interval(differences)
    return Paired(n, float(differences.mean()), low, high, p, smallest, p, smallest)


def holm(p: list[float]) -> list[float]:
    """Corrects p for as many comparisons: all of them together err in 5% of the cases.

    Source: Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure".

    Example:
        >>> from keras_swish.train.reporting import statistics
        >>> statistics.holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    order = np.argsort(p, kind="stable")
    scaled = np.asarray(p)[order] * np.arange(len(p), 0, -1)
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(1, np.maximum.accumulate(scaled))
    return corrected.tolist()


def slug(activation: str, seed: int) -> str:
    """Returns the name of a run's folder within a comparison, another one for each activation."""
    readable = re.sub(r"\W+", "_", activation).strip("_")
    if readable != activation:
        # Different formulas may read alike: x + 1 and x - 1.
        readable += "-" + hashlib.sha256(activation.encode()).hexdigest()[:8]
    return f"{readable}-seed{seed}"


def directory(out: pathlib.Path, run: trainer.Run) -> pathlib.Path:
    """Returns the folder of one run of a comparison.

    Its name tells what the comparison's config.json leaves open. Before networks and learning
    rates could be compared, that was neither.
    """
    settled = io.read_json(out / CONFIG)["config"]
    name = slug(run.activation, run.seed)
    if settled["recipe"].get("learning_rate") != run.recipe.learning_rate:
        name = f"lr{run.recipe.learning_rate:g}-{name}"
    if settled.get("model") != run.model:
        name = f"{run.model}-{name}"
    return out / "runs" / name


def read_runs(out: pathlib.Path, first: dict[str, list[str]] | None = None) -> list[dict]:
    """Reads the finished runs of a comparison.

    Args:
        out: Its folder.
        first: Models and activations to put first, as `{"model": [...], "activation": [...]}`;
            those of `results.csv` follow, in their order, and then all others by name.

    Returns:
        A row for each run. Its `chosen` says whether its learning rate counts: it is the only
        one, or has the best validation accuracy (see `choose_learning_rates`).
    """
    settled = io.read_json(out / CONFIG)["config"]
    known = {
        "model": settled.get("model"),
        "learning_rate": settled["recipe"].get("learning_rate"),
    }
    rows = [
        {**known, **io.read_json(path), "folder": path.parent.name}
        for path in sorted(out.glob(f"runs/*/{trainer.RESULT}"))
    ]
    rank = {}
    for column in ("model", "activation"):
        names = [*(first or {}).get(column, ()), *io.read_column(out / TABLE, column)]
        names += sorted(row[column] for row in rows)
        rank[column] = {name: place for place, name in reversed(list(enumerate(names)))}
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
    return rows


def choose_learning_rates(rows: list[dict]) -> dict[tuple[str, str], float]:
    """Returns the learning rate of each model and activation with the best validation accuracy.

    The mean is taken over the seeds that every learning rate was run with: that is the first
    one, because only the best is repeated. A run that diverged is worse than every other, and
    among equals the lowest learning rate is taken. The test accuracy plays no part.
    """
    found: dict[tuple[str, str], dict[float, dict[int, float]]] = {}
    for row in rows:
        accuracy = row["validation_accuracy"]
        rates = found.setdefault((row["model"], row["activation"]), {})
        by_seed = rates.setdefault(row["learning_rate"], {})
        by_seed[row["seed"]] = -math.inf if accuracy is None else accuracy
    best = {}
    for key, rates in found.items():
        seeds = set.intersection(*map(set, rates.values()))
        means = {
            rate: np.mean([rates[rate][seed] for seed in seeds]) if seeds else -math.inf
            for rate in sorted(rates)
        }
        best[key] = max(means, key=means.get)
    return best


def accuracies(rows: list[dict], column: str = "test_accuracy") -> dict[str, dict[int, float]]:
    """Returns the test accuracy in percent by activation and seed; nan where it diverged."""
    by_activation: dict[str, dict[int, float]] = {}
    for row in rows:
        accuracy = row.get(column)
        percent = math.nan if accuracy is None else 100 * accuracy
        by_activation.setdefault(row["activation"], {})[row["seed"]] = percent
    return by_activation


def median(values) -> float:
    """Returns the median, with those that diverged (nan) as the worst; -inf if it is such a one."""
    values = [value if math.isfinite(value) else -math.inf for value in values]
    return float(np.median(values))


def comparisons(rows: list[dict], baselines: int = 1) -> dict[str, dict[str, Paired | None]]:
    """Compares each activation with the first ones, whose comparisons are corrected together.

    Args:
        rows: Those of one model, with the learning rate that counts.
        baselines: With how many; each of them is compared with those before it, too.

    Returns:
        By baseline, and by what is compared with it; None where no seed of both has a result.
    """
    found = accuracies(rows)
    outcome = {}
    for place, baseline in enumerate([*found][:baselines], 1):
        for other in [*found][place:]:
            seeds = [seed for seed in found[other] if seed in found[baseline]]
            pairs = np.array([(found[other][seed], found[baseline][seed]) for seed in seeds])
            pairs = pairs[np.isfinite(pairs).all(axis=1)] if seeds else pairs
            outcome[baseline, other] = paired(*pairs.T) if len(pairs) else None
    made = {pair: one for pair, one in outcome.items() if one is not None}
    for (pair, one), p in zip(made.items(), holm([one.p for one in made.values()]), strict=True):
        smallest = min(1.0, one.smallest_p * len(made))
        outcome[pair] = dataclasses.replace(one, holm_p=p, smallest_holm_p=smallest)
    return {
        baseline: {other: one for (first, other), one in outcome.items() if first == baseline}
        for baseline in dict.fromkeys(first for first, _ in outcome)
    }


def signs(ours: list[float], theirs: list[float]) -> tuple[int, int, int]:
    """Counts how often ours is better, equal and worse; one that diverged is the worst."""
    pairs = np.nan_to_num(np.array([ours, theirs], float), nan=-np.inf, neginf=-np.inf)
    better, worse = pairs[0] > pairs[1], pairs[0] < pairs[1]
    return int(better.sum()), int((~better & ~worse).sum()), int(worse.sum())
