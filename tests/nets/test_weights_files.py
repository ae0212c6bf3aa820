from pathlib import Path

import pytest

import shipseg_tiles
from shipseg_tiles.errors import InputError
from shipseg_tiles.nets.contract_file import read_contract
from shipseg_tiles.nets.weights_files import chosen_gate, contract_path, default_weights, gate_path


def test_it_stands_beside_its_weights():
    assert contract_path(Path("weights/ships.v2.keras")) == Path("weights/ships.v2.json")


def test_a_gate_is_named_left_out_or_found_beside_the_weights(tmp_path):
    weights = tmp_path / "net.keras"

    assert chosen_gate("", weights) is None
    assert chosen_gate("other.keras", weights) == Path("other.keras")
    gate_path(weights).touch()
    assert chosen_gate("", weights) == gate_path(weights)
    assert chosen_gate("off", weights) is None


def test_the_default_weights_have_their_contract():
    checkout = Path(shipseg_tiles.__file__).parents[1]
    if not (checkout / "weights" / "default.keras").is_file():
        with pytest.raises(InputError, match="give --weights"):
            default_weights()
        pytest.skip("this checkout has no weights/default.keras yet")

    contract = read_contract(default_weights())

    assert contract.trained_on
    assert contract.scores
