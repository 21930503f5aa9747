import shutil

import keras
import mpmath
import numpy as np
import pytest

import keras_swish
import reference
from keras_swish import activations, catalogue
from keras_swish.elementwise.operation import Operation
from keras_swish.formulas.derivative import derivative, slope
from keras_swish.formulas.language import parse
from keras_swish.formulas.lowering import lowered

numpy = keras.ops.convert_to_numpy
GRID = np.linspace(-30, 30, 6001)


def values(name, x=GRID):
    return reference.NAMED[name](np.asarray(x, float))


@pytest.mark.parametrize("name", keras_swish.names())
def test_formula_is_the_published_function(name):
    entry = catalogue.ENTRIES[name]
    weights = {} if entry.beta is None else {"beta": entry.beta}
    x = GRID[::100]
    ours = [reference.value(entry.formula, point, **weights) for point in x]
    np.testing.assert_allclose(ours, values(name, x), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", keras_swish.names())
def test_layer_computes_the_published_function(name):
    x = np.float32([[-40, -6, -2.5, -1, -0.1, 0, 0.1, 1, 2.5, 6, 40]])
    ours = keras.ops.convert_to_numpy(keras_swish.layer(name)(x))
    np.testing.assert_allclose(ours, values(name, x), rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("name", keras_swish.names())
def test_facts_hold_on_a_grid(name):
    entry = catalogue.ENTRIES[name]
    y = values(name)
    rises = np.diff(y)
    assert entry.monotone == bool((rises >= -1e-12).all() or (rises <= 1e-12).all())
    assert entry.homogeneous == np.allclose(values(name, 3 * GRID), 3 * y)
    assert entry.bounded_below == (values(name, [-1e4, *GRID, 1e4]).min() > -2)
    for end, limit in zip((-1, 1), entry.limits):
        at = values(name, end * np.array([1e3, 2e3, 1e4]))
        if np.isnan(limit):
            assert np.ptp(at) > 0.1
        elif np.isinf(limit):
            assert (np.diff(at) * np.sign(limit) > 0).all()
            assert at[-1] * np.sign(limit) > 50
        else:
            np.testing.assert_allclose(at, limit, atol=1e-9)


def test_every_function_of_the_reference_has_an_entry():
    assert reference.NAMED
    assert set(reference.NAMED) <= set(keras_swish.names())


@pytest.mark.parametrize("name", keras_swish.names())
def test_description_states_the_facts(name):
    described = keras_swish.describe(name)
    entry = catalogue.ENTRIES[name]
    assert f"formula: {entry.formula}\n" in described
    assert f"derivative: {derivative(entry.formula)}\n" in described
    assert entry.source in described


def test_value_and_slope_at_0_are_stated():
    assert "at 0: value 0.5, slope 0.25\n" in keras_swish.describe("max_sigmoid")
    assert "at 0: value 1, slope -1\n" in keras_swish.describe("cos_minus_x")


def test_what_costs_too_much_to_train_is_described(own_names):
    keras_swish.register("deep", "sin(" * 26 + "x" + ")" * 26)
    keras_swish.register("snake_like", "sin(beta * x)**2 / x")
    keras_swish.register("slope_of_sinc", "dsinc(x) + 1")
    assert "at 0: value 0, slope 1\n" in keras_swish.describe("deep")
    assert "at 0: value 0, slope" in keras_swish.describe("snake_like")
    assert "at 0: value 1\n" in keras_swish.describe("slope_of_sinc")


def test_description_of_an_unknown_name():
    with pytest.raises(ValueError, match="Did you mean 'swish'"):
        keras_swish.describe("swich")
    for other in (None, keras.activations.relu):
        with pytest.raises(ValueError, match=r"Unknown activation '(None|<function relu.*>)'"):
            keras_swish.describe(other)


def test_both_meanings_of_a_name_are_stated():
    assert "slope 0.2" in keras_swish.describe("leaky_relu")
    assert "from 0" in keras_swish.describe("prelu")


def test_prelu_is_per_channel_from_a_quarter():
    layer = keras_swish.layer("prelu")
    y = layer(-np.ones((1, 4, 4, 3), "float32"))
    assert tuple(layer.betas["beta"].shape) == (1, 1, 3)
    np.testing.assert_allclose(numpy(y), -0.25)


@pytest.mark.skipif(
    keras.backend.backend() == "jax", reason="JAX computes slopes alone: see elementwise/test_jax"
)
def test_snake_and_its_slopes_are_exact_at_beta_0_and_far_out():
    operation = Operation(("x", "beta"), (lowered(parse("x + sin(beta * x)**2 / beta")),), ("x",))
    x = np.float32([-3.0, 0.0, 0.5, 2e3, 2e4, 1e6, 3e38])
    tensors = [keras.ops.convert_to_tensor(x), keras.ops.zeros((7,))]
    np.testing.assert_array_equal(numpy(operation(*tensors)[0]), x)
    ones = keras.ops.ones((7,))
    by_x, by_beta = (numpy(g) for g in operation.gradients(tensors, [ones]))
    np.testing.assert_array_equal(by_x, 1)
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(by_beta, x * x, rtol=1e-6)
    beta = np.float32(1.7)
    with mpmath.workdps(60):
        u = [mpmath.mpf(float(beta)) * mpmath.mpf(float(v)) for v in x]
        slope_x = [float(1 + mpmath.sin(2 * a)) for a in u]
        wave = [mpmath.sin(2 * a) * float(v) / beta for a, v in zip(u, x)]
        slope_beta = [float(w - (mpmath.sin(a) / beta) ** 2) for w, a in zip(wave, u)]
    tensors = [keras.ops.convert_to_tensor(x), beta * ones]
    by_x, by_beta = (numpy(g) for g in operation.gradients(tensors, [ones]))
    np.testing.assert_allclose(by_x, slope_x, atol=1e-6)
    np.testing.assert_allclose(by_beta, slope_beta, rtol=1e-5, atol=1e-6)
    # Where the angle is no float at all, nothing is NaN.
    far = [keras.ops.full((1,), 3e38), keras.ops.full((1,), 50.0)]
    assert numpy(operation(*far)[0]) == np.float32(3e38)
    assert 0 <= numpy(operation.gradients(far, [keras.ops.ones((1,))])[0]) <= 2


@pytest.mark.skipif(
    keras.backend.backend() == "jax", reason="JAX computes slopes alone: see elementwise/test_jax"
)
@pytest.mark.parametrize("name", ["quick_gelu", "hard_swish", "mish", "telu", "snake"])
def test_second_derivatives_of_the_kernels_are_those_of_the_formula(name):
    text, beta = catalogue.ENTRIES[name].formula, catalogue.ENTRIES[name].beta
    weights = {} if beta is None else {"beta": beta}
    points = np.float32([-30.3, -4.2, -1.1, -0.2, 0.3, 1.3, 2.7, 25.4])
    tensors = [keras.ops.convert_to_tensor(points)]
    tensors += [keras.ops.full((8,), weight) for weight in weights.values()]
    operation = Operation(("x", *weights), (slope(lowered(parse(text)), "x"),), ("x",))
    ours = numpy(operation.gradients(tensors, [keras.ops.ones((8,))])[0])
    expected = [reference.slope(str(derivative(text)), point, **weights) for point in points]
    np.testing.assert_allclose(ours, expected, rtol=2e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["max_sigmoid", "cos_minus_x", "x_arcsinh_squared"])
def test_strings_work_everywhere_in_keras(name, tmp_path):
    function = getattr(activations, name)
    assert function.__doc__
    x = np.float32([[-1.0, 0.5]])
    expected = keras.ops.convert_to_numpy(function(x))
    np.testing.assert_array_equal(numpy(keras.layers.Activation(name)(x)), expected)
    model = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(2, kernel_initializer="identity", activation=name)]
    )
    np.testing.assert_array_equal(numpy(model(x)), expected)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(numpy(loaded(x)), expected)


