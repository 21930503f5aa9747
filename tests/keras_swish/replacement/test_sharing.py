"""What several holders share is copied once, and the copy is what all of them hold."""

import gc
import types

import keras
import numpy as np
import pytest
from carrying import disturbed, values
from keras import Input, Model, layers

import keras_swish

replace = keras_swish.replace_activations
random = np.random.default_rng(0)


def normal(*shape):
    return random.normal(size=shape).astype("float32")


def alive(case):
    """A model and its input, all positive, so that no unit of a ReLU is dead."""
    model, x = case()
    for variable in disturbed(model).weights:
        variable.assign(keras.ops.abs(variable.value))
    return model, keras.tree.map_structure(np.abs, x)


def have_the_same_bits(model, other, x):
    pairs = list(zip(values(model, x), values(other, x), strict=True))
    assert any(np.ptp(one) > 0 for one, _ in pairs)
    return all((one == two).all() for one, two in pairs)


class Holder(layers.Layer):
    """Holds one layer in several attributes, and what it is given to hold."""

    def __init__(self, dense, **kwargs):
        super().__init__(**kwargs)
        self.dense = dense
        self.again = [dense, {"inside": dense}]

    def call(self, x):
        return self.dense(x) + self.again[1]["inside"](x)


class TiedHead(layers.Layer):
    """Has another layer's variable as its own."""

    def __init__(self, embedding, **kwargs):
        super().__init__(**kwargs)
        self.embedding = embedding
        self.dense = layers.Dense(4, "relu")

    def build(self, shape):
        self.dense.build(shape)
        self.kernel = self.embedding.embeddings
        self.bias = self.add_weight(shape=(9,), name="bias")

    def call(self, x):
        return keras.ops.matmul(self.dense(x), keras.ops.transpose(self.kernel)) + self.bias


class HoldsByVariable(layers.Layer):
    """Has another layer's variable, but not the layer."""

    def __init__(self, dense, **kwargs):
        super().__init__(**kwargs)
        self.kernel = dense.kernel

    def call(self, x):
        return keras.ops.matmul(x, self.kernel)


