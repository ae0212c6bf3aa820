import itertools
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from shipseg_tiles.errors import InputError
from shipseg_tiles.tiling import Region, TileGrid, mirrored, overlap_for, parse_region, round_up, window_profile

WINDOWS = ["uniform", "hann", "gaussian", "core"]

fast = settings(deadline=None, max_examples=100)


@st.composite
def tiles_and_strides(draw, largest=40):
    tile = draw(st.integers(1, largest))
    return tile, draw(st.integers(1, tile))


@st.composite
def grids(draw):
    tile, stride = draw(tiles_and_strides())
    return TileGrid(draw(st.integers(1, 90)), draw(st.integers(1, 90)), tile, stride)


@st.composite
def grids_and_regions(draw):
    grid = draw(grids())
    top, left = draw(st.integers(0, grid.height - 1)), draw(st.integers(0, grid.width - 1))
    return grid, Region(top, left, draw(st.integers(top + 1, grid.height)), draw(st.integers(left + 1, grid.width)))


def times_covered(grid):
    """Count, tile by tile, how often each pixel of the padded image is held."""
    counts = np.zeros(grid.padded_shape, dtype=int)
    for row, column in grid.corners:
        counts[row : row + grid.tile, column : column + grid.tile] += 1
    return counts


@fast
@given(grids())
def test_every_pixel_is_covered(grid):
    assert times_covered(grid).min() >= 1


@fast
@given(grids())
def test_every_tile_lies_inside_the_padded_image(grid):
    assert grid.corners.min() >= 0
    assert np.all(grid.corners + grid.tile <= grid.padded_shape)


@fast
@given(grids())
def test_starts_ascend_by_the_stride_and_the_last_ends_at_the_border(grid):
    for starts, side in ((grid.rows, grid.padded_shape[0]), (grid.columns, grid.padded_shape[1])):
        steps = np.diff(starts)
        assert starts[0] == 0
        assert np.all(steps[:-1] == grid.stride)
        assert np.all((steps >= 1) & (steps <= grid.stride))
        assert starts[-1] + grid.tile == side


@fast
@given(grids())
def test_corners_are_all_pairs_row_by_row(grid):
    assert grid.corners.tolist() == [list(pair) for pair in itertools.product(grid.rows, grid.columns)]
    assert len(grid) == len(grid.corners)


@pytest.mark.parametrize(
    ("side", "tile", "stride", "starts"),
    [
        (1, 128, 128, [0]),
        (127, 128, 64, [0]),
        (128, 128, 128, [0]),
        (129, 128, 128, [0, 1]),
        (256, 128, 128, [0, 128]),
        (257, 128, 128, [0, 128, 129]),
        (768, 128, 128, [0, 128, 256, 384, 512, 640]),
        (211, 128, 64, [0, 64, 83]),
        (5, 2, 1, [0, 1, 2, 3]),
    ],
)
def test_starts_by_hand(side, tile, stride, starts):
    """The last tile begins at side - tile: 257 - 128 = 129; 211 (a prime) - 128 = 83."""
    assert TileGrid(side, 128, tile, stride).rows.tolist() == starts
    assert TileGrid(128, side, tile, stride).columns.tolist() == starts


def test_300_by_410_with_tiles_of_128():
    """A size and step at which unpatchify() of patchify never ends: 3 rows (0, 128, 172) of 4 tiles (..., 282)."""
    grid = TileGrid(300, 410, 128, 128)

    assert grid.rows.tolist() == [0, 128, 172]
    assert grid.columns.tolist() == [0, 128, 256, 282]
    assert len(grid) == 12
    assert times_covered(grid).min() == 1


def test_tiles_of_an_even_division_never_overlap():
    assert np.all(times_covered(TileGrid(768, 512, 128, 128)) == 1)


