"""Which sites are found, chosen and reported, and what stands there afterwards."""

import functools
import re
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
from carrying import assert_equal, differ, disturbed, values
from keras import layers

import keras_swish
from keras_swish.layers import betas
from keras_swish.replacement.recognise import recognise

X = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")
IMAGES = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")
STEPS = np.random.default_rng(0).normal(size=(2, 5, 6)).astype("float32")


def sequential(*stack, shape=(6,)):
    return disturbed(keras.Sequential([keras.Input(shape), *stack]))


def replace(model, *arguments, **keywords):
    return keras_swish.replace_activations(model, *arguments, return_report=True, **keywords)


def of_all_kinds():
    """A convolutional network with an activation in every form that Keras has."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, activation="relu", name="conv")(inputs)
    x = layers.DepthwiseConv2D(3, activation=layers.ReLU(), name="depthwise")(x)
    x = layers.SeparableConv2D(4, 1, activation=keras.ops.relu, name="separable")(x)
    x = layers.Conv2DTranspose(4, 1, activation="relu", name="transpose")(x)
    x = layers.Activation("relu", name="activation")(x)
    x = layers.Activation(layers.ReLU(), name="layer_in_activation")(x)
    x = layers.ReLU(name="layer")(x + 0.1)
    x = keras.activations.relu(x - 0.1)
    x = keras.ops.relu(x - 0.1)
    x = layers.Lambda(keras.activations.relu, name="known")(x - 0.1)
    x = layers.Lambda(lambda x: x * 2 + 1, name="unknown")(x)
    x = layers.TimeDistributed(layers.Dense(4, activation="relu"), name="times")(x)
    x = layers.TimeDistributed(layers.ReLU(), name="times_whole")(x - 0.1)
    inner = keras.Sequential([layers.Dense(4, "relu"), layers.ReLU(), layers.Dense(4)])
    x = inner(x)
    block = keras.Input(x.shape[1:])
    x = keras.Model(block, layers.Dense(4, activation="relu")(block), name="block")(x)
    x = layers.Flatten()(x)
    return disturbed(keras.Model(inputs, layers.Dense(3, activation="softmax")(x)))


@pytest.mark.parametrize("new", ["swish", "swish_beta", "cos(x) - x", "max(x, beta * x)"])
def test_every_form_of_relu_is_found_and_replaced(new, tmp_path):
    model = of_all_kinds()
    before = values(model, IMAGES)
    changed, report = replace(model, {"relu": new})
    assert len(report.replaced) == 15
    assert [site.old for site in report.kept] == ["softmax"]
    assert "relu" not in [site.old for site in keras_swish.find_activations(changed)]
    assert differ(model, changed, IMAGES)
    assert {layer.name for layer in model.layers} <= {layer.name for layer in changed.layers}
    assert [one.name for one in changed.operations] == [one.name for one in model.operations]
    assert changed.output_names == model.output_names
    np.testing.assert_array_equal(before[0], values(model, IMAGES)[0])
    # There and back, and once through a file.
    relu, again = replace(changed, {new: "relu"})
    assert len(again.replaced) == 15
    assert_equal(relu, model, IMAGES)
    changed.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=False)
    assert_equal(loaded, changed, IMAGES)


def test_relu_by_relu_gives_the_same_bits():
    model = of_all_kinds()
    same, report = replace(model, {"relu": "relu"})
    assert len(report.replaced) == 15
    assert_equal(same, model, IMAGES)


def test_a_name_replaced_by_itself_changes_nothing():
    inputs = keras.Input((6,))
    x = layers.Dense(6, "gelu")(inputs)
    x = layers.Dense(6, keras.activations.leaky_relu)(x)
    x = layers.LeakyReLU()(layers.Dense(6, "silu")(x))
    x = layers.ReLU(negative_slope=0.1)(layers.Dense(6, "softplus")(x - 0.1))
    x = keras.ops.gelu(x - 0.1)
    x = keras.ops.leaky_relu(x, negative_slope=0.4) + layers.ELU(0.5)(x)
    model = disturbed(keras.Model(inputs, layers.Dense(2)(x)))
    names = dict.fromkeys(site.old for site in keras_swish.find_activations(model))
    assert set(names) == {"gelu", "leaky_relu", "swish", "softplus", "elu"}
    same, report = replace(model, {name: name for name in names})
    assert len(report.replaced) == 9
    assert_equal(same, model, X)
    assert_equal(replace(model, {"silu": "swish", "swish": "silu"})[0], model, X)
    # A function says which is meant.
    ours, report = replace(model, {"leaky_relu": keras_swish.activations.leaky_relu})
    assert differ(model, ours, X)
    assert "the slope 0.2, its layer 0.3" in report.notes[-1]


def test_the_report_says_where_a_name_means_another_function_than_keras_s():
    model = sequential(
        layers.LeakyReLU(name="leaky"), layers.Dense(3, "gelu", name="gelu"), layers.Dense(2)
    )
    approximate = layers.Lambda(keras.ops.gelu, name="approximate")
    sites = keras_swish.find_activations(sequential(approximate, *model.layers))
    assert [str(site) for site in sites] == [
        "approximate: gelu with approximate=True",
        "leaky: leaky_relu with negative_slope=0.3",
        "gelu (activation): gelu",
    ]
    _, report = replace(model, {"leaky_relu": "gelu", "gelu": "leaky_relu"})
    assert [note.split(":")[0] for note in report.notes] == ["gelu", "leaky_relu"]
    assert "rounds otherwise" in report.notes[0]
    assert "rounds otherwise" in keras_swish.describe("gelu")
    assert replace(model, {"gelu": "relu"})[1].notes == ()
    assert replace(model, {"leaky_relu": layers.LeakyReLU(0.5)})[1].notes == ()


class OwnActivation(layers.Layer):
    def call(self, x):
        return keras.ops.abs(x)


def own_function(x):
    return keras.ops.abs(x)


def test_every_name_that_is_printed_is_a_key():
    inputs = keras.Input((6,))
    x = layers.Dense(6, own_function)(inputs)
    x = layers.Dense(6, activation=OwnActivation())(x)
    x = layers.Dense(6, functools.partial(keras.activations.elu, alpha=0.5))(x)
    x = layers.Dense(6, activation=layers.ReLU(1.0))(x)
    x = layers.Dense(6, activation=lambda x: x * 2)(x)
    x = layers.Activation(own_function)(x)
    x = layers.Lambda(keras.ops.elu, arguments={"alpha": 0.3})(x)
    x = layers.Lambda(keras.activations.relu, arguments={"max_value": 6.0})(x)
    x = keras_swish.SearchedActivation("cos(x)*x")(x)
    model = disturbed(keras.Model(inputs, layers.Dense(2)(x)))
    sites = keras_swish.find_activations(model)
    names = [site.old for site in sites]
    assert names == [
        f"{__name__}.own_function",
        "OwnActivation",
        "partial of elu",
        "ReLU",
        f"{__name__}.test_every_name_that_is_printed_is_a_key.<locals>.<lambda>",
        f"{__name__}.own_function",
        "partial of elu",
        "relu6",
        "cos(x) * x",
    ]
    for name in set(names):
        changed, report = replace(model, {name: "swish"})
        assert len(report.replaced) == names.count(name)
        assert differ(model, changed, X)
    with pytest.raises(ValueError, match=f"Did you mean '{__name__}.own_function'"):
        replace(model, {f"{__name__}.own_functoin": "swish"})


def test_a_class_of_the_users_own_that_has_the_name_of_ours_has_a_key_too():
    own = type("Swish", (OwnActivation,), {"__module__": __name__})
    model = sequential(layers.Dense(4, own(), name="own"), keras_swish.Swish(), layers.Dense(2))
    sites = keras_swish.find_activations(model)
    assert [site.old for site in sites] == [f"{__name__}.Swish", "swish_beta"]
    assert replace(model, {sites[0].old: "relu"})[1].replaced[0].path == "own"


@pytest.mark.parametrize(
    ("thing", "name"),
    [
        (keras.activations.silu, "swish"),
        (keras.ops.silu, "swish"),
        (keras_swish.activations.swish, "swish"),
        (layers.Activation("swish"), "swish"),
        (layers.ReLU(), "relu"),
        (layers.ReLU(6), "relu6"),
        (layers.ReLU(6.0, threshold=1.0), None),
        (layers.ReLU(max_value=1.0), None),
        (layers.ReLU(negative_slope=0.1), "leaky_relu"),
        (layers.LeakyReLU(), "leaky_relu"),
        (layers.PReLU(), "prelu"),
        (layers.ELU(), "elu"),
        (layers.Softmax(), "softmax"),
        (functools.partial(keras.activations.relu, max_value=6), "relu6"),
        (functools.partial(keras.activations.relu, max_value=5), None),
        (functools.partial(keras.activations.elu, alpha=0.5), None),
        (keras_swish.Swish(), "swish_beta"),
        (keras_swish.SearchedActivation("x*sigmoid(x)"), "swish"),
        (keras_swish.SearchedActivation("cos(x)*x"), "cos(x) * x"),
        (layers.Lambda(keras.ops.tanh), "tanh"),
        (layers.Lambda(lambda x: x), None),
        (layers.Dense(3, "relu"), None),
        (lambda x: x, None),
    ],
)
def test_names_mean_what_they_compute(thing, name):
    assert recognise(thing) == name


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (keras.ops.relu, "relu"),
        (keras.ops.relu6, "relu6"),
        (keras.ops.silu, "swish"),
        (keras.ops.hard_silu, "hard_silu"),
        (keras.ops.leaky_relu, "leaky_relu"),
        (keras.ops.log_sigmoid, "log_sigmoid"),
        (keras.ops.tanh, "tanh"),
        (keras.activations.relu, "relu"),
        (lambda x: keras.activations.relu(x, max_value=6), "relu6"),
        (lambda x: keras.activations.relu(x, max_value=5), None),
        (lambda x: x + 1, None),
    ],
)
def test_operations_in_a_graph_have_their_names(make, name):
    assert recognise(make(keras.Input((3,)))._keras_history.operation) == name


def test_relu_is_not_relu6_and_a_function_of_the_users_own_is_not_keras_s():
    def relu(x):
        return keras.ops.abs(x)

    gate = layers.ReLU(6.0, name="gate")
    model = sequential(layers.Dense(5, relu), layers.Dense(5, "relu"), gate, layers.Dense(5))
    changed, report = replace(model, {"relu": "swish"})
    assert [site.path for site in report.replaced] == [model.layers[1].name]
    assert changed.layers[0].activation is relu
    changed, report = replace(model, {relu: "relu6", "relu6": "relu"})
    assert [site.new for site in report.replaced] == ["relu6", "relu"]
    assert changed.layers[0].activation is keras.activations.relu6


def test_silu_and_swish_are_one_function():
    model = sequential(layers.Dense(5, "silu"), layers.Dense(5, "swish"), layers.Dense(2))
    for key in ("silu", "swish", keras.ops.silu, "x * sigmoid(x)"):
        assert len(replace(model, {key: "relu"})[1].replaced) == 2


def test_activations_are_chosen_by_name_formula_function_class_and_layer():
    model = sequential(layers.LeakyReLU(), layers.ReLU(6.0), layers.Dense(4, "tanh"), layers.ELU())
    keys = ["min(max(x, 0), 6)", layers.ReLU(6.0), layers.ReLU, keras.activations.relu6]
    for key in keys:
        changed, report = replace(model, {key: "swish"})
        assert [site.old for site in report.replaced] == ["relu6"]
        assert type(changed.layers[1]) is layers.Activation
    assert len(replace(model, {"leaky_relu": "swish", "tanh": "relu"})[1].replaced) == 2


def test_places_are_chosen_by_path_and_by_a_function():
    model = of_all_kinds()

    def paths(where):
        return [site.path for site in replace(model, {"relu": "swish"}, where=where)[1].replaced]

    assert paths("conv") == ["conv"]
    assert len(paths(["conv", re.compile("^times")])) == 3
    assert len(paths("times_whole/*")) == 1
    assert paths("block/*") == ["block/" + model.get_layer("block").layers[1].name]
    assert paths(lambda site: isinstance(site.layer, layers.DepthwiseConv2D)) == ["depthwise"]
    with pytest.raises(ValueError, match="not chosen by `where`"):
        replace(model, {"relu": "swish"}, where="nowhere")


def test_output_activations_stay_unless_asked_for():
    inputs = keras.Input((6,))
    hidden = layers.Dense(4, "relu", name="hidden")(inputs)
    side = layers.Reshape((2, 2))(layers.Dense(4, "relu", name="side")(hidden))
    head = keras.Sequential([keras.Input((4,)), layers.Dense(4), layers.ReLU()], name="head")
    last = layers.Activation("linear", dtype="float32")(head(hidden))
    model = disturbed(keras.Model(inputs, {"side": side, "last": last, "seen": hidden}))
    _, report = replace(model, {"relu": "swish"})
    assert [site.path for site in report.replaced] == ["hidden"]
    assert all("except_last" in site.reason for site in report.kept)
    assert len(report.kept) == 2
    assert len(replace(model, {"relu": "swish"}, except_last=False)[1].replaced) == 3


def test_a_layer_in_an_attribute_of_a_sequence_does_not_make_its_output():
    model = keras.Sequential([keras.Input((6,)), layers.Dense(4, "relu"), layers.ReLU(name="last")])
    model.teacher = keras.Sequential([keras.Input((6,)), layers.ReLU(name="relu")], name="teacher")
    _, report = replace(model, {"relu": "swish"})
    assert [site.path for site in report.kept] == ["last"]


@pytest.mark.parametrize(
    "end",
    [
        lambda x: keras.ops.squeeze(x, -1),
        lambda x: keras.ops.cast(x, "float64"),
        lambda x: keras.ops.transpose(keras.ops.expand_dims(x, 1))[:, 0],
        lambda x: keras.ops.split(keras.ops.tile(x, (1, 2)), 2, axis=-1),
        lambda x: keras.ops.flip(keras.ops.take(x, [0], axis=-1), -1),
        layers.ActivityRegularization(l2=0.1),
        lambda x: layers.UpSampling1D()(layers.RepeatVector(2)(layers.GaussianNoise(0.1)(x))),
    ],
)
def test_what_makes_the_output_is_seen_through_operations_that_change_no_value(end):
    inputs = keras.Input((6,))
    hidden = layers.Dense(4, "sigmoid", name="hidden")(inputs)
    model = keras.Model(inputs, end(layers.Dense(1, "sigmoid", name="last")(hidden)))
    _, report = replace(model, {"sigmoid": "swish"})
    assert [site.path for site in report.replaced] == ["hidden"]
    assert [site.path for site in report.kept] == ["last"]


@pytest.mark.parametrize("join", [layers.Concatenate(), keras.ops.concatenate, keras.ops.stack])
def test_every_part_of_a_joined_output_stays(join):
    inputs = keras.Input((6,))
    hidden = layers.Dense(2, "softplus", name="hidden")(inputs)
    parts = [layers.Dense(2, "softplus", name=name)(hidden) for name in ("mean", "scale")]
    _, report = replace(keras.Model(inputs, join(parts)), {"softplus": "swish"})
    assert [site.path for site in report.replaced] == ["hidden"]
    assert [site.path for site in report.kept] == ["mean", "scale"]


def test_gates_of_recurrent_layers_are_replaced_only_where_they_are_named():
    lstm = layers.LSTM(4, return_sequences=True, name="lstm")
    model = sequential(
        lstm, layers.Bidirectional(layers.GRU(3), name="two"), layers.Dense(2), shape=(5, 6)
    )
    changed, report = replace(model, {"tanh": "swish_beta", "sigmoid": "hard_sigmoid"})
    assert {site.old for site in report.replaced} == {"tanh"}
    assert len(report.replaced) == 3
    assert all("gate" in site.reason for site in report.kept)
    assert changed.count_params() == model.count_params() + 4 + 3 + 3
    assert differ(model, changed, STEPS)
    changed, report = replace(model, {"sigmoid": "hard_sigmoid"}, where="*recurrent_activation")
    assert [site.attribute for site in report.replaced] == ["recurrent_activation"] * 3


@pytest.mark.parametrize("cell", [layers.SimpleRNN, layers.LSTM, layers.GRU])
def test_a_recurrent_layer_with_a_trainable_activation_trains_and_reloads(cell, tmp_path):
    model = sequential(cell(4, name="cell"), layers.Dense(2), shape=(5, 6))
    changed = keras_swish.replace_activations(model, {"tanh": "swish_beta"})
    assert changed.count_params() == model.count_params() + 4
    changed.compile("sgd", "mse")
    beta = changed.layers[0].cell.activation.beta
    before = keras.ops.convert_to_numpy(beta).copy()
    changed.fit(STEPS, np.ones((2, 2)), verbose=0)
    assert (keras.ops.convert_to_numpy(beta) != before).all()
    changed.save(tmp_path / "model.keras")
    assert_equal(keras.saving.load_model(tmp_path / "model.keras"), changed, STEPS)


def test_a_convolutional_recurrent_layer_is_one_too():
    images = np.random.default_rng(0).normal(size=(2, 3, 6, 6, 1)).astype("float32")
    model = sequential(
        layers.ConvLSTM2D(2, 3), layers.Flatten(), layers.Dense(2), shape=(3, 6, 6, 1)
    )
    changed = keras_swish.replace_activations(model, {"tanh": "swish_beta"})
    assert changed.count_params() == model.count_params() + 2
    assert differ(model, changed, images)


def test_shared_layers_stay_shared_or_get_their_own():
    shared, dense = layers.ReLU(name="act"), layers.Dense(6, "relu", name="dense")
    inputs = keras.Input((6,))
    x = layers.Dense(6)(shared(dense(shared(dense(inputs)))))
    model = disturbed(keras.Model(inputs, x))
    changed, report = replace(model, {"relu": "swish_beta"})
    assert len(report.replaced) == 2
    assert changed.count_params() == model.count_params() + 2 * 6
    apart = keras_swish.replace_activations(model, {"relu": "swish_beta"}, shared=False)
    assert apart.count_params() == model.count_params() + 3 * 6
    assert [layer.name for layer in apart.layers if "act" in layer.name] == ["act", "act_2"]
    assert_equal(apart, changed, X)


def test_the_layer_of_a_later_call_knows_its_channels_and_has_a_free_name(tmp_path):
    shared, inputs = layers.ReLU(name="act"), keras.Input((3, 6, 7))
    x = shared(layers.BatchNormalization(axis=1)(inputs))
    x = shared(layers.BatchNormalization(axis=1)(x))
    x = layers.GlobalAveragePooling2D(data_format="channels_first")(layers.ELU(name="act_2")(x))
    model = keras.Model(inputs, x)
    apart = keras_swish.replace_activations(model, {"relu": "swish_beta"}, shared=False)
    apart.save(tmp_path / "model.keras")
    for one in (apart, keras.saving.load_model(tmp_path / "model.keras")):
        shapes = {path: tuple(beta.shape) for path, beta in betas(one).items()}
        assert shapes == {"act/beta": (3, 1, 1), "act_3/beta": (3, 1, 1)}


def test_a_shared_nested_model_stays_shared():
    inner = keras.Sequential([keras.Input((6,)), layers.Dense(6, "relu")], name="inner")
    inputs = keras.Input((6,))
    model = disturbed(keras.Model(inputs, layers.Dense(1)(inner(inner(inputs)))))
    changed, report = replace(model, {"relu": "swish_beta"})
    assert [site.path.split("/")[0] for site in report.replaced] == ["inner"]
    assert changed.count_params() == model.count_params() + 6


def test_a_layer_as_the_new_one_keeps_its_dtype_and_regularizer():
    model = keras.Sequential(
        [keras.Input((6,)), layers.ReLU(dtype="mixed_float16"), layers.Softmax(dtype="float16")]
    )
    new = {"relu": layers.Activation("silu", activity_regularizer="l2"), "softmax": layers.ELU}
    changed, _ = replace(model, new, except_last=False)
    changed(X)
    assert len(changed.losses) == 1
    assert [layer.compute_dtype for layer in changed.layers] == ["float16", "float16"]
    new = {"softmax": layers.Softmax(dtype="float64"), "relu": keras_swish.Swish(dtype="float64")}
    changed, _ = replace(model, new, except_last=False)
    assert [layer.compute_dtype for layer in changed.layers] == ["float64", "float64"]
    # Also where that is the global dtype policy.
    own = layers.Activation("tanh", dtype="float32")
    changed, _ = replace(model, {"relu": own, "softmax": keras_swish.Swish()}, except_last=False)
    assert [layer.compute_dtype for layer in changed.layers] == ["float32", "float16"]


def test_of_a_nested_model_only_the_outputs_that_are_the_model_s_stay():
    inputs = keras.Input((4,))
    one = layers.Dense(4, "relu", name="one")(inputs)
    two = layers.Dense(4, "relu", name="two")(layers.Dense(4, "relu", name="before")(inputs))
    inner = keras.Model(inputs, [one, two], name="inner")
    outer = keras.Input((4,))
    first, second = inner(outer)
    _, report = replace(keras.Model(outer, [first, layers.Dense(1)(second)]), {"relu": "swish"})
    assert {site.path for site in report.replaced} == {"inner/before", "inner/two"}


def test_layers_in_a_set_are_found_and_replaced():
    class Summing(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.parts = {layers.Dense(6, "relu", name="part"), layers.ReLU(name="act")}

        def build(self, shape):
            for part in self.parts:
                part.build(shape)

        def call(self, x):
            return sum(part(x) for part in self.parts)

    model = keras.Sequential([keras.Input((6,)), Summing(name="sum"), layers.Dense(1)])
    changed, report = replace(model, {"relu": "swish_beta"})
    assert {site.path for site in report.replaced} == {"sum/act", "sum/part"}
    assert changed.count_params() == model.count_params() + 2 * 6
    assert np.abs(changed.predict(X, verbose=0) - model.predict(X, verbose=0)).max() > 1e-3


@pytest.mark.parametrize("new", ["swish", "swish_beta"])
def test_what_code_calls_in_another_dtype_than_its_layer_s_stays_in_it(new):
    class Head(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(dtype="mixed_float16", **kwargs)
            self.activation = keras.activations.relu

        def call(self, x):
            return self.activation(keras.ops.square(keras.ops.cast(x, "float32")))

    model = keras.Sequential([keras.Input((2,)), Head(name="head")])
    changed, _ = replace(model, {"relu": new}, except_last=False)
    x = np.full((1, 2), 300.0)  # its square is larger than the largest float16
    assert keras.backend.standardize_dtype(changed(x).dtype) == "float32"
    np.testing.assert_allclose(keras.ops.convert_to_numpy(changed(x)), x**2)


def test_an_activation_of_integers_gets_float_betas():
    inputs = keras.Input((6,), dtype="int32")
    model = keras.Model(inputs, layers.Dense(2)(keras.ops.relu(inputs)))
    changed, _ = replace(model, {"relu": "swish_beta"})
    (beta, *_) = changed.trainable_variables
    assert keras.backend.standardize_dtype(beta.dtype) == keras.config.floatx()
    before = keras.ops.convert_to_numpy(beta)
    changed.compile(keras.optimizers.SGD(), "mse")
    changed.train_on_batch(np.arange(12).reshape(2, 6), np.ones((2, 2)))
    assert (keras.ops.convert_to_numpy(beta) != before).any()


def test_an_initializer_of_betas_is_for_activations_that_have_one():
    model = keras.Sequential([keras.Input((6,)), layers.ReLU(), layers.Dense(1)])
    with pytest.raises(ValueError, match=r"no new activation has one.*=7.0, for gelu"):
        replace(model, {"relu": "gelu"}, beta_initializer=7.0)
    replace(model, {"relu": "gelu", "tanh": "swish_beta"}, beta_initializer=7.0)


def test_relu_like_betas_start_where_the_function_is_relu():
    model = sequential(layers.Dense(5, "relu"), layers.ReLU(), layers.Dense(2))
    for new in ("swish_beta", "prelu"):
        changed = keras_swish.replace_activations(
            model, {"relu": new}, beta_initializer="relu_like"
        )
        np.testing.assert_allclose(values(changed, X)[0], values(model, X)[0], atol=3e-5)
    with pytest.raises(ValueError, match="swish_beta, prelu"):
        replace(model, {"relu": "swish"}, beta_initializer="relu_like")
    changed = keras_swish.replace_activations(model, {"relu": "swish_beta"}, beta_initializer=3)
    assert (keras.ops.convert_to_numpy(changed.layers[1].beta) == 3).all()


@pytest.mark.parametrize("value", [0, np.float32(0), np.int64(0), np.array(0.0), np.float32(2)])
def test_betas_start_from_any_number_also_in_keras_s_prelu(value):
    model = sequential(layers.ReLU(), layers.Dense(2))
    for new in ("swish_beta", layers.PReLU, layers.PReLU("ones")):
        changed, _ = replace(model, {"relu": new}, beta_initializer=value)
        [weights] = changed.layers[0].weights
        np.testing.assert_array_equal(weights, np.full(6, value))
    changed, _ = replace(model, {"relu": layers.PReLU("ones")}, beta_initializer="relu_like")
    assert_equal(changed, model, X)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_relu_like_betas_give_relu_in_every_format(dtype):
    layer = keras_swish.layer("swish_beta")
    layer.dtype_policy = dtype
    layer.beta_initializer = keras.initializers.Constant(2.0**15)
    x = np.array([[-6e4, -3.0, -1e-5, 0.0, 1e-5, 3.0, 6e4]], "float32")
    y = keras.ops.convert_to_numpy(keras.ops.cast(layer(x), "float32"))
    assert np.isfinite(y).all()
    np.testing.assert_allclose(y, np.maximum(x, 0), atol=1e-4, rtol=1e-2)


def test_the_report_can_be_read():
    model = sequential(
        layers.Conv2D(4, 3, use_bias=False, name="conv"),
        layers.BatchNormalization(scale=False, name="bn"),
        layers.ReLU(name="act"),
        layers.Flatten(),
        layers.Dense(2, "softmax", name="out"),
        shape=(8, 8, 3),
    )
    _, report = replace(model, {"relu": "swish_beta"})
    assert str(report).splitlines() == [
        "1 replaced:",
        "  act: relu -> swish_beta",
        "1 kept:",
        "  out (activation): softmax",
        "gamma on:",
        "  bn",
    ]


@pytest.mark.parametrize(
    ("replacements", "match"),
    [
        ({"rellu": "swish"}, "Did you mean 'relu'"),
        ({"relu": "swich"}, "Did you mean 'swish'"),
        ({"relu": "x *"}, "Not a formula"),
        ({"gelu": "swish"}, "It has: 1 x relu, 1 x softmax. Received: 'gelu'"),
        ({"softmax": "swish"}, "except_last"),
        ({}, "no replacements"),
    ],
)
def test_mistakes_are_told(replacements, match):
    model = sequential(layers.Dense(5, "relu"), layers.Dense(2, "softmax"))
    with pytest.raises(ValueError, match=match):
        keras_swish.replace_activations(model, replacements)


@pytest.mark.parametrize("new", [layers.PReLU, keras_swish.Swish])
@pytest.mark.parametrize("head", [[layers.Dense(5, "relu")], [layers.Dense(5), layers.ReLU()]])
def test_a_layer_whose_shape_the_new_activation_does_not_take_is_named(new, head):
    model = sequential(
        layers.Conv2D(4, 3, activation="relu"),
        layers.Flatten(),
        *head,
        layers.Dense(2),
        shape=(8, 8, 3),
    )
    with pytest.raises(ValueError, match=rf"{head[-1].name}' does not take .* \(None, 5\)"):
        keras_swish.replace_activations(model, {"relu": new(shared_axes=[1, 2])})


def test_only_models_and_activations_are_taken():
    with pytest.raises(TypeError, match=r"must be a keras.Model. Received: 'resnet'"):
        keras_swish.replace_activations("resnet", {"relu": "swish"})
    with pytest.raises(TypeError, match="An activation to replace is a name"):
        keras_swish.replace_activations(sequential(layers.ReLU(), layers.Dense(1)), {3: "swish"})


def test_an_activation_keeps_its_learned_weights_where_it_is_that_already():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(3, "relu"),
            keras.layers.PReLU("ones", name="learned"),
            keras.layers.Dense(2),
        ]
    )
    rules = {"relu": "swish", "prelu": "prelu"}
    new, report = keras_swish.replace_activations(model, rules, return_report=True)
    assert [site.path for site in report.kept if "already" in site.reason] == ["learned"]
    np.testing.assert_array_equal(new.get_layer("learned").alpha, np.ones(3))
    with pytest.raises(ValueError, match="is that already"):
        keras_swish.replace_activations(model, {"prelu": "prelu"})


def test_replacements_are_a_dictionary():
    with pytest.raises(TypeError, match=r"must be a dictionary.*Received: 'swish'"):
        keras_swish.replace_activations(sequential(layers.Dense(2)), "swish")


def test_patterns_are_any_list_also_an_empty_one():
    model = sequential(layers.Dense(5, "relu", name="a"), layers.ReLU(name="b"), layers.Dense(2))
    for where in (["a", "b"], iter(["a", "b"]), {"a", "b"}):
        _, report = replace(model, {"relu": "swish"}, where=where)
        assert len(report.replaced) == 2
    with pytest.raises(ValueError, match="not chosen by `where`"):
        replace(model, {"relu": "swish"}, where=[])
    for where in (3, [3]):
        with pytest.raises(TypeError, match=r"`where` must be a pattern such as .*Received: \[?3"):
            replace(model, {"relu": "swish"}, where=where)


@pytest.mark.parametrize(
    ("old", "make"),
    [
        ("softmax", lambda x: keras.ops.softmax(x, axis=1)),
        ("softmax", layers.Softmax(axis=1)),
        ("log_softmax", lambda x: keras.ops.log_softmax(x, axis=1)),
    ],
    ids=["operation", "layer", "logarithm"],
)
def test_a_softmax_stays_over_its_axis_or_is_kept(old, make, tmp_path):
    inputs = keras.Input((5, 6))
    model = disturbed(keras.Model(inputs, layers.Dense(1)(make(inputs))))
    changed, _ = replace(model, {old: keras.activations.softmax})
    changed.save(tmp_path / "model.keras")
    for each in (changed, keras.saving.load_model(tmp_path / "model.keras")):
        y = keras.Model(each.inputs, each.layers[1].output)(STEPS)
        np.testing.assert_allclose(keras.ops.sum(y, axis=1), np.ones((2, 6)), rtol=1e-5)
    with pytest.raises(ValueError, match=r"another axis than the last one.* by log_softmax"):
        replace(model, {old: keras.activations.log_softmax})
    both = keras.Model(inputs, layers.Dense(1)(layers.ReLU()(model.layers[1].output)))
    rules = {old: "sparsemax", "relu": "swish"}
    _, report = replace(both, rules, strict=False)
    assert [site.old for site in report.replaced] == ["relu"]
    assert [site.reason for site in report.kept] == [
        "is over another axis than the last one, which sparsemax would be over"
    ]


class Callable:
    def __call__(self, x):
        return keras.ops.relu(x)


def of_the_backend(name):
    """A function of Keras's backend, and the same compiled."""
    if keras.backend.backend() == "jax":
        import jax

        function = getattr(jax.nn, name)
        return [function, jax.jit(function)]
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        function = getattr(tf.nn, name)
        return [function, tf.function(function)]
    import torch

    return [getattr(torch.nn.functional, name), getattr(torch, name)]


