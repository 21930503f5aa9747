r"""Trains the best functions of a search anew, beside ReLU and Swish: which is better after all?

The best of many candidates are chosen for their luck, too, and in a small child. So they are
compared once more as `keras-swish compare` does: in a larger network, unless the search was given
one, on all images, for longer, with seeds that the search has not used, and with the test split,
which it has not seen.

Examples:
  keras-swish confirm runs/found
      the five best of `keras-swish search --out=runs/found` beside ReLU, Swish and Swish with
      trainable beta, ten seeds each: up to 80 runs.
  keras-swish confirm runs/found --best=3 --model=resnet20 --epochs=10 --train_split="train[:30000]"
      in a network and on a budget of your choice: every flag of `keras-swish compare` is one here.
  keras-swish confirm runs/found --activations=swish,relu,gelu
      everything compared with Swish and with ReLU, and GELU among it.
  keras-swish confirm mine.log --dataset=cifar10 --out=runs/confirmed
      after a search begun from Python with storage="mine.log"; a database's URL does as well.

By default the network is the one that the dataset has in `keras-swish compare`, or that of the
search where it was named there; the images have the size of the search's; the recipe is "short",
for four times the epochs of a child. The results are those of a comparison with two baselines, ReLU
and Swish, with the same report: p (Holm) is corrected for all comparisons with both, and decides.
They go to the folder `confirm` within that of the search. Cut off and given again, it goes on.
"""

import pathlib

from absl import flags

from keras_swish import io
from keras_swish.search import Study
from keras_swish.search.child import OK

from . import compare
from .app import program
from .errors import ArgumentError
from .reporting import paper_claims, search_report, statistics

BEST = flags.DEFINE_integer("best", 5, "How many of the search's best candidates.", lower_bound=1)
SEEDS, RECIPE, EPOCHS, BASELINES = 10, "short", 4, 2


def main(arguments: list[str]) -> None:
    """Runs the program."""
    if len(arguments) != 1:
        program.fail("name the folder of one search, such as runs/found")
    study, folder = search_report.load(arguments[0])
    formulas = best(study, BEST.value)
    for flag, value in {"seeds": SEEDS, "recipe": RECIPE, "baselines": BASELINES}.items():
        _default(flag, value)
    if folder is None:
        for flag in ("dataset", "out"):
            if not program.FLAGS[flag].present:
                raise ArgumentError(flag, f"{arguments[0]} is in no folder of a search: name one")
        _longer(study.child.get("config", {}))
    else:
        _default("out", str(folder / "confirm"))
        _like_the_search(io.read_json(folder / statistics.CONFIG)["config"])
    _default("seed", first_seed(study, pathlib.Path(program.FLAGS.out).expanduser()))
    for formula, name in formulas.items():
        print(f"best of the search: {formula}{f', which is {name}' if name else ''}", flush=True)
    # A function that has a name, and is compared anyway, is compared once.
    chosen = [name or formula for formula, name in formulas.items()]
    activations = dict.fromkeys([*program.split(compare.ACTIVATIONS.value), *chosen])
    program.FLAGS.activations = ", ".join(activations)
    compare.main()


def best(study: Study, count: int) -> dict[str, str | None]:
    """Returns the formulas of the best candidates trained to the end, and the names of those.

    Raises:
        ArgumentError: If the study has fewer.
    """
    entries = study.entries()
    fit = [entry for entry in entries if entry.status == OK]
    if count > len(fit):
        raise ArgumentError("best", f"the search has only {len(fit)} trained to the end")
    known = paper_claims.known(study, entries)
    names = {found[1].candidate: name for name, found in known.items() if found}
    return {entry.formula: names.get(entry.candidate) for entry in fit[:count]}


def first_seed(study: Study, out: pathlib.Path) -> int:
    """Returns the first seed of those that no child was trained with.

    Where a folder of results is gone on with, it is the one that they begin with.

    Raises:
        ArgumentError: If --seed names one that the search has used.
    """
    used = max(seed for outcomes in study.outcomes.values() for seed in outcomes)
    if program.FLAGS["seed"].present and program.FLAGS.seed <= used:
        raise ArgumentError("seed", f"the search has used seeds up to {used}; take a later one")
    is_ours = search_report.settings(out).get("program") == "compare"
    present = statistics.read_runs(out) if is_ours else []  # what else is there, `compare` refuses
    return min((row["seed"] for row in present), default=used + 1)


def _like_the_search(searched: dict) -> None:
    child = searched["child"]
    _default("dataset", searched["dataset"])
    _default("image_size", child["image_size"])
    if not child["filters"] and not compare.MODELS.present:
        _default("model", child["model"])  # named by the user, and of full width already
    _longer(child["config"])


def _longer(child_config: dict) -> None:
    if "epochs" in child_config and not any(program.FLAGS[f].present for f in ("recipe", "steps")):
        _default("epochs", EPOCHS * child_config["epochs"])


def _default(flag: str, value) -> None:
    if not program.FLAGS[flag].present:
        program.FLAGS[flag].value = value


if __name__ == "__main__":
    program.run(main)
