"""One file of a patch store, read as if it came from a stranger.

Names in it never choose a path, nothing is read that the file does not hold, and what is damaged is an `InputError`.
"""

import errno
import json
import math
import operator
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shipseg_tiles.archive.labels import parse_labels
from shipseg_tiles.errors import InputError
from shipseg_tiles.extras import missing_extra
from shipseg_tiles.patches.full_image import FullImage
from shipseg_tiles.patches.slots import Slots
from shipseg_tiles.patches.store_layout import FILTERS, FORMAT_VERSION, INDEX, MAXIMUM_SIDE, PARTS, SOURCE, stored_side
from shipseg_tiles.zipped import MAXIMUM_FILE_BYTES

_DAMAGE = (ArithmeticError, AttributeError, LookupError, MemoryError, OSError, RuntimeError, TypeError, ValueError)
"""What h5py, and the unpacking of what it read, raise on a file that is damaged or made up."""

_LONGEST_LEFT_OUT = 2**28
"""Bytes that say why images are left out, at most: a file with holes is as large as it likes, and takes no disk."""

_Json = TypeVar("_Json", dict[str, Any], list[str])


@dataclass(frozen=True)
class Header:
    """What a store says of itself.

    Attributes:
        side: Of a patch as it is stored, in pixels.
        options: What `make-patches` was called with.
        fingerprint: The plan's.
        left_out: Why images are not in it, by name.
        shards: Names of the shards that hold its patches; empty if it holds them itself.
    """

    side: int
    options: dict[str, Any]
    fingerprint: str
    left_out: dict[str, str]
    shards: list[str]

    @property
    def scale(self) -> str:
        """Say how large patches are in the image and as they are stored."""
        patch = self.options["patch"]
        return f"{patch} px" if patch == self.side else f"{patch} px stored at {self.side} px"


