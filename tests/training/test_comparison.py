import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import keras
import numpy as np
import pytest

from shipseg_tiles.archive.places import find_pairs
from shipseg_tiles.archive.signatures import read_signatures
from shipseg_tiles.digests import checksum
from shipseg_tiles.nets.contract import Contract
from shipseg_tiles.nets.contract_file import write_contract
from shipseg_tiles.scoring.image_score import ImageScore
from shipseg_tiles.training.comparison import FoldResult, divide, measure_fold, tabulate


@pytest.fixture(scope="module")
def processes():
    with ThreadPoolExecutor(2) as executor:
        yield executor


def test_each_image_is_held_out_once(scenes, processes):
    """16 images in folds of 4; of the 12 others of each a quarter validates."""
    divisions = divide(scenes, 4, 0.25, 0, processes)

    assert sorted(name for division in divisions for name in division.test) == sorted(scenes.files)
    for division in divisions:
        assert len(division.test) == 4
        assert sorted([*division.split, *division.test]) == sorted(scenes.files)
        assert sorted(division.split.values()) == ["train"] * 9 + ["valid"] * 3


def test_no_place_is_on_two_sides(crops, processes):
    """Two crops of each of 5 places, and open water."""
    signatures, _ = read_signatures(crops.files, processes)
    pairs = find_pairs(signatures)
    assert [(pair.first, pair.second) for pair in pairs] == [(f"{place}a.jpg", f"{place}b.jpg") for place in range(5)]

    divisions = divide(crops, 3, 0.3, 0, processes)

    assert sorted(name for division in divisions for name in division.test) == sorted(crops.files)
    for division in divisions:
        part = dict.fromkeys(division.test, "test") | division.split
        assert set(part.values()) == {"test", "train", "valid"}
        assert all(part[pair.first] == part[pair.second] for pair in pairs)


def test_the_seed_decides_what_validates_but_not_the_folds(scenes, processes):
    one, same, other = (divide(scenes, 4, 0.25, seed, processes) for seed in (3, 3, 4))

    assert one == same
    assert [division.test for division in one] == [division.test for division in other]
    assert [division.split for division in one] != [division.split for division in other]


def saved(answer, shape, path):
    """Save a net that always answers the same, with its contract."""
    pixels = keras.Input((None, None, 3), dtype="uint8")
    features = keras.layers.Rescaling(0.0, offset=answer)(pixels)
    if shape == "classifier":
        features = keras.layers.GlobalMaxPooling2D()(features)
        features = keras.layers.Dense(1, kernel_initializer=keras.initializers.Constant(1 / 3), use_bias=False)(
            features
        )
    else:
        kernel = keras.initializers.Constant(1 / 3)
        features = keras.layers.Conv2D(1, 1, kernel_initializer=kernel, use_bias=False)(features)
    keras.Model(pixels, features).save(path)
    reach = None if shape == "classifier" else 0
    contract = Contract(checksum(path), "flat", 256, 0.5, 1, 256, 0.0, 1, reach, trained_on={"patches_seen": 640})
    write_contract(contract, path)
    return path


def row_of(*measured):
    return tabulate({"one": measured})["one"]


def test_a_net_that_sees_no_ships_is_right_on_empty_images_alone(scenes, tmp_path):
    """9 of the 16 images are empty. The one convolution has 3 weights."""
    measured = measure_fold(saved(0.0, "segmenter", tmp_path / "net.keras"), None, scenes, 1.234)

    row = row_of(measured)
    assert [score.image for score in measured.scores] == list(scenes.files)
    assert row["dice_mean_all_images"] == pytest.approx(9 / 16)
    assert row["dice_mean_ship_images"] == 0
    assert row["empty_images_with_false_ships"] == 0
    assert (row["parameters"], row["training_minutes"], row["patches_seen"]) == (3, 1.23, 640)
    assert 0 < row["seconds_per_image"] < 10


