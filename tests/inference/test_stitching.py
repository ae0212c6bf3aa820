import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipseg_tiles.errors import InputError
from shipseg_tiles.inference import stitching
from shipseg_tiles.inference.stitching import stitch
from shipseg_tiles.tiling import TileGrid, window_weights

WINDOWS = ["uniform", "hann", "gaussian", "core"]


def identity(tiles):
    """A net that answers the red of each pixel."""
    return tiles[..., 0].astype(np.float32)


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def stitch_slowly(grid, answers, window):
    """The weighted mean of all tiles that hold a pixel, in float64 over the whole image at once."""
    weights = window_weights(window, grid.tile, grid.stride).astype(np.float64)
    sums, shares = np.zeros(grid.padded_shape), np.zeros(grid.padded_shape)
    for (row, column), answer in zip(grid.corners, answers, strict=True):
        place = np.s_[row : row + grid.tile, column : column + grid.tile]
        sums[place] += answer * weights
        shares[place] += weights
    return (sums / shares)[: grid.height, : grid.width]


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
