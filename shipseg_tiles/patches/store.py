"""The patch store: an HDF5 file, whose whole layout is known here and in `store_writer`, and nowhere else.

    /train/ship        image     uint8 (N, side, side, 3)
    /train/background  mask      uint8 (N, side, side), 0 or 1
    /valid/ship        source    (N,) compound: image (file name), row, column, ship_pixels
    /valid/background  checksum  uint32 (N,): CRC-32 of each patch
    /full_images       files     uint8: the validation images as they were on disk, one behind the other
                       index     compound: image (file name), offset, length, checksum (CRC-32)
                       labels    their labels as a competition CSV, UTF-8
    /left_out          JSON: why images of the archive are not in it, by name
    root attributes    format_version, options (JSON), seed, patch (side as stored), plan_fingerprint, shards (JSON)

In a plain store `image` and `mask` are contiguous, so each patch has a fixed place in the file. Writers write there and
readers map it into memory instead of going through HDF5, which is what makes many writers safe and reading fast. In a
compressed store each patch is a chunk. A store in shards holds virtual datasets, for other programs, over the stores in
the folder `NAME.shards`, which are called by a hash of what is in them; its attribute `shards` (JSON) lists them.

A store may come from a stranger: names in it never choose a path, and nothing is read that the file does not hold.
"""

import hashlib
import json
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shipseg_tiles.archive.labels import parse_labels
from shipseg_tiles.errors import InputError
from shipseg_tiles.patches.slots import CLASSES, SPLITS, Slots

FORMAT_VERSION = 2
MAXIMUM_SIDE = 8192
"""Larger patches are refused before memory is taken for one."""

Patches = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""Images uint8 (N, side, side, 3) and masks uint8 (N, side, side) of 0 and 1."""


@dataclass(frozen=True)
class FullImage:
    """A whole validation image as it was on disk.

    Attributes:
        name: Its file name.
        data: The bytes of the file.
        ships: Run-length text of each ship.
    """

    name: str
    data: bytes
    ships: tuple[str, ...]


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

    def read(self, places: NDArray[np.int64]) -> Patches:
        """Copy the patches at `places` (N,), each from 0 to below the length of the set."""
        images = np.empty((len(places), self._side, self._side, 3), dtype=np.uint8)
        masks = np.empty((len(places), self._side, self._side), dtype=np.uint8)
        self.read_into(places, images, masks)
        return images, masks

    def read_into(self, places: NDArray[np.int64], images: NDArray[np.uint8], masks: NDArray[np.uint8]) -> None:
        """As `read`, into contiguous arrays that are there."""
        if len(self.parts) == 1 and isinstance(self.parts[0].image, np.ndarray):
            # Places are valid by contract; any mode but "clip" would copy through a second buffer.
            np.take(self.parts[0].image, places, axis=0, out=images, mode="clip")
            np.take(self.parts[0].mask, places, axis=0, out=masks, mode="clip")
            return
        part_of = np.searchsorted(self._ends, places, side="right")
        within = places - np.append(0, self._ends)[part_of]
        for number, (part, place) in enumerate(zip(part_of.tolist(), within.tolist(), strict=True)):
            images[number] = self.parts[part].image[place]
            masks[number] = self.parts[part].mask[place]


class PatchStore:
    """A store opened for reading, or several that are read as one.

    Attributes:
        paths: The files.
        patch: Side of a patch as it is stored, in pixels.
        options: What `make-patches` was called with; of the first file, if there are several.
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
        headers = [_read_header(path) for path in paths]
        self.patch = headers[0].patch
        self.options = headers[0].options
        self.left_out = {name: reason for header in headers for name, reason in header.left_out.items()}
        for path, header in zip(paths, headers, strict=True):
            if header.patch != self.patch:
                raise InputError(f"{path} has patches of {header.patch} px, {paths[0]} of {self.patch}; use one size")
        fingerprints = [header.fingerprint for header in headers]
        self.fingerprint = fingerprints[0]
        if len(paths) > 1:
            self.fingerprint = hashlib.sha256("".join(fingerprints).encode()).hexdigest()
        files = [file for path, header in zip(paths, headers, strict=True) for file in header.files(path)]
        parts = [_read_arrays(file, self.patch) for file in files]
        self.sets = {
            (split, kind): PatchSet([of_file[split, kind] for of_file in parts], self.patch)
            for split in SPLITS
            for kind in CLASSES
        }

    def __reduce__(self) -> tuple[type["PatchStore"], tuple[Path, ...]]:
        """Open the files anew in another process, instead of sending what they hold."""
        return PatchStore, self.paths

    def source(self, split: str, kind: str) -> pd.DataFrame:
        """Read where the patches came from: `image`, `row`, `column`, `ship_pixels`, in the order of the patches."""
        return pd.concat([_read_source(path, f"{split}/{kind}/source") for path in self.paths], ignore_index=True)

    def full_images(self) -> Iterator[FullImage]:
        """Read the whole validation images one by one.

        Raises:
            InputError: If one is not as it was written.
        """
        for path in self.paths:
            yield from _read_full_images(path)


