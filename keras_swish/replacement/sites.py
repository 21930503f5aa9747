"""The activation sites of a model: where an activation is, and which."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import keras

from keras_swish.keras_compat import (
    calls,
    graph_nodes,
    is_keras_own,
    producer,
    symbolic,
)
from keras_swish.replacement.handing import Holder, handed_on, is_activation
from keras_swish.replacement.members import (
    Key,
    is_activation_attribute,
    is_graph,
    is_sequence,
    members,
)
from keras_swish.replacement.recognise import describe, is_unnamed, recognise, unlike_ours

# Layers that move, repeat or leave out values, or change them in training alone: what they pass on
# is the activation before them.
_PASSING = tuple(
    getattr(keras.layers, name)
    for name in (
        *("Reshape", "Flatten", "Permute", "RepeatVector", "Concatenate", "Identity", "Masking"),
        *("ActivityRegularization", "Dropout", "AlphaDropout", "GaussianDropout", "GaussianNoise"),
        *(f"{kind}{n}D" for kind in ("Cropping", "UpSampling", "ZeroPadding") for n in (1, 2, 3)),
    )
)
# The same of Keras's operations, by the names of their classes.
_PASSING_OPERATIONS = {
    *("Append", "ArraySplit", "BroadcastTo", "Cast", "Concatenate", "ConvertToTensor", "Copy"),
    *("CropImages", "DepthToSpace", "Dsplit", "Dstack", "ExpandDims", "Flip", "Fliplr"),
    *("Flipud", "GetItem", "Hsplit", "Hstack", "Moveaxis", "Pad", "PadImages", "Ravel"),
    *("Repeat", "Reshape", "Roll", "Rot90", "SaturateCast", "Slice", "SpaceToDepth", "Split"),
    *("Squeeze", "Stack", "StopGradient", "Swapaxes", "Take", "TakeAlongAxis", "Tile"),
    *("Transpose", "Unstack", "Vsplit", "Vstack"),
}


@dataclasses.dataclass(frozen=True)
class ActivationSite:
    """An activation of a model: where it is, and which.

    Attributes:
        path: Names of the models and layers down to it, such as `"encoder/conv1"`.
        attribute: The layer's attribute that holds the activation, such as `"activation"`;
            empty where the layer or operation is the activation.
        old: The original's activation: its name, or its formula, or its class.
        new: The one that replaces it, or `None` where it is kept.
        reason: Why it is kept, where the replacements meant it.
        layer: The original's layer, or operation.
        code: The code that calls it, such as `"Block.call"`, where it is neither a layer nor in
            an attribute: it cannot be replaced.
        parameter: What makes it another function than this package's of the same name, such as
            `"negative_slope=0.3"`.
    """

    path: str
    attribute: str
    old: str
    new: str | None = None
    reason: str = ""
    layer: object = dataclasses.field(default=None, repr=False, compare=False)
    code: str = ""
    parameter: str = ""

    def __str__(self):
        where = f"{self.path} ({self.attribute})" if self.attribute else self.path
        code = f" (called in the code of {self.code}, cannot be replaced)" if self.code else ""
        parameter = f" with {self.parameter}" if self.parameter else ""
        return f"{where}: {self.old}{parameter}{code}" + (f" -> {self.new}" if self.new else "")


@dataclasses.dataclass(frozen=True)
class LocatedActivation:
    """An activation, and how to reach it.

    Attributes:
        site: What reports say of it.
        activation: The function, layer or operation.
        owner: The layer or model around it.
        key: Where the owner holds it; None where the owner is a model that calls it.
        followers: The holders inside the owner that it gave the activation to: they are no sites.
        text: The string by which the owner's code looks it up when called, and which stands at
            the key; None where the activation itself does.
        is_kept: Whether the owner has made an `Activation` layer of it, and keeps it besides: it
            is a site only where the owner's code calls it, too.
    """

    site: ActivationSite
    activation: Any
    owner: keras.Layer
    key: Key | None
    followers: tuple[Holder, ...] = ()
    text: str | None = None
    is_kept: bool = False


def children(layer: keras.Layer) -> list[tuple[Key | None, Any]]:
    """Returns what a layer consists of, with its key, which a model's graph or list has not."""
    if not (is_graph(layer) or is_sequence(layer)):
        return list(members(layer))
    called = list(layer.operations if is_graph(layer) else layer.layers)
    ids = {id(child) for child in called}
    # A class of the user's own may hold more layers, for use in its methods.
    held = [(key, member) for key, member in members(layer) if isinstance(member, keras.Layer)]
    return [*((None, one) for one in called), *(pair for pair in held if id(pair[1]) not in ids)]


