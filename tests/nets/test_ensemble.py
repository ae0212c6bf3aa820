import json
from dataclasses import replace
from fractions import Fraction

import keras
import numpy as np
import pytest

from shipseg_tiles.digests import checksum
from shipseg_tiles.errors import InputError
from shipseg_tiles.inference.answers import ask
from shipseg_tiles.inference.predictor import Predictor
from shipseg_tiles.nets.build import build_net
from shipseg_tiles.nets.contract import Contract
from shipseg_tiles.nets.contract_file import read_contract, write_contract
from shipseg_tiles.nets.ensemble import build_ensemble, write_ensemble
from shipseg_tiles.nets.load import load_net
from shipseg_tiles.nets.weights_files import contract_path

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 64, 128, 3), dtype=np.uint8)


def trained(seed):
    """A net with weights of its own."""
    keras.utils.set_random_seed(seed)
    return build_net("unet", width=2, depth=2)


def answer(net, pixels=PIXELS):
    return net.predict_on_batch(pixels)[..., 0]


@pytest.fixture
def saved(save_net, tmp_path):
    """Save a net that answers the brightness to the power of `power`, with its contract."""

    def save(name, power=1, **changes):
        return save_net(tmp_path / f"{name}.keras", lambda brightness: brightness**power, **changes)

    return save


def test_an_ensemble_answers_the_mean():
    nets = [trained(seed) for seed in (0, 1)]
    first, second = (answer(net) for net in nets)
    assert np.abs(first - second).max() > 0.01

    ensemble = build_ensemble(nets, [1, 1])

    np.testing.assert_allclose(answer(ensemble), (first + second) / 2, atol=1e-6)


def test_shrinking_by_hand(saved, tmp_path):
    """2 x 2 pixels of 0, 0, 255 and 255 have a mean of 127.5, which is stored as 128: it answers 128 / 255 to itself.
    Enlarged linearly, the pixels at the edge of the cells of 128 and 0 are three quarters of one and one of the other.
    """
    net = build_ensemble([load_net(saved("net"))], [2])
    pixels = np.zeros((1, 4, 4, 3), dtype=np.uint8)
    pixels[0, 0, :2] = 255

    found = answer(net, pixels)[0]

    cell = 128 / 255
    np.testing.assert_allclose(found[0], [cell, 0.75 * cell, 0.25 * cell, 0], atol=1e-6)
    np.testing.assert_allclose(found[:, 0], [cell, 0.75 * cell, 0.25 * cell, 0], atol=1e-6)


