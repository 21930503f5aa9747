"""Replaced models that are saved and read again, by every route that Keras has."""

import copy
import pickle

import keras
import numpy as np
import pytest
from carrying import assert_equal, differ, disturbed
from keras import layers

import keras_swish
from keras_swish.replacement.copying.saving import CannotSaveError

X = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")
replace = keras_swish.replace_activations
serializable = keras.saving.register_keras_serializable("test_saving")


@serializable
class FromAString(layers.Layer):
    """Makes its layers in `build`, from strings, as packages of temporal convolutions do."""

    def __init__(self, units=6, activation="relu", **kwargs):
        super().__init__(**kwargs)
        self.units, self.name_of_activation = units, activation

    def build(self, shape):
        self.stack = [layers.Dense(self.units, "relu"), layers.Activation("relu")]
        self.stack[0].build(shape)
        self.last = layers.Dense(self.units, self.name_of_activation)
        self.last.build((*shape[:-1], self.units))

    def call(self, x):
        return self.last(self.stack[1](self.stack[0](x) - 0.1)) - 0.1

    def get_config(self):
        config = {"units": self.units, "activation": self.name_of_activation}
        return {**super().get_config(), **config}


@serializable
class HandingOn(layers.Layer):
    """Hands its activation on to a layer inside it, as transformers do."""

    def __init__(self, units=6, activation="relu", **kwargs):
        super().__init__(**kwargs)
        self.units, self.activation = units, keras.activations.get(activation)

    def build(self, shape):
        self.inner = layers.Dense(self.units, self.activation)
        self.inner.build(shape)
        self.second = layers.Dense(self.units, self.activation)
        self.second.build((*shape[:-1], self.units))

    def call(self, x):
        return self.second(self.inner(x) - 0.1) - 0.1

    def get_config(self):
        activation = keras.activations.serialize(self.activation)
        return {**super().get_config(), "units": self.units, "activation": activation}


@serializable
class AskingForAName(HandingOn):
    """Writes the name of its activation, which only a function has."""

    def get_config(self):
        return {**super().get_config(), "activation": self.activation.__name__}


