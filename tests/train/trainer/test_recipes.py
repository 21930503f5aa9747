import dataclasses
import itertools

import numpy as np
import pytest

from keras_swish import models, optimizers
from keras_swish.train.trainer import builders, recipes

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


def test_wide_residual_networks_get_a_fifth_three_times():
    recipe = dataclasses.replace(recipes.RECIPES["wrn_28_10"])
    schedule = recipes.learning_rate_schedule(recipe, 10)
    found = [float(schedule(10 * epoch + 5)) for epoch in (0, 59, 61, 121, 161, 199)]
    np.testing.assert_allclose(found, [0.1, 0.1, 0.02, 0.004, 0.0008, 0.0008], rtol=1e-5)


def test_nasnets_learning_rate_falls_every_2_4_epochs():
    schedule = recipes.learning_rate_schedule(recipes.RECIPES["nasnet_mobile"], 100)
    found = [float(schedule(step)) for step in (0, 239, 241, 481)]
    np.testing.assert_allclose(found, [0.04, 0.04, 0.04 * 0.97, 0.04 * 0.97**2], rtol=1e-5)


IMAGENET = ["nasnet_mobile", "inception_v3", "inception_v4", "inception_resnet_v2", "mobilenet"]


@pytest.mark.parametrize("name", IMAGENET)
def test_imagenets_recipes_are_what_the_papers_share(name):
    recipe = recipes.RECIPES[name]
    recipe = recipes.scaled(recipe, recipe.reference_batch or recipe.batch_size)
    optimizer = recipes.optimizer(recipe, 100)
    assert isinstance(optimizer, optimizers.RMSprop)
    assert (optimizer.rho, optimizer.momentum, optimizer.epsilon) == (0.9, 0.9, 1.0)
    assert optimizer.use_ema
    assert optimizer.ema_momentum == 0.9999
    assert optimizer.global_clipnorm == {"nasnet_mobile": 10.0, "inception_v3": 2.0}.get(name)
    assert recipe.schedule == "exponential"
    assert recipe.label_smoothing == 0.1
    assert recipe.weight_decay == 4e-5
    assert recipe.steps
    assert recipe.auxiliary_weight == (0.0 if name == "mobilenet" else 0.4)
    assert len(recipe.learning_rates) == 3
    for swish in ("swish", "swish_beta"):
        assert recipes.for_activation(recipe, swish).learning_rate < recipe.learning_rate
    assert recipes.for_activation(recipe, "relu") is recipe


@pytest.mark.parametrize("name", [name for name in recipes.RECIPES if name in models.BUILDERS])
def test_a_networks_recipe_asks_for_parts_that_it_has(name):
    recipe = recipes.RECIPES[name]
    arguments = recipes.network_arguments(recipe, name, 10)
    assert arguments.get("auxiliary", False) == (recipe.auxiliary_weight > 0)
    assert arguments.get("dropout") == recipe.dropout


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("auxiliary_weight", 0.4, "resnet20 has no auxiliary"),
        ("dropout", 0.5, "resnet20 has no dropout"),
        ("drop_path", 0.3, "resnet20 has no drop path"),
    ],
)
def test_a_part_that_the_network_lacks_is_named(field, value, message):
    with pytest.raises(ValueError, match=message) as caught:
        recipes.network_arguments(dataclasses.replace(RECIPE, **{field: value}), "resnet20", 10)
    assert caught.value.argument == field


def test_milestones_and_learning_rates_that_are_none_are_refused():
    for milestones in ((0.7, 0.5), (0.5, 1.5), (0.5, 0.5), ()):
        with pytest.raises(ValueError, match="increasing shares"):
            dataclasses.replace(RECIPE, schedule="step", milestones=milestones)
    with pytest.raises(ValueError, match="must be positive"):
        dataclasses.replace(RECIPE, learning_rates=(0.1, 0.0))


def test_an_unknown_schedule_is_refused():
    with pytest.raises(ValueError, match="Received: 'linear'"):
        dataclasses.replace(RECIPE, schedule="linear")


