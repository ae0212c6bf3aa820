"""How far tiled prediction is from whole-image prediction, and how far from a tile's border that reaches."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.errors import InputError, warn_skipped
from shipseg_tiles.inference.stitching import PredictTiles, stitch
from shipseg_tiles.nets.contract import Contract
from shipseg_tiles.scoring.dice import dice_from_counts
from shipseg_tiles.tiling import TileGrid, WindowName

LARGEST_SIDE = 2048
"""Of larger images the middle is taken, in pixels: the whole is predicted at once, and nets take much memory for it."""

_STEPS = 1000
"""Differences are counted in steps of a thousandth, so that memory does not grow with the images."""


@dataclass(frozen=True)
class SeamOptions:
    """What is compared with the prediction of the whole.

    Attributes:
        contract: How the net is used; its own tile and overlap do not matter here.
        tiles: Sides of tiles in pixels.
        overlaps: Shares of its side that a tile shares with the next, 0 to below 1.
        window: How overlapping tiles are blended, see `window_profile`.
        tolerance: Difference of probabilities that does not matter, above 0 and below 1.

    Raises:
        InputError: If the contract does not allow one of the tiles or overlaps, or the tolerance is out of its range.
    """

    contract: Contract
    tiles: tuple[int, ...]
    overlaps: tuple[float, ...]
    window: WindowName = "hann"
    tolerance: float = 0.05

    def __post_init__(self) -> None:
        """Refuse what could not be measured, before anything is."""
        for tile, overlap in product(self.tiles, self.overlaps):
            replace(self.contract, tile=tile, overlap=overlap)
        if not 0 < self.tolerance < 1:
            raise InputError(f"tolerance {self.tolerance} must be above 0 and below 1")


class Profile:
    """Differences between raw tiles and the whole, by the distance to the nearest border of the tile inside the image.

    Most pixels are water of which nobody says anything but 0, whatever is missing around them: among all pixels the
    share of ships in the images would decide the percentile. It is therefore one of the pixels at stake, those where
    tile or whole answer the tolerance or more; all others differ by less than the tolerance anyway.

    Attributes:
        tile: Side of the tiles in pixels.
        tolerance: Difference of probabilities that does not matter, above 0.
    """

    def __init__(self, tile: int, tolerance: float) -> None:
        self.tile = tile
        self.tolerance = tolerance
        self._pixels: NDArray[np.int64] = np.zeros(tile, dtype=np.int64)
        self._sums = np.zeros(tile)
        self._counts: NDArray[np.int64] = np.zeros((tile, _STEPS + 1), dtype=np.int64)  # by distance and difference

    def add(self, distance: NDArray[np.int64], tiled: NDArray[np.float32], whole: NDArray[np.float32]) -> None:
        """Count the pixels of a tile.

        Args:
            distance: int64 (tile, tile), see `TileGrid.border_distance`.
            tiled: float32 (tile, tile), 0 to 1, what the net answers if it sees the tile.
            whole: The same, what it answers if it sees the whole image.
        """
        has_border = distance < self.tile
        distance, tiled, whole = distance[has_border], tiled[has_border], whole[has_border]
        difference = np.abs(tiled - whole)
        self._pixels += np.bincount(distance, minlength=self.tile)
        self._sums += np.bincount(distance, weights=difference, minlength=self.tile)
        at_stake = np.maximum(tiled, whole) >= self.tolerance
        cell = distance * (_STEPS + 1) + np.rint(difference * _STEPS).astype(np.int64)
        self._counts += np.bincount(cell[at_stake], minlength=self._counts.size).reshape(self._counts.shape)

    @property
    def pixels(self) -> NDArray[np.int64]:
        """int64 (D,), how many pixels were seen at each distance, from 0 to the largest that there was."""
        pixels: NDArray[np.int64] = np.trim_zeros(self._pixels, "b")
        return pixels

    @property
    def mean(self) -> NDArray[np.float64]:
        """float64 (D,), mean difference of all of them."""
        means: NDArray[np.float64] = self._sums[: len(self.pixels)] / self.pixels
        return means

    @property
    def at_stake(self) -> NDArray[np.int64]:
        """int64 (D,), how many of them are at stake."""
        counts: NDArray[np.int64] = self._counts[: len(self.pixels)].sum(axis=1)
        return counts

    @property
    def percentile_99(self) -> NDArray[np.float64]:
        """float64 (D,), what 99 of 100 of those differ by at most, in thousandths; 0 where there is none."""
        at_stake = self.at_stake[:, np.newaxis]
        enough = self._counts[: len(at_stake)].cumsum(axis=1) * 100 >= 99 * at_stake
        steps: NDArray[np.intp] = enough.argmax(axis=1)
        return steps / _STEPS

    @property
    def halo(self) -> int | None:
        """The smallest distance from which on the 99th percentile stays below the tolerance.

        So many pixels at the border of a tile are not to be trusted. None if it is not below even at the largest
        distance, or no tile has a border inside an image.
        """
        above = np.flatnonzero(self.percentile_99 >= self.tolerance)
        halo = int(above[-1]) + 1 if above.size else 0
        return halo if halo < len(self.pixels) else None


@dataclass(frozen=True)
class MapDifference:
    """How far the stitched map of an image is from the map of the whole.

    Attributes:
        pixels: Pixels of the image.
        computed_pixels: Pixels of all tiles.
        mean: Mean absolute difference.
        maximum: Largest absolute difference.
        changed_pixels: Pixels that are ship in one of the maps only.
        whole_pixels: Ship pixels by the map of the whole.
        stitched_pixels: Ship pixels by the stitched map.
    """

    pixels: int
    computed_pixels: int
    mean: float
    maximum: float
    changed_pixels: int
    whole_pixels: int
    stitched_pixels: int


def compare_maps(
    stitched: NDArray[np.float32], whole: NDArray[np.float32], threshold: float, grid: TileGrid
) -> MapDifference:
    """Compare two maps, float32 (height, width), of one image, the first one stitched from the tiles of `grid`."""
    difference = np.abs(stitched - whole)
    ship, whole_ship = stitched > threshold, whole > threshold
    return MapDifference(
        pixels=whole.size,
        computed_pixels=grid.computed_pixels,
        mean=float(difference.mean(dtype=np.float64)),
        maximum=float(difference.max()),
        changed_pixels=int(np.count_nonzero(ship != whole_ship)),
        whole_pixels=int(np.count_nonzero(whole_ship)),
        stitched_pixels=int(np.count_nonzero(ship)),
    )


def summarise_differences(differences: Sequence[MapDifference]) -> dict[str, Any]:
    """Sum up over images, one or more: their number, and all other numbers over all pixels together.

    Returns:
        `images`; `mean_difference` and `maximum_difference`; `changed_share` of the pixels; `dice` of the ships, 1 if
        neither map has any; `ship_pixels` by the map of the whole; `cost`, computed pixels over pixels of the images.
    """
    pixels = sum(difference.pixels for difference in differences)
    changed = sum(difference.changed_pixels for difference in differences)
    whole = sum(difference.whole_pixels for difference in differences)
    stitched = sum(difference.stitched_pixels for difference in differences)
    return {
        "images": len(differences),
        "mean_difference": sum(difference.mean * difference.pixels for difference in differences) / pixels,
        "maximum_difference": max(difference.maximum for difference in differences),
        "changed_share": changed / pixels,
        "dice": dice_from_counts(whole, stitched, (whole + stitched - changed) // 2),
        "ship_pixels": whole,
        "cost": sum(difference.computed_pixels for difference in differences) / pixels,
    }


@dataclass(frozen=True)
class Seams:
    """What was measured. Tiles that fit into none of the images are missing.

    Attributes:
        profiles: By tile.
        differences: By tile and overlap, one an image.
    """

    profiles: dict[int, Profile]
    differences: dict[tuple[int, float], list[MapDifference]]

    @property
    def images(self) -> int:
        """Number of images that were compared."""
        return max(map(len, self.differences.values()), default=0)


def measure_seams(
    images: Iterable[tuple[str, NDArray[np.uint8]]], predict_tiles: PredictTiles, options: SeamOptions
) -> Seams:
    """Predict images as a whole and in tiles, and compare.

    Args:
        images: Name and uint8 (height, width, 3) of each. Only the `comparable_part` is looked at; one that none of the
            tiles fits into is left out with a warning.
        predict_tiles: The net, for any size.
        options: What is compared.

    Raises:
        InputError: If no image is left.
    """
    seams = Seams({}, {})
    for name, image in images:
        part = comparable_part(image, _multiple_for(options.contract, min(image.shape[:2])))
        if min(part.shape[:2]) >= min(options.tiles):
            _compare(seams, part, predict_tiles, options)
        else:
            warn_skipped(name, f"none of the tiles fits into its {image.shape[0]} x {image.shape[1]} pixels")
    if not seams.images:
        raise InputError("there is no image to compare; give larger ones or smaller --tiles")
    return seams


def _multiple_for(contract: Contract, side: int) -> int:
    """Return what sides must be multiples of so that the net sees no filler; no side may be, at odd sizes of pixels."""
    return contract.image_multiple if contract.image_multiple <= side else contract.tile_multiple


def _compare(seams: Seams, image: NDArray[np.uint8], predict_tiles: PredictTiles, options: SeamOptions) -> None:
    """Compare all tiles and overlaps on one image, and add what is found to `seams`."""
    whole = predict_tiles(image[np.newaxis])[0]
    height, width = whole.shape
    for tile in options.tiles:
        if tile <= min(height, width):
            profile = seams.profiles.setdefault(tile, Profile(tile, options.tolerance))
            _add_raw_tiles(profile, image, whole, predict_tiles)
            for overlap in options.overlaps:
                grid = TileGrid.covering(height, width, tile, overlap, options.contract.tile_multiple)
                stitched = stitch(image, predict_tiles, grid, options.window)
                found = compare_maps(stitched, whole, options.contract.threshold, grid)
                seams.differences.setdefault((tile, overlap), []).append(found)


def _add_raw_tiles(
    profile: Profile, image: NDArray[np.uint8], whole: NDArray[np.float32], predict_tiles: PredictTiles
) -> None:
    """Predict tiles side by side, each on its own, and count how far they are from the whole."""
    grid = TileGrid(image.shape[0], image.shape[1], profile.tile, profile.tile)
    for row, column in grid.corners.tolist():
        slices = grid.slices(row, column)
        answer = predict_tiles(image[slices][np.newaxis])[0]
        profile.add(grid.border_distance(row, column), answer, whole[slices])


def comparable_part(image: NDArray[np.uint8], multiple: int) -> NDArray[np.uint8]:
    """Cut the middle out of an image, uint8 (height, width, 3), such that only the borders of tiles make a difference.

    Its sides are at most `LARGEST_SIDE`, and multiples of what the net needs: the whole would otherwise have to be
    extended, so that tiles and the whole would differ at the border of the image as well.
    """
    height, width = (min(side, LARGEST_SIDE) // multiple * multiple for side in image.shape[:2])
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[top : top + height, left : left + width]
