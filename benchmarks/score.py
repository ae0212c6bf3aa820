"""Time of `score` on as many images as the competition's test set has: `python benchmarks/score.py`.

Labels and predictions are simulated as CSV text: boxes at any angle, of which some are predicted shifted, some not at
all, some together with their neighbour, beside false ones. Reading both files with pandas is what cannot be saved.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import numpy as np
import pandas as pd

from shipseg_tiles.archive.labels import COLUMNS, Labels, read_labels
from shipseg_tiles.connected import connected_objects
from shipseg_tiles.pixels import PixelIndices, union
from shipseg_tiles.rle import encode_indices
from shipseg_tiles.scoring.patch_gap import measure_patch_gap
from shipseg_tiles.scoring.score import score_labels, summarise

Result = TypeVar("Result")

SIDE = 768
SHIP_IMAGES = 0.4
"""Share of the images that show ships."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=15_606)
    parser.add_argument("--ships", type=int, default=20_000)
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("labels.csv", "found.csv")]
        for path, labels in zip(files, simulated(options.images, options.ships), strict=True):
            path.write_text(labels.to_csv(), encoding="utf-8")
        began = time.process_time()
        _, plain = timed(lambda: [pd.read_csv(path, usecols=COLUMNS) for path in files])
        (truth, predicted), read = timed(lambda: [read_labels(path) for path in files])
    scores, scored = timed(lambda: score_labels(truth, predicted))
    summary, summed = timed(lambda: summarise(scores))
    busy = time.process_time() - began
    _, gap = timed(lambda: measure_patch_gap(128, scores, truth, predicted))
    print(f"{options.images} images, {summary['ship_images']} with {options.ships} ships; {summary['f2_mean']:.3f} F2")
    print(f"read {read:.1f} s, score {scored:.1f} s, sum up with intervals {summed:.1f} s, patch gap {gap:.1f} s")
    total = read + scored + summed
    print(f"{total:.1f} s without the patch gap, {total / plain:.0f} times plain reading of both files ({plain:.2f} s)")
    print(f"{busy:.1f} s of processor time, plain reading included: what it takes where nothing else runs")


def timed(call: Callable[[], Result]) -> tuple[Result, float]:
    """Return what a call returns, and its seconds."""
    began = time.perf_counter()
    return call(), time.perf_counter() - began


def simulated(images: int, ships: int) -> tuple[Labels, Labels]:
    """Return labels and predictions."""
    generator = np.random.default_rng(0)
    with_ships = generator.permutation(images)[: int(images * SHIP_IMAGES)]
    places = np.bincount(generator.choice(with_ships, ships), minlength=images)
    truth, predicted = Labels("labels", {}), Labels("found", {})
    for number, count in enumerate(places.tolist()):
        labelled, found = [], [simulated_box(generator)] if generator.random() < 0.05 else []
        for _ in range(count):
            ship = simulated_box(generator)
            labelled.append(ship)
            if generator.random() < 0.9:
                found.append(shifted(ship, generator))
        name = f"{number:08x}.jpg"
        truth.ships[name] = tuple(map(encode_indices, labelled))
        predicted.ships[name] = tuple(map(encode_indices, connected_objects(union(found), SIDE)))
    return truth, predicted


def simulated_box(generator: np.random.Generator) -> PixelIndices:
    """Return a box of 20 to 10,000 pixels, five times as long as wide."""
    length = np.exp(generator.uniform(np.log(10), np.log(220)))
    angle = generator.uniform(0, np.pi)
    row, column = generator.uniform(120, SIDE - 120, 2)
    rows, columns = np.mgrid[int(row) - 115 : int(row) + 115, int(column) - 115 : int(column) + 115].reshape(2, -1)
    along = (rows - row) * np.cos(angle) + (columns - column) * np.sin(angle)
    across = (columns - column) * np.cos(angle) - (rows - row) * np.sin(angle)
    inside = (np.abs(along) <= length / 2) & (np.abs(across) <= length / 10 + 0.5)
    return np.sort(columns[inside] * SIDE + rows[inside])


def shifted(ship: PixelIndices, generator: np.random.Generator) -> PixelIndices:
    """Move a ship by up to 2 px down and to the right."""
    down, right = generator.integers(0, 3, 2)
    moved: PixelIndices = ship + right * SIDE + down
    return moved


if __name__ == "__main__":
    main()
