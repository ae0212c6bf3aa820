"""Changes of what is seen: haze, blur, light and JPEG, in the order in which they befall a picture.

Pixels are float32 (N, side, side, 3) in grey levels, in and out.
"""

from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray
from scipy.fft import dct

from shipseg_tiles.nets.separable import filter_separably, gaussian

VEIL = np.array([188, 196, 206], dtype=np.float32)
"""Colour of haze, a light grey with some blue."""

BLOCK = 8
"""Side of JPEG's blocks in pixels."""

COARSENESS = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    dtype=np.float32,
)
"""Steps of brightness frequencies at JPEG's quality 50 (ITU-T T.81, table K.1)."""

COLOUR_COARSENESS = np.full((BLOCK, BLOCK), 99, dtype=np.float32)
"""Steps of colour frequencies at quality 50 (table K.2)."""

COLOUR_COARSENESS[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]

TO_BRIGHTNESS_AND_COLOUR = np.array(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], dtype=np.float32
)
"""Red, green, blue to Y, Cb, Cr (JFIF 1.02), less the offset of 128 that changes nothing here."""


def add_haze(pixels: Any, corners: Any) -> Any:
    """Draw a veil over patches.

    Args:
        pixels: See above.
        corners: float32 (N, 2, 2), 0 to 1: share of the veil in the corners of each patch; in between it is even.
    """
    across = ops.linspace(0.0, 1.0, pixels.shape[1], dtype="float32")
    down = ops.expand_dims(across, 1)
    sides = corners[:, :1] + down * (corners[:, 1:] - corners[:, :1])
    thickness = sides[..., :1] + across * (sides[..., 1:] - sides[..., :1])
    return pixels + ops.expand_dims(thickness, -1) * (ops.convert_to_tensor(VEIL) - pixels)


def blur(pixels: Any, deviations: Any) -> Any:
    """Blur patches with Gaussians of `deviations`, float32 (N,) in pixels; 0 changes nothing."""
    return filter_separably(pixels, gaussian(pixels.shape[1], deviations))


def change_light(pixels: Any, contrast: Any, shift: Any) -> Any:
    """Change contrast, brightness and colour, and round to what a file could hold.

    Args:
        pixels: See above.
        contrast: float32 (N, 1, 1, 1), factor of the deviation from a patch's mean.
        shift: float32 (N, 1, 1, 3), what is added to each channel, in grey levels.
    """
    mean = ops.mean(pixels, axis=(1, 2, 3), keepdims=True)
    return _as_levels((pixels - mean) * contrast + mean + shift)


def add_jpeg_noise(pixels: Any, coarseness: Any) -> Any:
    """Lose what JPEG loses: frequencies of blocks of 8 x 8 pixels are rounded to steps. Colour is not thinned out.

    Args:
        pixels: Whole grey levels, 0 to 255; the side a multiple of 8.
        coarseness: float32 (N,), steps as a share of the standard's table: 1 is quality 50, 0.4 is 80; at 0 all
            steps are 1, as at quality 100.
    """
    table = np.stack([COARSENESS, COLOUR_COARSENESS, COLOUR_COARSENESS]).reshape(3, -1)
    steps = ops.maximum(ops.reshape(coarseness, (-1, 1, 1, 1)) * ops.convert_to_tensor(table), 1)
    cosines = _cosines()
    blocks = _blocks(ops.tensordot(pixels, TO_BRIGHTNESS_AND_COLOUR.T, 1))
    rounded = ops.round(ops.tensordot(blocks, cosines.T, 1) / steps) * steps
    found = _from_blocks(ops.tensordot(rounded, cosines, 1), pixels.shape[1])
    return _as_levels(ops.tensordot(found, np.linalg.inv(TO_BRIGHTNESS_AND_COLOUR).T, 1))


def _blocks(pixels: Any) -> Any:
    """Cut (N, side, side, 3) into (N, blocks, 3, 64)."""
    side = pixels.shape[1]
    blocks = ops.reshape(pixels, (-1, side // BLOCK, BLOCK, side // BLOCK, BLOCK, 3))
    return ops.reshape(ops.transpose(blocks, (0, 1, 3, 5, 2, 4)), (-1, (side // BLOCK) ** 2, 3, BLOCK**2))


def _from_blocks(blocks: Any, side: int) -> Any:
    """Take `_blocks` back."""
    blocks = ops.reshape(blocks, (-1, side // BLOCK, side // BLOCK, 3, BLOCK, BLOCK))
    return ops.reshape(ops.transpose(blocks, (0, 1, 4, 2, 5, 3)), (-1, side, side, 3))


def _cosines() -> NDArray[np.float32]:
    """Return the orthonormal cosine transform (DCT-II) of blocks, float32 (64, 64), a frequency per row."""
    waves = dct(np.eye(BLOCK), axis=0, norm="ortho")
    return np.kron(waves, waves).astype(np.float32)


def _as_levels(pixels: Any) -> Any:
    """Round to what a file can hold."""
    return ops.clip(ops.round(pixels), 0, 255)
