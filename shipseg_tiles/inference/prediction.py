"""Image files to ships, on this machine or on many, in a way that can be stopped and taken up again."""

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from shipseg_tiles.errors import InputError, warn_skipped
from shipseg_tiles.images import read_image
from shipseg_tiles.inference.classifier import Classifier
from shipseg_tiles.inference.detection import Ship, Strip, join_ships, threshold_lines
from shipseg_tiles.inference.engines import load_engine
from shipseg_tiles.inference.gate import Gate
from shipseg_tiles.inference.memory import TileTooLargeError
from shipseg_tiles.inference.predictor import Predictor
from shipseg_tiles.inference.scenes import Georeference, is_scene, open_scene
from shipseg_tiles.inference.strips import StripFolder
from shipseg_tiles.nets.contract import changed_contract
from shipseg_tiles.processes import map_in_chunks
from shipseg_tiles.rle import PixelIndices, mask_of, union
from shipseg_tiles.tiling import Region, WindowName
from shipseg_tiles.zipped import AnyPath


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """Everything that decides what is predicted.

    Attributes:
        weights: `.keras` file of a segmenter, with its contract beside it.
        tile: Side of a tile in pixels; None for the contract's, as with the next three.
        overlap: Share of its side that a tile shares with the next.
        threshold: Probability above which a pixel is ship.
        minimum_area: Ships of fewer pixels are dropped.
        window: How overlapping tiles are blended.
        gate: Weights of a gate, which decides which tiles the net is shown; None for all of them.
        classifier: Weights of a classifier, which decides in which images ships are looked for; None for all.
        engine: One of `ENGINES`.
        precision: One of `PRECISIONS`.
        symmetries: Whether to take the mean over the 8 symmetries of each tile.
        region: The part of each image that is predicted; None for all of it.
        bands: Numbers, from 1, of the bands of a scene that are red, green and blue; None if it has just these.
        scale: Values of a scene that become 0 and 255; None if it has 8 bits.
        rasters: Names in `RASTERS` of what is kept beside the ships.
    """

    weights: Path
    tile: int | None = None
    overlap: float | None = None
    threshold: float | None = None
    minimum_area: int | None = None
    window: WindowName = "hann"
    gate: Path | None = None
    classifier: Path | None = None
    engine: str = "keras"
    precision: str = "float32"
    symmetries: bool = False
    region: Region | None = None
    bands: tuple[int, ...] | None = None
    scale: tuple[float, float] | None = None
    rasters: tuple[str, ...] = ()


@dataclass(frozen=True)
class Prediction:
    """The ships of an image.

    Attributes:
        name: File name of the image.
        shape: (height, width) of the image in pixels.
        ships: No two share a pixel.
        strips: What the lines of the image show, from the top; they hold the rasters that were asked for.
        passed_over: Whether a classifier said that there is no ship, so that none was looked for.
        georeference: Where the image lies; None if nobody knows.
    """

    name: str
    shape: tuple[int, int]
    ships: list[Ship]
    strips: Sequence[Strip]
    passed_over: bool = False
    georeference: Georeference | None = None

    @property
    def in_memory(self) -> bool:
        """Whether it is of an image that was predicted in memory, not of a scene that was read by windows."""
        return not isinstance(self.strips, StripFolder)

    @property
    def pixels(self) -> list[PixelIndices]:
        """Sorted pixel indices of each ship."""
        return [ship.pixels for ship in self.ships]

    def forget_strips(self) -> None:
        """Remove what was kept of a scene on disk; everything has been made of it."""
        if isinstance(self.strips, StripFolder):
            self.strips.remove()

    def mask(self) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        """Return the mask of all ships: bool (height, width)."""
        return mask_of(union(self.pixels), self.shape).astype(np.bool_)


@lru_cache(maxsize=16)
def load_nets(options: PredictOptions) -> tuple[Predictor, Classifier | None]:
    """Load all nets that the options name, once in each process.

    Raises:
        InputError: If a file is missing or holds another kind of net, or an option is out of its range.
    """
    changes = {name: getattr(options, name) for name in ("tile", "overlap", "threshold", "minimum_area")}
    contract = changed_contract(options.weights, **changes)  # before the slow part
    if contract.resize and options.gate:
        raise InputError(f"{options.gate} sees images as they are, {options.weights} sees them resized; use --gate off")
    predictor = Predictor(
        load_engine(options.weights, options.engine, options.precision),
        contract,
        options.window,
        sees=Gate.load(options.gate).sees if options.gate else None,
        symmetries=options.symmetries,
    )
    return predictor, Classifier.load(options.classifier) if options.classifier else None


