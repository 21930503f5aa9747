r"""Searches for activation functions: which make a network learn best?

Every candidate is b(u1(x), u2(x)) of the paper's primitives, in one core unit or more. A small
network, the child, is trained with one candidate after the other; its validation accuracy is
the candidate's reward. Then the best are trained with more seeds.

Examples:
  keras-swish search
      a hundred candidates of one core unit, proposed by a Gaussian process over their shape, in a
      narrow ResNet-8 on the digits of scikit-learn: minutes on two cores.
  keras-swish search --algorithm=rl
      proposed by the paper's controller.
  keras-swish search --algorithm=evolution --max_trials=300 --core_units=2
      another algorithm, in the space of two core units.
  keras-swish search --dataset=fashion_mnist
      in a narrow ResNet-32, which ranks functions much as a ResNet-56 of full width: an hour.
  keras-swish search --dataset=fashion_mnist --model=resnet8 --filters=8,16,32 \
      --learning_rate=0.1 --algorithm=exhaustive --max_trials=none --top=0.25 --top_seeds=4 \
      --out=runs/exhaustive
      every function of one core unit, and the top quarter with four seeds: hours. Interrupted
      and given again, it resumes. What helps a shallow child need not help a deeper one.
  keras-swish search --start=mine.txt --max_trials=0
      the functions of a file, a formula or name a line, and nothing else.
  optuna-dashboard runs/exhaustive/study.log
      watches a search in a browser.
  keras-swish search --executor=ray --run_cpus=1 --max_trials=500 --pruner=halving --epochs=9
      on the Ray cluster that RAY_ADDRESS names, or as many processes of this machine as it has
      cores; children that do worse than two thirds of the others are stopped early.

The folder --out gets study.log, Optuna's journal of every trained child; and at the end, or when it
is interrupted or gets SIGTERM, results.csv (a row a candidate, the best first), table.md,
report.html (the same page in one file) and its figures. `keras-swish report` writes these at any
other time, and `keras-swish confirm` compares the best with ReLU and Swish in new runs.
"""

import dataclasses
import importlib.util
import itertools
import pathlib
import shlex
import signal
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from absl import flags
from absl.flags import FlagValues

from keras_swish import io, models
from keras_swish.search import (
    Child,
    ChildConfig,
    Outcome,
    Pruner,
    Race,
    Result,
    Search,
    SearchSpace,
    Study,
    algorithms,
    functions,
)
from keras_swish.search.executors import Executor, start_for
from keras_swish.search.insight.naming import readable
from keras_swish.search.space import MOST_UNITS, Candidate

from .app import executors, folder
from .app import flags as groups
from .app import main as app
from .app.settings import check_models
from .datasets import in_memory
from .datasets.augmentation import Batches
from .errors import ArgumentError, PreemptedError, UsageError, as_argument_error
from .reporting import search_report
from .trainer import builders, trainer
from .trainer.model import gives_probabilities

# What the recipe of all children has in common.
_RECIPE = ChildConfig(batch_size=128, learning_rate=0.1, optimizer="sgd")


@dataclasses.dataclass(frozen=True)
class DatasetChild:
    """The child of a dataset.

    Attributes:
        model: Name of the network.
        filters: Filters of its three stages, or None: those of the network.
        image_size: Side to scale the images to, or None.
        images: How many images to train on, or None: all.
        config: How it is trained.
    """

    model: str = "resnet8"
    filters: tuple[int, ...] | None = (8, 16, 32)
    image_size: int | None = 14
    images: int | None = 10240
    config: ChildConfig = _RECIPE


# That of Fashion-MNIST is the cheapest that ranks functions much as the target of docs/study.md.
CHILDREN = {
    "digits": DatasetChild(
        image_size=None,
        images=None,
        config=dataclasses.replace(_RECIPE, epochs=6, batch_size=64),
    ),
    "fashion_mnist": DatasetChild(
        model="resnet32", config=dataclasses.replace(_RECIPE, learning_rate=0.03)
    ),
}
DEFAULT_CHILD = DatasetChild()
_UNLIMITED = "none"
# The flags of each.
_NETWORK_FLAGS = ("model", "image_size", "images")
_CONFIG_FLAGS = ("epochs", "batch_size", "learning_rate", "bn_momentum")


