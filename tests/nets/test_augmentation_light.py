import io

import numpy as np
import pytest
from PIL import Image

from shipseg_tiles.nets.augmentation_light import VEIL, add_haze, add_jpeg_noise, blur, change_light


def noise(count, side=16, deviation=40):
    """Whole grey levels about 128, as float32."""
    levels = np.random.default_rng(0).normal(128, deviation, (count, side, side, 3))
    return np.clip(np.round(levels), 0, 255).astype(np.float32)


def test_haze_is_as_thick_in_the_corners_as_is_said_and_even_between_them():
    """On black the veil is what is seen: 0.8 of it upper left, none at the right, 0.4 lower left, 0.6 half way down."""
    corners = np.array([[[0.8, 0], [0.4, 0]]], dtype=np.float32)

    seen = np.asarray(add_haze(np.zeros((1, 5, 5, 3), dtype=np.float32), corners))[0] / VEIL

    assert seen[[0, 0, 4, 4], [0, 4, 0, 4], 0] == pytest.approx([0.8, 0, 0.4, 0])
    assert seen[2, 0] == pytest.approx([0.6, 0.6, 0.6])
    assert seen[0, 1, 0] == pytest.approx(0.6)
    assert seen[2, 2, 0] == pytest.approx(0.3)


def test_haze_takes_contrast_away():
    """Behind half a veil all differences are half as large."""
    pixels = noise(2)

    hazy = np.asarray(add_haze(pixels, np.full((2, 2, 2), 0.5, dtype=np.float32)))

    assert hazy == pytest.approx((pixels + VEIL) / 2, rel=1e-5)


def test_blur_spreads_each_patch_as_far_as_is_said():
    """Of a single bright pixel, the mean squared distance along each axis is the square of the deviation."""
    pixels = np.zeros((3, 31, 31, 3), dtype=np.float32)
    pixels[:, 15, 15] = 255

    blurred = np.asarray(blur(pixels, np.array([0, 1, 2.5], dtype=np.float32)))[..., 0] / 255

    squares = (np.arange(31) - 15) ** 2
    assert blurred.sum(axis=(1, 2)) == pytest.approx([1, 1, 1], rel=1e-4)
    assert (blurred.sum(axis=1) @ squares) == pytest.approx([0, 1, 6.25], rel=1e-3)
    assert (blurred.sum(axis=2) @ squares) == pytest.approx([0, 1, 6.25], rel=1e-3)


def test_light_by_hand():
    """A patch of the levels 100 and 120 has the mean 110; at half the contrast they are 105 and 115; red gains 20.4 and
    blue loses 200, of which black takes all it can. Halves are rounded to even, as files know no halves."""
    pixels = np.full((1, 2, 2, 3), 100, dtype=np.float32)
    pixels[:, 0] = 120

    changed = np.asarray(change_light(pixels, np.full((1, 1, 1, 1), 0.5), np.array([[[[20.4, 0, -200]]]])))

    assert changed[0, 0, 0].tolist() == [135, 115, 0]
    assert changed[0, 1, 1].tolist() == [125, 105, 0]


def saved_as_jpeg(patch, quality):
    """What Pillow makes of it, without thinning out colour."""
    file = io.BytesIO()
    Image.fromarray(patch.astype(np.uint8)).save(file, "JPEG", quality=quality, subsampling=0)
    return np.asarray(Image.open(file)).astype(np.float32)


@pytest.mark.parametrize(("coarseness", "quality"), [(1.0, 50), (0.4, 80), (2.5, 20), (0.0, 100)])
def test_jpeg_noise_is_what_a_jpeg_file_would_add(coarseness, quality):
    """The file differs by its own rounding, to whole levels of brightness and colour and to steps that are whole: that
    is far less than the noise."""
    patch = noise(1, side=32)

    noisy = np.asarray(add_jpeg_noise(patch, np.array([coarseness], dtype=np.float32)))[0]

    added = np.abs(saved_as_jpeg(patch[0], quality) - patch[0]).mean()
    assert np.abs(noisy - saved_as_jpeg(patch[0], quality)).mean() < max(0.35 * added, 0.7)
    assert np.abs(noisy - patch[0]).mean() == pytest.approx(added, rel=0.15, abs=0.4)


def test_each_patch_has_its_own_jpeg_noise():
    patches = np.repeat(noise(1), 3, axis=0)

    noisy = np.asarray(add_jpeg_noise(patches, np.array([0, 0.5, 2], dtype=np.float32)))

    added = np.abs(noisy - patches).mean(axis=(1, 2, 3))
    assert added[0] < 1 < added[1] < added[2]
