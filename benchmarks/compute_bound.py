r"""Is training on small images bound by computing, or does it wait for its batches?

Example:
  python benchmarks/compute_bound.py
      ResNet-8 and ResNet-20 on 10,000 images of CIFAR's form: minutes on two quiet cores.

Each network is trained on the batches that `keras-swish cifar` gives it, shuffled, cropped and
mirrored, and in turn on one batch that is ready: the rest of the time is the cost of the input.
The images are random numbers: nothing here depends on their content. results.csv has each
round, table.md the medians.
"""

import pathlib
import shlex
import statistics
import sys
import time
from typing import TYPE_CHECKING, Any

from absl import app, flags

if TYPE_CHECKING:
    from keras_swish.train.datasets import in_memory

# Run from a checkout as well as with the package installed.
ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

_MODELS = flags.DEFINE_list("models", "resnet8,resnet20", "Networks.")
_STEPS = flags.DEFINE_integer("steps", 50, "Training steps in a round.", lower_bound=1)
_ROUNDS = flags.DEFINE_integer("rounds", 7, "Rounds; their median counts.", lower_bound=1)
_BATCH = flags.DEFINE_integer("batch_size", 128, "Images in a batch.", lower_bound=1)
_OUT = flags.DEFINE_string("out", str(ROOT / "results" / "compute_bound"), "Folder.")
IMAGES = 10_000


def make_dataset() -> "in_memory.ImageArrays":
    """Returns random images in CIFAR's form."""
    import numpy as np

    from keras_swish.train.datasets import in_memory

    random = np.random.default_rng(0)

    def split(count):
        images = random.integers(0, 256, (count, 32, 32, 3), dtype="uint8")
        return in_memory.Split(images, random.integers(0, 10, count, dtype="int32"))

    return in_memory.ImageArrays(
        "random", split(IMAGES), split(10), split(10), 10, in_memory.SPECS["cifar10"]
    )


def measure(model: str, dataset: "in_memory.ImageArrays") -> list[dict[str, Any]]:
    """Returns a row for each round: seconds a step, with the input and with one batch."""
    import tensorflow as tf

    from keras_swish.train.trainer import recipes, trainer

    trainer.make_deterministic()  # as in every training
    recipe = recipes.RECIPES["cifar"]
    run = trainer.Run("random", model, "swish", seed=0, recipe=recipe)
    network = trainer.build(run, dataset)
    ready = tf.data.Dataset.from_tensors(next(iter(dataset.training(_BATCH.value, 0, 0, 1))))
    sources = {
        "batches": lambda: dataset.training(_BATCH.value, 0, 0, _STEPS.value),
        "one batch": lambda: ready.repeat(_STEPS.value),
    }
    rows = []
    for number in range(-1, _ROUNDS.value):
        row = {"model": model, "round": number}
        for source in list(sources)[:: 1 if number % 2 else -1]:
            start = time.perf_counter()
            network.fit(sources[source](), shuffle=False, verbose=0)
            row[source] = (time.perf_counter() - start) / _STEPS.value
        if number >= 0:  # the first one compiles
            rows.append(row)
            print(row, flush=True)
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Returns the medians, in milliseconds a step."""
    lines = [
        "| network | ms a step, with its batches | with one batch | input costs |",
        "|---|---|---|---|",
    ]
    for model in dict.fromkeys(row["model"] for row in rows):
        rounds = [row for row in rows if row["model"] == model]
        full, bare = (
            1000 * statistics.median(row[source] for row in rounds)
            for source in ("batches", "one batch")
        )
        ratio = statistics.median(row["batches"] / row["one batch"] - 1 for row in rounds)
        lines.append(f"| {model} | {full:.1f} | {bare:.1f} | {ratio:.1%} |")
    return "\n".join(lines)


def main(argv: list[str]) -> None:
    """Measures, prints and writes."""
    del argv
    from keras_swish import io
    from keras_swish.train.trainer.environment import environment

    dataset = make_dataset()
    rows = [row for model in _MODELS.value for row in measure(model, dataset)]
    out = pathlib.Path(_OUT.value)
    out.mkdir(parents=True, exist_ok=True)
    io.write_csv(out / "results.csv", rows)
    machine = ", ".join(f"{name} {value}" for name, value in environment().items() if value)
    page = f"""# The cost of the input in training on small images

{table(rows)}

Batches of {_BATCH.value} images of 32x32x3, shuffled, cropped after padding with 4 pixels, half of
them mirrored; medians over {_ROUNDS.value} rounds of {_STEPS.value} steps, in turn.

* Command: `{shlex.join(["python", *sys.argv])}`; every round is in results.csv.
* Machine: `{machine}`.
"""
    io.write_text(out / "table.md", page)
    print(page)


if __name__ == "__main__":
    app.run(main)
