"""Image files to ships, on this machine or on many, in a way that can be stopped and taken up again."""

import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import groupby
from pathlib import Path
from typing import Any

from tqdm import tqdm

from shipseg_tiles.errors import InputError, NetError, warn_skipped
from shipseg_tiles.images import read_image, read_size
from shipseg_tiles.inference.classifier import Classifier
from shipseg_tiles.inference.detection import Strip
from shipseg_tiles.inference.engines import load_engine
from shipseg_tiles.inference.gate import Gate
from shipseg_tiles.inference.georeference import Georeference
from shipseg_tiles.inference.memory import images_at_once
from shipseg_tiles.inference.options import PredictOptions
from shipseg_tiles.inference.prediction import Prediction, Progress, TileCounts
from shipseg_tiles.inference.predictor import Predictor
from shipseg_tiles.inference.scenes import is_scene, open_scene
from shipseg_tiles.inference.strips import StripFolder, strips_of
from shipseg_tiles.processes import map_ahead, map_in_chunks
from shipseg_tiles.tiling import Region
from shipseg_tiles.zipped import AnyPath

LARGE = 2**24
"""An image of more pixels is predicted by itself: it fills a batch, and two of them might fill the memory."""

_ALIKE = 1.33
"""How many times larger or smaller pixels may be than the net expects before a warning says so."""


@dataclass(frozen=True)
class Nets:
    """The nets of a prediction.

    Attributes:
        predictor: The segmenter.
        gate: Says which tiles it is shown; None if all are.
        classifier: Says which images it is shown; None if all are.
    """

    predictor: Predictor
    gate: Gate | None
    classifier: Classifier | None


@lru_cache(maxsize=16)
def load_nets(options: PredictOptions) -> Nets:
    """Load all nets that the options name, once in each process.

    Raises:
        InputError: If a file is missing or holds another kind of net, or an option is out of its range.
    """
    contract = options.contract()  # before the slow part
    size = options.pixel_size
    gate = Gate.load(options.gate, contract, options.engine, pixel_size=size) if options.gate else None
    predictor = Predictor(
        load_engine(options.weights, options.engine, options.precision),
        contract,
        options.window,
        sees=gate.sees if gate else None,
    )
    classifier = None
    if options.classifier:
        classifier = Classifier.load(options.classifier, segmenter=contract, pixel_size=size)
    return Nets(predictor, gate, classifier)


def predict_files(
    options: PredictOptions, paths: Sequence[AnyPath], folder: Path, cluster: Executor | None = None
) -> Iterator[Prediction]:
    """Predict images, a few of them at the same time, then scenes; bad files are left out with a warning.

    Args:
        options: How.
        paths: The image files.
        folder: Where strips of a scene are kept until it is finished, so that another run goes on after them.
        cluster: Shares the work; None for this process alone.

    Raises:
        InputError: If a net is bad, or an option means nothing to these files.
    """
    scenes = [path for path in paths if is_scene(path)]
    of_scenes: set[AnyPath] = set(scenes)
    images = [path for path in paths if path not in of_scenes]
    if (options.bands or options.scale) and images:
        raise InputError(f"{images[0]} is an image of 8 bits; leave --bands and --scale away, they are for GeoTIFFs")
    found = _side_by_side(options, images, cluster)
    with tqdm(total=len(paths), desc="predict", unit="image", disable=None) as bar:
        for path, prediction in zip(images, found, strict=True):
            bar.update()
            if isinstance(prediction, InputError):
                warn_skipped(path.name, prediction)
            else:
                yield prediction
        for path in scenes:
            try:
                yield predict_scene(options, path, strips_of(path, folder), cluster)
            except NetError:
                raise
            except InputError as error:
                warn_skipped(path.name, error)
            bar.update()


def _side_by_side(
    options: PredictOptions, images: list[AnyPath], cluster: Executor | None
) -> Iterator[Prediction | InputError]:
    attempt = partial(_attempt, options)
    if cluster is not None:
        yield from map_in_chunks(cluster, attempt, images)
        return
    load_nets(options)  # once, before several threads ask for them
    for large, some in groupby(images, _is_large):
        if large:
            yield from map(attempt, some)
        else:
            yield from map_ahead(attempt, some, images_at_once())


def _is_large(path: AnyPath) -> bool:
    try:
        height, width = read_size(path)
    except InputError:
        return False
    return height * width > LARGE


def _attempt(options: PredictOptions, path: AnyPath) -> Prediction | InputError:
    load_nets(options)  # its errors are not the image's
    try:
        return predict_image(options, path)
    except NetError:
        raise  # for this image and for all others
    except InputError as error:
        return error


def predict_image(options: PredictOptions, path: AnyPath, progress: Progress | None = None) -> Prediction:
    """Predict an image in memory.

    Args:
        options: How.
        path: Of the image.
        progress: See `Progress`.

    Raises:
        InputError: If it is bad.
    """
    nets, image = load_nets(options), read_image(path)
    predictor, (height, width) = nets.predictor, image.shape[:2]
    region = options.region_in(height, width)
    if nets.classifier is not None and not nets.classifier.has_ship(image):
        calibrated = predictor.contract.was_calibrated_on(path)
        return Prediction(path.name, (height, width), [], [], passed_over=True, calibrated=calibrated)
    rows = len(predictor.grid(height, width).bands(region))
    strips: list[Strip] = []
    for strip in predictor.strips(image, region, options.rasters):
        strips.append(strip)
        if progress:
            progress(len(strips), rows)
    return _prediction(predictor, path, (height, width), strips)


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
        InputError: If the scene is bad, or shares no pixel with the region.
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
    with tqdm(total=len(bands), initial=done, desc=path.name, unit="row", disable=hidden) as bar:
        for strip in _predicted(options, path, missing, cluster):
            strips.save(strip)
            bar.update()
            if progress:
                progress(len(strips), len(bands))
    return _prediction(predictor, path, (height, width), strips, georeference=georeference, remark=remark)


def _prediction(
    predictor: Predictor, path: AnyPath, shape: tuple[int, int], strips: list[Strip] | StripFolder, **more: Any
) -> Prediction:
    """Put together what the strips of an image show."""
    contract = predictor.contract
    light = [replace(strip, rasters={}) for strip in strips]  # a scene's are read from disk, each time with its rasters
    return Prediction(
        path.name,
        shape,
        predictor.joined(light, shape[0]),
        strips,
        calibrated=contract.was_calibrated_on(path),
        counts=TileCounts.of(light, predictor.grid(*shape).tile, contract.views),
        **more,
    )


def _remark_on_pixels(georeference: Georeference | None, shape: tuple[int, int], expected: float | None) -> str:
    """Say whether ships of a scene look larger or smaller than those that the net learned to find."""
    size = georeference.pixel_size(*shape) if georeference else None
    if size is None or expected is None or 1 / _ALIKE <= size / expected <= _ALIKE:
        return ""
    return (
        f"has pixels of {size:.3g} m, and the net is for {expected:.3g} m;"
        f" --pixel-size {size:.3g} lets it see ships in the size that it knows"
    )


_BANDS_PER_JOB = 16
"""On a cluster each job predicts the row of tiles above its first band once more, a sixteenth of its work."""


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
