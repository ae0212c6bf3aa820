import tracemalloc
from itertools import pairwise

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipseg_tiles.errors import InputError
from shipseg_tiles.inference import stitching
from shipseg_tiles.inference.stitching import batch_size, stitch, stitch_into, stitched_lines
from shipseg_tiles.tiling import Region, TileGrid, window_profile

WINDOWS = ["uniform", "hann", "gaussian", "core"]


def identity(tiles):
    """A net that answers the red of each pixel."""
    return tiles[..., 0].astype(np.float32)


def lopsided(tiles):
    """A net that answers the red of each pixel, and more the further down and to the right the pixel is in its tile."""
    ramp = np.arange(tiles.shape[1], dtype=np.float32)
    return tiles[..., 0] + 3 * ramp[:, np.newaxis] + 7 * ramp


def odd_ones(band, columns, tile):
    """Whether the sum of all pixels under a row of tiles and of those of the tile is odd: by chance, but repeatable."""
    whole = int(band.sum(dtype=np.int64))
    parts = [int(band[:, column : column + tile].sum(dtype=np.int64)) for column in columns]
    return np.array([(whole + part) % 2 == 1 for part in parts])


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def stitch_slowly(grid, answers, window):
    """The weighted mean of all tiles that hold a pixel, in float64 over the whole image at once.

    An answer of None is that of a tile that was not seen. Where no other tile holds a pixel, the mean is 0.
    """
    profile = window_profile(window, grid.tile, grid.stride)
    weights = np.outer(profile, profile)
    sums, shares = np.zeros(grid.padded_shape), np.zeros(grid.padded_shape)
    for (row, column), answer in zip(grid.corners, answers, strict=True):
        if answer is not None:
            place = grid.slices(row, column)
            sums[place] += answer * weights
            shares[place] += weights
    return np.divide(sums, shares, out=sums, where=shares > 0)[: grid.height, : grid.width]


class InOrder:
    """A net that answers each tile with the next of the given answers, whatever it shows; filler gets 1e9."""

    def __init__(self, answers):
        self.answers = list(answers)

    def __call__(self, tiles):
        filler = np.full(tiles.shape[1:3], 1e9)
        return np.array([self.answers.pop(0) if self.answers else filler for _ in tiles], dtype=np.float32)


@st.composite
def cases(draw):
    """Sizes below, at and just above the tile, primes, long and narrow ones; batches of one tile up to all."""
    tile = draw(st.integers(1, 24))
    side = st.one_of(
        st.integers(1, 80), st.sampled_from([tile, tile + 1, max(1, tile - 1), 2 * tile, 2 * tile + 1, 31, 61, 79])
    )
    overlap = draw(st.sampled_from([0, 0.1, 0.25, 1 / 3, 0.5, 0.75]))
    grid = TileGrid.with_overlap(draw(side), draw(side), tile, overlap)
    return grid, draw(st.sampled_from(WINDOWS)), draw(st.integers(1, 60)) * tile**2


@settings(deadline=None, max_examples=150)
@given(cases())
def test_a_net_that_answers_its_input_gives_the_image_back(case):
    grid, window, pixels_per_batch = case
    image = noise(grid.height, grid.width)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stitching, "PIXELS_PER_BATCH", pixels_per_batch)
        stitched = stitch(image, identity, grid, window)

    assert stitched.dtype == np.float32
    np.testing.assert_allclose(stitched, image[..., 0], rtol=0, atol=1e-3)


@settings(deadline=None, max_examples=80)
@given(cases(), st.integers(0, 2**31))
def test_what_overlaps_is_the_weighted_mean(case, seed):
    grid, window, pixels_per_batch = case
    answers = np.random.default_rng(seed).random((len(grid), grid.tile, grid.tile), dtype=np.float32)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stitching, "PIXELS_PER_BATCH", pixels_per_batch)
        stitched = stitch(noise(grid.height, grid.width), InOrder(answers), grid, window)

    np.testing.assert_allclose(stitched, stitch_slowly(grid, answers, window), rtol=0, atol=1e-5)


