import json

import pytest

from shipseg_tiles.archive.labels import Labels
from shipseg_tiles.archive.prediction_files import read_record
from shipseg_tiles.errors import InputError
from shipseg_tiles.scoring.judged import read_judged, refuse_calibrated, without

TRUTH = Labels("labels.csv", {f"{name}.jpg": ("1 2",) for name in "abcdef"})


def left_out(predictions, leave_out=True):
    return refuse_calibrated(TRUTH, predictions, read_record(predictions), leave_out)


@pytest.fixture
def predicted(tmp_path):
    """Make the folder of a prediction that was calibrated on some images."""

    def make(*names):
        (tmp_path / "masks").mkdir(exist_ok=True)
        (tmp_path / "submission.csv").write_text(TRUTH.to_csv())
        (tmp_path / "run.json").write_text(json.dumps({"images": 6, "options": {}, "calibration_images": names}))
        return tmp_path

    return make


@pytest.mark.parametrize("part", [".", "submission.csv", "masks"])
def test_the_record_of_the_run_says_which_images_it_were(predicted, part):
    assert left_out(predicted("a.jpg", "x.jpg") / part) == {"a", "x"}


def test_predictions_of_unknown_origin_were_calibrated_on_nothing_that_is_known(tmp_path, predicted):
    assert left_out(tmp_path / "none") == set()
    assert left_out(predicted("a.jpg") / "other.csv") == set()


def test_a_run_before_there_was_calibration_names_nothing(tmp_path):
    (tmp_path / "run.json").write_text('{"options": {}}')

    assert left_out(tmp_path) == set()


@pytest.mark.parametrize(
    "text", ['{"options": {}, "calibration_images": 3}', '{"options": {}, "calibration_images": null}']
)
def test_a_damaged_record_is_refused(tmp_path, text):
    (tmp_path / "run.json").write_text(text)

    with pytest.raises(InputError, match=r"run\.json is no record of predict .*; predict again, or remove it"):
        left_out(tmp_path)


def test_labelled_images_that_it_was_calibrated_on_are_refused_with_number_names_and_remedy(predicted):
    """By the name without suffix; x is not labelled."""
    folder = predicted("b.png", "x.jpg", "a.jpg", "d.jpg", "e.jpg")

    with pytest.raises(InputError) as refusal:
        left_out(folder, leave_out=False)

    assert str(refusal.value) == (
        f"{folder} predicts 4 labelled images that its weights were calibrated on, which would flatter its score:"
        " a.jpg, b.jpg, d.jpg ...; give labels of other images, or --leave-out-calibrated"
    )


def test_others_are_not_refused(predicted):
    assert left_out(predicted(), leave_out=False) == frozenset()
    assert left_out(predicted("x.jpg"), leave_out=False) == {"x"}


def test_they_are_left_out_of_labels_and_predictions_alike(predicted):
    folder = predicted("a.png", "c.jpg")
    others = Labels("labels.csv", {f"{name}.png": ("3 4",) for name in "abc"})
    (folder / "labels.csv").write_text(others.to_csv())

    judged = read_judged(folder / "labels.csv", folder, leave_out=True)

    assert judged.left_out == left_out(folder) == {"a", "c"}
    assert judged.truth.ships == {"b.png": ("3 4",)}
    assert judged.predicted.ships == {f"{name}.jpg": ("1 2",) for name in "bdef"}
    assert judged.record["images"] == 6
    assert without(Labels("masks", {"a.tif": (), "b.tif": ()}), judged.left_out).ships == {"b.tif": ()}


def test_if_none_is_left_that_is_said(predicted, tmp_path):
    (tmp_path / "labels.csv").write_text(TRUTH.to_csv())
    folder = predicted(*TRUTH.ships)

    with pytest.raises(InputError, match=r"were calibrated on all labelled images; give labels of others"):
        read_judged(tmp_path / "labels.csv", folder, leave_out=True)


@pytest.mark.parametrize("part", [".", "submission.csv"])
def test_a_part_of_each_image_is_not_scored_as_if_it_were_the_whole(predicted, tmp_path, part):
    (tmp_path / "labels.csv").write_text(TRUTH.to_csv())
    folder = predicted()
    (folder / "run.json").write_text(
        json.dumps({"options": {"region": {"top": 0, "left": 0, "height": 9, "width": 9}}})
    )

    with pytest.raises(InputError, match=r"predicts a part of each image only, by --region; predict whole images"):
        read_judged(tmp_path / "labels.csv", folder / part, leave_out=False)
