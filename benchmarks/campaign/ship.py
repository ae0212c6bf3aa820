"""Train the weights that ship: `python benchmarks/campaign/ship.py --images DIR --labels CSV --out DIR`.

Divides the images by place into three parts; trains, mines and puts nets together on two of them as shipped.yaml says,
and chooses the settings on the second and the third part together, on images that no training has seen. What ships is
trained once more on nearly all images, and takes settings and scores of what was trained alike without these. Writes
OUT/weights and OUT/scores.md. A phase whose weights are there is not trained again, so the command can be repeated
after a break.
"""

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from shutil import copy
from typing import Any

import yaml

from shipseg_tiles.archive.archive import Archive, open_archive
from shipseg_tiles.archive.places import find_places
from shipseg_tiles.archive.split import TRAIN, VALID, choose_split
from shipseg_tiles.archive.split_file import write_split
from shipseg_tiles.calibration.calibrated_contract import held_out_scores
from shipseg_tiles.cli.call import call as call_verb
from shipseg_tiles.errors import InputError
from shipseg_tiles.nets.contract_file import read_contract, write_contract
from shipseg_tiles.processes import open_workers

RECIPES = Path(__file__).with_name("shipped.yaml")
SPLIT = "split.csv"
ALL_IMAGES = "all-images.csv"
"""All images train but those that are watched, a few of those that validate in SPLIT."""
NOT_TRAINED_ON = "not-trained-on.csv"
"""All images that do not train in SPLIT, to choose settings on."""
FOREVER = 1_000_000
"""Epochs of a phase that its minutes end."""

