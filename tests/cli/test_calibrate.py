"""`calibrate`, and what comes of it in `predict` and `score`, from the command line with real files and nets."""

import hashlib
import json
import shutil
from dataclasses import replace
from zipfile import ZipFile

import keras
import numpy as np
import pytest
from PIL import Image

from shipseg_tiles.digests import checksum
from shipseg_tiles.errors import SkippedImageWarning
from shipseg_tiles.nets.contract import GateUse
from shipseg_tiles.nets.contract_file import read_contract, write_contract
from shipseg_tiles.nets.weights_files import contract_path

SIDE = 128

USE = {"threshold": 0.25, "tile": 128, "tile_multiple": 32}


@pytest.fixture(scope="module")
def nets(save_net, tmp_path_factory):
    """`net` answers the brightness of each pixel; `gated` as well, with a gate that answers that of each cell."""
    folder = tmp_path_factory.mktemp("weights")
    scores = {"data": "4 images", "f2_mean": 0.5}
    save_net(folder / "net.keras", **USE, scores=scores)
    save_net(folder / "gated.keras", keras.layers.Rescaling(1.0), **USE)
    save_net(folder / "gated.gate.keras", keras.layers.MaxPooling2D(32), **USE, thresholds={"32": 0.125, "128": 0.1})
    return folder


