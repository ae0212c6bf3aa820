from concurrent.futures import Executor
from dataclasses import replace

import keras
import numpy as np
import pytest
from PIL import Image

from shipseg_tiles.archive.archive import Archive
from shipseg_tiles.archive.labels import Labels
from shipseg_tiles.digests import checksum
from shipseg_tiles.errors import InputError, NetError, SkippedImageWarning
from shipseg_tiles.images import read_image
from shipseg_tiles.inference.predictor import Predictor
from shipseg_tiles.patches.batch_mix import BatchMix
from shipseg_tiles.patches.feed import RatioFeed
from shipseg_tiles.patches.make import make_patches
from shipseg_tiles.patches.options import PatchOptions
from shipseg_tiles.patches.store import PatchStore
from shipseg_tiles.patches.verify import verify_store
from shipseg_tiles.processes import open_workers
from shipseg_tiles.rle import encode
from shipseg_tiles.tiling import TileGrid
from shipseg_tiles.training.mining import find_hard_negatives, write_hard_negatives

PATCH = 16

WHITE = {
    "a ship.png": [(2, 2, 4, 4), (18, 20, 3, 4)],
    "b sea.png": [(1, 1, 2, 5), (20, 40, 3, 3)],
    "c border.png": [(4, 14, 4, 6)],
    "n new.png": [(0, 0, 4, 3)],
    "v valid.png": [(2, 2, 4, 4), (18, 20, 6, 6)],
    "w whole.png": [(0, 0, 5, 5)],
}
"""Boxes (row, column, height, width), which the net takes for ships, on images of 32 x 48 px, else black."""

SHIPS = {"a ship.png": (2, 2, 4, 4), "v valid.png": (2, 2, 4, 4)}
"""Those that are ships by their labels."""

SPLIT = dict.fromkeys(["a ship.png", "b sea.png", "c border.png", "n new.png"], "train") | dict.fromkeys(
    ["v valid.png", "w whole.png"], "valid"
)


def boxes(shape, *of_image):
    mask = np.zeros(shape, dtype=np.uint8)
    for row, column, height, width in of_image:
        mask[row : row + height, column : column + width] = 1
    return mask


@pytest.fixture(scope="module")
def weights(save_net, tmp_path_factory):
    """A saved net whose probability is the mean of the channels over 255: 0 on black, 1 on white.

    It was trained on patches of another scale than those that are cut: the store decides that."""
    return save_net(tmp_path_factory.mktemp("weights") / "net.keras", minimum_area=10)


@pytest.fixture(scope="module")
def processes():
    with open_workers(1) as processes:
        yield processes


def draw(folder):
    """Make an archive of the six images above."""
    (folder / "images").mkdir()
    for name, of_image in WHITE.items():
        white = boxes((32, 48), *of_image) * np.uint8(255)
        Image.fromarray(np.repeat(white[..., np.newaxis], 3, axis=2)).save(folder / "images" / name)
    ships = {name: (encode(boxes((32, 48), SHIPS[name])),) if name in SHIPS else () for name in WHITE}
    files = {name: folder / "images" / name for name in WHITE}
    return Archive(str(folder / "images"), files, Labels("labels.csv", ships))


def make_store(archive, folder, split=SPLIT, **changes):
    """Cut the archive: two ship patches, no background. `w whole.png` validates as a whole only, `n new.png` trains."""
    path = folder / "store" / "patches.h5"
    options = PatchOptions(**{"patch": PATCH, "stride": PATCH, "background_ratio": 0.0, "full_images": 2} | changes)
    make_patches(archive, path, options, split=split)
    return PatchStore(path)


@pytest.fixture
def archive(tmp_path):
    """The six images, which may be changed."""
    return draw(tmp_path)


@pytest.fixture(scope="module")
def cut(tmp_path_factory):
    """The store of the six images, which may not be changed."""
    folder = tmp_path_factory.mktemp("cut")
    return make_store(draw(folder), folder)


def find(weights, archive, store, processes, *, split=SPLIT, most=10_000, **changes):
    """Mine with saved weights, whose contract is changed."""
    return find_hard_negatives(Predictor.load(weights, **changes), archive, store, processes, most, split)


def rows_of(found):
    return sorted(found.plan.table[["image", "row", "column"]].itertuples(index=False, name=None))


FOUND = [("a ship.png", 16, 16), ("b sea.png", 0, 0), ("c border.png", 0, 16), ("n new.png", 0, 0)]