TERMS = (
    "Airbus Ship Detection Challenge images: the pixels belong to the competition's owners and come under its terms,"
    " which whoever uses these weights should read."
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--encoder-weights", default="imagenet", help="or their path, to do without the download")
    parser.add_argument("--recipes", type=Path, default=RECIPES)
    given = parser.parse_args()
    recipes = yaml.safe_load(given.recipes.read_text(encoding="utf-8"))
    archive = open_archive(given.images, given.labels)
    divide(archive, recipes, given.out)
    for name, recipe in recipes["nets"].items():
        train(name, recipe, given)
    for name, recipe in recipes["ensembles"].items():
        members = [shipped(given.out, member) for member in recipe["members"]]
        views = {option: value for option, value in recipe.items() if option != "members"}
        call("ensemble", views, weights=members, out=shipped(given.out, name))
    for gate, names in recipes["gates"].items():
        for name in names:
            copy_net(shipped(given.out, gate), shipped(given.out, f"{name}.gate"))
    measured = [name for name in segmenters(recipes) if name not in recipes["settings_of"]]
    for name in measured:
        call("calibrate", data(given), weights=shipped(given.out, name), split=given.out / NOT_TRAINED_ON)
    for name, twin in recipes["settings_of"].items():
        take_settings(shipped(given.out, name), shipped(given.out, twin), recipes["settings"].get(name))
    table = held_out_table([shipped(given.out, name) for name in measured])
    (given.out / "scores.md").write_text(table + "\n", encoding="utf-8")
    print(table)


def divide(archive: Archive, recipes: dict[str, Any], out: Path) -> None:
    """Write which images train and which do not, at first and in the end."""
    with open_workers(os.cpu_count() or 1) as processes:
        places, _ = find_places(archive.files, processes)
    ships = {name: len(archive.labels.ships[name]) for name in places}
    outer = choose_split(ships, places, recipes["test_fraction"], recipes["seed"])
    others = {name: count for name, count in ships.items() if outer[name] != VALID}
    split = choose_split(others, places, recipes["valid_fraction"], recipes["seed"])
    write_split(out / SPLIT, split, places)
    not_trained_on = {name: VALID for name in ships if split.get(name) != TRAIN}
    write_split(out / NOT_TRAINED_ON, not_trained_on, places)
    watched = choose_split(
        {name: ships[name] for name, side in split.items() if side == VALID},
        places,
        recipes["watched_fraction"],
        recipes["seed"],
    )
    write_split(out / ALL_IMAGES, {name: watched.get(name, TRAIN) for name in ships}, places)


def take_settings(weights: Path, twin: Path, chosen: dict[str, Any] | None) -> None:
    """Give weights that have seen all images the settings of a twin that has not, or those chosen, and its scores."""
    measured = read_contract(twin)
    names = ("threshold", "minimum_area", "minimum_score", "separate_touching", "gate", "calibration")
    settings = {name: getattr(measured, name) for name in names}
    scores = held_out_scores(measured.calibration)
    scores["data"] += f"; of {twin.stem}, trained alike without these images"
    if chosen:
        assert measured.gate, "settings are chosen together with a gate"
        settings |= chosen | {"gate": replace(measured.gate, threshold=chosen["gate"])}
        scores = {"measured_with": "what calibration chose by fold, which is not what is set"} | scores
    write_contract(replace(read_contract(weights), scores=scores, **settings), weights)


def train(name: str, recipe: dict[str, Any], given: argparse.Namespace) -> None:
    """Train a net, phase by phase, and put the last weights where those are that ship."""
    folder, split = given.out / name, given.out / recipe.get("split", SPLIT)
    before = shipped(given.out, recipe["start_from"]) if "start_from" in recipe else None
    store = folder / "patches.h5"
    if not store.is_file():
        valid = split.read_text(encoding="utf-8").count(f",{VALID},")
        call("make-patches", data(given), **recipe["patches"], split=split, full_images=valid, out=store)
    for number, phase in enumerate(recipe["phases"], start=1):
        weights = folder / f"phase-{number}.keras"
        flags = recipe["train"] | phase
        if "encoder_from" in recipe:
            flags["encoder_weights"] = shipped(given.out, recipe["encoder_from"])
        if flags.get("encoder_weights") == "imagenet":
            flags["encoder_weights"] = given.encoder_weights
        if "mined_fraction" in flags:
            flags["mined"] = folder / f"mined-{number}.h5"
            how = {"threshold": flags.pop("mined_above")} if "mined_above" in flags else {}
            miner = shipped(given.out, flags.pop("mined_with")) if "mined_with" in flags else before
            if not flags["mined"].is_file():
                call("mine", data(given), how, weights=miner, patches=store, split=split, out=flags["mined"])
        if not weights.is_file():
            flags |= {"patches": store, "out": weights, "patience": FOREVER, "notes": TERMS}
            call("train", {"epochs": FOREVER}, {"start_from": before} if before else {}, **flags)
        before = weights
    assert before, "a recipe has phases"
    copy_net(before, shipped(given.out, name))


def copy_net(source: Path, target: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    for suffix in (".keras", ".json"):
        copy(source.with_suffix(suffix), target.with_suffix(suffix))


def shipped(out: Path, name: str) -> Path:
    return out / "weights" / f"{name}.keras"


def segmenters(recipes: dict[str, Any]) -> list[str]:
    return [name for name in recipes["nets"] if name not in recipes["gates"]] + list(recipes["ensembles"])


def held_out_table(nets: list[Path]) -> str:
    """Tell as Markdown what weights reach, each image predicted with the setting that other places chose."""
    lines = ["| weights | true dice, all images | F2 | false ships on empties |", "|---|---|---|---|"]
    for weights in nets:
        told = read_contract(weights).calibration["held_out"]
        lines.append(f"| {weights.stem} | {told['true_dice']:.3f} | {told['f2']:.3f} | {told['false_ships']:.0%} |")
    return "\n".join(lines)


def data(given: argparse.Namespace) -> dict[str, Any]:
    return {"images": given.images, "labels": given.labels}


def call(verb: str, *flags: dict[str, Any], **more: Any) -> None:
    """Run a verb in a process of its own; stop where it fails."""
    given = {name: value for part in (*flags, more) for name, value in part.items()}
    try:
        call_verb(verb, "the campaign", **given)
    except InputError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
