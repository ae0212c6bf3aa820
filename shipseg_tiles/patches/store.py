"""The patch store: an HDF5 file of patches by split and class, or several files that are read as one."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shipseg_tiles.errors import InputError
from shipseg_tiles.patches.full_image import FullImage
from shipseg_tiles.patches.slots import Slots
from shipseg_tiles.patches.store_file import Header, compression_of, opened
from shipseg_tiles.patches.store_layout import CLASSES, PARTS, shard_name, shard_path

Patches = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""Images uint8 (N, side, side, 3) and masks uint8 (N, side, side) of 0 and 1."""


@dataclass(frozen=True)
class PatchArrays:
    """The patches of one split and class in one file.

    Attributes:
        image: uint8 (N, side, side, 3): mapped from the file, or a dataset if it is compressed.
        mask: uint8 (N, side, side), 0 or 1, likewise.
        checksum: uint32 (N,), see `slots.checksum`.
    """

    image: Any
    mask: Any
    checksum: NDArray[np.uint32]

    def read(self, index: int) -> Patches:
        """Return one patch: uint8 (side, side, 3) and uint8 (side, side).

        Raises:
            InputError: If it cannot be unpacked.
        """
        try:
            return self.image[index], self.mask[index]
        except OSError as error:
            raise InputError(f"{self.image.file.filename}: patch {index} cannot be unpacked ({error})") from None


class PatchSet:
    """The patches of one split and class, which may lie in several files.

    Attributes:
        parts: What the files hold, in the order in which the patches are numbered.
    """

    def __init__(self, parts: Sequence[PatchArrays], side: int) -> None:
        self.parts = tuple(parts)
        self._side = side
        self._ends = np.cumsum([len(part.image) for part in parts])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def read(self, indices: NDArray[np.int64]) -> Patches:
        """Copy the patches at `indices` (N,), each from 0 to below the length of the set."""
        images = np.empty((len(indices), self._side, self._side, 3), dtype=np.uint8)
        masks = np.empty((len(indices), self._side, self._side), dtype=np.uint8)
        self.read_into(indices, images, masks)
        return images, masks

    def read_into(self, indices: NDArray[np.int64], images: NDArray[np.uint8], masks: NDArray[np.uint8]) -> None:
        """As `read`, into contiguous arrays that are there.

        Raises:
            InputError: If a patch cannot be unpacked.
        """
        part_of = np.searchsorted(self._ends, indices, side="right")
        within = indices - np.append(0, self._ends)[part_of]
        only = self.parts[part_of[0]] if len(set(part_of.tolist())) == 1 else None
        if only and isinstance(only.image, np.ndarray):
            # Indices are valid by contract; any mode but "clip" would copy through a second buffer.
            np.take(only.image, within, axis=0, out=images, mode="clip")
            np.take(only.mask, within, axis=0, out=masks, mode="clip")
            return
        for number, (part, index) in enumerate(zip(part_of.tolist(), within.tolist(), strict=True)):
            images[number], masks[number] = self.parts[part].read(index)


