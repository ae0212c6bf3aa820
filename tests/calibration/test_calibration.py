from dataclasses import replace

import numpy as np
import pytest

from shipseg_tiles.calibration.calibration import calibrate
from shipseg_tiles.calibration.evidence import Evidence, Objects
from shipseg_tiles.calibration.settings import Axes, Setting

AXES = Axes((0.25, 0.5, 0.75), (0, 10), (0.0,), (None,))
CURRENT = Setting(0.25, 0, 0.0, None, False)


def objects(*found):
    """Objects (size, pixels shared with the truth, hits) that net and gate are sure of."""
    sizes, shared, hits = np.array(found, dtype=np.int64).reshape(-1, 3).T
    sure = np.ones(len(sizes), dtype=np.float32)
    return Objects(sizes, shared, hits, sure, sure)


def image(by_threshold, truth_pixels=100, ships=1, apart=None):
    """An image whose objects are the same, apart or not, unless `apart` says what they are there."""
    found = {(False, threshold): objects(*listed) for threshold, listed in by_threshold.items()}
    found |= {(True, threshold): objects(*listed) for threshold, listed in (apart or by_threshold).items()}
    return Evidence(truth_pixels, ships, found)


def scored(evidence, score):
    """The same image, all of whose objects have a mean probability."""
    found = {
        key: replace(each, scores=np.full(len(each.sizes), score, dtype=np.float32))
        for key, each in evidence.objects.items()
    }
    return replace(evidence, objects=found)


SHIP = image({0.25: [(100, 60, 2)], 0.5: [(100, 80, 5)], 0.75: [(60, 60, 4)]})
"""Its dice is 2 * 60 / 200 = 0.6, 2 * 80 / 200 = 0.8 and 2 * 60 / 160 = 0.75; its F2 0.2, 0.5 and 0.4."""

SEA = image({0.25: [(50, 0, 0)], 0.5: [(5, 0, 0)], 0.75: []}, truth_pixels=0, ships=0)
"""Empty: 1 if nothing is found; at 0.5 it is from 10 px on."""

FOLDS = np.array([0, 0, 1, 1])


def test_all_of_it_by_hand():
    """In both folds one image of each kind. At 0.5 from 10 px on the scores are 0.8 and 1: 0.9, the best. Each fold
    chooses the same for the other, so that what is held out is as good as what is not."""
    found = calibrate([SHIP, SEA, SHIP, SEA], FOLDS, AXES, "true-dice", CURRENT)
    told = found.numbers()

    assert found.chosen == Setting(0.5, 10, 0.0, None, False)
    assert found.by_fold == ((0, 1, 1, 0, 0), (0, 1, 1, 0, 0))
    scores = {"true_dice": pytest.approx(0.9), "f2": pytest.approx(0.75), "false_ships": 0}
    assert told["held_out"] == scores
    assert {name: told["chosen"][name] for name in scores} == scores
    assert told["current"] == {
        "threshold": 0.25,
        "minimum_area": 0,
        "minimum_score": 0.0,
        "gate": None,
        "separate_touching": False,
        "true_dice": pytest.approx(0.3),
        "f2": pytest.approx(0.1),
        "false_ships": 1,
    }
    assert (told["objective"], told["folds"], told["count"], told["empty_images"]) == ("true-dice", 2, 4, 2)
    assert [point["score"] for point in told["curve"]] == pytest.approx([0.3, 0.9, 0.875])
    assert [point["held_out"] for point in told["curve"]] == pytest.approx([0.3, 0.9, 0.875])
    assert [point["error"] for point in told["curve"]] == pytest.approx([0, 0, 0])
    assert [point["false_ships"] for point in told["curve"]] == [1, 0, 0]


def test_a_minimum_score_is_chosen_that_tells_false_ships_from_true_ones():
    """At each threshold the ship is whole, with a mean of 0.8, and on the sea there are 50 px with one of 0.4. The
    minimum score 0.6 drops these alone, 0.9 would drop both."""
    axes = replace(AXES, minimum_scores=(0.0, 0.6, 0.9))
    whole = {threshold: [(100, 100, 10)] for threshold in AXES.thresholds}
    clutter = {threshold: [(50, 0, 0)] for threshold in AXES.thresholds}
    ship = scored(image(whole), 0.8)
    sea = scored(image(clutter, truth_pixels=0, ships=0), 0.4)

    found = calibrate([ship, sea, ship, sea], FOLDS, axes, "true-dice", CURRENT)

    assert found.chosen.minimum_score == 0.6
    assert found.numbers()["held_out"] == {"true_dice": 1, "f2": 1, "false_ships": 0}


