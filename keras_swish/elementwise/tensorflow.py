"""Elementwise operations on TensorFlow: compiled by XLA, forward and backward.

Without XLA each of a formula's operations reads and writes all of its memory.
"""

import functools
import itertools
import math
import operator
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla

from keras_swish.elementwise.caching import CACHED_OPERATIONS
from keras_swish.formulas.language import is_weight
from keras_swish.keras_compat import Tensor

if TYPE_CHECKING:
    from keras_swish.elementwise.operation import Operation

try:
    # Private parts of TensorFlow, for want of public ones. To record an operation is the one way to
    # give it a rule for forward mode: without it there is reverse mode alone, by
    # `tf.custom_gradient`. Without graphs to import from, each formula costs more memory.
    from tensorflow.python.eager import record

    _FuncGraph = tf.__internal__.FuncGraph
except (ImportError, AttributeError):
    record = _FuncGraph = None

_barrier: Callable[..., Tensor] = xla.optimization_barrier
_numbers = itertools.count()
# On a CPU XLA makes a loop for each axis, the innermost over the channels. LLVM vectorises it in
# steps of 32: of 44 channels the last 12 take longer than the others. Where they are this few, rows
# of them are joined to one of a width that makes the rest small.
STEP, FEW, WIDE, LONGEST = 32, 64, 256, 4096
# XLA puts at most 15 uses of one term into a loop.
SLICES = 8


