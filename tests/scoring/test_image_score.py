from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from shipseg_tiles.scoring.image_score import ImageScore, score_image
from shipseg_tiles.scoring.objects import found_ships, pairwise_iou

SHAPE = (6, 9)
NOTHING = np.empty(0, dtype=np.int64)

# (upper row, left column, height, width); small, so that boxes often touch, overlap, and join each other.
boxes = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(1, 3), st.integers(1, 4)), max_size=4)


def run(first, end):
    return np.arange(first, end)


def box_mask(box):
    row, column, height, width = box
    mask = np.zeros(SHAPE, dtype=bool)
    mask[row : row + height, column : column + width] = True
    return mask


def indices_of(mask):
    return np.flatnonzero(mask.ravel(order="F"))


def slow_iou(first, second):
    return Fraction(int((first & second).sum()), int((first | second).sum()))


def best_matchings(truth, predicted):
    """Try every way to give true ships one predicted ship each: the sets of true ships that are hit in the best ones,
    most hits first, then most IoU of the hits together."""
    partners = [*range(len(predicted)), *[None] * len(truth)]
    tried = set()
    for order in set(permutations(partners, len(truth))):
        pairs = [(ship, partner) for ship, partner in enumerate(order) if partner is not None]
        hits = [(ship, slow_iou(truth[ship], predicted[partner])) for ship, partner in pairs]
        hits = [(ship, iou) for ship, iou in hits if iou > Fraction(1, 2)]
        tried.add((len(hits), sum(iou for _, iou in hits), tuple(ship for ship, _ in hits)))
    best = max(tried)[:2]
    return {ships for *score, ships in tried if tuple(score) == best}


def connected(masks):
    """The 8-connected objects of the union of some masks, as scipy finds them."""
    labels, count = ndimage.label(np.any([np.zeros(SHAPE, bool), *masks], axis=0), np.ones((3, 3)))
    return [labels == number for number in range(1, count + 1)]


def slow_f2(truth, predicted):
    """F2 at an IoU above 0.5."""
    if not truth or not predicted:
        return float(not truth and not predicted)
    hits = len(next(iter(best_matchings(truth, predicted))))
    return 5 * hits / (5 * hits + 4 * (len(truth) - hits) + len(predicted) - hits)


def test_image_by_hand():
    """Labels 0..9 and 8..11 make 12 pixels, 2 of them labelled twice; the predictions 0..9 and 20..23 make 14.

    They share 10: dice = 2 * 10 / (12 + 14), IoU = 10 / 16. One of two labels is hit exactly, beside one false ship, at
    every threshold: F2 = 5 / (5 + 4 + 1). In a column of 100 lines the labels are one connected object of 12 pixels,
    of which the first prediction has 10: a hit beside a false object, 5 / (5 + 1).
    """
    score = score_image("a.jpg", [run(0, 10), run(8, 12)], [run(0, 10), run(20, 24)], (100, 1))

    assert score == ImageScore(
        image="a.jpg",
        shape=(100, 1),
        truth_pixels=12,
        predicted_pixels=14,
        shared_pixels=10,
        truth_ships=2,
        predicted_ships=2,
        dice=pytest.approx(20 / 26),
        f2=pytest.approx(0.5),
        f2_connected=pytest.approx(5 / 6),
        truth_sizes=(10, 4),
        found_sizes=(10,),
    )
    assert score.iou == 10 / 16


def test_the_height_decides_what_touches():
    """Pixels 4 5 and 6 7. With 8 lines they are one object, of which the prediction 4 5 is half: no hit. With 6 lines
    4 5 end the first column and 6 7 begin the next, far apart: one of two is found, 5 / (5 + 4)."""
    truth = [run(4, 6), run(6, 8)]

    assert score_image("a.jpg", truth, [run(4, 6)], (8, 9)).f2_connected == 0
    assert score_image("a.jpg", truth, [run(4, 6)], (6, 9)).f2_connected == pytest.approx(5 / 9)
    # A prediction of all is taken apart in the same way.
    assert score_image("a.jpg", truth, [run(4, 8)], (6, 9)).f2_connected == 1


