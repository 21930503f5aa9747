"""What must come through from the original into the new model, each a trap of its own."""

import functools

import keras
import numpy as np
import pytest
from carrying import assert_equal, differ, disturbed, values
from keras import layers

import keras_swish
from keras_swish.replacement.copying.saving import CannotSaveError

X = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")
IMAGES = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")
STEPS = np.random.default_rng(0).normal(size=(2, 5, 6)).astype("float32")
replace = keras_swish.replace_activations
tensorflow_only = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="a layer of TensorFlow's"
)


def sequential(*stack, shape=(6,)):
    return disturbed(keras.Sequential([keras.Input(shape), *stack]))


def there_and_back(model, x, old="relu"):
    """Replaces with trainable Swish and back; the model with Swish."""
    changed = replace(model, {old: "swish_beta"})
    assert differ(model, changed, x)
    assert_equal(replace(changed, {"swish_beta": old}), model, x)
    assert_equal(replace(model, {old: old}), model, x)
    return changed


def test_the_original_is_left_as_it_is():
    model = sequential(layers.Dense(5, "relu"), layers.ReLU(), layers.Dense(2))
    before, nodes = values(model, X), [len(layer._inbound_nodes) for layer in model.layers]
    config = model.get_config()
    changed = replace(model, {"relu": "swish_beta"})
    changed.layers[0].kernel.assign(changed.layers[0].kernel * 2)
    np.testing.assert_array_equal(values(model, X)[0], before[0])
    assert [len(layer._inbound_nodes) for layer in model.layers] == nodes
    assert model.get_config() == config
    assert not {id(v) for v in model.variables} & {id(v) for v in changed.variables}


def test_weights_keep_their_names_and_betas_are_there_at_once(tmp_path):
    model = sequential(layers.Dense(5, "relu", name="a"), layers.Dense(2, name="b"))
    changed = replace(model, {"relu": "swish_beta"})
    assert changed.name == model.name
    assert changed.count_params() == model.count_params() + 5
    kept = [v.path for v in changed.weights if v.name != "beta"]
    assert kept == [v.path for v in model.weights]
    changed.save_weights(tmp_path / "model.weights.h5")
    again = disturbed(replace(model, {"relu": "swish_beta"}))
    again.load_weights(tmp_path / "model.weights.h5")
    assert_equal(again, changed, X)


def test_the_new_model_is_uncompiled_and_trains_its_betas():
    model = sequential(layers.Dense(5, "relu"), layers.Dense(2))
    model.compile("adam", "mse")
    changed = replace(model, {"relu": "swish_beta"})
    assert not changed.compiled
    changed.compile("adam", "mse")
    changed.fit(X, np.ones((4, 2)), verbose=0)
    assert (keras.ops.convert_to_numpy(changed.layers[0].activation.beta) != 1).all()


def test_outputs_keep_their_names_so_losses_by_name_work():
    inputs = keras.Input((6,), name="in")
    x = layers.Dense(4, "relu")(inputs)
    outputs = {"a": layers.Dense(2, "relu", name="a")(x), "b": keras.ops.relu(x - 0.5)}
    model = disturbed(keras.Model({"in": inputs}, outputs))
    changed = replace(model, {"relu": "swish_beta"}, except_last=False)
    assert changed.output_names == model.output_names
    assert list(changed.output) == ["a", "b"]
    assert_equal(replace(changed, {"swish_beta": "relu"}, except_last=False), model, {"in": X})
    changed.compile("sgd", {"a": "mse", "b": "mae"})
    changed.fit({"in": X}, {"a": np.ones((4, 2)), "b": np.ones((4, 4))}, verbose=0)


