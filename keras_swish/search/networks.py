"""The weights of networks: read, written, drawn anew."""

import keras
import numpy as np


def leaves(model: keras.Model) -> list[keras.Layer]:
    """Returns all layers, those within others too."""
    return model._flatten_layers(include_self=False, recursive=True)


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
        if isinstance(old, keras.layers.Normalization) or (old.weights and not old.trainable):
            kept: dict = {}
            old.save_own_variables(kept)
            layer.load_own_variables(kept)
    return new
