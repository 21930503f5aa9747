"""The primitives of the search space, against the paper's."""

import keras
import numpy as np
import pytest

import reference
from keras_swish.elementwise.operation import apply_formula
from keras_swish.formulas import language, primitives

POINTS = np.array([-7.5, -3.0, -1.25, -0.5, -1e-3, 1e-3, 0.3, 0.9, 1.1, 2.0, 3.25, 9.0])


def test_every_primitive_starts_from_its_own_beta():
    for table in (primitives.UNARY, primitives.BINARY):
        for primitive in table.values():
            tree = language.parse(primitive.formula, ("x", "x1", "x2"))
            weights = language.weights(tree)
            assert weights == ([] if primitive.beta is None else ["beta"])
            for weight in weights:
                assert language.initial_value(tree, weight) == primitive.beta


@pytest.mark.parametrize("name", primitives.UNARY)
def test_unary_primitives_are_those_of_the_paper(name):
    assert set(primitives.UNARY) == set(reference.UNARY)
    primitive = primitives.UNARY[name]
    points = np.abs(POINTS) if name == "sqrt(x)" else POINTS
    weights = {} if primitive.beta is None else {"beta": 0.7}
    ours = apply_formula(primitive.formula, keras.ops.cast(points, "float64"), **weights)
    np.testing.assert_allclose(ours, reference.UNARY[name](points, 0.7), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", primitives.BINARY)
def test_binary_primitives_are_those_of_the_paper(name):
    assert set(primitives.BINARY) == set(reference.BINARY)
    primitive = primitives.BINARY[name]
    tree = language.parse(primitive.formula, ("x1", "x2"))
    inputs = {"x1": language.parse("x"), "x2": language.parse("1.5 - x / 3")}
    weights = {} if primitive.beta is None else {"beta": 0.7}
    x = keras.ops.cast(POINTS, "float64")
    ours = apply_formula(language.substitute(tree, inputs), x, **weights)
    expected = reference.BINARY[name](POINTS, 1.5 - POINTS / 3, 0.7)
    np.testing.assert_allclose(ours, expected, rtol=1e-12, atol=1e-14)
