"""What a formula that is no longer used has taken is given back."""

import gc
import importlib
import weakref

import keras
import numpy as np
import pytest

from keras_swish.elementwise import operation
from keras_swish.elementwise.caching import CACHED_FORMULAS, CACHED_OPERATIONS
from keras_swish.elementwise.operation import Operation, apply_formula

BACKEND = keras.backend.backend()
X = np.float32([-3.0, 0.5, 7.0])


def differentiate(formula):
    x = keras.ops.convert_to_tensor(X)
    if BACKEND == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(x)
            y = apply_formula(formula, x)
        tape.gradient(y, x)
    elif BACKEND == "jax":
        import jax

        jax.grad(lambda x: apply_formula(formula, x).sum())(x)
    else:
        apply_formula(formula, x.requires_grad_()).sum().backward()


def caches():
    backend = importlib.import_module(f"keras_swish.elementwise.{BACKEND}")
    of_backend = [one for one in vars(backend).values() if hasattr(one, "cache_parameters")]
    return [operation._operation, *of_backend]


def test_caches_are_bounded():
    sizes = [cache.cache_parameters()["maxsize"] for cache in caches()]
    assert sizes == [CACHED_FORMULAS, *[CACHED_OPERATIONS] * (len(sizes) - 1)]
    assert len(sizes) > 1


@pytest.mark.jax
def test_a_formula_that_is_given_up_is_freed(monkeypatch):
    made = []
    construct = Operation.__init__

    def recorded(self, *arguments, **keywords):
        construct(self, *arguments, **keywords)
        made.append(weakref.ref(self))

    monkeypatch.setattr(Operation, "__init__", recorded)
    # Formulas that no other test has: those of before are in the caches already.
    for formula in ("sin(x) * 3.0625", "x * tanh(x) * 2.0625"):
        differentiate(formula)
    assert len(made) >= 4
    for cache in caches():
        cache.cache_clear()
    gc.collect()
    assert not [one for one in made if one() is not None]


@pytest.mark.torch
@pytest.mark.skipif(BACKEND != "torch", reason="of PyTorch")
def test_pytorch_keeps_a_bounded_number_of_compiled_passes(monkeypatch):
    import torch

    from keras_swish.elementwise import torch as ours

    monkeypatch.setattr(ours, "_COMPILED", {})
    monkeypatch.setattr(ours, "CACHED_OPERATIONS", 2)
    monkeypatch.setattr(ours, "_compiled", lambda operation, inputs: operation.compute)
    x = torch.ones(ours.WORTH_COMPILING)
    for number in range(4):
        apply_formula(f"x + {number}", x)
    assert [str(key[0].outputs[0]) for key in ours._COMPILED] == ["x + 2", "x + 3"]