def test_hard_negatives_by_hand(weights, archive, cut, processes):
    """Patches of 16 px begin at rows 0, 16 and columns 0, 16, 32; one needs 10 false pixels.

    - a: the box at row 2 is a ship; the other one is 12 pixels in the patch (16, 16)
    - b: 10 pixels in (0, 0); 9 in (16, 32), one too few
    - c: columns 14 to 19: 2 x 4 = 8 pixels in (0, 0), 4 x 4 = 16 in (0, 16)
    - n, of which the store keeps nothing: 12 in (0, 0)
    - v and w validate
    """
    found = find(weights, archive, cut, processes)

    assert rows_of(found) == FOUND
    assert (found.images, found.images_with_false_ships, found.patches, found.skipped) == (4, 4, 4, {})


def test_a_patch_with_a_ship_is_none_however_much_else_the_net_sees(weights, archive, processes, tmp_path):
    """A grid of one patch of 32 px and one moved back from column 32 to 16: that of a holds its 12 false pixels only,
    the other one the ship as well. The box of c is 24 pixels, of which columns 16 to 19 are 16 pixels in the second."""
    store = make_store(archive, tmp_path, patch=32, stride=32)

    validating = ["v valid.png", "w whole.png"]
    found = find(weights, archive.only(["a ship.png", "c border.png", *validating]), store, processes)

    assert rows_of(found) == [("a ship.png", 0, 16), ("c border.png", 0, 0), ("c border.png", 0, 16)]


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        ({"minimum_area": 9}, [("b sea.png", 16, 32)]),
        ({"minimum_area": 8}, [("b sea.png", 16, 32), ("c border.png", 0, 0)]),
        ({"minimum_area": 0}, [("b sea.png", 16, 32), ("c border.png", 0, 0)]),
    ],
)
def test_threshold_and_minimum_area_are_those_of_the_predictor(weights, archive, cut, processes, changes, more):
    """Of all patches with a false pixel, none has fewer than 8; patches without one are never mined."""
    found = find(weights, archive, cut, processes, **changes)

    assert rows_of(found) == sorted(FOUND + more)


@pytest.mark.parametrize(("gray", "mined"), [(127, False), (129, True)])
def test_pixels_count_above_the_threshold(weights, archive, cut, processes, gray, mined):
    """127 / 255 is below a half and 129 / 255 above."""
    Image.new("RGB", (48, 32), (gray, gray, gray)).save(archive.files["n new.png"])

    found = find(weights, archive, cut, processes)

    assert ("n new.png" in found.plan.table["image"].tolist()) == mined


@pytest.mark.parametrize(
    ("most", "kept"), [(1, [2]), (2, [2, 0]), (3, [2, 0, 3]), (4, [2, 0, 3, 1]), (5, [0, 1, 2, 3])]
)
def test_the_worst_patches_are_kept_and_of_equals_the_first_by_name(weights, archive, cut, processes, most, kept):
    """16 pixels in c, 12 in a and in n, 10 in b."""
    found = find(weights, archive, cut, processes, most=most)

    assert rows_of(found) == sorted(FOUND[index] for index in kept)
    assert (found.patches, found.images_with_false_ships) == (4, 4)


def test_an_image_validates_as_its_split_says_even_if_the_store_keeps_nothing_of_it(
    weights, archive, processes, tmp_path
):
    """Without whole images the store knows v by its ship patch; of w, which is empty, it keeps nothing."""
    store = make_store(archive, tmp_path, full_images=0)

    assert rows_of(find(weights, archive, store, processes)) == FOUND


def test_an_image_that_is_on_neither_side_is_not_mined(weights, archive, processes, tmp_path):
    """As those that a comparison keeps for its test."""
    split = {name: side for name, side in SPLIT.items() if name != "n new.png"}
    store = make_store(archive, tmp_path, split)

    assert rows_of(find(weights, archive, store, processes, split=split)) == FOUND[:3]


@pytest.mark.parametrize("split", [None, SPLIT | {"t test.png": "train"}])
def test_a_store_that_was_cut_by_another_split_is_not_mined_with(weights, archive, cut, processes, split):
    with pytest.raises(InputError, match=r"patches\.h5 was cut with another --split; give the same file to --split"):
        find(weights, archive, cut, processes, split=split)


def test_the_split_of_a_second_store_counts_as_well(weights, archive, cut, processes, tmp_path):
    """The first one is split by place, by which all images may be mined."""
    options = PatchOptions(patch=PATCH, stride=PATCH, valid_fraction=0.0, full_images=0)
    make_patches(archive, tmp_path / "first.h5", options)
    stores = PatchStore(tmp_path / "first.h5", *cut.paths)

    with pytest.raises(InputError, match=r"store/patches\.h5 was cut with another --split"):
        find(weights, archive, stores, processes, split=None)
    assert rows_of(find(weights, archive, stores, processes)) == FOUND


