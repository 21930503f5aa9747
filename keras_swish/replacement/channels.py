"""The channel axis of what an activation is applied to, as the layers around it say."""

import re
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_swish.keras_compat import calls, producer
from keras_swish.layers import TrainableActivation
from keras_swish.replacement.members import Key, is_graph, is_keras, is_sequence, members
from keras_swish.replacement.sites import LocatedActivation
from keras_swish.replacement.surroundings import Surroundings


class Channels(NamedTuple):
    """A channel axis.

    Attributes:
        axis: Its number, -1 for the last one of an unknown number of axes.
        rank: The number of axes, that of the batch among them, where it is known.
    """

    axis: int
    rank: int | None = None

    @classmethod
    def at(cls, axis: int, rank: int | None) -> "Channels | None":
        """Counts an axis from the front where the rank is known; None where it is no axis."""
        if rank is not None:
            return cls(axis % rank, rank) if -rank < axis < rank and axis % rank else None
        return cls(axis) if axis in (-1, 1) else None

    def tell(self, activation: TrainableActivation) -> None:
        """Lets an activation have a beta for each channel."""
        if self.axis == -1 or self.axis + 1 == self.rank:
            activation.data_format = "channels_last"
        elif self.axis == 1:
            activation.data_format = "channels_first"
        else:
            others = set(range(1, self.rank or 0)) - {self.axis}
            activation.shared_axes = sorted(others)


# Their outputs have features last, whatever Keras's image data format is.
_FEATURES_LAST = (
    keras.layers.Dense,
    keras.layers.Embedding,
    keras.layers.Flatten,
    keras.layers.RepeatVector,
    keras.layers.RNN,
    keras.layers.LSTMCell,
    keras.layers.GRUCell,
    keras.layers.SimpleRNNCell,
    keras.layers.StackedRNNCells,
    keras.layers.Bidirectional,
    keras.layers.Attention,
    keras.layers.AdditiveAttention,
    keras.layers.MultiHeadAttention,
    keras.layers.GroupQueryAttention,
)

# How operations move axes, by the name of their class, as NumPy does it.
_MOVES = {
    "Permute": lambda op, x: np.transpose(x, (0, *op.dims)),
    "Transpose": lambda op, x: np.transpose(x, op.axes),
    "Swapaxes": lambda op, x: np.swapaxes(x, op.axis1, op.axis2),
    "Moveaxis": lambda op, x: np.moveaxis(x, op.source, op.destination),
    "ExpandDims": lambda op, x: np.expand_dims(x, op.axis),
    "Squeeze": lambda op, x: np.any(x, _axes(op)),
    **dict.fromkeys(
        ("Mean", "Sum", "Max", "Min"),
        lambda op, x: np.any(x, _axes(op), keepdims=op.keepdims),
    ),
}

# Of their outputs' axes their inputs' say nothing.
_MIXES = {"Einsum", "Dot", "Tensordot", "Matmul"}


