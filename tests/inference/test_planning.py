import tracemalloc

import numpy as np
import pytest

from shipseg_tiles.inference.planning import SizePlan, grid_over, plan_sizes, total
from shipseg_tiles.inference.stitching import batch_size, stitched_lines
from shipseg_tiles.inference.views import over_symmetries
from shipseg_tiles.nets.contract import Contract
from shipseg_tiles.tiling import TileGrid


def contract(**changes):
    values = {"weights_sha256": "", "net": "any", "patch": 64, "threshold": 0.5, "minimum_area": 0}
    use = {"tile": 256, "overlap": 0.25, "tile_multiple": 16, "receptive_field": 0}
    return Contract(**values | use | changes)


def test_one_size_by_hand():
    """768 px in tiles of 256 px at a stride of 192 begin at 0, 192, 384 and 512: 16 tiles of 65,536 pixels, 1,048,576
    for the 589,824 of the image. 9 of them fit into a batch, so there are two batches of 8.

    Lines: 768 columns, 256 lines of 7 bytes and 192 of 8. Batch: 8 tiles of 11 bytes a pixel, and 8 bytes for one.
    """
    (plan,) = plan_sizes({(768, 768): 3}, contract())

    assert plan.numbers() == {
        "height": 768,
        "width": 768,
        "tile": 256,
        "batch": 8,
        "images": 3,
        "tiles": 48,
        "computed_twice": pytest.approx(1_048_576 / 589_824 - 1),
        "megapixels": 3 * 1.048576,
        "image_bytes": 3 * 589_824,
        "line_bytes": 768 * (256 * 7 + 192 * 8),
        "batch_bytes": 96 * 65_536,
        "peak_bytes": 1_769_472 + 2_555_904 + 6_291_456,
    }


def test_filler_of_the_last_batch_is_not_counted():
    """4 tiles of 384 px fit into a batch: 5 tiles side by side are two batches of 3, of which one tile is filler."""
    (plan,) = plan_sizes({(384, 1920): 1}, contract(tile=384, overlap=0.0))

    assert (plan.tiles, plan.batch) == (5, 3)
    assert plan.numbers()["computed_twice"] == 0
    assert plan.megapixels == pytest.approx(5 * 384**2 / 1e6)


@pytest.mark.parametrize(
    ("views", "times"),
    [({"symmetries": 2}, 2), ({"symmetries": 8}, 8), ({"symmetries": 2, "resizes": [16, 32, 48, 64]}, 8)],
)
def test_views_by_hand(views, times):
    """As above, one image of 768 px. The net is shown each of the 16 tiles of 65,536 pixels, 1.048576 megapixels, in
    each of its views; there are 7 bytes more for each pixel of a batch, however many they are."""
    (plan,) = plan_sizes({(768, 768): 1}, contract(**views))

    assert (plan.tiles, plan.batch) == (16, 8)
    assert plan.megapixels == pytest.approx(times * 1.048576)
    assert plan.batch_bytes == (8 * 18 + 8) * 65_536


@pytest.mark.parametrize(("resizes", "batch"), [([32], 8), ([128], 2), ([32, 128], 2)])
def test_a_batch_fits_when_it_is_as_large_as_the_net_sees_it(resizes, batch):
    """As above 9 tiles of 65,536 pixels fit. The net sees patches of 64 px twice as long: 2 of them, so 8 batches of 2
    for the 16. Nothing more fits of what it sees smaller: the tiles themselves are in memory, too."""
    (plan,) = plan_sizes({(768, 768): 1}, contract(resizes=resizes))

    assert plan.batch == batch


def test_a_small_image_takes_one_small_tile():
    """50 px are rounded up to 64, the next multiple of 16; 64 x 64 are 4,096 pixels for 2,000."""
    (plan,) = plan_sizes({(40, 50): 1}, contract(tile=768))

    assert (plan.grid.tile, plan.tiles) == (64, 1)
    assert plan.numbers()["computed_twice"] == pytest.approx(1.048)


def test_tiles_of_a_net_that_sees_them_resized_lie_on_the_image():
    """Of 304 px, the next multiple of 16, a stride of 0.75 is 228, the multiple of 16 below it 224."""
    halved = contract(resize=32, tile=512)

    assert grid_over((200, 301), halved) == TileGrid(200, 301, 304, 224)
    (plan,) = plan_sizes({(200, 301): 1}, halved)
    assert plan.image_bytes == 3 * 200 * 301


def test_the_most_frequent_size_comes_first():
    plans = plan_sizes({(70, 60): 1, (50, 60): 2, (40, 60): 1, (40, 50): 1}, contract(), {(60, 60): 3})

    sizes = [(plan.height, plan.width, plan.images) for plan in plans]
    assert sizes == [(60, 60, 3), (50, 60, 2), (40, 50, 1), (40, 60, 1), (70, 60, 1)]
    assert [plan.image_bytes for plan in plans] == [0, 9_000, 6_000, 7_200, 12_600]  # a scene is read by windows


def test_totals_by_hand():
    """Two images of 100 x 100 px in 4 tiles of 64 px at stride 64, moved back to 36, and one of 64 x 64 px in one tile:
    36,864 pixels for 24,096. The larger image needs the most of everything, but is in memory once at a time."""
    plans = plan_sizes({(100, 100): 2, (64, 64): 1}, contract(tile=64, overlap=0.0))

    everything = total(plans)

    assert (everything["images"], everything["tiles"]) == (3, 9)
    assert everything["computed_twice"] == pytest.approx(36_864 / 24_096 - 1)
    assert everything["megapixels"] == pytest.approx(0.036864)
    assert everything["image_bytes"] == 30_000
    assert everything["peak_bytes"] == plans[0].numbers()["peak_bytes"]


def zeros(tiles):
    return np.zeros(tiles.shape[:3], dtype=np.float32)


@pytest.mark.parametrize("how", ["", "gate", "views"])
@pytest.mark.parametrize(
    ("shape", "tile", "overlap"), [((700, 3000), 256, 0.0), ((700, 3000), 256, 0.5), ((900, 900), 384, 0.25)]
)
def test_stitching_takes_the_memory_that_is_planned(shape, tile, overlap, how):
    """Measured beside the image, with a net that keeps nothing: never more, and at most a fifth less."""
    grid = TileGrid.with_overlap(*shape, tile, overlap)
    image = np.zeros((*shape, 3), dtype=np.uint8)
    plan = SizePlan(*shape, 1, grid, batch_size(grid), views=8 if how == "views" else 1)
    sees = (lambda band, columns, side: np.ones(len(columns), dtype=bool)) if how == "gate" else None

    tracemalloc.start()
    for _ in stitched_lines(image, over_symmetries(zeros, 8) if how == "views" else zeros, grid, sees=sees):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    planned = plan.line_bytes + plan.batch_bytes
    assert 0.8 * planned < peak < planned
