"""What stitching costs beside the net: `python benchmarks/stitch.py --images DIR --labels CSV`.

Everything is measured in turns on the same images in one run, so that ratios hold on a noisy machine. Give images that
the weights were not trained on (`--split CSV` takes its validation images), or the dice means nothing.
"""

import argparse
import csv
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from shipseg_tiles.archive.archive import Archive, open_archive
from shipseg_tiles.archive.split import choose_evenly
from shipseg_tiles.cli.common import quiet_import
from shipseg_tiles.errors import InputError
from shipseg_tiles.images import read_image, read_size
from shipseg_tiles.nets.weights_files import default_weights, gate_path
from shipseg_tiles.pixels import PixelIndices
from shipseg_tiles.processes import map_ahead
from shipseg_tiles.scoring.image_score import ImageScore, score_image
from shipseg_tiles.scoring.score import summarise
from shipseg_tiles.zipped import AnyPath

with quiet_import():
    from shipseg_tiles.inference.detection import threshold_lines
    from shipseg_tiles.inference.options import PredictOptions
    from shipseg_tiles.inference.predict import predict_files
    from shipseg_tiles.inference.prediction_nets import load_nets
    from shipseg_tiles.inference.stitching import Lines
    from shipseg_tiles.report.predictions import PredictionFolder

FORWARD = "bare passes over whole images, one by one"
TWO_AT_ONCE = "bare passes over whole images, two at a time"
PREDICT = "predict"
SMALL = "predict, 128 px tiles half overlapping"

ROUND = 12
"""Images that a way predicts before the next one has its turn: with few it would not matter that `predict` works on
several at a time."""

Predict = Callable[[Sequence[AnyPath]], Iterable[list[PixelIndices] | None]]
"""Predicts images one by one: their ships, or None for a way that looks for none."""


class Way:
    """A way to predict images, and what came of it.

    Attributes:
        predict: How.
        seconds: Of each round.
        scores: Of each image; empty if no ships are looked for.
    """

    def __init__(self, predict: Predict) -> None:
        self.predict = predict
        self.seconds: list[float] = []
        self.scores: list[ImageScore] = []

    def take_turn(self, archive: Archive, names: Sequence[str]) -> None:
        """Predict a round of images and note the time; the first round twice, as the first time compiles."""
        paths = [archive.files[name] for name in names]
        if not self.seconds:
            list(self.predict(paths))
        began = time.perf_counter()
        found = list(self.predict(paths))
        self.seconds.append(time.perf_counter() - began)
        for name, ships in zip(names, found, strict=True):
            if ships is not None:
                height, width = read_size(archive.files[name])
                truth = archive.labels.ship_indices(name, (height, width))
                self.scores.append(score_image(name, truth, ships, (height, width)))

    def ratio(self, other: "Way") -> float:
        """Return the time over that of another way, as the median of all rounds."""
        return float(np.median(np.divide(self.seconds, other.seconds)))


def main() -> None:
    options = parsed_options(__doc__)
    archive = open_archive(options.images, options.labels)
    names = chosen_images(archive, options.split, options.count)
    with TemporaryDirectory() as folder:
        ways = {title: Way(predict) for title, predict in all_ways(options.weights, Path(folder)).items()}
        in_turns(archive, names, list(ways.values()))
    report(ways, len(names))


