import numpy as np
import pytest
from PIL import Image

from shipseg_tiles.archive.labels import read_labels
from shipseg_tiles.errors import InputError
from shipseg_tiles.inference.predictor import Prediction
from shipseg_tiles.report.predictions import write_predictions


def prediction(name, shape, *boxes):
    """A gray image with ships in the boxes (row, column, height, width)."""
    ships = []
    for row, column, height, width in boxes:
        mask = np.zeros(shape, dtype=bool)
        mask[row : row + height, column : column + width] = True
        ships.append(np.flatnonzero(mask.T))
    return Prediction(name, np.full((*shape, 3), 90, dtype=np.uint8), ships)


@pytest.fixture
def written(tmp_path):
    found = [
        prediction("a.jpg", (10, 12), (1, 2, 2, 3), (6, 0, 4, 1)),
        prediction("b.tif", (7, 5)),
        prediction("c.png", (4, 9), (0, 8, 4, 1)),
    ]
    return write_predictions(iter(found), tmp_path / "out", pictures=2), tmp_path / "out"


def test_the_submission_has_a_row_a_ship_and_an_empty_one_where_there_is_none(written):
    """a.jpg is 10 px high: the box from row 1, column 2 is the runs 22, 32, 42 of 2 px; the one from row 6 in column
    0 is the run 7 of 4 px. c.png is 4 px high, its last column begins with pixel 8 * 4 + 1."""
    counts, out = written

    assert (out / "submission.csv").read_text().splitlines() == [
        "ImageId,EncodedPixels",
        "a.jpg,22 2 32 2 42 2",
        "a.jpg,7 4",
        "b.tif,",
        "c.png,33 4",
    ]
    assert counts == {"images": 3, "images_with_ships": 2, "ships": 3}


def test_masks_are_white_on_black_and_have_the_size_of_their_image(written):
    _, out = written

    masks = {path.name: np.array(Image.open(path)) for path in (out / "masks").iterdir()}

    assert {name: mask.shape for name, mask in masks.items()} == {"a.png": (10, 12), "b.png": (7, 5), "c.png": (4, 9)}
    assert set(np.unique(masks["a.png"])) == {0, 255}
    assert not masks["b.png"].any()
    assert np.argwhere(masks["c.png"]).tolist() == [[row, 8] for row in range(4)]


def test_masks_and_submission_say_the_same(written):
    _, out = written
    from_masks, from_csv = read_labels(out / "masks").ships, read_labels(out / "submission.csv").ships

    assert {name: sorted(ships) for name, ships in from_masks.items()} == {
        name: sorted(ships) for name, ships in from_csv.items()
    }


def test_pictures_are_drawn_for_the_first_images_only(written):
    _, out = written

    assert sorted(path.stem for path in (out / "pictures").iterdir()) == ["a", "b"]
    with Image.open(next((out / "pictures").glob("a.*"))) as picture:
        assert picture.size == (3 * 12 + 2 * 6, 10)


def test_no_pictures_at_all_may_be_asked_for(tmp_path):
    write_predictions([prediction("a.jpg", (4, 4))], tmp_path, pictures=0)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["masks", "submission.csv"]


def test_no_prediction_is_refused_and_no_submission_is_left(tmp_path):
    with pytest.raises(InputError, match="none of the images could be read"):
        write_predictions([], tmp_path, pictures=2)
    assert not list(tmp_path.iterdir())


def test_an_interrupted_run_leaves_no_submission(tmp_path):
    def interrupted():
        yield prediction("a.jpg", (4, 4))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_predictions(interrupted(), tmp_path, pictures=2)
    assert not (tmp_path / "submission.csv").exists()