def test_an_image_of_a_place_that_validates_is_left_alone(weights, processes, tmp_path):
    """Three crops of 512 px: `near` and `valid` share a block of 256 px, `far` shows another place.

    Each has a false ship. `near` trains by a split that is not by place; it would show the net what it is measured on.
    """
    random = np.random.default_rng(5)
    spots = (random.integers(10, 100, size=(48, 96)) / 2).astype(np.uint8)
    land = np.asarray(Image.fromarray(spots).resize((1536, 768), Image.Resampling.BICUBIC))
    crops = {"far.png": land[:512, 1024:], "near.png": land[256:, 256:768], "valid.png": land[:512, :512]}
    files = {name: tmp_path / name for name in crops}
    for name, crop in crops.items():
        white = np.maximum(crop, boxes((512, 512), (200, 300, 6, 6)) * np.uint8(255))
        Image.fromarray(np.repeat(white[..., np.newaxis], 3, axis=2)).save(files[name])
    ships = {"far.png": (encode(boxes((512, 512), (10, 10, 4, 4))),), "near.png": (), "valid.png": ()}
    archive = Archive(str(tmp_path), files, Labels("labels.csv", ships))
    path = tmp_path / "store.h5"
    options = PatchOptions(background_ratio=0.0, full_images=1)
    split = {"far.png": "train", "near.png": "train", "valid.png": "valid"}
    make_patches(archive, path, options, split=split)

    found = find(weights, archive, PatchStore(path), processes, split=split)

    assert rows_of(found) == [("far.png", 128, 256)]
    assert found.images == 1


def test_places_of_validating_images_that_are_not_there_are_not_left_alone_in_silence(weights, archive, cut, processes):
    """Other images than those of the store may be mined, but nobody can tell whether they show the place of v or w."""
    said = r"images that validate in .*patches\.h5 are missing or damaged in .*images: v valid\.png, w whole\.png;"
    with pytest.warns(UserWarning, match=said):
        found = find(weights, archive.only(["b sea.png"]), cut, processes)

    assert rows_of(found) == FOUND[1:2]


def test_what_is_found_is_written_as_a_store(weights, archive, cut, processes, tmp_path):
    out = tmp_path / "deep" / "mined.h5"
    found = find(weights, archive, cut, processes)

    write_hard_negatives(found, archive, out, processes)

    mined = PatchStore(out)
    assert {key: len(patches) for key, patches in mined.sets.items() if len(patches)} == {("train", "background"): 4}
    source = mined.source("train", "background")
    assert sorted(source[["image", "row", "column"]].itertuples(index=False, name=None)) == FOUND
    images, masks = mined.sets["train", "background"].read(np.arange(4))
    for pixels, (name, row, column, ship_pixels) in zip(images, source.itertuples(index=False, name=None), strict=True):
        assert np.array_equal(pixels, read_image(archive.files[name])[row : row + PATCH, column : column + PATCH])
        assert ship_pixels == 0
    assert not masks.any()
    verification = verify_store(out)
    assert (verification.patches, verification.problems) == (4, [])
    assert mined.options == cut.options | {
        "mined_with": checksum(weights),
        "mined_from": cut.fingerprint,
        "threshold": 0.5,
        "minimum_area": 10,
        "max_patches": 10_000,
    }
    assert mined.fingerprint == found.plan.fingerprint
    assert [path.name for path in out.parent.iterdir()] == ["mined.h5"]


def test_equal_runs_write_equal_bytes(weights, archive, cut, processes, tmp_path):
    for name in ("one.h5", "two.h5"):
        found = find(weights, archive, cut, processes)
        write_hard_negatives(found, archive, tmp_path / name, processes)

    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()


def test_patches_are_shuffled(weights, processes, tmp_path):
    """25 patches of a white image: the chance is 1 in 25! that they stand in their order in the image."""
    Image.new("RGB", (80, 80), (255, 255, 255)).save(tmp_path / "white.png")
    Image.new("RGB", (80, 80)).save(tmp_path / "ship.png")
    ships = {"ship.png": (encode(boxes((80, 80), (0, 0, 4, 4))),), "white.png": ()}
    archive = Archive(str(tmp_path), {name: tmp_path / name for name in ships}, Labels("labels.csv", ships))
    make_patches(archive, tmp_path / "p.h5", PatchOptions(patch=PATCH, stride=PATCH, valid_fraction=0.0))

    found = find(weights, archive, PatchStore(tmp_path / "p.h5"), processes, split=None)
    write_hard_negatives(found, archive, tmp_path / "mined.h5", processes)

    source = PatchStore(tmp_path / "mined.h5").source("train", "background")
    places = list(source[["row", "column"]].itertuples(index=False, name=None))
    assert sorted(places) == [(row, column) for row in range(0, 80, 16) for column in range(0, 80, 16)]
    assert places != sorted(places)


