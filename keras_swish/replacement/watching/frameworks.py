"""Functions of Keras, TensorFlow, JAX and PyTorch, recognised by their code while they run."""

import contextlib
import dataclasses
import functools
import importlib
import inspect
import types
from collections.abc import Callable, Iterator
from typing import Any

import keras

from keras_swish.elementwise.operation import apply_formula
from keras_swish.formulas.language import as_tree
from keras_swish.replacement.recognise import name_of_formula, name_of_function, recognise

# Modules of the backends with functions, as their users know them.
_MODULES = {
    "tensorflow": ("tensorflow.nn", "tensorflow.math", "tensorflow"),
    "jax": ("jax.nn", "jax.numpy", "jax.lax"),
    "torch": ("torch.nn.functional", "torch"),
}

_FRAMEWORKS = {"tensorflow", "jax", "jaxlib", "torch"}

# Elementwise functions that an activation may be made of, without being one.
_PARTS = {
    *("maximum", "minimum", "where", "select", "select_n", "heaviside", "sign", "abs", "absolute"),
    *("clip", "clip_by_value", "clamp", "clamp_min", "clamp_max"),
    *("greater", "greater_equal", "less", "less_equal"),
    *("gt", "ge", "lt", "le", "exp", "expm1", "log1p", "logaddexp", "erf", "sin", "cos", "sinc"),
    *("arctan", "atan", "arcsinh", "asinh", "numpy_function", "py_function", "pure_callback"),
    # Activations that Keras has no function for.
    *("crelu", "prelu", "rrelu", "relu_squared", "softmin", "gumbel_softmax"),
}
# In other modules these are reductions.
_PARTS_OF = {"jax.lax": {"max", "min"}}
# Functions of these modules that call activations do so on their own account, such as attention;
# but these call what they are given.
_CALL_WHAT_THEY_GET = {
    *("map", "scan", "associative_scan", "cond", "switch", "while_loop", "fori_loop"),
    *("vectorized_map", "vectorize", "custom_gradient", "unstack"),
}
_OPAQUE_MODULES = {"keras.ops", "tensorflow.nn", "jax.nn", "torch.nn.functional"}
# Parameters that do not change what an activation computes.
_WITHOUT_EFFECT = {"name", "inplace"}


@dataclasses.dataclass(frozen=True)
class KnownFunction:
    """A function of Keras or a framework.

    Attributes:
        label: Its name and module, such as `"keras.ops.relu"`.
        name: The name of the activation that it is; None where it is no activation.
        function: The function itself.
        is_opaque: Whether it is of no interest, nor what it calls.
    """

    label: str
    name: str | None
    function: Any
    is_opaque: bool = False

    def called_as(self, given: dict[str, Any]) -> tuple["KnownFunction", bool]:
        """Returns what it is when called with certain arguments, and whether that is exact."""
        if self.function is apply_formula:
            name = name_of_formula(str(as_tree(given["formula"])))
            return dataclasses.replace(self, name=name, label=f"keras_swish: {name}"), True
        changed = _changed(self.function, given)
        if self.name == "relu" and set(changed) <= {"negative_slope", "max_value", "threshold"}:
            partial = functools.partial(keras.activations.relu, **changed)
            return dataclasses.replace(self, name=recognise(partial)), True
        return self, not changed


@functools.cache
def known_by_code() -> dict[int, KnownFunction]:
    """Returns the functions that are recognised, by the id of their code."""
    known = {id(_code(apply_formula)): KnownFunction("keras_swish", "", apply_formula)}
    for label, module in _modules():
        for attribute in dir(module):
            name = name_of_function(attribute)
            is_part = attribute in _PARTS or attribute in _PARTS_OF.get(label, ())
            is_opaque = name is None and not is_part
            if is_opaque and (label not in _OPAQUE_MODULES or attribute in _CALL_WHAT_THEY_GET):
                continue
            function = getattr(module, attribute, None)
            code = _code(function)
            if code is not None:
                entry = KnownFunction(f"{label}.{attribute}", name, function, is_opaque)
                known.setdefault(id(code), entry)
    return known


def name_in_framework(function: Any) -> str | None:
    """Returns the name of the activation that a function of a framework is, compiled or not.

    Example:
        >>> from keras_swish.replacement.watching.frameworks import name_in_framework
        >>> name_in_framework(len) is None
        True
    """
    if keras.backend.backend() == "torch" and isinstance(function, types.BuiltinFunctionType):
        known = known_builtin(function)
        return known and known.name
    while hasattr(function, "__wrapped__"):
        # What a decorator of the user's own computes is not known.
        is_function = isinstance(function, types.FunctionType)
        around = function.__globals__["__name__"] if is_function else type(function).__module__
        if around.partition(".")[0] not in _FRAMEWORKS:
            return None
        function = function.__wrapped__
    known = known_by_code().get(id(getattr(function, "__code__", None)))
    return known.name if known and known.function is not apply_formula else None