def test_an_activity_regularizer_still_sees_what_comes_after_the_activation():
    dense = layers.Dense(5, "relu", activity_regularizer=keras.regularizers.L1(1.0))
    whole = layers.ReLU(activity_regularizer=keras.regularizers.L2(1.0))
    model = sequential(dense, whole, layers.Dense(2))
    changed = replace(model, {"relu": "swish_beta"})
    changed(X)
    swish = lambda x: x / (1 + np.exp(-x))  # noqa: E731
    kernel, bias = model.layers[0].get_weights()
    hidden = swish(X @ kernel + bias)
    expected = np.abs(hidden).sum(), np.square(swish(hidden)).sum()
    losses = [float(loss) for loss in changed.losses]
    # Newer versions of Keras divide both by the batch size.
    np.testing.assert_allclose(losses[0] / losses[1], expected[0] / expected[1], rtol=1e-4)


def test_frozen_layers_and_models_stay_frozen_and_their_new_betas_train():
    frozen = keras.Sequential([keras.Input((6,)), layers.Dense(6, "relu"), layers.ReLU()])
    inner = keras.Input((6,))
    graph = keras.Model(inner, layers.BatchNormalization()(layers.Dense(6, "relu")(inner)))
    single = layers.Dense(6, "relu", trainable=False)
    model = sequential(frozen, graph, single, layers.Dense(2))
    frozen.trainable = graph.trainable = False
    changed = replace(model, {"relu": "swish_beta"})
    assert [layer.trainable for layer in changed.layers] == [False, False, False, True]
    assert not changed.layers[1].layers[2].trainable
    names = [v.name for v in changed.trainable_variables]
    assert names.count("beta") == 4
    assert len(names) == 4 + 2
    fixed = replace(model, {"relu": keras_swish.Swish(trainable=False)})
    assert len(fixed.trainable_variables) == 2


def test_a_variable_frozen_by_itself_stays_frozen():
    model = sequential(layers.Dense(5, "relu"), layers.Dense(2))
    model.layers[0].kernel.trainable = False
    changed = replace(model, {"relu": "swish"})
    assert [v.trainable for v in changed.variables] == [False, True, True, True]


@pytest.mark.parametrize("default", ["float32", "mixed_bfloat16"])
def test_maps_of_dtype_policies_come_through(default, tmp_path):
    policies = keras.dtype_policies.DTypePolicyMap(default)
    policies["half"] = keras.DTypePolicy("mixed_float16")
    inputs = keras.Input((6,))
    x = layers.Dense(5, "relu", name="half", dtype=policies)(inputs)
    x = layers.Dense(4, "relu", name="other", dtype=policies)(x)
    x = layers.ReLU(name="act", dtype=policies)(x)
    model = disturbed(keras.Model(inputs, layers.Dense(2)(x)))
    assert_equal(replace(model, {"relu": "relu"}), model, X)
    changed = replace(model, {"relu": "swish_beta"})
    default = default.removeprefix("mixed_")
    expected = ["float16", default, default]
    changed.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for each in changed, loaded:
        hosts, act = each.layers[1:3], each.layers[3]
        assert [layer.compute_dtype for layer in (*hosts, act)] == expected
        assert [host.activation.compute_dtype for host in hosts] == expected[:2]
        assert [host.activation.variable_dtype for host in hosts] == ["float32", "float32"]
    assert_equal(loaded, changed, X)
    assert_equal(replace(loaded, {"swish_beta": "relu"}), model, X)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_dtype_policies_come_through(policy):
    dense = layers.Dense(5, "relu", dtype=policy)
    whole = layers.ReLU(dtype=policy)
    inputs = keras.Input((6,))
    x = keras.ops.relu(whole(dense(inputs)) - 0.1)
    model = disturbed(keras.Model(inputs, layers.Dense(2, dtype="float32")(x)))
    changed = there_and_back(model, X)
    compute = keras.DTypePolicy(policy).compute_dtype
    swishes = [changed.layers[1].activation, changed.layers[2], changed.layers[3]]
    # PyTorch's subtraction in between gives float32 for float64.
    for swish, dtype in zip(swishes, [compute, compute, model.layers[3].input.dtype]):
        assert swish.compute_dtype == dtype
        variable = "float64" if dtype == "float64" else "float32"
        assert keras.backend.standardize_dtype(swish.beta.dtype) == variable


