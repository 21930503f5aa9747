"""What turns images into what a network was trained on, as a model to export in front of it."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from . import inception_preprocessing
from .base import normalization_up_to_255
from .in_memory import ImageArrays

FORMS = ("uint8", "encoded")


def of_image_files(form: str, image_size: int) -> keras.Model:
    """Returns the preprocessing of images of ImageNet's form: the centre, scaled, in [-1, 1].

    Args:
        form: "uint8": images of any one size, `(n, height, width, 3)`; "encoded": JPEG, PNG, GIF or
            BMP files, `(n,)` strings.
        image_size: Side of the images that the network takes.
    """
    shape = (image_size, image_size, 3)
    if form == "uint8":
        return _model(
            keras.Input((None, None, 3), dtype="uint8", name="images"),
            lambda images: inception_preprocessing.central(images, image_size),
            shape,
        )
    return _model(
        keras.Input((), dtype="string", name="images"),
        _for_each(lambda one: inception_preprocessing.for_evaluation(one, image_size), shape),
        shape,
    )


def of_arrays(form: str, dataset: ImageArrays) -> keras.Model:
    """Returns the preprocessing of images in memory: scaled to their size, normalised.

    Args:
        form: As for `of_image_files`; images have as many channels as those of the dataset.
        dataset: The images that the network was trained on.
    """
    height, width, channels = dataset.train.images.shape[1:]
    # Files and arrays of uint8 have pixels up to 255.
    mean, scale = (np.array(x, "float32") for x in normalization_up_to_255(dataset))

    def prepare(images: tf.Tensor) -> tf.Tensor:
        pixels = tf.image.resize(images, (height, width), antialias=True)
        return (pixels - mean) / scale

    def decode(encoded: tf.Tensor) -> tf.Tensor:
        return prepare(tf.io.decode_image(encoded, channels=channels, expand_animations=False))

    shape = (height, width, channels)
    if form == "uint8":
        inputs = keras.Input((None, None, channels), dtype="uint8", name="images")
        return _model(inputs, prepare, shape)
    return _model(keras.Input((), dtype="string", name="images"), _for_each(decode, shape), shape)


def examples(form: str, shape: tuple[int, ...], count: int = 3) -> np.ndarray:
    """Returns images to try such a model on: noise."""
    pixels = np.random.default_rng(0).integers(0, 256, (count, *shape)).astype("uint8")
    if form == "uint8":
        return pixels
    return np.array([tf.io.encode_png(image).numpy() for image in pixels], object)


def _for_each(function: Callable, shape: tuple[int, ...]) -> Callable:
    """Returns a function of a batch out of one of an example."""
    signature = tf.TensorSpec(shape, tf.float32)
    return lambda batch: tf.map_fn(function, batch, fn_output_signature=signature)


def _model(inputs: Any, function: Callable, shape: tuple[int, ...]) -> keras.Model:
    prepared = keras.layers.Lambda(function, output_shape=shape, dtype="float32")(inputs)
    if keras.config.image_data_format() == "channels_first":
        prepared = keras.layers.Permute((3, 1, 2))(prepared)
    return keras.Model(inputs, prepared, name="preprocessing")