@dataclass(frozen=True)
class _Header:
    """The root attributes of a store."""

    patch: int
    options: dict[str, Any]
    fingerprint: str
    left_out: dict[str, str]
    shards: list[str]

    def files(self, path: Path) -> list[Path]:
        """Return the files that hold the patches of the store at `path`: itself, or its shards."""
        return [shard_path(path, name) for name in self.shards] or [path]


def shard_path(path: Path, name: str) -> Path:
    """Return the file of a shard of the store at `path`.

    Raises:
        InputError: If the name is not one that `store_writer` gives, and could lead elsewhere.
    """
    if not re.fullmatch("[0-9a-f]{16}", name):
        raise InputError(f"{path} names a shard {name!r}, which is no shard's name; do not use this file")
    return path.with_suffix(".shards") / f"{name}.h5"


def _read_header(path: Path) -> _Header:
    with opened(path) as file:
        attributes = file.attrs
        return _Header(
            patch=int(attributes["patch"]),
            options=json.loads(attributes["options"]),
            fingerprint=str(attributes["plan_fingerprint"]),
            left_out=json.loads(_whole(path, file, "left_out").tobytes()),
            shards=json.loads(attributes["shards"]),
        )


def _read_arrays(path: Path, patch: int) -> dict[tuple[str, str], PatchArrays]:
    """Open the patches of a file by (split, class)."""
    sets = {}
    with opened(path) as file:
        for split in SPLITS:
            for kind in CLASSES:
                group = f"{split}/{kind}"
                image, mask = (_patches(path, file, f"{group}/{name}") for name in ("image", "mask"))
                checksum = _whole(path, file, f"{group}/checksum")
                shape = (len(checksum), patch, patch)
                if (*shape, 3) != image.shape or shape != mask.shape or patch > MAXIMUM_SIDE:
                    raise InputError(f"{path}: {group} has images of {image.shape}; make it again with make-patches")
                sets[split, kind] = PatchArrays(image, mask, checksum)
    return sets


def _read_source(path: Path, name: str) -> pd.DataFrame:
    with opened(path) as file:
        rows = _whole(path, file, name)
    table: pd.DataFrame = pd.DataFrame({field: rows[field] for field in ("image", "row", "column", "ship_pixels")})
    table["image"] = table["image"].str.decode("utf-8") if len(table) else table["image"].astype(str)
    return table


def _read_full_images(path: Path) -> Iterator[FullImage]:
    with opened(path) as file:
        files, index, labels = (_whole(path, file, f"full_images/{name}") for name in ("files", "index", "labels"))
    ships = parse_labels(labels.tobytes(), f"{path}/full_images/labels").ships
    for name, offset, length, checksum in index:
        data = files[offset : offset + length].tobytes()
        if zlib.crc32(data) != checksum:
            raise InputError(f"{path}: the full image {name.decode()} is damaged; make it again with make-patches")
        yield FullImage(name.decode(), data, ships[name.decode()])


