"""Draw what the shipped weights get wrong in synthetic scenes: `python benchmarks/failures_picture.py`.

Three rows: false ships, ships that are missed, and ships that are found as one. The truth is outlined in blue, what the
net finds in amber. Of each kind the largest are shown, at most one a scene, and it prints how many there are.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from shipseg_tiles.archive.simulate import simulate_scene
from shipseg_tiles.cli.common import quiet_import
from shipseg_tiles.nets.weights_files import default_weights
from shipseg_tiles.pixels import PixelIndices, mask_of, union
from shipseg_tiles.report.pictures import TRUTH, contact_sheet, outlined
from shipseg_tiles.scoring.objects import pairwise_iou
from shipseg_tiles.tiling import TileGrid

with quiet_import():
    from shipseg_tiles.inference.predictor import Predictor

SEED, SCENES = 78, 120
COLUMNS = 4
SIDE = 192
"""Of a picture, in pixels of the scene."""

OUT = Path(__file__).parents[1] / "docs" / "pictures" / "failures.jpg"


def main() -> None:
    predictor = Predictor.load(default_weights())
    found: dict[str, list[tuple[int, NDArray[np.uint8]]]] = {"false": [], "missed": [], "joined": []}
    counts = dict.fromkeys(found, 0)
    for index in range(SCENES):
        scene = simulate_scene(SEED, index)
        truth = [np.flatnonzero(mask.T) for mask in scene.ships]  # they count down the columns
        ships = predictor.ships(scene.image)
        drawn = draw(scene.image, truth, ships)
        for kind, objects in failures(truth, ships):
            counts[kind] += len(objects)
            if objects:
                largest = max(objects, key=len)
                found[kind].append((len(largest), around(largest, drawn)))
    pictures = [picture for kind in found for _, picture in sorted(found[kind], key=lambda item: -item[0])[:COLUMNS]]
    sheet = np.ascontiguousarray(contact_sheet(pictures, COLUMNS))
    OUT.write_bytes(simplejpeg.encode_jpeg(sheet, quality=85))
    print(f"{OUT}; in {SCENES} scenes: {counts}")


def failures(truth: list[PixelIndices], ships: list[PixelIndices]) -> Iterator[tuple[str, list[PixelIndices]]]:
    """Yield false ships, which touch no true one; missed ones, which none touches; and those that touch several."""
    touching = pairwise_iou(truth, ships) > 0
    yield "false", [ship for ship, count in zip(ships, touching.sum(axis=0), strict=True) if not count]
    yield "missed", [ship for ship, count in zip(truth, touching.sum(axis=1), strict=True) if not count]
    yield "joined", [ship for ship, count in zip(ships, touching.sum(axis=0), strict=True) if count > 1]


def draw(image: NDArray[np.uint8], truth: list[PixelIndices], ships: list[PixelIndices]) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    true, found = (mask_of(union(each), (height, width)) for each in (truth, ships))
    return outlined(outlined(image, true, TRUTH), found)


def around(ship: PixelIndices, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Cut the surroundings of a ship out of a picture."""
    height, width = picture.shape[:2]
    column, row = divmod(int(np.median(ship)), height)
    return picture[TileGrid(height, width, SIDE, SIDE).slices_around(row, column)]


if __name__ == "__main__":
    main()
