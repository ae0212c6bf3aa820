"""What is known of the objects of an image, so that the score of a setting is a matter of sums.

The net has run once when this begins. For each probability threshold the objects of an image are found once. How many
pixels of the truth an object holds, which ships it hits, and how sure net and gate are of it, do not depend on what
becomes of the other objects. So a minimum area, a minimum score and a gate merely leave objects out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.connected import connected_objects
from shipseg_tiles.inference.separation import separate_touching
from shipseg_tiles.pixels import PixelIndices, union
from shipseg_tiles.scoring.dice import overlap
from shipseg_tiles.scoring.objects import THRESHOLDS, pairwise_iou, with_pixels
from shipseg_tiles.tiling import TileGrid


@dataclass(frozen=True)
class Objects:
    """The objects of an image at one threshold. No two share a pixel.

    Attributes:
        sizes: int64 (P,), pixels of each.
        shared: int64 (P,), those of them that are ship in the labels as well.
        hits: int64 (P,), at how many of the IoU thresholds of F2 each hits a labelled ship. An object with more than
            half of a ship is the only one that has, so that each hits or not whatever the others do.
        scores: float32 (P,), the mean probability of each, as `Ship` has it.
        peaks: float32 (P,), the highest peak of the tiles that each touches: it is found if the gate sees one of them;
            minus infinity if it sees none, whatever is tried.
    """

    sizes: NDArray[np.int64]
    shared: NDArray[np.int64]
    hits: NDArray[np.int64]
    scores: NDArray[np.float32]
    peaks: NDArray[np.float32]


@dataclass(frozen=True)
class Evidence:
    """What is known of one image.

    Attributes:
        truth_pixels: Labelled ship pixels.
        truth_ships: Labelled ships.
        objects: By whether they were cut apart, and by threshold.
    """

    truth_pixels: int
    truth_ships: int
    objects: dict[tuple[bool, float], Objects]


def collect_evidence(
    probabilities: NDArray[np.float32],
    truth_ships: Sequence[PixelIndices],
    thresholds: Sequence[float],
    peaks: NDArray[np.float32],
) -> Evidence:
    """Find the objects of an image at each threshold, and compare them with its labels.

    Args:
        probabilities: float32 (height, width), stitched, of all tiles.
        truth_ships: Sorted distinct pixel indices of each labelled ship; they may overlap.
        thresholds: Probabilities above which a pixel is ship.
        peaks: float32 (height, width), see `peak_map`.
    """
    truth = with_pixels(truth_ships)
    height, flat = len(probabilities), probabilities.T.ravel()
    ship_pixels, flat_peaks = union(truth), peaks.T.ravel()
    objects = {}
    for threshold in thresholds:
        connected = connected_objects(np.flatnonzero(flat > threshold), height)
        for separate in (False, True):
            found = separate_touching(connected, height) if separate else connected
            objects[separate, threshold] = _compared(found, truth, ship_pixels, flat, flat_peaks)
    return Evidence(ship_pixels.size, len(truth), objects)


def _compared(
    found: list[PixelIndices],
    truth: list[PixelIndices],
    ship_pixels: PixelIndices,
    probabilities: NDArray[np.float32],
    peaks: NDArray[np.float32],
) -> Objects:
    best = pairwise_iou(truth, found).max(axis=0, initial=0)
    return Objects(
        np.array([pixels.size for pixels in found], dtype=np.int64),
        np.array([overlap(pixels, ship_pixels) for pixels in found], dtype=np.int64),
        np.count_nonzero(best[:, np.newaxis] > THRESHOLDS, axis=1),
        np.array([probabilities[pixels].mean() for pixels in found], dtype=np.float32),
        np.array([peaks[pixels].max() for pixels in found], dtype=np.float32),
    )


def peak_map(grid: TileGrid, peaks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Spread the peaks (N,) of the tiles over an image: float32 (height, width), the highest that holds each pixel."""
    highest = np.full((grid.height, grid.width), -np.inf, dtype=np.float32)
    for (row, column), peak in zip(grid.corners.tolist(), peaks, strict=True):
        part = highest[grid.slices(row, column)]
        np.maximum(part, peak, out=part)
    return highest
