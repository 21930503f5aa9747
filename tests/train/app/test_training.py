"""A new kind of data: one class, and a program that trains on it."""

import contextlib
import dataclasses
import json
import pathlib
import re
import sys

import keras
import numpy as np
import pytest

import keras_swish
from keras_swish import models
from keras_swish.train.app import flags, settings, training
from keras_swish.train.app import main as app
from keras_swish.train.errors import DataError
from keras_swish.train.trainer import distribution, trainer

WORDS, LENGTH = 20, 6


class Batches(keras.utils.PyDataset):
    """Sentences of word numbers, drawn from the number of the batch."""

    def __init__(self, batch_size, seed, first, count, log):
        super().__init__()
        self.batch_size, self.seed, self.first, self.count, self.log = (
            batch_size,
            seed,
            first,
            count,
            log,
        )

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if self.log is not None:
            self.log.write_text("read")
        random = np.random.default_rng([self.seed, self.first + index])
        labels = random.integers(0, 2, self.batch_size)
        # Each class has words of its own.
        words = random.integers(0, WORDS // 2, (self.batch_size, LENGTH))
        return words + labels[:, None] * WORDS // 2, np.eye(2, dtype="float32")[labels]


@dataclasses.dataclass(frozen=True)
class Text:
    """A `base.Dataset` that is not of images."""

    log: pathlib.Path | None = None
    broken: bool = False
    classes = 2
    input_shape = (LENGTH,)
    training_images = 160
    facts = None

    def training(self, batch_size, seed, first_step, steps, shard=(0, 1), augmentation=None):
        return Batches(batch_size, seed, first_step, steps, self.log)

    def evaluation(self, split, batch_size, shard=(0, 1), pad=False):
        return Batches(batch_size, 99 if split == "test" else 98, 0, 4, self.log)

    def for_run(self, run, directory):
        return dataclasses.replace(self, log=directory / "text.txt")

    @contextlib.contextmanager
    def errors(self):
        if self.broken:
            raise DataError("not one sentence can be read")
        yield


def build(input_shape, classes, activation, classifier_activation, bn_momentum, name):
    return keras.Sequential(
        [
            keras.Input(input_shape, dtype="int32"),
            keras.layers.Embedding(WORDS, 4),
            keras_swish.layer(activation),
            keras.layers.GlobalAveragePooling1D(),
            keras.layers.Dense(classes, activation=classifier_activation),
        ],
        name=name,
    )


def define_flags(flag_values):
    flags.define_activation_flag(flag_values)
    flags.define_seed_flag(flag_values)
    flags.define_recipe_flags(flag_values)
    flags.define_training_flags(flag_values)
    flags.define_output_flags(flag_values)


def main(flag_values):
    """Runs the program."""
    recipe = settings.chosen_recipe(flag_values, "short", "text_network")
    run = trainer.Run("sentences", "text_network", flag_values.activation, flag_values.seed, recipe)
    broken = flag_values.dtype_policy != "float32"
    training.train_one(flag_values, "text", run, Text(broken=broken), distribution.ONE_DEVICE)


@pytest.fixture
def run_program(monkeypatch, capsys):
    """Runs the program for text; returns its exit code, stdout and stderr."""
    monkeypatch.setitem(models.BUILDERS, "text_network", build)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["text", *arguments])
        try:
            app.run(main, define_flags)
            code = 0
        except SystemExit as error:
            code = error.code
        return code, *capsys.readouterr()

    return run


@pytest.mark.slow
def test_a_third_kind_of_data_is_one_class_and_its_program(run_program, tmp_path):
    out = tmp_path / "run"
    flags = ("--epochs=9", "--learning_rate=1", "--batch_size=16", "--activation=swish_beta")
    code, printed, err = run_program(*flags, f"--out={out}")
    assert code == 0, err
    assert float(re.search(r"test accuracy (.*)%", printed)[1]) > 95
    assert json.loads((out / "config.json").read_text())["config"]["program"] == "text"
    assert (out / "text.txt").exists()
    assert keras.saving.load_model(out / trainer.MODEL).input_shape == (None, LENGTH)
    code, printed, _ = run_program("--help")
    assert "--dataset" not in printed


def test_its_errors_end_the_program_with_one_line(run_program, tmp_path):
    code, _, err = run_program("--dtype_policy=mixed_bfloat16", f"--out={tmp_path / 'run'}")
    assert code == 1
    assert err == "text: not one sentence can be read\n"
