"""The value of a formula, with `keras.ops`."""

import functools

import keras
from keras import ops

from keras_swish.elementwise.operation import Operation, compute_dtype
from keras_swish.formulas.language import Formula, as_tree, check_names
from keras_swish.formulas.language import weights as weight_names
from keras_swish.formulas.lowering import lowered


def as_float(x):
    """Returns x as a tensor of a float dtype: integers become `keras.config.floatx()`."""
    x = ops.convert_to_tensor(x)
    if keras.backend.is_float_dtype(keras.backend.standardize_dtype(x.dtype)):
        return x
    return ops.cast(x, keras.config.floatx())


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
        >>> from keras_swish.formulas.evaluate import evaluate
        >>> [float(y) for y in evaluate("beta * x + 1", [0.0, 2.0], beta=3)]
        [1.0, 7.0]
    """
    x = as_float(x)
    operation = _operation(formula, tuple(weights))
    dtype = compute_dtype(x)
    return operation(x, *(ops.convert_to_tensor(w, dtype) for w in weights.values()))[0]


@functools.lru_cache(maxsize=1024)
def _operation(formula: Formula | str, given: tuple[str, ...]) -> Operation:
    tree = as_tree(formula)
    check_names(given, weight_names(tree), "weight")
    check_names(weight_names(tree), given, "value for a weight")
    return Operation(("x", *given), (lowered(tree),), ("x",))
