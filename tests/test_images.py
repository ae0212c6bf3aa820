import os
import shutil
import struct
import subprocess
import sys
import tracemalloc
import warnings
import zlib
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image
from PIL.ExifTags import Base
from PIL.TiffImagePlugin import TILELENGTH, TILEWIDTH

from shipseg_tiles.errors import InputError
from shipseg_tiles.images import (
    MAXIMUM_PIXELS,
    MAXIMUM_SIDE,
    decode_image,
    is_image_name,
    list_images,
    read_image,
    read_reduced,
    read_size,
    resize_image,
)
from shipseg_tiles.zipped import ZipMember

ORIENTATION = Base.Orientation.value


@pytest.fixture
def sea():
    """A smooth picture of 37 x 53 pixels, which JPEG keeps nearly as it is: red grows down, green to the right."""
    rows, columns = np.mgrid[:37, :53]
    return np.stack((rows * 4, columns * 3, np.full_like(rows, 90)), axis=-1).astype(np.uint8)


@pytest.fixture
def jpeg(sea, tmp_path):
    path = tmp_path / "sea.jpg"
    Image.fromarray(sea).save(path, quality=95)
    return path


def png_bytes(height, width, bit_depth, colour_type, pixels=b""):
    """Write a PNG by hand, since Pillow makes neither a false header nor colours of 16 bits."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, bit_depth, colour_type, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def with_jpeg_size(data, height, width):
    """Return the JPEG `data` with another size in its frame header: marker, length, precision, height, width."""
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def test_png_comes_back_exactly(sea, tmp_path):
    Image.fromarray(sea).save(tmp_path / "sea.png")

    image = read_image(tmp_path / "sea.png")

    assert image.dtype == np.uint8
    assert np.array_equal(image, sea)


def test_jpeg_comes_back_nearly_and_red_first(sea, jpeg):
    image = read_image(jpeg)

    assert image.dtype == np.uint8
    assert image.shape == (37, 53, 3)
    assert np.abs(image.astype(int) - sea).max() <= 12
    assert np.array_equal(decode_image(jpeg.read_bytes(), "sea"), image)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "LA", "1"])
def test_every_mode_of_png_becomes_three_channels(mode, sea, tmp_path):
    stored = Image.fromarray(sea).convert(mode)
    stored.save(tmp_path / "sea.png")

    image = read_image(tmp_path / "sea.png")

    assert np.array_equal(image, np.asarray(stored.convert("RGB")))
    if mode in ("L", "LA", "1"):
        assert np.array_equal(image[..., 0], image[..., 2])


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_every_mode_of_jpeg_becomes_three_channels(mode, sea, tmp_path):
    stored = Image.fromarray(sea).convert(mode)
    stored.save(tmp_path / "sea.jpg", quality=95)

    image = read_image(tmp_path / "sea.jpg")

    assert image.shape == (37, 53, 3)
    assert np.abs(image.astype(int) - np.asarray(stored.convert("RGB"))).max() <= 12


def test_transparency_is_dropped_not_blended(sea, tmp_path):
    invisible = np.dstack((sea, np.zeros((37, 53), dtype=np.uint8)))
    Image.fromarray(invisible).save(tmp_path / "sea.png")

    assert np.array_equal(read_image(tmp_path / "sea.png"), sea)


@pytest.mark.parametrize("suffix", [".tif", ".bmp", ".PNG"])
def test_other_formats(suffix, sea, tmp_path):
    Image.fromarray(sea).save(tmp_path / f"sea{suffix}")

    assert np.array_equal(read_image(tmp_path / f"sea{suffix}"), sea)
    assert read_size(tmp_path / f"sea{suffix}") == (37, 53)


def turned(suffix):
    """What tells a program to turn an image of this format by a quarter when it is shown: Exif, or a TIFF's own tag."""
    orientation = Image.Exif()
    orientation[ORIENTATION] = 6
    return {"tiffinfo": {ORIENTATION: 6}} if suffix == ".tif" else {"exif": orientation}


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_pixels_come_as_they_are_stored_however_a_tag_turns_them(suffix, sea, tmp_path):
    """A mask or a label is of the stored pixels. Pillow turns TIFFs alone."""
    path = tmp_path / f"sea{suffix}"
    Image.fromarray(sea).save(path, quality=95, lossless=True, **turned(suffix))

    assert np.abs(read_image(path).astype(int) - sea).max() <= (12 if suffix == ".jpg" else 0)
    assert read_size(path) == (37, 53)
    small, size = read_reduced(path)
    assert size == (37, 53)
    assert small[:4, :6, 0].tolist() == pytest.approx(np.repeat([[14], [46], [78], [110]], 6, axis=1), abs=2)


