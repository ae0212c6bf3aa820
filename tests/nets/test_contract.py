import hashlib
import json
from pathlib import Path

import pytest

import shipseg_tiles
from shipseg_tiles.errors import InputError
from shipseg_tiles.nets.contract import (
    Contract,
    checksum,
    contract_path,
    default_weights,
    read_contract,
    write_contract,
)

VALUES = {
    "weights_sha256": hashlib.sha256(b"weights").hexdigest(),
    "net": "unet",
    "patch": 128,
    "threshold": 0.5,
    "minimum_area": 10,
    "tile": 768,
    "overlap": 0.25,
    "tile_multiple": 16,
    "receptive_field": 93,
    "trained_on": {"store_fingerprint": "abc", "patches": {"train": {"ship": 3}}},
    "scores": {"data": "4 images", "dice_mean_all_images": 0.5, "dice_mean_ship_images": None},
}


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "net.keras"
    path.write_bytes(b"weights")
    write_contract(Contract(**VALUES), path)
    return path


def test_it_stands_beside_its_weights():
    assert contract_path(Path("weights/ships.v2.keras")) == Path("weights/ships.v2.json")


def test_it_comes_back_from_its_file(weights):
    assert read_contract(weights) == Contract(**VALUES)


def test_the_file_names_everything_that_the_design_promises(weights):
    values = json.loads(contract_path(weights).read_text())

    assert values | VALUES == values
    assert set(values) - set(VALUES) == {"channels", "resize", "gate", "miss_rate", "thresholds", "format_version"}
    assert [values[name] for name in ("channels", "resize", "gate", "miss_rate", "thresholds")] == [3, *[None] * 3, {}]


def test_keys_that_a_later_version_may_add_are_no_harm(weights):
    values = json.loads(contract_path(weights).read_text())
    contract_path(weights).write_text(json.dumps(values | {"comment": "measured on a Tuesday"}))

    assert read_contract(weights) == Contract(**VALUES)


def test_a_contract_of_the_time_before_gates_is_read(weights):
    values = json.loads(contract_path(weights).read_text())
    del values["miss_rate"], values["thresholds"]
    contract_path(weights).write_text(json.dumps(values))

    assert read_contract(weights) == Contract(**VALUES)


@pytest.mark.parametrize("name", [*VALUES, "format_version"])
def test_a_file_that_lacks_a_value_is_refused_with_its_name(weights, name):
    values = json.loads(contract_path(weights).read_text())
    del values[name]
    contract_path(weights).write_text(json.dumps(values))

    with pytest.raises(InputError, match=rf"net\.json is no contract of weights .*{name}"):
        read_contract(weights)


def test_other_weights_are_refused(weights):
    weights.write_bytes(b"weights!")

    with pytest.raises(InputError, match=r"net\.json was written for other weights than .*net\.keras"):
        read_contract(weights)


def test_the_checksum_is_that_of_sha256sum(tmp_path):
    """`printf abc | sha256sum`, the example of the standard."""
    (tmp_path / "file").write_bytes(b"abc")

    assert checksum(tmp_path / "file") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("threshold", 0),
        ("threshold", 1),
        ("threshold", float("nan")),
        ("minimum_area", -1),
        ("tile", 0),
        ("tile", 100),
        ("tile_multiple", 0),
        ("overlap", 1),
        ("overlap", -0.25),
        ("miss_rate", 1),
        ("miss_rate", -0.01),
        ("miss_rate", float("nan")),
        ("thresholds", {"128": 0.5, "256": 1}),
        ("thresholds", {"128": 0}),
        ("thresholds", {"wide": 0.5}),
    ],
)
def test_numbers_that_would_predict_nonsense_are_refused(name, value):
    with pytest.raises(InputError):
        Contract(**VALUES | {name: value})


def test_the_default_weights_have_their_contract():
    checkout = Path(shipseg_tiles.__file__).parents[1]
    if not (checkout / "weights" / "default.keras").is_file():
        with pytest.raises(InputError, match="give --weights"):
            default_weights()
        pytest.skip("this checkout has no weights/default.keras yet")

    contract = read_contract(default_weights())

    assert contract.trained_on
    assert contract.scores
