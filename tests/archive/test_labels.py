import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from shipseg_tiles.archive.labels import Labels, parse_labels, read_labels, read_predictions
from shipseg_tiles.errors import InputError
from shipseg_tiles.masks import write_mask

fast = settings(deadline=None, max_examples=60)

HEADER = "ImageId,EncodedPixels\n"
runs = st.lists(st.tuples(st.integers(1, 500), st.integers(1, 20)), min_size=1, max_size=3).map(
    lambda pairs: " ".join(f"{start} {length}" for start, length in pairs)
)
plain = st.characters(codec="utf-8", exclude_characters="/\\", exclude_categories=["Cc", "Cs", "Zl", "Zp"])
names = st.text(plain, min_size=1, max_size=8).filter(lambda name: not name.startswith("."))


def parsed(rows):
    return parse_labels((HEADER + rows).encode(), "labels.csv")


def test_rows_of_one_image_are_its_ships_in_their_order_and_images_are_sorted():
    labels = parsed("b.jpg,9 2\na.jpg,\nb.jpg,1 3\nc.jpg,  \n")

    assert labels.ships == {"a.jpg": (), "b.jpg": ("9 2", "1 3"), "c.jpg": ()}
    assert list(labels.ships) == ["a.jpg", "b.jpg", "c.jpg"]


def test_equal_rows_are_one_ship_and_pixels_of_two_ships_count_once():
    """Runs 3 2 and 4 2: pixels 3, 4, 5, so 0-based 2, 3, 4."""
    labels = parsed("a.jpg,3 2\na.jpg,3  2\nb.jpg,3 2\na.jpg,4 2\na.jpg,\n")

    assert labels.ships == {"a.jpg": ("3 2", "4 2"), "b.jpg": ("3 2",)}
    assert [pixels.tolist() for pixels in labels.ship_indices("a.jpg", (5, 1))] == [[2, 3], [3, 4]]
    assert labels.pixel_indices("a.jpg", (5, 1)).tolist() == [2, 3, 4]


def test_mask_of_an_image_counts_pixels_down_its_columns():
    """Height 2, width 3: pixels 1 2 are column 0, 3 4 column 1. The runs 2 2 and 6 1 are 2, 3 and 6."""
    mask = parsed("a.jpg,2 2\na.jpg,6 1\n").mask("a.jpg", (2, 3))

    assert mask.dtype == np.uint8
    assert mask.tolist() == [[0, 1, 0], [1, 0, 1]]


def test_other_columns_are_ignored_and_the_order_is_free():
    labels = parse_labels(b"fold,EncodedPixels,ImageId\n1,3 4,a.jpg\n2,,NA\n", "labels.csv")

    assert labels.ships == {"NA": (), "a.jpg": ("3 4",)}


def test_mark_and_line_ends_of_windows_are_no_part_of_the_content():
    assert parse_labels(b"\xef\xbb\xbfImageId,EncodedPixels\r\na.jpg,1 2\r\n", "x").ships == {"a.jpg": ("1 2",)}


def test_row_without_its_last_field_has_no_ship():
    assert parsed("a.jpg\nb.jpg,1 2\n").ships == {"a.jpg": (), "b.jpg": ("1 2",)}


def test_line_ends_inside_a_field_part_no_ships():
    """A quoted field may hold line ends, and other marks that split lines; it is one ship all the same."""
    assert parsed('a.jpg,"1 2\n 5 1"\nb.jpg,1 2\u20285 1\n').ships == {"a.jpg": ("1 2 5 1",), "b.jpg": ("1 2 5 1",)}


