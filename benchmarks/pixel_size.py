"""What `predict --pixel-size` gains: `python benchmarks/pixel_size.py --images DIR --labels CSV --split CSV`.

Images and labels are resized, as if a satellite with finer or coarser pixels had taken them, and predicted as they are
and with `--pixel-size`. What is enlarged is softer than pictures with such pixels really are. Give images that the
weights were not trained on (`--split CSV` takes its validation images), or the dice means nothing.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from shipseg_tiles.archive.archive import Archive, open_archive
from shipseg_tiles.archive.split_file import validation_places
from shipseg_tiles.cli.common import quiet_import
from shipseg_tiles.connected import connected_objects
from shipseg_tiles.images import read_image, resize_image
from shipseg_tiles.nets.contract_file import read_contract
from shipseg_tiles.nets.weights_files import chosen_gate, default_weights
from shipseg_tiles.scoring.image_score import ImageScore, score_image
from shipseg_tiles.scoring.score import summarise

with quiet_import():
    from shipseg_tiles.inference.options import PredictOptions
    from shipseg_tiles.inference.prediction_nets import load_nets

TIMES = (1 / 3, 1 / 2, 2 / 3, 3 / 4, 1, 4 / 3, 3 / 2, 2, 3)
"""How many times as large as in training pixels are."""

COLUMNS = {"dice_mean_ship_images": "ship images", "dice_mean_all_images": "all images", "dice_pooled": "pooled"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--weights", type=Path, default=default_weights())
    options = parser.parse_args()
    archive = open_archive(options.images, options.labels)
    names = list(validation_places(archive, options.split))
    trained = read_contract(options.weights).pixel_size
    assert trained, "weights that do not say their pixel size have no other"
    columns = " | ".join(COLUMNS.values())
    print(f"| pixels | as they are: {columns} | with `--pixel-size`: {columns} |\n|{7 * '---|'}")
    for times in TIMES:
        cells = [f"{times * trained:.3g} m"]
        for size in (None, times * trained):
            cells += cells_of(archive, names, options.weights, times, size)
        print(f"| {' | '.join(cells)} |", flush=True)


def cells_of(archive: Archive, names: Sequence[str], weights: Path, times: float, size: float | None) -> list[str]:
    options = PredictOptions(weights=weights, gate=chosen_gate("", weights), pixel_size=size)
    scores = summarise(list(scored(archive, names, options, times)))
    return [f"{scores[name]:.3f}" for name in COLUMNS]


def scored(archive: Archive, names: Sequence[str], options: PredictOptions, times: float) -> Iterator[ImageScore]:
    """Predict images whose pixels are so many times as large, and compare with labels that are resized likewise."""
    predictor = load_nets(options).predictor
    for name in tqdm(names, disable=None):
        image = read_image(archive.files[name])
        full_height, full_width = image.shape[:2]
        shape = round(full_height / times), round(full_width / times)
        labelled = archive.labels.mask(name, (full_height, full_width))
        truth = np.flatnonzero(resize_image(255 * labelled, shape).T > 127)
        yield score_image(name, connected_objects(truth, shape[0]), predictor.ships(resize_image(image, shape)), shape)


if __name__ == "__main__":
    main()
