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
      a formula of your own next to named functions.
  keras-swish compare --dataset=cifar10 --models=resnet164,wrn_28_10,densenet_100_12 \
      --activations=relu,swish_beta --learning_rates=0.1,0.05,0.02 --seeds=5
      each function in three networks, each by its paper's recipe, with the best of three
      learning rates: the first seed tries all of them, and the best one by validation accuracy
      gets the other seeds.
  keras-swish compare --dataset=imagenet2012 --models=nasnet_mobile --seeds=3 \
      --activations=relu,leaky_relu,prelu,softplus,elu,selu,gelu,swish,swish_beta
      the paper's comparison on Mobile NASNet-A, by its recipe: three learning rates each, the
      best repeated three times; weeks on a GPU for each run. Also for inception_resnet_v2,
      mobilenet, inception_v3 and inception_v4; --models takes several at once.
  keras-swish compare --dataset=/data/flowers --models=mobilenet,nasnet_mobile \
      --activations=relu,swish --image_size=96 --steps=2000 --batch_size=16
      images in /data/flowers/train/CLASS/ and /data/flowers/validation/CLASS/, or all that
      `keras-swish imagenet` reads: a small dataset on a laptop.
  keras-swish compare --dataset=cifar10 --image_size=64 --recipe=modern \
      --models=resnet20,keras.applications:EfficientNetB0
      by today's recipe, next to a network of keras.applications, or of any builder of yours.
  keras-swish compare --dataset=stanford_dogs --image_size=64 --models=resnet20
      every other dataset of TensorFlow Datasets is read into memory, as `keras-swish cifar` does.
  keras-swish compare --out=runs/mine --seeds=6
      run again with the same --out, it resumes where it was cut off, and adds seeds,
      activations, networks and learning rates that are new.
  keras-swish compare --executor=ray --run_cpus=4 --run_gpus=0.5 --out=/shared/mine
      on a Ray cluster; a run whose machine is lost resumes on another one.

The folder --out gets results.csv (a row a run), table.md, report.html (the same page in one
file) and the figures, written again as runs finish, inputs.png (training images as the first
network sees them), and under runs/ a folder for each run with its log and model, and with
corrupt.txt, if there are images that cannot be decoded.

