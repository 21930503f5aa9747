"""RandAugment: some of fourteen operations, drawn for each image, as operations of TensorFlow.

Not `keras.layers.RandAugment`, which draws one pair of operations for a whole batch, computes all
of them, and turns images by up to half a circle. No operation here keeps a state: all randomness
comes from seeds, and TensorFlow may run any number of these at once.

Source: Cubuk et al. 2020, "RandAugment"; the ranges are those of torchvision's `RandAugment`.
"""

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

# Operations applied to an image, and the magnitude that is full strength.
OPERATIONS, LARGEST = 2, 30
# What lies outside of a shifted image, as in AutoAugment's code.
GREY = 128.0
# The weights of a pixel and its neighbours in a smoothed image, as in PIL.
_SMOOTH = ((1.0, 1.0, 1.0), (1.0, 5.0, 1.0), (1.0, 1.0, 1.0))


def rand_augment(image: tf.Tensor, seed: tf.Tensor, magnitude: float) -> tf.Tensor:
    """Changes an image by two operations.

    Args:
        image: `(height, width, channels)`, float32 in [0, 255].
        seed: `(2,)`, int32 or int64: all that the outcome depends on next to the image.
        magnitude: Strength of the operations, of 30.

    Returns:
        A tensor of the same shape and range.

    Example:
        >>> import tensorflow as tf
        >>> from keras_swish.train.datasets.rand_augment import rand_augment
        >>> image = tf.reshape(tf.range(192.0), (8, 8, 3))
        >>> changed = rand_augment(image, tf.constant([0, 1]), magnitude=9)
        >>> changed.shape, bool(tf.reduce_all(changed == rand_augment(image, [0, 1], 9)))
        (TensorShape([8, 8, 3]), True)
    """
    shape = image.shape
    random = tf.random.stateless_uniform((OPERATIONS, 2), seed)
    for number in range(OPERATIONS):
        sign = tf.where(random[number, 1] < 0.5, -1.0, 1.0)
        changes = [
            lambda change=change, image=image, sign=sign: change(image, sign)
            for change in operations(magnitude / LARGEST)
        ]
        index = tf.cast(random[number, 0] * len(changes), tf.int32)
        image = tf.clip_by_value(tf.switch_case(index, changes), 0.0, 255.0)
    return tf.ensure_shape(image, shape)


def operations(strength: float) -> list[Callable[[tf.Tensor, tf.Tensor], tf.Tensor]]:
    """Returns the fourteen operations, functions of an image and a sign, at a strength of 0 to 1.

    Results may leave [0, 255].
    """
    turn = strength * math.radians(30)
    shear = 0.3 * strength
    shift = 150 / 331 * strength  # of a side
    bits = 8 - round(4 * strength)
    return [
        lambda image, sign: image,
        lambda image, sign: _affine(image, 1.0, sign * shear, 0.0, 1.0),
        lambda image, sign: _affine(image, 1.0, 0.0, sign * shear, 1.0),
        lambda image, sign: _affine(image, 1.0, 0.0, 0.0, 1.0, across=sign * shift),
        lambda image, sign: _affine(image, 1.0, 0.0, 0.0, 1.0, down=sign * shift),
        lambda image, sign: _affine(
            image, math.cos(turn), sign * math.sin(turn), -sign * math.sin(turn), math.cos(turn)
        ),
        lambda image, sign: (1.0 + 0.9 * strength * sign) * image,
        lambda image, sign: _blend(_grey(image), image, 1.0 + 0.9 * strength * sign),
        lambda image, sign: _blend(
            tf.reduce_mean(_grey(image)), image, 1.0 + 0.9 * strength * sign
        ),
        lambda image, sign: _blend(_smooth(image), image, 1.0 + 0.9 * strength * sign),
        lambda image, sign: tf.floor(image / 2 ** (8 - bits)) * 2 ** (8 - bits),
        lambda image, sign: tf.where(image < 255 * (1 - strength), image, 255.0 - image),
        lambda image, sign: _auto_contrast(image),
        lambda image, sign: _equalize(image),
    ]


def _affine(image, xx, xy, yx, yy, across: Any = 0.0, down: Any = 0.0) -> tf.Tensor:
    """Maps an image around its centre; `across` and `down` are shares of its sides."""
    height, width = image.shape[0], image.shape[1]
    x, y = (width - 1) / 2, (height - 1) / 2
    transform = [xx, xy, x - xx * x - xy * y + across * width]
    transform += [yx, yy, y - yx * x - yy * y + down * height, 0.0, 0.0]
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=image[None],
        transforms=tf.stack([tf.cast(value, tf.float32) for value in transform])[None],
        output_shape=tf.constant([height, width]),
        fill_value=GREY,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
    return moved[0]


def _blend(other, image, share) -> tf.Tensor:
    return other + share * (image - other)


def _grey(image: tf.Tensor) -> tf.Tensor:
    """Returns the luminance of an image of three channels; another one is as it is."""
    if image.shape[-1] != 3:
        return image
    return tf.tensordot(image, tf.constant([0.299, 0.587, 0.114]), 1)[..., None]


def _smooth(image: Any) -> tf.Tensor:
    """Averages each pixel with its neighbours, but for the pixels on the edges."""
    channels = image.shape[-1]
    kernel = tf.constant(_SMOOTH)[:, :, None, None] / 13.0
    inner = tf.nn.depthwise_conv2d(
        image[None], tf.tile(kernel, (1, 1, channels, 1)), (1, 1, 1, 1), "VALID"
    )[0]
    is_inner = tf.pad(tf.ones_like(inner, tf.bool), [(1, 1), (1, 1), (0, 0)])
    return tf.where(is_inner, tf.pad(inner, [(1, 1), (1, 1), (0, 0)]), image)


def _auto_contrast(image: tf.Tensor) -> tf.Tensor:
    """Scales each channel to all of [0, 255]."""
    low, high = (reduce(image, (0, 1)) for reduce in (tf.reduce_min, tf.reduce_max))
    return tf.where(high > low, (image - low) * tf.math.divide_no_nan(255.0, high - low), image)


def _equalize(image: Any) -> tf.Tensor:
    """Gives each channel as many pixels of every value, as PIL's `ImageOps.equalize` does."""
    values: Any = tf.cast(tf.round(image), tf.int32)
    channels = [_equalize_channel(values[..., c], image[..., c]) for c in range(image.shape[-1])]
    return tf.stack(channels, -1)


def _equalize_channel(values: tf.Tensor, channel: tf.Tensor) -> tf.Tensor:
    counts = tf.math.bincount(tf.reshape(values, [-1]), minlength=256, maxlength=256)
    last = counts[tf.reduce_max(values)]
    step = (tf.reduce_sum(counts) - last) // 255
    below = tf.cumsum(counts, exclusive=True)
    table = tf.minimum((below + step // 2) // tf.maximum(step, 1), 255)
    return tf.where(step > 0, tf.cast(tf.gather(table, values), tf.float32), channel)
