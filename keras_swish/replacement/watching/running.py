"""Running the calls of a model's layers again, with symbolic tensors, and what is then running."""

import collections
import contextlib
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import keras

from keras_swish.keras_compat import (
    all_layers,
    both_branches,
    call_symbolically,
    calls,
    content_of_array,
    mask_of,
    noted_losses,
    sublayers,
    symbolic,
    torch_buffers,
    write_array,
)
from keras_swish.replacement.members import is_graph, is_keras, is_sequence, members, tuple_like
from keras_swish.replacement.recognise import recognise
from keras_swish.replacement.watching.frameworks import (
    KnownFunction,
    code_of,
    forget_traces,
    untraced,
)

# Code of these, and of Python's own modules, is not the user's.
_LIBRARIES = {
    *("keras", "keras_swish", "tensorflow", "jax", "jaxlib", "torch", "flax", "numpy", "optree"),
    *("tree", "absl"),
    *sys.stdlib_module_names,
} - {"__main__"}
# Keras's layers around somebody else's code.
FOREIGN = tuple(
    getattr(keras.layers, name)
    for name in ("TorchModuleWrapper", "JaxLayer", "FlaxLayer", "TFSMLayer")
    if hasattr(keras.layers, name)
)
# A call of a layer: its positional and its named arguments.
Call = tuple[tuple[Any, ...], dict[str, Any]]


def runs_own_code(layer: keras.Layer) -> bool:
    """Says whether the call of a layer runs code that is not Keras's, but its own."""
    if recognise(layer) is not None:
        return False
    is_patched = "call" in vars(layer) and not is_keras(layer.call)
    if is_patched or isinstance(layer, (keras.layers.Lambda, *FOREIGN)):
        return True
    if is_graph(layer) or is_sequence(layer):
        return not is_keras(type(layer).call)
    return not is_keras(type(layer))


def units_with_own_code(layer: keras.Layer, seen: set[int]) -> Iterator[keras.Layer]:
    """Yields the outermost layers with code of the user's own."""
    if id(layer) in seen:
        return
    seen.add(id(layer))
    if (is_graph(layer) or is_sequence(layer)) and not runs_own_code(layer):
        for child in sublayers(layer):
            yield from units_with_own_code(child, seen)
    elif any(_has_to_be_run(part) for part in all_layers(layer)):
        yield layer


def _has_to_be_run(layer: keras.Layer) -> bool:
    return runs_own_code(layer) or _holds_own_function(layer) or _holds_softmax(layer)


def _holds_softmax(layer: keras.Layer) -> bool:
    return any(isinstance(member, keras.layers.Softmax) for _, member in members(layer))


def _holds_own_function(layer: keras.Layer) -> bool:
    return any(
        recognise(member) is None
        for _, member in members(layer)
        if not isinstance(member, keras.Operation)
    )


def call_layer(layer: keras.Layer, args: tuple, kwargs: dict) -> Any:
    """Calls a layer: the outermost frame of what a run of it runs."""
    return layer(*args, **kwargs)


def _symbolically_untraced(layer: keras.Layer, args: tuple, kwargs: dict) -> bool:
    with untraced():
        return _call_symbolically(layer, args, kwargs)


def _symbolically(layer: keras.Layer, args: tuple, kwargs: dict) -> bool:
    forget_traces()
    return _call_symbolically(layer, args, kwargs)


def _call_symbolically(layer: keras.Layer, args: tuple, kwargs: dict) -> bool:
    has_values = False

    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal has_values
        has_values = _have_values((args, kwargs))
        return call_layer(layer, args, kwargs)

    with both_branches():
        call_symbolically(call, *args, **kwargs)
    return has_values


def _have_values(call: Any) -> bool:
    """Says whether there are values, which Keras takes on PyTorch where symbols do not do."""
    if keras.backend.backend() != "torch":
        return False
    devices = [getattr(value, "device", None) for value in keras.tree.flatten(call)]
    return any(device is not None and device.type != "meta" for device in devices)


def _on_ones(layer: keras.Layer, args: tuple, kwargs: dict) -> bool:
    """Runs a call on small tensors, for code that asks what its tensors hold."""

    def tensor(value: Any) -> Any:
        if not isinstance(value, keras.KerasTensor):
            return value
        return keras.ops.ones([size or 2 for size in value.shape], value.dtype)

    call: Any = keras.tree.map_structure(tensor, (args, kwargs))
    with keras.StatelessScope(), untraced():
        call_layer(layer, *call)
    return True