@pytest.mark.parametrize("tag", ["compressed", "xmp", "tiled"])
def test_however_a_tiff_is_written_it_is_not_turned(tag, sea, tmp_path):
    """Pillow reads compressed ones in another way, and finds an orientation in XMP too."""
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf tiff:Orientation="6"/></x:xmpmeta>'
    tags = {
        "compressed": {"tiffinfo": {ORIENTATION: 6}, "compression": "tiff_deflate"},
        "xmp": {"tiffinfo": {700: xmp}},
        "tiled": {"tiffinfo": {ORIENTATION: 5, TILEWIDTH: 64, TILELENGTH: 64}, "compression": "tiff_lzw"},
    }
    Image.fromarray(sea).save(tmp_path / "sea.tif", **tags[tag])

    assert np.array_equal(read_image(tmp_path / "sea.tif"), sea)
    assert read_size(tmp_path / "sea.tif") == (37, 53)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 17), (19, 1), (7, 13), (301, 203)])
def test_odd_sizes(height, width, suffix, tmp_path):
    path = tmp_path / f"gray{suffix}"
    Image.fromarray(np.full((height, width, 3), 100, dtype=np.uint8)).save(path)

    assert read_size(path) == (height, width)
    assert read_image(path).shape == (height, width, 3)
    assert np.all(np.abs(read_image(path).astype(int) - 100) <= 2)


def test_the_content_counts_not_the_suffix(sea, tmp_path):
    Image.fromarray(sea).save(tmp_path / "sea.png")
    renamed = shutil.move(tmp_path / "sea.png", tmp_path / "sea.jpg")

    assert np.array_equal(read_image(renamed), sea)
    assert read_size(renamed) == (37, 53)


@pytest.mark.parametrize("part", [0.02, 0.5, 0.7, 0.95])
def test_truncated_jpeg_is_refused(part, jpeg):
    data = jpeg.read_bytes()
    jpeg.write_bytes(data[: int(len(data) * part)])

    for read in (read_image, read_size):
        with pytest.raises(InputError, match=r"sea\.jpg .*fetch it again"):
            read(jpeg)


@pytest.mark.parametrize("garbage", [bytes(4), b"garbage", bytes(3000)])
def test_jpeg_with_garbage_after_its_end_can_be_read(garbage, jpeg):
    """The strict decoder may complain about it; the pixels are all there."""
    whole = read_image(jpeg)
    small, _ = read_reduced(jpeg)
    jpeg.write_bytes(jpeg.read_bytes() + garbage)

    assert np.array_equal(read_image(jpeg), whole)
    assert read_size(jpeg) == (37, 53)
    assert np.array_equal(read_reduced(jpeg)[0], small)


def test_jpeg_with_garbage_before_its_end_can_be_read(jpeg):
    """The strict decoder refuses it."""
    whole, data = read_image(jpeg), jpeg.read_bytes()
    jpeg.write_bytes(data[:-2] + bytes(9) + data[-2:])

    assert np.array_equal(read_image(jpeg), whole)


def test_jpeg_that_ended_long_ago_is_cut_off(jpeg):
    """A JPEG inside, such as a thumbnail, has an end too."""
    jpeg.write_bytes(jpeg.read_bytes() + bytes(5000))

    for read in (read_size, read_reduced):
        with pytest.raises(InputError, match=r"sea\.jpg is cut off"):
            read(jpeg)


