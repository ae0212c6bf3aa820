import io
from base64 import b64decode

import numpy as np
import pytest
from PIL import Image

from shipseg_tiles.errors import InputError
from shipseg_tiles.report.gallery import Gallery
from shipseg_tiles.report.run import open_run
from shipseg_tiles.rle import encode


def gallery_of(made, predictions="predictions", labels="labels.csv", images="images", count=60, **options):
    return Gallery(open_run(made / predictions, made / labels, made / images, **options), count)


def exhibits_of(*arguments, **options):
    return {exhibit.score.image: exhibit for exhibit in gallery_of(*arguments, **options).exhibits()}


def picture(address):
    return np.asarray(Image.open(io.BytesIO(b64decode(address.split(",")[1]))))


def test_the_worst_images_come_first_and_empty_ones_last(made):
    """True dice by name: false 0, half 2/3, large 1, missed 0, sea 1, whole 1; `sea` alone has no ship, true or not."""
    assert list(exhibits_of(made)) == ["false.png", "missed.png", "half.png", "large.png", "whole.png", "sea.png"]
    assert list(exhibits_of(made, count=2)) == ["false.png", "missed.png"]


def test_ships_are_counted_and_sorted_by_size(made):
    """32 and 9 px are under 53, 60 is between, 1,500 above 1,242."""
    found = exhibits_of(made)

    assert [(name, each.missed_ships, each.false_ships, each.sizes) for name, each in sorted(found.items())] == [
        ("false.png", 0, 1, ()),
        ("half.png", 0, 0, ("small",)),
        ("large.png", 0, 0, ("large",)),
        ("missed.png", 1, 0, ("medium",)),
        ("sea.png", 0, 0, ()),
        ("whole.png", 0, 0, ("small",)),
    ]


def test_pictures_hold_image_truth_mask_and_probabilities(made):
    half = exhibits_of(made)["half.png"]

    image = Image.open(io.BytesIO(b64decode(half.picture.split(",")[1])))
    assert (image.format, image.size, half.shape, half.step) == ("JPEG", (60, 40), (40, 60), 1)
    truth, mask = np.zeros((2, 40, 60), dtype=bool)
    truth[10:14, 10:18] = mask[10:14, 10:14] = True
    assert np.array_equal(picture(half.truth), truth)
    assert np.array_equal(picture(half.found), mask)
    stored = np.asarray(Image.open(made / "predictions/probabilities/half.png"))
    assert np.array_equal(picture(half.probabilities), stored)


@pytest.mark.parametrize("predictions", ["predictions/submission.csv", "predictions/masks"])
def test_without_probabilities_the_mask_is_shown(made, predictions):
    gallery = gallery_of(made, predictions)
    half = next(exhibit for exhibit in gallery.exhibits() if exhibit.score.image.startswith("half"))

    assert gallery.rule is None
    assert half.probabilities == ""
    assert np.argwhere(picture(half.found)).tolist() == [[r, c] for r in range(10, 14) for c in range(10, 14)]


def test_an_image_whose_probabilities_are_gone_shows_its_mask(made):
    (made / "predictions/probabilities/half.png").unlink()
    found = exhibits_of(made)

    assert found["half.png"].probabilities == ""
    assert picture(found["whole.png"].probabilities).max() == 250
    assert np.count_nonzero(picture(found["half.png"].found)) == 16


def test_an_image_that_nobody_predicted_may_count_as_predicted_empty(made):
    lines = (made / "predictions/submission.csv").read_text().splitlines()
    (made / "one.csv").write_text("\n".join(line for line in lines if "whole" not in line) + "\n")

    whole = exhibits_of(made, "one.csv", missing="empty")["whole.png"]

    assert (whole.score.dice, whole.missed_ships) == (0, 1)
    assert not picture(whole.found).any()


def test_labels_may_be_masks(made):
    """Without text fields a mask is taken to be of a .jpg."""
    (made / "truth").mkdir()
    for path in (made / "predictions/masks").iterdir():
        Image.fromarray(np.asarray(Image.open(path))).save(made / "truth" / path.name)

    assert sorted(exhibits_of(made, labels="truth")) == [
        f"{name}.jpg" for name in ("false", "half", "large", "missed", "sea", "whole")
    ]


def test_no_ship_is_lost_when_a_large_image_is_shrunk(tmp_path):
    """2,100 px are shrunk 3 times; row 10, column 1000 is neither a third row nor a third column. A mask that was
    shrunk does not follow a threshold."""
    (tmp_path / "images").mkdir()
    (tmp_path / "predictions/probabilities").mkdir(parents=True)
    Image.new("RGB", (2100, 30)).save(tmp_path / "images/wide.png")
    Image.new("L", (2100, 30)).save(tmp_path / "predictions/probabilities/wide.png")
    mask = np.zeros((30, 2100), dtype=np.uint8)
    mask[10, 1000] = 1
    for path in ("labels.csv", "predictions/submission.csv"):
        (tmp_path / path).write_text(f"ImageId,EncodedPixels\nwide.png,{encode(mask)}\n")
    (tmp_path / "predictions/run.json").write_text('{"options": {"threshold": 0.5, "minimum_area": 0}}')

    wide = exhibits_of(tmp_path)["wide.png"]

    assert (wide.step, wide.shape, wide.probabilities) == (3, (10, 700), "")
    assert np.argwhere(picture(wide.truth)).tolist() == [[3, 333]]
    assert np.argwhere(picture(wide.found)).tolist() == [[3, 333]]


def test_no_picture_reads_no_pixel(made):
    """What is left of the file is its header."""
    file = made / "images/sea.png"
    file.write_bytes(file.read_bytes()[:60])
    gallery = gallery_of(made, count=0)

    assert gallery.chosen == []
    assert list(gallery.exhibits()) == []


def test_a_negative_number_of_pictures_is_refused(made):
    with pytest.raises(InputError, match="pictures -1 must be 0 or more"):
        gallery_of(made, count=-1)


def test_an_image_that_differs_from_another_in_its_suffix_only_is_the_one_shown(made):
    Image.new("RGB", (60, 40)).save(made / "images/sea.webp")

    assert np.allclose(picture(exhibits_of(made)["sea.png"].picture), (20, 40, 60), atol=3)


def test_an_image_that_is_not_there_is_named(made):
    (made / "images/missed.png").unlink()

    with pytest.raises(InputError, match=r"missed\.png is not among the images given; give --images"):
        gallery_of(made)


@pytest.mark.parametrize("folder", ["predictions/masks", "predictions/probabilities", "truth"])
def test_a_mask_of_another_size_is_refused(made, folder):
    (made / "truth").mkdir()
    for path in (made / "predictions/masks").iterdir():
        (made / "truth" / path.name).write_bytes(path.read_bytes())
    Image.new("L", (50, 40)).save(made / folder / "sea.png")

    one, other = r"sea\.\w+ has 40 x 60 pixels by .* but 40 x 50", r"sea\.png has 40 x 50 pixels, sea\.\w+ has 40 x 60"
    with pytest.raises(InputError, match=f"{one}|{other}"):
        exhibits_of(made, labels="truth")


def test_a_ship_outside_of_its_image_is_refused(made):
    (made / "labels.csv").write_text((made / "labels.csv").read_text().replace("sea.png,", "sea.png,2400 2"))

    with pytest.raises(InputError, match=r"sea\.png: run '2400 2' leaves the image of 2400 pixels"):
        exhibits_of(made)
