import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipseg_tiles import rle
from shipseg_tiles.archive.labels import Labels
from shipseg_tiles.errors import InputError
from shipseg_tiles.patches.options import CELLS, PatchOptions
from shipseg_tiles.patches.plan import fingerprint_of, limit_per_ship_count, plan_patches
from shipseg_tiles.patches.store_layout import PARTS
from shipseg_tiles.tiling import mirrored

fast = settings(deadline=None, max_examples=40)

SMALL = PatchOptions(patch=4, stride=4, background_ratio=100, seed=1)
"""Patches of 4 px, and more background than there ever is: everything is kept."""


def rows_of(plan, image):
    rows = plan.table[plan.table["image"] == image]
    return [tuple(row) for row in rows[["row", "column", "ship_pixels"]].to_numpy().tolist()]


def many_images(ship_images, empty_images):
    """Images of 8 x 8 px in 4 patches of 4 px; a ship image has its ship in the upper left patch, pixel 1."""
    names = [f"ship{index:02}.png" for index in range(ship_images)]
    names += [f"empty{index:02}.png" for index in range(empty_images)]
    labels = Labels("labels.csv", {name: ("1 1",) if name.startswith("ship") else () for name in sorted(names)})
    return labels, dict.fromkeys(names, (8, 8))


def drawn(plan, split="train"):
    """How much background came out of images with ships, and how much out of empty ones."""
    table = plan.table[(plan.table["split"] == split) & (plan.table["class"] == "background")]
    from_ship = int(table["image"].astype(str).str.startswith("ship").sum())
    return from_ship, len(table) - from_ship


def test_ship_pixels_worked_out_by_hand():
    """8 rows and 12 columns are 2 x 3 patches of 4 px. Pixel p, from 1, has row (p - 1) % 8, column (p - 1) // 8.

    The run 15 4 is rows 6 and 7 of column 1 and rows 0 and 1 of column 2: two pixels in the patch (4, 0), two in
    (0, 0). The run 16 1 is row 7 of column 1 again and counts no second time. 92 1 is row 3 of column 11: (0, 8).
    """
    labels = Labels("labels.csv", {"a.png": ("15 4", "16 1", "92 1")})

    plan = plan_patches(labels, {"a.png": (8, 12)}, [], SMALL)

    assert rows_of(plan, "a.png") == [(0, 0, 2), (0, 4, 0), (0, 8, 1), (4, 0, 2), (4, 4, 0), (4, 8, 0)]
    assert plan.table["class"].tolist() == ["ship", "background", "ship", "ship", "background", "background"]
    assert (plan.count("train", "ship"), plan.count("train", "background")) == (3, 3)
    assert (plan.count("valid", "ship"), plan.count("valid", "background")) == (0, 0)


def test_patches_overlap_if_the_stride_is_smaller():
    """5 x 6 px, patch 4, stride 2: rows 0 and 1 (moved back from 2), columns 0 and 2.

    Pixel 11 is row 0 of column 2, in both patches of row 0, in none of row 1. Pixel 30 is row 4 of column 5: (1, 2).
    """
    labels = Labels("labels.csv", {"a.png": ("11 1", "30 1")})

    plan = plan_patches(labels, {"a.png": (5, 6)}, [], PatchOptions(patch=4, stride=2, background_ratio=100))

    assert rows_of(plan, "a.png") == [(0, 0, 1), (0, 2, 1), (1, 0, 0), (1, 2, 1)]


def test_odd_size_ends_at_the_border():
    """300 = 128 + 128 + 44: the third row begins at 300 - 128 = 172; 410 needs a fourth column at 282."""
    labels = Labels("labels.csv", {"a.png": ("1 1",)})

    plan = plan_patches(labels, {"a.png": (300, 410)}, [], PatchOptions(background_ratio=100))

    expected = [(row, column) for row in (0, 128, 172) for column in (0, 128, 256, 282)]
    assert [(row, column) for row, column, _ in rows_of(plan, "a.png")] == expected


def test_image_smaller_than_the_patch_is_one_patch():
    """3 x 2 px, of which the last of the second column is ship, mirrored to 4 x 4: it stands there four times."""
    plan = plan_patches(Labels("labels.csv", {"a.png": ("6 1",)}), {"a.png": (3, 2)}, [], SMALL)

    assert rows_of(plan, "a.png") == [(0, 0, 4)]


