import numpy as np
import pytest
import tifffile
from PIL import Image

from shipseg_tiles.archive.labels import Labels
from shipseg_tiles.errors import InputError
from shipseg_tiles.scoring.pairs import find_files, pair_images

TRUTH = Labels("labels.csv", {"a.jpg": ("1 4",), "b.jpg": (), "c.jpg": ("11 10",)})


def predictions(shapes=None, **ships):
    names = {f"{name}.jpg": texts for name, texts in ships.items()}
    return Labels("found.csv", names, shapes or {})


def paired(*arguments, **options):
    return list(pair_images(*arguments, **options))


def names(pairs):
    return [pair.image for pair in pairs]


@pytest.fixture
def image_file(tmp_path):
    """Write an image of a size."""

    def write(name, height, width):
        Image.new("RGB", (width, height)).save(tmp_path / name)
        return tmp_path / name

    return write


# Which images


def test_labels_and_predictions_of_an_image_stand_side_by_side():
    first, *others = paired(TRUTH, predictions(a=("3 2", "9 1"), b=(), c=()))

    assert first.image == "a.jpg"
    assert [ship.tolist() for ship in first.truth] == [[0, 1, 2, 3]]
    assert [ship.tolist() for ship in first.predicted] == [[2, 3], [8]]
    assert names(others) == ["b.jpg", "c.jpg"]


def test_predictions_find_their_images_whatever_their_suffix():
    pairs = paired(TRUTH, Labels("masks", {"a.png": ("3 4",), "b.png": (), "c.png": ("11 10",)}))

    assert [(pair.image, sum(ship.size for ship in pair.predicted)) for pair in pairs] == [
        ("a.jpg", 4),
        ("b.jpg", 0),
        ("c.jpg", 10),
    ]


def test_a_prediction_for_an_image_without_label_is_refused():
    predicted = predictions(a=(), b=(), c=(), d=(), e=("1 1",))

    for missing in ("error", "empty", "skip"):
        with pytest.raises(
            InputError, match=r"found\.csv predicts images that labels\.csv does not label: 2 .* d, e; label them"
        ):
            paired(TRUTH, predicted, missing)


def test_a_label_without_prediction_is_refused_with_the_remedy():
    with pytest.raises(InputError, match=r"does not predict: 2 of them, a, c; use --missing empty or skip"):
        paired(TRUTH, predictions(b=()))


def test_missing_predictions_count_as_empty_if_asked_for():
    pairs = paired(TRUTH, predictions(b=()), "empty")

    assert names(pairs) == ["a.jpg", "b.jpg", "c.jpg"]
    assert [len(pair.truth) for pair in pairs] == [1, 0, 1]
    assert not any(pair.predicted for pair in pairs)


def test_missing_predictions_are_left_out_if_asked_for():
    assert names(paired(TRUTH, predictions(a=("1 4",)), "skip")) == ["a.jpg"]


def test_a_word_that_says_nothing_of_missing_predictions_is_refused():
    """Taken for `skip`, it would flatter."""
    with pytest.raises(InputError, match="missing 'Empty' must be one of error, empty, skip"):
        paired(TRUTH, predictions(a=()), "Empty")


def test_two_images_of_one_name_are_refused():
    """They could not be told apart by the name without suffix."""
    twice = Labels("twice.csv", {"a.jpg": (), "a.png": ("1 1",)})

    for arguments in ((TRUTH.only(["a.jpg"]), twice), (twice, predictions(a=()))):
        with pytest.raises(InputError, match=r"twice\.csv: a\.jpg and a\.png differ in their suffix only; rename"):
            paired(*arguments)


def test_many_names_are_not_all_listed():
    predicted = predictions(a=(), b=(), c=(), **{f"x{number}": () for number in range(9)})

    with pytest.raises(InputError, match=r"9 of them, x0, x1, x2, x3, x4 \.\.\.; label"):
        paired(TRUTH, predicted)


# Sizes


def test_an_image_that_nobody_knows_has_the_size_of_the_competition():
    (pair,) = paired(TRUTH.only(["c.jpg"]), predictions(c=("589824 1",)))

    assert pair.shape == (768, 768)


@pytest.mark.parametrize("side", ["truth", "predicted"])
def test_pixels_outside_it_are_refused_until_the_size_is_told(side, image_file):
    """The image has 800 x 900 = 720,000 pixels, more than the 589,824 of the competition."""
    ships = {"truth": (), "predicted": ()} | {side: ("719999 2",)}
    truth, predicted = Labels("labels.csv", {"a.png": ships["truth"]}), predictions(a=ships["predicted"])

    with pytest.raises(InputError, match=r"a\.\w+: run '719999 2' leaves .* 768 x 768 as in the comp.*; give --images"):
        paired(truth, predicted)
    (pair,) = paired(truth, predicted, files=[image_file("a.png", 800, 900)])
    assert pair.shape == (800, 900)


def test_a_scene_that_is_too_large_to_be_decoded_tells_its_size_all_the_same(image_file, monkeypatch):
    monkeypatch.setattr("shipseg_tiles.images.MAXIMUM_PIXELS", 1000)

    (pair,) = paired(TRUTH.only(["a.jpg"]), predictions(a=()), files=[image_file("a.tif", 40, 50)])

    assert pair.shape == (40, 50)


@pytest.mark.parametrize("side", ["truth", "predicted"])
def test_masks_tell_the_size(side):
    shapes = {"truth": {}, "predicted": {}} | {side: {"a.jpg": (30, 40)}}
    truth = Labels("labels", {"a.jpg": ("1200 1",)}, shapes["truth"])

    (pair,) = paired(truth, predictions(shapes["predicted"], a=()))

    assert pair.shape == (30, 40)


