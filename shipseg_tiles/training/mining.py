"""Hard negatives: background patches on which a net sees ships, kept in a store of their own for the next training."""

import warnings
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from shipseg_tiles.archive.archive import Archive
from shipseg_tiles.archive.places import find_places
from shipseg_tiles.archive.split import SPLITS, TRAIN
from shipseg_tiles.archive.split_file import BY_PLACE, split_identity
from shipseg_tiles.errors import InputError, NetError, first_of, warn_skipped
from shipseg_tiles.files import written_whole
from shipseg_tiles.images import read_image
from shipseg_tiles.inference.predictor import Predictor
from shipseg_tiles.patches.fill import fill_slots, image_tasks
from shipseg_tiles.patches.plan import PatchPlan
from shipseg_tiles.patches.store import PatchStore, find_slots
from shipseg_tiles.patches.store_layout import CLASSES, MINED
from shipseg_tiles.patches.store_writer import create_store
from shipseg_tiles.pixels import rows_and_columns
from shipseg_tiles.processes import chunked
from shipseg_tiles.tiling import TileGrid


class NoMistakeError(InputError):
    """The net makes no mistake on the images: there is nothing to mine."""


@dataclass(frozen=True)
class HardNegatives:
    """What a net has shown on the images that may be trained on.

    Attributes:
        plan: The patches to keep, all of them background to train on.
        options: What decided which they are, and what they are cut out with, for the store.
        images: Number of images that were looked at.
        images_with_false_ships: In how many of them a patch was found.
        patches: Number of patches that were found, those included that are too many to keep.
        skipped: Why images were left out, by name.
    """

    plan: PatchPlan
    options: dict[str, Any]
    images: int
    images_with_false_ships: int
    patches: int
    skipped: dict[str, str]


def find_hard_negatives(
    predictor: Predictor,
    archive: Archive,
    store: PatchStore,
    processes: Executor,
    max_patches: int = 10_000,
    split: Mapping[str, str] | None = None,
) -> HardNegatives:
    """Predict images and find the patches without a labelled ship on which the net sees one.

    Patches lie on the grid of the store. One counts if at least the contract's minimum area of it, in pixels of the
    image, is above the contract's threshold. Its minimum score, which is of whole ships, does not count. Images
    that the store measures anything on are left alone, and so are all that show a place of theirs: a net that was
    trained on it would no longer be measured. If one of them is not in the archive a warning says so, as nobody can
    tell what shows its place. Of a store that was cut as a file says, only images are mined that train there: others
    may be kept for a test. Bad images are left out with a warning.

    Args:
        predictor: The net.
        archive: The images that the store was made from, or others with them.
        store: What the net was or will be trained on.
        processes: Where images are compared with those that validate.
        max_patches: Keep at most so many patches, 1 or more: those with the most false pixels, equals by name and
            place.
        split: `train` or `valid` by image, as the store was cut; None for a store that was split by place.

    Raises:
        InputError: If the store is itself mined or was cut by another split, or no image may be looked at.
        NoMistakeError: If no patch is found.
        NetError: If the net answers with no probabilities.
    """
    if max_patches < 1:
        raise InputError(f"max patches {max_patches} must be 1 or more")
    if "mined_from" in store.options:
        raise InputError(f"{store.paths[0]} holds mined patches; give the store that they were mined with")
    _check_split(store, split)
    names, skipped = _images_to_mine(archive, store, split, processes)
    tables, bad = _false_ships_of_all(predictor, archive, names, store.options)
    if not tables:
        raise InputError(
            f"none of the {len(archive.files)} images in {archive.source} can be mined: they validate in"
            f" {store.paths[0]} or are not in its split, show a place of such an image, or are damaged; give the images"
            " that it trains on"
        )
    found = pd.concat(tables, ignore_index=True)
    contract = predictor.contract
    if not len(found):
        raise NoMistakeError(
            f"the net makes no mistake of {contract.minimum_area} pixels above {contract.threshold} on"
            f" {len(tables)} images of {archive.source}: there is nothing to mine; mine --threshold takes a lower one"
        )
    return HardNegatives(
        plan=_plan(found, max_patches, store.options["seed"]),
        options=_recorded(predictor, store, max_patches),
        images=len(tables),
        images_with_false_ships=found["image"].nunique(),
        patches=len(found),
        skipped=skipped | bad,
    )


def write_hard_negatives(found: HardNegatives, archive: Archive, out: Path, processes: Executor) -> None:
    """Cut patches and write them as a store that holds nothing but background to train on.

    Args:
        found: What `find_hard_negatives` found.
        archive: The same images.
        out: HDF5 file to write; it appears when it is complete.
        processes: Where images are cut.

    Raises:
        InputError: If an image can no longer be read.
        OSError: If the disk is full or `out` cannot be written.
    """
    tasks = image_tasks(archive, found.plan)
    with (
        written_whole(out) as unfinished,
        tqdm(total=len(tasks), desc="cut", unit="image", disable=None) as bar,
    ):
        create_store(unfinished, found.plan, found.options, left_out=found.skipped)
        fill = partial(fill_slots, find_slots(unfinished), found.options["patch"], False)
        chunks = chunked(tasks)
        for chunk, reasons in zip(chunks, processes.map(fill, chunks), strict=True):
            if reasons:
                raise InputError(f"{next(iter(reasons.values()))}; it was whole when it was predicted")
            bar.update(len(chunk))