def define_flags(flag_values: FlagValues) -> None:
    """Defines the flags of the program."""
    flags.DEFINE_string(
        "algorithm",
        algorithms.DEFAULT,
        "'surrogate' (a Gaussian process over the shape of functions), 'rl' (the paper's "
        "controller), 'pqt' (which also imitates the best so far), 'evolution', 'random', "
        "'exhaustive', or a sampler of Optuna: 'optuna:TPESampler'.",
        flag_values,
    )
    flags.DEFINE(
        _Count(),
        "max_trials",
        100,
        "How many different candidates the algorithm may try; 'none': until it finds nothing new, "
        "which takes very long with two core units; 0: --start alone is trained.",
        flag_values,
    )
    flags.DEFINE_string(
        "start",
        None,
        "Text file of functions to train first, a formula or name of an activation a line.",
        flag_values,
    )
    flags.DEFINE_integer(
        "top_seeds",
        4,
        "Seeds that the best are trained with.",
        lower_bound=1,
        flag_values=flag_values,
    )
    flags.DEFINE_float(
        "top",
        0.1,
        "Which part of the candidates the best are.",
        lower_bound=0.0,
        upper_bound=1.0,
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "core_units",
        1,
        "Core units of a candidate.",
        lower_bound=1,
        upper_bound=MOST_UNITS,
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "images", None, "Images to train a child on.", lower_bound=1, flag_values=flag_values
    )
    flags.DEFINE_list("filters", None, "Filters of the child's three stages: 8,16,32.", flag_values)
    flags.DEFINE_enum(
        "pruner",
        "none",
        ["none", "halving"],
        "What stops children early: 'halving' those that do worse than two thirds after 1, 3, 9, "
        "... epochs.",
        flag_values,
    )
    groups.define_model_flag(flag_values, "By default resnet8; resnet32 for fashion_mnist.")
    groups.define_data_flags(flag_values)
    flag_values[
        "test_split"
    ].help = "Split that the dataset has for tests, by default 'test'; a search leaves it alone."
    groups.define_seed_flag(flag_values)
    groups.define_recipe_fields(flag_values, (*_CONFIG_FLAGS, "warmup_epochs", "learning_rates"))
    flag_values["learning_rates"].help = (
        "Learning rates, such as 0.1,0.03, in place of --learning_rate: a child is trained with "
        "each, and its reward is the best."
    )
    executors.define_ray_flags(flag_values)
    groups.define_output_flags(flag_values)


class _Count(flags.ArgumentParser):
    """Reads a number of candidates, or 'none' for any."""

    def parse(self, argument: Any) -> int | str:
        """Returns the number, or 'none'."""
        if str(argument).lower() == _UNLIMITED:
            return _UNLIMITED
        if str(argument).isascii() and str(argument).isdigit():
            return int(argument)
        raise ValueError(f"must be a whole number, or {_UNLIMITED!r} for no limit")

    def flag_type(self) -> str:
        """Returns the type's name."""
        return "whole number or 'none'"


def main(flag_values: FlagValues) -> None:
    """Runs the program."""
    if importlib.util.find_spec("optuna") is None:
        raise UsageError("the search needs Optuna: pip install 'keras-swish[search]'")
    groups.check_seeds(flag_values, flag_values.top_seeds if flag_values.top else 1)
    executor = executors.from_flags(flag_values, limit_threads=True)
    settings = _child_settings(flag_values)
    if flag_values.pruner != "none" and settings.config.epochs == 1:
        raise ArgumentError("pruner", "stops children between epochs, and they have a single one")
    if flag_values.pruner != "none" and len(settings.config.rates) > 1:
        raise ArgumentError("pruner", "takes children of one learning rate; leave it out")
    space = SearchSpace(flag_values.core_units)
    with as_argument_error("algorithm"):
        algorithm = algorithms.create(flag_values.algorithm, space, flag_values.seed)
    with as_argument_error("start"):
        file = None if flag_values.start is None else pathlib.Path(flag_values.start)
        start = functions.read(file, space)
    if flag_values.max_trials == 0 and not start:
        raise ArgumentError("max_trials", "trains the functions of --start alone: name some")
    config = {
        "dataset": flag_values.dataset,
        "train_split": flag_values.train_split,
        "child": io.as_json({**dataclasses.asdict(settings), "filters": settings.filters or ()}),
        "core_units": space.core_units,
        "backend": keras.backend.backend(),
    }
    if flag_values.out is not None and (out := pathlib.Path(flag_values.out).expanduser()).exists():
        folder.check(out, "search", config)
    trainer.make_deterministic()
    child = build(_dataset(flag_values, settings), settings, space)
    out = folder.claim(flag_values, "search", config)
    print(_introduction(flag_values, child, settings, out), flush=True)
    _search(flag_values, out, child, start, algorithm, executor)


