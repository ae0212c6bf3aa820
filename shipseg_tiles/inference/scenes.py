"""Scenes as they come from satellites: GeoTIFFs read and written window by window, with their place on earth.

Only the file itself is read, by GDAL's GeoTIFF driver alone. Files beside it (.aux.xml, .msk, .ovr, .tfw) are passed
over: they may be of any format of GDAL, and some of those open other files and addresses.
"""

import errno
import math
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from PIL import Image
from PIL.TiffImagePlugin import BITSPERSAMPLE, TiffImageFile

from shipseg_tiles.errors import InputError
from shipseg_tiles.extras import import_extra
from shipseg_tiles.files import written_whole
from shipseg_tiles.images import MAXIMUM_PIXELS, TILE_PIXELS
from shipseg_tiles.inference.georeference import Georeference
from shipseg_tiles.tiling import WHOLE_NUMBER
from shipseg_tiles.zipped import AnyPath

MAXIMUM_SIDE = 2**20
"""Larger scenes are refused: lines of a million pixels, a few hundred of which are in memory at a time."""

MAXIMUM_BLOCK_BYTES = 2**30
"""Files in larger blocks are refused: a block is the least that can be read of a compressed TIFF."""

_CACHE_BYTES = 96 * 2**20
"""What GDAL may keep of unpacked blocks: more than a row of them in a scene 60,000 pixels wide."""

_ALONE = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"}
"""The empty list of neighbours keeps GDAL from looking for files beside the one that it opens."""

_PLACE_TAGS = {33550, 33922, 34264, 34735}
"""Of GeoTIFF (OGC 19-008r4): pixel scale, tie points, transformation and keys."""

_BLOCK = 512
"""Side of the tiles of rasters that are written, the size that cloud-optimised GeoTIFFs have."""

Valid = Callable[[slice, slice], NDArray[np.bool_]]
"""Says which pixels of some rows and columns hold data: bool (height, width)."""


def is_scene(path: AnyPath) -> bool:
    """Say whether a file is a TIFF on disk that only this module reads rightly.

    That is one with a place on earth, with other bands or more bits than a picture has, or of more pixels than are read
    at once. Any other is an image like a PNG. A file inside a zip cannot be read window by window.
    """
    if not isinstance(path, Path) or path.suffix.lower() not in (".tif", ".tiff"):
        return False
    try:
        with Image.open(path, formats=["TIFF"]) as image:
            assert isinstance(image, TiffImageFile)
            is_picture = image.mode in ("1", "L", "P", "RGB", "RGBA") and not _PLACE_TAGS & set(image.getexif())
            is_picture &= max(image.tag_v2.get(BITSPERSAMPLE, (1,))) <= 8  # Pillow calls colours of 16 bits RGB as well
            return not is_picture or image.width * image.height > MAXIMUM_PIXELS
    except Exception:  # Pillow's plugins raise nearly every kind; whatever it is, rasterio says it better
        return True


def parse_bands(text: str) -> tuple[int, int, int]:
    """Read the numbers of the red, green and blue band, counted from 1: "3,2,1".

    Raises:
        InputError: If these are no three whole numbers from 1.
    """
    fields = text.split(",")
    if len(fields) != 3 or not all(WHOLE_NUMBER.fullmatch(field) and int(field) for field in fields):
        raise InputError(f"bands {text!r}: give those of red, green and blue, counted from 1, such as 3,2,1")
    red, green, blue = map(int, fields)
    return red, green, blue


def parse_scale(text: str) -> tuple[float, float]:
    """Read the values that become black and white: "0,3000".

    Raises:
        InputError: If these are no two numbers, or the second is not above the first.
    """
    try:
        low, high = map(float, text.split(","))
    except ValueError:
        raise InputError(f"scale {text!r}: give the values of black and white, such as 0,3000") from None
    return _checked_scale(low, high)


def _checked_scale(low: float, high: float) -> tuple[float, float]:
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InputError(f"scale {low:g},{high:g}: the value of white must be above that of black, such as 0,3000")
    return low, high


