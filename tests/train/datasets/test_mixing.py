"""What today's recipes do to batches of images."""

import dataclasses

import keras
import numpy as np
import pytest

from keras_swish.train.errors import ArgumentError

pytest.importorskip("tensorflow")
from keras_swish.train.datasets import in_memory
from keras_swish.train.datasets.base import SMALLEST_ALPHA, Augmentation

ALL = Augmentation(rand_augment=9, random_erasing=0.25, mixup=0.8, cutmix=1.0)


def batches(dataset, augmentation, seed=0, first=0, count=8, shard=(0, 1)):
    drawn = dataset.training(16, seed, first, count, shard, augmentation)
    return [tuple(np.asarray(part) for part in batch) for batch in drawn]


def equal(ours, theirs):
    pairs = zip(ours, theirs, strict=True)
    return all(np.array_equal(a, b) for pair in pairs for a, b in zip(*pair, strict=True))


def test_batches_are_a_function_of_seed_and_step(tiny):
    whole = batches(tiny, ALL)
    assert equal(whole[3:], batches(tiny, ALL, first=3, count=5))
    assert not equal(whole, batches(tiny, ALL, seed=1))
    assert len({images.tobytes() for images, _ in whole}) == 8
    assert [images.shape for images, _ in whole] == [(16, 8, 8, 1)] * 8


def test_labels_are_mixed_as_the_images_are(tiny):
    # Of images that show the number of their class, the mixture shows the mixed label.
    shown = tiny.train.labels[:, None, None, None] * np.ones((1, 8, 8, 1)) * 60
    train = dataclasses.replace(tiny.train, images=shown.astype("uint8"))
    spec = dataclasses.replace(tiny.spec, mean=(0.0,), std=(60.0,), pad=0)
    plain = dataclasses.replace(tiny, train=train, spec=spec)
    for augmentation, rtol in ((Augmentation(mixup=0.8), 1e-4), (Augmentation(cutmix=1.0), None)):
        mixed = batches(plain, augmentation)
        for images, labels in mixed:
            np.testing.assert_allclose(labels.sum(1), 1, rtol=1e-5)
            means, expected = images.mean((1, 2, 3)), labels @ np.arange(3.0)
            # A box of CutMix ends within pixels.
            np.testing.assert_allclose(means, expected, rtol=rtol or 0, atol=0 if rtol else 0.6)
        assert np.mean([labels.max(1) < 0.99 for _, labels in mixed]) > 0.3


def test_either_mixes_a_batch_where_both_are_asked_for(tiny):
    both = batches(tiny, Augmentation(mixup=0.8, cutmix=1.0), count=16)
    alone = batches(tiny, None, count=16)
    kinds = set()
    for (images, _), (before, _) in zip(both, alone, strict=True):
        # CutMix gives pixels of an image or another, mixup means of two.
        kinds.add(bool(np.isin(images, before).all()))
    assert kinds == {True, False}


def test_erasing_erases_a_share_of_the_images(tiny):
    erased = batches(tiny, Augmentation(random_erasing=0.25), count=16)
    before = batches(tiny, None, count=16)
    changed = [(a[0] != b[0]).any((1, 2, 3)) for a, b in zip(erased, before, strict=True)]
    assert 0.15 < np.mean(changed) < 0.35


def test_hosts_mix_differently(tiny):
    parts = [batches(tiny, Augmentation(mixup=0.8), shard=(host, 2)) for host in range(2)]
    assert all(images.shape[0] == 8 for part in parts for images, _ in part)
    weights = [np.sort(labels.max(1)) for part in parts for _, labels in part[:1]]
    assert not np.allclose(*weights)


def test_rand_augment_takes_the_whitest_pixel_for_white():
    """The digits' pixels end at 16: as those of an image that is black, none would be bright."""
    digits = in_memory.load("digits", train_split="train[:100]")
    factor = 255 / digits.white
    scaled = digits.train.images * np.float32(factor)
    spec = dataclasses.replace(digits.spec, mean=(4.88 * factor,), std=(6.01 * factor,), white=255)
    train = dataclasses.replace(digits.train, images=scaled)
    ours = batches(digits, Augmentation(rand_augment=9))
    theirs = batches(
        dataclasses.replace(digits, train=train, spec=spec), Augmentation(rand_augment=9)
    )
    for (images, _), (expected, _) in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(images, expected, atol=1e-4)
        assert images.max() < (digits.white - 4.88) / 6.01 + 1e-4


def test_an_alpha_too_small_to_be_drawn_with_is_refused():
    for name in ("mixup", "cutmix"):
        with pytest.raises(ArgumentError, match=r"must be 0 or at least 0\.05") as caught:
            Augmentation(**{name: 0.01})
        assert caught.value.argument == name
    # Of the smallest alpha, as good as none of the shares are the half of two equal numbers.
    mix_up = keras.layers.MixUp(SMALLEST_ALPHA, seed=0)
    drawn = mix_up.get_random_transformation(np.zeros((20_000, 1, 1, 1), "float32"))
    assert np.mean(np.asarray(drawn["mix_weight"]) == 0.5) < 1e-3
