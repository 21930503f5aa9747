"""A new activation has one beta for each channel, whose axis the layers around it say."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_swish
from keras_swish.layers import weighted_layers

FIRST = {"data_format": "channels_first"}
IMAGE = (3, 8, 9)  # channels first; of the channels last it has nine


def shapes(model, **keywords):
    """The shapes of the betas after replacing ReLU."""
    keywords = {"except_last": False, "return_report": False, **keywords}
    changed = keras_swish.replace_activations(model, {"relu": "swish_beta"}, **keywords)
    return [tuple(layer.beta.shape) for layer in weighted_layers(changed)]


def sequential(*stack, shape=IMAGE):
    return keras.Sequential([keras.Input(shape), *stack])


def functional(*stack, shape=IMAGE):
    x = inputs = keras.Input(shape)
    for layer in stack:
        x = layer(x)
    return keras.Model(inputs, x)


@pytest.fixture
def channels_first():
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format("channels_last")


@pytest.mark.parametrize(
    ("make", "shape", "expected"),
    [
        (lambda: layers.Conv1D(5, 3, activation="relu", **FIRST), (3, 8), (5, 1)),
        (lambda: layers.Conv2D(5, 3, activation="relu", **FIRST), IMAGE, (5, 1, 1)),
        (lambda: layers.Conv3D(5, 3, activation="relu", **FIRST), (3, 8, 9, 7), (5, 1, 1, 1)),
        (lambda: layers.Conv2DTranspose(5, 3, activation="relu", **FIRST), IMAGE, (5, 1, 1)),
        (lambda: layers.SeparableConv2D(5, 3, activation="relu", **FIRST), IMAGE, (5, 1, 1)),
        (lambda: layers.DepthwiseConv2D(3, activation="relu", **FIRST), IMAGE, (3, 1, 1)),
        (lambda: layers.Conv2D(5, 3, activation="relu"), IMAGE, (1, 1, 5)),
        (lambda: layers.Dense(5, activation="relu"), IMAGE, (1, 1, 5)),
        (lambda: layers.EinsumDense("abc,cd->abd", (8, 5), activation="relu"), (8, 9), (1, 5)),
        (lambda: layers.EinsumDense("abc,bd->adc", (5, 9), activation="relu"), (8, 9), (5, 1)),
        (lambda: layers.EinsumDense("...c,cd->...d", 5, activation="relu"), (8, 9), (1, 5)),
        (lambda: layers.LSTM(5, activation="relu", return_sequences=True), (8, 9), (5,)),
        (
            lambda: layers.ConvLSTM2D(5, 3, activation="relu", **FIRST),
            (4, *IMAGE),
            (5, 1, 1),
        ),
        (
            lambda: layers.TimeDistributed(layers.Conv2D(5, 3, activation="relu", **FIRST)),
            (4, *IMAGE),
            (5, 1, 1),
        ),
    ],
)
@pytest.mark.parametrize("session", ["channels_last", "channels_first"])
def test_a_layer_with_an_activation_says_it_itself(make, shape, expected, session):
    layer = make()
    keras.config.set_image_data_format(session)
    try:
        assert shapes(sequential(layer, shape=shape)) == [expected]
    finally:
        keras.config.set_image_data_format("channels_last")


CONV = {"kernel_size": 3, "padding": "same", **FIRST}


@pytest.mark.parametrize("build", [sequential, functional])
@pytest.mark.parametrize(
    ("stack", "shape", "expected"),
    [
        # What says it.
        (lambda: [layers.Conv2D(5, **CONV)], IMAGE, (5, 1, 1)),
        (lambda: [layers.BatchNormalization(axis=1)], IMAGE, (3, 1, 1)),
        (lambda: [layers.BatchNormalization(axis=-3)], IMAGE, (3, 1, 1)),
        (lambda: [layers.BatchNormalization()], IMAGE, (1, 1, 9)),
        (lambda: [layers.BatchNormalization(axis=2)], IMAGE, (1, 8, 1)),
        (lambda: [layers.LayerNormalization(axis=1)], IMAGE, (3, 1, 1)),
        (lambda: [layers.GroupNormalization(3, axis=1)], IMAGE, (3, 1, 1)),
        (lambda: [layers.MaxPooling2D(**FIRST)], IMAGE, (3, 1, 1)),
        (lambda: [layers.AveragePooling3D(2, **FIRST)], (3, 8, 8, 8), (3, 1, 1, 1)),
        (lambda: [layers.UpSampling2D(**FIRST)], IMAGE, (3, 1, 1)),
        (lambda: [layers.GlobalMaxPooling2D(keepdims=True, **FIRST)], IMAGE, (3, 1, 1)),
        (lambda: [layers.GlobalMaxPooling2D(**FIRST)], IMAGE, (3,)),
        (lambda: [layers.Flatten(**FIRST)], (2, 3, 4), (24,)),
        (lambda: [layers.Dense(5)], (8, 9), (1, 5)),
        (lambda: [layers.GRU(5, return_sequences=True)], (8, 9), (1, 5)),
        (lambda: [layers.Bidirectional(layers.GRU(5, return_sequences=True))], (8, 9), (1, 10)),
        (lambda: [layers.Embedding(20, 5)], (8,), (1, 5)),
        (lambda: [layers.EinsumDense("abc,bd->adc", (5, 9))], (8, 9), (5, 1)),
        (
            lambda: [layers.ConvLSTM2D(5, return_sequences=True, **CONV)],
            (4, *IMAGE),
            (1, 5, 1, 1),
        ),
        (lambda: [layers.TimeDistributed(layers.Conv2D(5, **CONV))], (4, *IMAGE), (1, 5, 1, 1)),
        # Through layers that keep the axes.
        (lambda: [layers.Conv2D(5, **CONV), layers.Dropout(0.5)], IMAGE, (5, 1, 1)),
        (
            lambda: [
                layers.Conv2D(5, **CONV),
                layers.Activation("linear"),
                layers.SpatialDropout2D(0.5, **FIRST),
                layers.GaussianNoise(0.1),
                layers.Rescaling(2.0),
                layers.Lambda(lambda x: x + 1),
                layers.Identity(),
            ],
            IMAGE,
            (5, 1, 1),
        ),
        (lambda: [layers.Dense(5), layers.ZeroPadding1D()], (8, 9), (1, 5)),
        (lambda: [layers.TimeDistributed(layers.Dropout(0.5))], IMAGE, (1, 1, 9)),
        # Through layers that move them.
        (lambda: [layers.Conv2D(5, **CONV), layers.Permute((2, 3, 1))], IMAGE, (1, 1, 5)),
        (lambda: [layers.Conv2D(5, **CONV), layers.Permute((2, 1, 3))], IMAGE, (1, 5, 1)),
        (lambda: [layers.Conv2D(5, **CONV), layers.Reshape((5, 72))], IMAGE, (5, 1)),
        (lambda: [layers.Conv2D(5, 3, padding="same"), layers.Reshape((24, 5))], IMAGE, (1, 5)),
        # In nested models.
        (lambda: [keras.Sequential([layers.Conv2D(5, **CONV)])], IMAGE, (5, 1, 1)),
        (
            lambda: [
                layers.Conv2D(5, **CONV),
                functional(layers.Dropout(0.5), shape=(5, 8, 9)),
                sequential(layers.Dropout(0.5), shape=(5, 8, 9)),
            ],
            IMAGE,
            (5, 1, 1),
        ),
    ],
)
def test_what_feeds_an_activation_says_it(build, stack, shape, expected):
    assert shapes(build(*stack(), layers.ReLU(), shape=shape)) == [expected]


@pytest.mark.parametrize("relu", [ops.relu, layers.ReLU()])
@pytest.mark.parametrize(
    ("between", "expected"),
    [
        (lambda x: x, (5, 1, 1)),
        (lambda x: x + layers.Conv2D(5, **CONV)(x), (5, 1, 1)),
        (lambda x: layers.Concatenate(axis=1)([x, x]), (10, 1, 1)),
        (lambda x: ops.transpose(x, (0, 2, 3, 1)), (1, 1, 5)),
        (lambda x: ops.moveaxis(x, 1, 2), (1, 5, 1)),
        (lambda x: ops.swapaxes(x, 1, -1), (1, 1, 5)),
        (lambda x: ops.mean(x, (2, 3)), (5,)),
        (lambda x: ops.mean(x, (2, 3), keepdims=True), (5, 1, 1)),
        (lambda x: ops.expand_dims(x, 1), (1, 5, 1, 1)),
        (lambda x: ops.reshape(x, (-1, 5, 72)), (5, 1)),
        (lambda x: x * ops.sigmoid(ops.mean(x, (2, 3), keepdims=True)), (5, 1, 1)),
    ],
)
def test_operations_in_a_graph_keep_and_move_the_axis(between, expected, relu):
    inputs = keras.Input(IMAGE)
    model = keras.Model(inputs, relu(between(layers.Conv2D(5, **CONV)(inputs))))
    assert shapes(model) == [expected]


def test_an_activation_inside_a_nested_model_looks_outside_of_it():
    for build in functional, sequential:
        inner = build(layers.Dropout(0.5), layers.ReLU(), shape=(5, 8, 9))
        assert shapes(functional(layers.Conv2D(5, **CONV), inner)) == [(5, 1, 1)]
        assert shapes(sequential(layers.Conv2D(5, **CONV), inner)) == [(5, 1, 1)]


def test_what_an_activation_feeds_says_it_where_nothing_before_does():
    model = functional(layers.ReLU(), layers.Dropout(0.5), layers.Conv2D(5, **CONV))
    assert shapes(model) == [(3, 1, 1)]
    stack = layers.Dense(12), layers.Reshape((3, 2, 2)), layers.ReLU(), layers.Conv2D(5, **CONV)
    assert shapes(sequential(*stack, shape=(4,))) == [(3, 1, 1)]


def test_prelu_and_swish_say_it_where_no_other_layer_does():
    prelu = sequential(layers.PReLU(shared_axes=[2, 3]))
    changed = keras_swish.replace_activations(prelu, {"prelu": "swish_beta"}, except_last=False)
    assert tuple(changed.layers[0].beta.shape) == (3, 1, 1)
    swish = sequential(keras_swish.Swish(**FIRST))
    changed = keras_swish.replace_activations(swish, {"swish_beta": "prelu"}, except_last=False)
    assert tuple(changed.layers[0].weights[0].shape) == (3, 1, 1)


class Block(layers.Layer):
    """A convolution and two activations, one of them a function."""

    def __init__(self, **keywords):
        super().__init__(**keywords)
        self.activation = keras.activations.relu
        self.conv = layers.Conv2D(5, **CONV)
        self.act = layers.ReLU()
        self.pool = layers.GlobalAveragePooling2D(**FIRST)
        self.dense = layers.Dense(4)
        self.last = layers.ReLU()

    def build(self, shape):
        self.conv.build(shape)
        self.dense.build((None, 5))

    def call(self, x):
        return self.last(self.dense(self.pool(self.act(self.activation(self.conv(x))))))


class Wrapped(layers.Layer):
    """Knows of no axis itself."""

    def __init__(self, **keywords):
        super().__init__(**keywords)
        self.relu = layers.ReLU()

    def call(self, x):
        return self.relu(x)

    def compute_output_shape(self, shape):
        return shape


def test_in_a_custom_layer_the_order_of_its_members_tells():
    assert sorted(shapes(functional(Block()))) == [(4,), (5, 1, 1), (5, 1, 1)]
    assert shapes(functional(layers.Conv2D(5, **CONV), Wrapped())) == [(5, 1, 1)]
    assert shapes(functional(Block(), layers.ReLU(), shape=IMAGE))[-1] == (4,)
    for layer in Wrapped(), layers.ReLU(), sequential(layers.ReLU()), functional(layers.ReLU()):
        steps = layers.BatchNormalization(axis=2), layers.TimeDistributed(layer)
        assert shapes(functional(*steps, shape=(4, *IMAGE))) == [(3, 1, 1)]


@pytest.mark.usefixtures("channels_first")
def test_the_default_is_the_last_resort():
    assert shapes(sequential(layers.Dense(5, "relu"), layers.Dense(2), shape=(8, 9))) == [(1, 5)]
    assert shapes(sequential(layers.Conv2D(5, 3), layers.ReLU())) == [(5, 1, 1)]
    assert shapes(sequential(layers.ReLU())) == [(3, 1, 1)]
    keras.config.set_image_data_format("channels_last")
    assert shapes(sequential(layers.ReLU())) == [(1, 1, 9)]


def test_what_the_user_says_of_axes_counts():
    model = sequential(layers.Conv2D(5, **CONV), layers.ReLU())
    for arguments, expected in [
        ({"shared_axes": [1, 2, 3]}, (1, 1, 1)),
        ({"data_format": "channels_last"}, (1, 1, 9)),
    ]:
        new = keras_swish.Swish(**arguments)
        changed = keras_swish.replace_activations(model, {"relu": new}, except_last=False)
        assert [tuple(layer.beta.shape) for layer in weighted_layers(changed)] == [expected]


@pytest.mark.parametrize("session", ["channels_last", "channels_first"])
def test_it_is_saved_and_loaded_whatever_the_session_s_default(session, tmp_path):
    model = sequential(
        layers.Conv2D(5, activation="relu", **CONV),
        layers.BatchNormalization(axis=1),
        layers.ReLU(),
        layers.Permute((2, 1, 3)),
        layers.ReLU(),
        layers.Permute((1, 3, 2)),
        layers.Dense(4, "relu"),
        layers.ReLU(),
    )
    changed = keras_swish.replace_activations(model, {"relu": "swish_beta"}, except_last=False)
    changed.save(tmp_path / "model.keras")
    expected = [(5, 1, 1), (5, 1, 1), (1, 5, 1), (1, 1, 4), (1, 1, 4)]
    keras.config.set_image_data_format(session)
    try:
        loaded = keras.models.load_model(tmp_path / "model.keras")
    finally:
        keras.config.set_image_data_format("channels_last")
    for each in changed, loaded:
        assert [tuple(layer.beta.shape) for layer in weighted_layers(each)] == expected
    x = np.random.default_rng(0).normal(size=(2, *IMAGE)).astype("float32")
    y, again = (ops.convert_to_numpy(each(x)) for each in (changed, loaded))
    np.testing.assert_array_equal(again, y)
