import gc
import json
import shutil
import zlib
from contextlib import contextmanager
from dataclasses import replace

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from shipseg_tiles.archive.archive import Archive
from shipseg_tiles.archive.labels import Labels
from shipseg_tiles.patches.make import make_patches
from shipseg_tiles.patches.options import Layout, PatchOptions
from shipseg_tiles.patches.plan import fingerprint_of
from shipseg_tiles.patches.store import PatchStore, find_slots
from shipseg_tiles.patches.store_layout import CLASSES, PARTS
from shipseg_tiles.patches.verify import verify_store
from shipseg_tiles.rle import encode

OPTIONS = PatchOptions(patch=64, stride=64, background_ratio=1.0, seed=7, valid_fraction=0.25, full_images=4)
"""Those of the fixture `store`: 23 + 23 patches train, 5 + 5 validate, 56 in all, and 4 whole images."""

LAYOUTS = {
    "plain": Layout(),
    "shards": Layout(shards=3),
    "gzip": Layout(compression="gzip"),
    "gzip in shards": Layout(shards=2, compression="gzip"),
}

GROUPS = [f"{split}/{kind}" for split, kind in PARTS]


@pytest.fixture(scope="module")
def made(scenes, tmp_path_factory):
    """The same store in each layout; tests put back what they change."""
    paths = {}
    for name, layout in LAYOUTS.items():
        paths[name] = tmp_path_factory.mktemp("made") / "patches.h5"
        make_patches(scenes, paths[name], OPTIONS, workers=1, layout=layout)
    return paths


@pytest.fixture
def path(store, tmp_path):
    """A plain store that may be changed."""
    return shutil.copy(store.paths[0], tmp_path / "patches.h5")


@pytest.fixture
def joined(made, tmp_path):
    """A store in three shards that may be changed."""
    shutil.copytree(made["shards"].parent, tmp_path, dirs_exist_ok=True)
    return tmp_path / "patches.h5"


@contextmanager
def flipped(path, place, bits):
    """Flip bits of one byte, and flip them back at the end."""

    def flip():
        with path.open("r+b") as file:
            file.seek(place)
            byte = file.read(1)[0]
            file.seek(place)
            file.write(bytes([byte ^ bits]))

    flip()
    try:
        yield
    finally:
        flip()


def ranges_of(path, name):
    """Where the bytes of a dataset stand in the file: (slot or None, first byte, number of bytes) of each piece."""
    with h5py.File(path) as file:
        dataset = file[name]
        if dataset.is_virtual or not dataset.size:
            return []
        if dataset.chunks:
            pieces = []
            dataset.id.chunk_iter(lambda chunk: pieces.append((chunk.chunk_offset[0], chunk.byte_offset, chunk.size)))
            return pieces
        size = dataset.nbytes // len(dataset)
        return [(slot, dataset.id.get_offset() + slot * size, size) for slot in range(len(dataset))]


def problems_of(path):
    gc.collect()  # HDF5 shares what it has read of a file among all that have it open, an earlier look's leftovers too
    return verify_store(path).problems


def write_again(path, split, kind, slot, change):
    """Change the mask of a patch and give it the checksum that it then needs."""
    patches = PatchStore(path).sets[split, kind]
    images, masks = patches.read(np.array([slot]))
    change(masks[0])
    slots = find_slots(path)
    slots.write(split, kind, slot, images[0], masks[0])
    slots.close()


def sign_again(path):
    """Give a store the fingerprint that its rows have."""
    store = PatchStore(path)
    with h5py.File(path, "r+") as file:
        fingerprint = fingerprint_of({key: store.source(*key) for key in store.sets})
        file.attrs["plan_fingerprint"] = np.bytes_(fingerprint)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_store_as_it_was_written_has_no_problem(layout, made):
    verification = verify_store(made[layout])

    assert verification.problems == []
    assert verification.patches == 56


@pytest.mark.parametrize("options", [{"resize": 32}, {"jitter": 20}, {"stride": 40, "min_ship_pixels": 9}, {"seed": 3}])
def test_a_store_of_other_options_has_no_problem(options, scenes, tmp_path):
    """Resized patches have other numbers of ship pixels than their rows say."""
    make_patches(scenes, tmp_path / "patches.h5", replace(OPTIONS, **options), workers=1)

    assert problems_of(tmp_path / "patches.h5") == []


