import functools

import keras
import numpy as np
import pytest

import keras_swish
from keras_swish import activations, models
from keras_swish.layers import betas
from keras_swish.registry import is_homogeneous
from keras_swish.replacement.recognise import recognise

X = np.linspace(-3, 3, 13, dtype="float32").reshape(1, 13)


@pytest.mark.parametrize(
    ("identifier", "expected"),
    [
        ("relu", np.maximum(X, 0)),
        ("leaky_relu", np.where(X < 0, 0.01 * X, X)),
        ("swish", X / (1 + np.exp(-X))),
        ("swish_beta", X / (1 + np.exp(-X))),
        ("tanh", np.tanh(X)),
        (None, X),
        (keras.ops.sin, np.sin(X)),
        (lambda x: 2 * x, 2 * X),
        (keras.layers.ReLU(max_value=1), np.clip(X, 0, 1)),
        (keras.layers.ReLU, np.maximum(X, 0)),
        (functools.partial(keras.layers.LeakyReLU, negative_slope=0.5), np.where(X < 0, X / 2, X)),
        (keras.layers.Activation(lambda x: 3 * x), 3 * X),
    ],
)
def test_identifier_becomes_the_layer_it_means(identifier, expected):
    layer = keras_swish.layer(identifier, name="here")
    assert layer.name == "here"
    np.testing.assert_allclose(keras.ops.convert_to_numpy(layer(X)), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    "identifier", ["swish", "swish_beta", keras_swish.Swish, keras_swish.Swish(name="mine")]
)
def test_each_call_gives_a_new_layer(identifier):
    first, second = keras_swish.layer(identifier), keras_swish.layer(identifier)
    assert first is not second
    assert first is not identifier
    assert first.name != second.name


def test_template_keeps_its_settings_and_not_its_weights():
    template = keras_swish.Swish("zeros", shared_axes=[1], trainable=False)
    template.build((None, 4))
    layer = keras_swish.layer(template)
    assert not layer.built
    assert not layer.trainable
    assert layer.shared_axes == [1]


def test_a_template_that_was_built_says_nothing_of_the_channels_of_other_places():
    model = keras.Sequential(
        [
            keras.Input((3, 8, 8)),
            keras.layers.Conv2D(5, 3, activation="relu", data_format="channels_first"),
            keras.layers.Flatten(),
            keras.layers.Dense(1),
        ]
    )
    for shape in [(2, 4), (2, 3, 4)]:
        template = keras_swish.Swish()
        template.build(shape)
        changed = keras_swish.replace_activations(model, {"relu": template})
        assert [tuple(beta.shape) for beta in betas(changed).values()] == [(5, 1, 1)]
        assert keras_swish.layer(changed.layers[0].activation).data_format is None
    told = keras_swish.Swish(data_format="channels_first")
    told.build((None, 3, 4))
    assert keras_swish.layer(told).data_format == "channels_first"


def test_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match=r"Unknown activation 'swsh'. Did you mean 'swish'"):
        keras_swish.layer("swsh")


@pytest.mark.parametrize("identifier", [3, int, ["relu"]])
def test_anything_else_is_a_type_error(identifier):
    with pytest.raises(TypeError, match="Received:"):
        keras_swish.layer(identifier)


def test_template_that_cannot_be_made_again_says_what_to_pass():
    class Mine(keras.layers.Layer):
        def __init__(self, scale):
            super().__init__()

        def get_config(self):
            return {}

    with pytest.raises(ValueError, match=r"pass the class, or a functools.partial of it"):
        keras_swish.layer(Mine(2))


def test_names_are_sorted_and_known():
    assert keras_swish.names() == sorted(keras_swish.names())
    for name in keras_swish.names():
        assert isinstance(keras_swish.layer(name), keras.layers.Layer)


def test_a_formula_becomes_its_layer():
    layer = keras_swish.layer("x * sigmoid(2 * x)", name="mine")
    assert layer.name == "mine"
    np.testing.assert_allclose(layer(X), X / (1 + np.exp(-2 * X)), rtol=1e-5, atol=1e-7)
    with pytest.raises(ValueError, match="did you mean 'sigmoid'"):
        keras_swish.layer("x * sigmod(x)")


def test_a_template_around_a_layer_gives_every_place_its_own():
    assert keras_swish.layer(" swish\n").activation is keras_swish.activations.swish
    with pytest.raises(ValueError, match="'sin' is a function of the formula language"):
        keras_swish.register("sin", "x * 2")
    plain = keras.layers.Activation("relu", activity_regularizer="l2")
    assert keras_swish.layer(plain).activity_regularizer is plain.activity_regularizer
    template = keras.layers.Activation(keras_swish.SearchedActivation("x**2"), trainable=False)
    assert keras_swish.layer(template) is not template.activation
    assert keras_swish.layer(template) is not keras_swish.layer(template)
    assert not keras_swish.layer(keras.layers.Activation("relu", trainable=False)).trainable


