"""From stitched lines to ships: what a few lines show is small, and is joined when all of them are there."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.connected import connected_objects
from shipseg_tiles.inference.separation import separate_touching
from shipseg_tiles.inference.stitching import Lines
from shipseg_tiles.pixels import PixelIndices, indices_at

RASTERS = {"probability": 1.0, "disagreement": 0.5}
"""What of `Lines` can be kept beside the ships, and the value that is stored as 255: a standard deviation of answers
between 0 and 1 is at most 0.5."""


@dataclass(frozen=True)
class Strip:
    """What finished lines of an image show.

    Attributes:
        top: The first one's row in the image.
        left: Their first column in the image.
        pixels: Ship pixels, sorted, numbered in the whole image.
        probabilities: float32, of the same pixels.
        rasters: uint8 (lines, width) by name, see `RASTERS`; those that were asked for.
        tiles: As of `Lines`.
        tiles_skipped: As of `Lines`.
    """

    top: int
    left: int
    pixels: PixelIndices
    probabilities: NDArray[np.float32]
    rasters: dict[str, NDArray[np.uint8]] = field(default_factory=dict)
    tiles: int = 0
    tiles_skipped: int = 0

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns of the rasters in the image; there must be one."""
        height, width = next(iter(self.rasters.values())).shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)


@dataclass(frozen=True)
class Ship:
    """A ship.

    Attributes:
        pixels: Its pixel indices, see `shipseg_tiles.pixels`.
        score: Mean probability of its pixels, 0 to 1.
    """

    pixels: PixelIndices
    score: float


def threshold_lines(lines: Lines, height: int, threshold: float, rasters: Iterable[str] = ()) -> Strip:
    """Find the ship pixels in lines of an image of `height` lines: those whose probability is above the threshold.

    Args:
        lines: What was stitched.
        height: Height of the image.
        threshold: 0 to 1.
        rasters: Names in `RASTERS` of what to keep; `lines` has measured it.
    """
    # Through flat indices, which are few, as `nonzero` would look at each pixel for both of them.
    found = np.flatnonzero(lines.probability > threshold)
    rows, columns = np.divmod(found, lines.probability.shape[1])
    kept = {name: np.rint(getattr(lines, name) / RASTERS[name] * 255).astype(np.uint8) for name in rasters}
    pixels = indices_at(rows + lines.top, columns + lines.left, height)
    order = np.argsort(pixels)
    probabilities = lines.probability.ravel()[found[order]]
    return Strip(lines.top, lines.left, pixels[order], probabilities, kept, lines.tiles, lines.tiles_skipped)


def join_ships(
    strips: Iterable[Strip], height: int, minimum_area: int, minimum_score: float = 0.0, separate: bool = False
) -> list[Ship]:
    """Join the ship pixels of all strips of an image into ships, each of them once wherever strips meet.

    Args:
        strips: Of one image.
        height: Its height.
        minimum_area: Ships of fewer pixels are dropped.
        minimum_score: Ships of a lower score are dropped, 0 for none.
        separate: Whether to cut objects into ships that touch, see `separate_touching`, before any is dropped: parts
            are judged for themselves.

    Returns:
        8-connected objects, or parts of them, in the column-major order of their first pixels.
    """
    parts = [(strip.pixels, strip.probabilities) for strip in strips]
    pixels = np.concatenate([part for part, _ in parts])
    probabilities = np.concatenate([part for _, part in parts])
    order = np.argsort(pixels, kind="stable")
    pixels, probabilities = pixels[order], probabilities[order]
    objects = connected_objects(pixels, height)
    if separate:
        objects = separate_touching(objects, height)
    large = [ship for ship in objects if ship.size >= minimum_area]
    ships = [Ship(ship, float(probabilities[np.searchsorted(pixels, ship)].mean())) for ship in large]
    return [ship for ship in ships if ship.score >= minimum_score]
