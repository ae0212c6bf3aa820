"""Measure how far a net sees, because the overlap of tiles must follow from it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

PROBE_SIDE = 320
"""Side in pixels of the probe image: reach beyond half of it cannot be seen."""


def measure_receptive_field(net: Any) -> int:
    """Measure how many pixels away a pixel can still change the answer.

    Single pixels of a noise image are turned to the opposite; the reach is the largest distance, along an axis, at
    which the odds of the answer change by more than a hundredth. Odds, because where a net is sure its probability
    hardly moves. A net's theoretical field is often larger, but what lies beyond has no visible effect (Luo et al.
    2016, https://arxiv.org/abs/1701.04128).

    Args:
        net: Keras model from uint8 (N, height, width, 3) to probabilities (N, height, width, 1).

    Returns:
        The reach in pixels, 0 to `PROBE_SIDE` / 2.
    """
    noise = np.random.default_rng(0).integers(0, 256, (PROBE_SIDE, PROBE_SIDE, 3), dtype=np.uint8)
    centre = PROBE_SIDE // 2
    # Poolings make the reach depend on where a pixel stands between their cells: probe several places.
    places = [centre, centre + 1, centre + 5, centre + 10]
    probes = np.stack([noise, *(noise for _ in places)])
    for probe, place in zip(probes[1:], places, strict=True):
        probe[place, place] = np.where(noise[place, place] < 128, 255, 0)
    answers = _log_odds(np.asarray(net.predict_on_batch(probes), dtype=np.float64)[..., 0])
    reach = 0
    for answer, place in zip(answers[1:], places, strict=True):
        changed = np.argwhere(np.abs(answer - answers[0]) > 1e-2)
        reach = max(reach, int(np.abs(changed - place).max(initial=0)))
    return reach


def _log_odds(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    clipped = np.clip(probability, 1e-30, 1 - 1e-7)  # float32 knows nothing closer to 1
    return np.log(clipped) - np.log1p(-clipped)