@pytest.mark.parametrize("shrinks", [(2, 2), (1, 2)])
def test_members_of_any_scale_answer_as_they_do_alone(saved, tmp_path, shrinks):
    """But for a grey level of rounding: outside the net, images are shrunk along one side after the other."""
    members = [saved(f"{place}", power=place, patch=64, resize=64 // shrink) for place, shrink in enumerate(shrinks, 1)]
    contract = write_ensemble(members, tmp_path / "out.keras")

    alone, together = (
        [Predictor.load(path).probabilities(PIXELS[0]) for path in paths]
        for paths in (members, [tmp_path / "out.keras"])
    )

    assert contract.resize == 64 // min(shrinks)
    np.testing.assert_allclose(together[0], np.mean(alone, axis=0), atol=2.5 / 255)
    assert together[0].std() > 0.01


@pytest.mark.parametrize("resizes", [(64, 48), (48, 32), (48, 30)])
def test_members_of_fractions_answer_as_they_do_alone(saved, tmp_path, resizes):
    """On a slope, which is the same at every size, away from its ends: shrunk 4/3 times, 3/2 of 4/3, and 8/5 of 4/3."""
    members = [saved(f"{place}", power=place, resize=side, tile=192) for place, side in enumerate(resizes, 1)]
    write_ensemble(members, tmp_path / "out.keras")
    slope = np.tile(np.arange(192, dtype=np.uint8)[None, :, None], (192, 1, 3))

    alone, together = (
        [Predictor.load(path).probabilities(slope) for path in paths] for paths in (members, [tmp_path / "out.keras"])
    )

    within = np.abs(together[0] - np.mean(alone, axis=0))[16:-16, 16:-16]
    assert within.max() < 1.5 / 255


@pytest.mark.parametrize("shrink", [2, Fraction(3, 2)])
def test_tiles_of_many_sizes_are_answered_by_one_net(saved, tmp_path, shrink):
    """TensorFlow traces a net anew for a few sizes, and then once for all: its sides are numbers no longer."""
    members = [saved("as-it-is", patch=96), saved("shrunk", power=2, patch=96, resize=int(96 / shrink))]
    write_ensemble(members, tmp_path / "out.keras")
    net = load_net(tmp_path / "out.keras")

    shapes = [ask(net, np.zeros((1, side, side, 3), dtype=np.uint8)).shape for side in range(48, 48 * 9, 48)]

    assert shapes == [(1, side, side, 1) for side in range(48, 48 * 9, 48)]


def test_what_all_members_see_shrunk_the_contract_says(saved, tmp_path):
    """They see a half and a quarter: the second is shown it halved again, and needs 2 x 8 px, 32 in the image."""
    half = saved("half", patch=128, resize=64, tile=96, tile_multiple=16, receptive_field=7)
    quarter = saved("quarter", patch=64, resize=16, tile_multiple=8, receptive_field=5)

    contract = write_ensemble([half, quarter], tmp_path / "out.keras")

    assert (contract.patch, contract.resize, contract.tile, contract.tile_multiple) == (128, 64, 96, 16)
    assert (contract.receptive_field, contract.reach) == (10, 20)
    shrinks = [member["shrink"] for member in contract.trained_on["members"]]
    assert shrinks == [2, 4]


def test_views_stand_in_the_contract(saved, tmp_path):
    """256 of 512 px times 1.25 are 320, and times 1.49 381."""
    net = saved("net", patch=512, resize=256, tile=64, tile_multiple=32, symmetries=8)

    contract = write_ensemble([net], tmp_path / "out.keras", symmetries=2, scales=[1, 1.25, 1.49])

    assert (contract.symmetries, contract.resize, contract.resizes) == (2, 256, [256, 320, 381])
    assert (contract.tile_multiple, contract.tile, contract.views) == (32, 64, 6)
    plain = write_ensemble([net], tmp_path / "out.keras")
    assert (plain.symmetries, plain.resizes, plain.tile) == (1, [], 64)


@pytest.mark.parametrize("scale", [0, -1, 4.1, float("nan")])
def test_scales_out_of_range_are_refused(saved, tmp_path, scale):
    with pytest.raises(InputError, match=f"scale {scale} must be above 0 and at most 4"):
        write_ensemble([saved("net")], tmp_path / "out.keras", scales=[1, scale])
    assert not (tmp_path / "out.keras").exists()


def test_the_contract_says_how_an_ensemble_is_used(saved, tmp_path):
    """64 px are a multiple of 16 and of 2 x 24 only from 96 on; a net that sees 5 px of half the size sees 10 px."""
    use = {"threshold": 0.7, "minimum_area": 9, "minimum_score": 0.8, "separate_touching": True}
    whole = saved("whole", receptive_field=7, overlap=0.25, calibration={"images": ["b", "c"]}, **use)
    half = saved(
        "half",
        patch=128,
        resize=64,
        tile=96,
        tile_multiple=24,
        receptive_field=5,
        overlap=0.5,
        calibration={"images": ["a", "b"]},
        trained_on={"notes": "terms"},
    )
    out = tmp_path / "folder" / "out.keras"

    contract = write_ensemble([whole, half], out)

    assert read_contract(out) == contract
    assert contract.weights_sha256 == checksum(out)
    assert (contract.net, contract.patch, contract.resize) == ("ensemble", 64, None)
    assert (contract.tile_multiple, contract.tile, contract.overlap, contract.receptive_field) == (48, 96, 0.5, 10)
    assert {name: getattr(contract, name) for name in use} == use
    assert contract.calibration == {"images": ["a", "b", "c"]}
    assert contract.scores == {}
    assert contract.trained_on == {
        "members": [
            {"weights": "whole.keras", "weights_sha256": checksum(whole), "shrink": 1},
            {"weights": "half.keras", "weights_sha256": checksum(half), "shrink": 2, "notes": "terms"},
        ]
    }


def test_an_ensemble_is_for_the_pixels_that_its_members_are_for(saved, tmp_path):
    members = [saved("unknown"), saved("fine", pixel_size=0.5), saved("fine too", pixel_size=0.5)]

    assert write_ensemble(members, tmp_path / "out.keras").pixel_size == 0.5
    assert write_ensemble(members[:1], tmp_path / "other.keras").pixel_size is None


def test_members_for_other_pixels_are_refused(saved, tmp_path):
    members = [saved("fine", pixel_size=0.5), saved("coarse", pixel_size=1.5)]

    with pytest.raises(InputError, match=r"fine\.keras is for pixels of 0\.5 m, .*coarse\.keras for 1\.5 m; give nets"):
        write_ensemble(members, tmp_path / "out.keras")
    assert not (tmp_path / "out.keras").exists()


def test_an_ensemble_of_ensembles(saved, tmp_path):
    first, second = saved("first"), saved("second", power=2)
    write_ensemble([first, second], tmp_path / "inner.keras")
    write_ensemble([tmp_path / "inner.keras", second], tmp_path / "outer.keras")

    brightness = PIXELS.astype(np.float64).sum(axis=-1) / 765
    expected = ((brightness + brightness**2) / 2 + brightness**2) / 2
    np.testing.assert_allclose(answer(load_net(tmp_path / "outer.keras")), expected, atol=1e-3)


def test_sides_may_have_to_halve_more_often_than_those_of_gates(save_net, tmp_path):
    deep = tmp_path / "deep.keras"
    build_net("unet", width=1, depth=6).save(deep)
    use = {"threshold": 0.5, "minimum_area": 0, "tile": 128, "overlap": 0.25, "receptive_field": 64}
    write_contract(Contract(checksum(deep), "unet", 128, resize=64, tile_multiple=64, **use), deep)
    whole = save_net(tmp_path / "whole.keras", tile=128, tile_multiple=1)

    contract = write_ensemble([whole, deep], tmp_path / "out.keras")

    assert contract.tile_multiple == 128
    assert answer(load_net(tmp_path / "out.keras"), np.zeros((1, 128, 256, 3), np.uint8)).shape == (1, 128, 256)


def test_a_member_is_not_written_over(saved, tmp_path):
    member = saved("net")

    with pytest.raises(InputError, match=r"net\.keras is one of the members, which would be lost; choose another"):
        write_ensemble([member, saved("other")], member)


def test_an_enlarging_member_is_refused(saved, tmp_path):
    enlarging = saved("enlarging", patch=64, resize=128, tile=192)

    with pytest.raises(InputError, match=r"enlarging\.keras was trained on patches of 64 px resized to 128"):
        write_ensemble([saved("net"), enlarging], tmp_path / "out.keras")
    assert not (tmp_path / "out.keras").exists()


def test_members_may_be_any_fraction_of_each_other(saved, tmp_path):
    """96 px as 64 are 1.5 times smaller, and 160 as 64 are 2.5: the second sees what the first does, 5/3 times smaller.
    For it to see a multiple of 8 px the first must see one of 40, and an ensemble of both one of 120."""
    near = saved("near", patch=96, resize=64, tile=96, tile_multiple=6)
    far = saved("far", patch=160, resize=64, tile_multiple=8, receptive_field=4)

    contract = write_ensemble([near, far], tmp_path / "out.keras")

    assert (contract.patch, contract.resize, contract.resizes) == (96, 64, [])
    assert (contract.tile_multiple, contract.tile, contract.receptive_field) == (120, 120, 7)
    assert [member["shrink"] for member in contract.trained_on["members"]] == [1.5, 2.5]


def test_fractions_of_very_small_parts_are_refused(saved, tmp_path):
    odd = saved("odd", patch=100, resize=91, tile=192)

    with pytest.raises(InputError, match=r"odd\.keras sees images 100/91 times smaller than the member that"):
        write_ensemble([saved("net"), odd], tmp_path / "out.keras")
    assert not (tmp_path / "out.keras").exists()


def test_what_is_no_segmenter_is_refused(saved, tmp_path):
    net = saved("net")
    gate = tmp_path / "gate.keras"
    build_net("gate", width=2, depth=2).save(gate)
    write_contract(replace(read_contract(net), weights_sha256=checksum(gate)), gate)

    with pytest.raises(InputError, match="is a gate"):
        write_ensemble([net, gate], tmp_path / "out.keras")
    with pytest.raises(InputError, match=r"out\.h5 must end in \.keras"):
        write_ensemble([net], tmp_path / "out.h5")
    contract_path(net).write_text(json.dumps({}))
    with pytest.raises(InputError, match="is no contract"):
        write_ensemble([net], tmp_path / "out.keras")
