"""Scenes as they come from satellites: GeoTIFFs read window by window, with their place on earth."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import BITSPERSAMPLE, TiffImageFile

from shipseg_tiles.errors import InputError
from shipseg_tiles.images import TILE_PIXELS, is_too_large
from shipseg_tiles.inference.bands import alpha_bands, bands_and_scale, names_of, to_8_bits
from shipseg_tiles.inference.georeference import Georeference
from shipseg_tiles.inference.geotiff import ALONE, CACHE_BYTES, import_rasterio, open_tiff
from shipseg_tiles.zipped import AnyPath

LONGEST_SIDE = 2**20
"""Larger scenes are refused: lines of a million pixels, a few hundred of which are in memory at a time."""

MAXIMUM_BLOCK_BYTES = 2**30
"""Files in larger blocks are refused: a block is the least that can be read of a compressed TIFF."""

_PLACE_TAGS = {33550, 33922, 34264, 34735}
"""Of GeoTIFF (OGC 19-008r4): pixel scale, tie points, transformation and keys."""


def is_scene(path: AnyPath) -> TypeGuard[Path]:
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
            return not is_picture or is_too_large(image.height, image.width)
    except Exception:  # Pillow's plugins raise nearly every kind; whatever it is, rasterio says it better
        return True


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
        flags = [name for of_band in dataset.mask_flag_enums for name in names_of(of_band)]
        alpha = alpha_bands(dataset)
        # GDAL's own mask knows alpha bands of 8 and 16 bits that stand behind one or three others, no more; and of four
        # bands with a nodata value it takes the last one's, whatever that shows.
        self._alpha = [] if "per_dataset" in flags else alpha
        self._with_nodata = sorted({*dataset.indexes} - {*alpha}) if "nodata" in flags else []
        self.has_gaps = self._may_be_nan or bool(self._alpha) or set(flags) != {"all_valid"}
        self._lock = threading.Lock()

    def __getitem__(self, window: tuple[slice, slice]) -> NDArray[np.uint8]:
        """Read some rows and columns: uint8 (height, width, 3), 0 where there is no data.

        Raises:
            InputError: If the file is damaged there.
        """
        values, valid = self._read(*window)
        colours = values if self._scale is None else to_8_bits(values, *self._scale)
        colours[~valid] = 0
        return colours

    def valid(self, rows: slice, columns: slice) -> NDArray[np.bool_]:
        """Say which pixels hold data: bool (height, width) of the rows and columns.

        A pixel holds none where the file's mask, alpha band or nodata value (in all others) says so, or where one of
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
                if self._with_nodata:
                    valid = self._dataset.read_masks(self._with_nodata, window=window).any(axis=0)
                else:
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
    with rasterio.Env(**ALONE, GDAL_CACHEMAX=CACHE_BYTES):
        with _reading(path):
            dataset = open_tiff(path)
        with dataset:
            with _reading(path):
                _check_layout(path, dataset)
                scene = Scene(path, dataset, *bands_and_scale(path, dataset, bands, scale))
            yield scene


def read_scene_size(path: Path) -> tuple[int, int]:
    """Read (height, width) of a scene, whatever bands it has.

    Raises:
        InputError: If rasterio is missing, or the file is damaged, too large or no TIFF.
    """
    rasterio = import_rasterio()
    with rasterio.Env(**ALONE), _reading(path), open_tiff(path) as dataset:
        _check_layout(path, dataset)
        return dataset.height, dataset.width


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn the errors of reading a scene into ours."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # rasterio's errors and GDAL's own, which have no public class
        raise InputError(f"{path} is damaged or no TIFF ({error}); fetch it again or remove it") from None


def _check_layout(path: Path, dataset: Any) -> None:
    """Refuse what would take too much memory, and pixels that are no brightness."""
    dtype = dataset.dtypes[0]
    if max(dataset.shape) > LONGEST_SIDE:
        raise InputError(f"{path} has {dataset.height} x {dataset.width} pixels, a side above {LONGEST_SIDE}; cut it")
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
    if "palette" in names_of(dataset.colorinterp):
        raise InputError(f"{path} has a palette; write its colours out with gdal_translate -expand rgb")


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
