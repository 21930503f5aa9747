"""The named activation functions, tensor to tensor."""

import keras
from keras import ops


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
    x = ops.convert_to_tensor(x)
    if isinstance(beta, (int, float)) and beta == 1:
        return ops.silu(x)
    return x * ops.sigmoid(ops.cast(beta, x.dtype) * x)
