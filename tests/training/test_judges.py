import io
import warnings
from dataclasses import replace

import keras
import numpy as np
import pytest
from PIL import Image

from shipseg_tiles.errors import InputError
from shipseg_tiles.nets.contract import Contract
from shipseg_tiles.nets.contract_file import read_contract
from shipseg_tiles.patches.full_image import FullImage
from shipseg_tiles.training.judges import ClassifierJudge, GateJudge, LossJudge, SegmenterJudge, choose_judge
from shipseg_tiles.training.options import TrainOptions

USAGE = Contract("", "gate", 128, 0.5, 10, 768, 0.25, 32, None)


class Gray:
    """A net whose probability of each cell of 32 px is the gray of its first pixel over 256."""

    def predict_on_batch(self, pixels):
        return pixels[:, ::32, ::32, :1] / np.float32(256)


def full_image(*grays, ship=False):
    """A PNG of 32 px high cells, each of one gray; with a ship of one pixel in the first."""
    pixels = np.repeat(np.repeat(np.array([grays], dtype=np.uint8), 32, axis=0), 32, axis=1)
    data = io.BytesIO()
    Image.fromarray(np.stack([pixels] * 3, axis=2)).save(data, "PNG")
    return FullImage("a.png", data.getvalue(), ("1 1",) if ship else ())


IMAGES = [full_image(192, 16, ship=True), full_image(128, 8, ship=True), full_image(160), full_image(32, 64)]
"""Each is one tile: ships at 0.75 and 0.5, the empty images at 0.625 and 0.25."""


@pytest.mark.parametrize(
    ("miss_rate", "threshold", "missed", "tiles", "empty"),
    [
        # Halfway from 0 to 0.5: one of four tiles is not above it, 0.25 itself.
        (0.49, 0.25, 0, 1 / 4, 1 / 2),
        # Halfway from 0.5 to 0.75, which 0.625 is just not above.
        (0.5, 0.625, 0.5, 3 / 4, 1),
    ],
)
def test_a_gate_is_judged_at_the_threshold_that_misses_as_many_ships_as_it_may(
    miss_rate, threshold, missed, tiles, empty
):
    columns, contract = GateJudge(IMAGES, miss_rate).judge(Gray(), USAGE)

    assert columns == {
        "val_tiles_skipped": tiles,
        "val_threshold": threshold,
        "val_miss_rate": missed,
        "val_empty_images_skipped": empty,
    }
    assert (contract.threshold, contract.miss_rate, contract.tile) == (threshold, miss_rate, 768)
    assert contract.thresholds == dict.fromkeys(["128", "256", "512", "768"], threshold)


def test_each_size_of_tiles_has_its_threshold():
    """A ship at 0.25 in a cell five cells to the left of one at 0.75, on 32 x 288 px.

    Nothing may be missed. In tiles of 128 px, from 0, 128 and 160, the second ship's cell does not count for the first
    tile, so that the first ship has 0.25 and the threshold is half of it. In tiles of 256 px, from 0 and 32, and in one
    of 288 px, both have 0.75.
    """
    image = full_image(64, 0, 0, 0, 0, 192, 0, 0, 0, ship=True)
    image = FullImage(image.name, image.data, ("1 1", f"{5 * 32 * 32 + 1} 1"))

    columns, contract = GateJudge([image], 0.0).judge(Gray(), USAGE)

    assert contract.thresholds == {"128": 0.125, "256": 0.375, "512": 0.375, "768": 0.375}
    assert columns["val_tiles_skipped"] == 0


def test_the_threshold_of_a_gate_is_that_of_its_largest_tiles():
    """A ship at 0.25 and one at 0.75, 18 cells to its right on 32 x 768 px: a tile of 512 px from the first cell ends
    16 cells further, one of 768 px holds both."""
    image = full_image(64, *[0] * 17, 192, *[0] * 5, ship=True)
    image = FullImage(image.name, image.data, ("1 1", f"{18 * 32 * 32 + 1} 1"))

    _, contract = GateJudge([image], 0.0).judge(Gray(), USAGE)

    assert contract.thresholds == {"128": 0.125, "256": 0.125, "512": 0.125, "768": 0.375}
    assert (contract.tile, contract.threshold) == (768, 0.375)


def test_without_empty_images_there_is_no_share_of_them():
    columns, _ = GateJudge(IMAGES[:2], 0.0).judge(Gray(), USAGE)

    assert "val_empty_images_skipped" not in columns


@pytest.mark.parametrize("images", [[], IMAGES[2:]])
def test_a_gate_is_not_judged_without_ships(images):
    with pytest.raises(InputError, match=rf"none of the {len(images)} full validation images shows a ship"):
        GateJudge(images, 0.01)


def test_a_classifier_is_judged_at_the_threshold_with_the_highest_f1(save_net, tmp_path):
    """Above 0.25 are both ships and one empty image, which is 2 * 2 / (2 + 3); above 0.625 is one ship, 2 / 3.

    The saved net answers the highest gray over 255: 192, 160 and 128 are above 0.45, two ships and an empty image.
    """
    judge = ClassifierJudge(IMAGES)
    weights = save_net(tmp_path / "net.keras", keras.layers.GlobalMaxPooling2D(), tile_multiple=32)

    columns, contract = judge.judge(Gray(), USAGE)
    scores = judge.score(weights, replace(read_contract(weights), threshold=0.45))

    assert columns == {"val_f1": 0.8, "val_threshold": 0.375}
    assert contract == replace(USAGE, threshold=0.375)
    assert (scores["images"], scores["f1"], scores["precision"], scores["recall"]) == (4, 0.8, 2 / 3, 1)


def test_each_kind_of_net_has_its_judge():
    def chosen(net, images=IMAGES):
        return choose_judge(TrainOptions(net=net), images, has_validation=True)

    assert isinstance(chosen("unet"), SegmenterJudge)
    assert isinstance(chosen("mobilenetv2-classifier"), ClassifierJudge)
    assert isinstance(chosen("gate"), GateJudge)
    assert chosen("gate").miss_rate == 0.01
    assert choose_judge(TrainOptions(net="gate", miss_rate=0.0), IMAGES, True).miss_rate == 0
    assert isinstance(chosen("unet", []), LossJudge)
    assert chosen("unet", []).monitor == "val_loss"
    assert choose_judge(TrainOptions(), [], has_validation=False).monitor == "loss"


def test_without_full_images_the_loss_judges_in_silence():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        judge = choose_judge(TrainOptions(), [], has_validation=True)

    assert isinstance(judge, LossJudge)
    assert judge.judge(Gray(), USAGE) == ({}, USAGE)


@pytest.mark.parametrize(
    ("net", "images", "counted"),
    [("unet", IMAGES[2:], "0 of 2"), ("classifier", IMAGES[2:], "0 of 2"), ("classifier", IMAGES[:2], "2 of 2")],
)
def test_images_that_tell_no_good_net_from_a_bad_one_do_not_judge(net, images, counted):
    """A segmenter that never sees a ship is right on all empty images, and so is a classifier that says one thing."""
    said = f"{counted} full validation images show ships, .* lowest val_loss .* more --full-images"
    with pytest.warns(UserWarning, match=said):
        judge = choose_judge(TrainOptions(net=net), images, has_validation=True)

    assert isinstance(judge, LossJudge)
    assert judge.monitor == "val_loss"


def test_a_segmenter_is_judged_on_ship_images_alone():
    assert isinstance(choose_judge(TrainOptions(), IMAGES[:2], has_validation=True), SegmenterJudge)