def apply(operation: "Operation", inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Applies an operation."""
    return _differentiable(operation)(*inputs)


def compiles_for_cpu() -> bool:
    """Says whether XLA compiles for a CPU."""
    return all(device.device_type == "CPU" for device in tf.config.list_logical_devices())


def inline(
    function: Callable[[dict[str, Tensor]], tuple[Tensor, ...]], tensors: dict[str, Tensor]
) -> tuple[Tensor, ...]:
    """Adds the operations of a function to the graph, each once and without its Python stack.

    XLA keeps the stack of each operation that it compiled as long as the process runs: three
    quarters of the memory that a formula took. What is imported into a graph has none.
    """
    if tf.executing_eagerly() or _FuncGraph is None:
        return function(tensors)
    # Not a `tf.Graph`, in which `==` compares which tensors two are rather than what is in them.
    with _FuncGraph("f").as_default() as graph:
        variables = {
            name: tf.compat.v1.placeholder(x.dtype, x.shape, name) for name, x in tensors.items()
        }
        outputs = [tf.identity(y) for y in function(variables)]
        graph_def = graph.as_graph_def()
    graph_def, renamed = _without_repetitions(graph_def)
    results = [(renamed[y.op.name], y.value_index) for y in outputs]
    used = {edge for node in graph_def.node for edge in node.input}
    return tuple(
        tf.graph_util.import_graph_def(
            graph_def,
            # `identity`: else a branch of a `cond` does not see what is outside.
            {name: tf.identity(x) for name, x in tensors.items() if name in used},
            [f"{name}:{index}" for name, index in results],
            name="f",
        )
    )


def _without_repetitions(
    graph_def: tf.compat.v1.GraphDef,
) -> tuple[tf.compat.v1.GraphDef, dict[str, str]]:
    """Returns a graph of stateless operations without equal ones, and the new names of all."""
    renamed: dict[str, str] = {}
    by_content: dict[bytes, str] = {}
    result = tf.compat.v1.GraphDef(versions=graph_def.versions)
    for node in graph_def.node:
        name = node.name
        if node.op == "Placeholder":
            renamed[name] = name
            continue
        node.name = ""
        # `tf.gradients` wants a gradient next to its operation, of which this graph knows nothing.
        node.attr.pop("_class", None)
        for i, edge in enumerate(node.input):
            source, colon, index = edge.partition(":")
            node.input[i] = renamed[source] + colon + index
        content = node.SerializeToString(deterministic=True)
        if content not in by_content:
            node.name = by_content[content] = f"n{len(by_content)}"
            result.node.append(node)
        renamed[name] = by_content[content]
    return result, renamed


def sum_to_shape_of(like: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Returns y, summed over the axes along which `like` was broadcast."""
    shape = like.shape
    if y.shape == shape and shape.is_fully_defined():
        return y
    # Without x, y may have the shape of a weight, and `like` be a lone row of x.
    if _is_row(shape) and _ends_as(y, shape) and compiles_for_cpu():
        return tf.reshape(_sum_of_rows(tf.reshape(y, (-1, shape[-1]))), shape)
    # Where it does not depend on x, it has the shape of the betas.
    y = tf.broadcast_to(y, tf.broadcast_dynamic_shape(tf.shape(y), tf.shape(like)))
    axes = tf.raw_ops.BroadcastGradientArgs(s0=tf.shape(like), s1=tf.shape(y)).r0
    return tf.reshape(tf.reduce_sum(y, axes), tf.shape(like))


def _ends_as(y: tf.Tensor, row: tf.TensorShape) -> bool:
    # A size that is not known here is one of x.
    return row.num_elements() == 1 or bool(y.shape.rank and y.shape[-1] in (None, row[-1]))


def _sum_of_rows(rows: tf.Tensor) -> tf.Tensor:
    """Returns the sum over the first of two axes, in few passes over memory on a CPU."""
    # XLA computes no sum over rows together with its terms, which it writes out and reads again.
    # A sum of slices is elementwise: only an eighth of the terms is written.
    height = tf.shape(rows)[0] // SLICES
    slices = [rows[i * height : (i + 1) * height] for i in range(SLICES)]
    rest = rows[SLICES * height :]
    return tf.reduce_sum(functools.reduce(operator.add, slices), 0) + tf.reduce_sum(rest, 0)


@functools.lru_cache(CACHED_OPERATIONS)
def _differentiable(operation: "Operation") -> Callable[..., tuple[Tensor, ...]]:
    def compute(*inputs: Tensor) -> tuple[Tensor, ...]:
        if operation.backward:
            # Or XLA finds what forward and backward pass have in common, and keeps it.
            inputs = _barrier(*inputs)
        outputs = operation.compute(*inputs)
        if len(outputs) > 1:
            # Or XLA puts the sums for the betas off, and keeps what they are made of.
            outputs = tuple(_barrier(*outputs))
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
        if x.shape.rank is None:
            return None, x.dtype
        is_small = x.shape.is_fully_defined() and (x.shape.rank == 0 or 1 in x.shape)
        return tuple(x.shape) if is_small else (None,) * x.shape.rank, x.dtype

    # Also where no formula has one: its tangent or what comes back to it has its shape.
    weights = [i for i, name in enumerate(operation.names) if is_weight(name)]

    def call(inputs):
        rows = _rows_to_join(inputs[0], [inputs[i] for i in weights])
        given = inputs if rows is None else _joined(inputs, rows)
        outputs = compiled(*map(specification, given))(*given)
        likes = [inputs[operation.names.index(like)] for like in operation.like]
        if rows is not None:
            shaped = zip(outputs, likes, strict=True)
            outputs = tuple(_parted(y, like, rows) for y, like in shaped)
        for output, like in zip(outputs, likes, strict=True):
            output.set_shape(like.shape)
        return outputs

    # Else AutoGraph rewrites our functions where a user's tf.function calls them.
    @tf.autograph.experimental.do_not_convert
    def of_tensors(*inputs):
        # The gradient goes to a variable through its value.
        return _recorded(operation, call, tuple(map(tf.convert_to_tensor, inputs)))

    return of_tensors


def _rows_to_join(x: tf.Tensor, weights: Sequence[tf.Tensor]) -> int | None:
    """Returns how many rows of channels to compute as one: -1 all, None each by itself."""
    shape = x.shape
    if not compiles_for_cpu() or (shape.rank or 0) < 2:
        return None
    shapes = [weight.shape for weight in weights if weight.shape.rank != 0]
    if not shapes:
        return -1
    channels, *others = reversed(shape)
    # Half formats would be rounded before they are summed.
    if channels is None or channels >= FEW or channels % STEP == 0 or x.dtype.size < 4:
        return None
    if not all(_is_row(each) and each[-1] == channels for each in shapes):
        return None
    # As the others are not known here, it divides the known sizes.
    return _most_fitting(math.prod(size for size in others if size), channels)


@functools.lru_cache(CACHED_OPERATIONS)
def _most_fitting(rows: int, channels: int) -> int | None:
    """Returns the least divisor of a number of rows that is enough, or else the largest."""
    enough = WIDE // channels
    divisors = (n for n in range(2, LONGEST // channels + 1) if rows % n == 0)
    return min(divisors, key=lambda n: (n < enough, n if n >= enough else -n), default=None)


def _is_row(shape: tf.TensorShape) -> bool:
    """Says whether a shape is one row of channels: of a weight, its gradient or tangent."""
    return bool(shape.rank) and shape.is_fully_defined() and shape[-1] == shape.num_elements()


def _joined(inputs: Sequence[tf.Tensor], rows: int) -> Sequence[tf.Tensor]:
    """Returns the inputs with so many rows of channels in one."""
    # Here, as what is compiled: inside, XLA would put the reshaping off until after the loop.
    if rows < 0:  # x, gradients and tangents have one shape, the others are numbers
        return [x if x.shape.rank == 0 else tf.reshape(x, (-1,)) for x in inputs]
    channels: Any = inputs[0].shape[-1]
    return [
        x
        if x.shape.rank == 0
        else tf.tile(tf.reshape(x, (1, -1)), (1, rows))
        if _is_row(x.shape)
        else tf.reshape(x, (-1, rows * channels))
        for x in inputs
    ]


def _parted(y: tf.Tensor, like: tf.Tensor, rows: int) -> tf.Tensor:
    """Returns an output of joined rows in the shape of `like`."""
    if rows > 0 and _is_row(like.shape):
        y = tf.reduce_sum(tf.reshape(y, (rows, -1)), 0)
    return tf.reshape(y, tf.shape(like))


def _recorded(
    operation: "Operation",
    call: Callable[[Sequence[tf.Tensor]], tuple[tf.Tensor, ...]],
    inputs: tuple[tf.Tensor, ...],
) -> tuple[tf.Tensor, ...]:
    """Calls, and gives the outputs the operation's derivatives, those of forward mode too."""
    if record is None:
        return _with_reverse_mode(operation, call, inputs)
    with record.stop_recording():
        outputs = call(inputs)
        if not tf.executing_eagerly():
            outputs = _with_gradient_in_graph(operation, inputs, outputs)
    record.record_operation(
        "KerasSwish",
        list(outputs),
        list(inputs),
        lambda *upstream: operation.gradients(inputs, upstream),
        lambda *tangents: list(operation.tangent(*inputs, *tangents)),
    )
    return outputs


def _with_reverse_mode(
    operation: "Operation",
    call: Callable[[Sequence[tf.Tensor]], tuple[tf.Tensor, ...]],
    inputs: tuple[tf.Tensor, ...],
) -> tuple[tf.Tensor, ...]:
    def differentiable(*inputs):
        # `stop_gradient`: else an eager tape records how these come about as well.
        outputs = call([tf.stop_gradient(x) for x in inputs])
        return outputs, lambda *upstream: operation.gradients(inputs, upstream)

    outputs: Any = tf.custom_gradient(differentiable)(*inputs)
    return outputs


def _with_gradient_in_graph(
    operation: "Operation", inputs: tuple[tf.Tensor, ...], outputs: tuple[tf.Tensor, ...]
) -> tuple[tf.Tensor, ...]:
    """Returns the outputs as those of one operation in the graph with the operation's gradient."""
    name = f"KerasSwish-{next(_numbers)}"
    # TensorFlow keeps a registered gradient for the life of the process: it must not keep a graph.
    here: tf.Graph = tf.compat.v1.get_default_graph()
    graph = weakref.ref(here)
    count = len(outputs)
    input_names = [x.name for x in inputs]

    @tf.RegisterGradient(name)
    def gradient(op: tf.Operation | None, *upstream: tf.Tensor) -> Sequence[Tensor | None]:
        upstream = upstream[:count]
        if op is not None:
            x = op.inputs[count:]
            gradients = operation.gradients(x, upstream)
        else:
            # So `tf.saved_model.save` asks for a function to write. A gradient that is registered
            # for another is not written: of this one TensorFlow has to find the derivatives.
            written = graph()
            assert written is not None  # TensorFlow is writing it
            x = [written.get_tensor_by_name(name) for name in input_names]
            gradients = operation.gradients(x, upstream, plain=True)
        return *[None] * count, *gradients

    with here.gradient_override_map({"IdentityN": name}):
        return tuple(tf.identity_n([*outputs, *inputs])[: len(outputs)])
