"""All tile arithmetic: where tiles lie on an image, which pixels they hold, how much each pixel of one counts.

Everybody else passes a `TileGrid` around and asks it.
"""

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.errors import InputError

WindowName = Literal["uniform", "hann", "gaussian", "core"]

WHOLE_NUMBER = re.compile(r"\s*[0-9]{1,18}\s*")
"""One of at most 18 digits, with blanks around it: Python reads none of more than 4,300."""


@dataclass(frozen=True)
class Region:
    """A rectangle of an image, in pixels; rows and columns at `bottom` and `right` are outside.

    Attributes:
        top: First row.
        left: First column.
        bottom: Row after the last.
        right: Column after the last.
    """

    top: int
    left: int
    bottom: int
    right: int

    def within(self, height: int, width: int) -> "Region":
        """Cut off what lies outside an image.

        Raises:
            InputError: If nothing is left.
        """
        inside = Region(max(self.top, 0), max(self.left, 0), min(self.bottom, height), min(self.right, width))
        if inside.top >= inside.bottom or inside.left >= inside.right:
            raise InputError(
                f"region of rows {self.top} to {self.bottom} and columns {self.left} to {self.right} shares no pixel "
                f"with the image of {height} x {width}; correct it"
            )
        return inside


def parse_region(text: str) -> Region:
    """Read "ROW,COLUMN,HEIGHT,WIDTH".

    Raises:
        InputError: If these are no four whole numbers, or the region has no pixel.
    """
    fields = text.split(",")
    if len(fields) != 4 or not all(map(WHOLE_NUMBER.fullmatch, fields)) or 0 in map(int, fields[2:]):
        raise InputError(f"region {text!r} must be ROW,COLUMN,HEIGHT,WIDTH in pixels, such as 0,0,1024,1024")
    row, column, height, width = map(int, fields)
    return Region(row, column, row + height, column + width)


