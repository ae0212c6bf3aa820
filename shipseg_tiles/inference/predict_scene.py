"""A scene of any size to ships, row of tiles by row of tiles, here or on many machines."""

import warnings
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from pathlib import Path

from tqdm import tqdm

from shipseg_tiles.inference.detection import Strip
from shipseg_tiles.inference.georeference import Georeference
from shipseg_tiles.inference.memory import enough_memory
from shipseg_tiles.inference.options import PredictOptions
from shipseg_tiles.inference.prediction import Prediction, Progress, put_together
from shipseg_tiles.inference.prediction_nets import load_nets
from shipseg_tiles.inference.scenes import open_scene
from shipseg_tiles.inference.strips import StripFolder
from shipseg_tiles.tiling import Region

_ALIKE = 1.33
"""How many times larger or smaller pixels may be than the net expects before a warning says so."""

_BANDS_PER_JOB = 16
"""On a cluster each job predicts the row of tiles above its first band once more, a sixteenth of its work."""


def predict_scene(
    options: PredictOptions,
    path: Path,
    strips: StripFolder,
    cluster: Executor | None = None,
    progress: Progress | None = None,
) -> Prediction:
    """Predict a scene of any size by windows.

    Args:
        options: How; a classifier is not asked, as it judges whole images.
        path: GeoTIFF.
        strips: Where finished rows of tiles are kept; those that are there already are not predicted again.
        cluster: Shares the rows of tiles; None for this process alone.
        progress: See `Progress`; None for a bar on the terminal.

    Raises:
        InputError: If the scene is bad, shares no pixel with the region, or memory does not suffice for it.
    """
    predictor = load_nets(options).predictor
    with open_scene(path, options.bands, options.scale) as scene:
        height, width = scene.shape[:2]
        georeference = scene.georeference
    remark = _remark_on_pixels(georeference, (height, width), predictor.contract.pixel_size)
    if remark:
        warnings.warn(f"{path.name} {remark}", stacklevel=2)
    bands = predictor.grid(height, width).bands(options.region_in(height, width))
    missing = [band for band in bands if not strips.begins_at(band.top)]
    done, hidden = len(bands) - len(missing), True if progress else None
    enough = enough_memory(f"a row of tiles of {path.name}", "use --region, or a smaller --tile")
    with enough, tqdm(total=len(bands), initial=done, desc=path.name, unit="row", disable=hidden) as bar:
        for strip in _predicted(options, path, missing, cluster):
            strips.save(strip)
            bar.update()
            if progress:
                progress(len(strips), len(bands))
    return put_together(predictor, path, (height, width), strips, georeference=georeference, remark=remark)


def _remark_on_pixels(georeference: Georeference | None, shape: tuple[int, int], expected: float | None) -> str:
    """Say whether ships of a scene look larger or smaller than those that the net learned to find."""
    size = georeference.pixel_size(*shape) if georeference else None
    if size is None or expected is None or 1 / _ALIKE <= size / expected <= _ALIKE:
        return ""
    return (
        f"has pixels of {size:.3g} m, and the net is for {expected:.3g} m;"
        f" --pixel-size {size:.3g} lets it see ships in the size that it knows"
    )


def _predicted(options: PredictOptions, path: Path, bands: list[Region], cluster: Executor | None) -> Iterator[Strip]:
    if cluster is None:
        for joined in _runs(bands, longest=len(bands)):
            yield from _predict_region(options, path, joined)
    else:
        predict = partial(_predict_region_at_once, options, path)
        for strips in cluster.map(predict, _runs(bands, longest=_BANDS_PER_JOB)):
            yield from strips


def _predict_region(options: PredictOptions, path: Path, region: Region) -> Iterator[Strip]:
    predictor = load_nets(options).predictor
    with open_scene(path, options.bands, options.scale) as scene:
        yield from predictor.strips(scene, region, options.rasters, scene.valid)


def _predict_region_at_once(options: PredictOptions, path: Path, region: Region) -> list[Strip]:
    return list(_predict_region(options, path, region))


def _runs(bands: list[Region], longest: int) -> list[Region]:
    """Join bands that follow each other, at most `longest` of them."""
    joined: list[Region] = []
    length = 0
    for band in bands:
        if joined and joined[-1].bottom == band.top and length < longest:
            joined[-1] = replace(joined[-1], bottom=band.bottom)
            length += 1
        else:
            joined.append(band)
            length = 1
    return joined
