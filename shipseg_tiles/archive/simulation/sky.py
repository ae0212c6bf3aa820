"""What lies between the ground and the sensor: clouds, their shadows, haze; and the sensor itself."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from shipseg_tiles.archive.simulation.fields import Colours, Field, blend, enlarge, fractal, smoothstep


@dataclass(frozen=True)
class Clouds:
    """Clouds over a scene.

    Attributes:
        cover: (size, size), 0 clear to 1 opaque.
        light: (size, size) brightness of the cloud, 0..255.
        shadow: (size, size) share of the light taken from the ground, 0..1.
    """

    cover: Field
    light: Field
    shadow: Field


def make_clouds(rng: np.random.Generator, size: int, sun: float) -> Clouds:
    """Make clouds of random amount and thickness, their shadows away from the direction `sun`."""
    height = int(rng.integers(size // 16, size // 4))
    field = fractal(rng, size + height, rng.uniform(1.45, 1.8), cell=2, longest=size * rng.uniform(0.3, 1.2))
    threshold = rng.uniform(0.0, 1.8)
    softness = rng.uniform(1.4, 3.0)
    thickness = np.float32(rng.uniform(0.35, 1.0))
    # Wisps: finer detail that eats into the thin edges.
    wisps = fractal(rng, size + height, 1.3, cell=2, longest=80)
    density = smoothstep(field + np.float32(0.18) * wisps, threshold, threshold + softness)
    # A shadow at p belongs to the cloud at p - away: two windows into one field, one shifted against the other.
    away = round(-np.cos(sun) * height), round(-np.sin(sun) * height)
    here = _window(density, size, max(0, away[0]), max(0, away[1]))
    there = _window(density, size, max(0, -away[0]), max(0, -away[1]))
    light = (
        np.float32(rng.uniform(165, 220)) + np.float32(15) * fractal(rng, size, 1.5, cell=4, longest=150) + 25 * here
    )
    cover = np.clip(here * thickness, 0, 0.97)
    return Clouds(cover, light, np.clip(there, 0, 1) * thickness * np.float32(rng.uniform(0.25, 0.6)))


def _window(field: Field, size: int, left: int, top: int) -> Field:
    return field[top : top + size, left : left + size]


def no_clouds(size: int) -> Clouds:
    """A clear sky."""
    nothing = np.zeros((size, size), dtype=np.float32)
    return Clouds(nothing, nothing, nothing)


def draw_clouds(canvas: Colours, clouds: Clouds) -> None:
    """Darken the ground below the clouds and lay the clouds over it, in place."""
    if not clouds.cover.any() and not clouds.shadow.any():
        return
    canvas *= (1 - clouds.shadow)[..., np.newaxis]
    white = np.array([0.97, 0.98, 1.0], dtype=np.float32)
    blend(canvas, clouds.light[..., np.newaxis] * white, clouds.cover)


def add_haze(rng: np.random.Generator, canvas: Colours) -> None:
    """Lay a thin uneven veil over the scene, in place."""
    veil = np.array([120, 135, 146], dtype=np.float32) + rng.normal(0, 6, 3).astype(np.float32)
    uneven = fractal(rng, canvas.shape[0], 2.0, cell=16)
    strength = np.float32(rng.uniform(0.05, 0.4))
    blend(canvas, veil, np.clip(strength * (1 + 0.25 * uneven), 0, 0.7))


def expose(rng: np.random.Generator, canvas: Colours) -> NDArray[np.uint8]:
    """Turn colours into what a pan-sharpened sensor delivers: a little blurred, over-sharpened, noisy, 8 bits."""
    size = canvas.shape[0]
    # Brightness comes from the fine panchromatic band, colour from bands 4 times as coarse.
    grain = rng.standard_normal((size, size, 1), dtype=np.float32) * np.float32(rng.uniform(1.5, 4.2))
    kernel = _sensor_kernel(rng.uniform(0.65, 0.95), rng.uniform(0.0, 0.4))
    seen = ndimage.convolve1d(ndimage.convolve1d(canvas + grain, kernel, axis=0), kernel, axis=1)
    strength = np.float32(rng.uniform(0.3, 1.2))
    for channel in (0, 2):
        coarse = rng.standard_normal((size // 3 + 1, size // 3 + 1), dtype=np.float32)
        seen[..., channel] += strength * enlarge(coarse, size)
    exposed: NDArray[np.uint8] = np.clip(seen + np.float32(0.5), 0, 255).astype(np.uint8)
    return exposed


def _sensor_kernel(blur: float, sharpening: float) -> NDArray[np.float32]:
    """(7,) blur of deviation `blur` with the negative lobes that sharpening leaves; sums to 1."""
    steps = np.arange(-3, 4)
    narrow = np.exp(-(steps**2) / (2 * blur**2))
    wide = np.exp(-(steps**2) / (2 * (2 * blur) ** 2))
    kernel = (1 + sharpening) * narrow / narrow.sum() - sharpening * wide / wide.sum()
    return np.asarray(kernel, dtype=np.float32)
