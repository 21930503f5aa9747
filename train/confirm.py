r"""Trains the best functions of a search again, next to ReLU and Swish: which is better after all?

The best of many candidates are chosen for their luck, too, and in a small child. So they are
compared once more as `keras-swish compare` does: in a larger network, unless the search was given
one, on all images, for longer, with seeds that the search has not used, and with the test split,
which it has not seen.

Examples:
  keras-swish confirm runs/found
      the five best of `keras-swish search --out=runs/found` next to ReLU, Swish and Swish with
      trainable beta, ten seeds each: up to 80 runs.
  keras-swish confirm runs/found --best=3 --model=resnet20 --epochs=10 --train_split="train[:30000]"
      in a network and on a budget of your choice: every flag of `keras-swish compare` is one here.
  keras-swish confirm runs/found --activations=swish,relu,gelu
      everything compared with Swish and with ReLU, and GELU among the functions.
  keras-swish confirm mine.log --dataset=cifar10 --out=runs/confirmed
      after a search begun from Python with storage="mine.log"; a database's URL does as well.

By default the network is the one that the dataset has in `keras-swish compare`, or that of the
search where it was named there, in its full width, whatever filters the search gave it; the images
have the size of the search's; the recipe is "short", for four times the epochs of a child, with the
learning rates of a search that has tried several. The
results are those of a comparison with two baselines, ReLU and Swish, with the same report: p (Holm)
is corrected for all comparisons with both, and decides. They go to the folder `confirm` within that
of the search. Cut off and given again, it resumes.
"""

import itertools
import pathlib
from typing import Any

from absl import flags as absl_flags
from absl.flags import FlagValues

from keras_swish.search import Study

from . import compare, search
from .app import flags
from .app import main as app
from .errors import ArgumentError, UsageError, as_usage_error
from .reporting import runs, search_answer, search_report

# Flags of `compare` that have another default here.
DEFAULTS = {"seeds": 10, "recipe": "short", "baselines": 2}
# Epochs of a run as a multiple of a child's.
EPOCHS = 4


def define_flags(flag_values: FlagValues) -> None:
    """Defines the flags of the program: those of `compare`, and one more."""
    absl_flags.DEFINE_integer(
        "best",
        5,
        "How many of the search's best functions.",
        lower_bound=1,
        flag_values=flag_values,
    )
    compare.define_flags(flag_values)
    for name, value in DEFAULTS.items():
        flag_values.set_default(name, value)


def main(flag_values: FlagValues, arguments: list[str]) -> None:
    """Runs the program."""
    if len(arguments) != 1:
        raise UsageError("name the folder of one search, such as runs/found")
    with as_usage_error():
        study, folder = search_report.load(arguments[0])
    formulas = best(study, flag_values.best)
    if folder is None:
        for flag, example in (("dataset", "cifar10"), ("out", "runs/confirmed")):
            if not flag_values[flag].present:
                needed = f"has to be given, such as --{flag}={example}"
                raise ArgumentError(flag, f"{needed}: {arguments[0]} is in no folder of a search")
        _take_training(flag_values, study.child.get("config", {}))
    else:
        flags.set_unless_given(flag_values, out=str(folder / "confirm"))
        _take_settings(flag_values, search_report.settings(folder))
    seed = first_seed(flag_values, study, pathlib.Path(flag_values.out).expanduser())
    flags.set_unless_given(flag_values, seed=seed)
    for formula, name in formulas.items():
        print(f"best of the search: {formula}{f', which is {name}' if name else ''}", flush=True)
    # A function that has a name, and is compared anyway, is compared once.
    chosen = [name or formula for formula, name in formulas.items()]
    activations = dict.fromkeys([*flags.split(flag_values.activations), *chosen])
    flag_values.activations = ", ".join(activations)
    compare.main(flag_values)


def best(study: Study, count: int) -> dict[str, str | None]:
    """Returns the formulas of the best functions, and the names of those that have one.

    Raises:
        ArgumentError: If the study has fewer.
    """
    fit = search_answer.best_functions(study)
    if count > len(fit):
        raise ArgumentError("best", f"the search has only {len(fit)} trained to the end")
    return dict(itertools.islice(fit.items(), count))


def first_seed(flag_values: FlagValues, study: Study, out: pathlib.Path) -> int:
    """Returns the first seed of those that no child was trained with.

    Where a folder of results is resumed, it is the one that they begin with.

    Raises:
        ArgumentError: If --seed names one that the search has used.
    """
    trained = [*study.outcomes.values(), *study.references.values()]
    used = max(seed for outcomes in trained for seed in outcomes)
    if flag_values["seed"].present and flag_values.seed <= used:
        raise ArgumentError("seed", f"the search has used seeds up to {used}; take a later one")
    with as_usage_error():
        is_comparison = search_report.settings(out).get("program") == "compare"
    # Of another program the folder is refused by `compare`.
    rows = runs.read_runs(out) if is_comparison else []
    return min((row["seed"] for row in rows), default=used + 1)


def _take_settings(flag_values: FlagValues, searched: dict[str, Any]) -> None:
    """Takes the data of the search, and a network that the user has named for it."""
    child = searched["child"]
    flags.set_unless_given(flag_values, dataset=searched["dataset"], image_size=child["image_size"])
    default = search.CHILDREN.get(searched["dataset"], search.DEFAULT_CHILD)
    # A folder of an earlier version may have the child of all other datasets as its default.
    defaults = (default.model, search.DEFAULT_CHILD.model)
    # Where the default was named by --model, it has no filters of the search's.
    is_named = child["model"] not in defaults or not child["filters"]
    if is_named and not flag_values["models"].present:
        flags.set_unless_given(flag_values, model=child["model"])
    _take_training(flag_values, child["config"])


def _take_training(flag_values: FlagValues, child_config: dict[str, Any]) -> None:
    """Trains longer than a child, and with its learning rates where it has several."""
    rates = child_config.get("learning_rate")
    if isinstance(rates, list) and flag_values.learning_rate is None:
        flags.set_unless_given(flag_values, learning_rates=rates)
    if "epochs" in child_config and not flags.given(flag_values, ["recipe", "steps"]):
        flags.set_unless_given(flag_values, epochs=EPOCHS * child_config["epochs"])


if __name__ == "__main__":
    app.run(main, define_flags)
