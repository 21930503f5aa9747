import dataclasses

import keras
import numpy as np
import pytest
from small_run import run

import keras_swish
from keras_swish import models
from keras_swish.keras_compat import all_layers
from keras_swish.train.trainer import model as model_building
from keras_swish.train.trainer import recipes, trainer

RECIPE = recipes.Recipe("a test", epochs=10, batch_size=8, learning_rate=0.4, schedule="cosine")


@pytest.mark.slow
def test_the_auxiliary_classifier_takes_part_in_training_alone(tiny):
    recipe = dataclasses.replace(RECIPE, auxiliary_weight=0.3, weight_decay=0.0)
    wide = tiny.train.images.repeat(10, axis=1).repeat(10, axis=2)
    larger = dataclasses.replace(tiny, train=dataclasses.replace(tiny.train, images=wide))
    model = model_building.build(trainer.Run("tiny", "inception_v3", "relu", 0, recipe), larger)
    assert len(model.outputs) == 2
    random = np.random.default_rng(0)
    labels = np.eye(3, dtype="float32")[[0, 2, 1, 1]]
    logits, auxiliary = random.normal(size=(2, 4, 3)).astype("float32")

    def cross_entropy(x):
        return -np.mean(np.sum(labels * (x - np.log(np.exp(x).sum(1, keepdims=True))), 1))

    tested = model.compute_loss(None, labels, [logits, auxiliary], training=False)
    assert float(tested) == pytest.approx(cross_entropy(logits), rel=1e-5)
    trained = model.compute_loss(None, labels, [logits, auxiliary], training=True)
    expected = cross_entropy(logits) + 0.3 * cross_entropy(auxiliary)
    assert float(trained) == pytest.approx(expected, rel=1e-5)
    model.compute_metrics(None, labels, [logits, auxiliary])
    accuracy = np.mean(logits.argmax(1) == labels.argmax(1))
    assert float(model.get_metrics_result()["accuracy"]) == pytest.approx(accuracy)
    assert len(model_building.classifier(model).outputs) == 1


@pytest.mark.parametrize(
    ("activation", "auxiliary"),
    [("softmax", "softmax"), (None, "softmax"), ("softmax", None), (None, None)],
)
def test_each_loss_takes_its_output_for_what_it_is(activation, auxiliary):
    image = keras.Input((4, 4, 1))
    x = keras.layers.Flatten()(image)
    outputs = [keras.layers.Dense(3, activation=each)(x) for each in (activation, auxiliary)]
    recipe = dataclasses.replace(RECIPE, auxiliary_weight=0.5, label_smoothing=0.1)
    model = model_building.for_training(keras.Model(image, outputs), recipe)
    model_building.compile_for(model, (4, 4, 1), recipe.label_smoothing)
    batch = np.random.default_rng(0).normal(size=(4, 4, 4, 1)).astype("float32")
    labels = np.eye(3, dtype="float32")[[0, 2, 1, 1]]

    def cross_entropy(logits):
        smooth = 0.9 * labels + 0.1 / 3
        return -np.mean(np.sum(smooth * np.log(np.exp(logits) / np.exp(logits).sum(1)[:, None]), 1))

    given = [keras.ops.convert_to_numpy(each) for each in model(batch)]
    pairs = zip(given, (activation, auxiliary), strict=True)
    main, second = (cross_entropy(np.log(each) if name else each) for each, name in pairs)
    # Arrays: of a tensor from a softmax layer, TensorFlow's loss takes the logits by itself.
    loss = model.compute_loss(None, labels, given, training=True)
    assert float(loss) == pytest.approx(main + 0.5 * second, rel=1e-4)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    "others",
    [pytest.param({"auxiliary_weight": 0.4}, marks=pytest.mark.slow), {"accumulation_steps": 2}],
)
def test_the_moving_statistics_are_averaged_as_the_weights_are(tiny, others):
    model = model_building.build(run(ema_momentum=0.3, **others), tiny)
    model_building.make_metrics(model)
    statistics = model_building.moving_statistics(model)
    parts, expected = others.get("accumulation_steps", 1), []
    for call, batch in enumerate(tiny.training(16, 0, 0, 6)):
        model.train_on_batch(*batch)
        step, rest = divmod(call, parts)
        if rest == parts - 1:
            # TensorFlow 1's momentum with `num_updates`; the first average is the first value.
            momentum = min(0.3, (1 + step) / (10 + step)) if step else 0.0
            values = [keras.ops.convert_to_numpy(variable).copy() for variable in statistics]
            before = expected or values
            expected = [
                momentum * old + (1 - momentum) * new
                for old, new in zip(before, values, strict=True)
            ]
    numbers = {id(variable): number for number, variable in enumerate(statistics)}
    averages = model_building.averages(model)
    assert {id(variable) for variable, _ in averages} == {
        *numbers,
        *map(id, model.trainable_variables),
    }
    for variable, average in averages:
        if id(variable) in numbers:
            number = numbers[id(variable)]
            np.testing.assert_allclose(average, expected[number], rtol=1e-5, atol=1e-6)
            assert not np.allclose(average, variable, rtol=1e-3)
    with model_building.averaged(model):
        np.testing.assert_allclose(statistics[0], expected[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(statistics[0], values[0])


@pytest.mark.parametrize(("classes", "names"), [(10, []), (11, ["top_5_accuracy"])])
def test_more_than_ten_classes_get_top_5_accuracy(classes, names):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(classes)])
    model_building.compile_for(model)
    model_building.make_metrics(model)
    assert list(model.get_metrics_result()) == ["loss", "accuracy", *names, "cross_entropy"]