def in_turns(archive: Archive, names: list[str], ways: list[Way]) -> None:
    """Let all ways predict all images, in rounds that are alike and begin with another way each."""
    rounds = max(1, len(names) // ROUND)
    for turn in tqdm(range(rounds), disable=None):
        for name in names[turn::rounds]:
            image_of(archive.files[name])  # in nobody's time
        for place in range(len(ways)):
            ways[(turn + place) % len(ways)].take_turn(archive, names[turn::rounds])
    ships = sum(bool(archive.labels.ships[name]) for name in names)
    print(f"{len(names)} images, {ships} of them with ships, in {rounds} rounds")


def parsed_options(description: str | None) -> argparse.Namespace:
    """Read the command line: images, labels, which of them, and the weights."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--split", type=Path, help="CSV of `split`; only its validation images are used")
    parser.add_argument("--weights", type=Path, default=default_weights())
    parser.add_argument(
        "--count", type=int, default=50, help="of images, four in five of them empty as far as possible"
    )
    return parser.parse_args()


def chosen_images(archive: Archive, split: Path | None, count: int) -> list[str]:
    """Choose images evenly, one with ships for four without, as the competition has them."""
    names = set(archive.files)
    if split:
        with split.open(newline="") as file:
            names &= {row["ImageId"] for row in csv.DictReader(file) if row["split"] == "valid"}
    counts = {name: len(archive.labels.ships[name]) for name in sorted(names)}
    ships = {name: number for name, number in counts.items() if number}
    empty = dict.fromkeys(counts.keys() - ships.keys(), 0)
    kept = min(len(empty), count * 4 // 5)
    return choose_evenly(empty, kept, 0) + choose_evenly(ships, min(len(ships), max(1, kept // 4)), 0)


def all_ways(weights: Path, folder: Path) -> dict[str, Predict]:
    """Return what is compared, by title; see `Predict`."""
    plain = PredictOptions(weights=weights)
    ways = {
        FORWARD: bare_passes(plain, 1),
        TWO_AT_ONCE: bare_passes(plain, 2),
        PREDICT: in_memory(plain),
        "predict with its files written": with_files(plain, folder / "plain"),
        SMALL: in_memory(replace(plain, tile=128, overlap=0.5)),
        "predict, 256 px tiles a quarter overlapping": in_memory(replace(plain, tile=256, overlap=0.25)),
    }
    gated = replace(plain, gate=gate_path(weights)) if gate_path(weights).is_file() else None
    if gated:
        for tile in (256, 384, 768):
            ways[f"predict with the gate, {tile} px tiles"] = in_memory(replace(gated, tile=tile, overlap=0.25))
    for precision in ("float32", "bfloat16"):
        with suppress(InputError):  # OpenVINO is not installed, or the processor has no bfloat16
            options = replace(plain, engine="openvino", precision=precision)
            load_nets(options)
            ways[f"OpenVINO {precision}, {FORWARD}"] = bare_passes(options, 1)
            ways[f"OpenVINO {precision}, {PREDICT}"] = in_memory(options)
            if gated:
                ways[f"OpenVINO {precision}, predict with the gate"] = in_memory(replace(options, gate=gated.gate))
    with suppress(ImportError):
        ways["MONAI's sliding windows of 128 px, half overlapping"] = with_monai(plain)
    return ways


def bare_passes(options: PredictOptions, threads: int) -> Predict:
    """Return bare passes over images in memory: the net, in the views and at the scale that its contract asks for."""
    predictor = load_nets(options).predictor

    def ask(path: AnyPath) -> None:
        predictor.predict_tiles(image_of(path)[np.newaxis])

    return lambda paths: map_ahead(ask, paths, threads)


def in_memory(options: PredictOptions) -> Predict:
    """Return reading, predicting and finding the ships."""
    return lambda paths: (found.pixels for found in predict_files(options, paths, Path()))


def with_files(options: PredictOptions, folder: Path) -> Predict:
    """Return all that `predict` does of images."""
    written = PredictionFolder(folder, options, pictures=0, vectors=False)

    def predict(paths: Sequence[AnyPath]) -> Iterator[None]:
        folder.mkdir(exist_ok=True)
        for path, prediction in zip(paths, predict_files(options, paths, written.strips), strict=True):
            written.add(prediction, path)
            yield None

    return predict


def with_monai(options: PredictOptions) -> Predict:
    """Return MONAI's sliding windows around the same net, which blend on PyTorch."""
    import torch
    from monai.inferers import sliding_window_inference

    predictor = load_nets(options).predictor

    def net(windows: torch.Tensor) -> torch.Tensor:
        tiles = windows.permute(0, 2, 3, 1).numpy().astype(np.uint8)
        return torch.from_numpy(predictor.predict_tiles(tiles))[:, None]

    def ships_of(path: AnyPath) -> list[PixelIndices]:
        image = torch.from_numpy(read_image(path)).permute(2, 0, 1)[None].float()
        stitched = sliding_window_inference(image, (128, 128), 36, net, overlap=0.5, mode="gaussian")
        lines = Lines(0, 0, np.asarray(stitched)[0, 0])
        height = len(lines.probability)
        strip = threshold_lines(lines, height, predictor.contract.threshold)
        return [ship.pixels for ship in predictor.joined([strip], height)]

    return partial(map, ships_of)


def report(ways: dict[str, Way], images: int) -> None:
    """Print a table."""
    print(f"| way | s/image | over {FORWARD} | true dice, all images | ship images | false ships on empties |")
    print("|---|---|---|---|---|---|")
    for title, way in ways.items():
        cells = [f"{sum(way.seconds) / images:.3f}", f"{way.ratio(ways[FORWARD]):.2f}"]
        cells += score_cells(way, ("dice_mean_all_images", "dice_mean_ship_images"))
        print(f"| {title} | {' | '.join(cells)} |")


def score_cells(way: Way, columns: tuple[str, ...]) -> list[str]:
    """Return the named means of a way's scores, and the share of empty images with false ships, as text."""
    score = summarise(way.scores) if way.scores else {}
    empties = score.get("empty_images_with_false_ships")
    means = [score.get(name) for name in columns]
    return ["-" if mean is None else f"{mean:.4f}" for mean in means] + ["-" if empties is None else f"{empties:.0%}"]


@lru_cache(maxsize=2 * ROUND)
def image_of(path: AnyPath) -> NDArray[np.uint8]:
    """Read an image once for all bare passes, which are of the net alone."""
    return read_image(path)


if __name__ == "__main__":
    main()
