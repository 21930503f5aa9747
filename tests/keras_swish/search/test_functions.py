import numpy as np
import pytest

import keras_swish
from keras_swish.formulas.primitives import FUNCTIONS
from keras_swish.search import SearchSpace, functions


def test_a_function_is_found_however_it_is_spelled(space):
    swish = space.canonical(space.candidate(u1="x", u2="x", b="sigmoid(x1)*x2"))
    for text in ("swish", "silu", "x * sigmoid(x)", "sigmoid(x)*x", "x / (1 + exp(-x))"):
        assert functions.find(text, space).candidate == swish
    blend = functions.find("beta1 * cos(x) + (1 - beta1) * -x", space).candidate
    assert str(space.formula(blend)) == "beta * -x + (1 - beta) * cos(x)"


def test_spaces_around_a_name_do_not_count(space):
    for text in ("relu", "gelu", "sqrt", "x * sigmoid(x)"):
        assert functions.find(f" {text} ", space) == functions.find(text, space)
        assert functions.read(f" {text} ", space) == functions.read([text], space)


@pytest.mark.parametrize("text", ["gelu", "x", "sqrt(x)", "prelu", "mish", "arctan(x)**2 - x"])
def test_what_is_no_candidate_is_kept_as_it_is(text, space):
    found = functions.find(text, space)
    assert found.candidate is None
    assert found.text == text


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if FUNCTIONS[name].arity == 1])
def test_the_name_of_any_function_becomes_what_a_layer_is_made_of(name, space):
    assert keras_swish.layer(functions.find(name, space).text).built


def test_every_function_of_one_unit_is_found_by_its_formula(space):
    for candidate in space.survey().candidates[::97]:
        assert functions.find(str(space.formula(candidate)), space).candidate == candidate


def test_functions_of_two_units_are_found_by_their_formulas():
    space, random, seen = SearchSpace(2), np.random.default_rng(0), 0
    while seen < 40:
        candidate = space.sample(random)
        if space.reason(candidate) is None:
            seen += 1
            same = space.canonical(candidate)
            assert functions.find(str(space.formula(same)), space).candidate == same
    for text in ("swish", "arctan(x)**2 - x", "x * arcsinh(x)**2"):
        assert functions.find(text, space).candidate is not None


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])  # with the mark that editors write
@pytest.mark.parametrize("first", ["# mine\n\n", ""])
def test_a_file_has_a_function_a_line(first, encoding, tmp_path, space):
    path = tmp_path / "mine.txt"
    path.write_text(f"{first}x * sigmoid(x)\n  gelu\nswish\n", encoding)
    for start in (path, str(path), ["x * sigmoid(x)", "gelu"]):
        assert [one.text for one in functions.read(start, space)] == ["x * sigmoid(x)", "gelu"]
    assert functions.read("x * sigmoid(x)", space) == functions.read(["x * sigmoid(x)"], space)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (["swsh"], "Unknown activation 'swsh'. Did you mean 'swish'"),
        (["x *"], "Not a formula"),
        ("nowhere.txt", r"path of a text file .* Received: 'nowhere.txt' \(No such file"),
        ([3], r"such as \['x \* sigmoid\(x\)', 'gelu'\]. Received: 3"),
        (3, "Received: 3"),
    ],
)
def test_what_is_no_function_is_refused(start, message, space):
    with pytest.raises(ValueError, match=message):
        functions.read(start, space)
