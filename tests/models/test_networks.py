"""Properties of every network of the zoo: its arguments, its parts, what it refuses."""

import equality
import keras
import numpy as np
import pytest

import keras_swish
from keras_swish import models
from keras_swish.models import densenet, mobilenet, nasnet, resnet, wide_resnet
from keras_swish.models.batch_normalization import BatchNormalization
from keras_swish.models.network import Network, Published
from keras_swish.train.trainer import model as model_building
from keras_swish.train.trainer import recipes


def trainable(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


# Networks that keras.applications does not have; where each figure comes from.
@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("resnet18", 11_689_512),  # torchvision
        ("resnet34", 21_797_672),
        ("wrn_28_10", "36.5"),  # Zagoruyko and Komodakis 2016, table 4
        # Huang et al. 2017, table 2.
        ("densenet_bc_100_12", "0.8"),
        pytest.param("densenet_100_12", "7.0", marks=pytest.mark.slow),
        pytest.param("densenet_bc_250_24", "15.3", marks=pytest.mark.slow),
        pytest.param("densenet_bc_190_40", "25.6", marks=pytest.mark.slow),
        # timm, less its gammas.
        pytest.param("inception_v4", 42_679_816 - 31_584, marks=pytest.mark.slow),
    ],
)
def test_parameters_are_the_published_ones(name, published):
    count = trainable(models.create(name))
    assert (f"{count / 1e6:.1f}" if isinstance(published, str) else count) == published


# In millions; Zoph et al. 2018, table 1; Howard et al. 2017, table 4; the rest of timm's.
@pytest.mark.parametrize(
    ("name", "published"),
    [
        pytest.param("nasnet_mobile", 564, marks=pytest.mark.slow),
        ("mobilenet", 569),
        ("resnet18", 1814),
    ],
)
def test_multiply_adds_are_the_published_ones(name, published):
    assert models.multiply_adds(models.create(name)) / 1e6 == pytest.approx(published, abs=0.5)


def test_multiply_adds_need_a_size():
    with pytest.raises(ValueError, match=r"known height and width. Received: 'conv'"):
        models.multiply_adds(models.create("resnet8", input_shape=(None, None, 3)))


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (keras.layers.Dense(8), (3,), 3 * 8),
        (keras.layers.Dense(8), (16, 16, 3), 16 * 16 * 3 * 8),
        (keras.layers.Conv1D(8, 3), (16, 3), 14 * 3 * 3 * 8),
        (keras.layers.Conv2D(8, 3, groups=2), (16, 16, 4), 14 * 14 * 9 * 2 * 8),
        (keras.layers.Conv3D(8, 3), (4, 4, 4, 2), 8 * 27 * 2 * 8),
        (keras.layers.Conv2DTranspose(8, 2, strides=2), (16, 16, 3), 16 * 16 * 4 * 3 * 8),
        (keras.layers.DepthwiseConv2D(3), (16, 16, 4), 14 * 14 * 9 * 4),
        (keras.layers.SeparableConv2D(8, 3), (16, 16, 4), 14 * 14 * (9 * 4 + 4 * 8)),
        (keras.layers.Conv2D(8, 3, data_format="channels_first"), (4, 16, 16), 14**2 * 9 * 4 * 8),
        (keras.layers.GroupNormalization(2), (16, 16, 4), 0),
        (keras.layers.LayerNormalization((1, 2)), (16, 4), 0),
        (keras_swish.Swish(shared_axes=[]), (16, 4), 0),
    ],
)
def test_multiply_adds_of_a_layer(layer, shape, expected):
    image = keras.Input(shape)
    assert models.multiply_adds(keras.Model(image, layer(image))) == expected


def test_multiply_adds_of_every_call_and_nested_model_count():
    image = keras.Input((4, 4, 3))
    shared = keras.layers.Conv2D(3, 3, padding="same")
    inner = keras.Model(image, shared(shared(image)))
    outer = keras.Sequential([keras.Input((4, 4, 3)), inner, keras.layers.ReLU(), inner])
    once = 16 * 9 * 3 * 3
    assert [models.multiply_adds(model) for model in (inner, outer)] == [2 * once, 4 * once]


