"""Elementwise operations given by formulas, with derivatives of their own, on every backend.

Left to themselves the backends keep every intermediate result of a formula for the gradient,
and TensorFlow walks through memory once for each of its operations. An `Operation` is one
compiled pass forward and one backward, and keeps its inputs alone: x and the betas.

The modules `tensorflow`, `jax` and `torch` have what each backend needs alone: `apply` applies an
operation, `compiles_for_cpu` says whether XLA compiles for a CPU, and `sum_to_shape_of` sums over
what was broadcast. Any other backend computes with `keras.ops`.
"""

import contextlib
import contextvars
import dataclasses
import functools
import importlib
import types
from collections.abc import Callable, Iterator, Sequence

import keras

from keras_swish.elementwise.caching import CACHED_FORMULAS
from keras_swish.formulas.derivative import add, product, slope
from keras_swish.formulas.evaluate import (
    evaluate,
    evaluate_near_or_far,
    trigonometric_arguments,
)
from keras_swish.formulas.language import (
    OPERATORS,
    ZERO,
    Call,
    Formula,
    FormulaError,
    Name,
    as_tree,
    check_names,
    is_weight,
    names,
)
from keras_swish.formulas.language import weights as weight_names
from keras_swish.formulas.lowering import lowered
from keras_swish.keras_compat import Tensor, ops

# What float32 is computed with where operations are to be plain ones, else None.
_PLAIN: contextvars.ContextVar[dict[str, Callable] | None] = contextvars.ContextVar(
    "plain", default=None
)

# How much the gradient of a formula may cost to compile, in functions. Value and gradient of 29
# nested sines, of cost 60, took 7 s of a CPU, of 25 nested sinc, of cost 52, 10 s.
MAX_COST = 60
# What costs as little as an operator.
_AS_CHEAP = ("neg", "zero_product", "zero_quotient")


@contextlib.contextmanager
def plain_operations(functions: dict[str, Callable]) -> Iterator[None]:
    """Makes every `Operation` a few plain operations, without a compiler or derivatives.

    For exporters, which can take neither; `functions` are used instead of the kernels of their
    names, see `keras_swish.kernels.portable`.
    """
    token = _PLAIN.set(functions)
    try:
        yield
    finally:
        _PLAIN.reset(token)


def as_float(x: Tensor) -> Tensor:
    """Returns x as a tensor of a float dtype: integers become `keras.config.floatx()`."""
    x = ops.convert_to_tensor(x)
    dtype = keras.backend.standardize_dtype(x.dtype)
    if keras.backend.is_float_dtype(dtype):
        return x
    if dtype != "bool" and not keras.backend.is_int_dtype(dtype):
        raise TypeError(
            "An activation function is one of real numbers: it takes tensors of a float dtype, or "
            f"of integers. Received: dtype={dtype}"
        )
    return ops.cast(x, keras.config.floatx())


def compute_dtype(*tensors: Tensor) -> str:
    """Returns the dtype to compute in: float32, or float64 where one of the tensors has it.

    A root such as that of cos(x) - x costs hundreds of units in the last place when each
    term is rounded to a half format first.
    """
    dtypes = {keras.backend.standardize_dtype(x.dtype) for x in tensors}
    return "float64" if "float64" in dtypes else "float32"


def apply_formula(formula: Formula | str, x: Tensor, **weights: Tensor) -> Tensor:
    """Applies a formula to each element of a tensor.

    Args:
        formula: A formula or its text.
        x: Tensor of a float dtype, also a ragged one; integers are taken as
            `keras.config.floatx()`.
        **weights: The formula's weights by name: numbers, or tensors that broadcast to the shape
            of x.

    Returns:
        A tensor with the shape and dtype of x, differentiable any number of times.

    Raises:
        ValueError: If a weight is missing, or there is none of that name, or it does not
            broadcast to the shape of x, or the formula is so large that its gradient would take
            minutes to compile.
        TypeError: If a tensor is not of real numbers, such as a complex one, or x is symbolic:
            layers take what `keras.Input` returns.

    Example:
        >>> from keras_swish.elementwise.operation import apply_formula
        >>> [float(y) for y in apply_formula("beta * x + 1", [0.0, 2.0], beta=3)]
        [1.0, 7.0]
    """
    if hasattr(x, "with_flat_values"):  # TensorFlow's ragged tensor
        flat = {name: _for_flat_values(x, name, weight) for name, weight in weights.items()}
        return x.with_flat_values(apply_formula(formula, x.flat_values, **flat))
    if isinstance(x, keras.KerasTensor):
        raise TypeError(
            "A formula has no values of a symbolic tensor. Use a layer instead, such as that of "
            f"keras_swish.layer. Received: x={x}"
        )
    x = as_float(x)
    operation = _operation(formula, tuple(weights))
    dtype = compute_dtype(x)
    values = {name: _as_weight(weight, dtype) for name, weight in weights.items()}
    for name, weight in values.items():
        _check_broadcasts(x, name, weight)
    return operation(x, *values.values())[0]