def test_functions_of_the_backend_have_their_names_in_an_attribute_too():
    for function in of_the_backend("relu"):
        model = sequential(layers.Dense(4, function), layers.Dense(4, "relu"), layers.Dense(2))
        assert [site.old for site in keras_swish.find_activations(model)] == ["relu", "relu"]
        changed, report = replace(model, {"relu": "swish"})
        assert len(report.replaced) == 2
        assert differ(model, changed, X)


def test_a_wrapper_of_the_users_own_around_a_known_function_is_another_one():
    for function in [keras.ops.relu, *of_the_backend("relu")]:

        @functools.wraps(function)
        def scaled(x, function=function):
            return 2 * function(x)

        assert recognise(scaled) is None


def test_every_callable_in_an_activation_attribute_is_a_site():
    for own in (Callable(), Callable().__call__):
        model = sequential(layers.Dense(4, own), layers.Dense(4, "relu"), layers.Dense(2))
        names = [site.old for site in keras_swish.find_activations(model)]
        assert names[0].startswith(f"{__name__}.Callable")
        # Its code calls the function of the name.
        with pytest.raises(ValueError, match=r"called in the code .*keras.ops.relu"):
            replace(model, {"relu": "swish"})
        changed, report = replace(model, {own: "swish", "relu": "swish"})
        assert len(report.replaced) == 2
        assert differ(model, changed, X)
        assert len(replace(model, {names[0]: "swish"})[1].replaced) == 1


class Functions(NamedTuple):
    hidden: Any
    scale: float


def test_a_named_tuple_stays_one():
    class Holder(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.functions = Functions(keras.activations.relu, 2.0)

        def call(self, x):
            return self.functions.hidden(x) * self.functions.scale

    changed, _ = replace(sequential(Holder(), layers.Dense(2)), {"relu": "tanh"})
    assert type(changed.layers[0].functions) is Functions
    assert changed.layers[0].functions.hidden is keras.activations.tanh
