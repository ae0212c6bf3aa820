"""`shipseg-tiles simulate`: synthetic scenes in the competition's layout."""

from dataclasses import asdict, dataclass
from pathlib import Path

from shipseg_tiles.cli.common import Outcome
from shipseg_tiles.cli.options import CommonOptions, option


@dataclass(kw_only=True)
class Options(CommonOptions):
    """Options of `simulate`."""

    out: Path = option("folder to make train_v2/ and train_ship_segmentations_v2.csv in", metavar="DIR")
    images: int = option("number of scenes", default=100, metavar="N")
    seed: int = option("the same seed makes the same scenes", default=0, metavar="S")


def run(options: Options) -> Outcome:
    """Make the scenes."""
    from shipseg_tiles.archive.simulate import simulate_archive

    made = simulate_archive(options.out, options.images, options.seed)
    summary = (
        f"{made.image_count} scenes in {made.images}, {made.ship_image_count} of them with {made.ship_count} ships:"
        f" {made.labels}"
    )
    return Outcome(summary, asdict(made) | {"images": str(made.images), "labels": str(made.labels)})