@pytest.mark.parametrize("activation", ["max_sigmoid", "cos(x) - x", keras.layers.ReLU()])
def test_a_template_around_an_activation_keeps_its_settings(activation):
    settings = {"dtype": "mixed_bfloat16", "trainable": False, "activity_regularizer": "l2"}
    layer = keras_swish.layer(keras.layers.Activation(activation, **settings))
    assert layer.dtype_policy.name == "mixed_bfloat16"
    assert keras.backend.standardize_dtype(layer(X).dtype) == "bfloat16"
    assert not layer.trainable
    assert layer.activity_regularizer


def test_models_and_classes_without_a_name_serve_as_templates():
    template = keras.Sequential([keras.layers.ReLU()])
    np.testing.assert_array_equal(keras_swish.layer(template)(X), np.maximum(X, 0))

    class Nameless(keras.layers.Layer):
        def __init__(self):
            super().__init__()

        def call(self, x):
            return -x

    np.testing.assert_array_equal(keras_swish.layer(Nameless)(X), -X)


def test_messages_stay_short():
    with pytest.raises(ValueError, match="Unknown activation") as caught:
        keras_swish.layer("a" * 10**6)
    assert len(str(caught.value)) < 2000


def test_a_weight_alone_is_a_formula():
    ours = keras.ops.convert_to_numpy(keras_swish.layer("beta")(X))
    np.testing.assert_array_equal(ours, np.ones_like(X))


@pytest.mark.parametrize(
    ("identifier", "known"),
    [
        *[(name, True) for name in ("relu", "leaky_relu", "prelu", "linear", None)],
        *[(name, False) for name in ("relu6", "swish", "swish_beta", "elu", "max(x, beta * x)")],
        (" relu\n", True),
        (keras.activations.relu, True),
        (keras.ops.relu, True),
        (keras.layers.ReLU, True),
        (keras.layers.ReLU(negative_slope=0.1), True),
        (keras.layers.Activation(keras.layers.ReLU()), True),
        (keras.layers.ReLU(max_value=6), False),
        (keras.layers.ReLU(threshold=1), False),
        (keras_swish.layer("relu"), True),
        (keras_swish.layer("swish"), False),
        (keras_swish.Swish, False),
        (keras_swish.Swish(), False),
        (lambda x: x, False),
    ],
)
def test_homogeneous_is_what_is_known_to_be(identifier, known):
    assert is_homogeneous(identifier) is known


@pytest.mark.parametrize(
    ("activation", "advice"),
    [
        ("swish_beta", r"use the layer keras_swish.layer\('swish_beta'\) behind"),
        ("beta", r"use the layer keras_swish.layer\('beta'\) behind"),
        ("x*sigmoid(beta*x)", r"use the layer keras_swish.layer\('x \* sigmoid\(beta \* x\)'\)"),
        (keras_swish.Swish(), "put it behind the other layer"),
        (keras_swish.SearchedActivation("x + beta"), "put it behind the other layer"),
        (keras_swish.Swish, "^Swish as the .* put it behind the other layer"),
    ],
)
def test_what_would_lose_its_weights_until_the_first_call_is_refused_at_once(activation, advice):
    with pytest.raises(ValueError, match=advice):
        keras.layers.Dense(4, activation=activation)


def test_a_built_layer_with_weights_counts_in_its_host_before_any_call():
    activation = keras_swish.Swish()
    activation.build((None, 4))
    host = keras.layers.Dense(4, activation=activation)
    host.build((None, 3))
    assert host.count_params() == 3 * 4 + 4 + 4


def test_a_formula_without_weights_works_as_a_string_and_is_saved(tmp_path):
    model = keras.Sequential(
        [keras.Input((13,)), keras.layers.Dense(13, "cos(x) - x", kernel_initializer="identity")]
    )
    expected = keras.ops.convert_to_numpy(model(X))
    np.testing.assert_allclose(expected, np.cos(X) - X, rtol=1e-5, atol=1e-6)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(loaded(X)), expected)
    with pytest.raises(ValueError, match="did you mean 'sin'"):
        keras.layers.Dense(2, activation="sen(x)")


