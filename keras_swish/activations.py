"""The named activation functions without weights, tensor to tensor.

`swish` is written out, `relu` and `relu6` are Keras's; the others are the catalogue's formulas:
`leaky_relu`, `softplus`, `elu`, `selu`, `gelu`, and what the search found: `max_sigmoid`,
`cos_minus_x`, `min_sin`, `arctan_squared_minus_x`, `max_tanh`, `sinc_plus_x`,
`x_arcsinh_squared`.
"""

from collections.abc import Callable

import keras

from keras_swish import catalogue
from keras_swish.formulas.evaluate import evaluate
from keras_swish.formulas.language import parse

_SWISH = parse(catalogue.ENTRIES["swish"].formula)
_SWISH_BETA = parse(catalogue.ENTRIES["swish_beta"].formula)


@keras.saving.register_keras_serializable(package="keras_swish")
def swish(x, beta=1.0):
    """Swish: `x * sigmoid(beta * x)`.

    With `beta=1` it is what Keras calls `silu`; `beta=0` gives the linear function
    `x / 2`, and as `beta` grows Swish tends to ReLU.

    Args:
        x: Tensor of a float dtype, of any shape.
        beta: A number, or a tensor that broadcasts with `x`.

    Returns:
        A tensor with the shape and dtype of `x`.

    Example:
        >>> import keras_swish
        >>> y = keras_swish.activations.swish([-1.0, 0.0, 2.0])
        >>> [round(float(v), 4) for v in y]
        [-0.2689, 0.0, 1.7616]

    Source: Ramachandran et al. 2017, section 4.
    """
    if isinstance(beta, (int, float)) and beta == 1:
        return evaluate(_SWISH, x)
    return evaluate(_SWISH_BETA, x, beta=beta)


def _from_catalogue(name: str) -> Callable:
    entry = catalogue.ENTRIES[name]
    tree = parse(entry.formula)

    def activation(x):
        return evaluate(tree, x)

    activation.__name__ = activation.__qualname__ = name
    activation.__doc__ = f"""`{entry.formula}`.

    Args:
        x: Tensor of a float dtype, of any shape.

    Returns:
        A tensor with the shape and dtype of `x`.

    Source: {entry.source}.
    """
    return keras.saving.register_keras_serializable(package="keras_swish")(activation)


# Keras's own: the same functions, and known to every exporter and optimiser of graphs.
relu = keras.activations.relu
relu6 = keras.activations.relu6
leaky_relu = _from_catalogue("leaky_relu")
softplus = _from_catalogue("softplus")
elu = _from_catalogue("elu")
selu = _from_catalogue("selu")
gelu = _from_catalogue("gelu")
max_sigmoid = _from_catalogue("max_sigmoid")
cos_minus_x = _from_catalogue("cos_minus_x")
min_sin = _from_catalogue("min_sin")
arctan_squared_minus_x = _from_catalogue("arctan_squared_minus_x")
max_tanh = _from_catalogue("max_tanh")
sinc_plus_x = _from_catalogue("sinc_plus_x")
x_arcsinh_squared = _from_catalogue("x_arcsinh_squared")
