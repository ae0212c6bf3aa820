import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from shipseg_tiles.errors import InputError, SkippedImageWarning
from shipseg_tiles.nets.contract import Contract
from shipseg_tiles.scoring.seams import (
    LARGEST_SIDE,
    Profile,
    SeamOptions,
    comparable_part,
    compare_maps,
    measure_seams,
    summarise_differences,
)
from shipseg_tiles.tiling import TileGrid, overlap_for


def box_net(side):
    """A net that answers the mean brightness, 0 to 1, of side x side pixels around each; beyond the border it is 0."""

    def predict(tiles):
        gray = tiles.mean(axis=-1, dtype=np.float32) / 255
        around = np.pad(gray, ((0, 0), (side // 2,) * 2, (side // 2,) * 2))
        return sliding_window_view(around, (side, side), axis=(1, 2)).mean(axis=(-2, -1), dtype=np.float32)

    return predict


def options(tiles=(16,), overlaps=(0.0,), window="hann", tolerance=0.01, **changes):
    values = {"weights_sha256": "", "net": "box", "patch": 16, "threshold": 0.6, "minimum_area": 0}
    use = {"tile": 16, "overlap": 0.0, "tile_multiple": 1, "receptive_field": 1}
    return SeamOptions(Contract(**values | use | changes), tiles, overlaps, window, tolerance)


def white(height, width, name="white.png"):
    return name, np.full((height, width, 3), 255, dtype=np.uint8)


def noise(height, width):
    return "noise.png", np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_the_profile_of_white_by_hand():
    """32 x 32 px in four tiles of 16 px, each with two borders inside the image, under a box of 3 x 3.

    A tile has 16^2 - 15^2 = 31 pixels at distance 0, 15^2 - 14^2 = 29 at distance 1, ... 1 at distance 15.

    At distance 0 a row or a column of the box is missing. 28 pixels then answer 2/3 instead of 1. Two, where the border
    of the tile meets that of the image, answer 4/9 instead of 6/9. One, where the two borders inside the image meet,
    answers 4/9 instead of 1. The mean is (28/3 + 2 * 2/9 + 5/9) / 31 = 1/3.

    Of the 124 pixels of all tiles, 8 differ by 2/9, 112 by 3/9 and 4 by 5/9. 99 of 100 are 123 of them: 5/9.
    """
    profile = measure_seams([white(32, 32)], box_net(3), options()).profiles[16]

    assert profile.pixels.tolist() == [4 * (31 - 2 * distance) for distance in range(16)]
    assert profile.mean == pytest.approx([1 / 3, *[0] * 15], abs=1e-6)
    assert profile.percentile_99.tolist() == [0.556, *[0] * 15]
    assert profile.halo == 1


@pytest.mark.parametrize("side", [1, 3, 5, 9, 15])
def test_the_halo_is_the_reach_of_the_net(side):
    """Half a box, rounded down, sticks out of the tile: at that distance none of it does any more."""
    profile = measure_seams([noise(96, 64)], box_net(side), options(tiles=(32,))).profiles[32]

    assert profile.halo == side // 2
    assert np.all(profile.percentile_99[: side // 2] > 0.01)
    assert profile.mean[side // 2 :] == pytest.approx(0, abs=1e-6)


def test_a_reach_beyond_the_tile_leaves_no_halo():
    """A box of 33 px sticks out of every pixel of a tile of 16 px that has another tile on both sides."""
    profile = measure_seams([white(48, 48)], box_net(33), options()).profiles[16]

    assert profile.halo is None


@pytest.mark.parametrize(
    ("percentiles", "tolerance", "halo"),
    [
        ([0.5, 0.2, 0.1, 0.0], 0.1, 3),
        ([0.5, 0.2, 0.1, 0.0], 0.101, 2),
        ([0.5, 0.0, 0.3, 0.0], 0.1, 3),
        ([0.0, 0.0, 0.0, 0.0], 0.1, 0),
        ([0.5, 0.2, 0.1, 0.1], 0.1, None),
    ],
)
def test_beyond_the_halo_all_is_below_the_tolerance(percentiles, tolerance, halo):
    """One pixel at each distance, so that it is the 99th percentile itself. One at the tolerance is not below it."""
    profile = Profile(5, tolerance)
    profile.add(np.arange(4), np.array(percentiles, dtype=np.float32), np.zeros(4, dtype=np.float32))

    assert profile.halo == halo
    assert profile.mean == pytest.approx(percentiles)


def test_the_percentile_is_what_99_of_100_differ_by_at_most():
    """Of 1000 pixels at distance 0 ten differ by 0.75, of those at distance 1 eleven do, and the others by 0.25."""
    profile = Profile(2, 0.1)
    tiled = np.full((2, 1000), 0.25, dtype=np.float32)
    tiled[0, :10] = tiled[1, :11] = 0.75

    profile.add(np.repeat([[0], [1]], 1000, axis=1), tiled, np.zeros_like(tiled))

    assert profile.percentile_99.tolist() == [0.25, 0.75]


def test_profiles_of_all_images_are_one():
    """In a black image nothing differs, and no pixel is at stake. Beside 50 of them the mean of the white one is 1/51
    of 1/3, and its percentile what it is alone; the 124 pixels that differ are but 2 of 100."""
    black = np.zeros((32, 32, 3), dtype=np.uint8)

    images = [white(32, 32), *[("black.png", black)] * 50]

    profile = measure_seams(images, box_net(3), options()).profiles[16]

    assert profile.mean[0] == pytest.approx(1 / 3 / 51)
    assert (profile.pixels[0], profile.at_stake[0]) == (51 * 124, 124)
    assert profile.percentile_99[0] == 0.556


def test_differences_of_stitched_white_by_hand():
    """Tiles side by side as above: all pixels together differ by 4 * 31/3 over 1024 pixels, at most by 5/9.

    Above 0.6 the whole is ship except for its 4 corners, which answer 4/9: 1020. Each of the 4 tiles misses its 4
    corners: 1008. So 12 pixels change, and the dice is 2 * 1008 / (1008 + 1020).
    """
    seams = measure_seams([white(32, 32)], box_net(3), options())

    assert summarise_differences(seams.differences[16, 0.0]) == {
        "images": 1,
        "mean_difference": pytest.approx(4 * 31 / 3 / 1024),
        "maximum_difference": pytest.approx(5 / 9),
        "changed_share": 12 / 1024,
        "dice": 2016 / 2028,
        "ship_pixels": 1020,
        "cost": 1.0,
    }


def test_tiles_lie_as_those_of_predict():
    """At multiples of 16: 36 px from one tile to the next become 32, so that there are 6 x 6 tiles, not 5 x 5."""
    asked = options(tiles=(48,), overlaps=(0.25,), tile_multiple=16)

    seams = measure_seams([white(192, 192)], box_net(3), asked)

    assert summarise_differences(seams.differences[48, 0.25])["cost"] == 36 * 48**2 / 192**2


def test_at_the_overlap_of_two_halos_cores_leave_no_seam():
    """Tiles of 16 px at a stride of 14 share 2 px; what the outermost pixel of a tile answers counts 1e-4 beside the
    neighbour's 1. Where four tiles meet, two of them are wrong by 1/3, which makes 6.67e-5; the third is wrong by 5/9
    and counts 1e-8.

    Columns begin at 0, 14, 28, rows at 0, 14, 16: 9 tiles for 44 x 32 px.
    """
    overlap = overlap_for(1, 16, 1)
    seams = measure_seams([white(32, 44)], box_net(3), options(overlaps=(0.0, overlap), window="core"))

    side_by_side, shared = (summarise_differences(seams.differences[16, each]) for each in (0.0, overlap))
    assert side_by_side["maximum_difference"] > 0.3
    assert shared["maximum_difference"] == pytest.approx(6.67e-5, rel=0.01)
    assert (shared["changed_share"], shared["dice"]) == (0, 1)
    assert shared["cost"] == 9 * 256 / (32 * 44)


def test_images_count_by_their_pixels():
    """1 pixel of 100 changes in the first, where the maps share 1 ship pixel of 2 and 1; none of 300 in the second, all
    of which are at the threshold and so no ship."""
    first = np.zeros((10, 10), dtype=np.float32)
    first[0, :2] = 0.8
    stitched = first.copy()
    stitched[0, 1] = 0.4
    second = np.full((10, 30), 0.5, dtype=np.float32)

    summary = summarise_differences(
        [
            compare_maps(stitched, first, 0.5, TileGrid(10, 10, 10, 10)),
            compare_maps(second, second, 0.5, TileGrid(10, 30, 10, 5)),
        ]
    )

    assert summary == {
        "images": 2,
        "mean_difference": pytest.approx(0.4 / 400),
        "maximum_difference": pytest.approx(0.4),
        "changed_share": 1 / 400,
        "dice": 2 / 3,
        "ship_pixels": 2,
        "cost": (100 + 5 * 100) / 400,
    }


def test_the_middle_is_compared():
    """100 px become 96, the largest multiple of 16, without the first 2 and the last 2; 2,101 become 2,048 without the
    first 26."""
    image = np.arange(100 * (LARGEST_SIDE + 53) * 3, dtype=np.uint32).reshape(100, -1, 3).astype(np.uint8)

    part = comparable_part(image, 16)

    assert np.array_equal(part, image[2:98, 26 : 26 + LARGEST_SIDE])


def test_a_tile_is_compared_on_images_that_it_fits_into():
    """33 x 70 px become 32 x 64: tiles of 64 fit into the third image alone, tiles of 128 into none."""
    asked = options(tiles=(16, 64, 128), tile_multiple=16)

    seams = measure_seams([white(33, 70), white(70, 33), white(70, 70)], box_net(3), asked)

    assert seams.images == 3
    assert {key: len(found) for key, found in seams.differences.items()} == {(16, 0.0): 3, (64, 0.0): 1}
    assert list(seams.profiles) == [16, 64]


def test_an_image_of_one_tile_has_no_seam():
    seams = measure_seams([white(16, 16)], box_net(3), options())

    assert seams.profiles[16].pixels.size == 0
    assert seams.profiles[16].halo is None
    assert summarise_differences(seams.differences[16, 0.0])["maximum_difference"] == pytest.approx(0, abs=1e-6)


def test_an_image_that_no_tile_fits_into_is_left_out_with_a_warning():
    images = [white(15, 40, "flat.png"), white(40, 15, "high.png"), white(16, 40)]

    with pytest.warns(SkippedImageWarning) as warned:
        seams = measure_seams(images, box_net(3), options())

    assert seams.images == 1
    assert [str(warning.message) for warning in warned] == [
        "flat.png skipped: none of the tiles fits into its 15 x 40 pixels",
        "high.png skipped: none of the tiles fits into its 40 x 15 pixels",
    ]


@pytest.mark.filterwarnings("ignore::shipseg_tiles.errors.SkippedImageWarning")
@pytest.mark.parametrize("images", [[], [white(15, 15)], [white(1, 1)]])
def test_no_image_at_all_is_refused(images):
    with pytest.raises(InputError, match="there is no image to compare"):
        measure_seams(images, box_net(3), options(tile_multiple=16))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"tiles": (16, 24)}, "tile 24 must be a multiple of 16"),
        ({"tiles": (0,)}, "tile 0"),
        ({"overlaps": (0.0, 1.0)}, "overlap 1.0"),
        ({"overlaps": (float("nan"),)}, "overlap nan"),
        ({"tolerance": 0.0}, "tolerance 0.0"),
        ({"tolerance": 1.0}, "tolerance 1.0"),
        ({"tolerance": float("nan")}, "tolerance nan"),
    ],
)
def test_what_the_net_cannot_do_is_refused_before_anything_is_measured(changes, reason):
    with pytest.raises(InputError, match=reason):
        options(tile_multiple=16, **changes)


@pytest.mark.parametrize(
    ("patch", "resize", "multiple", "sides"), [(384, 256, 64, 96), (576, 192, 64, 192), (384, None, 16, 16)]
)
def test_the_whole_is_seen_without_filler_at_the_scale_of_the_net(patch, resize, multiple, sides):
    """At two thirds of the side 96 px are 64, at a third 192 px: 704 px would be 469 and be extended."""
    contract = options((multiple,), patch=patch, resize=resize, tile_multiple=multiple, tile=multiple).contract
    assert contract.image_multiple == sides


def test_an_image_is_cut_to_what_the_net_sees_without_filler():
    """At two thirds of the side multiples of 2 px are those of 3 in the image: 34 x 35 px become 33 x 33."""
    shapes = []

    def predict(tiles):
        shapes.append(tiles.shape[1:3])
        return box_net(3)(tiles)

    measure_seams([noise(34, 35)], predict, options(tiles=(12,), patch=24, resize=16, tile_multiple=2))

    assert shapes[0] == (33, 33)
