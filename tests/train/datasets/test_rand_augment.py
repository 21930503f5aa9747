"""The operations of RandAugment next to those of PIL."""

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

tf = pytest.importorskip("tensorflow")
from keras_swish.train.datasets import rand_augment  # noqa: E402

STRENGTH = 0.3
NAMES = ["identity", "shear_x", "shear_y", "translate_x", "translate_y", "rotate", "brightness"]
NAMES += ["color", "contrast", "sharpness", "posterize", "solarize", "auto_contrast", "equalize"]
IMAGE = np.random.default_rng(0).integers(20, 200, (32, 40, 3)).astype("uint8")


def applied(name, sign=1.0, image=IMAGE, strength=STRENGTH):
    operation = rand_augment.operations(strength)[NAMES.index(name)]
    changed = operation(tf.constant(image, tf.float32), tf.constant(sign))
    return np.clip(np.asarray(changed), 0, 255)


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("identity", lambda image: image),
        ("brightness", lambda image: ImageEnhance.Brightness(image).enhance(1.27)),
        ("color", lambda image: ImageEnhance.Color(image).enhance(1.27)),
        ("contrast", lambda image: ImageEnhance.Contrast(image).enhance(1.27)),
        ("sharpness", lambda image: ImageEnhance.Sharpness(image).enhance(1.27)),
        ("posterize", lambda image: ImageOps.posterize(image, 7)),
        ("solarize", lambda image: ImageOps.solarize(image, 179)),
        ("auto_contrast", ImageOps.autocontrast),
        ("equalize", ImageOps.equalize),
    ],
)
def test_colours_are_changed_as_by_pil(name, reference):
    expected = np.asarray(reference(Image.fromarray(IMAGE)), "float32")
    # PIL rounds, for some of them twice.
    np.testing.assert_allclose(applied(name), expected, atol=1.5)


def test_shapes_are_changed_as_by_pil():
    inner = (slice(8, -8), slice(8, -8))
    turned = Image.fromarray(IMAGE).rotate(-9, Image.Resampling.BILINEAR)
    difference = applied("rotate")[inner] - np.asarray(turned, "float32")[inner]
    assert np.abs(difference).max() < 2
    right = applied("translate_x", -1.0, strength=331 / 150 * 0.1)
    np.testing.assert_allclose(right[:, 4:], IMAGE[:, :-4], atol=1e-2)
    np.testing.assert_array_equal(right[:, :4], 128)


def test_grey_images_stay_grey():
    for name in NAMES:
        assert applied(name, image=IMAGE[..., :1]).shape == (32, 40, 1)


def test_constant_images_are_no_division_by_zero():
    flat = np.full((8, 8, 3), 7, "uint8")
    for name in ("auto_contrast", "equalize"):
        np.testing.assert_array_equal(applied(name, image=flat), 7)


def test_each_image_draws_operations_of_its_own():
    image = tf.constant(IMAGE, tf.float32)
    changed = [np.asarray(rand_augment.rand_augment(image, (0, n), 9.0)) for n in range(30)]
    assert len({array.tobytes() for array in changed}) > 20
    assert all(array.shape == IMAGE.shape for array in changed)
    assert min(array.min() for array in changed) >= 0
    assert max(array.max() for array in changed) <= 255
