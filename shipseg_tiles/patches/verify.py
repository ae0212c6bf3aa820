"""Read all of a patch store and find what is not as it was written."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
import pandas as pd
from tqdm import tqdm

from shipseg_tiles.errors import InputError
from shipseg_tiles.patches.plan import fingerprint_of
from shipseg_tiles.patches.slots import checksum
from shipseg_tiles.patches.store import PatchArrays, PatchStore
from shipseg_tiles.patches.store_layout import CLASSES, PARTS
from shipseg_tiles.pixels import mask_of, union
from shipseg_tiles.tiling import TileGrid


@dataclass(frozen=True)
class Problem:
    """Something in a store that is not as it was written.

    Attributes:
        file: The file it is in: the store, or one of its shards.
        group: Such as `train/ship` or `full_images`.
        slot: Number of the patch within the file's group; None if it is not about one patch.
        what: What is wrong, in words.
    """

    file: Path
    group: str
    slot: int | None
    what: str

    def __str__(self) -> str:
        patch = "" if self.slot is None else f" patch {self.slot}"
        return f"{self.file.name}, {self.group}{patch}: {self.what}"


@dataclass(frozen=True)
class Verification:
    """What reading all of a store has shown.

    Attributes:
        patches: How many patches were read.
        problems: What is wrong, in the order of the files; empty if the store is as it was written.
    """

    patches: int
    problems: list[Problem]


def verify_store(path: Path) -> Verification:
    """Check every patch, row and whole image of a store.

    Each patch must have its checksum, a mask of 0 and 1, and as many ship pixels as its row of `source` says. The rows
    must have the fingerprint of the plan, of the store and of each shard. Whole images must have their checksums and
    decode, and their labels must fit the patches that were cut out of them. Patches are read one at a time.

    Args:
        path: The store; its shards are found beside it.

    Raises:
        InputError: If the store cannot be opened at all, see `PatchStore`.
    """
    store = PatchStore(path)
    files = [PatchStore(file) for file in store.files]
    problems: list[Problem] = []
    patches = sum(map(len, store.sets.values()))
    with tqdm(total=patches, desc="verify", unit="patch", disable=None) as bar:
        for file in files:
            for split, kind in PARTS:
                problems += _all_of(_check_patches(file, split, kind, bar), file, f"{split}/{kind}")
            problems += _all_of(_check_plan(file), file, "source")
    if store.files != store.paths:
        problems += _all_of(_check_plan(store), store, "source")
        problems += _all_of(_check_join(store, files), store, "source")
    problems += _all_of(_check_full_images(store), store, "full_images")
    return Verification(patches, problems)


def _all_of(problems: Iterator[Problem], store: PatchStore, group: str) -> Iterator[Problem]:
    """Make one more problem of it if the rest cannot be read."""
    try:
        yield from problems
    except InputError as error:
        yield Problem(store.paths[0], group, None, str(error))


def _check_patches(store: PatchStore, split: str, kind: str, bar: "tqdm[NoReturn]") -> Iterator[Problem]:
    """Check the patches of one split and class of one file."""
    (arrays,) = store.sets[split, kind].parts
    resized = store.side != store.options["patch"]
    for slot, ship_pixels in enumerate(store.source(split, kind)["ship_pixels"].tolist()):
        what = _fault(arrays, slot, ship_pixels, kind, resized)
        if what:
            yield Problem(store.paths[0], f"{split}/{kind}", slot, what)
        bar.update()


def _fault(arrays: PatchArrays, slot: int, ship_pixels: int, kind: str, resized: bool) -> str:
    """Say what is wrong with a patch, or nothing."""
    try:
        image, mask = arrays.read(slot)
    except InputError as error:
        return str(error)
    if checksum(image, mask) != arrays.checksum[slot]:
        return "its checksum is not that of its pixels"
    if mask.max() > 1:
        return "its mask holds other values than 0 and 1"
    if kind != CLASSES[ship_pixels == 0]:
        return f"source gives it {ship_pixels} ship pixels"
    in_mask = np.count_nonzero(mask)
    if in_mask != ship_pixels and not (resized and ship_pixels):  # resizing changes the number of pixels, but not 0
        return f"its mask has {in_mask} ship pixels, source gives it {ship_pixels}"
    return ""


def _check_plan(store: PatchStore) -> Iterator[Problem]:
    """Check whether the rows are those of the plan."""
    found = fingerprint_of({part: store.source(*part) for part in PARTS})
    if found != store.fingerprint:
        yield Problem(store.paths[0], "source", None, f"its fingerprint is {found}, not {store.fingerprint!r}")


def _check_join(store: PatchStore, shards: Sequence[PatchStore]) -> Iterator[Problem]:
    """Check whether the rows of a store are those of its shards, one behind the other."""
    for split, kind in PARTS:
        joined = pd.concat([shard.source(split, kind) for shard in shards], ignore_index=True)
        if not store.source(split, kind).equals(joined):
            yield Problem(store.paths[0], f"{split}/{kind}", None, "its source is not that of the shards")


def _check_full_images(store: PatchStore) -> Iterator[Problem]:
    """Check the whole images, and their labels against the patches that were cut out of them."""
    of_image = dict(list(pd.concat([store.source("valid", kind) for kind in CLASSES]).groupby("image")))
    side = store.options["patch"]
    for image in store.full_images():
        try:
            height, width = image.pixels().shape[:2]
            grid = TileGrid(height, width, side, side)
            mask = grid.pad(mask_of(union(image.ship_indices((height, width))), (height, width)))
        except InputError as error:
            yield Problem(store.paths[0], "full_images", None, str(error))
            continue
        for _, row, column, ship_pixels in of_image.get(image.name, pd.DataFrame()).itertuples(index=False, name=None):
            if mask[grid.slices(row, column)].sum() != ship_pixels:
                what = f"the labels of {image.name!r} do not fit the patch at row {row}, column {column}"
                yield Problem(store.paths[0], "full_images", None, what)
