import shutil
from dataclasses import replace

import pytest
from PIL import Image

from shipseg_tiles.training.options import TrainOptions
from shipseg_tiles.training.provenance import identity

OPTIONS = TrainOptions()


@pytest.mark.parametrize("changes", [{"resize": 16}, {"full_images": 2}])
def test_a_store_of_the_same_plan_but_other_options_is_another(easy, cut_again, tmp_path, changes):
    """Scales would mix, or scores of different images."""
    other = cut_again(tmp_path / "other.h5", **changes)

    assert other.fingerprint == easy.fingerprint
    assert identity(other, None, OPTIONS)["store"] != identity(easy, None, OPTIONS)["store"]


def test_a_store_that_was_cut_anew_is_the_same_unless_out_of_other_pixels(easy, cut_again, tmp_path):
    folder = easy.paths[0].parent
    shutil.copytree(folder / "images", tmp_path / "images")
    shutil.copy(folder / "labels.csv", tmp_path)
    again = cut_again(tmp_path / "again.h5", folder=tmp_path)
    for path in (tmp_path / "images").iterdir():
        Image.open(path).point(lambda value: value // 2).save(path)
    darker = cut_again(tmp_path / "darker.h5", folder=tmp_path)

    assert darker.fingerprint == again.fingerprint == easy.fingerprint
    assert identity(again, None, OPTIONS) == identity(easy, None, OPTIONS)
    assert identity(darker, None, OPTIONS) != identity(easy, None, OPTIONS)


def test_hard_negatives_are_a_part_of_what_is_taken_up_again(easy):
    assert identity(easy, easy, OPTIONS)["mined"] != identity(easy, None, OPTIONS)["mined"]


def test_files_count_by_their_place_and_machines_do_not(easy, tmp_path, monkeypatch):
    weights = tmp_path / "begun.keras"
    begun = identity(easy, None, replace(OPTIONS, start_from=str(weights)))
    monkeypatch.chdir(tmp_path)

    assert identity(easy, None, replace(OPTIONS, start_from="begun.keras", strategy="mirrored")) == begun
    assert begun != identity(easy, None, OPTIONS)


@pytest.mark.parametrize(
    ("changes", "prolonged"), [({}, True), ({"schedule": "cosine"}, False), ({"ship_fraction": "0.8:0.5"}, False)]
)
def test_a_training_may_be_prolonged_if_its_epochs_do_not_depend_on_how_many_there_are(easy, changes, prolonged):
    options = replace(OPTIONS, epochs=3, **changes)

    same = identity(easy, None, options) == identity(easy, None, replace(options, epochs=9))

    assert same == prolonged