def find_slots(path: Path) -> Slots:
    """Find the places of the patches in a plain file, for writing; raises as `PatchStore`."""
    with opened(path) as file:
        offsets = {
            (split, kind): tuple(
                file[f"{split}/{kind}/{name}"].id.get_offset() for name in ("image", "mask", "checksum")
            )
            for split in SPLITS
            for kind in CLASSES
        }
        return Slots(path, int(file.attrs["patch"]), offsets)


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """Open a store's file and make an `InputError` of all that can be wrong with it."""
    if not path.is_file():
        raise InputError(f"{path} does not exist; make it with make-patches")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise InputError(f"{path} is no HDF5 file or is cut off ({error}); make it again with make-patches") from None
    with file:
        version = file.attrs.get("format_version")
        if version != FORMAT_VERSION:
            raise InputError(
                f"{path} has patch store format {version}, not {FORMAT_VERSION}; make it again with make-patches"
            )
        try:
            yield file
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise InputError(f"{path} lacks a part ({error}); make it again with make-patches") from None


def _dataset(path: Path, file: h5py.File, name: str) -> h5py.Dataset:
    """Return a dataset of this very file: HDF5 itself would follow links and mappings to any other."""
    node = file
    for part in name.split("/"):
        if not isinstance(node.get(part, getlink=True), h5py.HardLink):
            raise InputError(f"{path} lacks {name}; make it again with make-patches")
        node = node[part]
    if not isinstance(node, h5py.Dataset) or node.external or node.is_virtual:
        raise InputError(f"{path}: {name} is not kept in this file; make it again with make-patches")
    return node


def _whole(path: Path, file: h5py.File, name: str) -> NDArray[Any]:
    """Read all of a dataset that is no patch."""
    dataset = _dataset(path, file, name)
    offset = dataset.id.get_offset()  # None unless contiguous; a chunked one could unpack to any size
    if dataset.size and (offset is None or offset + dataset.nbytes > path.stat().st_size):
        raise InputError(f"{path} is cut off inside {name}; make it again with make-patches")
    whole: NDArray[Any] = dataset[:]
    return whole


def _patches(path: Path, file: h5py.File, name: str) -> Any:
    """Return a dataset of patches, mapped if it is contiguous."""
    dataset = _dataset(path, file, name)
    if dataset.dtype != np.uint8:
        raise InputError(f"{path}: {name} is not uint8; make it again with make-patches")
    if dataset.chunks == (1, *dataset.shape[1:]):
        return _compressed(path, dataset)
    if not dataset.size:
        return np.empty(dataset.shape, dtype=np.uint8)
    offset = dataset.id.get_offset()
    if offset is None:
        raise InputError(f"{path}: {name} is neither contiguous nor one patch a chunk; make it again with make-patches")
    try:
        # A plain array over the map: the map's own class costs time whenever it is indexed.
        mapped = np.memmap(path, dtype=np.uint8, mode="r", offset=offset, shape=dataset.shape)
        return np.asarray(mapped)
    except ValueError:
        raise InputError(f"{path} is cut off inside {name}; make it again with make-patches") from None


def _compressed(path: Path, dataset: h5py.Dataset) -> h5py.Dataset:
    """Return a dataset that stays open, after a look whether its patches can be unpacked."""
    with suppress(ImportError):
        import hdf5plugin  # noqa: F401  # importing it teaches HDF5 the filters
    properties = dataset.id.get_create_plist()
    for number in range(properties.get_nfilters()):
        code, _, _, filter_name = properties.get_filter(number)
        if not h5py.h5z.filter_avail(code):
            raise InputError(
                f"{path} is compressed with {filter_name.decode()}: pip install 'shipseg-tiles[compression]'"
            )
    return h5py.File(path, "r")[dataset.name]
