import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipseg_tiles.errors import InputError
from shipseg_tiles.patches.batch_mix import BatchMix
from shipseg_tiles.patches.feed import RatioFeed, ValidationFeed
from shipseg_tiles.patches.make import make_patches
from shipseg_tiles.patches.options import ORDERS, Layout, PatchOptions
from shipseg_tiles.patches.plan import PatchPlan
from shipseg_tiles.patches.ship_fraction import ShipFraction
from shipseg_tiles.patches.store import PatchStore, find_slots
from shipseg_tiles.patches.store_layout import CLASSES, PARTS
from shipseg_tiles.patches.store_writer import create_store

fast = settings(deadline=None, max_examples=40)

SIDE = 4


def mix(size, ships, epochs=1, mined_fraction=0.0):
    return BatchMix.parse(size, str(ships), epochs, mined_fraction)


def numbered_store(folder, *counts, first=0):
    """Make a store of so many patches of each split and class that tell who they are.

    The colour of a patch is its slot, in two bytes, and its kind; its mask is the slot in binary digits. Slots count
    from `first`. All patches of a split come from one image, `train.jpg` or `valid.jpg`.
    """
    rows = [(f"{key[0]}.jpg", slot, *key) for key, count in zip(PARTS, counts, strict=True) for slot in range(count)]
    table = pd.DataFrame(rows, columns=["image", "slot", "split", "class"])
    table["row"] = table["column"] = table["ship_pixels"] = 0
    path = Path(folder) / f"patches{first or ''}.h5"
    create_store(path, PatchPlan(table, {}), {"patch": SIDE, "stride": SIDE, "resize": None, "seed": 0})
    writer = find_slots(path)
    for number, (key, count) in enumerate(zip(PARTS, counts, strict=True)):
        for slot in range(count):
            name = first + slot
            image = np.full((SIDE, SIDE, 3), (name % 256, name // 256, number), dtype=np.uint8)
            writer.write(*key, slot, image, digits_of(name))
    return PatchStore(path)


def digits_of(slot):
    return np.array([slot >> digit & 1 for digit in range(SIDE * SIDE)], dtype=np.uint8).reshape(SIDE, SIDE)


def patches_of(batch):
    """Return who the patches of a batch are, as (split, class), slot, after a check that the masks are theirs."""
    images, masks = batch
    assert images.dtype == masks.dtype == np.uint8
    assert images.shape[1:] == (SIDE, SIDE, 3)
    assert masks.shape == images.shape[:3]
    assert np.all(images == images[:, :1, :1])
    found = []
    for (low, high, number), mask in zip(images[:, 0, 0].tolist(), masks, strict=True):
        slot = low + 256 * high
        assert np.array_equal(mask, digits_of(slot))
        found.append((PARTS[number], slot))
    return found


def epoch_of(feed):
    """Return the batches of the feed's epoch: of each the slots of its ships, and those of its background."""
    batches = []
    for index in range(len(feed)):
        patches = patches_of(feed[index])
        assert {split for (split, _), _ in patches} == {"train"}
        batches.append(tuple([slot for (_, kind), slot in patches if kind == wanted] for wanted in CLASSES))
    return batches


def epochs_of(feed, count):
    epochs = []
    for _ in range(count):
        epochs.append(epoch_of(feed))
        feed.on_epoch_end()
    return epochs


@fast
@given(
    st.integers(1, 40),
    st.integers(1, 20),
    st.integers(1, 12),
    st.sampled_from([0.1, 0.25, 0.5, 0.7, 1]),
    st.integers(0),
    st.sampled_from(ORDERS),
)
def test_feed_keeps_its_promises(tmp_path_factory, ships, background, batch_size, fraction, seed, order):
    """Over four epochs: the same number of ships in every batch, every ship once an epoch, all background in turn."""
    store = numbered_store(tmp_path_factory.mktemp("store"), ships, background, 3, 3)
    per_batch = round(batch_size * fraction)
    if not per_batch:
        with pytest.raises(InputError, match=f"gives 0 ships in {batch_size} patches"):
            RatioFeed(store, mix(batch_size, fraction), seed, order)
        return

    epochs = epochs_of(RatioFeed(store, mix(batch_size, fraction), seed, order), 4)

    background_shown = []
    for batches in epochs:
        assert all(len(of_ships) == per_batch for of_ships, _ in batches)
        assert all(len(of_background) == batch_size - per_batch for _, of_background in batches)
        shown = [slot for of_ships, _ in batches for slot in of_ships]
        assert 0 <= len(shown) - ships < per_batch
        assert sorted(shown[:ships]) == list(range(ships))
        fill_up = shown[ships : 2 * ships]
        assert len(set(fill_up)) == len(fill_up)
        background_shown += [slot for _, of_background in batches for slot in of_background]
    for first in range(0, len(background_shown), background):
        round_of_all = background_shown[first : first + background]
        assert len(set(round_of_all)) == len(round_of_all)


@pytest.mark.parametrize(
    ("batch_size", "fraction", "expected"),
    [(8, 0.5, 4), (8, 0.25, 2), (8, 0.3, 2), (8, 0.07, 1), (8, 0.9, 7), (8, 1, 8), (10, 0.33, 3), (1, 1, 1)],
)
def test_ships_in_a_batch_worked_out_by_hand(batch_size, fraction, expected, tmp_path):
    """8 * 0.3 = 2.4 and 8 * 0.07 = 0.56 are rounded to 2 and 1, 8 * 0.9 = 7.2 to 7.

    So 30 ships are 30 / 4 = 7.5, so 8 batches at four ships each, 15 at two, and so on.
    """
    feed = RatioFeed(numbered_store(tmp_path, 30, 5, 0, 0), mix(batch_size, fraction), seed=1)

    assert {len(of_ships) for of_ships, _ in epoch_of(feed)} == {expected}
    assert len(feed) == np.ceil(30 / expected)


def test_every_background_patch_is_shown_before_one_repeats(tmp_path):
    """2 batches of 2 ships and 2 background patches make 4 an epoch: 12 background patches are three epochs long."""
    epochs = epochs_of(RatioFeed(numbered_store(tmp_path, 4, 12, 0, 0), mix(4, 0.5), seed=1), 6)
    shown = [slot for batches in epochs for _, of_background in batches for slot in of_background]

    assert sorted(shown[:12]) == sorted(shown[12:]) == list(range(12))
    assert shown[:12] != shown[12:]


def test_ships_are_mixed_anew_in_every_epoch(tmp_path):
    """Of 40 ships the chance is 1 in 40! that two epochs are alike; and the order is not that of the store."""
    epochs = epochs_of(RatioFeed(numbered_store(tmp_path, 40, 40, 0, 0), mix(8, 0.5), seed=1), 3)
    orders = [[slot for of_ships, _ in batches for slot in of_ships] for batches in epochs]

    assert len({tuple(order) for order in [*orders, range(40)]}) == 4


def test_seed_and_epoch_decide_the_batches_and_a_run_taken_up_again_sees_the_same(tmp_path):
    store = numbered_store(tmp_path, 20, 13, 0, 0)
    epochs = epochs_of(RatioFeed(store, mix(8, 0.5), seed=1), 4)

    later = RatioFeed(PatchStore(*store.paths), mix(8, 0.5), seed=1)
    later.epoch = 2

    assert epochs_of(later, 2) == epochs[2:]
    assert epochs_of(RatioFeed(store, mix(8, 0.5), seed=2), 4) != epochs


def test_a_schedule_changes_the_ships_of_each_epoch_by_hand(tmp_path):
    """From 0.9 to 0.5 of 10 patches in 3 epochs: 9, 7 and 5 ships, and 5 ever after.

    30 ships are 4 batches at 9 (36), 5 at 7 (35) and 6 at 5 (30).
    """
    store = numbered_store(tmp_path, 30, 20, 0, 0)
    epochs = epochs_of(RatioFeed(store, mix(10, "0.9:0.5", 3), seed=1), 4)

    assert [len(batches) for batches in epochs] == [4, 5, 6, 6]
    assert [{len(of_ships) for of_ships, _ in batches} for batches in epochs] == [{9}, {7}, {5}, {5}]
    assert [{len(of_background) for _, of_background in batches} for batches in epochs] == [{1}, {3}, {5}, {5}]
    for batches in epochs:
        assert sorted([slot for of_ships, _ in batches for slot in of_ships][:30]) == list(range(30))


def test_background_goes_round_through_the_epochs_of_a_schedule(tmp_path):
    """The schedule above shows 4, 15 and 30 background patches, together 49: 7 rounds of 7 without a gap."""
    store = numbered_store(tmp_path, 30, 7, 0, 0)
    epochs = epochs_of(RatioFeed(store, mix(10, "0.9:0.5", 3), seed=1), 3)
    shown = [slot for batches in epochs for _, of_background in batches for slot in of_background]

    assert len(shown) == 49
    assert all(sorted(shown[first : first + 7]) == list(range(7)) for first in range(0, 49, 7))


@pytest.mark.parametrize("order", ORDERS)
def test_a_scheduled_run_taken_up_again_sees_the_same(order, tmp_path):
    store = numbered_store(tmp_path, 20, 13, 0, 0)
    rising = "0.25:0.75"
    epochs = epochs_of(RatioFeed(store, mix(8, rising, 4), 1, order), 4)

    later = RatioFeed(PatchStore(*store.paths), mix(8, rising, 4), 1, order)
    later.epoch = 2

    assert epochs_of(later, 2) == epochs[2:]
    assert epochs_of(RatioFeed(store, mix(8, rising, 4), 2, order), 4) != epochs


def test_sequential_order_reads_from_front_to_back_and_wraps_around(tmp_path):
    """Of 40 ships, each follows the one before it; only the last is followed by the first. Epochs begin elsewhere."""
    epochs = epochs_of(RatioFeed(numbered_store(tmp_path, 40, 40, 0, 0), mix(8, 0.5), 1, "sequential"), 4)
    ships = [[slot for of_ships, _ in batches for slot in of_ships] for batches in epochs]
    background = [[slot for _, of_background in batches for slot in of_background] for batches in epochs]

    for shown in ships + background:
        assert [slot % 40 for slot in range(shown[0], shown[0] + 40)] == shown
    assert len({shown[0] for shown in ships}) > 1
    assert len({shown[0] for shown in background}) > 1


def test_an_order_that_there_is_not_is_refused(tmp_path):
    with pytest.raises(InputError, match="there is no order 'sorted'; choose one of random, sequential"):
        RatioFeed(numbered_store(tmp_path, 5, 5, 0, 0), mix(4, 0.5), 1, "sorted")


def test_several_stores_feed_as_one(tmp_path):
    """7 and 5 ships, 3 and 6 background patches: in 6 batches of 2 and 2, each ship once, and 9 of 12 once."""
    stores = [numbered_store(tmp_path, 7, 3, 1, 2), numbered_store(tmp_path, 5, 6, 2, 0, first=100)]
    both = PatchStore(*(path for store in stores for path in store.paths))
    batches = epoch_of(RatioFeed(both, mix(4, 0.5), seed=1))

    ships, background = ([slot for batch in batches for slot in batch[kind]] for kind in (0, 1))
    assert sorted(ships) == [*range(7), *range(100, 105)]
    assert sorted(background[:9]) == [*range(3), *range(100, 106)]
    assert patches_of(ValidationFeed(both, 10)[0]) == [
        *[(("valid", "ship"), slot) for slot in (0, 100, 101)],
        *[(("valid", "background"), slot) for slot in (0, 1)],
    ]


@pytest.fixture(scope="module")
def alike(scenes, tmp_path_factory):
    """The same patches in one plain file, in shards, and compressed."""
    folder = tmp_path_factory.mktemp("alike")
    options = PatchOptions(patch=64, stride=64, seed=7, valid_fraction=0.25, full_images=0)
    layouts = {"plain": Layout(), "shards": Layout(shards=3), "gzip": Layout(compression="gzip")}
    for name, layout in layouts.items():
        make_patches(scenes, folder / f"{name}.h5", options, workers=1, layout=layout)
    return {name: PatchStore(folder / f"{name}.h5") for name in layouts}


@pytest.mark.parametrize("layout", ["shards", "gzip"])
@pytest.mark.parametrize("order", ORDERS)
def test_the_layout_of_a_store_changes_no_byte_of_a_batch(alike, layout, order):
    wanted, feed = (RatioFeed(alike[name], mix(6, 0.5), 1, order) for name in ("plain", layout))

    assert len(alike["shards"].sets["train", "ship"].parts) > 1
    assert len(feed) == len(wanted) > 3
    for index in range(len(wanted)):
        assert all(map(np.array_equal, feed[index], wanted[index]))
    validation, other = (ValidationFeed(alike[name], 50)[0] for name in ("plain", layout))
    assert all(map(np.array_equal, validation, other))


@pytest.mark.parametrize("layout", ["plain", "shards", "gzip"])
def test_a_feed_goes_to_another_process_as_its_paths(alike, layout):
    """The patches are more than 1 MB; 4,000 bytes hold a few paths and numbers."""
    feed, validation = RatioFeed(alike[layout], mix(6, 0.5), seed=1), ValidationFeed(alike[layout], 6)
    feed.epoch = 2

    sent, sent_validation = pickle.dumps(feed), pickle.dumps(validation)

    assert max(len(sent), len(sent_validation)) < 4_000
    assert all(map(np.array_equal, pickle.loads(sent)[1], feed[1]))
    assert all(map(np.array_equal, pickle.loads(sent_validation)[1], validation[1]))


def test_batches_do_not_depend_on_the_order_in_which_they_are_fetched(tmp_path):
    """Keras fetches them in several threads."""
    store = numbered_store(tmp_path, 20, 13, 0, 0)
    forwards, backwards = RatioFeed(store, mix(8, 0.5), seed=1), RatioFeed(store, mix(8, 0.5), seed=1)

    last_first = [patches_of(backwards[index]) for index in reversed(range(len(backwards)))]

    assert last_first[::-1] == [patches_of(forwards[index]) for index in range(len(forwards))]


def test_ships_alone_need_no_background(tmp_path):
    """5 ships in batches of 4: the second batch holds the fifth and is filled up with the first three again."""
    batches = epoch_of(RatioFeed(numbered_store(tmp_path, 5, 0, 0, 0), mix(4, 1), seed=1))

    assert [len(of_ships) for of_ships, _ in batches] == [4, 4]
    assert batches[1][0][1:] == batches[0][0][:3]
    assert sorted(batches[0][0] + batches[1][0][:1]) == [0, 1, 2, 3, 4]


def test_background_is_needed_unless_ships_are_all(tmp_path):
    with pytest.raises(InputError, match=r"patches\.h5 holds no background for ship fraction 0\.5; use 1"):
        RatioFeed(numbered_store(tmp_path, 5, 0, 0, 0), mix(4, 0.5), seed=1)


def test_batches_are_copies(tmp_path):
    """Augmentation may change them; the store stays as it is."""
    store = numbered_store(tmp_path, 4, 4, 0, 0)
    before = store.paths[0].read_bytes()
    images, masks = RatioFeed(store, mix(4, 0.5), seed=1)[0]

    images[:], masks[:] = 255, 255

    assert store.paths[0].read_bytes() == before


def test_more_than_256_slots_are_told_apart(tmp_path):
    """300 ships need the second byte of their colour: a check of the helper above too."""
    batches = epoch_of(RatioFeed(numbered_store(tmp_path, 300, 1, 0, 0), mix(150, 1), seed=1))

    assert sorted(slot for of_ships, _ in batches for slot in of_ships) == list(range(300))


MINED = 1000
"""Where the slots of mined patches begin, which tells them from other background."""


def mined_store(folder, count):
    return numbered_store(folder, 0, count, 0, 0, first=MINED)


def with_mined_apart(epochs):
    """Return the batches of some epochs in one list: of each the slots of its ships, other background, mined ones."""
    return [
        (ships, [slot for slot in others if slot < MINED], [slot for slot in others if slot >= MINED])
        for batches in epochs
        for ships, others in batches
    ]


def assert_in_turn(slots, count):
    """Check that of so many patches none is shown again before all the others were."""
    for first in range(0, len(slots), count):
        assert len(set(slots[first : first + count])) == len(slots[first : first + count])


@fast
@given(
    st.tuples(st.integers(1, 30), st.integers(1, 15), st.integers(1, 15)),
    st.integers(1, 20),
    st.sampled_from(["0.1", "0.25", "0.5", "0.8", "0.9:0.5", "0.2:0.6"]),
    st.sampled_from([0.05, 0.1, 0.2, 0.25, 0.5, 0.75]),
    st.integers(0),
    st.sampled_from(ORDERS),
)
def test_mined_patches_take_the_place_of_background_alone(
    tmp_path_factory, counts, batch_size, shares, mined_fraction, seed, order
):
    """Over four epochs: as many mined patches in every batch, all of them in turn, and the ships of a feed without."""
    folder = tmp_path_factory.mktemp("store")
    ships, background, mined = counts
    fraction = ShipFraction.parse(shares, 3)
    plain, other = numbered_store(folder, ships, background, 1, 1), mined_store(folder, mined)
    per_batch = round(batch_size * mined_fraction)
    in_batch = [round(batch_size * fraction.at(epoch)) for epoch in range(4)]
    if not min(in_batch) or not per_batch or max(in_batch) + per_batch > batch_size:
        with pytest.raises(InputError, match=f"gives 0 |more than the {batch_size} of a batch"):
            RatioFeed(plain, mix(batch_size, shares, 3, mined_fraction), seed, order, other)
        return

    without = with_mined_apart(epochs_of(RatioFeed(plain, mix(batch_size, shares, 3), seed, order), 4))
    epochs = epochs_of(RatioFeed(plain, mix(batch_size, shares, 3, mined_fraction), seed, order, other), 4)

    batches = with_mined_apart(epochs)
    assert [of_ships for of_ships, _, _ in batches] == [of_ships for of_ships, _, _ in without]
    assert {len(of_mined) for _, _, of_mined in batches} == {per_batch}
    for (_, of_background, _), (_, all_background, _) in zip(batches, without, strict=True):
        assert len(of_background) == len(all_background) - per_batch
    assert_in_turn([slot for _, of_background, _ in batches for slot in of_background], background)
    assert_in_turn([slot for _, _, of_mined in batches for slot in of_mined], mined)


def test_shares_of_a_batch_worked_out_by_hand(tmp_path):
    """Of 10 patches 0.2 are 2 mined ones; ships go from 0.8 to 0.4 in 3 epochs: 8, 6 and 4, the rest is background.

    24 ships are 3 batches at 8, 4 at 6 and 6 at 4: 13 batches with 26 mined patches, two rounds of 13.
    """
    feed = RatioFeed(
        numbered_store(tmp_path, 24, 20, 0, 0),
        *(mix(10, "0.8:0.4", 3, 0.2), 1, "random", mined_store(tmp_path, 13)),
    )
    batches = with_mined_apart(epochs_of(feed, 3))

    assert [tuple(map(len, batch)) for batch in batches] == [(8, 0, 2)] * 3 + [(6, 2, 2)] * 4 + [(4, 4, 2)] * 6
    shown = [slot for _, _, of_mined in batches for slot in of_mined]
    assert sorted(shown[:13]) == sorted(shown[13:]) == list(range(MINED, MINED + 13))
    assert shown[:13] != shown[13:]


@pytest.mark.parametrize("order", ORDERS)
def test_a_run_with_mined_patches_taken_up_again_sees_the_same(order, tmp_path):
    store, mined = numbered_store(tmp_path, 20, 13, 0, 0), mined_store(tmp_path, 7)
    falling = "0.75:0.25"
    epochs = epochs_of(RatioFeed(store, mix(8, falling, 4, 0.25), 1, order, mined), 4)

    later = pickle.loads(pickle.dumps(RatioFeed(store, mix(8, falling, 4, 0.25), 1, order, mined)))
    later.epoch = 2

    assert epochs_of(later, 2) == epochs[2:]
    assert epochs_of(RatioFeed(store, mix(8, falling, 4, 0.25), 2, order, mined), 4) != epochs


def test_ships_and_mined_patches_alone_need_no_background(tmp_path):
    """Of 4 patches 0.75 are 3 ships, 0.25 are 1 mined patch."""
    store, mined = numbered_store(tmp_path, 6, 0, 0, 0), mined_store(tmp_path, 2)

    batches = with_mined_apart([epoch_of(RatioFeed(store, mix(4, 0.75, 1, 0.25), 1, mined=mined))])

    assert [tuple(map(len, batch)) for batch in batches] == [(3, 0, 1)] * 2
    with pytest.raises(InputError, match=r"for ship fraction 0\.5 beside mined fraction 0\.25; use 0\.75"):
        RatioFeed(store, mix(4, 0.5, 1, 0.25), 1, mined=mined)


def test_a_mined_fraction_needs_mined_patches(tmp_path):
    with pytest.raises(InputError, match=r"mined fraction 0\.2 needs mined patches; make them with mine"):
        RatioFeed(numbered_store(tmp_path, 5, 5, 0, 0), mix(10, 0.5, 1, 0.2), 1)


def test_mined_patches_need_a_share(tmp_path):
    with pytest.raises(InputError, match=r"mined fraction 0\.0 must be .* to feed patches of .*1000\.h5"):
        RatioFeed(numbered_store(tmp_path, 5, 5, 0, 0), mix(10, 0.5), 1, mined=mined_store(tmp_path, 5))


def test_an_empty_mined_store_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"patches1000\.h5 holds no background to train on; make it with mine"):
        RatioFeed(numbered_store(tmp_path, 5, 5, 0, 0), mix(10, 0.5, 1, 0.2), 1, mined=mined_store(tmp_path, 0))


def test_mined_patches_of_another_scale_are_refused(alike, tmp_path):
    with pytest.raises(InputError, match=r"has patches of 4 px stored at 4 px, .*plain\.h5 of 64 px stored at 64 px"):
        RatioFeed(alike["plain"], mix(6, 0.5, 1, 0.2), 1, mined=mined_store(tmp_path, 5))


def test_patches_mined_where_the_store_validates_are_refused(tmp_path):
    """As mined with another store, one that trains on that image: its patches validate here."""
    table = pd.DataFrame({"image": ["valid.jpg"], "row": 0, "column": 0, "ship_pixels": 0, "slot": 0})
    plan = PatchPlan(table.assign(split="train", **{"class": "background"}), {})
    create_store(tmp_path / "mined.h5", plan, {"patch": SIDE, "stride": SIDE, "resize": None, "seed": 0})
    mined = PatchStore(tmp_path / "mined.h5")

    with pytest.raises(InputError, match=r"mined\.h5 holds patches of valid\.jpg, which validates in .*patches\.h5"):
        RatioFeed(numbered_store(tmp_path, 5, 5, 0, 1), mix(10, 0.5, 1, 0.2), 1, mined=mined)


@pytest.mark.parametrize(
    ("ships", "background", "sizes"), [(5, 4, [4, 4, 1]), (4, 4, [4, 4]), (3, 0, [3]), (0, 2, [2]), (0, 0, [])]
)
def test_validation_shows_each_patch_once_in_the_order_of_the_store(ships, background, sizes, tmp_path):
    feed = ValidationFeed(numbered_store(tmp_path, 2, 2, ships, background), 4)

    batches = [patches_of(feed[index]) for index in range(len(feed))]

    assert [len(batch) for batch in batches] == sizes
    expected = [("ship", slot) for slot in range(ships)] + [("background", slot) for slot in range(background)]
    assert [patch for batch in batches for patch in batch] == [(("valid", kind), slot) for kind, slot in expected]


def test_real_patches_reach_the_net_with_their_masks(store):
    """23 ships in batches of 6 at two thirds, so 4 ships first: 6 batches, the last of which repeats a ship."""
    feed = RatioFeed(store, mix(6, 2 / 3), seed=0)
    known = {
        patch.tobytes(): mask
        for kind in CLASSES
        for patch, mask in zip(*store.sets["train", kind].read(np.arange(len(store.sets["train", kind]))), strict=True)
    }

    assert len(feed) == 6
    for index in range(6):
        images, masks = feed[index]
        assert images.shape == (6, 64, 64, 3)
        assert masks.any(axis=(1, 2)).tolist() == [True] * 4 + [False] * 2
        assert all(np.array_equal(known[patch.tobytes()], mask) for patch, mask in zip(images, masks, strict=True))
