import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from shipseg_tiles.errors import InputError
from shipseg_tiles.pixels import indices_at, indices_of, mask_of, rows_and_columns, union

fast = settings(deadline=None, max_examples=60)
masks = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 1))


@fast
@given(masks)
def test_masks_come_back_from_their_indices(mask):
    indices = indices_of(mask)

    assert indices.tolist() == np.flatnonzero(mask.ravel(order="F")).tolist()
    assert np.array_equal(mask_of(indices, mask.shape), mask)
    assert mask_of(indices, mask.shape).flags.c_contiguous


@pytest.mark.parametrize("shape", [(4, 5, 3), (5,)])
def test_what_is_no_mask_has_no_indices(shape):
    with pytest.raises(InputError, match=r"a mask has the shape \(height, width\), not"):
        indices_of(np.ones(shape))


@fast
@given(masks)
def test_rows_and_columns_are_those_in_the_mask(mask):
    rows, columns = rows_and_columns(indices_of(mask), len(mask))

    expected_columns, expected_rows = np.nonzero(mask.T)
    assert rows.tolist() == expected_rows.tolist()
    assert columns.tolist() == expected_columns.tolist()


@fast
@given(st.data(), st.integers(1, 9), st.integers(1, 9))
def test_rows_and_columns_lead_back_to_the_index(data, height, width):
    indices = np.array(data.draw(st.lists(st.integers(0, height * width - 1), max_size=6)), dtype=np.int64)

    rows, columns = rows_and_columns(indices, height)

    assert np.all((rows < height) & (columns < width))
    assert indices_at(rows, columns, height).tolist() == indices.tolist()


@fast
@given(st.lists(st.lists(st.integers(0, 20), unique=True).map(sorted), max_size=4))
def test_a_union_holds_each_pixel_once_and_ascending(parts):
    whole = union([np.array(part, dtype=np.int64) for part in parts])

    assert whole.dtype == np.int64
    assert whole.tolist() == sorted({pixel for part in parts for pixel in part})
