"""Ships that touch: an object that is several of them is cut where it is narrow, if what comes of it are ships.

A ship is a rotated rectangle. So an object is cut only if each of its parts fills a rectangle well, and better than the
whole object does.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from skimage.measure import label
from skimage.morphology import local_maxima, reconstruction
from skimage.segmentation import watershed

from shipseg_tiles.pixels import PixelIndices, rows_and_columns

NECK = 1.0
"""Pixels by which an object's half width must be smaller at a cut than on both of its sides: a hull swells and narrows
by less, except for its ends."""

GOOD_FIT = 0.6
"""Share of its rectangle that each part fills at least: an ellipse fills 0.79, a triangle 0.5."""

GAIN = 0.05
"""The worst part must fill so much more of its rectangle than the whole object does: without it, more of the ships that
touch in labels are cut rightly, and far more single ships wrongly where a net drew them."""

SMALLEST = 18
"""Objects of fewer pixels are left whole: a part that is wider than a neck has 3 x 3 px at least."""

LARGEST_BOX = 2**22
"""Objects in a larger box of pixels are left whole: 2,048 px to each side hold no few ships but a coast, and the memory
that a cut takes."""

_ANGLES = np.radians(np.arange(90))
"""A rectangle turned by 90 degrees is the same one."""


def separate_touching(objects: Iterable[PixelIndices], height: int) -> list[PixelIndices]:
    """Cut connected objects into the ships that touch in them.

    Ships that touch along all of their sides, without a notch between them, stay one.

    Args:
        objects: Sorted pixel indices of each connected object of an image.
        height: Height of the image in pixels.

    Returns:
        Sorted pixel indices of each part, in the column-major order of their first pixels. Together they are exactly
        the pixels of the objects; no two share one.
    """
    parts = [part for pixels in objects for part in _separated(pixels, height)]
    return sorted(parts, key=lambda part: int(part[0]))


def _separated(pixels: PixelIndices, height: int) -> list[PixelIndices]:
    """Cut one object, or leave it whole."""
    rows, columns = rows_and_columns(pixels, height)
    if len(pixels) < SMALLEST or (np.ptp(rows) + 1) * (np.ptp(columns) + 1) > LARGEST_BOX:
        return [pixels]
    numbers = _cut(rows, columns)
    parts = [numbers == number for number in range(1, numbers.max() + 1)]
    if len(parts) > 1:
        worst = min(rectangle_fit(rows[part], columns[part]) for part in parts)
        if worst >= max(GOOD_FIT, rectangle_fit(rows, columns) + GAIN):
            return [pixels[part] for part in parts]
    return [pixels]


def _cut(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the parts of a connected object: (P,) image rows and columns of its pixels to (P,) numbers from 1.

    Parts grow from where the object is widest, each for itself, until they meet at the necks between them. Where it is
    nowhere wider than a neck, there is no part and all numbers are 0.
    """
    within = rows - rows.min() + 1, columns - columns.min() + 1
    mask = np.zeros((within[0].max() + 2, within[1].max() + 2), dtype=np.bool_)
    mask[within] = True
    distances = distance_transform_edt(mask)
    # Flattened by the depth of a neck, a ridge is one plateau. `h_maxima` would name only its highest pixels, which a
    # turned ship has all along its border.
    plateaus = reconstruction(distances - NECK, distances)
    widest = label(local_maxima(plateaus), connectivity=2)
    numbers: NDArray[np.int64] = watershed(-distances, widest, connectivity=2, mask=mask)[within]
    return numbers


def rectangle_fit(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> float:
    """Tell how well pixels fill a rectangle: their number over the area of the smallest one around them.

    Args:
        rows: (P,) image rows of distinct pixels, one or more.
        columns: (P,) their image columns, ascending, as those of sorted pixel indices are.

    Returns:
        Above 0 to 1 for a rectangle whose sides are rows and columns. The pixels along the border of one that is turned
        stand out from it and bring that to some 0.9; the turn is found to the degree.
    """
    firsts = np.flatnonzero(np.diff(columns, prepend=columns[0] - 1))
    # A column's other pixels lie between its first and its last one: rows ascend in it.
    ends = np.concatenate((firsts, firsts[1:] - 1, [len(columns) - 1]))
    x, y = columns[ends], rows[ends]
    along = np.outer(np.cos(_ANGLES), x) + np.outer(np.sin(_ANGLES), y)
    across = np.outer(np.cos(_ANGLES), y) - np.outer(np.sin(_ANGLES), x)
    areas = (np.ptp(along, axis=1) + 1) * (np.ptp(across, axis=1) + 1)
    return float(len(rows) / areas.min())