class Twins(layers.Layer):
    """Makes two layers with one activation layer."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        activation = layers.PReLU(shared_axes=[1])
        self.first, self.second = layers.Dense(3, activation), layers.Dense(3, activation)
        self.third = layers.Dense(3, "relu")

    def build(self, shape):
        self.first.activation.build(shape)
        for layer in (self.first, self.second, self.third):
            layer.build(shape)

    def call(self, x):
        return self.third(self.second(self.first(x)))


class Looking(keras.Model):
    """Reaches its layers through closures, methods and objects, and itself through one."""

    def __init__(self):
        super().__init__()
        self.dense, self.head = layers.Dense(4, "relu"), layers.Dense(2)
        self.function = lambda x: self.dense(x)
        self.method = self.dense.__call__
        self.space = types.SimpleNamespace(model=self, dense=self.dense)

    def build(self, shape):
        self.dense.build(shape)
        self.head.build((None, 4))

    def call(self, x):
        return self.head(self.function(x) + self.method(x) + self.space.dense(x))


def the_example():
    dense, query, documents = layers.Dense(4, "relu"), Input((4,)), Input((5, 4))
    scores = layers.Dot(axes=(1, 2))([dense(query), layers.TimeDistributed(dense)(documents)])
    return Model([query, documents], scores), [normal(3, 4), normal(3, 5, 4)]


def two_rnns_of_one_cell():
    cell, inputs = layers.SimpleRNNCell(4, activation="relu"), Input((5, 3))
    whole = layers.RNN(cell, return_sequences=True)(inputs)
    return Model(inputs, [layers.RNN(cell)(inputs), whole]), normal(2, 5, 3)


def a_cell_twice_in_a_stack():
    one, other = (layers.LSTMCell(4, activation="relu") for _ in range(2))
    inputs = Input((5, 4))
    stack = layers.RNN(layers.StackedRNNCells([one, one, other]))
    return Model(inputs, stack(inputs)), normal(2, 5, 4)


def two_wrappers_of_one_layer():
    dense, one, two = layers.Dense(4, "relu"), Input((5, 3)), Input((6, 3))
    outputs = [layers.TimeDistributed(dense)(x) for x in (one, two)]
    return Model([one, two], outputs), [normal(2, 5, 3), normal(2, 6, 3)]


def a_layer_and_both_its_directions():
    lstm, inputs = layers.LSTM(4, activation="relu"), Input((5, 4))
    return Model(inputs, [layers.Bidirectional(lstm)(inputs), lstm(inputs)]), normal(2, 5, 4)


def two_blocks_with_one_layer():
    dense, inputs = layers.Dense(3, "relu"), Input((3,))
    return Model(inputs, Holder(dense)(Holder(dense)(inputs) + 0.1)), normal(2, 3)


def a_head_tied_to_an_embedding():
    embedding, inputs = layers.Embedding(9, 4), Input((5,), dtype="int32")
    return Model(inputs, TiedHead(embedding)(embedding(inputs))), random.integers(0, 9, (2, 5))


def a_head_tied_by_a_call():
    embedding = layers.ReversibleEmbedding(9, 4)
    inputs = Input((5,), dtype="int32")
    hidden = layers.Dense(4, "relu")(embedding(inputs))
    return Model(inputs, embedding(hidden, reverse=True)), random.integers(0, 9, (2, 5))


def a_variable_of_another_layer():
    dense, inputs = layers.Dense(3, "relu"), Input((3,))
    x = dense(inputs)
    return Model(inputs, HoldsByVariable(dense)(x)), normal(2, 3)


def a_layer_inside_and_outside_of_a_model_called_twice():
    dense, inner, outer = layers.Dense(3, "relu"), Input((3,)), Input((3,))
    model = Model(inner, dense(dense(inner) + 1))
    return Model(outer, [model(model(outer)), dense(outer)]), normal(2, 3)


def a_model_in_two_models():
    inputs = [Input((3,)) for _ in range(4)]
    base = Model(inputs[0], layers.Dense(3, "relu")(inputs[0]))
    one = Model(inputs[1], layers.ReLU()(base(inputs[1]) - 0.1))
    two = Model(inputs[2], layers.Dense(2)(base(inputs[2])))
    return Model(inputs[3], [one(inputs[3]), two(one(inputs[3]))]), normal(2, 3)


def two_models_of_one_graph():
    inputs, outer = Input((3,)), Input((3,))
    hidden = layers.Dense(4, "relu")(inputs)
    whole, part = Model(inputs, layers.Dense(2, "relu")(hidden)), Model(inputs, hidden)
    return Model(outer, [whole(outer), part(outer)]), normal(2, 3)


def one_attention_twice():
    attention, inputs = layers.MultiHeadAttention(2, 3), Input((5, 6))
    x = layers.Dense(6, "relu")(inputs)
    return Model(inputs, attention(attention(x, x), inputs, inputs)), normal(2, 5, 6)


def one_normalisation_twice():
    normalisation, inputs = layers.BatchNormalization(), Input((3,))
    x = layers.ReLU()(normalisation(inputs))
    return Model(inputs, layers.ReLU()(normalisation(x))), normal(2, 3)


def a_model_that_looks_at_itself():
    model = Looking()
    model.build((None, 3))
    return model, normal(2, 3)


def two_layers_of_one_activation():
    inputs = Input((4, 3))
    return Model(inputs, Twins()(inputs)), normal(2, 4, 3)


CASES = [
    the_example,
    two_rnns_of_one_cell,
    a_cell_twice_in_a_stack,
    two_wrappers_of_one_layer,
    a_layer_and_both_its_directions,
    two_blocks_with_one_layer,
    a_head_tied_to_an_embedding,
    a_head_tied_by_a_call,
    a_variable_of_another_layer,
    a_layer_inside_and_outside_of_a_model_called_twice,
    a_model_in_two_models,
    two_models_of_one_graph,
    one_attention_twice,
    one_normalisation_twice,
    a_model_that_looks_at_itself,
    two_layers_of_one_activation,
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
@pytest.mark.filterwarnings("ignore:replace_activations")  # some could not be saved before either
def test_what_is_shared_stays_shared(case):
    model, x = alive(case)
    same = replace(model, {"relu": "relu"}, except_last=False)
    assert have_the_same_bits(same, model, x)
    assert [v.path for v in same.variables] == [v.path for v in model.variables]
    assert [v.trainable for v in same.variables] == [v.trainable for v in model.variables]
    assert not {id(v) for v in same.variables} & {id(v) for v in model.variables}
    # All outputs follow the copy's weights, none the original's.
    before = values(model, x)
    for variable in model.weights:
        variable.assign(keras.ops.zeros(variable.shape))
    for one, two in zip(values(same, x), before, strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
@pytest.mark.filterwarnings("ignore:replace_activations")
def test_new_activations_are_all_that_is_added(case):
    model, x = alive(case)
    changed, report = replace(model, {"relu": "swish_beta"}, except_last=False, return_report=True)
    assert not have_the_same_bits(model, changed, x)
    added = {v.path for v in changed.weights} - {v.path for v in model.weights}
    assert len(changed.weights) - len(model.weights) == len(report.replaced) == len(added)
    assert all(path.endswith("/beta") for path in added)
    back = replace(changed, {"swish_beta": "relu"}, except_last=False)
    assert have_the_same_bits(back, model, x)


def test_a_frozen_shared_layer_is_frozen_for_every_holder():
    model, _ = the_example()
    model.layers[2].trainable = False
    dense = next(layer for layer in model.layers if isinstance(layer, layers.Dense))
    dense.trainable = False
    changed = replace(disturbed(model), {"relu": "swish"}, except_last=False)
    assert not changed.trainable_variables
    assert len(changed.variables) == 2
    wrapper = next(one for one in changed.layers if isinstance(one, layers.TimeDistributed))
    assert wrapper.layer is next(one for one in changed.layers if type(one) is layers.Dense)


def test_a_model_shares_nothing_with_another_one_that_shares_its_layers():
    dense, inputs, outer = layers.Dense(3, "relu"), Input((3,)), Input((3,))
    model = Model(inputs, dense(inputs))
    other = Model(outer, layers.Dense(2)(dense(outer)))
    changed = replace(model, {"relu": "swish_beta"}, except_last=False)
    assert [layer.name for layer in changed.layers] == [layer.name for layer in model.layers]
    assert len(changed.layers[1]._inbound_nodes) == 1
    assert len(dense._inbound_nodes) == 2
    assert len(other.weights) == 4


class HandsOn(layers.Layer):
    """Hands its activation on, held under a name of its own and left out of its configuration."""

    def __init__(self, nonlinearity=keras.activations.relu, **kwargs):
        super().__init__(**kwargs)
        self.nonlinearity = nonlinearity
        self.dense = layers.Dense(4, nonlinearity)

    def build(self, shape):
        self.dense.build(shape)
        self.built = True

    def call(self, x):
        return self.dense(x)

    def get_config(self):
        return {**super().get_config()}


class MakesLayer(layers.Layer):
    """Makes an activation layer of the function that it holds and has in its configuration."""

    def __init__(self, excite_activation, **kwargs):
        super().__init__(**kwargs)
        self.excite_activation = excite_activation
        self.gate = layers.Activation(excite_activation, name="gate")

    def call(self, x):
        return self.gate(x)

    def get_config(self):
        return {**super().get_config(), "excite_activation": self.excite_activation}


class MakesLayerAndCalls(MakesLayer):
    """Calls the function itself, too."""

    def call(self, x):
        return self.excite_activation(self.gate(x) - 0.1)


class TellsMore(layers.Layer):
    """Has an entry in its configuration that its constructor does not take."""

    def __init__(self, activation="relu", **kwargs):
        super().__init__(**kwargs)
        self.activation = keras.activations.get(activation)

    def build(self, shape):
        self.dense = layers.Dense(4, self.activation)
        self.dense.build(shape)
        self.built = True

    def call(self, x, other=None):
        return self.dense(x if other is None else x + other)

    def get_config(self):
        activation = keras.activations.serialize(self.activation)
        return {**super().get_config(), "activation": activation, "shape": (None, 4)}


HANDED = {
    "not_in_config": (lambda x: HandsOn(name="host")(x), "host (nonlinearity): relu"),
    "layer_of_it": (lambda x: MakesLayer(keras.ops.relu, name="host")(x), "host/gate: relu"),
    "more_in_config": (lambda x: TellsMore(name="host")(x), "host (activation): relu"),
    "two_inputs": (lambda x: TellsMore(name="host")(x, x), "host (activation): relu"),
}


@pytest.mark.parametrize(("call", "site"), HANDED.values(), ids=HANDED)
@pytest.mark.filterwarnings("ignore:replace_activations")
def test_an_activation_that_is_handed_on_is_one(call, site):
    inputs = Input((4,))
    model, x = alive(lambda: (Model(inputs, layers.Dense(2)(call(inputs))), normal(3, 4)))
    assert [str(each) for each in keras_swish.find_activations(model)] == [site]
    copy = replace(model, {"relu": "swish_beta"})
    assert copy.count_params() == model.count_params() + 4
    assert not have_the_same_bits(copy, model, x)
    back = replace(copy, {"swish_beta": keras.activations.relu})
    assert have_the_same_bits(back, model, x)


def test_an_activation_that_is_called_and_made_a_layer_of_is_two_sites():
    inputs = Input((4,))
    outputs = layers.Dense(2)(MakesLayerAndCalls(keras.ops.relu, name="host")(inputs))
    model, x = alive(lambda: (Model(inputs, outputs), normal(3, 4)))
    sites = [str(each) for each in keras_swish.find_activations(model)]
    assert sites == ["host (excite_activation): relu", "host/gate: relu"]
    rows = keras_swish.activation_statistics(model, x).rows
    assert sorted(row.site for row in rows) == ["host (excite_activation)", "host/gate"]
    copy = replace(model, {"relu": "swish_beta"})
    assert copy.count_params() == model.count_params() + 8
    assert {site.old for site in keras_swish.find_activations(copy)} == {"swish_beta"}
    back = replace(copy, {"swish_beta": keras.activations.relu})
    assert have_the_same_bits(back, model, x)


def test_a_class_that_was_written_anew_is_examined_anew():
    def sites(hands_on):
        class Block(layers.Layer):
            def __init__(self, activation="relu", **kwargs):
                super().__init__(**kwargs)
                self.activation = keras.activations.get(activation)
                self.dense = layers.Dense(4, self.activation if hands_on else "relu")

            def build(self, shape):
                self.dense.build(shape)

            def call(self, x):
                return self.activation(self.dense(x) - 0.1)

            def get_config(self):
                return {"activation": keras.activations.serialize(self.activation)}

        model = keras.Sequential([Input((4,)), Block(), layers.Dense(2)])
        return len(keras_swish.find_activations(model))

    for _ in range(5):  # one of the later classes gets the place in memory of an earlier one
        assert sites(hands_on=True) == 1
        gc.collect()
        assert sites(hands_on=False) == 2
        gc.collect()


def test_a_layer_that_another_model_calls_too_is_built_for_the_calls_of_this_one():
    shared, inputs = layers.Dense(4, "relu", name="shared"), keras.Input((5, 4))
    shared(keras.Input((4,)))
    model = disturbed(keras.Model(inputs, layers.Dense(1)(shared(inputs))))
    changed = keras_swish.replace_activations(model, {"relu": "swish_beta"})
    assert changed(np.ones((2, 5, 4))).shape == (2, 5, 1)
    x = layers.Flatten()(shared(shared(inputs)[:, 0]))
    twice = keras.Model(inputs, layers.Dense(1)(x))
    with pytest.raises(ValueError, match=r"'shared' is called with inputs of several sizes"):
        keras_swish.replace_activations(twice, {"relu": "swish_beta"})


def test_one_layer_at_two_widths_needs_one_for_each_call():
    act, small, large = keras.layers.ReLU(name="act"), keras.Input((4,)), keras.Input((5,))
    outputs = [keras.layers.Dense(1)(act(x)) for x in (small, large)]
    model = keras.Model([small, large], outputs)
    with pytest.raises(ValueError, match=r"'act' is called with inputs of several sizes.*=False"):
        keras_swish.replace_activations(model, {"relu": "swish_beta"})
    apart = keras_swish.replace_activations(model, {"relu": "swish_beta"}, shared=False)
    assert apart.count_params() == model.count_params() + 4 + 5
    alike = keras_swish.replace_activations(model, {"relu": "swish"})
    assert alike.count_params() == model.count_params()


class Applies(layers.Layer):
    """Applies an activation layer, as its own and under a second name."""

    def __init__(self, activation, **kwargs):
        super().__init__(**kwargs)
        self.activation = self.again = activation

    def call(self, x):
        return self.again(self.activation(x) - 1)


class AppliesBefore(layers.Layer):
    """Applies an activation layer before the layer that it gave it to."""

    def __init__(self, activation, **kwargs):
        super().__init__(**kwargs)
        self.act, self.dense = activation, layers.Dense(4, activation)

    def call(self, x):
        return self.dense(self.act(x))


KEPT = {
    "dense": lambda act: [act, layers.Dense(4, act)],
    "two_names": lambda act: [act, Applies(act)],
    "two_holders": lambda act: [act, layers.Dense(4, act), Applies(act)],
    "in_a_layer": lambda act: [AppliesBefore(act)],
}


@pytest.mark.parametrize("stack", KEPT.values(), ids=KEPT)
@pytest.mark.filterwarnings("ignore:replace_activations")  # some classes are registered nowhere
def test_an_activation_is_kept_where_its_layer_is_replaced_elsewhere(stack):
    act, x = layers.PReLU(name="act"), normal(3, 4)
    model = disturbed(keras.Sequential([Input((4,)), layers.Identity(), *stack(act)]))
    copy, report = replace(
        model, {"prelu": "tanh"}, where="*act", except_last=False, return_report=True
    )
    assert [site.path.rpartition("/")[2] for site in report.replaced] == ["act"]
    assert report.kept
    assert copy.count_params() == model.count_params()
    assert not {id(v) for v in copy.variables} & {id(v) for v in model.variables}
    inside = model.layers[1:] if act in model.layers else [act, model.layers[1].dense]
    expected = keras.ops.tanh(x)
    for layer in inside[1:]:
        expected = layer(expected)
    assert np.ptp(keras.ops.convert_to_numpy(expected)) > 0
    np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (copy(x), expected)))


def test_what_changes_the_shape_is_not_replaced_by_what_does_not():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.ops.glu(inputs)))
    with pytest.raises(ValueError, match=r"changes the shape .* from \(None, 4\) to \(None, 2\)"):
        keras_swish.replace_activations(model, {"glu": "swish"})


def both_signs(x):
    return keras.ops.concatenate([keras.ops.relu(x), keras.ops.relu(-x)], axis=-1)


class BothSigns(keras.layers.Layer):
    def call(self, x):
        return both_signs(x)


@pytest.mark.parametrize("new", ["glu", both_signs, BothSigns])
@pytest.mark.parametrize(
    "old", [keras.layers.Conv1D(4, 2, activation="relu"), keras.layers.ReLU(), keras.ops.relu]
)
def test_what_keeps_the_shape_is_not_replaced_by_what_changes_it(old, new):
    inputs = keras.Input((6, 4))
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling1D()(old(inputs)))
    with pytest.raises(ValueError, match=r"must keep the shape.* from \(2, 4\) to \(2, [28]\)"):
        keras_swish.replace_activations(model, {"relu": new}, except_last=False)


def test_a_gate_in_a_layers_own_code_is_replaced_by_a_gate():
    class Gated(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.activation = keras.activations.glu

        def call(self, x):
            return self.activation(x)

    def gate(x):
        return x[:, :2] * keras.ops.tanh(x[:, 2:])

    model = keras.Sequential([keras.Input((4,)), Gated(), keras.layers.Dense(3)])
    x = normal(3, 4)
    expected = model.layers[-1](x[:, :2] * np.tanh(x[:, 2:]))
    copy = keras_swish.replace_activations(model, {"glu": gate})
    np.testing.assert_allclose(
        *map(keras.ops.convert_to_numpy, (copy(x), expected)), rtol=1e-5, atol=1e-6
    )


def test_a_function_of_images_alone_is_a_new_activation():
    inputs = keras.Input((2, 2, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(2, 1)(keras.ops.relu(inputs)))
    factor = np.ones((1, 1, 1, 3), "float32")  # of another shape for other numbers of axes
    new = {"relu": lambda x: keras.ops.softmax(x, axis=3) * factor}
    assert keras_swish.replace_activations(model, new).output_shape == (None, 2, 2, 2)


def test_each_call_of_a_shared_layer_gets_a_function_of_the_users_own():
    act, inputs = keras.layers.ReLU(name="act"), keras.Input((4,))
    x = act(keras.layers.Dense(4)(act(keras.layers.Dense(4)(inputs))))
    model = disturbed(keras.Model(inputs, keras.layers.Dense(1)(x)))
    new = {"relu": lambda x: keras.ops.tanh(x) * 2}
    apart = keras_swish.replace_activations(model, new, shared=False)
    assert [layer.name for layer in apart.layers if "act" in layer.name] == ["act", "act_2"]
    assert have_the_same_bits(apart, keras_swish.replace_activations(model, new), normal(3, 4))