@serializable
class ByKey(layers.Layer):
    """Holds functions by key, and a layer that its configuration says nothing of."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.functions = {"hidden": keras.activations.relu}
        self.act = layers.ReLU()
        self.dense = layers.Dense(6)

    def build(self, shape):
        self.dense.build(shape)

    def call(self, x):
        return self.act(self.dense(self.functions["hidden"](x)))


@serializable
class Network(keras.Model):
    """A functional model with a constructor of its own, and methods."""

    def __init__(self, units=5, **kwargs):
        inputs = keras.Input((6,))
        x = layers.Dense(units, "relu", name="hidden")(inputs)
        x = layers.ReLU(name="act")(x - 0.1)
        x = keras.ops.relu(x - 0.1)
        super().__init__(inputs, layers.Dense(2)(HandingOn(units, name="handing")(x)), **kwargs)
        self.units = units

    def twice(self, x):
        return 2 * self(x)

    def get_config(self):
        return {"units": self.units, "name": self.name}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@serializable
class Subclassed(keras.Model):
    def __init__(self, units=5, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.blocks = [layers.Dense(units, "relu"), FromAString(units)]
        self.last = layers.Dense(2)

    def build(self, shape):
        for layer in [*self.blocks, self.last]:
            layer.build(shape)
            shape = (*shape[:-1], self.units)

    def call(self, x):
        for block in self.blocks:
            x = block(x)
        return self.last(x)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def around(*stack):
    return keras.Sequential([keras.Input((6,)), *stack, layers.Dense(2)])


def built(model):
    model.build((None, 6))
    return model


MODELS = {
    "from a string": lambda: around(FromAString(), layers.Dense(3, "relu")),
    "handing on": lambda: around(HandingOn(), HandingOn(4)),
    "asking for a name": lambda: around(AskingForAName()),
    "by key": lambda: around(ByKey()),
    "network": Network,
    "network in a network": lambda: around(Network(), layers.Dense(6, "relu")),
    "subclassed": lambda: built(Subclassed()),
    "in wrappers": lambda: around(
        layers.Reshape((2, 3)), layers.TimeDistributed(FromAString(3)), layers.Flatten()
    ),
}


def file(model, tmp_path, suffix):
    model.save(tmp_path / f"model{suffix}")
    return keras.saving.load_model(tmp_path / f"model{suffix}")


def with_weights(again, model):
    """Weights by their order among those of the layer that owns them."""
    for new, old in zip(again.weights, model.weights, strict=True):
        new.assign(old)
    return again


ROUTES = {
    "keras": lambda model, path: file(model, path, ".keras"),
    "h5": lambda model, path: file(model, path, ".h5"),
    "pickle": lambda model, path: pickle.loads(pickle.dumps(model)),
    "deepcopy": lambda model, path: copy.deepcopy(model),
    "clone": lambda model, path: with_weights(keras.models.clone_model(model), model),
    "json": lambda model, path: with_weights(keras.models.model_from_json(model.to_json()), model),
}


def quick(values, names):
    """The quick ones among values, the rest marked as slow."""
    return [one if one in names else pytest.param(one, marks=pytest.mark.slow) for one in values]


@pytest.mark.parametrize("new", quick(["swish_beta", "swish"], ["swish_beta"]))
@pytest.mark.parametrize("name", quick(MODELS, ["from a string"]))
def test_a_file_gives_the_replaced_model_back(name, new, tmp_path):
    model = disturbed(MODELS[name]())
    changed = disturbed(replace(model, {"relu": new}, except_last=False), seed=1)
    assert differ(model, changed, X)
    loaded = file(changed, tmp_path, ".keras")
    assert_equal(loaded, changed, X)
    sites, again = map(keras_swish.find_activations, (changed, loaded))
    assert [(one.attribute, one.old) for one in again] == [(s.attribute, s.old) for s in sites]
    assert {site.old for site in sites} == {new}
    assert len(sites) == len(keras_swish.find_activations(model))
    assert type(loaded).__name__ == type(model).__name__
    assert isinstance(loaded, type(model))
    # It is a model like any other: it can be replaced, trained and saved again.
    back = replace(loaded, {new: "relu"}, except_last=False)
    assert_equal(back, replace(changed, {new: "relu"}, except_last=False), X)
    assert_equal(file(back, tmp_path, ".keras"), back, X)
    loaded.compile("sgd", "mse")
    loaded.fit(X, np.ones((4, 2)), verbose=0)
    assert_equal(file(loaded, tmp_path, ".keras"), loaded, X)


@pytest.mark.parametrize("route", quick(ROUTES, ["h5", "pickle", "clone", "json"]))
@pytest.mark.parametrize(
    "name", quick(["from a string", "handing on", "network", "subclassed"], ["from a string"])
)
def test_every_route_gives_the_replaced_model_back(name, route, tmp_path):
    if route == "h5" and name in ("network", "subclassed"):
        pytest.skip("refused: see the test of HDF5 files")
    model = disturbed(MODELS[name]())
    changed = disturbed(replace(model, {"relu": "swish_beta"}, except_last=False), seed=1)
    again = ROUTES[route](changed, tmp_path)
    assert len(again.weights) == len(changed.weights)
    assert_equal(again, changed, X)
    assert not {id(v) for v in again.variables} & {id(v) for v in changed.variables}


@pytest.mark.parametrize("base", [layers.Layer, keras.Model])
def test_a_class_that_is_not_registered_is_made_again_without_a_file(base):
    class Own(base):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.first, self.second = layers.Dense(6, "relu"), layers.Dense(6)

        def build(self, shape):
            self.first.build(shape)
            self.second.build(shape)

        def call(self, x):
            return self.second(self.first(x))

        def get_config(self):
            return {"name": self.name}

    one = Own()
    model = one if base is keras.Model else keras.Sequential([keras.Input((6,)), one])
    model(X)
    changed = replace(model, {"relu": "swish_beta"})
    again = with_weights(keras.models.clone_model(changed), changed)
    assert_equal(again, changed, X)
    own = changed if base is keras.Model else changed.layers[0]
    again = with_weights(type(own).from_config(own.get_config()), own)
    assert_equal(again, own, X)


def test_an_hdf5_file_that_would_have_the_old_activations_is_refused(tmp_path):
    changed = replace(Network(), {"relu": "swish_beta"})
    with pytest.raises(CannotSaveError, match=r"save the model as a '.keras' file"):
        changed.save(tmp_path / "model.h5")


@pytest.mark.parametrize("name", ["from a string", "network", "subclassed"])
def test_a_file_of_weights_fits_the_replaced_model(name, tmp_path):
    model = disturbed(MODELS[name]())
    changed = disturbed(replace(model, {"relu": "swish_beta"}), seed=1)
    changed.save_weights(tmp_path / "model.weights.h5")
    again = replace(disturbed(MODELS[name]()), {"relu": "swish_beta"})
    again.load_weights(tmp_path / "model.weights.h5")
    assert_equal(again, changed, X)


def test_an_activation_that_is_handed_on_is_one_site_and_one_layer():
    model = disturbed(around(HandingOn(6), HandingOn(6, name="second")))
    assert [s.attribute for s in keras_swish.find_activations(model)] == ["activation"] * 2
    changed, report = replace(model, {"relu": "swish_beta"}, return_report=True)
    assert len(report.replaced) == 2
    assert changed.count_params() == model.count_params() + 2 * 6
    host = changed.layers[0]
    assert host.activation is host.inner.activation is host.second.activation
    assert type(host) is HandingOn  # its own configuration gives it back


def test_two_layers_with_the_same_function_are_not_one_activation():
    class Apart(HandingOn):
        def build(self, shape):
            super().build(shape)
            self.second = layers.Dense(self.units, "relu")
            self.second.build((*shape[:-1], self.units))

    model = disturbed(around(Apart(6)))
    changed, report = replace(model, {"relu": "swish_beta"}, return_report=True)
    assert [site.attribute for site in report.replaced] == ["activation"] * 2
    assert changed.count_params() == model.count_params() + 2 * 6
    host = changed.layers[0]
    assert host.activation is host.inner.activation
    assert host.activation is not host.second.activation


def test_a_layer_that_hands_on_to_other_widths_has_a_layer_for_each():
    class Widening(HandingOn):
        def build(self, shape):
            super().build(shape)
            self.second = layers.Dense(9, self.activation)
            self.second.build((*shape[:-1], self.units))

    model = disturbed(around(Widening(6)))
    changed, report = replace(model, {"relu": "swish_beta"}, return_report=True)
    assert len(report.replaced) == 1
    assert changed.count_params() == model.count_params() + 6 + 9


@serializable
class Bottleneck(HandingOn):
    """Applies itself, at another width, what it hands on."""

    widths = (9,)

    def build(self, shape):
        super().build(shape)
        self.wide = [layers.Dense(width) for width in self.widths]
        for layer in self.wide:
            layer.build((*shape[:-1], self.units))

    def call(self, x):
        x = super().call(x)
        return sum(keras.ops.sum(self.activation(wide(x)), -1, True) for wide in self.wide)


def test_a_layer_that_applies_what_it_hands_on_at_another_width_has_its_own(tmp_path):
    model = disturbed(around(Bottleneck(6)))
    changed = disturbed(replace(model, {"relu": "swish_beta"}), seed=1)
    assert changed.count_params() == model.count_params() + 9 + 2 * 6
    assert_equal(file(changed, tmp_path, ".keras"), changed, X)
    back = replace(replace(model, {"relu": "swish_beta"}), {"swish_beta": "relu"})
    assert_equal(back, model, X)


def test_a_layer_that_applies_what_it_hands_on_at_several_widths_is_refused():
    class Several(Bottleneck):
        widths = (8, 9)

    model = around(Several(6, name="several"))
    with pytest.raises(ValueError, match=r"'several' of class Several cannot be called"):
        replace(model, {"relu": "swish_beta"})


def test_a_layer_that_would_not_come_back_is_refused_when_it_is_saved(tmp_path):
    @serializable
    class Growing(layers.Layer):
        """Has one layer more each time that it is made."""

        made = 0

        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            type(self).made += 1
            self.stack = [layers.Dense(6, "relu") for _ in range(self.made)]

        def build(self, shape):
            for layer in self.stack:
                layer.build(shape)

        def call(self, x):
            for layer in self.stack:
                x = layer(x)
            return x

    model = disturbed(around(Growing()))
    with pytest.warns(UserWarning, match=r"no file gives back the layer 'growing(_\d+)?'"):
        changed, report = replace(model, {"relu": "swish_beta"}, return_report=True)
    assert len(report.notes) == 1
    with pytest.raises(CannotSaveError, match=r"'growing\S*' of class Growing cannot be saved"):
        changed.save(tmp_path / "model.keras")
    changed.save_weights(tmp_path / "model.weights.h5")


def test_a_layer_taken_out_of_a_replaced_model_is_saved_with_its_new_activations(tmp_path):
    changed = disturbed(replace(built(Subclassed()), {"relu": "swish_beta"}))
    inner = keras.Sequential([keras.Input((5,)), changed.blocks[1]])
    assert_equal(file(inner, tmp_path, ".keras"), inner, X[:, :5])


def test_what_is_set_after_replacing_is_saved_too(tmp_path):
    changed = disturbed(replace(Network(), {"relu": "swish_beta"}))
    again = replace(changed, {"swish_beta": "max(x, beta * x)"})
    loaded = file(disturbed(again), tmp_path, ".keras")
    assert {site.old for site in keras_swish.find_activations(loaded)} == {"max(x, beta * x)"}
    assert_equal(loaded, again, X)
    assert loaded.twice(X).shape == (4, 2)


@serializable
class Snake(layers.Layer):
    def __init__(self, alpha=1.0, **kwargs):
        super().__init__(**kwargs)
        self.alpha = alpha

    def call(self, x):
        return x + keras.ops.sin(self.alpha * x)

    def get_config(self):
        return {**super().get_config(), "alpha": self.alpha}


class OfOneActivation(layers.Layer):
    """Makes its activation in its own code, which its configuration says nothing of."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense, self.act = layers.Dense(6), self.make()

    def build(self, shape):
        self.dense.build(shape)

    def call(self, x):
        return self.act(self.dense(x))


