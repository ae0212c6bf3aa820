"""GeoTIFFs as rasterio opens them: the file itself, and nothing beside it.

Files beside it (.aux.xml, .msk, .ovr, .tfw) are passed over: they may be of any format of GDAL, and some of those open
other files and addresses.
"""

import warnings
from pathlib import Path
from typing import Any

from shipseg_tiles.errors import InputError
from shipseg_tiles.extras import import_extra

ALONE = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"}
"""The empty list of neighbours keeps GDAL from looking for files beside the one that it opens."""

CACHE_BYTES = 96 * 2**20
"""What GDAL may keep of unpacked blocks: more than a row of them in a scene 60,000 pixels wide."""


def import_rasterio() -> Any:
    """Import rasterio, which is an optional extra.

    Raises:
        InputError: If it is not installed.
    """
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


def open_tiff(path: Path, mode: str = "r", **profile: Any) -> Any:
    """Open a TIFF with rasterio, which would warn of each one without a place on earth.

    Args:
        path: The file.
        mode: `r` or `w`.
        profile: What rasterio needs to write one.

    Raises:
        InputError: If the path is not in UTF-8.
        rasterio.errors.RasterioError: If it cannot be opened.
    """
    import rasterio

    check_spelled(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        # A path without links or relative parts cannot be one of GDAL's names for something else.
        return rasterio.open(path.resolve(), mode, driver="GTiff", **profile)
