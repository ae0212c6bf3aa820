from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest

from shipseg_tiles.archive.scenes import find_pairs
from shipseg_tiles.archive.signatures import read_signatures
from shipseg_tiles.nets.contract import Contract, checksum, write_contract
from shipseg_tiles.training.comparison import COLUMNS, divide, measure, table_text


@pytest.fixture(scope="module")
def processes():
    with ThreadPoolExecutor(2) as executor:
        yield executor


def test_images_are_divided_into_three_parts_and_places_are_not(scenes, processes):
    """16 images: a quarter of them tests, a quarter of the other 12 validates."""
    division = divide(scenes, 0.25, 0.25, 0, processes)

    assert len(division.test) == 4
    assert sorted([*division.sides, *division.test]) == sorted(scenes.files)
    assert sorted(division.sides.values()) == ["train"] * 9 + ["valid"] * 3
    part = dict.fromkeys(division.test, "test") | division.sides
    signatures, _ = read_signatures(scenes.files, processes)
    assert all(part[pair[0]] == part[pair[1]] for pair in find_pairs(signatures))


def test_the_same_seed_divides_alike(scenes, processes):
    assert divide(scenes, 0.25, 0.25, 3, processes) == divide(scenes, 0.25, 0.25, 3, processes)
    assert divide(scenes, 0.25, 0.25, 3, processes).test != divide(scenes, 0.25, 0.25, 4, processes).test


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
    contract = Contract(checksum(path), "flat", 256, 0.5, 1, 256, 0.0, 1, None)
    write_contract(contract, path)
    return path


def test_a_net_that_sees_no_ships_is_right_on_empty_images_alone(scenes, tmp_path):
    """9 of the 16 images are empty. The one convolution has 3 weights."""
    row = measure(saved(0.0, "segmenter", tmp_path / "net.keras"), None, scenes)

    assert row["dice_mean_all_images"] == pytest.approx(9 / 16)
    assert row["dice_mean_ship_images"] == 0
    assert row["empty_images_with_false_ships"] == 0
    assert row["parameters"] == 3
    assert 0 < row["seconds_per_image"] < 10


def test_a_classifier_keeps_a_net_from_seeing_ships_everywhere(scenes, tmp_path):
    """The net takes everything for ship, and the classifier lets no image through. Together they have 6 weights."""
    net = saved(1.0, "segmenter", tmp_path / "net.keras")

    alone = measure(net, None, scenes)
    filtered = measure(net, saved(0.0, "classifier", tmp_path / "classifier.keras"), scenes)

    assert alone["empty_images_with_false_ships"] == 1
    assert filtered["empty_images_with_false_ships"] == 0
    assert filtered["parameters"] == 6


def test_the_best_comes_first_and_every_number_has_its_form():
    row = {
        "dice_mean_ship_images": None,
        "dice_mean_all_images": 0.5,
        "dice_pooled": 0.25,
        "f2_mean": 0.125,
        "empty_images_with_false_ships": 0.261,
        "seconds_per_image": 0.1,
        "parameters": 1_190_000,
    }

    lines = table_text({"worse": row, "better": row | {"dice_mean_all_images": 0.75}}).splitlines()

    assert lines[0] == f"| preset | {' | '.join(COLUMNS.values())} |"
    assert lines[2].startswith("| better | - | 0.750 |")
    assert lines[3] == "| worse | - | 0.500 | 0.250 | 0.125 | 26 % | 0.100 | 1.19 M |"


def test_images_that_cannot_be_told_apart_are_divided_one_by_one(processes, scenes):
    """Too even to compare, they are places of their own."""
    division = divide(scenes, 0.5, 0.0, 0, processes)

    assert len(division.test) == 8
    assert set(division.sides.values()) == {"train"}
    assert np.isin(division.test, list(scenes.files)).all()
