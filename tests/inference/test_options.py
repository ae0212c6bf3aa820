import hashlib
import subprocess
import sys
from dataclasses import replace

import pytest

from shipseg_tiles.errors import InputError
from shipseg_tiles.inference.options import PredictOptions
from shipseg_tiles.nets.contract import Contract
from shipseg_tiles.nets.contract_file import write_contract
from shipseg_tiles.tiling import Region

CONTRACT = Contract(
    weights_sha256="",
    net="unet",
    patch=128,
    threshold=0.5,
    minimum_area=10,
    tile=768,
    overlap=0.25,
    tile_multiple=16,
    receptive_field=93,
    trained_on={},
    scores={},
    pixel_size=1.5,
)


@pytest.fixture
def weights_for(tmp_path):
    """Makes weights, which are no net, with a contract for pixels of some size."""

    def make(name, pixel_size):
        path = tmp_path / name
        path.write_bytes(b"weights")
        digest = hashlib.sha256(b"weights").hexdigest()
        write_contract(replace(CONTRACT, weights_sha256=digest, pixel_size=pixel_size), path)
        return path

    return make


def test_the_contract_takes_over_what_the_options_say_and_keeps_the_rest(weights_for):
    weights = weights_for("net.keras", 1.5)

    contract = PredictOptions(weights=weights, threshold=0.7, pixel_size=0.75).contract()

    assert (contract.threshold, contract.minimum_area, contract.overlap) == (0.7, 40, 0.25)
    assert contract.pixel_size == 0.75


@pytest.mark.parametrize("name", ["gate", "classifier"])
def test_nets_in_front_are_checked_too(weights_for, tmp_path, name):
    weights, missing, unknown = weights_for("net.keras", 1.5), tmp_path / "missing.keras", weights_for("a.keras", None)

    assert PredictOptions(weights=weights, **{name: unknown}).contract() == PredictOptions(weights=weights).contract()
    with pytest.raises(InputError, match=r"missing\.keras"):
        PredictOptions(weights=weights, **{name: missing}).contract()
    with pytest.raises(InputError, match=r"a\.json"):
        PredictOptions(weights=weights, pixel_size=0.75, **{name: unknown}).contract()


def test_options_out_of_their_range_are_refused(weights_for):
    with pytest.raises(InputError, match="overlap"):
        PredictOptions(weights=weights_for("net.keras", None), overlap=2.0).contract()


def test_the_region_is_what_lies_inside_the_image(tmp_path):
    weights = tmp_path / "net.keras"

    assert PredictOptions(weights=weights).region_in(30, 40) == Region(0, 0, 30, 40)
    assert PredictOptions(weights=weights, region=Region(10, 20, 50, 60)).region_in(30, 40) == Region(10, 20, 30, 40)
    with pytest.raises(InputError):
        PredictOptions(weights=weights, region=Region(30, 0, 50, 60)).region_in(30, 40)


def test_they_are_checked_without_the_slow_import():
    code = "import sys, shipseg_tiles.inference.options; print('keras' in sys.modules)"

    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)

    assert finished.stdout == "False\n"
