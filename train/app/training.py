"""Trains runs for the programs: one with its result printed, or any as an executor's job."""

import dataclasses
import pathlib
from typing import Any

import keras
from absl.flags import FlagValues

from ..datasets.base import Dataset
from ..errors import DivergedError, as_argument_error
from ..trainer import builders, distribution, model, trainer
from . import folder, settings


def train(
    run: trainer.Run, dataset: Dataset, directory: pathlib.Path, **options: Any
) -> dict[str, Any]:
    """Trains a run on its data, as `trainer.train` does, which takes the same arguments.

    Raises:
        DataError: If too much of the data cannot be read.
    """
    dataset = dataset.for_run(run, directory)
    with dataset.errors():
        return trainer.train(run, dataset, directory, **options)


def check_network(run: trainer.Run, dataset: Dataset, devices: distribution.Devices) -> None:
    """Builds the network of a run, which may not fit the data, before a folder is made for it.

    Raises:
        ArgumentError: If it cannot be built.
    """
    keras.utils.clear_session()
    dataset = dataset.for_run(run, pathlib.Path())  # in the run's size; nothing is written
    with devices.scope():
        network = model.build(run, dataset)
    if builders.is_own(run.model):
        with as_argument_error("model"):
            builders.check_loads(run.model, model.classifier(network))


def model_digest(run: trainer.Run, dataset: Dataset) -> str | None:
    """Returns `builders.digest` of the network of a run, which `check_network` has let pass."""
    images: Any = dataset.for_run(run, pathlib.Path())
    return builders.digest(run.model, images, run.dtype_policy)


def train_one(
    flag_values: FlagValues,
    program: str,
    run: trainer.Run,
    dataset: Dataset,
    devices: distribution.Devices,
) -> None:
    """Trains, tests and prints the one run of a program.

    Args:
        flag_values: The flags.
        program: Name of the program, which the folder of the results records.
        run: The run.
        dataset: Its data.
        devices: The devices that are started.

    Raises:
        DivergedError: If its loss did not stay finite.
    """
    run = dataclasses.replace(run, bn_replicas=devices.bn_replicas(run.recipe))
    settings.check_fits(run.recipe, dataset.training_images, devices)
    options = settings.training_options(flag_values)
    check_network(run, dataset, devices)
    run = dataclasses.replace(run, model_digest=model_digest(run, dataset))
    names = getattr(dataset, "class_names", None)
    out = folder.out_directory(flag_values, program, run.config(), devices, class_names=names)
    result = train(run, dataset, out, **options, devices=devices)
    if result["status"] != "ok":
        raise DivergedError(result["status"])
    print(f"test accuracy {result['test_accuracy']:.2%}")
    if "test_top_5_accuracy" in result:
        print(f"test top-5 accuracy {result['test_top_5_accuracy']:.2%}")
    print(f"results: {out}")