@pytest.mark.parametrize(("schedule", "warmup"), [("cosine", 10), ("step", 5), ("cosine", 9.99)])
def test_a_warm_up_that_leaves_no_steps_is_refused(schedule, warmup):
    recipe = dataclasses.replace(RECIPE, schedule=schedule, warmup_epochs=warmup)
    with pytest.raises(ValueError, match="too long") as caught:
        recipes.learning_rate_schedule(recipe, 10)
    assert caught.value.argument == "warmup_epochs"


def test_the_exponential_schedule_warms_up():
    warm = dataclasses.replace(
        RECIPE, schedule="exponential", warmup_epochs=1, decay_epochs=2, decay_factor=0.5
    )
    rate, without = rates(warm), rates(dataclasses.replace(warm, warmup_epochs=0))
    np.testing.assert_allclose(rate[:10], 0.4 * (0.1 + 0.09 * np.arange(10)), rtol=1e-6)
    np.testing.assert_allclose(rate[10:], without[10:], rtol=1e-6)
    schedule = recipes.learning_rate_schedule(warm, 10)
    again = type(schedule).from_config(schedule.get_config())
    assert float(again(3)) == float(schedule(3))


@pytest.mark.parametrize("name", recipes.RECIPES)
@pytest.mark.parametrize("batch", [8, 96, 1024])
def test_another_batch_and_back_is_the_same_recipe(name, batch):
    recipe = recipes.RECIPES[name]
    there = recipes.scaled(recipe, batch)
    assert recipes.scaled(there, recipe.batch_size).learning_rate == recipe.learning_rate
    if recipe.steps:
        assert there.steps * batch == pytest.approx(recipe.steps * recipe.batch_size, rel=1e-4)
    if recipe.ema_momentum:
        forgotten = np.log(there.ema_momentum) / batch
        assert forgotten == pytest.approx(np.log(recipe.ema_momentum) / recipe.batch_size, rel=1e-6)


def test_a_short_run_lowers_the_momentum_only_where_it_must():
    recipe = dataclasses.replace(recipes.RECIPES["inception_v3"], bn_converges=True)
    assert recipes.bn_momentum(recipe, 10**6) == 0.9997
    assert recipes.bn_momentum(recipe, 2000) == pytest.approx(0.99)
    assert recipes.bn_momentum(recipe, 100) == pytest.approx(0.8)


def test_parts_of_a_batch_are_called_one_after_the_other():
    recipe = dataclasses.replace(RECIPE, accumulation_steps=4, steps=6, steps_per_epoch=3)
    assert recipes.parts(recipe, 100) == (24, 12)
    assert recipe.part == 2
    with pytest.raises(ValueError, match="must divide the 8 images"):
        dataclasses.replace(RECIPE, accumulation_steps=3)


def test_every_recipe_cites_a_source_that_tells_it_from_the_others():
    # A report finds a recipe's name by its source.
    sources = [recipe.source for recipe in recipes.RECIPES.values()]
    assert all(sources)
    for one, other in itertools.permutations(sources, 2):
        assert not one.startswith(other)


def test_no_dropout_is_not_the_networks_own():
    none = dataclasses.replace(recipes.RECIPES["mobilenet"], dropout=0.0)
    assert recipes.network_arguments(none, "mobilenet", 10) == {"dropout": 0.0}
    assert recipes.network_arguments(none, "resnet20", 10) == {}
    own = dataclasses.replace(none, dropout=None)
    assert recipes.network_arguments(own, "mobilenet", 10) == {}


def test_a_builder_of_ones_own_needs_no_schedule_of_drop_path(monkeypatch):
    recipe = dataclasses.replace(recipes.RECIPES["modern"], drop_path=0.1)
    monkeypatch.setattr(builders, "parameters", lambda model: ["input_shape", "drop_path"])
    assert recipes.network_arguments(recipe, "mine:net", 10) == {"drop_path": 0.1}
    monkeypatch.setattr(builders, "parameters", lambda model: ["drop_path", "drop_path_steps"])
    both = {"drop_path": 0.1, "drop_path_steps": 10}
    assert recipes.network_arguments(recipe, "mine:net", 10) == both
