"""Time the training feed in a loop that does nothing: `python benchmarks/feed.py`."""

import os
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from shipseg_tiles.archive.archive import open_archive
from shipseg_tiles.archive.simulate import simulate_archive
from shipseg_tiles.patches.feed import RatioFeed
from shipseg_tiles.patches.make import MakeOptions, make_patches
from shipseg_tiles.patches.store import PatchStore

BATCH = 64


def main() -> None:
    with TemporaryDirectory(dir=".") as name:
        folder = Path(name)
        made = simulate_archive(folder, images=60, seed=0)
        options = MakeOptions(stride=32, background_ratio=1.0, valid_fraction=0.0)
        make_patches(open_archive(made.images, made.labels), folder / "patches.h5", options, workers=2)
        store = PatchStore(folder / "patches.h5")
        feed = RatioFeed(store, BATCH, 0.5, seed=0)
        in_memory = np.array(store.sets["train", "background"].parts[0].image)
        time_feed(feed)  # the first epoch brings the file into memory
        pairs = [(time_feed(feed), time_gather(in_memory, len(feed))) for _ in range(7)]
    print(f"{len(feed) * BATCH} patches of {store.patch} px an epoch, batches of {BATCH}, half of them ships")
    print(f"feed: median {median(rate for rate, _ in pairs):,.0f} patches/s with masks")
    print(f"bare gather of images from memory: median {median(rate for _, rate in pairs):,.0f} patches/s")
    print(f"ratio: median {median(ours / bare for ours, bare in pairs):.2f}")


def time_feed(feed: RatioFeed) -> float:
    """Return the patches/s of one epoch."""
    began = time.perf_counter()
    for index in range(len(feed)):
        feed[index]
    feed.on_epoch_end()
    return len(feed) * BATCH / (time.perf_counter() - began)


def time_gather(images: np.ndarray, batches: int) -> float:
    """Return the patches/s of indexing an array in memory at random."""
    random = np.random.default_rng(0)
    began = time.perf_counter()
    for _ in range(batches):
        images[random.integers(0, len(images), BATCH)]
    return batches * BATCH / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
