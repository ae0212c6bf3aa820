"""Compare make-patches with decoding alone: `python benchmarks/make_patches.py --images DIR --labels CSV`."""

import argparse
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from shipseg_tiles.archive.archive import Archive, open_archive
from shipseg_tiles.images import read_image
from shipseg_tiles.patches.make import MakeOptions, make_patches


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--background-ratio", type=float, default=1.0)
    options = parser.parse_args()
    archive = open_archive(options.images, options.labels)
    make_options = replace(MakeOptions(), background_ratio=options.background_ratio)
    ratios = []
    for number in range(options.rounds):
        decoding = decode_all(archive, options.workers)
        making = make_store(archive, make_options, options.workers)
        ratios.append(decoding / making)
        count = len(archive.files)
        print(
            f"round {number + 1}: decoding {count / decoding:.0f} images/s, make-patches {count / making:.0f} images/s"
        )
    print(f"ratio: median {median(ratios):.2f}, from {min(ratios):.2f} to {max(ratios):.2f}")


def decode_all(archive: Archive, workers: int) -> float:
    """Decode every image in processes like those of make-patches, their start included; return the seconds."""
    began = time.perf_counter()
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as processes:
        for _ in processes.map(decode, [archive.files[name] for name in archive.files], chunksize=16):
            pass
    return time.perf_counter() - began


def decode(path: Path) -> None:
    """Decode an image and let go of it."""
    read_image(path)


def make_store(archive: Archive, options: MakeOptions, workers: int) -> float:
    """Make a store of the whole archive; return the seconds."""
    with TemporaryDirectory(dir=".") as folder:
        began = time.perf_counter()
        make_patches(archive, Path(folder) / "patches.h5", options, workers)
        return time.perf_counter() - began


if __name__ == "__main__":
    main()
