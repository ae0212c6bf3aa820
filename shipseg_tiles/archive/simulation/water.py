"""The sea: its colour, its waves, the sun in it."""

import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.archive.simulation.fields import Colours, Field, fractal, smoothstep, waves

# Colour of the water (red, green, blue), its share of the scenes, and how it may glint: (least, most) deviation of
# the waves in grey levels. Typical of SPOT scenes of 1.5 m pixels.
_WATERS: tuple[tuple[tuple[int, int, int], float, tuple[float, float]], ...] = (
    ((35, 74, 80), 0.11, (1.0, 7.0)),
    ((6, 29, 48), 0.12, (0.8, 7.0)),
    ((36, 56, 67), 0.08, (1.0, 9.0)),
    ((8, 43, 60), 0.09, (0.8, 7.0)),
    ((22, 44, 47), 0.07, (0.8, 9.0)),
    ((3, 15, 32), 0.07, (0.8, 9.0)),
    ((81, 102, 99), 0.07, (1.5, 12.0)),
    ((55, 88, 91), 0.07, (1.2, 8.0)),
    ((18, 59, 65), 0.07, (0.8, 6.0)),
    ((49, 67, 61), 0.05, (1.2, 8.0)),
    ((134, 145, 141), 0.04, (6.0, 22.0)),
    ((115, 122, 116), 0.04, (6.0, 22.0)),
    ((94, 117, 116), 0.04, (3.0, 16.0)),
    ((90, 94, 76), 0.04, (1.0, 5.0)),
    ((163, 166, 159), 0.03, (8.0, 22.0)),
    ((235, 235, 226), 0.01, (10.0, 18.0)),
)


def make_water(rng: np.random.Generator, size: int) -> Colours:
    """Make a sea of a random kind with nothing on it: (size, size, 3), about 0..255."""
    shares = np.array([share for _, share, _ in _WATERS])
    typical, _, (least, most) = _WATERS[rng.choice(len(_WATERS), p=shares / shares.sum())]
    colour = (np.array(typical) * rng.normal(0.92, 0.12) + rng.normal(0, 2.5, 3)).clip(1, 245).astype(np.float32)
    colour[1] = max(colour[1], colour[0])  # water is never purple
    roughness = float(2.0 * least * (most / least) ** rng.beta(1.3, 1.5))
    ripples = _ripples(rng, size, roughness)
    colours = _coloured(rng, colour, ripples)
    if rng.random() < 0.12:
        _add_whitecaps(rng, colours, ripples / np.float32(roughness))
    return colours


def _coloured(rng: np.random.Generator, colour: NDArray[np.float32], ripples: Field) -> Colours:
    """Give the waves their colour over water that changes slowly: currents, depth, sediment."""
    size = ripples.shape[0]
    light = fractal(rng, size, 2.0, cell=8)
    turbid = fractal(rng, size, 1.7, cell=4)
    if rng.random() < 0.1:  # a front between two bodies of water is sharp
        turbid = turbid * np.float32(0.4) + smoothstep(turbid, -0.1, 0.3)
    amount = min(rng.exponential(0.018), 0.12)
    # Sediment turns water green to brown; blue changes least, and clear water has none.
    sediment = rng.normal([2.2, 2.8, 1.2], 0.6) * min(rng.exponential(0.45), 2.0)
    # Waves mirror the sky and the sun: whiter than the water, a little less so in red over blue water.
    tint = 0.5 * colour / colour.max() + 0.5
    weights = np.stack([amount * colour, sediment, tint], axis=1).astype(np.float32)
    colours = np.empty((size, size, 3), dtype=np.float32)
    # Channel by channel: twice as fast as broadcasting. A matrix product takes 100 ms once BLAS starts threads.
    for channel, (of_light, of_turbid, of_ripples) in enumerate(weights):
        colours[..., channel] = light * of_light + turbid * of_turbid + ripples * of_ripples + colour[channel]
    return colours


def _ripples(rng: np.random.Generator, size: int, roughness: float) -> Field:
    """Brightness of the waves, zero mean, in patches where the wind blows.

    Args:
        rng: Random numbers.
        size: Side in pixels.
        roughness: Deviation of the waves in grey levels, about; over 6, small boats drown in the glint.
    """
    direction = rng.uniform(0, np.pi)
    swell = waves(
        rng,
        size,
        wavelength=rng.uniform(6, 24),
        direction=direction,
        focus=rng.uniform(1, 7),
        decay=rng.uniform(0.9, 1.6),
    )
    chop = waves(
        rng, size, wavelength=rng.uniform(2.5, 6), direction=direction + rng.normal(0, 0.5), focus=1.5, decay=0.9
    )
    share = np.float32(rng.uniform(0.1, 0.75))
    surface = np.sqrt(share) * swell + np.sqrt(1 - share) * chop
    # Sun glint is skewed: a few facets flash, the rest stays dark.
    skew = np.float32(rng.uniform(0.02, 0.25) + (rng.uniform(0.0, 0.4) if roughness > 6 else 0))
    flashes = (np.exp(skew * surface) - np.exp(skew**2 / 2)) / skew
    ripples: Field = flashes * _wind(rng, size) * np.float32(roughness)
    return ripples


def _wind(rng: np.random.Generator, size: int) -> Field:
    """Factor on the waves, about 1: gusts, and now and then slicks, smooth streaks that oil or algae leave."""
    gusts = np.exp(np.float32(rng.uniform(0.02, 0.3)) * fractal(rng, size, 1.6, cell=4))
    if rng.random() < 0.12:
        streaks = waves(rng, size, wavelength=size / 6, direction=rng.uniform(0, np.pi), focus=6, decay=2.0)
        gusts *= 1 - np.float32(0.8) * smoothstep(streaks, rng.uniform(0.5, 1.5), 2.0)
    return np.asarray(gusts, dtype=np.float32)


def _add_whitecaps(rng: np.random.Generator, colours: Colours, ripples: Field) -> None:
    caps = smoothstep(ripples, rng.uniform(2.6, 3.4), 5.0)
    colours += caps[..., np.newaxis] * (np.float32(rng.uniform(40, 150)) * np.array([1, 1, 0.9], dtype=np.float32))
