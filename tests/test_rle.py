import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from shipseg_tiles.errors import InputError
from shipseg_tiles.rle import decode, decode_indices, encode, encode_indices

fast = settings(deadline=None, max_examples=60)
masks = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 1))


@pytest.fixture
def peak_memory():
    """Bytes that the test has taken so far at most; numpy reports its arrays to tracemalloc."""
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()


def decode_slowly(text, shape):
    """One pixel at a time, straight from the competition's words: numbered from 1, from top to bottom first."""
    height = shape[0]
    mask = np.zeros(shape, dtype=np.uint8)
    numbers = [int(field) for field in text.split()]
    for start, length in zip(numbers[::2], numbers[1::2], strict=True):
        for pixel in range(start, start + length):
            mask[(pixel - 1) % height, (pixel - 1) // height] = 1
    return mask


def test_pixels_count_from_1_down_the_columns():
    """A mask of 3 rows and 4 columns has the pixel numbers

        1  4  7 10
        2  5  8 11
        3  6  9 12

    so the two lower pixels of the first column and the uppermost of the second are the run 2, 3, 4, and the lower
    right corner is 12.
    """
    mask = np.array([[0, 1, 0, 0], [1, 0, 0, 0], [1, 0, 0, 1]])

    assert encode(mask) == "2 3 12 1"
    assert decode("2 3 12 1", (3, 4)).tolist() == mask.tolist()
    assert decode_indices("2 3 12 1", 12).tolist() == [1, 2, 3, 11]


def test_known_text_of_the_competition():
    """The competition's own example: '1 3 10 5' are the pixels 1, 2, 3, 10, 11, 12, 13, 14."""
    assert decode_indices("1 3 10 5", 14).tolist() == [0, 1, 2, 9, 10, 11, 12, 13]


@fast
@given(masks)
def test_round_trip(mask):
    decoded = decode(encode(mask), mask.shape)

    assert decoded.dtype == np.uint8
    assert decoded.flags.c_contiguous
    assert np.array_equal(decoded, mask)


@fast
@given(masks)
def test_indices_agree_with_masks(mask):
    text = encode(mask)
    indices = decode_indices(text, mask.size)

    assert indices.tolist() == np.flatnonzero(mask.ravel(order="F")).tolist()
    assert encode_indices(indices) == text


@fast
@given(st.data(), st.integers(1, 9), st.integers(1, 9))
def test_runs_in_any_order_and_overlapping(data, height, width):
    pixels = height * width
    starts = data.draw(st.lists(st.integers(1, pixels), max_size=6))
    runs = [(start, data.draw(st.integers(1, pixels - start + 1))) for start in starts]
    text = " ".join(f"{start} {length}" for start, length in runs)

    mask = decode(text, (height, width))

    assert np.array_equal(mask, decode_slowly(text, (height, width)))
    assert decode_indices(text, pixels).tolist() == np.flatnonzero(mask.ravel(order="F")).tolist()


def test_a_run_inside_another_and_one_that_touches():
    """Pixels 2 to 9, again 4 to 5, and 10 to 11 right behind: the one run 2 to 11, ten pixels."""
    assert encode_indices(decode_indices("10 2 2 8 4 2", 11)) == "2 10"


def test_runs_are_as_long_as_they_can_be():
    """A full column beside a full column is one run, though the pixels lie at opposite borders."""
    assert encode(np.ones((5, 3))) == "1 15"


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32])
def test_every_value_other_than_zero_is_ship(dtype):
    assert encode(np.array([[0, 255], [1, 0]]).astype(dtype)) == "2 2"


def test_mask_that_is_not_contiguous():
    mask = np.arange(48).reshape(6, 8) % 5 == 0

    assert np.array_equal(decode(encode(mask[::2, 1::3]), (3, 3)), mask[::2, 1::3])
    assert np.array_equal(decode(encode(mask.T), (8, 6)), mask.T)


@pytest.mark.parametrize("text", ["", " ", "\n"])
def test_empty_text_is_an_empty_mask(text):
    assert decode(text, (2, 3)).tolist() == [[0, 0, 0], [0, 0, 0]]
    assert decode_indices(text, 6).size == 0
    assert encode(np.zeros((2, 3))) == ""


@pytest.mark.parametrize("shape", [(4,), (2, 2, 1)])
def test_mask_of_other_dimensions_is_refused(shape):
    with pytest.raises(InputError, match="shape"):
        encode(np.zeros(shape))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1 2 3", "3 fields"),
        ("7", "odd"),
        ("0 2", "holds 0"),
        ("3 0", "holds 0"),
        ("3 -1", "holds -1"),
        ("a b", "'a b' is no list of whole numbers"),
        ("1.5 2", "whole numbers"),
        ("nan 2", "whole numbers"),
        ("1_0 1", "whole numbers"),
        ("+1 1", "whole numbers"),
        ("\u0661 1", "whole numbers"),
        ("99999999999999999999 1", "whole numbers"),
        ("1 99999999999999999999", "whole numbers"),
        ("12 2", "'12 2' leaves the image of 12 pixels"),
        ("13 1", "leaves"),
        ("1 2 4 10", "'4 10' leaves"),
        ("1 99999999999", "leaves"),
        (f"{2**63 - 1} {2**63 - 1}", "leaves"),
    ],
)
def test_bad_text_is_refused_with_its_reason(text, reason):
    with pytest.raises(InputError, match=reason):
        decode(text, (3, 4))
    with pytest.raises(InputError, match=reason):
        decode_indices(text, 12)


def test_last_pixel_is_still_inside():
    assert decode("12 1", (3, 4))[2, 3] == 1


def test_long_bad_text_is_shortened_in_the_message():
    with pytest.raises(InputError) as caught:
        decode_indices("x " * 1000, 12)
    assert len(str(caught.value)) < 100


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1 99999999999", "99999999999 ship pixels, more than 2147483648"),
        ("1 3000000000", "3000000000 ship pixels"),
        ("1 2000000000 9000000000 2000000000", "4000000000 ship pixels"),
        ("9999999999999 1", "leaves the image of 1099511627776 pixels"),
        (f"{2**63 - 1} {2**63 - 1}", "leaves"),
    ],
)
def test_huge_run_is_refused_without_taking_memory(text, reason, peak_memory):
    """In an image as large as scenes may be."""
    with pytest.raises(InputError, match=reason):
        decode_indices(text, 2**40)
    assert peak_memory() < 1e6


def test_a_ship_anywhere_in_a_scene_is_read(peak_memory):
    """60,000 x 60,000 pixels are 3.6 billion."""
    assert decode_indices("3599999999 2", 60_000**2).tolist() == [3_599_999_998, 3_599_999_999]
    assert peak_memory() < 1e6


def test_text_that_repeats_itself_takes_no_more_memory(peak_memory):
    """500 times the same 768 x 768 pixels are 295 million pixels, 2.4 GB of indices; the mask has 0.6 million."""
    mask = decode("1 589824 " * 500, (768, 768))

    assert mask.all()
    assert peak_memory() < 50e6