@serializable
class OfLeakyReLU(OfOneActivation):
    make = staticmethod(lambda: layers.LeakyReLU(0.3))


@serializable
class OfSnake(OfOneActivation):
    make = Snake


@serializable
class OfLambda(OfOneActivation):
    make = staticmethod(lambda: layers.Activation(lambda x: keras.ops.tanh(x) * 3))


@pytest.mark.parametrize(
    ("host", "old", "new", "second"),
    [
        (OfLeakyReLU, "leaky_relu", layers.LeakyReLU(0.01), layers.LeakyReLU(0.1)),
        (OfSnake, Snake, Snake(5.0), Snake(7.0)),
    ],
)
def test_a_file_gives_back_what_differs_in_a_parameter_alone(host, old, new, second, tmp_path):
    model = disturbed(around(host()))
    changed = replace(model, {old: new})
    assert differ(model, changed, X)
    assert_equal(file(changed, tmp_path, ".keras"), changed, X)
    again = replace(changed, {old: second})
    assert differ(changed, again, X)
    assert_equal(file(again, tmp_path, ".keras"), again, X)


def test_what_an_earlier_replacement_changed_comes_back_after_another_one(tmp_path):
    class Both(OfLeakyReLU):
        def call(self, x):
            return keras.ops.add(self.act(self.dense(x)), self.functions["f"](x))

        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.functions = {"f": keras.activations.relu}

    serializable(Both)
    changed = replace(disturbed(around(Both())), {"leaky_relu": layers.LeakyReLU(0.01)})
    again = replace(replace(changed, {"relu": "swish"}), {"swish": "relu"})
    assert_equal(file(again, tmp_path, ".keras"), changed, X)


