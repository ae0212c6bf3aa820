"""The CSV that says which images train and which validate, and which place each of them shows."""

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from shipseg_tiles.archive.archive import Archive
from shipseg_tiles.archive.places import find_places
from shipseg_tiles.archive.split import SPLITS, TRAIN, VALID
from shipseg_tiles.archive.tables import read_table
from shipseg_tiles.digests import text_digest
from shipseg_tiles.errors import InputError
from shipseg_tiles.files import write_text
from shipseg_tiles.names import checked_name
from shipseg_tiles.processes import open_workers

BY_PLACE = "by place"
"""Stands for a split that no file says; see `split_identity`."""


def write_split(path: Path, split: Mapping[str, str], places: Mapping[str, int]) -> None:
    """Write a CSV `ImageId,split,scene`, sorted by name.

    Args:
        path: File to write, whole or not at all.
        split: `train` or `valid` by image name.
        places: Number of the place by image name.
    """
    rows = [(name, split[name], places[name]) for name in sorted(split)]
    table = pd.DataFrame(rows, columns=["ImageId", "split", "scene"])
    write_text(path, table.to_csv(index=False, lineterminator="\n"))


def read_split(path: Path) -> dict[str, str]:
    """Read the split of each image, `train` or `valid`, from a CSV with the columns ImageId and split.

    Returns:
        The split by image name, in the order of the file.

    Raises:
        InputError: As `read_any_split`, or if one is neither of the two.
    """
    split = read_any_split(path)
    for name, own in split.items():
        if own not in SPLITS:
            raise InputError(f"{path}: {name} has the split {own!r}; write {TRAIN} or {VALID}")
    return split


def read_any_split(path: Path) -> dict[str, str]:
    """Read a CSV with the columns ImageId and split, whatever the splits are called; other columns are ignored.

    Returns:
        The split by image name, in the order of the file.

    Raises:
        InputError: If the file is missing or no such CSV, a row names no image or no split, or an image stands in
            two.
    """
    return _split_of(_read_table(path), path)


def _split_of(table: pd.DataFrame, path: Path) -> dict[str, str]:
    split: dict[str, str] = {}
    for name, text in zip(table["ImageId"], table["split"], strict=True):
        own = text.strip()
        if not own:
            raise InputError(f"{path}: {name} has no split; write {TRAIN} or {VALID}")
        if split.setdefault(checked_name(name, str(path)), own) != own:
            raise InputError(f"{path}: {name} stands in {split[name]} and in {own}; keep one of the rows")
    if not split:
        raise InputError(f"{path} holds no row below its first line; write one for each image")
    return split


def split_identity(split: Mapping[str, str] | None) -> str:
    """Say in a few letters how images are divided: `BY_PLACE`, or as a file says whose split has this hash."""
    return text_digest(json.dumps(sorted(split.items()))) if split else BY_PLACE


def read_places(path: Path) -> dict[str, str] | None:
    """Read which place each image shows from the column scene of such a CSV; None if it has no such column.

    Raises:
        InputError: As `read_any_split`, or if a row names no place, or an image has two.
    """
    table = _read_table(path)
    _split_of(table, path)  # complains of what is wrong with them
    if "scene" not in table:
        return None
    places: dict[str, str] = {}
    for name, text in zip(table["ImageId"], table["scene"], strict=True):
        place = text.strip()
        if not place:
            raise InputError(f"{path}: {name} has no scene; write the number of its place, or remove the column")
        if places.setdefault(name, place) != place:
            raise InputError(f"{path}: {name} has the scenes {places[name]} and {place}; keep one of the rows")
    return places


def validation_places(archive: Archive, split: Path | None) -> dict[str, str]:
    """Find the place of each image that validates, in the split or else by what the images look like.

    Args:
        archive: Labelled images.
        split: CSV with the columns ImageId and split, perhaps scene: only its validation images count. None: all do.

    Raises:
        InputError: As `read_split` and `read_places`, or if none of the images validates.
    """
    if split:
        archive = _validating(archive, split)
        places = read_places(split)
        if places is not None:
            return {name: places[name] for name in archive.files}
    with open_workers(1) as processes:
        found, _ = find_places(archive.files, processes)
    return {name: str(place) for name, place in found.items()}


def _validating(archive: Archive, path: Path) -> Archive:
    split = read_split(path)
    valid = [name for name in archive.files if split.get(name) == VALID]
    if not valid:
        raise InputError(f"no image in {archive.source} is {VALID} in {path}; correct one of them")
    return archive.only(valid)


def _read_table(path: Path) -> pd.DataFrame:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read as CSV: {error}") from None
    return read_table(data, str(path), ("ImageId", "split"))