def test_masks_come_through():
    inputs = keras.Input((5,), dtype="int32")
    x = layers.Embedding(9, 6, mask_zero=True)(inputs)
    x = layers.ReLU()(layers.Dense(6, "relu")(x))
    model = disturbed(keras.Model(inputs, layers.Dense(2)(layers.LSTM(4)(x))))
    tokens = np.array([[1, 2, 3, 0, 0], [4, 5, 6, 7, 8]])
    changed = there_and_back(model, tokens)
    inner = keras.Model(changed.input, changed.layers[-3].output)
    assert inner(tokens)._keras_mask.shape == (2, 5)


def test_explicit_call_arguments_come_through():
    inputs = keras.Input((6,))
    x = layers.Dropout(0.5)(layers.Dense(6, "relu")(inputs), training=False)
    x = layers.BatchNormalization()(x, training=False)
    model = disturbed(keras.Model(inputs, layers.Dense(2)(x)))
    changed = replace(model, {"relu": "relu"})
    one, two = (m(X, training=True) for m in (model, changed))
    np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (one, two)))


def test_structures_of_inputs_and_outputs_come_through():
    inputs = {"one": keras.Input((6,), name="one"), "two": [keras.Input((6,), name="three")]}
    x = layers.Dense(4, "relu")(inputs["one"] + inputs["two"][0])
    model = disturbed(keras.Model(inputs, {"y": [layers.Dense(2)(x)], "z": (layers.Dense(1)(x),)}))
    changed = there_and_back(model, {"one": X, "two": [X]})
    assert [x.name for x in changed.inputs] == [x.name for x in model.inputs]
    keras.tree.assert_same_structure(changed.output, model.output)


def test_optional_inputs_come_through():
    class Sum(layers.Layer):
        def call(self, x, y=None):
            return x if y is None else x + y

    x, y = keras.Input((6,), name="x"), keras.Input((6,), optional=True, name="y")
    model = disturbed(keras.Model([x, y], layers.Dense(2)(layers.ReLU()(Sum()(x, y)))))
    changed = there_and_back(model, [X, X])
    assert_equal(replace(model, {"relu": "relu"}), model, [X, None])
    assert changed.layers[1].optional


@tensorflow_only
def test_sparse_and_ragged_inputs_come_through():
    import tensorflow as tf

    inputs = keras.Input((6,), sparse=True)
    model = disturbed(keras.Model(inputs, layers.Dense(2)(layers.Dense(5, "relu")(inputs))))
    changed = there_and_back(model, tf.sparse.from_dense(X))
    assert changed.inputs[0].sparse


@tensorflow_only
def test_preprocessing_layers_keep_their_state():
    lookup = layers.StringLookup(output_mode="one_hot")
    lookup.adapt(np.array(["a", "b", "b", "c"]))
    normalization = layers.Normalization()
    normalization.adapt(X)
    words, numbers = keras.Input((1,), dtype="string"), keras.Input((6,))
    x = layers.Concatenate()([lookup(words), normalization(numbers)])
    model = disturbed(keras.Model([words, numbers], layers.Dense(2)(layers.Dense(5, "relu")(x))))
    normalization.adapt(X)
    import tensorflow as tf

    there_and_back(model, [tf.constant([["a"], ["b"], ["z"], ["c"]]), tf.constant(X)])


def test_normalization_keeps_its_state():
    normalization = layers.Normalization()
    normalization.adapt(3 * X + 1)
    model = keras.Sequential(
        [keras.Input((6,)), normalization, layers.Dense(5, "relu"), layers.Dense(2)]
    )
    there_and_back(model, X)