def test_a_classifier_keeps_a_net_from_seeing_ships_everywhere(scenes, tmp_path):
    """The net takes everything for ship, and the classifier lets no image through. Together they have 6 weights."""
    net = saved(1.0, "segmenter", tmp_path / "net.keras")

    alone = row_of(measure_fold(net, None, scenes, 1))
    filtered = row_of(measure_fold(net, saved(0.0, "classifier", tmp_path / "classifier.keras"), scenes, 1))

    assert alone["empty_images_with_false_ships"] == 1
    assert filtered["empty_images_with_false_ships"] == 0
    assert filtered["parameters"] == 6


def fold(dices, seconds=0.1, minutes=1.0, seen=16):
    """A net on images of 64 px with a ship of 53 pixels each; only its true dices differ."""
    scores = [
        ImageScore(f"{index}", (8, 8), 53, 53, 20, 1, 1, dice, 0.5, 1, (53,), ()) for index, dice in dices.items()
    ]
    return FoldResult(tuple(scores), seconds, 7, minutes, seen)


def test_what_is_measured_comes_back_from_json():
    """Numbers that are all different, and sizes of no ship, one and two."""
    scores = (
        ImageScore("a.jpg", (1, 2), 3, 4, 5, 6, 7, 0.8, 0.9, 0.95, (10, 11), (11,)),
        ImageScore("b.jpg", (1, 2), 0, 0, 0, 0, 0, 1.0, 1.0, 1.0, (), ()),
    )
    measured = FoldResult(scores, 0.125, 12, 13.5, 14)

    assert FoldResult.from_json(json.loads(json.dumps(asdict(measured)))) == measured


def test_folds_are_summed_up_image_by_image():
    """One fold of three images at 0.1 s, one of a single image at 0.5 s: (3 * 0.1 + 0.5) / 4 = 0.2 s, and a true dice
    of (0 + 0.25 + 0.5 + 0.75) / 4 = 0.375, not the mean 0.5 of the folds' 0.25 and 0.75; the mean of 1 and 4 minutes,
    and of 16 and 48 patches.
    """
    row = row_of(fold({1: 0, 2: 0.25, 3: 0.5}, 0.1, 1, 16), fold({4: 0.75}, 0.5, 4, 48))

    assert (row["images"], row["ship_images"], row["parameters"]) == (4, 4, 7)
    assert row["dice_mean_all_images"] == pytest.approx(0.375)
    assert row["seconds_per_image"] == pytest.approx(0.2)
    assert row["training_minutes"] == pytest.approx(2.5)
    assert row["patches_seen"] == 32
    assert row["intervals"]["dice_mean_all_images"][0] < 0.375 < row["intervals"]["dice_mean_all_images"][1]


def test_each_is_compared_with_the_first_on_the_same_images():
    """The second is better by 0.25 on each of three images in two folds, the third worse by 0.25 on one."""
    first = [fold({1: 0.5, 2: 0.25}), fold({3: 0.5})]
    better = [fold({1: 0.75, 2: 0.5}), fold({3: 0.75})]
    worse = [fold({1: 0.25, 2: 0.25}), fold({3: 0.5})]

    rows = tabulate({"first": first, "better": better, "worse": worse})

    assert [row["dice_difference"] for row in rows.values()] == [None, 0.25, pytest.approx(-0.25 / 3)]
    assert [rows[name]["intervals"]["dice_difference"] for name in ("first", "better")] == [None, [0.25, 0.25]]
    assert rows["worse"]["intervals"]["dice_difference"] == pytest.approx([-0.25, 0])


def test_images_that_cannot_be_told_apart_are_divided_one_by_one(processes, scenes):
    """Too even to compare, they are places of their own."""
    division = divide(scenes, 2, 0.0, 0, processes)[0]

    assert len(division.test) == 8
    assert set(division.split.values()) == {"train"}
    assert np.isin(division.test, list(scenes.files)).all()
