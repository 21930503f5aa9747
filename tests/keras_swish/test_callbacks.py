"""The betas of a model while it is trained: recorded, logged, drawn."""

import contextlib

import keras
import numpy as np
import pytest

import keras_swish
from keras_swish import io
from keras_swish.callbacks import pre_activations
from keras_swish.layers import betas


def network():
    keras.utils.set_random_seed(0)
    within = keras_swish.SearchedActivation("beta1 * x + beta2")
    within.build((None, 4))
    inner = keras.Sequential([keras.Input((6,)), keras.layers.Dense(5), keras_swish.Swish()])
    model = keras.Sequential(
        [
            keras.Input((6,)),
            inner,
            keras.layers.Dense(4, name="second"),
            keras_swish.layer("prelu", name="prelu"),
            keras.layers.Activation(within),
            keras.layers.Dense(1),
        ]
    )
    model.build((None, 6))
    return model


def data():
    x = np.random.default_rng(0).normal(size=(32, 6)).astype("float32")
    return x, x.sum(1, keepdims=True)


def train(logger, epochs=3):
    model = network()
    model.compile(keras.optimizers.SGD(0.05), "mse")
    model.fit(*data(), epochs=epochs, verbose=0, callbacks=[logger])
    return model


def test_betas_come_in_the_order_of_the_layers_inner_ones_too():
    model = network()
    model(data()[0])
    names = [path.rpartition("/")[2] for path in betas(model)]
    assert names == ["beta", "beta", "beta1", "beta2"]
    shapes = [tuple(beta.shape) for beta in betas(model).values()]
    assert shapes == [(5,), (4,), (4,), (4,)]


def test_it_records_what_training_makes_of_them():
    logger = keras_swish.BetaLogger()
    model = train(logger)
    assert logger.epochs == [0, 1, 2, 3]
    for path, variable in betas(model).items():
        values = logger.history[path]
        assert len(values) == 4
        np.testing.assert_array_equal(values[-1], keras.ops.convert_to_numpy(variable))
        assert not np.array_equal(values[0], values[-1])
    first = next(iter(logger.history.values()))[0]
    np.testing.assert_array_equal(first, np.ones(5))


def test_weights_of_one_path_in_two_inner_models_are_told_apart():
    def inner():
        inputs = keras.Input((3,))
        return keras.Model(inputs, keras_swish.Swish(name="my act")(inputs))

    inputs = keras.Input((3,))
    found = betas(keras.Model(inputs, inner()(inner()(inputs))))
    assert list(found) == ["my act/beta", "my act/beta 2"]
    assert len({id(beta) for beta in found.values()}) == 2


def test_pre_activations_are_what_flows_in():
    model, (x, _) = network(), data()
    model(x)
    seen = pre_activations(model, x)
    assert len(seen) == 3
    dense = model.layers[0].layers[0]
    expected = keras.ops.convert_to_numpy(dense(x)).ravel()
    np.testing.assert_allclose(next(iter(seen.values())), expected, rtol=1e-5, atol=1e-6)
    before = keras.ops.convert_to_numpy(model(x))
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(model(x)), before)
    assert "call" not in vars(model.layers[0].layers[1])


def test_tensorboard_reads_the_histograms(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logger = keras_swish.BetaLogger(tmp_path, samples=data()[0])
    train(logger, epochs=2)
    log = EventAccumulator(str(tmp_path), size_guidance={"tensors": 0}).Reload()
    tags = log.Tags()["tensors"]
    assert len(tags) == 4 + 3
    for path in logger.history:
        events = log.Tensors(path)
        assert [event.step for event in events] == [0, 1, 2]
        counts = np.frombuffer(events[-1].tensor_proto.tensor_content).reshape(-1, 3)[:, 2]
        assert counts.sum() == logger.history[path][-1].size


def test_a_model_without_betas_is_refused():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, "relu")])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="has no activation with weights"):
        model.fit(np.ones((4, 2)), np.ones(4), verbose=0, callbacks=[keras_swish.BetaLogger()])
    with pytest.raises(ValueError, match="has no activation with weights"):
        keras_swish.plot_betas(model)


def test_without_betas_the_pre_activations_are_logged_all_the_same(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    inner = [keras.layers.Activation("relu", name="one"), keras.layers.ReLU(name="two")]
    model = keras.Sequential([keras.Input((2,)), *inner, keras.layers.Dense(1)])
    model.compile(loss="mse")
    x = np.array([[-1.0, 2.0]] * 4)
    logger = keras_swish.BetaLogger(tmp_path, samples=x)
    model.fit(x, np.ones(4), verbose=0, callbacks=[logger])
    log = EventAccumulator(str(tmp_path)).Reload()
    assert log.Tags()["tensors"] == ["one/pre_activation", "two/pre_activation"]
    seen = pre_activations(model, x)
    np.testing.assert_array_equal(seen["one"], x.ravel())
    np.testing.assert_array_equal(seen["two"], np.maximum(x, 0).ravel())


def activations_within_layers():
    layers = [
        keras.layers.Dense(3, "relu", name="one"),
        keras.layers.Dense(2, activation="tanh", name="two"),
        keras.layers.Dense(1, name="last"),
    ]
    model = keras.Sequential([keras.Input((2,)), *layers])
    model.compile("sgd", "mse")
    return model


def events_of(folder):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder), size_guidance={"tensors": 0}).Reload()