def test_overlap_is_a_fraction_of_the_tile():
    """An overlap of 0.25 of 128 px shares 32 px, so the stride is 96; one of 0.3 leaves 89.6, which are 90."""
    assert TileGrid.with_overlap(300, 410, 128, 0.25) == TileGrid(300, 410, 128, 96)
    assert TileGrid.with_overlap(300, 410, 128, 0.3).stride == 90
    assert TileGrid.with_overlap(300, 410, 128, 0).stride == 128
    assert TileGrid.with_overlap(300, 410, 128, 0.9999).stride == 1


@pytest.mark.parametrize("overlap", [-0.1, 1, 1.5, float("nan")])
def test_impossible_overlap_is_refused(overlap):
    with pytest.raises(InputError, match="overlap"):
        TileGrid.with_overlap(300, 410, 128, overlap)


@pytest.mark.parametrize(
    ("height", "width", "tile", "multiple", "covering"),
    [
        (200, 300, 64, 16, 64),
        (40, 50, 768, 16, 64),
        (50, 40, 768, 16, 64),
        (64, 10, 768, 64, 64),
        (65, 10, 768, 64, 128),
        (100, 30, 96, 32, 96),
        (1, 1, 768, 1, 1),
    ],
)
def test_a_small_image_is_covered_by_a_tile_that_is_no_larger_than_it_must_be(height, width, tile, multiple, covering):
    """The longer side up to the next multiple: 50 to 64, 64 to 64, 65 to 128; 100 to 128, which is more than 96."""
    grid = TileGrid.covering(height, width, tile, 0.25, multiple)

    assert grid.tile == covering
    assert times_covered(grid).min() >= 1


@pytest.mark.parametrize(
    ("tile", "overlap", "multiple", "stride"),
    [(256, 0.25, 16, 192), (256, 0.3, 16, 176), (96, 0.5, 32, 32), (32, 0.25, 32, 24)],
)
def test_tiles_begin_where_poolings_do(tile, overlap, multiple, stride):
    """0.7 * 256 is 179, 11 * 16 is 176 and 12 * 16 too much; 48 becomes 32. Only 24 cannot fit 32."""
    assert TileGrid.covering(1000, 1000, tile, overlap, multiple) == TileGrid(1000, 1000, tile, stride)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((0, 10, 4, 4), "nothing to tile"),
        ((10, 0, 4, 4), "nothing to tile"),
        ((-1, 10, 4, 4), "nothing to tile"),
        ((10, 10, 0, 1), "tile 0"),
        ((10, 10, -4, -4), "tile -4"),
        ((10, 10, 4, 0), "stride 0"),
        ((10, 10, 4, -1), "stride -1"),
        ((10, 10, 4, 5), "stride 5"),
    ],
)
def test_impossible_grid_is_refused(arguments, reason):
    with pytest.raises(InputError, match=reason):
        TileGrid(*arguments)


@pytest.mark.parametrize("shape", [(10, 20, 3), (10, 20)])
def test_pad_leaves_large_images_alone(shape):
    image = np.ones(shape, dtype=np.uint8)

    assert TileGrid(10, 20, 10, 5).pad(image) is image


def test_pad_mirrors_below_and_to_the_right():
    """The rows 0 and 1 of a 2 px high image go on as 1, 0, 0, its columns 0 1 2 as 2, 1."""
    image = np.array([[1, 2, 3], [4, 5, 6]], dtype=np.uint8)

    padded = TileGrid(2, 3, 5, 5).pad(image)

    upper, lower = [1, 2, 3, 3, 2], [4, 5, 6, 6, 5]
    assert padded.dtype == np.uint8
    assert padded.tolist() == [upper, lower, lower, upper, upper]


@fast
@given(grids(), st.booleans(), st.integers(0, 2**32 - 1))
def test_pad_reaches_the_padded_shape_and_keeps_the_original(grid, colour, seed):
    shape = (grid.height, grid.width, 3) if colour else (grid.height, grid.width)
    image = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)

    padded = grid.pad(image)

    assert padded.shape == (*grid.padded_shape, *shape[2:])
    assert np.array_equal(padded[: grid.height, : grid.width], image)


