import keras
import numpy as np
import pytest

import keras_swish

numpy = keras.ops.convert_to_numpy

X = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")


@keras.saving.register_keras_serializable("own_classes")
class Gelu(keras.layers.Layer):
    def call(self, x):
        return 0.5 * x * (1 + keras.ops.tanh(0.8 * x))


@keras.saving.register_keras_serializable("own_classes")
class Snake(keras.layers.Layer):
    def build(self, shape):
        self.alpha = self.add_weight(shape=(shape[-1],), initializer="ones")

    def call(self, x):
        return x + keras.ops.sin(self.alpha * x) ** 2 / self.alpha


@keras.saving.register_keras_serializable("own_classes")
class Block(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense, self.act = keras.layers.Dense(4), Gelu(name="act")

    def build(self, shape):
        self.dense.build(shape)
        self.built = True

    def call(self, x):
        return self.act(self.dense(x))


@keras.saving.register_keras_serializable("own_classes")
class Named(keras.layers.Layer):
    """Holds something composite in an attribute with the name of an activation."""

    def __init__(self, held, **kwargs):
        super().__init__(**kwargs)
        self.norm_activation = HELD[held]()
        self.held = held

    def build(self, shape):
        self.norm_activation.build(shape)

    def call(self, x):
        return self.norm_activation(x)

    def get_config(self):
        return {**super().get_config(), "held": self.held}


HELD = {
    "sequential": lambda: keras.Sequential([keras.layers.ReLU(name="act")], name="held"),
    "dense": lambda: keras.layers.Dense(4, "relu", name="held"),
    "wrapper": lambda: keras.layers.TimeDistributed(keras.layers.ReLU(name="act"), name="held"),
    "block": lambda: Block(name="held"),
}


class Shifted(keras.layers.ReLU):
    def call(self, x):
        return super().call(x) - 0.5


class Halved(keras.layers.Softmax):
    def call(self, x):
        return super().call(x) / 2


class Capped(keras.layers.ReLU):
    def __init__(self, **kwargs):
        super().__init__(6.0, **kwargs)


def model_of(*layers):
    return keras.Sequential([keras.Input((4,)), *layers, keras.layers.Dense(2, name="last")])


@pytest.mark.parametrize("own", [Gelu, Snake])
def test_own_layer_class_is_a_key(own, tmp_path):
    model = model_of(own(name="own"))
    copy, report = keras_swish.replace_activations(model, {own: "swish_beta"}, return_report=True)
    assert [(site.path, site.new) for site in report.replaced] == [("own", "swish_beta")]
    last = model.get_layer("last")
    expected = numpy(last(X / (1 + np.exp(-X))))
    np.testing.assert_allclose(numpy(copy(X)), expected, rtol=1e-5, atol=1e-6)
    copy.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(numpy(loaded(X)), numpy(copy(X)))


def test_own_layer_class_inside_a_layer_is_a_key():
    model = model_of(Block(name="block"))
    copy, report = keras_swish.replace_activations(model, {Gelu: "relu"}, return_report=True)
    assert [site.path for site in report.replaced] == ["block/act"]
    block, last = model.get_layer("block"), model.get_layer("last")
    expected = numpy(last(np.maximum(numpy(block.dense(X)), 0)))
    np.testing.assert_allclose(numpy(copy(X)), expected, rtol=1e-5, atol=1e-6)


def test_own_layer_class_that_changes_shapes_is_no_key():
    class Wider(keras.layers.Dense):
        pass

    model = model_of(Wider(8, name="wider"))
    with pytest.raises(TypeError, match=r"'wider' of class Wider.*is no activation"):
        keras_swish.replace_activations(model, {Wider: "swish"})


@pytest.mark.parametrize(("own", "name"), [(Shifted, "relu"), (Halved, "softmax")])
def test_subclass_with_a_call_of_its_own_is_no_known_activation(own, name):
    model = model_of(own(name="own"), keras.layers.Activation(name, name="act"))
    with pytest.raises(ValueError, match=rf"own \({own.__name__}.call\): keras.activations.{name}"):
        keras_swish.replace_activations(model, {name: "tanh"})
    copy = keras_swish.replace_activations(model, {name: "tanh", own: name})
    last = model.get_layer("last")
    expected = numpy(last(keras.ops.tanh(getattr(keras.ops, name)(X))))
    np.testing.assert_allclose(numpy(copy(X)), expected, rtol=1e-5, atol=1e-6)


def test_subclass_with_other_defaults_is_a_known_activation():
    (site,) = keras_swish.find_activations(model_of(Capped(name="own")))
    assert (site.path, site.old) == ("own", "relu6")


@pytest.mark.parametrize("held", ["sequential", "dense", "wrapper"])
def test_what_is_composite_in_an_attribute_named_activation_is_looked_into(held, tmp_path):
    x = np.repeat(X[:, None], 2, axis=1)
    layers = [keras.Input((2, 4)), Named(held, name="named"), keras.layers.Dense(2)]
    model = keras.Sequential(layers)
    copy, report = keras_swish.replace_activations(
        model, {"relu": "swish_beta"}, return_report=True
    )
    assert [site.path.startswith("named/held") for site in report.replaced] == [True]
    assert copy.count_params() - model.count_params() == 4
    assert np.abs(numpy(copy(x)) - numpy(model(x))).max() > 0.01
    copy.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(numpy(loaded(x)), numpy(copy(x)))


def test_own_composite_class_in_an_attribute_named_activation_is_a_key():
    model = model_of(Named("block", name="named"))
    copy, report = keras_swish.replace_activations(model, {Block: "relu"}, return_report=True)
    assert list(map(str, report.replaced)) == ["named (norm_activation): Block -> relu"]
    expected = numpy(model.get_layer("last")(np.maximum(X, 0)))
    np.testing.assert_allclose(numpy(copy(X)), expected, rtol=1e-5, atol=1e-6)


@keras.saving.register_keras_serializable("own_classes")
class Agent(keras.Model):
    """Has attributes of the names that a functional model and a recurrent cell have."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inputs, self.state_size = keras.layers.Dense(4, "relu"), 4
        self.operations = [keras.layers.Dense(4, "relu") for _ in range(2)]
        self.outputs = keras.layers.Dense(2, "softmax")

    def call(self, x):
        x = self.inputs(x)
        for operation in self.operations:
            x = operation(x)
        return self.outputs(x)


def test_attributes_may_be_called_like_those_of_a_graph(tmp_path):
    model = Agent()
    model(X)
    copy, report = keras_swish.replace_activations(model, {"relu": "swish"}, return_report=True)
    assert len(report.replaced) == 3
    x = X
    for dense in (model.inputs, *model.operations):
        x = keras.ops.matmul(x, dense.kernel) + dense.bias
        x = x * keras.ops.sigmoid(x)
    np.testing.assert_allclose(numpy(copy(X)), numpy(model.outputs(x)), rtol=1e-5, atol=1e-6)
    copy.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(numpy(loaded(X)), numpy(copy(X)))
