"""How a net can be used, and which of these ways calibration tries."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

PROBABILITIES = tuple(step / 20 for step in range(1, 20))
"""Thresholds that are tried: 0.05, 0.10 ... 0.95."""

MINIMUM_AREAS = (0, 5, 10, 20, 30, 50, 80, 120)
"""Minimum areas that are tried."""

MINIMUM_SCORES = (0.0, *(step / 20 for step in range(11, 20)))
"""Minimum scores that are tried: none, and 0.55, 0.60 ... 0.95."""

Index = tuple[int, ...]
"""Of a setting in the grid of separation (0 off, 1 on), threshold, minimum area, minimum score and gate."""

GATE_STEPS = 63
"""Gate thresholds that are tried, beside none: as many quantiles of the tiles' peaks.

Of 15 and of 31 the best one fell between two, where a quarter of the images are empty and a threshold costs one ship
image more.
"""


@dataclass(frozen=True)
class Setting:
    """How a net is used.

    Attributes:
        threshold: Probability above which a pixel is ship.
        minimum_area: Objects of fewer pixels are dropped.
        minimum_score: Objects of a lower mean probability are dropped.
        gate: Peak above which a tile is seen; None if all tiles are.
        separate_touching: Whether objects are cut into ships that touch.
    """

    threshold: float
    minimum_area: int
    minimum_score: float
    gate: float | None
    separate_touching: bool


def gate_thresholds(peaks: NDArray[np.float32]) -> list[float]:
    """Choose the thresholds that are tried for a gate: `GATE_STEPS` quantiles of the peaks (N,) of all tiles."""
    quantiles = np.quantile(peaks.astype(np.float64), np.arange(1, GATE_STEPS + 1) / (GATE_STEPS + 1))
    return [value for value in np.unique(quantiles).tolist() if 0 < value < 1]


@dataclass(frozen=True)
class Axes:
    """The settings that are tried: every threshold with every minimum area, every minimum score and every gate.

    Attributes:
        thresholds: Ascending.
        minimum_areas: Ascending.
        minimum_scores: Ascending.
        gates: Ascending; the first is None.
    """

    thresholds: tuple[float, ...]
    minimum_areas: tuple[int, ...]
    minimum_scores: tuple[float, ...]
    gates: tuple[float | None, ...]

    @classmethod
    def around(cls, current: Setting, gates: Sequence[float] = ()) -> "Axes":
        """Return what is tried, the current setting always among it."""
        thresholds = sorted({*PROBABILITIES, current.threshold})
        tried = sorted({*gates, *([] if current.gate is None else [current.gate])})
        areas = sorted({*MINIMUM_AREAS, current.minimum_area})
        scores = sorted({*MINIMUM_SCORES, current.minimum_score})
        return cls(tuple(thresholds), tuple(areas), tuple(scores), (None, *tried))

    def setting(self, index: Index) -> Setting:
        """Return the setting at an index."""
        separate, threshold, area, score, gate = index
        values = self.thresholds[threshold], self.minimum_areas[area], self.minimum_scores[score], self.gates[gate]
        return Setting(*values, separate_touching=bool(separate))

    def index(self, setting: Setting) -> Index:
        """Return the index of a setting."""
        values = setting.threshold, setting.minimum_area, setting.minimum_score, setting.gate
        axes: tuple[tuple[Any, ...], ...] = (self.thresholds, self.minimum_areas, self.minimum_scores, self.gates)
        numbers = (axis.index(value) for axis, value in zip(axes, values, strict=True))
        return (int(setting.separate_touching), *numbers)
