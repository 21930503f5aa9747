"""Statistics of activations against the same by hand, in NumPy and float64."""

import csv
import math

import keras
import numpy as np
import pytest

import keras_swish
from keras_swish.keras_compat import all_layers
from keras_swish.statistics import activation_statistics

BACKEND = keras.backend.backend()
SHARES = ("dead_units", "dead_inputs", "saturated", "zeros")


def numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)


def relu(z):
    return np.maximum(z, 0)


def by_hand(z, function, slope, units_axis=-1):
    """The statistics of an elementwise activation at the pre-activations z."""
    y, sizes = function(z), np.abs(slope(z))
    flat = np.moveaxis(y, units_axis, -1).reshape(-1, y.shape[units_axis])
    return {
        "elements": y.size,
        "units": flat.shape[1],
        "dead_units": np.mean(np.ptp(flat, axis=0) == 0),
        "dead_inputs": np.mean(sizes == 0),
        "saturated": np.mean(sizes < 0.01),
        "zeros": np.mean(y == 0),
        "input_mean": z.mean(),
        "input_std": z.std(),
        "input_min": z.min(),
        "input_max": z.max(),
        "output_mean": y.mean(),
        "output_std": y.std(),
        "output_min": y.min(),
        "output_max": y.max(),
    }


def assert_is(row, expected):
    for name, value in expected.items():
        np.testing.assert_allclose(getattr(row, name), value, rtol=1e-4, atol=1e-5, err_msg=name)