def known_builtin(function: Any) -> KnownFunction | None:
    """Returns what a function of PyTorch's is that has no Python code."""
    attribute = getattr(function, "__name__", "").partition(".")[0].strip("_")
    attribute = attribute.removeprefix("special_")
    name = name_of_function(attribute)
    if name is None and attribute not in _PARTS:
        return None
    return KnownFunction(f"torch.{attribute}", name, function)


def code_of(function: Any) -> types.CodeType | None:
    """Returns the code of a function that a layer holds, also of a partial one."""
    while isinstance(function, functools.partial):
        function = function.func
    code = _code(function)
    if code is None and not isinstance(function, (type, keras.Operation)):  # of a class with it
        call = inspect.getattr_static(type(function), "__call__", None)
        code = getattr(call, "__code__", None)
    return code


def _code(function: Any) -> types.CodeType | None:
    """Returns the code of the function that decorators wrap."""
    if isinstance(function, type) or not callable(function):
        return None
    function = inspect.unwrap(function)
    function = getattr(function, "_func", function)  # a `jax.numpy.ufunc`
    return getattr(inspect.unwrap(function), "__code__", None)


def _modules() -> Iterator[tuple[str, Any]]:
    yield "keras.activations", keras.activations
    yield "keras.ops", keras.ops
    for label in _MODULES.get(keras.backend.backend(), ()):
        yield label, importlib.import_module(label)


def _changed(function: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Returns the arguments, without the first one, that are not the defaults."""
    code = _code(function)
    try:
        parameters = list(inspect.signature(inspect.unwrap(function)).parameters.values())[1:]
    except (TypeError, ValueError):  # of a builtin
        parameters = []
    if code is None:
        return {}
    return {
        p.name: given[p.name]
        for p in parameters
        if p.name in given and p.name not in _WITHOUT_EFFECT and not _same(given[p.name], p.default)
    }


def _same(value: Any, default: Any) -> bool:
    return value is default or (isinstance(value, (bool, int, float)) and value == default)


@contextlib.contextmanager
def untraced() -> Iterator[None]:
    """Runs the code of functions that TensorFlow or JAX would take from an earlier trace."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        with jax.disable_jit():
            yield
    elif backend == "tensorflow":
        import tensorflow as tf

        before = tf.config.functions_run_eagerly()
        tf.config.run_functions_eagerly(True)
        try:
            yield
        finally:
            tf.config.run_functions_eagerly(before)
    else:
        yield


def forget_traces() -> None:
    """Lets JAX run the code of functions again that it would take from an earlier trace.

    It compiles all again then, so that this is for where `untraced` does not do.
    """
    if keras.backend.backend() == "jax":
        import jax

        jax.clear_caches()


@functools.cache
def traces_anyway() -> frozenset[int]:
    """Returns the ids of the code of JAX's functions that trace what they get, `untraced` or not.

    What they have traced before is not run again.
    """
    if keras.backend.backend() != "jax":
        return frozenset()
    from jax import lax

    names = _CALL_WHAT_THEY_GET & set(dir(lax))
    return frozenset(id(_code(getattr(lax, name))) for name in names)


@functools.cache
def compiled_code() -> frozenset[int]:
    """Returns the ids of the code with which TensorFlow and JAX run what has no Python code."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        from tensorflow.python.eager.polymorphic_function.concrete_function import (
            ConcreteFunction,
        )

        runs = [ConcreteFunction._call_flat]
    elif backend == "jax":
        from jax import export, stages

        runs = [export.Exported.call, stages.Compiled.__call__]
    else:
        runs = []
    return frozenset(id(run.__code__) for run in runs)


def builtin_calls(note: Callable[[Any, tuple], None]) -> contextlib.AbstractContextManager:
    """Returns a context in which PyTorch's functions that have no Python code are noted.

    Its operators and the methods of its tensors reach no profiler of Python's; what TorchScript
    calls does not reach the first of these two, either.
    """
    if keras.backend.backend() != "torch":
        return contextlib.nullcontext()
    from torch.overrides import (  # pyright: ignore[reportMissingImports]
        TorchFunctionMode,
    )
    from torch.utils._python_dispatch import (  # pyright: ignore[reportMissingImports]
        TorchDispatchMode,
    )

    is_called_from_python = False

    class Functions(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            nonlocal is_called_from_python
            note(func, args)
            before, is_called_from_python = is_called_from_python, True
            try:
                return func(*args, **(kwargs or {}))
            finally:
                is_called_from_python = before

    class Operations(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if not is_called_from_python:
                note(func, args)
            return func(*args, **(kwargs or {}))

    stack = contextlib.ExitStack()
    stack.enter_context(Functions())
    stack.enter_context(Operations())
    return stack
