from pathlib import Path

import pytest

from shipseg_tiles.archive.archive import Archive
from shipseg_tiles.archive.labels import Labels
from shipseg_tiles.archive.split_file import (
    read_any_split,
    read_places,
    read_split,
    split_identity,
    validation_places,
    write_split,
)
from shipseg_tiles.errors import InputError


def written(folder, text):
    (folder / "split.csv").write_text(text)
    return folder / "split.csv"


def test_names_that_a_csv_must_quote_come_back(tmp_path):
    split = {'"north".jpg': "train", "a, b.jpg": "valid", "NA": "valid"}

    write_split(tmp_path / "split.csv", split, dict.fromkeys(split, 3))

    assert read_split(tmp_path / "split.csv") == dict(sorted(split.items()))


def test_a_split_comes_back_from_its_file(tmp_path):
    split = {"b.jpg": "train", "a.jpg": "valid"}

    write_split(tmp_path / "split.csv", split, {"a.jpg": 4, "b.jpg": 7})

    assert (tmp_path / "split.csv").read_bytes() == b"ImageId,split,scene\na.jpg,valid,4\nb.jpg,train,7\n"
    assert read_split(tmp_path / "split.csv") == split


def test_a_split_is_known_again_whatever_the_order_of_its_rows():
    """And it is another one as soon as an image is added or stands on another side."""
    split = {"b.jpg": "train", "a.jpg": "valid"}

    assert split_identity(split) == split_identity(dict(reversed(split.items())))
    others = [split | {"c.jpg": "train"}, split | {"b.jpg": "valid"}, {"a.jpg": "valid"}, None]
    assert len({split_identity(one) for one in [split, *others]}) == 5


def test_other_columns_and_repeated_rows_do_not_matter(tmp_path):
    """A table with one row a ship, and a name that some programs take for a missing value."""
    path = written(tmp_path, "fold,split,ImageId\n1,train,NA\n1,valid,b.jpg\n2, train ,NA\n")

    assert read_split(path) == {"NA": "train", "b.jpg": "valid"}


def test_sides_of_any_name_are_read(tmp_path):
    path = written(tmp_path, "ImageId,split\na.jpg,0\nb.jpg,test\n")

    assert read_any_split(path) == {"a.jpg": "0", "b.jpg": "test"}
    with pytest.raises(InputError, match=r"split\.csv: a\.jpg has the split '0'; write train or valid"):
        read_split(path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is no CSV"),
        ("name,side\na.jpg,train\n", "has no column ImageId and split; its first line must hold ImageId,split"),
        ("ImageId,fold\na.jpg,1\n", "has no column split"),
        ("ImageId,split\n", "holds no row below its first line"),
        ("ImageId,split\na.jpg,train\na.jpg,valid\n", r"a\.jpg stands in train and in valid; keep one of the rows"),
        ("ImageId,split\na.jpg,\n", r"a\.jpg has no split"),
        ("ImageId,split\na.jpg\n", r"a\.jpg has no split"),
        ("ImageId,split\n../a.jpg,train\n", r"'\.\./a\.jpg' is no plain file name"),
        ("ImageId,split\na.jpg,train,1,2\n", "more fields"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path, text, reason):
    with pytest.raises(InputError, match=rf"split\.csv.*{reason}"):
        read_split(written(tmp_path, text))


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"gone\.csv"):
        read_split(tmp_path / "gone.csv")


# Places


def test_places_come_back_from_the_file(tmp_path):
    write_split(tmp_path / "split.csv", {"a.jpg": "train", "b.jpg": "valid"}, {"a.jpg": 7, "b.jpg": 7})

    assert read_places(tmp_path / "split.csv") == {"a.jpg": "7", "b.jpg": "7"}


def test_a_split_need_not_name_places(tmp_path):
    (tmp_path / "split.csv").write_text("ImageId,split\na.jpg,valid\n")

    assert read_places(tmp_path / "split.csv") is None


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ("a.jpg,valid,1\na.jpg,valid,2\n", r"a\.jpg has the scenes 1 and 2; keep one of the rows"),
        (",valid,1\n", "'' is no plain file name"),
        ("a.jpg,,1\n", r"a\.jpg has no split"),
        ("", "holds no row"),
    ],
)
def test_places_that_contradict_each_other_or_belong_to_nothing_are_refused(tmp_path, rows, reason):
    with pytest.raises(InputError, match=rf"split\.csv.*{reason}"):
        read_places(written(tmp_path, f"ImageId,split,scene\n{rows}"))


def test_an_image_without_a_place_among_others_is_refused(tmp_path):
    (tmp_path / "split.csv").write_text("ImageId,split,scene\na.jpg,valid,1\nb.jpg,valid,\n")

    with pytest.raises(InputError, match=r"b\.jpg has no scene; write the number of its place, or remove the column"):
        read_places(tmp_path / "split.csv")


def test_the_places_of_images_that_validate_stand_in_the_split(tmp_path):
    names = ("a.jpg", "b.jpg", "c.jpg")
    archive = Archive("images", {name: Path(name) for name in names}, Labels("", dict.fromkeys(names, ())))
    split = tmp_path / "split.csv"
    split.write_text("ImageId,split,scene\nc.jpg,valid, 7\na.jpg,valid,coast\nb.jpg,train,7\nd.jpg,valid,8\n")

    assert validation_places(archive, split) == {"a.jpg": "coast", "c.jpg": "7"}
