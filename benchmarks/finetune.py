r"""Trains a network with ReLU, replaces ReLU, and fine-tunes for a tenth of the budget.

ReLU kept, fine-tuned with the same budget, is what the others are compared with, seed by seed: one
seed means the same trained network, the same batches and the same augmentation.

Examples:
  python benchmarks/finetune.py --dataset=fashion_mnist --model=resnet14 --image_size=14 --pad=2 \
      --train_split=train[:12000] --batch_size=128 --epochs=20 --seeds=6 \
      --out=results/finetune_fashion_mnist
      what results/finetune_fashion_mnist shows: about ten minutes on two quiet cores.
  python benchmarks/finetune.py --epochs=10 --out=/tmp/finetune
      on the digits, in two minutes.

The same command resumes an interrupted run. The folder --out gets what that of
`keras-swish compare` gets; base/ holds the trained networks.
"""

import dataclasses
import pathlib
import sys

import keras
from absl import flags

# Run from a checkout as well as with the package installed.
ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from keras_swish import io  # noqa: E402
from keras_swish.train.app import program  # noqa: E402
from keras_swish.train.finetune import Finetuning, digest, finetune  # noqa: E402
from keras_swish.train.reporting import comparison, html, runs  # noqa: E402
from keras_swish.train.reporting.runs import Row  # noqa: E402
from keras_swish.train.trainer import recipes, trainer  # noqa: E402
from keras_swish.train.trainer.environment import CONFIG  # noqa: E402

KEPT = "relu:relu"
ACTIVATIONS = flags.DEFINE_list("activations", ["swish", "swish_beta"], "What replaces ReLU.")
SHARE = flags.DEFINE_float("share", 0.1, "Epochs of fine-tuning as a share of --epochs.")
RATE = flags.DEFINE_float("tuning_learning_rate", 0.01, "Highest learning rate of fine-tuning.")
SEEDS = flags.DEFINE_integer("seeds", 3, "Number of seeds, from 0.", lower_bound=1)


def main() -> None:
    """Runs the program."""
    settings = program.settings({"activations": ACTIVATIONS.value}, recipe="short")
    dataset = program.load_dataset(settings)
    trained = settings["recipe"]
    # Of the recipe for fine-tuning all but what the training decides.
    recipe = dataclasses.replace(
        recipes.RECIPES["finetune"],
        epochs=max(1, round(SHARE.value * trained.epochs)),
        batch_size=trained.batch_size,
        learning_rate=RATE.value,
        weight_decay=trained.weight_decay,
    )
    config = {
        **settings,
        "training": dataclasses.asdict(trained),
        "recipe": dataclasses.asdict(recipe),
        "backend": keras.backend.backend(),
    }
    out = program.out_directory("benchmarks/finetune", config)
    tunings = [KEPT, *(f"relu:{activation}" for activation in ACTIVATIONS.value)]
    for seed in range(SEEDS.value):
        base = out / "base" / f"seed{seed}"
        run = trainer.Run(activation="relu", seed=seed, **settings)
        trainer.train(run, dataset, base, title=f"training, seed {seed}")
        model = base / trainer.MODEL
        for tuning in tunings:
            run = Finetuning(
                activation=tuning,
                seed=seed,
                digest=digest(str(model)),
                **{**settings, "model": str(model), "recipe": recipe},
            )
            directory = out / "runs" / runs.slug(tuning, seed)
            finetune(run, dataset, directory, title=f"{tuning}, seed {seed}")
        write(out, tunings)
    print(f"results: {out}")


def write(out: pathlib.Path, tunings: list[str]) -> None:
    """Writes the report of the runs so far."""
    network = io.read_json(out / CONFIG)["config"]["model"]
    rows = runs.read_runs(out, {"activation": tunings})
    rows = [{**row, "model": network, **stages(out, row)} for row in rows]
    comparison.write(out, rows)
    text = comparison.text(out, rows)
    text = text.replace("the test split was read once per run", "read three times per run: above")
    title, _, rest = text.partition("\n")
    text = f"{title}, fine-tuned\n{introduction(out, rows)}{rest}"
    io.write_text(out / "table.md", text)
    io.write_text(out / "report.html", html.render(text, out))


def stages(out: pathlib.Path, row: Row) -> dict[str, float]:
    """Returns the test accuracies of a run before its training."""
    directory = out / "runs" / runs.slug(row["activation"], row["seed"])
    return io.read_json(directory / "stages.json")


def introduction(out: pathlib.Path, rows: list[Row]) -> str:
    """Returns an introduction, with the mean accuracies at each stage."""
    config = io.read_json(out / CONFIG)["config"]
    training, recipe = config["training"], config["recipe"]
    lines = [["replaced", "before", "right after", "fine-tuned"]]
    for tuning in dict.fromkeys(row["activation"] for row in rows):
        tuned = [row for row in rows if row["activation"] == tuning]
        means = [
            sum(row[key] for row in tuned) / len(tuned)
            for key in ("before", "replaced", "test_accuracy")
        ]
        lines.append([tuning, *(f"{100 * mean:.2f}" for mean in means)])
    table = html.table(lines)
    return f"""
{config["model"]} was trained with ReLU for {training["epochs"]} epochs (recipe: learning rate
{training["learning_rate"]}, {training["schedule"]}, weight decay {training["weight_decay"]}), then
its activation was replaced and it was fine-tuned for {recipe["epochs"]} epochs. `{KEPT}` is the
same network, fine-tuned in the same way with ReLU kept. Mean test accuracy in percent:

{table}

"""


if __name__ == "__main__":
    program.run(main)
