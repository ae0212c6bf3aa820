"""Make a patch store: survey the images, plan, reserve the file, and let processes fill their slots.

Every patch has its own place in the file before the work starts, so the processes share no lock, and the file is
the same byte for byte however many there are.
"""

import multiprocessing
import signal
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import repeat
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from patchify import patchify
from tqdm import tqdm

from shipseg_tiles import rle
from shipseg_tiles.archive.archive import Archive
from shipseg_tiles.archive.split import choose_evenly, choose_validation
from shipseg_tiles.errors import InputError, warn_skipped
from shipseg_tiles.files import written_whole
from shipseg_tiles.images import read_image, read_size
from shipseg_tiles.patches.plan import CLASSES, SPLITS, PatchPlan, PlanOptions, plan_patches
from shipseg_tiles.patches.store import FullImage, PatchWriter, create_store
from shipseg_tiles.tiling import TileGrid
from shipseg_tiles.zipped import AnyPath

_IMAGES_PER_TASK = 16
"""Enough to make the hand-over between processes cheap, few enough for a smooth progress bar."""


@dataclass(frozen=True)
class MakeOptions(PlanOptions):
    """All that decides the bytes of a store.

    Attributes:
        valid_fraction: Share of the images that validate.
        full_images: At most so many validation images are kept whole in the store, for the true dice in training.
    """

    valid_fraction: float = 0.1
    full_images: int = 100


@dataclass(frozen=True)
class MadeStore:
    """What a run of `make_patches` did.

    Attributes:
        plan: The plan that was carried out.
        images: Number of images that were used.
        skipped: Why each bad image was left out, by name.
    """

    plan: PatchPlan
    images: int
    skipped: dict[str, str]


@dataclass(frozen=True)
class _ImageTask:
    """The patches to cut out of one image, and the slots that they go to.

    Attributes:
        path: The image.
        ships: Run-length text of each ship.
        places: int32 (N, 5): row, column, index into `SPLITS`, index into `CLASSES`, slot.
    """

    path: AnyPath
    ships: tuple[str, ...]
    places: NDArray[np.int32]


class _BadImagesError(Exception):
    """Images that turned out bad while they were decoded."""

    def __init__(self, reasons: dict[str, str]) -> None:
        super().__init__()
        self.reasons = reasons


def make_patches(archive: Archive, out: Path, options: MakeOptions, workers: int) -> MadeStore:
    """Cut an archive into patches and store them.

    Bad images are left out with a warning. One that turns out bad only while it is decoded makes the run plan anew
    without it: a store never holds a slot without a patch.

    Args:
        archive: The labelled images.
        out: HDF5 file to write; it appears when it is complete.
        options: See `MakeOptions`.
        workers: Number of processes, 1 or more. The file does not depend on it.

    Raises:
        InputError: If no image is usable, no training image shows a ship, or an option is out of its range.
        OSError: If the disk is full or `out` cannot be written.
    """
    if workers < 1:
        raise InputError(f"workers {workers} must be 1 or more")
    # Spawned, not forked: a fork would copy the locks of whatever threads the caller runs, TensorFlow's for one.
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as processes:
        _start(processes, workers)
        try:
            return _make(archive, out, options, processes)
        except BrokenProcessPool:
            raise InputError("a worker process was killed, most likely out of memory; use fewer --workers") from None


