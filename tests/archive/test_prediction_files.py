import json
from pathlib import Path

import pytest

from shipseg_tiles.archive.prediction_files import read_record
from shipseg_tiles.errors import InputError

RECORD = {"images": 3, "options": {}}


@pytest.mark.parametrize("part", [".", "submission.csv", "masks"])
def test_a_record_is_that_of_the_folder_and_of_its_parts(tmp_path, part):
    (tmp_path / "masks").mkdir()
    (tmp_path / "run.json").write_text(json.dumps(RECORD))

    assert read_record(tmp_path / part) == RECORD


def test_predictions_of_others_have_none(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps(RECORD))

    assert read_record(tmp_path / "other.csv") == {}


def test_a_whole_prediction_may_stand_in_a_folder_called_masks(tmp_path):
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "run.json").write_text(json.dumps(RECORD))

    assert read_record(tmp_path / "masks") == RECORD


@pytest.mark.parametrize("text", ["{", "[" * 5000, "[]", '{"images": 3}', '{"options": 3}', '{"options": null}'])
def test_what_is_no_record_is_refused(tmp_path, text):
    (tmp_path / "run.json").write_text(text)

    with pytest.raises(InputError, match=r"run\.json is no record of predict .*; predict again, or remove it"):
        read_record(tmp_path / "masks")


@pytest.mark.parametrize("here", [".", "deeper/.."])
def test_from_inside_its_masks_it_is_the_same(tmp_path, monkeypatch, here):
    (tmp_path / "masks" / "deeper").mkdir(parents=True)
    (tmp_path / "run.json").write_text(json.dumps(RECORD))
    monkeypatch.chdir(tmp_path / "masks")

    assert read_record(Path(here)) == RECORD
