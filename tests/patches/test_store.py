import json
import resource
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from shipseg_tiles.archive.labels import Labels
from shipseg_tiles.errors import InputError
from shipseg_tiles.patches.plan import PlanOptions, plan_patches
from shipseg_tiles.patches.slots import CLASSES, SPLITS
from shipseg_tiles.patches.store import FullImage, PatchStore, find_slots
from shipseg_tiles.patches.store_writer import create_store

OPTIONS = {
    "patch": 4,
    "resize": None,
    "stride": 4,
    "background_ratio": 1.0,
    "seed": 9,
    "valid_fraction": 0.5,
    "full_images": 2,
}
PLAN_OPTIONS = PlanOptions(patch=4, stride=4, seed=9)

FULL_IMAGES = [
    FullImage("Küste.jpg", b"\xff\xd8 not decoded here \0\xff\xd9", ("1 2", "1 2", "9 1")),
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


@pytest.fixture
def small_disk():
    """A disk of half a megabyte."""
    with tempfile.TemporaryDirectory() as folder:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", folder], capture_output=True)
        if mounted.returncode:
            pytest.skip("only root may mount a small disk")
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("kind", CLASSES)
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
        assert file.attrs["format_version"] == 2
        fingerprint = file.attrs["plan_fingerprint"]
        assert len(fingerprint) == 64
        assert int(fingerprint, 16)
        assert (store.patch, store.options["seed"], store.fingerprint) == (64, 7, fingerprint)


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


def test_source_is_in_the_order_of_the_slots(plan, path):
    store = PatchStore(path)

    for split in SPLITS:
        for kind in CLASSES:
            rows = plan.table[(plan.table["split"] == split) & (plan.table["class"] == kind)].sort_values("slot")
            expected = rows[["image", "row", "column", "ship_pixels"]].astype({"image": str}).reset_index(drop=True)
            pd.testing.assert_frame_equal(store.source(split, kind).astype({"image": str}), expected)


def test_names_that_are_not_ascii_come_back(tmp_path):
    """32 letters of 2 or 3 bytes each: the field is as wide as the bytes of the longest name."""
    names = ["ä.jpg", "船" * 32 + ".jpg"]
    labels = Labels("labels.csv", dict.fromkeys(names, ("1 1",)))
    plan = plan_patches(labels, dict.fromkeys(names, (4, 4)), [], PlanOptions(patch=4, stride=4, background_ratio=0))
    create_store(tmp_path / "patches.h5", plan, OPTIONS, [])

    assert sorted(PatchStore(tmp_path / "patches.h5").source("train", "ship")["image"]) == names


def test_whole_images_come_back_byte_for_byte_with_their_labels(path):
    assert list(PatchStore(path).full_images()) == FULL_IMAGES


def test_store_without_whole_images_background_or_validation(tmp_path):
    labels = Labels("labels.csv", {"a.jpg": ("1 1",)})
    plan = plan_patches(labels, {"a.jpg": (4, 4)}, [], PlanOptions(patch=4, stride=4, background_ratio=0))
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


@pytest.mark.parametrize("version", [0, 1, "2.0", None])
def test_other_format_version_is_refused(version, path):
    with h5py.File(path, "r+") as file:
        del file.attrs["format_version"]
        if version is not None:
            file.attrs["format_version"] = version

    with pytest.raises(InputError, match=rf"has patch store format {version}, not 2; make it again"):
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