@fast
@given(st.data(), st.integers(1, 12), st.integers(1, 12), st.integers(1, 6))
def test_every_patch_with_a_ship_pixel_is_kept_with_its_count(data, height, width, patch):
    """Counted once more by cutting the mask at every place where a patch may be."""
    stride = data.draw(st.integers(1, patch))
    pixels = st.integers(1, height * width)
    ships = tuple(f"{start} 1" for start in data.draw(st.lists(pixels, min_size=1, max_size=4)))
    options = PatchOptions(patch=patch, stride=stride, background_ratio=data.draw(st.sampled_from([0, 1, 200])))

    plan = plan_patches(Labels("labels.csv", {"a.png": ships}), {"a.png": (height, width)}, [], options)

    mask = mirrored(rle.decode(" ".join(ships), (height, width)), patch, patch)
    starts = [sorted({*range(0, max(side - patch, 0), stride), max(side - patch, 0)}) for side in (height, width)]
    expected = {
        (row, column): int(mask[row : row + patch, column : column + patch].sum())
        for row in starts[0]
        for column in starts[1]
    }
    kept = {(row, column): ship_pixels for row, column, ship_pixels in rows_of(plan, "a.png")}
    assert kept.items() <= expected.items()
    assert {place for place in expected if expected[place]} <= set(kept)
    ship_count, background = sum(map(bool, expected.values())), sum(count == 0 for count in expected.values())
    assert len(kept) == ship_count + min(background, ship_count * int(options.background_ratio))
    assert plan.candidates["train", "ship"] == ship_count
    assert plan.candidates["train", "background"] == background


@pytest.mark.parametrize(("ratio", "expected"), [(0, 0), (0.3, 3), (0.5, 5), (1, 10), (1.26, 13), (2.5, 25), (6, 60)])
def test_background_ratio_is_exact_to_one_patch(ratio, expected):
    """10 training ships, 5 for validation. The ratio 1.26 asks for 12.6 and 6.3, so 13 and 6.

    Ship images leave 3 background patches each, empty images 4: 10 * 3 + 10 * 4 = 70 train, 5 * 3 + 5 * 4 = 35.
    """
    labels, sizes = many_images(15, 15)
    validation = [name for name in sizes if name[-6:-4] >= "10"]

    plan = plan_patches(labels, sizes, validation, PatchOptions(patch=4, stride=4, background_ratio=ratio))

    assert plan.count("train", "ship") == 10
    assert plan.count("train", "background") == expected
    assert plan.count("valid", "ship") == 5
    assert abs(plan.count("valid", "background") - 5 * ratio) < 1
    assert plan.count("train", "background") + plan.count("valid", "background") == round(15 * ratio)
    assert plan.candidates == {
        ("train", "ship"): 10,
        ("train", "background"): 70,
        ("valid", "ship"): 5,
        ("valid", "background"): 35,
    }


@pytest.mark.parametrize(
    ("ship_images", "empty_images", "ratio", "expected"),
    [
        (10, 10, 2, (10, 10)),  # 20 wanted, half each
        (10, 10, 0.7, (4, 3)),  # 7 wanted: the odd one out of a ship image
        (10, 1, 2, (16, 4)),  # the empty image has but 4
        (4, 10, 6, (12, 12)),  # 24 wanted, and the ship images have just 12
        (4, 10, 8, (12, 20)),  # 32 wanted: ship images top out at 12
        (4, 1, 50, (12, 4)),  # all there is
        (4, 0, 1, (4, 0)),
    ],
)
def test_background_comes_evenly_from_ship_images_and_empty_ones(ship_images, empty_images, ratio, expected):
    """A ship image leaves 3 patches of background, an empty one 4; where one kind is short the other fills up."""
    plan = plan_patches(
        *many_images(ship_images, empty_images), [], PatchOptions(patch=4, stride=4, background_ratio=ratio)
    )

    assert drawn(plan) == expected


def test_no_patch_twice_and_the_background_is_drawn_at_random():
    """Over 30 seeds every one of the 3 + 4 background patches is drawn at some time."""
    places = set()
    for seed in range(30):
        options = PatchOptions(patch=4, stride=4, background_ratio=2, seed=seed)
        table = plan_patches(*many_images(1, 1), [], options).table
        assert not table.duplicated(["image", "row", "column"]).any()
        background = table[table["class"] == "background"]
        places |= set(background[["image", "row", "column"]].itertuples(index=False, name=None))
    assert len(places) == 7


