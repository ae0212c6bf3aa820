"""The patch store: one HDF5 file, whose whole layout is known here and nowhere else.

    /train/ship        image   uint8 (N, patch, patch, 3)
    /train/background  mask    uint8 (N, patch, patch), 0 or 1
    /valid/ship        source  (N,) compound: image (file name), row, column, ship_pixels
    /valid/background
    /full_images       files   uint8: the validation images as they were on disk, one behind the other
                       index   compound: image (file name), offset, length
                       labels  their labels as a competition CSV, UTF-8
    root attributes    format_version, options (JSON), seed, plan_fingerprint, patch

`image` and `mask` are contiguous and uncompressed, so each patch has a fixed place in the file. Writers write there and
readers map it into memory instead of going through HDF5, which is what makes many writers safe and reading fast.
"""

import errno
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shipseg_tiles.archive.labels import Labels, parse_labels
from shipseg_tiles.errors import InputError
from shipseg_tiles.patches.plan import CLASSES, SPLITS, PatchPlan

FORMAT_VERSION = 1


@dataclass(frozen=True)
class PatchSet:
    """The patches of one split and class.

    Attributes:
        image: uint8 (N, patch, patch, 3), mapped from the file.
        mask: uint8 (N, patch, patch), 0 or 1, mapped from the file.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.image)


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


def create_store(path: Path, plan: PatchPlan, options: Mapping[str, Any], full_images: Sequence[FullImage]) -> None:
    """Create a store with everything in it but the patches, whose space is reserved on disk.

    Args:
        path: File to create; one that exists is replaced.
        plan: Says how many patches of which kind there are and where they come from.
        options: JSON-able options of the run; `patch` and `seed` among them.
        full_images: Validation images to keep whole, for the true dice during training.

    Raises:
        OSError: If the disk is full, before a single patch is written.
    """
    # HDF5 does not survive a disk that is full: the interpreter crashes. So find out before it writes a byte.
    path.touch()
    _reserve(path, _upper_bound(plan, options, full_images))
    # The format of newer versions would note the time in every group, and equal stores would differ.
    with h5py.File(path, "w", libver=("earliest", "v110")) as file:
        file.attrs["format_version"] = FORMAT_VERSION
        file.attrs["options"] = json.dumps(options)
        file.attrs["seed"] = options["seed"]
        file.attrs["patch"] = options["patch"]
        file.attrs["plan_fingerprint"] = plan.fingerprint
        for split in SPLITS:
            for kind in CLASSES:
                rows = plan.table[(plan.table["split"] == split) & (plan.table["class"] == kind)]
                _create_patch_set(file.create_group(f"{split}/{kind}"), rows.sort_values("slot"), options["patch"])
        _write_full_images(file.create_group("full_images"), full_images)
    _reserve(path, path.stat().st_size)


def _upper_bound(plan: PatchPlan, options: Mapping[str, Any], full_images: Sequence[FullImage]) -> int:
    """Return more bytes than the store will take."""
    row = 1024  # of `source`, `index` or `labels`, whose names have at most 255 bytes
    patch: int = options["patch"]
    patches = len(plan.table) * (4 * patch**2 + row)
    whole = sum(len(image.data) + sum(len(ship) + row for ship in image.ships) + 2 * row for image in full_images)
    return patches + whole + 2**16


def _create_patch_set(group: h5py.Group, rows: pd.DataFrame, patch: int) -> None:
    _create_contiguous(group, "image", (len(rows), patch, patch, 3))
    _create_contiguous(group, "mask", (len(rows), patch, patch))
    group.create_dataset("source", data=_source(rows))


def _create_contiguous(group: h5py.Group, name: str, shape: tuple[int, ...]) -> None:
    """Create a uint8 dataset whose space exists at once and is not filled."""
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_layout(h5py.h5d.CONTIGUOUS)
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    properties.set_obj_track_times(False)  # a time of creation would make equal stores differ
    space = h5py.h5s.create_simple(shape)
    h5py.h5d.create(group.id, name.encode(), h5py.h5t.STD_U8LE, space, properties)


def _source(rows: pd.DataFrame) -> NDArray[np.void]:
    names = [str(name).encode() for name in rows["image"]]
    text = h5py.string_dtype("utf-8", max(map(len, names), default=1))
    fields = [("image", text), ("row", "<i4"), ("column", "<i4"), ("ship_pixels", "<i4")]
    source: NDArray[np.void] = np.empty(len(rows), dtype=fields)
    source["image"] = names
    for field in ("row", "column", "ship_pixels"):
        source[field] = rows[field]
    return source


def _write_full_images(group: h5py.Group, images: Sequence[FullImage]) -> None:
    names = [image.name.encode() for image in images]
    lengths = np.array([len(image.data) for image in images], dtype=np.int64)
    text = h5py.string_dtype("utf-8", max(map(len, names), default=1))
    index = np.empty(len(images), dtype=[("image", text), ("offset", "<i8"), ("length", "<i8")])
    index["image"], index["offset"], index["length"] = names, np.cumsum(lengths) - lengths, lengths
    labels = Labels("", {image.name: image.ships for image in images})
    group.create_dataset("files", data=np.frombuffer(b"".join(image.data for image in images), dtype=np.uint8))
    group.create_dataset("index", data=index)
    group.create_dataset("labels", data=np.frombuffer(labels.to_csv().encode(), dtype=np.uint8))


def _reserve(path: Path, size: int) -> None:
    """Take space on the disk now: a full disk must be an error here, not a crash while writing to the map."""
    with path.open("r+b") as file:
        if hasattr(os, "posix_fallocate"):  # not on macOS
            os.posix_fallocate(file.fileno(), 0, size)


class PatchWriter:
    """Writes patches into the slots of a store that `create_store` made; many may write to one store at once.

    It writes to the places in the file instead of to a memory map: three times as fast, as the system need not fetch
    each page first, and a disk that fails is an error and not a crash.
    """

    def __init__(self, path: Path) -> None:
        """Find the places of the patches in the file; raises as `PatchStore`."""
        with _opened(path) as file:
            self._offsets = {
                (split, kind): [file[f"{split}/{kind}/{name}"].id.get_offset() for name in ("image", "mask")]
                for split in SPLITS
                for kind in CLASSES
            }
        self._file = path.open("r+b", buffering=0)

    def write(self, split: str, kind: str, slot: int, image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> None:
        """Write one patch: image uint8 (patch, patch, 3), mask uint8 (patch, patch) of 0 and 1."""
        for offset, pixels in zip(self._offsets[split, kind], (image, mask), strict=True):
            self._file.seek(offset + slot * pixels.size)
            if self._file.write(np.ascontiguousarray(pixels).data) != pixels.size:
                raise OSError(errno.ENOSPC, "only a part of a patch could be written")


class PatchStore:
    """A store opened for reading.

    Attributes:
        path: The file.
        patch: Side of a patch in pixels.
        options: What `make-patches` was called with.
        fingerprint: The plan's fingerprint.
        sets: The patches by (split, class).
    """

    def __init__(self, path: Path) -> None:
        """Map a store.

        Raises:
            InputError: If the file is missing, is no store, has another format version, or is cut off.
        """
        self.path = path
        with _opened(path) as file:
            self.patch = int(file.attrs["patch"])
            self.options: dict[str, Any] = json.loads(file.attrs["options"])
            self.fingerprint = str(file.attrs["plan_fingerprint"])
            self.sets = {
                (split, kind): PatchSet(
                    _mapped(path, file[f"{split}/{kind}/image"]),
                    _mapped(path, file[f"{split}/{kind}/mask"]),
                )
                for split in SPLITS
                for kind in CLASSES
            }

    def source(self, split: str, kind: str) -> pd.DataFrame:
        """Read where the patches came from: `image`, `row`, `column`, `ship_pixels`, in the order of the patches."""
        with _opened(self.path) as file:
            rows = file[f"{split}/{kind}/source"][:]
        table: pd.DataFrame = pd.DataFrame({field: rows[field] for field in rows.dtype.names})
        table["image"] = table["image"].str.decode("utf-8")
        return table

    def full_images(self) -> Iterator[FullImage]:
        """Read the whole validation images one by one."""
        with _opened(self.path) as file:
            group = file["full_images"]
            labels = parse_labels(group["labels"][:].tobytes(), f"{self.path}/full_images/labels")
            for name, offset, length in group["index"][:]:
                data = group["files"][offset : offset + length].tobytes()
                yield FullImage(name.decode(), data, labels.ships[name.decode()])


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
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
        except KeyError as error:
            raise InputError(f"{path} lacks a part ({error.args[0]}); make it again with make-patches") from None


def _mapped(path: Path, dataset: h5py.Dataset) -> NDArray[np.uint8]:
    if dataset.size == 0:
        return np.empty(dataset.shape, dtype=np.uint8)
    if dataset.dtype != np.uint8 or dataset.id.get_offset() is None:
        raise InputError(f"{path}: {dataset.name} is not contiguous uint8; make it again with make-patches")
    try:
        return np.memmap(path, dtype=np.uint8, mode="r", offset=dataset.id.get_offset(), shape=dataset.shape)
    except ValueError:
        raise InputError(f"{path} is cut off inside {dataset.name}; make it again with make-patches") from None
