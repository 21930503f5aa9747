"""Random weights that let a comparison of two networks fail, and the comparison."""

import keras
import numpy as np

from keras_swish.models.weights import weighted_layers


def images(model, batch=2, seed=0):
    """Random images for a model of known height and width."""
    shape = (batch, *model.input_shape[1:])
    return np.random.default_rng(seed).normal(size=shape).astype(keras.config.floatx())


def randomise(model, seed=0):
    """Draws all weights, so that every layer's output is of order one and no two channels agree.

    A fresh network would not do: its gammas are one, its betas zero, its moving statistics not
    those of its inputs, and a deep one answers the same to every image.
    """
    random = np.random.default_rng(seed)
    layers = weighted_layers(model)
    for layer in layers:
        for variable in layer.trainable_variables:
            shape = variable.shape
            if variable.name == "gamma":
                value = random.uniform(0.5, 1.5, shape)
            elif variable.name in ("beta", "bias"):
                value = random.normal(0, 0.3, shape)
            else:
                is_depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
                is_depthwise |= variable.name == "depthwise_kernel"
                fan_in = np.prod(shape[:2] if is_depthwise else shape[:-1])
                value = random.normal(0, np.sqrt(2 / fan_in), shape)
            variable.assign(value)
    norms = [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
    model(images(model, 4, seed + 1), training=True)
    for layer, momentum in zip(norms, momenta):
        layer.momentum = momentum
        mean, variance = map(keras.ops.convert_to_numpy, (layer.moving_mean, layer.moving_variance))
        layer.moving_mean.assign(mean + 0.1 * np.sqrt(variance) * random.normal(size=mean.shape))
        layer.moving_variance.assign((variance + 1e-3) * random.uniform(0.8, 1.25, mean.shape))


def disturb(model, seed=0):
    """Changes every weight a little."""
    random = np.random.default_rng(seed)
    model.set_weights([w * random.uniform(0.9, 1.1, w.shape) for w in model.get_weights()])


def outputs(model, x):
    """The features before the classifier, and the logits."""
    inner = keras.Model(model.input, [weighted_layers(model)[-1].input, model.outputs[0]])
    return [keras.ops.convert_to_numpy(y) for y in inner(x, training=False)]


def distance(a, b):
    """||a - b|| / ||b||."""
    a, b = np.ravel(a).astype("float64"), np.ravel(b).astype("float64")
    assert np.linalg.norm(b) > 0
    return np.linalg.norm(a - b) / np.linalg.norm(b)


def step(model, x, labels):
    """Trains one step of SGD with a learning rate of 1.

    Returns the change of each trainable weight, which is its gradient, and of each batch
    statistic, in the order of `weighted_layers`.
    """
    model.compile(
        keras.optimizers.SGD(1.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        # On JAX each operation would be compiled on its own.
        run_eagerly=keras.backend.backend() != "jax",
    )
    variables = [v for layer in weighted_layers(model) for v in layer.weights]
    before = [np.copy(keras.ops.convert_to_numpy(v)) for v in variables]
    model.train_on_batch(x, labels)
    changes = [keras.ops.convert_to_numpy(v) - old for v, old in zip(variables, before)]
    return (
        [change for change, v in zip(changes, variables) if v.trainable],
        [change for change, v in zip(changes, variables) if not v.trainable],
    )


def step_distance(changes, others):
    """The largest difference between two weights' changes, in parts of all the others'.

    Not of their own: the bias before a batch normalisation has no gradient but rounding.
    """
    total = np.sqrt(np.mean([np.mean(np.square(other)) for other in others]))
    return max(
        np.sqrt(np.mean(np.square(np.ravel(change) - np.ravel(other)))) / total
        for change, other in zip(changes, others, strict=True)
    )
