"""What stitching costs beside the net: `python benchmarks/stitch.py --images DIR --labels CSV`.

Everything is measured in turns on the same images in one run, so that ratios hold on a noisy machine. Give images that
the weights were not trained on (`--split CSV` takes its validation images), or the dice means nothing.
"""

import argparse
import csv
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from shipseg_tiles.archive.archive import Archive, open_archive
from shipseg_tiles.archive.split import choose_evenly
from shipseg_tiles.cli.common import quiet_import
from shipseg_tiles.errors import InputError
from shipseg_tiles.images import read_image
from shipseg_tiles.nets.contract import default_weights, gate_path
from shipseg_tiles.rle import PixelIndices
from shipseg_tiles.scoring.image_score import ImageScore, score_image
from shipseg_tiles.scoring.score import summarise

with quiet_import():
    from shipseg_tiles.inference.detection import threshold_lines
    from shipseg_tiles.inference.prediction import PredictOptions, load_nets, predict_image
    from shipseg_tiles.inference.stitching import Lines
    from shipseg_tiles.report.predictions import PredictionFolder

FORWARD = "one pass over the whole image"
PREDICT = "predict"
SMALL = "predict, 128 px tiles half overlapping"

Predict = Callable[[Path], list[PixelIndices] | None]


class Way:
    """A way to predict, timed image by image; the first image is shown twice, as the first time compiles."""

    def __init__(self, predict: Predict) -> None:
        self.predict = predict
        self.seconds: list[float] = []

    def __call__(self, path: Path) -> list[PixelIndices] | None:
        """Predict and note the time."""
        if not self.seconds:
            self.predict(path)
        began = time.perf_counter()
        result = self.predict(path)
        self.seconds.append(time.perf_counter() - began)
        return result


def main() -> None:
    options = parsed_options(__doc__)
    archive = open_archive(options.images, options.labels)
    names = chosen_images(archive, options.split, options.count)
    with TemporaryDirectory() as folder:
        ways = {title: Way(predict) for title, predict in all_ways(options.weights, Path(folder)).items()}
        scores: dict[str, list[ImageScore]] = {}
        for name in tqdm(names, disable=None):
            height, width = read_image(archive.files[name]).shape[:2]
            truth = archive.labels.ship_indices(name, (height, width))
            for title, way in ways.items():
                found = way(archive.files[name])
                if found is not None:
                    scores.setdefault(title, []).append(score_image(name, truth, found, (height, width)))
    ships = sum(bool(archive.labels.ships[name]) for name in names)
    print(f"{len(names)} images, {ships} of them with ships; {options.weights}")
    report(ways, {title: summarise(found) for title, found in scores.items()})


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
    """Return what is compared, by title; each is given a file and returns the ships that it finds, or None."""
    plain = PredictOptions(weights=weights)
    ways = {
        FORWARD: one_pass(plain),
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
            ways[f"OpenVINO {precision}, {FORWARD}"] = one_pass(options)
            ways[f"OpenVINO {precision}, {PREDICT}"] = in_memory(options)
            if gated:
                ways[f"OpenVINO {precision}, predict with the gate"] = in_memory(replace(options, gate=gated.gate))
    with suppress(ImportError):
        ways["MONAI's sliding windows of 128 px, half overlapping"] = with_monai(plain)
    return ways


def one_pass(options: PredictOptions) -> Predict:
    """Return a bare pass over the whole image: the net, in the views and at the scale that its contract asks for."""
    predictor, _ = load_nets(options)

    def predict(path: Path) -> None:
        predictor.predict_tiles(image_of(path)[np.newaxis])

    return predict


def in_memory(options: PredictOptions) -> Predict:
    """Return reading, predicting and finding the ships."""
    return lambda path: predict_image(options, path).pixels


def with_files(options: PredictOptions, folder: Path) -> Predict:
    """Return all that `predict` does of an image."""
    written = PredictionFolder(folder, options, pictures=0, vectors=False)

    def predict(path: Path) -> None:
        folder.mkdir(exist_ok=True)
        written.add(predict_image(options, path), path)

    return predict


def with_monai(options: PredictOptions) -> Predict:
    """Return MONAI's sliding windows around the same net, which blend on PyTorch."""
    import torch
    from monai.inferers import sliding_window_inference

    predictor, _ = load_nets(options)

    def net(windows: torch.Tensor) -> torch.Tensor:
        tiles = windows.permute(0, 2, 3, 1).numpy().astype(np.uint8)
        return torch.from_numpy(predictor.predict_tiles(tiles))[:, None]

    def predict(path: Path) -> list[PixelIndices]:
        image = torch.from_numpy(read_image(path)).permute(2, 0, 1)[None].float()
        stitched = sliding_window_inference(image, (128, 128), 36, net, overlap=0.5, mode="gaussian")
        lines = Lines(0, 0, np.asarray(stitched)[0, 0])
        height = len(lines.probability)
        strip = threshold_lines(lines, height, predictor.contract.threshold)
        return [ship.pixels for ship in predictor.joined([strip], height)]

    return predict


def report(ways: dict[str, Way], scores: dict[str, dict[str, Any]]) -> None:
    """Print a table. Ratios are medians over the images, in each of which all ways had their turn."""
    print(f"| way | s/image | mean over {FORWARD} | true dice, all images | ship images | false ships on empties |")
    print("|---|---|---|---|---|---|")
    forward = np.array(ways[FORWARD].seconds)
    for title, way in ways.items():
        seconds = np.array(way.seconds)
        of_score = scores.get(title, {})
        dice = [of_score.get(key) for key in ("dice_mean_all_images", "dice_mean_ship_images")]
        empties = of_score.get("empty_images_with_false_ships")
        cells = [f"{np.median(seconds):.3f}", f"{trimmed(seconds) / trimmed(forward):.2f}"]
        cells += ["-" if value is None else f"{value:.4f}" for value in dice]
        cells.append("-" if empties is None else f"{100 * empties:.0f} %")
        print(f"| {title} | {' | '.join(cells)} |")


def trimmed(seconds: NDArray[np.float64]) -> float:
    """Return the mean without the slowest and the fastest twentieth: others use the machine too."""
    kept = np.sort(seconds)[len(seconds) // 20 : len(seconds) - len(seconds) // 20]
    return float(kept.mean())


@lru_cache(maxsize=1)
def image_of(path: Path) -> NDArray[np.uint8]:
    """Read an image once for all bare passes, which are of the net alone."""
    return read_image(path)


if __name__ == "__main__":
    main()