@pytest.mark.parametrize(("bands", "dtype"), [(3, np.uint16), (5, np.uint8), (2, np.float32)])
def test_a_tiff_that_pillow_cannot_decode_tells_its_size(tmp_path, bands, dtype):
    """`predict` reads it with another library; its header is as good as any."""
    tifffile.imwrite(
        tmp_path / "a.tif", np.zeros((bands, 20, 30), dtype=dtype), photometric="minisblack", planarconfig="separate"
    )

    (pair,) = paired(TRUTH.only(["a.jpg"]), predictions(a=()), files=[tmp_path / "a.tif"])

    assert pair.shape == (20, 30)


def test_a_run_beyond_the_known_size_is_refused_with_who_tells_it(image_file):
    file = image_file("a.png", 30, 40)

    with pytest.raises(InputError) as caught:
        paired(TRUTH.only(["a.jpg"]), predictions(a=("1200 2",)), files=[file])

    reason = "run '1200 2' leaves the image of 1200 pixels, which has 30 x 40 pixels by"
    assert str(caught.value) == f"found.csv: a.jpg: {reason} {file}; correct the row"


def test_a_text_that_is_malformed_is_not_blamed_on_the_size():
    with pytest.raises(InputError, match=r"found\.csv: b\.jpg: .* has 3 fields, which is odd; it needs .*'$"):
        paired(TRUTH, predictions(a=(), b=("1 2 3",), c=()))


def test_two_sizes_of_one_image_are_refused(image_file):
    truth = Labels("masks", {"a.jpg": ("1 1",)}, {"a.jpg": (30, 40)})
    predicted = predictions({"a.jpg": (40, 30)}, a=())
    file = image_file("a.png", 768, 768)

    with pytest.raises(InputError, match=r"a\.jpg has 30 x 40 pixels by masks but 40 x 30 pixels by found\.csv; give"):
        paired(truth, predicted)
    with pytest.raises(InputError, match=r"a\.jpg has 768 x 768 pixels by .*a\.png but 30 x 40 pixels by masks; give"):
        paired(truth, predicted, files=[file])


def test_of_images_that_differ_in_their_suffix_only_the_one_of_the_very_name_counts(image_file):
    files = [image_file("a.bmp", 5, 5), image_file("a.jpg", 20, 30), image_file("a.png", 5, 5)]

    (pair,) = paired(TRUTH.only(["a.jpg"]), predictions(a=()), files=files)

    assert pair.shape == (20, 30)


def test_an_image_that_is_not_among_the_files_is_refused(image_file):
    """Others may be among them, and those that are not scored need not be."""
    files = [image_file("a.png", 20, 20), image_file("z.png", 5, 5)]

    assert names(paired(TRUTH, predictions(a=()), "skip", files)) == ["a.jpg"]
    with pytest.raises(InputError, match=r"b\.jpg is not among the images given; give --images the folder that was"):
        paired(TRUTH, predictions(a=(), b=()), "skip", files)


# Overlaps


def test_ships_of_a_prediction_may_not_overlap():
    """The first and the third row share pixels 3 and 4."""
    with pytest.raises(InputError) as caught:
        paired(TRUTH.only(["a.jpg"]), predictions(a=("1 4", "9 2", "3 4 20 1")))

    told = "found.csv: a.jpg: its rows 1 ('1 4') and 3 ('3 4 20 1') share 2 pixels; the ships of a prediction"
    assert str(caught.value).startswith(told)


def test_two_among_many_ships_that_share_a_pixel_are_found_at_once():
    """To try all 200 million pairs would take minutes."""
    many = [f"{start} 1" for start in range(1, 40_000, 2)]

    with pytest.raises(InputError, match=r"rows 20000 \('39999 1'\) and 20001 \('39999 2'\) share 1 pixels"):
        paired(TRUTH.only(["a.jpg"]), predictions(a=(*many, "39999 2")))


def test_a_long_row_is_named_by_its_beginning():
    long = " ".join(f"{start} 1" for start in range(1, 4000, 2))

    with pytest.raises(InputError, match=r"rows 1 \('1 1 3 1 5 1 [^']{1,30} \[\.\.\.\]'\) and 2 \('1 1'\) share 1 pix"):
        paired(TRUTH.only(["a.jpg"]), predictions(a=(long, "1 1")))


def test_ships_of_the_labels_may_overlap():
    (pair,) = paired(Labels("labels.csv", {"a.jpg": ("1 4", "3 4")}), predictions(a=()))

    assert [ship.tolist() for ship in pair.truth] == [[0, 1, 2, 3], [2, 3, 4, 5]]


def test_ships_that_touch_do_not_overlap():
    (pair,) = paired(TRUTH.only(["a.jpg"]), predictions(a=("1 4", "5 4")))

    assert np.concatenate(pair.predicted).tolist() == list(range(8))


def test_an_image_is_found_by_its_name_or_else_by_the_only_one_of_its_stem(tmp_path):
    """Another of the same stem does not matter to an image that is there."""
    files = [tmp_path / name for name in ("a.jpg", "a.png", "b.png")]

    assert find_files(["a.png", "b.jpg"], files) == {"a.png": files[1], "b.jpg": files[2]}
    with pytest.raises(InputError, match=r"images: a\.jpg and a\.png differ in their suffix only"):
        find_files(["a.tif"], files)