@pytest.mark.parametrize("policy", ["mixed_float16", "float32"])
@pytest.mark.parametrize("identifier", ["max(x, -x)", "bent", "max_sigmoid"])
def test_a_string_computes_in_the_dtype_of_its_host(identifier, policy, registered, tmp_path):
    def dtype(y):
        return keras.backend.standardize_dtype(y.dtype)

    keras.config.set_dtype_policy(policy)
    try:
        for host, x in (("float32", 70000.0), ("float64", 1 + 1e-12), ("mixed_bfloat16", 1.0)):
            if host == "float64" and keras.backend.backend() == "jax":
                continue  # without x64, JAX has none
            dense = keras.layers.Dense(1, identifier, kernel_initializer="ones", dtype=host)
            plain = keras.layers.Dense(1, kernel_initializer="ones", dtype=host)
            model = keras.Sequential([keras.Input((1,), dtype=host.removeprefix("mixed_")), dense])
            x = np.full((1, 1), x)
            expected = numpy(keras_swish.layer(identifier, "f").call(plain(x)))
            assert dtype(dense(x)) == dense.compute_dtype
            np.testing.assert_array_equal(numpy(dense(x)), expected)
            model.save(tmp_path / "model.keras")
            loaded = keras.saving.load_model(tmp_path / "model.keras").layers[-1]
            np.testing.assert_array_equal(numpy(loaded(x)), expected)
    finally:
        keras.config.set_dtype_policy("float32")


def test_a_formula_as_a_string_works_in_recurrent_layers_of_any_dtype():
    x = np.ones((1, 3, 3))
    for dtype in ("float64", "mixed_bfloat16"):
        y = keras.layers.GRU(2, activation="cos(x) - x", dtype=dtype)(x)
        assert keras.layers.LSTM(2, activation="cos(x) - x", dtype=dtype)(x).dtype == y.dtype


def test_the_activation_of_a_string_has_the_dtype_of_a_symbolic_input():
    activation = keras.activations.get("cos(x) - x")
    assert activation(keras.Input((3,), dtype="bfloat16")).dtype == "bfloat16"
    assert activation(keras.Input((3,), dtype="int32")).dtype == "float32"


@pytest.mark.parametrize("formula", ["x", "pi"])
def test_a_formula_that_is_one_name_works_as_a_string(formula):
    host = keras.layers.Dense(13, formula, kernel_initializer="identity")
    expected = X if formula == "x" else np.full_like(X, np.pi)
    np.testing.assert_array_equal(numpy(host(X)), expected)


@pytest.fixture
def registered(own_names):
    """Registers a name with a weight and one without, for one test."""
    keras_swish.register("bent", "tanh(x)+0.25*x")
    keras_swish.register("hinge", "max(beta1 * x, beta2 * x + beta3)")
    return np.tanh(X) + X / 4


def numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)


def test_a_registered_name_works_where_ours_do(registered):
    def check(y):
        np.testing.assert_allclose(numpy(y), registered, rtol=1e-6, atol=1e-7)

    check(keras_swish.layer("bent")(X))
    check(keras_swish.activations.bent(X))
    check(keras.activations.get("bent")(X))
    check(keras.layers.Dense(13, "bent", kernel_initializer="identity")(X))
    check(keras.layers.Activation("bent")(X))
    check(keras_swish.layer(keras_swish.activations.bent)(X))
    assert "bent" in keras_swish.names()
    assert "bent" in dir(keras_swish.activations)
    assert "formula: tanh(x) + 0.25 * x\n" in keras_swish.describe("bent")
    assert "at 0: value 0, slope 1.25\n" in keras_swish.describe(" bent ")
    assert "monotone" not in keras_swish.describe("bent")
    assert keras_swish.plot.plot("bent").axes[0].get_legend_handles_labels()[1] == [
        "bent: tanh(x) + 0.25 * x"
    ]
    assert not is_homogeneous("bent")
    model = models.create("resnet8", filters=(2, 2, 2), activation="bent")
    sites = {site.old for site in keras_swish.find_activations(model)}
    assert sites == {"bent", "softmax"}


def test_a_registered_name_is_replaced_and_replaces(registered):
    model = keras.Sequential(
        [
            keras.Input((13,)),
            keras.layers.Dense(13, "bent", name="string"),
            keras.layers.Dense(13, keras_swish.activations.bent, name="function"),
            keras_swish.layer("bent", name="layer"),
            keras.layers.Dense(13, "relu", name="kept"),
        ]
    )
    assert [site.old for site in keras_swish.find_activations(model)] == ["bent"] * 3 + ["relu"]
    for key in ("bent", "tanh(x) + 0.25*x", keras_swish.activations.bent):
        changed, report = keras_swish.replace_activations(
            model, {key: "relu"}, except_last=False, return_report=True
        )
        assert [site.old for site in report.replaced] == ["bent"] * 3
    changed = keras_swish.replace_activations(model, {"relu": "bent"}, except_last=False)
    assert [site.old for site in keras_swish.find_activations(changed)] == ["bent"] * 4


