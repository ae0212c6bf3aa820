"""`shipseg-tiles mine`: the background on which a net sees ships, as a store for the next training."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from shipseg_tiles.cli.common import Outcome, quiet_import
from shipseg_tiles.cli.options import MiningOptions, option
from shipseg_tiles.errors import InputError

if TYPE_CHECKING:
    from shipseg_tiles.training.mining import HardNegatives


@dataclass(kw_only=True)
class Options(MiningOptions):
    """Options of `mine`."""

    out: Path = option("HDF5 file to write", metavar="MINED.h5")
    threshold: float | None = option(
        "probability above which a pixel is ship (default: the contract's)", default=None, metavar="P"
    )
    max_patches: int = option("keep at most so many patches, the worst ones", default=10_000, metavar="N")


def run(options: Options) -> Outcome:
    """Mine."""
    from shipseg_tiles.nets.contract_file import read_contract
    from shipseg_tiles.patches.store import PatchStore
    from shipseg_tiles.processes import open_workers

    # All that can be wrong with the files, before the slow import.
    store = PatchStore(*options.patches)
    if options.out.resolve() in {shard.resolve() for shard in store.files}:
        raise InputError(f"{options.out} is a shard of the store that is mined with; choose another name for --out")
    read_contract(options.weights)
    archive = options.archive()
    split = options.split_of_images()
    with quiet_import():
        from shipseg_tiles.inference.predictor import Predictor
        from shipseg_tiles.training.mining import find_hard_negatives, write_hard_negatives

    began = time.monotonic()
    predictor = Predictor.load(options.weights, threshold=options.threshold)
    with open_workers(options.workers) as processes:
        found = find_hard_negatives(predictor, archive, store, processes, options.max_patches, split)
        write_hard_negatives(found, archive, options.out, processes)
    return _outcome(found, len(archive.missing), options.out, time.monotonic() - began)


def _outcome(found: "HardNegatives", missing: int, out: Path, seconds: float) -> Outcome:
    data = {
        "images": found.images,
        "skipped": len(found.skipped) + missing,
        "images_with_false_ships": found.images_with_false_ships,
        "patches_with_false_ships": found.patches,
        "patches": len(found.plan.table),
        "plan_fingerprint": found.plan.fingerprint,
        "seconds": round(seconds, 3),
    }
    summary = (
        f"{data['images']} images looked at, {data['skipped']} skipped, false ships in"
        f" {data['images_with_false_ships']} of them; {data['patches']} of {data['patches_with_false_ships']} patches"
        f" kept, {data['seconds']:.1f} s: {out}"
    )
    return Outcome(summary, data)
