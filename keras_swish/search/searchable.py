"""A layer that computes any candidate of a search space; which one is data."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from keras_swish.elementwise.operation import Operation, as_float, compute_dtype
from keras_swish.formulas.language import Call, Formula, parse
from keras_swish.formulas.lowering import lowered
from keras_swish.layers import TrainableActivation
from keras_swish.search.space import Candidate, SearchSpace, Unit
from keras_swish.search.values import SLOTS

_CHOICES = len(Unit._fields)
# What every backend computes in one fast operation.
_SHORT = {"neg", "+", "-", "*", "**", "abs", "sign", "relu", "step"}


class Task(NamedTuple):
    """What a switch computes: one of some primitives, or its gradients.

    Attributes:
        variables: The arguments of the primitives.
        formulas: Their formulas.
        is_gradient: Whether it is the gradients.
    """

    variables: tuple[str, ...]
    formulas: tuple[str, ...]
    is_gradient: bool = False

    @property
    def gradient(self) -> "Task":
        """The same primitives' gradients."""
        return self._replace(is_gradient=True)


@keras.saving.register_keras_serializable(package="keras_swish")
class SearchableActivation(TrainableActivation):
    """An activation whose function is data: one compiled network computes every candidate.

    Its weight `choice` says which candidate; `set_candidate` writes it, and the initial values
    of the betas. There is a beta for each slot of each unit; those that a candidate does not read
    get a gradient of zero. On TensorFlow there are first derivatives only.

    Args:
        core_units: How many core units the candidates have.
        unary: The primitives of one argument, as `SearchSpace` takes them.
        binary: Those of two arguments.
        **kwargs: Those of `keras_swish.SearchedActivation`.

    Input shape:
        Any of two dimensions or more; the number of channels must be defined.

    Output shape:
        That of the input.

    Example:
        >>> import keras
        >>> from keras_swish.search.searchable import SearchableActivation
        >>> from keras_swish.search.space import SearchSpace
        >>> space, layer = SearchSpace(), SearchableActivation()
        >>> layer.build((None, 1))
        >>> layer.set_candidate(space, space.candidate(u1="x", u2="x", b="x1*x2"))
        >>> float(layer(keras.ops.array([[3.0]]))[0, 0])
        9.0
    """

    def __init__(
        self,
        core_units: int = 1,
        unary: Sequence[str] | None = None,
        binary: Sequence[str] | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.core_units = core_units
        space = SearchSpace(core_units, unary=unary, binary=binary)
        self.primitives = space.primitives
        self._unary = Task(("x",), tuple(map(str, space.trees["u"])))
        self._binary = Task(("x1", "x2"), tuple(map(str, space.trees["b"])))
        self.initial_values = {f"beta{slot}": 1.0 for slot in range(SLOTS * core_units)}

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the choice, and all betas, for inputs of this shape."""
        self.betas = list(self.add_betas(input_shape).values())
        self.choice = self.add_weight(
            name="choice",
            shape=(self.core_units, _CHOICES),
            dtype="int32",
            initializer="zeros",
            trainable=False,
        )

    def set_candidate(self, space: SearchSpace, candidate: Candidate) -> None:
        """Makes the layer compute the candidate, with its initial betas."""
        self.choice.assign(space.units(candidate))
        initial = space.betas(candidate)
        for slot, beta in enumerate(self.betas):
            beta.assign(ops.full(beta.shape, initial.get(slot, 1.0), beta.dtype))

    def call(self, inputs: Any) -> Any:
        """Returns the chosen candidate's value at the inputs."""
        x = as_float(inputs)
        dtype = compute_dtype(x)
        # Copies: TensorFlow takes variables for something else than inputs of a gradient.
        betas = [ops.copy(ops.convert_to_tensor(beta, dtype)) for beta in self.betas]
        # Half formats are rounded once, as in the plain network, and not between primitives.
        choice = ops.convert_to_tensor(self.choice)
        y = _compute(self._unary, self._binary, choice, ops.cast(x, dtype), betas)
        return ops.cast(y, x.dtype)

    def get_config(self) -> dict:
        """Returns what `from_config` needs to make the same layer."""
        unary, binary = self.primitives["u"], self.primitives["b"]
        config = {"core_units": self.core_units, "unary": unary, "binary": binary}
        return {**config, **super().get_config()}


def _compute(unary: Task, binary: Task, choice: Any, x: Any, betas: list) -> Any:
    """Computes the units one after the other, and their gradients by hand.

    Left to themselves, JAX keeps what every branch of a switch would need for its gradient, and
    TensorFlow differentiates branch by branch.
    """

    # Never seen by a tape: half of the work is the gradient's, which is given here.
    @ops.custom_gradient
    def function(x, *betas):
        outputs, units = [x], []
        for unit in range(len(betas) // SLOTS):
            beta1, beta2, beta3 = betas[SLOTS * unit : SLOTS * (unit + 1)]
            chosen = Unit(*(choice[unit, i] for i in range(_CHOICES)))
            source1, source2 = _pick(chosen.input1, outputs), _pick(chosen.input2, outputs)
            x1 = _chosen(unary, chosen.u1, source1, beta1)
            x2 = _chosen(unary, chosen.u2, source2, beta2)
            outputs.append(_chosen(binary, chosen.b, x1, x2, beta3))
            units.append((chosen, source1, source2, x1, x2, beta1, beta2, beta3))

        def gradient(*arguments, upstream=None):
            if upstream is None:  # PyTorch alone passes the inputs too, and this by name
                (upstream,) = arguments
            slopes: list[Any] = [None] * len(units) + [upstream]
            dbetas = []
            for unit in reversed(range(len(units))):
                chosen, source1, source2, x1, x2, beta1, beta2, beta3 = units[unit]
                dy = slopes[unit + 1]
                if unit + 1 < len(units):
                    dy = _finite(dy)
                    x1, x2 = _where_needed(dy, x1), _where_needed(dy, x2)
                dx1, dx2, dbeta3 = _chosen(binary.gradient, chosen.b, x1, x2, beta3, dy)
                dx1, dx2 = _finite(dx1), _finite(dx2)
                source1, source2 = _where_needed(dx1, source1), _where_needed(dx2, source2)
                dsource1, dbeta1 = _chosen(unary.gradient, chosen.u1, source1, beta1, dx1)
                dsource2, dbeta2 = _chosen(unary.gradient, chosen.u2, source2, beta2, dx2)
                dbetas = [dbeta1, dbeta2, dbeta3, *dbetas]
                for source in range(unit + 1):
                    parts = [_where(chosen.input1, source, dsource1, unit)]
                    parts += [_where(chosen.input2, source, dsource2, unit)]
                    parts += [slopes[source]] if slopes[source] is not None else []
                    slopes[source] = functools.reduce(ops.add, parts)
            return (slopes[0], *dbetas)

        return outputs[-1], gradient

    return function(x, *betas)


def _pick(index: Any, outputs: list) -> Any:
    if len(outputs) == 1:
        return outputs[0]
    branches = [lambda *tensors, i=i: ops.copy(tensors[i]) for i in range(len(outputs))]
    return ops.switch(index, branches, *outputs)


def _where_needed(slope: Any, x: Any) -> Any:
    """Returns x, and 1 where the gradient does not depend on it, as its slope is 0.

    There the function is flat, and what is inside of it may have overflowed: 0 * inf is NaN. Of the
    whole formula the derivative goes into the factor that vanishes, and is 0.
    """
    return ops.where(slope == 0, ops.ones_like(x), x)


def _finite(slope: Any) -> Any:
    """Returns a slope with its largest finite value for an infinite one: inf * 0 is NaN as well."""
    largest = float(np.finfo(keras.backend.standardize_dtype(slope.dtype)).max)
    return ops.clip(slope, -largest, largest)


def _where(index: Any, source: int, slope: Any, unit: int) -> Any:
    """Returns the slope if the chosen input is this one, else 0: also for infinite slopes."""
    return slope if unit == 0 else ops.where(index == source, slope, ops.zeros_like(slope))


@functools.cache
def _branches(task: Task) -> list:
    function = _gradients if task.is_gradient else _value
    formulas = [lowered(parse(text, task.variables)) for text in task.formulas]
    names = (*task.variables, "beta")
    operations = [Operation(names, (formula,), names[:1]) for formula in formulas]
    return [functools.partial(function, operation) for operation in operations]


def _value(operation: Operation, *inputs: Any) -> Any:
    return _run(operation, inputs)[0]


def _gradients(operation: Operation, *inputs: Any) -> Any:
    if keras.backend.backend() == "jax":
        return _jax_gradients(operation, *inputs)
    gradient = operation.gradient
    slopes = dict(zip(gradient.like, _run(gradient, inputs), strict=True))
    return tuple(
        slopes[name] if name in slopes else ops.zeros_like(x)
        for name, x in zip(operation.names, inputs, strict=False)
    )


def _jax_gradients(operation: Operation, *inputs: Any) -> Any:
    # An operation has a rule of forward mode there, from which JAX makes the gradient.
    import jax

    *arguments, upstream = inputs
    return jax.vjp(lambda *tensors: operation(*tensors)[0], *arguments)[1](upstream)


def _run(operation: Operation, inputs: tuple) -> Sequence:
    # Compiled on their own, these would take longer to call than to compute.
    if all(_functions(formula) <= _SHORT for formula in operation.outputs):
        return operation.compute(*inputs)
    return operation(*inputs)


def _functions(formula: Formula) -> set[str]:
    if not isinstance(formula, Call):
        return set()
    return {formula.function}.union(*map(_functions, formula.arguments))


def _chosen(task: Task, index: Any, *inputs: Any) -> Any:
    """Computes the primitive with that index, or its gradients.

    Where there is a graph, it is a function in it, so that the branches are traced once and not for
    each layer.
    """
    if keras.backend.backend() == "tensorflow":
        return _tensorflow_chosen(task, index, *inputs)
    if keras.backend.backend() == "jax":
        return _jax_chosen(task)(index, *inputs)
    return ops.switch(index, _branches(task), *inputs)


def _tensorflow_chosen(task: Task, index: Any, *tensors: Any) -> Any:
    import tensorflow as tf

    # The gradient is given in `_compute`, and an eager tape would look for it here as well.
    is_gradient = task.is_gradient
    inputs: list[Any] = [x if is_gradient else tf.stop_gradient(x) for x in tensors]
    # Any batch and size of images; the betas keep their shape, along which gradients are summed.
    betas = {len(task.variables)}
    signature = tuple(
        (tuple(x.shape) if i in betas else (None,) * x.shape.rank, x.dtype)
        for i, x in enumerate(inputs)
    )
    outputs: Any = _tensorflow_function(task, signature)(index, *inputs)
    for output, x in zip(outputs if is_gradient else [outputs], inputs, strict=False):
        output.set_shape(x.shape)
    return outputs


@functools.cache
def _tensorflow_function(task: Task, signature: tuple) -> Callable:
    import tensorflow as tf

    inputs = [tf.TensorSpec(*entry) for entry in signature]
    branches = [
        tf.function(branch, inputs, autograph=False).get_concrete_function()
        for branch in _branches(task)
    ]
    types = [output.dtype for output in branches[0].outputs]

    # A function, as outside of a graph a `Case` does not take these branches. And not the one of
    # `tf.switch_case`, which becomes part of the graph with all its branches: to find each node
    # of those that are not chosen dead takes a tenth of a small child's step.
    @tf.function(input_signature=[tf.TensorSpec((), "int32"), *inputs], autograph=False)
    def chosen(index, *tensors):
        outputs = tf.raw_ops.Case(branch_index=index, input=tensors, Tout=types, branches=branches)
        return tuple(outputs) if task.is_gradient else outputs[0]

    return chosen


@functools.cache
def _jax_chosen(task: Task) -> Callable:
    import jax

    return jax.jit(lambda index, *inputs: ops.switch(index, _branches(task), *inputs))
