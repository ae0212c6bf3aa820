"""The patch store: an HDF5 file, whose whole layout is known here and in `store_writer`, and nowhere else.

    /train/ship        image     uint8 (N, side, side, 3)
    /train/background  mask      uint8 (N, side, side), 0 or 1
    /valid/ship        source    (N,) compound: image (file name), row, column, ship_pixels
    /valid/background  checksum  uint32 (N,): CRC-32 of each patch
    /full_images       files     uint8: the validation images as they were on disk, one behind the other
                       index     compound: image (file name), offset, length, checksum (CRC-32)
                       labels    their labels as a competition CSV, UTF-8
    /left_out          JSON: why images of the archive are not in it, by name
    root attributes    format_version, options (JSON), seed, patch (side as stored), plan_fingerprint, shards (JSON):
                       numbers and text of fixed size, as HDF5 crashes on damaged text of variable size

In a plain store `image` and `mask` are contiguous, so each patch has a fixed place in the file. Writers write there and
readers map it into memory instead of going through HDF5, which is what makes many writers safe and reading fast. In a
compressed store each patch is a chunk. A store in shards holds virtual datasets, for other programs, over the stores in
the folder `NAME.shards`, which are called by a hash of what is in them; its attribute `shards` (JSON) lists them.

A store may come from a stranger: names in it never choose a path, and nothing is read that the file does not hold.
"""

import hashlib
import json
import math
import operator
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shipseg_tiles.archive.labels import Labels, parse_labels
from shipseg_tiles.errors import InputError
from shipseg_tiles.extras import missing_extra
from shipseg_tiles.images import decode_image
from shipseg_tiles.patches.slots import MAXIMUM_SIDE, PARTS, Slots
from shipseg_tiles.rle import PixelIndices

FORMAT_VERSION = 3
FILTERS = {"lz4": 32004, "zstd": 32015, "gzip": 1}
"""What patches may be compressed with, and HDF5's codes for it."""

SOURCE = {"row": "<i4", "column": "<i4", "ship_pixels": "<i4"}
INDEX = {"offset": "<i8", "length": "<i8", "checksum": "<u4"}
"""Of `source` and of `index`: the numbers that stand behind `image`, which is text of a fixed size."""

_DAMAGE = (ArithmeticError, AttributeError, LookupError, MemoryError, OSError, RuntimeError, TypeError, ValueError)
"""What h5py, and the unpacking of what it read, raise on a file that is damaged or made up."""

_LONGEST_LEFT_OUT = 2**28
"""Bytes that say why images are left out, at most: a file with holes is as large as it likes, and takes no disk."""

_Json = TypeVar("_Json", dict[str, Any], list[str])

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

    def pixels(self) -> NDArray[np.uint8]:
        """Decode it to uint8 (height, width, 3); raises as `decode_image`."""
        return decode_image(self.data, self.name)

    def ship_indices(self, shape: tuple[int, int]) -> list[PixelIndices]:
        """Return the pixel indices of each ship, if the image has `shape`, (height, width).

        Raises:
            InputError: If a run-length text is malformed or leaves the image.
        """
        return Labels("labels", {self.name: self.ships}).ship_indices(self.name, shape)


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

    def read(self, place: int) -> Patches:
        """Return one patch: uint8 (side, side, 3) and uint8 (side, side).

        Raises:
            InputError: If it cannot be unpacked.
        """
        try:
            return self.image[place], self.mask[place]
        except OSError as error:
            raise InputError(f"{self.image.file.filename}: patch {place} cannot be unpacked ({error})") from None


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
        """As `read`, into contiguous arrays that are there.

        Raises:
            InputError: If a patch cannot be unpacked.
        """
        part_of = np.searchsorted(self._ends, places, side="right")
        within = places - np.append(0, self._ends)[part_of]
        only = self.parts[part_of[0]] if len(set(part_of.tolist())) == 1 else None
        if only and isinstance(only.image, np.ndarray):
            # Places are valid by contract; any mode but "clip" would copy through a second buffer.
            np.take(only.image, within, axis=0, out=images, mode="clip")
            np.take(only.mask, within, axis=0, out=masks, mode="clip")
            return
        for number, (part, place) in enumerate(zip(part_of.tolist(), within.tolist(), strict=True)):
            images[number], masks[number] = self.parts[part].read(place)


