import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipseg_tiles.archive.labels import Labels
from shipseg_tiles.errors import InputError
from shipseg_tiles.scoring.image_score import score_image
from shipseg_tiles.scoring.metrics import METRICS
from shipseg_tiles.scoring.score import SummaryRow, score_labels, summarise, summary_rows

ships = st.lists(
    st.frozensets(st.integers(0, 30), max_size=12).map(lambda pixels: np.array(sorted(pixels), dtype=np.int64)),
    max_size=4,
)


def run(first, end):
    return np.arange(first, end)


def score(name, truth, predicted):
    """The score of an image that is one column of 100 pixels."""
    return score_image(name, truth, predicted, (100, 1))


def dice(truth, predicted):
    """Dice of two full masks."""
    pixels = truth.sum() + predicted.sum()
    return 2 * (truth & predicted).sum() / pixels if pixels else 1


def test_summary_by_hand():
    """Four images, two of them with ships.

    - 10 pixels labelled, the same 10 predicted: dice 1, F2 1
    - 30 pixels labelled, 10 of them predicted: dice 2 * 10 / 40 = 0.5, an IoU of 1/3 is no hit, F2 0
    - empty, 5 pixels predicted: dice 0, F2 0
    - empty, nothing predicted: dice 1, F2 1

    Pooled: 2 * (10 + 10) / (10 + 30 + 10 + 10 + 5) = 40 / 65.
    """
    scores = [
        score("a.jpg", [run(0, 10)], [run(0, 10)]),
        score("b.jpg", [run(0, 30)], [run(0, 10)]),
        score("c.jpg", [], [run(0, 5)]),
        score("d.jpg", [], []),
    ]

    summary = summarise(scores)

    expected = {
        "images": 4,
        "ship_images": 2,
        "dice_mean_ship_images": 0.75,
        "dice_mean_all_images": 0.625,
        "dice_pooled": pytest.approx(40 / 65),
        "f2_mean": 0.5,
        "empty_images_with_false_ships": 0.5,
    }
    assert {name: summary[name] for name in expected} == expected
    assert summary.keys() == {metric.name for metric in METRICS} | {"images", "ship_images", "intervals"}
    assert list(summary["intervals"]) == [metric.name for metric in METRICS]


def test_summary_without_ship_images():
    summary = summarise([score("a.jpg", [], []), score("b.jpg", [], [])])

    assert summary["dice_mean_ship_images"] is None
    assert summary["dice_pooled"] == summary["iou_pooled"] == 1
    assert summary["dice_mean_all_images"] == 1
    assert summary["empty_images_with_false_ships"] == 0


def test_summary_without_empty_images():
    summary = summarise([score("a.jpg", [run(0, 4)], [])])

    assert summary["empty_images_with_false_ships"] is None
    assert summary["dice_mean_ship_images"] == 0
    assert summary["dice_pooled"] == 0


def test_no_image_is_refused():
    with pytest.raises(InputError, match="no image"):
        summarise([])


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(ships, ships), min_size=1, max_size=5))
def test_agrees_with_all_masks_laid_side_by_side(images):
    """Pooled dice is the dice of one long image that holds them all; the dice of an image is that of its union."""
    scores = [score(f"{number}.jpg", *pair) for number, pair in enumerate(images)]
    masks = np.zeros((2, len(images), 31), dtype=bool)
    for number, pair in enumerate(images):
        for side in (0, 1):
            for ship in pair[side]:
                masks[side, number, ship] = True

    for found, truth, predicted in zip(scores, *masks, strict=True):
        assert found.dice == dice(truth, predicted)
        assert found.shared_pixels == (truth & predicted).sum()
    summary = summarise(scores)
    assert summary["dice_pooled"] == dice(*masks)
    assert summary["ship_images"] == masks[0].any(axis=1).sum()


def test_summary_can_be_written_as_json():
    summary = summarise([score("a.jpg", [run(0, 4)], [run(0, 3)])])

    assert json.loads(json.dumps(summary, allow_nan=False)) == summary


def test_the_interval_of_a_mean_is_that_of_its_own_images():
    """Ships are found in all of 6 images: every resample has a dice of 1, which says nothing of others. Of 30 empty
    images 15 show false ships: the deviation of their share is sqrt(0.5 * 0.5 / 30) = 0.09, and 1.96 of it are 0.18."""
    scores = [score("a", [run(0, 10)], [run(0, 10)])] * 6 + [score("b", [], [run(0, 5)]), score("c", [], [])] * 15

    intervals = summarise(scores)["intervals"]

    assert intervals["dice_mean_ship_images"] is None
    assert intervals["empty_images_with_false_ships"] == pytest.approx([0.32, 0.68], abs=0.04)
    assert intervals["recall_under_53_px"] is None
    assert intervals["recall_above_1242_px"] is None


def test_labels_are_scored_image_by_image():
    """a: 4 true and 4 predicted pixels share 2, dice 0.5; b is empty in both."""
    truth = Labels("labels.csv", {"a.jpg": ("1 4",), "b.jpg": ()})

    scores = score_labels(truth, Labels("masks", {"a.png": ("3 4",), "b.png": ()}))

    assert [(found.image, found.dice) for found in scores] == [("a.jpg", 0.5), ("b.jpg", 1)]


def test_connected_objects_are_those_of_the_size_of_the_image():
    """Pixels 6 7 and 8 9. Of 20 lines they are one object, of which the prediction 6 7 is half, no hit. Of 7 lines they
    are two objects, one of them found: 5 / (5 + 4)."""
    truth = Labels("labels.csv", {"a.jpg": ("6 2", "8 2")})

    f2 = {
        height: score_labels(truth, Labels("masks", {"a.jpg": ("6 2",)}, {"a.jpg": (height, 20)}))[0].f2_connected
        for height in (7, 20)
    }

    assert f2 == {7: pytest.approx(5 / 9), 20: 0}


def test_rows_for_people_say_what_each_number_means_and_mark_missing_ones():
    """Half of the pixels of ship a are found, all of b: dice 2 * 5 / 15 = 0.6667 and 1. A resample holds one of them
    twice with the chance 1/4 each, so the interval is from the one to the other."""
    rows = summary_rows(summarise([score("a", [run(0, 10)], [run(0, 5)]), score("b", [run(0, 10)], [run(0, 10)])]))

    assert rows[0] == SummaryRow(
        "dice_mean_ship_images", "0.8333", "0.667 to 1.000", "true dice, mean over the images with ships"
    )
    assert [(row.name, row.meaning) for row in rows] == [(metric.name, metric.meaning) for metric in METRICS]
    assert {(row.value, row.interval) for row in rows if "empty_image" in row.name} == {("-", "-")}


def test_one_image_has_values_without_intervals():
    rows = summary_rows(summarise([score("a", [], [])]))

    assert {row.value for row in rows} == {"-", "1.0000", "0.0000"}
    assert {row.interval for row in rows} == {"-"}
