import tracemalloc
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from shipseg_tiles import rle
from shipseg_tiles.connected import separate_objects
from shipseg_tiles.errors import InputError
from shipseg_tiles.masks import MaskFile, read_mask, write_mask

fast = settings(deadline=None, max_examples=60)
masks = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 1))

CORNER = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0]], dtype=np.uint8)
"""One 8-connected object. Pixels count down columns of 3: 1 2 and 4 5 are the square, 9 touches it by a corner."""


def write_with_fields(path, mask, **fields):
    """Write a mask PNG with the given text fields, as another program might."""
    info = PngInfo()
    for name, text in fields.items():
        info.add_text(name, text, zip=True)
    Image.fromarray(mask * np.uint8(255)).save(path, pnginfo=info)


@pytest.mark.parametrize("shape", [(4, 5, 3), (5,), (0, 4)])
def test_what_is_no_mask_is_not_written(shape, tmp_path):
    with pytest.raises(InputError, match=r"a mask has the shape \(height, width\), not"):
        write_mask(tmp_path / "a.png", np.ones(shape), "a.jpg")
    assert not list(tmp_path.iterdir())


@fast
@given(masks)
def test_mask_without_ships_given_comes_back_as_its_objects(tmp_path_factory, mask):
    path = tmp_path_factory.mktemp("mask") / "a.png"
    write_mask(path, mask, "a.tif")

    expected = tuple(rle.encode_indices(pixels) for pixels in separate_objects(mask))
    assert read_mask(path) == MaskFile("a.tif", mask.shape, expected)


@fast
@given(st.data(), st.integers(2, 12), st.integers(2, 12))
def test_ships_come_back_however_they_touch_or_overlap(tmp_path_factory, data, height, width):
    ships = []
    for _ in range(data.draw(st.integers(0, 4))):
        top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
        box = np.zeros((height, width), dtype=np.uint8)
        box[top : data.draw(st.integers(top + 1, height)), left : data.draw(st.integers(left + 1, width))] = 1
        ships.append(rle.encode(box))
    mask = rle.decode(" ".join(ships), (height, width))
    path = tmp_path_factory.mktemp("mask") / "a.png"

    write_mask(path, mask, "a.jpg", ships)

    assert read_mask(path) == MaskFile("a.jpg", (height, width), tuple(ships))


def test_mask_file_is_0_and_255_for_any_other_program(tmp_path):
    write_mask(tmp_path / "a.png", CORNER, "a.jpg", ["1 2", "4 2", "9 1"])

    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "L"
        assert np.array_equal(np.asarray(image), CORNER * 255)


