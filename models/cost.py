"""The cost of a network: its multiply-adds, counted from its graph."""

import math
from typing import Any

import keras
from keras import layers

from keras_swish.keras_compat import graph_nodes
from keras_swish.layers import TrainableActivation

_TRANSPOSED = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
_CONVOLUTIONS = (
    layers.Conv1D,
    layers.Conv2D,
    layers.Conv3D,
    layers.DepthwiseConv1D,
    layers.DepthwiseConv2D,
    layers.SeparableConv1D,
    layers.SeparableConv2D,
    *_TRANSPOSED,
)
_NOT_COUNTED = (
    TrainableActivation,
    layers.PReLU,
    layers.BatchNormalization,
    layers.GroupNormalization,
    layers.LayerNormalization,
    layers.Normalization,
)


def multiply_adds(model: keras.Model) -> int:
    """Returns the multiplications with addition that one image takes, as papers count them.

    Those of convolutions and dense layers, at each of their calls; normalisations, activations and
    additions, about a hundredth of them, are not counted.

    Args:
        model: A functional model, or a built Sequential, of known height and width; it may hold
            others.

    Raises:
        ValueError: If the height or width of a convolution's output is unknown, the model has no
            graph, or a layer has weights and its cost is not known.

    Example:
        >>> from keras_swish import models
        >>> models.multiply_adds(models.create("resnet20")) // 10**6
        40
    """
    nodes = graph_nodes(model)
    if not nodes:
        raise ValueError(
            "The model must be functional, or a Sequential that is built. Received: "
            f"{model.name!r} of class {type(model).__name__}"
        )
    total = 0
    for node in reversed(nodes):  # from the inputs on, for the message
        operation = node.operation
        if graph_nodes(operation):
            total += multiply_adds(operation)
        elif isinstance(operation, keras.Layer) and operation.weights:
            total += _of_call(operation, node)
    return total


def _of_call(layer: Any, node: Any) -> int:
    is_convolution = isinstance(layer, _CONVOLUTIONS)
    if not is_convolution and not isinstance(layer, layers.Dense):
        # A weight of one axis is a factor or a summand of each channel.
        is_linear = all(sum(size > 1 for size in v.shape) <= 1 for v in layer.weights)
        if isinstance(layer, _NOT_COUNTED) or is_linear:
            return 0
        raise ValueError(
            "The layers of the model must be convolutions, dense layers, normalisations, "
            f"activations, or without weights. Received: {layer.name!r} of class "
            f"{type(layer).__name__}"
        )
    # Each position of a transposed convolution's input takes the whole kernel.
    (tensor,) = node.input_tensors if isinstance(layer, _TRANSPOSED) else node.outputs
    is_first = is_convolution and layer.data_format == "channels_first"
    positions = tensor.shape[2:] if is_first else tensor.shape[1:-1]
    if None in positions:
        raise ValueError(
            "The model must have a known height and width. Received: "
            f"{layer.name!r} with outputs of shape {tuple(node.outputs[0].shape)}"
        )
    kernels = [v for v in layer.weights if v.name.endswith("kernel")]
    return math.prod(positions) * sum(math.prod(kernel.shape) for kernel in kernels)
