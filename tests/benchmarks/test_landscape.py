import re

import numpy as np
import pytest

from keras_swish.search import benchmark


@pytest.fixture(scope="module")
def landscape(benchmark_module):
    return benchmark_module("landscape")


@pytest.fixture(scope="module")
def table():
    return benchmark.load("fashion_mnist_resnet8")


@pytest.fixture(scope="module")
def places(table):
    return np.random.default_rng(0).uniform(size=(len(table.functions), 2))


def test_the_page_has_every_function_and_loads_nothing(landscape, table, places):
    text = landscape.page(table, places)
    assert text.count("<title>") == len(table.functions) + 1
    assert "<title>swish: sigmoid(x) * x\n0.8407</title>" in text
    assert not re.search(r"(?:src|href|url)\s*[=(]|https?://", text)
    assert set(re.findall(r"<text[^>]*>(\w+)</text>", text)) == set(landscape.marked(table))


def test_colours_tell_the_diverged_from_the_bad(landscape, table):
    colors = landscape.colors(table)
    best = max(range(len(colors)), key=lambda number: landscape.rewards(table)[number])
    assert colors[best] == "#fde725"
    diverged = [f.trainings[0, 3].status == "diverged" for f in table.functions]
    assert [color == landscape.DIVERGED for color in colors] == diverged


def test_marks_are_the_papers_functions_of_one_unit(landscape, table):
    marks = landscape.marked(table)
    assert {"relu", "swish", "swish_beta", "cos_minus_x"} <= set(marks)
    assert "x_arcsinh_squared" not in marks  # of two core units
    assert table.functions[marks["cos_minus_x"]].formula in {"cos(x) - x", "-x + cos(x)"}


def test_figures_are_drawn(landscape, table, places, tmp_path):
    landscape.draw(table, places, tmp_path / "a.svg")
    landscape.pairs(table, tmp_path / "b.svg")
    assert all((tmp_path / name).stat().st_size > 10_000 for name in ("a.svg", "b.svg"))
