import json
import os
import resource
import shutil
import time
import tracemalloc
import zlib
from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipseg_tiles.archive.labels import Labels
from shipseg_tiles.errors import InputError
from shipseg_tiles.patches.full_image import FullImage
from shipseg_tiles.patches.make import make_patches
from shipseg_tiles.patches.options import Layout, PatchOptions
from shipseg_tiles.patches.plan import plan_patches
from shipseg_tiles.patches.store import PatchStore, find_slots
from shipseg_tiles.patches.store_layout import PARTS
from shipseg_tiles.patches.store_writer import _create_contiguous, compress_store, create_store, store_bytes

OPTIONS = {
    "patch": 4,
    "resize": None,
    "stride": 4,
    "background_ratio": 1.0,
    "seed": 9,
    "valid_fraction": 0.5,
    "full_images": 2,
}
PLAN_OPTIONS = PatchOptions(patch=4, stride=4, seed=9)

FULL_IMAGES = [
    FullImage("Küste.jpg", b"\xff\xd8 not decoded here \0\xff\xd9", ("1 2", "2 2", "9 1")),
    FullImage("b.jpg", b"", ()),
    FullImage("a,b.jpg", bytes(range(256)), ("3 4",)),
]


@pytest.fixture
def plan():
    """Two ship images and two empty ones of 8 x 8 px; those of b validate. Pixel 1 is ship: one patch of 4 each."""
    labels = Labels("labels.csv", {"a.jpg": ("1 1",), "a0.jpg": (), "b.jpg": ("1 1",), "b0.jpg": ()})
    return plan_patches(labels, dict.fromkeys(labels.ships, (8, 8)), ["b.jpg", "b0.jpg"], PLAN_OPTIONS)


@pytest.fixture
def path(plan, tmp_path):
    """A store whose patches are not filled in."""
    create_store(tmp_path / "patches.h5", plan, OPTIONS, FULL_IMAGES)
    return tmp_path / "patches.h5"


@pytest.mark.parametrize(("split", "kind"), PARTS)
def test_layout_that_scripts_outside_rely_on(split, kind, store):
    """DESIGN.md fixes it: uint8 images and 0/1 masks, and of each patch the file name, row, column, ship pixels."""
    with h5py.File(store.paths[0]) as file:
        group = file[f"/{split}/{kind}"]
        image, mask, source = group["image"], group["mask"], group["source"]
        assert set(group) == {"image", "mask", "source", "checksum"}
        count = len(image)
        assert image.shape == (count, 64, 64, 3)
        assert mask.shape == (count, 64, 64)
        assert source.shape == (count,)
        assert image.dtype == mask.dtype == np.uint8
        assert source.dtype.names == ("image", "row", "column", "ship_pixels")
        assert h5py.check_string_dtype(source.dtype["image"]).encoding == "utf-8"
        assert all(source.dtype[field] == np.int32 for field in ("row", "column", "ship_pixels"))
        for dataset in (image, mask):
            assert dataset.chunks is None
            assert dataset.compression is None
        assert set(np.unique(mask)) == ({0, 1} if kind == "ship" else {0})
        assert count == {"train": 23, "valid": 5}[split]


def test_root_attributes_hold_options_seed_version_and_fingerprint(store):
    with h5py.File(store.paths[0]) as file:
        assert json.loads(file.attrs["options"]) == {
            "patch": 64,
            "stride": 64,
            "resize": None,
            "background_ratio": 1.0,
            "background_from": "both",
            "min_ship_pixels": 1,
            "jitter": 0,
            "max_per_ship_count": None,
            "split": "by place",
            "seed": 7,
            "valid_fraction": 0.25,
            "full_images": 4,
        }
        assert file.attrs["seed"] == 7
        assert file.attrs["patch"] == 64
        assert file.attrs["format_version"] == 3
        fingerprint = file.attrs["plan_fingerprint"].decode()
        assert len(fingerprint) == 64
        assert int(fingerprint, 16)
        assert (store.side, store.options["seed"], store.fingerprint) == (64, 7, fingerprint)


