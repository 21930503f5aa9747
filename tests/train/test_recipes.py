import dataclasses

import keras
import numpy as np
import pytest

from keras_swish import models
from keras_swish.train import recipes

RECIPE = recipes.Recipe("a test", epochs=10, batch_size=8, learning_rate=0.4, schedule="cosine")


def rates(recipe, steps_per_epoch=10):
    schedule = recipes.learning_rate_schedule(recipe, steps_per_epoch)
    steps = np.arange(recipe.epochs * steps_per_epoch)
    return np.array([float(schedule(step)) for step in steps])


def test_cosine_warms_up_and_falls_to_zero():
    rate = rates(dataclasses.replace(RECIPE, warmup_epochs=2))
    assert rate[0] == pytest.approx(0.04)
    assert rate[20] == pytest.approx(0.4)
    assert rate.max() == pytest.approx(0.4)
    assert (np.diff(rate[:20]) > 0).all()
    assert (np.diff(rate[21:]) < 0).all()
    assert rate[60] == pytest.approx(0.2)
    assert rate[-1] < 0.001


def test_cosine_without_warm_up_starts_at_the_top():
    assert rates(RECIPE)[0] == pytest.approx(0.4)


def test_step_schedule_is_that_of_he_et_al():
    rate = rates(dataclasses.replace(RECIPE, schedule="step", warmup_epochs=1))
    np.testing.assert_allclose(rate[[0, 9]], 0.04, rtol=1e-6)
    np.testing.assert_allclose(rate[[11, 49]], 0.4, rtol=1e-6)
    np.testing.assert_allclose(rate[[51, 74]], 0.04, rtol=1e-6)
    np.testing.assert_allclose(rate[[76, 99]], 0.004, rtol=1e-6)


@pytest.mark.parametrize(
    ("steps", "momentum"), [(10, 0.0), (100, 0.8), (190, 0.8947), (2000, 0.99), (10**6, 0.99)]
)
def test_moving_statistics_have_converged_when_a_run_ends(steps, momentum):
    assert recipes.converged_bn_momentum(steps) == pytest.approx(momentum, abs=1e-4)
    # What is left of the initial values, whatever the length of the run.
    assert momentum**steps < 1e-8


def test_kernels_are_decayed_and_a_beta_only_on_request():
    model = models.create("resnet8", activation="swish_beta")
    kernels = {id(v) for v in model.trainable_variables if len(v.shape) in (2, 4)}
    betas = {id(layer.beta) for layer in model.layers if type(layer).__name__ == "Swish"}
    assert len(kernels) == 8
    assert len(betas) == 7
    decayed = {id(v) for v in recipes.decayed_variables(model, RECIPE)}
    assert decayed == kernels
    asked = dataclasses.replace(RECIPE, decay_activations=True)
    assert {id(v) for v in recipes.decayed_variables(model, asked)} == kernels | betas


def test_weight_decay_adds_the_weight_times_the_coefficient_to_the_gradient():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
    recipes.apply_weight_decay(model, dataclasses.replace(RECIPE, weight_decay=0.1))
    model.compile(keras.optimizers.SGD(1.0), "mse")
    model.train_on_batch(np.zeros((4, 2), "float32"), np.zeros((4, 1), "float32"))
    np.testing.assert_allclose(model.layers[0].kernel, 1 - 0.1, rtol=1e-6)


def test_an_unknown_schedule_is_refused():
    with pytest.raises(ValueError, match="Received: 'linear'"):
        dataclasses.replace(RECIPE, schedule="linear")


@pytest.mark.parametrize(("schedule", "warmup"), [("cosine", 10), ("step", 5), ("cosine", 9.99)])
def test_a_warm_up_that_leaves_no_steps_is_refused(schedule, warmup):
    recipe = dataclasses.replace(RECIPE, schedule=schedule, warmup_epochs=warmup)
    with pytest.raises(ValueError, match="too long") as caught:
        recipes.learning_rate_schedule(recipe, 10)
    assert caught.value.argument == "warmup_epochs"


def test_every_recipe_cites_its_source():
    assert all(recipe.source for recipe in recipes.RECIPES.values())