def test_lambdas_and_functions_of_the_users_own_come_through():
    scale = 3.0

    def relu(x):
        return keras.ops.tanh(x)

    model = sequential(
        layers.Lambda(lambda x: scale * x),
        layers.Lambda(lambda x, by: x * by, arguments={"by": 2.0}),
        layers.Dense(6, relu),
        layers.Dense(6, functools.partial(keras.activations.elu, alpha=0.3)),
        layers.Dense(6, lambda x: x + 1),
        layers.TimeDistributed(layers.Lambda(lambda x: scale * x)),
        layers.TimeDistributed(layers.Dense(6, relu)),
        layers.TimeDistributed(keras.Sequential([layers.Dense(6, relu), layers.ReLU()])),
        layers.Bidirectional(layers.SimpleRNN(3, activation=relu)),
        layers.Dense(6, "relu"),
        layers.Dense(2),
        shape=(5, 6),
    )
    changed = there_and_back(model, STEPS)
    assert changed.layers[2].activation is relu
    assert changed.layers[0].function is model.layers[0].function


@pytest.mark.parametrize(
    ("key", "inputs"), [("x", {"x": X}), (1, [X, X]), (1, (X, X)), (0, (X, {"y": X}))]
)
def test_subclassed_models_of_several_inputs_get_betas(key, inputs):
    class Model(keras.Model):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.dense, self.act, self.last = layers.Dense(5), layers.ReLU(), layers.Dense(2)

        def call(self, inputs):
            return self.last(self.act(self.dense(inputs[key])))

    model = Model()
    model(inputs)
    changed = replace(model, {"relu": "swish_beta"})
    assert changed.count_params() == model.count_params() + 5
    assert_equal(replace(changed, {"swish_beta": "relu"}), model, inputs)


