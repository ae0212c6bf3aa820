"""Predict images with settings that others chose: `python benchmarks/campaign/held_out.py --help`.

`calibrate` chooses threshold, minimum area, minimum score and gate on all images that it is given, and remembers what
it would have chosen without each of its folds of places. Here each image is predicted with the settings that were
chosen without its fold, so that `shipseg-tiles score --predictions OUT/masks` tells what the weights reach on places
that had no say. Give the images, labels and split that `calibrate` was given; `--only DIR` predicts those alone that
are in that folder too.
"""

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from shutil import copy
from tempfile import TemporaryDirectory
from typing import Any

from shipseg_tiles.archive.archive import Archive, open_archive
from shipseg_tiles.archive.split import folds_by_place
from shipseg_tiles.archive.split_file import validation_places
from shipseg_tiles.cli.common import quiet_import
from shipseg_tiles.images import list_images
from shipseg_tiles.nets.contract_file import read_contract, write_contract
from shipseg_tiles.nets.weights_files import gate_path

with quiet_import():
    from shipseg_tiles.inference.options import PredictOptions
    from shipseg_tiles.inference.predict import predict_files
    from shipseg_tiles.report.predictions import PredictionFolder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--only", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    archive = open_archive(given.images, given.labels)
    only = {path.name for path in list_images(given.only or given.images)}
    given.out.mkdir()
    for setting, names in settings_and_images(archive, given.split, read_contract(given.weights).calibration):
        predict(given.weights, setting, archive.only(only.intersection(names)), given.out)


def settings_and_images(
    archive: Archive, split: Path, calibration: Mapping[str, Any]
) -> list[tuple[dict[str, Any], list[str]]]:
    """Return for each fold of a calibration the settings that were chosen without it, and its images."""
    places = validation_places(archive, split)
    if len(places) != calibration["count"]:
        raise SystemExit(f"{len(places)} images, but the weights were calibrated on {calibration['count']}")
    ships = {name: len(archive.labels.ships[name]) for name in places}
    folds = folds_by_place(places, ships, calibration["folds"])
    names = [[name for name, of in zip(places, folds, strict=True) if of == fold] for fold in range(folds.max() + 1)]
    return list(zip(calibration["by_fold"], names, strict=True))


def predict(weights: Path, setting: dict[str, Any], images: Archive, out: Path) -> None:
    """Predict images with other settings than those in the contract."""
    contract = read_contract(weights)
    gate = contract.gate and replace(contract.gate, threshold=setting["gate"])
    chosen = {name: setting[name] for name in ("threshold", "minimum_area", "minimum_score", "separate_touching")}
    with TemporaryDirectory() as folder:
        changed = Path(folder) / weights.name
        copy(weights, changed)
        write_contract(replace(contract, **chosen, gate=gate), changed)
        options = PredictOptions(weights=changed, gate=gate_path(weights) if gate else None)
        written = PredictionFolder(out, options, pictures=0, vectors=False)
        for prediction in predict_files(options, list(images.files.values()), written.strips):
            written.add(prediction, images.files[prediction.name])


if __name__ == "__main__":
    main()
