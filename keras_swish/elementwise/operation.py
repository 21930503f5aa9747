"""Elementwise operations given by formulas, with derivatives of their own, on every backend.

Left to themselves the backends keep every intermediate result of a formula for the gradient,
and TensorFlow walks through memory once for each of its operations. An `Operation` is one
compiled pass forward and one backward, and keeps its inputs alone: x and the betas.
"""

import contextlib
import contextvars
import dataclasses
import functools
import warnings
from collections.abc import Callable, Iterator

from keras import ops
from keras.backend import backend as _backend
from keras.backend import standardize_dtype

from keras_swish.formulas.derivative import add, product, slope
from keras_swish.formulas.language import (
    OPERATORS,
    ZERO,
    Call,
    Formula,
    Name,
    Number,
    names,
    weights,
)
from keras_swish.formulas.lowering import COMPUTED
from keras_swish.kernels.trigonometric import (
    TRIGONOMETRIC_BOUND,
    dsinc,
    dsinc_over_x,
    near_cos,
    near_sin,
    sinc,
)

# For numbers below TRIGONOMETRIC_BOUND.
_NEAR = {
    "sin": near_sin,
    "cos": near_cos,
    "sinc": functools.partial(sinc, sin=near_sin),
    "dsinc": functools.partial(dsinc, sin=near_sin, cos=near_cos),
    "dsinc_over_x": functools.partial(dsinc_over_x, sin=near_sin, cos=near_cos),
}
# What float32 is computed with where operations are to be plain ones, else None.
_PLAIN: contextvars.ContextVar[dict[str, Callable] | None] = contextvars.ContextVar(
    "plain", default=None
)


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


def compute_dtype(*tensors) -> str:
    """Returns the dtype to compute in: float32, or float64 where one of the tensors has it.

    A root such as that of cos(x) - x costs hundreds of units in the last place when each
    term is rounded to a half format first.
    """
    dtypes = {standardize_dtype(x.dtype) for x in tensors}
    return "float64" if "float64" in dtypes else "float32"


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

    def __call__(self, *inputs) -> tuple:
        """Returns the outputs, differentiable any number of times."""
        backend = _backend()
        if _PLAIN.get() is not None:
            return self.compute(*inputs)
        if backend == "tensorflow":
            return _tensorflow(self)(*inputs)
        if backend == "jax":
            return (_jax(self)(*inputs),)
        if backend == "torch":
            return _torch()(self, *inputs)
        return self.compute(*inputs)

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

    def gradients(self, inputs, upstream) -> list:
        """Returns the gradient of each input, None where it has none."""
        operation = self.gradient
        known = dict(zip(operation.like, operation(*inputs, *upstream), strict=True))
        return [known.get(name) for name in self.names]

    @functools.cached_property
    def slopes(self) -> list["Operation"]:
        """The derivative by each input, of an operation with one output, for forward mode."""
        (formula,) = self.outputs
        return [Operation(self.names, (slope(formula, name),), (None,)) for name in self.names]

    def compute(self, *inputs) -> tuple:
        """Returns the outputs, computed with `keras.ops`, half formats in float32."""
        dtype = compute_dtype(*inputs)
        tensors = dict(zip(self.names, inputs, strict=True))
        values = {name: ops.cast(x, dtype) for name, x in tensors.items()}
        results = self._values(values, dtype)
        return tuple(
            y
            if like is None
            else ops.cast(self._fitted(formula, y, tensors[like]), tensors[like].dtype)
            for formula, y, like in zip(self.outputs, results, self.like, strict=True)
        )

    def _fitted(self, formula, y, like):
        """Returns y in the shape of `like`: broadcast, or summed where `like` was broadcast."""
        if names(formula) == set(weights(formula)):
            return ops.broadcast_to(y, ops.shape(like))
        if not self.backward:
            return y
        return y.sum_to_size(like.shape) if _backend() == "torch" else _tensorflow_sum(y, like)

    def _values(self, values, dtype):
        plain = _PLAIN.get()
        if plain is not None:
            return self._evaluate(values, dtype, plain if dtype == "float32" else {})
        arguments = {a for formula in self.outputs for a in _trigonometric_arguments(formula)}
        if not arguments or dtype != "float32" or not _on_cpu():
            return self._evaluate(values, dtype, {})
        known = {}
        small = [
            ops.all(ops.abs(_value(a, values, dtype, _NEAR, known)) < TRIGONOMETRIC_BOUND)
            for a in sorted(arguments, key=str)
        ]
        small = functools.reduce(ops.logical_and, small)

        def far():
            # A look-up, as XLA computes both sides of a `cond` for each element, and selects,
            # where they are elementwise throughout.
            zero = ops.take(ops.convert_to_tensor([0.0, 1.0], dtype), ops.where(small, 1, 0))
            return self._evaluate({name: x + zero for name, x in values.items()}, dtype, {})

        return ops.cond(small, lambda: self._evaluate(values, dtype, _NEAR), far)

    def _evaluate(self, values, dtype, functions):
        known = {}
        return tuple(_value(f, values, dtype, functions, known) for f in self.outputs)