def test_jpeg_that_lacks_its_middle_is_refused(jpeg):
    """Pillow would fill it up with gray."""
    data = jpeg.read_bytes()
    jpeg.write_bytes(data[: int(0.7 * len(data))] + data[-2:])

    for read in (read_image, read_reduced):
        with pytest.raises(InputError, match=r"sea\.jpg is damaged"):
            read(jpeg)


def test_truncated_png_is_refused(sea, tmp_path):
    path = tmp_path / "sea.png"
    Image.fromarray(sea).save(path)
    path.write_bytes(path.read_bytes()[:-60])

    with pytest.raises(InputError, match=r"sea\.png is damaged"):
        read_image(path)


@pytest.mark.parametrize("content", [b"", b"\xff\xd8", b"\xff\xd8\xff", b"ImageId,EncodedPixels\n", b"\0" * 500])
def test_what_is_no_image_is_refused(content, tmp_path):
    path = tmp_path / "notes.jpg"
    path.write_bytes(content)

    for read in (read_image, read_size):
        with pytest.raises(InputError, match=r"notes\.jpg is damaged") as caught:
            read(path)
        assert "BytesIO" not in str(caught.value)  # what Pillow calls data that it was given


@pytest.mark.parametrize("kind", ["EPS", "GIF", "ICO", "PPM", "TGA"])
def test_what_no_suffix_stands_for_is_refused_whatever_it_is_called(kind, sea, tmp_path):
    """Pillow would read all of them, PostScript by running it."""
    Image.fromarray(sea).save(tmp_path / "sea.jpg", kind)

    for read in (read_image, read_size):
        with pytest.raises(InputError, match=r"sea\.jpg is damaged or no image"):
            read(tmp_path / "sea.jpg")


def tiff_bytes(side, tile):
    """Write a black TIFF of one tile by hand: pairs of tag and value, as in its specification."""
    pixels = zlib.compress(bytes(tile**2))
    entries = [(256, side), (257, side), (258, 8), (259, 8), (262, 1), (277, 1), (322, tile), (323, tile)]
    entries += [(324, 8 + 2 + 12 * 10 + 4), (325, len(pixels))]
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + directory + bytes(4) + pixels


def test_a_tiff_in_giant_tiles_is_refused_before_one_is_unpacked(tmp_path):
    """A tile may be larger than the image, but not by any amount: 4096 px squared take 16 MB for an image of 8 x 8."""
    for tile in (512, 4096):
        (tmp_path / f"{tile}.tif").write_bytes(tiff_bytes(8, tile))

    assert read_image(tmp_path / "512.tif").shape == (8, 8, 3)
    for read in (read_image, read_size):
        with pytest.raises(InputError, match=r"4096\.tif is stored in tiles of 4096 x 4096 pixels; write it anew"):
            read(tmp_path / "4096.tif")


@pytest.mark.parametrize("read", [read_image, read_size])
def test_missing_file_and_folder_are_refused(read, tmp_path):
    with pytest.raises(InputError, match=r"gone\.jpg does not exist"):
        read(tmp_path / "gone.jpg")
    with pytest.raises(InputError, match="directory"):
        read(tmp_path)


@pytest.mark.parametrize("read", [read_image, read_size])
@pytest.mark.parametrize(("dtype", "suffix"), [(np.uint16, ".png"), (np.uint16, ".tif"), (np.float32, ".tif")])
def test_gray_of_more_than_8_bits_is_refused(dtype, suffix, read, tmp_path):
    path = tmp_path / f"deep{suffix}"
    Image.fromarray(np.full((4, 5), 300, dtype=dtype)).save(path)

    with pytest.raises(InputError, match=rf"deep\{suffix} .*8 bits"):
        read(path)