class ChannelAxes:
    """Finds the channel axis of activations, by what feeds them and, failing that, what they feed.

    Args:
        surroundings: Where the parts of their model stand.
    """

    def __init__(self, surroundings: Surroundings):
        self._around = surroundings
        self._found: dict[tuple[int, bool], Channels | None] = {}

    def of(self, located: LocatedActivation) -> Channels | None:
        """Returns the channel axis of an activation's input; None where no layer says it."""
        owner, activation = located.owner, located.activation
        if located.key is None:
            return self._fed_to(activation, owner) or _own(activation)
        if is_keras(type(owner)):
            return self._said(owner) or self._by_order(owner, located.key)
        return self._by_order(owner, located.key)

    def _fed_to(self, operation: Any, owner: Any) -> Channels | None:
        """Returns the channel axis of what a layer or operation is called with."""
        nodes = self._around.calls(operation)
        for node in nodes:
            for tensor in node.input_tensors:
                found = self._before(tensor, False)
                if found:
                    return found
        for node in nodes:
            for tensor in node.output_tensors:
                found = self._after(tensor, len(tensor.shape), set())
                if found:
                    return found
        return None if nodes or owner is None else self._by_order(owner, operation)

    def _by_order(self, owner: Any, place: Key | Any) -> Channels | None:
        """Returns the channel axis at a place in a layer that holds others."""
        before, after = self._around.nearest(owner, place, self._said)
        found = before or _by_format(owner, _built_rank(owner)) or after
        if found:
            return found
        found = self._fed_to(owner, self._around.holder(owner))
        if not found or not isinstance(owner, keras.layers.TimeDistributed):
            return found
        return (
            Channels.at(found.axis - 1, found.rank and found.rank - 1) if found.axis > 1 else None
        )

    # Backwards through a graph.

    def _before(self, tensor: Any, inside: bool) -> Channels | None:
        """Returns the channel axis of a symbolic tensor, by what made it.

        Args:
            tensor: The tensor.
            inside: Whether to look inside the model alone whose graph the tensor is of.
        """
        key = id(tensor), inside
        if key not in self._found:
            self._found[key] = None
            self._found[key] = self._made(tensor, inside)
        return self._found[key]

    def _made(self, tensor: Any, inside: bool) -> Channels | None:
        operation, node_index, tensor_index = producer(tensor)
        if isinstance(operation, keras.layers.InputLayer):
            return None if inside else self._outside(operation)
        said = self._said(operation, len(tensor.shape), tensor_index)
        if said:
            return said
        for source in calls(operation)[node_index].input_tensors:
            found = self._before(source, inside)
            through = found and _through(operation, found, source, tensor)
            if through:
                return through
        if isinstance(operation, keras.layers.Concatenate):
            return Channels.at(operation.axis, len(tensor.shape))
        return None

    def _outside(self, input_layer: Any) -> Channels | None:
        """Returns the channel axis of the input of a model that another one holds."""
        for tensor in self._around.outside(input_layer):
            found = self._before(tensor, False)
            if found:
                return found
        model = self._around.holder(input_layer)
        holder = self._around.holder(model)
        return None if holder is None else self._by_order(holder, model)

    # Forwards through a graph.

    def _after(self, tensor: Any, rank: int, seen: set[int]) -> Channels | None:
        """Returns the channel axis of a symbolic tensor, by what takes it."""
        if id(tensor) in seen:
            return None
        seen.add(id(tensor))
        for node in self._around.takers(tensor):
            operation = node.operation
            if isinstance(operation, (keras.layers.Dense, keras.layers.RNN)):
                return Channels.at(-1, rank)
            if not isinstance(operation, keras.layers.Flatten):
                said = _by_format(operation, rank) or _by_axis(operation, rank)
                if said:
                    return said
            if type(operation).__name__ in {*_MOVES, *_MIXES}:
                continue
            for output in node.output_tensors:
                if len(output.shape) == rank:
                    found = self._after(output, rank, seen)
                    if found:
                        return found
        return None

    # What a layer says.

    def _said(self, layer: Any, rank: int | None = None, index: int = 0) -> Channels | None:
        """Returns the channel axis of a layer's output, where the layer itself says it."""
        if isinstance(layer, TrainableActivation):
            return None
        if isinstance(layer, keras.layers.TimeDistributed):
            inner = self._said(layer.layer)
            if inner and inner.axis > 0:
                return Channels.at(inner.axis + 1, inner.rank and inner.rank + 1)
            return inner
        if isinstance(layer, keras.layers.RNN) and hasattr(layer.cell, "data_format"):
            first = layer.cell.data_format == "channels_first"
            rank = layer.cell.rank + 2 + layer.return_sequences
            return Channels.at(-layer.cell.rank - 1 if first else -1, rank)
        if isinstance(layer, keras.layers.EinsumDense):
            return _by_equation(layer)
        if isinstance(layer, _FEATURES_LAST) or getattr(layer, "keepdims", True) is False:
            is_layer = isinstance(layer, keras.Layer)
            return Channels.at(-1, rank) if is_layer else None
        found = _by_format(layer, rank or _built_rank(layer)) or _by_axis(layer, rank)
        if found:
            return found
        if is_graph(layer) or (is_sequence(layer) and layer.built and layer.outputs):
            return self._before(layer.outputs[index], True)
        if not isinstance(layer, keras.Layer):
            return None
        # Of a layer that holds others, the last one, as far as their order tells.
        held = [member for _, member in members(layer) if isinstance(member, keras.Layer)]
        answers = (self._said(member) for member in reversed(held))
        return next((said for said in answers if said), None)