def test_a_registered_name_with_betas_is_a_layer_with_weights_of_its_own(registered):
    layer = keras_swish.layer("hinge")
    np.testing.assert_array_equal(numpy(layer(X)), np.maximum(X, X + 0))
    assert [variable.name for variable in layer.trainable_weights] == ["beta1", "beta2", "beta3"]
    assert [float(v[0]) for v in layer.trainable_weights] == [1, 1, 0]
    assert recognise(layer) == "hinge"
    described = keras_swish.describe("hinge")
    assert "beta3: trainable, one for each channel, from 0" in described
    with pytest.raises(ValueError, match=r"use the layer keras_swish.layer\('hinge'\)"):
        keras.layers.Dense(4, activation="hinge")


USE_OF_A_REGISTERED_NAME = """
import sys, keras, keras_swish, numpy as np
model = keras.saving.load_model(sys.argv[1])
x, y = np.load(sys.argv[2]).values()
np.testing.assert_array_equal(keras.ops.convert_to_numpy(model(x)), y)
assert [site.old for site in keras_swish.find_activations(model)] == sys.argv[3].split(";")
try:
    keras.layers.Dense(2, "bent")
except ValueError as error:
    assert "keras_swish.register(name, formula)" in str(error) and "\\n" not in str(error)
else:
    raise AssertionError("the name is not known here")
"""


def test_a_saved_model_has_the_formula_and_loads_where_nothing_is_registered(
    registered, tmp_path, python
):
    layers = [keras.layers.Dense(5, "bent"), keras.layers.Dense(4, activations.bent)]
    model = keras.Sequential([keras.Input((13,)), *layers, keras_swish.layer("hinge")])
    y = numpy(model(X))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    names = [site.old for site in keras_swish.find_activations(loaded)]
    assert names == ["bent", "bent", "hinge"]
    np.testing.assert_array_equal(numpy(loaded(X)), y)
    np.savez(tmp_path / "data.npz", x=X, y=y)
    formulas = "tanh(x) + 0.25 * x;tanh(x) + 0.25 * x;max(beta1 * x, beta2 * x + beta3)"
    files = (tmp_path / "model.keras", tmp_path / "data.npz")
    python("-c", USE_OF_A_REGISTERED_NAME, *files, formulas)


@pytest.mark.parametrize(
    ("name", "formula", "message"),
    [
        ("swish", "x", "keras_swish has the name 'swish' already"),
        ("swish_beta", "x * sigmoid(beta * x)", "keras_swish has the name 'swish_beta' already"),
        ("celu", "x", "Keras has the name 'celu' already"),
        ("Swish", "x", "keras_swish has the name 'Swish' already"),
        ("parse", "x", "keras_swish has the name 'parse' already"),
        ("bent", "x", "registered already, with the formula 'tanh"),
        ("x", "x", "not be a formula itself"),
        ("beta2", "x", "not be a formula itself"),
        ("my name", "x", "must be letters"),
        ("mine", "x +", "Not a formula"),
        ("mine", "tahn(x)", "did you mean 'tanh'"),
    ],
)
def test_what_cannot_be_registered_is_refused(registered, name, formula, message):
    before = keras_swish.names()
    with pytest.raises(ValueError, match=message):
        keras_swish.register(name, formula)
    assert keras_swish.names() == before


def test_a_name_of_a_class_of_ours_does_not_hide_it_from_files(registered, tmp_path):
    layer = keras_swish.layer("x * tanh(beta * x)")
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3), layer])
    model.save(tmp_path / "model.keras")
    keras_swish.register("SearchedActivation", "tanh(x) - x")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded.layers[-1]) is type(layer)


@pytest.mark.parametrize("arguments", [(3, "x"), ("mine", keras.ops.tanh), ("mine", None)])
def test_only_strings_are_registered(arguments):
    with pytest.raises(TypeError, match="Received"):
        keras_swish.register(*arguments)


def test_the_same_may_be_registered_again(registered):
    keras_swish.register("bent", "tanh(x) + 0.25 * x")
    assert keras_swish.names().count("bent") == 1


def test_a_registered_formula_that_has_a_name_keeps_that_name(registered):
    keras_swish.register("mine", "max(x, 0)")
    assert recognise(keras_swish.layer("mine")) == "relu"
    model = keras.Sequential([keras.Input((2,)), keras_swish.layer("mine"), keras.layers.Dense(1)])
    changed = keras_swish.replace_activations(model, {"mine": "tanh"})
    assert [site.old for site in keras_swish.find_activations(changed)] == ["tanh"]


def test_names_by_pattern():
    assert keras_swish.names("*relu*") == [
        *("leaky_relu", "prelu", "relu", "relu6", "squared_relu")
    ]
    assert keras_swish.names("no such*") == []
    assert models.names("resnet1?") == ["resnet14", "resnet18"]
    assert models.names("no such*") == []


def test_what_the_table_of_keras_has_by_other_means_stays():
    with pytest.raises(ValueError, match="Could not interpret activation function identifier: no"):
        keras.activations.get("no")
    with pytest.raises(ValueError, match="Could not interpret"):
        keras.activations.get(3)
