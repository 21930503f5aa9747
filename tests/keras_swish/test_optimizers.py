import keras
import numpy as np
import pytest

import keras_swish
from keras_swish import optimizers


def gradients(steps=6):
    random = np.random.default_rng(0)
    return random.normal(size=(steps, 3)).astype("float32") * 3


def followed(optimizer, steps=6):
    """Returns the weights behind each step, and the moving averages."""
    variable = keras.Variable(np.array([1.0, -2.0, 0.5], "float32"))
    optimizer.build([variable])
    weights, averages = [], []
    for gradient in gradients(steps):
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
        weights.append(keras.ops.convert_to_numpy(variable))
        averages += [keras.ops.convert_to_numpy(average) for average in optimizer.averages]
    return weights, averages


def test_rmsprop_is_that_of_tensorflow_1():
    rate, rho, momentum, epsilon = 0.1, 0.9, 0.8, 1.0
    weights, _ = followed(optimizers.RMSprop(rate, rho, momentum, epsilon))
    expected = np.array([1.0, -2.0, 0.5])
    square, step = np.ones(3), np.zeros(3)  # TensorFlow 1's `rms` and `momentum` slots
    for gradient, found in zip(gradients(), weights):
        square = rho * square + (1 - rho) * gradient**2
        step = momentum * step + rate * gradient / np.sqrt(square + epsilon)
        expected = expected - step
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_rmsprop_takes_tensorflow_1s_steps():
    tf = pytest.importorskip("tensorflow")
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        variable = tf.compat.v1.get_variable("v", initializer=[1.0, -2.0, 0.5], use_resource=True)
        gradient = tf.compat.v1.placeholder("float32", (3,))
        optimizer = tf.compat.v1.train.RMSPropOptimizer(0.045, 0.9, 0.9, 1.0)
        step = optimizer.apply_gradients([(gradient, variable)])
        session.run(tf.compat.v1.global_variables_initializer())
        expected = []
        for value in gradients():
            session.run(step, {gradient: value})
            expected.append(session.run(variable))
    weights, _ = followed(optimizers.RMSprop(0.045, 0.9, 0.9, 1.0))
    np.testing.assert_allclose(weights, expected, rtol=1e-6)


@pytest.mark.parametrize("make", [optimizers.SGD, optimizers.RMSprop])
def test_the_average_starts_with_the_weights_and_slows_down(make):
    weights, averages = followed(make(0.1, use_ema=True, ema_momentum=0.3), steps=6)
    expected = weights[0]
    np.testing.assert_allclose(averages[0], expected)
    for step, (weight, average) in enumerate(zip(weights[1:], averages[1:]), 1):
        momentum = min(0.3, (1 + step) / (10 + step))
        expected = momentum * expected + (1 - momentum) * weight
        np.testing.assert_allclose(average, expected, rtol=1e-5)
    # The ramp was left behind.
    assert (1 + step) / (10 + step) > 0.3


def test_the_weights_are_not_overwritten_at_the_end_of_fit():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9), "mse")
    random = np.random.default_rng(0)
    model.fit(random.normal(size=(64, 2)), random.normal(size=(64, 1)), batch_size=8, verbose=0)
    (average, _), kernel = model.optimizer.averages, model.layers[0].kernel
    assert not np.allclose(average, kernel)


def test_without_an_average_there_is_none():
    assert followed(optimizers.SGD(0.1))[1] == []


def test_they_are_saved_and_loaded_as_any_optimizer():
    for optimizer in (optimizers.RMSprop(0.1, epsilon=1.0), optimizers.SGD(0.1, nesterov=True)):
        config = keras.saving.serialize_keras_object(optimizer)
        loaded = keras.saving.deserialize_keras_object(config)
        assert type(loaded) is type(optimizer)
        assert loaded.get_config() == optimizer.get_config()


@pytest.mark.parametrize(
    ("steps", "momentum"), [(10, 0.0), (100, 0.8), (190, 0.8947), (2000, 0.99), (10**6, 0.99)]
)
def test_moving_statistics_have_converged_when_a_run_ends(steps, momentum):
    assert optimizers.converged_bn_momentum(steps) == pytest.approx(momentum, abs=1e-4)
    # What is left of the initial values, whatever the length of the run.
    assert momentum**steps < 1e-8


@pytest.mark.slow
@pytest.mark.parametrize(
    "backend", [pytest.param(b, marks=getattr(pytest.mark, b)) for b in ("jax", "torch")]
)
def test_they_are_the_same_on_every_backend(backend, python):
    pytest.importorskip(backend)
    python("-m", "pytest", "-q", "-m", "not slow", __file__, KERAS_BACKEND=backend)


def test_a_schedule_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match=r"Unknown schedule 'cosin'\. Did you mean 'cosine'"):
        optimizers.learning_rate_schedule("cosin", 0.1, 100)
    schedule = optimizers.learning_rate_schedule("step", 0.1, 2, milestones=(0.3, 0.6, 0.9))
    assert float(schedule(2)) == pytest.approx(0.1 * 0.1**3)


