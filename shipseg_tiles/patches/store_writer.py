"""Making the files of a patch store; what they look like says `store_layout`."""

import json
import os
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shipseg_tiles.archive.labels import Labels
from shipseg_tiles.extras import import_extra
from shipseg_tiles.files import check_space, written_whole
from shipseg_tiles.patches.full_image import FullImage
from shipseg_tiles.patches.plan import PatchPlan
from shipseg_tiles.patches.store_layout import FORMAT_VERSION, INDEX, PARTS, SOURCE, shard_path, stored_side

_LIBRARY_VERSIONS = ("earliest", "v110")
"""The format of newer versions would note the time in every group, and equal stores would differ."""


_PATCHES_AT_ONCE = 256


def create_store(
    path: Path,
    plan: PatchPlan,
    options: Mapping[str, Any],
    full_images: Sequence[FullImage] = (),
    left_out: Mapping[str, str] | None = None,
) -> None:
    """Create a store with everything in it but the patches, whose space is reserved on disk.

    Args:
        path: File to create; it appears when it is complete.
        plan: Says how many patches of which kind there are and where they come from.
        options: JSON-able options of the run; `patch`, `stride`, `resize` and `seed` among them.
        full_images: Validation images to keep whole, for the true dice during training.
        left_out: Why images of the archive are not in the plan, by name.

    Raises:
        OSError: If the disk is full, before a single patch is written.
    """
    side = stored_side(options)
    with written_whole(path) as temporary:
        # HDF5 does not survive a disk that is full: the interpreter crashes. So find out before it writes a byte.
        temporary.touch()
        _reserve(temporary, store_bytes(len(plan.table), side, full_images))
        with h5py.File(temporary, "w", libver=_LIBRARY_VERSIONS) as file:
            _write_header(file, plan.fingerprint, options, left_out or {}, [])
            for (split, kind), rows in plan.sources().items():
                group = file.create_group(f"{split}/{kind}")
                _create_contiguous(group, "image", (len(rows), side, side, 3), h5py.h5t.STD_U8LE)
                _create_contiguous(group, "mask", (len(rows), side, side), h5py.h5t.STD_U8LE)
                _create_contiguous(group, "checksum", (len(rows),), h5py.h5t.STD_U32LE)
                group.create_dataset("source", data=_source(rows))
            _write_full_images(file.create_group("full_images"), full_images)
        _reserve(temporary, temporary.stat().st_size)


def store_bytes(patches: int, side: int, full_images: Sequence[FullImage] = ()) -> int:
    """Return a little more bytes than an uncompressed store will take."""
    row = 1024  # of `source`, `index` or `labels`, whose names have at most 255 bytes
    whole = sum(len(image.data) + sum(len(ship) + row for ship in image.ships) + 2 * row for image in full_images)
    return patches * (4 * side**2 + row) + whole + 2**17


def join_shards(
    path: Path,
    plan: PatchPlan,
    options: Mapping[str, Any],
    shards: Sequence[str],
    full_images: Sequence[FullImage],
    left_out: Mapping[str, str],
) -> None:
    """Write the store that joins shards, which are complete, in the order of the plan.

    Args:
        path: File to write; it appears when it is complete.
        plan: The whole plan.
        options: As for `create_store`.
        shards: Names of the shards, see `shard_path`.
        full_images: As for `create_store`.
        left_out: As for `create_store`.
    """
    with written_whole(path) as temporary, h5py.File(temporary, "w", libver=_LIBRARY_VERSIONS) as file:
        _write_header(file, plan.fingerprint, options, left_out, shards)
        for (split, kind), rows in plan.sources().items():
            group = file.create_group(f"{split}/{kind}")
            for name in ("image", "mask", "checksum"):
                _create_virtual(group, name, [shard_path(path, shard) for shard in shards])
            group.create_dataset("source", data=_source(rows))
        _write_full_images(file.create_group("full_images"), full_images)


def compress_store(source: Path, target: Path, compression: str) -> None:
    """Copy a plain store into one whose patches are compressed, each on its own.

    Args:
        source: A complete plain store.
        target: File to write; it appears when it is complete.
        compression: One of `FILTERS`.

    Raises:
        InputError: If the compression needs a library that is not installed.
        OSError: If the disk is full.
    """
    packing = packing_of(compression)
    with (
        h5py.File(source) as plain,
        written_whole(target) as temporary,
        h5py.File(temporary, "w", libver=_LIBRARY_VERSIONS) as packed,
    ):
        check_space(target.parent, plain["full_images/files"].nbytes)
        packed.attrs.update(plain.attrs)
        for name in ("full_images", "left_out"):
            plain.copy(name, packed)
        for group in (plain[f"{split}/{kind}"] for split, kind in PARTS):
            into = packed.create_group(group.name)
            for name in ("source", "checksum"):
                plain.copy(group[name], into, name)
            for name in ("image", "mask"):
                _pack(group[name], into, packing, target.parent)


