"""The value of a formula, with `keras.ops`."""

import keras
from keras import ops

from keras_swish.formula import OPERATORS, Formula, Name, Number, as_tree, check_names, rewritten
from keras_swish.formula import weights as weight_names
from keras_swish.primitives import FUNCTIONS


def as_float(x):
    """Returns x as a tensor of a float dtype: integers become `keras.config.floatx()`."""
    x = ops.convert_to_tensor(x)
    if keras.backend.is_float_dtype(keras.backend.standardize_dtype(x.dtype)):
        return x
    return ops.cast(x, keras.config.floatx())


def compute_dtype(x) -> str:
    """Returns the dtype to compute in: float32 for half formats.

    A root such as that of cos(x) - x costs hundreds of units in the last place when each
    term is rounded to a half format first.
    """
    dtype = keras.backend.standardize_dtype(x.dtype)
    return "float32" if dtype in ("float16", "bfloat16") else dtype


def evaluate(formula: Formula | str, x, **weights):
    """Computes a formula with `keras.ops`.

    Args:
        formula: A formula or its text.
        x: Tensor of a float dtype; integers are taken as `keras.config.floatx()`.
        **weights: The formula's weights by name: numbers, or tensors that broadcast with x.

    Returns:
        A tensor with the shape and dtype of x.

    Raises:
        ValueError: If a weight is missing, or there is none of that name.

    Example:
        >>> from keras_swish.evaluate import evaluate
        >>> [float(y) for y in evaluate("beta * x + 1", [0.0, 2.0], beta=3)]
        [1.0, 7.0]
    """
    tree, x = as_tree(formula), as_float(x)
    check_names(weights, weight_names(tree), "weight")
    check_names(weight_names(tree), list(weights), "value for a weight")
    dtype = compute_dtype(x)
    values = {name: ops.convert_to_tensor(w, dtype) for name, w in weights.items()}
    result = _evaluate(tree, {"x": ops.cast(x, dtype), **values}, dtype, {})
    result = ops.cast(result, x.dtype)
    # A formula need not contain x.
    return result if result.shape == x.shape else ops.broadcast_to(result, ops.shape(x))


def _evaluate(formula, values, dtype, known):
    if isinstance(formula, Number):
        return formula.value
    if isinstance(formula, Name):
        return values[formula.name]
    if formula not in known:
        call = rewritten(formula)
        arguments = [_evaluate(argument, values, dtype, known) for argument in call.arguments]
        known[formula] = _apply(call.function, arguments, dtype)
    return known[formula]


def _apply(function: str, arguments: list, dtype):
    if function == "neg":
        return -arguments[0]
    if function == "**":
        return _power(ops.convert_to_tensor(arguments[0], dtype), arguments[1])
    if function in OPERATORS:
        # Two numbers are computed by the backend too: 1 / 0 is inf there, not an exception.
        a, b = (ops.convert_to_tensor(argument, dtype) for argument in arguments)
        operations = {"+": ops.add, "-": ops.subtract, "*": ops.multiply, "/": ops.divide}
        return operations[function](a, b)
    tensors = [ops.convert_to_tensor(argument, dtype) for argument in arguments]
    return FUNCTIONS[function].evaluate(*tensors)


def _power(base, exponent):
    if isinstance(exponent, float) and exponent in (2.0, 3.0, 4.0):
        square = ops.square(base)
        return {2.0: square, 3.0: square * base, 4.0: ops.square(square)}[exponent]
    return ops.power(base, exponent)
