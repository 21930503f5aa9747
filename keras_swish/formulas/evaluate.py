"""The values of lowered formulas, computed with `keras.ops`."""

import functools
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence

from keras_swish.formulas.language import OPERATORS, Call, Formula, Name, Number
from keras_swish.formulas.lowering import COMPUTED
from keras_swish.keras_compat import Tensor, ops
from keras_swish.kernels.trigonometric import (
    TRIGONOMETRIC_BOUND,
    dsinc,
    dsinc_over_x,
    near_cos,
    near_product_wave,
    near_sin,
    product_cos,
    product_sin,
    sinc,
    snake,
    snake_slope,
)

Functions = Mapping[str, Callable[..., Tensor]]

# What stays bounded, and has no value at infinity.
_WAVES = ("sin", "cos", "snake", "product_sin")

# Those of the product of their two arguments.
_OF_PRODUCTS: Functions = {
    "product_sin": product_sin,
    "product_cos": product_cos,
    "snake": snake,
    "snake_slope": snake_slope,
}
# Not `ops.add`, which TensorFlow's unknown ranks are too much for.
_ARITHMETIC: Functions = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
# For numbers below TRIGONOMETRIC_BOUND.
_NEAR: Functions = {
    "sin": near_sin,
    "cos": near_cos,
    "sinc": functools.partial(sinc, sin=near_sin),
    "dsinc": functools.partial(dsinc, sin=near_sin, cos=near_cos),
    "dsinc_over_x": functools.partial(dsinc_over_x, sin=near_sin, cos=near_cos),
    **{
        name: functools.partial(function, wave=near_product_wave)
        for name, function in _OF_PRODUCTS.items()
    },
}


def evaluate(
    formulas: Sequence[Formula],
    tensors: Mapping[str, Tensor],
    dtype: str,
    functions: Functions | None = None,
) -> tuple[Tensor, ...]:
    """Returns the values of lowered formulas; what they have in common is computed once.

    The backend differentiates what is computed here operation by operation, and keeps every
    intermediate result: `keras_swish.elementwise` is what training uses.

    Args:
        formulas: The formulas, as `lowering.lowered` returns them.
        tensors: The values of variables and weights by name, of that dtype; they broadcast with
            one another.
        dtype: `"float32"` or `"float64"`.
        functions: What to compute functions with, by name, in place of `lowering.COMPUTED`.

    Example:
        >>> import keras
        >>> from keras_swish.formulas.evaluate import evaluate
        >>> from keras_swish.formulas.language import parse
        >>> x = keras.ops.convert_to_tensor([0.0, 2.0])
        >>> y, z = evaluate([parse("x + 1"), parse("x**2")], {"x": x}, "float32")
        >>> [float(value) for value in z]
        [0.0, 4.0]
    """
    computed: dict[Formula, Tensor] = {}
    return tuple(_value(f, tensors, dtype, functions or {}, computed) for f in formulas)


def evaluate_near_or_far(
    formulas: Sequence[Formula],
    tensors: Mapping[str, Tensor],
    dtype: str,
    arguments: set[Formula],
    call: Callable[..., tuple[Tensor, ...]] = lambda function, tensors: function(tensors),
) -> tuple[Tensor, ...]:
    """Returns the values of lowered formulas with fast sines where all their arguments are small.

    Args:
        formulas: As for `evaluate`.
        tensors: As for `evaluate`.
        dtype: As for `evaluate`.
        arguments: `trigonometric_arguments(formulas)`, at least one.
        call: Calls a function with the tensors.
    """
    near = functools.partial(evaluate, dtype=dtype, functions=_NEAR)

    def smallness(tensors: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        values = near(sorted(arguments, key=str), tensors)
        are_small = [ops.all(ops.abs(value) < TRIGONOMETRIC_BOUND) for value in values]
        return (functools.reduce(ops.logical_and, are_small),)

    (all_small,) = call(smallness, tensors)

    def evaluate_far() -> tuple[Tensor, ...]:
        # A look-up, as XLA computes both sides of a `cond` for each element, and selects,
        # where they are elementwise throughout.
        zero = ops.take(ops.convert_to_tensor([0.0, 1.0], dtype), ops.where(all_small, 1, 0))
        further = {name: x + zero for name, x in tensors.items()}
        return call(functools.partial(evaluate, formulas, dtype=dtype), further)

    return ops.cond(
        all_small, lambda: call(functools.partial(near, formulas), tensors), evaluate_far
    )


def trigonometric_arguments(formulas: Sequence[Formula]) -> set[Formula]:
    """Returns what formulas take the sine and cosine of.

    Example:
        >>> from keras_swish.formulas.evaluate import trigonometric_arguments
        >>> from keras_swish.formulas.language import parse
        >>> [str(formula) for formula in trigonometric_arguments([parse("x - cos(2 * x)")])]
        ['2 * x']
    """
    return {argument for formula in formulas for argument in _trigonometric_arguments(formula)}


def _trigonometric_arguments(formula: Formula) -> Iterator[Formula]:
    if isinstance(formula, Call):
        if formula.function in _OF_PRODUCTS:
            yield Call("*", formula.arguments)
        elif formula.function in _NEAR:
            yield formula.arguments[0]
        for argument in formula.arguments:
            yield from _trigonometric_arguments(argument)


def _value(
    formula: Formula,
    tensors: Mapping[str, Tensor],
    dtype: str,
    functions: Functions,
    computed: dict[Formula, Tensor],
) -> Tensor:
    if isinstance(formula, Number):
        return ops.convert_to_tensor(formula.value, dtype)
    if isinstance(formula, Name):
        return tensors[formula.name]
    if formula not in computed:
        arguments = [_value(a, tensors, dtype, functions, computed) for a in formula.arguments]
        computed[formula] = _apply(formula, arguments, functions)
    return computed[formula]


def _apply(call: Call, arguments: Sequence[Tensor], functions: Functions) -> Tensor:
    name = call.function
    if name == "neg":
        return -arguments[0]
    if name == "**":
        return _power(arguments[0], arguments[1], call.arguments[1])
    if name in OPERATORS:
        a, b = arguments
        # Two numbers are computed by the backend too: 1 / 0 is inf there, not an exception.
        y = _ARITHMETIC[name](a, b)
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
    return isinstance(formula, Call) and formula.function in _WAVES


def _power(base: Tensor, exponent: Tensor, formula: Formula) -> Tensor:
    number = formula.value if isinstance(formula, Number) else None
    if number in (2.0, 3.0, 4.0):
        square = ops.square(base)
        return {2.0: square, 3.0: square * base, 4.0: ops.square(square)}[number]
    return ops.power(base, exponent)
