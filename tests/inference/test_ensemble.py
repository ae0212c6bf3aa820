import json
from dataclasses import replace

import keras
import numpy as np
import pytest

from shipseg_tiles.errors import InputError
from shipseg_tiles.inference.ensemble import build_ensemble, write_ensemble
from shipseg_tiles.inference.predictor import Predictor, load_net
from shipseg_tiles.nets.build import build_net
from shipseg_tiles.nets.contract import Contract, checksum, contract_path, read_contract, write_contract

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

    assert contract.resize == (None if 1 in shrinks else 32)
    np.testing.assert_allclose(together[0], np.mean(alone, axis=0), atol=2.5 / 255)
    assert together[0].std() > 0.01


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
    """256 of 512 px times 1.25 are 320 and times 1.49 381.4, of which 384 is the nearest multiple of 32. What the net
    needs, 32 px at the scale of its training, are 64 px of the image."""
    net = saved("net", patch=512, resize=256, tile=64, tile_multiple=32, symmetries=8)

    contract = write_ensemble([net], tmp_path / "out.keras", symmetries=2, scales=[1, 1.25, 1.49])

    assert (contract.symmetries, contract.resize, contract.resizes) == (2, 256, [256, 320, 384])
    assert (contract.multiple, contract.tile, contract.views) == (64, 64, 6)
    plain = write_ensemble([net], tmp_path / "out.keras")
    assert (plain.symmetries, plain.resizes, plain.tile) == (1, [], 64)


def test_tiles_are_cut_for_the_smallest_view(saved, tmp_path):
    """32 px of a net that sees 384 px as 256 are 48 px of the image; at 0.75 of that, a half, they are 64."""
    net = saved("net", patch=384, resize=256, tile=48, tile_multiple=32)

    contract = write_ensemble([net], tmp_path / "out.keras", scales=[0.75, 1])

    assert (contract.resize, contract.resizes, contract.multiple, contract.tile) == (192, [192, 256], 64, 64)


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
    assert (contract.net, contract.patch, contract.resize) == ("ensemble", 128, None)
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


def test_an_enlarging_member_is_refused(saved, tmp_path):
    enlarging = saved("enlarging", patch=64, resize=128, tile=192)

    with pytest.raises(InputError, match=r"enlarging\.keras was trained on patches of 64 px resized to 128"):
        write_ensemble([saved("net"), enlarging], tmp_path / "out.keras")
    assert not (tmp_path / "out.keras").exists()


@pytest.mark.parametrize(("patch", "resize", "told"), [(64, 48, "1 and 1.33333"), (96, 64, "1 and 1.5")])
def test_scales_that_share_none_are_refused(saved, tmp_path, patch, resize, told):
    odd = saved("odd", patch=patch, resize=resize, tile=192)

    with pytest.raises(InputError, match=f"members see images {told} times smaller"):
        write_ensemble([saved("net"), odd], tmp_path / "out.keras")
    assert not (tmp_path / "out.keras").exists()


def test_members_may_share_a_fraction_that_is_not_whole(saved, tmp_path):
    """96 px as 64 and 192 as 64 are 1.5 and 3 times smaller: the second is shown what the first sees, halved."""
    members = [saved("near", patch=96, resize=64, tile=96), saved("far", patch=192, resize=64, tile=192)]

    contract = write_ensemble(members, tmp_path / "out.keras")

    assert (contract.patch, contract.resize, contract.resizes) == (192, 128, [])
    assert [member["shrink"] for member in contract.trained_on["members"]] == [1.5, 3]


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
