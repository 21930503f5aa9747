import keras
import numpy as np
import pytest

import keras_swish
from keras_swish import models
from keras_swish.models import resnet


def trainable(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


# Millions of parameters, as the papers print them: He et al. 2016, table 6 of the first and
# table 4 of the second paper.
@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("resnet20", "0.27"),
        ("resnet32", "0.46"),
        ("resnet44", "0.66"),
        ("resnet56", "0.85"),
        pytest.param("resnet110", "1.7", marks=pytest.mark.slow),
        pytest.param("resnet164", "1.70", marks=pytest.mark.slow),
    ],
)
def test_parameters_are_the_published_ones(name, published):
    digits = len(published.split(".")[1])
    assert f"{trainable(models.create(name)) / 1e6:.{digits}f}" == published


@pytest.mark.slow
def test_depth_counts_the_weighted_layers():
    depths = {"resnet8": 8, "resnet20": 20, "resnet164": 164, "resnet56v2": 56}
    for name, depth in depths.items():
        weighted = [
            layer
            for layer in models.create(name).layers
            if isinstance(layer, (keras.layers.Conv2D, keras.layers.Dense))
            and "shortcut" not in layer.name
        ]
        assert len(weighted) == depth


def unit_by_hand(x, kernels, statistics, stride):
    """A basic unit in NumPy, padding and all, for the test below."""

    def conv(x, kernel, stride):
        n, height, width, _ = x.shape
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        out = np.zeros((n, (height - 1) // stride + 1, (width - 1) // stride + 1, kernel.shape[3]))
        for i in range(out.shape[1]):
            for j in range(out.shape[2]):
                window = padded[:, i * stride : i * stride + 3, j * stride : j * stride + 3]
                out[:, i, j] = np.tensordot(window, kernel, 3)
        return out

    def norm(x, gamma, beta, mean, variance):
        return gamma * (x - mean) / np.sqrt(variance + 1e-5) + beta

    y = np.maximum(norm(conv(x, kernels[0], stride), *statistics[0]), 0)
    y = norm(conv(y, kernels[1], 1), *statistics[1])
    shortcut = x[:, ::stride, ::stride]
    missing = y.shape[-1] - x.shape[-1]
    shortcut = np.pad(shortcut, ((0, 0), (0, 0), (0, 0), (0, missing)))
    return np.maximum(shortcut + y, 0)


@pytest.mark.parametrize("size", [8, 9])
def test_a_strided_unit_equals_one_written_out_by_hand(size):
    model = models.create("resnet8", input_shape=(size, size, 3))
    random = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            c = layer.gamma.shape[0]
            # Keras's order: gamma, beta, moving mean, moving variance.
            layer.set_weights([random.normal(size=c) for _ in range(3)] + [random.uniform(1, 2, c)])
    inner = keras.Model(
        model.input,
        [
            model.get_layer("stage1_unit1_act2").output,
            model.get_layer("stage2_unit1_act2").output,
        ],
    )
    before, after = inner.predict(random.normal(size=(2, size, size, 3)), verbose=0)
    at = "stage2_unit1_"
    kernels = [model.get_layer(at + name).get_weights()[0] for name in ("conv1", "conv2")]
    statistics = [model.get_layer(at + name).get_weights() for name in ("bn1", "bn2")]
    by_hand = unit_by_hand(before.astype("float64"), kernels, statistics, 2)
    assert np.linalg.norm(by_hand - after) < 1e-5 * np.linalg.norm(by_hand)


@pytest.mark.parametrize("name", ["resnet8", "resnet56v2"])
def test_every_place_owns_its_beta(name):
    model = models.create(name, input_shape=(8, 8, 1), activation="swish_beta")
    swishes = [layer for layer in model.layers if isinstance(layer, keras_swish.Swish)]
    betas = [
        v
        for v in model.trainable_variables
        if v.path.split("/")[-2] in {s.name for s in swishes} and v.name == "beta"
    ]
    relus = [
        layer
        for layer in models.create(name, input_shape=(8, 8, 1)).layers
        if isinstance(layer, keras.layers.Activation)
    ]
    assert len(swishes) == len(betas) == len(relus)
    assert len({id(s.beta) for s in swishes}) == len(swishes)
    assert all(s.beta.shape[:2] == (1, 1) for s in swishes)


@pytest.mark.parametrize(
    "activation",
    ["swish", keras_swish.Swish, keras_swish.Swish(shared_axes=[1, 2, 3]), keras.ops.tanh],
)
def test_any_identifier_will_do(activation):
    model = models.create("resnet8", input_shape=(8, 8, 1), classes=3, activation=activation)
    y = model(np.ones((2, 8, 8, 1), "float32"))
    np.testing.assert_allclose(keras.ops.sum(y, axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("name", ["resnet8", pytest.param("resnet56v2", marks=pytest.mark.slow)])
def test_saved_and_loaded_it_gives_the_same_outputs(name, tmp_path):
    model = models.create(name, input_shape=(8, 8, 1), activation="swish_beta")
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 1)).astype("float32")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), model(x))


def test_arguments_reach_the_network():
    model = models.create(
        "resnet8", classifier_activation=None, bn_momentum=0.7, bn_epsilon=1e-3, name="mine"
    )
    assert model.name == "mine"
    assert model.get_layer("bn").momentum == 0.7
    assert model.get_layer("bn").epsilon == 1e-3
    assert model.get_layer("classifier").activation is keras.activations.linear


def test_bad_arguments_say_what_came():
    with pytest.raises(ValueError, match="Did you mean 'resnet20'"):
        models.create("resnet_20")
    with pytest.raises(ValueError, match=r"at least 8. Received: input_shape=\(7, 8, 3\)"):
        models.create("resnet20", input_shape=(7, 8, 3))
    with pytest.raises(ValueError, match=r"6n \+ 2.*Received: depth=21"):
        resnet.cifar_resnet(21)
    with pytest.raises(ValueError, match="Received: depth=2"):
        resnet.cifar_resnet_v2(2)
    with pytest.raises(ValueError, match="Unknown activation 'swsh'"):
        models.create("resnet8", activation="swsh")


def test_mixed_precision_computes_the_classifier_in_float32():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = models.create("resnet8", activation="swish_beta")
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.get_layer("conv").compute_dtype == "bfloat16"
    assert model.output.dtype == "float32"


def test_narrower_stages():
    model = resnet.cifar_resnet(8, filters=(4, 8, 8), activation="swish_beta")
    widths = [layer.filters for layer in model.layers if "conv" in layer.name and layer.weights]
    assert widths == [4, 4, 4, 8, 8, 8, 8]
    with pytest.raises(ValueError, match=r"Received: filters=\(8, 4, 4\)"):
        resnet.cifar_resnet(8, filters=(8, 4, 4))