@pytest.mark.parametrize(
    ("header", "absent"),
    [
        ("ImageId,Pixels", "EncodedPixels"),
        ("Image,EncodedPixels", "ImageId"),
        ("image,runs", "ImageId and EncodedPixels"),
    ],
)
def test_absent_columns_are_named(header, absent, tmp_path):
    (tmp_path / "labels.csv").write_text(f"{header}\na.jpg,1 2\n")

    with pytest.raises(InputError, match=rf"labels\.csv has no column {absent}; its first line must hold ImageId,Enc"):
        read_labels(tmp_path / "labels.csv")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        b"\x89PNG\r\n\x1a\n\0\0\0\xff",
        b"\xff\xd8\xff\xe0" * 100,
        HEADER.encode("utf-16"),
        (HEADER + 'a.jpg,"1 2\n').encode(),
        (HEADER + "a.jpg,1 2\nb.jpg,1 2,3 4\n").encode(),
        (HEADER + "a.jpg,1 2,3 4\n").encode(),
        (HEADER + "a.jpg,1 2,\nb.jpg,,\n").encode(),
    ],
    ids=["empty", "blank", "png", "jpeg", "utf-16", "open quote", "more fields", "more fields first", "more commas"],
)
def test_what_is_no_such_csv_is_refused_in_one_line(content, tmp_path):
    """pandas takes the first column for row names if the first row has more fields than there are columns."""
    (tmp_path / "labels.csv").write_bytes(content)

    with pytest.raises(InputError, match=r"labels\.csv ") as caught:
        read_labels(tmp_path / "labels.csv")
    assert len(str(caught.value).splitlines()) == 1


@settings(deadline=None, max_examples=200)
@given(st.one_of(st.binary(max_size=60), st.binary(max_size=40).map(lambda data: HEADER.encode() + data)))
def test_any_bytes_give_labels_or_an_input_error(data):
    labels, reason = Labels("", {}), ""
    try:
        labels = parse_labels(data, "labels.csv")
    except InputError as error:
        reason = str(error)

    assert len(reason.splitlines()) <= 1
    assert all(ship.strip() for ships in labels.ships.values() for ship in ships)
    assert not any("/" in name for name in labels.ships)


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"gone\.csv does not exist; give a CSV"):
        read_labels(tmp_path / "gone.csv")


@pytest.mark.parametrize(
    "name", ["../../x.jpg", "/etc/passwd", "a/b.jpg", "..\\x.jpg", ".hidden.jpg", "..", '"a\nb"', ""]
)
def test_image_names_that_could_choose_a_path_are_refused(name):
    with pytest.raises(InputError, match=r"labels\.csv: .* is no plain file name"):
        parsed(f"{name},1 2\n")


def test_csv_without_rows_labels_nothing():
    assert parsed("").ships == {}


@fast
@given(st.dictionaries(names, st.lists(runs, max_size=3, unique=True).map(tuple), max_size=5))
def test_csv_comes_back_as_it_was_written(ships):
    labels = Labels("labels.csv", dict(sorted(ships.items())))

    assert parse_labels(labels.to_csv().encode(), "labels.csv") == labels


def test_csv_is_the_one_of_the_competition():
    assert Labels("", {"a.jpg": (), "b.jpg": ("1 2", "9 9")}).to_csv() == HEADER + "a.jpg,\nb.jpg,1 2\nb.jpg,9 9\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1 2 3", "3 fields"),
        ("5 3", "'5 3' leaves the image of 6 pixels"),
        ("0 1", "holds 0"),
        ("x y", "whole numbers"),
    ],
)
def test_bad_run_length_text_is_named_with_its_image_and_file(text, reason):
    """In an image of 2 x 3 pixels; the run 5 3 would end at pixel 7."""
    labels = parsed(f"a.jpg,1 1\na.jpg,{text}\n")

    for read in (labels.ship_indices, labels.pixel_indices):
        with pytest.raises(InputError, match=rf"labels\.csv: a\.jpg: .*{reason}"):
            read("a.jpg", (2, 3))
    with pytest.raises(InputError, match=rf"labels\.csv: a\.jpg: .*{reason}"):
        labels.mask("a.jpg", (2, 3))


def test_only_keeps_the_images_asked_for():
    labels = parsed("a.jpg,1 1\nb.jpg,2 2\nc.jpg,\n").only(["c.jpg", "a.jpg"])

    assert labels.ships == {"a.jpg": ("1 1",), "c.jpg": ()}
    assert labels.source == "labels.csv"


def test_only_keeps_the_sizes_of_the_images_asked_for():
    labels = Labels("masks", {"a.jpg": (), "b.jpg": (), "c.jpg": ()}, {"a.jpg": (1, 2), "b.jpg": (3, 4)})

    assert labels.only(["c.jpg", "a.jpg"]).shapes == {"a.jpg": (1, 2)}