# Ways to run a call, of which a later one is for what an earlier one cannot. Each says whether it
# ran on values: of branches on these it takes one.
WAYS: tuple[Callable[[keras.Layer, tuple, dict], bool], ...] = (
    _symbolically_untraced,
    _symbolically,
    _on_ones,
)


def arguments(layer: keras.Layer) -> list[list[Call]]:
    """Returns the calls of a layer, each as arguments of which the first that work are right."""
    distinct = {}
    for node in calls(layer):
        args, kwargs = node.arguments.args, dict(node.arguments.kwargs)
        mask = mask_of(args[0]) if len(args) == 1 else None
        if mask is not None and "mask" in _parameters(layer):
            kwargs.setdefault("mask", mask)
        call = _with_known_batch((args, kwargs))
        distinct[repr(keras.tree.map_structure(_signature, call))] = call
    if not distinct and symbolic(layer, "inputs"):  # of a model with a graph of layers
        distinct[""] = _with_known_batch(((layer.input,), {}))
    if distinct:
        # Some layers say that their outputs are sparse, which then are not.
        return [[call, _dense(call)] if _is_sparse(call) else [call] for call in distinct.values()]
    config = _untracked(layer.get_build_config() or {})
    shapes = config.get("shapes_dict") or {}
    if not shapes and config.get("input_shape") is None:
        return []
    alternatives = []
    for dtype in (layer.compute_dtype, "int32"):  # of a model of words the shapes do not tell

        def input_of(shape: tuple, dtype: str = dtype) -> keras.KerasTensor:
            return keras.KerasTensor(shape, dtype=dtype)

        if shapes:
            tensors = {
                name.removesuffix("_shape"): keras.tree.map_shape_structure(input_of, shape)
                for name, shape in shapes.items()
            }
            alternatives.append(_with_known_batch(((), tensors)))
        else:
            tensor = keras.tree.map_shape_structure(input_of, config["input_shape"])
            alternatives.append(_with_known_batch(((tensor,), {})))
    return [alternatives]


def _untracked(shapes: Any) -> Any:
    """Returns shapes in plain dictionaries and lists: JAX takes no others."""
    if isinstance(shapes, dict):
        return {name: _untracked(value) for name, value in shapes.items()}
    if isinstance(shapes, list):
        return [_untracked(value) for value in shapes]
    if isinstance(shapes, tuple):
        return tuple_like(shapes, map(_untracked, shapes))
    return shapes


def _with_known_batch(call: Any) -> Any:
    """Returns a call with few examples, except on TensorFlow.

    PyTorch runs a call of unknown sizes twice, in full; JAX runs no loop over an unknown number.
    """
    if keras.backend.backend() == "tensorflow":
        return call

    def known(value: Any) -> Any:
        if not isinstance(value, keras.KerasTensor) or not value.shape or value.shape[0]:
            return value
        return keras.KerasTensor((2, *value.shape[1:]), dtype=value.dtype)

    return keras.tree.map_structure(known, call)


def _is_sparse(call: Any) -> bool:
    return any(getattr(value, "sparse", False) for value in keras.tree.flatten(call))


def _dense(call: Any) -> Any:
    def dense(value: Any) -> Any:
        is_tensor = isinstance(value, keras.KerasTensor)
        return keras.KerasTensor(value.shape, dtype=value.dtype) if is_tensor else value

    return keras.tree.map_structure(dense, call)


def _signature(value: Any) -> Any:
    is_tensor = isinstance(value, keras.KerasTensor)
    return (tuple(value.shape), value.dtype) if is_tensor else repr(value)


def _parameters(layer: keras.Layer) -> tuple[str, ...]:
    code = code_of(type(layer).call)
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount] if code else ()


def asks_for_training(layer: keras.Layer) -> bool:
    """Says whether the user's code in a layer may do something else in training."""
    asks = (runs_own_code(part) and "training" in _parameters(part) for part in all_layers(layer))
    return any(asks) and not isinstance(layer, keras.layers.Lambda)


@contextlib.contextmanager
def unchanged(layer: keras.Layer, unbuilt: bool = True) -> Iterator[None]:
    """Undoes what a call writes into attributes: tensors of ours would not outlive it.

    Args:
        layer: What is called.
        unbuilt: Whether that holds of what is not built, too, which a call may build.
    """
    parts: list[Any] = [part for part in all_layers(layer) if runs_own_code(part)]
    before = [(vars(part), dict(vars(part))) for part in parts if unbuilt or part.built]
    held: dict[int, tuple[Any, Any, Any]] = {}
    for part in all_layers(layer):
        _note_contents(noted_losses(part), held)
    for _, attributes in before:
        _note_contents(list(attributes.values()), held)
    for buffer in torch_buffers(layer):
        _note_contents(buffer, held)
    try:
        yield
    finally:
        for current, earlier in before:
            for name in [name for name in current if name not in earlier]:
                del current[name]
            current.update(earlier)
        for container, base, items in held.values():
            if base is None:
                write_array(container, items)
            else:
                _put_back(container, base, items)


