import json

import pytest

from shipseg_tiles.errors import InputError
from shipseg_tiles.report.run import Rule, open_run


def test_a_run_is_scored_and_knows_its_rule(made):
    """0, 2/3, 1, 0, 1 and 1, by name."""
    run = open_run(made / "predictions", made / "labels.csv", made / "images")

    assert [score.image for score in run.scores] == [
        "false.png",
        "half.png",
        "large.png",
        "missed.png",
        "sea.png",
        "whole.png",
    ]
    assert [score.dice for score in run.scores] == [0, pytest.approx(2 / 3), 1, 0, 1, 1]
    assert run.rule == Rule(0.5, 4)
    assert run.record["seconds"] == 3


@pytest.mark.parametrize("predictions", ["predictions/submission.csv", "predictions/masks"])
def test_predictions_without_record_are_a_run_too(made, predictions):
    run = open_run(made / predictions, made / "labels.csv", made / "images")

    assert len(run.scores) == 6
    assert (run.record, run.rule) == ({}, None)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"tile": 64},
        {"threshold": 0.5},
        {"threshold": None, "minimum_area": 4},
        {"threshold": float("nan"), "minimum_area": 4},
        {"threshold": float("inf"), "minimum_area": 4},
        {"threshold": 0.5, "minimum_area": 4, "minimum_score": None},
        {"threshold": 0.5, "minimum_area": 4, "minimum_score": float("nan")},
    ],
)
def test_a_record_that_lacks_the_rule_has_none(made, options):
    (made / "predictions" / "run.json").write_text(json.dumps({"options": options}))

    assert open_run(made / "predictions", made / "labels.csv", made / "images").rule is None


def test_a_record_may_name_a_minimum_score(made):
    """One of the time before there were any does not."""
    options = {"threshold": 0.5, "minimum_area": 4, "minimum_score": 0.75}
    (made / "predictions" / "run.json").write_text(json.dumps({"options": options}))

    assert open_run(made / "predictions", made / "labels.csv", made / "images").rule == Rule(0.5, 4, 0.75)


@pytest.mark.parametrize("text", ["{", "[]", '{"options": 3}'])
def test_a_damaged_record_is_refused(made, text):
    (made / "predictions" / "run.json").write_text(text)

    with pytest.raises(InputError, match=r"run\.json is no record of predict .*; predict again, or remove it"):
        open_run(made / "predictions", made / "labels.csv", made / "images")


def test_images_that_the_weights_were_calibrated_on_are_refused_or_left_out(made):
    path = made / "predictions" / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"calibration_images": ["sea.png"]}))

    with pytest.raises(InputError, match=r"calibrated on, which would flatter its score: sea\.png"):
        open_run(made / "predictions", made / "labels.csv", made / "images")
    run = open_run(made / "predictions", made / "labels.csv", made / "images", leave_out_calibrated=True)

    assert "sea.png" not in {score.image for score in run.scores}
    assert len(run.scores) == 5


@pytest.mark.parametrize(("threshold", "cut"), [(0.5, 127), (0.8, 204), (0.0, 0), (1.0, 255), (0.35, 89)])
def test_the_cut_is_the_largest_stored_value_that_is_no_ship(threshold, cut):
    """255 times: 127.5, 204, 0, 255, 89.25."""
    assert Rule(threshold, 0).cut == cut
