"""Decide which patches to keep, from the labels alone: no image is decoded for it."""

import hashlib
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shipseg_tiles.archive.labels import Labels
from shipseg_tiles.archive.split import SPLITS
from shipseg_tiles.errors import InputError
from shipseg_tiles.patches.options import CELLS, PatchOptions
from shipseg_tiles.patches.store_layout import CLASSES, PARTS
from shipseg_tiles.pixels import rows_and_columns
from shipseg_tiles.tiling import TileGrid, shared_grid


@dataclass(frozen=True)
class PatchPlan:
    """The patches to keep and where each will stand.

    Attributes:
        table: One row a patch, ordered by image and position: `image` (categorical file name), `row` and `column`
            (pixels of the upper left corner), `ship_pixels`, `split`, `class`, `cell` (see `CELLS`), and `slot` (its
            place in the dataset of its split and class). Slots go from cell to cell, which are random sets of
            images, and are shuffled within each: reading front to back is random order.
        candidates: How many patches there were to choose from, by (split, class); background only of the images that
            it may come from.
    """

    table: pd.DataFrame
    candidates: dict[tuple[str, str], int]

    def count(self, split: str, kind: str) -> int:
        """Return how many patches of a split and class are kept."""
        return int(((self.table["split"] == split) & (self.table["class"] == kind)).sum())

    def sources(self) -> dict[tuple[str, str], pd.DataFrame]:
        """Return `image`, `row`, `column`, `ship_pixels` of each split and class, in the order of the slots."""
        in_order = self.table.sort_values("slot")
        columns = ["image", "row", "column", "ship_pixels"]
        return {
            (split, kind): in_order.loc[(in_order["split"] == split) & (in_order["class"] == kind), columns]
            for split, kind in PARTS
        }

    @property
    def fingerprint(self) -> str:
        """See `fingerprint_of`."""
        return fingerprint_of(self.sources())

    def shard(self, number: int, shards: int) -> "PatchPlan":
        """Return the part of the plan in shard `number` of `shards`, 1 to `CELLS` of them; its slots begin at 0."""
        of_cell = np.arange(CELLS) * shards // CELLS
        table = self.table[of_cell[self.table["cell"]] == number].reset_index(drop=True)
        first = table.groupby(["split", "class"], observed=False)["slot"].transform("min")
        images = table["image"].cat.remove_unused_categories()  # or each shard would carry the names of all
        return replace(self, table=table.assign(image=images, slot=table["slot"] - first))


def fingerprint_of(sources: Mapping[tuple[str, str], pd.DataFrame]) -> str:
    """Return the SHA-256 over every row: two plans with the same one take the same patches to the same slots.

    It does not tell how large they are there (`resize`), and which images are kept whole.
    """
    digest = hashlib.sha256()
    for rows in sources.values():
        hashes = pd.util.hash_pandas_object(rows.astype({"image": str}), index=False).to_numpy()
        digest.update(len(hashes).to_bytes(8, "little") + hashes.astype("<u8").tobytes())
    return digest.hexdigest()


def limit_per_ship_count(ship_counts: Mapping[str, int], options: PatchOptions) -> list[str]:
    """Choose at most `max_per_ship_count` images of each number of ships; return their names in the given order."""
    table = pd.DataFrame({"image": list(ship_counts), "ships": list(ship_counts.values())})
    if options.max_per_ship_count is not None:
        in_random_order = table.assign(lot=_lots(table[["image"]], options.seed, "images")).sort_values("lot")
        table = in_random_order.groupby("ships").head(options.max_per_ship_count).sort_index()
    names: list[str] = table["image"].tolist()
    return names


def plan_patches(
    labels: Labels,
    sizes: Mapping[str, tuple[int, int]],
    validation: Collection[str],
    options: PatchOptions,
) -> PatchPlan:
    """Plan all patches.

    Every ship patch is kept. Of the others, `background_ratio` times as many over the whole set, rounded to a whole
    patch, and in each split to within one; if one kind of image has too few, the other gives more.

    Each patch draws its own lot from the seed, its image and its place. So nothing else moves if an image is added
    or removed, and the background of a smaller ratio is part of that of a larger one.

    Args:
        labels: The ships of each image.
        sizes: (height, width) of each image; images without a size are left out.
        validation: Names of the images whose patches validate; all others train.
        options: See `PatchOptions`.

    Raises:
        InputError: If a run leaves its image, or no training image shows a ship.
    """
    candidates = _candidates(labels, sizes, frozenset(validation), options)
    sums = candidates.groupby(["split", "class"], observed=False).size()
    counts = {part: int(sums[part]) for part in PARTS}
    if not counts["train", "ship"]:
        least = f" of {options.min_ship_pixels} pixels or more in a patch" if options.min_ship_pixels > 1 else ""
        raise InputError(f"{labels.source} shows no ship{least} in any training image; a store needs ships to train on")
    wanted = background_wanted(counts, options.background_ratio)
    kept = [np.flatnonzero(candidates["class"] == "ship")]
    kept += [_draw_background(candidates, split, wanted[split], options) for split in SPLITS]
    table = candidates.loc[np.sort(np.concatenate(kept))].drop(columns="image_has_ship").reset_index(drop=True)
    table["cell"] = (_lots(table[["image"]], options.seed, "cells") % CELLS).astype(np.int8)
    table["slot"] = _slots(table, options.seed)
    return PatchPlan(table, counts)


