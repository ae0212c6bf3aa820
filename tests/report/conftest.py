"""A scored run made by hand, which tests of reports share."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from shipseg_tiles.archive.labels import Labels
from shipseg_tiles.masks import write_mask
from shipseg_tiles.rle import encode

SHAPE = (40, 60)
SEA = (20, 40, 60)
THRESHOLD = 0.5
MINIMUM_AREA = 4


class Scene(NamedTuple):
    """Boxes are (row, column, height, width)."""

    true: list
    found: list
    values: list
    """Boxes with the probability in them, 255 times; what lies in no box is 0."""


SCENES = {
    # Five by five pixels where nothing is.
    "false.png": Scene([], [(20, 20, 5, 5)], [((20, 20, 5, 5), 180)]),
    # A ship of 32 px, of which one half is sure and the other is not.
    "half.png": Scene([(10, 10, 4, 8)], [(10, 10, 4, 4)], [((10, 10, 4, 4), 200), ((10, 14, 4, 4), 100)]),
    # A ship of 1,500 px.
    "large.png": Scene([(4, 4, 30, 50)], [(4, 4, 30, 50)], [((4, 4, 30, 50), 255)]),
    # A ship of 60 px that is hardly seen.
    "missed.png": Scene([(2, 20, 6, 10)], [], [((2, 20, 6, 10), 50)]),
    "sea.png": Scene([], [], []),
    # A ship of 9 px, and 3 px that are too few to be one until a fourth touches them at a corner.
    "whole.png": Scene(
        [(5, 5, 3, 3)], [(5, 5, 3, 3)], [((5, 5, 3, 3), 250), ((30, 30, 1, 3), 220), ((31, 33, 1, 1), 100)]
    ),
}
"""True dice at the threshold 0.5: 0, 2/3, 1, 0, 1, 1."""


def drawn(boxes, values=None):
    """A uint8 picture of boxes."""
    picture = np.zeros(SHAPE, dtype=np.uint8)
    for number, (row, column, height, width) in enumerate(boxes):
        picture[row : row + height, column : column + width] = values[number] if values else 1
    return picture


def write_run(folder, scenes=SCENES):
    """Write images, labels and predictions as `predict --probabilities` does."""
    predictions = folder / "predictions"
    for made in (folder / "images", predictions / "probabilities"):
        made.mkdir(parents=True)
    for name, scene in scenes.items():
        file = f"{Path(name).stem}.png"
        Image.new("RGB", SHAPE[::-1], SEA).save(folder / "images" / name)
        write_mask(predictions / "masks" / file, drawn(scene.found), name)
        boxes, values = [box for box, _ in scene.values], [value for _, value in scene.values]
        Image.fromarray(drawn(boxes, values)).save(predictions / "probabilities" / file)
    for path, kind in ((folder / "labels.csv", "true"), (predictions / "submission.csv", "found")):
        ships = {name: tuple(encode(drawn([box])) for box in getattr(scene, kind)) for name, scene in scenes.items()}
        path.write_text(Labels("", dict(sorted(ships.items()))).to_csv())
    record = {
        "weights": str(folder / "net.keras"),
        "weights_sha256": "0123456789abcdef",
        "options": {"tile": 64, "threshold": THRESHOLD, "minimum_area": MINIMUM_AREA, "engine": "keras"},
        "gate": None,
        "classifier": {"weights": "classifiers/first.keras", "weights_sha256": "0", "threshold": 0.5},
        "images": len(scenes),
        "megapixels": 0.0144,
        "skipped": 0,
        "resumed": False,
        "seconds": 3.0,
    }
    (predictions / "run.json").write_text(json.dumps(record))
    return folder


@pytest.fixture
def made(tmp_path):
    """Folder with `images`, `labels.csv` and `predictions` of `SCENES`."""
    return write_run(tmp_path / "made")
