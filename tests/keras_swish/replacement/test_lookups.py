"""Strings by which code looks an activation up: replaced, tried out, saved, or told."""

import dataclasses
import types
import warnings

import keras
import numpy as np
import pytest
from carrying import assert_equal, differ, disturbed, values
from keras import layers, ops

import keras_swish
from keras_swish.replacement.watching.lookups import spelling

X = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")
register = keras.saving.register_keras_serializable("lookups")
TABLE = {"relu": ops.relu, "tanh": ops.tanh}


class Named(layers.Layer):
    """Has the name of its activation in an attribute."""

    def __init__(self, act="relu", **kwargs):
        super().__init__(**kwargs)
        self.act = act

    def get_config(self):
        return {**super().get_config(), "act": self.act}


@register
class Getting(Named):
    def call(self, x):
        return keras.activations.get(self.act)(x)


@register
class Making(Named):
    def call(self, x):
        return layers.Activation(self.act)(x)


@register
class WithoutConfig(layers.Layer):
    def __init__(self, act="relu", **kwargs):
        super().__init__(**kwargs)
        self.function_name = act

    def call(self, x):
        return keras.activations.get(self.function_name)(x)


@register
class Nested(layers.Layer):
    def __init__(self, settings=None, **kwargs):
        super().__init__(**kwargs)
        self.settings = settings or {"inner": [{"act": "relu"}]}

    def call(self, x):
        return keras.activations.get(self.settings["inner"][0]["act"])(x)

    def get_config(self):
        return {**super().get_config(), "settings": self.settings}


@dataclasses.dataclass(frozen=True)
class Settings:
    act: str = "relu"


@register
class WithSettings(layers.Layer):
    def __init__(self, settings=None, **kwargs):
        super().__init__(**kwargs)
        self.settings = Settings(**(settings or {}))

    def call(self, x):
        return keras.activations.get(self.settings.act)(x)

    def get_config(self):
        return {**super().get_config(), "settings": dataclasses.asdict(self.settings)}


@register
class WithNamespace(WithSettings):
    def __init__(self, settings=None, **kwargs):
        layers.Layer.__init__(self, **kwargs)
        self.settings = types.SimpleNamespace(**(settings or {"act": "relu"}))

    def get_config(self):
        return {**layers.Layer.get_config(self), "settings": vars(self.settings)}


@register
class Building(Named):
    def build(self, shape):
        function = keras.activations.get(self.act)
        self.function_of = lambda x: function(x) + 1

    def call(self, x):
        return self.function_of(x)


@register
class Asking(Named):
    def call(self, x):
        return getattr(ops, self.act)(x)


@register
class Tabled(Named):
    def call(self, x):
        return TABLE[self.act](x)


@register
class Deaf(Named):
    """Has the name in an attribute, and does not read it."""

    def call(self, x):
        return ops.relu(x)


@register
class Choosy(Getting):
    def __init__(self, act="relu", **kwargs):
        if act not in ("relu", "tanh"):
            raise ValueError(f"no activation: {act}")
        super().__init__(act, **kwargs)