def test_multiply_adds_that_cannot_be_known_are_refused():
    recurrent = keras.Sequential([keras.Input((5, 3)), keras.layers.GRU(2, name="gru")])
    with pytest.raises(ValueError, match="Received: 'gru' of class GRU"):
        models.multiply_adds(recurrent)
    with pytest.raises(ValueError, match="functional, or a Sequential that is built"):
        models.multiply_adds(keras.Sequential([keras.layers.Dense(2)]))


def test_every_activation_of_a_network_is_the_given_one(network):
    model = network("swish_beta")
    assert not [v for v in model.layers if isinstance(v, keras.layers.Activation)]
    relu = [v for v in network().layers if isinstance(v, keras.layers.Activation)]
    swish = [v for v in model.layers if isinstance(v, keras_swish.Swish)]
    assert [v.name for v in swish] == [v.name for v in relu]
    assert len({id(v.beta) for v in swish}) == len(swish)


def test_mobilenet_is_built_on_relu6():
    model = models.create("mobilenet", input_shape=(32, 32, 3))
    y = model.get_layer("unit1_depthwise_act")(np.array([[-1.0, 3.0, 9.0]]))
    assert np.asarray(y).tolist() == [[0, 3, 6]]


def norms(model):
    return [v for v in model.layers if isinstance(v, keras.layers.BatchNormalization)]


@pytest.mark.parametrize(
    ("options", "scale"),
    [
        ({}, False),
        ({"activation": "leaky_relu"}, False),
        ({"activation": "swish"}, True),
        ({"activation": "swish_beta"}, True),
        ({"activation": lambda x: keras.ops.relu(x)}, True),
        ({"bn_scale": True}, True),
        ({"activation": "swish", "bn_scale": False}, False),
    ],
)
def test_gamma_is_off_where_it_was_published_so_and_the_activation_is_homogeneous(options, scale):
    assert Network(Published(bn_scale=False), **options).bn["scale"] is scale
    assert Network(Published(bn_scale=True), **options).bn["scale"] is options.get("bn_scale", True)


def test_gamma_of_the_families_is_as_published(family, network):
    published_without = ("inception_v3", "inception_v4", "inception_resnet_v2")
    assert {layer.scale for layer in norms(network())} == {family.name not in published_without}
    assert {layer.scale for layer in norms(network("swish_beta"))} == {True}


def test_settings_of_batch_normalisation_reach_every_layer(family):
    model = family(bn_momentum=0.7, bn_epsilon=0.01, bn_scale=False)
    assert {(v.momentum, v.epsilon, v.scale) for v in norms(model)} == {(0.7, 0.01, False)}
    assert {type(v) for v in norms(model)} == {BatchNormalization}


def test_kernels_are_initialised_after_he(network):
    for layer in network().layers:
        for variable in layer.trainable_variables:
            if variable.name.endswith("kernel") and np.prod(variable.shape) > 2000:
                is_depthwise = "depthwise" in layer.name or variable.name == "depthwise_kernel"
                shape = variable.shape[:2] if is_depthwise else variable.shape[:-1]
                values = keras.ops.convert_to_numpy(variable)
                assert values.std() == pytest.approx(np.sqrt(2 / np.prod(shape)), rel=0.1)


def test_weight_decay_acts_on_every_kernel_and_on_nothing_else(network):
    model = network("swish_beta")
    decayed = model_building.decayed_variables(model, recipes.RECIPES["cifar"])
    rest = {v.name for v in model.trainable_variables if id(v) not in {id(d) for d in decayed}}
    assert all(v.name.endswith("kernel") for v in decayed)
    assert {"beta"} <= rest <= {"beta", "gamma", "bias"}


def small_mobilenet(**options):
    return mobilenet.mobilenet(0.25, **{"input_shape": (64, 64, 3), "classes": 3, **options})


def test_without_its_top_it_gives_features():
    features = small_mobilenet(include_top=False)
    assert features.output_shape == (None, 2, 2, 256)
    for pooling, reduce in (("avg", np.mean), ("max", np.max)):
        pooled = small_mobilenet(include_top=False, pooling=pooling)
        pooled.set_weights(features.get_weights())
        x = equality.images(features)
        np.testing.assert_allclose(pooled(x), reduce(features(x), axis=(1, 2)), rtol=1e-4)


