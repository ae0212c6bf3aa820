"""What an image looks like, in little: the patterns of its blocks, by which other images of the place are found."""

from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.errors import none_usable, warn_skipped
from shipseg_tiles.images import REDUCTION, read_reduced
from shipseg_tiles.processes import map_images, open_workers
from shipseg_tiles.zipped import AnyPath

BLOCK = 256
"""Side of a block in pixels: the stride at which the competition's images were cut out of larger scenes."""

SIDE = BLOCK // REDUCTION
"""Side of a pattern."""

MINIMUM_DEVIATION = 1.5
"""Blocks whose shrunk pattern deviates by fewer grey levels say nothing: JPEG's rounding is as large as that."""

_MAXIMUM_NO_DATA = 0.05


@dataclass(frozen=True)
class Signature:
    """The blocks of an image that tell places apart.

    The block grid starts at the upper left corner; a rest at the right or below is left out.

    Attributes:
        size: (height, width) of the image in pixels.
        positions: uint16 (N, 2): row and column of each block in the grid, in reading order.
        patterns: int8 (N, 1024): each block shrunk to 32 x 32 grey values, less a quadratic surface (light, haze and
            depth of water change from day to day), scaled so that the largest value is 127 or -127.
        deviations: float32 (N): standard deviation of each pattern in grey levels, `MINIMUM_DEVIATION` or more.
    """

    size: tuple[int, int]
    positions: NDArray[np.uint16]
    patterns: NDArray[np.int8]
    deviations: NDArray[np.float32]


def read_signatures(files: Mapping[str, AnyPath], processes: Executor) -> tuple[dict[str, Signature], dict[str, str]]:
    """Read the signature of every image; bad images are left out with a warning.

    Args:
        files: The file of each image, by name.
        processes: Where to read them.

    Returns:
        The signatures by name, and for bad images the reason by name; both in the order of `files`.
    """
    signatures, reasons = map_images(processes, read_signature, files, "signatures")
    for name, reason in reasons.items():
        warn_skipped(name, reason)
    return signatures, reasons


def read_signature(path: AnyPath) -> Signature:
    """Read the signature of one image; a JPEG is decoded at an eighth of its size only.

    Raises:
        InputError: If the image is missing or damaged, as `read_image`, or cut off, as `read_size`.
    """
    image, size = read_reduced(path)
    rows, columns = size[0] // BLOCK, size[1] // BLOCK
    cut = image[: rows * SIDE, : columns * SIDE].reshape(rows, SIDE, columns, SIDE, 3)
    colours = cut.transpose(4, 0, 2, 1, 3).reshape(3, rows * columns, SIDE * SIDE)
    patterns = colours.mean(axis=0, dtype=np.float32)
    patterns -= patterns @ _surfaces() @ _surfaces().T
    deviations = patterns.std(axis=1)
    telling = (deviations >= MINIMUM_DEVIATION) & ~_lacks_data(colours)
    patterns, deviations = patterns[telling], deviations[telling]
    scaled = patterns * (127 / np.abs(patterns).max(axis=1, keepdims=True, initial=0))
    positions = np.stack(np.divmod(np.flatnonzero(telling), max(columns, 1)), axis=1)
    return Signature(size, positions.astype(np.uint16), scaled.round().astype(np.int8), deviations)


def _lacks_data(colours: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Find blocks that are black, white or pure blue in a noteworthy part, as frames of scenes are.

    Args:
        colours: uint8 (3, N, pixels), red first.
    """
    red, green, blue = colours
    black_or_blue = (np.maximum(red, green) <= 4) & ((blue <= 4) | (blue >= 251))
    white = np.minimum(np.minimum(red, green), blue) >= 251
    lacking: NDArray[np.bool_] = (black_or_blue | white).mean(axis=1) > _MAXIMUM_NO_DATA
    return lacking


@lru_cache(maxsize=1)
def _surfaces() -> NDArray[np.float32]:
    """Return an orthonormal basis (1024, 6) of the quadratic surfaces over a pattern."""
    y, x = np.meshgrid(np.linspace(-1, 1, SIDE), np.linspace(-1, 1, SIDE), indexing="ij")
    powers = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1).reshape(SIDE * SIDE, 6)
    basis: NDArray[np.float32] = np.linalg.qr(powers)[0].astype(np.float32)
    return basis


def signatures_of(
    images: Path, files: Mapping[str, AnyPath], workers: int
) -> tuple[dict[str, Signature], dict[str, str]]:
    """Look at images to compare them.

    Args:
        images: Folder or zip that they are from, for messages.
        files: The file of each image, by name.
        workers: Number of processes.

    Returns:
        The signatures by name, and for bad images the reason by name.

    Raises:
        InputError: If all are bad.
    """
    with open_workers(workers) as processes:
        signatures, reasons = read_signatures(files, processes)
    if not signatures:
        raise none_usable(images, reasons)
    return signatures, reasons
