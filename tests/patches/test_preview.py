from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from shipseg_tiles.archive.archive import Archive
from shipseg_tiles.archive.labels import Labels
from shipseg_tiles.errors import InputError, SkippedImageWarning
from shipseg_tiles.patches.make import make_patches
from shipseg_tiles.patches.options import PatchOptions
from shipseg_tiles.patches.preview import preview_archive, preview_labels
from shipseg_tiles.patches.store import PatchStore

OPTIONS = PatchOptions(patch=64, stride=64, background_ratio=2.0, seed=7, valid_fraction=0.25, full_images=4)


@pytest.fixture
def threads():
    with ThreadPoolExecutor(1) as executor:
        yield executor


@pytest.fixture
def archive(tmp_path):
    """Six images of 128 x 64 px, of which the first four have a ship of the pixels 1 to 10."""
    pixels = np.random.default_rng(3).integers(256, size=(128, 64, 3), dtype=np.uint8)
    files = {f"{number}.png": tmp_path / f"{number}.png" for number in range(6)}
    for path in files.values():
        Image.fromarray(pixels).save(path)
    ships = {name: ("1 10",) * (name < "4.png") for name in files}
    return Archive(str(tmp_path), files, Labels("labels.csv", ships))


def break_inside(path):
    """Leave the header whole."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def test_what_is_announced_is_what_is_made(scenes, store, tmp_path, threads):
    """Patches of 4 * 64 * 64 bytes and what belongs to them; twice the background takes more."""
    preview = preview_archive(scenes, OPTIONS, None, threads, 1)
    make_patches(scenes, tmp_path / "patches.h5", replace(OPTIONS, full_images=0))

    made = PatchStore(tmp_path / "patches.h5")
    assert preview.plan.fingerprint == made.fingerprint
    assert preview.images == 16
    assert 0 < preview.seconds < 60
    assert 0.7 * preview.bytes < made.paths[0].stat().st_size < preview.bytes
    assert preview.ratios[2.0] == (len(preview.plan.table), preview.bytes)
    assert preview.ratios[1.0] < preview.ratios[2.0]


def test_an_image_that_does_not_decode_is_no_obstacle(archive, threads):
    """The run would find it when it is cut, and leave it out."""
    break_inside(archive.files["0.png"])

    preview = preview_archive(archive, replace(OPTIONS, valid_fraction=0.0), None, threads, 1)

    assert preview.images == 6


def test_only_bad_images_are_refused(archive, threads):
    for path in archive.files.values():
        path.write_bytes(b"no image")

    with (
        pytest.warns(SkippedImageWarning),
        pytest.raises(InputError, match=r"none of the 6 images in .* is usable; the first: .*0\.png is damaged"),
    ):
        preview_archive(archive, OPTIONS, None, threads, 1)


def test_without_images_all_count_as_those_of_the_competition(archive):
    """768 x 768 px are 12 x 12 patches, one of them with the ship: 4 ship images and 2 empty ones."""
    preview = preview_labels(archive.labels, OPTIONS, None)

    assert preview.images == 6
    assert sum(preview.plan.candidates.values()) == 6 * 144
    assert preview.seconds is None


def test_masks_tell_the_sizes_of_their_images(archive):
    """128 x 64 px are two patches."""
    labels = replace(archive.labels, shapes=dict.fromkeys(archive.files, (128, 64)))

    assert sum(preview_labels(labels, OPTIONS, None).plan.candidates.values()) == 6 * 2


def test_a_split_is_kept_to_with_and_without_images(archive, threads):
    """Two patches an image: those with a ship have one of background, the empty one two."""
    labels = replace(archive.labels, shapes=dict.fromkeys(archive.files, (128, 64)))
    sides = {"0.png": "valid", "1.png": "train", "5.png": "train"}
    counts = {("train", "ship"): 1, ("train", "background"): 3, ("valid", "ship"): 1, ("valid", "background"): 1}

    for preview in (preview_labels(labels, OPTIONS, sides), preview_archive(archive, OPTIONS, sides, threads, 1)):
        assert preview.images == 3
        assert preview.plan.candidates == counts


@pytest.mark.parametrize(("origin", "background"), [("ship-images", 4), ("empty-images", 4), ("both", 8)])
def test_other_ratios_draw_background_from_no_other_images_either(archive, origin, background):
    """Two patches an image: the four with a ship have one of background each, the two empty ones two."""
    labels = replace(archive.labels, shapes=dict.fromkeys(archive.files, (128, 64)))
    options = replace(OPTIONS, valid_fraction=0.0, background_ratio=10.0, background_from=origin)

    preview = preview_labels(labels, options, None)

    assert preview.ratios[10.0][0] == len(preview.plan.table) == 4 + background
    assert preview.plan.candidates["train", "background"] == background


def test_split_of_other_images_is_refused(archive, threads):
    sides = {"other.png": "train"}

    with pytest.raises(InputError, match="the split names none of the 6 labelled images"):
        preview_labels(archive.labels, OPTIONS, sides)
    with pytest.raises(InputError, match="the split names none of the 6 labelled images"):
        preview_archive(archive, OPTIONS, sides, threads, 1)