class Host(layers.Layer):
    """Makes a layer that looks its activation up, and passes it through no configuration."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = Building(name="inner")

    def build(self, shape):
        self.inner.build(shape)

    def call(self, x):
        return self.inner(x)


@register
class Passing(layers.Layer):
    """Passes the name to a layer that has none itself."""

    def __init__(self, act="relu", **kwargs):
        super().__init__(**kwargs)
        self.act = act
        self.taker = Taking()

    def call(self, x):
        return self.taker(x, act=self.act)

    def get_config(self):
        return {**super().get_config(), "act": self.act}


class Taking(layers.Layer):
    def call(self, x, act):
        return keras.activations.get(act)(x)


def model_with(layer):
    stack = [keras.Input((6,)), layers.Dense(6), layer, layers.Dense(2)]
    return disturbed(keras.Sequential(stack))


def replace(model, *arguments, **keywords):
    return keras_swish.replace_activations(model, *arguments, return_report=True, **keywords)


def with_layer(model, new):
    """The same model with an activation layer in place of the layer that looks one up."""
    stack = [model.layers[0], keras_swish.layer(new), model.layers[2]]
    return keras.Sequential([keras.Input((6,)), *stack])


TAKE_ANY = [Getting, Making, WithoutConfig, Nested, WithSettings, WithNamespace, Passing]


@pytest.mark.parametrize(
    ("layer_class", "new"),
    [(each, "leaky_relu") for each in TAKE_ANY]
    + [(Getting, new) for new in ("swish", "tanh", "cos(x) * x")],
)
def test_a_string_is_replaced_and_survives_a_file(layer_class, new, tmp_path):
    model = model_with(layer_class(name="named"))
    (site,) = keras_swish.find_activations(model)
    assert site.path == "named"
    assert site.old == "relu"
    assert not site.code
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "replace_activations")
        changed, report = replace(model, {"relu": new})
    assert [str(site) for site in report.replaced] == [f"{site} -> {report.replaced[0].new}"]
    assert_equal(changed, with_layer(changed, new), X)
    assert differ(model, changed, X)
    changed.save(tmp_path / "model.keras")
    assert_equal(keras.saving.load_model(tmp_path / "model.keras"), changed, X)
    # And back.
    back, _ = replace(changed, {new: "relu"})
    assert_equal(back, model, X)


def test_what_build_makes_of_a_string_is_made_of_the_new_one():
    for host in (Building(name="inner"), Host()):
        model = model_with(host)
        changed, report = replace(model, {"relu": "leaky_relu"}, strict=True)
        assert [site.attribute for site in report.replaced] == ["act"]
        (y,) = values(changed.layers[0], X)
        expected = np.where(y >= 0, y, 0.01 * y) + 1
        np.testing.assert_allclose(values(changed.layers[1], y)[0], expected, rtol=1e-5)


def test_trainable_betas_are_put_where_calls_take_a_layer():
    model = model_with(Getting(name="named"))
    changed, report = replace(model, {"relu": "swish_beta"}, beta_initializer=2)
    assert [str(site) for site in report.replaced] == ["named (act): relu -> swish_beta"]
    assert changed.count_params() == model.count_params() + 6
    (y,) = values(changed.layers[0], X)
    np.testing.assert_allclose(
        values(changed.layers[1], y)[0], y / (1 + np.exp(-2 * y)), rtol=1e-5, atol=1e-7
    )
    changed.compile("sgd", "mse")
    before = ops.convert_to_numpy(changed.layers[1].act.beta).copy()
    changed.fit(X, np.ones((4, 2)), verbose=0)
    assert (ops.convert_to_numpy(changed.layers[1].act.beta) != before).all()


@pytest.mark.parametrize(
    ("layer_class", "new", "told"),
    [
        (Asking, "leaky_relu", "has no attribute 'where"),
        (Asking, "swish_beta", "attribute name must be string"),
        (Tabled, "swish", r"x \* sigmoid\(x\)"),
        (Deaf, "swish", r"Deaf.call\): keras.ops.relu, where swish in act changes nothing"),
        (Building, "swish_beta", "where swish_beta in act changes nothing"),
        (WithSettings, "swish_beta", "weights"),
    ],
)
def test_a_string_that_the_code_does_not_take_is_the_error_that_names_the_layer(
    layer_class, new, told
):
    model = model_with(layer_class(name="named"))
    with pytest.raises(ValueError, match=told) as error:
        replace(model, {"relu": new})
    assert "named (" in str(error.value)
    stack = [keras.Input((6,)), layers.Dense(6, "relu", name="dense"), layer_class(name="named")]
    model = disturbed(keras.Sequential([*stack, layers.Dense(2)]))
    with pytest.warns(UserWarning, match="named"):
        changed, report = replace(model, {"relu": new}, strict=False)
    assert [site.path for site in report.replaced] == ["dense"]
    assert len(report.direct_calls) == 1
    assert "does not take" in next(site.reason for site in report.kept if site.path == "named")
    (y,) = values(changed.layers[0], X)
    assert_equal(changed.layers[1], model.layers[1], y)


def test_a_string_that_only_the_constructor_refuses_is_put_and_saved(tmp_path):
    model = model_with(Choosy(name="named"))
    changed, report = replace(model, {"relu": "swish"})
    assert [site.path for site in report.replaced] == ["named"]
    changed.save(tmp_path / "model.keras")
    assert_equal(keras.saving.load_model(tmp_path / "model.keras"), changed, X)


def test_names_that_the_table_of_the_code_has_are_taken():
    for layer_class, new in ((Asking, "silu"), (Asking, "tanh"), (Tabled, "tanh")):
        model = model_with(layer_class(name="named"))
        changed, _ = replace(model, {"relu": new})
        assert changed.layers[1].act == new
        assert_equal(changed, with_layer(changed, new), X)


def test_a_string_is_chosen_by_its_path_and_attribute():
    model = model_with(Getting(name="named"))
    with pytest.raises(ValueError, match="not chosen by `where`"):
        replace(model, {"relu": "swish"}, where="dense*")
    assert len(replace(model, {"relu": "swish"}, where="named/act")[1].replaced) == 1


def test_strings_that_name_no_activation_that_is_called_are_left_alone():
    layer = Getting("tanh", name="relu")
    layer.padding = "relu"
    changed, report = replace(model_with(layer), {"tanh": "swish"})
    assert [str(site) for site in report.replaced] == ["relu (act): tanh -> swish"]
    assert changed.layers[1].name == "relu"


@pytest.mark.parametrize(
    ("new", "text"),
    [
        ("relu", "relu"),
        ("silu", "silu"),
        ("max_tanh", "max_tanh"),
        ("hard_swish", "x * min(max(x + 3, 0), 6) / 6"),
        (ops.tanh, "tanh"),
        ("gelu", "x * (1 + erf(x / sqrt(2))) / 2"),
        ("swish", "x * sigmoid(x)"),
        (keras_swish.activations.swish, "x * sigmoid(x)"),
        ("prelu", None),
        (ops.gelu, None),
        (lambda x: x, None),
    ],
)
def test_the_string_for_an_activation_means_the_same_to_keras(new, text):
    assert spelling(new) == text
    if text is not None:
        x = np.linspace(-3, 3, 13).astype("float32")
        expected = ops.convert_to_numpy(keras_swish.layer(new)(x))
        found = ops.convert_to_numpy(keras.activations.get(text)(ops.convert_to_tensor(x)))
        np.testing.assert_array_equal(found, expected)
