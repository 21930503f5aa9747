"""Keras's private parts, used in this file and in no other: a new Keras is tried here.

Each function says in public words what the rest of the package needs.
"""

import keras


def sublayers(layer: keras.Layer) -> list[keras.Layer]:
    """Returns the layers that a layer holds directly, also those that are no output's path.

    `model.layers` leaves out what stands inside other layers.
    """
    return list(layer._layers)


def all_layers(layer: keras.Layer, include_self: bool = True) -> list[keras.Layer]:
    """Returns a layer and all that it holds, at any depth, in Keras's order."""
    return list(layer._flatten_layers(include_self=include_self, recursive=True))


def producer(tensor: keras.KerasTensor) -> tuple[keras.Operation, int, int]:
    """Returns the operation that made a symbolic tensor, and the numbers of its call and output."""
    history = tensor._keras_history
    return history.operation, history.node_index, history.tensor_index