@fast
@given(st.integers(0, 10_000), st.integers(1, 1_000))
def test_a_side_is_rounded_up_to_the_next_multiple(side, multiple):
    found = round_up(side, multiple)

    assert found % multiple == 0
    assert side <= found < side + multiple


def test_only_sides_that_are_too_short_are_mirrored():
    """Of 2 x 3 px to 3 x 2: a third row, the second one again; three columns are enough and stay."""
    image = np.array([[1, 2, 3], [4, 5, 6]], dtype=np.uint8)

    assert mirrored(image, 3, 2).tolist() == [[1, 2, 3], [4, 5, 6], [4, 5, 6]]
    assert mirrored(image, 2, 3) is image
    assert mirrored(image, 1, 1) is image


def test_pad_refuses_an_image_of_another_size():
    with pytest.raises(InputError, match="10 x 20"):
        TileGrid(10, 20, 128, 128).pad(np.zeros((20, 10, 3), dtype=np.uint8))


def test_computed_pixels_by_hand():
    """768 px in tiles of 128 px half overlapping: 11 x 11 tiles of 16,384 pixels, 3.36 times those of the image."""
    assert TileGrid(768, 768, 128, 64).computed_pixels == 121 * 16_384
    assert TileGrid(768, 768, 128, 128).computed_pixels == 768**2
    assert TileGrid(40, 50, 64, 64).computed_pixels == 64**2


def test_border_distance_by_hand():
    """4 x 8 px have tiles of 4 px at columns 0, 2 and 4; no row ends inside the image.

    The first tile ends inside on its right only, the last on its left only, the one between on both sides.
    """
    grid = TileGrid(4, 8, 4, 2)

    assert grid.border_distance(0, 0).tolist() == [[3, 2, 1, 0]] * 4
    assert grid.border_distance(0, 2).tolist() == [[0, 1, 1, 0]] * 4
    assert grid.border_distance(0, 4).tolist() == [[0, 1, 2, 3]] * 4


def test_border_distance_is_to_the_nearer_of_rows_and_columns():
    """Of 2 x 2 tiles of 3 px the lower left one ends inside the image above and on its right."""
    assert TileGrid(6, 6, 3, 3).border_distance(3, 0).tolist() == [[0, 0, 0], [1, 1, 0], [2, 1, 0]]


def test_a_tile_that_is_the_image_has_no_border_inside():
    assert TileGrid(3, 2, 3, 3).border_distance(0, 0).tolist() == [[3, 3, 3]] * 3


def test_pixels_per_tile_by_hand():
    """A 3 x 5 image has tiles of 3 px from columns 0 and 2; column 2 lies in both, column 1 only in the first."""
    counts = TileGrid(3, 5, 3, 3).pixels_per_tile(np.array([0, 1, 2]), np.array([1, 2, 2]))

    assert counts.tolist() == [3, 2]
    assert counts.dtype == np.int64


@fast
@given(grids(), st.data())
def test_pixels_per_tile_agrees_with_cutting_the_mask(grid, data):
    mask = data.draw(arrays(bool, (grid.height, grid.width), fill=st.booleans()))
    padded = np.zeros(grid.padded_shape, dtype=bool)
    padded[: grid.height, : grid.width] = mask

    counts = grid.pixels_per_tile(*np.nonzero(mask))

    slow = [padded[row : row + grid.tile, column : column + grid.tile].sum() for row, column in grid.corners]
    assert counts.tolist() == slow


@pytest.mark.parametrize(
    ("halo", "tile", "multiple", "overlap"),
    [(3, 16, 1, 6 / 16), (83, 384, 16, 176 / 384), (0, 128, 16, 0), (63, 128, 2, 126 / 128), (64, 128, 16, None)],
)
def test_neighbours_share_two_halos_rounded_up_to_the_multiple(halo, tile, multiple, overlap):
    """Twice 83 are 166, the next multiple of 16 is 176; twice 64 are all of 128."""
    assert overlap_for(halo, tile, multiple) == overlap


