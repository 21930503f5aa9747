"""The cost of a network: its multiply-adds, counted from its graph."""

import math

import keras


def multiply_adds(model: keras.Model) -> int:
    """Returns the multiplications with addition that one image takes, as papers count them.

    Those of convolutions and dense layers; normalisations, activations and additions, about a
    hundredth of them, are not counted.

    Args:
        model: A functional model of known height and width.

    Raises:
        ValueError: If the height or width of a convolution's output is unknown.

    Example:
        >>> from keras_swish import models
        >>> models.multiply_adds(models.create("resnet20")) // 10**6
        40
    """
    total = 0
    for layer in model.layers:
        kernels = [v for v in layer.weights if v.name.endswith("kernel")]
        if not kernels:
            continue
        positions = 1
        if len(kernels[0].shape) == 4:
            is_first = layer.data_format == "channels_first"
            size = layer.output.shape[2:] if is_first else layer.output.shape[1:3]
            if None in size:
                raise ValueError(
                    "The model must have a known height and width. Received: "
                    f"{layer.name!r} with outputs of shape {tuple(layer.output.shape)}"
                )
            positions = math.prod(size)
        total += positions * sum(math.prod(kernel.shape) for kernel in kernels)
    return total