def _check_split(store: PatchStore, split: Mapping[str, str] | None) -> None:
    """Refuse a store that was cut by another split: it does not name the images that this one leaves out."""
    for path, options in zip(store.paths, store.options_of_all, strict=True):
        if options.get("split") not in (BY_PLACE, split_identity(split)):
            raise InputError(
                f"{path} was cut with another --split; give the same file to --split, so that no image is mined that"
                " it leaves out"
            )


def _images_to_mine(
    archive: Archive, store: PatchStore, split: Mapping[str, str] | None, processes: Executor
) -> tuple[list[str], dict[str, str]]:
    """Return the images of places that nothing is measured on, and for bad images the reason by name.

    A store that was split by place does not name the images of its validation split of which it keeps no patch. They
    may be mined all the same, unless they show a place of one that is kept.
    """
    places, skipped = find_places(archive.files, processes)
    validating = store.validating_images()
    _warn_of_unseen(sorted(validating - places.keys()), archive, store)
    measured_on = {places[name] for name in validating & places.keys()}
    allowed = [name for name, place in places.items() if place not in measured_on]
    return [name for name in allowed if split is None or split.get(name) == TRAIN], skipped


def _warn_of_unseen(names: list[str], archive: Archive, store: PatchStore) -> None:
    """Warn of images that validate, but are not there to be compared with those that may be mined."""
    if names:
        warnings.warn(
            f"images that validate in {store.paths[0]} are missing or damaged in {archive.source}: {first_of(names)};"
            " others that show their places are mined, so give all images that the store was cut from",
            stacklevel=2,
        )


def _false_ships_of_all(
    predictor: Predictor, archive: Archive, names: list[str], options: dict[str, Any]
) -> tuple[list[pd.DataFrame], dict[str, str]]:
    """Return what `_false_ships` finds in each image, and for bad images the reason by name."""
    tables, bad = [], {}
    for name in tqdm(names, desc="mine", unit="image", disable=None):
        try:
            tables.append(_false_ships(predictor, archive, name, options))
        except NetError:
            raise  # for this image and for all others
        except InputError as error:
            warn_skipped(name, error)
            bad[name] = str(error)
    return tables, bad


def _false_ships(predictor: Predictor, archive: Archive, name: str, options: dict[str, Any]) -> pd.DataFrame:
    """Predict an image and return `image`, `row`, `column`, `false_pixels` of the patches with false ships.

    Raises:
        InputError: If the image is bad or its labels leave it.
    """
    image = read_image(archive.files[name])
    height, width = image.shape[:2]
    grid = TileGrid(height, width, options["patch"], options["stride"])
    ships = archive.labels.pixel_indices(name, (height, width))
    labelled = grid.pixels_per_tile(*rows_and_columns(ships, height))
    contract = predictor.contract
    seen = grid.pixels_per_tile(*np.nonzero(predictor.probabilities(image) > contract.threshold))
    is_false = (labelled == 0) & (seen >= max(contract.minimum_area, 1))
    row, column = grid.corners[is_false].T.astype(np.int32)
    return pd.DataFrame({"image": name, "row": row, "column": column, "false_pixels": seen[is_false]})


def _recorded(predictor: Predictor, store: PatchStore, max_patches: int) -> dict[str, Any]:
    """Return the options for the mined store: those of the store, and what decided which of its patches are mined."""
    return store.options | {
        "mined_with": predictor.contract.weights_sha256,
        "mined_from": store.fingerprint,
        "threshold": predictor.contract.threshold,
        "minimum_area": predictor.contract.minimum_area,
        "max_patches": max_patches,
    }


def _plan(found: pd.DataFrame, max_patches: int, seed: int) -> PatchPlan:
    """Plan to keep the worst of the patches, shuffled."""
    worst_first = found.sort_values(["false_pixels", "image", "row", "column"], ascending=[False, True, True, True])
    table = worst_first.head(max_patches).sort_values(["image", "row", "column"], ignore_index=True)
    split, kind = MINED
    table = table.drop(columns="false_pixels").assign(
        image=pd.Categorical(table["image"]),
        ship_pixels=np.int32(0),
        split=pd.Categorical([split] * len(table), categories=SPLITS),
        cell=np.int8(0),
        slot=np.random.default_rng(seed).permutation(len(table)),
        **{"class": pd.Categorical([kind] * len(table), categories=CLASSES)},
    )
    return PatchPlan(table, {MINED: len(found)})
