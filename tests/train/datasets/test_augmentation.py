"""Batches of images in memory: order, augmentation, and the graph that makes the same."""

import dataclasses

import numpy as np
import pytest

from keras_swish.train.datasets.augmentation import AugmentationParams, Batches, augment


def test_batches_are_a_function_of_seed_epoch_and_step(tiny):
    def batch(seed, epoch, step):
        batches = Batches(tiny, tiny.train, 16, seed, steps=20)
        return batches[4 * epoch + step][0]

    np.testing.assert_array_equal(batch(1, 2, 3), batch(1, 2, 3))
    for other in [(2, 2, 3), (1, 3, 3), (1, 2, 2)]:
        assert not np.array_equal(batch(1, 2, 3), batch(*other))


def test_batches_can_begin_at_any_step(tiny):
    whole = Batches(tiny, tiny.train, 16, seed=0, steps=9)
    rest = Batches(tiny, tiny.train, 16, seed=0, steps=3, first_step=6)
    assert (len(whole), len(rest)) == (9, 3)
    for step in range(3):
        for ours, theirs in zip(rest[step], whole[6 + step]):
            np.testing.assert_array_equal(ours, theirs)


def test_hosts_get_their_shares_of_the_same_batches(tiny):
    whole = Batches(tiny, tiny.train, 16, seed=0)
    shards = [Batches(tiny, tiny.train, 16, seed=0, shard=(host, 2)) for host in range(2)]
    for step in range(4):
        for part, all_of_it in zip(zip(*(shard[step] for shard in shards)), whole[step]):
            assert len(part[0]) == len(part[1]) == 8
            np.testing.assert_array_equal(np.concatenate(part), all_of_it)


def test_padding_changes_no_mean_over_the_split(tiny):
    plain, padded = tiny.evaluation("test", 16), tiny.evaluation("test", 16, pad=True)
    batches = [padded[step] for step in range(len(padded))]
    assert all(len(part) == 16 for batch in batches for part in batch)
    means = [np.mean(images * weights[:, None, None, None]) for images, _, weights in batches]
    whole = np.concatenate([plain[step][0] for step in range(len(plain))])
    assert len(whole) == 30
    assert np.mean(means) == pytest.approx(whole.mean(), rel=1e-5)


def test_an_epoch_sees_each_image_once_with_its_label(tiny):
    plain = dataclasses.replace(tiny, spec=dataclasses.replace(tiny.spec, pad=0))
    batches = Batches(plain, plain.train, 16, seed=0)
    images, labels = (np.concatenate(part) for part in zip(*[batches[i] for i in range(4)]))
    pixels = np.round(images * tiny.spec.std[0] + tiny.spec.mean[0]).astype("uint8")
    pairs = sorted(zip(map(bytes, pixels), labels.argmax(1)))
    assert pairs == sorted(zip(map(bytes, plain.train.images), plain.train.labels))


def test_evaluation_batches_are_the_split_as_it_is(tiny):
    batches = Batches(tiny, tiny.test, 16)
    assert len(batches) == 2
    images = np.concatenate([batches[i][0] for i in range(2)])
    np.testing.assert_allclose(images, (tiny.test.images - np.float32(100)) / 70, rtol=1e-6)


def test_training_batches_are_all_full(tiny):
    assert len(Batches(tiny, tiny.train, 30, seed=0)) == 2


@pytest.mark.parametrize("settings", [{}, {"first_step": 6, "steps": 9}, {"shard": (1, 2)}])
@pytest.mark.parametrize(("pad", "flip"), [(2, True), (0, False)])
def test_the_graph_gives_the_same_bits(tiny, pad, flip, settings):
    pytest.importorskip("tensorflow")
    tiny = dataclasses.replace(tiny, spec=dataclasses.replace(tiny.spec, pad=pad, flip=flip))
    batches = Batches(tiny, tiny.train, 16, seed=0, **settings)
    in_graph = list(batches.tf_data().as_numpy_iterator())
    assert len(in_graph) == len(batches)
    for step, ours in enumerate(in_graph):
        for part, expected in zip(ours, batches[step], strict=True):
            assert part.dtype == expected.dtype
            np.testing.assert_array_equal(part, expected)


def drawn(count, pad):
    random = np.random.default_rng(0)
    top, left = random.integers(0, 2 * pad + 1, size=(2, count))
    return AugmentationParams(np.arange(count), top, left, random.random(count) < 0.5)


def test_augmentation_is_a_shifted_and_perhaps_mirrored_image():
    images = np.arange(1, 1 + 200 * 6 * 5 * 2, dtype="float32").reshape(200, 6, 5, 2)
    draws = drawn(200, pad=2)
    augmented = augment(images, draws, pad=2)
    for image, changed, top, left, mirrored in zip(images, augmented, *draws[1:], strict=True):
        padded = np.pad(image, ((2, 2), (2, 2), (0, 0)))
        crop = padded[top : top + 6, left : left + 5]
        np.testing.assert_array_equal(changed, crop[:, ::-1] if mirrored else crop)


@pytest.mark.parametrize(("flip", "share"), [(True, 0.5), (False, 0.0)])
def test_every_place_is_drawn_and_half_are_mirrored(tiny, flip, share):
    tiny = dataclasses.replace(tiny, spec=dataclasses.replace(tiny.spec, flip=flip))
    batches = Batches(tiny, tiny.train, 16, seed=0)
    draws = [np.concatenate(part) for part in zip(*map(batches.draw, range(50)))]
    places = 2 * tiny.spec.pad + 1
    assert len(set(zip(draws[1], draws[2]))) == places**2
    assert draws[3].mean() == pytest.approx(share, abs=0.1)