def _check_broadcasts(x: Tensor, name: str, weight: Tensor) -> None:
    """Refuses a weight that would make the outputs larger than x."""
    try:
        shapes = tuple(x.shape), tuple(weight.shape)
    except ValueError:  # of unknown rank
        return
    sizes = zip(*map(reversed, shapes), strict=False)
    if len(shapes[1]) > len(shapes[0]) or any(
        size is not None and own not in (1, None, size) for size, own in sizes
    ):
        raise ValueError(
            f"A weight must broadcast to the shape of x, {shapes[0]}. Received: {name} of shape "
            f"{shapes[1]}"
        )


def _as_weight(value: Tensor, dtype: str) -> Tensor:
    weight = as_float(value)
    if hasattr(value, "dtype"):
        return ops.cast(weight, dtype)
    # By way of float32 a number of Python would lose its end.
    return ops.convert_to_tensor(value, dtype)


def _for_flat_values(x: Tensor, name: str, weight: Tensor) -> Tensor:
    """Returns a weight that broadcasts with what a ragged tensor holds as with the tensor."""
    weight = _as_weight(weight, compute_dtype(as_float(x.flat_values)))
    shape = list(weight.shape)
    while shape and shape[0] == 1:
        shape.pop(0)
    if len(shape) >= len(x.flat_values.shape):
        raise ValueError(
            f"A weight cannot have a value for each element of a ragged axis. Received: x of shape "
            f"{tuple(x.shape)}, {name} of shape {tuple(weight.shape)}"
        )
    return ops.reshape(weight, shape)


@functools.lru_cache(CACHED_FORMULAS)
def _operation(formula: Formula | str, given: tuple[str, ...]) -> "Operation":
    tree = as_tree(formula)
    check_names(given, weight_names(tree), "weight")
    check_names(weight_names(tree), given, "value for a weight")
    operation = Operation(("x", *given), (lowered(tree),), ("x",))
    cost = _cost(operation.gradient.outputs)
    if cost > MAX_COST:
        raise FormulaError(
            f"The gradient of a formula may have at most {MAX_COST} different functions (10 "
            "operators count as one), as compiling more takes minutes and gigabytes. Received: "
            f"{cost:.0f}, of the formula {str(tree)[:40]!r}"
        )
    return operation


def _cost(formulas: Sequence[Formula]) -> float:
    """Returns how many different functions there are in formulas, an operator being a tenth."""
    numbers: dict[tuple, int] = {}
    by_id: dict[int, int] = {}

    def number(formula: Formula) -> int:
        # By identity first: as a tree, a derivative may be far larger than what is in it.
        if id(formula) not in by_id:
            if isinstance(formula, Call):
                key = formula.function, *map(number, formula.arguments)
            else:
                key = (formula,)
            by_id[id(formula)] = numbers.setdefault(key, len(numbers))
        return by_id[id(formula)]

    for formula in formulas:
        number(formula)
    functions = [key[0] for key in numbers if isinstance(key[0], str)]
    operators = sum(name in (*OPERATORS, *_AS_CHEAP) for name in functions)
    return len(functions) - 0.9 * operators