def _start(processes: Executor, workers: int) -> None:
    """Start the processes now, so that they import what they need while the images are surveyed.

    Ctrl-C, which a terminal sends to all processes, is held back meanwhile. They inherit that and leave it to their
    parent, which ends them in an orderly way.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        for _ in range(workers):
            processes.submit(int)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _make(archive: Archive, out: Path, options: MakeOptions, processes: Executor) -> MadeStore:
    sizes, skipped = _survey(archive)
    while sizes:
        ship_counts = {name: len(archive.labels.ships[name]) for name in sizes}
        validation = choose_validation(ship_counts, options.valid_fraction, options.seed)
        plan = plan_patches(archive.labels, sizes, validation, options)
        try:
            with written_whole(out) as temporary:
                create_store(temporary, plan, asdict(options), _full_images(archive, validation, options, processes))
                _fill(temporary, archive, plan, options.patch, processes)
            return MadeStore(plan, len(sizes), skipped)
        except _BadImagesError as error:
            for name, reason in error.reasons.items():
                warn_skipped(name, reason)
                del sizes[name]
            skipped.update(error.reasons)
    raise InputError(
        f"none of the {len(skipped)} images in {archive.source} is usable; the first: {next(iter(skipped.values()))}"
    )


def _survey(archive: Archive) -> tuple[dict[str, tuple[int, int]], dict[str, str]]:
    """Read the size of every image; return sizes by name, and for bad images the reason by name."""
    sizes: dict[str, tuple[int, int]] = {}
    skipped: dict[str, str] = {}
    for name in archive.files:
        try:
            sizes[name] = read_size(archive.files[name])
        except InputError as error:
            warn_skipped(name, error)
            skipped[name] = str(error)
    return sizes, skipped


def _full_images(archive: Archive, validation: list[str], options: MakeOptions, processes: Executor) -> list[FullImage]:
    """Choose validation images to keep whole, evenly over the numbers of ships; raise as `_fill`."""
    ships = archive.labels.ships
    count = min(options.full_images, len(validation))
    chosen = choose_evenly({name: len(ships[name]) for name in validation}, count, options.seed)
    # The plan may hold no patch of them, so that nobody else would decode them.
    checks = processes.map(_damage, [archive.files[name] for name in chosen], chunksize=_IMAGES_PER_TASK)
    reasons = {name: reason for name, reason in zip(chosen, checks, strict=True) if reason}
    if reasons:
        raise _BadImagesError(reasons)
    return [FullImage(name, archive.files[name].read_bytes(), ships[name]) for name in chosen]


def _damage(path: AnyPath) -> str | None:
    """Decode an image; return the reason if that fails."""
    try:
        read_image(path)
    except InputError as error:
        return str(error)
    return None


def _fill(path: Path, archive: Archive, plan: PatchPlan, patch: int, processes: Executor) -> None:
    """Let the processes write all patches; raise `_BadImagesError` if images cannot be decoded after all."""
    tasks = list(_tasks(archive, plan))
    reasons: dict[str, str] = {}
    chunks = [tasks[first : first + _IMAGES_PER_TASK] for first in range(0, len(tasks), _IMAGES_PER_TASK)]
    with tqdm(total=len(tasks), desc="make-patches", unit="image", disable=None) as bar:
        results = processes.map(_fill_chunk, repeat(path), repeat(plan.fingerprint), repeat(patch), chunks)
        for chunk, bad in zip(chunks, results, strict=True):
            reasons.update(bad)
            bar.update(len(chunk))
    if reasons:
        raise _BadImagesError(reasons)


def _tasks(archive: Archive, plan: PatchPlan) -> Iterator[_ImageTask]:
    """Collect the rows of each image, which stand together in the plan."""
    table = plan.table
    codes = table["image"].cat.codes.to_numpy()
    columns = [table["row"], table["column"], table["split"].cat.codes, table["class"].cat.codes, table["slot"]]
    places = np.stack(columns, axis=1).astype(np.int32)
    breaks = np.flatnonzero(np.diff(codes)) + 1
    for first, of_image in zip([0, *breaks], np.split(places, breaks), strict=True):
        name = table["image"].cat.categories[codes[first]]
        yield _ImageTask(archive.files[name], archive.labels.ships[name], of_image)


@lru_cache(maxsize=1)
def _writer(path: Path, fingerprint: str) -> PatchWriter:
    """Open the store once in each process, not once for each image; one of a new plan has the path of the old one."""
    return PatchWriter(path)


def _fill_chunk(path: Path, fingerprint: str, patch: int, tasks: list[_ImageTask]) -> dict[str, str]:
    """Cut the patches of some images into their slots; return the reason by name for images that are bad."""
    writer = _writer(path, fingerprint)
    reasons = {}
    for task in tasks:
        try:
            _fill_image(writer, patch, task)
        except InputError as error:
            reasons[task.path.name] = str(error)
    return reasons


def _fill_image(writer: PatchWriter, patch: int, task: _ImageTask) -> None:
    image = read_image(task.path)
    height, width = image.shape[:2]
    ships = rle.union([rle.decode_indices(ship, height * width) for ship in task.ships])
    grid = TileGrid(height, width, patch, patch)
    # A view of every possible position costs nothing, and serves grids whose last patch is moved back as well.
    images = patchify(grid.pad(image), (patch, patch, 3), step=1)[:, :, 0]
    masks = patchify(grid.pad(rle.mask_of(ships, (height, width))), (patch, patch), step=1)
    for row, column, split, kind, slot in task.places.tolist():
        writer.write(SPLITS[split], CLASSES[kind], slot, images[row, column], masks[row, column])
