"""Pictures of images, masks and both."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from skimage.morphology import dilation, disk

from shipseg_tiles.pixels import PixelIndices, rows_and_columns

PREDICTED = (255, 176, 0)
"""Amber. With `TRUTH` it stays apart for every kind of colour blindness (IBM's colour-safe palette)."""

TRUTH = (100, 143, 255)
"""Blue."""

FALSE = (220, 38, 127)
"""Magenta, of the same palette."""

COLOURS = tuple(f"#{bytes(colour).hex()}" for colour in (TRUTH, PREDICTED, FALSE, (120, 94, 240), (254, 97, 0)))
"""Of charts: IBM's palette, which stays apart for every kind of colour blindness, on white and on black."""

LONGEST_SIDE = 1024
"""Larger pictures are shrunk before they go into a page, in pixels."""

_GAP = 6
"""Pixels of white between pictures."""


def shrink_step(shape: tuple[int, ...], longest: int = LONGEST_SIDE) -> int:
    """Return which whole number shrinks an image of this shape until no side is longer; 1 for most."""
    return -(-max(shape) // longest)


def shrunk_mask(pixels: PixelIndices, shape: tuple[int, int], step: int) -> NDArray[np.bool_]:
    """Return the mask of `image[::step, ::step]`, bool: no ship is lost, be it one pixel between those that are kept.

    Args:
        pixels: Ship pixels of the whole image.
        shape: Its (height, width).
        step: As `shrink_step`.
    """
    height, width = shape
    mask = np.zeros((-(-height // step), -(-width // step)), dtype=np.bool_)
    rows, columns = rows_and_columns(pixels, height)
    mask[rows // step, columns // step] = True
    return mask


def outlined(
    image: NDArray[np.uint8], mask: NDArray[np.generic], colour: tuple[int, int, int] = PREDICTED
) -> NDArray[np.uint8]:
    """Draw the outlines of a mask, 2 pixels wide and just outside of it, so that small ships stay visible.

    Args:
        image: uint8 (height, width, 3).
        mask: (height, width); every value other than 0 is ship.
        colour: Red, green, blue.

    Returns:
        A new uint8 (height, width, 3).
    """
    drawn = image.copy()
    ships = mask != 0
    drawn[dilation(ships, disk(2)) & ~ships] = colour
    return drawn


def triptych(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Put the image, the mask and both combined side by side: uint8 (height, 3 * width + gaps, 3)."""
    white_on_black = np.repeat(mask[..., np.newaxis] * np.uint8(255), 3, axis=2)
    return contact_sheet([image, white_on_black, outlined(image, mask)], columns=3)


def contact_sheet(pictures: Sequence[NDArray[np.uint8]], columns: int) -> NDArray[np.uint8]:
    """Lay pictures of one size out in rows of `columns`, white between them.

    Args:
        pictures: uint8 (height, width, 3) each, one or more.
        columns: Pictures in a row.

    Returns:
        uint8 picture of all of them.
    """
    height, width = pictures[0].shape[:2]
    rows = -(-len(pictures) // columns)
    columns = min(columns, len(pictures))
    sheet = np.full((rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP, 3), 255, dtype=np.uint8)
    for number, picture in enumerate(pictures):
        top, left = number // columns * (height + _GAP), number % columns * (width + _GAP)
        sheet[top : top + height, left : left + width] = picture
    return sheet