def test_slots_are_a_shuffled_permutation_of_each_split_and_class():
    labels, sizes = many_images(60, 60)
    validation = [name for name in sizes if name[-6:-4] >= "30"]

    table = plan_patches(labels, sizes, validation, SMALL).table

    for split, kind in PARTS:
        slots = table["slot"][(table["split"] == split) & (table["class"] == kind)].to_numpy()
        assert sorted(slots) == list(range(len(slots)))
        # Neighbours in order differ by 1, at random by a third of all; a correlation of 0.5 is far from both.
        assert abs(np.corrcoef(slots, np.arange(len(slots)))[0, 1]) < 0.5


def test_the_split_is_the_one_asked_for_and_cuts_no_image():
    labels, sizes = many_images(6, 6)
    validation = {"ship00.png", "ship04.png", "empty01.png", "not there.png"}

    table = plan_patches(labels, sizes, validation, SMALL).table

    assert (table.groupby("image", observed=True)["split"].nunique() == 1).all()
    assert set(table["image"][table["split"] == "valid"]) == validation & set(sizes)
    assert set(table["image"]) == set(sizes)


def test_rows_are_in_the_order_of_images_and_places():
    """Whoever fills the store reads each image once."""
    table = plan_patches(*many_images(5, 5), [], PatchOptions(patch=4, stride=4, background_ratio=1)).table
    places = list(table[["image", "row", "column"]].astype({"image": str}).itertuples(index=False, name=None))

    assert places == sorted(places)
    assert len(places) == 10


def test_images_without_a_size_are_left_out():
    labels, sizes = many_images(3, 0)
    del sizes["ship01.png"]

    assert set(plan_patches(labels, sizes, [], SMALL).table["image"]) == {"ship00.png", "ship02.png"}


def test_fingerprint_is_the_same_for_equal_plans_and_another_for_any_other():
    labels, sizes = many_images(4, 4)
    options = PatchOptions(patch=4, stride=4, seed=3)
    moved = Labels("labels.csv", labels.ships | {"ship00.png": ("64 1",)})
    larger = Labels("labels.csv", labels.ships | {"ship00.png": ("1 2",)})
    renamed = Labels("labels.csv", {name.replace("ship", "boat"): ships for name, ships in labels.ships.items()})
    plans = [
        plan_patches(labels, sizes, [], options),
        plan_patches(labels, sizes, [], PatchOptions(patch=4, stride=4, seed=4)),
        plan_patches(labels, sizes, ["ship01.png"], options),
        plan_patches(labels, sizes, ["ship02.png"], options),
        plan_patches(moved, sizes, [], options),
        plan_patches(larger, sizes, [], options),
        plan_patches(renamed, {name.replace("ship", "boat"): size for name, size in sizes.items()}, [], options),
        plan_patches(labels, sizes, [], PatchOptions(patch=4, stride=4, seed=3, background_ratio=0.5)),
    ]

    assert len({plan.fingerprint for plan in plans}) == len(plans)
    again = plan_patches(Labels("another.csv", dict(labels.ships)), dict(sizes), [], options)
    assert again.fingerprint == plans[0].fingerprint
    assert again.table.equals(plans[0].table)