class StoreFile:
    """A file that is open for reading.

    Attributes:
        path: Where it is.
        file: The file as h5py knows it, which follows links and mappings to any other.
    """

    def __init__(self, path: Path, file: h5py.File) -> None:
        self.path = path
        self.file = file

    def check_format(self) -> None:
        """Refuse what this version does not know how to read."""
        version = self._attribute("format_version") if "format_version" in self.file.attrs else None
        if version != FORMAT_VERSION:
            raise self.damaged(f" has patch store format {version}, not {FORMAT_VERSION}")

    def header(self) -> Header:
        """Read the root attributes.

        Raises:
            InputError: If no store was made with such options: those who train or mine rely on them.
        """
        if self._dataset("left_out").size > _LONGEST_LEFT_OUT:
            raise InputError(f"{self.path} says of too many images why they are left out; do not use this file")
        header = Header(
            side=operator.index(self._attribute("patch")),
            options=_parsed(self._attribute("options"), dict),
            fingerprint=_fingerprint(self._attribute("plan_fingerprint").decode()),
            left_out=_parsed(self._whole("left_out", "|u1").tobytes(), dict),
            shards=_parsed(self._attribute("shards"), list),
        )
        patch, stride, seed = (operator.index(header.options[name]) for name in ("patch", "stride", "seed"))
        if not 1 <= header.side <= MAXIMUM_SIDE:
            raise self.damaged(f" is for patches of {header.side} px, not of 1 to {MAXIMUM_SIDE}")
        if header.side != stored_side(header.options) or not 1 <= stride <= patch <= MAXIMUM_SIDE or seed < 0:
            raise self.damaged(
                f" has patches of {header.side} px by the options patch {patch}, stride {stride}, resize"
                f" {header.options['resize']} and seed {seed}, which do not fit"
            )
        return header

    def patches(self, split: str, kind: str, side: int) -> tuple[Any, Any, NDArray[np.uint32]]:
        """Open the patches of one split and class.

        Returns:
            The datasets `image`, uint8 (N, side, side, 3), and `mask`, uint8 (N, side, side), mapped into memory if
            they are contiguous; and `checksum`, uint32 (N,).

        Raises:
            InputError: If they are of another size, or cannot be unpacked, or not in bounded memory.
        """
        group = f"{split}/{kind}"
        checksum = self._whole(f"{group}/checksum", "<u4")
        shape = (len(checksum), side, side)
        return self._patches(f"{group}/image", (*shape, 3)), self._patches(f"{group}/mask", shape), checksum

    def source(self, split: str, kind: str) -> pd.DataFrame:
        """Read `image`, `row`, `column` and `ship_pixels` of the patches of one split and class."""
        rows = self._whole(f"{split}/{kind}/source", _kinds(SOURCE))
        table: pd.DataFrame = pd.DataFrame({field: rows[field] for field in ("image", *SOURCE)})
        table["image"] = table["image"].str.decode("utf-8") if len(table) else table["image"].astype(str)
        return table

    def full_images(self) -> Iterator[FullImage]:
        """Read the full images one by one: a file with holes could hold more of them than fits into memory.

        Raises:
            InputError: If one is not as it was written.
        """
        files, labels = self._dataset("full_images/files"), self._whole("full_images/labels", "|u1")
        if files.dtype != np.uint8 or files.ndim != 1:
            raise self.damaged(f": full_images/files is {files.ndim}-dimensional {files.dtype}")
        if len(files):
            self._offset(files)
        index = self._whole("full_images/index", _kinds(INDEX))
        rows = [(name.decode("utf-8"), *numbers) for name, *numbers in index.tolist()]
        ships = parse_labels(labels.tobytes(), f"{self.path}/full_images/labels").ships
        end = 0
        for name, offset, length, checksum in rows:
            if offset != end or not 0 <= length <= min(len(files) - end, MAXIMUM_FILE_BYTES):
                raise self.damaged(f": the full image {name!r} is damaged")
            data = files[end : end + length].tobytes()
            if zlib.crc32(data) != checksum or name not in ships:
                raise self.damaged(f": the full image {name!r} is damaged")
            yield FullImage(name, data, ships[name])
            end += length

    def slots(self) -> Slots:
        """Find the places of the patches in a plain file, for writing."""
        offsets = {
            (split, kind): tuple(
                self.file[f"{split}/{kind}/{name}"].id.get_offset() for name in ("image", "mask", "checksum")
            )
            for split, kind in PARTS
        }
        return Slots(self.path, int(self._attribute("patch")), offsets)

    def _attribute(self, name: str) -> Any:
        """Return a root attribute: a number, or text as bytes."""
        attribute = self.file.attrs.get_id(name)
        if attribute.dtype.kind not in "iuS" or attribute.shape:
            raise TypeError(f"attribute {name} is neither a number nor text of fixed size")
        return self.file.attrs[name]

    def _dataset(self, name: str) -> h5py.Dataset:
        """Return a dataset of this very file."""
        node = self.file
        for part in name.split("/"):
            if not isinstance(node.get(part, getlink=True), h5py.HardLink):
                raise self.damaged(f" lacks {name}")
            node = node[part]
        if not isinstance(node, h5py.Dataset) or node.external or node.is_virtual:
            raise self.damaged(f": {name} is not kept in this file")
        return node

    def _whole(self, name: str, kind: str | list[tuple[str, str]]) -> NDArray[Any]:
        """Read all of a dataset (N,) that is no patch.

        Args:
            name: Its path in the file.
            kind: Its type as numpy writes it, or its fields and their kinds.
        """
        dataset = self._dataset(name)
        fields = dataset.dtype.names
        found = [(field, dataset.dtype[field].kind) for field in fields] if fields else dataset.dtype.str
        if found != kind or dataset.ndim != 1:
            raise self.damaged(f": {name} is {dataset.ndim}-dimensional {found}")
        if len(dataset):
            self._offset(dataset)
        whole: NDArray[Any] = dataset[:]
        return whole

    def _patches(self, name: str, shape: tuple[int, ...]) -> Any:
        """Return a dataset of patches, mapped if it is contiguous."""
        dataset = self._dataset(name)
        if dataset.dtype != np.uint8 or dataset.shape != shape:
            raise self.damaged(f": {name} is {dataset.dtype} {dataset.shape}, not uint8 {shape}")
        if dataset.chunks:
            return self._compressed(dataset)
        if not len(dataset):
            return np.empty(shape, dtype=np.uint8)
        offset = self._offset(dataset)
        return self._bytes[offset : offset + math.prod(shape)].reshape(shape)

    @cached_property
    def _bytes(self) -> NDArray[np.uint8]:
        """All of the file, mapped: once, as each map holds a file open, and a store may have many shards."""
        # A plain array over the map: the map's own class costs time whenever it is indexed.
        return np.asarray(np.memmap(self.path, np.uint8, mode="r"))

    def _offset(self, dataset: h5py.Dataset) -> int:
        """Return where in the file a contiguous dataset begins that lies in it as a whole.

        Any other could unpack to more than fits into memory.
        """
        offset: int | None = dataset.id.get_offset()
        if offset is None:
            raise self.damaged(f": {dataset.name} is not contiguous")
        # In Python's own integers: h5py's `nbytes` wraps around.
        if offset + math.prod(dataset.shape) * int(dataset.dtype.itemsize) > self.path.stat().st_size:
            raise self.damaged(f" is cut off inside {dataset.name}")
        return offset

    def _compressed(self, dataset: h5py.Dataset) -> h5py.Dataset:
        """Return a dataset that stays open, after a look whether its patches can be unpacked, in bounded memory."""
        side = dataset.shape[1]
        if dataset.chunks != (1, *dataset.shape[1:]):
            raise self.damaged(f": {dataset.name} is neither contiguous nor one patch a chunk")
        with suppress(ImportError):
            import hdf5plugin  # noqa: F401  # importing it teaches HDF5 the filters
        compression = compression_of(dataset)
        if not compression:
            raise self.damaged(f": {dataset.name} is not packed by one of {', '.join(FILTERS)}")
        if not h5py.h5z.filter_avail(FILTERS[compression]):
            raise missing_extra(f"{self.path} is compressed with {compression}, which needs hdf5plugin", "compression")
        sizes: list[int] = []
        dataset.id.chunk_iter(lambda chunk: sizes.append(chunk.size))
        largest = max(sizes, default=0)
        if largest > 8 * side**2 + 1024:  # a chunk may unpack to a thousand times its size; the worst is twice
            raise InputError(
                f"{self.path}: {dataset.name} has a patch packed into {largest} bytes; do not use this file"
            )
        return h5py.File(self.path, "r")[dataset.name]

    def damaged(self, what: str) -> InputError:
        """Return the complaint that the file is of no use."""
        return InputError(f"{self.path}{what}; make it again with make-patches")


