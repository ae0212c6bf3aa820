import shutil

import h5py
import hdf5plugin  # noqa: F401  # teaches plain h5py lz4 and zstd
import numpy as np
import pytest

from shipseg_tiles.patches.make import make_patches
from shipseg_tiles.patches.options import Layout, PatchOptions
from shipseg_tiles.patches.store import PatchStore
from shipseg_tiles.patches.store_layout import FILTERS
from shipseg_tiles.patches.store_writer import compress_store

OPTIONS = PatchOptions(patch=64, stride=64, background_ratio=1.0, seed=7, valid_fraction=0.25, full_images=4)
"""Those of the fixture `store`, which is one plain file."""

LAYOUTS = {
    **{name: Layout(compression=name) for name in FILTERS},
    "shards": Layout(shards=64),
    "lz4 in shards": Layout(shards=2, compression="lz4"),
}


@pytest.fixture(scope="module")
def made(scenes, store, tmp_path_factory):
    """The store in each of the other layouts, in a folder of its own."""
    folder = tmp_path_factory.mktemp("made")
    for name in FILTERS:
        compress_store(store.paths[0], folder / name / "patches.h5", name)
    for name in ("shards", "lz4 in shards"):
        make_patches(scenes, folder / name / "patches.h5", OPTIONS, layout=LAYOUTS[name])
    return folder


def patches_by_plain_h5py(path):
    """Read all as a program that knows nothing of shards and filters."""
    with h5py.File(path) as file:
        return {
            f"{split}/{kind}/{name}": file[f"{split}/{kind}/{name}"][:]
            for split in ("train", "valid")
            for kind in ("ship", "background")
            for name in ("image", "mask", "checksum", "source")
        }


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name].dtype == values.dtype, name
        assert np.array_equal(found[name], values), name


@pytest.mark.parametrize("layout", LAYOUTS)
def test_plain_h5py_reads_the_same_patches_out_of_each_layout(layout, made, store):
    expected = patches_by_plain_h5py(store.paths[0])

    assert_same(patches_by_plain_h5py(made / layout / "patches.h5"), expected)
    assert expected["train/ship/image"].shape == (23, 64, 64, 3)
    assert expected["train/ship/image"].any()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_is_the_same_store(layout, made, store):
    other = PatchStore(made / layout / "patches.h5")

    assert other.fingerprint == store.fingerprint
    assert other.options == store.options
    assert list(other.full_images()) == list(store.full_images())
    for (split, kind), patches in store.sets.items():
        places = np.random.default_rng(0).permutation(len(patches))
        for ours, theirs in zip(patches.read(places), other.sets[split, kind].read(places), strict=True):
            assert np.array_equal(ours, theirs)
        assert other.source(split, kind).equals(store.source(split, kind))


@pytest.mark.parametrize("layout", ["shards", "lz4 in shards"])
def test_a_store_and_its_shards_can_be_moved_together(layout, made, store, tmp_path, monkeypatch):
    """Shards are looked for beside the store, not where they were made, nor in the folder that a program runs in."""
    moved = tmp_path / "elsewhere" / "deeper"
    shutil.copytree(made / layout, tmp_path / "before")
    moved.parent.mkdir()
    (tmp_path / "before").rename(moved)
    monkeypatch.chdir(tmp_path)

    assert_same(patches_by_plain_h5py(moved / "patches.h5"), patches_by_plain_h5py(store.paths[0]))
    assert len(PatchStore(moved / "patches.h5").files) > 1
    assert all(file.is_relative_to(moved) for file in PatchStore(moved / "patches.h5").files)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_store_knows_how_it_lies_on_disk(layout, made):
    """16 images lie in at most 16 of the 64 cells; a shard without patches is not written."""
    other = PatchStore(made / layout / "patches.h5")

    assert other.compression == LAYOUTS[layout].compression
    if LAYOUTS[layout].shards == 1:
        assert other.files == other.paths
    else:
        shards = sorted((made / layout / "patches.shards").iterdir())
        assert sorted(other.files) == shards
        assert len(shards) <= min(LAYOUTS[layout].shards, 16)


def test_compressed_patches_are_whole_chunks_and_take_less_disk(made, store):
    for name in FILTERS:
        path = made / name / "patches.h5"
        assert path.stat().st_size < 0.8 * store.paths[0].stat().st_size
        with h5py.File(path) as file:
            assert file["train/ship/image"].chunks == (1, 64, 64, 3)
            assert file["train/ship/mask"].chunks == (1, 64, 64)


def test_a_run_that_compresses_leaves_nothing_but_the_store(scenes, store, tmp_path):
    make_patches(scenes, tmp_path / "patches.h5", OPTIONS, layout=Layout(compression="gzip"))

    assert [path.name for path in tmp_path.iterdir()] == ["patches.h5"]
    assert_same(patches_by_plain_h5py(tmp_path / "patches.h5"), patches_by_plain_h5py(store.paths[0]))