def test_masks_tell_the_sizes_of_their_images_and_a_csv_tells_none(tmp_path):
    """Height 2, width 3."""
    write_mask(tmp_path / "a.png", np.array([[0, 1, 1], [0, 0, 0]]), "a.tif")

    assert read_labels(tmp_path).shapes == {"a.tif": (2, 3)}
    assert parsed("a.tif,3 1\n").shapes == {}


@pytest.mark.parametrize("ships", [("3 1",), ()])
def test_a_mask_of_another_size_than_its_image_is_refused(ships):
    """In the mask of 2 x 3 pixels the third stands on top of the second column, in 3 x 2 at the end of the first."""
    labels = Labels("masks", {"a.tif": ships}, {"a.tif": (2, 3)})

    assert len(labels.ship_indices("a.tif", (2, 3))) == len(ships)
    for read in (labels.ship_indices, labels.pixel_indices, labels.mask):
        with pytest.raises(InputError, match=r"masks: the mask of a\.tif has 2 x 3 pixels, the image 3 x 2; give"):
            read("a.tif", (3, 2))


def test_a_folder_of_predict_holds_its_submission_whatever_masks_lie_there(tmp_path):
    """The mask of a tells its size, b has none, and c is of an earlier run."""
    (tmp_path / "masks").mkdir()
    (tmp_path / "submission.csv").write_text(HEADER + "a.tif,1 1\nb.tif,\n")
    for name in ("a", "c"):
        write_mask(tmp_path / "masks" / f"{name}.png", np.ones((2, 3)), f"{name}.tif")

    labels = read_predictions(tmp_path)

    assert labels.ships == {"a.tif": ("1 1",), "b.tif": ()}
    assert labels.shapes == {"a.tif": (2, 3)}
    assert labels.source == str(tmp_path / "submission.csv")


def test_masks_of_scenes_tell_their_sizes_too(tmp_path):
    (tmp_path / "masks").mkdir()
    (tmp_path / "submission.csv").write_text(HEADER + "a.tif,1 1\n")
    Image.new("L", (3, 2)).save(tmp_path / "masks" / "a.tif")

    assert read_predictions(tmp_path).shapes == {"a.tif": (2, 3)}


def test_masks_of_scenes_too_large_to_decode_tell_their_sizes_as_well(tmp_path):
    """A PNG whose header, bytes 12 to 28, says that it has 40,000 x 50,000 pixels; its checksum follows."""
    (tmp_path / "masks").mkdir()
    (tmp_path / "submission.csv").write_text(HEADER + "a.tif,2000000000 1\n")
    write_mask(tmp_path / "masks" / "a.png", np.ones((1, 1)), "a.tif")
    data = bytearray((tmp_path / "masks" / "a.png").read_bytes())
    data[16:24] = struct.pack(">II", 50_000, 40_000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    (tmp_path / "masks" / "a.png").write_bytes(data)

    assert read_predictions(tmp_path).shapes == {"a.tif": (40_000, 50_000)}


def test_a_prediction_that_is_not_finished_is_called_so(tmp_path):
    (tmp_path / "masks").mkdir()
    write_mask(tmp_path / "masks" / "a.png", np.ones((2, 3)), "a.tif")

    with pytest.raises(InputError, match=rf"the prediction is not finished; .* give {tmp_path / 'masks'}$"):
        read_predictions(tmp_path)


def test_masks_may_have_suffixes_in_capitals(tmp_path):
    write_mask(tmp_path / "a.png", np.ones((1, 1)), "a.jpg")
    (tmp_path / "a.png").rename(tmp_path / "a.PNG")

    assert read_labels(tmp_path).ships == {"a.jpg": ("1 1",)}


def test_predictions_may_be_a_csv_or_masks_as_well(tmp_path):
    (tmp_path / "found.csv").write_text(HEADER + "a.jpg,1 1\n")
    write_mask(tmp_path / "a.png", np.ones((1, 1)), "a.jpg")

    assert read_predictions(tmp_path / "found.csv").ships == read_predictions(tmp_path).ships == {"a.jpg": ("1 1",)}