@contextmanager
def opened(path: Path) -> Iterator[StoreFile]:
    """Open a store's file.

    Raises:
        InputError: If it is missing, no HDF5 file or of another format; or, from within, whatever is wrong with it.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist; make it with make-patches")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        _check_limit(path, error)
        raise InputError(f"{path} is no HDF5 file or is cut off ({error}); make it again with make-patches") from None
    with file:
        store_file = StoreFile(path, file)
        try:
            store_file.check_format()
            yield store_file
        except InputError:
            raise
        except _DAMAGE as error:
            _check_limit(path, error)
            reason = " ".join(str(error).split())
            raise store_file.damaged(f" lacks a part or is damaged ({reason})") from None


def _check_limit(path: Path, error: Exception) -> None:
    """Tell a limit that is met from damage."""
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        raise InputError(f"{path}: too many files are open; allow more, as with ulimit -n 4096") from None


def compression_of(dataset: h5py.Dataset) -> str:
    """Return which of `FILTERS` is the one filter of a dataset, or an empty text."""
    properties = dataset.id.get_create_plist()
    codes = [properties.get_filter(number)[0] for number in range(properties.get_nfilters())]
    return next((name for name, code in FILTERS.items() if codes == [code]), "")


def _fingerprint(text: str) -> str:
    if not re.fullmatch("[0-9a-f]{64}", text):
        raise ValueError(f"plan_fingerprint {text!r} is none")
    return text


def _parsed(text: bytes, kind: type[_Json]) -> _Json:
    value = json.loads(text)
    if not isinstance(value, kind):
        raise TypeError(f"{text[:40]!r} is no JSON {'object' if kind is dict else 'list'}")
    return value


def _kinds(numbers: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the fields of a row and their kinds in numpy's letters: text and numbers that point nowhere else."""
    return [("image", "S"), *((field, np.dtype(number).kind) for field, number in numbers.items())]
