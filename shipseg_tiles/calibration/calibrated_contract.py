"""What a calibration writes into the contract of a net."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from shipseg_tiles.calibration.calibration import Calibration
from shipseg_tiles.nets.contract import Contract, GateUse


def calibrated_contract(
    contract: Contract, found: Calibration, gate: GateUse | None, told: Mapping[str, Any]
) -> Contract:
    """Write what was chosen into a contract.

    Args:
        contract: What it was. Its scores stay if training has measured them, and are those that were held out if not.
        found: The calibration.
        gate: How the gate that was calibrated with it is used; None if there was none, so that what the contract says
            of a gate stays, and with it the images that its threshold was chosen on.
        told: `Calibration.numbers`, and under `images` the digests of the images.
    """
    if gate is None and contract.gate:
        gate = contract.gate
        told = {**told, "images": sorted({*told["images"], *contract.calibration.get("images", [])})}
    scores = contract.scores
    if not scores or "folds" in scores:
        scores = held_out_scores(told)
    elif found.chosen != found.current:
        scores = {"measured_with": asdict(found.current)} | scores
    return replace(contract, **asdict(found.chosen) | {"gate": gate, "scores": scores, "calibration": dict(told)})


def held_out_scores(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return the held-out scores of a calibration as contracts call them.

    Weights get them that training gave none, such as ensembles.
    """
    held_out = told["held_out"]
    return {
        "data": f"{told['count']} images that the setting was chosen on, each scored with the one of other folds",
        "images": told["count"],
        "folds": told["folds"],
        "dice_mean_all_images": held_out["true_dice"],
        "f2_mean": held_out["f2"],
        "empty_images_with_false_ships": held_out["false_ships"],
    }
