"""Random fields: the noise that waves, coasts, clouds and textures are made of.

All fields are float32 (size, size). Lengths are pixels, angles are radians from the x axis towards the y axis
(which points down).
"""

from functools import lru_cache
from math import ceil

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import fft

Field = NDArray[np.float32]
"""float32 (size, size)."""
Colours = NDArray[np.float32]
"""float32 (size, size, 3), red first, 0..255 unless said otherwise."""


def fractal(
    rng: np.random.Generator, size: int, exponent: float, *, cell: int = 1, longest: float | None = None
) -> Field:
    """Make noise whose amplitude falls with frequency, like coasts, clouds and hills.

    Args:
        rng: Source of randomness.
        size: Side of the field.
        exponent: Amplitude falls as frequency ** -exponent: 0 is white noise, 1.8 a smooth landscape.
        cell: Finest detail in pixels; the noise is made that much smaller and enlarged, which is faster.
        longest: Wavelength above which there is no more power; None for none.

    Returns:
        Zero mean and unit deviation over the period, which is a quarter larger than what is returned: opposite
        borders do not match.
    """
    side = fft.next_fast_len(ceil(size / cell * 1.25) + 2, real=True)
    frequency_x, frequency_y = _frequencies(side)
    frequency = np.hypot(frequency_x, frequency_y)
    frequency[0, 0] = 1.0
    floor = 0.0 if longest is None else cell / longest
    amplitude = np.maximum(frequency, floor) ** np.float32(-exponent)
    field = _shaped_noise(rng, side, amplitude)
    wanted = ceil(size / cell) + 1
    return enlarge(field[:wanted, :wanted], wanted * cell)[:size, :size] if cell > 1 else field[:size, :size]


def waves(
    rng: np.random.Generator, size: int, *, wavelength: float, direction: float, focus: float, decay: float
) -> Field:
    """Make a sea surface: waves that travel about one direction.

    Args:
        rng: Source of randomness.
        size: Side of the field.
        wavelength: Of the highest waves; longer ones die out, shorter ones fall off by `decay`.
        direction: Where the waves travel.
        focus: How strictly they keep to it; 0 is all directions alike, 8 is a clean swell.
        decay: Amplitude falls as frequency ** -decay above the peak.

    Returns:
        Zero mean, unit deviation.
    """
    side = fft.next_fast_len(size, real=True)
    frequency_x, frequency_y = _frequencies(side)
    squared = frequency_x**2 + frequency_y**2
    squared[0, 0] = 1.0
    along = (frequency_x * np.float32(np.cos(direction)) + frequency_y * np.float32(np.sin(direction))) ** 2 / squared
    peak = np.float32((1 / wavelength) ** 2)
    amplitude = np.exp(-peak / squared) * squared ** np.float32(-decay / 2) * (along + 0.02) ** np.float32(focus / 2)
    return _shaped_noise(rng, side, amplitude)[:size, :size]


def _shaped_noise(rng: np.random.Generator, side: int, amplitude: Field) -> Field:
    spectrum = fft.rfft2(rng.standard_normal((side, side), dtype=np.float32))
    amplitude[0, 0] = 0.0
    field: Field = fft.irfft2(spectrum * amplitude, s=(side, side))
    return field / np.float32(field.std() + 1e-12)


@lru_cache(maxsize=16)
def _frequencies(side: int) -> tuple[Field, Field]:
    """(1, side // 2 + 1) and (side, 1) frequencies in cycles a sample."""
    return fft.rfftfreq(side).astype(np.float32)[np.newaxis], fft.fftfreq(side).astype(np.float32)[:, np.newaxis]


def enlarge(field: Field, size: int) -> Field:
    """Enlarge a small field smoothly to (size, size)."""
    # Bicubic, not spline: Pillow takes 2 ms for what scipy.ndimage.zoom needs 28 ms.
    image = Image.fromarray(np.ascontiguousarray(field, dtype=np.float32))
    return np.array(image.resize((size, size), Image.Resampling.BICUBIC), dtype=np.float32)


def smoothstep(field: Field, low: float, high: float) -> Field:
    """Rise from 0 at `low` to 1 at `high` without kinks."""
    part = np.clip((field - np.float32(low)) * np.float32(1 / (high - low)), 0, 1)
    risen: Field = part * part * (3 - 2 * part)
    return risen


def projection(size: int, angle: float) -> Field:
    """Distance of each pixel from the image centre along the direction `angle`."""
    steps = np.arange(size, dtype=np.float32) - np.float32((size - 1) / 2)
    return steps * np.float32(np.cos(angle)) + steps[:, np.newaxis] * np.float32(np.sin(angle))


def blend(canvas: Colours, colour: Colours, share: Field) -> None:
    """Move `canvas` towards `colour` by `share` (0..1), in place; `colour` may be one colour (3,)."""
    canvas += (colour - canvas) * share[..., np.newaxis]
