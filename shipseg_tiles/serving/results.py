"""What is made of an image: the files to download, and what the page shows of it."""

import time
import warnings
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from shipseg_tiles.archive.labels import Labels
from shipseg_tiles.archive.prediction_files import MASKS, SUBMISSION, VECTORS, file_of
from shipseg_tiles.files import write_text
from shipseg_tiles.images import read_image
from shipseg_tiles.inference.options import PredictOptions
from shipseg_tiles.inference.predict import predict_image
from shipseg_tiles.inference.predict_scene import predict_scene
from shipseg_tiles.inference.prediction import Prediction, Progress
from shipseg_tiles.inference.scenes import is_scene, open_scene
from shipseg_tiles.inference.stitching import Source
from shipseg_tiles.inference.strips import StripFolder
from shipseg_tiles.inference.vectors import ship_features
from shipseg_tiles.pixels import PixelIndices, union
from shipseg_tiles.report.pictures import PREDICTED, outlined, shrink_step, shrunk_mask
from shipseg_tiles.report.prediction_images import write_files
from shipseg_tiles.serving.uploads import of_server

PREVIEW_SIDE = 2048
"""Larger images are shown shrunk."""

_LINES = 512
"""Lines that are shrunk at once, about."""

_FILLED = 110
"""How opaque a ship is inside its outline, 0 to 255."""


@dataclass(frozen=True)
class Result:
    """What was found in an image.

    Attributes:
        data: What the page shows: `height`, `width`, `shrunk` (how many times the preview is smaller), `seconds`,
            `remark` (what speaks against trusting the ships; empty if nothing does) and `ships`, the properties of each
            ship's Feature (see `ship_features`) with `outline`, the corners of its rectangle as column and row.
        files: `preview` (JPEG), `overlay` (PNG, transparent where no ship is), `mask`, `csv` and `geojson`.
    """

    data: dict[str, Any]
    files: dict[str, Path]


def make_result(options: PredictOptions, path: Path, name: str, progress: Progress) -> Result:
    """Predict an image and write all of its files into its folder; the image itself is removed.

    Args:
        options: How.
        path: The image, alone in a folder.
        name: What it is called in the CSV.
        progress: See `Progress`.

    Raises:
        InputError: If the image is bad.
    """
    began = time.monotonic()
    prediction = _predicted(options, path, progress)
    ships = write_files(path.parent, prediction, path, options)
    csv = path.parent / SUBMISSION
    write_text(csv, Labels("", {name: tuple(ships)}).to_csv())
    height, width = prediction.shape
    shrunk = shrink_step(prediction.shape, PREVIEW_SIDE)
    preview, overlay = path.parent / "preview.jpg", path.parent / "overlay.png"
    _write_preview(preview, options, path, prediction.in_memory, shrunk)
    _write_overlay(overlay, union(prediction.pixels), prediction.shape, shrunk)
    vectors = file_of(path.parent, VECTORS, path.name, ".geojson")
    mask = file_of(path.parent, MASKS, path.name, ".png" if prediction.in_memory else ".tif")
    data = {"height": height, "width": width, "shrunk": shrunk, "remark": of_server(prediction.remark)}
    data["ships"] = _ships(prediction)
    prediction.forget_strips()
    path.unlink()
    files = {"preview": preview, "overlay": overlay, "mask": mask, "csv": csv, "geojson": vectors}
    return Result(data | {"seconds": round(time.monotonic() - began, 1)}, files)


def _predicted(options: PredictOptions, path: Path, progress: Progress) -> Prediction:
    if not is_scene(path):
        return predict_image(options, path, progress)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the page has it as a remark, of the name that people know
        return predict_scene(options, path, StripFolder(path.parent / "strips"), progress=progress)


def _ships(prediction: Prediction) -> list[dict[str, Any]]:
    """Add to what the GeoJSON says of each ship where it lies in the image."""
    height = prediction.shape[0]
    located = ship_features(prediction.ships, height, prediction.georeference)
    drawn = ship_features(prediction.ships, height, georeference=None)
    return [
        ship["properties"] | {"outline": [(column, -y) for column, y in flat["geometry"]["coordinates"][0][:-1]]}
        for ship, flat in zip(located, drawn, strict=True)
    ]


def _write_preview(preview: Path, options: PredictOptions, path: Path, in_memory: bool, shrunk: int) -> None:
    with nullcontext(read_image(path)) if in_memory else open_scene(path, options.bands, options.scale) as source:
        picture = _reduced(source, shrunk)
    preview.write_bytes(simplejpeg.encode_jpeg(picture, quality=85))


def _reduced(source: Source, times: int) -> NDArray[np.uint8]:
    """Shrink by a whole number, sizes rounded up: each pixel is the mean of those that it stands for."""
    step = times * max(1, _LINES // times)
    parts = (source[top : top + step, :] for top in range(0, source.shape[0], step))
    return np.concatenate([np.asarray(Image.fromarray(part).reduce(times), dtype=np.uint8) for part in parts])


def _write_overlay(overlay: Path, pixels: PixelIndices, shape: tuple[int, int], shrunk: int) -> None:
    """Draw ships filled and outlined; where one pixel stands for many, it is ship if any of them is."""
    ships = shrunk_mask(pixels, shape, shrunk).astype(np.uint8)
    outline = outlined(np.zeros((*ships.shape, 3), dtype=np.uint8), ships).any(axis=-1)
    picture = Image.fromarray(np.where(outline, np.uint8(2), ships))
    picture.putpalette((0, 0, 0, *PREDICTED, *PREDICTED))
    picture.save(overlay, transparency=bytes((0, _FILLED, 255)))
