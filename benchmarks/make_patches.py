"""Compare make-patches with decoding alone and with the usual way of making patches.

python benchmarks/make_patches.py --images DIR --labels CSV
"""

import argparse
import multiprocessing
import os
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from patchify import patchify
from skimage.io import imread, imsave

from shipseg_tiles.archive.archive import Archive, open_archive
from shipseg_tiles.images import read_image

USUAL_IMAGES = 160
"""The usual way is so slow that a sample must do; it is a random one."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    archive = open_archive(options.images, options.labels)
    count = len(archive.files)
    rates: dict[str, list[float]] = {}
    with TemporaryDirectory(dir=".") as name:
        split = Path(name) / "split.csv"
        rows = "".join(
            f"{image},{'valid' if number % 10 == 0 else 'train'}\n" for number, image in enumerate(archive.files)
        )
        split.write_text("ImageId,split\n" + rows)
        runs: dict[str, Callable[[], None]] = {
            "decoding alone": lambda: decode_all(archive, options.workers),
            "make-patches --split": lambda: make_store(options, Path(name), "--split", str(split)),
            "make-patches, split by place": lambda: make_store(options, Path(name)),
            "make-patches --split --background-ratio 3": lambda: make_store(
                options, Path(name), "--split", str(split), "--background-ratio", "3"
            ),
        }
        for number in range(options.rounds):
            for title, run in runs.items():
                began = time.perf_counter()
                run()
                rates.setdefault(title, []).append(count / (time.perf_counter() - began))
            print(f"round {number + 1}:", ", ".join(f"{title} {of_run[-1]:.0f}/s" for title, of_run in rates.items()))
        usual = usual_way(archive, Path(name) / "usual")
    decoding = rates["decoding alone"]
    for title, of_run in rates.items():
        ratios = [ours / bare for ours, bare in zip(of_run, decoding, strict=True)]
        print(
            f"{title}: {median(of_run):.0f} images/s, over decoding alone {median(ratios):.2f}"
            f" ({min(ratios):.2f} to {max(ratios):.2f}), over the usual way {median(of_run) / usual:.0f}"
        )
    print(f"usual way, one process, {USUAL_IMAGES} images: {usual:.1f} images/s")
    print(f"largest process: {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.0f} MiB")


def decode_all(archive: Archive, workers: int) -> None:
    """Decode every image in processes that are started for it, as make-patches starts its own."""
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as processes:
        for _ in processes.map(decode, archive.files.values(), chunksize=16):
            pass


def decode(path: Path) -> None:
    read_image(path)


def make_store(options: argparse.Namespace, folder: Path, *flags: str) -> None:
    """Run the command itself, its start included."""
    out = folder / "patches.h5"
    paths = ["--images", str(options.images), "--labels", str(options.labels), "--out", str(out)]
    command = [sys.executable, "-m", "shipseg_tiles", "make-patches", *paths, "--workers", str(options.workers)]
    subprocess.run([*command, *flags], check=True, stdout=subprocess.DEVNULL)
    out.unlink()


def usual_way(archive: Archive, folder: Path) -> float:
    """Make patches as notebooks do, and return images/s.

    Masks are decoded ship by ship and saved as PNG; image and mask are read back and cut with patchify, and every patch
    with a ship is saved as two PNGs, with as many patches without; those are about the patches that make-patches keeps.
    """
    folder.mkdir()
    names = np.random.default_rng(0).choice(sorted(archive.files), USUAL_IMAGES, replace=False)
    began = time.perf_counter()
    for name in names.tolist():
        mask = np.zeros(768 * 768, dtype=np.uint8)
        for ship in archive.labels.ships[name]:
            numbers = [int(field) for field in ship.split()]
            for start, length in zip(numbers[::2], numbers[1::2], strict=True):
                mask[start - 1 : start - 1 + length] = 255
        save(folder / f"{name}.png", mask.reshape(768, 768).T)
    for name in names.tolist():
        images = patchify(imread(archive.files[name]), (128, 128, 3), step=128).reshape(-1, 128, 128, 3)
        masks = patchify(imread(folder / f"{name}.png"), (128, 128), step=128).reshape(-1, 128, 128)
        ships = np.flatnonzero(masks.any(axis=(1, 2)))
        background = np.flatnonzero(~masks.any(axis=(1, 2)))[: len(ships)]
        for number in [*ships, *background]:
            save(folder / f"{name}.{number}.image.png", images[number])
            save(folder / f"{name}.{number}.mask.png", masks[number])
    return USUAL_IMAGES / (time.perf_counter() - began)


def save(path: Path, picture: NDArray[np.uint8]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        imsave(path, picture, check_contrast=False)


if __name__ == "__main__":
    main()