def joined(lines, value="probability"):
    return np.concatenate([getattr(part, value) for part in lines])


@settings(deadline=None, max_examples=150)
@given(cases(), st.sampled_from([identity, lopsided]), st.sampled_from([None, odd_ones]), st.data())
def test_a_region_has_exactly_the_pixels_of_the_whole(case, net, sees, data):
    """Whatever is around it, and whichever tiles the net is not shown; its lines come in the bands of the grid."""
    grid, window, pixels_per_batch = case
    top, left = (data.draw(st.integers(0, side - 1)) for side in (grid.height, grid.width))
    region = Region(
        top, left, data.draw(st.integers(top + 1, grid.height)), data.draw(st.integers(left + 1, grid.width))
    )
    image, how = noise(grid.height, grid.width), {"sees": sees, "disagreement": True}
    inside = np.s_[region.top : region.bottom, region.left : region.right]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stitching, "PIXELS_PER_BATCH", pixels_per_batch)
        whole = list(stitched_lines(image, net, grid, window, **how))
        lines = list(stitched_lines(image, net, grid, window, region=region, **how))

    for value in ("probability", "disagreement"):
        assert np.array_equal(joined(lines, value), joined(whole, value)[inside])
    assert [rectangle_of(part) for part in whole] == grid.bands(grid.whole)
    assert [rectangle_of(part) for part in lines] == grid.bands(region)


def rectangle_of(lines):
    """Where lines lie in the image."""
    rows, columns = lines.slices
    return Region(rows.start, columns.start, rows.stop, columns.stop)


def test_two_half_overlapping_tiles_by_hand():
    """Tiles of 4 at columns 0 and 2 of an image 6 wide, the first answers 10 everywhere, the second 20.

    Columns 0 and 1 only the first holds, 4 and 5 only the second. Uniform: the two between are (10 + 20) / 2 = 15.

    Hann: the pixels of a tile stand 1.5, 0.5, 0.5, 1.5 from its centre and count cos^2(1.5 pi / 4) = 0.146447 and
    cos^2(0.5 pi / 4) = 0.853553. Column 2 is the third pixel of the first tile and the first of the second:
    (0.853553 * 10 + 0.146447 * 20) / 1 = 11.46447. Column 3 the other way round: 18.53553.
    """
    grid = TileGrid(4, 6, 4, 2)
    answers = [np.full((4, 4), 10), np.full((4, 4), 20)]

    uniform = stitch(noise(4, 6), InOrder(answers), grid, "uniform")
    hann = stitch(noise(4, 6), InOrder(answers), grid, "hann")

    np.testing.assert_allclose(uniform, [[10, 10, 15, 15, 20, 20]] * 4, rtol=1e-6)
    np.testing.assert_allclose(hann, [[10, 10, 11.46447, 18.53553, 20, 20]] * 4, rtol=1e-6)


def test_four_tiles_meet_in_one_pixel_by_hand():
    """Tiles of 2 at stride 1 over 3 x 3: the centre is held by all four, (1 + 2 + 3 + 6) / 4 = 3; corners by one,
    the middles of the sides by two: (1 + 2) / 2, (1 + 3) / 2, (2 + 6) / 2 and (3 + 6) / 2."""
    answers = [np.full((2, 2), answer) for answer in (1, 2, 3, 6)]

    stitched = stitch(noise(3, 3), InOrder(answers), TileGrid(3, 3, 2, 1), "uniform")

    np.testing.assert_allclose(stitched, [[1, 1.5, 2], [2, 3, 4], [3, 4.5, 6]])


@pytest.mark.parametrize("window", WINDOWS)
def test_the_outer_ring_is_not_blanked(window):
    """Each answer is 1, so the mean is 1 at every pixel, where the window is smallest too."""
    grid = TileGrid.with_overlap(100, 70, 32, 0.5)

    stitched = stitch(noise(100, 70), lambda tiles: np.ones(tiles.shape[:3], dtype=np.float32), grid, window)

    np.testing.assert_allclose(stitched, 1, rtol=1e-6)