def test_depthwise_kernels_are_decayed_unless_the_recipe_spares_them():
    net = keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            keras.layers.DepthwiseConv2D(3),
            keras.layers.SeparableConv2D(4, 3),
        ]
    )
    names = [v.path for v in model_building.decayed_variables(net, RECIPE)]
    assert len(names) == 3
    spared = dataclasses.replace(RECIPE, decay_depthwise=False)
    (pointwise,) = model_building.decayed_variables(net, spared)
    assert pointwise.name == "pointwise_kernel"


class Mixed(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.deep, self.conv = keras.layers.DepthwiseConv2D(3), keras.layers.Conv2D(4, 1)

    def build(self, shape):
        self.deep.build(shape)
        self.conv.build(shape)

    def call(self, x):
        return self.conv(self.deep(x))


def test_depthwise_kernels_inside_own_layers_are_spared():
    layer = Mixed()
    net = keras.Sequential([keras.Input((8, 8, 2)), layer])
    both = {id(layer.deep.kernel), id(layer.conv.kernel)}
    assert {id(v) for v in model_building.decayed_variables(net, RECIPE)} == both
    spared = dataclasses.replace(RECIPE, decay_depthwise=False)
    (decayed,) = model_building.decayed_variables(net, spared)
    assert decayed is layer.conv.kernel


def test_layers_that_are_never_called_have_nothing_to_spare_or_average():
    layer = Mixed()
    layer.unused = [keras.layers.DepthwiseConv2D(3), keras.layers.BatchNormalization()]
    net = keras.Sequential([keras.Input((8, 8, 2)), layer])
    spared = dataclasses.replace(RECIPE, decay_depthwise=False)
    (decayed,) = model_building.decayed_variables(net, spared)
    assert decayed is layer.conv.kernel
    assert model_building.moving_statistics(net) == []


def test_kernels_are_decayed_and_a_beta_only_on_request():
    model = models.create("resnet8", activation="swish_beta")
    kernels = {id(v) for v in model.trainable_variables if len(v.shape) in (2, 4)}
    betas = {id(layer.beta) for layer in model.layers if type(layer).__name__ == "Swish"}
    assert len(kernels) == 8
    assert len(betas) == 7
    decayed = {id(v) for v in model_building.decayed_variables(model, RECIPE)}
    assert decayed == kernels
    asked = dataclasses.replace(RECIPE, decay_activations=True)
    assert {id(v) for v in model_building.decayed_variables(model, asked)} == kernels | betas


def test_betas_inside_layers_are_decayed_and_other_normalisations_are_not():
    layers = [
        keras.layers.Conv2D(4, 3, activation="relu", name="conv"),
        keras.layers.LayerNormalization(),
        keras.layers.DepthwiseConv2D(3, activation="relu", name="deep"),
        keras.layers.GroupNormalization(2),
        keras.layers.PReLU(shared_axes=[1, 2], name="prelu"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(2, name="dense"),
    ]
    net = keras.Sequential([keras.Input((8, 8, 3)), *layers])
    net = keras_swish.replace_activations(net, {"relu": "swish_beta"})
    conv, deep, prelu, dense = map(net.get_layer, ("conv", "deep", "prelu", "dense"))
    recipe = dataclasses.replace(RECIPE, decay_activations=True, decay_depthwise=False)
    kernels = {id(conv.kernel), id(dense.kernel)}
    betas = {id(v) for v in (conv.activation.beta, deep.activation.beta, prelu.alpha)}
    assert {id(v) for v in model_building.decayed_variables(net, recipe)} == kernels | betas
    plain = dataclasses.replace(recipe, decay_activations=False)
    assert {id(v) for v in model_building.decayed_variables(net, plain)} == kernels


def test_weight_decay_adds_the_weight_times_the_coefficient_to_the_gradient():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
    model_building.apply_weight_decay(model, dataclasses.replace(RECIPE, weight_decay=0.1))
    model.compile(keras.optimizers.SGD(1.0), "mse")
    model.train_on_batch(np.zeros((4, 2), "float32"), np.zeros((4, 1), "float32"))
    np.testing.assert_allclose(model.layers[0].kernel, 1 - 0.1, rtol=1e-6)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_weight_decay_takes_the_place_of_a_kernels_own_regularizer(optimizer):
    kernel = keras.layers.Dense(1, kernel_regularizer="l2", bias_regularizer="l2")
    model = keras.Sequential([keras.Input((2,)), kernel])
    recipe = dataclasses.replace(RECIPE, weight_decay=0.1, optimizer=optimizer)
    model_building.apply_weight_decay(model, recipe, recipes.optimizer(recipe, 1))
    kernel.bias.assign([3.0])
    penalty = 0.0 if optimizer == "adamw" else 0.1 / 2 * np.square(kernel.kernel).sum()
    np.testing.assert_allclose(sum(model.losses), 0.01 * 3.0**2 + penalty, rtol=1e-6)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_statistics_are_synchronised_where_a_backend_has_to(backend, tiny, monkeypatch):
    network = model_building.build(run(), tiny)
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    recipe = dataclasses.replace(RECIPE, synchronized_bn=True)
    model = model_building.for_training(network, recipe)
    layers = [x for x in all_layers(model) if isinstance(x, keras.layers.BatchNormalization)]
    assert layers
    assert all(layer.synchronized == (backend == "tensorflow") for layer in layers)
