import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.draw import polygon

from shipseg_tiles.connected import separate_objects
from shipseg_tiles.inference import separation
from shipseg_tiles.inference.separation import rectangle_fit, separate_touching
from shipseg_tiles.pixels import rows_and_columns

SHAPE = (120, 160)


def box(row, column, length, width, degrees=0, shape=SHAPE):
    """The mask of a rectangle around a point, its long side turned clockwise from the image's rows."""
    angle = np.radians(degrees)
    along, across = np.array([np.sin(angle), np.cos(angle)]), np.array([np.cos(angle), -np.sin(angle)])
    signs = np.array([(1, 1), (1, -1), (-1, -1), (-1, 1)])
    corners = [row, column] + signs[:, :1] * along * length / 2 + signs[:, 1:] * across * width / 2
    mask = np.zeros(shape, dtype=bool)
    mask[polygon(corners[:, 0], corners[:, 1], shape)] = True
    return mask


def boxes(*places):
    """A mask of boxes (first row, first column, row after the last, column after the last)."""
    mask = np.zeros(SHAPE, dtype=bool)
    for top, left, bottom, right in places:
        mask[top:bottom, left:right] = True
    return mask


def separated(mask):
    return separate_touching(separate_objects(mask), len(mask))


def fit(mask):
    return rectangle_fit(*rows_and_columns(np.flatnonzero(mask.T), len(mask)))


def sizes(mask):
    return sorted(part.size for part in separated(mask))


# How well pixels fill a rectangle


def test_an_upright_rectangle_is_filled_and_an_l_is_not():
    """An L of two arms of 30 x 10 px that share a corner has 500 px in the square of 30 x 30 px around it. A turned
    rectangle is smaller still: at 45 degrees from corner to corner, sqrt(2) * 30 by no more than 30 px."""
    assert fit(box(50, 50, 1, 1)) == 1
    assert fit(boxes((10, 10, 20, 70))) == 1
    assert 500 / (42.5 * 30) < fit(boxes((10, 10, 40, 20), (30, 10, 40, 40))) < 0.75


@pytest.mark.parametrize("degrees", [10, 45, 77, 133])
def test_a_turned_rectangle_is_nearly_filled(degrees):
    assert 0.85 < fit(box(60, 80, 70, 14, degrees)) <= 1


def test_a_diagonal_line_fills_its_rectangle_as_far_as_pixels_can():
    """10 px on the diagonal reach over 9 * sqrt(2) + 1 by 1 px."""
    mask = np.zeros(SHAPE, dtype=bool)
    mask[np.arange(10), np.arange(10)] = True

    assert fit(mask) == pytest.approx(10 / (9 * np.sqrt(2) + 1))


# What is cut