def test_tiles_that_do_not_fill_the_image_finish():
    """300 x 410 px in tiles of 128 px without overlap hangs elsewhere: 300 is 2.3 and 410 is 3.2 tiles."""
    image = noise(300, 410)

    stitched = stitch(image, identity, TileGrid(300, 410, 128, 128))

    np.testing.assert_allclose(stitched, image[..., 0], atol=1e-3)


def test_an_image_of_one_tile_gives_a_result():
    image = noise(32, 32)

    stitched = stitch(image, identity, TileGrid(32, 32, 32, 32))

    assert stitched.shape == (32, 32)
    np.testing.assert_allclose(stitched, image[..., 0], atol=1e-3)


@pytest.mark.parametrize("shape", [(40, 200), (200, 40), (1, 77), (77, 1)])
def test_images_need_not_be_square(shape):
    image = noise(*shape)

    assert stitch(image, identity, TileGrid(*shape, 32, 24)).shape == shape


@pytest.mark.parametrize("answer", [0.25, 300.5, -3.75])
def test_answers_are_not_cut_to_what_the_image_can_hold(answer):
    """0.25 would be 0, 300.5 would be 44 and -3.75 would be 253 in the uint8 of the image."""
    stitched = stitch(
        noise(50, 40),
        lambda tiles: np.full(tiles.shape[:3], answer, dtype=np.float32),
        TileGrid(50, 40, 16, 12),
    )

    assert stitched.dtype == np.float32
    np.testing.assert_allclose(stitched, answer, rtol=1e-6)


def test_the_net_is_always_called_with_the_same_number_of_tiles(monkeypatch):
    """At most 4 tiles fit in a batch: the 10 tiles of 2 rows and 5 columns become 3 batches of 4, with 2 of filler."""
    monkeypatch.setattr(stitching, "PIXELS_PER_BATCH", 4 * 16**2)
    shapes = []

    def net(tiles):
        shapes.append(tiles.shape)
        return identity(tiles)

    image = noise(32, 80)
    stitched = stitch(image, net, TileGrid(32, 80, 16, 16))

    assert shapes == [(4, 16, 16, 3)] * 3
    np.testing.assert_allclose(stitched, image[..., 0], atol=1e-3)


def test_filler_is_spread_thin(monkeypatch):
    """5 tiles where 4 fit in a batch: two batches of 3 hold 1 of filler, two batches of 4 would hold 3."""
    monkeypatch.setattr(stitching, "PIXELS_PER_BATCH", 4 * 16**2)
    shapes = []

    def net(tiles):
        shapes.append(tiles.shape[0])
        return identity(tiles)

    stitch(noise(16, 80), net, TileGrid(16, 80, 16, 16))

    assert shapes == [3, 3]


@pytest.mark.parametrize(
    ("pixels", "tiles"), [(None, 8), (10**9, 8), (9 * 256**2, 8), (2 * 256**2, 2), (2 * 256**2 - 1, 1), (1, 1)]
)
def test_a_batch_has_no_more_pixels_than_fit_into_memory_but_a_tile(pixels, tiles):
    """768 x 768 px in 16 tiles of 256 px: of the largest batch, of 9, two would be needed, and two of 8 suffice."""
    assert batch_size(TileGrid(768, 768, 256, 192), pixels) == tiles


def test_a_net_that_hands_back_its_own_buffer_is_read_in_time(monkeypatch):
    """The answer may be a view of the batch or one array that the net fills again: it is used before the next call."""
    monkeypatch.setattr(stitching, "PIXELS_PER_BATCH", 2 * 16**2)
    answer = np.empty((2, 16, 16), dtype=np.float32)

    def net(tiles):
        answer[:] = tiles[..., 0]
        return answer

    image = noise(60, 60)
    np.testing.assert_allclose(stitch(image, net, TileGrid(60, 60, 16, 8)), image[..., 0], atol=1e-3)