def test_images_may_be_of_any_size(family, network):
    if family.name == "nasnet":
        with pytest.raises(ValueError, match="known height and width"):
            family(input_shape=(None, None, 3))
        return
    model = family(input_shape=(None, None, 3))
    fixed = network()
    model.set_weights(fixed.get_weights())
    x = equality.images(fixed)
    np.testing.assert_allclose(model(x), fixed(x), rtol=1e-4, atol=1e-6)


def test_the_default_size_is_the_published_one():
    def shape(any_size, **options):
        return Network(Published(size=50, any_size=any_size), **options).image.shape

    for any_size in (True, False):
        assert shape(any_size) == (None, 50, 50, 3)
    assert shape(True, include_top=False) == (None, None, None, 3)
    assert shape(False, include_top=False) == (None, 50, 50, 3)


def test_it_can_stand_on_another_tensor():
    image = keras.Input((64, 64, 3), dtype="uint8")
    scaled = keras.layers.Rescaling(1 / 255)(image)
    model = small_mobilenet(input_tensor=scaled, input_shape=None)
    assert model.input is image
    assert model(np.zeros((1, 64, 64, 3), "uint8")).shape == (1, 3)


def test_auxiliary_output(family, network):
    has_one = family.name.startswith(("inception", "nasnet"))
    if not has_one:
        with pytest.raises(TypeError, match="auxiliary"):
            family(auxiliary=True)
        return
    plain, model = network(), family(auxiliary=True)
    assert model.output_names == ["classifier", "auxiliary"]
    assert model.output_shape == [(None, 3), (None, 3)]
    assert models.weights.transfer(plain, model)[0] == "auxiliary_conv1/kernel"
    x = equality.images(plain)
    main, second = model(x)
    np.testing.assert_allclose(main, plain(x), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(np.sum(second, 1), 1, rtol=1e-5)


def test_the_auxiliary_classifier_needs_the_top():
    net = Network(Published(), include_top=False)
    with pytest.raises(ValueError, match="include_top=False"):
        net.auxiliary_classifier(net.image)


@pytest.mark.parametrize(
    ("name", "place", "window"),
    [
        ("inception_v3", "mixed_6e", (5, 5)),
        pytest.param("inception_v4", "mixed_6h", (5, 5), marks=pytest.mark.slow),
        pytest.param("inception_resnet_v2", "block17_20_act", (5, 5), marks=pytest.mark.slow),
        pytest.param("nasnet_mobile", "auxiliary_act", (4, 4), marks=pytest.mark.slow),
    ],
)
def test_the_auxiliary_classifier_stands_where_the_authors_put_it(name, place, window):
    model = models.create(name, auxiliary=True)
    assert model.get_layer("auxiliary_pool").input is model.get_layer(place).output
    assert model.get_layer("auxiliary_conv2").kernel_size == window
    if name == "nasnet_mobile":
        before = model.get_layer("stage2_cell4_concat").output
        assert model.get_layer(place).input is before


def rates(model, layer_class):
    return {v.name: round(v.rate, 6) for v in model.layers if isinstance(v, layer_class)}


def test_dropout_before_the_classifier(family, network):
    if not family.name.startswith(("inception", "nasnet", "mobilenet")):
        return
    without = family(dropout=0.0) if family.name == "mobilenet" else network()
    assert rates(without, keras.layers.Dropout) == {}
    assert rates(family(dropout=0.5), keras.layers.Dropout) == {"dropout": 0.5}


def test_dropout_inside():
    assert rates(mobilenet.mobilenet(0.25), keras.layers.Dropout) == {"dropout": 0.001}
    wide = wide_resnet.wide_resnet(10, 1, dropout=0.3)
    assert rates(wide, keras.layers.Dropout) == {f"stage{s}_unit1_dropout": 0.3 for s in (1, 2, 3)}
    # Behind every convolution but the first.
    dense = densenet.cifar_densenet(10, 4, bottleneck=True, dropout=0.2)
    convolutions = [v for v in dense.layers if isinstance(v, keras.layers.Conv2D)]
    assert len(rates(dense, keras.layers.Dropout)) == len(convolutions) - 1


def test_drop_path_grows_with_the_cells():
    model = nasnet.nasnet(2, 96, drop_path=0.4, drop_path_steps=100)
    all_rates = rates(model, models.drop_path.DropPath)
    cells = ["stem_cell1", "stem_cell2", "stage1_cell1", "stage1_cell2", "reduction1"]
    cells += ["stage2_cell1", "stage2_cell2", "reduction2", "stage3_cell1", "stage3_cell2"]
    for number, cell in enumerate(cells, 1):
        of_cell = {name: rate for name, rate in all_rates.items() if name.startswith(cell + "_")}
        # Each operation but "none": nine in a reduction cell, eight in a normal one.
        assert len(of_cell) == (8 if cell.startswith("stage") else 9), cell
        assert set(of_cell.values()) == {round(0.4 * number / 10, 6)}
    steps = {v.steps for v in model.layers if isinstance(v, models.drop_path.DropPath)}
    assert steps == {100}


def test_channels_first_is_the_same_network(family, network):
    last = network()
    equality.randomise(last)
    x = equality.images(last)
    keras.config.set_image_data_format("channels_first")
    try:
        first = family()
        first.set_weights(last.get_weights())
        y = first(np.transpose(x, (0, 3, 1, 2)))
    finally:
        keras.config.set_image_data_format("channels_last")
    np.testing.assert_allclose(y, last(x), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_shape": (31, 40, 3)}, r"at least 32. Received: input_shape=\(31, 40, 3\)"),
        ({"input_shape": (40, 40)}, r"\(height, width, channels\).*Received: input_shape=\(40, 40"),
        ({"input_shape": (40, 40, None)}, r"Received: input_shape=\(40, 40, None\)"),
        ({"input_shape": (40, 40, 0)}, r"Received: input_shape=\(40, 40, 0\)"),
        ({"input_tensor": np.zeros((1, 40, 40, 3))}, "must be a Keras tensor"),
        ({"pooling": "mean"}, "must be None, 'avg' or 'max'. Received: pooling='mean'"),
        ({"classes": 0}, "positive integer. Received: classes=0"),
        ({"classes": 2.5}, "positive integer. Received: classes=2.5"),
        ({"activation": "swsh"}, "Unknown activation 'swsh'"),
    ],
)
def test_bad_arguments_say_what_came(options, message):
    with pytest.raises(ValueError, match=message):
        models.create("mobilenet", **options)