@pytest.mark.parametrize("read", [read_image, read_size])
@pytest.mark.parametrize(("colour_type", "channels"), [(2, 3), (6, 4), (4, 2)])
def test_16_bit_colours_are_refused(colour_type, channels, read, tmp_path):
    """Pillow would keep the upper byte only: a sensor's value of 300 became 1, nearly black."""
    path = tmp_path / "deep.png"
    row = b"\0" + struct.pack(">H", 300) * channels * 5
    path.write_bytes(png_bytes(4, 5, 16, colour_type, row * 4))

    with pytest.raises(InputError, match=r"deep\.png .*8 bits"):
        read(path)


@pytest.mark.parametrize("read", [read_image, read_size, read_reduced])
@pytest.mark.parametrize(("height", "width"), [(2**15, 2**15 + 1), (60_000, 60_000), (2**31 - 1, 2**31 - 1)])
def test_giant_png_is_refused_by_its_header(height, width, read, tmp_path):
    path = tmp_path / "giant.png"
    path.write_bytes(png_bytes(height, width, 8, 2))

    with pytest.raises(InputError, match=rf"giant\.png has .*more than {MAXIMUM_PIXELS}"):
        read(path)


@pytest.mark.parametrize("read", [read_image, read_size, read_reduced])
def test_an_image_as_long_as_none_is_refused(read, tmp_path):
    """One line of 10 million pixels takes 29 kB on disk, and 30 GB under a row of tiles of 768 px."""
    path = tmp_path / "line.png"
    path.write_bytes(png_bytes(1, MAXIMUM_SIDE + 1, 8, 2))

    with pytest.raises(InputError, match=rf"line\.png has 1 x 131073 pixels, a side above {MAXIMUM_SIDE}; cut it"):
        read(path)


def test_an_image_that_memory_does_not_hold_is_not_called_damaged(tmp_path):
    """600 MB in a process that may have 200 more than it has."""
    Image.new("1", (20_000, 10_000)).save(tmp_path / "large.png")
    script = (
        "import resource, sys; from pathlib import Path; from shipseg_tiles.images import read_image\n"
        "taken = 1024 * int(Path('/proc/self/status').read_text().split('VmSize:')[1].split()[0])\n"
        "resource.setrlimit(resource.RLIMIT_AS, (taken + 200 * 2**20, -1))\n"
        "try:\n    read_image(Path(sys.argv[1]))\nexcept MemoryError:\n    print('memory')"
    )

    ended = subprocess.run([sys.executable, "-c", script, str(tmp_path / "large.png")], capture_output=True, text=True)

    assert (ended.stdout, ended.stderr) == ("memory\n", "")


@pytest.mark.parametrize("read", [read_image, read_size, read_reduced])
def test_giant_jpeg_is_refused_by_its_header(read, jpeg):
    jpeg.write_bytes(with_jpeg_size(jpeg.read_bytes(), 40_000, 40_000))

    tracemalloc.start()
    with pytest.raises(InputError, match=rf"sea\.jpg has .*more than {MAXIMUM_PIXELS}"):
        read(jpeg)
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert taken < 10e6  # the pixels would take 4.8 GB


def test_largest_size_is_accepted_without_a_warning(jpeg, tmp_path):
    """32,768 squared is the limit itself; Pillow alone refuses everything above 178,956,970 pixels."""
    (tmp_path / "scene.png").write_bytes(png_bytes(2**15, 2**15, 8, 2))
    jpeg.write_bytes(with_jpeg_size(jpeg.read_bytes(), 2**15, 2**15))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_size(tmp_path / "scene.png") == (2**15, 2**15)
        assert read_size(jpeg) == (2**15, 2**15)


def test_images_are_listed_by_name(tmp_path):
    for name in ("b.jpg", "a.PNG", "c.tiff", "B.jpeg", ".hidden.jpg", "labels.csv", "jpg", "d.jpg.part"):
        (tmp_path / name).touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "deeper.jpg").touch()

    assert [path.name for path in list_images(tmp_path)] == ["B.jpeg", "a.PNG", "b.jpg", "c.tiff"]
    assert all(path.parent == tmp_path for path in list_images(tmp_path))


