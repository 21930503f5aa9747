"""Models with weights that differ everywhere, and their outputs."""

import keras
import numpy as np


def disturbed(model, seed=0):
    """Draws new values for all float weights, so that no two are equal and no output is zero."""
    random = np.random.default_rng(seed)
    for variable in model.weights:
        if keras.backend.is_float_dtype(variable.dtype):
            sign = random.choice([-1, 1], variable.shape)
            variable.assign(random.uniform(0.2, 0.6, variable.shape) * sign)
            if "variance" in variable.name:
                variable.assign(random.uniform(0.5, 1.5, variable.shape))
    return model


def values(model, x):
    """All outputs, in inference, as one list of arrays."""
    outputs = keras.tree.flatten(model(x, training=False))
    return [keras.ops.convert_to_numpy(output) for output in outputs]


def assert_equal(model, other, x):
    """Two models give the same bits, and not nothing."""
    for one, two in zip(values(model, x), values(other, x), strict=True):
        assert np.ptp(one) > 0
        np.testing.assert_array_equal(one, two)


def differ(model, other, x):
    """Whether two models give other outputs."""
    pairs = zip(values(model, x), values(other, x), strict=True)
    return all(np.abs(one - two).max() > 1e-4 for one, two in pairs)
