import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shipseg_tiles.scoring.classification import Classification, best_threshold, compare_labels


def flags(text):
    """Bool array of a text of 0 and 1."""
    return np.array([letter == "1" for letter in text], dtype=bool)


def test_scores_by_hand():
    """Of 4 images with ships 3 are found, beside 2 false ones: precision 3/5, recall 3/4, F1 = 2 * 3 / (6 + 2 + 1)."""
    found = compare_labels(flags("1110110"), flags("1111000"))

    assert found == Classification(true_positives=3, false_positives=2, false_negatives=1, true_negatives=1)
    assert found.precision == pytest.approx(3 / 5)
    assert found.recall == pytest.approx(3 / 4)
    assert found.f1 == pytest.approx(6 / 9)


@pytest.mark.parametrize(
    ("answers", "truth", "precision", "recall", "f1"),
    [("00", "00", None, None, 1), ("", "", None, None, 1), ("01", "00", 0, None, 0), ("00", "01", None, 0, 0)],
)
def test_a_score_of_nothing(answers, truth, precision, recall, f1):
    """A share of no image has no number; F1 is 1 if there is no ship and none was seen, and 0 if only one of them."""
    found = compare_labels(flags(answers), flags(truth))

    assert (found.precision, found.recall, found.f1) == (precision, recall, f1)


def test_the_summary_can_be_written_as_json():
    summary = compare_labels(flags("0"), flags("1")).summary()

    assert json.loads(json.dumps(summary, allow_nan=False)) == {
        "f1": 0.0,
        "precision": None,
        "recall": 0.0,
        "true_positives": 0,
        "false_positives": 0,
        "false_negatives": 1,
        "true_negatives": 0,
    }


@pytest.mark.parametrize(
    ("probabilities", "truth", "threshold"),
    [
        ([0.25, 0.75], "01", 0.5),
        ([0.75, 0.25], "10", 0.5),
        # F1 from below all of them upwards: 4/6, 4/5, 2/4, 2/3, 0.
        ([0.125, 0.25, 0.5, 0.75], "0101", 0.1875),
        # The same: 2/4, 2/3, 1, 0.
        ([0.25, 0.5, 0.75], "001", 0.625),
        # Without ships, seeing none is right: from 0.5 to 1.
        ([0.5, 0.25], "00", 0.75),
        # With ships only, seeing all is right: from 0 to 0.25.
        ([0.5, 0.25], "11", 0.125),
        # A probability of 1 is above every threshold: F1 is 0 anyway, and the widest gap is the one below 0.75.
        ([0.75, 1.0], "00", 0.375),
        # A probability of 0 is above none.
        ([0.0, 1.0], "10", 0.5),
        ([], "", 0.5),
    ],
)
def test_thresholds_by_hand(probabilities, truth, threshold):
    assert best_threshold(np.array(probabilities), flags(truth)) == threshold


def test_the_widest_of_equally_good_gaps_is_taken():
    """Saying ship to all makes 2 right and 2 wrong, F1 = 4/6, in a gap of 1/8; to the last alone 1 right and 1 missed,
    2/3, in a gap of 7/16 from 0.5 on. In between it is 2/5 and 2/4."""
    probabilities = np.array([0.125, 0.25, 0.5, 0.9375])

    assert best_threshold(probabilities, flags("1001")) == 0.71875


def slow_best(probabilities, truth):
    """The middle of the widest gap with the highest F1, each gap tried by itself."""
    edges = sorted({0.0, 1.0, *map(float, probabilities)})
    tried = []
    for lower, upper in pairwise(edges):
        middle = (lower + upper) / 2
        f1 = compare_labels(probabilities.astype(np.float64) > middle, truth).f1
        tried.append((f1, upper - lower, -lower, middle))
    return max(tried)[-1]


@given(st.lists(st.tuples(st.floats(0, 1, width=32), st.booleans()), max_size=30))
@example([(1.0, True), (float(np.nextafter(np.float32(1), np.float32(0))), False)])
@example([(float(np.finfo(np.float32).smallest_subnormal), True), (0.0, False)])
@example([(0.5, True), (0.5, False), (0.5, True)])
def test_no_threshold_is_better(images):
    probabilities = np.array([probability for probability, _ in images], dtype=np.float32)
    truth = np.array([ship for _, ship in images], dtype=bool)

    threshold = best_threshold(probabilities, truth)

    assert 0 < threshold < 1
    assert threshold == slow_best(probabilities, truth)


@given(st.randoms(use_true_random=False))
def test_the_order_of_the_images_does_not_matter(random):
    images = [(number / 16, random.random() < 0.5) for number in range(16)]
    shuffled = random.sample(images, len(images))

    first, second = (
        best_threshold(np.array([place for place, _ in order]), np.array([ship for _, ship in order]))
        for order in (images, shuffled)
    )

    assert first == second