class Scene:
    """The pixels of an open GeoTIFF, read when they are asked for; threads may share it.

    Attributes:
        path: The file.
        shape: (height, width, 3).
        georeference: Where it lies; None if the file does not say.
        has_gaps: Whether the file can mark pixels as holding no data. If not, all are valid.
    """

    def __init__(self, path: Path, dataset: Any, bands: Sequence[int], scale: tuple[float, float] | None) -> None:
        self.path = path
        self.shape = (int(dataset.height), int(dataset.width), 3)
        self.georeference = _georeference(path, dataset)
        self._dataset = dataset
        self._bands = list(bands)
        self._scale = scale
        self._dtype = np.dtype(dataset.dtypes[0])
        self._may_be_nan = bool(np.issubdtype(self._dtype, np.floating))
        flags = [name for of_band in dataset.mask_flag_enums for name in _names(of_band)]
        # GDAL's own mask knows alpha bands of 8 and 16 bits that stand behind one or three others, no more.
        self._alpha = [] if "per_dataset" in flags else _alpha_bands(dataset)
        self.has_gaps = self._may_be_nan or bool(self._alpha) or set(flags) != {"all_valid"}
        self._lock = threading.Lock()

    def __getitem__(self, window: tuple[slice, slice]) -> NDArray[np.uint8]:
        """Read some rows and columns: uint8 (height, width, 3), 0 where there is no data.

        Raises:
            InputError: If the file is damaged there.
        """
        values, valid = self._read(*window)
        colours = values if self._scale is None else _to_8_bits(values, *self._scale)
        colours[~valid] = 0
        return colours

    def valid(self, rows: slice, columns: slice) -> NDArray[np.bool_]:
        """Say which pixels hold data: bool (height, width) of the rows and columns.

        A pixel holds none where the file's mask, alpha band or nodata value (in all bands) says so, or where one of
        the bands in use is NaN.

        Raises:
            InputError: If the file is damaged there.
        """
        if self.has_gaps:
            return self._read(rows, columns)[1]
        (top, bottom), (left, right) = self._bounds(rows, columns)
        return np.ones((bottom - top, right - left), dtype=np.bool_)

    def _read(self, rows: slice, columns: slice) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Read the bands in use, (height, width, 3) of the file's own values, and which pixels hold data."""
        from rasterio.errors import RasterioError

        window = (top, bottom), (left, right) = self._bounds(rows, columns)
        values = np.empty((bottom - top, right - left, 3), dtype=self._dtype)
        by_band = values.transpose(2, 0, 1)  # GDAL puts the bands together faster than numpy
        try:
            with self._lock:  # GDAL's datasets are for one thread at a time
                self._dataset.read(self._bands, window=window, out=by_band)
                valid = self._dataset.dataset_mask(window=window) != 0
                for band in self._alpha:
                    valid &= self._dataset.read(band, window=window) != 0
        except RasterioError as error:
            raise InputError(
                f"{self.path} is damaged in rows {top} to {bottom - 1}, columns {left} to {right - 1}"
                f" ({error.__cause__ or error}); fetch it again"
            ) from None
        if self._may_be_nan:
            valid &= ~np.isnan(values).any(axis=-1)
        return values, valid

    def _bounds(self, rows: slice, columns: slice) -> tuple[tuple[int, int], tuple[int, int]]:
        height, width, _ = self.shape
        (top, bottom, line), (left, right, column) = rows.indices(height), columns.indices(width)
        if (line, column) != (1, 1):
            raise InputError(f"{self.path}: every {line}. row and {column}. column cannot be read; read all of them")
        return (top, bottom), (left, right)


@contextmanager
def open_scene(
    path: Path, bands: Sequence[int] | None = None, scale: tuple[float, float] | None = None
) -> Iterator[Scene]:
    """Open a GeoTIFF, cloud-optimised or not, of any size.

    Args:
        path: A file on disk.
        bands: Numbers of the red, green and blue band, counted from 1. None: the file has three bands, in any order
            if it says which is which, or a gray one, beside its alpha band if it has one.
        scale: Values that become 0 and 255; those between are spread evenly, those outside become 0 or 255. None:
            the file has 8 bits a band.

    Raises:
        InputError: If rasterio is missing, the file is missing, damaged, too large or no TIFF, or bands or scale are
            missing or do not fit it.
    """
    rasterio = import_rasterio()
    if not path.is_file():
        raise InputError(f"{path} does not exist or is no file")
    with rasterio.Env(**_ALONE, GDAL_CACHEMAX=_CACHE_BYTES):
        dataset, scene = _opened(path, bands, scale)
        with dataset:
            yield scene


def read_scene_size(path: Path) -> tuple[int, int]:
    """Read (height, width) of a scene, whatever bands it has.

    Raises:
        InputError: If rasterio is missing, or the file is damaged, too large or no TIFF.
    """
    rasterio = import_rasterio()
    with rasterio.Env(**_ALONE), _reading(path), _open_tiff(path) as dataset:
        _check_layout(path, dataset)
        return dataset.height, dataset.width


def _opened(path: Path, bands: Sequence[int] | None, scale: tuple[float, float] | None) -> tuple[Any, Scene]:
    with _reading(path):
        dataset = _open_tiff(path)
        _check_layout(path, dataset)
        return dataset, Scene(path, dataset, *_bands_and_scale(path, dataset, bands, scale))


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn the errors of reading a scene into ours."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # rasterio's errors and GDAL's own, which have no public class
        raise InputError(f"{path} is damaged or no TIFF ({error}); fetch it again or remove it") from None


