"""`shipseg-tiles audit-split`: find images of one place on different sides of a split."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from shipseg_tiles.cli.common import Outcome, percent
from shipseg_tiles.cli.options import CommonOptions, option

if TYPE_CHECKING:
    from shipseg_tiles.archive.places import PlacePair
    from shipseg_tiles.zipped import AnyPath

_SHOWN = 3


@dataclass(kw_only=True)
class Options(CommonOptions):
    """Options of `audit-split`."""

    images: Path = option("folder or zip of images", metavar="DIR")
    split: Path = option("CSV with the columns ImageId and split; sides may have any names", metavar="CSV")
    workers: int = option("processes", default=os.cpu_count() or 1, metavar="N")


def run(options: Options) -> Outcome:
    """Report every pair of images that show one place from different sides."""
    from shipseg_tiles.archive.places import find_pairs
    from shipseg_tiles.archive.signatures import signatures_of
    from shipseg_tiles.archive.split_file import read_any_split

    split = read_any_split(options.split)
    files = _files_of(options, split)
    signatures, _ = signatures_of(options.images, files, options.workers)
    pairs = [pair for pair in find_pairs(signatures) if split[pair.first] != split[pair.second]]
    return _outcome({name: split[name] for name in signatures}, pairs, len(split) - len(signatures))


def _files_of(options: Options, split: Iterable[str]) -> dict[str, "AnyPath"]:
    """Find the files of the images that the split names; warn of those that are not there."""
    from shipseg_tiles.errors import InputError, warn_all_skipped
    from shipseg_tiles.images import list_images

    present = {path.name: path for path in list_images(options.images)}
    files = {name: present[name] for name in split if name in present}
    if not files:
        raise InputError(
            f"{options.split} names none of the {len(present)} images in {options.images}; do they belong together?"
        )
    missing = [name for name in split if name not in present]
    warn_all_skipped(missing, f"it is in {options.split}, but not in {options.images}")
    return files


def _outcome(split: Mapping[str, str], pairs: list["PlacePair"], skipped: int) -> Outcome:
    from collections import Counter
    from dataclasses import asdict

    images = Counter(split.values())
    leaking = Counter(split[name] for name in {name for pair in pairs for name in (pair.first, pair.second)})
    lines = [f"{len(pairs)} pairs of {len(split)} images show one place from different sides, {skipped} skipped"]
    lines += [
        f"{side}: {leaking[side]} of {count} images leak ({percent(leaking[side], count)})"
        for side, count in sorted(images.items())
    ]
    lines += [
        f"{pair.first} ({split[pair.first]}) and {pair.second} ({split[pair.second]}), "
        f"{pair.row_offset} px down and {pair.column_offset} px right"
        for pair in pairs[:_SHOWN]
    ]
    data = {
        "images": len(split),
        "skipped": skipped,
        "sides": {side: {"images": count, "leaking": leaking[side]} for side, count in sorted(images.items())},
        "pairs": [
            asdict(pair) | {"first_split": split[pair.first], "second_split": split[pair.second]} for pair in pairs
        ],
    }
    return Outcome("\n".join(lines), data)
