"""A trained net for other runtimes, checked against Keras before it gets its name."""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from shipseg_tiles.archive.simulate import simulate_scene
from shipseg_tiles.errors import InputError, none_readable
from shipseg_tiles.files import check_space
from shipseg_tiles.images import readable_images
from shipseg_tiles.inference.formats import FORMATS, Answers, Format
from shipseg_tiles.inference.openvino_engine import check_backend
from shipseg_tiles.inference.views import at_training_scale
from shipseg_tiles.nets.contract import Contract
from shipseg_tiles.nets.contract_file import read_contract
from shipseg_tiles.nets.saved import first_line, load_model
from shipseg_tiles.nets.weights_files import contract_path
from shipseg_tiles.tiling import TileGrid, round_up
from shipseg_tiles.zipped import AnyPath

TOLERANCE = 1e-3
"""Largest difference of a probability from Keras's that counts as rounding.

The same sums in another order differ by a few millionths; what a converter gets wrong, such as the padding, shows in
the first digits. Few pixels are so close to a threshold that a thousandth moves them across.
"""

CHECKED_IMAGES = 16
"""Of more images than this, as many are taken, evenly spaced."""

CHECKED_TILES = 4
"""So many tiles of each image are compared at each size."""

SCENE_SIDE = 384
"""Side in pixels of the simulated scenes that are compared where no images are given."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class Exported:
    """A net that was exported.

    Attributes:
        folder: What was written.
        bytes: Size of all files in it.
        tiles: How many tiles were compared.
        largest_difference: Of a probability from Keras's, in any pixel of them.
    """

    folder: Path
    bytes: int
    tiles: int
    largest_difference: float


def export_net(weights: Path, to: str, out: Path, images: Sequence[AnyPath] = ()) -> Exported:
    """Write a net for other runtimes, with a copy of its contract, and check that it answers as it does in Keras.

    Args:
        weights: `.keras` file with its contract beside it: a segmenter, a classifier or a gate.
        to: One of `FORMATS`.
        out: Folder to write, whole or not at all.
        images: Files to compare the answers on, besides noise; without any, on simulated scenes.

    Raises:
        InputError: If there is no such format or what it needs is not installed, Keras does not run on TensorFlow,
            `out` exists, the weights or an image are bad, or the answers differ by more than `TOLERANCE`.
        OSError: If the disk is full, or `out` cannot be written.
    """
    if to not in FORMATS:
        raise InputError(f"there is no format {to!r}; choose one of {', '.join(FORMATS)}")
    check_backend()
    if out.exists():  # never replaced: a folder may hold more than an older net
        raise InputError(f"{out} exists already; remove it or give another folder")
    contract, net = read_contract(weights), load_model(weights)
    batches = list(check_batches(contract, images))
    with _written_whole(out) as folder:
        try:
            difference = _write_and_compare(net, FORMATS[to], folder, batches)
        except InputError:
            raise
        except Exception as error:  # converters and runtimes raise nearly every kind
            check_space(out.parent, 0)  # few of them tell a full disk as what it is
            raise InputError(f"{weights} cannot be exported to {to}: {first_line(error)}") from None
        if not difference <= TOLERANCE:  # so that NaN is refused too
            raise InputError(
                f"{weights} answers differently as {to}, by up to {difference:.2g} where {TOLERANCE:g} may be rounding;"
                " choose another format"
            )
        shutil.copyfile(contract_path(weights), folder / "contract.json")
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    return Exported(out, size, sum(map(len, batches)), difference)


def _write_and_compare(net: Any, to: Format, folder: Path, batches: Sequence[NDArray[np.uint8]]) -> float:
    to.write(net, folder)
    return largest_difference(net.predict_on_batch, to.open(folder), batches)


@contextmanager
def _written_whole(out: Path) -> Iterator[Path]:
    """Yield an empty folder that takes the name `out` only when the block ends well, and is removed if it does not."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=f".partial.{out.name}.", dir=out.parent) as temporary:
            folder = Path(temporary) / out.name
            folder.mkdir()
            yield folder
            folder.rename(out)
    except OSError as error:
        error.filename = str(out)  # not a name that nobody asked for
        raise


def check_batches(contract: Contract, images: Sequence[AnyPath] = ()) -> Iterator[NDArray[np.uint8]]:
    """Yield what answers are compared on: uint8 (N, height, width, 3) in several sizes.

    Noise comes first, wider than high, so that sides that were exchanged or fixed show. Then come tiles as large as
    the net was trained on, and twice as large.

    Args:
        contract: How the net is used.
        images: Files to cut the tiles out of; simulated scenes if there are none.

    Raises:
        InputError: If there are images and none can be read; bad ones are left out with a warning.
    """
    multiple = contract.tile_multiple
    yield np.random.default_rng(0).integers(0, 256, (2, 2 * multiple, 3 * multiple, 3), dtype=np.uint8)
    side = round_up(contract.patch_seen, multiple)
    for image in _read(_evenly(images, CHECKED_IMAGES)) if images else _scenes():
        seen = at_training_scale(image, contract)
        height, width = seen.shape[:2]
        for tile in (side, 2 * side):
            yield _tiles(seen, TileGrid.covering(height, width, tile, 0.0, multiple))


def _read(images: Sequence[AnyPath]) -> Iterator[NDArray[np.uint8]]:
    found = [pixels for _, pixels in readable_images(images, "read")]
    if not found:
        raise none_readable("images to compare answers on")
    yield from found


def _scenes() -> Iterator[NDArray[np.uint8]]:
    """Yield two simulated scenes without ships and two with some."""
    for index in range(4):
        yield simulate_scene(0, index, size=SCENE_SIDE, empty=index < 2).image


def _tiles(image: NDArray[np.uint8], grid: TileGrid) -> NDArray[np.uint8]:
    padded = grid.pad(image)
    corners = _evenly(grid.corners.tolist(), CHECKED_TILES)
    return np.stack([padded[grid.slices(row, column)] for row, column in corners])


def _evenly(items: Sequence[Item], count: int) -> list[Item]:
    """Take `count` of the items, the first and the last among them, or all if they are not more."""
    return [items[index] for index in np.linspace(0, len(items) - 1, min(count, len(items))).astype(int)]


def largest_difference(expected: Answers, found: Answers, batches: Iterable[NDArray[np.uint8]]) -> float:
    """Return the largest difference of any answer: infinity if they differ in shape, NaN if one is none."""
    largest = 0.0
    for tiles in tqdm(batches, desc="check", unit="batch", disable=None):
        right, answer = np.asarray(expected(tiles)), np.asarray(found(tiles))
        difference = np.abs(answer - right).max() if answer.shape == right.shape else np.inf
        largest = float(np.maximum(largest, difference))  # unlike max(), it does not forget a NaN
    return largest
