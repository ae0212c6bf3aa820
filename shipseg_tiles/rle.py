"""Masks to run-length text and back, the way the Airbus Ship Detection Challenge writes them.

A text is a list of pairs "start length". Pixels are counted from 1, down the columns: pixel 1 is the upper left
corner, pixel 2 stands *below* it. An empty text is an empty mask.
(https://www.kaggle.com/c/airbus-ship-detection/overview/evaluation)

Beside whole masks there are pixel indices, see `shipseg_tiles.pixels`, which take memory only where there are ships.
"""

import re

import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.errors import InputError
from shipseg_tiles.pixels import PixelIndices, indices_of, mask_of


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