@pytest.mark.parametrize(
    "answer", [lambda tiles: tiles, lambda tiles: tiles[:1, ..., 0], lambda tiles: tiles[:, 1:, :, 0]]
)
def test_an_answer_of_another_shape_is_refused(answer):
    with pytest.raises(InputError, match="the net answers"):
        stitch(noise(40, 60), answer, TileGrid(40, 60, 16, 16))


def test_a_grid_for_another_size_is_refused():
    with pytest.raises(InputError, match="the grid is for 40 x 60 pixels"):
        stitch(noise(60, 40), identity, TileGrid(40, 60, 16, 16))


def test_an_unknown_window_is_refused():
    with pytest.raises(InputError, match="no window 'hamming'"):
        stitch(noise(40, 60), identity, TileGrid(40, 60, 16, 16), "hamming")


def test_memory_beside_the_result_does_not_grow_with_the_height():
    """The result of 40,000 x 64 px is 10.2 MB. Sums and weights of the whole image would be twice as much again; a
    row of tiles is 33 kB, a batch of tiles and its answer 4 MB."""
    image = np.zeros((40_000, 64, 3), dtype=np.uint8)
    tracemalloc.start()
    stitch(image, identity, TileGrid(40_000, 64, 64, 48))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 10.3e6 + 8e6


# Where pixels come from and where answers go


class Recording:
    """A source that remembers which windows were read: (first row, row after the last, and the same of columns)."""

    def __init__(self, pixels):
        self.pixels = pixels
        self.shape = pixels.shape
        self.windows = []

    def __getitem__(self, place):
        rows, columns = place
        self.windows.append((rows.start, rows.stop, columns.start, columns.stop))
        return self.pixels[place]


@settings(deadline=None, max_examples=60)
@given(cases())
def test_each_line_is_read_once_and_never_more_than_a_tile_of_them(case):
    grid, window, _ = case
    source = Recording(noise(grid.height, grid.width))

    list(stitched_lines(source, identity, grid, window))

    assert source.windows[0][0] == 0
    assert all(above[1] == below[0] for above, below in pairwise(source.windows))
    assert source.windows[-1][1] == grid.height
    assert all(bottom - top <= grid.tile for top, bottom, _, _ in source.windows)


def test_of_a_region_only_the_lines_and_columns_under_its_tiles_are_read():
    """Tiles of 16 px begin at 0, 12, 24, 36, 48 ... The rows 40 to 49 are held by those from 36 and 48, which end with
    row 63; the one from 24 ends with 39. The columns 30 to 39 are held by those from 24 and 36, which end with 51.

    Whoever chooses tiles looks at whole lines.
    """
    grid, region = TileGrid(100, 90, 16, 12), Region(40, 30, 50, 40)
    parts, lines = Recording(noise(100, 90)), Recording(noise(100, 90))

    list(stitched_lines(parts, identity, grid, region=region))
    list(stitched_lines(lines, identity, grid, region=region, sees=odd_ones))

    assert parts.windows == [(36, 52, 24, 52), (52, 64, 24, 52)]
    assert lines.windows == [(36, 52, 0, 90), (52, 64, 0, 90)]


@pytest.mark.parametrize("kind", ["memory map", "dataset"])
def test_a_source_may_be_a_file(kind, tmp_path):
    image, grid = noise(61, 47), TileGrid(61, 47, 16, 12)
    expected = stitch(image, lopsided, grid)

    if kind == "memory map":
        np.save(tmp_path / "image.npy", image)
        found = stitch(np.load(tmp_path / "image.npy", mmap_mode="r"), lopsided, grid)
    else:
        with h5py.File(tmp_path / "image.h5", "w") as file:
            found = stitch(file.create_dataset("image", data=image, chunks=(10, 10, 3)), lopsided, grid)

    assert np.array_equal(found, expected)