Where several learning rates are tried, the seed that chose is left out of mean, interval and p.
Images of ImageNet's form have one split for validation and test, so there the choice has seen the
test, unless --validation_split=0.1 holds a part of the training images out for it.
"""

import dataclasses
import pathlib
import time
from typing import Any

import keras
from absl import flags as absl_flags
from absl.flags import FlagValues

from keras_swish.messages import clock
from keras_swish.search.executors import Executor

from .app import data, executors, flags, folder, settings, training
from .app import main as app
from .datasets.base import Dataset
from .errors import ArgumentError
from .reporting import comparison, figures, verdicts
from .reporting import runs as finished_runs
from .trainer import builders, distribution, loggers, recipes, trainer

# The report is written again when the last one is older than this.
REPORT_SECONDS = 30.0


def define_flags(flag_values: FlagValues) -> None:
    """Defines the flags of the program."""
    absl_flags.DEFINE_string(
        "activations",
        "relu,swish,swish_beta",
        "Activations, by name or formula; the first is what the others are compared with.",
        flag_values,
    )
    flags.define_model_flag(flag_values)
    absl_flags.DEFINE_string(
        "models", None, "Networks; by default the one of --model.", flag_values
    )
    absl_flags.DEFINE_integer(
        "seeds",
        3,
        "How many seeds: --seed, --seed + 1, and so on.",
        lower_bound=1,
        upper_bound=10**6,
        flag_values=flag_values,
    )
    absl_flags.DEFINE_integer(
        "baselines",
        1,
        "With how many of the first activations the others are compared; all comparisons are "
        "corrected together.",
        lower_bound=1,
        flag_values=flag_values,
    )
    absl_flags.DEFINE_boolean(
        "count_choosing_seed",
        False,
        "Count the seed that chose a learning rate in mean, interval and p, too.",
        flag_values,
    )
    flags.define_weights_flag(flag_values)
    flags.define_data_flags(flag_values)
    flags.define_validation_flag(flag_values)
    flags.define_image_file_flags(flag_values)
    flags.define_augmentation_flags(flag_values)
    flags.define_seed_flag(flag_values)
    flags.define_recipe_flags(flag_values)
    flags.define_training_flags(flag_values)
    flags.define_device_flags(flag_values, multi_host=False)
    executors.define_ray_flags(flag_values)
    flags.define_output_flags(flag_values)


@dataclasses.dataclass(frozen=True)
class Grid:
    """The runs of a comparison.

    Attributes:
        networks: All of a run but activation and seed, for each network.
        activations: Activations, by name or formula.
        rates: The learning rates to try, for each network and activation.
        seeds: The first one tries all learning rates, the others repeat the best.
    """

    networks: dict[str, data.Settings]
    activations: list[str]
    rates: dict[tuple[str, str], list[float]]
    seeds: range

    @property
    def recipe_of(self) -> dict[str, recipes.Recipe]:
        """The recipe of each network."""
        return {model: chosen["recipe"] for model, chosen in self.networks.items()}

    @property
    def order(self) -> dict[str, list[str]]:
        """The order of the rows in the tables."""
        return {"model": list(self.networks), "activation": self.activations}

    def trials(self) -> list[trainer.Run]:
        """Returns the runs that try the learning rates."""
        seed = self.seeds[0]
        return [self._run(*pair, rate, seed) for pair in self.rates for rate in self.rates[pair]]

    def repetitions(self, best: dict[tuple[str, str], float]) -> list[trainer.Run]:
        """Returns the runs with the other seeds.

        Args:
            best: The learning rate that counts, of all that the folder has runs of.
        """
        # Seed by seed, so that an unfinished comparison is already a fair one.
        return [
            self._run(*pair, best[pair], seed) for seed in self.seeds[1:] for pair in self.rates
        ]

    def _run(self, model: str, activation: str, rate: float, seed: int) -> trainer.Run:
        chosen = self.networks[model]
        recipe = dataclasses.replace(chosen["recipe"], learning_rate=rate, learning_rates=())
        return trainer.Run(activation=activation, seed=seed, **{**chosen, "recipe": recipe})


def main(flag_values: FlagValues) -> None:
    """Runs the program."""
    executor = executors.from_flags(flag_values)
    devices = _devices(flag_values)
    grid = plan(flag_values)
    if flag_values.print_recipe:
        settings.print_recipes(grid.recipe_of)
        return

    dataset, grid = _load(flag_values, grid, devices)
    options = {**settings.training_options(flag_values), "devices": devices}
    grid = _check_networks(flag_values, grid, dataset, devices)
    out = _out_directory(flag_values, grid, dataset, devices)
    _check_rates(flag_values, grid, finished_runs.read_runs(out))
    _draw_inputs(out, dataset, grid)

    trials = grid.trials()
    count = len(trials) + len(grid.rates) * (len(grid.seeds) - 1)
    jobs = Jobs(out, grid, count, executor, {"dataset": dataset, **options})
    jobs.execute(trials)
    best = finished_runs.choose_learning_rates(finished_runs.read_runs(out))
    jobs.execute(grid.repetitions(best))

    _report(out, grid, flag_values)


def plan(flag_values: FlagValues) -> Grid:
    """Returns the runs that the flags ask for.

    Raises:
        ArgumentError: If there is no such network, activation or recipe.
    """
    activations = list(dict.fromkeys(flags.split(flag_values.activations)))
    if not activations:
        raise ArgumentError("activations", "name at least one, such as 'relu,swish'")
    settings.check_activations("activations", activations)
    if flag_values.learning_rate is not None and flag_values.learning_rates is not None:
        raise ArgumentError("learning_rates", "stands in place of --learning_rate; give one")
    settings_of = data.settings_for(flag_values.dataset)
    by_model = {model: settings_of(flag_values, model) for model in _networks(flag_values)}
    rates = {
        (model, activation): _learning_rates(flag_values, chosen["recipe"], activation)
        for model, chosen in by_model.items()
        for activation in activations
    }
    flags.check_seeds(flag_values, flag_values.seeds)
    seeds = range(flag_values.seed, flag_values.seed + flag_values.seeds)
    return Grid(by_model, activations, rates, seeds)


def _networks(flag_values: FlagValues) -> list[str]:
    if flag_values.models is None:
        return [settings.chosen_model(flag_values, data.default_model(flag_values.dataset))]
    if flag_values.model is not None:
        raise ArgumentError("models", "stands in place of --model; give one of them")
    names = flags.split(flag_values.models)
    settings.check_models("models", names)
    if not names:
        raise ArgumentError("models", "name at least one, such as 'resnet20'")
    return list(dict.fromkeys(names))


def _learning_rates(
    flag_values: FlagValues, recipe: recipes.Recipe, activation: str
) -> list[float]:
    is_given = flag_values.learning_rate is not None
    rates = [recipe.learning_rate] if is_given else list(dict.fromkeys(recipe.learning_rates))
    if rates and flag_values.swish_learning_rate is not None:
        raise ArgumentError(
            "swish_learning_rate",
            f"changes nothing where every activation gets {', '.join(f'{r:g}' for r in rates)}, "
            "from --learning_rate, --learning_rates or the recipe of its network; leave it out",
        )
    return rates or [recipes.for_activation(recipe, activation).learning_rate]


def _devices(flag_values: FlagValues) -> distribution.Devices:
    if flag_values.strategy != "none" and flag_values.executor != "local":
        raise ArgumentError("strategy", "needs --executor=local; a run on Ray has one device")
    return settings.started_devices(flag_values)


def _load(
    flag_values: FlagValues, grid: Grid, devices: distribution.Devices
) -> tuple[Dataset, Grid]:
    """Returns the data, and the grid with the facts of data and devices in its settings."""
    dataset = data.load(flag_values, next(iter(grid.networks.values())))
    for recipe in grid.recipe_of.values():
        settings.check_fits(recipe, dataset.training_images, devices)
    facts = {} if dataset.facts is None else {"image_files": dataset.facts}
    by_model = {
        model: {**chosen, **facts, "bn_replicas": devices.bn_replicas(chosen["recipe"])}
        for model, chosen in grid.networks.items()
    }
    return dataset, dataclasses.replace(grid, networks=by_model)


def _check_networks(
    flag_values: FlagValues, grid: Grid, dataset: Dataset, devices: distribution.Devices
) -> Grid:
    """Builds each network once, before a folder is made.

    One of the user's own may not take, or not be saved with, some of the activations.

    Returns:
        The grid with what tells these from changed ones in its settings.

    Raises:
        ArgumentError: If one cannot be built; it names the flag that gave it.
    """
    built = {
        (run.model, run.activation if builders.is_own(run.model) else None): run
        for run in grid.trials()
    }
    for run in built.values():
        try:
            training.check_network(run, dataset, devices)
        except ArgumentError as error:
            if error.argument == "model" and flag_values.models is not None:
                raise ArgumentError("models", str(error)) from error
            raise
    # It is the same for all activations.
    by_name = {run.model: run for run in built.values()}
    by_model = {
        model: {**chosen, "model_digest": training.model_digest(by_name[model], dataset)}
        for model, chosen in grid.networks.items()
    }
    return dataclasses.replace(grid, networks=by_model)


def _out_directory(
    flag_values: FlagValues, grid: Grid, dataset: Dataset, devices: distribution.Devices
) -> pathlib.Path:
    """Returns the folder, with the settings of all networks and those of each."""
    # As for a network without a recipe of its own.
    config = data.settings_for(flag_values.dataset)(flag_values, "")
    del config["model"]
    config |= {
        "image_size": flag_values.image_size,
        "bn_replicas": devices.bn_replicas(config["recipe"]),
        "recipe": _recorded(config["recipe"]),
        "backend": keras.backend.backend(),
        # None, the default, as in folders from before there was the setting.
        "baselines": flag_values.baselines if flag_values.baselines > 1 else None,
        "count_choosing_seed": flag_values.count_choosing_seed or None,
    }
    if dataset.facts is not None:
        config["image_files"] = dataset.facts
    networks = {
        model: {
            "image_size": chosen["image_size"],
            "recipe": _recorded(chosen["recipe"]),
            "model_digest": chosen["model_digest"],
        }
        for model, chosen in grid.networks.items()
    }
    return folder.out_directory(
        flag_values,
        "compare",
        config,
        networks=networks,
        order=grid.order,
        class_names=getattr(dataset, "class_names", None),
    )


def _check_rates(flag_values: FlagValues, grid: Grid, rows: list[finished_runs.Row]) -> None:
    """Refuses learning rates that cannot be compared with those that the folder has runs of.

    Raises:
        ArgumentError: If they were left out, or none of the seeds would have been run with all.
    """
    is_given = flag_values.learning_rate is not None or flag_values.learning_rates is not None
    for (model, activation), rates in grid.rates.items():
        own = [row for row in rows if (row["model"], row["activation"]) == (model, activation)]
        by_rate = finished_runs.group(own, "learning_rate")
        if not is_given and by_rate.keys() - set(rates):
            tried = ",".join(f"{rate:g}" for rate in sorted(by_rate, reverse=True))
            flag = f"--learning_rate{'s' * (len(by_rate) > 1)}={tried}"
            raise ArgumentError(
                "out", f"has runs of {model} with {activation} by {flag}: give it again, or others"
            )
        seeds = {rate: {row["seed"] for row in tried} for rate, tried in by_rate.items()}
        for rate in rates:
            seeds.setdefault(rate, set()).add(grid.seeds[0])
        if not set.intersection(*seeds.values()):
            raise ArgumentError(
                "seed",
                f"{grid.seeds[0]} is not the seed with which the folder tried other learning rates "
                f"of {model} with {activation}: all have to be tried with one",
            )


def _recorded(recipe: recipes.Recipe) -> dict[str, Any]:
    """Returns a recipe without the fields in which the runs differ."""
    fields = dataclasses.asdict(dataclasses.replace(recipe, learning_rates=()))
    del fields["learning_rate"]
    return fields


def _draw_inputs(out: pathlib.Path, dataset: Dataset, grid: Grid) -> None:
    if not (out / "inputs.png").exists():
        recipe = next(iter(grid.recipe_of.values()))
        with dataset.errors():
            sample = loggers.sample_inputs(dataset, grid.seeds[0], recipe)
        figures.inputs(loggers.as_images(sample), out / "inputs.png")


@dataclasses.dataclass
class Jobs:
    """Executes runs, skips those that are finished, and keeps the report up to date.

    Attributes:
        out: Folder of the results.
        grid: The runs.
        count: How many runs there are in all.
        executor: Where they are computed.
        shared: The arguments of `training.train` that all runs have in common.
        done: How many runs were executed, or finished before.
        trained: How many were trained here.
        began: When that began.
        written: When the report was written.
    """

    out: pathlib.Path
    grid: Grid
    count: int
    executor: Executor
    shared: dict[str, Any]
    done: int = 0
    trained: int = 0
    began: float = dataclasses.field(default_factory=time.monotonic)
    written: float = dataclasses.field(default_factory=time.monotonic)

    def execute(self, runs: list[trainer.Run]) -> None:
        """Executes runs to the end."""
        jobs = [self._job(run, number) for number, run in enumerate(runs, self.done + 1)]
        finished = [job for job in jobs if trainer.finished_result(job["directory"]) is not None]
        for job in finished:
            print(f"{job['title']}: finished before", flush=True)
        self.done += len(finished)
        jobs = [job for job in jobs if job not in finished]
        for job, result in executors.execute(self.executor, training.train, jobs, self.shared):
            if result["status"] != "ok":
                print(f"{job['title']}: {result['status']}", flush=True)
            self.done, self.trained = self.done + 1, self.trained + 1
            self._print_time_left()
            self._update_report()

    def _job(self, run: trainer.Run, number: int) -> dict[str, Any]:
        title = (
            f"[{number}/{self.count}] {run.model}, {run.activation}, "
            f"learning rate {run.recipe.learning_rate:g}, seed {run.seed}"
        )
        # A worker of Ray starts in a folder of its own.
        directory = finished_runs.directory(self.out.resolve(), run)
        return {"run": run, "directory": directory, "title": title}

    def _print_time_left(self) -> None:
        left = self.count - self.done
        if left > 0:
            seconds = (time.monotonic() - self.began) / self.trained * left
            print(f"{self.done} of {self.count} runs done, about {clock(seconds)} left", flush=True)

    def _update_report(self) -> None:
        # Figures take a second, and a run may take no longer.
        if time.monotonic() - self.written > REPORT_SECONDS:
            comparison.write(self.out, finished_runs.read_runs(self.out, self.grid.order))
            self.written = time.monotonic()


def _report(out: pathlib.Path, grid: Grid, flag_values: FlagValues) -> None:
    rows = finished_runs.read_runs(out, grid.order)
    comparison.write(out, rows)
    chosen = [row for row in rows if row["chosen"]]
    rates = finished_runs.rates_tried(rows)
    count_all = flag_values.count_choosing_seed
    counted = finished_runs.counted(chosen, count_all)
    answer = verdicts.answer(counted, flag_values.baselines, rates).replace("**", "")
    print(f"\n{answer}\n\nTest accuracy in percent:\n")
    print(f"{comparison.summary(chosen, flag_values.baselines, count_all)}\n")
    print(f"results: {out} (results.csv, table.md, report.html)")


if __name__ == "__main__":
    app.run(main, define_flags)