@pytest.mark.parametrize("jitter", [0, 20])
def test_images_smaller_than_a_patch_are_no_problem(jitter, tmp_path):
    """Ships of 8 x 8 pixels in the lower right corner of 50 x 90: mirrored to 64 lines, they are 16 high."""
    pixels = np.random.default_rng(3).integers(256, size=(50, 90, 3), dtype=np.uint8)
    mask = np.zeros((50, 90), dtype=np.uint8)
    mask[42:, 82:] = 1
    names = ("a.png", "b.png")
    for name in names:
        Image.fromarray(pixels).save(tmp_path / name)
    labels = Labels("labels.csv", dict.fromkeys(names, (encode(mask),)))
    archive = Archive(str(tmp_path), {name: tmp_path / name for name in names}, labels)
    split = {"a.png": "train", "b.png": "valid"}

    make_patches(archive, tmp_path / "patches.h5", replace(OPTIONS, jitter=jitter), workers=1, split=split)

    assert problems_of(tmp_path / "patches.h5") == []
    assert PatchStore(tmp_path / "patches.h5").source("valid", "ship")["ship_pixels"].max() > 64


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(deadline=None, max_examples=10)
@given(data=st.data())
def test_a_flipped_byte_of_a_patch_is_found_where_it_is(layout, made, data):
    """All its bits are flipped, as gzip leaves up to 7 unused ones at the end of its stream."""
    path = data.draw(st.sampled_from(PatchStore(made[layout]).files))
    name = data.draw(st.sampled_from(["image", "mask", "checksum", "source"]))
    pieces = [(group, *piece) for group in GROUPS for piece in ranges_of(path, f"{group}/{name}")]
    group, slot, first, size = data.draw(st.sampled_from(pieces))

    with flipped(path, first + data.draw(st.integers(0, size - 1)), 0xFF):
        problems = problems_of(made[layout])

    assert problems
    if name == "source":  # the fingerprint, or a row that is no text any more, tells the file but not the patch
        assert {problem.file for problem in problems} <= {path, made[layout]}
    else:
        assert [(problem.file, problem.group, problem.slot) for problem in problems] == [(path, group, slot)]


@pytest.mark.parametrize("name", ["image", "mask", "checksum"])
@pytest.mark.parametrize("bits", [1, 128])
def test_one_flipped_bit_is_found_in_its_patch(name, bits, path):
    slot, first, size = ranges_of(path, f"valid/background/{name}")[3]

    with flipped(path, first + size // 2, bits):
        (problem,) = problems_of(path)

    assert (problem.file, problem.group, problem.slot) == (path, "valid/background", slot)
    assert str(problem) == "patches.h5, valid/background patch 3: its checksum is not that of its pixels"


@pytest.mark.parametrize("layout", ["plain", "shards", "gzip"])
@settings(deadline=None, max_examples=10)
@given(data=st.data())
def test_a_flipped_byte_of_a_whole_image_or_its_row_is_found(layout, made, data):
    name = data.draw(st.sampled_from(["files", "index"]))
    _, first, size = data.draw(st.sampled_from(ranges_of(made[layout], f"full_images/{name}")))

    with flipped(made[layout], first + data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, 255))):
        (problem,) = problems_of(made[layout])

    assert (problem.file, problem.group) == (made[layout], "full_images")
    assert "is damaged" in problem.what or "can't decode" in problem.what


@pytest.mark.parametrize("slot", [0, 2, 4])
def test_a_row_whose_name_is_no_text_any_more_is_found(slot, path):
    """No name in UTF-8 begins with the byte 0xFF."""
    place = ranges_of(path, "valid/ship/source")[slot][1]
    with path.open("r+b") as file:
        file.seek(place)
        file.write(b"\xff")

    problems = problems_of(path)

    assert {problem.group for problem in problems} >= {"valid/ship", "source"}
    assert all("utf-8" in problem.what for problem in problems)


@pytest.mark.parametrize(("split", "value"), [("train", 255), ("valid", 2)])
def test_masks_of_other_values_than_0_and_1_are_found(split, value, path):
    def change(mask):
        mask[mask == 1] = value

    write_again(path, split, "ship", 1, change)

    (problem,) = problems_of(path)
    assert (problem.group, problem.slot) == (f"{split}/ship", 1)
    assert problem.what == "its mask holds other values than 0 and 1"


