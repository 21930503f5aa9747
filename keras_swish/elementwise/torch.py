"""Elementwise operations on PyTorch: an autograd function, compiled where tensors are large.

PyTorch runs one operation at a time unless its compiler, which may be missing, makes one pass.
"""

# Where PyTorch is not installed, a type checker takes this file for it.
# pyright: reportAttributeAccessIssue=false

import dataclasses
import functools
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch  # pyright: ignore[reportMissingImports]
from torch.fx.experimental.proxy_tensor import make_fx  # pyright: ignore[reportMissingImports]

from keras_swish.elementwise.caching import CACHED_OPERATIONS
from keras_swish.formulas.derivative import add, product, slope
from keras_swish.formulas.language import Name
from keras_swish.keras_compat import Tensor
from keras_swish.messages import first_line

if TYPE_CHECKING:
    from keras_swish.elementwise.operation import Operation

# Below this many numbers a compiler costs more than it saves.
WORTH_COMPILING = 2**18
# By operation, dtypes, ranks and devices, the oldest first: compiling takes seconds.
_COMPILED: dict[tuple, Callable[..., tuple[Tensor, ...]]] = {}


def apply(operation: "Operation", inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Applies an operation."""
    return _Function.apply(operation, *inputs)


def compiles_for_cpu() -> bool:
    """Says whether XLA compiles for a CPU: PyTorch has no XLA."""
    return False


def sum_to_shape_of(like: Tensor, y: Tensor) -> Tensor:
    """Returns y, summed over the axes along which `like` was broadcast."""
    return y.expand(torch.broadcast_shapes(y.shape, like.shape)).sum_to_size(like.shape)


class _Function(torch.autograd.Function):
    @staticmethod
    def forward(operation, *inputs):
        shapes = _output_shapes(operation, inputs)
        # Where the formula is an input itself, autograd asks for another tensor than it, and where
        # it is a beta, for the shape of x.
        return tuple(
            y.expand(shape).clone() if y.shape != shape or any(y is x for x in inputs) else y
            for y, shape in zip(_compute(operation, inputs), shapes, strict=True)
        )

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
        inputs = dict(zip(ctx.operation.names, ctx.saved_tensors, strict=True))
        given = {
            name: tangent
            for name, tangent in zip(inputs, tangents, strict=True)
            if tangent is not None
        }
        return forward_derivative(ctx.operation, tuple(given))(*inputs.values(), *given.values())

    @staticmethod
    def vmap(info, in_dims, operation, *inputs):
        """Applies the operation to all examples at once, as it is elementwise."""
        # Not PyTorch's generated rule, which cannot run the compiled pass.
        size = info.batch_size
        batches = [
            x.expand(size, *x.shape) if dim is None else x.movedim(dim, 0)
            for x, dim in zip(inputs, in_dims[1:], strict=True)
        ]
        rank = max(x.ndim for x in batches)
        aligned = [x.reshape(size, *[1] * (rank - x.ndim), *x.shape[1:]) for x in batches]
        outputs = apply(operation, tuple(aligned))
        shapes = _output_shapes(operation, batches)
        return tuple(map(torch.reshape, outputs, shapes)), (0,) * len(outputs)


def _output_shapes(operation: "Operation", inputs: Sequence[Tensor]) -> list[torch.Size]:
    """Returns the shape of each output: that of the input that it is like."""
    by_name = dict(zip(operation.names, inputs, strict=True))
    return [
        by_name[like].shape if like else torch.broadcast_shapes(*(x.shape for x in inputs))
        for like in operation.like
    ]


@functools.lru_cache(CACHED_OPERATIONS)
def forward_derivative(operation: "Operation", given: tuple[str, ...]) -> "Operation":
    """Returns the operation from inputs, and tangents of those given, to the outputs' tangents."""
    tangents = [Name(f"tangent{len(operation.names)}_{i}") for i in range(len(given))]
    outputs = []
    for formula in operation.outputs:
        parts = (product(t, slope(formula, n)) for t, n in zip(tangents, given, strict=True))
        outputs.append(functools.reduce(functools.partial(add, "+"), parts))
    return dataclasses.replace(
        operation,
        names=(*operation.names, *(tangent.name for tangent in tangents)),
        outputs=tuple(outputs),
    )


def _compute(operation: "Operation", inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Computes as one compiled pass where PyTorch has a compiler, or one operation at a time."""
    size = max(x.numel() for x in inputs)
    if size < WORTH_COMPILING or torch.compiler.is_compiling() or inputs[0].is_meta:
        return operation.compute(*inputs)
    # A graph is for any sizes, but those that were 1 when it was made.
    kinds = ((x.dtype, x.device.type, *(size == 1 for size in x.shape)) for x in inputs)
    key = operation, tuple(kinds)
    if key not in _COMPILED:
        while len(_COMPILED) >= CACHED_OPERATIONS:
            del _COMPILED[next(iter(_COMPILED))]
        try:
            function = _compiled(operation, inputs)
            outputs = function(*inputs)
        except Exception as error:
            # No C++ compiler or no Triton for this device, as often as not.
            warnings.warn(
                "PyTorch could not compile an activation function here, which is computed one "
                f"operation at a time instead, and slowly: {first_line(error)}",
                stacklevel=2,
            )
            function, outputs = operation.compute, operation.compute(*inputs)
        _COMPILED[key] = function
        return outputs
    return _COMPILED[key](*inputs)


def _compiled(
    operation: "Operation", inputs: tuple[Tensor, ...]
) -> Callable[..., tuple[Tensor, ...]]:
    # A graph of its own: dynamo counts all operations as recompilations of one function.
    graph = make_fx(lambda *x: operation.compute(*x), tracing_mode="symbolic")(*inputs)
    return torch.compile(graph, dynamic=True)
