import re
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import label

from shipseg_tiles.connected import connected_objects, separate_objects
from shipseg_tiles.errors import InputError


def objects_slowly(mask):
    """By scikit-image, pixel by pixel, in the column-major order of their first pixels."""
    numbers, count = label(mask, connectivity=2, return_num=True)
    objects = [np.flatnonzero(numbers.ravel(order="F") == number).tolist() for number in range(1, count + 1)]
    return sorted(objects)


@st.composite
def masks_of_any_density(draw):
    """Empty ones, full ones, and all between, where objects wind around each other; single lines and columns too."""
    shape = draw(st.integers(1, 15)), draw(st.integers(1, 15))
    density = draw(st.sampled_from([0, 0.05, 0.3, 0.5, 0.7, 0.95, 1]))
    return np.random.default_rng(draw(st.integers(0, 2**31))).random(shape) < density


@settings(deadline=None, max_examples=300)
@given(masks_of_any_density())
def test_objects_are_those_of_scikit_image(mask):
    objects = connected_objects(np.flatnonzero(mask.T), mask.shape[0])

    assert [pixels.tolist() for pixels in objects] == objects_slowly(mask)
    assert [pixels.tolist() for pixels in separate_objects(mask)] == objects_slowly(mask)
    assert all(pixels.dtype == np.int64 for pixels in objects)


@pytest.mark.parametrize("text", ["#.##.###", "########", "#.#.#.#.", ".......#", "........"])
def test_objects_of_one_line_and_of_one_column(text):
    """In both the objects are the runs; neither the end of a column nor that of a line joins anything."""
    line = np.array([[character == "#" for character in text]])
    runs = [list(range(match.start(), match.end())) for match in re.finditer("#+", text)]

    assert [pixels.tolist() for pixels in connected_objects(np.flatnonzero(line), 1)] == runs
    assert [pixels.tolist() for pixels in connected_objects(np.flatnonzero(line), len(text))] == runs


def test_the_end_of_a_column_does_not_touch_the_beginning_of_the_next():
    """In columns of 4: pixel 3 is the last of column 0, pixel 4 the first of column 1, pixel 8 the first of column 2,
    which touches 4. Pixel 15, the last of column 3, touches none of them."""
    assert [pixels.tolist() for pixels in connected_objects(np.array([3, 4, 8, 15]), 4)] == [[3], [4, 8], [15]]


def test_objects_of_a_scene_take_memory_only_where_ships_are():
    """2**20 x 2**20 pixels would be 1 TB as a mask. Two ships of 3 columns of 100 px, in opposite corners."""
    height = 2**20
    ship = (np.arange(3)[:, np.newaxis] * height + np.arange(100)).ravel()
    far = ship + (height - 3) * height + height - 100

    tracemalloc.start()
    objects = connected_objects(np.concatenate((ship, far)), height)
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert [pixels.tolist() for pixels in objects] == [ship.tolist(), far.tolist()]
    assert taken < 1e6


def test_pixels_that_touch_by_a_corner_are_one_object():
    """Pixels count down columns of 3: 0, 1, 3 and 4 are a square, 8 touches it by a corner."""
    assert [pixels.tolist() for pixels in separate_objects(np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0]]))] == [
        [0, 1, 3, 4, 8]
    ]


def test_objects_come_in_the_order_of_their_first_pixel_down_the_columns():
    """Rows of 4, columns of 3. The object of row 2 begins in column 0 (pixel 2), the one of row 0 in column 1 (3)."""
    mask = np.array([[0, 255, 255, 0], [0, 0, 0, 0], [7, 7, 0, 0]])

    assert [pixels.tolist() for pixels in separate_objects(mask)] == [[2, 5], [3, 6]]


def test_empty_mask_has_no_objects():
    assert separate_objects(np.zeros((3, 4))) == []


def test_objects_of_what_is_no_mask_are_refused():
    with pytest.raises(InputError, match=r"not \(4, 5, 3\)"):
        separate_objects(np.ones((4, 5, 3)))
