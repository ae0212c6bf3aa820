"""Decide which patches to keep, from the labels alone: no image is decoded for it."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shipseg_tiles.archive.labels import Labels
from shipseg_tiles.errors import InputError
from shipseg_tiles.tiling import TileGrid

SPLITS = ("train", "valid")
CLASSES = ("ship", "background")


@dataclass(frozen=True)
class PlanOptions:
    """What decides the plan, and with it every byte of the store.

    Attributes:
        patch: Side of a patch in pixels.
        stride: Pixels from one patch to the next, 1 to `patch`.
        background_ratio: Background patches kept per ship patch, 0 or more.
        seed: Seed of every random choice.
    """

    patch: int = 128
    stride: int = 128
    background_ratio: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse a ratio or a seed that no plan can follow."""
        if not 0 <= self.background_ratio < float("inf"):
            raise InputError(f"background ratio {self.background_ratio} must be 0 or more")
        if self.seed < 0:
            raise InputError(f"seed {self.seed} must be 0 or more")


@dataclass(frozen=True)
class PatchPlan:
    """The patches to keep and where each will stand.

    Attributes:
        table: One row a patch, ordered by image and position: `image` (categorical file name), `row` and `column`
            (pixels of the upper left corner), `ship_pixels`, `split`, `class`, and `slot` (its place in the dataset
            of its split and class; slots are shuffled, so that reading front to back is random order).
        candidates: How many patches there were to choose from, by (split, class).
    """

    table: pd.DataFrame
    candidates: dict[tuple[str, str], int]

    def count(self, split: str, kind: str) -> int:
        """Return how many patches of a split and class are kept."""
        return int(((self.table["split"] == split) & (self.table["class"] == kind)).sum())

    @property
    def fingerprint(self) -> str:
        """SHA-256 over every row: two plans with the same one make the same patches in the same slots."""
        rows = pd.util.hash_pandas_object(self.table.astype({"image": str}), index=False)
        return hashlib.sha256(rows.to_numpy().tobytes()).hexdigest()


def plan_patches(
    labels: Labels,
    sizes: Mapping[str, tuple[int, int]],
    validation: Collection[str],
    options: PlanOptions,
) -> PatchPlan:
    """Plan all patches.

    Every patch with a ship pixel is kept. Of the others, `background_ratio` times as many, half of them out of
    images with ships and half out of empty images, or more from one kind where the other has too few.

    Args:
        labels: The ships of each image.
        sizes: (height, width) of each image; images without a size are left out.
        validation: Names of the images whose patches validate; all others train.
        options: See `PlanOptions`.

    Raises:
        InputError: If a run leaves its image, or no training image shows a ship.
    """
    candidates = _candidates(labels, sizes, frozenset(validation), options)
    is_ship = candidates["class"] == "ship"
    random = np.random.default_rng(options.seed)
    kept = [np.flatnonzero(is_ship)]
    for split in SPLITS:
        in_split = candidates["split"] == split
        wanted = round(options.background_ratio * int((is_ship & in_split).sum()))
        kept.append(_draw_background(candidates[in_split & ~is_ship], wanted, random))
    table = candidates.loc[np.sort(np.concatenate(kept))].drop(columns="image_has_ship").reset_index(drop=True)
    sums = candidates.groupby(["split", "class"], observed=False).size()
    counts = {(split, kind): int(sums[split, kind]) for split in SPLITS for kind in CLASSES}
    if not counts["train", "ship"]:
        raise InputError(f"{labels.source} shows no ship in any training image; a store needs ships to train on")
    table["slot"] = _shuffled_slots(table, random)
    return PatchPlan(table, counts)


def _candidates(
    labels: Labels, sizes: Mapping[str, tuple[int, int]], validation: frozenset[str], options: PlanOptions
) -> pd.DataFrame:
    """List every patch of every image with its ship pixels."""
    names = [name for name in labels.ships if name in sizes]
    corners: list[NDArray[np.int64]] = []
    ship_pixels: list[NDArray[np.int64]] = []
    for name in names:
        grid = _grid(*sizes[name], options.patch, options.stride)
        corners.append(grid.corners)
        ship_pixels.append(_ship_pixels(labels, name, grid))
    image = np.repeat(np.arange(len(names)), [len(part) for part in corners])
    positions = np.concatenate(corners).astype(np.int32)
    pixels = np.concatenate(ship_pixels).astype(np.int32)
    in_validation = np.array([name in validation for name in names])
    has_ship = np.array([part.any() for part in ship_pixels])
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
    return table


@lru_cache(maxsize=64)
def _grid(height: int, width: int, patch: int, stride: int) -> TileGrid:
    """Images come in few sizes: work out the tiles of each size once."""
    return TileGrid(height, width, patch, stride)


def _ship_pixels(labels: Labels, name: str, grid: TileGrid) -> NDArray[np.int64]:
    if not labels.ships[name]:
        return np.zeros(len(grid), dtype=np.int64)
    columns, rows = np.divmod(labels.pixel_indices(name, grid.height * grid.width), grid.height)
    return grid.pixels_per_tile(rows, columns)


def _draw_background(background: pd.DataFrame, wanted: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Draw index labels of `wanted` rows, evenly from images with ships and from empty ones."""
    with_ship = background.index[background["image_has_ship"]].to_numpy()
    empty = background.index[~background["image_has_ship"]].to_numpy()
    from_empty = min(len(empty), max(wanted // 2, wanted - len(with_ship)))
    from_ship = min(len(with_ship), wanted - from_empty)
    drawn = [random.choice(with_ship, from_ship, replace=False), random.choice(empty, from_empty, replace=False)]
    return np.concatenate(drawn, dtype=np.int64)


def _shuffled_slots(table: pd.DataFrame, random: np.random.Generator) -> NDArray[np.int64]:
    slots = np.empty(len(table), dtype=np.int64)
    for split in SPLITS:
        for kind in CLASSES:
            places = np.flatnonzero((table["split"] == split) & (table["class"] == kind))
            slots[places] = random.permutation(len(places))
    return slots
