"""What is written of one image that was predicted: its mask, and rasters, a picture and vectors as asked."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from shipseg_tiles.archive.prediction_files import (
    DISAGREEMENT,
    MASK_SUFFIXES,
    MASKS,
    PICTURES,
    PROBABILITIES,
    VECTORS,
    file_of,
)
from shipseg_tiles.files import written_whole
from shipseg_tiles.images import read_image
from shipseg_tiles.inference.options import PredictOptions
from shipseg_tiles.inference.prediction import Prediction
from shipseg_tiles.inference.rasters import create_raster
from shipseg_tiles.inference.scenes import open_scene
from shipseg_tiles.inference.vectors import ship_features, write_geojson
from shipseg_tiles.masks import write_mask
from shipseg_tiles.pixels import rows_and_columns, union
from shipseg_tiles.report.pictures import shrink_step, shrunk_mask, triptych
from shipseg_tiles.rle import encode_indices
from shipseg_tiles.tiling import Region
from shipseg_tiles.zipped import AnyPath

_RASTERS = {"probability": PROBABILITIES, "disagreement": DISAGREEMENT}
"""Where the rasters of each name go."""

SUFFIXES = {PICTURES: (".jpg",), VECTORS: (".geojson",)} | dict.fromkeys((MASKS, *_RASTERS.values()), MASK_SUFFIXES)
"""All folders of what is written of an image, and the suffixes there; rasters are written as masks are."""

_PICTURE_SIDE = 4096
"""Larger images are shrunk before they are drawn, in pixels: three side by side must fit into the 65,500 of a JPEG."""

_LINES = 512
"""Lines of a scene's mask that are drawn at once."""


def remove_files(out: Path, image: str) -> None:
    """Remove from the folder of all predictions what was written of an image with this file name."""
    for folder, suffixes in SUFFIXES.items():
        for suffix in suffixes:
            file_of(out, folder, image, suffix).unlink(missing_ok=True)


def write_files(
    out: Path, prediction: Prediction, path: AnyPath, options: PredictOptions, *, vectors: bool = True
) -> list[str]:
    """Write mask, rasters and vectors of an image or a scene.

    Those of a scene are GeoTIFFs that lie where it lies, written in memory that does not grow with it.

    Args:
        out: Folder of all predictions.
        prediction: What was predicted.
        path: Of the image.
        options: What the prediction comes from.
        vectors: Whether to write GeoJSON for an image, too, as for scenes.

    Returns:
        Run-length text of each ship.

    Raises:
        InputError: If a scene turns out to be bad.
        OSError: If the disk is full.
    """
    ships = [encode_indices(ship) for ship in prediction.pixels]
    if vectors or not prediction.in_memory:
        features = ship_features(prediction.ships, prediction.shape[0], prediction.georeference)
        write_geojson(file_of(out, VECTORS, prediction.name, ".geojson"), features)
    if prediction.in_memory:
        _write_image(out, prediction, ships, options)
    else:
        _write_scene(out, prediction, Path(str(path)), options)
    return ships


def write_picture(out: Path, prediction: Prediction, path: AnyPath) -> None:
    """Draw an image that is at `path`, its mask, and both combined, side by side.

    Raises:
        InputError: If the image turns out to be bad.
    """
    step = shrink_step(prediction.shape, _PICTURE_SIDE)
    small = shrunk_mask(union(prediction.pixels), prediction.shape, step)
    picture = simplejpeg.encode_jpeg(triptych(read_image(path)[::step, ::step], small), quality=90)
    with written_whole(file_of(out, PICTURES, prediction.name, ".jpg")) as temporary:
        temporary.write_bytes(picture)


def _write_image(out: Path, prediction: Prediction, ships: Sequence[str], options: PredictOptions) -> None:
    image = prediction.name
    write_mask(file_of(out, MASKS, image, ".png"), prediction.mask(), image, ships)
    for name in options.rasters:
        with written_whole(file_of(out, _RASTERS[name], image, ".png")) as temporary:
            Image.fromarray(_whole_raster(prediction, name)).save(temporary)


def _write_scene(out: Path, prediction: Prediction, path: Path, options: PredictOptions) -> None:
    with open_scene(path, options.bands, options.scale) as scene:
        like = prediction.shape, prediction.georeference
        valid = scene.valid if scene.has_gaps or options.region else None
        with create_raster(file_of(out, MASKS, path.name, ".tif"), *like, valid=valid) as sink:
            for window, lines in _mask_lines(prediction, options.region_in(*prediction.shape)):
                sink[window] = lines
        for name in options.rasters:
            with create_raster(file_of(out, _RASTERS[name], path.name, ".tif"), *like, valid=valid) as sink:
                for strip in prediction.strips:
                    sink[strip.slices] = strip.rasters[name]


def _whole_raster(prediction: Prediction, name: str) -> NDArray[np.uint8]:
    """Put the strips of an image together: uint8 (height, width), 0 where nothing was predicted."""
    raster = np.zeros(prediction.shape, dtype=np.uint8)
    for strip in prediction.strips:
        raster[strip.slices] = strip.rasters[name]
    return raster


def _mask_lines(prediction: Prediction, region: Region) -> Iterator[tuple[tuple[slice, slice], NDArray[np.uint8]]]:
    """Draw the mask of a scene in the region that was predicted, uint8 0 and 255: rows and columns, and lines there."""
    rows, columns = rows_and_columns(union(prediction.pixels), prediction.shape[0])
    order = np.argsort(rows, kind="stable")
    rows, columns = rows[order], columns[order]
    for top in range(region.top, region.bottom, _LINES):
        bottom = min(top + _LINES, region.bottom)
        lines = np.zeros((bottom - top, region.right - region.left), dtype=np.uint8)
        first, end = np.searchsorted(rows, (top, bottom))
        lines[rows[first:end] - top, columns[first:end] - region.left] = 255
        yield np.s_[top:bottom, region.left : region.right], lines
