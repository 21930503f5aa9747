"""Networks: what they are, and their weights, read, written and drawn anew."""

import json

import keras
import numpy as np

from keras_swish.keras_compat import all_layers, graph_nodes, producer
from keras_swish.replacement.members import is_graph


def leaves(model: keras.Model) -> list[keras.Layer]:
    """Returns all layers, those within others too."""
    return all_layers(model, include_self=False)


def values(variables) -> list[np.ndarray]:
    """Returns the values of variables."""
    # Copies: PyTorch gives views, which training changes.
    return [keras.ops.convert_to_numpy(variable).copy() for variable in variables]


def assign(variables, values) -> None:
    """Gives variables these values."""
    for variable, value in zip(variables, values, strict=True):
        # A copy again: PyTorch would train in the array itself.
        variable.assign(value.copy())


def renewed(model: keras.Model) -> keras.Model:
    """Returns the model with new weights, drawn in the order in which its layers were built.

    What is not trained, such as frozen layers and the statistics of `Normalization`, stays.
    """
    if isinstance(model, keras.Sequential) or type(model).__name__ == "Functional":
        new = keras.models.clone_model(model)
    else:
        new = type(model).from_config(model.get_config())
        new.build_from_config(model.get_build_config())
    for old, layer in zip(leaves(model), leaves(new), strict=True):
        if _stays(old):
            kept: dict = {}
            old.save_own_variables(kept)
            layer.load_own_variables(kept)
    return new


def staying(model: keras.Model) -> list[np.ndarray]:
    """Returns the weights that are not drawn anew."""
    return [value for layer in leaves(model) if _stays(layer) for value in values(layer.weights)]


def described(model: keras.Model) -> str:
    """Returns what distinguishes a network: its layers and who is called with whose outputs.

    Not the names, which count the layers that a process has made, nor the weights.
    """
    layers = [
        [type(layer).__name__, {**_nameless(layer.get_config()), "name": None}]
        for layer in leaves(model)
        if not isinstance(layer, keras.Model)
    ]
    calls = [_calls(part) for part in (model, *leaves(model)) if is_graph(part)]
    return json.dumps([layers, calls], sort_keys=True, default=lambda thing: type(thing).__name__)


def _stays(layer) -> bool:
    is_frozen = bool(layer.weights) and not layer.trainable
    return is_frozen or isinstance(layer, keras.layers.Normalization)


def _nameless(config):
    if isinstance(config, dict):
        is_layer = "trainable" in config
        return {k: _nameless(v) for k, v in config.items() if k != "name" or not is_layer}
    return [*map(_nameless, config)] if isinstance(config, list | tuple) else config


def _calls(model: keras.Model) -> list:
    numbers = {id(operation): number for number, operation in enumerate(model.operations)}

    def said(argument):
        if not isinstance(argument, keras.KerasTensor):
            return argument
        operation, _, output = producer(argument)
        return ["tensor", numbers[id(operation)], output]

    return [
        [
            numbers[id(node.operation)],
            type(node.operation).__name__,
            keras.tree.map_structure(said, [node.arguments.args, node.arguments.kwargs]),
        ]
        for node in graph_nodes(model)
    ]