def test_classes_may_be_counted_by_numpy():
    assert small_mobilenet(classes=np.int64(3)).output_shape == (None, 3)


def test_bad_shapes_of_input_tensors_say_what_came():
    with pytest.raises(ValueError, match=r"at least 75. Received: input_shape=\(74, 80, 3\)"):
        models.create("inception_v3", input_tensor=keras.Input((74, 80, 3)))
    with pytest.raises(ValueError, match=r"input_shape=\(80, 80, 1\), input_tensor of shape \(No"):
        models.create(
            "inception_v3", input_tensor=keras.Input((80, 80, 3)), input_shape=(80, 80, 1)
        )


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: resnet.resnet(20), r"one of \[18, 34, 50, 101, 152\]. Received: depth=20"),
        (lambda: resnet.resnet_v2(20), "Received: depth=20"),
        (lambda: wide_resnet.wide_resnet(29, 10), r"6n \+ 4.*Received: depth=29"),
        (lambda: wide_resnet.wide_resnet(28, 0), "at least 1. Received: width=0"),
        (lambda: densenet.densenet(120), r"one of \[121, 169, 201\]. Received: depth=120"),
        (lambda: densenet.cifar_densenet(99, 12), r"3n \+ 4.*Received: depth=99"),
        (lambda: densenet.cifar_densenet(99, 12, bottleneck=True), r"6n \+ 4.*Received: depth=99"),
        (lambda: densenet.cifar_densenet(100, 0), "at least 1. Received: growth=0"),
        (lambda: mobilenet.mobilenet(0.01), "Received: alpha=0.01"),
        (lambda: mobilenet.mobilenet(depth_multiplier=0), "Received: depth_multiplier=0"),
        (lambda: nasnet.nasnet(0), "at least 1. Received: cells=0"),
        (lambda: nasnet.nasnet(4, 1000), "multiple of 96. Received: penultimate_filters=1000"),
        (lambda: nasnet.nasnet(1, 96, drop_path=1.0), "below 1. Received: drop_path=1.0"),
    ],
)
def test_bad_sizes_say_what_came(build, message):
    with pytest.raises(ValueError, match=message):
        build()
