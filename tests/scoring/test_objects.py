from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from shipseg_tiles.connected import separate_objects
from shipseg_tiles.scoring.objects import THRESHOLDS, f2_from_ious, found_ships, pairwise_iou, with_pixels

HEIGHT, WIDTH = 6, 9
NOTHING = np.empty(0, dtype=np.int64)

fast = settings(deadline=None, max_examples=150)
# (upper row, left column, height, width); small, so that boxes often meet.
boxes = st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(1, 3), st.integers(1, 4))


def box_mask(box):
    row, column, height, width = box
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[row : row + height, column : column + width] = True
    return mask


def indices_of(mask):
    return np.flatnonzero(mask.ravel(order="F"))


def run(first, end):
    return np.arange(first, end)


def image_f2(truth_ships, predicted_ships):
    return f2_from_ious(pairwise_iou(with_pixels(truth_ships), with_pixels(predicted_ships)))


def slow_f2(truth_masks, predicted_masks):
    """The rule word by word: full masks, fractions, and every way of matching tried."""
    if not truth_masks and not predicted_masks:
        return 1
    total = Fraction(0)
    for twentieths in range(10, 20):
        hits = [
            {
                number
                for number, predicted in enumerate(predicted_masks)
                if Fraction(int((truth & predicted).sum()), int((truth | predicted).sum())) > Fraction(twentieths, 20)
            }
            for truth in truth_masks
        ]
        found = most_pairs(hits, frozenset())
        missed, false = len(truth_masks) - found, len(predicted_masks) - found
        total += Fraction(5 * found, 5 * found + 4 * missed + false)
    return total / 10


def most_pairs(partners, taken):
    """Give each true ship one of its free partners, or none, in every possible way."""
    if not partners:
        return 0
    first, *others = partners
    with_first = [1 + most_pairs(others, taken | {partner}) for partner in first - taken]
    return max([most_pairs(others, taken), *with_first])