def _value(formula, values, dtype, functions, known):
    if isinstance(formula, Number):
        return ops.convert_to_tensor(formula.value, dtype)
    if isinstance(formula, Name):
        return values[formula.name]
    if formula not in known:
        arguments = [_value(a, values, dtype, functions, known) for a in formula.arguments]
        known[formula] = _apply(formula, arguments, functions)
    return known[formula]


def _apply(call: Call, arguments, functions):
    name = call.function
    if name == "neg":
        return -arguments[0]
    if name == "**":
        return _power(*arguments, call.arguments[1])
    if name in OPERATORS:
        a, b = arguments
        # Two numbers are computed by the backend too: 1 / 0 is inf there, not an exception.
        y = {"+": ops.add, "-": ops.subtract, "*": ops.multiply, "/": ops.divide}[name](a, b)
        if name in ("+", "-") and any(map(_is_wave, call.arguments)):
            # A bounded wave changes nothing at infinity, though it has no value there.
            first, second = call.arguments
            if not _is_wave(second):
                y = ops.where(ops.abs(b) == float("inf"), b if name == "+" else -b, y)
            elif not _is_wave(first):
                y = ops.where(ops.abs(a) == float("inf"), a, y)
        return y
    return functions.get(name, COMPUTED[name].evaluate)(*arguments)


def _is_wave(formula: Formula) -> bool:
    return isinstance(formula, Call) and formula.function in ("sin", "cos")


def _power(base, exponent, formula):
    whole = formula.value if isinstance(formula, Number) else None
    if whole in (2.0, 3.0, 4.0):
        square = ops.square(base)
        return {2.0: square, 3.0: square * base, 4.0: ops.square(square)}[whole]
    return ops.power(base, exponent)


def _trigonometric_arguments(formula: Formula):
    if isinstance(formula, Call):
        if formula.function in _NEAR:
            yield formula.arguments[0]
        for argument in formula.arguments:
            yield from _trigonometric_arguments(argument)


def _on_cpu() -> bool:
    """Whether XLA compiles for a CPU, where it knows no fast sine, cosine and sums."""
    if _backend() == "jax":
        import jax

        return jax.default_backend() == "cpu"
    if _backend() == "tensorflow":
        import tensorflow as tf

        return all(device.device_type == "CPU" for device in tf.config.list_logical_devices())
    return False


def _tensorflow_sum(y, like):
    import tensorflow as tf

    shape = like.shape
    if y.shape == shape and shape.is_fully_defined():
        return y
    if _on_cpu() and shape.rank and shape.is_fully_defined() and shape[-1] == shape.num_elements():
        # Over all axes but the last XLA on a CPU sums with one core; as a product, with all.
        rows = tf.reshape(y, (-1, shape[-1]))
        return tf.reshape(tf.linalg.matmul(tf.ones((1, tf.shape(rows)[0]), y.dtype), rows), shape)
    axes = tf.raw_ops.BroadcastGradientArgs(s0=tf.shape(like), s1=tf.shape(y)).r0
    return tf.reshape(tf.reduce_sum(y, axes), tf.shape(like))