def test_layers_held_by_lists_and_dicts_are_found_and_carried():
    @keras.saving.register_keras_serializable("test_copying")
    class Block(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.stack = [layers.Dense(6, "relu"), [layers.ReLU()]]
            self.named = {"last": layers.Dense(6, "relu")}
            self.act = keras.activations.relu
            self.shared = self.stack[0]

        def build(self, shape):
            for layer in (self.stack[0], self.named["last"]):
                layer.build(shape)
            self.late = layers.Dense(6, activation="relu")
            self.late.build(shape)

        def call(self, x):
            x = self.late(self.named["last"](self.stack[1][0](self.stack[0](x) - 0.1)))
            return self.act(self.shared(x) - 0.1)

    model = sequential(Block(), layers.Dense(2))
    changed, report = replace(model, {"relu": "swish_beta"}, return_report=True)
    assert len(report.replaced) == 5
    assert not report.notes
    assert changed.count_params() == model.count_params() + 5 * 6
    assert differ(model, changed, X)
    assert_equal(replace(changed, {"swish_beta": "relu"}), model, X)


@keras.saving.register_keras_serializable("test_copying")
class Paired(layers.Layer):
    """Holds layers in a tuple, which TensorFlow puts into a proxy, and calls an activation."""

    def build(self, shape):
        self.pair = layers.Dense(6, "relu"), ("second", layers.Dense(6, "relu"))
        for layer in (self.pair[0], self.pair[1][1]):
            layer.build(shape)

    def call(self, x):
        return keras.ops.tanh(self.pair[1][1](self.pair[0](x) - 0.1))


def test_layers_held_by_tuples_are_found_and_carried(tmp_path):
    model = sequential(Paired(), layers.Dense(2))
    sites = keras_swish.find_activations(model)
    assert sorted(site.old for site in sites) == ["relu", "relu", "tanh"]
    changed = there_and_back(model, X)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        written = tf.train.Checkpoint(changed).write(tmp_path / "checkpoint")
        expected = values(changed, X)
        tf.train.Checkpoint(disturbed(changed)).read(written)
        np.testing.assert_array_equal(values(changed, X)[0], expected[0])
    assert len(keras_swish.activation_statistics(model, X).rows) == 2


@keras.saving.register_keras_serializable("test_copying")
class Attending(layers.Layer):
    """With names that look like those of TensorFlow's own bookkeeping."""

    def build(self, shape):
        self._self_attention = layers.MultiHeadAttention(2, 3, dropout=0.1)
        self._self_attention.build(shape, shape)
        self._self_dense = layers.Dense(6, activation="relu")
        self._self_dense.build(shape)

    def call(self, x, training=False):
        return self._self_dense(self._self_attention(x, x, training=training))

    def compute_output_shape(self, shape):
        return shape


@pytest.mark.filterwarnings("ignore:replace_activations")
def test_attention_is_carried_whatever_its_attribute_is_called():
    model = sequential(Attending(), layers.Dense(2), shape=(5, 6))
    there_and_back(model, STEPS)


def test_a_weight_that_no_attribute_leads_to_is_told():
    class Hiding(layers.Layer):
        def build(self, shape):
            dense = layers.Dense(6)
            dense.build(shape)
            self.hidden = type("Box", (), {"dense": dense})
            self._layers.append(dense)

        def call(self, x):
            return self.hidden.dense(x)

    model = sequential(Hiding(), layers.Dense(6, "relu"), layers.Dense(2))
    with pytest.raises(ValueError, match=r"no attribute of its layers leads to .*kernel"):
        replace(model, {"relu": "swish"})


def test_nested_models_are_reached_at_any_depth():
    def nested(depth):
        inputs = keras.Input((6,))
        x = layers.Dense(6, "relu")(inputs)
        if depth:
            x = nested(depth - 1)(x)
            x = keras.Sequential([layers.Dense(6, "relu"), layers.ReLU()])(x)
        return keras.Model(inputs, layers.ReLU()(x))

    model = disturbed(nested(3))
    _, report = replace(model, {"relu": "swish"}, except_last=False, return_report=True)
    assert len(report.replaced) == 4 * 2 + 3 * 2
    changed = replace(model, {"relu": "swish_beta"}, except_last=False)
    assert differ(model, changed, X)
    assert_equal(replace(changed, {"swish_beta": "relu"}, except_last=False), model, X)


def test_one_activation_given_to_several_hosts_becomes_one_for_each(tmp_path):
    shared = layers.ReLU()
    model = sequential(layers.Dense(5, shared), layers.Dense(5, shared), layers.Dense(2))
    changed = there_and_back(model, X)
    assert changed.count_params() == model.count_params() + 2 * 5
    changed.save(tmp_path / "model.keras")
    assert_equal(keras.saving.load_model(tmp_path / "model.keras"), changed, X)


def test_names_do_not_collide():
    model = sequential(
        layers.Dense(5, "relu", name="relu"),
        layers.ReLU(name="swish"),
        layers.Dense(5, "relu", name="relu_swish"),
        layers.Dense(2, name="relu_activation"),
    )
    changed = there_and_back(model, X)
    assert [layer.name for layer in changed.layers] == [layer.name for layer in model.layers]


def test_the_class_of_a_functional_model_comes_through():
    class Mine(keras.Model):
        def train_step(self, *arguments):
            raise RuntimeError("mine")

    class Own(keras.Model):
        def __init__(self, units):
            inputs = keras.Input((6,))
            x = layers.Dense(units, "relu")(inputs)
            super().__init__(inputs, layers.Dense(2)(x))

    inputs = keras.Input((6,))
    x = layers.Dense(2)(layers.Dense(5, "relu")(inputs))
    assert type(there_and_back(disturbed(Mine(inputs, x)), X)) is Mine

    model = disturbed(Own(5))
    with pytest.warns(UserWarning, match=r"no file gives back the layer 'own(_\d+)?'"):
        changed, report = replace(model, {"relu": "swish"}, return_report=True)
    assert report.notes
    assert isinstance(changed, Own)
    assert differ(model, changed, X)
    with pytest.raises(CannotSaveError, match="unexpected keyword argument 'name'"):
        changed.get_config()


@pytest.mark.parametrize("names", [None, ["kernel"]])
def test_an_optimizer_in_an_attribute_excludes_the_same_from_weight_decay(names):
    model = sequential(layers.Dense(4), layers.ReLU())
    _, bias = model.trainable_variables
    model.d_optimizer = keras.optimizers.AdamW(0.1, weight_decay=0.5)
    model.d_optimizer.exclude_from_weight_decay([bias], names)
    new = replace(model, {"relu": "swish"}, except_last=False)
    assert new.d_optimizer is not model.d_optimizer
    decays = [new.d_optimizer._use_weight_decay(one) for one in new.trainable_variables]
    assert decays == [names is None, False]


def test_a_lora_layer_comes_through_unmerged():
    model = sequential(layers.Dense(5, "relu"), layers.Dense(2))
    model.layers[0].enable_lora(2)
    disturbed(model)
    changed = there_and_back(model, X)
    assert changed.layers[0].lora_enabled
    for name in ("_kernel", "lora_kernel_a", "lora_kernel_b"):
        one, two = (getattr(m.layers[0], name) for m in (model, changed))
        np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (one, two)))
        assert one.trainable == two.trainable