def test_activations_within_layers_are_logged_too(tmp_path):
    model, x = activations_within_layers(), np.float32([[-1.0, 2.0]] * 4)
    logger = keras_swish.BetaLogger(tmp_path, samples=x)
    model.fit(x, np.ones(4), verbose=0, callbacks=[logger])
    log = events_of(tmp_path)
    tags = ["one/activation/pre_activation", "two/activation/pre_activation"]
    assert log.Tags()["tensors"] == tags
    counts = np.frombuffer(log.Tensors(tags[0])[-1].tensor_proto.tensor_content).reshape(-1, 3)
    assert counts[:, 2].sum() == 4 * 3
    seen = pre_activations(model, x)
    kernel, bias = model.get_layer("one").get_weights()
    np.testing.assert_allclose(seen["one/activation"], (x @ kernel + bias).ravel(), rtol=1e-5)


def test_a_log_that_would_be_empty_is_refused(tmp_path):
    pytest.importorskip("tensorboard")
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    logger = keras_swish.BetaLogger(tmp_path, samples=np.ones((4, 2)))
    with pytest.raises(ValueError, match="has no activation that"):
        model.fit(np.ones((4, 2)), np.ones(4), verbose=0, callbacks=[logger])


def test_statistics_are_recorded_after_each_epoch(tmp_path):
    model = activations_within_layers()
    x = np.random.default_rng(0).normal(size=(40, 2)).astype("float32")
    model.get_layer("one").bias.assign([-99.0, 0.0, 0.0])
    before = keras_swish.activation_statistics(model, x)
    logger = keras_swish.StatisticsLogger(x, tmp_path / "table.csv", tmp_path / "log")
    history = model.fit(x, np.ones(40), epochs=2, verbose=0, callbacks=[logger]).history
    after = keras_swish.activation_statistics(model, x)
    assert logger.epochs == [0, 1, 2]
    assert (logger.history[0], logger.history[-1]) == (before, after)
    assert before != after
    assert before.rows[0].dead_units == 1 / 3
    for share in ("dead_units", "dead_inputs", "saturated"):
        assert history[share] == [record.total(share) for record in logger.history[1:]]
    rows = io.read_csv(tmp_path / "table.csv")
    assert [(row["epoch"], row["path"]) for row in rows] == [
        (str(epoch), path) for epoch in (0, 1, 2) for path in ("one", "two")
    ]
    assert float(rows[-1]["output_mean"]) == after.rows[1].output_mean
    log = events_of(tmp_path / "log")
    events = log.Tensors("one/activation/dead_units")
    assert [event.step for event in events] == [0, 1, 2]
    values = [np.frombuffer(event.tensor_proto.tensor_content, "float32") for event in events]
    if not values[0].size:
        values = [event.tensor_proto.float_val for event in events]
    recorded = [record.rows[0].dead_units for record in logger.history]
    np.testing.assert_allclose(np.ravel(values), recorded, rtol=1e-6)


def test_samples_need_a_log():
    with pytest.raises(ValueError, match="`samples` needs `log_dir`"):
        keras_swish.BetaLogger(samples=np.ones((1, 2)))


def test_the_picture_shows_every_weight(tmp_path):
    logger = keras_swish.BetaLogger()
    model = train(logger)
    figure = keras_swish.plot_betas(model, tmp_path / "betas.png")
    assert len(figure.axes) == 3 * 2
    assert (tmp_path / "betas.png").stat().st_size > 10_000
    counted = sum(bar.get_height() for bar in figure.axes[0].patches)
    assert counted == 5 + 4
    assert len(keras_swish.plot_betas(logger).axes) == 3 * 3
    with pytest.raises(ValueError, match="has seen no epoch"):
        keras_swish.plot_betas(keras_swish.BetaLogger())


def test_a_logger_begins_anew_with_another_training():
    model = keras.Sequential([keras.Input((3,)), keras_swish.Swish(name="act")])
    model.compile("sgd", "mse")
    x = np.ones((4, 3), "float32")
    loggers = [keras_swish.BetaLogger(), keras_swish.StatisticsLogger(x)]
    for first, last, expected in [(0, 2, [0, 1, 2]), (2, 3, [0, 1, 2, 3]), (0, 1, [0, 1])]:
        model.fit(x, x, initial_epoch=first, epochs=last, verbose=0, callbacks=loggers)
        assert [logger.epochs for logger in loggers] == [expected] * 2
        assert len(loggers[0].history["act/beta"]) == len(loggers[1].history) == len(expected)


def test_a_logger_begins_anew_after_a_training_that_ended_in_its_first_epoch():
    class Interrupt(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise KeyboardInterrupt

    x = np.ones((4, 3), "float32")
    loggers = [keras_swish.BetaLogger(), keras_swish.StatisticsLogger(x)]
    for name, others in [("first", [Interrupt()]), ("second", [])]:
        model = keras.Sequential([keras.Input((3,)), keras_swish.Swish(name=name)])
        model.compile("sgd", "mse")
        with contextlib.suppress(KeyboardInterrupt):
            model.fit(x, x, epochs=2, verbose=0, callbacks=[*loggers, *others])
    assert [logger.epochs for logger in loggers] == [[0, 1, 2]] * 2
    assert list(loggers[0].history) == ["second/beta"]
    assert len(loggers[0].history["second/beta"]) == len(loggers[1].history) == 3
    assert loggers[1].history[0].rows[0].site == "second"