def _introduction(
    flag_values: FlagValues, child: Child, settings: DatasetChild, out: pathlib.Path
) -> str:
    """Returns what the search is about to do, in a few lines."""
    space, epochs = child.space, settings.config.epochs
    units = "one core unit" if space.core_units == 1 else f"{space.core_units} core units"
    size = str(space.survey()) if space.core_units == 1 else f"{len(space):,} choices"
    images, judging = len(child.train_data[1]), len(child.validation[1])
    trials = "as many as it finds"
    if flag_values.max_trials != _UNLIMITED:
        trials = f"up to {flag_values.max_trials}" if flag_values.max_trials else "none"
    rates = ", ".join(f"{rate:g}" for rate in settings.config.rates)
    rates = f", at each of the learning rates {rates}" if "," in rates else ""
    race = f"Then the best {flag_values.top:.0%} get {flag_values.top_seeds} seeds in all, and "
    if not flag_values.top or flag_values.top_seeds == 1:
        race = "Then "
    return "\n".join(
        [
            f"Searches for the activation function with which {settings.model} learns "
            f"{flag_values.dataset} best.",
            f"Functions of {units}: {size}.",
            f"{flag_values.algorithm} proposes {trials} of them. With each the network is trained "
            f"for {epochs} epoch{'s' * (epochs > 1)} on {images} images{rates}; its reward is the "
            f"accuracy on {judging} others. {race}the report ranks all.",
            f"Results go to {out}. To watch: optuna-dashboard "
            f"{shlex.quote(str(out / search_report.STUDY))}",
            f"Interrupted, it resumes with the same command and --out={shlex.quote(str(out))}.",
            "A line a training: its number, reward, function, seed and time.",
        ]
    )


def _search(
    flag_values: FlagValues,
    out: pathlib.Path,
    child: Child,
    start: list[functions.Function],
    algorithm: algorithms.Algorithm,
    executor: Executor,
) -> None:
    with executors.as_flag_error(executor):
        start_for(child, executor)
    with executor:
        with as_argument_error("out"):
            study = Study(child.space, child.fingerprint(), out / search_report.STUDY)
            search_report.check_none_lost(out, study)
            number = itertools.count(1)
            search = Search(
                child,
                study,
                algorithm,
                flag_values.algorithm,
                flag_values.seed,
                lambda *arguments: _print(next(number), child.space, *arguments),
                executor,
                Pruner(flag_values.pruner, study) if flag_values.pruner != "none" else None,
            )
        folder.record_start(out)  # not of a command that was refused
        result = Result(study, child, search.progress, tuple(start))
        references = [functions.find(name, child.space) for name in functions.REFERENCES]
        # In place of Ray's handler, which ends the process within seconds, without a report.
        before = signal.signal(signal.SIGTERM, _stop)
        try:
            search.begin(start, references)
            compared = (f"{one.formula} {one.mean:.4f}" for one in result.references())
            print(f"to compare with: {', '.join(compared)} (accuracy)", flush=True)
            unlimited = flag_values.max_trials == _UNLIMITED
            search.explore(None if unlimited else flag_values.max_trials)
            if flag_values.top:
                search.race(Race(flag_values.top_seeds, flag_values.top))
        finally:
            if search_report.has_results(study):
                search_report.write(out, study, out)
            signal.signal(signal.SIGTERM, before)
    written = "results.csv, table.md, report.html"
    print(f"\n{result.table()}\n\nresults: {out} ({written}, {search_report.STUDY})")
    print(f"\n{result.summary()}\nnext: keras-swish confirm {shlex.quote(str(out))}")


def _stop(*_: object) -> None:
    raise PreemptedError("stopped by SIGTERM, and saved")


def _print(
    number: int, space: SearchSpace, candidate: Candidate, seed: int, outcome: Outcome
) -> None:
    note = "" if outcome.status == "ok" else f" ({outcome.status})"
    function = readable(space.formula(candidate))
    line = f"{number:5}  {outcome.reward:.4f}{note}  {function}  (seed {seed}, "
    print(f"{line}{outcome.seconds:.1f} s)", flush=True)