def test_a_sink_may_be_a_file(tmp_path):
    """Of a region nothing else is written: the rest stays what a new dataset is, 0."""
    image, grid, region = noise(61, 47), TileGrid(61, 47, 16, 12), Region(20, 5, 40, 31)
    expected = stitch(image, lopsided, grid)

    with h5py.File(tmp_path / "answer.h5", "w") as file:
        whole, part = (file.create_dataset(name, (61, 47), "float32") for name in ("whole", "part"))
        stitch_into(whole, stitched_lines(image, lopsided, grid))
        stitch_into(part, stitched_lines(image, lopsided, grid, region=region))

        assert np.array_equal(whole[:], expected)
        assert np.array_equal(part[20:40, 5:31], expected[20:40, 5:31])
        assert np.count_nonzero(part[:]) == np.count_nonzero(expected[20:40, 5:31])


class Generated:
    """A source of any height, whose lines are made when they are asked for."""

    def __init__(self, height, width):
        self.shape = (height, width, 3)

    def __getitem__(self, place):
        rows, columns = place
        return np.full((rows.stop - rows.start, columns.stop - columns.start, 3), rows.start % 251, dtype=np.uint8)


def peak_memory(height, **how):
    """What stitching takes at most, the lines being thrown away."""
    lines = stitched_lines(Generated(height, 64), identity, TileGrid(height, 64, 64, 48), **how)
    tracemalloc.start()
    for part in lines:
        assert part.probability.shape[1] == 64
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


@pytest.mark.parametrize("how", [{}, {"disagreement": True}, {"sees": odd_ones}], ids=["all", "disagreement", "sees"])
def test_memory_does_not_grow_with_the_height_at_all(how):
    """144 tiles fit in a batch. At the stride of 48, 13,840 lines take two batches, and 69,136 lines ten: these have
    10.6 MB more of pixels and 14.2 MB more of answers, but only 0.7 MB more of the weight of each line."""
    peak = peak_memory(13_840, **how)

    assert peak_memory(69_136, **how) < peak + 0.8e6


# Tiles that are not seen


def in_turn(flags):
    """Choose the tiles of a grid by flags in the order of its corners."""
    remaining = iter(flags)
    return lambda band, columns, tile: np.array([next(remaining) for _ in columns])


def test_a_tile_that_is_not_seen_does_not_thin_out_another_by_hand():
    """Tiles of 4 at columns 0, 2 and 4 of an image 8 wide; the first answers 10 everywhere, the others are not seen.

    Columns 2 and 3 are 10 as well, although the second tile holds them too; the columns 4 to 7 no seen tile holds.
    """
    for window in WINDOWS:
        (lines,) = stitched_lines(
            noise(4, 8),
            InOrder([np.full((4, 4), 10)]),
            TileGrid(4, 8, 4, 2),
            window,
            sees=in_turn([True, False, False]),
            disagreement=True,
        )

        np.testing.assert_allclose(lines.probability, [[10, 10, 10, 10, 0, 0, 0, 0]] * 4, rtol=1e-6)
        np.testing.assert_allclose(lines.disagreement, 0, atol=0.01)


@settings(deadline=None, max_examples=120)
@given(cases(), st.sampled_from([0, 0.1, 0.5, 0.9, 1]), st.integers(0, 2**31))
def test_whichever_tiles_are_seen_the_result_is_the_blend_of_just_these(case, share, seed):
    """Slowly, as above; the disagreement is the root of the weighted mean of the squares of what differs from it."""
    grid, window, pixels_per_batch = case
    random = np.random.default_rng(seed)
    seen = random.random(len(grid)) < share
    answers = [random.random((grid.tile, grid.tile), dtype=np.float32) if is_seen else None for is_seen in seen]
    mean = np.zeros(grid.padded_shape)
    mean[: grid.height, : grid.width] = stitch_slowly(grid, answers, window)
    squares = [
        None if answer is None else (answer - mean[grid.slices(row, column)]) ** 2
        for (row, column), answer in zip(grid.corners.tolist(), answers, strict=True)
    ]
    net = InOrder(answer for answer in answers if answer is not None)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stitching, "PIXELS_PER_BATCH", pixels_per_batch)
        lines = list(
            stitched_lines(
                noise(grid.height, grid.width), net, grid, window, sees=in_turn(seen.tolist()), disagreement=True
            )
        )

    np.testing.assert_allclose(joined(lines), mean[: grid.height, : grid.width], rtol=0, atol=1e-5)
    spread = np.sqrt(stitch_slowly(grid, squares, window))
    np.testing.assert_allclose(joined(lines, "disagreement"), spread, rtol=0, atol=1e-3)