class PatchStore:
    """A store opened for reading, or several that are read as one.

    Attributes:
        paths: The files.
        files: The files that hold the patches: those above, or their shards.
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
            if header.scale != headers[0].scale:
                raise InputError(
                    f"{path} has patches of {header.scale}, {paths[0]} of {headers[0].scale}; use one size"
                )
        fingerprints = [header.fingerprint for header in headers]
        self.fingerprint = fingerprints[0]
        if len(paths) > 1:
            self.fingerprint = hashlib.sha256("".join(fingerprints).encode()).hexdigest()
        files = [_files_of(path, header) for path, header in zip(paths, headers, strict=True)]
        self.files = tuple(file for of_path in files for file in of_path)
        arrays = [_read_arrays(file, self.patch) for file in self.files]
        self.sets = {part: PatchSet([of_file[part] for of_file in arrays], self.patch) for part in PARTS}

    def __reduce__(self) -> tuple[type["PatchStore"], tuple[Path, ...]]:
        """Open the files anew in another process, instead of sending what they hold."""
        return PatchStore, self.paths

    @property
    def compression(self) -> str:
        """One of `FILTERS` if patches are compressed, else empty."""
        parts = [part.image for patches in self.sets.values() for part in patches.parts]
        return next((_compression_of(image) for image in parts if isinstance(image, h5py.Dataset)), "")

    @cached_property
    def content(self) -> str:
        """SHA-256 that two stores share if they hold the same pixels and masks in the same order.

        Raises:
            InputError: If a full image is not as it was written.
        """
        digest = hashlib.sha256()
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
        table = pd.concat([_read_source(path, f"{split}/{kind}/source") for path in self.paths], ignore_index=True)
        patches = len(self.sets[split, kind])
        if len(table) != patches:
            raise InputError(
                f"{self.paths[0]}: {split}/{kind} has {len(table)} rows of source for {patches} patches;"
                " make it again with make-patches"
            )
        return table

    def full_images(self) -> Iterator[FullImage]:
        """Read the whole validation images one by one, each once even if several of the stores hold it.

        Raises:
            InputError: If one is not as it was written.
        """
        known = set()
        for path in self.paths:
            for image in _read_full_images(path):
                identity = image.name, zlib.crc32(image.data), image.ships
                if identity not in known:
                    known.add(identity)
                    yield image


@dataclass(frozen=True)
class _Header:
    """The root attributes of a store."""

    patch: int
    options: dict[str, Any]
    fingerprint: str
    left_out: dict[str, str]
    shards: list[str]

    @property
    def scale(self) -> str:
        """Say how large patches are in the image and as they are stored."""
        side = self.options["patch"]
        return f"{side} px" if side == self.patch else f"{side} px stored at {self.patch} px"


def stored_side(options: Mapping[str, Any]) -> int:
    """Return the side of patches as they are stored, in pixels."""
    return operator.index(options["resize"] or options["patch"])


def shard_path(path: Path, name: str) -> Path:
    """Return the file of a shard of the store at `path`.

    Raises:
        InputError: If the name is not one that `shard_name` gives, and could lead elsewhere.
    """
    if not isinstance(name, str) or not re.fullmatch("[0-9a-f]{16}", name):
        raise InputError(f"{path} names a shard {name!r}, which is no shard's name; do not use this file")
    return shards_folder(path) / f"{name}.h5"


def shards_folder(path: Path) -> Path:
    """Return the folder of the shards of the store at `path`."""
    return path.with_suffix(".shards")


def shard_name(options: Mapping[str, Any], fingerprint: str) -> str:
    """Name a shard after what is in it: after the options of the run and the fingerprint of its part of the plan."""
    return hashlib.sha256(f"{json.dumps(options)} {fingerprint}".encode()).hexdigest()[:16]


def _files_of(path: Path, header: _Header) -> list[Path]:
    """Return the files that hold the patches of a store: itself, or its shards if they are what their names say."""
    if not header.shards:
        return [path]
    files = [shard_path(path, name) for name in header.shards]
    for file, name in zip(files, header.shards, strict=True):
        shard = _read_header(file)
        if shard_name(shard.options, shard.fingerprint) != name:
            raise InputError(f"{file} is a shard of another store; make {path} again with make-patches")
    return files


def _read_header(path: Path) -> _Header:
    with opened(path) as file:
        if _dataset(path, file, "left_out").size > _LONGEST_LEFT_OUT:
            raise InputError(f"{path} says of too many images why they are left out; do not use this file")
        header = _Header(
            patch=operator.index(_attribute(file, "patch")),
            options=_parsed(_attribute(file, "options"), dict),
            fingerprint=_attribute(file, "plan_fingerprint").decode(),
            left_out=_parsed(_whole(path, file, "left_out", "|u1").tobytes(), dict),
            shards=_parsed(_attribute(file, "shards"), list),
        )
        _check_options(path, header)
    return header


def _check_options(path: Path, header: _Header) -> None:
    """Refuse options that no store was made with: those who train or mine rely on them."""
    patch, stride, seed = (operator.index(header.options[name]) for name in ("patch", "stride", "seed"))
    if not 1 <= header.patch <= MAXIMUM_SIDE:
        raise InputError(f"{path} is for patches of {header.patch} px, not of 1 to {MAXIMUM_SIDE}; make it again")
    if header.patch != stored_side(header.options) or not 1 <= stride <= patch <= MAXIMUM_SIDE or seed < 0:
        raise InputError(
            f"{path} has patches of {header.patch} px by the options patch {patch}, stride {stride}, resize"
            f" {header.options['resize']} and seed {seed}, which do not fit; make it again with make-patches"
        )


def _attribute(file: h5py.File, name: str) -> Any:
    """Return a root attribute: a number, or text as bytes."""
    attribute = file.attrs.get_id(name)
    if attribute.dtype.kind not in "iuS" or attribute.shape:
        raise TypeError(f"attribute {name} is neither a number nor text of fixed size")
    return file.attrs[name]


def _parsed(text: bytes, kind: type[_Json]) -> _Json:
    value = json.loads(text)
    if not isinstance(value, kind):
        raise TypeError(f"{text[:40]!r} is no JSON {'object' if kind is dict else 'list'}")
    return value


def _read_arrays(path: Path, patch: int) -> dict[tuple[str, str], PatchArrays]:
    """Open the patches of a file by (split, class)."""
    sets = {}
    with opened(path) as file:
        for split, kind in PARTS:
            group = f"{split}/{kind}"
            checksum = _whole(path, file, f"{group}/checksum", "<u4")
            shape = (len(checksum), patch, patch)
            image = _patches(path, file, f"{group}/image", (*shape, 3))
            mask = _patches(path, file, f"{group}/mask", shape)
            sets[split, kind] = PatchArrays(image, mask, checksum)
    return sets


def _read_source(path: Path, name: str) -> pd.DataFrame:
    with opened(path) as file:
        rows = _whole(path, file, name, _kinds(SOURCE))
        table: pd.DataFrame = pd.DataFrame({field: rows[field] for field in ("image", *SOURCE)})
        table["image"] = table["image"].str.decode("utf-8") if len(table) else table["image"].astype(str)
    return table


def _read_full_images(path: Path) -> Iterator[FullImage]:
    with opened(path) as file:
        files, labels = (_whole(path, file, f"full_images/{name}", "|u1") for name in ("files", "labels"))
        index = _whole(path, file, "full_images/index", _kinds(INDEX))
        rows = [(name.decode("utf-8"), *numbers) for name, *numbers in index.tolist()]
    ships = parse_labels(labels.tobytes(), f"{path}/full_images/labels").ships
    end = 0
    for name, offset, length, checksum in rows:
        data = files[end : end + length].tobytes()
        if (offset, length) != (end, len(data)) or zlib.crc32(data) != checksum or name not in ships:
            raise InputError(f"{path}: the full image {name!r} is damaged; make it again with make-patches")
        yield FullImage(name, data, ships[name])
        end += length


def find_slots(path: Path) -> Slots:
    """Find the places of the patches in a plain file, for writing; raises as `PatchStore`."""
    with opened(path) as file:
        offsets = {
            (split, kind): tuple(
                file[f"{split}/{kind}/{name}"].id.get_offset() for name in ("image", "mask", "checksum")
            )
            for split, kind in PARTS
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
        try:
            version = _attribute(file, "format_version") if "format_version" in file.attrs else None
            if version != FORMAT_VERSION:
                raise InputError(
                    f"{path} has patch store format {version}, not {FORMAT_VERSION}; make it again with make-patches"
                )
            yield file
        except InputError:
            raise
        except _DAMAGE as error:
            reason = " ".join(str(error).split())
            raise InputError(f"{path} lacks a part or is damaged ({reason}); make it again with make-patches") from None


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


def _whole(path: Path, file: h5py.File, name: str, kind: str | list[tuple[str, str]]) -> NDArray[Any]:
    """Read all of a dataset (N,) that is no patch; `kind` is a type as numpy writes it, or fields and their kinds."""
    dataset = _dataset(path, file, name)
    fields = dataset.dtype.names
    found = [(field, dataset.dtype[field].kind) for field in fields] if fields else dataset.dtype.str
    if found != kind or dataset.ndim != 1:
        raise InputError(f"{path}: {name} is {dataset.ndim}-dimensional {found}; make it again with make-patches")
    if len(dataset):
        _offset(path, dataset)
    whole: NDArray[Any] = dataset[:]
    return whole


def _kinds(numbers: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the fields of a row and their kinds in numpy's letters: text and numbers that point nowhere else."""
    return [("image", "S"), *((field, np.dtype(number).kind) for field, number in numbers.items())]


