import errno
import hashlib
import json
import os
import signal

import pytest

from shipseg_tiles.errors import InputError
from shipseg_tiles.nets.contract import Contract, GateUse, gate_threshold
from shipseg_tiles.nets.contract_file import (
    contract_in_front,
    read_contract,
    segmenter_contract,
    write_contract,
    write_weights,
)
from shipseg_tiles.nets.weights_files import contract_path

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


def test_it_comes_back_from_its_file(weights):
    assert read_contract(weights) == Contract(**VALUES)


def test_weights_are_written_with_their_checksum(tmp_path):
    out = tmp_path / "new" / "net.keras"

    written = write_weights(out, Contract(**VALUES | {"weights_sha256": ""}), lambda path: path.write_bytes(b"weights"))

    assert read_contract(out) == written == Contract(**VALUES)
    assert sorted(path.name for path in out.parent.iterdir()) == ["net.json", "net.keras"]


def test_a_break_while_weights_are_written_leaves_those_before_with_their_contract(weights):
    """The new ones are on disk, not yet in their place, when the break comes."""

    def broken(path):
        path.write_bytes(b"others")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_weights(weights, Contract(**VALUES | {"threshold": 0.7}), broken)

    assert read_contract(weights) == Contract(**VALUES)
    assert sorted(path.name for path in weights.parent.iterdir()) == ["net.json", "net.keras"]


def test_ctrl_c_while_weights_are_written_waits_for_their_contract(weights):
    def interrupted(path):
        path.write_bytes(b"others")
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        write_weights(weights, Contract(**VALUES | {"threshold": 0.7}), interrupted)

    assert weights.read_bytes() == b"others"
    assert read_contract(weights).threshold == 0.7


def test_whole_numbers_may_stand_for_others_in_the_file(weights):
    values = json.loads(contract_path(weights).read_text())
    contract_path(weights).write_text(json.dumps(values | {"overlap": 0, "pixel_size": 1}))

    assert read_contract(weights) == Contract(**VALUES | {"overlap": 0.0, "pixel_size": 1.0})


def test_the_file_names_everything_that_the_design_promises(weights):
    values = json.loads(contract_path(weights).read_text())

    assert values | VALUES == values
    later = {
        "channels",
        "resize",
        "gate",
        "miss_rate",
        "thresholds",
        "symmetries",
        "resizes",
        "minimum_score",
        "separate_touching",
        "calibration",
        "pixel_size",
        "format_version",
    }
    assert set(values) - set(VALUES) == later
    assert (values["minimum_score"], values["separate_touching"], values["calibration"]) == (0, False, {})
    assert [values[name] for name in ("channels", "resize", "gate", "miss_rate", "thresholds")] == [3, *[None] * 3, {}]


def test_keys_that_a_later_version_may_add_are_no_harm(weights):
    values = json.loads(contract_path(weights).read_text())
    contract_path(weights).write_text(json.dumps(values | {"comment": "measured on a Tuesday"}))

    assert read_contract(weights) == Contract(**VALUES)


@pytest.mark.parametrize(
    "names",
    [("miss_rate", "thresholds"), ("separate_touching", "calibration"), ("minimum_score",), ("pixel_size",)],
)
def test_a_contract_of_the_time_before_gates_calibration_minimum_scores_or_pixel_sizes_is_read(weights, names):
    values = json.loads(contract_path(weights).read_text())
    for name in names:
        del values[name]
    contract_path(weights).write_text(json.dumps(values))

    assert read_contract(weights) == Contract(**VALUES)


@pytest.mark.parametrize("name", [*VALUES, "format_version"])
def test_a_file_that_lacks_a_value_is_refused_with_its_name(weights, name):
    values = json.loads(contract_path(weights).read_text())
    del values[name]
    contract_path(weights).write_text(json.dumps(values))

    with pytest.raises(InputError, match=rf"net\.json is no contract of weights .*{name}"):
        read_contract(weights)


@pytest.mark.parametrize("text", ["", "[]", "{", "\xff", "[" * 100_000])
def test_what_is_no_json_of_a_contract_is_refused(weights, text):
    contract_path(weights).write_bytes(text.encode("latin-1"))

    with pytest.raises(InputError, match=r"net\.json is no contract of weights"):
        read_contract(weights)


