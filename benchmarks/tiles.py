"""True dice and time of weights over tiles and overlaps, on the full validation images inside a patch store.

`python benchmarks/tiles.py --patches FILE.h5 --weights NAME.keras`
"""

import argparse
import time
from itertools import islice
from pathlib import Path

from shipseg_tiles.cli.common import quiet_import
from shipseg_tiles.patches.store import PatchStore

with quiet_import():
    from shipseg_tiles.inference.predictor import Predictor
    from shipseg_tiles.training.true_dice import measure_true_dice

SETTINGS = ((128, 0.0), (128, 0.5), (256, 0.25), (384, 0.25), (768, 0.25))
COLUMNS = ("dice_mean_ship_images", "dice_mean_all_images", "dice_pooled", "f2_mean", "empty_images_with_false_ships")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patches", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--images", type=int, help="use only so many images")
    options = parser.parse_args()
    images = list(islice(PatchStore(options.patches).full_images(), options.images))
    print(f"| tile | overlap | {' | '.join(COLUMNS)} | s/image |")
    print("|" + "---|" * (len(COLUMNS) + 3))
    for tile, overlap in SETTINGS:
        predictor = Predictor.load(options.weights, tile=tile, overlap=overlap)
        measure_true_dice(predictor, images[:1])  # the first call compiles
        began = time.perf_counter()
        scores = measure_true_dice(predictor, images)
        seconds = (time.perf_counter() - began) / len(images)
        print(f"| {tile} | {overlap} | {' | '.join(f'{scores[name]:.3f}' for name in COLUMNS)} | {seconds:.2f} |")


if __name__ == "__main__":
    main()
