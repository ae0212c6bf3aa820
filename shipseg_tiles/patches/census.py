"""How many patches of each class there would be at several patch sizes, from the labels alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from shipseg_tiles.archive.labels import Labels
from shipseg_tiles.pixels import rows_and_columns
from shipseg_tiles.tiling import shared_grid

PATCH_SIZES = (64, 128, 256, 384, 768)
"""Sides of patches in pixels that are worth comparing."""


@dataclass(frozen=True)
class PatchCount:
    """Patches of one size, side by side, in all images.

    Attributes:
        patch: Side of a patch in pixels.
        ship: Patches with a ship pixel or more.
        background: Patches without.
    """

    patch: int
    ship: int
    background: int


def fitting_patches(sizes: Mapping[str, tuple[int, int]]) -> list[int]:
    """Return those of `PATCH_SIZES` that fit into at least one image; the smallest if none does."""
    side = max(map(min, sizes.values()), default=0)
    return [patch for patch in PATCH_SIZES if patch <= side] or [PATCH_SIZES[0]]


def count_patches(labels: Labels, sizes: Mapping[str, tuple[int, int]], patches: Sequence[int]) -> list[PatchCount]:
    """Count the patches that a plan could choose from, with a stride of the patch.

    Args:
        labels: The ships of each image.
        sizes: (height, width) of the images to count, all of them labelled.
        patches: Sides of the patches in pixels.

    Returns:
        One count for each of `patches`, in their order.

    Raises:
        InputError: If a run-length text is malformed or leaves its image.
    """
    every = dict.fromkeys(patches, 0)
    with_ships = dict.fromkeys(patches, 0)
    for name, (height, width) in tqdm(sizes.items(), desc="patches", unit="image", disable=None):
        rows, columns = rows_and_columns(labels.pixel_indices(name, (height, width)), height)
        for patch in patches:
            grid = shared_grid(height, width, patch, patch)
            every[patch] += len(grid)
            if rows.size:  # most images are empty
                with_ships[patch] += int(np.count_nonzero(grid.pixels_per_tile(rows, columns)))
    return [PatchCount(patch, with_ships[patch], every[patch] - with_ships[patch]) for patch in patches]