def _by_format(layer: Any, rank: int | None) -> Channels | None:
    data_format = getattr(layer, "data_format", None)
    if data_format == "channels_last":
        return Channels.at(-1, rank)
    if data_format != "channels_first":
        return None
    spatial = getattr(layer, "rank", None)
    return Channels.at(1, spatial + 2 if isinstance(spatial, int) else rank)


def _by_axis(layer: Any, rank: int | None) -> Channels | None:
    """Returns the axis of a layer that normalises each channel."""
    if "norm" not in type(layer).__name__.lower() or "unit" in type(layer).__name__.lower():
        return None
    axis = getattr(layer, "axis", None)
    if isinstance(axis, (list, tuple)) and len(axis) == 1:
        (axis,) = axis
    return Channels.at(axis, rank or _built_rank(layer)) if isinstance(axis, int) else None


def _by_equation(layer: keras.layers.EinsumDense) -> Channels | None:
    """Returns the last axis of the output that comes from the kernel."""
    text = layer.equation.replace(" ", "").replace("...", "")
    inputs, kernel, output = re.split(",|->", text)
    # Counted from the end: what an ellipsis stands for comes before.
    new = [i - len(output) for i, label in enumerate(output) if label in set(kernel) - set(inputs)]
    rank = _built_rank(layer)
    return Channels.at(new[-1] if new else -1, rank and rank - len(inputs) + len(output))


def _own(activation: Any) -> Channels | None:
    """Returns the axis that an activation layer with weights has one for each element of."""
    if isinstance(activation, TrainableActivation) and activation.shared_axes is None:
        return _by_format(activation, _built_rank(activation))
    rank, shared = _built_rank(activation), getattr(activation, "shared_axes", None)
    if rank is None or not shared:
        return None
    own = set(range(1, rank)) - {axis % rank for axis in shared}
    return Channels(own.pop(), rank) if len(own) == 1 else None


def _through(operation: Any, found: Channels, source: Any, result: Any) -> Channels | None:
    """Returns where an operation moves the channel axis of one of its inputs to."""
    name = type(operation).__name__
    rank, new_rank = len(source.shape), len(result.shape)
    if name in _MIXES:
        return Channels.at(-1, new_rank) if name == "Matmul" else None
    if found.rank not in (None, rank):
        return None
    found = Channels.at(found.axis, rank) or found
    if name in _MOVES:
        # The length of each axis tells its number.
        shape = _MOVES[name](operation, np.empty([*range(2, rank + 2)], "bool")).shape
        moved = [axis for axis, size in enumerate(shape) if size == found.axis + 2]
        return Channels.at(moved[0], new_rank) if moved else None
    if name == "Reshape":
        axes = [axis for axis in (1, -1) if found.axis == axis % rank]
        size = source.shape[found.axis]
        return next((Channels.at(a, new_rank) for a in axes if result.shape[a] == size), None)
    return Channels.at(found.axis, new_rank) if rank == new_rank else None


def _axes(operation: Any) -> tuple[int, ...] | None:
    axis = operation.axis
    return tuple(axis) if isinstance(axis, (list, tuple)) else axis


def _built_rank(layer: Any) -> int | None:
    """Returns the number of axes of what a layer was built for."""
    config = layer.get_build_config() if isinstance(layer, keras.Layer) else None
    shape = (config or {}).get("input_shape")
    if not isinstance(shape, (tuple, list)):
        return None
    return None if any(isinstance(size, (tuple, list)) for size in shape) else len(shape)
