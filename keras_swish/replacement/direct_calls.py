"""Activations called from Python code, which no replacement of layers can reach."""

import dis
import types
from collections.abc import Callable, Iterator

import keras

from keras_swish.keras_compat import all_layers
from keras_swish.replacement.members import is_graph, is_keras, is_sequence

# What computes the same under the same name, without being Keras's function.
_FRAMEWORKS = ("tensorflow", "jax", "torch", "flax")
_NOT_READ = (*_FRAMEWORKS, "keras", "keras_swish", "numpy", "scipy")
# Methods that run before the first call: what they make is an attribute, and found as one.
_NOT_CALLED = {"__init__", "build", "get_config", "from_config", "__new__"}


def find_direct_calls(
    model: keras.Model, is_replaced: Callable[[object], bool], names: set[str]
) -> list[str]:
    """Returns where the code of a model's own layers calls an activation as a function.

    The code is read, not run: the methods of every class that is not Keras's, the functions of
    `Lambda` layers, and the functions that these call.

    Args:
        model: The model.
        is_replaced: Says whether a function is one to be replaced.
        names: The names of those, by which TensorFlow's, JAX's and PyTorch's own are recognised.

    Returns:
        One line for each call, such as `"block (Block.call): keras.ops.relu"`.
    """
    lines: dict[str, None] = {}
    for layer in all_layers(model):
        for location, function in _code(layer):
            for name in _named(function, is_replaced, names, set()):
                lines[f"{layer.name} ({location}): {name}"] = None
    return list(lines)


def _code(layer: keras.Layer) -> Iterator[tuple[str, types.FunctionType]]:
    """Yields the functions that a call of a layer may run, and what to call each."""
    if isinstance(layer, keras.layers.Lambda):
        if isinstance(layer.function, types.FunctionType) and not is_keras(layer.function):
            yield f"Lambda of {layer.function.__name__}", layer.function
        return
    if type(layer).call is keras.Model.call or is_graph(layer) or is_sequence(layer):
        return
    for each in type(layer).__mro__:
        if is_keras(each) or each is object or each.__module__.split(".")[0] in _FRAMEWORKS:
            return
        for name, function in vars(each).items():
            function = getattr(function, "__func__", function)
            if isinstance(function, types.FunctionType) and name not in _NOT_CALLED:
                yield f"{each.__name__}.{name}", function


def _named(
    function: types.FunctionType,
    is_replaced: Callable[[object], bool],
    names: set[str],
    seen: set[int],
) -> Iterator[str]:
    """Yields the activations that a function's code names, and that the functions it names do."""
    if id(function.__code__) in seen:
        return
    seen.add(id(function.__code__))
    for value in _references(function, function.__code__):
        module = (getattr(value, "__module__", None) or "").split(".")[0]
        name = getattr(value, "__name__", None)
        if callable(value) and (is_replaced(value) or (module in _FRAMEWORKS and name in names)):
            yield f"{value.__module__}.{name}"
        elif isinstance(value, types.FunctionType) and module not in _NOT_READ:
            yield from _named(value, is_replaced, names, seen)


def _references(function: types.FunctionType, code: types.CodeType) -> Iterator[object]:
    """Yields what the code refers to by name, such as `keras.ops.relu`."""
    closure = _closure(function)
    value = None
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            value = function.__globals__.get(instruction.argval)
        elif instruction.opname == "LOAD_DEREF":
            value = closure.get(instruction.argval)
        elif instruction.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            # Attributes of modules alone: others may run code.
            is_module = isinstance(value, types.ModuleType)
            value = getattr(value, instruction.argval, None) if is_module else None
        elif instruction.opname not in ("PUSH_NULL", "CACHE", "PRECALL"):
            value = None
        if value is not None:
            yield value
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _references(function, constant)


def _closure(function: types.FunctionType) -> dict[str, object]:
    """Returns the values that a function's code has from the functions around it."""
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=False)
    values = {}
    for name, cell in cells:
        try:
            values[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    return values
