"""The scores of all settings of a net, from what is known of its objects."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.scoring.evidence import Evidence
from shipseg_tiles.scoring.objects import THRESHOLDS

PROBABILITIES = tuple(step / 20 for step in range(1, 20))
"""Thresholds that are tried: 0.05, 0.10 ... 0.95."""

MINIMUM_AREAS = (0, 5, 10, 20, 30, 50, 80, 120)
"""Minimum areas that are tried."""

GATE_STEPS = 15
"""Gate thresholds that are tried, beside none: as many quantiles of the tiles' peaks."""


@dataclass(frozen=True)
class Setting:
    """How a net is used.

    Attributes:
        threshold: Probability above which a pixel is ship.
        minimum_area: Objects of fewer pixels are dropped.
        gate: Peak above which a tile is seen; None if all tiles are.
        separate_touching: Whether objects are cut into ships that touch.
    """

    threshold: float
    minimum_area: int
    gate: float | None
    separate_touching: bool


def gate_thresholds(peaks: NDArray[np.float32]) -> list[float]:
    """Choose the thresholds that are tried for a gate: `GATE_STEPS` quantiles of the peaks (N,) of all tiles."""
    quantiles = np.quantile(peaks.astype(np.float64), np.arange(1, GATE_STEPS + 1) / (GATE_STEPS + 1))
    return [value for value in np.unique(quantiles).tolist() if 0 < value < 1]


@dataclass(frozen=True)
class Axes:
    """The settings that are tried: every threshold with every minimum area and every gate.

    Attributes:
        thresholds: Ascending.
        minimum_areas: Ascending.
        gates: Ascending; the first is None.
    """

    thresholds: tuple[float, ...]
    minimum_areas: tuple[int, ...]
    gates: tuple[float | None, ...]

    @classmethod
    def around(cls, current: Setting, gates: Sequence[float] = ()) -> "Axes":
        """Return what is tried, the current setting always among it."""
        thresholds = sorted({*PROBABILITIES, current.threshold})
        tried = sorted({*gates, *([] if current.gate is None else [current.gate])})
        return cls(tuple(thresholds), tuple(sorted({*MINIMUM_AREAS, current.minimum_area})), (None, *tried))

    def setting(self, place: tuple[int, ...], separate: bool) -> Setting:
        """Return the setting at a place in the grid of threshold, minimum area and gate."""
        threshold, area, gate = place
        return Setting(self.thresholds[threshold], self.minimum_areas[area], self.gates[gate], separate)

    def place(self, setting: Setting) -> tuple[int, ...]:
        """Return where a setting stands in the grid."""
        values = setting.threshold, setting.minimum_area, setting.gate
        axes: tuple[tuple[Any, ...], ...] = (self.thresholds, self.minimum_areas, self.gates)
        return tuple(axis.index(value) for axis, value in zip(axes, values, strict=True))


@dataclass(frozen=True)
class Sums:
    """Scores of all settings, added up over the images of each fold.

    Attributes:
        true_dice: float64 (folds, 2, thresholds, areas, gates), the second axis for separation, off and on.
        f2: The same of F2.
        false_ships: The same of the images without a ship in which some were predicted.
        images: int64 (folds,), how many there are.
        empty_images: int64 (folds,), how many of them have no ship.
    """

    true_dice: NDArray[np.float64]
    f2: NDArray[np.float64]
    false_ships: NDArray[np.float64]
    images: NDArray[np.int64]
    empty_images: NDArray[np.int64]


def score_grid(evidence: Sequence[Evidence], folds: NDArray[np.int64], axes: Axes) -> Sums:
    """Score all settings on all images.

    Args:
        evidence: Of each image; collected at the thresholds of the axes.
        folds: int64 (images,), the number of each image's fold, from 0, see
            `shipseg_tiles.archive.split.folds_by_place`.
        axes: The settings.
    """
    count = int(folds.max()) + 1
    shape = (count, 2, len(axes.thresholds), len(axes.minimum_areas), len(axes.gates))
    sums = np.zeros((3, *shape))
    for separate, (place, threshold) in product((False, True), enumerate(axes.thresholds)):
        joined = _Joined(evidence, (separate, threshold))
        for area, gate in product(range(shape[3]), range(shape[4])):
            for number, scores in enumerate(joined.scores(axes.minimum_areas[area], axes.gates[gate])):
                sums[number, :, int(separate), place, area, gate] = np.bincount(folds, scores, count)
    empty = np.array([image.truth_ships == 0 for image in evidence])
    images, empty_images = (np.bincount(some, minlength=count) for some in (folds, folds[empty]))
    return Sums(sums[0], sums[1], sums[2], images, empty_images)


class _Joined:
    """The objects of all images at one threshold, one after the other, and which image each is in."""

    def __init__(self, evidence: Sequence[Evidence], key: tuple[bool, float]) -> None:
        parts = [image.objects[key] for image in evidence]
        self.images = len(parts)
        self.image = np.repeat(np.arange(len(parts)), [len(part.sizes) for part in parts])
        self.sizes, self.shared, self.hits, self.peaks = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("sizes", "shared", "hits", "peaks")
        )
        self.truth_pixels = np.array([image.truth_pixels for image in evidence])
        self.truth_ships = np.array([image.truth_ships for image in evidence])

    def scores(self, minimum_area: int, gate: float | None) -> Iterator[NDArray[np.float64]]:
        """Yield dice, F2 and whether there are false ships, each float64 (images,)."""
        # As a gate compares them. Where it sees no tile whatever is tried, there is nothing without a threshold either.
        kept = (self.sizes >= minimum_area) & (self.peaks > np.float64(-np.inf if gate is None else gate))
        ships, predicted, shared, hits = (
            np.bincount(self.image[kept], None if values is None else values[kept], self.images)
            for values in (None, self.sizes, self.shared, self.hits)
        )
        yield _ratio(2 * shared, self.truth_pixels + predicted)
        yield _ratio(5 * hits / len(THRESHOLDS), 4 * self.truth_ships + ships)
        yield ((self.truth_ships == 0) & (ships > 0)).astype(np.float64)


def _ratio(parts: NDArray[Any], wholes: NDArray[Any]) -> NDArray[np.float64]:
    """Divide; an image that is empty in truth and prediction counts 1."""
    shares: NDArray[np.float64] = np.divide(parts, wholes, out=np.ones(len(wholes)), where=wholes > 0)
    return shares
