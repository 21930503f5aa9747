import sys
import types

import keras
import numpy as np
import pytest
from small_run import run

import keras_swish
from keras_swish.train.trainer import loggers, recipes, trainer


@pytest.mark.slow
@pytest.mark.usefixtures("small")
def test_tensorboard_log_is_written(tiny, tmp_path):
    pytest.importorskip("tensorboard")
    pytest.importorskip("tensorflow")
    trainer.train(run(epochs=1), tiny, tmp_path, tensorboard=True)
    assert list(tmp_path.glob("tensorboard/train/*tfevents*"))
    assert list(tmp_path.glob("tensorboard/validation/*tfevents*"))


@pytest.mark.parametrize(("activation", "count"), [("relu", 2), ("linear", 1)])
def test_a_network_without_activations_has_no_histograms_of_them(activation, count, tiny, tmp_path):
    pytest.importorskip("tensorboard")
    pytest.importorskip("tensorflow")
    layers = [keras.Input((8, 8, 1)), keras.layers.Conv2D(2, 3), keras_swish.layer(activation)]
    model = keras.Sequential(layers)
    reports = loggers.callbacks(model, run(), tiny, tmp_path, tensorboard=True, wandb=False)
    assert len(reports) == count
    # The first epoch would end with an error.
    for report in reports[1:]:
        report.set_model(model)
        report.on_epoch_begin(0)


@pytest.fixture
def wandb(monkeypatch):
    """Stands in for Weights & Biases: `finished` has the runs that were ended."""
    module, integration = types.ModuleType("wandb"), types.ModuleType("wandb.integration.keras")
    module.run, module.finished = None, []

    def init(**settings):
        # As Weights & Biases does, it returns the run that there is.
        module.run = module.run or types.SimpleNamespace(**settings)
        module.run.finish = lambda run=module.run: module.finished.append(run)
        return module.run

    module.init, module.finish = init, lambda: module.finished.append(module.run)
    integration.WandbMetricsLogger = keras.callbacks.Callback
    for each in (module, types.ModuleType("wandb.integration"), integration):
        monkeypatch.setitem(sys.modules, each.__name__, each)
    return module


def report(directory, wanted):
    model = keras.Sequential()
    reports = loggers.callbacks(model, run(), None, directory, tensorboard=False, wandb=wanted)
    with loggers.finishing(reports):
        pass


def test_a_report_to_wandb_is_ended(wandb, tmp_path):
    report(tmp_path, True)
    assert [each.project for each in wandb.finished] == ["keras-swish"]


@pytest.mark.parametrize("wanted", [True, False])
def test_a_wandb_run_of_ones_own_stays_open(wanted, wandb, tmp_path):
    wandb.init(project="mine")
    report(tmp_path, wanted)
    assert wandb.finished == []


@pytest.mark.parametrize("others", [{}, {"accumulation_steps": 2}, {"mixup": 0.8}])
def test_the_sample_is_what_the_run_is_trained_on_first(others, tiny):
    pytest.importorskip("tensorflow")
    recipe = run(batch_size=48, **others).recipe
    augmentation = recipes.augmentation(recipe)
    batches = tiny.training(recipe.part, 3, 0, 4, augmentation=augmentation)
    expected = np.asarray(next(iter(batches))[0])[:32]
    np.testing.assert_array_equal(loggers.sample_inputs(tiny, 3, recipe), expected)


def test_inputs_of_two_channels_are_shown_as_one(monkeypatch):
    inputs = np.random.default_rng(0).normal(size=(3, 8, 8, 2))
    images = loggers.as_images(inputs)
    assert images.shape == (3, 8, 8, 1)
    monkeypatch.setattr(keras.config, "image_data_format", lambda: "channels_first")
    np.testing.assert_array_equal(loggers.as_images(np.moveaxis(inputs, -1, 1)), images)