def test_a_lambda_in_place_of_another_one_is_refused_when_it_is_saved(tmp_path):
    model = disturbed(around(OfLambda()))
    old = model.layers[0].act.activation
    with pytest.warns(UserWarning, match=r"no file gives back the layer 'of_lambda(_\d+)?'"):
        changed = replace(model, {old: lambda x: keras.ops.tanh(x) * 0.1})
    with pytest.raises(CannotSaveError, match=r"'of_lambda\S*' of class OfLambda cannot be saved"):
        changed.save(tmp_path / "model.keras")


@keras.saving.register_keras_serializable(package="test_saving")
class BetweenLayers(layers.Layer):
    """Has its activation between two layers with weights of other shapes."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first, self.activation = layers.Dense(3), keras.activations.relu
        self.last = layers.Dense(2)

    def build(self, input_shape):
        self.first.build(input_shape)
        self.last.build((None, 3))

    def call(self, inputs):
        return self.last(self.activation(self.first(inputs)))


def test_replacing_back_and_forth_keeps_the_order_of_weights(tmp_path):
    model = keras.Sequential([keras.Input((4,)), BetweenLayers(), layers.Dense(1)])
    swish = keras_swish.replace_activations(model, {"relu": "swish_beta"})
    again = keras_swish.replace_activations(swish, {"swish_beta": keras.ops.relu})
    again = keras_swish.replace_activations(again, {"relu": "swish_beta"})
    assert [v.shape for v in again.weights] == [v.shape for v in swish.weights]
    again.compile("adam", "mse")
    again.fit(np.ones((2, 4)), np.ones((2, 1)), verbose=0)
    again.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert_equal(loaded, again, np.random.default_rng(0).standard_normal((3, 4)))


@serializable
class ByPosition(layers.Layer):
    """Holds a function and a layer by pairs of numbers."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.functions = {(0, 1): keras.activations.relu}
        self.blocks = {(1, (2, 3)): layers.Dense(6, "relu")}

    def build(self, shape):
        self.blocks[1, (2, 3)].build(shape)

    def call(self, x):
        return self.blocks[1, (2, 3)](self.functions[0, 1](x) - 0.1)


def test_what_is_held_by_pairs_comes_back(tmp_path):
    changed = disturbed(replace(built(around(ByPosition())), {"relu": "swish_beta"}))
    changed.save(tmp_path / "model.keras")
    assert_equal(keras.saving.load_model(tmp_path / "model.keras"), changed, X)
