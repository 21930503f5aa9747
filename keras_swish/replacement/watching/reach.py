"""Which layers the calls of a model reach, and which softmax layers they give a mask."""

import types
from collections.abc import Iterable, Iterator

import keras

from keras_swish.keras_compat import all_layers, calls, mask_of
from keras_swish.replacement.members import is_graph, is_sequence, members

# The methods in which a layer is called; AutoGraph, which writes one again, gives it a prefix.
_CALLS = {"__call__", "call", "tf__call"}
# Layers that compute all in one operation, or call their softmax layer.
_ATTENTION = (keras.layers.MultiHeadAttention, keras.layers.GroupQueryAttention)


def called_layer(frame: types.FrameType) -> keras.Layer | None:
    """Returns the layer whose call a frame runs, None for other frames."""
    code = frame.f_code
    if code.co_name not in _CALLS or not code.co_argcount:
        return None
    layer = frame.f_locals.get(code.co_varnames[0])
    return layer if isinstance(layer, keras.Layer) else None


def takes_mask(layer: keras.Layer, frame: types.FrameType) -> bool:
    """Says whether a frame is a call of a softmax layer with a mask.

    A mask may be given, as None too, which other layers would not take; or come with the tensor.
    """
    if not isinstance(layer, keras.layers.Softmax):
        return False
    given = frame.f_locals
    if frame.f_code.co_name == "__call__":
        return len(given.get("args", ())) > 1 or "mask" in given.get("kwargs", ())
    return given.get("mask") is not None


def masked_in_graphs(model: keras.Layer) -> set[int]:
    """Returns the ids of the softmax layers that a graph calls with a mask."""
    return {
        id(layer)
        for layer in all_layers(model)
        if isinstance(layer, keras.layers.Softmax)
        for node in calls(layer)
        if len(node.input_tensors) > 1 or mask_of(node.input_tensors[0]) is not None
    }


def never_called(
    run: Iterable[keras.Layer], called: set[int], run_on_values: set[int]
) -> dict[int, str]:
    """Returns why no call reaches layers inside those that were run, by id.

    What is built may be called all the same: by a method such as `train_step`, or where a flag or
    the data are others. Only a softmax next to an attention in one operation is not.

    Args:
        run: Layers that were run with success.
        called: Ids of the layers that were called then.
        run_on_values: Ids of those that had to be run on values, as their code asks for these.
    """
    reasons: dict[int, str] = {}
    for layer in run:
        if id(layer) in called:
            may_branch = id(layer) in run_on_values
            reasons.update(_unreached(layer, called, may_branch, {id(layer)}))
    return {key: reason for key, reason in reasons.items() if key not in called}


def _unreached(
    layer: keras.Layer, called: set[int], may_branch: bool, seen: set[int]
) -> Iterator[tuple[int, str]]:
    # The order of a graph says what it calls; a recurrent layer may compute in one operation
    # what its cell does.
    if is_graph(layer) or is_sequence(layer) or isinstance(layer, keras.layers.RNN):
        held = []
    else:
        held = [member for _, member in members(layer) if isinstance(member, keras.Layer)]
    for inner in held:
        if id(inner) in seen:
            continue
        seen.add(id(inner))
        is_called = id(inner) in called
        fused = isinstance(layer, _ATTENTION) and isinstance(inner, keras.layers.Softmax)
        if fused and not is_called and id(layer) in called:
            yield id(inner), "is never called: the attention is computed in one operation"
        elif is_called or inner.built or may_branch:
            yield from _unreached(inner, called, may_branch, seen)
        else:
            yield from ((id(one), "is never called") for one in all_layers(inner))