def background_wanted(counts: Mapping[tuple[str, str], int], ratio: float) -> dict[str, int]:
    """Return how much background a ratio asks for in each split, given the number of ship patches by (split, class)."""
    ships = [counts[split, "ship"] for split in SPLITS]
    ends = [round(ratio * sum(ships[:number])) for number in range(len(SPLITS) + 1)]
    return {split: ends[number + 1] - ends[number] for number, split in enumerate(SPLITS)}


def _candidates(
    labels: Labels, sizes: Mapping[str, tuple[int, int]], validation: frozenset[str], options: PatchOptions
) -> pd.DataFrame:
    """List every patch of every image that is ship, or background that may be drawn."""
    names = [name for name in labels.ships if name in sizes]
    if not names:
        raise InputError(f"{labels.source} labels none of the {len(sizes)} images whose size is known")
    corners: list[NDArray[np.int64]] = []
    ship_pixels: list[NDArray[np.int64]] = []
    for name in names:
        of_image = _patches(labels, name, shared_grid(*sizes[name], options.patch, options.stride), options)
        corners.append(of_image[0])
        ship_pixels.append(of_image[1])
    image = np.repeat(np.arange(len(names)), [len(part) for part in corners])
    positions = np.concatenate(corners).astype(np.int32)
    pixels = np.concatenate(ship_pixels).astype(np.int32)
    in_validation = np.array([name in validation for name in names])
    has_ship = np.array([bool(labels.ships[name]) for name in names])
    table: pd.DataFrame = pd.DataFrame(
        {
            "image": pd.Categorical.from_codes(image.tolist(), categories=pd.Index(names)),
            "row": positions[:, 0],
            "column": positions[:, 1],
            "ship_pixels": pixels,
            "split": pd.Categorical.from_codes(in_validation[image].astype(int).tolist(), categories=pd.Index(SPLITS)),
            "class": pd.Categorical.from_codes((pixels == 0).astype(int).tolist(), categories=pd.Index(CLASSES)),
            "image_has_ship": has_ship[image],
        }
    )
    background = pixels == 0
    if options.background_from != "both":
        background &= table["image_has_ship"] == (options.background_from == "ship-images")
    wanted: pd.DataFrame = table[background | (pixels >= options.min_ship_pixels)].reset_index(drop=True)
    return wanted


def _patches(
    labels: Labels, name: str, grid: TileGrid, options: PatchOptions
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the corners (N, 2) of the patches of an image, and the ship pixels (N,) of each."""
    rows, columns = _ship_pixels(labels, name, grid)
    if not rows.size:  # most images are empty
        return grid.corners, np.zeros(len(grid), dtype=np.int64)
    corners, pixels = grid.corners, grid.pixels_per_tile(rows, columns)
    ships = np.flatnonzero(pixels >= options.min_ship_pixels)
    if not options.jitter or not ships.size:
        return corners, pixels
    random = np.random.default_rng([options.seed, *name.encode()])
    moves = random.integers(-options.jitter, options.jitter, size=(len(ships), 2), endpoint=True)
    moved = grid.inside(corners[ships] + moves)
    pixels_moved = grid.pixels_at(moved, rows, columns)
    stays_ship = pixels_moved >= options.min_ship_pixels  # the others stay where they were
    corners, pixels = corners.copy(), pixels.copy()
    corners[ships[stays_ship]] = moved[stays_ship]
    pixels[ships[stays_ship]] = pixels_moved[stays_ship]
    return corners, pixels


def _ship_pixels(labels: Labels, name: str, grid: TileGrid) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return rows and columns (P,) of the ship pixels of an image, at the size to which it is mirrored."""
    shape = (grid.height, grid.width)
    rows, columns = rows_and_columns(labels.pixel_indices(name, shape), grid.height)
    if rows.size and grid.padded_shape != shape:
        rows, columns = np.nonzero(grid.pad(labels.mask(name, shape)))
    return rows, columns


def _draw_background(candidates: pd.DataFrame, split: str, wanted: int, options: PatchOptions) -> NDArray[np.int64]:
    """Draw positions of at most `wanted` rows of background of a split, half of them from empty images if it can be."""
    background = candidates[(candidates["split"] == split) & (candidates["class"] == "background")]
    order = np.argsort(_lots(background[["image", "row", "column"]], options.seed, "background"), kind="stable")
    with_ship = background["image_has_ship"].to_numpy()[order]
    empty = int((~with_ship).sum())
    from_empty = min(empty, max(wanted // 2, wanted - (len(background) - empty)))
    positions = background.index.to_numpy()[order]
    return np.concatenate([positions[with_ship][: wanted - from_empty], positions[~with_ship][:from_empty]])


def _slots(table: pd.DataFrame, seed: int) -> NDArray[np.int64]:
    """Number the patches of each split and class, cell by cell, in random order within a cell."""
    lots = _lots(table[["image", "row", "column"]], seed, "slots")
    kind = table["split"].cat.codes.to_numpy() * len(CLASSES) + table["class"].cat.codes.to_numpy()
    order = np.lexsort((lots, table["cell"], kind))
    starts = np.searchsorted(kind[order], kind)
    ranks = np.empty(len(table), dtype=np.int64)
    ranks[order] = np.arange(len(table))
    return ranks - starts


def _lots(keys: pd.DataFrame, seed: int, purpose: str) -> NDArray[np.uint64]:
    """Draw a number for each row from nothing but the row, the seed and the purpose."""
    salt = zlib.crc32(f"{purpose} {seed}".encode())
    lots = pd.util.hash_pandas_object(keys.assign(salt=salt), index=False)
    return np.asarray(lots, dtype=np.uint64)
