from dataclasses import asdict, replace

import numpy as np
import pytest

from shipseg_tiles.calibration.calibrated_contract import calibrated_contract
from shipseg_tiles.calibration.calibration import Calibration
from shipseg_tiles.calibration.setting_grid import Sums
from shipseg_tiles.calibration.settings import Axes, Setting
from shipseg_tiles.nets.contract import Contract, GateUse

CURRENT = Setting(0.5, 10, 0.0, None, False)
CHOSEN = Setting(0.3, 20, 0.6, 0.25, True)
NET = Contract("abc", "unet", 64, 0.5, 10, 768, 0.25, 16, 0)
TRAINED = {"data": "4 images", "images": 4, "dice_mean_all_images": 0.5}
TOLD = {
    "count": 9,
    "folds": 5,
    "held_out": {"true_dice": 0.8, "f2": 0.7, "false_ships": 0.1},
    "images": ["b", "d"],
}


def found(chosen=CHOSEN):
    nothing = np.zeros((1, 2, 20, 8, 10, 1))
    images = np.zeros(1, dtype=np.int64)
    sums = Sums(nothing, nothing, nothing, images, images)
    return Calibration("true-dice", Axes.around(CURRENT), sums, CURRENT, chosen, (), (0.0, 0.0))


def test_what_was_chosen_and_what_by_stands_in_the_contract():
    """In place of all that an earlier calibration had chosen, with another gate."""
    before = replace(NET, gate=GateUse("old", 512, 0.5), calibration={"images": ["a"]})
    gate = GateUse("def", 768, 0.25)

    contract = calibrated_contract(before, found(), gate, TOLD)

    assert contract == replace(
        NET,
        threshold=0.3,
        minimum_area=20,
        minimum_score=0.6,
        separate_touching=True,
        gate=gate,
        calibration=TOLD,
        scores=contract.scores,
    )


@pytest.mark.parametrize("scores", [{}, {"folds": 3, "dice_mean_all_images": 0.9}])
def test_held_out_scores_stand_where_training_measured_none(scores):
    told = calibrated_contract(replace(NET, scores=scores), found(), None, TOLD).scores

    assert (told["images"], told["folds"]) == (9, 5)
    assert (told["dice_mean_all_images"], told["f2_mean"], told["empty_images_with_false_ships"]) == (0.8, 0.7, 0.1)


def test_scores_of_training_stay_and_say_what_they_were_measured_with_if_that_was_changed():
    trained = replace(NET, scores=TRAINED)

    assert calibrated_contract(trained, found(CURRENT), None, TOLD).scores == TRAINED
    changed = calibrated_contract(trained, found(), None, TOLD)
    assert changed.scores == TRAINED | {"measured_with": asdict(CURRENT)}
    assert calibrated_contract(changed, found(), None, TOLD).scores == changed.scores


@pytest.mark.parametrize(("gate", "images"), [(GateUse("def", 768, 0.25), ["a", "b", "d"]), (None, ["b", "d"])])
def test_a_gate_that_was_left_out_stays_with_the_images_that_it_was_chosen_on(gate, images):
    """Without one, what was chosen before counts no more."""
    before = replace(NET, gate=gate, calibration={"images": ["a", "b"], "folds": 3})

    contract = calibrated_contract(before, found(), None, TOLD)

    assert contract.gate == gate
    assert contract.calibration == TOLD | {"images": images}