def test_mapped_patches_are_those_that_hdf5_reads(store):
    with h5py.File(store.paths[0]) as file:
        for (split, kind), patches in store.sets.items():
            images, masks = patches.read(np.arange(len(patches)))
            assert np.array_equal(images, file[f"{split}/{kind}/image"][:])
            assert np.array_equal(masks, file[f"{split}/{kind}/mask"][:])
            assert len(patches) == len(file[f"{split}/{kind}/image"])


def test_store_opened_for_reading_cannot_be_changed(store):
    with pytest.raises(ValueError, match="read-only"):
        store.sets["train", "ship"].parts[0].image[0] = 0


def test_patches_written_beside_hdf5_are_read_by_it(path):
    writer = find_slots(path)
    writer.write("train", "ship", 0, np.full((4, 4, 3), 7, np.uint8), np.zeros((4, 4), np.uint8))
    writer.write("valid", "background", 0, np.zeros((4, 4, 3), np.uint8), np.ones((4, 4), np.uint8))

    with h5py.File(path) as file:
        assert np.all(file["train/ship/image"][:] == 7)
        assert np.all(file["valid/background/mask"][:] == 1)
        assert file["train/ship/source"][0].item() == (b"a.jpg", 0, 0, 1)


def test_a_patch_of_which_only_a_part_can_be_written_is_an_error(path):
    """The limit on the size of files, which ends within the image of the patch, stands for a disk that is full."""
    writer = find_slots(path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (writer.offsets["train", "ship"][0] + 10, before[1]))
    try:
        with pytest.raises(OSError, match="only a part of a patch"):
            writer.write("train", "ship", 0, np.ones((4, 4, 3), np.uint8), np.ones((4, 4), np.uint8))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not writer.holds("train", "ship", 0)


def test_source_is_in_the_order_of_the_slots(plan, path):
    store = PatchStore(path)

    for split, kind in PARTS:
        rows = plan.table[(plan.table["split"] == split) & (plan.table["class"] == kind)].sort_values("slot")
        expected = rows[["image", "row", "column", "ship_pixels"]].astype({"image": str}).reset_index(drop=True)
        pd.testing.assert_frame_equal(store.source(split, kind).astype({"image": str}), expected)


def test_a_label_that_leaves_its_full_image_is_refused():
    image = FullImage("a.jpg", b"", ("1 2", "9 1"))

    assert [ship.tolist() for ship in image.ship_indices((3, 3))] == [[0, 1], [8]]
    with pytest.raises(InputError, match=r"labels: a\.jpg: run '9 1' leaves the image of 8 pixels"):
        image.ship_indices((2, 4))


def test_names_that_are_not_ascii_come_back(tmp_path):
    """32 letters of 2 or 3 bytes each: the field is as wide as the bytes of the longest name."""
    names = ["ä.jpg", "船" * 32 + ".jpg"]
    labels = Labels("labels.csv", dict.fromkeys(names, ("1 1",)))
    plan = plan_patches(labels, dict.fromkeys(names, (4, 4)), [], PatchOptions(patch=4, stride=4, background_ratio=0))
    create_store(tmp_path / "patches.h5", plan, OPTIONS, [])

    assert sorted(PatchStore(tmp_path / "patches.h5").source("train", "ship")["image"]) == names


def test_whole_images_come_back_byte_for_byte_with_their_labels(path):
    assert list(PatchStore(path).full_images()) == FULL_IMAGES


def test_a_full_image_that_two_stores_hold_comes_once(path, plan, tmp_path):
    create_store(tmp_path / "other.h5", plan, OPTIONS, [FULL_IMAGES[0], FullImage("c.jpg", b"more", ())])

    both = PatchStore(path, tmp_path / "other.h5")

    assert list(both.full_images()) == [*FULL_IMAGES, FullImage("c.jpg", b"more", ())]