def test_a_folder_with_the_name_of_an_image_is_no_image_but_a_broken_link_is_missing(tmp_path):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "link.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "loop.txt").symlink_to("loop.txt")

    (link,) = list_images(tmp_path)

    with pytest.raises(InputError, match=r"link\.png does not exist"):
        read_size(link)


@pytest.mark.parametrize("name", [b"caf\xe9.png", b"a\nb.png"])
@pytest.mark.parametrize("others", [[], ["a.png"], ["z.png"], ["a.png", "z.png"]])
def test_names_that_no_output_could_hold_are_refused_wherever_they_stand(name, others, tmp_path):
    """The first one is Latin-1."""
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    for each in [path, *(tmp_path / other for other in others)]:
        each.touch()

    for source in (tmp_path, path):
        with pytest.raises(InputError, match="is no plain file name"):
            list_images(source)


def test_a_pipe_is_no_image_and_a_link_that_leads_nowhere_is_told_of_later(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "broken.jpg").symlink_to(tmp_path / "none.jpg")

    assert list_images(tmp_path) == [tmp_path / "broken.jpg"]


def test_an_image_inside_a_zip_is_listed(tmp_path):
    archive = tmp_path / "x.zip"
    with ZipFile(archive, "w") as file:
        for name in ("train/a.jpg", "train/a.jpg.txt", "train/b.jpg"):
            file.writestr(name, b"")

    assert list_images(archive / "train" / "a.jpg") == [ZipMember(archive, "train/a.jpg")]
    assert [path.name for path in list_images(archive / "train")] == ["a.jpg", "b.jpg"]


def test_folders_without_images_are_refused(tmp_path):
    (tmp_path / "labels.csv").touch()
    with pytest.raises(InputError, match="holds no image"):
        list_images(tmp_path)
    with pytest.raises(InputError, match=r"labels\.csv is no folder, zip or image"):
        list_images(tmp_path / "labels.csv")
    for name in ("gone", "gone.jpg"):
        with pytest.raises(InputError, match=f"{name} is no folder, zip or image"):
            list_images(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("x.jpg", True), ("x.TIFF", True), ("x.y.webp", True), (".x.jpg", False), ("x.csv", False), (".jpg", False)],
)
def test_image_names(name, expected):
    assert is_image_name(name) is expected


def test_shrinking_takes_the_mean_of_the_area():
    """Of 2 x 3 cells of 2 x 2 pixels: (0 + 0 + 100 + 100) / 4 = 50 and so on."""
    pixels = np.array([[0, 0, 8, 8, 1, 3], [100, 100, 8, 8, 1, 3]], dtype=np.uint8)

    assert resize_image(pixels, (1, 3)).tolist() == [[50, 8, 2]]
    assert resize_image(pixels.astype(np.float32), (1, 3)).tolist() == [[50, 8, 2]]
    assert resize_image(np.stack([pixels] * 3, axis=-1), (1, 3)).tolist() == [[[50] * 3, [8] * 3, [2] * 3]]


def test_no_pixel_is_left_out_however_much_an_image_shrinks():
    """Between two pixels of four, an interpolation would forget the two outer ones."""
    pixels = np.random.default_rng(0).integers(256, size=(64, 64), dtype=np.uint8)

    means = pixels.reshape(16, 4, 16, 4).mean(axis=(1, 3))
    assert np.abs(resize_image(pixels, (16, 16)) - means).max() <= 0.5


def test_enlarging_interpolates_and_the_same_size_changes_nothing():
    """Between 0 and 100 over two pixels, four pixels are at a quarter of the way from centre to centre: 0 25 75 100."""
    pixels = np.array([[0, 100]], dtype=np.float32)

    assert resize_image(pixels, (1, 4)).tolist() == [[0, 25, 75, 100]]
    assert np.array_equal(resize_image(pixels, (1, 2)), pixels)
