"""What today's recipes do to training batches, whatever they are read from.

RandAugment and random erasing change an image; mixup and CutMix mix two of a batch, with their
labels, which are then no longer one-hot. All is a function of (seed, step, host) alone: the same
for every activation, and after a restart. It runs in `tf.data`, on every backend.
"""

from typing import Any

import keras
import tensorflow as tf

from . import rand_augment
from .base import Augmentation, ImageDataset, normalization_up_to_255

# Smallest and largest share of a side, squared, that is erased (Zhong et al. 2020).
_ERASED = (0.02, 1 / 3)


def augmented(
    batches: tf.data.Dataset,
    dataset: ImageDataset,
    augmentation: Augmentation,
    seed: int,
    first_step: int,
    host: int = 0,
) -> tf.data.Dataset:
    """Returns training batches, augmented.

    Args:
        batches: Images in Keras's image data format, and one-hot labels; all batches full.
        dataset: Their `normalization` and `white` tell pixels from values.
        augmentation: What to do.
        seed: Seed of the run.
        first_step: Number of the first batch, counted from the start of the run.
        host: Number of this host, whose part of each batch they are.

    Returns:
        Batches of the same shapes; labels are float32, and sum to one.
    """
    # RandAugment takes pixels up to 255.
    mean, std = (tf.constant(part, tf.float32) for part in normalization_up_to_255(dataset))
    channels_first = keras.config.image_data_format() == "channels_first"
    layers = _Layers(augmentation)

    def change(step: tf.Tensor, batch: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        seeds = _Seeds(_fold_in(tf.constant([seed, host], tf.int64), step))
        images, labels = batch
        if channels_first:
            images = tf.transpose(images, (0, 2, 3, 1))
        if augmentation.rand_augment:
            pixels = tf.clip_by_value(images * std + mean, 0.0, 255.0)
            images = (_rand_augment(pixels, seeds, augmentation.rand_augment) - mean) / std
        images, labels = layers.apply(images, labels, seeds)
        if channels_first:
            images = tf.transpose(images, (0, 3, 1, 2))
        return images, labels

    steps = tf.data.Dataset.range(first_step, 2**62)
    return tf.data.Dataset.zip(steps, batches).map(change, tf.data.AUTOTUNE).prefetch(2)


class _Seeds(keras.random.SeedGenerator):
    """Seeds that follow from one of a batch, for Keras's layers, which take no others."""

    def __init__(self, key: tf.Tensor) -> None:  # without the state that Keras's has
        self._key, self._count = key, 0

    def next(self, ordered: bool = True) -> Any:
        """Returns the next seed, `(2,)`, int32."""
        self._count += 1
        return tf.cast(_fold_in(self._key, self._count) % 2**31, tf.int32)


def _fold_in(key: tf.Tensor, number: Any) -> Any:
    return tf.random.fold_in(key, number)  # pyright: ignore[reportAttributeAccessIssue]


class _Layers:
    """Keras's layers for what an augmentation asks for, with seeds of each batch's own."""

    def __init__(self, augmentation: Augmentation) -> None:
        common: Any = {"seed": 0, "data_format": "channels_last", "dtype": "float32"}
        erasing, mixup, cutmix = (
            augmentation.random_erasing,
            augmentation.mixup,
            augmentation.cutmix,
        )
        self._erase = self._mix_up = self._cut_mix = None
        if erasing:
            # The values of noise, which in a normalised image are about those of pixels.
            share: Any = (erasing, erasing)  # Keras's annotation has only one number
            self._erase = keras.layers.RandomErasing(
                share, _ERASED, value_range=(-1.0, 1.0), **common
            )
        if mixup:
            self._mix_up = keras.layers.MixUp(mixup, **common)
        if cutmix:
            # Its alpha is drawn between the two.
            alpha: Any = (cutmix, cutmix)
            self._cut_mix = keras.layers.CutMix(alpha, **common)
        for layer in (self._erase, self._mix_up, self._cut_mix):
            if layer is not None:
                layer.backend.set_backend("tensorflow")

    def apply(
        self, images: tf.Tensor, labels: tf.Tensor, seeds: _Seeds
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns a batch, erased and mixed: each in one of the two ways, where there are two."""
        if self._erase is not None:
            erased = self._erase.get_random_transformation(images, seed=seeds)
            images = self._erase.transform_images(images, erased)
        mixers = [layer for layer in (self._mix_up, self._cut_mix) if layer is not None]
        if len(mixers) < 2:
            return self._mixed(mixers[0], images, labels, seeds) if mixers else (images, labels)
        return tf.cond(
            tf.random.stateless_uniform((), seeds.next()) < 0.5,
            lambda: self._mixed(mixers[0], images, labels, seeds),
            lambda: self._mixed(mixers[1], images, labels, seeds),
        )

    @staticmethod
    def _mixed(
        layer: Any, images: tf.Tensor, labels: tf.Tensor, seeds: _Seeds
    ) -> tuple[tf.Tensor, tf.Tensor]:
        how = layer.get_random_transformation(images, seed=seeds)
        return layer.transform_images(images, how), layer.transform_labels(labels, how)


def _rand_augment(pixels: Any, seeds: _Seeds, magnitude: float) -> tf.Tensor:
    keys = tf.random.stateless_uniform((pixels.shape[0], 2), seeds.next(), 0, 2**31 - 1, tf.int32)
    return tf.map_fn(
        lambda pair: rand_augment.rand_augment(pair[0], pair[1], magnitude),
        (pixels, keys),
        fn_output_signature=tf.TensorSpec(pixels.shape[1:], tf.float32),
    )