def test_two_halves_of_one_object_stay_two_ships_until_the_mask_is_edited(tmp_path):
    """The square is two ships of one column each. Painted over at pixel 12, the fields no longer are the mask.

    The objects of the edited mask: the one of `CORNER`, and pixel 12, which touches pixel 9: all one object.
    """
    path = tmp_path / "a.png"
    write_mask(path, CORNER, "a.jpg", ["1 2", "4 2 9 1"])
    assert read_mask(path).ships == ("1 2", "4 2 9 1")

    with Image.open(path) as image:
        fields, pixels = dict(image.text), np.array(image)
    pixels[2, 3] = 255
    write_with_fields(path, pixels // 255, **fields)

    assert read_mask(path) == MaskFile("a.jpg", (3, 4), ("1 2 4 2 9 1 12 1",))


@pytest.mark.parametrize(
    "field",
    [
        "garbage",
        "1 2 4",
        "1 2\n4 2\n9 1\nx",
        "1 2\n4 2",  # lacks pixel 9
        "1 2\n4 2\n9 1 7 1",  # pixel 7 is water
        "1 99999999999999999999",
        "1 9999999999",
        "0 3",
        "1 -5",
        "1 2 4 2 9 1\n\n",  # a ship of no pixels
        "\n1 2 4 2 9 1",
        " \n1 2 4 2 9 1",
        "\0",
        "\U0001f6a2",
    ],
)
def test_field_that_is_not_the_mask_gives_way_to_the_objects(field, tmp_path):
    write_with_fields(tmp_path / "a.png", CORNER, ships=field, image="a.jpg")

    assert read_mask(tmp_path / "a.png") == MaskFile("a.jpg", (3, 4), ("1 2 4 2 9 1",))


def test_field_of_very_many_rows_takes_little_memory(tmp_path):
    """1,000 rows that each claim all of 512 x 512 pixels: 262 million indices, 2.1 GB, out of 9 KB of text."""
    write_with_fields(tmp_path / "a.png", np.ones((512, 512), dtype=np.uint8), ships="1 262144\n" * 1_000 + "x")

    tracemalloc.start()
    ships = read_mask(tmp_path / "a.png").ships
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert ships == ("1 262144",)
    assert taken < 100e6


@pytest.mark.parametrize("name", ["../../a.jpg", "/etc/a.jpg", "a.jpg/", "x/a.jpg", "../a"])
def test_image_field_that_holds_a_folder_is_refused(name, tmp_path):
    write_with_fields(tmp_path / "a.png", CORNER, image=name)

    with pytest.raises(InputError, match=r"a\.png: .* is no plain file name"):
        read_mask(tmp_path / "a.png")


@pytest.mark.parametrize("name", ["b.jpg", "../../b.jpg", "..\\a.jpg", "A.jpg", "", ".", "..", "a.b.jpg"])
def test_image_field_that_names_another_image_is_ignored(name, tmp_path):
    write_with_fields(tmp_path / "a.png", CORNER, image=name)

    assert read_mask(tmp_path / "a.png").image == "a.jpg"


def test_image_field_chooses_the_suffix(tmp_path):
    write_with_fields(tmp_path / "Küste 1.b.png", CORNER, image="Küste 1.b.tif")

    assert read_mask(tmp_path / "Küste 1.b.png").image == "Küste 1.b.tif"


def test_more_text_than_pillow_unpacks_still_comes_back(tmp_path):
    """Every second pixel of 600 x 600 is a run of its own: 180,000 runs of about 9 letters, 1.6 MB of text.

    Pillow refuses compressed fields that unpack to more than 1 MiB.
    """
    rows, columns = np.mgrid[:600, :600]
    left = ((rows + columns) % 2 == 0) & (columns < 300)
    right = ((rows + columns) % 2 == 0) & (columns >= 300)
    ships = (rle.encode(left), rle.encode(right))
    assert sum(map(len, ships)) > 2**20

    write_mask(tmp_path / "a.png", left | right, "a.jpg", ships)

    assert read_mask(tmp_path / "a.png").ships == ships


def palette_of(mask):
    """Two colours of a class palette; red as dark as 1 has a brightness of 0.3, which rounds to 0."""
    image = Image.fromarray(mask)
    image.putpalette([0, 0, 0, 1, 0, 0])
    return image


@pytest.mark.parametrize(
    "made",
    [
        lambda mask: Image.fromarray(mask.astype(bool)),
        lambda mask: Image.fromarray(mask),
        lambda mask: Image.fromarray(mask * np.uint8(255)),
        lambda mask: Image.fromarray(mask.astype(np.uint16)),
        lambda mask: Image.fromarray(mask.astype(np.uint16) * 256),
        lambda mask: Image.fromarray(mask.astype(np.uint16) * 65535),
        lambda mask: Image.fromarray(np.stack([mask * np.uint8(200)] * 3, axis=-1)),
        lambda mask: Image.fromarray(np.stack((mask, 0 * mask, 0 * mask), axis=-1)),
        lambda mask: Image.fromarray(np.stack((0 * mask, 0 * mask, mask), axis=-1)),
        lambda mask: Image.fromarray(np.stack((mask * 255, 0 * mask, 0 * mask, 0 * mask + 255), axis=-1)),
        lambda mask: Image.fromarray(np.stack((mask * 255, 0 * mask + 255), axis=-1), "LA"),
        palette_of,
    ],
    ids=["1 bit", "0 1", "0 255", "16 bit 1", "16 bit 256", "16 bit", "gray RGB", "red 1", "blue 1", "RGBA", "LA", "P"],
)
def test_masks_that_others_made(made, tmp_path):
    """Whatever is not black is ship, be it as dark as it can; without fields the image is a JPEG of that name."""
    made(CORNER).save(tmp_path / "a.png")

    assert read_mask(tmp_path / "a.png") == MaskFile("a.jpg", (3, 4), ("1 2 4 2 9 1",))


@pytest.mark.parametrize("channels", [3, 4])
def test_colours_of_16_bits_are_refused(channels, tmp_path):
    """Pillow keeps the upper half of each number: a mask of 0 and 255 would be empty."""
    cv2.imwrite(str(tmp_path / "a.png"), np.stack([CORNER.astype(np.uint16) * 255] * channels, axis=-1))

    with pytest.raises(InputError, match=r"a\.png has pixels of mode RGBA?;16B; convert it to 8 bits a channel first"):
        read_mask(tmp_path / "a.png")


@pytest.mark.parametrize("content", [b"", b"ImageId,EncodedPixels\n", b"\x89PNG\r\n\x1a\n", b"\0" * 300])
def test_what_is_no_png_is_refused(content, tmp_path):
    (tmp_path / "a.png").write_bytes(content)

    with pytest.raises(InputError, match=r"a\.png is damaged or no PNG"):
        read_mask(tmp_path / "a.png")


def test_jpeg_under_the_name_of_a_png_is_refused(tmp_path):
    """JPEG smears the edges of ships, so that water would count as ship."""
    Image.fromarray(CORNER * np.uint8(255)).save(tmp_path / "a.png", format="JPEG")

    with pytest.raises(InputError, match=r"a\.png is damaged or no PNG"):
        read_mask(tmp_path / "a.png")


def test_missing_mask_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"gone\.png"):
        read_mask(tmp_path / "gone.png")


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_cut_off_png_is_refused(part, tmp_path):
    path = tmp_path / "a.png"
    write_mask(path, np.random.default_rng(1).random((50, 50)) < 0.5, "a.jpg")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])

    with pytest.raises(InputError, match=r"a\.png is damaged"):
        read_mask(path)


def test_png_with_damaged_pixels_is_refused(tmp_path):
    """The pixels of the IDAT chunk stand 8 bytes behind their mark; a wrong byte there breaks the stream."""
    path = tmp_path / "a.png"
    write_mask(path, np.random.default_rng(1).random((50, 50)) < 0.5, "a.jpg")
    data = bytearray(path.read_bytes())
    begin = data.index(b"IDAT") + 4
    length = int.from_bytes(data[begin - 8 : begin - 4], "big")
    data[begin + 10 : begin + 40] = bytes(30)
    data[begin + length : begin + length + 4] = zlib.crc32(data[begin - 4 : begin + length]).to_bytes(4, "big")
    path.write_bytes(data)

    with pytest.raises(InputError, match=r"a\.png is damaged"):
        read_mask(path)


def test_giant_png_is_refused_by_its_header(tmp_path):
    path = tmp_path / "a.png"
    write_mask(path, CORNER, "a.jpg")
    data = bytearray(path.read_bytes())
    data[16:24] = (40_000).to_bytes(4, "big") * 2  # width and height, right behind the mark IHDR
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    path.write_bytes(data)

    with pytest.raises(InputError, match=r"a\.png has more than"):
        read_mask(path)
