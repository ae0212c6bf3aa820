"""Blend overlapping tile predictions into one map, a few lines at a time.

Tiles are predicted row by row. Lines above the next row of tiles cannot change any more, so they leave at once: only
one tile's height of lines is ever held, whatever the height of the image.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.errors import InputError
from shipseg_tiles.tiling import Region, TileGrid, WindowName, mirrored, window_profile

PredictTiles = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Maps uint8 (N, tile, tile, 3) to float32 (N, tile, tile)."""

SeesTiles = Callable[[NDArray[np.uint8], NDArray[np.int64], int], NDArray[np.bool_]]
"""Chooses which tiles of a row the net is shown: maps uint8 (tile, width, 3), the first columns of its tiles (n,) and
the side of a tile to (n,)."""

PIXELS_PER_BATCH = 768 * 768
"""Tiles are predicted together up to about so many pixels: beyond it nets gain no speed and take more memory."""


_LINES_AT_ONCE = 64
"""Lines that are read or divided together: both take memory of their own, much of it in a wide scene."""


_NONE = np.finfo(np.float32).tiny
"""Divides the sum of no answers, which is 0; added to the least weight it changes nothing."""


class Source(Protocol):
    """Where pixels come from: an array, a memory map, a dataset of HDF5, or a scene on disk."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(height, width, 3)."""

    def __getitem__(self, key: Any, /) -> Any:
        """Return uint8 (h, w, 3) at (rows, columns), two slices."""


class Sink(Protocol):
    """Where predictions go: an array, a memory map, a dataset of HDF5, or a file."""

    def __setitem__(self, key: Any, values: Any, /) -> None:
        """Take float32 (h, w) at (rows, columns), two slices."""


