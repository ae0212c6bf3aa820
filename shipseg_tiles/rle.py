"""Masks to run-length text and back, the way the Airbus Ship Detection Challenge writes them.

A text is a list of pairs "start length". Pixels are counted from 1, down the columns: pixel 1 is the upper left
corner, pixel 2 stands *below* it. An empty text is an empty mask.
(https://www.kaggle.com/c/airbus-ship-detection/overview/evaluation)

Beside whole masks this module works on *pixel indices*: the sorted, 0-based, column-major numbers of the ship
pixels. They take memory only where there are ships, and are what planning and scoring use.
"""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.errors import InputError

PixelIndices = NDArray[np.int64]
"""Sorted 0-based column-major pixel numbers: index = column * height + row."""


class OutsideImageError(InputError):
    """A run leaves its image: it is wrong, or the image has another size than was thought."""


def encode(mask: NDArray[np.generic]) -> str:
    """Write a mask as run-length text.

    Args:
        mask: (height, width), any dtype; every value other than 0 is ship.

    Returns:
        Pairs "start length" joined by blanks, starts ascending, runs as long as they can be; "" if no ship.

    Raises:
        InputError: As `indices_of`.
    """
    return encode_indices(indices_of(mask))


def indices_of(mask: NDArray[np.generic]) -> PixelIndices:
    """Return the sorted pixel indices of a mask (height, width), in which every value other than 0 is ship.

    Raises:
        InputError: If the mask does not have two dimensions.
    """
    if mask.ndim != 2:
        raise InputError(f"a mask has the shape (height, width), not {mask.shape}")
    return np.flatnonzero(mask.T)


def encode_indices(indices: PixelIndices) -> str:
    """Write sorted distinct pixel indices as run-length text."""
    if indices.size == 0:
        return ""
    breaks = np.flatnonzero(np.diff(indices) != 1) + 1
    firsts = np.concatenate(([0], breaks))
    lengths = np.diff(np.concatenate((firsts, [indices.size])))
    pairs = np.stack((indices[firsts] + 1, lengths), axis=1)
    return " ".join(map(str, pairs.ravel().tolist()))


def decode(text: str, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Read run-length text into a mask.

    Args:
        text: Pairs "start length"; runs may come in any order and overlap.
        shape: (height, width) of the image.

    Returns:
        uint8 (height, width), 1 on ships and 0 elsewhere.

    Raises:
        InputError: If the text is no list of pairs of positive numbers.
        OutsideImageError: If a run leaves the image.
    """
    return mask_of(decode_indices(text, shape[0] * shape[1]), shape)


def mask_of(indices: PixelIndices, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the uint8 (height, width) mask that is 1 at the pixel indices, which lie inside `shape`."""
    height, width = shape
    mask = np.zeros(height * width, dtype=np.uint8)
    mask[indices] = 1
    return np.ascontiguousarray(mask.reshape(width, height).T)


def decode_indices(text: str, pixels: int) -> PixelIndices:
    """Read run-length text into sorted distinct pixel indices.

    Args:
        text: As for `decode`.
        pixels: Number of pixels of the image (height * width).

    Raises:
        InputError: As `decode`, or if there are more ship pixels than fit into memory.
    """
    starts, lengths = _parse(text)
    outside = np.flatnonzero((starts > pixels) | (lengths > pixels - starts + 1))
    if outside.size:
        start, length = starts[outside[0]], lengths[outside[0]]
        raise OutsideImageError(f"run '{start} {length}' leaves the image of {pixels} pixels")
    return _spread(starts - 1, lengths)


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


_DIGITS = re.compile(r"[-\d\s]*", re.ASCII)

_MOST_SHIP_PIXELS = 2**31
"""Their indices take 16 GB."""


def _parse(text: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split run-length text into starts (1-based) and lengths."""
    fields = text.split()
    if len(fields) % 2:
        raise InputError(f"run-length text has {len(fields)} fields, which is odd; it needs pairs 'start length'")
    try:
        if not _DIGITS.fullmatch(text):  # Python reads 1_0 as 10, and +1 and the digits of all scripts
            raise ValueError
        numbers = np.array(fields, dtype=np.int64)
    except (ValueError, OverflowError):
        raise InputError(f"run-length text {_shortened(text)!r} is no list of whole numbers") from None
    if np.any(numbers < 1):
        raise InputError(f"run-length text {_shortened(text)!r} holds {numbers.min()}; starts and lengths begin at 1")
    return numbers[::2], numbers[1::2]


def _spread(firsts: NDArray[np.int64], lengths: NDArray[np.int64]) -> PixelIndices:
    """Number the pixels of all runs, each pixel once and ascending, however the runs are ordered or overlap."""
    order = np.argsort(firsts, kind="stable")
    firsts, ends = firsts[order], (firsts + lengths)[order]
    # A run begins no earlier than the runs before it end: a text that repeats itself takes no more memory.
    firsts[1:] = np.maximum(firsts[1:], np.maximum.accumulate(ends)[:-1])
    lengths = np.maximum(ends - firsts, 0)
    # Checked before the runs are spread out, so that a wrong number cannot take the memory of the machine.
    if (total := lengths.sum()) > _MOST_SHIP_PIXELS:
        raise InputError(f"run-length text has {total} ship pixels, more than {_MOST_SHIP_PIXELS}; correct its runs")
    before = np.cumsum(lengths) - lengths
    return np.repeat(firsts - before, lengths) + np.arange(total)


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."
