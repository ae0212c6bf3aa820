import pytest

from shipseg_tiles.errors import InputError
from shipseg_tiles.inference.bands import parse_bands, parse_scale


def test_bands_and_scales_are_parsed():
    assert parse_bands("3,2,1") == (3, 2, 1)
    assert parse_bands(" 8, 3,12") == (8, 3, 12)
    assert parse_scale("0,3000") == (0, 3000)
    assert parse_scale("-5.5, 1e-3") == (-5.5, 0.001)


@pytest.mark.parametrize(
    "text",
    ["", "1", "3,2", "4,3,2,1", "0,1,2", "-1,2,3", "1.5,2,3", "r,g,b", "3;2;1", "1,,2", f"1,2,{'9' * 5000}"],
)
def test_bands_that_are_no_three_numbers_are_refused(text):
    with pytest.raises(InputError, match=f"bands '{text}'.*such as 3,2,1"):
        parse_bands(text)


@pytest.mark.parametrize(
    "text", ["", "3000", "0,1,2", "a,b", "0;1", "5,5", "3000,0", "nan,1", "0,nan", "0,inf", "-inf,1"]
)
def test_scales_that_are_no_two_growing_numbers_are_refused(text):
    with pytest.raises(InputError, match=r"scale .*such as 0,3000"):
        parse_scale(text)
