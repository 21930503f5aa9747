"""The benchmark of errors as a test: a thin sample always, all of it in the slow tier."""

import numpy as np
import pytest

from keras_swish import catalogue

LIMIT = {"float16": 1, "bfloat16": 1, "float32": 4}


@pytest.fixture(scope="module")
def accuracy(benchmark_module):
    return benchmark_module("accuracy")


def worst(accuracy, case, dtype, points, reference):
    true, largest = reference
    unjudged = accuracy._unjudged(points, dtype)
    result = accuracy.computed(accuracy.ours(case), dtype, case)
    result[unjudged] = true[unjudged]
    return accuracy.errors(result, true, largest, dtype)


@pytest.mark.parametrize("name", catalogue.ENTRIES)
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_named_activations_and_slopes_on_a_thin_sample(accuracy, name, dtype, monkeypatch):
    all_inputs = accuracy.inputs
    monkeypatch.setattr(
        accuracy, "inputs", lambda dtype, count: [x[::97] for x in all_inputs(dtype, count)]
    )
    for case in accuracy.cases():
        if case.name != name or case.formula != catalogue.ENTRIES[name].formula:
            continue
        points = accuracy.points_of(dtype, case)
        text = case.formula
        if case.quantity != "value":
            from keras_swish.formulas.derivative import derivative

            text = str(derivative(text, case.quantity))
        reference = accuracy.reference((text, case.variables, np.stack(points, 1)))
        error, worst_point, missed = worst(accuracy, case, dtype, points, reference)
        assert not len(missed), (case, [p[missed[0]] for p in points])
        assert error <= LIMIT[dtype], (case, [p[worst_point] for p in points])


@pytest.mark.slow
@pytest.mark.parametrize("dtype", LIMIT)
def test_every_function_and_slope(accuracy, dtype):
    for case in accuracy.cases():
        reference = accuracy.references(dtype, case)
        points = accuracy.points_of(dtype, case)
        error, worst_point, missed = worst(accuracy, case, dtype, points, reference)
        assert not len(missed), (case, [p[missed[0]] for p in points])
        assert error <= LIMIT[dtype], (case, [p[worst_point] for p in points])
