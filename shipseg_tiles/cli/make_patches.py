"""`shipseg-tiles make-patches`: labelled images to an HDF5 patch store."""

import os
import time
from dataclasses import dataclass, fields
from pathlib import Path

from shipseg_tiles.cli.common import CommonOptions, Outcome, option, percent


@dataclass(kw_only=True)
class Options(CommonOptions):
    """Options of `make-patches`."""

    images: Path = option("folder of images", metavar="DIR")
    labels: Path = option("CSV of run-length rows, or folder of mask PNGs", metavar="CSV")
    out: Path = option("HDF5 file to write", metavar="FILE.h5")
    patch: int = option("side of a patch in pixels", default=128)
    stride: int | None = option("pixels from one patch to the next (default: the patch)", default=None, type=int)
    background_ratio: float = option("background patches kept per ship patch", default=1.0, metavar="R")
    valid_fraction: float = option("share of the images that validate", default=0.1, metavar="F")
    full_images: int = option("validation images kept whole, for the true dice in training", default=100, metavar="N")
    seed: int = option("the same seed makes the same file", default=0, metavar="S")
    workers: int = option("processes", default=os.cpu_count() or 1, metavar="N")


def run(options: Options) -> Outcome:
    """Make the store."""
    from shipseg_tiles.archive.archive import open_archive
    from shipseg_tiles.errors import warn_skipped
    from shipseg_tiles.patches.make import MakeOptions, make_patches
    from shipseg_tiles.patches.plan import CLASSES, SPLITS

    began = time.monotonic()
    archive = open_archive(options.images, options.labels)
    for name in archive.missing:
        warn_skipped(name, f"it is labelled, but not in {options.images}")
    chosen = {field.name: getattr(options, field.name) for field in fields(MakeOptions)}
    chosen["stride"] = options.patch if options.stride is None else options.stride
    made = make_patches(archive, options.out, MakeOptions(**chosen), options.workers)
    seconds = time.monotonic() - began
    skipped = len(made.skipped) + len(archive.missing)
    counts = {split: {kind: made.plan.count(split, kind) for kind in CLASSES} for split in SPLITS}
    lines = [f"{made.images} images to {options.out} in {seconds:.1f} s, {skipped} skipped"]
    for split, of_split in counts.items():
        candidates = made.plan.candidates[split, "background"]
        share = percent(of_split["background"], candidates)
        lines.append(
            f"{split}: {of_split['ship']} ship and {of_split['background']} background patches ({share} of it)"
        )
    data = {
        "images": made.images,
        "skipped": skipped,
        "patches": counts,
        "plan_fingerprint": made.plan.fingerprint,
        "seconds": round(seconds, 3),
    }
    return Outcome("\n".join(lines), data)
