import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipseg_tiles.scoring.dice import dice_from_counts, iou_from_counts, overlap

pixel_sets = st.frozensets(st.integers(0, 40), max_size=30)
fast = settings(deadline=None, max_examples=100)


def indices(pixels):
    return np.array(sorted(pixels), dtype=np.int64)


def dice(first, second):
    return dice_from_counts(first.size, second.size, overlap(first, second))


def iou(first, second):
    return iou_from_counts(first.size, second.size, overlap(first, second))


def test_dice_by_hand():
    """3 true and 5 predicted pixels share 2: 2 * 2 / (3 + 5) = 0.5; their union has 6, so the IoU is 2 / 6."""
    truth, predicted = indices({1, 2, 3}), indices({2, 3, 10, 11, 12})

    assert overlap(truth, predicted) == 2
    assert dice(truth, predicted) == 0.5
    assert iou(truth, predicted) == pytest.approx(1 / 3)


def test_nothing_predicted_where_nothing_is():
    assert dice(indices({}), indices({})) == 1
    assert iou(indices({}), indices({})) == 1
    assert overlap(indices({}), indices({})) == 0


def test_exactly_one_empty():
    ship = indices({5})

    for first, second in ((ship, indices({})), (indices({}), ship)):
        assert dice(first, second) == 0
        assert iou(first, second) == 0
        assert overlap(first, second) == 0


def test_large_indices_of_a_whole_scene():
    """Indices beyond 32 bits: 100 pixels from 2^40 on and 100 from 2^40 + 50 on share 50."""
    first, second = np.arange(2**40, 2**40 + 100), np.arange(2**40 + 50, 2**40 + 150)

    assert overlap(first, second) == 50
    assert dice(first, second) == 0.5


@fast
@given(pixel_sets, pixel_sets)
def test_agrees_with_sets_of_pixels(truth, predicted):
    shared = len(truth & predicted)

    assert overlap(indices(truth), indices(predicted)) == shared
    if truth or predicted:
        assert dice(indices(truth), indices(predicted)) == 2 * shared / (len(truth) + len(predicted))
        assert iou(indices(truth), indices(predicted)) == shared / len(truth | predicted)


def test_dice_from_counts():
    assert dice_from_counts(4, 4, 3) == 0.75
    assert dice_from_counts(4, 0, 0) == 0
    assert dice_from_counts(0, 0, 0) == 1