@pytest.mark.parametrize("suffix", [".keras", ".json"])
def test_one_file_without_the_other_is_refused(weights, suffix):
    weights.with_suffix(suffix).unlink()

    with pytest.raises(InputError, match=rf"net\{suffix} does not exist; weights NAME\.keras need their contract"):
        read_contract(weights)


@pytest.mark.parametrize(("name", "value"), [("format_version", 99), ("channels", 4)])
def test_what_this_version_cannot_do_is_refused(weights, name, value):
    values = json.loads(contract_path(weights).read_text())
    contract_path(weights).write_text(json.dumps(values | {name: value}))

    with pytest.raises(InputError, match=r"net\.json asks for what this version cannot do"):
        read_contract(weights)


def test_other_weights_are_refused(weights):
    weights.write_bytes(b"weights!")

    with pytest.raises(InputError, match=r"net\.json was written for other weights than .*net\.keras"):
        read_contract(weights)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("net", 3),
        ("patch", "128"),
        ("threshold", "0.5"),
        ("threshold", None),
        ("minimum_area", float("nan")),  # no object would have more pixels, and none fewer
        ("minimum_area", 10.5),
        ("minimum_score", "0.8"),
        ("minimum_score", None),
        ("tile", 768.0),
        ("resize", [64]),
        ("resizes", 64),
        ("symmetries", "8"),
        ("receptive_field", "93"),
        ("miss_rate", [0.01]),
        ("thresholds", [0.5]),
        ("trained_on", []),
        ("scores", "good"),
        ("calibration", []),
    ],
)
def test_a_value_of_another_type_is_refused_with_the_file_and_its_name(weights, name, value):
    values = json.loads(contract_path(weights).read_text())
    contract_path(weights).write_text(json.dumps(values | {name: value}))

    with pytest.raises(InputError, match=rf"net\.json: {name.replace('_', ' ')} .* is no value of a contract"):
        read_contract(weights)


@pytest.mark.parametrize("threshold", [0.25, None])
def test_the_use_of_a_gate_comes_back_from_its_file(weights, threshold):
    contract = Contract(**VALUES, gate=GateUse("abc", 768, threshold), separate_touching=True)
    write_contract(contract, weights)

    assert read_contract(weights) == contract


@pytest.mark.parametrize(
    "gate",
    [
        "net.gate.keras",
        [],
        {},
        {"weights_sha256": "abc", "tile": 768},
        {"weights_sha256": "abc", "tile": 768, "threshold": 0.5, "more": 1},
        {"weights_sha256": "abc", "tile": 768, "threshold": "0.5"},
        {"weights_sha256": "abc", "tile": 768, "threshold": 1},
        {"weights_sha256": "abc", "tile": 768, "threshold": 0},
        {"weights_sha256": "abc", "tile": 0, "threshold": 0.5},
    ],
)
def test_a_malformed_use_of_a_gate_is_refused(weights, gate):
    values = json.loads(contract_path(weights).read_text())
    contract_path(weights).write_text(json.dumps(values | {"gate": gate}))

    with pytest.raises(InputError, match=r"net\.json"):
        read_contract(weights)


@pytest.fixture
def pixels_of_1_5_m(weights):
    """Weights for patches of 128 px resized to 64, of pixels of 1.5 m."""
    gate = GateUse("abc", 768, 0.6)
    values = {"resize": 64, "pixel_size": 1.5, "minimum_area": 12, "gate": gate}
    write_contract(Contract(**VALUES | values), weights)
    return weights


def test_of_finer_pixels_patches_and_tiles_hold_more_and_the_net_sees_as_many(pixels_of_1_5_m):
    """0.6 m are 0.4 of 1.5 m: what was 128 px is 320, tiles of 768 px become 1,920 and ships of 12 px 75."""
    changed = segmenter_contract(pixels_of_1_5_m, pixel_size=0.6)

    assert (changed.pixel_size, changed.patch, changed.resize, changed.resizes) == (0.6, 320, 64, [])
    assert (changed.tile, changed.minimum_area) == (1920, 75)
    assert (changed.gate.tile, changed.gate.threshold) == (1920, 0.6)


