"""Operations an activation takes, counted in what is compiled."""

import keras
import pytest

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="counts what TensorFlow compiles"
)


def test_more_arithmetic_is_counted_as_more(benchmark_module):
    counted = benchmark_module("activation_operations").count
    relu, swish = counted("relu"), counted("swish")
    assert relu["maximum"] >= 1
    assert relu.total() < 10 < swish.total()
    assert swish["multiply"] > swish["divide"] >= 1