def test_patches_are_resized_like_those_of_the_store_and_go_into_its_batches(weights, archive, processes, tmp_path):
    """A store at 8 px has one ship patch to train on: batches of 4 at 0.25 and 0.75 are that one and 3 mined."""
    store, out = make_store(archive, tmp_path, resize=8), tmp_path / "mined.h5"
    found = find(weights, archive, store, processes)
    write_hard_negatives(found, archive, out, processes)

    images, masks = RatioFeed(store, BatchMix.parse(4, "0.25", mined_fraction=0.75), 1, mined=PatchStore(out))[0]

    assert images.shape == (4, 8, 8, 3)
    assert masks.any(axis=(1, 2)).tolist() == [True, False, False, False]
    assert images.any(axis=(1, 2, 3)).all()
    assert verify_store(out).problems == []


def test_an_image_smaller_than_a_patch_is_mirrored(weights, archive, processes, tmp_path):
    """Of 10 x 12 px the first 5 columns are white: 50 false pixels, whatever the mirror adds."""
    white = boxes((10, 12), (0, 0, 10, 5)) * np.uint8(255)
    Image.fromarray(np.repeat(white[..., np.newaxis], 3, axis=2)).save(archive.files["n new.png"])
    store, out = make_store(archive, tmp_path), tmp_path / "mined.h5"

    found = find(weights, archive, store, processes, minimum_area=50)
    write_hard_negatives(found, archive, out, processes)

    (pixels,), _ = PatchStore(out).sets["train", "background"].read(np.arange(1))
    assert rows_of(found) == [("n new.png", 0, 0)]
    assert np.array_equal(pixels, TileGrid(10, 12, PATCH, PATCH).pad(read_image(archive.files["n new.png"])))


def test_bad_images_are_skipped_with_a_warning(weights, archive, cut, processes, tmp_path):
    """b is no image any more, and the labels of n name a pixel behind its 32 * 48 = 1536."""
    out = tmp_path / "mined.h5"
    archive.files["b sea.png"].write_bytes(b"no image")
    labels = Labels("labels.csv", archive.labels.ships | {"n new.png": ("1536 2",)})

    with pytest.warns(SkippedImageWarning) as warned:
        found = find(weights, replace(archive, labels=labels), cut, processes)
    write_hard_negatives(found, archive, out, processes)

    assert rows_of(found) == [FOUND[0], FOUND[2]]
    assert found.images == 2
    assert [str(warning.message).split(" skipped")[0] for warning in warned] == ["b sea.png", "n new.png"]
    assert sorted(PatchStore(out).left_out) == ["b sea.png", "n new.png"]


def test_a_net_that_answers_no_numbers_is_not_taken_for_damaged_images(save_net, archive, cut, processes, tmp_path):
    broken = save_net(tmp_path / "broken.keras", keras.layers.Rescaling(float("nan")))

    with pytest.raises(NetError, match="the net answers nan"):
        find(broken, archive, cut, processes)


def test_a_net_without_mistakes_leaves_nothing_to_mine(weights, archive, cut, processes):
    with pytest.raises(
        InputError, match=r"no mistake of 17 pixels above 0\.5 on 4 images of .*mine --threshold takes a lower one"
    ):
        find(weights, archive, cut, processes, minimum_area=17)


def test_images_that_validate_alone_cannot_be_mined(weights, archive, cut, processes):
    with pytest.raises(InputError, match=r"none of the 2 images in .* can be mined: they validate in .*patches\.h5"):
        find(weights, archive.only(["v valid.png", "w whole.png"]), cut, processes)


def test_a_mined_store_is_none_to_mine_with(weights, archive, cut, processes, tmp_path):
    """It does not know which images validate."""
    out = tmp_path / "mined.h5"
    write_hard_negatives(find(weights, archive, cut, processes), archive, out, processes)

    with pytest.raises(InputError, match=r"mined\.h5 holds mined patches; give the store that they were mined with"):
        find(weights, archive, PatchStore(out), processes)


def test_max_patches_must_be_one_or_more(weights, archive, processes, store):
    with pytest.raises(InputError, match="max patches 0 must be 1 or more"):
        find(weights, archive, store, processes, most=0)


class Interrupted(Executor):
    """Ctrl-C as soon as there is work."""

    def submit(self, *arguments, **named):
        raise KeyboardInterrupt


def test_what_does_not_come_to_its_end_leaves_no_file(weights, archive, cut, processes, tmp_path):
    """An image that is gone when it is to be cut, and Ctrl-C."""
    found = find(weights, archive, cut, processes)
    out = tmp_path / "out" / "mined.h5"

    with pytest.raises(KeyboardInterrupt):
        write_hard_negatives(found, archive, out, Interrupted())
    assert list(out.parent.iterdir()) == []

    archive.files["c border.png"].unlink()
    with pytest.raises(InputError, match=r"c border\.png does not exist; it was whole when it was predicted"):
        write_hard_negatives(found, archive, out, processes)
    assert list(out.parent.iterdir()) == []
