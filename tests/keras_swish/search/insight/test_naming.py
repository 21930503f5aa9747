"""Formulas as people write them: their names, and that they stay the same functions."""

import numpy as np
import pytest

from keras_swish import catalogue
from keras_swish.formulas.language import FormulaError, initial_value, parse, weights
from keras_swish.formulas.numeric import evaluate
from keras_swish.search.insight.naming import readable


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        ("max(x, max(x, 0))", "relu"),
        ("max(x, 0) + 0 * x", "relu"),
        ("sigmoid(x) * x", "swish"),
        ("x * sigmoid(beta * x)", "swish_beta"),
        ("sigmoid(-x) * -x", "swish(-x)"),
        ("-x - abs(x)", "-2 * relu(x)"),
        ("sigmoid(x) * (beta * x)", "beta * swish(x)"),
        ("sigmoid(beta1 * x) * (beta2 * x)", "beta2 * swish_beta(x)"),
        ("-x + cos(x)", "cos_minus_x"),
        ("max(x, sin(x))", "max(x, sin(x))"),
        ("cos(x) + -arctan(x)", "cos(x) - arctan(x)"),
        ("tanh(x) + tanh(x)", "2 * tanh(x)"),
        ("beta + x", "beta + x"),
        # Nearly ReLU; ReLU with a weight that starts elsewhere; Swish for one beta alone.
        ("max(x, 0) + 0.001", "relu(x) + 0.001"),
        ("max(x, 0) + beta", "relu(x) + beta"),
        ("x * sigmoid(2 * x)", "x * sigmoid(2 * x)"),
        ("max(beta * x, x)", "max(beta * x, x)"),
    ],
)
def test_a_function_has_the_name_that_people_know(formula, text):
    assert readable(formula) == text


def test_every_activation_of_the_catalogue_is_called_by_a_name_of_its_own():
    for name, entry in catalogue.ENTRIES.items():
        text = readable(entry.formula)
        if text != name:  # the catalogue has one function twice, or its weight starts elsewhere
            same = text in catalogue.ENTRIES
            assert same or weights(entry.formula), (name, text)


def test_what_is_no_name_computes_the_same_as_the_formula(space):
    x, checked = np.linspace(-5, 5, 83), 0
    for candidate in space.survey().candidates[::23]:
        formula = str(space.formula(candidate))
        text = readable(formula)
        try:
            tree = parse(text)
        except FormulaError:
            continue  # a name, or the multiple of one
        checked += text != formula
        drawn = {name: np.float64(0.6 + i) for i, name in enumerate(weights(formula))}
        assert weights(tree) == weights(formula)
        assert all(initial_value(tree, n) == initial_value(formula, n) for n in drawn)
        np.testing.assert_allclose(
            *(evaluate(one, {"x": x, **drawn}) for one in (tree, parse(formula))),
            rtol=1e-9,
            atol=1e-12,
        )
    assert checked > 10
