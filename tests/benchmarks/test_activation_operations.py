"""Operations an activation takes, counted in what is compiled."""

import importlib

import keras
import pytest

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="counts what TensorFlow compiles"
)


def test_more_arithmetic_is_counted_as_more(monkeypatch, root):
    monkeypatch.syspath_prepend(root / "benchmarks")
    counted = importlib.import_module("activation_operations").count
    relu, swish = counted("relu"), counted("swish")
    assert relu["maximum"] >= 1
    assert relu.total() < 10 < swish.total()
    assert swish["multiply"] > swish["divide"] >= 1