@fast
@given(grids(), st.data())
def test_the_last_tile_with_a_pixel_is_the_last_of_all_that_hold_it(grid, data):
    row, column = data.draw(st.integers(0, grid.height - 1)), data.draw(st.integers(0, grid.width - 1))
    pixel = np.zeros(grid.padded_shape, dtype=bool)
    pixel[row, column] = True

    (last,) = grid.last_tile_with(np.array([row]), np.array([column])).tolist()

    assert last == max(
        number for number, corner in enumerate(grid.corners.tolist()) if pixel[grid.slices(*corner)].any()
    )


def test_a_place_around_a_pixel_keeps_its_size_at_the_border():
    """Of 5 px: 2 to each side of row 10, and as far as the image goes beside the columns 1 and 19."""
    grid = TileGrid(30, 20, 5, 5)

    assert grid.slices_around(10, 1) == np.s_[8:13, 0:5]
    assert grid.slices_around(10, 19) == np.s_[8:13, 15:20]


# Regions


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("0,0,1024,1024", Region(0, 0, 1024, 1024)),
        ("5,6,7,8", Region(5, 6, 12, 14)),
        (" 5, 6 ,7, 08", Region(5, 6, 12, 14)),
    ],
)
def test_a_region_is_read_as_row_column_height_width(text, region):
    assert parse_region(text) == region


@pytest.mark.parametrize(
    "text",
    [
        *["", "5", "1,2,3", "1,2,3,4,5", "1,2,,4", "a,b,c,d", "1;2;3;4", "1.5,2,3,4", "1e1,2,3,4", "1,2,+3,4"],
        *["-1,2,3,4", "1,-2,3,4", "1,2,-3,4", "1,2,0,4", "1,2,3,0", "1,2, 0,4", "1,2,3,00", "1,2,3,²"],
        f"0,0,{'9' * 5000},1",  # Python reads no number as long as that
    ],
)
def test_a_text_that_is_no_region_is_refused(text):
    with pytest.raises(InputError, match=rf"region {re.escape(repr(text))} must be ROW,COLUMN,HEIGHT,WIDTH"):
        parse_region(text)


@pytest.mark.parametrize(
    ("region", "inside"),
    [
        (Region(2, 3, 8, 9), Region(2, 3, 8, 9)),
        (Region(0, 0, 10, 20), Region(0, 0, 10, 20)),
        (Region(9, 19, 40, 50), Region(9, 19, 10, 20)),
        (Region(-5, -6, 1, 2), Region(0, 0, 1, 2)),
        (Region(-5, -6, 50, 60), Region(0, 0, 10, 20)),
    ],
)
def test_what_lies_outside_of_the_image_is_cut_off_a_region(region, inside):
    assert region.within(10, 20) == inside


@pytest.mark.parametrize(
    "region", [Region(10, 0, 12, 5), Region(0, 20, 5, 25), Region(-3, 0, 0, 5), Region(0, -3, 5, 0), Region(4, 4, 4, 9)]
)
def test_a_region_without_a_pixel_of_the_image_is_refused(region):
    with pytest.raises(InputError, match=rf"rows {region.top} to {region.bottom} .* shares no pixel .* of 10 x 20"):
        region.within(10, 20)


@fast
@given(grids_and_regions())
def test_tiles_touch_a_region_if_and_only_if_they_share_a_pixel_with_it(case):
    grid, region = case
    inside = np.zeros(grid.padded_shape, dtype=bool)
    inside[region.top : region.bottom, region.left : region.right] = True

    rows, columns = grid.touching(region)

    slow = [
        [row, column]
        for row, column in grid.corners.tolist()
        if inside[row : row + grid.tile, column : column + grid.tile].any()
    ]
    assert [list(pair) for pair in itertools.product(rows.tolist(), columns.tolist())] == slow


