"""Image files to arrays, whatever their format, and nothing about what they show."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, TypeVar

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.ExifTags import Base
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import IMAGELENGTH, IMAGEWIDTH, TILELENGTH, TILEWIDTH, TiffImageFile
from tqdm import tqdm

from shipseg_tiles.errors import InputError, warn_skipped
from shipseg_tiles.names import checked_name
from shipseg_tiles.zipped import AnyPath, list_members

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp"})
"""Suffixes, in lower case, of the files that count as images in a folder."""

MAXIMUM_PIXELS = 2**30
"""Larger images are refused before memory is taken for them; 1,073,741,824 pixels take 3.2 GB."""

MAXIMUM_SIDE = 2**17
"""Longer ones are refused, too: an image of one line takes as much memory as the tiles that it is predicted in."""

_FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "WEBP")
"""What these files hold, as Pillow calls it. It knows more, some by other programs: PostScript would be run."""

TILE_PIXELS = 2**22
"""A TIFF in larger tiles is refused unless the image is larger still: a tile is unpacked whole, whatever it shows."""

_JPEG_TAIL_BYTES = 2**12
"""The end marker of a JPEG is among so many last bytes: cameras and programs leave a few behind it."""

REDUCTION = 8
"""How many times `read_reduced` shrinks an image: the side of the squares that a JPEG is made of."""

# Pillow takes satellite scenes for an attack. Whoever opens an image here looks at its size before decoding it.
Image.MAX_IMAGE_PIXELS = None

Pixel = TypeVar("Pixel", np.uint8, np.float32)

_MODES_WITH_8_BITS = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"}


def list_images(source: Path) -> list[AnyPath]:
    """List image files, sorted by name.

    Args:
        source: A folder, whose images lie directly inside; a zip, or a folder inside one (`images.zip/train_v2`),
            with images however deep; or one image file, which may lie in a zip.

    Raises:
        InputError: If the source is missing or holds no image, two images in a zip have one name, or a name is none
            that outputs could hold, see `checked_name`.
    """
    members = list_members(source)
    if members is not None:
        found: list[AnyPath] = [*members]
    elif source.is_dir():
        found = [Path(entry) for entry in os.scandir(source) if _may_be_read(entry)]
    elif source.is_file() and is_image_name(source.name):
        found = [source]
    else:
        raise InputError(f"{source} is no folder, zip or image; give one of them")
    paths = sorted((path for path in found if is_image_name(path.name)), key=lambda path: path.name)
    if not paths:
        raise InputError(f"{source} holds no image; names must end in {', '.join(sorted(IMAGE_SUFFIXES))}")
    for path in paths:
        checked_name(path.name, str(source))
    for path, following in pairwise(paths):
        if path.name == following.name:
            raise InputError(f"{path} and {following} have one name; give one of the folders, as {source}/FOLDER")
    return paths


def _may_be_read(entry: os.DirEntry[str]) -> bool:
    """Say whether an entry of a folder is a file or a link to one: to read from a pipe would take for ever.

    A link that leads nowhere is told of when it is read.
    """
    if not entry.is_symlink():
        return entry.is_file()
    return Path(entry).is_file() or not Path(entry).exists()


def is_image_name(name: str) -> bool:
    """Say whether a file of this name counts as an image; hidden files never do."""
    return Path(name).suffix.lower() in IMAGE_SUFFIXES and not name.startswith(".")


def read_image(path: AnyPath) -> NDArray[np.uint8]:
    """Read an image file as uint8 (height, width, 3), red first.

    Gray becomes three equal channels; transparency is dropped, as the colours below it are the measured ones. Pixels
    lie as they are stored, however an orientation tag would turn them, because labels and masks are of those.

    Raises:
        InputError: If the file is missing, is no image, is damaged, has more than 8 bits a channel, is larger than
            `MAXIMUM_PIXELS`, or has a side above `MAXIMUM_SIDE`.
    """
    return decode_image(_bytes_of(path), str(path))


def decode_image(data: bytes, name: str) -> NDArray[np.uint8]:
    """As `read_image`, from the file's bytes; `name` is for messages only."""
    if data[:2] == b"\xff\xd8":
        _check_size(*_jpeg_size(data, name), name)
        try:
            return np.asarray(simplejpeg.decode_jpeg(data, "RGB"), dtype=np.uint8)
        except ValueError as error:
            # The strict decoder stops at any oddity. Pillow has the last word: it accepts harmless ones, but also
            # bytes that are missing inside, which it replaces by gray.
            if "premature end" in str(error):
                raise InputError(f"{name} is damaged ({error}); fetch it again or remove it") from None
    with _opened(BytesIO(data), name) as image:
        _check_size(image.height, image.width, name)
        if isinstance(image, TiffImageFile):  # the only one that Pillow turns
            image.getexif()[Base.Orientation] = 1
        return np.array(image.convert("RGB"), dtype=np.uint8)


