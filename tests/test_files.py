import json

import pytest

from shipseg_tiles.errors import InputError
from shipseg_tiles.files import checked_name, write_json, write_text, written_whole


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def stop_halfway(path, error):
    with written_whole(path) as temporary:
        temporary.write_bytes(b"half")
        raise error


def test_file_appears_whole_under_its_name(tmp_path):
    path = tmp_path / "made" / "too" / "mask.png"

    with written_whole(path) as temporary:
        temporary.write_bytes(b"first ")
        assert not path.exists()
        assert temporary.suffix == ".png"
        assert temporary.name.startswith(".")

    assert path.read_bytes() == b"first "
    assert names_in(path.parent) == ["mask.png"]


def test_exception_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        stop_halfway(tmp_path / "mask.png", KeyboardInterrupt)
    assert names_in(tmp_path) == []


def test_exception_keeps_the_old_file(tmp_path):
    path = tmp_path / "mask.png"
    path.write_bytes(b"old")

    with pytest.raises(RuntimeError):
        stop_halfway(path, RuntimeError)
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["mask.png"]


def test_exception_before_anything_is_written(tmp_path):
    with pytest.raises(RuntimeError), written_whole(tmp_path / "mask.png"):
        raise RuntimeError

    assert names_in(tmp_path) == []


def test_new_file_replaces_the_old(tmp_path):
    path = tmp_path / "notes.txt"
    write_text(path, "a long old text")
    write_text(path, "Küste")

    assert path.read_bytes() == "Küste".encode()
    assert names_in(tmp_path) == ["notes.txt"]


def test_json_is_indented_and_ends_with_a_line_end(tmp_path):
    write_json(tmp_path / "score.json", {"dice": 0.5, "share": None})

    text = (tmp_path / "score.json").read_text()
    assert text == '{\n  "dice": 0.5,\n  "share": null\n}\n'
    assert json.loads(text) == {"dice": 0.5, "share": None}


def test_json_without_nan_and_the_old_file_stays(tmp_path):
    path = tmp_path / "score.json"
    write_json(path, {"dice": 0.5})

    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"dice": float("nan")})

    assert json.loads(path.read_text()) == {"dice": 0.5}
    assert names_in(tmp_path) == ["score.json"]


@pytest.mark.parametrize(
    "name",
    ["../../x.jpg", "a/b", "/etc/passwd", "", ".", "..", ".x", "a\0b", "a\\b", "..\\x.jpg", "a\nb", "a\rb"],
)
def test_names_that_could_choose_a_path_are_refused(name):
    with pytest.raises(InputError) as caught:
        checked_name(name, "labels.csv")

    assert str(caught.value).startswith("labels.csv: ")
    assert len(str(caught.value).splitlines()) == 1
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize("name", ["000155de5.jpg", "two..dots.png", "with blank.jpg", "Schärhörn.tif", "no suffix"])
def test_plain_names_pass_unchanged(name):
    assert checked_name(name, "labels.csv") == name
