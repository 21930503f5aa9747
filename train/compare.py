r"""Compares activations: which is better in a network, and how sure is that?

The network is trained with each activation, over several seeds. One seed means the same
initial kernels, the same batches in the same order and the same augmentation for every
activation, so differences are taken seed by seed.

Examples:
  keras-swish compare
      ReLU, Swish and Swish with trainable beta in a ResNet-8 on the digits that ship
      inside scikit-learn, three seeds: minutes on two cores.
  keras-swish compare --dataset=cifar10 --model=resnet20 \
      --activations=relu,swish,swish_beta --seeds=5
      a real benchmark, with the recipe of He et al. 2016.
  keras-swish compare --activations="relu, swish, max(x, beta * tanh(x))"
      a formula of your own beside named functions.
  keras-swish compare --dataset=cifar10 --models=resnet164,wrn_28_10,densenet_100_12 \
      --activations=relu,swish_beta --learning_rates=0.1,0.05,0.02 --seeds=5
      each function in three networks, each by its paper's recipe, with the best of three
      learning rates: the first seed tries all of them, and the best one by validation accuracy
      gets the other seeds.
  keras-swish compare --dataset=imagenet2012 --models=nasnet_mobile --seeds=3 \
      --activations=relu,leaky_relu,prelu,softplus,elu,selu,gelu,swish,swish_beta
      the paper's comparison on Mobile NASNet-A, by its recipe: three learning rates each, the
      best repeated three times; weeks on a GPU for each run. Likewise inception_resnet_v2,
      mobilenet, inception_v3 and inception_v4; --models takes several at once.
  keras-swish compare --dataset=/data/flowers --models=mobilenet,nasnet_mobile \
      --activations=relu,swish --image_size=96 --steps=2000 --batch_size=16
      pictures in /data/flowers/train/CLASS/ and /data/flowers/validation/CLASS/, or all that
      `keras-swish imagenet` reads: a small dataset on a laptop.
  keras-swish compare --dataset=stanford_dogs --image_size=64 --models=resnet20
      every other dataset of TensorFlow Datasets is read into memory, as `keras-swish cifar` does.
  keras-swish compare --out=runs/mine --seeds=6
      run again with the same --out, it goes on where it was cut off, and adds seeds,
      activations, networks and learning rates that are new.
  keras-swish compare --executor=ray --run_cpus=4 --run_gpus=0.5 --out=/shared/mine
      on a Ray cluster; a run whose machine is lost goes on on another one.

The folder --out gets results.csv (a row a run), table.md, report.html (the same page in one
file), curves.png and accuracy.png, written anew while it goes on, inputs.png (training images
as the first network sees them), and under runs/ a folder for each run with its log and model, and
with corrupt.txt, if there are pictures that cannot be decoded.

Pictures of ImageNet's form have one split for validation and test, so there the choice of the
learning rate has seen the test.
"""

import dataclasses
import pathlib
import time
from collections.abc import Callable

import keras
import numpy as np
from absl import flags

from keras_swish import models
from keras_swish.messages import unknown

from .app import executors, program, recipe_flags
from .datasets import imagenet as imagenet_dataset
from .datasets import in_memory
from .errors import ArgumentError
from .reporting import comparison, figures, statistics
from .trainer import distribution, loggers, recipes, trainer

ACTIVATIONS = flags.DEFINE_string(
    "activations",
    "relu,swish,swish_beta",
    "Activations, by name or formula; the first is what the others are compared with.",
)
MODELS = flags.DEFINE_string("models", None, "Networks; by default the one of --model.")
SEEDS = flags.DEFINE_integer(
    "seeds", 3, "How many seeds: --seed, --seed + 1, and so on.", lower_bound=1
)
BASELINES = flags.DEFINE_integer(
    "baselines",
    1,
    "With how many of the first activations the others are compared; all comparisons are "
    "corrected together.",
    lower_bound=1,
)
# The report is written anew when the last one is older than this.
REPORT_SECONDS = 30.0


@dataclasses.dataclass(frozen=True)
class _Kind:
    """What differs between images in memory and pictures of ImageNet's form.

    Attributes:
        model: The network that is trained by default.
        settings: Gives the settings of a network, as the flags say.
        load: Loads the data that settings name.
        inputs: Gives the first training images, as `loggers.inputs` does.
        train: Trains a run, as `trainer.train` does.
    """

    model: str
    settings: Callable[[str], dict]
    load: Callable[[dict], object]
    inputs: Callable[[object, int], np.ndarray]
    train: Callable[..., dict]


def _kind(dataset: str) -> _Kind:
    if imagenet_dataset.is_pictures(dataset):
        of = imagenet_dataset
        return _Kind(of.MODEL, of.settings, of.load, of.inputs, of.train)
    model = in_memory.SPECS.get(dataset, in_memory.OTHER).model
    return _Kind(
        model, program.network_settings, program.load_dataset, loggers.inputs, trainer.train
    )


def _networks(default: str) -> list[str]:
    if MODELS.value is None:
        return [program.chosen_model(default)]
    if program.FLAGS.model is not None:
        raise ArgumentError("models", "stands in place of --model; give one of them")
    named = program.split(MODELS.value)
    for name in named:
        if name not in models.names():
            raise ArgumentError("models", unknown("network", name, models.names()))
    if not named:
        raise ArgumentError("models", "name at least one, such as 'resnet20'")
    return list(dict.fromkeys(named))


