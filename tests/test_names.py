import pytest

from shipseg_tiles.errors import InputError
from shipseg_tiles.names import by_stem, check_length, checked_name


@pytest.mark.parametrize(
    "name",
    [
        *["../../x.jpg", "a/b", "/etc/passwd", "", ".", "..", ".x", "a\0b", "a\\b", "..\\x.jpg", "a\nb", "a\rb"],
        *["a.jpg\n", "a\x1bb", "a\x85b", "a\u2028b", "caf\udce9.png"],
    ],
)
def test_names_that_could_choose_a_path_or_break_a_line_are_refused(name):
    """The last one is how Python spells a name on disk that is not UTF-8: no file here could hold it."""
    with pytest.raises(InputError) as caught:
        checked_name(name, "labels.csv")

    assert str(caught.value).startswith("labels.csv: ")
    assert len(str(caught.value).splitlines()) == 1
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        *["000155de5.jpg", "two..dots.png", "with blank.jpg", "Schärhörn.tif", "no suffix"],
        *["a\u0308.tif", "船\u3000一.png", "10.00.00\u202fAM.png", "\U0001f6a2\u200d\u2642.jpg"],
    ],
)
def test_plain_names_pass_unchanged(name):
    """Accents in two parts, wide and narrow blanks (of Japanese, and of a Mac's screenshots) and joined signs too."""
    assert checked_name(name, "labels.csv") == name


def test_names_are_found_by_what_they_are_without_suffix():
    assert by_stem(["a.jpg", "b.c.png", "d"], "labels.csv") == {"a": "a.jpg", "b.c": "b.c.png", "d": "d"}
    with pytest.raises(
        InputError, match=r"labels\.csv: a\.jpg and a\.png differ in their suffix only; rename or remove"
    ):
        by_stem(["a.jpg", "b.png", "a.png"], "labels.csv")


def test_names_without_room_for_a_longer_suffix_are_refused():
    """A file's name has at most 255 bytes; these have 252 of two each."""
    check_length("ü" * 124 + ".png", 3)
    with pytest.raises(InputError, match="shorten it by 2 bytes"):
        check_length("ü" * 124 + ".png", 5)
