"""`shipseg-tiles explore`: what is in a labelled archive."""

from dataclasses import dataclass
from pathlib import Path

from shipseg_tiles.cli.common import Outcome
from shipseg_tiles.cli.options import ArchiveOptions, option


@dataclass(kw_only=True)
class Options(ArchiveOptions):
    """Options of `explore`."""

    out: Path = option("folder to write explore.html and explore.json to", metavar="DIR")


def run(options: Options) -> Outcome:
    """Explore."""
    from shipseg_tiles.report.explore import explore

    numbers = explore(options.archive(), options.out)
    summary = (
        f"{numbers['images']} images, {numbers['ship_images']} of them with {numbers['ships']} ships;"
        f" {numbers['skipped']} skipped, {numbers['missing']} labelled but not there: {options.out / 'explore.html'}"
    )
    return Outcome(summary, numbers)