@dataclass(frozen=True)
class Lines:
    """Finished lines of an image, or of a region of it.

    Attributes:
        top: The first one's row in the image.
        left: Their first column in the image.
        probability: float32 (lines, width), the weighted mean of all seen tiles that hold a pixel; 0 where none does.
        disagreement: float32 (lines, width), the weighted standard deviation of these tiles' answers; 0 where at most
            one seen tile holds a pixel, but for rounding (below 0.002). None if it was not asked for.
        tiles: How many tiles were done for them, beyond those of the lines above.
        tiles_skipped: How many of these the net was not shown.
    """

    top: int
    left: int
    probability: NDArray[np.float32]
    disagreement: NDArray[np.float32] | None = None
    tiles: int = 0
    tiles_skipped: int = 0

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns in the image."""
        height, width = self.probability.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)


def stitch(
    image: Source, predict_tiles: PredictTiles, grid: TileGrid, window: WindowName = "hann"
) -> NDArray[np.float32]:
    """Predict an image tile by tile and blend what overlaps.

    Each pixel is the mean of all tiles that hold it, weighted by the window, in float32; nothing is rounded or
    thresholded on the way.

    Args:
        image: uint8 (height, width, 3).
        predict_tiles: The net. It is always called with the same number of tiles, some of them filler in the end.
        grid: Tiles over exactly this image.
        window: See `window_profile`.

    Returns:
        float32 (height, width) in the range of the net's answers, but for rounding.

    Raises:
        InputError: If the grid is for another image size, or the net answers with another shape.
    """
    result = np.empty((grid.height, grid.width), dtype=np.float32)
    stitch_into(result, stitched_lines(image, predict_tiles, grid, window))
    return result


def stitch_into(sink: Sink, stitched: Iterator[Lines]) -> None:
    """Write the probability of stitched lines where it belongs in an image-sized sink."""
    for lines in stitched:
        sink[lines.slices] = lines.probability


def stitched_lines(
    source: Source,
    predict_tiles: PredictTiles,
    grid: TileGrid,
    window: WindowName = "hann",
    *,
    region: Region | None = None,
    sees: SeesTiles | None = None,
    disagreement: bool = False,
    pixels_that_fit: int | None = None,
) -> Iterator[Lines]:
    """Yield the finished lines of an image, from the top, whenever a row of tiles is done.

    Args:
        source: uint8 (height, width, 3), read by windows, each line once.
        predict_tiles: As for `stitch`.
        grid: Tiles over exactly this image. It stays anchored to the image if there is a region, whose pixels are
            therefore the same as without one.
        window: See `window_profile`.
        region: Part of the image to predict; None for all of it.
        sees: Which tiles the net is shown; the others are as if they were not there, and pixels that no seen tile
            holds get 0. None for all of them.
        disagreement: Whether to measure it.
        pixels_that_fit: See `batch_size`.

    Raises:
        InputError: As `stitch`.
    """
    grid.check_shape(source.shape)
    region = (region or grid.whole).within(grid.height, grid.width)
    blend = _Blend(grid, window, region, disagreement)
    rows = _rows_of_tiles(source, grid, region, sees)
    sizes = _batch_sizes(batch_size(grid, pixels_that_fit), fixed=sees is None)
    for row, column, answer in _answers(rows, predict_tiles, grid.tile, sizes):
        yield from blend.move_down(row)
        blend.add(column, answer)
    yield from blend.move_down(blend.top + grid.tile)


class _Blend:
    """The lines under one row of tiles, on which the answers to these are summed up; it moves down the image.

    Attributes:
        top: Row of the first line in the image.
    """

    def __init__(self, grid: TileGrid, window: WindowName, region: Region, disagreement: bool) -> None:
        rows, columns = grid.touching(region)
        self.top, self._left = int(rows[0]), int(columns[0])
        self._region = region
        self._profile = window_profile(window, grid.tile, grid.stride).astype(np.float32)
        self._weights = np.outer(self._profile, self._profile)
        width = int(columns[-1]) - self._left + grid.tile
        # Weighted sums of the answers, and of their squares for the disagreement.
        self._sums: NDArray[np.float32] = np.zeros((2 if disagreement else 1, grid.tile, width), dtype=np.float32)
        # The weights themselves are a product of a line's and a column's, so a line is enough for each row of tiles
        # that reaches into the band: the sum of the profiles of its seen tiles.
        self._seen: dict[int, NDArray[np.float32]] = {}
        self._counts: Counter[bool] = Counter()

    def add(self, column: int, answer: NDArray[np.float32] | None) -> None:
        """Add the answer float32 (tile, tile) to the tile from a column of the image on, None if it was not seen."""
        self._counts[answer is not None] += 1
        if answer is None:
            return
        start = column - self._left
        seen = self._seen.setdefault(self.top, np.zeros(self._sums.shape[2], dtype=np.float32))
        seen[start : start + len(answer)] += self._profile
        weighted = self._weights
        for sums in self._sums[:, :, start : start + len(answer)]:
            weighted = weighted * answer
            sums += weighted

    def move_down(self, row: int) -> Iterator[Lines]:
        """Make a row of the image the first line; yield the lines that are left behind, if they are in the region."""
        count = row - self.top
        first, last = max(self._region.top, self.top), min(self._region.bottom, row)
        if first < last:
            yield Lines(first, self._region.left, *self._means(first, last), self._counts.total(), self._counts[False])
            self._counts.clear()
        _move_up(self._sums, count)
        self._sums[:, self._sums.shape[1] - count :] = 0
        self._seen = {top: seen for top, seen in self._seen.items() if top + len(self._profile) > row}
        self.top = row

    def _means(self, first: int, last: int) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Divide the sums of some rows of the image by their weights; return probability and disagreement."""
        columns = slice(self._region.left - self._left, self._region.right - self._left)
        means = self._sums[:, first - self.top : last - self.top, columns].copy()
        for line in range(first, last, _LINES_AT_ONCE):
            end = min(line + _LINES_AT_ONCE, last)
            means[:, line - first : end - first] /= self._weight_sums(line, end, columns)
        # Rounding may leave a variance of 0 just below it.
        spread = np.sqrt(np.maximum(means[1] - means[0] ** 2, 0)) if len(means) > 1 else None
        return means[0], spread

    def _weight_sums(self, first: int, last: int, columns: slice) -> NDArray[np.float32]:
        """Add up the weights of all seen tiles on some rows of the image and some columns of the band."""
        total = np.full((last - first, columns.stop - columns.start), _NONE)
        for top, seen in self._seen.items():
            part = self._profile[first - top : last - top]
            total[: len(part)] += np.outer(part, seen[columns])
        return total


@dataclass(frozen=True)
class _RowOfTiles:
    """The lines of an image under one row of tiles: uint8 (tile, width, 3) from the column `left` on.

    `columns` are the first ones of its tiles in the image, `seen` says which of them the net is shown.
    """

    row: int
    left: int
    pixels: NDArray[np.uint8]
    columns: NDArray[np.int64]
    seen: NDArray[np.bool_]