def test_one_prediction_joins_two_touching_ships():
    """6 pixels each, predicted as one of 12. Ship by ship the IoU is 6 / 12, not above 0.5: neither is found. As
    connected objects truth and prediction are the same."""
    score = score_image("a.jpg", [run(0, 6), run(6, 12)], [run(0, 12)], (100, 1))

    assert (score.dice, score.f2, score.f2_connected) == (1, 0, 1)
    assert (score.truth_sizes, score.found_sizes) == ((6, 6), ())


def test_the_larger_iou_decides_which_of_two_labels_is_found():
    """Labels of 12 and 10 pixels, nested; the prediction has 11 of the first, among them the second: IoU 11/12 and
    10/11. Both would be hits, one can be."""
    score = score_image("a.jpg", [run(0, 10), run(0, 12)], [run(0, 11)], (100, 1))

    assert score.found_sizes == (12,)


def test_images_without_ships():
    nothing_at_all = score_image("a.jpg", [], [], (100, 1))
    false_ship = score_image("a.jpg", [], [run(3, 4)], (100, 1))
    missed_ship = score_image("a.jpg", [run(3, 7)], [], (100, 1))

    assert nothing_at_all == ImageScore("a.jpg", (100, 1), 0, 0, 0, 0, 0, 1.0, 1.0, 1.0, (), ())
    assert false_ship == ImageScore("a.jpg", (100, 1), 0, 1, 0, 0, 1, 0.0, 0.0, 0.0, (), ())
    assert missed_ship == ImageScore("a.jpg", (100, 1), 4, 0, 0, 1, 0, 0.0, 0.0, 0.0, (4,), ())
    assert [nothing_at_all.iou, false_ship.iou, missed_ship.iou] == [1, 0, 0]


def test_ships_without_pixels_are_not_counted():
    assert score_image("a.jpg", [NOTHING], [NOTHING, NOTHING], (100, 1)) == score_image("a.jpg", [], [], (100, 1))


@settings(deadline=None, max_examples=150)
@given(boxes, boxes)
@example([(0, 0, 2, 3), (0, 3, 2, 3)], [(0, 0, 2, 6)])
@example([(0, 0, 2, 3), (2, 3, 2, 3)], [(0, 0, 2, 3), (2, 3, 2, 2)])
@example([(0, 0, 3, 4), (0, 0, 3, 3)], [(0, 0, 3, 4), (0, 1, 3, 3)])
@example([], [(0, 0, 1, 1)])
def test_agrees_with_full_masks_and_every_matching_tried(truth_boxes, predicted_boxes):
    truth, predicted = [box_mask(box) for box in truth_boxes], [box_mask(box) for box in predicted_boxes]

    score = score_image("a", [indices_of(mask) for mask in truth], [indices_of(mask) for mask in predicted], SHAPE)

    all_true, all_predicted = (np.any([box_mask((0, 0, 0, 0)), *masks], axis=0) for masks in (truth, predicted))
    assert score.shared_pixels == (all_true & all_predicted).sum()
    assert score.iou == (float(slow_iou(all_true, all_predicted)) if all_true.any() or all_predicted.any() else 1)
    assert score.f2_connected == pytest.approx(slow_f2(connected(truth), connected(predicted)))
    sizes = [int(mask.sum()) for mask in truth]
    assert score.truth_sizes == tuple(sizes)
    assert score.found_sizes in {tuple(sizes[ship] for ship in ships) for ships in best_matchings(truth, predicted)}


@settings(deadline=None, max_examples=60)
@given(boxes, boxes)
def test_what_is_found_does_not_depend_on_the_order_of_the_ships(truth_boxes, predicted_boxes):
    truth = [indices_of(box_mask(box)) for box in set(truth_boxes)]
    predicted = [indices_of(box_mask(box)) for box in predicted_boxes]

    found = found_ships(pairwise_iou(truth, predicted), 0.5)
    mirrored = found_ships(pairwise_iou(truth[::-1], predicted[::-1]), 0.5)

    assert found.sum() == mirrored.sum()
