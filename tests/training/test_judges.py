import io

import numpy as np
import pytest
from PIL import Image

from shipseg_tiles.errors import InputError
from shipseg_tiles.nets.contract import Contract
from shipseg_tiles.patches.store import FullImage
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
"""Ships at 0.75 and 0.5; one of two empty images at 0.625, the other at 0.25 at most; 7 cells in all."""


@pytest.mark.parametrize(
    ("miss_rate", "threshold", "missed", "cells", "empty"),
    [
        # Halfway from 0 to 0.5: the cells of 192, 128 and 160 are above it.
        (0.49, 0.25, 0, 4 / 7, 1 / 2),
        # Halfway from 0.5 to 0.75, which 160 is just not above.
        (0.5, 0.625, 0.5, 6 / 7, 1),
    ],
)
def test_a_gate_is_judged_at_the_threshold_that_misses_as_many_ships_as_it_may(
    miss_rate, threshold, missed, cells, empty
):
    columns, contract = GateJudge(IMAGES, miss_rate).judge(Gray(), USAGE)

    assert columns == {
        "val_miss_rate": missed,
        "val_cells_skipped": pytest.approx(cells),
        "val_empty_images_skipped": empty,
        "val_threshold": threshold,
    }
    assert (contract.threshold, contract.miss_rate) == (threshold, miss_rate)


def test_without_empty_images_there_is_no_share_of_them():
    columns, _ = GateJudge(IMAGES[:2], 0.0).judge(Gray(), USAGE)

    assert "val_empty_images_skipped" not in columns


@pytest.mark.parametrize("images", [[], IMAGES[2:]])
def test_a_gate_is_not_judged_without_ships(images):
    with pytest.raises(InputError, match=rf"none of the {len(images)} full validation images shows a ship"):
        GateJudge(images, 0.01)


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