def test_the_net_is_never_shown_a_tile_that_is_not_seen():
    """Of 6 x 5 tiles each third has a pixel of 255, and the others have none."""
    grid, image = TileGrid(96, 80, 16, 16), noise(96, 80) // 2
    for row, column in grid.corners[::3].tolist():
        image[row + 5, column + 5] = 255
    shown = []

    def net(tiles):
        shown.extend(tiles.copy())
        return identity(tiles)

    def dark(band, columns, tile):
        return np.array([band[:, column : column + tile].max() < 255 for column in columns])

    stitched = joined(stitched_lines(image, net, grid, sees=dark))

    assert max(tile.max() for tile in shown) < 255
    for number, (row, column) in enumerate(grid.corners.tolist()):
        place = np.s_[row : row + 16, column : column + 16]
        expected = 0 * image[place] if number % 3 == 0 else image[place]
        np.testing.assert_allclose(stitched[place], expected[..., 0], atol=1e-3)


@pytest.mark.parametrize(
    ("seen", "sizes"),
    [(0, []), (1, [1]), (3, [4]), (8, [8]), (9, [10]), (10, [10]), (13, [10, 4]), (21, [10, 10, 1]), (30, [10] * 3)],
)
def test_batches_of_seen_tiles_are_full_or_the_last_a_power_of_two(seen, sizes, monkeypatch):
    """At most 12 tiles fit in a batch: 30 need three, which are of 10. Of those that are left, 1 to 8 take a batch of
    1, 2, 4 or 8, and 9 one of 10."""
    monkeypatch.setattr(stitching, "PIXELS_PER_BATCH", 12 * 16**2)
    grid, image, called = TileGrid(96, 80, 16, 16), noise(96, 80), []

    def net(tiles):
        called.append(len(tiles))
        return identity(tiles)

    first_ones = [True] * seen + [False] * (30 - seen)
    stitched = joined(stitched_lines(image, net, grid, sees=in_turn(first_ones)))

    assert called == sizes
    for number, (row, column) in enumerate(grid.corners.tolist()):
        place = np.s_[row : row + 16, column : column + 16]
        expected = image[place][..., 0] if number < seen else np.zeros((16, 16))
        np.testing.assert_allclose(stitched[place], expected, atol=1e-3)


def test_lines_count_the_tiles_that_were_done_for_them_by_hand():
    """Tiles of 16 at stride 12 over 40 x 28 begin at the rows 0, 12, 24 and the columns 0, 12. Each row of them
    finishes the lines down to the next. Of a region from row 14 on, the lines down to 24 take two rows of tiles.

    In the order of the corners the first, the second and the fourth tile are not seen.
    """
    grid, sees = TileGrid(40, 28, 16, 12), [False, False, True, False, True, True]

    def counts(**how):
        lines = stitched_lines(noise(40, 28), identity, grid, **how)
        return [(part.top, part.tiles, part.tiles_skipped) for part in lines]

    assert counts() == [(0, 2, 0), (12, 2, 0), (24, 2, 0)]
    assert counts(sees=in_turn(sees)) == [(0, 2, 2), (12, 2, 1), (24, 2, 0)]
    assert counts(sees=in_turn(sees), region=Region(14, 0, 40, 28)) == [(14, 4, 3), (24, 2, 0)]