def _child_settings(flag_values: FlagValues) -> DatasetChild:
    """Returns the child that the flags describe."""
    settings = CHILDREN.get(flag_values.dataset, DEFAULT_CHILD)
    given = _given(flag_values, _NETWORK_FLAGS)
    if flag_values.filters is not None:
        try:
            given["filters"] = tuple(map(int, flag_values.filters))
        except ValueError:
            raise ArgumentError("filters", "must be whole numbers, such as 8,16,32") from None
        if not given["filters"]:
            raise ArgumentError("filters", "name three, such as 8,16,32")
    elif "model" in given:
        # Any network of the zoo: not all take filters as resnet8 does.
        given["filters"] = None
    config = settings.config
    for name, value in _given(flag_values, _CONFIG_FLAGS).items():
        with as_argument_error(name):
            config = dataclasses.replace(config, **{name: value})
    if (warmup := flag_values.warmup_epochs) is not None:
        if warmup >= config.epochs:
            raise ArgumentError("warmup_epochs", f"a child is trained for {config.epochs} in all")
        config = dataclasses.replace(config, warmup=warmup / config.epochs)
    if flag_values.learning_rates is not None:
        if flag_values.learning_rate is not None:
            raise ArgumentError("learning_rates", "stands in place of --learning_rate; give one")
        with as_argument_error("learning_rates"):
            config = dataclasses.replace(config, learning_rate=flag_values.learning_rates)
    settings = dataclasses.replace(settings, **given, config=config)
    check_models("model", [settings.model])
    if settings.filters and builders.is_own(settings.model):
        raise ArgumentError("filters", f"{settings.model} takes none")
    return settings


def _given(flag_values: FlagValues, names: tuple[str, ...]) -> dict[str, Any]:
    return {n: flag_values[n].value for n in names if flag_values[n].value is not None}


def _dataset(flag_values: FlagValues, settings: DatasetChild) -> in_memory.ImageArrays:
    dataset = in_memory.load(
        flag_values.dataset,
        flag_values.data_dir,
        flag_values.train_split,
        "test" if flag_values.test_split is None else flag_values.test_split,
        settings.image_size,
    )
    images = len(dataset.train)
    if flag_values.images and flag_values.images > images:
        raise ArgumentError("images", f"there are {images} to train on")
    images = min(images, settings.images or images)
    if settings.config.batch_size and settings.config.batch_size > images:
        flag = "batch_size" if flag_values["batch_size"].present else "images"
        raise ArgumentError(
            flag, f"a batch of {settings.config.batch_size} is larger than {images} images"
        )
    return dataset


def build(
    dataset: in_memory.ImageArrays,
    settings: DatasetChild,
    space: SearchSpace,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Child:
    """Returns the child of a dataset.

    Args:
        dataset: What to train and validate on.
        settings: Its network, and how it is trained.
        space: The search space.
        callbacks: Keras's callbacks, of which each child gets copies. They are told loss and
            accuracy of each epoch, and its outcome has those of the last one.
    """
    if builders.is_own(settings.model):
        with as_argument_error("model"):
            model = builders.create(settings.model, dataset, activation=None)
        from_logits = not gives_probabilities(model, dataset.input_shape)
    else:
        model, from_logits = _of_the_zoo(dataset, settings), True
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits)
    if callbacks:
        # Or each epoch would be validated once for them, and once more for the reward.
        model.compile(loss=loss, metrics=["accuracy"])
    with as_argument_error("dataset"):
        return Child(
            model,
            arrays(dataset, dataset.train[: settings.images]),
            arrays(dataset, dataset.validation),
            space,
            settings.config,
            loss,
            objective="val_accuracy" if callbacks else None,
            callbacks=callbacks,
        )


def _of_the_zoo(dataset: in_memory.ImageArrays, settings: DatasetChild) -> keras.Model:
    filters: dict[str, Any] = {"filters": settings.filters} if settings.filters else {}
    with as_argument_error("filters" if filters else "model"):
        try:
            return models.create(
                settings.model,
                input_shape=dataset.input_shape,
                classes=dataset.classes,
                classifier_activation=None,
                **filters,
            )
        except TypeError as error:
            if not filters:
                raise
            raise ArgumentError("filters", f"{settings.model} takes none") from error


def arrays(dataset: in_memory.ImageArrays, split: in_memory.Split) -> tuple[np.ndarray, np.ndarray]:
    """Returns a split's images, normalised, and its labels."""
    images, _ = Batches(dataset, split, len(split))[0]
    return images, split.labels


if __name__ == "__main__":
    app.run(main, define_flags)
