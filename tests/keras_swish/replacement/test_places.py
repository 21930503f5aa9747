"""The weights of new activations have paths under their hosts, which patterns can name."""

import keras
import numpy as np
import pytest
from carrying import assert_equal
from keras import layers

import keras_swish
from keras_swish.layers import betas

X = np.random.default_rng(0).normal(size=(2, 8, 9, 3)).astype("float32")


@keras.saving.register_keras_serializable("test_places")
class Block(layers.Layer):
    """Holds a layer, an activation layer, and activations in a list."""

    def __init__(self, **keywords):
        super().__init__(**keywords)
        self.conv = layers.Conv2D(4, 3, activation="relu", name="conv")
        self.relu = layers.ReLU(name="act")
        self.stages = [keras.activations.relu]

    def build(self, shape):
        self.conv.build(shape)

    def call(self, x):
        return self.stages[0](self.relu(self.conv(x)))


@keras.saving.register_keras_serializable("test_places")
class Outer(layers.Layer):
    """Has no `build`: what it holds is built when it is called."""

    def __init__(self, **keywords):
        super().__init__(**keywords)
        self.dense = layers.Dense(3, "relu", name="dense")
        self.block = Block(name="block")
        self.by_name = {"first-one": layers.ReLU(name="act"), "other": keras.activations.relu}

    def call(self, x):
        for name in sorted(self.by_name):
            x = self.by_name[name](x)
        return self.block(self.dense(x))


@keras.saving.register_keras_serializable("test_places")
class Own(layers.Layer):
    """Makes all that it holds in its own code, and builds none of it."""

    def __init__(self, **keywords):
        super().__init__(**keywords)
        self.activation = keras.activations.relu
        self.act = layers.ReLU(name="act")
        self.inner = layers.Dense(3, "relu", name="inner")

    def call(self, x):
        return self.activation(self.inner(self.act(x)))


def network():
    inner = keras.Sequential([layers.Dense(3, "relu", name="d"), layers.ReLU(name="r")], name="in")
    inputs = keras.Input(X.shape[1:])
    x = layers.Conv2D(4, 3, activation="relu", name="first")(inputs)
    x = inner(Block(name="block")(layers.ReLU(name="second")(x)))
    x = layers.Reshape((-1, 3), name="steps")(x)
    x = layers.LSTM(5, activation="relu", recurrent_activation="relu", name="lstm")(x)
    return keras.Model(inputs, layers.Dense(2, name="last")(x), name="net")


PATHS = {
    "first/activation/beta",
    "second/beta",
    "block/conv/activation/beta",
    "block/act/beta",
    "block/stages_0/beta",
    "in/d/activation/beta",
    "in/r/beta",
    "lstm/lstm_cell/activation/beta",
    "lstm/lstm_cell/recurrent_activation/beta",
}


def replace(model, new="swish_beta"):
    return keras_swish.replace_activations(
        model, {"relu": new}, where=["*", "*recurrent_activation"]
    )


@pytest.mark.parametrize("new", ["swish_beta", "max(x, beta * x)"])
def test_a_beta_is_under_its_host_whatever_was_made_before(new):
    model = network()
    for _ in range(2):
        keras_swish.layer("swish_beta")
        assert set(betas(replace(model, new))) == PATHS
    hosts = {v.path.rpartition("/")[0] for v in model.variables}
    assert {path.rpartition("/activation")[0] for path in PATHS if "/activation" in path} <= hosts


def test_a_layer_without_build_has_them_under_it():
    inputs = keras.Input(X.shape[1:])
    model = keras.Model(inputs, layers.Dense(2)(Outer(name="outer")(inputs)))
    assert set(betas(replace(model))) == {
        "outer/dense/activation/beta",
        "outer/act/beta",
        "outer/by_name_other/beta",
        "outer/block/conv/activation/beta",
        "outer/block/act/beta",
        "outer/block/stages_0/beta",
    }


