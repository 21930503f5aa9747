"""What the code of layers calls: found however the code came by it, told, never passed over."""

import collections
import cProfile
import functools
import types

import keras
import numpy as np
import pytest
from carrying import assert_equal, differ, disturbed
from keras import layers, ops
from keras.activations import relu as imported

import keras_swish
from keras_swish.replacement.copying.saving import CannotSaveError
from keras_swish.replacement.watching.observation import observe

X = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")
BACKEND = keras.backend.backend()
replace = keras_swish.replace_activations

TABLE = {"relu": ops.relu, "tanh": ops.tanh}
RELU_LAYER = layers.ReLU()


def helper(x):
    return ops.relu(x) * 2


def own(x):
    return ops.softplus(x) - 1


class Owning(keras.Model):
    """All its activations are layers, or attributes of layers."""

    def __init__(self, units=6, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.hidden = layers.Dense(units, activation="relu")
        self.act = layers.ReLU()
        self.blocks = [keras.Sequential([layers.Dense(units, "relu"), layers.ReLU()])]
        self.function = keras.activations.relu
        self.out = layers.Dense(2, "softmax")

    def call(self, x):
        for block in self.blocks:
            x = block(self.act(self.hidden(x) - 0.1))
        return self.out(self.function(x - 0.1))

    def get_config(self):
        return {**super().get_config(), "units": self.units}


class Calling(layers.Layer):
    """Calls activations in its code."""

    def __init__(self, how, **kwargs):
        super().__init__(**kwargs)
        self.how = how
        self.dense = layers.Dense(6, activation="relu")

    def call(self, x):
        return getattr(self, self.how)(self.dense(x))

    def keras_s(self, x):
        return keras.ops.relu(x)

    def compute_output_shape(self, shape):
        return (*shape[:-1], 6)

    def get_config(self):
        return {**super().get_config(), "how": self.how}


def built(model):
    model(X)
    return disturbed(model)


def between_dense(*middle):
    return disturbed(
        keras.Sequential([keras.Input((6,)), layers.Dense(6), *middle, layers.Dense(2)])
    )


def layer_that_calls(function, call=None):
    class Custom(layers.Layer):
        def build(self, shape):
            if call:
                self.kept = function

        def call(self, x, training=None):
            return call(self, x, training) if call else function(x)

    return between_dense(Custom(name="custom"))


def test_a_subclassed_model_is_reached_through_the_layers_that_it_owns():
    model = built(Owning(6))
    changed, report = replace(model, {"relu": "swish_beta"}, return_report=True)
    assert isinstance(changed, Owning)
    assert len(report.replaced) == 5
    assert [site.old for site in report.kept] == ["softmax"]
    assert report.not_examined == ()
    assert changed.count_params() == model.count_params() + 5 * 6
    assert differ(model, changed, X)
    assert_equal(replace(changed, {"swish_beta": "relu"}), model, X)
    changed.compile("sgd", "mse")
    changed.fit(X, np.ones((4, 2)), verbose=0)


def test_weights_saved_from_it_load_into_a_fresh_one(tmp_path):
    model = built(Owning(6))
    changed = disturbed(replace(model, {"relu": "swish_beta"}), seed=1)
    changed.save_weights(tmp_path / "model.weights.h5")
    fresh = replace(built(Owning(6)), {"relu": "swish_beta"})
    fresh.load_weights(tmp_path / "model.weights.h5")
    assert_equal(fresh, changed, X)


def test_an_activation_that_code_calls_is_never_passed_over():
    model = keras.Sequential(
        [keras.Input((6,)), Calling("keras_s", name="calling"), layers.Dense(1)]
    )
    told = r"calling \(Calling.keras_s\): keras.*relu"
    with pytest.raises(ValueError, match=told):
        replace(model, {"relu": "swish"})
    with pytest.warns(UserWarning, match=told):
        _, report = replace(model, {"relu": "swish"}, strict=False, return_report=True)
    assert len(report.direct_calls) == 1
    assert len(report.replaced) == 1
    with pytest.raises(ValueError, match="no such activation"):
        replace(model, {"gelu": "swish"})


@pytest.mark.parametrize("strict", [True, False])
def test_a_model_whose_code_alone_calls_activations_is_refused_for_that(strict):
    class Own(keras.Model):
        def call(self, inputs):
            return keras.ops.relu(inputs)

    told = r"own \(Own.call\): keras.*relu.*\. Make them layers or attributes of the layer\.$"
    with pytest.raises(ValueError, match=told):
        replace(built(Own(name="own")), {"relu": "swish"}, strict=strict)


def test_code_that_where_leaves_out_is_no_error():
    model = between_dense(layers.Dense(6, "relu", name="dense"), Calling("keras_s", name="calling"))
    changed, report = replace(model, {"relu": "swish"}, where="dense", return_report=True)
    assert differ(model, changed, X)
    kept = {str(site): site.reason for site in report.kept}
    assert kept["calling: relu (called in the code of Calling.keras_s, cannot be replaced)"] == (
        "not chosen by `where`"
    )
    with pytest.raises(ValueError, match=r"calling \(Calling.keras_s\)"):
        replace(model, {"relu": "swish"}, where="calling*")


CALLED = {
    "imported": (imported, "relu"),
    "through a helper": (helper, "relu"),
    "got by a name": (lambda x: keras.activations.get("relu")(x), "relu"),
    "got by getattr": (lambda x: getattr(ops, "".join(["re", "lu"]))(x), "relu"),
    "from a table": (lambda x: TABLE["relu"](x), "relu"),
    "a layer made on the spot": (lambda x: layers.ReLU()(x), "relu"),
    "Activation made on the spot": (lambda x: layers.Activation("silu")(x), "swish"),
    "a lambda in a layer made on the spot": (
        lambda x: layers.Activation(lambda z: ops.relu(z) + 1)(x),
        "relu",
    ),
    "a wrapper made on the spot": (
        lambda x: layers.TimeDistributed(layers.ReLU())(x[:, None])[:, 0],
        "relu",
    ),
    "in a condition": (lambda x: ops.cond(ops.sum(x) > 0, lambda: ops.relu(x), lambda: x), "relu"),
    "a layer that nobody owns": (lambda x: RELU_LAYER(x), "relu"),
    "a partial": (lambda x: functools.partial(imported, max_value=6)(x), "relu6"),
    "with parameters": (lambda x: imported(x, max_value=6.0), "relu6"),
    "mapped": (lambda x: ops.map(ops.relu, x), "relu"),
    "ours": (lambda x: keras_swish.activations.max_sigmoid(x), "max_sigmoid"),
    "a formula": (lambda x: keras.activations.get("cos(x) - x")(x), "cos_minus_x"),
}


@pytest.mark.parametrize("how", CALLED)
def test_however_code_comes_by_an_activation_it_is_seen(how):
    function, name = CALLED[how]
    model = layer_that_calls(function)
    (site,) = keras_swish.find_activations(model)
    assert (site.path, site.old) == ("custom", name)
    assert site.code == "Custom.call"
    assert "cannot be replaced" in str(site)
    with pytest.raises(ValueError, match=r"custom \(Custom.*\)"):
        replace(model, {name: "elu"})


def test_a_framework_s_own_functions_are_seen_too():
    functions = {
        "tensorflow": lambda: __import__("tensorflow").nn,
        "jax": lambda: __import__("jax").nn,
        "torch": lambda: __import__("torch").nn.functional,
    }[BACKEND]()
    model = layer_that_calls(lambda x: functions.relu(x) + functions.silu(x) * functions.tanh(x))
    assert [site.old for site in keras_swish.find_activations(model)] == ["relu", "swish", "tanh"]


@pytest.mark.skipif(BACKEND != "tensorflow", reason="of TensorFlow")
def test_functions_of_tensorflow_that_keras_has_not_are_listed():
    import tensorflow as tf

    functions = [
        lambda x: tf.nn.crelu(x)[:, :6],
        lambda x: tf.clip_by_value(x, 0.0, 6.0),
        lambda x: tf.ensure_shape(tf.numpy_function(lambda x: x, [x], tf.float32), x.shape),
        lambda x: abs(x),
    ]
    for function in functions:
        assert len(observe(layer_that_calls(function)).not_examined) == 1
    assert observe(layer_that_calls(lambda x: tf.raw_ops.Relu(features=x))).calls


@pytest.mark.jax
@pytest.mark.skipif(BACKEND != "jax", reason="of JAX")
def test_functions_of_jax_are_seen_where_keras_has_none():
    import jax

    assert observe(layer_that_calls(lambda x: jax.lax.logistic(x))).calls[0].name == "sigmoid"
    for function in (lambda x: jax.numpy.maximum(x, 0), lambda x: jax.lax.max(x, 0 * x)):
        assert len(observe(layer_that_calls(function)).not_examined) == 1


@pytest.mark.torch
@pytest.mark.skipif(BACKEND != "torch", reason="of PyTorch")
def test_functions_and_methods_of_pytorch_without_python_code_are_seen():
    import torch

    model = layer_that_calls(lambda x: torch.relu(x) + x.sigmoid() + torch.nn.functional.gelu(x))
    assert {site.old for site in keras_swish.find_activations(model)} == {"relu", "sigmoid", "gelu"}
    model = between_dense(layers.TorchModuleWrapper(torch.nn.ReLU(), name="module"))
    with pytest.raises(ValueError, match="module"):
        replace(model, {"relu": "swish"})


@pytest.mark.skipif(BACKEND != "tensorflow", reason="of TensorFlow")
def test_a_call_that_tensorflow_traced_before_is_run_again():
    import tensorflow as tf

    class Traced(layers.Layer):
        @tf.function
        def call(self, x):
            return ops.relu(x)

    class Branching(layers.Layer):
        @tf.function
        def call(self, x):
            if tf.reduce_sum(x) > 0:
                return ops.tanh(x)
            return x

    model = between_dense(Traced(name="traced"), Branching(name="branching"))
    model(X)
    for _ in range(2):
        found = [f"{site.path} {site.old}" for site in keras_swish.find_activations(model)]
        assert found == ["traced relu", "branching tanh"]
    assert not tf.config.functions_run_eagerly()


@pytest.mark.jax
@pytest.mark.skipif(BACKEND != "jax", reason="of JAX")
def test_a_call_that_jax_traced_before_is_run_again():
    import jax

    function = jax.jit(lambda x: jax.nn.relu(x) + 1)
    for call in (
        function,
        lambda x: jax.lax.map(function, x),
        lambda x: jax.lax.cond(x.sum() > 0, function, lambda x: x, x),
    ):
        model = layer_that_calls(call)
        model(X)
        for _ in range(2):
            assert [site.old for site in keras_swish.find_activations(model)] == ["relu"]


@pytest.mark.skipif(BACKEND != "tensorflow", reason="of TensorFlow")
def test_what_tensorflow_compiled_without_its_code_is_listed_as_not_examined(tmp_path):
    import tensorflow as tf

    spec = tf.TensorSpec((None, 6))
    function = tf.function(tf.nn.relu, input_signature=[spec])
    module = tf.Module()
    module.function = function
    tf.saved_model.save(module, tmp_path)
    for call in (function.get_concrete_function(), tf.saved_model.load(tmp_path).function):
        (line,) = observe(layer_that_calls(lambda x, call=call: call(x))).not_examined
        assert line.startswith("custom (Custom): calls compiled code")
    # The code of this one is known.
    assert observe(layer_that_calls(lambda x: function(x))).not_examined == ()


@pytest.mark.jax
@pytest.mark.skipif(BACKEND != "jax", reason="of JAX")
def test_what_jax_exported_is_listed_as_not_examined():
    import jax
    from jax import export

    spec = jax.ShapeDtypeStruct(export.symbolic_shape("b, 6"), "float32")
    exported = export.deserialize(export.export(jax.jit(jax.nn.relu))(spec).serialize())
    (line,) = observe(layer_that_calls(exported.call)).not_examined
    assert line.startswith("custom (Custom): calls compiled code")


@pytest.mark.torch
@pytest.mark.skipif(BACKEND != "torch", reason="of PyTorch")
def test_what_torchscript_calls_is_seen():
    import torch

    traced = torch.jit.trace(torch.relu, torch.ones(2))
    for function in (traced, torch.jit.script(torch.nn.ReLU()), torch.special.expit):
        assert len(observe(layer_that_calls(lambda x, f=function: f(x))).calls) == 1


def test_code_between_keras_s_own_layers_is_seen_but_their_own_is_not():
    inputs = keras.Input((5, 6))
    x = layers.LSTM(6, return_sequences=True)(inputs)
    x = layers.MultiHeadAttention(2, 3)(x, x)
    x = layers.TimeDistributed(Calling("keras_s", name="inner"))(x)
    x = layers.Lambda(lambda x: ops.silu(x) + 1, name="lambda")(x)
    model = keras.Model(inputs, x)
    calls = [str(call) for call in observe(model).calls]
    assert [call.rpartition("/")[2] for call in calls] == [
        "inner (Calling.keras_s): keras.ops.relu",
        "lambda (Lambda of <lambda>): keras.ops.silu",
    ]


def test_a_fused_function_is_not_the_activation_that_it_calls():
    def attend(x):
        x = ops.reshape(x, (-1, 1, 1, 6))
        return ops.reshape(ops.dot_product_attention(x, x, x), (-1, 6))

    assert keras_swish.find_activations(layer_that_calls(attend)) == []


def test_what_a_layer_holds_is_a_site_and_no_call_in_code():
    class Holding(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.act = keras.activations.silu
            self.ours = keras_swish.activations.max_sigmoid
            self.table = {"a": ops.tanh}
            self.layer = layers.ReLU()

        def call(self, x):
            x = layers.Activation(self.act)(self.ours(x))
            return self.layer(self.table["a"](x))

    sites = keras_swish.find_activations(between_dense(Holding(name="holding")))
    assert {site.old for site in sites} == {"swish", "max_sigmoid", "tanh", "relu"}
    assert not any(site.code for site in sites)


def test_one_function_held_and_called_from_elsewhere_too_is_told():
    def call(self, x, training):
        return self.kept(x - 0.1) + ops.relu(x)

    with pytest.raises(ValueError, match=r"custom \(kept\): relu: its code calls it as well"):
        replace(layer_that_calls(ops.relu, call), {"relu": "swish"})


class Gives(layers.Layer):
    """Hands its activation on, or looks it up by its name; and calls the function itself."""

    def __init__(self, activation, calls, **kwargs):
        super().__init__(**kwargs)
        self.activation, self.calls = activation, calls
        self.looks_up = isinstance(activation, str)
        self.dense = layers.Dense(6, None if self.looks_up else activation)

    def build(self, shape):
        self.dense.build(shape)

    def call(self, x, training=None):
        x = self.dense(x)
        if self.looks_up:
            x = keras.activations.get(self.activation)(x)
        return self.calls(x - 0.2, training)

    def get_config(self):
        return {**super().get_config(), "activation": self.activation, "calls": self.calls}


ITSELF = {
    "activations": lambda x, training: keras.activations.relu(x),
    "got": lambda x, training: keras.activations.get("relu")(x),
    "layer": lambda x, training: layers.ReLU()(x),
    "helper": lambda x, training: helper(x),
    "training": lambda x, training: keras.activations.relu(x) if training else x,
}


@pytest.mark.parametrize("held", [keras.activations.relu, "relu"], ids=["handed_on", "looked_up"])
@pytest.mark.parametrize("calls", ITSELF.values(), ids=ITSELF)
def test_what_is_handed_on_or_looked_up_and_called_from_elsewhere_too_is_told(calls, held):
    with pytest.raises(ValueError, match="called in the code of layers, where they cannot"):
        replace(between_dense(Gives(held, calls, name="gives")), {"relu": "swish_beta"})


@pytest.mark.parametrize("held", [keras.activations.relu, "relu"], ids=["handed_on", "looked_up"])
def test_what_is_handed_on_or_looked_up_and_called_there_alone_is_replaced(held):
    replaced = replace(between_dense(Gives(held, lambda x, training: x)), {"relu": "swish_beta"})
    assert {site.old for site in keras_swish.find_activations(replaced)} == {"swish_beta"}


def test_a_function_in_an_attribute_that_calls_an_activation_is_named_with_the_attribute():
    def call(self, x, training):
        return self.kept(x)

    model = layer_that_calls(lambda x: ops.relu(x) + 1, call)
    with pytest.raises(ValueError, match=r"custom \(Custom.kept\): keras.ops.relu"):
        replace(model, {"relu": "swish"})
    model = between_dense(layers.Dense(6, activation=helper, name="dense"))
    with pytest.raises(ValueError, match=r"dense \(Dense.activation\): keras.ops.relu"):
        replace(model, {"relu": "swish"})
    # Unless the function goes.
    changed = replace(model, {helper: "tanh", "relu": "swish"})
    assert changed.layers[1].activation is keras.activations.tanh


def test_the_branches_of_inference_and_of_training_are_both_run():
    def call(self, x, training):
        return ops.tanh(x) if training else ops.silu(x)

    sites = keras_swish.find_activations(layer_that_calls(ops.relu, call))
    assert {site.old for site in sites if site.code} == {"tanh", "swish"}


@pytest.mark.parametrize("default", [None, False, True])
def test_both_branches_are_run_whatever_the_default(default):
    class Custom(layers.Layer):
        def call(self, x, training=default):
            return ops.tanh(x) if training else ops.silu(x)

    class Around(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.inner = Custom(name="inner")

        def call(self, x, training=default):
            return self.inner(x, training=training)

    for layer in (Custom(name="custom"), Around(name="around")):
        sites = keras_swish.find_activations(between_dense(layer))
        assert {site.old for site in sites} >= ({"tanh"} if default else {"tanh", "swish"})


def test_layers_of_one_configuration_that_differ_in_an_attribute_are_all_run_in_training():
    class Custom(layers.Layer):
        acts = False

        def call(self, x, training=None):
            return ops.relu(x) if training and self.acts else x

    plain, acting = Custom(name="plain"), Custom(name="acting")
    acting.acts = True
    (site,) = keras_swish.find_activations(between_dense(plain, acting))
    assert str(site).startswith("acting: relu")


def test_a_branch_of_training_that_cannot_be_run_is_listed_as_not_examined():
    class Unbuilt(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.extra = layers.Dense(6, name="extra")

        def build(self, shape):
            pass

        def call(self, x, training=None):
            return ops.relu(self.extra(x)) if training else x

    class Failing(layers.Layer):
        def call(self, x, training=None):
            if training:
                raise RuntimeError("not today")
            return x

    model = between_dense(Unbuilt(name="unbuilt"), Failing(name="failing"))
    assert observe(model).not_examined == (
        "unbuilt (Unbuilt): its code was not run in training: not built is unbuilt/extra",
        "failing (Failing): its code could not be run in training (not today)",
    )
    assert not model.get_layer("unbuilt").extra.built


def test_of_a_branch_on_data_both_sides_are_run_or_it_is_told():
    def is_finite(x):
        return ops.all(ops.isfinite(x))

    chosen = layer_that_calls(
        lambda x: ops.cond(is_finite(x), lambda: ops.tanh(x), lambda: ops.relu(x))
    )
    found = {site.old for site in keras_swish.find_activations(chosen)}
    assert (found, observe(chosen).not_examined) == ({"relu", "tanh"}, ())

    def branch(self, x, training):
        return ops.tanh(x) if bool(ops.convert_to_numpy(is_finite(x))) else ops.relu(x)

    class Branching(layers.Layer):
        def call(self, x):
            return branch(self, x, False)

        def compute_output_shape(self, shape):
            return shape

    (line,) = observe(between_dense(Branching(name="branching"))).not_examined
    assert line.startswith("branching (Branching): its code was run on ones alone")


def test_a_call_that_was_put_into_a_layer_of_keras_is_run():
    dense = layers.Dense(6, name="dense")
    dense.call = types.MethodType(lambda self, x: ops.tanh(layers.Dense.call(self, x)), dense)
    (site,) = keras_swish.find_activations(between_dense(dense))
    assert (site.path, site.old) == ("dense", "tanh")
    assert site.code


def test_models_that_were_only_called_are_run_on_the_shapes_of_that_call():
    class Words(keras.Model):
        def __init__(self):
            super().__init__()
            self.embedding = layers.Embedding(10, 6)

        def call(self, inputs):
            one_hot = ops.one_hot(inputs["words"], 6)  # refuses floats
            return ops.relu(self.embedding(inputs["words"]) * one_hot)

    model = Words()
    assert "never" not in str(observe(model).not_examined)
    assert "not built" in observe(model).not_examined[0]
    model({"words": np.ones((2, 3), "int32")})
    assert [call.name for call in observe(model).calls] == ["relu"]
    assert observe(model).not_examined == ()


def test_a_functional_model_with_a_call_of_its_own_is_run():
    class Clipped(keras.Model):
        def __init__(self):
            inputs = keras.Input((6,))
            super().__init__(inputs, layers.Dense(6, "tanh")(inputs))

        def call(self, x, training=None, mask=None):
            return ops.relu(super().call(x))

    for model in (Clipped(), keras.Sequential([keras.Input((6,)), Clipped()])):
        found = {site.old: site.code for site in keras_swish.find_activations(model)}
        assert found == {"tanh": "", "relu": "Clipped.call"}


def test_several_calls_with_several_inputs_and_settings_are_all_run():
    class Switch(layers.Layer):
        def call(self, x, other=None, mode="relu"):
            y = ops.relu(x) if mode == "relu" else ops.tanh(x)
            return y if other is None else ops.sigmoid(y + other)

    switch, inputs = Switch(name="switch"), keras.Input((6,))
    x = switch(inputs)
    x = switch(x, other=inputs, mode="tanh")
    sites = keras_swish.find_activations(keras.Model(inputs, x))
    assert [site.old for site in sites] == ["relu", "tanh", "sigmoid"]


def test_a_mask_reaches_the_code_that_asks_for_it():
    class Masked(layers.Layer):
        def call(self, x, mask=None):
            return x if mask is None else ops.relu(x)

    inputs = keras.Input((5,))
    x = layers.Embedding(3, 6, mask_zero=True)(inputs)
    sites = keras_swish.find_activations(keras.Model(inputs, Masked()(x)))
    assert [site.old for site in sites] == ["relu"]


@pytest.mark.parametrize(
    "function",
    [
        lambda x: ops.maximum(x, 0),
        lambda x: x * ops.cast(x > 0, "float32"),
        lambda x: ops.where(x > 0, x, 0.1 * x),
        lambda x: ops.clip(x, 0, 6),
    ],
)
def test_what_may_be_an_activation_is_listed_as_not_examined(function):
    inputs = keras.Input((6,))
    x = layers.Dense(6, "relu")(inputs)
    x = layers.Lambda(function, name="unknown")(x)
    x = layers.Lambda(lambda x: x / 255, name="scale")(x)
    model = keras.Model(inputs, layers.Dense(2)(x))
    _, report = replace(model, {"relu": "swish"}, return_report=True)
    (line,) = report.not_examined
    assert line.startswith("unknown (Lambda): calls ")
    assert "not examined:" in str(report)
    with pytest.raises(ValueError, match=r"Not examined: unknown \(Lambda\)"):
        replace(model, {"gelu": "swish"})
    (line,) = observe(layer_that_calls(function)).not_examined
    assert line.startswith("custom (Custom): calls ")


def test_what_cannot_be_run_is_listed_as_not_examined():
    def fail(self, x, training):
        if len(seen) > 1:
            raise RuntimeError("not today")
        seen.append(x.shape)
        return x

    seen = []
    model = layer_that_calls(ops.relu, fail)
    seen += [None, None]
    assert observe(model).not_examined == (
        "custom (Custom): its code could not be run (not today)",
    )


def test_code_that_asks_what_its_tensors_hold_is_run_on_small_ones():
    class Asking(keras.Model):
        def call(self, x):
            return ops.relu(x) if float(ops.convert_to_numpy(ops.sum(x))) != 0 else x

    model = Asking()
    model(X)
    assert [site.old for site in keras_swish.find_activations(model)] == ["relu"]


def test_running_leaves_the_model_as_it_is():
    class Writing(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.calls = self.add_weight(shape=(), trainable=False)
            self.last = None

        def call(self, x):
            self.last = x
            self.calls.assign_add(1.0)
            return ops.relu(x)

    layer = Writing(name="writing")
    model = between_dense(layer, layers.Dropout(0.5), layers.BatchNormalization())
    before = [ops.convert_to_numpy(v).copy() for v in model.variables]
    layer.last = "mine"
    nodes = len(layer._inbound_nodes)
    keras.config.enable_traceback_filtering()  # which Keras's own harness of layers disables
    assert observe(model).calls
    for variable, value in zip(model.variables, before):
        np.testing.assert_array_equal(variable, value)
    assert layer.last == "mine"
    assert len(layer._inbound_nodes) == nodes
    assert keras.config.is_traceback_filtering_enabled()


class Keeping(layers.Layer):
    """Changes what it holds in containers when it is called, and adds a loss."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seen, self.recent, self.ids = [], collections.deque(maxlen=2), set()
        self.counts = {"calls": 0, "deep": ({"calls": [0]},)}
        self.ordered = collections.OrderedDict()
        self.act, self.regular = layers.ReLU(), layers.ActivityRegularization(0.1)

    def call(self, x):
        self.counts["calls"] += 1
        self.counts["deep"][0]["calls"][0] += 1
        number = self.counts["calls"]
        for add in (self.seen.append, self.recent.append, self.ids.add):
            add(number)
        self.ordered[number] = number
        self.ordered.move_to_end(number, last=False)
        self.add_loss(ops.mean(x))
        return self.act(self.regular(x))

    def held(self):
        held = self.seen, self.recent, self.ids, self.counts, self.ordered
        return repr(held), list(self.ordered)


@pytest.mark.filterwarnings("ignore:replace_activations")  # the class is registered nowhere
def test_running_leaves_containers_and_losses_as_they_are():
    keeping = Keeping(name="keeping")
    model = between_dense(keeping)
    for _ in range(3):
        model(X)
    held, losses = keeping.held(), list(map(float, model.losses))
    assert len(losses) == 2
    keras_swish.find_activations(model)
    assert keeping.held() == held
    copy = replace(model, {"relu": "swish_beta"})
    assert keeping.held() == held
    assert copy.get_layer("keeping").held() == held
    assert list(map(float, model.losses)) == losses


def test_running_leaves_arrays_of_the_user_s_own_as_they_are():
    class Counting(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.seen = np.zeros(2)
            if BACKEND == "torch":
                self.register_buffer("mean", __import__("torch").zeros(6))
            if BACKEND == "tensorflow":
                self.mean = __import__("tensorflow").Variable(np.zeros(6, "float32"))

        def call(self, x):
            self.seen += 1
            if BACKEND == "torch":
                self.mean.add_(1)
            if BACKEND == "tensorflow":
                self.mean.assign_add(np.ones(6, "float32"))
            float(ops.convert_to_numpy(ops.sum(x)))  # so that it is run on values
            return ops.relu(x)

        def compute_output_shape(self, shape):
            return shape

    layer = Counting(name="counting")
    model = between_dense(layer)
    before = layer.seen.copy(), ops.convert_to_numpy(getattr(layer, "mean", 0.0)).copy()
    assert observe(model).calls
    keras_swish.activation_statistics(keras.Sequential([model, layers.ReLU()]), X)
    np.testing.assert_array_equal(layer.seen, before[0])
    np.testing.assert_array_equal(getattr(layer, "mean", 0.0), before[1])


@pytest.mark.torch
@pytest.mark.skipif(BACKEND != "torch", reason="of PyTorch")
def test_running_leaves_the_statistics_of_a_module_of_pytorch_as_they_are():
    import torch

    module = torch.nn.BatchNorm1d(6)
    model = between_dense(layers.TorchModuleWrapper(module))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    observe(model)
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_a_profile_of_the_user_s_program_continues():
    def later():
        """Is called behind what is profiled too."""

    model = built(Owning())
    with cProfile.Profile() as profile:
        keras_swish.find_activations(model)
        later()
    assert later.__code__ in [entry.code for entry in profile.getstats()]


def test_functions_of_the_user_s_own_are_found_in_code_where_they_are_a_key():
    model = layer_that_calls(lambda x: own(x))
    with pytest.raises(ValueError, match=r"custom .*: .*own"):
        replace(model, {own: "swish"})
    model = between_dense(layers.Dense(6, own), *layer_that_calls(lambda x: own(x)).layers[1:2])
    name = f"{own.__module__}.own"
    sites = keras_swish.find_activations(model)
    assert [(site.old, bool(site.code)) for site in sites] == [
        (name, False),
        (name, True),
        ("softplus", True),
    ]


def test_a_subclassed_model_that_cannot_be_made_again_comes_through_and_is_told():
    class Fixed(keras.Model):
        def __init__(self, thing):
            super().__init__()
            self.hidden = layers.Dense(3, "relu")

        def call(self, x):
            return self.hidden(x) + 1

    model = built(Fixed(object()))
    with pytest.warns(UserWarning, match=r"no file gives back the layer 'fixed(_\d+)?'"):
        changed = replace(model, {"relu": "swish"}, except_last=False)
    assert differ(model, changed, X)
    with pytest.raises((NotImplementedError, CannotSaveError)):
        changed.get_config()
