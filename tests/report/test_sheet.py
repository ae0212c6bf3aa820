from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from shipseg_tiles.patches.plan import PatchPlan
from shipseg_tiles.patches.store import PatchStore, find_slots
from shipseg_tiles.patches.store_layout import PARTS
from shipseg_tiles.patches.store_writer import create_store
from shipseg_tiles.report.pictures import TRUTH
from shipseg_tiles.report.sheet import write_sheet

GAP = 6


def coloured_store(folder, side, *counts):
    """Make a store of so many patches of each split and class; red is the slot, green the number of split and class.

    The upper left quarter of ship patches is ship.
    """
    rows = [("a.jpg", slot, *key) for key, count in zip(PARTS, counts, strict=True) for slot in range(count)]
    table = pd.DataFrame(rows, columns=["image", "slot", "split", "class"])
    table["row"] = table["column"] = table["ship_pixels"] = 0
    path = Path(folder) / "patches.h5"
    create_store(path, PatchPlan(table, {}), {"patch": side, "stride": side, "resize": None, "seed": 0})
    slots = find_slots(path)
    for number, ((split, kind), count) in enumerate(zip(PARTS, counts, strict=True)):
        mask = np.zeros((side, side), dtype=np.uint8)
        mask[: side // 2, : side // 2] = kind == "ship"
        for slot in range(count):
            slots.write(split, kind, slot, np.full((side, side, 3), (slot, number, 0), np.uint8), mask)
    slots.close()
    return PatchStore(path)


def tiles_of(path, side):
    """Take a sheet apart into its rows of pictures."""
    sheet = np.asarray(Image.open(path))
    step = side + GAP
    assert sheet.shape == (6 * step - GAP, 8 * step - GAP, 3)
    return [
        [sheet[row * step : row * step + side, column * step : column * step + side] for column in range(8)]
        for row in range(6)
    ]


def who(tile):
    """The slot and the number of split and class of a picture, from its lower right corner; None if it is white."""
    red, green, blue = tile[-1, -1].tolist()
    return None if blue else (red, green)


def test_patches_are_spread_evenly_over_the_store(tmp_path):
    """8 of 50 are every seventh, the last one too; 2 are both of them, and there is no background to validate with."""
    write_sheet(coloured_store(tmp_path, 128, 50, 15, 2, 0), tmp_path / "sheet.png")

    shown = [[who(tile) for tile in row] for row in tiles_of(tmp_path / "sheet.png", 128)]

    assert shown[0] == [(slot, 0) for slot in (0, 0, 7, 7, 14, 14, 21, 21)]
    assert shown[1] == [(slot, 0) for slot in (28, 28, 35, 35, 42, 42, 49, 49)]
    assert shown[2] == [(slot, 1) for slot in (0, 2, 4, 6, 8, 10, 12, 14)]
    assert shown[3] == [(0, 2), (0, 2), (1, 2), (1, 2), *[None] * 4]
    assert shown[4] == shown[5] == [None] * 8


@pytest.mark.parametrize(("side", "shown_side"), [(16, 128), (128, 128), (200, 200), (512, 256)])
def test_ships_are_outlined_beside_the_plain_patch_at_a_size_that_can_be_seen(side, shown_side, tmp_path):
    """The ship ends in the middle: the outline is the 2 pixels to the right of it, however large the patch is."""
    write_sheet(coloured_store(tmp_path, side, 1, 1, 1, 1), tmp_path / "sheet.png")

    plain, drawn = tiles_of(tmp_path / "sheet.png", shown_side)[0][:2]

    middle = shown_side // 2
    assert (plain == (0, 0, 0)).all()
    assert [tuple(pixel) for pixel in drawn[0, middle - 1 : middle + 3].tolist()] == [
        (0, 0, 0),
        TRUTH,
        TRUTH,
        (0, 0, 0),
    ]
    assert (drawn[middle + 2 :] == (0, 0, 0)).all()
