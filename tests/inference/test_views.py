import numpy as np
import pytest

from shipseg_tiles.inference.views import mean_of, over_symmetries


def noise(count, side):
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def identity(tiles):
    """A net that answers the red of each pixel."""
    return tiles[..., 0].astype(np.float32)


def lopsided(tiles):
    """A net that answers the red of each pixel, less that of its right neighbour, and more the further down it is."""
    answer = tiles[..., 0].astype(np.float32)
    answer[:, :, :-1] -= tiles[:, :, 1:, 0]
    return answer + np.arange(tiles.shape[1], dtype=np.float32)[:, np.newaxis]


def columns(tiles):
    """A net that answers the number of the column, whatever it is shown."""
    return np.broadcast_to(np.arange(tiles.shape[2], dtype=np.float32), tiles.shape[:3])


def test_a_net_that_has_no_preferred_direction_answers_as_before():
    tiles = noise(3, 7)

    answer = over_symmetries(identity, 8)(tiles)

    assert answer.dtype == np.float32
    assert np.array_equal(answer, identity(tiles))


def test_what_a_net_answers_whatever_it_sees_is_averaged_by_hand():
    """In a tile of 4 px, the pixel in row 0, column 1 is in column 1 as it is and turned upside down; in column 2
    mirrored and turned by half; and on its side, in the columns 0, 0, 3 and 3. (2 * 1 + 2 * 2 + 2 * 0 + 2 * 3) / 8 =
    1.5, and so it is for every other pixel: a column and the one across from it are 3 together."""
    assert np.array_equal(over_symmetries(columns, 8)(noise(2, 4)), np.full((2, 4, 4), 1.5))


def test_the_net_is_shown_eight_different_views_of_each_tile():
    """Of a tile with four different corners, each corner comes to lie in the upper left twice: with its neighbour along
    the line on its right, and with the other one."""
    corners = np.zeros((1, 5, 5, 3), dtype=np.uint8)
    corners[0, [0, 0, 4, 4], [0, 4, 4, 0]] = np.array([[1], [2], [3], [4]])
    views = []

    def net(tiles):
        views.append((int(tiles[0, 0, 0, 0]), int(tiles[0, 0, -1, 0])))
        assert tiles.flags.c_contiguous
        return identity(tiles)

    over_symmetries(net, 8)(corners)

    assert sorted(views) == [(1, 2), (1, 4), (2, 1), (2, 3), (3, 2), (3, 4), (4, 1), (4, 3)]


@pytest.mark.parametrize("net", [lopsided, columns])
@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("step", [1, -1])
def test_a_turned_or_mirrored_tile_gets_the_answer_turned_or_mirrored(net, turns, step):
    tiles, symmetric = noise(2, 6), over_symmetries(net, 8)

    def moved(stack):
        return np.rot90(stack[:, :, ::step], turns, axes=(1, 2))

    np.testing.assert_allclose(symmetric(moved(tiles)), moved(symmetric(tiles)), atol=1e-4)


def test_two_symmetries_are_the_tile_and_its_mirror_image():
    """As it is, a pixel of column 1 of 4 is in column 1, mirrored in column 2; turned it is never shown."""
    tiles = noise(2, 4)

    assert np.array_equal(over_symmetries(columns, 2)(tiles), np.full((2, 4, 4), 1.5))
    found = over_symmetries(lopsided, 2)(tiles)
    np.testing.assert_allclose(found, (lopsided(tiles) + lopsided(tiles[:, :, ::-1])[:, :, ::-1]) / 2)
    assert np.array_equal(over_symmetries(lopsided, 1)(tiles), lopsided(tiles))


def test_the_mean_of_several_nets():
    tiles = noise(2, 4)

    answer = mean_of([identity, columns, lopsided])(tiles)

    assert answer.dtype == np.float32
    np.testing.assert_allclose(answer, (identity(tiles) + columns(tiles) + lopsided(tiles)) / 3, rtol=1e-6)


def test_tiles_are_not_mixed_up():
    """One tile after the other or together, the answers are the same."""
    tiles = noise(5, 6)

    together = over_symmetries(lopsided, 8)(tiles)

    for number in range(5):
        assert np.array_equal(over_symmetries(lopsided, 8)(tiles[number : number + 1])[0], together[number])
