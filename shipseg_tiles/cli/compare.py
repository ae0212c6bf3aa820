"""`shipseg-tiles compare`: train presets within the same time on the same split, and score them on other places."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shipseg_tiles.cli.common import CommonOptions, Outcome, option, quiet_import
from shipseg_tiles.errors import InputError

if TYPE_CHECKING:
    from shipseg_tiles.archive.archive import Archive
    from shipseg_tiles.training.presets import Preset

_EPOCHS = 1_000_000
"""More than there is time for: time alone ends a training, and all have as much of it."""

_CLASSIFIER_SHARE = 1 / 3
"""Share of the time that goes to the classifier, where a preset has one."""


@dataclass(kw_only=True)
class Options(CommonOptions):
    """Options of `compare`."""

    images: Path = option("folder or zip of images", metavar="DIR")
    labels: Path = option("CSV of run-length rows, or folder of mask PNGs", metavar="CSV")
    out: Path = option("folder for stores, weights and the table", metavar="DIR")
    presets: str = option(
        "names of presets, or paths of .yaml files, with commas between",
        default="default,resized-xception,full-resolution,classify-then-segment,ship-patches,mobilenet-staged",
        metavar="A,B,C",
    )
    minutes: float = option("time to train each preset, its classifier included", default=10.0, metavar="M")
    test_fraction: float = option("share of the images that scores are measured on", default=0.15, metavar="F")
    valid_fraction: float = option("share of the others that choose the best epoch", default=0.1, metavar="F")
    full_images: int = option("images, of those, that are predicted at each epoch's end", default=40, metavar="N")
    encoder_weights: str = option(
        "path of weights for encoders of presets that would download imagenet", default="", metavar="FILE"
    )
    seed: int = option("seed of split, patches and trainings", default=0, metavar="S")
    workers: int = option("processes that look at images and cut them", default=os.cpu_count() or 1, metavar="N")


def run(options: Options) -> Outcome:
    """Compare; presets that an earlier run of the same command has scored are not trained again."""
    from shipseg_tiles.files import write_json, write_text
    from shipseg_tiles.report.comparison import write_comparison
    from shipseg_tiles.training.presets import read_preset

    if not options.minutes > 0:
        raise InputError(f"minutes {options.minutes} must be above 0")
    presets = [read_preset(name) for name in options.presets.split(",")]
    _check(presets)
    test, split = _divided(options)
    rows: dict[str, dict[str, Any]] = {}
    for preset in presets:
        rows[preset.name] = _scored(preset, options, split, test)
        print(f"{preset.name}: true dice {rows[preset.name]['dice_mean_all_images']:.3f}", file=sys.stderr, flush=True)
    with quiet_import():
        from shipseg_tiles.training.comparison import table_text
    table = table_text(rows)
    write_text(options.out / "comparison.md", table + "\n")
    write_json(options.out / "comparison.json", rows)
    ships = sum(bool(test.labels.ships[name]) for name in test.files)
    lead = f"{len(test.files)} test images, {ships} with ships; {options.minutes:g} minutes each"
    write_comparison(options.out / "comparison.html", lead, table, rows)
    return Outcome(f"{lead}\n{table}", {"test_images": len(test.files), "minutes": options.minutes, "presets": rows})


def _check(presets: "Sequence[Preset]") -> None:
    names = [preset.name for preset in presets]
    for preset in presets:
        if names.count(preset.name) > 1:
            raise InputError(f"two presets are called {preset.name}; each has a folder of that name")
        if "classifier" in str(preset.options["train"].get("net")):
            raise InputError(f"preset {preset.name} trains a classifier, which finds no ships; compare what follows it")


def _divided(options: Options) -> "tuple[Archive, Path]":
    """Divide the images; return those that test, and the file that says which train and which validate."""
    from shipseg_tiles.archive.archive import open_archive
    from shipseg_tiles.archive.split import write_split
    from shipseg_tiles.processes import open_workers

    with quiet_import():
        from shipseg_tiles.training.comparison import divide

    archive = open_archive(options.images, options.labels)
    with open_workers(options.workers) as processes:
        division = divide(archive, options.test_fraction, options.valid_fraction, options.seed, processes)
    split = options.out / "split.csv"
    write_split(split, division.sides, division.scenes)
    return archive.only(division.test), split


def _scored(preset: "Preset", options: Options, split: Path, test: "Archive") -> dict[str, Any]:
    """Train a preset and score it, unless that has been done by the same command."""
    from dataclasses import asdict

    from shipseg_tiles.files import write_json
    from shipseg_tiles.training.presets import read_preset

    path = options.out / preset.name / "scores.json"
    asked = {name: str(value) for name, value in vars(options).items() if name not in ("presets", "json", "config")}
    asked |= {"preset": json.dumps(asdict(preset)), "split": split.read_text(encoding="utf-8")}
    if path.is_file():
        known = json.loads(path.read_text(encoding="utf-8"))
        if known["asked"] == asked:
            return dict(known["scores"])
    classifier, minutes = None, options.minutes
    if preset.classifier:
        classifier = _trained(read_preset(preset.classifier), options, split, minutes * _CLASSIFIER_SHARE)
        minutes *= 1 - _CLASSIFIER_SHARE
    encoder = classifier if preset.encoder else None
    weights = _trained(preset, options, split, minutes, encoder)
    with quiet_import():
        from shipseg_tiles.training.comparison import measure
    scores = measure(weights, classifier if preset.filter else None, test)
    write_json(path, {"asked": asked, "scores": scores})
    return scores


def _trained(preset: "Preset", options: Options, split: Path, minutes: float, encoder: Path | None = None) -> Path:
    """Cut patches as a preset says and train on them; return the weights."""
    folder = options.out / preset.name
    patches, weights = folder / "patches.h5", folder / "net.keras"
    _call(
        "make-patches",
        preset=preset.source,
        images=options.images,
        labels=options.labels,
        out=patches,
        split=split,
        full_images=options.full_images,
        seed=options.seed,
        workers=options.workers,
    )
    wants_imagenet = preset.options["train"].get("encoder_weights") == "imagenet"
    given = options.encoder_weights if wants_imagenet else ""
    _call(
        "train",
        preset=preset.source,
        patches=patches,
        out=weights,
        minutes=minutes,
        epochs=_EPOCHS,
        patience=_EPOCHS,
        seed=options.seed,
        encoder_weights=encoder or given or None,
    )
    patches.unlink()
    return weights


def _call(verb: str, **flags: Any) -> None:
    """Run a verb in a process of its own, so that no training inherits memory or compiled nets of another.

    Raises:
        InputError: If it fails; what was wrong stands above on the terminal.
    """
    given = [(f"--{name.replace('_', '-')}", str(value)) for name, value in flags.items() if value is not None]
    command = [sys.executable, "-m", "shipseg_tiles", verb, *(text for flag in given for text in flag)]
    status = subprocess.run(command, stdout=sys.stderr, check=False).returncode
    if status < 0 or status == 130:
        raise KeyboardInterrupt
    if status:
        raise InputError(f"{verb} of preset {flags['preset']} failed, see above")