def _learning_rates(recipe: recipes.Recipe, activation: str) -> list[float]:
    flag_values = program.FLAGS
    if flag_values.learning_rate is not None:
        if flag_values.learning_rates is not None:
            raise ArgumentError("learning_rates", "stands in place of --learning_rate; give one")
        return [recipe.learning_rate]
    advised = recipes.for_activation(recipe, activation).learning_rate
    return list(dict.fromkeys(recipe.learning_rates)) or [advised]


def _devices() -> distribution.Devices:
    strategy = program.FLAGS.strategy
    if strategy == "multi_host":
        raise ArgumentError("strategy", "each run is trained on one machine; see --executor=ray")
    if strategy != "none" and executors.EXECUTOR.value != "local":
        raise ArgumentError("strategy", "needs --executor=local; a run on Ray has one device")
    return program.start_devices()


def _recorded(recipe: recipes.Recipe) -> dict:
    """Returns a recipe without what the runs differ in."""
    fields = dataclasses.asdict(dataclasses.replace(recipe, learning_rates=()))
    del fields["learning_rate"]
    return fields


def _out_directory(kind: _Kind, networks: dict[str, dict], dataset) -> pathlib.Path:
    """Returns the folder, with what all networks have in common and what is each one's own."""
    config = kind.settings("")  # as for a network without a recipe of its own
    del config["model"]
    config |= {
        "image_size": program.FLAGS.image_size,
        "recipe": _recorded(config["recipe"]),
        "backend": keras.backend.backend(),
    }
    if isinstance(dataset, imagenet_dataset.Pictures):
        config["pictures"] = dataset.facts
    if BASELINES.value > 1:
        config["baselines"] = BASELINES.value
    own = {
        name: {"image_size": settings["image_size"], "recipe": _recorded(settings["recipe"])}
        for name, settings in networks.items()
    }
    return program.out_directory("compare", config, networks=own)


def _run(settings: dict, activation: str, rate: float, seed: int) -> trainer.Run:
    recipe = dataclasses.replace(settings["recipe"], learning_rate=rate, learning_rates=())
    return trainer.Run(activation=activation, seed=seed, **{**settings, "recipe": recipe})


def main() -> None:
    """Runs the program."""
    activations = list(dict.fromkeys(program.split(ACTIVATIONS.value)))
    if not activations:
        raise ArgumentError("activations", "name at least one, such as 'relu,swish'")
    executor = executors.from_flags()
    devices = _devices()
    program.check_activations({"activations": activations})
    kind = _kind(program.FLAGS.dataset)
    settings = {name: kind.settings(name) for name in _networks(kind.model)}
    recipe_flags.show({name: own["recipe"] for name, own in settings.items()})
    networks = list(settings)
    pairs = [(model, activation) for model in networks for activation in activations]
    rates = {pair: _learning_rates(settings[pair[0]]["recipe"], pair[1]) for pair in pairs}
    dataset = kind.load(settings[networks[0]])
    for own in settings.values():
        program.check_fits(own["recipe"], dataset.training_images)
    options = {**program.fitting_options(), "devices": devices}
    out = _out_directory(kind, settings, dataset)
    if not (out / "inputs.png").exists():
        sample = loggers.pictures(kind.inputs(dataset, program.FLAGS.seed))
        figures.inputs(sample, out / "inputs.png")

    seeds = range(program.FLAGS.seed, program.FLAGS.seed + SEEDS.value)
    trials = [
        _run(settings[model], name, rate, seeds[0])
        for model, name in pairs
        for rate in rates[model, name]
    ]
    count = len(trials) + len(pairs) * (len(seeds) - 1)
    written = [time.monotonic()]
    order = {"model": networks, "activation": activations}

    def execute_all(runs, done):
        jobs = [
            {
                "run": run,
                # A worker of Ray starts in a folder of its own.
                "directory": statistics.directory(out.resolve(), run),
                "title": f"[{number}/{count}] {_title(run)}",
            }
            for number, run in enumerate(runs, done + 1)
        ]
        finished = [job for job in jobs if (job["directory"] / trainer.RESULT).exists()]
        for job in finished:
            print(f"{job['title']}: finished before", flush=True)
        jobs = [job for job in jobs if job not in finished]
        shared = {"dataset": dataset, **options}
        for job, result in executors.execute(executor, kind.train, jobs, shared):
            if result["status"] != "ok":
                print(f"{job['title']}: {result['status']}", flush=True)
            # Pictures take a second, and a run may take no longer.
            if time.monotonic() - written[-1] > REPORT_SECONDS:
                comparison.write(out, statistics.read_runs(out, order))
                written.append(time.monotonic())

    execute_all(trials, 0)
    chosen = statistics.choose_learning_rates(statistics.read_runs(out))
    best = {pair: chosen[pair] if len(rates[pair]) > 1 else rates[pair][0] for pair in pairs}
    # Seed by seed, so that an unfinished comparison is already a fair one.
    repeated = [
        _run(settings[model], name, best[model, name], seed)
        for seed in seeds[1:]
        for model, name in pairs
    ]
    execute_all(repeated, len(trials))

    rows = statistics.read_runs(out, order)
    comparison.write(out, rows)
    chosen = [row for row in rows if row["chosen"]]
    print(f"\nTest accuracy in percent:\n\n{comparison.summary(chosen, BASELINES.value)}\n")
    print(f"results: {out} (results.csv, table.md, report.html, curves.png)")


def _title(run: trainer.Run) -> str:
    return (
        f"{run.model}, {run.activation}, learning rate {run.recipe.learning_rate:g}, "
        f"seed {run.seed}"
    )


if __name__ == "__main__":
    program.run(main)