def test_keras_keeps_its_own_names():
    assert keras.activations.get("swish") is keras.activations.silu
    x = np.float32([-1.0])
    np.testing.assert_allclose(numpy(keras.activations.get("leaky_relu")(x)), [-0.2])


@pytest.mark.parametrize("name", ["swish_beta", "prelu"])
def test_a_string_cannot_carry_weights_and_says_so(name):
    with pytest.raises(ValueError, match=rf"use the layer keras_swish.layer\('{name}'\)"):
        keras.layers.Dense(2, activation=name)(np.ones((1, 2), "float32"))


def test_a_keras_that_moved_its_table_is_met_with_a_warning(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "keras.src.activations", None)
    with pytest.warns(UserWarning, match="keeps its activations elsewhere"):
        keras_swish.registry.register_with_keras()


ADDED = """
    "bump": Entry("x * exp(-x**2)", "a test", (0, 0), True, False),
    "tilt": Entry("max(x, beta * x)", "a test", (_INF, _INF), True, False, beta=-0.5),
"""
USE_OF_THE_ADDED = """
import keras, keras_swish, numpy as np
from keras_swish.plot import gallery
from keras_swish.replacement.recognise import recognise

x = np.float32([[-1.0, 2.0]])
bump = x * np.exp(-x * x)
tilt = np.maximum(x, -0.5 * x)

def check(ours, expected):
    np.testing.assert_allclose(keras.ops.convert_to_numpy(ours), expected, rtol=1e-5)

assert {"bump", "tilt"} <= set(keras_swish.names())
check(keras_swish.activations.bump(x), bump)
assert "bump" in dir(keras_swish.activations) and "tilt" not in dir(keras_swish.activations)
check(keras.layers.Dense(2, "bump", kernel_initializer="identity")(x), bump)
check(keras_swish.layer("bump")(x), bump)
layer = keras_swish.layer("tilt")
check(layer(x), tilt)
assert [w.name for w in layer.trainable_weights] == ["beta"]
assert (recognise(keras_swish.layer("bump")), recognise(layer)) == ("bump", "tilt")
try:
    keras.layers.Dense(2, "tilt")
except ValueError as error:
    assert "keras_swish.layer('tilt')" in str(error)
else:
    raise AssertionError("a string cannot carry a weight")
assert "value 0, slope 1" in keras_swish.describe("bump")
assert "from -0.5" in keras_swish.describe("tilt")
assert {"bump", "tilt"} <= {panel.get_title() for panel in gallery().axes}
"""


@pytest.mark.slow
def test_one_line_of_the_catalogue_makes_an_activation(tmp_path, root, python):
    # Without the link to train, which the core does not need.
    unneeded = shutil.ignore_patterns("train", "__pycache__")
    package = shutil.copytree(root / "keras_swish", tmp_path / "keras_swish", ignore=unneeded)
    path = package / "catalogue.py"
    opening = "ENTRIES: dict[str, Entry] = {"
    text = path.read_text()
    assert opening in text
    path.write_text(text.replace(opening, opening + ADDED))
    python("-c", USE_OF_THE_ADDED, cwd=tmp_path, PYTHONPATH=str(tmp_path))
