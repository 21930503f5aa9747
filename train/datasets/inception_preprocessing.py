"""Inception's preprocessing: encoded images in, crops of one size out, in [-1, 1].

A JPEG is decoded and cropped in one operation, so that what lies outside of the crop costs
no colour conversion. No operation here keeps a state: all randomness comes from seeds, and
TensorFlow may run any number of these at once, also where it has to be deterministic.

Source: Szegedy et al. 2015 (Going Deeper with Convolutions), section 6, with the numbers of
TF-Slim's inception_preprocessing.py. Unlike there, images are always scaled bilinearly.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import tensorflow as tf

COLORS = ("fast", "full", "none")
# Share of height and width in the centre that an evaluation sees.
_CENTRE = 0.875


@dataclasses.dataclass(frozen=True)
class Distortion:
    """Distortions of training images; TF-Slim's numbers by default.

    Attributes:
        area: Smallest and largest share of the image that a crop may have. TF-Slim rejects
            crops below a tenth all the same: they cover too little of the image.
        aspect: Smallest and largest width / height of a crop.
        flip: Whether half of the images are mirrored.
        color: What is changed in the colours: "fast" brightness and saturation, TF-Slim's
            default; "full" hue and contrast too; "none".
    """

    area: tuple[float, float] = (0.05, 1.0)
    aspect: tuple[float, float] = (0.75, 1.33)
    flip: bool = True
    color: str = "fast"


def for_training(
    encoded: tf.Tensor, seed: tf.Tensor, image_size: int, distortion: Distortion
) -> tf.Tensor:
    """Decodes a random crop of an image, scales and distorts it.

    Args:
        encoded: Scalar string: a JPEG, PNG, GIF or BMP file.
        seed: `(2,)`, int64: all that the outcome depends on next to the image.
        image_size: Side of the result.
        distortion: The changes that may be made to the image.

    Returns:
        `(image_size, image_size, 3)`, float32 in [-1, 1].

    Raises:
        tf.errors.InvalidArgumentError: When it is run, if the image cannot be decoded.
    """
    # One draw for all but the crop: an operation costs more than its numbers. With a seed of its
    # own: with the crop's, its first number, which mirrors, is the one that makes the crop wide.
    other_seed: Any = tf.random.fold_in(seed, 1)  # pyright: ignore[reportAttributeAccessIssue]
    random = tf.random.stateless_uniform((6,), other_seed)

    def box(shape):
        begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
            shape,
            bounding_boxes=tf.constant([[[0.0, 0.0, 1.0, 1.0]]]),
            seed=seed,
            min_object_covered=0.1,
            aspect_ratio_range=distortion.aspect,
            area_range=distortion.area,
            max_attempts=100,
            use_image_if_no_bounding_boxes=True,
        )
        return tf.concat([begin[:2], size[:2]], 0)

    image = _decode_crop(encoded, box)
    if distortion.flip:  # before scaling, while a pixel is three bytes
        image = tf.cond(random[0] < 0.5, lambda: tf.reverse(image, [1]), lambda: image)
    scaled = tf.image.resize(image, (image_size, image_size))
    if distortion.color != "none":
        scaled = _distort_color(scaled, random[1:], distortion.color)
    return scaled / 127.5 - 1.0


def for_evaluation(encoded: tf.Tensor, image_size: int) -> tf.Tensor:
    """Decodes the centre of an image and scales it.

    Args:
        encoded: Scalar string: a JPEG, PNG, GIF or BMP file.
        image_size: Side of the result.

    Returns:
        `(image_size, image_size, 3)`, float32 in [-1, 1].

    Raises:
        tf.errors.InvalidArgumentError: When it is run, if the image cannot be decoded.
    """
    centre = _decode_crop(encoded, _central_box)
    return tf.image.resize(centre, (image_size, image_size)) / 127.5 - 1.0


def central(images: tf.Tensor, image_size: int) -> tf.Tensor:
    """Scales the centres of images that are decoded, as `for_evaluation` does.

    Args:
        images: `(n, height, width, 3)`, uint8.
        image_size: Side of the result.

    Returns:
        `(n, image_size, image_size, 3)`, float32 in [-1, 1].
    """
    top, left, height, width = tf.unstack(_central_box(tf.shape(images)[1:]))
    centre = images[:, top : top + height, left : left + width]
    return tf.image.resize(centre, (image_size, image_size)) / 127.5 - 1.0


def _central_box(shape: tf.Tensor) -> tf.Tensor:
    """Returns top, left, height and width of the centre of an image."""
    sides = tf.cast(shape[:2], tf.float64)
    begin = tf.cast((sides - sides * _CENTRE) / 2, tf.int32)
    return tf.concat([begin, shape[:2] - 2 * begin], 0)


def _decode_crop(encoded: tf.Tensor, box: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
    """Decodes the crop `box(shape)`: (top, left, height, width)."""

    def jpeg():
        window = box(tf.image.extract_jpeg_shape(encoded))
        return tf.image.decode_and_crop_jpeg(encoded, window, channels=3)

    def other():
        image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
        top, left, height, width = tf.unstack(box(tf.shape(image)))
        return image[top : top + height, left : left + width]

    return tf.ensure_shape(tf.cond(tf.io.is_jpeg(encoded), jpeg, other), (None, None, 3))


# TF-Slim draws one of four orders; of the fast ones, three are the same.
_FAST_LAST = ("saturation", "brightness")
_ORDERS = {
    "fast": [("brightness", "saturation"), _FAST_LAST, _FAST_LAST, _FAST_LAST],
    "full": [
        ("brightness", "saturation", "hue", "contrast"),
        ("saturation", "brightness", "contrast", "hue"),
        ("contrast", "hue", "brightness", "saturation"),
        ("hue", "saturation", "contrast", "brightness"),
    ],
}


def _distort_color(image: tf.Tensor, random: tf.Tensor, color: str) -> tf.Tensor:
    """Changes the colours of an image in [0, 255], in one of TF-Slim's four orders."""
    shift, saturation, hue, contrast = tf.unstack(
        random[:4] * [64.0, 1.0, 0.4, 1.0] + [-32.0, 0.5, -0.2, 0.5]
    )
    change = {
        "brightness": lambda x: x + shift,
        "saturation": lambda x: tf.image.adjust_saturation(x, saturation),
        "hue": lambda x: tf.image.adjust_hue(x, hue),
        "contrast": lambda x: tf.image.adjust_contrast(x, contrast),
    }

    def in_order(names):
        def distort():
            distorted = image
            for name in names:
                distorted = change[name](distorted)
            return tf.clip_by_value(distorted, 0.0, 255.0)

        return distort

    return tf.switch_case(
        tf.cast(random[4] * 4, tf.int32), [in_order(names) for names in _ORDERS[color]]
    )