class PatchStore:
    """A store opened for reading, or several that are read as one.

    Attributes:
        paths: The files.
        files: The files that hold the patches: those above, or their shards.
        side: Of a patch as it is stored, in pixels; `options` has that in the image.
        options: What `make-patches` was called with; of the first file, if there are several.
        options_of_all: The same of each file.
        fingerprint: The plan's fingerprint; of several files, a hash of theirs.
        sets: The patches by (split, class).
        left_out: Why images are not in the store, by name.
    """

    def __init__(self, *paths: Path) -> None:
        """Open one or more stores.

        Raises:
            InputError: If a file is missing, is no store, has another format version, or is cut off, a shard is
                missing or of another store, or the sizes of the patches differ.
        """
        self.paths = paths
        headers = [_header(path) for path in paths]
        self.side = headers[0].side
        self.options = headers[0].options
        self.options_of_all = [header.options for header in headers]
        self.left_out = {name: reason for header in headers for name, reason in header.left_out.items()}
        for path, header in zip(paths, headers, strict=True):
            if header.scale != headers[0].scale:
                raise InputError(
                    f"{path} has patches of {header.scale}, {paths[0]} of {headers[0].scale}; use one size"
                )
        fingerprints = [header.fingerprint for header in headers]
        self.fingerprint = fingerprints[0]
        if len(paths) > 1:
            self.fingerprint = sha256("".join(fingerprints).encode()).hexdigest()
        files = [_files_of(path, header) for path, header in zip(paths, headers, strict=True)]
        self.files = tuple(file for of_path in files for file in of_path)
        arrays = [_arrays(file, self.side) for file in self.files]
        self.sets = {part: PatchSet([of_file[part] for of_file in arrays], self.side) for part in PARTS}

    def __reduce__(self) -> tuple[type["PatchStore"], tuple[Path, ...]]:
        """Open the files anew in another process, instead of sending what they hold."""
        return PatchStore, self.paths

    @property
    def compression(self) -> str:
        """One of `FILTERS` if patches are compressed, else empty."""
        parts = [part.image for patches in self.sets.values() for part in patches.parts]
        return next((compression_of(image) for image in parts if isinstance(image, h5py.Dataset)), "")

    @cached_property
    def content(self) -> str:
        """SHA-256 that two stores share if they hold the same pixels and masks in the same order.

        Raises:
            InputError: If a full image is not as it was written.
        """
        digest = sha256()
        for patches in self.sets.values():
            for part in patches.parts:
                digest.update(np.ascontiguousarray(part.checksum).tobytes())
        for image in self.full_images():
            digest.update(f"{image.name} {zlib.crc32(image.data)} {image.ships}".encode())
        return digest.hexdigest()

    def source(self, split: str, kind: str) -> pd.DataFrame:
        """Read where the patches came from: `image`, `row`, `column`, `ship_pixels`, in the order of the patches.

        Raises:
            InputError: If it is damaged or is not that of as many patches.
        """
        table = pd.concat([_source(path, split, kind) for path in self.paths], ignore_index=True)
        patches = len(self.sets[split, kind])
        if len(table) != patches:
            raise InputError(
                f"{self.paths[0]}: {split}/{kind} has {len(table)} rows of source for {patches} patches;"
                " make it again with make-patches"
            )
        return table

    def validating_images(self) -> set[str]:
        """Return the names of the images that anything is measured on: those of patches, and those kept whole."""
        of_patches = {name for kind in CLASSES for name in self.source("valid", kind)["image"]}
        return of_patches | {image.name for image in self.full_images()}

    def full_images(self) -> Iterator[FullImage]:
        """Read the whole validation images one by one, each once even if several of the stores hold it.

        Raises:
            InputError: If one is not as it was written.
        """
        known = set()
        for path in self.paths:
            for image in _full_images(path):
                identity = image.name, zlib.crc32(image.data), image.ships
                if identity not in known:
                    known.add(identity)
                    yield image


def find_slots(path: Path) -> Slots:
    """Find the places of the patches in a plain file, for writing; raises as `PatchStore`."""
    with opened(path) as file:
        return file.slots()


def _header(path: Path) -> Header:
    with opened(path) as file:
        return file.header()


def _files_of(path: Path, header: Header) -> list[Path]:
    """Return the files that hold the patches of a store: itself, or its shards if they are what their names say."""
    if not header.shards:
        return [path]
    files = [shard_path(path, name) for name in header.shards]
    for file, name in zip(files, header.shards, strict=True):
        shard = _header(file)
        if shard_name(shard.options, shard.fingerprint) != name:
            raise InputError(f"{file} is a shard of another store; make {path} again with make-patches")
    return files


def _arrays(path: Path, side: int) -> dict[tuple[str, str], PatchArrays]:
    """Open the patches of a file by (split, class)."""
    with opened(path) as file:
        return {part: PatchArrays(*file.patches(*part, side)) for part in PARTS}


def _source(path: Path, split: str, kind: str) -> pd.DataFrame:
    with opened(path) as file:
        return file.source(split, kind)


def _full_images(path: Path) -> Iterator[FullImage]:
    with opened(path) as file:
        yield from file.full_images()
