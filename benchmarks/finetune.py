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
from absl import flags as absl_flags
from absl.flags import FlagValues

# Run from a checkout as well as with the package installed.
ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from keras_swish import io  # noqa: E402
from keras_swish.train.app import data, flags, folder, settings  # noqa: E402
from keras_swish.train.app import main as app  # noqa: E402
from keras_swish.train.app.networks import digest  # noqa: E402
from keras_swish.train.datasets import in_memory  # noqa: E402
from keras_swish.train.finetune import Finetuning, finetune  # noqa: E402
from keras_swish.train.reporting import comparison, html, runs  # noqa: E402
from keras_swish.train.reporting.runs import Row  # noqa: E402
from keras_swish.train.trainer import recipes, trainer  # noqa: E402
from keras_swish.train.trainer.environment import CONFIG  # noqa: E402

KEPT = "relu:relu"


def define_flags(flag_values: FlagValues) -> None:
    """Defines the flags of the program."""
    absl_flags.DEFINE_list(
        "activations", ["swish", "swish_beta"], "What replaces ReLU.", flag_values
    )
    absl_flags.DEFINE_float(
        "share",
        0.1,
        "Epochs of fine-tuning as a share of --epochs.",
        flag_values=flag_values,
    )
    absl_flags.DEFINE_float(
        "tuning_learning_rate",
        0.01,
        "Highest learning rate of fine-tuning.",
        flag_values=flag_values,
    )
    absl_flags.DEFINE_integer(
        "seeds", 3, "Number of seeds, from 0.", lower_bound=1, flag_values=flag_values
    )
    flags.define_model_flag(flag_values)
    flags.define_data_flags(flag_values)
    flags.define_augmentation_flags(flag_values)
    flags.define_recipe_flags(flag_values, without=["learning_rates", "swish_learning_rate"])
    flags.define_training_flags(flag_values)
    flags.define_output_flags(flag_values)


def main(flag_values: FlagValues) -> None:
    """Runs the program."""
    settings.check_activations("activations", flag_values.activations)
    default_model = in_memory.SPECS.get(flag_values.dataset, in_memory.OTHER).model
    model = settings.chosen_model(flag_values, default_model)
    chosen = data.in_memory_settings(flag_values, model, recipe="short")
    if flag_values.print_recipe:
        settings.print_recipes({model: chosen["recipe"]})
        return
    dataset = data.load(flag_values, chosen)
    trained = chosen["recipe"]
    # Of the recipe for fine-tuning all but what the training decides.
    recipe = dataclasses.replace(
        recipes.RECIPES["finetune"],
        epochs=max(1, round(flag_values.share * trained.epochs)),
        batch_size=trained.batch_size,
        learning_rate=flag_values.tuning_learning_rate,
        weight_decay=trained.weight_decay,
    )
    config = {
        **chosen,
        "training": dataclasses.asdict(trained),
        "recipe": dataclasses.asdict(recipe),
        "backend": keras.backend.backend(),
    }
    options = settings.training_options(flag_values)
    out = folder.out_directory(flag_values, "benchmarks/finetune", config)
    tunings = [KEPT, *(f"relu:{activation}" for activation in flag_values.activations)]
    for seed in range(flag_values.seeds):
        base = out / "base" / f"seed{seed}"
        run = trainer.Run(activation="relu", seed=seed, **chosen)
        trainer.train(run, dataset, base, title=f"training, seed {seed}", **options)
        network = base / trainer.MODEL
        for tuning in tunings:
            run = Finetuning(
                activation=tuning,
                seed=seed,
                digest=digest(str(network)),
                **{**chosen, "model": str(network), "recipe": recipe},
            )
            directory = out / "runs" / runs.slug(tuning, seed)
            finetune(run, dataset, directory, title=f"{tuning}, seed {seed}", **options)
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
    app.run(main, define_flags)
