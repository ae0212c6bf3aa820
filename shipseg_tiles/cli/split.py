"""`shipseg-tiles split`: choose validation images so that no place is on both sides."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from shipseg_tiles.cli.common import Outcome
from shipseg_tiles.cli.options import ArchiveOptions, option

if TYPE_CHECKING:
    from shipseg_tiles.archive.signatures import Signature


@dataclass(kw_only=True)
class Options(ArchiveOptions):
    """Options of `split`."""

    out: Path = option("CSV to write: ImageId,split,scene", metavar="CSV")
    valid_fraction: float = option("share of the images that validate", default=0.1, metavar="F")
    seed: int = option("the same seed chooses the same images", default=0, metavar="S")
    workers: int = option("processes", default=os.cpu_count() or 1, metavar="N")


def run(options: Options) -> Outcome:
    """Group the images by place and split the groups."""
    from shipseg_tiles.archive.places import places_of
    from shipseg_tiles.archive.signatures import signatures_of
    from shipseg_tiles.archive.split import VALID, choose_split
    from shipseg_tiles.archive.split_file import write_split

    archive = options.archive()
    signatures, reasons = signatures_of(options.images, archive.files, options.workers)
    places = places_of(signatures)
    ship_counts = {name: len(archive.labels.ships[name]) for name in signatures}
    split = choose_split(ship_counts, places, options.valid_fraction, options.seed)
    write_split(options.out, split, places)
    skipped = len(reasons) + len(archive.missing)
    return _outcome(options.out, signatures, places, [*split.values()].count(VALID), skipped)


def _outcome(
    out: Path, signatures: Mapping[str, "Signature"], places: Mapping[str, int], validation: int, skipped: int
) -> Outcome:
    from collections import Counter

    sizes = Counter(places.values()).values()
    data = {
        "images": len(signatures),
        "skipped": skipped,
        "places": len(sizes),
        "images_that_share_a_place": sum(size for size in sizes if size > 1),
        "images_of_the_largest_place": max(sizes),
        "images_too_even_to_compare": sum(not len(signature.positions) for signature in signatures.values()),
        "validation_images": validation,
    }
    summary = (
        f"{data['images']} images of {data['places']} places to {out}, {skipped} skipped\n"
        f"{data['images_that_share_a_place']} share a place with another image "
        f"(the largest place has {data['images_of_the_largest_place']}); "
        f"{data['images_too_even_to_compare']} are too even, or too small, to compare\n"
        f"{validation} validate"
    )
    return Outcome(summary, data)