def test_two_boxes_that_touch_by_a_part_of_their_ends_are_cut_where_they_touch():
    """Boxes of 10 x 40 px side by side, the second 7 px lower, share 3 of 10 rows of their ends. 800 px in the upright
    17 x 80 px around them are 0.59 of it; each for itself fills its rectangle."""
    mask = boxes((20, 20, 30, 60), (27, 60, 37, 100))

    parts = separated(mask)

    assert len(separate_objects(mask)) == 1
    assert [part.size for part in parts] == [400, 400]
    assert [np.unique(part // SHAPE[0]).tolist() for part in parts] == [list(range(20, 60)), list(range(60, 100))]


def test_a_pixel_that_hangs_on_by_a_corner_stays_with_its_ship():
    """The boxes from above, and a pixel beyond a corner of the first one."""
    mask = boxes((20, 20, 30, 60), (27, 60, 37, 100), (19, 19, 20, 20))

    assert [part.size for part in separated(mask)] == [401, 400]


def test_ships_far_out_in_a_scene_take_as_little_memory_as_those_in_its_corner():
    """The same two boxes, 1,000 rows and columns from the corner. A map of all that is before them would have 1 MB, and
    its distances 8 MB."""
    rows, columns = rows_and_columns(np.flatnonzero(boxes((20, 20, 30, 60), (27, 60, 37, 100)).T), SHAPE[0])
    ships = (columns + 1000) * 2000 + rows + 1000

    tracemalloc.start()
    parts = separate_touching([ships], 2000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert [part.size for part in parts] == [400, 400]
    assert peak < 2e6


def test_three_ships_in_a_row_are_cut_into_three():
    """Each is 9 px lower than the one before, so that they share 3 of 12 rows of their ends."""
    mask = boxes((20, 10, 32, 50), (29, 50, 41, 90), (38, 90, 50, 130))

    assert sizes(mask) == [480, 480, 480]


def test_a_ship_and_a_boat_at_its_side_are_cut():
    """The boat lies askew, so that its corner pokes into the ship by a pixel or two."""
    ship, boat = boxes((61, 20, 79, 120)), box(52, 70, 20, 9, 45)
    boat &= ~ship

    small, large = sorted(separated(ship | boat), key=len)

    assert len(separate_objects(ship | boat)) == 1
    assert (large.size, small.size) == (ship.sum(), boat.sum())


# What stays whole


@pytest.mark.parametrize("degrees", [0, 15, 30, 45, 60, 90, 120])
@pytest.mark.parametrize(("length", "width"), [(90, 14), (40, 9), (16, 5), (8, 3)])
def test_one_ship_stays_whole(length, width, degrees):
    mask = box(60, 80, length, width, degrees)

    assert sizes(mask) == [mask.sum()]


def test_a_hull_with_a_waist_stays_whole():
    """Narrower by 2 px on both sides amidships, it has a neck, but its halves fill their rectangles no better."""
    mask = box(60, 80, 100, 20)
    mask[:52, 75:85] = mask[69:, 75:85] = False

    assert sizes(mask) == [mask.sum()]


def test_an_l_shaped_hull_stays_whole():
    """It is widest at the corner and narrows from there on: it has no neck, whatever its arms would fill."""
    mask = boxes((20, 20, 80, 34), (66, 20, 80, 90))

    assert fit(mask) < 0.6
    assert sizes(mask) == [mask.sum()]


def test_parts_that_are_no_ships_stay_one():
    """Two discs of 20 px radius with a bridge of 4 px: cut or not, it is a disc that no ship looks like, of which the
    rectangles are filled by 0.79 at best; here with bites out of them by less."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    mask = boxes((58, 50, 62, 110))
    for centre in (45, 110):
        disc = (rows - 60) ** 2 + (columns - centre) ** 2 < 400
        bite = (np.abs(rows - 60) > 6) & (np.abs(columns - centre) > 6)
        mask |= disc & ~bite

    assert sizes(mask) == [mask.sum()]


def test_what_is_larger_than_any_few_ships_stays_whole(monkeypatch):
    """The box around two ships has 17 x 80 = 1,360 px."""
    mask = boxes((20, 20, 30, 60), (27, 60, 37, 100))

    monkeypatch.setattr(separation, "LARGEST_BOX", 1360)
    assert sizes(mask) == [400, 400]
    monkeypatch.setattr(separation, "LARGEST_BOX", 1359)
    assert sizes(mask) == [800]


def test_nothing_has_no_parts():
    assert separate_touching([], 10) == []


# Nothing is lost


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.tuples(
            st.floats(5, 75), st.floats(5, 95), st.floats(1, 50), st.floats(1, 20), st.floats(0, 180), st.booleans()
        ),
        max_size=6,
    ),
    st.integers(0, 2**31),
    st.floats(0, 0.05),
    st.sampled_from([(0.0, -1.0), (separation.GOOD_FIT, separation.GAIN)]),
)
def test_parts_are_exactly_the_pixels_of_the_objects_each_once(ships, seed, noise, limits):
    """Whatever is cut, also into what is no ship; and the order is that of the first pixels."""
    shape = (80, 100)
    mask = np.random.default_rng(seed).random(shape) < noise
    for row, column, length, width, degrees, removed in ships:
        mask = (
            mask & ~box(row, column, length, width, degrees, shape)
            if removed
            else (mask | box(row, column, length, width, degrees, shape))
        )
    objects = separate_objects(mask)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(separation, "GOOD_FIT", limits[0])
        patch.setattr(separation, "GAIN", limits[1])
        parts = separate_touching(objects, shape[0])

    together = np.concatenate([np.empty(0, dtype=np.int64), *parts])
    assert np.array_equal(np.sort(together), np.flatnonzero(mask.T))
    assert all(part.size and np.all(np.diff(part) > 0) for part in parts)
    assert [int(part[0]) for part in parts] == sorted(int(part[0]) for part in parts)
    for part in parts:
        drawn = np.zeros(mask.size, dtype=bool)
        drawn[part] = True
        assert len(separate_objects(drawn.reshape(shape[::-1]).T)) == 1
