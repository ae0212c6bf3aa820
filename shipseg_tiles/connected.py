"""The connected objects of a mask."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from shipseg_tiles.pixels import PixelIndices, indices_of


def separate_objects(mask: NDArray[np.generic]) -> list[PixelIndices]:
    """Split a mask into its 8-connected objects.

    Args:
        mask: (height, width); every value other than 0 is ship.

    Returns:
        Pixel indices of each object, in the column-major order of their first pixels.

    Raises:
        InputError: If the mask does not have two dimensions.
    """
    return connected_objects(indices_of(mask), mask.shape[0])


def connected_objects(indices: PixelIndices, height: int) -> list[PixelIndices]:
    """Split the ship pixels of an image of `height` lines into 8-connected objects, as `separate_objects`.

    It takes memory only where there are ships. Runs of pixels down a column are what is connected.
    """
    if not indices.size:
        return []
    # Columns are set apart by two numbers, so that no run goes on, or touches another, around the end of a column.
    numbers = indices + indices // height * 2
    firsts = np.flatnonzero(np.diff(numbers, prepend=-2) > 1)
    lengths = np.diff(firsts, append=len(numbers))
    starts, ends = numbers[firsts], numbers[firsts] + lengths - 1
    # Runs of the next column that a run touches, at the corners too, follow each other.
    first_touched = np.searchsorted(ends, starts + height + 1)
    touched = np.maximum(np.searchsorted(starts, ends + height + 3, side="right") - first_touched, 0)
    run = np.repeat(np.arange(len(starts)), touched)
    neighbour = np.arange(len(run)) + np.repeat(first_touched - np.cumsum(touched) + touched, touched)
    graph = coo_array((np.ones(len(run), dtype=bool), (run, neighbour)), shape=(len(starts), len(starts)))
    labels = np.repeat(connected_components(graph, directed=False)[1], lengths)
    return np.split(indices[np.argsort(labels, kind="stable")], np.cumsum(np.bincount(labels))[:-1])
