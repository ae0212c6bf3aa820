"""The scores of all settings of a net, from what is known of its objects."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.calibration.evidence import Evidence
from shipseg_tiles.calibration.settings import Axes
from shipseg_tiles.scoring.objects import THRESHOLDS

OBJECTIVES = {"true-dice": "true_dice", "f2": "f2"}
"""What can be made highest, and what it is called in `Sums` and among scores."""


@dataclass(frozen=True)
class Sums:
    """Scores of all settings, added up over the images of each fold.

    Attributes:
        true_dice: float64 (folds, 2, thresholds, areas, scores, gates): fold, then the axes of an `Index`.
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

    def of(self, objective: str) -> NDArray[np.float64]:
        """Return the sums of one of `OBJECTIVES`."""
        sums: NDArray[np.float64] = getattr(self, OBJECTIVES[objective])
        return sums


def score_grid(evidence: Sequence[Evidence], folds: NDArray[np.int64], axes: Axes) -> Sums:
    """Score all settings on all images.

    Args:
        evidence: Of each image; collected at the thresholds of the axes.
        folds: int64 (images,), the number of each image's fold, from 0, see
            `shipseg_tiles.archive.split.folds_by_place`.
        axes: The settings.
    """
    count = int(folds.max()) + 1
    shape = (len(axes.thresholds), len(axes.minimum_areas), len(axes.minimum_scores), len(axes.gates))
    sums = np.zeros((3, count, 2, *shape))
    for fold in np.unique(folds):
        images = [image for image, own in zip(evidence, folds, strict=True) if own == fold]
        for separate, (number, threshold) in product((False, True), enumerate(axes.thresholds)):
            sums[:, fold, int(separate), number] = _summed_scores(images, (separate, threshold), axes)
    empty = np.array([image.truth_ships == 0 for image in evidence])
    counts, empty_counts = (np.bincount(some, minlength=count) for some in (folds, folds[empty]))
    return Sums(sums[0], sums[1], sums[2], counts, empty_counts)


def _summed_scores(images: Sequence[Evidence], key: tuple[bool, float], axes: Axes) -> NDArray[np.float64]:
    """Return dice, F2 and whether there are false ships, summed over images: (3, areas, scores, gates)."""
    ships, predicted, shared, hits = _kept(images, key, axes)
    truth_pixels, truth_ships = (
        np.array([getattr(image, name) for image in images])[:, np.newaxis, np.newaxis, np.newaxis]
        for name in ("truth_pixels", "truth_ships")
    )
    dice = _ratio(2 * shared, truth_pixels + predicted)
    f2 = _ratio(5 * hits / len(THRESHOLDS), 4 * truth_ships + ships)
    return np.stack([scores.sum(axis=0) for scores in (dice, f2, (truth_ships == 0) & (ships > 0))])


def _kept(images: Sequence[Evidence], key: tuple[bool, float], axes: Axes) -> Iterator[NDArray[Any]]:
    """Yield what each setting keeps: the number of objects, their pixels, those that are shared, and their hits.

    The first so many minimum areas keep an object, and so many minimum scores and gates. So it is enough to add objects
    up where these three numbers say: a setting has what is there and beyond. Each is (images, areas, scores, gates).
    """
    parts = [image.objects[key] for image in images]
    image = np.repeat(np.arange(len(parts)), [len(part.sizes) for part in parts])
    sizes, shared, hits, scores, peaks = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("sizes", "shared", "hits", "scores", "peaks")
    )
    # What is tried is float64, so that all is compared as in `join_ships` and in a gate. Where a gate sees no tile
    # whatever is tried, there is nothing without a threshold either.
    gates = [-np.inf if gate is None else gate for gate in axes.gates]
    steps = (
        np.searchsorted(axes.minimum_areas, sizes, side="right"),
        np.searchsorted(axes.minimum_scores, scores, side="right"),
        np.searchsorted(gates, peaks, side="left"),
    )
    shape = (len(parts), len(axes.minimum_areas) + 1, len(axes.minimum_scores) + 1, len(gates) + 1)
    cells = np.ravel_multi_index((image, *steps), shape)
    for values in (None, sizes, shared, hits):
        yield _with_all_beyond(np.bincount(cells, values, math.prod(shape)).reshape(shape))


def _with_all_beyond(kept: NDArray[Any]) -> NDArray[Any]:
    """Add to each cell of (images, areas, scores, gates) what lies behind it; the first of each axis keeps nothing."""
    for axis in (1, 2, 3):
        kept = np.flip(np.flip(kept, axis).cumsum(axis), axis)
    return kept[:, 1:, 1:, 1:]


def _ratio(numerators: NDArray[Any], denominators: NDArray[Any]) -> NDArray[np.float64]:
    """Divide; an image that is empty in truth and prediction counts 1."""
    shares: NDArray[np.float64] = np.divide(
        numerators, denominators, out=np.ones(denominators.shape), where=denominators > 0
    )
    return shares
