"""Activations under PyTorch's function transforms, which go through derivatives of any kind."""

import keras
import numpy as np
import pytest

import keras_swish
from keras_swish.elementwise.operation import apply_formula

pytestmark = [
    pytest.mark.torch,
    pytest.mark.skipif(keras.backend.backend() != "torch", reason="of PyTorch"),
]
SWISH = "x * sigmoid(beta * x)"


def derivatives(f, transform, x):
    """Derivatives of a scalar function, by a composition of forward and reverse mode."""
    from torch.func import grad, hessian, jacfwd, jacrev, vmap

    return {
        "grad": grad(f),
        "jacfwd": jacfwd(f),
        "hessian": hessian(f),
        "jacrev of jacrev": jacrev(jacrev(f)),
        "jacrev of jacfwd": jacrev(jacfwd(f)),
        "jacfwd of jacfwd": jacfwd(jacfwd(f)),
        "three jacfwd": jacfwd(jacfwd(jacfwd(f))),
        "vmap of hessian": lambda x: vmap(hessian(f))(x[None] * x.new_tensor([[1], [2]])),
    }[transform](x)


TRANSFORMS = [
    "grad",
    "jacfwd",
    "hessian",
    "jacrev of jacrev",
    "jacrev of jacfwd",
    "jacfwd of jacfwd",
    "three jacfwd",
    "vmap of hessian",
]


def random(*shape):
    import torch

    return torch.tensor(np.random.default_rng(len(shape)).normal(size=shape))


# What each computes, in PyTorch's own operations, of two rows of x and one of beta in a vector.
FUNCTIONS = {
    SWISH: lambda x, beta: x * (beta * x).sigmoid(),
    "max(x, beta * x)": lambda x, beta: (beta * x).where(beta * x > x, x),
    "x + beta": lambda x, beta: x + beta,
    "beta + 0 * x": lambda x, beta: beta + 0 * x,
    "cos(x) - erf(beta)": lambda x, beta: x.cos() - beta.erf(),
}


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("formula", FUNCTIONS)
def test_every_transform_gives_what_it_gives_of_plain_operations(formula, transform):
    def ours(z):
        return (apply_formula(formula, z[:6].reshape(2, 3), beta=z[6:]) ** 2).sum()

    def plain(z):
        return (FUNCTIONS[formula](z[:6].reshape(2, 3), z[6:]) ** 2).sum()

    def only_beta(function):
        return lambda beta: function(keras.ops.concatenate([random(6), beta]))

    for f, g, at in (ours, plain, random(9)), (only_beta(ours), only_beta(plain), random(3)):
        expected = derivatives(g, transform, at)
        np.testing.assert_allclose(derivatives(f, transform, at), expected, rtol=1e-9, atol=1e-12)


def test_the_hessian_of_every_named_activation_is_reverse_mode_s():
    from torch.func import hessian, jacrev

    x = random(4)
    for name in keras_swish.names():
        layer = keras_swish.layer(name)
        layer.dtype_policy = "float64"
        layer.build((None, 4))

        def f(x, layer=layer):
            return (layer(x[None]) * x.new_tensor([1.0, 2, 3, 4])).sum()

        ours, expected = hessian(f)(x).detach(), jacrev(jacrev(f))(x).detach()
        np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize(
    "make",
    [
        lambda: keras_swish.Swish(dtype="float64"),
        lambda: keras_swish.SearchedActivation("max(x, beta * x) + beta1", dtype="float64"),
    ],
)
def test_hessians_by_a_layer_s_betas_through_a_stateless_call(make):
    import torch

    layer = make()
    layer.build((None, 3))
    x = random(5, 3)
    betas = tuple(random(3) + 1 for _ in layer.weights)

    def loss(betas):
        return (layer.stateless_call(betas, [], x)[0] ** 2).sum()

    forward = torch.func.hessian(loss)(betas)
    reverse = torch.func.jacrev(torch.func.jacrev(loss))(betas)
    for a in range(len(betas)):
        for b in range(len(betas)):
            np.testing.assert_allclose(forward[a][b], reverse[a][b], rtol=1e-9, atol=1e-12)
        assert forward[a][a].abs().max() > 0.1


def test_finite_differences_agree_in_both_modes_and_in_batches():
    from torch.autograd import gradcheck, gradgradcheck

    inputs = [random(2, 3).requires_grad_(), (random(1, 3).abs() + 0.5).requires_grad_()]

    def f(x, beta):
        return apply_formula(SWISH + " + beta * cos(x)", x, beta=beta)

    assert gradcheck(
        f, inputs, check_forward_ad=True, check_batched_grad=True, check_batched_forward_grad=True
    )
    assert gradgradcheck(f, inputs, check_fwd_over_rev=True, check_batched_grad=True)


@pytest.mark.parametrize("size", [8, 2**17])
def test_vmap_takes_any_axes_and_large_tensors(size):
    from torch.func import grad, vmap

    # The large one, of the examples together, is computed by the compiled pass.
    examples = random(3, 2, size)
    for x, beta, axes in [
        (examples, random(2, 1), (0, None)),
        (examples, random(3, 1), (1, None)),
        (examples, random(2), (2, None)),
        (examples, random(1, 5), (None, 1)),
        (examples.mT, random(2), (0, None)),
    ][: 2 if size > 8 else None]:

        def gradients(function, x=x, beta=beta, axes=axes):
            f = vmap(grad(lambda *inputs: function(*inputs).sum(), (0, 1)), axes)
            return f(x, beta)

        ours = gradients(lambda x, beta: apply_formula(SWISH, x, beta=beta))
        for value, expected in zip(ours, gradients(FUNCTIONS[SWISH]), strict=True):
            assert value.shape == expected.shape
            np.testing.assert_allclose(value, expected, rtol=1e-7, atol=1e-9)


def test_a_compiled_function_gives_the_same_gradient():
    import torch

    x = random(7).float().requires_grad_()
    y = random(7).float().requires_grad_()
    torch.compile(lambda x: keras_swish.activations.swish(x).sum())(x).backward()
    keras.ops.silu(y).sum().backward()
    torch.testing.assert_close(x.grad, y.grad)
