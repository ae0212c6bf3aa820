import io
import resource
import sys
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image

from shipseg_tiles import rle
from shipseg_tiles.archive.archive import Archive, open_archive
from shipseg_tiles.archive.labels import Labels
from shipseg_tiles.errors import InputError, SkippedImageWarning
from shipseg_tiles.images import read_image, read_size
from shipseg_tiles.patches.make import MadeStore, make_patches
from shipseg_tiles.patches.options import Layout, PatchOptions
from shipseg_tiles.patches.store import PatchStore
from shipseg_tiles.tiling import TileGrid

OPTIONS = PatchOptions(patch=64, stride=64, background_ratio=1.0, seed=7, valid_fraction=0.25, full_images=4)
"""Those of the fixture `store`."""

ODD = PatchOptions(patch=64, stride=40, background_ratio=3.0, seed=2, valid_fraction=0.3, full_images=50)

TRUNCATED, BROKEN, BROKEN_TOO = "d truncated.jpg", "e broken.jpg", "f broken too.jpg"


def noise(height, width, channels=3):
    """An image that JPEG cannot shrink and no two of whose patches are alike."""
    return np.random.default_rng([height, width]).integers(256, size=(height, width, channels), dtype=np.uint8)


def jpeg_bytes(image):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def broken_inside(data):
    """Cut out the middle of a JPEG: header and end marker are whole, so that only decoding finds it."""
    return data[: len(data) // 3] + data[-len(data) // 4 :]


def with_strange_marker(data):
    """Put a marker that no JPEG has in the middle of one."""
    return data[: len(data) // 2] + b"\xff\x02" + data[len(data) // 2 + 2 :]


def ship(shape, top, left, bottom, right):
    mask = np.zeros(shape, dtype=np.uint8)
    mask[top:bottom, left:right] = 1
    return rle.encode(mask)


def write_odd_images(folder):
    """Images of odd sizes and kinds, with and without ships; return the labels."""
    stored = {
        "a.png": (Image.fromarray(noise(300, 410)), [(0, 0, 9, 30), (290, 400, 300, 410), (5, 20, 20, 25)]),
        "b gray.png": (Image.fromarray(noise(100, 64, 1)[..., 0]), [(70, 3, 80, 60)]),
        "c rgba.png": (Image.fromarray(noise(64, 129, 4)), [(10, 60, 14, 70)]),
        "g palette.png": (Image.fromarray(noise(90, 90)).convert("P"), []),
        "h small.png": (Image.fromarray(noise(30, 50)), [(0, 0, 30, 50)]),
        "i narrow.png": (Image.fromarray(noise(200, 20)), [(100, 5, 120, 8), (130, 0, 131, 20)]),
        "j bits.png": (Image.fromarray(noise(70, 70, 1)[..., 0] > 100), []),
        "k.tif": (Image.fromarray(noise(80, 110)), []),
    }
    ships = {}
    for name, (image, boxes) in stored.items():
        image.save(folder / name)
        ships[name] = tuple(ship((image.height, image.width), *box) for box in boxes)
    return ships


def write_bad_images(folder):
    """A truncated JPEG and two that are broken inside, each full of ships; return the labels."""
    whole = jpeg_bytes(noise(150, 150))
    (folder / TRUNCATED).write_bytes(whole[: len(whole) // 2])
    (folder / BROKEN).write_bytes(broken_inside(whole))
    (folder / BROKEN_TOO).write_bytes(with_strange_marker(jpeg_bytes(noise(140, 150))))
    return {name: (ship((140, 150), 0, 0, 140, 150),) for name in (TRUNCATED, BROKEN, BROKEN_TOO)}


def archive_of(folder, ships):
    return Archive(
        str(folder), {name: folder / name for name in sorted(ships)}, Labels("labels.csv", dict(sorted(ships.items())))
    )


@dataclass
class Run:
    """A run over good and bad images."""

    archive: Archive
    good: Archive
    made: MadeStore
    path: Path
    warnings: list[str]

    @property
    def store(self):
        return PatchStore(self.path)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("odd")
    good = write_odd_images(folder)
    archive = archive_of(folder, good | write_bad_images(folder))
    path = tmp_path_factory.mktemp("out") / "patches.h5"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made = make_patches(archive, path, ODD, workers=1)
    messages = [str(warning.message) for warning in caught if warning.category is SkippedImageWarning]
    return Run(archive, archive_of(folder, good), made, path, messages)


def check_patches(store, archive):
    """Compare each patch with the place in its image that it is said to come from; return how many there are."""
    count = 0
    for (split, kind), patches in store.sets.items():
        source = store.source(split, kind)
        assert len(source) == len(patches)
        assert not source.duplicated(["image", "row", "column"]).any()
        for slot, (name, row, column, ship_pixels) in enumerate(source.itertuples(index=False, name=None)):
            image = read_image(archive.files[name])
            grid = TileGrid(*image.shape[:2], store.side, store.options["stride"])
            place = np.s_[row : row + store.side, column : column + store.side]
            mask = grid.pad(archive.labels.mask(name, image.shape[:2]))
            stored_image, stored_mask = patches.read(np.array([slot]))
            assert np.array_equal(stored_image[0], grid.pad(image)[place])
            assert np.array_equal(stored_mask[0], mask[place])
            assert ship_pixels == mask[place].sum()
            assert (ship_pixels > 0) == (kind == "ship")
            assert [row, column] in grid.corners.tolist()
            count += 1
    return count


def read_all(patches):
    return patches.read(np.arange(len(patches)))


def sources(store, *splits):
    return {name for split in splits for kind in ("ship", "background") for name in store.source(split, kind)["image"]}


def test_each_patch_is_the_crop_it_is_said_to_be(scenes, store):
    """The images are JPEG: no patch is encoded again, each is the crop of the decoded image to the last bit."""
    assert check_patches(store, scenes) == 23 + 23 + 5 + 5


def test_no_image_trains_and_validates(store, run):
    assert not sources(store, "train") & sources(store, "valid")
    assert not sources(run.store, "train") & sources(run.store, "valid")


def test_file_is_the_same_byte_for_byte_in_another_run_with_other_workers(scenes, store, tmp_path):
    made = make_patches(scenes, tmp_path / "deep" / "folder" / "again.h5", OPTIONS, workers=2)

    assert (tmp_path / "deep" / "folder" / "again.h5").read_bytes() == store.paths[0].read_bytes()
    assert made.plan.fingerprint == store.fingerprint
    assert (made.images, made.skipped) == (16, {})


def test_nothing_but_the_store_is_left_in_the_folder(store, run):
    for path in (store.paths[0], run.path):
        assert list(path.parent.iterdir()) == [path]


def test_whole_validation_images_are_kept_as_they_are_on_disk(scenes, store):
    """A quarter of 16 images validate, and all 4 are kept."""
    images = list(store.full_images())

    assert len(images) == 4
    assert sources(store, "valid") <= {image.name for image in images}
    assert not sources(store, "train") & {image.name for image in images}
    for image in images:
        assert image.data == scenes.files[image.name].read_bytes()
        assert image.ships == scenes.labels.ships[image.name]
        assert image.pixels().shape == (256, 256, 3)


def test_broken_images_are_only_found_by_decoding(run):
    """Or the tests below would not test what they say."""
    for name in (BROKEN, BROKEN_TOO):
        assert min(read_size(run.archive.files[name])) >= 140
        with pytest.raises(InputError, match="damaged"):
            read_image(run.archive.files[name])


def test_bad_images_are_skipped_with_a_warning_each(run):
    assert set(run.made.skipped) == {TRUNCATED, BROKEN, BROKEN_TOO}
    assert run.made.images == 8
    assert len(run.warnings) == 3
    for name in (TRUNCATED, BROKEN, BROKEN_TOO):
        assert [message for message in run.warnings if message.startswith(f"{name} skipped: ")]
        assert name in run.made.skipped[name]
    assert "cut off" in run.made.skipped[TRUNCATED]


def test_a_link_that_leads_nowhere_is_a_bad_image(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    ships = write_odd_images(folder) | {"l link.jpg": ()}
    (folder / "l link.jpg").symlink_to("gone.jpg")

    with pytest.warns(SkippedImageWarning, match=r"l link\.jpg skipped: "):
        made = make_patches(archive_of(folder, ships), tmp_path / "patches.h5", ODD)

    assert list(made.skipped) == ["l link.jpg"]


def test_no_slot_is_left_for_a_bad_image(run):
    """Images of all kinds and sizes are there; every patch is the crop it is said to be, none is empty."""
    store = run.store

    assert check_patches(store, run.archive) == len(run.made.plan.table)
    assert sources(store, "train", "valid") <= set(run.good.files)
    assert {"a.png", "b gray.png", "c rgba.png", "h small.png", "i narrow.png"} <= sources(store, "train", "valid")


def test_store_with_bad_images_is_the_one_without_them(run, tmp_path):
    """Split, plan and patches are those of an archive that never had them; only the store says that it had."""
    made = make_patches(run.good, tmp_path / "patches.h5", ODD, workers=2)

    assert made.skipped == {}
    store = PatchStore(tmp_path / "patches.h5")
    assert store.fingerprint == run.store.fingerprint
    for key, patches in store.sets.items():
        for ours, theirs in zip(read_all(patches), read_all(run.store.sets[key]), strict=True):
            assert np.array_equal(ours, theirs)
    assert store.left_out == {}
    assert run.store.left_out == run.made.skipped


def test_counts_are_those_of_the_store(run):
    """8 images, of which 0.3 * 8 = 2.4, so 2, validate; as both are kept, at most 50 whole images are 2."""
    for (split, kind), patches in run.store.sets.items():
        assert run.made.plan.count(split, kind) == len(patches)
    assert len(list(run.store.full_images())) == 2


def test_whole_image_of_which_no_patch_is_cut_must_be_readable_too(tmp_path):
    """No background is asked for, so the empty images are never cut. Half of the 4 images validate: one with a ship,
    one without, or both without as the broken one leaves three, of which round(1.5) = 2 validate.
    """
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg"):
        (folder / name).write_bytes(jpeg_bytes(noise(80, 80)))
    for name in ("c.jpg", "d.jpg"):
        (folder / name).write_bytes(broken_inside(jpeg_bytes(noise(80, 80))))
    ships = {name: (ship((80, 80), 0, 0, 9, 9),) * (name < "c") for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg")}
    options = replace(ODD, background_ratio=0.0, valid_fraction=0.5)

    with pytest.warns(SkippedImageWarning, match=r"[cd]\.jpg skipped"):
        make_patches(archive_of(folder, ships), tmp_path / "patches.h5", options, workers=1)

    images = list(PatchStore(tmp_path / "patches.h5").full_images())
    assert images
    for image in images:
        image.pixels()


@pytest.mark.filterwarnings("ignore::shipseg_tiles.errors.SkippedImageWarning")
def test_only_bad_images_are_refused_and_leave_nothing(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    archive = archive_of(folder, write_bad_images(folder))

    with pytest.raises(InputError, match=r"none of the 3 images in .*images is usable; the first: .*d truncated\.jpg"):
        make_patches(archive, tmp_path / "out" / "patches.h5", replace(ODD, valid_fraction=0.0), workers=1)
    assert not [path for path in (tmp_path / "out").glob("**/*") if path.is_file()]


@pytest.mark.filterwarnings("ignore::shipseg_tiles.errors.SkippedImageWarning")
def test_no_ship_left_to_train_on_is_refused_and_the_old_store_stays(tmp_path):
    """The only images with ships are bad, the good one is empty."""
    folder = tmp_path / "images"
    folder.mkdir()
    ships = write_bad_images(folder)
    Image.fromarray(noise(80, 80)).save(folder / "good.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "patches.h5").write_bytes(b"old")

    with pytest.raises(InputError, match="no ship in any training image"):
        make_patches(
            archive_of(folder, ships | {"good.png": ()}),
            tmp_path / "out" / "patches.h5",
            replace(ODD, valid_fraction=0.0),
            workers=1,
        )
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["patches.h5"]
    assert (tmp_path / "out" / "patches.h5").read_bytes() == b"old"


def test_full_disk_is_an_error_and_leaves_nothing(scenes, tmp_path):
    """The store of `scenes` takes 56 * 64 * 64 * 4 bytes and more, 0.9 MB; files may have half a megabyte.

    The limit stands for the disk here, since anyone may set it; tests of the store fill up a real one.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, before[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            make_patches(scenes, tmp_path / "patches.h5", OPTIONS, workers=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("workers", [0, -1])
def test_no_worker_is_refused(workers, scenes, tmp_path):
    with pytest.raises(InputError, match=f"workers {workers} must be from 1 to"):
        make_patches(scenes, tmp_path / "patches.h5", OPTIONS, workers=workers)
    assert list(tmp_path.iterdir()) == []


def test_images_that_break_while_they_are_cut_are_left_out_too(run, tmp_path):
    """Without a split by place only headers are read first, so that two bad images are found late."""
    options = replace(ODD, valid_fraction=0.0)

    with pytest.warns(SkippedImageWarning) as caught:
        made = make_patches(run.archive, tmp_path / "patches.h5", options, workers=2)
    make_patches(run.good, tmp_path / "good.h5", options)

    assert sorted(str(warning.message).split(" skipped")[0] for warning in caught) == [TRUNCATED, BROKEN, BROKEN_TOO]
    store, good = PatchStore(tmp_path / "patches.h5"), PatchStore(tmp_path / "good.h5")
    assert set(store.left_out) == set(made.skipped) == {TRUNCATED, BROKEN, BROKEN_TOO}
    assert store.fingerprint == good.fingerprint
    assert check_patches(store, run.archive) == len(made.plan.table)
    assert {path.name for path in tmp_path.iterdir()} == {"patches.h5", "good.h5"}


def test_only_shards_with_a_bad_image_are_made_twice(scenes, tmp_path):
    """One image breaks when it is cut; the shards without it are not touched again."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name, path in scenes.files.items():
        (folder / name).write_bytes(path.read_bytes())
    bad = next(name for name, ships in scenes.labels.ships.items() if ships)
    (folder / bad).write_bytes(broken_inside(scenes.files[bad].read_bytes()))
    archive = archive_of(folder, scenes.labels.ships)
    options = replace(OPTIONS, valid_fraction=0.0, background_ratio=0.0)

    with pytest.warns(SkippedImageWarning, match=bad):
        made = make_patches(archive, tmp_path / "patches.h5", options, layout=Layout(shards=8))

    assert check_patches(PatchStore(tmp_path / "patches.h5"), archive) == len(made.plan.table)
    shards = sorted((tmp_path / "patches.shards").iterdir())
    assert not [path for path in shards if path.suffix != ".h5"]
    assert len(shards) == len({cell * 8 // 64 for cell in made.plan.table["cell"]})


def test_patches_off_the_grid_are_the_crops_they_are_said_to_be(scenes, tmp_path):
    """`check_patches` looks at places on the grid, so this one compares with the image itself."""
    make_patches(scenes, tmp_path / "patches.h5", replace(OPTIONS, jitter=20, min_ship_pixels=5))
    store = PatchStore(tmp_path / "patches.h5")

    source = store.source("train", "ship")
    images, masks = read_all(store.sets["train", "ship"])
    assert ((source["row"] % 64 != 0) | (source["column"] % 64 != 0)).sum() > 10
    for image, mask, (name, row, column, ship_pixels) in zip(
        images, masks, source.itertuples(index=False, name=None), strict=True
    ):
        place = np.s_[row : row + 64, column : column + 64]
        assert np.array_equal(image, read_image(scenes.files[name])[place])
        assert np.array_equal(mask, scenes.labels.mask(name, (256, 256))[place])
        assert mask.sum() == ship_pixels >= 5


def test_whole_images_resized(scenes, tmp_path):
    """256 px become 64: each pixel the mean of 4 x 4, and ship where more than half of the 4 x 4 is."""
    options = replace(OPTIONS, patch=256, stride=256, resize=64)
    make_patches(scenes, tmp_path / "patches.h5", options)
    store = PatchStore(tmp_path / "patches.h5")

    assert store.side == 64
    assert (store.options["patch"], store.options["resize"]) == (256, 64)
    source = store.source("train", "ship")
    images, masks = read_all(store.sets["train", "ship"])
    assert images.shape == (len(source), 64, 64, 3)
    for image, mask, name, ship_pixels in zip(images, masks, source["image"], source["ship_pixels"], strict=True):
        means = read_image(scenes.files[name]).reshape(64, 4, 64, 4, 3).mean(axis=(1, 3))
        shares = scenes.labels.mask(name, (256, 256)).reshape(64, 4, 64, 4).mean(axis=(1, 3))
        assert np.abs(image - means).max() <= 1  # it rounds twice
        assert np.array_equal(mask, shares >= 0.5)
        assert ship_pixels == scenes.labels.mask(name, (256, 256)).sum()


def test_split_of_a_file_is_obeyed(scenes, tmp_path):
    """Images that it does not name are left out."""
    names = list(scenes.files)
    split = dict.fromkeys(names[:10], "train") | dict.fromkeys(names[10:14], "valid")

    make_patches(scenes, tmp_path / "patches.h5", replace(OPTIONS, background_ratio=99), split=split)

    store = PatchStore(tmp_path / "patches.h5")
    assert sources(store, "train") == set(names[:10])
    assert sources(store, "valid") == set(names[10:14])


def test_split_of_other_images_is_refused(scenes, tmp_path):
    with pytest.raises(InputError, match="the split names none of the 16 labelled images"):
        make_patches(scenes, tmp_path / "patches.h5", OPTIONS, split={"other.jpg": "train"})


def test_images_in_a_zip_make_the_same_store(scenes, store, tmp_path):
    with ZipFile(tmp_path / "airbus.zip", "w") as file:
        for name, path in scenes.files.items():
            file.write(path, f"train_v2/{name}")
        file.writestr("labels.csv", scenes.labels.to_csv())

    archive = open_archive(tmp_path / "airbus.zip", tmp_path / "airbus.zip" / "labels.csv")
    make_patches(archive, tmp_path / "patches.h5", OPTIONS, workers=2)

    assert (tmp_path / "patches.h5").read_bytes() == store.paths[0].read_bytes()


@pytest.mark.parametrize("name", ["patches.hdf5", "patches.H5", "patches"])
def test_a_store_of_another_suffix_is_refused(name, scenes, tmp_path):
    """Two stores that differ in their suffix only would have their shards in one folder."""
    with pytest.raises(InputError, match=rf"{name} must end in \.h5"):
        make_patches(scenes, tmp_path / name, OPTIONS, layout=Layout(shards=2))
    assert list(tmp_path.iterdir()) == []


def test_a_negative_number_of_full_images_is_refused():
    with pytest.raises(InputError, match="full images -5 must be 0 or more"):
        PatchOptions(full_images=-5)
    with pytest.raises(InputError, match="jitter -1 must be 0 or more"):
        PatchOptions(jitter=-1)


@pytest.mark.parametrize("layout", [{"shards": 0}, {"shards": 65}, {"compression": "rar"}])
def test_layout_that_there_is_not_is_refused(layout):
    with pytest.raises(InputError, match=r"shards|no compression 'rar'; choose one of lz4, zstd, gzip"):
        Layout(**layout)


def test_a_missing_package_for_compression_is_told_before_anything_is_cut(scenes, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "hdf5plugin", None)

    with pytest.raises(InputError, match="compression zstd needs hdf5plugin"):
        make_patches(scenes, tmp_path / "patches.h5", OPTIONS, layout=Layout(compression="zstd"))
    assert not list(tmp_path.iterdir())