def test_several_stores_have_a_fingerprint_of_all_of_them(path, tmp_path):
    other = tmp_path / "other.h5"
    labels = Labels("labels.csv", {"c.jpg": ("1 1",)})
    create_store(other, plan_patches(labels, {"c.jpg": (8, 8)}, [], PLAN_OPTIONS), OPTIONS)

    choices = [(path,), (other,), (path, other), (other, path), (path, path)]
    assert len({PatchStore(*paths).fingerprint for paths in choices}) == len(choices)


@pytest.mark.parametrize(("kept", "same"), [(FULL_IMAGES, True), (FULL_IMAGES[:2], False)])
def test_stores_of_the_same_pixels_have_the_same_content(path, plan, tmp_path, kept, same):
    create_store(tmp_path / "other.h5", plan, OPTIONS, kept)

    assert (PatchStore(tmp_path / "other.h5").content == PatchStore(path).content) is same


def test_store_without_whole_images_background_or_validation(tmp_path):
    labels = Labels("labels.csv", {"a.jpg": ("1 1",)})
    plan = plan_patches(labels, {"a.jpg": (4, 4)}, [], PatchOptions(patch=4, stride=4, background_ratio=0))
    create_store(tmp_path / "patches.h5", plan, OPTIONS, [])

    store = PatchStore(tmp_path / "patches.h5")

    assert {key: len(patches) for key, patches in store.sets.items()} == {
        ("train", "ship"): 1,
        ("train", "background"): 0,
        ("valid", "ship"): 0,
        ("valid", "background"): 0,
    }
    assert store.sets["valid", "ship"].parts[0].image.shape == (0, 4, 4, 3)
    assert len(store.source("valid", "ship")) == 0
    assert list(store.full_images()) == []


def test_space_of_patches_that_are_not_filled_in_is_taken_already(plan, tmp_path):
    """4 patches of 512 px are 4 MB, not one byte of which is written; a block is 512 bytes."""
    create_store(tmp_path / "patches.h5", plan, OPTIONS | {"patch": 512}, [])

    status = (tmp_path / "patches.h5").stat()
    assert status.st_size > 4 * 4 * 512 * 512
    assert status.st_blocks * 512 >= status.st_size


@pytest.mark.parametrize("ships", [(), ("1 1",) * 30])
def test_a_store_takes_no_more_space_than_was_worked_out_before(ships, plan, tmp_path):
    """300 whole images, whose names are as long as names may be."""
    images = [FullImage(f"{number:0251}.jpg", b"data", ships) for number in range(300)]
    create_store(tmp_path / "patches.h5", plan, OPTIONS, images)

    assert (tmp_path / "patches.h5").stat().st_size <= store_bytes(len(plan.table), 4, images)


def test_equal_stores_are_equal_bytes(plan, path, tmp_path):
    time.sleep(1.1)  # HDF5 may note the second of creation
    create_store(tmp_path / "again.h5", plan, OPTIONS, FULL_IMAGES)

    assert (tmp_path / "again.h5").read_bytes() == path.read_bytes()