def slow_objects(mask):
    """Flood from every ship pixel, column by column, that no flood has reached."""
    height, width = mask.shape
    left = {(row, column) for row, column in zip(*np.nonzero(mask), strict=True)}
    objects = []
    for column in range(width):
        for row in range(height):
            flood, waiting = [], [(row, column)]
            while waiting:
                pixel = waiting.pop()
                if pixel in left:
                    left.remove(pixel)
                    flood.append(pixel[1] * height + pixel[0])
                    waiting += [(pixel[0] + down, pixel[1] + right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
            if flood:
                objects.append(sorted(flood))
    return objects


def test_thresholds_are_those_of_the_competition():
    assert THRESHOLDS.tolist() == [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]


def test_all_ships_found_exactly():
    assert image_f2([run(0, 9), run(20, 30)], [run(20, 30), run(0, 9)]) == 1


def test_empty_truth():
    """One predicted pixel costs an image without ships its whole point."""
    assert image_f2([], []) == 1
    assert image_f2([], [run(7, 8)]) == 0


def test_nothing_found():
    assert image_f2([run(0, 9)], []) == 0


def test_ships_without_pixels_do_not_count():
    assert image_f2([NOTHING], [NOTHING]) == 1
    assert image_f2([NOTHING], [run(0, 9)]) == 0
    assert image_f2([run(0, 9), NOTHING], [NOTHING, run(0, 9)]) == 1


def test_a_false_ship_and_a_missed_ship():
    """One hit at every threshold beside one false ship: 5 / (5 + 1); beside one missed ship: 5 / (5 + 4)."""
    assert image_f2([run(0, 9)], [run(0, 9), run(20, 30)]) == pytest.approx(5 / 6)
    assert image_f2([run(0, 9), run(20, 30)], [run(0, 9)]) == pytest.approx(5 / 9)


def test_iou_of_one_half_is_no_hit():
    """1 of 2 pixels found: the IoU is 1 / 2, not above 0.5."""
    assert image_f2([run(0, 2)], [run(0, 1)]) == 0


@pytest.mark.parametrize("found", range(10, 21))
def test_iou_equal_to_a_threshold_is_no_hit(found):
    """`found` of 20 pixels: a hit at the thresholds below found / 20 only, which are found - 10 of the ten."""
    assert image_f2([run(0, 20)], [run(0, found)]) == pytest.approx((found - 10) / 10)


def test_one_prediction_joins_two_equal_ships():
    """Two touching ships of 6 pixels, one prediction of all 12: an IoU of 6 / 12 with each, so no hit at all."""
    assert image_f2([run(0, 6), run(6, 12)], [run(0, 12)]) == 0


def test_one_prediction_joins_a_large_and_a_small_ship():
    """9 and 3 pixels joined: 9 / 12 = 0.75 is a hit at 0.50 ... 0.70, five of ten; the small ship is missed.

    Each of the five counts 5 / (5 + 4), so the mean is 5/9 * 5/10 = 25/90.
    """
    assert image_f2([run(0, 9), run(9, 12)], [run(0, 12)]) == pytest.approx(25 / 90)


def test_a_prediction_hits_only_one_of_two_equal_labels():
    """The same ship labelled twice and predicted once: one hit, one miss, 5 / 9 at every threshold."""
    assert image_f2([run(0, 9), run(0, 9)], [run(0, 9)]) == pytest.approx(5 / 9)


def test_a_label_is_hit_only_once():
    """The same ship predicted twice: one hit, one false ship, 5 / 6 at every threshold."""
    assert image_f2([run(0, 9)], [run(0, 9), run(0, 9)]) == pytest.approx(5 / 6)


def test_as_many_hits_as_can_be():
    """Taking the best pair first is not the best.

    Labels 0..9 and 0..6, predictions 0..9 and 3..9. The first label has the IoU 1.0 with the first prediction and 0.7
    with the second; the second label 0.7 with the first and 4 / 10 with the second. At 0.50 ... 0.65 two hits are
    possible if the perfect pair is given up: F2 = 1. From 0.70 on only that pair is left: 5 / (5 + 4 + 1) = 0.5.
    The mean is (4 * 1 + 6 * 0.5) / 10 = 0.7.
    """
    assert image_f2([run(0, 10), run(0, 7)], [run(0, 10), run(3, 10)]) == pytest.approx(0.7)


def test_one_hit_more_is_better_than_perfect_hits():
    """Four runs of 10 pixels, each 3 further on, share 7 of 13 with the next, an IoU of 0.538, and less with others.

    The labels are the first three, the predictions the last three. At 0.50 each label can hit the next run: F2 = 1, for
    which the two predictions that are exactly right must be given up. From 0.55 on they alone are hits, of three:
    10 / (10 + 4 + 1). The mean is (1 + 9 * 2/3) / 10 = 0.7.
    """
    runs = [run(first, first + 10) for first in (0, 3, 6, 9)]

    assert image_f2(runs[:3], runs[1:]) == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("ious", "found"),
    [
        ([[0.6], [0.7]], [False, True]),
        ([[0.7], [0.6]], [True, False]),
        ([[0.9, 0.6], [0.8, 0.5], [0.7, 0]], [True, True, False]),
        ([[0.9, 0.6], [0.5, 0.5], [0.7, 0]], [True, False, True]),
    ],
)
def test_of_as_many_hits_the_closest_are_made(ious, found):
    """A prediction that two ships claim is of the one that it shows better. 0.6 and 0.8 are two hits, 0.9 would be one;
    0.6 and 0.7 are less."""
    assert found_ships(np.array(ious), 0.5).tolist() == found


def test_ships_side_by_side_in_the_same_columns():
    """Two ships one above the other in a 100 px high image: their ranges of indices meet, their pixels do not."""
    columns = np.arange(10)[:, np.newaxis] * 100
    upper, lower = (columns + np.arange(10, 20)).ravel(), (columns + np.arange(60, 70)).ravel()

    assert image_f2([upper, lower], [lower]) == pytest.approx(5 / 9)
    assert image_f2([upper], [lower]) == 0


@fast
@given(st.lists(boxes, max_size=4), st.lists(boxes, max_size=4))
@example([(0, 0, 2, 3), (0, 3, 2, 3)], [(0, 0, 2, 4), (0, 4, 2, 2)])
@example([(0, 0, 3, 4), (0, 0, 3, 3)], [(0, 0, 3, 4), (0, 1, 3, 3)])
def test_agrees_with_the_rule_word_by_word(truth_boxes, predicted_boxes):
    truth, predicted = [box_mask(box) for box in truth_boxes], [box_mask(box) for box in predicted_boxes]

    fast_f2 = image_f2([indices_of(mask) for mask in truth], [indices_of(mask) for mask in predicted])

    assert fast_f2 == pytest.approx(float(slow_f2(truth, predicted)))


@fast
@given(st.lists(boxes, min_size=1, max_size=4), st.data())
def test_agrees_where_most_predictions_are_near_a_ship(truth_boxes, data):
    shift = st.integers(-1, 1)
    predicted_boxes = [
        (max(row + data.draw(shift), 0), max(column + data.draw(shift), 0), height, max(width + data.draw(shift), 1))
        for row, column, height, width in truth_boxes
    ]
    truth, predicted = [box_mask(box) for box in truth_boxes], [box_mask(box) for box in predicted_boxes]

    fast_f2 = image_f2([indices_of(mask) for mask in truth], [indices_of(mask) for mask in predicted])

    assert fast_f2 == pytest.approx(float(slow_f2(truth, predicted)))


def test_objects_by_hand():
    """Corners touch in the left object, so it is one; the pixel numbers of this mask, down the columns, are

        0  4  8 12
        1  5  9 13
        2  6 10 14
        3  7 11 15

    and the left object, which begins at pixel 1, comes before the right one, which begins higher but at pixel 12.
    """
    mask = np.array([[0, 0, 0, 9], [9, 0, 0, 9], [0, 9, 0, 0], [0, 9, 0, 0]])

    assert [ship.tolist() for ship in separate_objects(mask)] == [[1, 6, 7], [12, 13]]


def test_no_objects():
    assert separate_objects(np.zeros((5, 4), dtype=np.uint8)) == []


def test_one_object_fills_the_mask():
    assert [ship.tolist() for ship in separate_objects(np.ones((2, 3), dtype=bool))] == [[0, 1, 2, 3, 4, 5]]


@fast
@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_objects_agree_with_flooding(mask):
    assert [ship.tolist() for ship in separate_objects(mask)] == slow_objects(mask)


def test_objects_of_a_sparse_mask_agree_with_flooding():
    """Objects that meet only far down, such as a V, are where a labelling in one sweep gets the order wrong."""
    for seed in range(40):
        mask = np.random.default_rng(seed).random((17, 23)) < 0.3
        assert [ship.tolist() for ship in separate_objects(mask)] == slow_objects(mask)
