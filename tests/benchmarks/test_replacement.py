"""The table of families says what was measured, and what failed."""

import keras
import numpy as np
import pytest
from family import Family

from keras_swish import io


@pytest.fixture(scope="module")
def replacement(benchmark_module):
    return benchmark_module("replacement")


def build():
    inputs = keras.Input((4,))
    x = keras.layers.Dense(8, "relu")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2)(x))
    return model, np.random.default_rng(0).normal(size=(16, 4)).astype("float32")


def test_a_family_that_comes_through(replacement):
    row = replacement.measured(Family("keras", "Dense", build, {"relu": 1}))
    assert (row["sites"], row["in_code"], row["betas"]) == (1, 0, 8)
    assert row["identity_difference"] == 0
    assert (row["saves"], row["trains"], row["note"]) == ("yes", "yes", "")


def test_what_fails_is_in_the_note(replacement):
    family = Family("keras", "Dense", build, {"relu": 1}, unused=1)
    row = replacement.measured(family)
    assert (row["saves"], row["trains"]) == ("yes", "no")
    assert row["note"].startswith("AssertionError")


@pytest.mark.parametrize(
    ("facts", "check"),
    [
        ({"found": {"relu": 2}}, "finds_what_the_source_has"),
        ({"found": {"relu": 1}, "repeated": 1}, "finds_what_the_source_has"),
        ({"found": {"relu": 1}, "betas": 9}, "betas_are_as_many_as_the_features"),
        ({"found": {"relu": 1}, "own": {"relu": keras.ops.gelu}}, "identity_changes_no_bit"),
    ],
)
def test_a_wrong_entry_of_the_table_is_noticed(replacement, facts, check, tmp_path):
    matrix = replacement.family_matrix
    family = Family("keras", "Dense", build, **facts)
    with pytest.raises(AssertionError):
        matrix.run(family, getattr(matrix, check), tmp_path)


def test_the_page_has_the_rows_of_the_results(replacement, root, tmp_path, monkeypatch):
    text = replacement.PAGE.read_text()
    page = tmp_path / "replacing.md"
    page.write_text(text)
    monkeypatch.setattr(replacement, "PAGE", page)
    replacement.write_page(io.read_csv(root / "results" / "replacement" / "families.csv"))
    assert page.read_text() == text