@fast
@given(grids())
def test_all_tiles_touch_the_whole(grid):
    assert grid.whole == Region(0, 0, grid.height, grid.width)
    for touching, everything in zip(grid.touching(grid.whole), (grid.rows, grid.columns), strict=True):
        assert touching.tolist() == everything.tolist()


def test_tiles_that_touch_and_bands_by_hand():
    """Tiles of 8 px begin at the rows 0, 4, 8 and 12 of 20. The region has the rows 5 to 10, which the tiles from 0
    (rows 0 to 7), 4 and 8 share. No tile begins between 5 and 7, one begins at 8."""
    grid, region = TileGrid(20, 8, 8, 4), Region(5, 2, 11, 3)

    assert [starts.tolist() for starts in grid.touching(region)] == [[0, 4, 8], [0]]
    assert grid.bands(region) == [Region(5, 2, 8, 3), Region(8, 2, 11, 3)]


@fast
@given(grids_and_regions())
def test_bands_follow_each_other_through_the_region_and_no_tile_begins_within_one(case):
    grid, region = case

    bands = grid.bands(region)

    rows = [row for band in bands for row in range(band.top, band.bottom)]
    assert rows == list(range(region.top, region.bottom))
    assert all(band.top < band.bottom for band in bands)
    assert {(band.left, band.right) for band in bands} == {(region.left, region.right)}
    assert not any(band.top < row < band.bottom for band in bands for row in grid.rows.tolist())
    assert all(band.top in grid.rows for band in bands[1:])


@fast
@given(st.sampled_from(WINDOWS), tiles_and_strides(largest=300))
def test_window_is_positive_symmetric_and_at_most_1(name, tile_and_stride):
    tile, stride = tile_and_stride
    profile = window_profile(name, tile, stride)

    assert profile.shape == (tile,)
    assert profile.min() >= 1e-4  # so that a product of two is far from the smallest float32
    assert profile.max() <= 1
    assert np.array_equal(profile, profile[::-1])


@pytest.mark.parametrize("name", ["hann", "gaussian"])
def test_window_falls_from_the_middle_to_the_border(name):
    profile = window_profile(name, 9, 5)

    assert profile[4] == 1
    assert np.all(np.diff(profile[:5]) > 0)


def test_windows_by_hand():
    """The pixel centres of a 4 px tile lie 1.5, 0.5, 0.5, 1.5 px from its centre.

    hann: cos(pi * 0.5 / 4)^2 = 0.853553, cos(pi * 1.5 / 4)^2 = 0.146447. gaussian: the deviation is 4 / 8 = 0.5 px,
    so exp(-1 / 2) and exp(-9 / 2). core at a stride of 2: only the 2 px in the middle are within 1 px.
    """
    expected = {
        "uniform": [1, 1],
        "hann": [0.146447, 0.853553],
        "gaussian": [np.exp(-4.5), np.exp(-0.5)],
        "core": [1e-4, 1],
    }
    for name, border_and_middle in expected.items():
        assert window_profile(name, 4, 2)[:2] == pytest.approx(border_and_middle, rel=1e-5)


@pytest.mark.parametrize(("tile", "stride"), [(8, 4), (10, 3), (9, 6), (5, 5), (7, 1)])
def test_cores_leave_no_gap(tile, stride):
    """Away from the image's border every pixel lies in the core of at least one tile."""
    row = np.zeros(20 * tile)
    for start in range(0, row.size - tile + 1, stride):
        core = window_profile("core", tile, stride)
        row[start : start + tile] = np.maximum(row[start : start + tile], core)
    assert np.all(row[tile : -2 * tile] == 1)


def test_unknown_window_is_refused():
    with pytest.raises(InputError, match=r"'triangle'.*uniform, hann, gaussian, core"):
        window_profile("triangle", 128, 64)
