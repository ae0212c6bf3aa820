"""GeoTIFFs of one band, written window by window as the pixels come."""

import errno
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.files import written_whole
from shipseg_tiles.inference.georeference import Georeference
from shipseg_tiles.inference.geotiff import CACHE_BYTES, import_rasterio, open_tiff

_BLOCK = 512
"""Side of the tiles that are written, the size that cloud-optimised GeoTIFFs have."""

Valid = Callable[[slice, slice], NDArray[np.bool_]]
"""Says which pixels of some rows and columns hold data: bool (height, width)."""


class RasterSink:
    """Takes the pixels of a GeoTIFF with one band, window by window, each pixel once."""

    def __init__(self, dataset: Any, valid: Valid | None) -> None:
        self._dataset = dataset
        self._valid = valid
        self._checksums: dict[tuple[tuple[int, int], tuple[int, int]], int] = {}

    def __setitem__(self, slices: tuple[slice, slice], values: NDArray[np.generic]) -> None:
        """Write (height, width), as uint8, of some rows and columns, together with the mask of what is valid there.

        Raises:
            OSError: If the disk is full.
        """
        rows, columns = slices
        pixels = np.ascontiguousarray(values, dtype=np.uint8)
        valid = None if self._valid is None else self._valid(rows, columns)
        height, width = self._dataset.shape
        window = rows.indices(height)[:2], columns.indices(width)[:2]
        with _explained():
            self._dataset.write(pixels, 1, window=window)
            if valid is not None:
                self._dataset.write_mask(valid, window=window)
        self._checksums[window] = _checksum(pixels, valid)

    def check(self, path: Path) -> None:
        """Compare the file, which is closed, with what was written.

        rasterio says nothing of what goes wrong when GDAL writes its last blocks, and these are all blocks of a file
        that fits into GDAL's memory.

        Raises:
            OSError: If anything is not as it was written.
        """
        with _explained(), open_tiff(path) as dataset:
            for window, checksum in self._checksums.items():
                valid = None if self._valid is None else dataset.read_masks(1, window=window) != 0
                if _checksum(dataset.read(1, window=window), valid) != checksum:
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
    valid: Valid | None = None,
) -> Iterator[RasterSink]:
    """Write a GeoTIFF of one uint8 band, tiled and compressed without loss, as its pixels come.

    Args:
        path: Where; the file appears when the block ends well, whole or not at all.
        shape: (height, width).
        georeference: Where it lies; None if that is not known.
        valid: Asked for each window that is written. Where it says no, a mask inside the file marks the pixels as
            holding no data; their values stay what was written. None: all hold data.

    Raises:
        InputError: If rasterio is missing.
        OSError: If the disk is full.
    """
    rasterio = import_rasterio()
    profile = {"height": shape[0], "width": shape[1], "count": 1, "dtype": "uint8"}
    layout = {"tiled": True, "blockxsize": _BLOCK, "blockysize": _BLOCK, "compress": "deflate", "BIGTIFF": "IF_SAFER"}
    location = georeference and {"crs": georeference.crs, "transform": rasterio.Affine(*georeference.transform)}
    with written_whole(path) as temporary, rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True, GDAL_CACHEMAX=CACHE_BYTES):
        file = temporary.absolute()
        with _explained():
            dataset = open_tiff(file, "w", **profile, **layout, **(location or {}))
        with dataset:
            sink = RasterSink(dataset, valid)
            yield sink
        sink.check(file)