def test_fingerprint_is_the_same_in_every_run():
    """Another process hashes text with another seed of its own."""
    code = (
        "from shipseg_tiles.archive.labels import Labels\n"
        "from shipseg_tiles.patches.plan import PatchOptions, plan_patches\n"
        "options = PatchOptions(patch=4, stride=4, background_ratio=1, seed=1)\n"
        "print(plan_patches(Labels('', {'a.png': ('1 1',), 'b.png': ()}), dict.fromkeys(('a.png', 'b.png'), (8, 8)),"
        " [], options).fingerprint)"
    )
    plan = plan_patches(
        Labels("", {"a.png": ("1 1",), "b.png": ()}),
        dict.fromkeys(("a.png", "b.png"), (8, 8)),
        [],
        PatchOptions(patch=4, stride=4, background_ratio=1, seed=1),
    )

    environment = os.environ | {"PYTHONHASHSEED": "7"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == plan.fingerprint


@pytest.mark.parametrize("validation", [[], ["ship00.png"]])
def test_no_ship_to_train_on_is_refused(validation):
    """No ship at all, or the only one in an image that validates."""
    labels, sizes = many_images(len(validation), 3)

    with pytest.raises(InputError, match=r"labels\.csv shows no ship in any training image"):
        plan_patches(labels, sizes, validation, SMALL)


def test_labels_of_no_image_whose_size_is_known_are_refused():
    with pytest.raises(InputError, match=r"labels\.csv labels none of the 0 images"):
        plan_patches(many_images(1, 1)[0], {}, [], SMALL)


@pytest.mark.parametrize("ships", [("1 1",), ()])
def test_a_mask_of_another_size_than_its_image_is_refused(ships):
    labels = Labels("masks", {"a.png": ships, "b.png": ("1 1",)}, {"a.png": (4, 8), "b.png": (8, 4)})

    with pytest.raises(InputError, match=r"masks: the mask of a\.png has 4 x 8 pixels, the image 8 x 4"):
        plan_patches(labels, {"a.png": (8, 4), "b.png": (8, 4)}, [], SMALL)


def test_run_that_leaves_its_image_is_refused():
    with pytest.raises(InputError, match=r"labels\.csv: a\.png: run '9 1' leaves the image of 8 pixels"):
        plan_patches(Labels("labels.csv", {"a.png": ("9 1",)}), {"a.png": (4, 2)}, [], SMALL)


@pytest.mark.parametrize(
    "options",
    [
        {"patch": 0, "stride": 0},
        {"patch": -4},
        {"stride": 0},
        {"stride": 129},
        {"background_ratio": -0.1},
        {"background_ratio": float("nan")},
        {"background_ratio": float("inf")},
        {"background_from": "nowhere"},
        {"min_ship_pixels": 0},
        {"jitter": -1},
        {"resize": 0},
        {"patch": 8193, "stride": 8193},
        {"resize": 8193},
        {"max_per_ship_count": 0},
        {"seed": -1},
        {"seed": 2**64},
        {"jitter": 10**21},
        {"background_ratio": 1e308},
    ],
)
def test_options_out_of_their_range_are_refused(options):
    with pytest.raises(InputError, match="must be"):
        PatchOptions(**options)


@pytest.mark.parametrize(("origin", "expected"), [("ship-images", (6, 0)), ("empty-images", (0, 20))])
def test_background_from_one_kind_of_image_alone(origin, expected):
    """20 wanted; 2 ship images have 6 patches of background in all, 10 empty ones have 40."""
    options = PatchOptions(patch=4, stride=4, background_ratio=10, background_from=origin)

    assert drawn(plan_patches(*many_images(2, 10), [], options)) == expected


def test_patches_with_too_few_ship_pixels_are_neither_ship_nor_background():
    """Patches of 4 px in 8 x 8 px: three ship pixels in the upper left one, one in the lower left, none elsewhere."""
    labels = Labels("labels.csv", {"a.png": ("1 3", "5 1")})

    plan = plan_patches(
        labels, {"a.png": (8, 8)}, [], PatchOptions(patch=4, stride=4, background_ratio=9, min_ship_pixels=2)
    )

    assert rows_of(plan, "a.png") == [(0, 0, 3), (0, 4, 0), (4, 4, 0)]
    assert plan.candidates["train", "ship"] == 1
    assert plan.candidates["train", "background"] == 2


@fast
@given(st.data())
def test_jittered_ship_patches_hold_what_they_are_said_to_hold(data):
    """Compared with the mask itself: they stay inside the image, near the grid, and keep ship pixels enough."""
    height, width, patch = (data.draw(st.integers(1, 24)) for _ in range(3))
    jitter, least = data.draw(st.integers(1, 30)), data.draw(st.integers(1, 4))
    mask = np.zeros((height, width), dtype=np.uint8)
    for _ in range(data.draw(st.integers(1, 3))):
        row, column = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
        mask[row : row + 5, column : column + 3] = 1
    labels = Labels("labels.csv", {"a.png": (rle.encode(mask),)})
    options = PatchOptions(patch=patch, stride=patch, background_ratio=0, min_ship_pixels=least)
    try:
        still = rows_of(plan_patches(labels, {"a.png": (height, width)}, [], options), "a.png")
    except InputError:
        return  # no patch has so many ship pixels

    moved = rows_of(
        plan_patches(labels, {"a.png": (height, width)}, [], replace(options, jitter=jitter, seed=5)), "a.png"
    )

    cut = mirrored(mask, patch, patch)
    assert len(moved) == len(still)
    for (row, column, ship_pixels), (grid_row, grid_column, _) in zip(moved, still, strict=True):
        assert abs(row - grid_row) <= jitter
        assert abs(column - grid_column) <= jitter
        assert 0 <= row <= max(height - patch, 0)
        assert 0 <= column <= max(width - patch, 0)
        assert ship_pixels == cut[row : row + patch, column : column + patch].sum() >= least


def test_jitter_is_drawn_anew_by_each_seed_and_image_and_moves_no_background():
    """The ship pixel, row 79 and column 47, is in the middle of the patch (64, 32): no move of 15 px loses it."""
    labels = Labels("labels.csv", {"a.png": ("6096 1",), "b.png": ("6096 1",)})
    sizes = dict.fromkeys(labels.ships, (128, 128))

    def places(seed):
        options = PatchOptions(patch=32, stride=32, jitter=15, background_ratio=99, seed=seed)
        table = plan_patches(labels, sizes, [], options).table
        background = table[table["class"] == "background"]
        assert (background[["row", "column"]] % 32 == 0).all(axis=None)
        return table[table["class"] == "ship"][["row", "column"]].to_numpy().tolist()

    assert len({tuple(place) for seed in range(5) for place in places(seed)}) >= 8
    assert places(3) == places(3)


def test_a_jitter_goes_as_far_as_it_may_in_all_directions():
    """The ship pixel, row 5 and column 5, is inside the patch (4, 4) of 4 px wherever 1 px moves it."""
    labels = Labels("labels.csv", {f"{number}.png": ("66 1",) for number in range(60)})
    options = PatchOptions(patch=4, stride=4, jitter=1, background_ratio=0)

    table = plan_patches(labels, dict.fromkeys(labels.ships, (12, 12)), [], options).table

    places = set(table[["row", "column"]].itertuples(index=False, name=None))
    assert places == {(row, column) for row in (3, 4, 5) for column in (3, 4, 5)}


def test_at_most_so_many_images_of_each_number_of_ships():
    """5 images without, 3 with one ship, 1 with two; 2 of each are allowed."""
    counts = {f"{letter}.png": ships for letter, ships in zip("abcdefghi", [0, 1, 0, 2, 0, 1, 0, 1, 0], strict=True)}

    chosen = {seed: limit_per_ship_count(counts, PatchOptions(max_per_ship_count=2, seed=seed)) for seed in range(20)}

    for names in chosen.values():
        assert names == sorted(names)
        assert sorted(counts[name] for name in names) == [0, 0, 1, 1, 2]
    assert set().union(*chosen.values()) == set(counts)
    assert limit_per_ship_count(counts, PatchOptions()) == list(counts)


def test_nothing_else_moves_when_an_image_goes():
    """The patches of all other images stay; of the background one more may be drawn or one fewer for each lost ship."""
    labels, sizes = many_images(40, 40)
    options = PatchOptions(patch=4, stride=4, background_ratio=1, seed=4)
    key = ["image", "row", "column"]

    def kept(sizes):
        return set(plan_patches(labels, sizes, [], options).table[key].itertuples(index=False, name=None))

    before = kept(sizes)
    after = kept({name: size for name, size in sizes.items() if name != "ship07.png"})

    of_others = {place for place in before if place[0] != "ship07.png"}
    assert len(of_others - after) <= 1
    assert len(after - of_others) <= 3


def test_background_of_a_smaller_ratio_is_part_of_that_of_a_larger_one():
    def kept(ratio):
        options = PatchOptions(patch=4, stride=4, background_ratio=ratio, seed=4)
        table = plan_patches(*many_images(20, 20), [], options).table
        return set(table[["image", "row", "column"]].itertuples(index=False, name=None))

    assert kept(0) < kept(0.5) < kept(1) < kept(2)


@pytest.mark.parametrize("shards", [1, 2, 5, CELLS])
def test_shards_one_after_the_other_are_the_plan(shards):
    """Joined in order, the slots of the shards are those of the whole; each image lies in one shard.

    A shard travels to another process, so it may not carry the names of all images.
    """
    labels, sizes = many_images(100, 100)
    plan = plan_patches(labels, sizes, [f"ship{number:02}.png" for number in range(30)], SMALL)

    parts = [plan.shard(number, shards) for number in range(shards)]

    for key, whole in plan.sources().items():
        joined = pd.concat([part.sources()[key].astype({"image": str}) for part in parts], ignore_index=True)
        assert joined.equals(whole.astype({"image": str}).reset_index(drop=True))
    images = [set(part.table["image"].cat.categories) for part in parts]
    assert sum(map(len, images)) == len(set().union(*images)) == 200
    assert fingerprint_of(parts[0].sources()) == parts[0].fingerprint