# The first before the second, whose methods do not know of its order.
_CONTAINERS: tuple[Any, ...] = (collections.OrderedDict, dict, list, set, collections.deque, tuple)


def _note_contents(value: Any, held: dict[int, tuple[Any, Any, Any]]) -> None:
    """Notes what is in a container or an array, and in those inside it, by their ids."""
    if isinstance(value, (dict, tuple)):
        value = getattr(value, "__wrapped__", value)  # TensorFlow's proxy
    base: Any = next((each for each in _CONTAINERS if isinstance(value, each)), None)
    if id(value) in held:
        return
    if base is None:
        content = content_of_array(value)
        if content is not None:
            held[id(value)] = value, None, content
        return
    items = list(base.items(value) if issubclass(base, dict) else base.__iter__(value))
    if base is not tuple:
        held[id(value)] = value, base, items
    for item in items:
        _note_contents(item, held)


def _put_back(container: Any, base: Any, items: list) -> None:
    """Gives a container what it held, past the methods that note what comes and goes."""
    base.clear(container)
    if issubclass(base, dict):
        for key, item in items:
            base.__setitem__(container, key, item)
    else:
        (base.update if base is set else base.extend)(container, items)


class Stack:
    """What is running, from a function outwards to the layer that was run.

    Attributes:
        owners: The layers and operations whose methods are running, each with the frame of the
            innermost.
        made: The activation layer that the first owner's code has made on the spot, or None.
            Keras's other layers and operations that are made on the spot are passed over.
        codes: Ids of the code of the function and all up to the first owner's.
        user_codes: The code of the user's functions among them, without the first.
        is_part_of_another: Whether a known function has called it.
    """

    def __init__(
        self,
        frame: types.FrameType,
        known: dict[int, KnownFunction],
        is_made_on_the_spot: Callable[[Any], bool],
    ):
        self.owners: list[tuple[Any, types.FrameType]] = []
        self.made: Any = None
        self.codes = {id(frame.f_code)}
        self.user_codes: list[types.CodeType] = []
        self.is_part_of_another = False
        caller = frame.f_back
        while caller is not None and caller.f_code is not call_layer.__code__:
            if id(caller.f_code) in known and not self.owners and not self.user_codes:
                self.is_part_of_another = True
                return
            owner = _first_argument(caller)
            if (
                isinstance(owner, keras.Operation)
                and not self.owners
                and (owner is self.made or is_made_on_the_spot(owner))
            ):
                self.made = owner
            elif isinstance(owner, keras.Operation):
                if not self.owners or self.owners[-1][0] is not owner:
                    self.owners.append((owner, caller))
            elif not self.owners:
                self.codes.add(id(caller.f_code))
                if is_users(caller):
                    self.user_codes.append(caller.f_code)
            caller = caller.f_back


def _first_argument(frame: types.FrameType) -> Any:
    code = frame.f_code
    return frame.f_locals.get(code.co_varnames[0]) if code.co_argcount else None


def given_arguments(frame: types.FrameType) -> dict[str, Any]:
    """Returns the arguments of the function that a frame runs."""
    code = frame.f_code
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return {name: frame.f_locals[name] for name in names if name in frame.f_locals}


def is_users(frame: types.FrameType) -> bool:
    """Says whether a frame runs code of the user's."""
    return frame.f_globals.get("__name__", "").split(".")[0] not in _LIBRARIES


def float_dtype(given: dict[str, Any]) -> str | None:
    """Returns the dtype of the first tensor of floats among arguments, None where there is none."""
    for value in keras.tree.flatten(list(given.values())):
        try:
            dtype = keras.backend.standardize_dtype(value.dtype)
        except (AttributeError, TypeError, ValueError):
            continue
        if keras.backend.is_float_dtype(dtype):
            return dtype
    return None


def first_shape(given: dict[str, Any]) -> tuple[int | None, ...] | None:
    """Returns the shape of the first tensor among arguments, None where there is none."""
    for value in given.values():
        shape = getattr(value, "shape", None)
        if shape is not None:
            return tuple(size if isinstance(size, int) else None for size in shape)
    return None


def callables(value: Any) -> Iterator[Callable]:
    """Yields the functions in an attribute."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from callables(item)
    elif callable(value) and not isinstance(value, keras.Layer):
        yield value
