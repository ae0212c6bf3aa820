"""Measure how far a net sees, because the overlap of tiles must follow from it."""

from typing import Any

import numpy as np

PROBE_SIDE = 320
"""Side in pixels of the probe image: reach beyond half of it cannot be seen."""


def measure_receptive_field(net: Any) -> int:
    """Measure how many pixels away a pixel can still change the answer.

    Single pixels of a noise image are turned to the opposite; the reach is the largest distance, along an axis, at
    which the answer changes by more than one part in a thousand. A net's theoretical field is often larger, but
    what lies beyond has no visible effect (Luo et al. 2016, https://arxiv.org/abs/1701.04128).

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
    answers = np.asarray(net.predict_on_batch(probes))[..., 0]
    reach = 0
    for answer, place in zip(answers[1:], places, strict=True):
        changed = np.argwhere(np.abs(answer - answers[0]) > 1e-3)
        reach = max(reach, int(np.abs(changed - place).max(initial=0)))
    return reach