def readable_images(paths: Sequence[AnyPath], task: str) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Yield name and pixels of image files, with a progress bar called `task`; bad ones are left out with a warning."""
    for path in tqdm(paths, desc=task, unit="image", disable=None):
        try:
            image = read_image(path)
        except InputError as error:
            warn_skipped(path.name, error)
        else:
            yield path.name, image


def read_size(path: AnyPath, *, to_decode: bool = True) -> tuple[int, int]:
    """Read (height, width) of an image from its header, without decoding it.

    Args:
        path: The file.
        to_decode: Whether it is to be decoded later. Then one that is too large is refused, and a JPEG without
            end marker near its end, which finds cut-off downloads early. Else it may be a TIFF of any kind.

    Raises:
        InputError: As `read_image`.
    """
    try:
        with _opened(path if isinstance(path, Path) else path.open(), str(path)) as image:
            if to_decode:
                _check_size(image.height, image.width, str(path))
                _check_whole(image, str(path))
            if isinstance(image, TiffImageFile):  # Pillow tells the size that it will have when turned
                return int(image.tag_v2[IMAGELENGTH]), int(image.tag_v2[IMAGEWIDTH])
            return image.height, image.width
    except InputError:
        size = None if to_decode else _size_of_any_tiff(path)
        if size is None:
            raise
        return size


def _size_of_any_tiff(path: AnyPath) -> tuple[int, int] | None:
    """Read (height, width) of a TIFF, also of one that Pillow cannot decode; None if it is none."""
    from tifffile import TiffFile  # slow to load, and few need it

    try:
        with path.open("rb") as file, TiffFile(file) as tiff:
            page = tiff.pages.first
            return page.imagelength, page.imagewidth
    except Exception:  # of damaged files nearly every kind
        return None


def read_reduced(path: AnyPath) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Read an image at an eighth of its size, which is much faster than a full decode if it is a JPEG.

    Returns:
        uint8 (height / 8, width / 8, 3), red first, each pixel the mean of 8 x 8; where sizes do not divide by 8, a
        last row or column may be of fewer pixels or missing. And (height, width) of the full image.

    Raises:
        InputError: As `read_image` and `read_size`.
    """
    data, name = _bytes_of(path), str(path)
    if data[:2] == b"\xff\xd8":
        size = _jpeg_size(data, name)
        _check_size(*size, name)
        _check_end(data[-_JPEG_TAIL_BYTES:], name)
        with suppress(ValueError):  # `decode_image` knows whether the oddity is harmless
            small = simplejpeg.decode_jpeg(data, "RGB", min_height=1, min_width=1, min_factor=REDUCTION)
            return np.asarray(small, dtype=np.uint8), size
    image = decode_image(data, name)
    height, width = image.shape[0] // REDUCTION, image.shape[1] // REDUCTION
    cells = image[: height * REDUCTION, : width * REDUCTION].reshape(height, REDUCTION, width, REDUCTION, 3)
    return cells.mean(axis=(1, 3), dtype=np.float32).round().astype(np.uint8), (image.shape[0], image.shape[1])


