"""What a compressed store saves and costs: `python benchmarks/compression.py --images DIR --labels CSV`."""

import argparse
import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from shipseg_tiles.archive.archive import Archive, open_archive
from shipseg_tiles.patches.make import make_patches
from shipseg_tiles.patches.options import Layout, PatchOptions
from shipseg_tiles.patches.store import PatchStore
from shipseg_tiles.patches.store_layout import FILTERS

BATCH = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--labels", type=Path, required=True)
    options = parser.parse_args()
    archive = open_archive(options.images, options.labels)
    with TemporaryDirectory(dir=".") as folder:
        measure(archive, Path(folder) / "warm.h5", "")  # brings the images into memory
        plain = measure(archive, Path(folder) / "plain.h5", "")
        print(f"none: {plain[0] / 1e6:.0f} MB, made in {plain[1]:.1f} s, {plain[2]:,.0f} patches/s")
        for name in FILTERS:
            size, seconds, rate = measure(archive, Path(folder) / f"{name}.h5", name)
            print(
                f"{name}: {size / plain[0]:.2f} of the disk, {seconds / plain[1]:.1f} times as long to make,"
                f" {rate / plain[2]:.3f} of the reading rate ({rate:,.0f} patches/s)"
            )


def measure(archive: Archive, path: Path, compression: str) -> tuple[int, float, float]:
    """Make a store; return its bytes, the seconds that took, and patches/s read at random by one thread."""
    began = time.perf_counter()
    options = PatchOptions(valid_fraction=0.0)
    make_patches(archive, path, options, workers=os.cpu_count() or 1, layout=Layout(compression=compression))
    seconds = time.perf_counter() - began
    ships = PatchStore(path).sets["train", "ship"]
    random = np.random.default_rng(0)
    batches = 20 if compression else 400
    began = time.perf_counter()
    for _ in range(batches):
        ships.read(random.integers(0, len(ships), BATCH))
    return path.stat().st_size, seconds, batches * BATCH / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
