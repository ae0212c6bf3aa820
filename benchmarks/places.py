"""How well and how fast images of one place are found.

`python benchmarks/places.py --images 200000` on simulated signatures, `--real DIR` on the images of a folder.
"""

import argparse
import resource
import time
from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.fft import idctn

from shipseg_tiles.archive.places import (
    SAME_PLACE,
    Blocks,
    Indices,
    PlacePair,
    confirm_pairs,
    find_pairs,
    find_similar,
    group_places,
    stack_blocks,
)
from shipseg_tiles.archive.signatures import SIDE, Signature, read_signature
from shipseg_tiles.images import list_images, read_image

SCENE = 5
"""Side of a simulated scene in blocks; its images are 3 x 3 of them."""

IMAGES_PER_SCENE = 4
SHARE_OF_FLAT_BLOCKS = 0.25
"""As among the real images."""

SHARE_OF_OTHER_DAYS = 0.2
NOISE = 0.05
NOISE_OF_OTHER_DAYS = 0.35
"""In units of the pattern: correlations of 0.997 between two images of one picture, 0.94 or 0.89 with other days."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=200_000, help="simulated images")
    parser.add_argument("--shared", type=float, default=0.5, help="share of simulated images from common scenes")
    parser.add_argument("--real", type=Path, help="measure on the images of this folder instead")
    options = parser.parse_args()
    if options.real:
        measure_real(options.real)
    else:
        measure_simulated(options.images, options.shared)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


def measure_real(folder: Path) -> None:
    """Compare the index with a full comparison of all blocks."""
    paths = list_images(folder)
    began = time.perf_counter()
    for path in paths:
        read_image(path)
    decoding = (time.perf_counter() - began) / len(paths) * 1000
    began = time.perf_counter()
    signatures = {path.name: read_signature(path) for path in paths}
    milliseconds = (time.perf_counter() - began) / len(paths) * 1000
    blocks = stack_blocks(signatures)
    size = (blocks.patterns.nbytes + blocks.deviations.nbytes + 4 * len(blocks.image)) / len(paths) / 1024
    print(f"{len(paths)} images: {milliseconds:.2f} ms each, {decoding:.2f} ms to decode in full")
    print(f"{len(blocks.image)} telling blocks, {size:.1f} KiB an image")
    began = time.perf_counter()
    found = confirm_pairs(blocks, *find_similar(blocks.patterns))
    seconds = time.perf_counter() - began
    exact = confirm_pairs(blocks, *compare_all(blocks.patterns))
    print(f"{len(found)} pairs in {seconds:.2f} s; a full comparison finds {len(exact)}")
    print_recall(names_of(found), names_of(exact))
    print_groups(blocks, found)
    print_groups(blocks, exact)


def compare_all(patterns: NDArray[np.int8]) -> tuple[Indices, Indices]:
    """Find all pairs of blocks that correlate enough, by correlating each with each."""
    unit = patterns.astype(np.float32)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    firsts, seconds = [], []
    for begin in range(0, len(unit), 2048):
        first, second = np.nonzero(unit[begin : begin + 2048] @ unit.T >= SAME_PLACE)
        later = second > first + begin
        firsts.append(first[later] + begin)
        seconds.append(second[later])
    return np.concatenate(firsts), np.concatenate(seconds)


def measure_simulated(count: int, shared: float) -> None:
    """Plant scenes among lone images and look for them."""
    began = time.perf_counter()
    signatures, kinds = simulate(count, shared)
    blocks = sum(len(signature.positions) for signature in signatures.values())
    print(f"simulated {count} images with {blocks} blocks in {time.perf_counter() - began:.0f} s")
    began = time.perf_counter()
    found = names_of(find_pairs(signatures))
    print(f"{len(found)} pairs found in {time.perf_counter() - began:.0f} s")
    print_recall(found, set(kinds))
    for kind in sorted(set(kinds.values())):
        of_kind = {pair for pair, which in kinds.items() if which == kind}
        print(f"  {kind}: {len(of_kind & found)} of {len(of_kind)}")


def simulate(count: int, shared: float) -> tuple[dict[str, Signature], dict[tuple[str, str], str]]:
    """Make images of 3 x 3 blocks; return their signatures, and the kind of each pair with a telling block in common.

    Patterns are random with the spectrum of real ones: amplitude falls with the frequency to a power of 1 to 2. Real
    look-alikes such as straight coasts are not simulated.
    """
    random = np.random.default_rng(0)
    signatures: dict[str, Signature] = {}
    kinds: dict[tuple[str, str], str] = {}
    for scene, images in enumerate(scene_sizes(count, shared)):
        side = SCENE if images > 1 else 3
        patterns = draw_patterns(random, side * side)
        numbers = np.where(random.random(side * side) < SHARE_OF_FLAT_BLOCKS, -1, np.arange(side * side))
        views = {}
        for index in range(images):
            row, column = random.integers(0, side - 2, 2)
            shown = numbers.reshape(side, side)[row : row + 3, column : column + 3].ravel()
            other_day = images > 1 and random.random() < SHARE_OF_OTHER_DAYS
            name = f"{scene:06}-{index}"
            signatures[name] = make_signature(random, patterns, shown, NOISE_OF_OTHER_DAYS if other_day else NOISE)
            views[name] = ({*shown.tolist()} - {-1}, other_day)
        for (one, (blocks, day)), (other, (other_blocks, its_day)) in combinations(views.items(), 2):
            if common := len(blocks & other_blocks):
                kinds[one, other] = kind_of(common, day or its_day)
    return signatures, kinds


def kind_of(common_blocks: int, other_day: bool) -> str:
    """Name what may make a pair hard to find."""
    if not other_day:
        return "one picture"
    return "another day, one block in common (too little by the rule)" if common_blocks == 1 else "another day"


def scene_sizes(count: int, shared: float) -> Iterator[int]:
    """Split the images into scenes of several and of one."""
    scenes = round(count * shared / IMAGES_PER_SCENE)
    yield from [IMAGES_PER_SCENE] * scenes
    yield from [1] * (count - scenes * IMAGES_PER_SCENE)


def draw_patterns(random: np.random.Generator, count: int) -> NDArray[np.float32]:
    """Draw (count, 1024) patterns of mean 0 and deviation 1."""
    y, x = np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij")
    radius = np.maximum(np.hypot(y, x), 1).astype(np.float32)
    power = random.uniform(1, 2, (count, 1, 1)).astype(np.float32)
    waves = random.standard_normal((count, SIDE, SIDE), dtype=np.float32) * radius**-power
    waves[:, :2, :2] = 0  # as without its quadratic surface
    waves[:, 0, 2] = waves[:, 2, 0] = 0
    patterns = idctn(waves, axes=(1, 2), norm="ortho").reshape(count, SIDE * SIDE)
    standardised: NDArray[np.float32] = patterns / patterns.std(axis=1, keepdims=True)
    return standardised


def make_signature(
    random: np.random.Generator, patterns: NDArray[np.float32], shown: NDArray[np.int64], noise: float
) -> Signature:
    """Add noise of the same spectrum to the shown patterns (-1: flat) and store them as `read_signature` does."""
    telling = np.flatnonzero(shown >= 0)
    noisy = patterns[shown[telling]] + noise * draw_patterns(random, len(telling))
    noisy *= 127 / np.abs(noisy).max(axis=1, keepdims=True, initial=0)
    places = np.stack(np.divmod(telling, 3), axis=1).astype(np.uint16)
    deviations = np.full(len(telling), 5, dtype=np.float32)
    return Signature((768, 768), places, noisy.round().astype(np.int8), deviations)


def names_of(pairs: list[PlacePair]) -> set[tuple[str, str]]:
    return {(pair.first, pair.second) for pair in pairs}


def print_recall(found: set[tuple[str, str]], true: set[tuple[str, str]]) -> None:
    recall = len(found & true) / max(len(true), 1)
    print(f"recall {recall:.4f}: {len(found & true)} of {len(true)} pairs; {len(found - true)} false pairs")


def print_groups(blocks: Blocks, pairs: list[PlacePair]) -> None:
    sizes = Counter(Counter(group_places(blocks.names, pairs).values()).values())
    print("places by number of images:", ", ".join(f"{size}: {sizes[size]}" for size in sorted(sizes)))


if __name__ == "__main__":
    main()
