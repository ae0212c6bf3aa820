"""Time the training feed in a loop that does nothing, for each layout of a store: `python benchmarks/feed.py`.

Each layout and order runs in a process of its own, so that its memory is its own.
"""

import os
import resource
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from shipseg_tiles.archive.archive import open_archive
from shipseg_tiles.archive.simulate import simulate_archive
from shipseg_tiles.patches.batch_mix import BatchMix
from shipseg_tiles.patches.feed import RatioFeed
from shipseg_tiles.patches.make import make_patches
from shipseg_tiles.patches.options import ORDERS, Layout, PatchOptions
from shipseg_tiles.patches.store import PatchStore
from shipseg_tiles.patches.store_layout import CLASSES

BATCH = 64
ROUNDS = 7
LAYOUTS = {"plain": Layout(), "shards": Layout(shards=4)} | {
    compression: Layout(compression=compression) for compression in ("gzip", "lz4", "zstd")
}


def main() -> None:
    print("patches/s with masks; ratios to a random gather from a mapped array of (a) images and masks, (b) images;")
    print(
        "memory: largest at a time of what is allocated, of the feed and of (a) and (b); then by how much the peak of"
    )
    print(
        "the process (ru_maxrss) grew, which counts the pages of a mapped file too, though they can be dropped any time"
    )
    with TemporaryDirectory(dir=".") as name:
        folder = Path(name)
        make_stores(folder)
        for layout in LAYOUTS:
            for order in ORDERS:
                subprocess.run([sys.executable, __file__, folder / f"{layout}.h5", order], check=True)


def make_stores(folder: Path) -> None:
    made = simulate_archive(folder, images=60, seed=0)
    archive = open_archive(made.images, made.labels)
    options = PatchOptions(stride=32, background_ratio=1.0, valid_fraction=0.0)
    for name, layout in LAYOUTS.items():
        make_patches(archive, folder / f"{name}.h5", options, workers=2, layout=layout)


def measure(path: Path, order: str) -> None:
    """Print one line about one store and order."""
    feed = RatioFeed(PatchStore(path), BatchMix.parse(BATCH, "0.5"), seed=0, order=order)
    plain = PatchStore(path.with_name("plain.h5"))
    mapped = [plain.sets["train", kind].parts[0] for kind in CLASSES]
    gathers: list[Callable[[], float]] = [
        lambda: time_feed(feed),
        lambda: time_gather([(part.image, part.mask) for part in mapped], len(feed)),
        lambda: time_gather([(part.image,) for part in mapped], len(feed)),
    ]
    before = peak()
    allocated = [peak_allocated(gathers[0])]
    grown = peak() - before
    allocated += [peak_allocated(gather) for gather in gathers[1:]]  # after that, all files are in memory
    rounds = [[gather() for gather in gathers] for _ in range(ROUNDS)]
    rate = median(ours for ours, _, _ in rounds)
    both = median(ours / bare for ours, bare, _ in rounds)
    images = median(ours / bare for ours, _, bare in rounds)
    print(
        f"{path.stem:6} {order:10} {rate:9,.0f} patches/s, ratios {both:.2f} (a), {images:.2f} (b);"
        f" memory {' '.join(f'{size:.1f}' for size in allocated)} MB, process +{grown:.0f} MB"
        f" ({len(feed) * BATCH} patches of {feed.store.side} px)"
    )


def peak() -> float:
    """Return the peak memory of this process so far in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def peak_allocated(work: Callable[[], float]) -> float:
    """Return the most memory in MB that Python and NumPy had allocated at a time for some work."""
    tracemalloc.start()
    work()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most / 2**20


def time_feed(feed: RatioFeed) -> float:
    """Return the patches/s of one epoch."""
    began = time.perf_counter()
    for index in range(len(feed)):
        feed[index]
    patches = len(feed) * BATCH
    feed.on_epoch_end()
    return patches / (time.perf_counter() - began)


def time_gather(classes: list[tuple[NDArray[np.uint8], ...]], batches: int) -> float:
    """Return the patches/s of indexing mapped arrays at random, a batch of ships and one of background in turn."""
    random = np.random.default_rng(0)
    began = time.perf_counter()
    for arrays in islice(cycle(classes), batches):
        places = random.integers(0, len(arrays[0]), BATCH)
        for array in arrays:
            array[places]
    return batches * BATCH / (time.perf_counter() - began)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(Path(sys.argv[1]), sys.argv[2])
    else:
        main()