def test_factors_do_not_change_what_is_clipped():
    values = [keras.Variable([1.0, 1.0], name=name) for name in ("kernel", "beta")]
    plain, scaled = (
        optimizers.SGD(0.1, global_clipnorm=1.0, factors=factors)
        for factors in ({}, {values[1].path: 10.0})
    )
    steps = []
    for optimizer in (plain, scaled):
        for value in values:
            value.assign([1.0, 1.0])
        optimizer.build(values)
        optimizer.apply([keras.ops.ones(2), keras.ops.ones(2)], values)
        steps.append([keras.ops.convert_to_numpy(value) - 1 for value in values])
    np.testing.assert_allclose(steps[0], np.full((2, 2), -0.05), rtol=1e-5)
    np.testing.assert_allclose(steps[1], [[-0.05] * 2, [-0.5] * 2], rtol=1e-5)


def test_factors_that_would_do_nothing_are_refused():
    values = [keras.Variable([1.0, 1.0], name=name) for name in ("kernel", "beta")]
    with pytest.raises(ValueError, match=r"names 'bta', which is no path .*\(nearest: beta\)"):
        optimizers.SGD(0.1, factors={"bta": 10.0}).build(values)
    with pytest.raises(ValueError, match=r"`weight_decay` takes the same part .*=0.1, factors="):
        optimizers.SGD(0.1, factors={"beta": 10.0}, weight_decay=0.1)
    assert optimizers.SGD(0.1, factors={"beta": 10.0}, weight_decay=0.0).factors


@pytest.mark.parametrize("milestones", [(0.75, 0.5), (0.5, 0.5), (0.5, 1.5), (0.0, 0.5), ()])
def test_milestones_that_do_not_increase_are_refused(milestones):
    with pytest.raises(ValueError, match="must be increasing shares of the run"):
        optimizers.learning_rate_schedule("step", 1.0, 100, milestones=milestones)


def block(name):
    return keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(3, name="fc"), keras_swish.Swish(name="act")],
        name=name,
    )


def nested(*names):
    inputs = x = keras.Input((3,))
    for name in names:
        x = block(name)(x)
    return keras.Model(inputs, x)


def saved_and_loaded(model, factors, tmp_path, frozen=None):
    model.compile(optimizers.SGD(0.1, factors=factors), "mse")
    model.optimizer.build(model.trainable_variables)
    if frozen is not None:
        model.get_layer(frozen).trainable = False
    model.save(tmp_path / "model.keras")
    return keras.saving.load_model(tmp_path / "model.keras")


def beta_steps(model):
    """Returns how far one step with gradients of one takes the betas."""
    variables = model.trainable_variables
    betas = [variable for variable in variables if variable.name == "beta"]
    before = [keras.ops.convert_to_numpy(beta).mean() for beta in betas]
    model.optimizer.apply([keras.ops.ones(v.shape) for v in variables], variables)
    pairs = zip(before, betas)
    return [start - keras.ops.convert_to_numpy(beta).mean() for start, beta in pairs]


@pytest.mark.parametrize(
    ("make", "factors", "rates"),
    [
        (lambda: block("net"), {"net/act/beta": 0.5}, [0.05]),
        (lambda: nested("one"), {"one/act/beta": 0.5}, [0.05]),
        # Loaded, both have one path.
        (
            lambda: nested("one", "two"),
            dict.fromkeys(["one/act/beta", "two/act/beta"], 2),
            [0.2] * 2,
        ),
    ],
)
def test_factors_hold_in_a_loaded_model(tmp_path, recwarn, make, factors, rates):
    loaded = saved_and_loaded(make(), factors, tmp_path)
    assert "act/beta" in [variable.path for variable in loaded.trainable_variables]
    np.testing.assert_allclose(beta_steps(loaded), rates, rtol=1e-5)
    assert not [warning for warning in recwarn if "`factors`" in str(warning.message)]
    # And once more.
    loaded.save(tmp_path / "again.keras")
    again = keras.saving.load_model(tmp_path / "again.keras")
    np.testing.assert_allclose(beta_steps(again), rates, rtol=1e-5)


@pytest.mark.parametrize("factors", [{"one/act/beta": 0.5, "two/act/beta": 2}, {"two/act/beta": 2}])
def test_factors_that_a_loaded_model_cannot_tell_apart_are_named(tmp_path, factors):
    model = nested("one", "two")
    with pytest.warns(UserWarning, match="names 'two/act/beta', .* It has no effect"):
        loaded = saved_and_loaded(model, factors, tmp_path)
    np.testing.assert_allclose(beta_steps(loaded), [0.1, 0.1], rtol=1e-5)


def test_a_model_whose_factor_is_frozen_is_loaded(tmp_path):
    with pytest.warns(UserWarning, match="names 'net/act/beta', .* It has no effect"):
        loaded = saved_and_loaded(block("net"), {"net/act/beta": 0.5}, tmp_path, frozen="act")
    assert len(loaded.trainable_variables) == 2
