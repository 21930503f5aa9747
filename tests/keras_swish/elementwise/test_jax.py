"""Activations have each of JAX's derivatives, forward and backward."""

import keras
import numpy as np
import pytest

import keras_swish

jax = pytest.importorskip("jax")
pytestmark = [
    pytest.mark.jax,
    pytest.mark.skipif(keras.backend.backend() != "jax", reason="of JAX"),
]

X = np.linspace(-9.5, 9.3, 6, dtype="float32")


def total(f):
    return lambda x: f(x).sum()


def tangent(f):
    return lambda x: jax.jvp(f, (x,), (jax.numpy.ones_like(x),))[1]


def linearized(f):
    return lambda x: jax.linearize(f, x)[1](jax.numpy.ones_like(x))


# By way: the same derivative of an elementwise function, a number for each element.
FIRST = {
    "jvp": tangent,
    "linearize": linearized,
    "jacfwd": lambda f: lambda x: jax.numpy.diag(jax.jacfwd(f)(x)),
    "checkpoint": lambda f: jax.grad(total(jax.checkpoint(f))),
    "vmap": lambda f: jax.vmap(tangent(f)),
}
SECOND = {
    "hessian": lambda f: lambda x: jax.numpy.diag(jax.hessian(total(f))(x)),
    "forward twice": lambda f: tangent(tangent(f)),
    "reverse over forward": lambda f: jax.grad(total(tangent(f))),
}


@pytest.mark.parametrize("name", keras_swish.names())
def test_ways_of_differentiating_agree(name):
    layer = keras_swish.layer(name)
    layer.build((None, 1))

    def f(x):
        # As one channel; what `vmap` and `jacfwd` leave may be a single number.
        return layer(x.reshape(-1, 1)).reshape(x.shape)

    @jax.jit
    def derivatives(x):
        reverse = jax.grad(total(f))
        first = {way: derive(f)(x) for way, derive in FIRST.items()}
        second = {way: derive(f)(x) for way, derive in SECOND.items()}
        return reverse(x), first, jax.grad(total(reverse))(x), second

    slope, first, curvature, second = derivatives(jax.numpy.asarray(X))
    assert np.any(slope)
    for way, ours in first.items():
        np.testing.assert_allclose(ours, slope, rtol=1e-5, atol=1e-6, err_msg=way)
    for way, ours in second.items():
        np.testing.assert_allclose(ours, curvature, rtol=1e-5, atol=1e-6, err_msg=way)
