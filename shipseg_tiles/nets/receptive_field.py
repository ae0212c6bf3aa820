"""Measure how far a net sees, because the overlap of tiles must follow from it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

PROBE_SIDE = 384
"""Side in pixels of the probe image: what reaches its border may reach further."""

_BLOCK = 16
"""Side in pixels of what is changed: a small ship."""


def measure_receptive_field(net: Any) -> int:
    """Measure how many pixels away from a change the answer still changes.

    In a noise image a block the size of a small ship is turned to its opposite. The reach is the largest distance
    from the block, along an axis, at which the odds of the answer change by more than a hundredth; odds, because the
    probability itself hardly moves where a net is sure. A net's theoretical field is often larger, but what lies
    beyond has no visible effect (Luo et al. 2016, https://arxiv.org/abs/1701.04128).

    Args:
        net: Keras model from uint8 (N, height, width, 3) to probabilities (N, height, width, 1).

    Returns:
        The reach in pixels, 0 to `PROBE_SIDE` / 2.
    """
    noise = np.random.default_rng(0).integers(0, 256, (PROBE_SIDE, PROBE_SIDE, 3), dtype=np.uint8)
    # Poolings make the reach depend on where the block stands between their cells: probe several corners.
    corners = [PROBE_SIDE // 2 - shift for shift in (0, 1, 5, 10)]
    probes = np.stack([noise, *(_changed(noise, corner) for corner in corners)])
    answers = _log_odds(np.asarray(net.predict_on_batch(probes), dtype=np.float64)[..., 0])
    return max(_reach(answer - answers[0], corner) for answer, corner in zip(answers[1:], corners, strict=True))


def _changed(image: NDArray[np.uint8], corner: int) -> NDArray[np.uint8]:
    """Turn the block whose upper left corner stands at row and column `corner` to its opposite."""
    changed = image.copy()
    block = changed[corner : corner + _BLOCK, corner : corner + _BLOCK]
    block[:] = np.where(block < 128, 255, 0)
    return changed


def _reach(difference: NDArray[np.float64], corner: int) -> int:
    rows_and_columns = np.argwhere(np.abs(difference) > 1e-2)
    before, after = corner - rows_and_columns, rows_and_columns - (corner + _BLOCK - 1)
    return int(np.maximum(before, after).max(initial=0))


def _log_odds(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    clipped = np.clip(probability, 1e-30, 1 - 1e-7)  # float32 knows nothing closer to 1
    odds: NDArray[np.float64] = np.log(clipped) - np.log1p(-clipped)
    return odds