@pytest.mark.parametrize("mode", ["int8", "float8", "int4"])
def test_a_quantised_layer_comes_through(mode):
    model = sequential(layers.Dense(8, "relu"), layers.Dense(2), shape=(6,))
    model.quantize(mode)
    changed = there_and_back(model, X)
    assert changed.layers[0].quantization_mode == mode
    assert changed.layers[0].activation.compute_dtype == "float32"


def test_random_layers_keep_their_seeds():
    model = sequential(layers.Dropout(0.5, seed=3), layers.Dense(5, "relu"), layers.Dense(2))
    changed = replace(model, {"relu": "relu"})
    one, two = (m(X, training=True) for m in (model, changed))
    np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (one, two)))


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(("new", "is_scaled"), [("swish", True), ("leaky_relu", False)])
def test_gamma_is_switched_on_where_the_new_activation_needs_it(nested, new, is_scaled):
    bn = layers.BatchNormalization(scale=False, name="bn", gamma_initializer="zeros")
    if nested:
        bn = keras.Sequential([layers.Dense(6), bn], name="outer")
    inputs = keras.Input((6,))
    x = layers.ReLU()(bn(inputs))
    x = layers.BatchNormalization(scale=False, name="other")(layers.Dense(5)(x))
    model = disturbed(keras.Model(inputs, layers.Dense(2)(x)))
    changed, report = replace(model, {"relu": new}, return_report=True)
    assert report.scaled == ((("outer/bn" if nested else "bn"),) if is_scaled else ())
    assert changed.count_params() == model.count_params() + 6 * is_scaled
    assert_equal(replace(changed, {new: "relu"}), model, X)
    assert not changed.get_layer("other").scale


def test_gamma_is_switched_on_in_a_sequential_model_too():
    bn = layers.BatchNormalization(scale=False, name="bn")
    model = sequential(layers.Dense(5), bn, layers.Activation("relu"), layers.Dense(2))
    changed, report = replace(model, {"relu": "swish"}, return_report=True)
    assert report.scaled == ("bn",)
    assert_equal(replace(changed, {"swish": "relu"}), model, X)


def test_an_unbuilt_model_is_refused_where_betas_need_shapes():
    model = keras.Sequential([layers.Dense(5, "relu"), layers.Dense(2)])
    with pytest.raises(ValueError, match="not built"):
        replace(model, {"relu": "swish_beta"})