# Disagreement


def disagreement(image, net, grid, window):
    return joined(stitched_lines(image, net, grid, window, disagreement=True), "disagreement")


def test_disagreement_of_two_half_overlapping_tiles_by_hand():
    """The tiles of 4 at columns 0 and 2 of an image 6 wide that answer 10 and 20; for the means see above.

    Where only one of them holds a pixel, they agree. Uniform: 10 and 20 are 5 from their mean of 15. Hann: with the
    weights w and 1 - w, the variance is w (1 - w) (20 - 10)^2; in column 2 it is 0.853553 * 0.146447 * 100 = 12.5, in
    column 3 the same, and the root of that is 3.535534.
    """
    grid = TileGrid(4, 6, 4, 2)
    answers = [np.full((4, 4), 10), np.full((4, 4), 20)]

    uniform = disagreement(noise(4, 6), InOrder(answers), grid, "uniform")
    hann = disagreement(noise(4, 6), InOrder(answers), grid, "hann")

    assert uniform.dtype == np.float32
    np.testing.assert_allclose(uniform, [[0, 0, 5, 5, 0, 0]] * 4, atol=0.01)
    np.testing.assert_allclose(hann, [[0, 0, 3.535534, 3.535534, 0, 0]] * 4, atol=0.01)


@settings(deadline=None, max_examples=60)
@given(cases(), st.integers(0, 2**31))
def test_disagreement_is_the_weighted_standard_deviation(case, seed):
    """Slowly, in float64: the root of the weighted mean of the squares of what differs from the mean. In float32 a
    variance is known to a few 1e-7, and so a deviation near 0 to the root of that."""
    grid, window, _ = case
    answers = np.random.default_rng(seed).random((len(grid), grid.tile, grid.tile), dtype=np.float32)
    mean = np.zeros(grid.padded_shape)
    mean[: grid.height, : grid.width] = stitch_slowly(grid, answers, window)
    squares = [
        (answer - mean[grid.slices(row, column)]) ** 2
        for (row, column), answer in zip(grid.corners.tolist(), answers, strict=True)
    ]

    found = disagreement(noise(grid.height, grid.width), InOrder(answers), grid, window)

    np.testing.assert_allclose(found, np.sqrt(stitch_slowly(grid, squares, window)), rtol=0, atol=1e-3)
    assert found.max() <= 0.5 + 1e-3  # of answers from 0 to 1


def test_without_being_asked_nobody_measures_disagreement():
    (lines,) = stitched_lines(noise(16, 16), identity, TileGrid(16, 16, 16, 16))

    assert lines.disagreement is None


@pytest.mark.parametrize(
    "pixels", [noise(8, 8) / np.float32(255), noise(8, 8).astype(np.uint16), noise(8, 8) > 9, noise(8, 8)[..., :1]]
)
def test_pixels_that_numpy_would_cut_down_to_bytes_are_refused(pixels):
    """Shares of 1 would all become black, 256 as well."""
    with pytest.raises(InputError, match=r"not uint8 \(height, width, 3\)"):
        stitch(pixels, identity, TileGrid(8, 8, 4, 4))


def test_a_region_is_cut_to_the_image_and_one_beside_it_is_refused():
    image, grid = noise(12, 12), TileGrid(12, 12, 4, 4)

    (lines,) = stitched_lines(image[:4], identity, TileGrid(4, 12, 4, 4), region=Region(-3, 6, 9, 99))

    np.testing.assert_allclose(lines.probability, image[:4, 6:, 0], rtol=1e-6)
    with pytest.raises(InputError, match="shares no pixel with the image"):
        list(stitched_lines(image, identity, grid, region=Region(12, 0, 20, 5)))


def test_where_nothing_fits_into_memory_tiles_go_one_by_one():
    assert stitching.batch_size(TileGrid(64, 64, 8, 8), 0) == 1
