"""The betas of a replaced model are PyTorch's parameters, and JAX's trainable variables."""

import keras
import numpy as np
import pytest
from carrying import assert_equal, disturbed
from keras import layers, ops

import keras_swish
from keras_swish.layers import betas

torch_only = [
    pytest.mark.torch,
    pytest.mark.skipif(keras.backend.backend() != "torch", reason="of PyTorch"),
]
X = np.random.default_rng(0).normal(size=(2, 16, 16, 3)).astype("float32")
FORMULAS = ["swish_beta", "x * sigmoid(beta * x) + beta1 * sin(x)"]


@keras.saving.register_keras_serializable("test_pytorch")
class Block(layers.Layer):
    """Holds hosts, an activation layer, and activations in a list and a dictionary."""

    def __init__(self, **keywords):
        super().__init__(**keywords)
        self.conv = layers.SeparableConv2D(4, 3, activation="relu", name="conv")
        self.relu = layers.ReLU(name="act")
        self.stages = [keras.activations.relu, layers.ReLU(name="in_list")]
        self.by_name = {"last": keras.activations.relu}

    def build(self, shape):
        self.conv.build(shape)

    def call(self, x):
        x = self.relu(self.conv(x))
        for stage in self.stages:
            x = stage(x + 0.1)
        return self.by_name["last"](x)


@keras.saving.register_keras_serializable("test_pytorch")
class Subclassed(keras.Model):
    """A model of a class of its own."""

    def __init__(self, **keywords):
        super().__init__(**keywords)
        self.conv = layers.Conv2D(4, 3, activation="relu", name="conv")
        self.block = Block(name="block")
        self.last = layers.Dense(2, name="last")

    def call(self, x):
        return self.last(self.block(self.conv(x)))


def vgg(nested=("d", "d")):
    """Five convolutions with their activations inside, as in VGG, and everything else."""
    x = inputs = keras.Input(X.shape[1:])
    for i in range(5):
        x = layers.Conv2D(4, 3, padding="same", activation="relu", name=f"conv{i}")(x)
    x = layers.MaxPooling2D()(layers.ReLU(name="relu")(x))
    # By default two nested models with layers of one name.
    for name, dense in zip(("left", "right"), nested, strict=True):
        inner = layers.Input(x.shape[1:])
        y = layers.ReLU(name=f"{dense}_relu")(layers.Dense(4, "relu", name=dense)(inner))
        x = keras.Model(inner, y, name=name)(x)
    x = keras.Sequential([layers.DepthwiseConv2D(3, activation="relu", name="d")], name="in")(x)
    x = layers.TimeDistributed(layers.Dense(4, "relu", name="steps"), name="t")(x[:, 0])
    x = layers.Bidirectional(layers.LSTM(4, activation="relu", name="lstm"), name="two")(x)
    return keras.Model(inputs, layers.Dense(2, name="last")(x), name="vgg")


def blocks():
    inputs = keras.Input(X.shape[1:])
    x = layers.Conv2D(4, 3, activation="relu", name="conv")(Block(name="block")(inputs))
    return keras.Model(inputs, layers.Dense(2, name="last")(x), name="blocks")


def subclassed():
    model = Subclassed(name="subclassed")
    model(X)
    return model


def replaced(make, new="swish_beta"):
    return keras_swish.replace_activations(make(), {"relu": new})


# The number of activations of each, both directions of the recurrent layer counted.
NETWORKS = [(vgg, 14), (blocks, 6), (subclassed, 6)]
each_network = pytest.mark.parametrize(("make", "count"), NETWORKS)


@each_network
@pytest.mark.parametrize("new", FORMULAS)
@torch_only[0]
@torch_only[1]
def test_an_optimizer_of_pytorch_moves_every_beta(make, count, new):
    import torch

    model = replaced(make, new)
    disturbed(model)
    all_betas = betas(model)
    assert len(all_betas) == count * (1 if new == "swish_beta" else 2)
    before = {path: ops.convert_to_numpy(beta).copy() for path, beta in all_betas.items()}
    optimizer = torch.optim.SGD(model.parameters(), 0.5)
    assert {id(p) for p in model.parameters() if p.requires_grad} == {
        id(v.value) for v in model.trainable_variables
    }
    (model(X) ** 2).sum().backward()
    optimizer.step()
    for path, beta in all_betas.items():
        assert (ops.convert_to_numpy(beta) != before[path]).any(), path


@each_network
@torch_only[0]
@torch_only[1]
def test_a_state_dict_holds_every_beta_and_loads_into_a_fresh_model(make, count, tmp_path):
    import torch

    keras.utils.clear_session()  # Keras numbers the seeds of recurrent layers
    model = replaced(make)
    random = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(random.uniform(-0.5, 0.5, variable.shape))
    torch.save(model.state_dict(), tmp_path / "state.pt")
    keras.utils.clear_session()
    keras_swish.layer("swish_beta")  # what was made before is no matter
    fresh = replaced(make)
    state = torch.load(tmp_path / "state.pt")
    assert list(fresh.state_dict()) == list(state)
    assert any(not np.array_equal(a, b) for a, b in zip(fresh.get_weights(), model.get_weights()))
    fresh.load_state_dict(state)
    for a, b in zip(fresh.weights, model.weights, strict=True):
        np.testing.assert_array_equal(*map(ops.convert_to_numpy, (a, b)), err_msg=b.path)
    assert_equal(fresh, model, X)


@torch_only[0]
@torch_only[1]
def test_a_loaded_model_s_betas_are_parameters(tmp_path):
    # Of two variables of one path, Keras lists one.
    model = replaced(lambda: vgg(nested=("e", "f")))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    ids = {id(parameter) for parameter in loaded.parameters()}
    assert len(betas(loaded)) == 14
    assert {id(beta.value) for beta in betas(loaded).values()} <= ids
    assert_equal(loaded, model, X)


@torch_only[0]
@torch_only[1]
def test_a_model_moves_and_trains_as_a_module():
    import torch

    model = replaced(blocks)
    copies = [p.detach().clone() for p in model.parameters()]
    model.compile("sgd", "mse")
    model.fit(X, np.ones((2, 12, 12, 2)), verbose=0)
    moved = [not torch.equal(p, c) for p, c in zip(model.parameters(), copies)]
    assert sum(moved) == len(model.trainable_variables)


@torch_only[0]
@torch_only[1]
def test_pytorch_s_gelu_which_has_no_signature_is_found_and_replaced():
    import torch

    gelu = torch.nn.functional.gelu
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, gelu, name="d"), layers.Dense(2)])
    assert [str(site) for site in keras_swish.find_activations(model)] == ["d (activation): gelu"]
    changed = keras_swish.replace_activations(model, {"gelu": "swish_beta"})
    assert list(betas(changed)) == ["d/activation/beta"]


@pytest.mark.jax
@pytest.mark.skipif(keras.backend.backend() != "jax", reason="of JAX")
@each_network
def test_jax_has_a_gradient_for_every_beta_in_a_stateless_call(make, count):
    import jax

    model = replaced(make)
    trainable = [variable.value for variable in model.trainable_variables]
    state = [variable.value for variable in model.non_trainable_variables]

    def loss(trainable):
        return (model.stateless_call(trainable, state, X)[0] ** 2).sum()

    gradients = jax.jit(jax.grad(loss))(trainable)
    of_betas = [
        gradient
        for variable, gradient in zip(model.trainable_variables, gradients, strict=True)
        if any(variable is beta for beta in betas(model).values())
    ]
    assert len(of_betas) == count
    assert all(np.any(gradient) for gradient in of_betas)