def locate_activations(
    layer: keras.Layer, classes: tuple[type, ...] = ()
) -> Iterator[LocatedActivation]:
    """Yields every activation in a layer, linear and kept ones too, in the order of the graph.

    Args:
        layer: The layer or model.
        classes: Classes of the user's own whose layers are activations.
    """
    return _locate(layer, "", set(), set(), classes)


def paths(layer: keras.Layer) -> dict[int, str]:
    """Returns the path of a layer and all layers and operations in it, by id, in their order."""
    found = {id(layer): ""}
    _add_paths(layer, "", found)
    return found


def _add_paths(layer: keras.Layer, path: str, found: dict[int, str]) -> None:
    for _, child in children(layer):
        if isinstance(child, keras.Operation) and id(child) not in found:
            found[id(child)] = child_path = f"{path}/{child.name}".lstrip("/")
            if isinstance(child, keras.Layer):
                _add_paths(child, child_path, found)


def _locate(
    layer: keras.Layer,
    path: str,
    seen: set[int],
    following: set[tuple[int, Key]],
    classes: tuple[type, ...],
) -> Iterator[LocatedActivation]:
    handed = handed_on(layer)
    following |= {(id(holder), key) for holders in handed.values() for holder, key in holders}
    for key, child in children(layer):
        if key and (id(layer), key) in following:
            continue
        # An activation layer that several layers hold as theirs is replaced in each of them.
        is_chosen = isinstance(child, (*classes,))
        if key and (is_activation(key, child) or (is_chosen and is_activation_attribute(key))):
            attribute = ".".join(map(str, key))
            site = ActivationSite(
                path, attribute, describe(child), layer=layer, parameter=unlike_ours(child)
            )
            given = handed.get(key)
            yield LocatedActivation(
                site, child, layer, key, tuple(given or ()), is_kept=given == []
            )
            continue
        if id(child) in seen:
            continue
        seen.add(id(child))
        child_path = f"{path}/{child.name}".lstrip("/")
        if recognise(child) or is_chosen or is_unnamed(child):
            site = ActivationSite(
                child_path, "", describe(child), layer=child, parameter=unlike_ours(child)
            )
            yield LocatedActivation(site, child, layer, None)
        elif isinstance(child, keras.Layer):
            yield from _locate(child, child_path, seen, following, classes)


def output_makers(layer: keras.Layer) -> set[int]:
    """Returns the ids of the layers and operations that make a layer's outputs."""
    if is_graph(layer):
        return _makers_inside(layer, layer.outputs)
    if isinstance(layer, keras.layers.Bidirectional):
        return output_makers(layer.forward_layer) | output_makers(layer.backward_layer)
    # Of what a class of the user's own does in which order, only the attributes' order tells; what
    # a sequence holds in attributes is not in it.
    inner = [
        child
        for key, child in children(layer)
        if isinstance(child, keras.Layer)
        and not (key and (is_sequence(layer) or is_activation(key, child)))
    ]
    while inner and _passes(inner[-1]):
        inner.pop()
    itself = set() if isinstance(layer, keras.Model) else {id(layer)}
    return itself | (output_makers(inner[-1]) if inner else set())


def _makers_inside(graph: Any, outputs: list[keras.KerasTensor]) -> set[int]:
    """Returns the ids of what makes outputs of a graph, of those that it does not use itself."""
    used = {id(tensor) for node in graph_nodes(graph) for tensor in node.input_tensors}
    return set().union(*(_makers(tensor) for tensor in outputs if id(tensor) not in used))


def _makers(tensor: keras.KerasTensor) -> set[int]:
    operation, node_index, tensor_index = producer(tensor)
    if _passes(operation):
        passed = calls(operation)[node_index].input_tensors
        return set().union(*map(_makers, passed))
    if is_graph(operation):
        return _makers_inside(operation, [symbolic(operation, "outputs")[tensor_index]])
    return output_makers(operation) if isinstance(operation, keras.Layer) else {id(operation)}


def _passes(operation: keras.Operation) -> bool:
    if is_keras_own(operation) and not isinstance(operation, keras.Layer):
        return type(operation).__name__ in _PASSING_OPERATIONS
    is_linear = isinstance(operation, keras.layers.Activation) and recognise(operation) == "linear"
    return is_linear or isinstance(operation, _PASSING)
