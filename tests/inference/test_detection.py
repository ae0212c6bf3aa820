from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipseg_tiles.connected import separate_objects
from shipseg_tiles.inference.detection import RASTERS, Ship, join_ships, threshold_lines
from shipseg_tiles.inference.stitching import Lines


def lines(top, left, probability, disagreement=None):
    spread = None if disagreement is None else np.array(disagreement, dtype=np.float32)
    return Lines(top, left, np.array(probability, dtype=np.float32), spread)


def test_ship_pixels_of_lines_by_hand():
    """Two lines from row 2, column 3 of an image of 10 lines. Above a half are, down the columns: row 3 in column 3,
    which is 3 * 10 + 3 = 33; row 2 in column 4, 42; rows 2 and 3 in column 5, 52 and 53. A half is not above it."""
    strip = threshold_lines(lines(2, 3, [[0.5, 0.75, 1], [0.625, 0.25, 0.875]]), 10, 0.5)

    assert (strip.top, strip.left) == (2, 3)
    assert strip.pixels.tolist() == [33, 42, 52, 53]
    assert strip.pixels.dtype == np.int64
    assert strip.probabilities.tolist() == [0.625, 0.75, 1, 0.875]
    assert strip.probabilities.dtype == np.float32
    assert strip.rasters == {}


def test_lines_without_ships_have_no_pixels():
    strip = threshold_lines(lines(0, 0, [[0.25, 0.5]]), 1, 0.5)

    assert strip.pixels.size == strip.probabilities.size == 0
    assert join_ships([strip], 1, 0) == []


def test_rasters_by_hand():
    """A probability of 0.5 is 127.5 of 255, which rounds to the even 128; 0.2 is 51. A disagreement is at most 0.5,
    which is 255; 0.1 is 51."""
    both = lines(1, 2, [[0, 0.5, 0], [0.2, 1, 0]], [[0, 0.5, 0], [0.1, 0.25, 0]])

    strip = threshold_lines(both, 5, 0.9, ("disagreement", "probability"))

    assert {name: raster.tolist() for name, raster in strip.rasters.items()} == {
        "probability": [[0, 128, 0], [51, 255, 0]],
        "disagreement": [[0, 255, 0], [51, 128, 0]],
    }
    assert {raster.dtype for raster in strip.rasters.values()} == {np.dtype(np.uint8)}
    assert strip.slices == np.s_[1:3, 2:5]


@pytest.mark.parametrize("asked", [(), ("probability",), ("disagreement",), ("probability", "disagreement")])
def test_only_what_is_asked_for_is_kept(asked):
    strip = threshold_lines(lines(0, 0, [[0.5]], [[0.25]]), 1, 0.9, asked)

    assert set(strip.rasters) == set(asked) <= set(RASTERS)


def test_rounding_beyond_the_largest_value_does_not_start_again_from_0():
    """Sums in float32 may end a little above 1 and above 0.5."""
    strip = threshold_lines(lines(0, 0, [[1.0000002]], [[0.5002]]), 1, 0.9, ("probability", "disagreement"))

    assert {name: int(raster[0, 0]) for name, raster in strip.rasters.items()} == {
        "probability": 255,
        "disagreement": 255,
    }


def strips_of(probability, *edges):
    """The strips of an image that was cut at some lines, with a threshold of a half."""
    bounds = [0, *edges, len(probability)]
    return [
        threshold_lines(lines(top, 0, probability[top:bottom]), len(probability), 0.5)
        for top, bottom in pairwise(bounds)
    ]