def test_each_fold_is_scored_by_what_the_others_chose():
    """Ships alone in the first fold are best at 0.5; in the second they are best at 0.75, with 0.9 against 0.4 at 0.5.

    So the first is scored at 0.75, with 0.75, and the second at 0.5, with 0.4: (0.75 + 0.4) / 2 is held out, while all
    together are best at 0.75: (0.75 + 0.9) / 2. Fold by fold the curve has at 0.5 0.8 and 0.4: their deviation is
    0.2 * sqrt(2), the standard error of two 0.2.
    """
    other = image({0.25: [(100, 10, 0)], 0.5: [(100, 40, 0)], 0.75: [(100, 90, 8)]})

    found = calibrate([SHIP, SHIP, other, other], FOLDS, AXES, "true-dice", CURRENT)
    told = found.numbers()

    assert [threshold for _, threshold, *_ in found.by_fold] == [2, 1]
    assert told["held_out"]["true_dice"] == pytest.approx(0.575)
    assert told["chosen"]["true_dice"] == pytest.approx(0.825)
    assert [(part["threshold"], part["score"]) for part in told["by_fold"]] == [
        (0.75, pytest.approx(0.75)),
        (0.5, pytest.approx(0.4)),
    ]
    assert told["curve"][1]["held_out"] == pytest.approx(0.6)
    assert told["curve"][1]["error"] == pytest.approx(0.2)
    assert told["held_out"]["false_ships"] is None


def test_each_image_counts_as_much_whatever_the_size_of_its_fold():
    """As above with three ships in the first fold and one other in the second: (3 * 0.75 + 0.4) / 4 is held out, and
    (3 * 0.8 + 0.4) / 4 at 0.5 alone."""
    other = image({0.25: [(100, 10, 0)], 0.5: [(100, 40, 0)], 0.75: [(100, 90, 8)]})

    told = calibrate([SHIP, SHIP, SHIP, other], np.array([0, 0, 0, 1]), AXES, "true-dice", CURRENT).numbers()

    assert told["held_out"]["true_dice"] == pytest.approx(0.6625)
    assert told["curve"][1]["held_out"] == pytest.approx(0.7)


def test_settings_that_differ_by_noise_in_the_mean_of_all_images_are_as_good():
    """The dice is 0.8, 0.8004 and 0.8008 at the three thresholds: the one in the middle is chosen, by each fold too."""
    shared = {0.25: 8000, 0.5: 8004, 0.75: 8008}
    ship = image({threshold: [(10_000, pixels, 5)] for threshold, pixels in shared.items()}, truth_pixels=10_000)

    found = calibrate([ship] * 4, FOLDS, AXES, "true-dice", CURRENT)

    assert found.chosen.threshold == 0.5
    assert [threshold for _, threshold, *_ in found.by_fold] == [1, 1]


def test_the_objective_decides():
    """With two hits of ten more the ship is found best at 0.75."""
    better = replace(
        SHIP, objects={key: objects((60, 60, 9)) if key[1] == 0.75 else SHIP.objects[key] for key in SHIP.objects}
    )

    by_f2 = calibrate([better, SEA, better, SEA], FOLDS, AXES, "f2", CURRENT)
    by_dice = calibrate([better, SEA, better, SEA], FOLDS, AXES, "true-dice", CURRENT)

    assert (by_f2.chosen.threshold, by_dice.chosen.threshold) == (0.75, 0.5)


@pytest.mark.parametrize(("hits", "separate"), [((6, 6), True), ((5, 5), False), ((4, 4), False)])
def test_ships_are_cut_apart_if_that_raises_the_held_out_f2(hits, separate):
    """Two ships are one object that hits at 5 thresholds, 5 * 0.5 / (4 * 2 + 1) = 0.278. Cut into ten parts, two
    of them ships, it is 5 * 1.2 / 18 = 0.333, 5 * 1 / 18 = 0.278 or 5 * 0.8 / 18 = 0.222: equal is not better."""
    whole = {threshold: [(100, 80, 5)] for threshold in AXES.thresholds}
    parts = [(50, 40, hits[0]), (20, 20, hits[1])] + [(10, 5, 0)] * 8
    apart = dict.fromkeys(AXES.thresholds, parts)

    found = calibrate([image(whole, ships=2, apart=apart)] * 4, FOLDS, AXES, "true-dice", CURRENT)

    off, on = found.held_out_f2
    assert off == pytest.approx(2.5 / 9)
    assert on == pytest.approx(0.5 * sum(hits) / 18)
    assert found.chosen.separate_touching is separate


def test_the_threshold_is_chosen_with_the_objects_as_they_are():
    """As they are, one object of two ships hits more at 0.5. Cut in two, which is better still, it would at 0.75."""
    whole = {0.25: [(100, 80, 2)], 0.5: [(100, 80, 5)], 0.75: [(100, 80, 4)]}
    apart = {0.25: [(50, 40, 7)] * 2, 0.5: [(50, 40, 8)] * 2, 0.75: [(50, 40, 9)] * 2}

    found = calibrate([image(whole, ships=2, apart=apart)] * 4, FOLDS, AXES, "f2", CURRENT)

    assert (found.chosen.threshold, found.chosen.separate_touching) == (0.5, True)