def _offset(path: Path, dataset: h5py.Dataset) -> int:
    """Return where in the file a contiguous dataset begins that lies in it as a whole.

    Any other could unpack to more than fits into memory.
    """
    offset: int | None = dataset.id.get_offset()
    if offset is None:
        raise InputError(f"{path}: {dataset.name} is not contiguous; make it again with make-patches")
    # In Python's own integers: h5py's `nbytes` wraps around.
    if offset + math.prod(dataset.shape) * int(dataset.dtype.itemsize) > path.stat().st_size:
        raise InputError(f"{path} is cut off inside {dataset.name}; make it again with make-patches")
    return offset


def _patches(path: Path, file: h5py.File, name: str, shape: tuple[int, ...]) -> Any:
    """Return a dataset of patches, mapped if it is contiguous."""
    dataset = _dataset(path, file, name)
    if dataset.dtype != np.uint8 or dataset.shape != shape:
        raise InputError(
            f"{path}: {name} is {dataset.dtype} {dataset.shape}, not uint8 {shape}; make it again with make-patches"
        )
    if dataset.chunks:
        return _compressed(path, dataset)
    if not len(dataset):
        return np.empty(shape, dtype=np.uint8)
    # A plain array over the map: the map's own class costs time whenever it is indexed.
    return np.asarray(np.memmap(path, dtype=np.uint8, mode="r", offset=_offset(path, dataset), shape=shape))