@pytest.mark.parametrize("kind", CLASSES)
def test_a_mask_with_one_ship_pixel_more_than_its_row_says_is_found(kind, path):
    def change(mask):
        mask[tuple(np.argwhere(mask == 0)[0])] = 1

    source = PatchStore(path).source("train", kind)["ship_pixels"]
    write_again(path, "train", kind, 6, change)

    (problem,) = problems_of(path)
    assert (problem.group, problem.slot) == (f"train/{kind}", 6)
    assert problem.what == f"its mask has {source[6] + 1} ship pixels, source gives it {source[6]}"


def test_background_with_a_ship_pixel_is_found_in_a_resized_store_too(scenes, tmp_path):
    path = tmp_path / "patches.h5"
    make_patches(scenes, path, replace(OPTIONS, resize=32), workers=1)

    def change(mask):
        mask[5, 5] = 1

    write_again(path, "train", "background", 2, change)
    write_again(path, "train", "ship", 2, change)  # there nobody can tell

    (problem,) = problems_of(path)
    assert (problem.group, problem.slot) == ("train/background", 2)


@pytest.mark.parametrize(("kind", "ship_pixels"), [("ship", 0), ("background", 4)])
def test_a_row_of_the_other_class_is_found_even_with_a_right_fingerprint(kind, ship_pixels, path):
    with h5py.File(path, "r+") as file:
        rows = file[f"train/{kind}/source"][:]
        rows["ship_pixels"][5] = ship_pixels
        file[f"train/{kind}/source"][:] = rows
    sign_again(path)

    (problem,) = problems_of(path)
    assert (problem.group, problem.slot) == (f"train/{kind}", 5)
    assert problem.what == f"source gives it {ship_pixels} ship pixels"


def test_rows_that_changed_places_are_found(path):
    """Their patches are background and their own checksums hold: only the fingerprint tells."""
    with h5py.File(path, "r+") as file:
        rows = file["train/background/source"][:]
        file["train/background/source"][:] = rows[::-1]

    (problem,) = problems_of(path)
    assert (problem.group, problem.slot) == ("source", None)
    assert PatchStore(path).fingerprint in problem.what


def test_shards_in_another_order_are_found(joined):
    """Each shard is sound, and so are the rows of the store, but those are not the rows of the patches."""
    with h5py.File(joined, "r+") as file:
        first, second, third = json.loads(file.attrs["shards"])
        file.attrs["shards"] = np.bytes_(json.dumps([second, first, third]))

    problems = problems_of(joined)

    assert {(problem.file, problem.what) for problem in problems} == {(joined, "its source is not that of the shards")}


def test_another_fingerprint_of_a_store_in_shards_is_found(joined):
    with h5py.File(joined, "r+") as file:
        file.attrs["plan_fingerprint"] = np.bytes_("0" * 64)

    (problem,) = problems_of(joined)
    assert (problem.file, problem.group, problem.slot) == (joined, "source", None)


def test_labels_that_do_not_fit_the_patches_are_found(path):
    """The first run of the first ship begins one pixel further up or down."""
    with h5py.File(path, "r+") as file:
        labels = file["full_images/labels"][:].tobytes()
        end_of_start = labels.index(b" ")
        digit = labels[end_of_start - 1]
        file["full_images/labels"][end_of_start - 1] = digit ^ 1  # 0 and 1, 2 and 3 ... differ in one bit

    problems = problems_of(path)

    assert problems
    assert {problem.group for problem in problems} == {"full_images"}
    assert "do not fit the patch at row" in problems[0].what


def test_a_whole_image_that_does_not_decode_is_found(path):
    """It was written like that: its checksum holds."""
    with h5py.File(path, "r+") as file:
        index = file["full_images/index"][:]
        _, offset, length, _ = index[1].item()
        file["full_images/files"][offset : offset + length] = 0
        index["checksum"][1] = zlib.crc32(bytes(length))
        file["full_images/index"][:] = index

    (problem,) = problems_of(path)
    assert problem.group == "full_images"
    assert index["image"][1].decode() in problem.what