def test_missing_store_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"gone\.h5 does not exist; make it with make-patches"):
        PatchStore(tmp_path / "gone.h5")
    with pytest.raises(InputError, match="does not exist"):
        PatchStore(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n", b"ImageId,EncodedPixels\n", b"\0" * 5000])
def test_what_is_no_hdf5_is_refused(content, tmp_path):
    (tmp_path / "patches.h5").write_bytes(content)

    with pytest.raises(InputError, match=r"patches\.h5 is no HDF5 file"):
        PatchStore(tmp_path / "patches.h5")


@pytest.mark.parametrize("part", [0.01, 0.3, 0.9, 0.999])
def test_store_that_is_cut_off_is_refused(part, store, tmp_path):
    data = store.paths[0].read_bytes()
    (tmp_path / "patches.h5").write_bytes(data[: int(len(data) * part)])

    with pytest.raises(InputError, match=r"patches\.h5 .*cut off.*; make it again with make-patches"):
        PatchStore(tmp_path / "patches.h5")


@pytest.mark.parametrize("version", [0, 2, 4, None])
def test_other_format_version_is_refused(version, path):
    with h5py.File(path, "r+") as file:
        del file.attrs["format_version"]
        if version is not None:
            file.attrs["format_version"] = version

    with pytest.raises(InputError, match=rf"has patch store format {version}, not 3; make it again"):
        PatchStore(path)


def test_hdf5_file_of_another_program_is_refused(tmp_path):
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file["layer"] = np.ones(3)

    with pytest.raises(InputError, match=r"weights\.h5 has patch store format None"):
        PatchStore(tmp_path / "weights.h5")


def test_store_that_was_repacked_is_refused(path):
    """In chunks of parts of patches they can neither be mapped nor read one by one."""
    with h5py.File(path, "r+") as file:
        patches = file["train/ship/image"][:]
        del file["train/ship/image"]
        file.create_dataset("train/ship/image", data=patches, chunks=(1, 2, 2, 3))

    with pytest.raises(InputError, match="train/ship/image is neither contiguous nor one patch a chunk"):
        PatchStore(path)


@pytest.mark.parametrize("group", ["train/ship", "valid/background/mask", "full_images"])
def test_store_that_lacks_a_part_is_refused(group, path):
    with h5py.File(path, "r+") as file:
        del file[group]

    with pytest.raises(InputError, match="lacks"):
        list(PatchStore(path).full_images())


@pytest.mark.parametrize("what", ["patches", "whole images"])
def test_full_disk_is_an_error_while_the_store_is_created(what, plan, small_disk):
    """Patches of 512 px take a megabyte each, on a disk of half of one; or a whole image is as large as that.

    Reserved sparsely, the store would be there, and a process that fills it would be killed by a bus error.
    """
    options = OPTIONS | {"patch": 512} if what == "patches" else OPTIONS
    images = [] if what == "patches" else [FullImage("a.jpg", bytes(1_000_000), ())]

    with pytest.raises(OSError, match="No space left"):
        create_store(small_disk / "patches.h5", plan, options, images)


@pytest.mark.parametrize("left", [0, 4096, 8192])
def test_hdf5_never_meets_a_disk_that_is_full(left, plan, small_disk):
    """HDF5 itself crashes the interpreter when the disk is full amid its own small writes, of 7 KB here."""
    (small_disk / "others").write_bytes(bytes(512 * 1024 - left))

    with pytest.raises(OSError, match="No space left"):
        create_store(small_disk / "patches.h5", plan, OPTIONS, FULL_IMAGES)


@pytest.mark.parametrize("left", [0, 40_000, 512 * 1024])
def test_nor_does_it_while_patches_are_compressed(left, path, small_disk):
    (small_disk / "others").write_bytes(bytes(512 * 1024 - left))

    with pytest.raises(OSError, match="No space left on device"):
        compress_store(path, small_disk / "packed.h5", "gzip")

    assert [file.name for file in small_disk.iterdir()] == ["others"]


def test_limit_on_the_size_of_files_is_an_error_while_the_store_is_created(plan, tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, before[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            create_store(tmp_path / "patches.h5", plan, OPTIONS | {"patch": 512}, [])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_store_that_exists_is_replaced(plan, path):
    shutil.copy(path, path.with_name("before.h5"))
    create_store(path, plan, OPTIONS | {"seed": 10}, [])

    assert PatchStore(path).options["seed"] == 10
    assert list(PatchStore(path).full_images()) == []


# Files by strangers


def read_all(path):
    """Read everything that a store has for training."""
    store = PatchStore(path)
    for (split, kind), patches in store.sets.items():
        store.source(split, kind)
        patches.read(np.arange(len(patches)))
    for _ in store.full_images():
        pass


def refused(path):
    """Check that a store is refused at once, without memory and in one line; return the line."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    began = time.monotonic()
    resource.setrlimit(resource.RLIMIT_AS, (used + 500_000_000, before[1]))
    try:
        with pytest.raises(InputError) as caught:
            read_all(path)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    assert time.monotonic() - began < 2
    assert "\n" not in str(caught.value)
    assert path.parent.name in str(caught.value)
    return str(caught.value)


@pytest.fixture
def other(path):
    """Another file, that a store would love to show as its own."""
    with h5py.File(path.with_name("other.h5"), "w") as file:
        file["secret"] = np.ones((1, 4, 4, 3), np.uint8)
        file["train/ship/image"] = np.ones((1, 4, 4, 3), np.uint8)
    return path.with_name("other.h5")


def virtual(other):
    layout = h5py.VirtualLayout((1, 4, 4, 3), np.uint8)
    layout[:] = h5py.VirtualSource(str(other), "secret", (1, 4, 4, 3), np.uint8)
    return layout


ELSEWHERE = {
    "soft link": lambda file, _: file.__setitem__("train/ship/image", h5py.SoftLink("/valid/ship/image")),
    "external link": lambda file, other: file.__setitem__("train/ship/image", h5py.ExternalLink(str(other), "/secret")),
    "external storage": lambda file, other: file.create_dataset(
        "train/ship/image", (1, 4, 4, 3), np.uint8, external=[(str(other), 0, 48)]
    ),
    "virtual dataset": lambda file, other: file["train/ship"].create_virtual_dataset("image", virtual(other)),
}


@pytest.mark.parametrize("way", ELSEWHERE)
def test_patches_of_another_file_are_refused(way, path, other):
    with h5py.File(path, "r+") as file:
        del file["train/ship/image"]
        ELSEWHERE[way](file, other)

    assert "train/ship/image" in refused(path)


@pytest.mark.parametrize("name", ["train", "train/ship", "full_images", "left_out", "valid/background/source"])
@pytest.mark.parametrize("way", ["soft", "external"])
def test_a_link_anywhere_is_refused(name, way, path):
    """Even where what it leads to is a sound part of a store."""
    shutil.copy(path, path.with_name("other.h5"))
    with h5py.File(path, "r+") as file:
        file.move(name, "moved")
        file[name] = h5py.SoftLink("/moved") if way == "soft" else h5py.ExternalLink("other.h5", f"/{name}")

    assert "make it again" in refused(path)


@pytest.mark.parametrize("patch", [10**9, 8193, 0, -4, 4.0, "4", "many", b"four", [4, 4]])
def test_a_size_of_patches_that_is_none_is_refused(patch, path):
    with h5py.File(path, "r+") as file:
        file.attrs["patch"] = patch

    refused(path)


@pytest.mark.parametrize("options", [b"[1, 2]", b"7", b"{}", b"{", b"\xff", b"[" * 50_000, b'{"patch": "4"}', 7, "{}"])
def test_options_that_are_none_are_refused(options, path):
    """The last one is text of variable size."""
    with h5py.File(path, "r+") as file:
        file.attrs["options"] = np.bytes_(options) if isinstance(options, bytes) else options

    refused(path)


@pytest.mark.parametrize(
    "changes",
    [
        *({name: "gone"} for name in ("patch", "stride", "resize", "seed")),
        *({"resize": value} for value in ("abc", 8, -4, [4], True)),
        *({name: value} for name in ("patch", "stride") for value in (0, -4, 8193, 4.0, None)),
        {"patch": 10**9, "stride": 4, "resize": 4},
        {"stride": 5},
        *({"seed": value} for value in (-1, "9", None)),
    ],
)
def test_options_that_no_store_was_made_with_are_refused(changes, path):
    """As they are needed only later, for training or mining, nothing but this look at the header would tell."""
    options = {name: value for name, value in (OPTIONS | changes).items() if value != "gone"}
    with h5py.File(path, "r+") as file:
        file.attrs["options"] = np.bytes_(json.dumps(options))

    assert "make it again with make-patches" in refused(path)


@pytest.mark.parametrize("name", ["options", "patch", "plan_fingerprint", "shards", "left_out"])
def test_a_store_without_a_part_of_its_header_is_refused(name, path):
    with h5py.File(path, "r+") as file:
        del (file if name == "left_out" else file.attrs)[name]

    assert name in refused(path)


LARGE = 2**33
"""Rows; as long as none is written they take no place in the file."""

FORMATS = {
    "left_out": np.uint8,
    "train/ship/checksum": np.uint32,
    "train/ship/source": [("image", "S9"), ("row", "i4"), ("column", "i4"), ("ship_pixels", "i4")],
    "full_images/files": np.uint8,
    "full_images/labels": np.uint8,
    "full_images/index": [("image", "S9"), ("offset", "i8"), ("length", "i8"), ("checksum", "u4")],
}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("options", [{"chunks": (2**20,), "compression": "gzip"}, {}])
def test_a_dataset_that_would_unpack_to_gigabytes_is_refused(name, options, path):
    with h5py.File(path, "r+") as file:
        del file[name]
        file.create_dataset(name, (LARGE,), FORMATS[name], **options)
    assert path.stat().st_size < 100_000

    assert ("too many images" if name == "left_out" else "is not contiguous") in refused(path)


@pytest.mark.parametrize("name", FORMATS)
def test_a_dataset_of_gigabytes_is_refused_though_the_file_is_as_large(name, path):
    """A file may have holes: it says that it is larger than any disk."""
    with h5py.File(path, "r+", libver="earliest") as file:
        del file[name]
        _create_contiguous(file, name, (LARGE,), h5py.h5t.py_create(np.dtype(FORMATS[name])))
    os.truncate(path, LARGE * 64)

    refused(path)


@pytest.mark.parametrize("name", [*FORMATS, "train/ship/image", "train/ship/mask"])
def test_a_dataset_that_says_it_is_larger_than_the_file_is_refused(name, path):
    """12,347 rows are written and taken away again; their number is in the file in 8 bytes, and is made 2 ** 40."""
    shape = {"train/ship/image": (4, 4, 3), "train/ship/mask": (4, 4)}.get(name, ())
    with h5py.File(path, "r+") as file:
        del file[name]
        file[name] = np.zeros((12_347, *shape), FORMATS.get(name, np.uint8))
    data = path.read_bytes()
    assert data.count((12_347).to_bytes(8, "little")) >= 1
    path.write_bytes(data.replace((12_347).to_bytes(8, "little"), (2**40).to_bytes(8, "little")))

    refused(path)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "rows",
    [
        np.array([b"text"] * 3, dtype=h5py.string_dtype()),
        np.zeros((3, 3), np.uint8),
        np.uint8(3),
        np.zeros(3, np.float32),
        np.zeros(3, [("image", "S9"), ("row", "f4")]),
        np.zeros(3, [("image", "S9"), ("row", "i4", 9), ("column", "i4"), ("ship_pixels", "i4")]),
    ],
    ids=["variable text", "two dimensions", "none", "floats", "few fields", "field of fields"],
)
def test_a_dataset_of_another_kind_is_refused(name, rows, path):
    """Of text of variable size, a short file can name the same long piece a million times."""
    with h5py.File(path, "r+") as file:
        del file[name]
        file.create_dataset(name, data=rows)

    assert name in refused(path)


@pytest.mark.parametrize("shape", [(1, 5, 5, 3), (2, 4, 4, 3), (1, 4, 4), (1, 4, 4, 4), ()])
def test_patches_of_another_shape_are_refused(shape, path):
    with h5py.File(path, "r+") as file:
        del file["train/ship/image"]
        file["train/ship/image"] = np.zeros(shape, np.uint8)

    assert "train/ship/image" in refused(path)


def test_a_group_where_patches_should_be_and_patches_where_a_group_should_be_are_refused(path):
    with h5py.File(path, "r+") as file:
        del file["train/ship/image"]
        file.create_group("train/ship/image")
    assert "train/ship/image" in refused(path)

    with h5py.File(path, "r+") as file:
        del file["train/ship"]
        file["train/ship"] = np.zeros(4)
    refused(path)


def test_rows_for_other_patches_are_refused(path):
    with h5py.File(path, "r+") as file:
        rows = file["train/ship/source"][:]
        del file["train/ship/source"]
        file["train/ship/source"] = np.concatenate([rows, rows])

    assert "train/ship has 2 rows of source for 1 patches" in refused(path)


@pytest.mark.parametrize(
    ("row", "field", "value"),
    [
        (0, "offset", 10**15),
        (0, "offset", -1),
        (0, "length", 2**62),
        (0, "length", -5),
        (2, "offset", 0),
        (2, "length", 255),
        (2, "checksum", 1),
        (1, "image", b"other.jpg"),
        (1, "image", b"\xff.jpg"),
        (1, "image", b"two\nlines.jpg"),
    ],
)
def test_a_row_that_does_not_fit_the_whole_images_is_refused(row, field, value, path):
    with h5py.File(path, "r+") as file:
        rows = file["full_images/index"][:]
        rows[field][row] = value
        file["full_images/index"][:] = rows

    refused(path)


@pytest.mark.parametrize("labels", [b"ImageId,EncodedPixels\na.jpg,1 4\n", b"", b"\xff\xfe", b"ImageId\nb.jpg\n"])
def test_whole_images_without_labels_are_refused(labels, path):
    with h5py.File(path, "r+") as file:
        del file["full_images/labels"]
        file["full_images/labels"] = np.frombuffer(labels, np.uint8)

    assert "full" in refused(path)


@pytest.mark.parametrize(
    "options", [{"compression": "lzf"}, {"compression": "gzip", "shuffle": True}, {"fletcher32": True}, {}]
)
def test_a_packing_that_make_patches_does_not_write_is_refused(options, path):
    """The code that unpacks it was never meant for files by strangers."""
    with h5py.File(path, "r+") as file:
        del file["train/ship/image"]
        file.create_dataset("train/ship/image", (1, 4, 4, 3), np.uint8, chunks=(1, 4, 4, 3), **options)

    assert "not packed by one of lz4, zstd, gzip" in refused(path)


def test_a_patch_that_would_unpack_to_far_more_than_a_patch_is_refused(path):
    """HDF5 unpacks a chunk to its end, however few of its bytes it wants: here 60 MB out of 58 KB, for a patch of 48 B.

    That is as much as HDF5 lets a test write; a stranger may write more.
    """
    compress_store(path, path.with_name("packed.h5"), "gzip")
    packed = zlib.compress(bytes(60_000_000))
    with h5py.File(path.with_name("packed.h5"), "r+") as file:
        file["train/ship/image"].id.write_direct_chunk((0, 0, 0, 0), packed)

    assert f"a patch packed into {len(packed)} bytes" in refused(path.with_name("packed.h5"))


@pytest.mark.parametrize("compression", ["gzip", "zstd", "lz4"])
def test_a_patch_that_cannot_be_unpacked_is_refused_when_it_is_read(compression, path):
    compress_store(path, path.with_name("packed.h5"), compression)
    with h5py.File(path.with_name("packed.h5"), "r+") as file:
        file["train/ship/image"].id.write_direct_chunk((0, 0, 0, 0), b"no such thing")

    assert "patch 0 cannot be unpacked" in refused(path.with_name("packed.h5"))


@settings(deadline=None, max_examples=50, derandomize=True)
@given(data=st.data())
def test_any_flipped_byte_is_read_or_refused(data, tmp_path_factory):
    """Nothing but an `InputError` ever comes of it, no crash and no endless loop in HDF5."""
    folder = tmp_path_factory.mktemp("flipped")
    labels = Labels("labels.csv", {"a.jpg": ("1 1",), "b.jpg": ("1 1",)})
    create_store(
        folder / "patches.h5",
        plan_patches(labels, dict.fromkeys(labels.ships, (8, 8)), ["b.jpg"], PLAN_OPTIONS),
        OPTIONS,
        FULL_IMAGES,
    )
    content = bytearray((folder / "patches.h5").read_bytes())
    used = np.flatnonzero(np.frombuffer(content, np.uint8)).tolist()  # the rest is mostly space that nobody reads
    for place in data.draw(st.lists(st.sampled_from(used), min_size=1, max_size=4)):
        content[place] ^= data.draw(st.integers(1, 255))
    (folder / "flipped.h5").write_bytes(content)

    with suppress(InputError):
        read_all(folder / "flipped.h5")


# Shards


@pytest.fixture(scope="module")
def two_stores(scenes, tmp_path_factory):
    """A folder with a store of seed 7 and one of seed 8, in 3 shards each."""
    folder = tmp_path_factory.mktemp("shards")
    for seed in (7, 8):
        options = PatchOptions(patch=64, stride=64, seed=seed, valid_fraction=0.25, full_images=0)
        make_patches(scenes, folder / f"{seed}.h5", options, layout=Layout(shards=3))
    return folder


@pytest.fixture
def joined(two_stores, tmp_path):
    """A store in 3 shards that may be changed."""
    shutil.copytree(two_stores, tmp_path, dirs_exist_ok=True)
    return tmp_path / "7.h5"


def change_shards(path, change):
    with h5py.File(path, "r+") as file:
        file.attrs["shards"] = np.bytes_(json.dumps(change(json.loads(file.attrs["shards"]))))


@pytest.mark.parametrize(
    "name", ["../../x", "/etc/passwd", "..", "", "0123456789abcde", "0123456789ABCDEF", 7, None, []]
)
def test_a_shard_whose_name_could_lead_elsewhere_is_refused(name, joined):
    change_shards(joined, lambda shards: [name, *shards[1:]])

    assert f"names a shard {name!r}" in refused(joined)


@pytest.mark.parametrize("shards", [{"a": 1}, "0123456789abcdef", 3])
def test_shards_that_are_no_list_are_refused(shards, joined):
    change_shards(joined, lambda _: shards)

    assert "no JSON list" in refused(joined)


def test_a_missing_shard_is_refused_by_its_name(joined):
    missing = PatchStore(joined).files[1]
    missing.unlink()

    assert refused(joined).startswith(f"{missing} does not exist")


def test_a_shard_of_another_store_is_refused(joined):
    """It has patches of the same size, and the name that the store asks for."""
    wanted = PatchStore(joined).files[0]
    shutil.copy(PatchStore(joined.with_name("8.h5")).files[0], wanted)

    assert f"{wanted} is a shard of another store" in refused(joined)


@pytest.mark.parametrize("change", [lambda shards: shards[:2], lambda shards: [*shards, shards[0]]])
def test_too_few_or_too_many_shards_are_refused(change, joined):
    change_shards(joined, change)

    assert "rows of source for" in refused(joined)


def open_files():
    """How many files this process holds open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_a_store_holds_each_of_its_files_open_once(joined):
    """Of 64 shards with a map for each of 8 datasets, two stores would hold more files than systems allow."""
    before = open_files()

    store = PatchStore(joined)

    assert len(store.files) == 3
    assert open_files() - before <= 3


def test_a_limit_on_open_files_is_not_taken_for_damage(joined):
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_files() + 1, allowed[1]))
    try:
        with pytest.raises(InputError, match="too many files are open; allow more, as with ulimit -n"):
            PatchStore(joined)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, allowed)


def test_full_images_that_are_a_hole_take_no_memory(path):
    """4 GB that no disk holds, of one image."""
    with h5py.File(path, "r+", libver="earliest") as file:
        index = file["full_images/index"][:1]
        index["length"] = 2**32 - 1
        del file["full_images/files"], file["full_images/index"]
        file["full_images/index"] = index
        _create_contiguous(file, "full_images/files", (2**32,), h5py.h5t.STD_U8LE)
    os.truncate(path, 2**33)
    tracemalloc.start()

    assert "damaged" in refused(path)

    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


@pytest.mark.parametrize("fingerprint", [b"abc\x1b[31m", b"", b"0" * 63, b"G" * 64])
def test_a_fingerprint_that_is_none_is_refused(fingerprint, path):
    """It might write to the terminal of whoever looks at the store."""
    with h5py.File(path, "r+") as file:
        file.attrs["plan_fingerprint"] = np.bytes_(fingerprint)

    assert "plan_fingerprint" in refused(path)