def predict_files(
    options: PredictOptions, paths: Sequence[AnyPath], folder: Path, cluster: Executor | None = None
) -> Iterator[Prediction]:
    """Predict image files one by one; bad ones are left out with a warning.

    Args:
        options: How.
        paths: The image files.
        folder: Where strips of a scene are kept until it is finished, so that another run goes on after them.
        cluster: Shares the work; None for this process alone.

    Raises:
        InputError: If two files differ in their suffix only, so that their masks would have one name, or a net is bad.
    """
    _refuse_equal_stems(paths)
    scenes = [path for path in paths if isinstance(path, Path) and is_scene(path)]
    of_scenes: set[AnyPath] = set(scenes)
    images = [path for path in paths if path not in of_scenes]
    if (options.bands or options.scale) and images:
        raise InputError(f"{images[0]} is an image of 8 bits; leave --bands and --scale away, they are for GeoTIFFs")
    attempt = partial(_attempt, options)
    found = map(attempt, images) if cluster is None else map_in_chunks(cluster, attempt, images)
    with tqdm(total=len(paths), desc="predict", unit="image", disable=None) as bar:
        for path, prediction in zip(images, found, strict=True):
            bar.update()
            if isinstance(prediction, InputError):
                warn_skipped(path.name, prediction)
            else:
                yield prediction
        for path in scenes:
            try:
                yield predict_scene(options, path, StripFolder(folder / path.name), cluster)
            except TileTooLargeError:
                raise
            except InputError as error:
                warn_skipped(path.name, error)
            bar.update()


def _refuse_equal_stems(paths: Sequence[AnyPath]) -> None:
    stems = Counter(path.stem for path in paths)
    twice = [stem for stem, count in stems.items() if count > 1]
    if twice:
        raise InputError(f"several images are called {twice[0]}, with different suffixes; rename or remove one of them")


def _attempt(options: PredictOptions, path: AnyPath) -> Prediction | InputError:
    load_nets(options)  # its errors are not the image's
    try:
        return predict_image(options, path)
    except TileTooLargeError:
        raise  # for this image and for all others
    except InputError as error:
        return error


def predict_image(options: PredictOptions, path: AnyPath) -> Prediction:
    """Predict an image in memory.

    Raises:
        InputError: If it is bad.
    """
    predictor, classifier = load_nets(options)
    image = read_image(path)
    height, width = image.shape[:2]
    region = options.region and options.region.within(height, width)
    if classifier is not None and not classifier.has_ship(image):
        return Prediction(path.name, (height, width), [], [], passed_over=True)
    strips = list(predictor.strips(image, region, options.rasters))
    return Prediction(path.name, (height, width), join_ships(strips, height, predictor.contract.minimum_area), strips)


def predict_scene(
    options: PredictOptions, path: Path, strips: StripFolder, cluster: Executor | None = None
) -> Prediction:
    """Predict a scene of any size by windows.

    Args:
        options: How; a classifier is not asked, as it judges whole images.
        path: GeoTIFF.
        strips: Where finished rows of tiles are kept; those that are there already are not predicted again.
        cluster: Shares the rows of tiles; None for this process alone.

    Raises:
        InputError: If the scene is bad, or shares no pixel with the region.
    """
    predictor, _ = load_nets(options)
    with open_scene(path, options.bands, options.scale) as scene:
        height, width = scene.shape[:2]
        georeference = scene.georeference
    region = (options.region or Region(0, 0, height, width)).within(height, width)
    bands = predictor.bands(height, width, region)
    missing = [band for band in bands if not strips.begins_at(band.top)]
    with tqdm(total=len(bands), initial=len(bands) - len(missing), desc=path.name, unit="row", disable=None) as bar:
        for strip in _predicted(options, path, missing, cluster):
            strips.save(strip)
            bar.update()
    ships = join_ships(strips, height, predictor.contract.minimum_area)
    return Prediction(path.name, (height, width), ships, strips, georeference=georeference)


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
    predictor, _ = load_nets(options)
    with open_scene(path, options.bands, options.scale) as scene:
        for lines in predictor.lines(scene, region, "disagreement" in options.rasters):
            # What holds no data is no water either, but it cannot be a ship.
            lines.probability[~scene.valid(*lines.place)] = 0
            yield threshold_lines(lines, scene.shape[0], predictor.contract.threshold, options.rasters)


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