def test_of_coarser_pixels_patches_and_tiles_hold_fewer(pixels_of_1_5_m):
    """4.79 m are 3.193 times 1.5 m: what was 128 px is 40.1, tiles of 768 px become 240.5, the next multiple is 256."""
    changed = segmenter_contract(pixels_of_1_5_m, pixel_size=4.79)

    assert (changed.patch, changed.resize, changed.tile, changed.minimum_area) == (40, 64, 256, 1)
    assert changed.gate.tile == 256


def test_a_net_that_saw_patches_as_they_were_sees_finer_ones_shrunk(weights):
    write_contract(Contract(**VALUES | {"pixel_size": 1.0}), weights)
    changed = segmenter_contract(weights, pixel_size=0.5)

    assert (changed.patch, changed.patch_sides) == (256, [128])


def test_the_thresholds_of_a_gate_are_for_tiles_of_as_much_ground(weights):
    """A tile of 1,536 px of 0.75 m shows as much as one of 768 px of 1.5 m; one of 7 px less shows less."""
    write_contract(Contract(**VALUES | {"thresholds": {"256": 0.2, "768": 0.3}, "pixel_size": 1.5}), weights)
    gate = segmenter_contract(weights, pixel_size=0.75)

    assert [gate_threshold(gate, tile) for tile in (511, 512, 1529, 1536)] == [None, 0.2, 0.2, 0.3]


def test_the_same_pixels_change_nothing(pixels_of_1_5_m):
    assert segmenter_contract(pixels_of_1_5_m, pixel_size=1.5) == read_contract(pixels_of_1_5_m)


def test_what_is_changed_beside_the_pixels_is_taken_as_it_is(pixels_of_1_5_m):
    changed = segmenter_contract(pixels_of_1_5_m, pixel_size=0.6, tile=512, minimum_area=5)

    assert (changed.tile, changed.minimum_area, changed.patch) == (512, 5, 320)


@pytest.mark.parametrize("size", [0.0, -1.5, 0.187, 12.1, float("inf"), float("nan")])
def test_pixels_that_are_not_at_all_alike_are_refused(pixels_of_1_5_m, size):
    with pytest.raises(InputError, match=r"net\.json: pixel size .* must be from 0\.1875 to 12 m for this net"):
        segmenter_contract(pixels_of_1_5_m, pixel_size=size)


@pytest.mark.parametrize(("size", "patch"), [(0.1875, 1024), (12.0, 16)])
def test_pixels_may_be_8_times_finer_or_coarser(pixels_of_1_5_m, size, patch):
    assert segmenter_contract(pixels_of_1_5_m, pixel_size=size).patch == patch


@pytest.mark.parametrize(
    ("own", "behind", "asked", "used"),
    [(1.5, 0.75, None, 0.75), (1.5, None, None, 1.5), (None, 0.75, None, None), (1.5, 0.75, 0.5, 0.5)],
)
def test_a_gate_is_for_the_pixels_of_the_net_behind_it_where_both_are_known(weights, own, behind, asked, used):
    write_contract(Contract(**VALUES | {"pixel_size": own}), weights)

    in_front = contract_in_front(weights, Contract(**VALUES | {"pixel_size": behind}), asked)
    alone = contract_in_front(weights, None, asked)

    assert (in_front.pixel_size, in_front.patch) == (used, 128 if used is None or own is None else 128 * own / used)
    assert alone.pixel_size == (asked or own)


def test_a_gate_that_nobody_knows_the_pixels_of_is_not_for_others(weights):
    with pytest.raises(InputError, match=r"net\.json: the contract does not say which pixels it is for; add its"):
        contract_in_front(weights, Contract(**VALUES | {"pixel_size": 0.5}), 0.5)


def test_other_pixels_than_nobody_knows_are_refused(weights):
    with pytest.raises(InputError, match=r"net\.json: the contract does not say which pixels it is for; add its"):
        segmenter_contract(weights, pixel_size=1.5)


def test_a_net_of_another_kind_is_no_segmenter(weights):
    write_contract(Contract(**VALUES | {"net": "mobilenetv2-gate", "receptive_field": None}), weights)

    with pytest.raises(InputError, match=r"net\.keras is a mobilenetv2-gate; give the weights of a net that segments"):
        segmenter_contract(weights)
