"""`shipseg-tiles make-patches`: labelled images to an HDF5 patch store."""

import os
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from shipseg_tiles.cli.common import Outcome, interrupts, percent
from shipseg_tiles.cli.options import CommonOptions, option
from shipseg_tiles.errors import InputError
from shipseg_tiles.patches.options import BACKGROUND_FROM, Layout, PatchOptions

if TYPE_CHECKING:
    from shipseg_tiles.patches.plan import PatchPlan


_CLUSTER_SHARDS = 16
"""One file that several machines write to at once is safe on few network disks."""


@dataclass(kw_only=True)
class Options(CommonOptions):
    """Options of `make-patches`."""

    labels: Path = option("CSV of run-length rows, or folder of mask PNGs", metavar="CSV")
    images: Path | None = option("folder or zip of images (a dry run does without)", default=None, metavar="DIR")
    out: Path | None = option("HDF5 file to write (a dry run does without)", default=None, metavar="FILE.h5")
    preset: str = option("options of a preset, see shipseg-tiles presets; flags win", default="", metavar="NAME")
    patch: int = option("side of a patch in the image, in pixels", default=PatchOptions.patch)
    stride: int | None = option("pixels from one patch to the next (default: the patch)", default=None)
    resize: int | None = option(
        "side to which patches are shrunk or enlarged (default: not)", default=PatchOptions.resize, metavar="N"
    )
    background_ratio: float = option(
        "background patches kept per ship patch", default=PatchOptions.background_ratio, metavar="R"
    )
    background_from: str = option(
        "images that background comes from; both: half and half",
        default=PatchOptions.background_from,
        choices=BACKGROUND_FROM,
    )
    min_ship_pixels: int = option(
        "leave out patches with fewer ship pixels, but some", default=PatchOptions.min_ship_pixels, metavar="N"
    )
    jitter: int = option(
        "move ship patches off the grid by up to so many pixels", default=PatchOptions.jitter, metavar="N"
    )
    max_per_ship_count: int | None = option(
        "use at most so many images with 0 ships, with 1 ship, with 2 ... (default: all)",
        default=PatchOptions.max_per_ship_count,
        metavar="N",
    )
    valid_fraction: float = option(
        "share of the images that validate, chosen by place", default=PatchOptions.valid_fraction, metavar="F"
    )
    split: Path | None = option(
        "CSV of ImageId,split with train or valid, instead of --valid-fraction", default=None, metavar="CSV"
    )
    full_images: int = option(
        "validation images kept whole, for the true dice in training", default=PatchOptions.full_images, metavar="N"
    )
    seed: int = option("the same seed makes the same file", default=PatchOptions.seed, metavar="S")
    shards: int | None = option(
        "divide the patches among so many files, up to 64 (default: 1, on a cluster 16)",
        default=None,
        metavar="N",
    )
    compression: str = option("lz4, zstd or gzip: less disk, slower to read", default="", metavar="NAME")
    workers: int = option("processes", default=os.cpu_count() or 1, metavar="N")
    cluster: str = option(
        "Dask scheduler tcp://HOST:PORT, or local:N, instead of --workers", default="", metavar="WHERE"
    )
    dry_run: bool = option("print what would be made and what it would cost, and stop", default=False)


def run(options: Options) -> Outcome:
    """Make the store, or say what it would be."""
    from shipseg_tiles.archive.split_file import read_split

    chosen = {field.name: getattr(options, field.name) for field in fields(PatchOptions)}
    chosen["stride"] = options.patch if options.stride is None else options.stride
    make_options = PatchOptions(**chosen)
    split = read_split(options.split) if options.split else None
    return (_preview if options.dry_run else _make)(options, make_options, split)


def _make(options: Options, make_options: PatchOptions, split: dict[str, str] | None) -> Outcome:
    from shipseg_tiles.archive.archive import open_archive
    from shipseg_tiles.patches.make import make_patches

    if not options.images or not options.out:
        raise InputError("--images and --out are required; only --dry-run does without")
    began = time.monotonic()
    archive = open_archive(options.images, options.labels)
    with interrupts("what is done is kept: go on with the same command"):
        made = make_patches(
            archive,
            options.out,
            make_options,
            workers=options.workers,
            cluster=options.cluster,
            layout=_layout(options),
            split=split,
        )
    seconds = time.monotonic() - began
    skipped = len(made.skipped) + len(archive.missing)
    lines = [f"{made.images} images to {options.out} in {seconds:.1f} s, {skipped} skipped"]
    data = {
        "images": made.images,
        "skipped": skipped,
        "patches": _counts(made.plan),
        "plan_fingerprint": made.plan.fingerprint,
        "seconds": round(seconds, 3),
    }
    return Outcome("\n".join([*lines, *_count_lines(made.plan, options.background_ratio)]), data)


def _layout(options: Options) -> Layout:
    shards = options.shards
    if shards is None:
        shards = _CLUSTER_SHARDS if options.cluster else 1
    return Layout(shards, options.compression)


def _preview(options: Options, make_options: PatchOptions, split: dict[str, str] | None) -> Outcome:
    from shipseg_tiles.archive.archive import open_archive
    from shipseg_tiles.archive.labels import read_labels
    from shipseg_tiles.patches.preview import preview_archive, preview_labels
    from shipseg_tiles.processes import open_workers

    if options.images:
        with open_workers(options.workers, options.cluster) as processes:
            archive = open_archive(options.images, options.labels)
            preview = preview_archive(archive, make_options, split, processes, options.workers)
    else:
        preview = preview_labels(read_labels(options.labels), make_options, split)
    size = "" if options.labels.is_dir() else ", taken as 768 x 768"
    source = "" if options.images else size if split else f"{size}, split by image"
    time_text = "" if preview.seconds is None else f", about {preview.seconds:.0f} s to cut"
    lines = [
        f"{preview.images} images{source}: {len(preview.plan.table)} patches, {_gigabytes(preview.bytes)}{time_text}",
        *_count_lines(preview.plan, options.background_ratio),
        "background ratio: patches, disk",
        *(f"{ratio:>16g}: {patches:,}, {_gigabytes(size)}" for ratio, (patches, size) in preview.ratios.items()),
    ]
    data = {
        "images": preview.images,
        "patches": _counts(preview.plan),
        "bytes": preview.bytes,
        "seconds": preview.seconds,
        "ratios": {f"{ratio:g}": {"patches": row[0], "bytes": row[1]} for ratio, row in preview.ratios.items()},
    }
    return Outcome("\n".join(lines), data)


def _counts(plan: "PatchPlan") -> dict[str, dict[str, int]]:
    from shipseg_tiles.archive.split import SPLITS
    from shipseg_tiles.patches.store_layout import CLASSES

    return {split: {kind: plan.count(split, kind) for kind in CLASSES} for split in SPLITS}


def _count_lines(plan: "PatchPlan", ratio: float) -> list[str]:
    from shipseg_tiles.patches.plan import background_wanted

    lines = []
    for split, wanted in background_wanted(plan.candidates, ratio).items():
        ship, background = plan.count(split, "ship"), plan.count(split, "background")
        share = percent(background, plan.candidates[split, "background"])
        short = f"; the ratio asks for {wanted}" if background < wanted else ""
        lines.append(f"{split}: {ship} ship and {background} background patches ({share} of it{short})")
    return lines


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"