def test_a_subclassed_model_s_name_leads_its_paths(tmp_path):
    @keras.saving.register_keras_serializable("test_places")
    class Net(keras.Model):
        def __init__(self, **keywords):
            super().__init__(**keywords)
            self.d = layers.Dense(3, "relu", name="d")
            self.act = layers.ReLU(name="act")
            self.last = layers.Dense(2, name="last")

        def call(self, x):
            return self.last(self.act(self.d(x)))

    net = Net(name="net")
    net(X)
    changed = replace(net)
    assert [v.path for v in changed.variables if v.name != "beta"] == [
        v.path for v in net.variables
    ]
    assert {v.path for v in changed.variables if v.name == "beta"} == {
        "net/d/activation/beta",
        "net/act/beta",
    }
    changed.save_weights(tmp_path / "model.weights.h5")
    again = replace(net)
    again.load_weights(tmp_path / "model.weights.h5")
    assert [v.path for v in again.variables] == [v.path for v in changed.variables]


def test_a_loaded_model_has_them_under_its_hosts_too(tmp_path):
    inputs = keras.Input((4,))
    inner = keras.Sequential([layers.Dense(3, "relu", name="d"), layers.ReLU(name="r")], name="in")
    x = inner(layers.Dense(4, "relu", name="first")(inputs))
    changed = replace(keras.Model(inputs, layers.Dense(2, name="last")(x), name="net"))
    changed.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    cloned = keras.models.clone_model(changed)
    for model in loaded, cloned, keras.models.load_model(tmp_path / "model.keras"):
        first, d = model.get_layer("first"), model.get_layer("in").get_layer("d")
        for host in first, d:
            assert host.activation.beta.path == f"{host.path}/activation/beta"
        assert model.get_layer("in").get_layer("r").beta.path == f"{d.path[:-1]}r/beta"
    assert_equal(loaded, changed, np.ones((2, 4), "float32"))
    loaded.save(tmp_path / "again.keras")
    again = keras.models.load_model(tmp_path / "again.keras")
    assert [v.path for v in again.variables] == [v.path for v in loaded.variables]


def test_a_loaded_model_has_them_under_hosts_of_the_users_own_classes_too(tmp_path):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(2, name="last")(Own(name="own")(inputs)))
    replace(model).save(tmp_path / "model.keras")
    keras.models.load_model(tmp_path / "model.keras").save(tmp_path / "again.keras")
    for name in "model", "again":
        loaded = keras.models.load_model(tmp_path / f"{name}.keras")
        assert [v.path for v in loaded.variables if v.name == "beta"] == [
            "own/activation/beta",
            "own/act/beta",
            "own/inner/activation/beta",
        ]


def test_an_optimizer_excludes_them_from_weight_decay_by_name():
    optimizer = keras.optimizers.SGD(0.1, weight_decay=1.0)
    optimizer.exclude_from_weight_decay(var_names=["beta"])
    model = replace(network())
    before = [np.array(keras.ops.convert_to_numpy(v)) for v in model.trainable_variables]
    optimizer.apply([keras.ops.zeros(v.shape) for v in before], model.trainable_variables)
    kept = {
        v.path
        for v, value in zip(model.trainable_variables, before, strict=True)
        if value.any() and np.array_equal(keras.ops.convert_to_numpy(v), value)
    }
    assert kept == PATHS


@pytest.mark.jax
@pytest.mark.skipif(keras.backend.backend() != "jax", reason="of JAX")
def test_a_layout_map_names_them():
    distribution = keras.distribution
    devices = distribution.list_devices()[:1]
    layout_map = distribution.LayoutMap(
        distribution.DeviceMesh((1, 1), ("batch", "model"), devices)
    )
    layout_map["first/.*beta"] = (None, None, "model")
    layout_map["block/.*beta"] = ("batch", None, None)
    parallel = distribution.ModelParallel(layout_map=layout_map, batch_dim_name="batch")
    with parallel.scope():
        variables = betas(replace(network()))
    layouts = {path: parallel.get_variable_layout(beta).axes for path, beta in variables.items()}
    assert {path: axes for path, axes in layouts.items() if any(axes)} == {
        "first/activation/beta": (None, None, "model"),
        **{path: ("batch", None, None) for path in PATHS if path.startswith("block")},
    }
