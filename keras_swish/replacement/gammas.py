"""Batch normalisations without gamma, which only a homogeneous activation can do without."""

from collections.abc import Iterable, Iterator
from typing import Any

import keras

from keras_swish.keras_compat import calls, producer
from keras_swish.replacement.members import is_graph, is_sequence
from keras_swish.replacement.recognise import recognise
from keras_swish.replacement.sites import LocatedActivation
from keras_swish.replacement.surroundings import Surroundings

# Layers through which a positive factor passes, each channel's its own: none adds two of them.
_PASSING = tuple(
    getattr(keras.layers, name + dimensions)
    for name, numbers in {
        "Dropout": [""],
        "Identity": [""],
        "Reshape": [""],
        "Flatten": [""],
        "Permute": [""],
        "Concatenate": [""],
        "SpatialDropout": "123",
        "ZeroPadding": "123",
        "Cropping": "123",
        "UpSampling": "123",
        "MaxPooling": "123",
        "AveragePooling": "123",
        "GlobalMaxPooling": "123",
        "GlobalAveragePooling": "123",
    }.items()
    for dimensions in (f"{number}D" if number else "" for number in numbers)
)


def unscaled_before(surroundings: Surroundings, activations: Iterable[Any]) -> dict[int, str]:
    """Returns the batch normalisations that activations need a gamma of, by id, with paths.

    Args:
        surroundings: Where the parts of the model stand.
        activations: Layers and operations that are about to lose their homogeneity.
    """
    unscaled = _unscaled(surroundings, activations)
    return {id(one): surroundings.name_path(one) for one in unscaled if _takes_gamma(one)}


def _takes_gamma(layer: keras.layers.BatchNormalization) -> bool:
    """Says whether the class of a batch normalisation makes one with gamma when it is loaded."""
    try:
        return type(layer).from_config({**layer.get_config(), "scale": True}).scale
    except Exception:  # of a class that takes no such entry
        return False


def _unscaled(
    surroundings: Surroundings, activations: Iterable[Any]
) -> Iterator[keras.layers.BatchNormalization]:
    """Yields the batch normalisations without gamma that feed activations in graphs."""
    seen: set[int] = set()
    tensors = [
        tensor
        for activation in activations
        for node in surroundings.calls(activation)
        for tensor in node.input_tensors
    ]
    while tensors:
        tensor = tensors.pop()
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        operation: Any
        operation, node_index, index = producer(tensor)
        if isinstance(operation, keras.layers.BatchNormalization):
            if not operation.scale:
                yield operation
        elif isinstance(operation, keras.layers.InputLayer):
            tensors += surroundings.outside(operation)
        elif is_graph(operation) or is_sequence(operation):
            tensors += operation.outputs[index : index + 1]
        elif isinstance(operation, _PASSING) or recognise(operation) == "linear":
            tensors += calls(operation)[node_index].input_tensors


def notes_on_unscaled(
    surroundings: Surroundings, activations: Iterable[LocatedActivation]
) -> list[str]:
    """Returns what to say of batch normalisations that get no gamma though they feed activations.

    Outside of graphs the order of what a layer holds tells what feeds what. A gamma would be one
    that the user's class does not make when it is loaded from a file.

    Args:
        surroundings: Where the parts of the model stand.
        activations: Those that are about to lose their homogeneity.
    """
    unscaled = []
    for located in activations:
        owner, place = located.owner, located.key
        if place is None:
            if surroundings.calls(located.activation):
                feeding = _unscaled(surroundings, [located.activation])
                unscaled += [one for one in feeding if not _takes_gamma(one)]
                continue
            owner, place = surroundings.holder(located.activation), located.activation
        if owner is None:
            continue
        before, _ = surroundings.nearest(owner, place, _unless_passing)
        if isinstance(before, keras.layers.BatchNormalization) and not before.scale:
            unscaled.append(before)
    return [
        f"{path}: has no gamma, which an activation behind it needs now; pass scale=True in the "
        "class that makes it"
        for path in dict.fromkeys(map(surroundings.name_path, unscaled))
    ]


def _unless_passing(layer: keras.Layer) -> keras.Layer | None:
    return None if isinstance(layer, _PASSING) else layer
