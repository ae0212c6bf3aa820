"""What an engine and its precision cost in true dice, and what they spare in time.

`python benchmarks/precision.py --images DIR --labels CSV --split CSV`

All of them predict each image, one after the other, and begin with another one at the next image, so that ratios hold
on a noisy machine. Give images that the weights were not trained on (`--split CSV` takes its validation images), or the
dice means nothing. What is not installed, or not possible on this processor, is left out.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from stitch import Way, chosen_images, in_memory, parsed_options, trimmed
from tqdm import tqdm

from shipseg_tiles.archive.archive import Archive, open_archive
from shipseg_tiles.cli.common import quiet_import
from shipseg_tiles.errors import InputError
from shipseg_tiles.images import read_size
from shipseg_tiles.scoring.image_score import ImageScore, score_image
from shipseg_tiles.scoring.score import summarise

with quiet_import():
    from shipseg_tiles.inference.engines import ENGINES, PRECISIONS
    from shipseg_tiles.inference.prediction import PredictOptions, load_nets

PLAIN = ("keras", "float32")
COLUMNS = ("dice_mean_all_images", "dice_mean_ship_images", "dice_pooled", "f2_mean")


def main() -> None:
    options = parsed_options(__doc__)
    archive = open_archive(options.images, options.labels)
    names = chosen_images(archive, options.split, options.count)
    ways = dict(all_ways(options.weights))
    scores = measured(archive, names, ways)
    ships = sum(bool(archive.labels.ships[name]) for name in names)
    print(f"{len(names)} images, {ships} of them with ships; {options.weights}")
    report(ways, scores)


def all_ways(weights: Path) -> Iterator[tuple[tuple[str, str], Way]]:
    """Yield engine, precision and how they predict."""
    for engine in ENGINES:
        for precision in PRECISIONS:
            options = PredictOptions(weights=weights, engine=engine, precision=precision)
            try:
                load_nets(options)
            except InputError as error:
                print(f"without {engine} {precision}: {error}")
            else:
                yield (engine, precision), Way(in_memory(options))


def measured(
    archive: Archive, names: list[str], ways: dict[tuple[str, str], Way]
) -> dict[tuple[str, str], list[ImageScore]]:
    """Predict all images in all ways, and score them."""
    titles = list(ways)
    scores: dict[tuple[str, str], list[ImageScore]] = {title: [] for title in titles}
    for turn, name in enumerate(tqdm(names, disable=None)):
        height, width = read_size(archive.files[name])
        truth = archive.labels.ship_indices(name, (height, width))
        for place in range(len(titles)):
            title = titles[(turn + place) % len(titles)]
            found = ways[title](archive.files[name])
            scores[title].append(score_image(name, truth, found or [], (height, width)))
    return scores


def report(ways: dict[tuple[str, str], Way], scores: dict[tuple[str, str], list[ImageScore]]) -> None:
    """Print a table. Times are the trimmed mean over the images, over that of Keras in float32."""
    print("| engine, precision | true dice, all images | ship images | pooled | F2 | false ships on empties | time |")
    print("|---|---|---|---|---|---|---|")
    plain = trimmed(seconds_of(ways[PLAIN]))
    for (engine, precision), way in ways.items():
        summary = summarise(scores[engine, precision])
        empties = summary["empty_images_with_false_ships"]
        cells = ["-" if summary[name] is None else f"{summary[name]:.4f}" for name in COLUMNS]
        cells.append("-" if empties is None else f"{100 * empties:.0f} %")
        cells.append(f"{trimmed(seconds_of(way)) / plain:.2f}")
        print(f"| `{engine}`, `{precision}` | {' | '.join(cells)} |")
    print(f"{plain:.3f} s an image with Keras in float32")


def seconds_of(way: Way) -> NDArray[np.float64]:
    return np.array(way.seconds)


if __name__ == "__main__":
    main()