@contextmanager
def _opened(source: Path | BinaryIO, name: str) -> Iterator[ImageFile]:
    """Open an image with Pillow, check its header, and make every error of the block an `InputError`."""
    try:
        with Image.open(source, formats=_FORMATS) as image:
            check_depth(image, name)
            _check_tiles(image, name)
            yield image
    except (InputError, MemoryError):
        raise
    except FileNotFoundError:
        raise InputError(f"{name} does not exist") from None
    except UnidentifiedImageError:
        if name.lower().endswith((".tif", ".tiff")):
            raise InputError(
                f"{name} is damaged, or a TIFF that predict alone reads, and on disk, not in a zip; fetch it again, or"
                " convert it to 8 bits a channel"
            ) from None
        raise InputError(f"{name} is damaged or no image; fetch it again or remove it") from None
    except Exception as error:  # Pillow's plugins raise nearly every kind: OSError, SyntaxError, struct.error ...
        raise InputError(f"{name} is damaged or no image ({error}); fetch it again or remove it") from None


def _jpeg_size(data: bytes, name: str) -> tuple[int, int]:
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError as error:
        raise InputError(f"{name} is damaged ({error}); fetch it again or remove it") from None
    return int(height), int(width)


def is_too_large(height: int, width: int) -> bool:
    """Say whether an image of that size is refused."""
    return height * width > MAXIMUM_PIXELS or max(height, width) > MAXIMUM_SIDE


def _check_size(height: int, width: int, name: str) -> None:
    if is_too_large(height, width):
        many = height * width > MAXIMUM_PIXELS
        limit = f"more than {MAXIMUM_PIXELS}" if many else f"a side above {MAXIMUM_SIDE}"
        raise InputError(f"{name} has {height} x {width} pixels, {limit}; cut it into parts")


def _check_whole(image: ImageFile, name: str) -> None:
    if image.format == "JPEG" and image.fp:
        image.fp.seek(max(image.fp.seek(0, os.SEEK_END) - _JPEG_TAIL_BYTES, 0))
        _check_end(image.fp.read(), name)


def _check_end(last: bytes, name: str) -> None:
    if b"\xff\xd9" not in last:
        raise InputError(f"{name} is cut off: a JPEG ends with its end marker; fetch it again or remove it")


def check_depth(image: ImageFile, name: str) -> None:
    """Refuse an open image that has more than 8 bits a channel.

    Pillow opens colours of 16 bits as if they were of 8 and keeps the upper half; only the raw mode tells.

    Raises:
        InputError: If it has.
    """
    of_16_bits = re.search(r"\w+;16[BLN]", str(image.tile))
    if of_16_bits or image.mode not in _MODES_WITH_8_BITS:
        mode = of_16_bits.group() if of_16_bits else image.mode
        raise InputError(f"{name} has pixels of mode {mode}; convert it to 8 bits a channel first")


def _check_tiles(image: ImageFile, name: str) -> None:
    if not isinstance(image, TiffImageFile):
        return
    height, width = (int(image.tag_v2.get(tag, 0)) for tag in (TILELENGTH, TILEWIDTH))
    if height * width > max(TILE_PIXELS, image.height * image.width):
        raise InputError(f"{name} is stored in tiles of {height} x {width} pixels; write it anew in smaller ones")


def resize_image(pixels: NDArray[Pixel], shape: tuple[int, int]) -> NDArray[Pixel]:
    """Shrink by the mean over the area that a pixel covers, or enlarge by linear interpolation.

    Args:
        pixels: uint8 (height, width, 3), or uint8 or float32 (height, width).
        shape: (height, width) of the result.
    """
    shrinks = shape[0] * shape[1] < pixels.shape[0] * pixels.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, (shape[1], shape[0]), interpolation=method), dtype=pixels.dtype)


def _bytes_of(path: AnyPath) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
