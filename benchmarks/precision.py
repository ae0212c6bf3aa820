"""What an engine and its precision cost in true dice, and what they spare in time.

`python benchmarks/precision.py --images DIR --labels CSV --split CSV`

All of them predict a round of images, then the next round, which begins with another one, so that ratios hold on a
noisy machine. Give images that the weights were not trained on (`--split CSV` takes its validation images), or the
dice means nothing. What is not installed, or not possible on this processor, is left out.
"""

from collections.abc import Iterator
from pathlib import Path

from stitch import Way, chosen_images, in_memory, in_turns, parsed_options, score_cells

from shipseg_tiles.archive.archive import open_archive
from shipseg_tiles.cli.common import quiet_import
from shipseg_tiles.errors import InputError

with quiet_import():
    from shipseg_tiles.inference.engines import ENGINES, PRECISIONS
    from shipseg_tiles.inference.options import PredictOptions
    from shipseg_tiles.inference.prediction_nets import load_nets

PLAIN = ("keras", "float32")
COLUMNS = ("dice_mean_all_images", "dice_mean_ship_images", "dice_pooled", "f2_mean")


def main() -> None:
    options = parsed_options(__doc__)
    archive = open_archive(options.images, options.labels)
    names = chosen_images(archive, options.split, options.count)
    ways = dict(all_ways(options.weights))
    in_turns(archive, names, list(ways.values()))
    report(ways)


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


def report(ways: dict[tuple[str, str], Way]) -> None:
    """Print a table. Times are over that of Keras in float32."""
    print("| engine, precision | true dice, all images | ship images | pooled | F2 | false ships on empties | time |")
    print("|---|---|---|---|---|---|---|")
    for (engine, precision), way in ways.items():
        cells = [*score_cells(way, COLUMNS), f"{way.ratio(ways[PLAIN]):.2f}"]
        print(f"| `{engine}`, `{precision}` | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