@functools.lru_cache(maxsize=1024)
def _tensorflow(operation: Operation):
    import tensorflow as tf
    from tensorflow.compiler.tf2xla.python import xla

    def compute(*inputs):
        if operation.backward:
            # Or XLA finds what forward and backward pass have in common, and keeps it.
            inputs = xla.optimization_barrier(*inputs)
        outputs = operation.compute(*inputs)
        if len(outputs) > 1:
            # Or XLA puts the sums for the betas off, and keeps what they are made of.
            outputs = tuple(xla.optimization_barrier(*outputs))
        return outputs

    @functools.cache
    def compiled(*signature):
        specifications = [tf.TensorSpec(shape, dtype) for shape, dtype in signature]
        # TensorFlow knows functions by their code, which all operations share, and would warn of
        # one that is traced again and again; a `partial` it knows by itself.
        function = functools.partial(compute)
        return tf.function(function, specifications, jit_compile=True, autograph=False)

    def specification(x):
        # One trace for all sizes; what is broadcast, such as beta, keeps its shape.
        small = x.shape.is_fully_defined() and (x.shape.rank == 0 or 1 in x.shape)
        return tuple(x.shape) if small else (None,) * x.shape.rank, x.dtype

    @tf.custom_gradient
    def differentiable(*inputs):
        # `stop_gradient`: else an eager tape records how these come about as well.
        outputs = compiled(*map(specification, inputs))(*map(tf.stop_gradient, inputs))
        for output, like in zip(outputs, operation.like, strict=True):
            output.set_shape(inputs[operation.names.index(like)].shape)
        return outputs, lambda *upstream: operation.gradients(inputs, upstream)

    # Else AutoGraph rewrites our functions where a user's tf.function calls them.
    @tf.autograph.experimental.do_not_convert
    def of_tensors(*inputs):
        # The gradient goes to a variable through its value.
        return differentiable(*map(tf.convert_to_tensor, inputs))

    return of_tensors


@functools.lru_cache(maxsize=1024)
def _jax(operation: Operation):
    """A forward-mode rule: JAX derives the gradient, vmap and all else from it."""
    import jax
    from jax.custom_derivatives import SymbolicZero

    @jax.custom_jvp
    def function(*inputs):
        return operation.compute(*inputs)[0]

    @functools.partial(function.defjvp, symbolic_zeros=True)
    def jvp(inputs, tangents):
        y = function(*inputs)
        dy = 0.0
        for part, tangent in zip(operation.slopes, tangents, strict=True):
            if part.outputs != (ZERO,) and type(tangent) is not SymbolicZero:
                dy = dy + _jax(part)(*inputs) * tangent
        return y, ops.broadcast_to(ops.cast(dy, y.dtype), y.shape)

    # Of the inputs alone the backward pass computes the slope again.
    return jax.checkpoint(jax.jit(function))


@functools.cache
def _torch():
    import torch

    class Function(torch.autograd.Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(operation, *inputs):
            outputs = _torch_compute(operation, inputs)
            # Where the formula is x itself, autograd asks for another view of it.
            return tuple(y.view_as(y) if any(y is x for x in inputs) else y for y in outputs)

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.operation, *tensors = inputs
            ctx.save_for_backward(*tensors)
            ctx.save_for_forward(*tensors)

        @staticmethod
        def backward(ctx, *upstream):
            return None, *ctx.operation.gradients(ctx.saved_tensors, upstream)

        @staticmethod
        def jvp(ctx, _, *tangents):
            inputs = ctx.saved_tensors
            (like,) = ctx.operation.like
            like = inputs[ctx.operation.names.index(like)]
            dy = torch.zeros_like(like)
            for part, tangent in zip(ctx.operation.slopes, tangents, strict=True):
                if tangent is not None:
                    dy = dy + (part(*inputs)[0] * tangent).to(like.dtype)
            return (dy,)

    return Function.apply


# Below this many numbers a compiler costs more than it saves.
_WORTH_COMPILING = 2**18
# By operation and kind of inputs, for the life of the process: compiling takes seconds.
_compiled: dict = {}


def _torch_compute(operation: Operation, inputs) -> tuple:
    """Computes as one compiled pass where PyTorch has a compiler, or one operation at a time."""
    import torch

    size = max(x.numel() for x in inputs)
    if size < _WORTH_COMPILING or torch.compiler.is_compiling() or inputs[0].is_meta:
        return operation.compute(*inputs)
    key = operation, tuple((x.dtype, x.ndim, x.device.type) for x in inputs)
    if key not in _compiled:
        try:
            function = _torch_compiled(operation, inputs)
            outputs = function(*inputs)
        except Exception as error:
            # No C++ compiler or no Triton for this device, as often as not.
            warnings.warn(
                "PyTorch could not compile an activation function here, which is computed one "
                f"operation at a time instead, and slowly: {str(error).splitlines()[0]}",
                stacklevel=2,
            )
            function, outputs = operation.compute, operation.compute(*inputs)
        _compiled[key] = function
        return outputs
    return _compiled[key](*inputs)


def _torch_compiled(operation: Operation, inputs):
    import torch
    from torch.fx.experimental.proxy_tensor import make_fx

    # A graph of its own: dynamo counts all operations as recompilations of one function.
    graph = make_fx(lambda *x: operation.compute(*x), tracing_mode="symbolic")(*inputs)
    return torch.compile(graph, dynamic=True)
