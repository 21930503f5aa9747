"""Functions that the benchmarks of the search share: children to train, numbers to write."""

import argparse
import pathlib
import sys
from typing import Any

from keras_swish import io
from keras_swish.search import Child, SearchSpace, Study, executors
from keras_swish.train import search
from keras_swish.train.datasets import in_memory
from keras_swish.train.trainer import trainer
from keras_swish.train.trainer.environment import environment


def parser(text: str) -> argparse.ArgumentParser:
    """Returns a parser that prints the benchmark's text as it is, and has `--out`."""
    made = argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--out", type=_folder, help="folder for the numbers; made if need be")
    return made


def fashion_mnist_child(
    space: SearchSpace, data_dir: str | None, settings: search.DatasetChild = search.DEFAULT_CHILD
) -> Child:
    """Returns a child on Fashion-MNIST, by default the shallow one; equal in every run."""
    trainer.make_deterministic()
    dataset = in_memory.load("fashion_mnist", data_dir, image_size=settings.image_size)
    return search.build(dataset, settings, space)


def show(row: dict[str, Any]) -> None:
    """Prints a row of a table, each value with its name."""
    print(*(f"{key}: {value}" for key, value in row.items()), sep="  ")


def write(out: pathlib.Path | None, name: str, rows: list[dict[str, Any]], **more: Any) -> None:
    """Writes NAME.csv, and NAME.json with the command, the machine and further entries."""
    if out:
        io.write_csv(out / f"{name}.csv", rows)
        record = {"command": ["python", *sys.argv], **more, "environment": environment()}
        io.write_json(out / f"{name}.json", record)


def complete(
    executor: executors.Executor,
    study: Study,
    jobs: list[tuple],
    done: executors.Done | None = None,
) -> None:
    """Has an executor train what a study lacks of the jobs, and writes it there."""
    left = [job for job in jobs if job[1] not in study.outcomes[job[0]]]
    print(f"{len(left)} children to train", flush=True)
    for job, outcome in executors.compute_all(executor, left, done):
        study.add(*job, outcome)


def _folder(text: str) -> pathlib.Path:
    # Before hours of measuring, not after.
    path = pathlib.Path(text)
    path.mkdir(parents=True, exist_ok=True)
    return path
