"""Ship pixels as *pixel indices*: their sorted, 0-based, column-major numbers.

They take memory only where there are ships, and are what planning and scoring use.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.errors import InputError

PixelIndices = NDArray[np.int64]
"""Sorted 0-based column-major pixel numbers: index = column * height + row."""


def indices_of(mask: NDArray[np.generic]) -> PixelIndices:
    """Return the sorted pixel indices of a mask (height, width), in which every value other than 0 is ship.

    Raises:
        InputError: If the mask does not have two dimensions.
    """
    if mask.ndim != 2:
        raise InputError(f"a mask has the shape (height, width), not {mask.shape}")
    return np.flatnonzero(mask.T)


def mask_of(indices: PixelIndices, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the uint8 (height, width) mask that is 1 at the pixel indices, which lie inside `shape`."""
    height, width = shape
    mask = np.zeros(height * width, dtype=np.uint8)
    mask[indices] = 1
    return np.ascontiguousarray(mask.reshape(width, height).T)


def rows_and_columns(indices: PixelIndices, height: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the row and the column of each pixel index (P,) of an image of `height` lines."""
    columns, rows = np.divmod(indices, height)
    return rows, columns


def indices_at(rows: NDArray[np.int64], columns: NDArray[np.int64], height: int) -> PixelIndices:
    """Number pixels of an image of `height` lines by row and column, in the order in which they are given."""
    return columns * height + rows


def union(parts: Sequence[PixelIndices]) -> PixelIndices:
    """Merge sets of pixel indices that may overlap; no parts make the empty set."""
    if len(parts) == 1:
        return parts[0]
    return np.unique(np.concatenate(parts)) if parts else np.empty(0, dtype=np.int64)
