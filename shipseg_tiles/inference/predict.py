"""Image files to ships, several at a time, on this machine or on many."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from functools import partial
from itertools import groupby
from pathlib import Path

from tqdm import tqdm

from shipseg_tiles.errors import InputError, NetError, warn_skipped
from shipseg_tiles.images import read_image, read_size
from shipseg_tiles.inference.detection import Strip
from shipseg_tiles.inference.memory import enough_memory, images_at_once
from shipseg_tiles.inference.options import PredictOptions
from shipseg_tiles.inference.predict_scene import predict_scene
from shipseg_tiles.inference.prediction import Prediction, Progress, put_together
from shipseg_tiles.inference.prediction_nets import load_nets
from shipseg_tiles.inference.scenes import is_scene
from shipseg_tiles.inference.strips import strips_of
from shipseg_tiles.processes import map_ahead, map_in_chunks
from shipseg_tiles.zipped import AnyPath

LARGE = 2**24
"""An image of more pixels is predicted by itself: it fills a batch, and two of them might fill the memory."""


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
        InputError: If it is bad, or memory does not suffice for its tiles.
    """
    nets, image = load_nets(options), read_image(path)
    predictor, (height, width) = nets.predictor, image.shape[:2]
    region = options.region_in(height, width)
    if nets.classifier is not None and not nets.classifier.has_ship(image):
        calibrated = predictor.contract.was_calibrated_on(path)
        return Prediction(path.name, (height, width), [], [], passed_over=True, calibrated=calibrated)
    rows = len(predictor.grid(height, width).bands(region))
    strips: list[Strip] = []
    with enough_memory(f"{path.name} of {height} x {width} pixels", "cut it into parts"):
        for strip in predictor.strips(image, region, options.rasters):
            strips.append(strip)
            if progress:
                progress(len(strips), rows)
        return put_together(predictor, path, (height, width), strips)
