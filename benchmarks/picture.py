"""Draw README's picture, synthetic scenes with what the shipped weights find: `python benchmarks/picture.py`."""

from pathlib import Path

import numpy as np
import simplejpeg

from shipseg_tiles.archive.simulate import simulate_scene
from shipseg_tiles.cli.common import quiet_import
from shipseg_tiles.nets.weights_files import default_weights
from shipseg_tiles.pixels import mask_of, union
from shipseg_tiles.report.pictures import contact_sheet, outlined

with quiet_import():
    from shipseg_tiles.inference.predictor import Predictor

SEED = 77
SCENES = (5, 44, 18)
OUT = Path(__file__).parents[1] / "docs" / "pictures" / "result.jpg"


def main() -> None:
    predictor = Predictor.load(default_weights())
    pictures = []
    for index in SCENES:
        image = simulate_scene(SEED, index).image
        height, width = image.shape[:2]
        mask = mask_of(union(predictor.ships(image)), (height, width))
        pictures.append(outlined(image, mask)[64:-64, 64:-64])
    sheet = np.ascontiguousarray(contact_sheet(pictures, columns=3))
    OUT.write_bytes(simplejpeg.encode_jpeg(sheet, quality=82))
    print(OUT)


if __name__ == "__main__":
    main()