@dataclasses.dataclass(frozen=True)
class Operation:
    """Elementwise functions of some tensors, computed together.

    Attributes:
        names: Names of the inputs in the formulas.
        outputs: A lowered formula for each output.
        like: For each output the input whose shape and dtype it takes; over the axes along
            which that input was broadcast, it is summed. None: in the common shape of the
            inputs, and the dtype it was computed in.
        backward: Whether it is the gradient of another one.
    """

    names: tuple[str, ...]
    outputs: tuple[Formula, ...]
    like: tuple[str | None, ...]
    backward: bool = False

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Returns the outputs, differentiable any number of times."""
        backend = _backend_module()
        if backend is None or _PLAIN.get() is not None:
            return self.compute(*inputs)
        return backend.apply(self, inputs)

    @functools.cached_property
    def gradient(self) -> "Operation":
        """From inputs and upstream gradients to the gradients of the inputs that have one."""
        upstream = tuple(f"upstream{len(self.names)}_{i}" for i in range(len(self.outputs)))
        outputs = {}
        for name in self.names:
            parts = (
                product(Name(g), slope(formula, name))
                for g, formula in zip(upstream, self.outputs, strict=True)
            )
            formula = functools.reduce(functools.partial(add, "+"), parts)
            if formula != ZERO:
                outputs[name] = formula
        return Operation(self.names + upstream, tuple(outputs.values()), tuple(outputs), True)

    def gradients(
        self, inputs: Sequence[Tensor], upstream: Sequence[Tensor], plain: bool = False
    ) -> list[Tensor | None]:
        """Returns the gradient of each input, None where it has none.

        Args:
            inputs: As the operation had them.
            upstream: The gradient of each output.
            plain: Whether to compute with `keras.ops`, as which the backend differentiates it.
        """
        operation = self.gradient
        results = (operation.compute if plain else operation)(*inputs, *upstream)
        by_name = dict(zip(operation.like, results, strict=True))
        return [by_name.get(name) for name in self.names]

    @functools.cached_property
    def tangent(self) -> "Operation":
        """From inputs and their tangents to the tangents of the outputs, for forward mode."""
        tangents = {name: f"tangent{len(self.names)}_{name}" for name in self.names}
        outputs = []
        for formula in self.outputs:
            parts = (product(Name(t), slope(formula, name)) for name, t in tangents.items())
            outputs.append(functools.reduce(functools.partial(add, "+"), parts))
        return Operation(
            (*self.names, *tangents.values()), tuple(outputs), self.like, self.backward
        )

    @functools.cached_property
    def slopes(self) -> list["Operation"]:
        """The derivative by each input, of an operation with one output, for forward mode."""
        (formula,) = self.outputs
        return [Operation(self.names, (slope(formula, name),), (None,)) for name in self.names]

    def compute(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Returns the outputs, computed with `keras.ops`, half formats in float32."""
        dtype = compute_dtype(*inputs)
        tensors = dict(zip(self.names, inputs, strict=True))
        results = self._evaluate({name: ops.cast(x, dtype) for name, x in tensors.items()}, dtype)
        return tuple(
            y
            if like is None
            else ops.cast(self._fitted(formula, y, tensors[like]), tensors[like].dtype)
            for formula, y, like in zip(self.outputs, results, self.like, strict=True)
        )

    def _fitted(self, formula: Formula, y: Tensor, like: Tensor) -> Tensor:
        """Returns y in the shape of `like`: broadcast, or summed where `like` was broadcast."""
        # A tangent has the shape of what it belongs to.
        if all(is_weight(name.rpartition("_")[2]) for name in names(formula)):
            return ops.broadcast_to(y, ops.shape(like))
        backend = _backend_module()
        return backend.sum_to_shape_of(like, y) if self.backward and backend else y

    def _evaluate(self, tensors: dict[str, Tensor], dtype: str) -> tuple[Tensor, ...]:
        plain = _PLAIN.get()
        if plain is not None:
            return evaluate(self.outputs, tensors, dtype, plain if dtype == "float32" else {})
        arguments = trigonometric_arguments(self.outputs)
        backend = _backend_module()
        # There XLA knows no fast sine and cosine.
        may_be_near = arguments and dtype == "float32" and backend and backend.compiles_for_cpu()
        # A rank that TensorFlow does not know: no `cond` returns such tensors.
        if may_be_near and all(getattr(x.shape, "rank", 0) is not None for x in tensors.values()):
            return evaluate_near_or_far(self.outputs, tensors, dtype, arguments, _inline)
        return _inline(functools.partial(evaluate, self.outputs, dtype=dtype), tensors)


def _inline(
    function: Callable[[dict[str, Tensor]], tuple[Tensor, ...]], tensors: dict[str, Tensor]
) -> tuple[Tensor, ...]:
    """Calls a function of tensors, in the way that costs the backend least memory."""
    inline = getattr(_backend_module(), "inline", None)
    return inline(function, tensors) if inline else function(tensors)


@functools.cache
def _backend_module() -> types.ModuleType | None:
    backend = keras.config.backend()
    if backend not in ("tensorflow", "jax", "torch"):
        return None
    return importlib.import_module(f"keras_swish.elementwise.{backend}")