def test_a_ship_across_strips_is_one_by_hand():
    """Of 4 x 4 px: the pixels 1 and 2 of column 0 and, by a corner, 7 of column 1 are one ship; 12 is another.

    0.75, 1 and 0.875 are 0.875 in the mean.
    """
    probability = np.zeros((4, 4), dtype=np.float32)
    probability[1, 0], probability[2, 0], probability[3, 1], probability[0, 3] = 0.75, 1, 0.875, 0.625

    for strips in (strips_of(probability), strips_of(probability, 2), strips_of(probability, 1, 2, 3)):
        ships = join_ships(strips, 4, 0)

        assert [(ship.pixels.tolist(), ship.score) for ship in ships] == [([1, 2, 7], 0.875), ([12], 0.625)]


def test_exactly_the_ships_below_the_minimum_area_are_dropped():
    """Ships of 2 and 3 pixels, each across two strips."""
    probability = np.zeros((4, 5), dtype=np.float32)
    probability[1:3, 0] = probability[1:4, 4] = 1
    strips = strips_of(probability, 2)

    sizes = {area: [ship.pixels.size for ship in join_ships(strips, 4, area)] for area in range(5)}

    assert sizes == {0: [2, 3], 1: [2, 3], 2: [2, 3], 3: [3], 4: []}


def test_exactly_the_ships_below_the_minimum_score_are_dropped():
    """A ship of 0.75 and 1, a mean of 0.875, and one of 0.75 twice, each across two strips."""
    probability = np.zeros((4, 5), dtype=np.float32)
    probability[1:3, 0], probability[1:3, 4] = (0.75, 1), 0.75
    strips = strips_of(probability, 2)

    scores = {least: [ship.score for ship in join_ships(strips, 4, 0, least)] for least in (0, 0.75, 0.76, 0.875, 0.9)}

    assert scores == {0: [0.875, 0.75], 0.75: [0.875, 0.75], 0.76: [0.875], 0.875: [0.875], 0.9: []}


def test_ships_that_touch_are_separated_before_small_ones_are_dropped():
    """A ship of 10 x 40 px, probability 0.75, and at its end, 7 px lower, one of 10 x 20 px, probability 1: together
    600 px with a mean of 0.83, apart 400 and 200, of which 300 px leave the one and a score of 0.8 the other."""
    probability = np.zeros((60, 90), dtype=np.float32)
    probability[20:30, 10:50], probability[27:37, 50:70] = 0.75, 1
    strips = strips_of(probability, 25)

    found = {
        (separate, *least): [(ship.pixels.size, ship.score) for ship in join_ships(strips, 60, *least, separate)]
        for separate in (False, True)
        for least in ((0, 0), (300, 0), (0, 0.8), (300, 0.8))
    }
    whole = [(600, pytest.approx(500 / 600))]

    assert found == {
        (False, 0, 0): whole,
        (False, 300, 0): whole,
        (False, 0, 0.8): whole,
        (False, 300, 0.8): whole,
        (True, 0, 0): [(400, 0.75), (200, 1)],
        (True, 300, 0): [(400, 0.75)],
        (True, 0, 0.8): [(200, 1)],
        (True, 300, 0.8): [],
    }


@settings(deadline=None, max_examples=100)
@given(
    st.integers(1, 20),
    st.integers(1, 20),
    st.integers(0, 2**31),
    st.sets(st.integers(1, 19)),
    st.randoms(use_true_random=False),
)
def test_ships_are_those_of_the_whole_image_however_it_is_cut(height, width, seed, edges, random):
    """In whatever order the strips come."""
    probability = np.random.default_rng(seed).random((height, width), dtype=np.float32)
    strips = strips_of(probability, *sorted(edge for edge in edges if edge < height))
    random.shuffle(strips)
    whole = [ship for ship in separate_objects(probability > 0.5) if ship.size >= 3]

    ships = join_ships(strips, height, 3)

    assert [ship.pixels.tolist() for ship in ships] == [ship.tolist() for ship in whole]
    flat = probability.ravel(order="F")
    assert [ship.score for ship in ships] == pytest.approx([flat[ship].mean() for ship in whole], rel=1e-5)
    assert all(isinstance(ship, Ship) and type(ship.score) is float for ship in ships)