@dataclass(frozen=True)
class TileGrid:
    """Square tiles that cover an image completely, anchored to its upper left corner.

    Tiles start at 0, stride, 2 * stride ...; the last of each axis is moved back so that it ends at the border
    instead of leaving the image. An image smaller than a tile has one tile, which needs `pad`.

    Attributes:
        height: Height of the image in pixels, 1 or more.
        width: Width of the image in pixels, 1 or more.
        tile: Side of a tile in pixels, 1 or more.
        stride: Pixels from one tile to the next, 1 to `tile`: a larger one would leave gaps.

    Raises:
        InputError: If one of them is out of its range.
    """

    height: int
    width: int
    tile: int
    stride: int

    def __post_init__(self) -> None:
        """Refuse a grid that cannot cover the image."""
        if min(self.height, self.width) < 1:
            raise InputError(f"an image of {self.height} x {self.width} pixels has nothing to tile")
        if self.tile < 1:
            raise InputError(f"tile {self.tile} must be 1 or more")
        if not 1 <= self.stride <= self.tile:
            raise InputError(f"stride {self.stride} must be from 1 to the tile of {self.tile}, or pixels are left out")

    @classmethod
    def with_overlap(cls, height: int, width: int, tile: int, overlap: float) -> "TileGrid":
        """Make the grid whose neighbouring tiles share the fraction `overlap` of their side, 0 to under 1."""
        if not 0 <= overlap < 1:
            raise InputError(f"overlap {overlap} must be at least 0 and below 1")
        return cls(height, width, tile, max(1, round(tile * (1 - overlap))))

    @classmethod
    def covering(cls, height: int, width: int, tile: int, overlap: float, multiple: int) -> "TileGrid":
        """As `with_overlap`, for a net whose poolings need sides that are a `multiple`.

        Tiles begin at multiples as well, at a somewhat larger overlap if need be, unless that would be none: there the
        poolings of all tiles divide the image alike, and their answers differ less. Only the last ones of an image
        whose side is no multiple begin elsewhere, as they end with it. A small image gets one tile that is no larger
        than it must be.
        """
        grid = cls.with_overlap(height, width, min(tile, round_up(max(height, width), multiple)), overlap)
        return cls(height, width, grid.tile, grid.stride // multiple * multiple or grid.stride)

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """First image row of each row of tiles, ascending."""
        return _starts(self.height, self.tile, self.stride)

    @cached_property
    def columns(self) -> NDArray[np.int64]:
        """First image column of each column of tiles, ascending."""
        return _starts(self.width, self.tile, self.stride)

    @cached_property
    def corners(self) -> NDArray[np.int64]:
        """(N, 2) row and column of each tile's upper left corner, row of tiles by row of tiles."""
        return np.stack(np.meshgrid(self.rows, self.columns, indexing="ij"), axis=-1).reshape(-1, 2)

    def slices(self, row: int, column: int) -> tuple[slice, slice]:
        """Return the rows and columns of the tile whose upper left corner is there, to index a padded image with."""
        return slice(row, row + self.tile), slice(column, column + self.tile)

    def slices_around(self, row: int, column: int) -> tuple[slice, slice]:
        """As `slices`, of a tile anywhere with that pixel in its middle, moved back if it leaves the image."""
        corner = np.array([(row, column)]) - self.tile // 2
        return self.slices(*self.inside(corner)[0].tolist())

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)

    @property
    def computed_pixels(self) -> int:
        """Pixels of all tiles together: those where tiles overlap count in each of them."""
        return len(self) * self.tile**2

    @property
    def padded_shape(self) -> tuple[int, int]:
        """(height, width) that the image needs for every tile to lie inside it."""
        return max(self.height, self.tile), max(self.width, self.tile)

    def pad(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return `image` at `padded_shape`, mirrored below and to the right if it is smaller than a tile."""
        self.check_shape(image.shape)
        return mirrored(image, *self.padded_shape)

    def check_shape(self, shape: tuple[int, ...]) -> None:
        """Refuse an image of another shape than the grid's."""
        if tuple(shape[:2]) != (self.height, self.width):
            raise InputError(f"the grid is for {self.height} x {self.width} pixels, the image has {tuple(shape[:2])}")

    @property
    def whole(self) -> Region:
        """All of the image."""
        return Region(0, 0, self.height, self.width)

    def touching(self, region: Region) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return `rows` and `columns` of those tiles alone that share pixels with a region of the image."""
        rows = self.rows[(self.rows + self.tile > region.top) & (self.rows < region.bottom)]
        columns = self.columns[(self.columns + self.tile > region.left) & (self.columns < region.right)]
        return rows, columns

    def bands(self, region: Region) -> list[Region]:
        """Cut a region of the image where rows of tiles begin: each band is final once its row of tiles is done."""
        tops = self.touching(region)[0].tolist()
        edges = [region.top, *(top for top in tops if top > region.top), region.bottom]
        return [Region(top, region.left, bottom, region.right) for top, bottom in pairwise(edges)]

    def pixels_per_tile(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.int64]:
        """Count how many of the given pixels each tile holds.

        Args:
            rows: (P,) image rows of distinct pixels.
            columns: (P,) their image columns.

        Returns:
            (N,) counts in the order of `corners`. Pixels where tiles overlap count in each of them.
        """
        row_edges, tops, bottoms = _edges(self.rows, self.tile)
        column_edges, lefts, rights = _edges(self.columns, self.tile)
        # Count the pixels between edges, then sum up: before[i, j] pixels lie above edge i and left of edge j.
        cell = np.searchsorted(row_edges, rows, side="right") * (len(column_edges) + 1)
        cell += np.searchsorted(column_edges, columns, side="right")
        shape = (len(row_edges) + 1, len(column_edges) + 1)
        counts = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)
        before: NDArray[np.int64] = counts.cumsum(axis=0).cumsum(axis=1)
        down = before[bottoms] - before[tops]
        return (down[:, rights] - down[:, lefts]).ravel()

    def last_tile_with(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number, in the order of `corners`, of the last tile that holds each of the given pixels.

        Args:
            rows: (P,) image rows of the pixels.
            columns: (P,) their image columns.
        """
        down = np.searchsorted(self.rows, rows, side="right") - 1
        right = np.searchsorted(self.columns, columns, side="right") - 1
        numbers: NDArray[np.int64] = down * len(self.columns) + right
        return numbers

    def border_distance(self, row: int, column: int) -> NDArray[np.int64]:
        """Count the pixels between each pixel of a tile and the tile's nearest border inside the image.

        Where the tile ends with the image it misses nothing, so such borders do not count.

        Args:
            row: First image row of the tile.
            column: Its first image column.

        Returns:
            int64 (tile, tile): 0 for the outermost pixels to `tile` - 1; `tile` if no border is inside the image.
        """
        return np.minimum.outer(
            _border_distance(row, self.tile, self.height), _border_distance(column, self.tile, self.width)
        )

    def inside(self, corners: NDArray[np.int64]) -> NDArray[np.int64]:
        """Move tiles that leave the image, given by their (N, 2) corners, back to its border."""
        lowest_corner = (max(self.height - self.tile, 0), max(self.width - self.tile, 0))
        return np.clip(corners, 0, lowest_corner)

    def pixels_at(
        self, corners: NDArray[np.int64], rows: NDArray[np.int64], columns: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """As `pixels_per_tile`, for tiles anywhere: their (N, 2) corners to (N,) counts."""
        offsets = ((rows - row, columns - column) for row, column in corners)
        counts = [
            np.count_nonzero((down >= 0) & (down < self.tile) & (right >= 0) & (right < self.tile))
            for down, right in offsets
        ]
        return np.array(counts, dtype=np.int64)


@lru_cache(maxsize=256)
def shared_grid(height: int, width: int, tile: int, stride: int) -> TileGrid:
    """Return the same `TileGrid` for the same numbers: images come in few sizes, and its tiles are worked out once."""
    return TileGrid(height, width, tile, stride)


def round_up(side: int, multiple: int) -> int:
    """Return the smallest multiple that is no less than a side."""
    return -(-side // multiple) * multiple


def before_shrinking(multiple: int, shrink: Fraction) -> int:
    """Return the smallest side in pixels that is a `multiple` once `shrink` pixels have become one."""
    return multiple * shrink.numerator // math.gcd(multiple, shrink.denominator)


def overlap_for(halo: int, tile: int, multiple: int) -> float | None:
    """Return the overlap at which each pixel lies beyond the halo in at least one tile.

    Neighbours must share two halos. It is rounded up to the net's multiple, so that the poolings in each tile begin
    where those of its neighbours end.

    Args:
        halo: Pixels at the border of a tile that are not to be trusted.
        tile: Side of the tile in pixels.
        multiple: What the sides of the net's input must be multiples of.

    Returns:
        Share of the tile's side; None if the tile is too small.
    """
    shared = round_up(2 * halo, multiple)
    return shared / tile if shared < tile else None


def mirrored(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Extend an image below and to the right to `height` x `width` by its mirror image; leave larger sides alone."""
    below, right = max(height - image.shape[0], 0), max(width - image.shape[1], 0)
    if not below and not right:
        return image
    return np.pad(image, ((0, below), (0, right), *[(0, 0)] * (image.ndim - 2)), mode="symmetric")


def _starts(side: int, tile: int, stride: int) -> NDArray[np.int64]:
    last = max(side - tile, 0)
    return np.append(np.arange(0, last, stride), last)


def _border_distance(start: int, tile: int, side: int) -> NDArray[np.int64]:
    """Return the distance (tile,) to the nearest end of a tile along an axis that does not end with the image."""
    offsets, none = np.arange(tile), np.full(tile, tile)
    before, after = offsets if start > 0 else none, offsets[::-1] if start + tile < side else none
    nearest: NDArray[np.int64] = np.minimum(before, after)
    return nearest


def _edges(starts: NDArray[np.int64], tile: int) -> tuple[NDArray[np.int64], NDArray[np.intp], NDArray[np.intp]]:
    """Return where tiles begin or end along an axis, ascending, and the index there of each tile's two edges."""
    edges = np.unique(np.concatenate([starts, starts + tile]))
    return edges, np.searchsorted(edges, starts), np.searchsorted(edges, starts + tile)


def window_profile(name: WindowName, tile: int, stride: int) -> NDArray[np.float64]:
    """Say how much a pixel counts where tiles overlap, along one axis; both axes multiplied are its weight.

    No weight is ever 0, so that the image's outermost pixels, which few tiles hold, divide by a positive sum.

    Args:
        name: `uniform` (plain mean), `hann` (raised cosine), `gaussian` (deviation of an eighth of the tile, as is
            usual in medical imaging), or `core` (only the middle of the tile, `stride` wide, counts wherever
            another tile's middle does not).
        tile: Side of a tile in pixels.
        stride: Pixels from one tile to the next.

    Returns:
        float64 (tile,), 0.0001 to 1.

    Raises:
        InputError: If there is no window of that name.
    """
    # From the centre in pixels, 0 to (tile - 1) / 2: halves are exact, fractions of the tile would not be symmetric.
    distance = np.abs(np.arange(tile) - (tile - 1) / 2)
    profile: NDArray[np.float64]
    if name == "uniform":
        profile = np.ones(tile)
    elif name == "hann":
        profile = np.cos(np.pi * distance / tile) ** 2
    elif name == "gaussian":
        profile = np.exp(-0.5 * (distance / (tile / 8)) ** 2)
    elif name == "core":
        profile = np.where(distance <= stride / 2, 1.0, 0.0)
    else:
        raise InputError(f"there is no window {name!r}; choose one of {', '.join(get_args(WindowName))}")
    return np.maximum(profile, _BARELY)


_BARELY = 1e-4
"""A weight that only counts where nothing better covers the pixel."""
