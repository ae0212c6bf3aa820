"""One picture of a patch store: some of its patches, those with ships beside themselves with the ships outlined."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shipseg_tiles.archive.split import SPLITS
from shipseg_tiles.files import written_whole
from shipseg_tiles.patches.store import PatchSet, PatchStore
from shipseg_tiles.report.pictures import TRUTH, contact_sheet, outlined

COLUMNS = 8

SHOWN_SIDES = (128, 256)
"""Smaller patches are enlarged, larger ones shrunk to it, in pixels."""

_Picture = NDArray[np.uint8]


def write_sheet(store: PatchStore, path: Path) -> None:
    """Write a PNG of patches evenly spaced over a store.

    For training, then for validation: two rows of ship patches, each followed by itself with the ships outlined, and a
    row of background. Where there are fewer patches the row stays white.

    Args:
        store: The store.
        path: PNG to write; it appears when it is complete.

    Raises:
        InputError: If a patch cannot be unpacked.
    """
    pictures = []
    for split in SPLITS:
        ships = _pictures(store.sets[split, "ship"], COLUMNS)
        pairs = [picture for image, mask in ships for picture in (image, outlined(image, mask, TRUTH))]
        background = [image for image, _ in _pictures(store.sets[split, "background"], COLUMNS)]
        white = np.full((_shown_side(store.side),) * 2 + (3,), 255, dtype=np.uint8)
        pictures += [*pairs, *[white] * (2 * COLUMNS - len(pairs))]
        pictures += [*background, *[white] * (COLUMNS - len(background))]
    with written_whole(path) as temporary:
        Image.fromarray(contact_sheet(pictures, COLUMNS)).save(temporary, "PNG")


def _pictures(patches: PatchSet, count: int) -> list[tuple[_Picture, _Picture]]:
    """Return at most `count` images and masks, evenly spaced, at the size in which they are shown."""
    indices = np.unique(np.linspace(0, len(patches) - 1, count).astype(np.int64)) if len(patches) else np.arange(0)
    return [(_shown(image), _shown(mask)) for image, mask in zip(*patches.read(indices), strict=True)]


def _shown(pixels: _Picture) -> _Picture:
    side = _shown_side(len(pixels))
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.NEAREST))


def _shown_side(side: int) -> int:
    smallest, largest = SHOWN_SIDES
    return min(max(side, smallest), largest)