def _compressed(path: Path, dataset: h5py.Dataset) -> h5py.Dataset:
    """Return a dataset that stays open, after a look whether its patches can be unpacked, in bounded memory."""
    side = dataset.shape[1]
    if dataset.chunks != (1, *dataset.shape[1:]):
        raise InputError(
            f"{path}: {dataset.name} is neither contiguous nor one patch a chunk; make it again with make-patches"
        )
    with suppress(ImportError):
        import hdf5plugin  # noqa: F401  # importing it teaches HDF5 the filters
    compression = _compression_of(dataset)
    if not compression:
        raise InputError(f"{path}: {dataset.name} is not packed by one of {', '.join(FILTERS)}; make it again")
    if not h5py.h5z.filter_avail(FILTERS[compression]):
        raise missing_extra(f"{path} is compressed with {compression}, which needs hdf5plugin", "compression")
    largest = 0

    def measure(chunk: Any) -> None:
        nonlocal largest
        largest = max(largest, chunk.size)

    dataset.id.chunk_iter(measure)
    if largest > 8 * side**2 + 1024:  # a chunk may unpack to a thousand times its size; the worst is twice
        raise InputError(f"{path}: {dataset.name} has a patch packed into {largest} bytes; do not use this file")
    return h5py.File(path, "r")[dataset.name]


def _compression_of(dataset: h5py.Dataset) -> str:
    """Return which of `FILTERS` is the one filter of a dataset, or an empty text."""
    properties = dataset.id.get_create_plist()
    codes = [properties.get_filter(number)[0] for number in range(properties.get_nfilters())]
    return next((name for name, code in FILTERS.items() if codes == [code]), "")
