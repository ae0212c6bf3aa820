import hashlib
from zipfile import ZipFile

import pytest

from shipseg_tiles.errors import InputError
from shipseg_tiles.nets.contract import Contract, GateUse, gate_threshold
from shipseg_tiles.zipped import ZipMember

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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("threshold", 0),
        ("threshold", 1),
        ("threshold", float("nan")),
        ("minimum_area", -1),
        ("patch", 0),
        ("patch", -128),
        ("tile", 0),
        ("tile", 100),
        ("tile_multiple", 0),
        ("pixel_size", 0),
        ("pixel_size", float("inf")),
        ("symmetries", 3),
        ("resizes", [64, 0]),
        ("resizes", [64, 128 * 16 + 1]),
        ("resizes", [64.0]),
        ("resizes", [128] * 17),
        ("overlap", 1),
        ("overlap", -0.25),
        ("minimum_score", 1),
        ("minimum_score", -0.01),
        ("minimum_score", float("nan")),
        ("miss_rate", 1),
        ("miss_rate", -0.01),
        ("miss_rate", float("nan")),
        ("thresholds", {"128": 0.5, "256": 1}),
        ("thresholds", {"128": 0}),
        ("thresholds", {"wide": 0.5}),
        ("thresholds", {"128": "0.5"}),
        ("separate_touching", "false"),
        ("separate_touching", None),
        ("calibration", None),
        ("calibration", {"images": "abc"}),
        ("calibration", {"images": [["abc"]]}),
    ],
)
def test_numbers_that_would_predict_nonsense_are_refused(name, value):
    with pytest.raises(InputError):
        Contract(**VALUES | {name: value})


def test_sides_and_reach_of_resized_patches():
    """The net sees 160 px of 768, so that 10 px of its own are 48, and 11 px 52.8, which ends in a 53rd."""
    values = {**VALUES, "patch": 768, "resize": 160, "tile": 768, "tile_multiple": 32}
    resized = Contract(**values | {"receptive_field": 11})

    assert resized.reach == 53
    assert Contract(**values | {"receptive_field": 10}).reach == 48
    assert Contract(**values | {"receptive_field": None}).reach is None
    with pytest.raises(InputError, match="tile 752 must be a multiple of 32"):
        Contract(**values | {"tile": 752})


def test_views_are_counted():
    """128 px are seen as 32 and as 96, in two symmetries each: 5 px of the first are 20 of the image."""
    contract = Contract(**VALUES | {"receptive_field": 5}, symmetries=2, resizes=[32, 96])

    assert (contract.patch_sides, contract.views, contract.reach) == ([32, 96], 4, 20)
    assert (Contract(**VALUES).patch_sides, Contract(**VALUES).views) == ([128], 1)


@pytest.mark.parametrize(("resize", "seen", "shrink"), [(None, 128, 1), (64, 64, 2), (96, 96, 4 / 3), (256, 256, 0.5)])
def test_how_large_a_patch_is_for_the_net(resize, seen, shrink):
    contract = Contract(**VALUES, resize=resize)

    assert (contract.patch_seen, float(contract.shrink)) == (seen, shrink)


GATE = Contract(**VALUES | {"weights_sha256": "abc", "thresholds": {"128": 0.25, "512": 0.5}})


@pytest.mark.parametrize(
    ("calibrated", "tile", "threshold"),
    [
        (None, 512, 0.5),
        (GateUse("abc", 512, 0.75), 512, 0.75),
        # It is for other tiles, or another gate: the gate's own threshold counts, or none if it knows none.
        (GateUse("abc", 512, 0.75), 768, 0.5),
        (GateUse("abc", 512, 0.75), 500, 0.25),
        (GateUse("abd", 512, 0.75), 512, 0.5),
        (GateUse("abc", 512, 0.75), 100, None),
        # All tiles are best.
        (GateUse("abc", 512, None), 512, None),
        (GateUse("abc", 512, None), 128, 0.25),
    ],
)
def test_the_threshold_of_a_gate_is_that_of_calibration_where_it_holds(calibrated, tile, threshold):
    assert gate_threshold(GATE, tile, calibrated) == threshold


@pytest.mark.parametrize("side", ["", "-1", "1.5", "\u0663", "9" * 5000])
def test_sides_of_tiles_that_are_no_numbers_are_refused(side):
    with pytest.raises(InputError, match="px must be"):
        Contract(**VALUES | {"thresholds": {side: 0.25}})


def test_sides_of_tiles_are_numbers_however_they_are_written():
    gate = Contract(**VALUES | {"thresholds": {"0128": 0.25, "512": 0.5}})

    assert [gate_threshold(gate, tile) for tile in (127, 128, 600)] == [None, 0.25, 0.5]


def test_images_are_told_by_their_bytes_whatever_they_are_called(tmp_path):
    """`printf abc | sha256sum` begins with ba7816bf8f01cfea."""
    (tmp_path / "a.jpg").write_bytes(b"abc")
    (tmp_path / "b.jpg").write_bytes(b"abd")
    with ZipFile(tmp_path / "images.zip", "w") as archive:
        archive.writestr("train/c.jpg", b"abc")
    contract = Contract(**VALUES, calibration={"images": ["ba7816bf8f01cfea"]})

    assert contract.was_calibrated_on(tmp_path / "a.jpg")
    assert contract.was_calibrated_on(ZipMember(tmp_path / "images.zip", "train/c.jpg"))
    assert not contract.was_calibrated_on(tmp_path / "b.jpg")


def test_without_calibration_no_image_is_read(tmp_path):
    assert not Contract(**VALUES).was_calibrated_on(tmp_path / "missing.jpg")