def import_rasterio() -> Any:
    """Import rasterio, which is an optional extra."""
    return import_extra("rasterio", "scenes", "GeoTIFF needs rasterio")


def check_spelled(path: Path) -> None:
    """Refuse a path that GDAL cannot be told.

    Raises:
        InputError: If it is not in UTF-8.
    """
    try:
        str(path.resolve()).encode()
    except UnicodeEncodeError:
        raise InputError(f"{str(path.resolve())!r} is not in UTF-8, as GDAL needs it for GeoTIFFs; rename it") from None


def _open_tiff(path: Path, mode: str = "r", **profile: Any) -> Any:
    """Open a TIFF with rasterio, which would warn of each one without a place on earth."""
    import rasterio

    check_spelled(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        # A path without links or relative parts cannot be one of GDAL's names for something else.
        return rasterio.open(path.resolve(), mode, driver="GTiff", **profile)


def _check_layout(path: Path, dataset: Any) -> None:
    """Refuse what would take too much memory, and pixels that are no brightness."""
    dtype = dataset.dtypes[0]
    if max(dataset.shape) > MAXIMUM_SIDE:
        raise InputError(f"{path} has {dataset.height} x {dataset.width} pixels, a side above {MAXIMUM_SIDE}; cut it")
    height, width = dataset.block_shapes[0]
    is_giant = height * width * dataset.count * np.dtype(dtype).itemsize > MAXIMUM_BLOCK_BYTES
    if is_giant or height * width > max(TILE_PIXELS, dataset.height * dataset.width):
        raise InputError(
            f"{path} is stored in blocks of {height} x {width} pixels, too large to be read one by one;"
            " make a tiled file of it, such as with gdal_translate -of COG"
        )
    if not np.issubdtype(dtype, np.integer) and not np.issubdtype(dtype, np.floating):
        raise InputError(f"{path} has pixels of type {dtype}; convert them to integers or floats first")
    if dataset.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE") == "YES":
        raise InputError(
            f"{path} stores white as 0 (MINISWHITE); invert it, such as one of 8 bits with"
            " gdal_translate -scale 0 255 255 0"
        )
    if "palette" in _names(dataset.colorinterp):
        raise InputError(f"{path} has a palette; write its colours out with gdal_translate -expand rgb")


def _bands_and_scale(
    path: Path, dataset: Any, bands: Sequence[int] | None, scale: tuple[float, float] | None
) -> tuple[list[int], tuple[float, float] | None]:
    """Check bands and scale against the file, and find the bands that need no choice."""
    dtype = dataset.dtypes[0]
    what_it_has = f"{path} has {dataset.count} {'band' if dataset.count == 1 else 'bands'} of {dtype}"
    colours = _colour_bands(dataset)
    missing = []
    if bands is None and len(colours) not in (1, 3):
        missing.append("which bands are red, green and blue, such as --bands 3,2,1")
    if scale is None and dtype != "uint8":
        missing.append("which values become black and white, such as --scale 0,3000")
    if missing:
        raise InputError(f"{what_it_has}; say {', and '.join(missing)}")
    if bands is None:
        bands = colours * 3 if len(colours) == 1 else colours
    elif len(bands) != 3 or not all(1 <= band <= dataset.count for band in bands):
        asked = ",".join(map(str, bands))
        raise InputError(f"{what_it_has}, not those of --bands {asked}; give three numbers from 1 to {dataset.count}")
    return list(bands), scale and _checked_scale(*scale)


def _alpha_bands(dataset: Any) -> list[int]:
    return [band for band, use in zip(dataset.indexes, _names(dataset.colorinterp), strict=True) if use == "alpha"]


def _colour_bands(dataset: Any) -> list[int]:
    """Return the bands that are no alpha: red, green and blue in this order if they are called so."""
    uses = dict(zip(_names(dataset.colorinterp), dataset.indexes, strict=True))
    bands = sorted(set(dataset.indexes) - set(_alpha_bands(dataset)))
    named = [uses.get(colour, 0) for colour in ("red", "green", "blue")]
    return named if sorted(named) == bands else bands


def _names(values: Sequence[Any]) -> list[str]:
    return [value.name for value in values]


def _georeference(path: Path, dataset: Any) -> Georeference | None:
    """Return where a dataset lies; None if it does not say, or only in coordinates of its own.

    Raises:
        InputError: If that is nowhere on earth, which is better found out now than after all the work.
    """
    a, b, c, d, e, f = (float(number) for number in dataset.transform[:6])
    on_earth = dataset.crs and (dataset.crs.is_geographic or dataset.crs.is_projected)
    if not on_earth or (a, b, c, d, e, f) == (1, 0, 0, 0, 1, 0) or a * e == b * d:
        return None
    georeference = Georeference(dataset.crs.to_wkt(), (a, b, c, d, e, f))
    height, width = dataset.shape
    try:
        georeference.to_degrees(np.array([(0, 0), (width, 0), (0, height), (width, height)], dtype=np.float64))
    except InputError as error:
        raise InputError(
            f"{path}: {error}; correct its coordinate system, or remove it with gdal_edit.py -unsetgt -a_srs ''"
        ) from None
    return georeference


def _to_8_bits(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Map values linearly, low to 0 and high to 255, clipped and rounded; NaN becomes anything."""
    shares = (np.nan_to_num(values.astype(np.float64)) - low) / (high - low)
    return np.rint(np.clip(shares, 0, 1) * 255).astype(np.uint8)


class RasterSink:
    """Takes the pixels of a GeoTIFF with one band, window by window, each pixel once."""

    def __init__(self, dataset: Any, valid: Valid | None) -> None:
        self._dataset = dataset
        self._dtype = np.dtype(dataset.dtypes[0])
        self._valid = valid
        self._checksums: dict[tuple[tuple[int, int], tuple[int, int]], int] = {}

    def __setitem__(self, window: tuple[slice, slice], values: NDArray[np.generic]) -> None:
        """Write (height, width) of some rows and columns, together with the mask of what is valid there.

        Raises:
            OSError: If the disk is full.
        """
        rows, columns = window
        pixels = np.ascontiguousarray(values, dtype=self._dtype)
        valid = None if self._valid is None else self._valid(rows, columns)
        height, width = self._dataset.shape
        place = rows.indices(height)[:2], columns.indices(width)[:2]
        with _explained():
            self._dataset.write(pixels, 1, window=place)
            if valid is not None:
                self._dataset.write_mask(valid, window=place)
        self._checksums[place] = _checksum(pixels, valid)

    def check(self, path: Path) -> None:
        """Compare the file, which is closed, with what was written.

        rasterio says nothing of what goes wrong when GDAL writes its last blocks, and these are all blocks of a file
        that fits into GDAL's memory.

        Raises:
            OSError: If anything is not as it was written.
        """
        with _explained(), _open_tiff(path) as dataset:
            for place, checksum in self._checksums.items():
                valid = None if self._valid is None else dataset.read_masks(1, window=place) != 0
                if _checksum(dataset.read(1, window=place), valid) != checksum:
                    raise _not_whole("its pixels are not those that were written")


@contextmanager
def _explained() -> Iterator[None]:
    """Make what rasterio raises an `OSError` with all its parts, to which `written_whole` adds the file's name."""
    from rasterio.errors import RasterioError

    try:
        yield
    except RasterioError as error:
        raise _not_whole(error.__cause__ or error) from None


def _not_whole(reason: object) -> OSError:
    return OSError(errno.EIO, f"could not be written whole ({reason}); is the disk full?")


def _checksum(pixels: NDArray[Any], valid: NDArray[np.bool_] | None) -> int:
    checksum = zlib.crc32(pixels.data)
    return checksum if valid is None else zlib.crc32(np.ascontiguousarray(valid).data, checksum)


@contextmanager
def create_raster(
    path: Path,
    shape: tuple[int, int],
    georeference: Georeference | None,
    dtype: DTypeLike = np.uint8,
    valid: Valid | None = None,
) -> Iterator[RasterSink]:
    """Write a GeoTIFF of one band, tiled and compressed without loss, as its pixels come.

    Args:
        path: Where; the file appears when the block ends well, whole or not at all.
        shape: (height, width).
        georeference: Where it lies; None if that is not known.
        dtype: Of the pixels.
        valid: Asked for each window that is written. Where it says no, a mask inside the file marks the pixels as
            holding no data; their values stay what was written. None: all hold data.

    Raises:
        InputError: If rasterio is missing.
        OSError: If the disk is full.
    """
    rasterio = import_rasterio()
    profile = {"height": shape[0], "width": shape[1], "count": 1, "dtype": np.dtype(dtype).name}
    layout = {"tiled": True, "blockxsize": _BLOCK, "blockysize": _BLOCK, "compress": "deflate", "BIGTIFF": "IF_SAFER"}
    place = georeference and {"crs": georeference.crs, "transform": rasterio.Affine(*georeference.transform)}
    with written_whole(path) as temporary, rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True, GDAL_CACHEMAX=_CACHE_BYTES):
        file = temporary.absolute()
        with _explained():
            dataset = _open_tiff(file, "w", **profile, **layout, **(place or {}))
        with dataset:
            sink = RasterSink(dataset, valid)
            yield sink
        sink.check(file)
