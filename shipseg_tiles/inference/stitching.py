"""Blend overlapping tile predictions into one map, a few lines at a time."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.errors import InputError
from shipseg_tiles.tiling import TileGrid, WindowName, window_weights

PredictTiles = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Maps uint8 (N, tile, tile, 3) to float32 (N, tile, tile)."""

PIXELS_PER_BATCH = 768 * 768
"""Tiles are predicted together up to about so many pixels: beyond it nets gain no speed and take more memory."""


def stitch(
    image: NDArray[np.uint8], predict_tiles: PredictTiles, grid: TileGrid, window: WindowName = "hann"
) -> NDArray[np.float32]:
    """Predict an image tile by tile and blend what overlaps.

    Each pixel is the mean of all tiles that hold it, weighted by the window, in float32; nothing is rounded or
    thresholded on the way.

    Args:
        image: uint8 (height, width, 3).
        predict_tiles: The net. It is always called with the same number of tiles, some of them filler in the end.
        grid: Tiles over exactly this image.
        window: See `window_weights`.

    Returns:
        float32 (height, width) in the range of the net's answers.

    Raises:
        InputError: If the grid is for another image size, or the net answers with another shape.
    """
    result = np.empty((grid.height, grid.width), dtype=np.float32)
    for first, lines in _stitched_lines(grid.pad(image), predict_tiles, grid, window):
        visible = result[first : first + len(lines)]
        visible[:] = lines[: len(visible), : grid.width]
    return result


def _stitched_lines(
    padded: NDArray[np.uint8], predict_tiles: PredictTiles, grid: TileGrid, window: WindowName
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield the first line and the finished lines whenever a row of tiles is done.

    Lines above the next row of tiles cannot change any more, so only `tile` lines are ever held.
    """
    weights = window_weights(window, grid.tile, grid.stride)
    lines: NDArray[np.float32] = np.zeros(
        (2, grid.tile, grid.padded_shape[1]), dtype=np.float32
    )  # weighted sums, sums of weights
    top = 0
    for (row, column), prediction in _predictions(padded, predict_tiles, grid):
        if row != top:
            done = row - top
            yield top, lines[0, :done] / lines[1, :done]
            lines = np.concatenate((lines[:, done:], np.zeros_like(lines[:, :done])), axis=1)
            top = row
        lines[0, :, column : column + grid.tile] += prediction * weights
        lines[1, :, column : column + grid.tile] += weights
    yield top, lines[0] / lines[1]


def _predictions(
    padded: NDArray[np.uint8], predict_tiles: PredictTiles, grid: TileGrid
) -> Iterator[tuple[tuple[int, int], NDArray[np.float32]]]:
    """Yield each tile's corner and prediction in the grid's order, predicting batches of one fixed shape."""
    batch = np.zeros((_batch_size(grid), grid.tile, grid.tile, 3), dtype=np.uint8)
    for first in range(0, len(grid), len(batch)):
        corners = grid.corners[first : first + len(batch)].tolist()
        for place, (row, column) in enumerate(corners):
            batch[place] = padded[row : row + grid.tile, column : column + grid.tile]
        predictions = predict_tiles(batch)
        if predictions.shape != batch.shape[:3]:
            raise InputError(f"the net answers {batch.shape[:3]} tiles with {predictions.shape}")
        for (row, column), prediction in zip(corners, predictions, strict=False):  # filler tiles are left over
            yield (row, column), prediction


def _batch_size(grid: TileGrid) -> int:
    """Spread the tiles over equally full batches, so that little filler is predicted."""
    largest = max(1, PIXELS_PER_BATCH // grid.tile**2)
    batches = -(-len(grid) // largest)
    return -(-len(grid) // batches)