def data(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def disturbed(layer, seed=0):
    random = np.random.default_rng(seed)
    for variable in layer.weights:
        variable.assign(random.normal(size=variable.shape))
    return layer


def dense(layer, x):
    kernel, bias = (numpy(variable).astype("float64") for variable in layer.weights[:2])
    return x.astype("float64") @ kernel + bias


def test_every_kind_of_site_is_as_by_hand_in_the_order_of_the_calls():
    class Block(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            # Called in the other order.
            self.second = [keras.activations.tanh]
            self.dense = keras.layers.Dense(6, name="dense")
            self.first = keras.layers.LeakyReLU(negative_slope=0.5, name="first")

        def build(self, shape):
            self.dense.build(shape)

        def call(self, x):
            return self.second[0](self.first(self.dense(x)))

    within = keras_swish.SearchedActivation("max(x, beta * x)", beta_initializer="zeros")
    within.build((None, 5))
    inputs = keras.Input((4,))
    x = keras.layers.Dense(5, "relu", name="one")(inputs)
    x = keras.layers.Dense(5, activation=within, name="two")(x)
    x = keras.ops.sigmoid(x)
    nested = keras.Sequential([keras.Input((5,)), keras.layers.ReLU(6.0, name="six")], name="nest")
    x = nested(x)
    outputs = Block(name="block")(x)
    model = keras.Model(inputs, outputs)
    for name in ("one", "two"):
        for variable in model.get_layer(name).weights[:2]:
            variable.assign(data(*variable.shape))
    one, two, block = (model.get_layer(name) for name in ("one", "two", "block"))
    disturbed(block.dense)
    x = data(50, 4)
    z1 = dense(one, x)
    z2 = dense(two, relu(z1))
    z3 = relu(z2)
    z4 = 1 / (1 + np.exp(-z3))
    z5 = dense(block.dense, z4)
    z6 = np.where(z5 > 0, z5, z5 / 2)
    statistics = activation_statistics(model, x)
    sites = [(row.site, row.activation) for row in statistics.rows]
    assert sites == [
        ("one (activation)", "relu"),
        ("two (activation)", "max(x, beta * x)"),
        (f"{model.operations[3].name}", "sigmoid"),
        ("nest/six", "relu6"),
        ("block/first", "leaky_relu"),
        ("block (second.0)", "tanh"),
    ]
    step = lambda z: (z > 0) * 1.0  # noqa: E731
    tanh_slope = lambda z: 1 - np.tanh(z) ** 2  # noqa: E731
    sigmoid = lambda z: 1 / (1 + np.exp(-z))  # noqa: E731
    expected = [
        (z1, relu, step),
        (z2, relu, step),
        (z3, sigmoid, lambda z: sigmoid(z) * sigmoid(-z)),
        (z4, lambda z: np.clip(z, 0, 6), lambda z: (z > 0) * (z < 6) * 1.0),
        (z5, lambda z: np.where(z > 0, z, z / 2), lambda z: np.where(z > 0, 1, 0.5)),
        (z6, np.tanh, tanh_slope),
    ]
    for row, arguments in zip(statistics.rows, expected, strict=True):
        assert_is(row, by_hand(*arguments))
        assert row.calls == 2  # batches of 32
    assert statistics.not_observed == ()


def dead_network():
    """Of eight units two are dead, one is dead for negative sums alone, one never is."""
    model = keras.Sequential(
        [
            keras.Input((2,)),
            keras.layers.Dense(4, name="dense"),
            keras.layers.ReLU(name="act"),
            keras.layers.Dense(3, "softmax", name="last"),
        ]
    )
    kernel = np.float32([[1, 1, 0, 0], [1, 1, 0, 0]])
    model.get_layer("dense").set_weights([kernel, np.float32([0, -100, -1, 3])])
    return model


def test_dead_units_of_a_relu_network():
    x = np.float32([[1, 1], [-1, -2], [2, -1], [0, 0]])
    row, last = activation_statistics(dead_network(), x).rows
    # The second and third unit are 0, the fourth is 3, whatever the input.
    assert row.dead_units == 3 / 4
    assert row.dead_inputs == row.zeros == row.saturated == (2 + 4 + 4 + 0) / 16
    assert (row.units, row.elements, row.calls) == (4, 16, 1)
    assert math.isnan(last.dead_inputs)
    assert math.isnan(last.saturated)
    assert last.zeros == 0


def test_of_one_sample_only_zero_is_dead():
    row, _ = activation_statistics(dead_network(), np.float32([[1, 1]])).rows
    assert row.dead_units == 2 / 4


def test_parts_of_the_inputs_count_as_one_set():
    model = dead_network()
    x = data(23, 2) * 100
    whole = activation_statistics(model, x, batch_size=23)
    z = dense(model.get_layer("dense"), x)
    assert_is(whole.rows[0], by_hand(z, relu, lambda z: (z > 0) * 1.0))

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 3

        def __getitem__(self, i):
            part = x[8 * i : 8 * i + 8]
            return part, np.zeros(len(part))

    def generator():
        for i in range(100):
            yield (x[8 * i : 8 * i + 8],)

    tensor = keras.ops.convert_to_tensor(x)
    sources = [
        (x, {"batch_size": 7}),
        (tensor, {"batch_size": 5}),
        (Batches(), {}),
        (generator(), {"steps": 3}),
    ]
    if BACKEND == "tensorflow":
        import tensorflow as tf

        sources.append((tf.data.Dataset.from_tensor_slices(x).batch(10), {}))
        sources.append((tf.data.Dataset.from_tensor_slices((x, x)).batch(10), {}))
    if BACKEND == "torch":
        import torch

        dataset = torch.utils.data.TensorDataset(tensor, tensor)
        sources.append((torch.utils.data.DataLoader(dataset, batch_size=6), {}))
    for source, options in sources:
        parts = activation_statistics(model, source, **options)
        for one, other in zip(parts.rows, whole.rows, strict=True):
            expected = {k: v for k, v in vars(other).items() if isinstance(v, float | int)}
            calls = expected.pop("calls")
            assert one.calls >= calls
            assert_is(one, expected)


def test_inputs_may_be_a_dictionary_or_a_list():
    one, two = keras.Input((2,), name="one"), keras.Input((3,), name="two")
    model = keras.Model(
        {"one": one, "two": two}, keras.layers.ReLU()(one) + keras.ops.tanh(two)[:, :2]
    )
    x = {"one": data(40, 2), "two": data(40, 3, seed=1)}
    rows = {row.activation: row for row in activation_statistics(model, x).rows}
    np.testing.assert_allclose(rows["relu"].input_mean, x["one"].mean(), rtol=1e-5)
    np.testing.assert_allclose(rows["tanh"].input_mean, x["two"].mean(), rtol=1e-5)
    model = keras.Model([one, two], model({"one": one, "two": two}))
    rows = activation_statistics(model, [x["one"], x["two"]]).rows
    assert {row.activation for row in rows} == {"relu", "tanh"}


def test_each_call_of_what_is_shared_counts():
    inputs = keras.Input((3,))
    shared = keras.layers.Dense(4, "relu", name="shared")
    act = keras.layers.ReLU(name="act")
    first, second = keras.layers.Dense(2, name="first"), keras.layers.Dense(2, name="second")
    pair = [act(first(inputs)), act(second(inputs))]
    model = keras.Model(inputs, [shared(inputs), shared(inputs * -1.0), *pair])
    shared.set_weights([np.zeros((3, 4), "float32"), np.float32([0, 0, 0, 0])])
    kernel = np.zeros((3, 4), "float32")
    kernel[0, :2] = 1, -1
    shared.set_weights([kernel, np.float32([0, 0, -1, 0])])
    first.set_weights([np.zeros((3, 2), "float32"), np.float32([-1, -1])])
    second.set_weights([np.float32([[1, 0]] * 3), np.float32([0, -1])])
    x = np.abs(data(20, 3))
    rows = {row.path: row for row in activation_statistics(model, x).rows}
    # For x its second unit is dead, for -x the first: over both calls neither is.
    assert rows["shared"].dead_units == 2 / 4
    assert (rows["shared"].calls, rows["shared"].units, rows["shared"].elements) == (2, 4, 160)
    # The units of an activation layer are those of the layers before it: three of four are dead.
    assert rows["act"].dead_units == 3 / 4
    assert (rows["act"].calls, rows["act"].units, rows["act"].elements) == (2, 4, 80)


def test_an_activation_in_two_layers_has_a_row_for_each():
    act = keras_swish.SearchedActivation("max(x, 0)")
    model = keras.Sequential(
        [
            keras.Input((2,)),
            keras.layers.Dense(3, activation=act, name="one"),
            keras.layers.Dense(4, activation=act, name="two"),
        ]
    )
    rows = activation_statistics(model, data(10, 2)).rows
    assert [(row.path, row.elements) for row in rows] == [("one", 30), ("two", 40)]


def test_what_a_layer_hands_on_counts_wherever_it_is_called():
    class Both(keras.layers.Layer):
        def __init__(self, activation="relu", **kwargs):
            super().__init__(**kwargs)
            self.activation = keras.activations.get(activation)
            self.inner = keras.layers.Dense(5, activation=self.activation)

        def build(self, shape):
            self.inner.build(shape)

        def call(self, x):
            return self.activation(self.inner(x)[:, :3] - 1)

        def get_config(self):
            activation = keras.activations.serialize(self.activation)
            return {**super().get_config(), "activation": activation}

    model = keras.Sequential([keras.Input((4,)), Both(name="both"), keras.layers.Dense(1)])
    disturbed(model)
    x = data(32, 4)
    inner = model.get_layer("both").inner
    inner.bias.assign([-99.0, 0, 0, -99.0, 0])
    first = x @ numpy(inner.kernel) + numpy(inner.bias)
    second = relu(first)[:, :3] - 1
    (row,) = activation_statistics(model, x).rows
    assert (row.site, row.calls, row.units, row.dead_units) == ("both (activation)", 2, 8, 3 / 8)
    np.testing.assert_allclose(row.input_min, min(first.min(), second.min()), rtol=1e-5)
    zeros = np.concatenate([np.ravel(first <= 0), np.ravel(second <= 0)])
    np.testing.assert_allclose(row.zeros, zeros.mean())


def test_a_function_of_the_users_own_over_an_axis_has_no_slopes():
    def normed(x):
        return x / (1 + keras.ops.sum(keras.ops.abs(x), -1, keepdims=True))

    x = data(16, 4)
    for function in (normed, lambda x: keras.ops.softmax(x)):
        model = keras.Sequential(
            [keras.Input((4,)), keras.layers.Dense(3, function), keras.layers.Dense(1)]
        )
        statistics = activation_statistics(model, x, batch_size=8)
        assert math.isnan(statistics.rows[0].dead_inputs)
        assert math.isnan(statistics.rows[0].saturated)
        assert math.isnan(statistics.total("saturated"))


def test_the_channels_are_where_operations_have_moved_them():
    inputs = keras.Input((5, 4))
    dense = keras.layers.Dense(6)
    moved = keras.layers.ReLU()(keras.ops.transpose(dense(inputs), (0, 2, 1)))
    mixed = keras.layers.EinsumDense("bnc,nm->bmc", (6, 4), bias_axes="m", activation="relu")
    model = keras.Model(inputs, [moved, mixed(inputs)])
    dead = [-99.0] * 3 + [99.0] * 3
    dense.bias.assign(dead)
    mixed.bias.assign(np.reshape(dead, mixed.bias.shape))
    for row in activation_statistics(model, data(16, 5, 4)).rows:
        assert (row.units, row.dead_units) == (6, 0.5), row.site


def test_the_steps_of_recurrent_layers_are_calls():
    model = keras.Sequential(
        [
            keras.Input((5, 2)),
            keras.layers.SimpleRNN(3, name="simple", return_sequences=True),
            keras.layers.LSTM(4, name="lstm"),
        ]
    )
    disturbed(model.get_layer("simple"))
    x = data(6, 5, 2)
    rows = {row.site: row for row in activation_statistics(model, x).rows}
    kernel, recurrent, bias = (
        numpy(v).astype("float64") for v in model.get_layer("simple").weights
    )
    state, seen = np.zeros((6, 3)), []
    for step in range(5):
        seen.append(x[:, step] @ kernel + bias + state @ recurrent)
        state = np.tanh(seen[-1])
    row = rows["simple/simple_rnn_cell (activation)"]
    assert row.calls == 5
    assert_is(row, by_hand(np.stack(seen, 1), np.tanh, lambda z: 1 - np.tanh(z) ** 2))
    gates = rows["lstm/lstm_cell (recurrent_activation)"]
    assert (gates.activation, gates.calls, gates.elements) == ("sigmoid", 15, 3 * 5 * 6 * 4)
    # The candidate and the output's.
    assert rows["lstm/lstm_cell (activation)"].calls == 10


@pytest.mark.parametrize("unroll", [False, True])
def test_the_steps_of_several_cells_are_calls(unroll):
    """Keras calls each cell once more before the first step."""
    cells = [keras.layers.SimpleRNNCell(4, "relu", use_bias=False) for _ in range(2)]
    inputs = keras.Input((5, 3))
    model = keras.Model(inputs, keras.layers.RNN(cells, unroll=unroll)(inputs))
    x = data(6, 5, 3)
    kernel, recurrent, *_ = (numpy(v).astype("float64") for v in model.weights)
    state, seen = np.zeros((6, 4)), []
    for step in range(5):
        seen.append(x[:, step] @ kernel + state @ recurrent)
        state = np.maximum(seen[-1], 0)
    first, second = activation_statistics(model, x).rows
    assert (first.calls, second.calls) == (5, 5)
    assert_is(first, by_hand(np.stack(seen, 1), lambda z: np.maximum(z, 0), lambda z: z > 0))


@pytest.mark.parametrize(
    "layer",
    [
        lambda: keras.layers.Bidirectional(keras.layers.GRU(3, return_sequences=True)),
        lambda: keras.layers.LSTM(
            3, return_sequences=True, zero_output_for_mask=True, go_backwards=True
        ),
    ],
    ids=["bidirectional", "backwards"],
)
def test_what_follows_masked_steps_is_what_the_model_computes(layer):
    """Keras makes other outputs of them where the steps are unrolled."""
    x = data(3, 6, 4)
    x[0, 4:], x[1, :2], x[2, 3] = 0, 0, 0
    inputs = keras.Input((6, 4))
    outputs = layer()(keras.layers.Masking()(inputs))
    model = keras.Model(inputs, keras.layers.Activation("tanh", name="last")(outputs))
    row = activation_statistics(model, x).rows[-1]
    seen = numpy(keras.Model(inputs, outputs)(x))
    assert row.path == "last"
    np.testing.assert_allclose(row.input_mean, seen.mean(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(row.input_std, seen.std(), rtol=1e-5)


def test_the_channels_are_where_the_layers_before_have_them():
    inputs = keras.Input((3, 4, 5))
    x = keras.layers.BatchNormalization(axis=1)(inputs)
    x = keras.layers.ReLU(name="first")(keras.layers.Dropout(0.5)(x))
    x = keras.layers.Dense(7)(keras.layers.Permute((2, 3, 1))(x))
    model = keras.Model(inputs, keras.ops.tanh(x))
    first, last = activation_statistics(model, data(8, 3, 4, 5)).rows
    assert (first.units, last.units) == (3, 7)


def test_the_model_is_left_as_it_is():
    within = keras_swish.Swish()
    within.build((None, 4))
    model = keras.Sequential(
        [
            keras.Input((3,), batch_size=8),
            keras.layers.Dense(4, activation=within, name="dense"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5, seed=3),
            keras.layers.Reshape((2, 2)),
            # On PyTorch Keras cannot train a stateful one.
            keras.layers.GRU(2, stateful=BACKEND != "torch", name="gru"),
            keras.layers.ReLU(name="act"),
        ]
    )
    model.compile("adam", "mse")
    x = data(8, 3)
    model.fit(x, np.zeros((8, 2)), verbose=0)
    dense, act = model.get_layer("dense"), model.get_layer("act")
    order = [id(layer) for layer in all_layers(model)]
    attributes = [{**vars(layer)} for layer in all_layers(model)]
    states = model.get_layer("gru").states or ()
    variables = [numpy(v) for v in (*model.variables, *states, *model.optimizer.variables)]
    # In training, dropout and batch normalisation change their states as well.
    for training in (False, True):
        assert len(activation_statistics(model, x, training=training).rows) == 4
    assert dense.activation is within
    assert "call" not in vars(act)
    assert [id(layer) for layer in all_layers(model)] == order
    for layer, before in zip(all_layers(model), attributes, strict=True):
        now = vars(layer)
        assert now.keys() == before.keys()
        changed = {name for name in before if now[name] is not before[name]}
        assert changed <= {"_called"}  # Keras's own note
    after = (*model.variables, *states, *model.optimizer.variables)
    for before, now in zip(variables, after, strict=True):
        np.testing.assert_array_equal(before, numpy(now))
    assert model.compiled
    model.fit(x, np.zeros((8, 2)), verbose=0)


def test_weights_metrics_and_attributes_are_left_as_they_are():
    class Remembers(keras.layers.Layer):
        def build(self, shape):
            self.mean, self.last = keras.metrics.Mean(), None

        def call(self, x):
            self.mean.update_state(x)
            self.last = x
            return x

    # In training, spectral normalisation changes the weights of its layer.
    normalized = keras.layers.SpectralNormalization(keras.layers.Dense(4, "relu"))
    remembers = Remembers()
    model = keras.Sequential([keras.Input((3,)), normalized, remembers])
    model(data(8, 3))
    last, variables = remembers.last, [*model.variables, *remembers.mean.variables]
    before = [numpy(variable) for variable in variables]
    activation_statistics(model, data(8, 3, seed=1), training=True)
    assert remembers.last is last
    for variable, value in zip(variables, before, strict=True):
        np.testing.assert_array_equal(numpy(variable), value)


def test_training_mode_is_that_of_the_layers():
    model = keras.Sequential(
        [keras.Input((50,)), keras.layers.Dropout(0.5, seed=1), keras.layers.ReLU()]
    )
    x = np.ones((20, 50), "float32")
    assert activation_statistics(model, x).rows[0].zeros == 0
    assert 0.4 < activation_statistics(model, x, training=True).rows[0].zeros < 0.6


def test_after_an_error_the_model_is_whole():
    class Fails(keras.layers.Layer):
        fails = False

        def call(self, x):
            if self.fails:
                raise RuntimeError("fails")
            return x

    inputs = keras.Input((2,))
    layer, act = keras.layers.Dense(2, "relu"), keras.layers.ReLU()
    model = keras.Model(inputs, Fails()(act(layer(inputs))))
    Fails.fails = True
    with pytest.raises(RuntimeError, match="fails"):
        activation_statistics(model, data(4, 2))
    assert layer.activation is keras.activations.relu
    assert "call" not in vars(act)


def test_an_activation_that_is_not_called_is_listed():
    class Unused(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.act = keras.layers.ReLU(name="act")

        def call(self, x):
            return x

    model = keras.Sequential(
        [keras.Input((2,)), Unused(name="unused"), keras.layers.Activation("elu")]
    )
    statistics = activation_statistics(model, data(4, 2))
    assert [row.activation for row in statistics.rows] == ["elu"]
    assert statistics.not_observed == ("unused/act: relu",)
    assert str(statistics).splitlines()[-1] == "not observed: unused/act: relu"


@pytest.mark.skipif(BACKEND != "tensorflow", reason="of TensorFlow")
def test_what_a_layer_compiles_for_itself_is_seen_and_stays_compiled():
    import tensorflow as tf

    class Compiled(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.activation = keras.activations.relu
            self.traces = 0
            self.run = tf.function(self.code)

        def code(self, x):
            self.traces += tf.inside_function()
            return self.activation(x)

        def call(self, x):
            return self.run(x)

    model = keras.Sequential([keras.Input((2,)), Compiled(name="compiled")])
    x = data(4, 2)
    expected = numpy(model(x))
    traces = model.get_layer("compiled").traces
    (row,) = activation_statistics(model, x).rows
    np.testing.assert_allclose(row.output_mean, expected.mean(), rtol=1e-6)
    np.testing.assert_array_equal(numpy(model(x)), expected)
    assert model.get_layer("compiled").traces == traces
    assert not tf.config.functions_run_eagerly()


def test_table_and_file(tmp_path):
    statistics = activation_statistics(dead_network(), np.float32([[1, 1], [-1, -2]]))
    header, line, last = str(statistics).splitlines()
    assert header.split()[:4] == ["site", "activation", "units", "dead"]
    assert line.split()[:6] == ["act", "relu", "4", "75.0%", "62.5%", "62.5%"]
    assert last.split()[:6] == ["last", "(activation)", "softmax", "3", "0.0%", "-"]
    statistics.to_csv(tmp_path / "table.csv")
    with open(tmp_path / "table.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == ["act", "last"]
    assert float(rows[0]["dead_units"]) == 0.75
    assert float(rows[0]["input_min"]) == -103
    # Weighted by the sizes of the sites; softmax has no derivative of each element alone.
    assert statistics.total("dead_units") == 3 / 7
    assert statistics.total("dead_inputs") == statistics.rows[0].dead_inputs


def test_float16_is_counted_in_float64():
    model = keras.Sequential(
        [keras.Input((3,), dtype="float16"), keras.layers.ReLU(dtype="float16")]
    )
    x = np.full((1000, 3), 60.0, "float16")
    (row,) = activation_statistics(model, x).rows
    assert row.input_mean == 60
    assert row.input_std == 0


def test_the_threshold_of_saturation():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Activation("tanh")])
    x = np.float32([[0.0], [2.0], [4.0], [30.0]])  # slopes 1, 0.07, 0.0013, 0
    assert activation_statistics(model, x).rows[0].saturated == 2 / 4
    assert activation_statistics(model, x, saturation_threshold=0.1).rows[0].saturated == 3 / 4
    assert activation_statistics(model, x).rows[0].dead_inputs == 1 / 4


class Plain(keras.Model):
    def call(self, x):
        return keras.ops.maximum(x, 0)


def test_what_has_nothing_to_observe_is_refused():
    with pytest.raises(ValueError, match="is not built yet"):
        activation_statistics(keras.Sequential([keras.layers.Dense(2, "relu")]), data(2, 2))
    plain = Plain()
    plain(data(2, 2))
    plain.built = True
    with pytest.raises(ValueError, match="has no activation that"):
        activation_statistics(plain, data(2, 2))
    with pytest.raises(TypeError, match=r"must be a keras.Model. Received: <ReLU"):
        activation_statistics(keras.layers.ReLU(), data(2, 2))
    with pytest.raises(ValueError, match="There is no batch"):
        activation_statistics(dead_network(), data(2, 2), steps=0)


def test_the_figure_has_a_panel_for_shares_inputs_and_outputs(tmp_path):
    statistics = activation_statistics(dead_network(), data(30, 2))
    figure = keras_swish.plot_statistics(statistics, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    shares, inputs, outputs = figure.axes
    row = statistics.rows[0]
    lines = {line.get_label(): line.get_ydata()[0] for line in shares.lines}
    assert lines["dead units"] == 100 * row.dead_units
    assert lines["dead inputs"] == 100 * row.dead_inputs
    assert lines["saturated"] == 100 * row.saturated
    means = [panel.lines[-1].get_ydata()[0] for panel in (inputs, outputs)]
    assert means == [row.input_mean, row.output_mean]
    labels = [label.get_text() for label in outputs.get_xticklabels()]
    assert labels == ["act: relu", "last (activation): softmax"]
    empty = keras_swish.ActivationStatistics((), ("act: relu",))
    with pytest.raises(ValueError, match="Nothing to draw"):
        keras_swish.plot_statistics(empty)


@pytest.mark.parametrize(
    "backend",
    [
        pytest.param("jax", marks=[pytest.mark.jax, pytest.mark.slow]),
        pytest.param("torch", marks=[pytest.mark.torch, pytest.mark.slow]),
    ],
)
def test_the_other_backends_give_the_same(backend, python):
    pytest.importorskip(backend)
    tests = ("-k", "not other_backends", __file__)
    python("-m", "pytest", "-q", "-n", "0", *tests, KERAS_BACKEND=backend)