def _pack(dataset: h5py.Dataset, into: h5py.Group, packing: Mapping[str, Any], folder: Path) -> None:
    name = dataset.name.rsplit("/", 1)[1]
    if not len(dataset):
        into.create_dataset(name, data=dataset[:])
        return
    packed = into.create_dataset(name, dataset.shape, np.uint8, chunks=(1, *dataset.shape[1:]), **packing)
    for first in range(0, len(dataset), _PATCHES_AT_ONCE):
        patches = dataset[first : first + _PATCHES_AT_ONCE]
        check_space(folder, patches.nbytes)
        packed[first : first + _PATCHES_AT_ONCE] = patches


def packing_of(compression: str) -> dict[str, Any]:
    """Return the arguments of h5py for one of `FILTERS`.

    Raises:
        InputError: If the package that it needs is not installed.
    """
    if compression == "gzip":
        return {"compression": "gzip", "compression_opts": 4}
    hdf5plugin = import_extra("hdf5plugin", "compression", f"compression {compression} needs hdf5plugin")
    return dict({"lz4": hdf5plugin.LZ4(), "zstd": hdf5plugin.Zstd()}[compression])


def _write_header(
    file: h5py.File, fingerprint: str, options: Mapping[str, Any], left_out: Mapping[str, str], shards: Sequence[str]
) -> None:
    file.attrs["format_version"] = FORMAT_VERSION
    file.attrs["options"] = np.bytes_(json.dumps(options))
    file.attrs["seed"] = options["seed"]
    file.attrs["patch"] = stored_side(options)
    file.attrs["plan_fingerprint"] = np.bytes_(fingerprint)
    file.attrs["shards"] = np.bytes_(json.dumps(list(shards)))
    file.create_dataset("left_out", data=np.frombuffer(json.dumps(left_out).encode(), dtype=np.uint8))


def _create_contiguous(group: h5py.Group, name: str, shape: tuple[int, ...], kind: h5py.h5t.TypeID) -> None:
    """Create a dataset whose space exists at once and is not filled."""
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_layout(h5py.h5d.CONTIGUOUS)
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    properties.set_obj_track_times(False)  # a time of creation would make equal stores differ
    h5py.h5d.create(group.id, name.encode(), kind, h5py.h5s.create_simple(shape), properties)


def _create_virtual(group: h5py.Group, name: str, shards: Sequence[Path]) -> None:
    """Join the datasets of one name and group of all shards, for programs that read plain HDF5."""
    sources = []
    for shard in shards:
        with h5py.File(shard, "r") as file:
            dataset = file[f"{group.name}/{name}"]
            # The path as it is seen from the store's own folder, so that both can be moved together.
            relative = f"{shard.parent.name}/{shard.name}"
            sources.append(h5py.VirtualSource(relative, dataset.name, dataset.shape, dataset.dtype))
    length = sum(source.shape[0] for source in sources)
    layout = h5py.VirtualLayout((length, *sources[0].shape[1:]), sources[0].dtype)
    layout.dcpl.set_obj_track_times(False)  # equal stores are to be equal bytes
    first = 0
    for source in sources:
        if source.shape[0]:
            layout[first : first + source.shape[0]] = source
            first += source.shape[0]
    group.create_virtual_dataset(name, layout)


def _source(rows: pd.DataFrame) -> NDArray[np.void]:
    source = _rows_of(map(str, rows["image"]), SOURCE)
    for field in SOURCE:
        source[field] = rows[field]
    return source


def _rows_of(images: Iterable[str], numbers: Mapping[str, str]) -> NDArray[np.void]:
    """Make a row for each image with its name, and with space for numbers."""
    names = [image.encode() for image in images]
    text = h5py.string_dtype("utf-8", max(map(len, names), default=1))
    rows: NDArray[np.void] = np.empty(len(names), dtype=[("image", text), *numbers.items()])
    rows["image"] = names
    return rows


def _write_full_images(group: h5py.Group, images: Sequence[FullImage]) -> None:
    lengths = np.array([len(image.data) for image in images], dtype=np.int64)
    index = _rows_of((image.name for image in images), INDEX)
    index["offset"], index["length"] = np.cumsum(lengths) - lengths, lengths
    index["checksum"] = [zlib.crc32(image.data) for image in images]
    labels = Labels("", {image.name: image.ships for image in images})
    group.create_dataset("files", data=np.frombuffer(b"".join(image.data for image in images), dtype=np.uint8))
    group.create_dataset("index", data=index)
    group.create_dataset("labels", data=np.frombuffer(labels.to_csv().encode(), dtype=np.uint8))


def _reserve(path: Path, size: int) -> None:
    """Take space on the disk now: a full disk must be an error here, not hours later."""
    with path.open("r+b") as file:
        if hasattr(os, "posix_fallocate"):  # not on macOS
            os.posix_fallocate(file.fileno(), 0, size)