def test_a_layer_without_a_configuration_comes_through_and_is_told(tmp_path):
    class Stubborn(layers.Layer):
        def __init__(self, thing):
            super().__init__(name="stubborn")
            self.thing = thing
            self.dense = layers.Dense(6, "relu")

        def build(self, shape):
            self.dense.build(shape)

        def call(self, x):
            return self.dense(x) if self.thing else x

    thing = object()
    model = sequential(Stubborn(thing), layers.Dense(5, "relu"), layers.Dense(2))
    with pytest.warns(UserWarning, match=r"no file gives back the layer 'stubborn(_\d+)?'"):
        changed = replace(model, {"relu": "swish"})
    assert changed.layers[0].thing is thing
    assert differ(model, changed, X)
    with pytest.raises((NotImplementedError, CannotSaveError)):
        changed.save(tmp_path / "model.keras")


def test_a_layer_that_cannot_be_copied_is_named():
    class Running(layers.Layer):
        def __init__(self):
            super().__init__(name="running")
            self.dense = layers.Dense(6)
            self.results = (self.dense(x) for x in [X])  # it knows the original's layer

        def call(self, x):
            return self.dense(x)

    model = sequential(Running(), layers.Dense(5, "relu"), layers.Dense(2))
    told = r"'running' of class Running cannot be copied: its attribute 'results' holds .*generator"
    with pytest.raises(ValueError, match=told):
        replace(model, {"relu": "swish"})


class Conditioned(layers.Layer):
    """Takes two tensors; an activation in it has a shape that no configuration tells."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense, self.activation = layers.Dense(4), keras.activations.relu

    def call(self, x, condition):
        return self.activation(self.dense(x) + condition)


class ConditionedModel(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner, self.condition, self.last = Conditioned(), layers.Dense(4), layers.Dense(2)

    def call(self, x):
        return self.last(self.inner(x, self.condition(x)))


@keras.saving.register_keras_serializable("test_copying")
class GatedCell(layers.Layer):
    """A recurrent cell whose activation sees twice as many features as it has units."""

    def __init__(self, units, activation="relu", **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units
        self.activation = keras.activations.get(activation)
        self.dense = layers.Dense(2 * units)

    def build(self, shape):
        self.dense.build((None, shape[-1] + self.units))

    def call(self, x, states):
        both = self.activation(self.dense(keras.ops.concatenate([x, states[0]], -1)))
        state = both[:, : self.units] - both[:, self.units :]
        return state, [state]


class Scaled(layers.Wrapper):
    """A wrapper with a weight of its own, which cannot be built twice."""

    def __init__(self, layer, **kwargs):
        super().__init__(layer, **kwargs)
        self.activation = keras.activations.relu

    def build(self, shape=None):
        super().build(shape)
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")

    def call(self, x):
        return self.activation(self.layer(x) * self.scale)


def conditioned():
    model = ConditionedModel()
    model(X)
    return disturbed(model)


@pytest.mark.parametrize(
    ("make", "x", "betas"),
    [
        (conditioned, X, 4),
        (lambda: sequential(layers.RNN(GatedCell(5)), layers.Dense(2), shape=(5, 6)), STEPS, 10),
        (lambda: sequential(Scaled(layers.Dense(3)), layers.Dense(2)), X, 3),
    ],
    ids=["two tensors", "a cell", "a wrapper"],
)
def test_a_new_activation_is_built_where_only_a_call_tells_its_shape(make, x, betas):
    model = make()
    changed = there_and_back(model, x)
    assert changed.count_params() == model.count_params() + betas


@pytest.mark.parametrize("new", [keras.activations.relu, layers.ReLU()], ids=["function", "layer"])
def test_one_activation_at_two_widths_in_the_code_of_a_layer_is_refused_by_name(new):
    class TwoWidths(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.first, self.second, self.activation = layers.Dense(3), layers.Dense(5), new

        def call(self, x):
            return self.activation(self.second(self.activation(self.first(x))))

    model = sequential(TwoWidths(name="two"), layers.Dense(2))
    with pytest.raises(ValueError, match=r"layer 'two' of class TwoWidths cannot be called .*size"):
        replace(model, {"relu": "swish_beta"})
