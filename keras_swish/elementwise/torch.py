"""Elementwise operations on PyTorch: an autograd function, compiled where tensors are large.

PyTorch runs one operation at a time unless its compiler, which may be missing, makes one pass.
"""

# Where PyTorch is not installed, a type checker takes this file for it.
# pyright: reportAttributeAccessIssue=false

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch  # pyright: ignore[reportMissingImports]
from torch.fx.experimental.proxy_tensor import make_fx  # pyright: ignore[reportMissingImports]

from keras_swish.keras_compat import Tensor
from keras_swish.messages import first_line

if TYPE_CHECKING:
    from keras_swish.elementwise.operation import Operation

# Below this many numbers a compiler costs more than it saves.
WORTH_COMPILING = 2**18
# By operation, dtypes, ranks and devices, for the life of the process: compiling takes seconds.
_COMPILED: dict[tuple, Callable[..., tuple[Tensor, ...]]] = {}


def apply(operation: "Operation", inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Applies an operation."""
    return _Function.apply(operation, *inputs)


def compiles_for_cpu() -> bool:
    """Says whether XLA compiles for a CPU: PyTorch has no XLA."""
    return False


def sum_to_shape_of(like: Tensor, y: Tensor) -> Tensor:
    """Returns y, summed over the axes along which `like` was broadcast."""
    return y.sum_to_size(like.shape)


class _Function(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(operation, *inputs):
        outputs = _compute(operation, inputs)
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


def _compute(operation: "Operation", inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Computes as one compiled pass where PyTorch has a compiler, or one operation at a time."""
    size = max(x.numel() for x in inputs)
    if size < WORTH_COMPILING or torch.compiler.is_compiling() or inputs[0].is_meta:
        return operation.compute(*inputs)
    key = operation, tuple((x.dtype, x.ndim, x.device.type) for x in inputs)
    if key not in _COMPILED:
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