def _rows_of_tiles(source: Source, grid: TileGrid, region: Region, sees: SeesTiles | None) -> Iterator[_RowOfTiles]:
    """Read the lines under one row of tiles after the other, those that two rows share only once."""
    rows, columns = grid.touching(region)
    left, right = int(columns[0]), min(int(columns[-1]) + grid.tile, grid.width)
    if sees is not None:
        left, right = 0, grid.width  # whoever looks at whole lines must see the same ones for a region
    band = np.empty((1, min(grid.tile, grid.height), right - left, 3), dtype=np.uint8)
    top = read = int(rows[0])
    for row in rows.tolist():
        _move_up(band, row - top)
        top, bottom = row, row + band.shape[1]
        for first in range(read, bottom, _LINES_AT_ONCE):
            last = min(first + _LINES_AT_ONCE, bottom)
            band[0, first - top : last - top] = _checked(source[first:last, left:right])
        read = bottom
        pixels = mirrored(band[0], grid.tile, grid.tile)
        seen = np.ones(len(columns), dtype=bool) if sees is None else sees(pixels, columns - left, grid.tile)
        yield _RowOfTiles(row, left, pixels, columns, seen)


def _checked(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Refuse what numpy would cut down to bytes without a word."""
    if pixels.dtype != np.uint8 or pixels.shape[2:] != (3,):
        raise InputError(f"pixels are {pixels.dtype} {pixels.shape}, not uint8 (height, width, 3)")
    return pixels


def _answers(
    rows: Iterator[_RowOfTiles], predict_tiles: PredictTiles, tile: int, sizes: list[int]
) -> Iterator[tuple[int, int, NDArray[np.float32] | None]]:
    """Yield row, column and answer of each tile in the grid's order, None for those that the net was not shown.

    Batches go on from one row of tiles to the next. All have the largest of the ascending `sizes`, but for the last,
    which has the smallest that suffices.
    """
    batch = np.zeros((sizes[-1], tile, tile, 3), dtype=np.uint8)
    waiting: list[tuple[int, int, int | None]] = []  # row, column, number in the batch
    filled = 0
    for row in rows:
        for column, is_seen in zip(row.columns.tolist(), row.seen.tolist(), strict=True):
            if is_seen:
                start = column - row.left
                batch[filled] = row.pixels[:, start : start + tile]
            waiting.append((row.row, column, filled if is_seen else None))
            filled += is_seen
            if filled == len(batch):
                yield from _answered(waiting, batch, predict_tiles)
                waiting, filled = [], 0
        if not filled:
            yield from ((top, column, None) for top, column, _ in waiting)
            waiting = []
    if filled:
        yield from _answered(waiting, batch[: next(size for size in sizes if size >= filled)], predict_tiles)


def _answered(
    waiting: list[tuple[int, int, int | None]], batch: NDArray[np.uint8], predict_tiles: PredictTiles
) -> Iterator[tuple[int, int, NDArray[np.float32] | None]]:
    answers = predict_tiles(batch)
    if answers.shape != batch.shape[:3]:
        raise InputError(f"the net answers {batch.shape[:3]} tiles with {answers.shape}")
    for row, column, number in waiting:
        yield row, column, None if number is None else answers[number]


def _move_up(lines: NDArray[Any], count: int) -> None:
    """Move (N, lines, ...) up by `count` lines in place; the last ones are left as they are."""
    if count:
        lines[:, :-count] = lines[:, count:].copy()  # a few lines, those that two rows of tiles share


def batch_size(grid: TileGrid, pixels: int | None = None) -> int:
    """Spread the tiles over equally full batches, so that little filler is predicted.

    Args:
        grid: The tiles.
        pixels: How many fit into memory; None if nobody knows. A single tile may have more.
    """
    largest = max(1, min(PIXELS_PER_BATCH if pixels is None else pixels, PIXELS_PER_BATCH) // grid.tile**2)
    batches = -(-len(grid) // largest)
    return -(-len(grid) // batches)


def _batch_sizes(largest: int, fixed: bool) -> list[int]:
    """Allow one size, or, where nobody knows how many tiles will be seen, also the powers of two below it."""
    return [largest] if fixed else [*(2**power for power in range((largest - 1).bit_length())), largest]
