"""`shipseg-tiles calibrate`: choose threshold, minimum area and score, gate and separation on validation images."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from shipseg_tiles.cli.common import Outcome, quiet_import
from shipseg_tiles.cli.options import ArchiveOptions, PixelOptions, option

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(kw_only=True)
class Options(PixelOptions, ArchiveOptions):
    """Options of `calibrate`."""

    weights: Path = option("weights, into whose contract the choice is written", metavar="FILE.keras")
    split: Path | None = option(
        "CSV ImageId,split[,scene]: only the images that are valid there are used (default: all)",
        default=None,
        metavar="CSV",
    )
    objective: str = option("what is made highest", default="true-dice", choices=["true-dice", "f2"])
    folds: int = option("parts of the images, by place, that are scored without them", default=5, metavar="N")
    gate: str = option(
        "weights of a gate, or off (default: NAME.gate.keras beside the weights NAME.keras, if it is there)",
        default="",
        metavar="FILE.keras",
    )
    out: Path | None = option("folder for calibration.json and calibration.png", default=None, metavar="DIR")
    dry_run: bool = option("leave the contract as it is", default=False)


def run(options: Options) -> Outcome:
    """Measure, choose, and write the contract."""
    from shipseg_tiles.archive.split_file import validation_places
    from shipseg_tiles.calibration.calibrated_contract import calibrated_contract
    from shipseg_tiles.calibration.calibration import calibrate
    from shipseg_tiles.nets.contract_file import contract_in_front, read_contract, segmenter_contract, write_contract
    from shipseg_tiles.nets.weights_files import chosen_gate, contract_path
    from shipseg_tiles.report.calibration import calibration_table, write_calibration

    gate = chosen_gate(options.gate, options.weights)
    contract = segmenter_contract(options.weights, pixel_size=options.pixel_size)
    if contract.pixel_size != read_contract(options.weights).pixel_size:
        contract = replace(contract, scores={})  # they are of other pixels
    if gate:
        contract_in_front(gate, contract, options.pixel_size)
    archive = options.archive()
    places = validation_places(archive, options.split)
    ships = {name: len(archive.labels.ships[name]) for name in places}
    _folds(options, places, ships)  # complains before what takes time
    with quiet_import():
        from shipseg_tiles.calibration.measurement import measure_nets

    measured = measure_nets(options.weights, gate, archive.only(places), options.pixel_size)
    seen = {name: places[name] for name in measured.evidence}
    folds = _folds(options, seen, ships)
    found = calibrate(list(measured.evidence.values()), folds, measured.axes(), options.objective, measured.current)
    told = found.numbers() | {"places": len(set(seen.values())), "images": sorted(measured.digests)}
    if options.out:
        write_calibration(told, options.out)
    if not options.dry_run:
        write_contract(calibrated_contract(contract, found, measured.use_of_gate(found.chosen), told), options.weights)
    written = "left as it was" if options.dry_run else "written"
    data = {"weights": str(options.weights), "written": not options.dry_run, **told}
    return Outcome(f"{calibration_table(told)}\n{contract_path(options.weights)} {written}", data)


def _folds(options: Options, places: Mapping[str, str], ships: Mapping[str, int]) -> "NDArray[np.int64]":
    """Deal images out to folds, after a check that any setting but one that finds nothing can be best on them."""
    from shipseg_tiles.archive.split import folds_by_place
    from shipseg_tiles.errors import InputError

    if not any(ships[name] for name in places):
        raise InputError(
            f"none of the {len(places)} images in {options.images} shows a ship, so that to find nothing would be best;"
            " give validation images with ships as well"
        )
    return folds_by_place(places, ships, options.folds)
