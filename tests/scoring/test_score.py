import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipseg_tiles.archive.labels import Labels
from shipseg_tiles.errors import InputError
from shipseg_tiles.scoring.dice import image_dice
from shipseg_tiles.scoring.score import ImageScore, score_image, score_labels, summarise, summary_rows

ships = st.lists(
    st.frozensets(st.integers(0, 30), max_size=12).map(lambda pixels: np.array(sorted(pixels), dtype=np.int64)),
    max_size=4,
)


def run(first, end):
    return np.arange(first, end)


def test_image_by_hand():
    """Labels 0..9 and 8..11 make 12 pixels, 2 of them labelled twice; the predictions 0..9 and 20..23 make 14.

    They share 10: dice = 2 * 10 / (12 + 14). One of two labels is hit exactly, beside one false ship, at every
    threshold: F2 = 5 / (5 + 4 + 1).
    """
    score = score_image("a.jpg", [run(0, 10), run(8, 12)], [run(0, 10), run(20, 24)])

    assert score == ImageScore(
        image="a.jpg",
        truth_pixels=12,
        predicted_pixels=14,
        shared_pixels=10,
        truth_ships=2,
        predicted_ships=2,
        dice=pytest.approx(20 / 26),
        f2=pytest.approx(0.5),
    )


def test_image_without_ships():
    assert score_image("a.jpg", [], []) == ImageScore("a.jpg", 0, 0, 0, 0, 0, dice=1.0, f2=1.0)
    assert score_image("a.jpg", [], [run(3, 4)]) == ImageScore("a.jpg", 0, 1, 0, 0, 1, dice=0.0, f2=0.0)
    assert score_image("a.jpg", [run(3, 7)], []) == ImageScore("a.jpg", 4, 0, 0, 1, 0, dice=0.0, f2=0.0)


def test_ships_without_pixels_are_not_counted():
    nothing = np.empty(0, dtype=np.int64)

    assert score_image("a.jpg", [nothing], [nothing, nothing]) == ImageScore("a.jpg", 0, 0, 0, 0, 0, dice=1.0, f2=1.0)


def test_summary_by_hand():
    """Four images, two of them with ships.

    - 10 pixels labelled, the same 10 predicted: dice 1, F2 1
    - 30 pixels labelled, 10 of them predicted: dice 2 * 10 / 40 = 0.5, an IoU of 1/3 is no hit, F2 0
    - empty, 5 pixels predicted: dice 0, F2 0
    - empty, nothing predicted: dice 1, F2 1

    Pooled: 2 * (10 + 10) / (10 + 30 + 10 + 10 + 5) = 40 / 65.
    """
    scores = [
        score_image("a.jpg", [run(0, 10)], [run(0, 10)]),
        score_image("b.jpg", [run(0, 30)], [run(0, 10)]),
        score_image("c.jpg", [], [run(0, 5)]),
        score_image("d.jpg", [], []),
    ]

    assert summarise(scores) == {
        "images": 4,
        "ship_images": 2,
        "dice_mean_ship_images": 0.75,
        "dice_mean_all_images": 0.625,
        "dice_pooled": pytest.approx(40 / 65),
        "f2_mean": 0.5,
        "empty_images_with_false_ships": 0.5,
    }


def test_summary_without_ship_images():
    summary = summarise([score_image("a.jpg", [], []), score_image("b.jpg", [], [])])

    assert summary["dice_mean_ship_images"] is None
    assert summary["dice_pooled"] == 1
    assert summary["dice_mean_all_images"] == 1
    assert summary["empty_images_with_false_ships"] == 0


def test_summary_without_empty_images():
    summary = summarise([score_image("a.jpg", [run(0, 4)], [])])

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
    scores = [score_image(f"{number}.jpg", *pair) for number, pair in enumerate(images)]
    masks = np.zeros((2, len(images), 31), dtype=bool)
    for number, pair in enumerate(images):
        for side in (0, 1):
            for ship in pair[side]:
                masks[side, number, ship] = True

    for score, truth, predicted in zip(scores, *masks, strict=True):
        assert score.dice == image_dice(np.flatnonzero(truth), np.flatnonzero(predicted))
        assert score.shared_pixels == (truth & predicted).sum()
    summary = summarise(scores)
    assert summary["dice_pooled"] == image_dice(*(np.flatnonzero(side) for side in masks))
    assert summary["ship_images"] == masks[0].any(axis=1).sum()


def test_summary_can_be_written_as_json():
    summary = summarise([score_image("a.jpg", [run(0, 4)], [run(0, 3)])])

    assert json.loads(json.dumps(summary, allow_nan=False)) == summary


TRUTH = Labels("labels.csv", {"a.jpg": ("1 4",), "b.jpg": (), "c.jpg": ("11 10",)})


def predictions(**ships):
    return Labels("found.csv", {f"{name}.jpg": texts for name, texts in ships.items()})


def test_predictions_find_their_images_whatever_their_suffix():
    """a: 4 true and 4 predicted pixels share 2, dice 0.5; b is empty in both; c is the same in both."""
    predicted = Labels("masks", {"a.png": ("3 4",), "b.png": (), "c.png": ("11 10",)})

    scores = score_labels(TRUTH, predicted)

    assert [(score.image, score.dice) for score in scores] == [("a.jpg", 0.5), ("b.jpg", 1), ("c.jpg", 1)]


def test_a_prediction_for_an_image_without_label_is_refused():
    predicted = predictions(a=(), b=(), c=(), d=(), e=("1 1",))

    for missing in ("error", "empty", "skip"):
        with pytest.raises(InputError, match=r"found\.csv predicts images that labels\.csv does not label: 2 .* d, e"):
            score_labels(TRUTH, predicted, missing)


def test_a_label_without_prediction_is_refused_with_the_remedy():
    with pytest.raises(InputError, match=r"does not predict: 2 of them, a, c; use --missing empty or skip"):
        score_labels(TRUTH, predictions(b=()))


def test_missing_predictions_count_as_empty_if_asked_for():
    """a and c have ships and nothing predicted: dice 0; b is empty in both."""
    scores = score_labels(TRUTH, predictions(b=()), "empty")

    assert [(score.image, score.dice) for score in scores] == [("a.jpg", 0), ("b.jpg", 1), ("c.jpg", 0)]


def test_missing_predictions_are_left_out_if_asked_for():
    scores = score_labels(TRUTH, predictions(a=("1 4",)), "skip")

    assert [(score.image, score.dice) for score in scores] == [("a.jpg", 1)]


def test_many_names_are_not_all_listed():
    predicted = predictions(a=(), b=(), c=(), **{f"x{number}": () for number in range(9)})

    with pytest.raises(InputError, match=r"9 of them, x0, x1, x2, x3, x4 \.\.\.$"):
        score_labels(TRUTH, predicted)


def test_bad_run_length_text_is_named_with_its_file_and_image():
    with pytest.raises(InputError, match=r"found\.csv: b\.jpg: run-length text has 3 fields"):
        score_labels(TRUTH, predictions(a=(), b=("1 2 3",), c=()))


def test_rows_for_people_say_what_each_number_means_and_mark_missing_ones():
    rows = summary_rows(summarise([score_image("a.jpg", [], [])]))

    assert [value for value, _ in rows] == ["-", "1.0000", "1.0000", "1.0000", "0.0000"]
    assert rows[0][1] == "true dice, mean over the images with ships"