@pytest.fixture
def weights(nets, tmp_path):
    """Copies of the nets that a test may calibrate."""
    return shutil.copytree(nets, tmp_path / "weights") / "net.keras"


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Twelve images: ships of 150/255 = 0.59 to 198/255, clutter of 0.4 that a threshold of 0.25 takes for ships, and
    noise. The darkest ships are at two places, so that each fold is told of them.

    Even ones have a ship of 10 x 30 px, or two of them whose ends touch by 3 px; odd ones have none.
    """
    folder = tmp_path_factory.mktemp("archive")
    (folder / "images").mkdir()
    random = np.random.default_rng(0)
    rows, split = ["ImageId,EncodedPixels"], ["ImageId,split,scene"]
    for number in range(12):
        name = f"{number:02}.png"
        pixels = random.integers(0, 40, (SIDE, SIDE, 3), dtype=np.uint8)
        pixels[100:110, 100:120] = 102
        corners = [] if number % 2 else [(20, 10), (27, 40)][: 1 + number % 4 // 2]
        rows += [f"{name},"] * (not corners)
        for row, column in corners:
            pixels[row : row + 10, column : column + 30] = 150 + number % 8 * 8
            rows.append(f"{name}," + " ".join(f"{x * SIDE + row + 1} 10" for x in range(column, column + 30)))
        Image.fromarray(pixels).save(folder / "images" / name)
        split.append(f"{name},{'valid' if number < 10 else 'train'},{number // 2}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    (folder / "split.csv").write_text("\n".join(split) + "\n")
    return folder


@pytest.fixture
def calibrate(shipseg, weights, archive, tmp_path):
    """Calibrate and return status, output, complaint, and the result if there is one."""

    def run(*arguments, net="net.keras"):
        data = ["--images", archive / "images", "--labels", archive / "labels.csv", "--split", archive / "split.csv"]
        told = tmp_path / "told.json"
        ended = shipseg("calibrate", "--weights", weights.parent / net, *data, "--json", told, *arguments)
        return *ended, json.loads(told.read_text()) if told.is_file() else None

    return run


def digests(archive, *numbers):
    files = [(archive / "images" / f"{number:02}.png").read_bytes() for number in numbers]
    return sorted(hashlib.sha256(data).hexdigest()[:16] for data in files)


def test_what_is_best_is_written_into_the_contract(calibrate, weights, archive, tmp_path):
    """The noise reaches 0.16, the clutter is 0.4 and the darkest ship 0.59. So every mask is perfect at the thresholds
    0.40 (a probability of 0.4 is not above it) to 0.55, and already from 0.20 on with the minimum score 0.55, which
    leaves the ships: in the middle of these eight 0.35 is the first. All minimum areas up to 120 are as good, as ships
    have 300 px and more: of the eight 20 is the first in the middle."""
    before = read_contract(weights)

    status, output, complaint, told = calibrate("--out", tmp_path / "out")

    assert (status, complaint) == (0, "")
    after = read_contract(weights)
    assert (after.threshold, after.minimum_area, after.minimum_score) == (0.35, 20, 0.55)
    assert after.separate_touching is True
    assert after.gate is None
    assert after.tile == before.tile
    assert after.scores == {"measured_with": {**told["current"]}, **before.scores} | {
        "measured_with": {
            name: told["current"][name]
            for name in ("threshold", "minimum_area", "minimum_score", "gate", "separate_touching")
        }
    }
    assert told["chosen"]["true_dice"] == told["held_out"]["true_dice"] == 1
    assert told["current"]["false_ships"] == 1
    assert told["separation"]["off"] < told["separation"]["on"] == told["held_out"]["f2"] == 1
    assert (told["count"], told["places"], told["folds"], told["written"]) == (10, 5, 5, True)
    assert after.calibration == {name: value for name, value in told.items() if name not in ("weights", "written")}
    assert after.calibration["images"] == digests(archive, *range(10))
    assert json.loads((tmp_path / "out" / "calibration.json").read_text()) == after.calibration
    assert (tmp_path / "out" / "calibration.png").is_file()
    assert output.splitlines()[-1] == f"{contract_path(weights)} written"


@pytest.mark.parametrize("calibrated_before", [False, True])
def test_weights_without_scores_get_those_that_were_held_out_last(calibrated_before, calibrate, weights):
    write_contract(replace(read_contract(weights), scores={}), weights)
    if calibrated_before:
        calibrate("--objective", "f2", "--folds", "3")

    _, _, _, told = calibrate()

    assert read_contract(weights).scores == {
        "data": "10 images that the setting was chosen on, each scored with the one of other folds",
        "images": 10,
        "folds": told["folds"],
        "dice_mean_all_images": told["held_out"]["true_dice"],
        "f2_mean": told["held_out"]["f2"],
        "empty_images_with_false_ships": told["held_out"]["false_ships"],
    }


def test_a_dry_run_leaves_the_contract_as_it_is(calibrate, weights):
    before = contract_path(weights).read_bytes()

    status, output, _, told = calibrate("--dry-run", "--objective", "f2")

    assert (status, told["written"], told["objective"]) == (0, False, "f2")
    assert contract_path(weights).read_bytes() == before
    assert output.splitlines()[-1] == f"{contract_path(weights)} left as it was"


def test_without_a_split_all_images_count_and_their_places_are_looked_for(
    calibrate, archive, shipseg, weights, tmp_path
):
    """Images of 128 px have no block of 256 px to compare: each is a place of its own."""
    data = ["--images", archive / "images", "--labels", archive / "labels.csv", "--folds", 12]
    status, _, _ = shipseg("calibrate", "--weights", weights, *data, "--json", tmp_path / "told.json")

    told = json.loads((tmp_path / "told.json").read_text())
    assert (status, told["count"], told["places"]) == (0, 12, 12)


def test_a_gate_is_calibrated_with_its_net_and_then_used(calibrate, shipseg, weights, archive, tmp_path):
    """Its peak is that of the ship, 0.62 and more, or that of the clutter, 0.4: tiles are images. Thresholds between
    take the clutter away from empty images; the probability threshold does that alone as well."""
    gate = weights.parent / "gated.gate.keras"

    status, _, _, told = calibrate(net="gated.keras")

    contract = read_contract(weights.parent / "gated.keras")
    assert status == 0
    assert told["current"]["gate"] == 0.1
    assert contract.gate == GateUse(checksum(gate), 128, told["chosen"]["gate"])
    assert told["chosen"]["true_dice"] == 1

    used, elsewhere = (tmp_path / name for name in ("used", "elsewhere"))
    data = ["--weights", weights.parent / "gated.keras", "--images", archive / "images"]
    assert (
        shipseg("predict", *data, "--out", used)[0]
        == shipseg("predict", *data, "--out", elsewhere, "--tile", 64)[0]
        == 0
    )
    by_tile = [json.loads((out / "run.json").read_text())["gate"] for out in (used, elsewhere)]
    known = {"weights": str(gate), "weights_sha256": checksum(gate)}
    assert by_tile == [
        known | {"threshold": told["chosen"]["gate"], "calibrated": True},
        known | {"threshold": 0.125, "calibrated": False},
    ]


def test_with_the_gate_off_the_contract_says_of_it_what_it_said(calibrate, weights):
    status, _, _, told = calibrate("--gate", "off", net="gated.keras")

    assert (status, told["current"]["gate"], told["chosen"]["gate"]) == (0, None, None)
    assert read_contract(weights.parent / "gated.keras").gate is None


def test_a_gate_that_stays_keeps_the_images_that_it_was_chosen_on(calibrate, weights, archive, tmp_path):
    gated = weights.parent / "gated.keras"
    calibrate(net="gated.keras")
    before = read_contract(gated)
    (tmp_path / "other.csv").write_text("ImageId,split,scene\n10.png,valid,5\n11.png,valid,6\n")

    status, _, complaint, _ = calibrate(
        "--gate", "off", "--split", tmp_path / "other.csv", "--folds", 2, net="gated.keras"
    )

    after = read_contract(gated)
    assert (status, after.gate) == (0, before.gate), complaint
    assert after.calibration["images"] == sorted(before.calibration["images"] + digests(archive, 10, 11))


def test_of_finer_pixels_the_contract_becomes_one_for_these(calibrate, shipseg, weights, archive, tmp_path):
    """Each pixel of the images is 3 x 3 now, of a third of the size: net and gate see what they saw."""
    gated = weights.parent / "gated.keras"
    for path in (gated, weights.parent / "gated.gate.keras"):
        write_contract(replace(read_contract(path), pixel_size=1.5), path)
    *_, as_it_was = calibrate("--dry-run", net="gated.keras")
    (tmp_path / "images").mkdir()
    labels = ["ImageId,EncodedPixels"]
    for path in sorted((archive / "images").iterdir()):
        image = Image.open(path)
        image.resize((3 * SIDE, 3 * SIDE), Image.Resampling.NEAREST).save(tmp_path / "images" / path.name)
    for line in (archive / "labels.csv").read_text().splitlines()[1:]:
        name, runs = line.split(",")
        pairs = [divmod(int(start) - 1, SIDE) for start in runs.split()[::2]]
        finer = [f"{(3 * column + more) * 3 * SIDE + 3 * row + 1} 30" for column, row in pairs for more in range(3)]
        labels.append(f"{name},{' '.join(finer)}")
    (tmp_path / "labels.csv").write_text("\n".join(labels) + "\n")
    data = ["--images", tmp_path / "images", "--labels", tmp_path / "labels.csv"]

    *_, told = calibrate(*data, "--pixel-size", 0.5, net="gated.keras")

    contract = read_contract(gated)
    assert (contract.pixel_size, contract.patch, contract.resize, contract.tile) == (0.5, 192, 64, 384)
    assert told["current"]["gate"] == as_it_was["current"]["gate"]
    assert told["chosen"]["true_dice"] == pytest.approx(1, abs=1e-3)  # enlarging the answers rounds corners off
    assert contract.gate == GateUse(checksum(weights.parent / "gated.gate.keras"), 384, told["chosen"]["gate"])
    assert contract.scores["dice_mean_all_images"] == told["held_out"]["true_dice"]
    flags = ["--weights", gated, "--images", tmp_path / "images", "--out", tmp_path / "out"]
    assert shipseg("predict", *flags)[0] == 0
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["gate"]["calibrated"] is True
    assert record["ships"] == sum(1 + number % 4 // 2 for number in range(0, 12, 2))


def test_the_pixels_that_the_contract_names_change_no_scores(calibrate, weights):
    write_contract(replace(read_contract(weights), pixel_size=1.5), weights)

    calibrate("--pixel-size", 1.5)

    assert read_contract(weights).scores["f2_mean"] == 0.5


def test_bad_images_are_left_out(calibrate, archive, tmp_path):
    """Number 1 is no image, and 9 and 8 show one place."""
    images = shutil.copytree(archive / "images", tmp_path / "images")
    (images / "01.png").write_bytes(b"damaged")

    with pytest.warns(SkippedImageWarning, match=r"01\.png skipped"):
        status, _, _, told = calibrate("--images", images)

    assert (status, told["count"], told["images"]) == (0, 9, digests(archive, 0, *range(2, 10)))


def test_images_without_ships_choose_nothing_even_if_others_are_damaged(calibrate, archive, tmp_path):
    """All that show ships are damaged: the best setting would be the one that finds nothing."""
    images = shutil.copytree(archive / "images", tmp_path / "images")
    for number in range(0, 10, 2):
        (images / f"{number:02}.png").write_bytes(b"damaged")

    with pytest.warns(SkippedImageWarning):
        status, _, complaint, _ = calibrate("--images", images)

    assert status == 2
    assert "error: none of the 5 images in " in complaint


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--folds", "6"], "folds 6 must be from 2 to the number of places in the images, 5"),
        (["--folds", "1"], "folds 1 must be from 2"),
        (["--weights", "none.keras"], "none.keras does not exist"),
        (["--gate", "none.keras"], "none.keras does not exist"),
        (["--gate", "{weights}/net.keras"], "net.keras is a net that segments; give the weights of a gate"),
        (["--split", "{archive}/labels.csv"], "labels.csv has no column split"),
        (["--split", "{archive}/train.csv"], "is valid in"),
        (["--split", "{archive}/empty.csv"], "none of the 5 images in "),
        (["--objective", "f1"], "invalid choice: 'f1'"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(calibrate, weights, archive, tmp_path, arguments, reason):
    (archive / "train.csv").write_text("ImageId,split\n00.png,train\n")
    empty = [f"{number:02}.png,valid,{number}\n" for number in range(1, 10, 2)]
    (archive / "empty.csv").write_text("ImageId,split,scene\n" + "".join(empty))
    before = contract_path(weights).read_bytes()

    status, output, complaint, _ = calibrate(
        "--out", tmp_path / "out", *(word.format(weights=weights.parent, archive=archive) for word in arguments)
    )

    assert (status, output) == (2, "")
    assert complaint.startswith("error: ")
    assert complaint.count("\n") == 1
    assert reason in complaint
    assert contract_path(weights).read_bytes() == before
    assert not (tmp_path / "out").exists()


# Never on the images that the score is reported on


@pytest.fixture
def predicted(calibrate, shipseg, weights, archive, tmp_path):
    """Calibrate, then predict all images, those that were calibrated on under other names and inside a zip."""
    calibrate()
    with ZipFile(tmp_path / "renamed.zip", "w") as file:
        for path in sorted((archive / "images").iterdir()):
            file.write(path, f"train/x{path.name}")
    out = tmp_path / "predicted"
    status, _, complaint = shipseg("predict", "--weights", weights, "--images", tmp_path / "renamed.zip", "--out", out)
    assert (status, complaint) == (0, "")
    labels = (archive / "labels.csv").read_text().splitlines()
    (tmp_path / "labels.csv").write_text("\n".join([labels[0], *(f"x{line}" for line in labels[1:])]) + "\n")
    return out


def test_a_prediction_knows_the_images_it_was_calibrated_on_by_their_bytes(predicted):
    record = json.loads((predicted / "run.json").read_text())

    assert record["calibration_images"] == [f"x{number:02}.png" for number in range(10)]
    assert record["options"]["separate_touching"] is True
    assert record["ships"] == sum(1 + number % 4 // 2 for number in range(0, 12, 2))


def test_they_are_not_scored(shipseg, predicted, tmp_path):
    flags = ["--labels", tmp_path / "labels.csv", "--predictions", predicted]

    status, output, complaint = shipseg("score", *flags)
    left = shipseg("score", *flags, "--leave-out-calibrated", "--json", tmp_path / "scores.json")

    assert (status, output) == (2, "")
    assert complaint.startswith(f"error: {predicted} predicts 10 labelled images that its weights were calibrated on")
    assert "x00.png, x01.png, x02.png ...; give labels of other images, or --leave-out-calibrated" in complaint
    assert left[0] == 0
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert (scores["images"], scores["ship_images"]) == (2, 1)
