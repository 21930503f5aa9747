"""The places of a model where an activation stands."""

import dataclasses
import itertools
from collections.abc import Iterator

import keras

from keras_swish.keras_compat import calls, graph_nodes, producer
from keras_swish.replacement.members import Key, is_graph, is_sequence, members
from keras_swish.replacement.recognise import describe, recognise

# Layers that change no value: what they pass on is the activation before them.
_PASSING = (
    keras.layers.Reshape,
    keras.layers.Flatten,
    keras.layers.Permute,
    keras.layers.Identity,
    keras.layers.Dropout,
)


@dataclasses.dataclass(frozen=True)
class ActivationSite:
    """One place of a model where an activation stands.

    Attributes:
        path: Names of the models and layers down to the place, such as `"encoder/conv1"`.
        attribute: The layer's attribute that holds the activation, such as `"activation"`;
            empty where the layer or operation is the activation.
        old: The activation that stands there: its name, or its formula, or its class.
        new: The one that takes its place, or `None` where it is kept.
        kept: Why it is kept, where it was meant by name.
        layer: The original's layer, or operation.
    """

    path: str
    attribute: str
    old: str
    new: str | None = None
    kept: str = ""
    layer: object = dataclasses.field(default=None, repr=False, compare=False)

    def __str__(self):
        where = f"{self.path} ({self.attribute})" if self.attribute else self.path
        return f"{where}: {self.old}" + (f" -> {self.new}" if self.new else "")


@dataclasses.dataclass(frozen=True)
class Found:
    """A place, and how to reach it: the activation, the layer around it, and where in that."""

    place: ActivationSite
    thing: object
    owner: object
    key: Key


def children(layer) -> list[tuple[Key, object]]:
    """Returns what a layer consists of; the key is empty where a graph or list has it."""
    if is_graph(layer):
        return [((), operation) for operation in layer.operations]
    if is_sequence(layer):
        return [((), child) for child in layer.layers]
    return list(members(layer))


def walk(layer: keras.Layer, path: str, seen: set) -> Iterator[Found]:
    """Yields every place, those of linear activations too."""
    for key, thing in children(layer):
        is_layer = isinstance(thing, keras.Operation)
        # An activation layer that several layers hold as theirs is replaced in each of them.
        held = bool(key) and isinstance(key[0], str) and key[0].endswith("activation")
        inside = held or not is_layer
        if not inside:
            if id(thing) in seen:
                continue
            seen.add(id(thing))
        here = path if inside else f"{path}/{thing.name}".lstrip("/")
        if inside or recognise(thing) or type(thing) is keras.layers.Activation:
            attribute = ".".join(map(str, key)) if inside else ""
            place = ActivationSite(
                here, attribute, describe(thing), layer=layer if inside else thing
            )
            yield Found(place, thing, layer, key if inside else ())
        elif isinstance(thing, keras.Layer):
            yield from walk(thing, here, seen)


def last(layer) -> set[int]:
    """Returns the ids of the layers and operations that make a layer's outputs."""
    if is_graph(layer):
        used = {id(t) for node in graph_nodes(layer) for t in node.input_tensors}
        outputs = [tensor for tensor in layer.outputs if id(tensor) not in used]
        return set().union(*(_making(tensor) for tensor in outputs))
    if isinstance(layer, keras.layers.Bidirectional):
        return last(layer.forward_layer) | last(layer.backward_layer)
    # Of what a class of the user's own does in which order, only the attributes' order tells.
    inner = [
        part
        for key, part in children(layer)
        if isinstance(part, keras.Layer) and not str((*key, "")[0]).endswith("activation")
    ]
    while inner and _passes(inner[-1]):
        inner.pop()
    own = set() if isinstance(layer, keras.Model) else {id(layer)}
    return own | (last(inner[-1]) if inner else set())


def _making(tensor) -> set[int]:
    operation, node_index, _ = producer(tensor)
    while _passes(operation):
        tensor = calls(operation)[node_index].input_tensors[0]
        operation, node_index, _ = producer(tensor)
    return last(operation) if isinstance(operation, keras.Layer) else {id(operation)}


def _passes(operation) -> bool:
    is_linear = isinstance(operation, keras.layers.Activation) and recognise(operation) == "linear"
    return is_linear or isinstance(operation, _PASSING)


def neighbours(layer) -> list[tuple[object, object]]:
    """Returns the pairs of layers or operations of which one feeds the other."""
    if is_graph(layer):
        return [
            (producer(tensor)[0], node.operation)
            for node in graph_nodes(layer)
            for tensor in node.input_tensors
        ]
    return list(itertools.pairwise(layer.layers)) if is_sequence(layer) else []
