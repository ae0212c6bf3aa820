"""`shipseg-tiles compare`: train presets within the same time on the same images, and score them on other places."""

import json
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shipseg_tiles.cli.call import call
from shipseg_tiles.cli.common import Outcome, quiet_import
from shipseg_tiles.cli.options import ArchiveOptions, option
from shipseg_tiles.errors import InputError

if TYPE_CHECKING:
    from shipseg_tiles.archive.archive import Archive
    from shipseg_tiles.training.comparison import FoldResult
    from shipseg_tiles.training.presets import Preset

_EPOCHS = 1_000_000
"""More than there is time for: time alone ends a training, and all have as much of it."""

_CLASSIFIER_SHARE = 1 / 3
"""Share of the time that goes to the classifier, where a preset has one."""

_NOT_ASKED = ("presets", "test_folds", "workers", "json", "config")
"""Options that do not change what a preset is scored with on a fold: a run with others goes on with what there is."""


@dataclass(kw_only=True)
class Options(ArchiveOptions):
    """Options of `compare`."""

    out: Path = option("folder for weights, scores and the table", metavar="DIR")
    presets: str = option(
        "names of presets, or paths of .yaml files, with commas between; the others are compared with the first",
        default="default,resized-xception,full-resolution,classify-then-segment,ship-patches,mobilenet-staged",
        metavar="A,B,C",
    )
    minutes: float = option(
        "time to train each preset on each fold, its classifier included", default=10.0, metavar="M"
    )
    folds: int = option("parts that the images are dealt to by place", default=7, metavar="K")
    test_folds: int = option(
        "so many of them are scored, each by nets that were trained without it", default=1, metavar="N"
    )
    valid_fraction: float = option(
        "share of the images outside of a fold that choose the best epoch", default=0.1, metavar="F"
    )
    full_images: int = option("images, of those, that are predicted at each epoch's end", default=40, metavar="N")
    encoder_weights: str = option(
        "path of weights for encoders of presets that would download imagenet", default="", metavar="FILE"
    )
    seed: int = option("seed of validation, patches and trainings", default=0, metavar="S")
    workers: int = option("processes that look at images and cut them", default=os.cpu_count() or 1, metavar="N")


@dataclass(frozen=True)
class _Fold:
    """A part of the images that only nets are scored on which were trained without it.

    Attributes:
        folder: For all that is trained for this fold.
        test: The images of the fold.
        labels: SHA-256 of the labels of all images, those that train among them.
    """

    folder: Path
    test: "Archive"
    labels: str

    @property
    def split(self) -> Path:
        """File that says which of the other images train and which validate."""
        return self.folder / "split.csv"


def run(options: Options) -> Outcome:
    """Compare; what an earlier run of the same command has scored is not trained again."""
    from shipseg_tiles.files import write_json, write_text
    from shipseg_tiles.report.comparison import markdown_table, write_comparison
    from shipseg_tiles.training.presets import read_preset

    if not options.minutes > 0:
        raise InputError(f"minutes {options.minutes} must be above 0")
    if not 1 <= options.test_folds <= options.folds:
        raise InputError(f"test folds {options.test_folds} must be from 1 to the number of folds, {options.folds}")
    presets = [read_preset(name) for name in options.presets.split(",")]
    _check(presets)
    for preset in presets:
        _check_options(preset, options)
    folds = _divided(options)
    with quiet_import():
        from shipseg_tiles.training.comparison import tabulate
    measured: dict[str, list[FoldResult]] = {preset.name: [] for preset in presets}
    for fold in folds:
        for preset in presets:
            measured[preset.name].append(_measured(preset, options, fold))
    rows = tabulate(measured)
    table = markdown_table(rows)
    write_text(options.out / "comparison.md", table + "\n")
    write_json(options.out / "comparison.json", rows)
    first = rows[presets[0].name]
    lead = (
        f"{first['images']} test images, {first['ship_images']} with ships, in {len(folds)} of {options.folds} folds;"
        f" {options.minutes:g} minutes each"
    )
    write_comparison(options.out / "comparison.html", lead, rows)
    return Outcome(f"{lead}\n{table}", {"test_images": first["images"], "minutes": options.minutes, "presets": rows})


def _check(presets: "Sequence[Preset]") -> None:
    names = [preset.name for preset in presets]
    for preset in presets:
        if names.count(preset.name) > 1:
            raise InputError(f"two presets are called {preset.name}; each has a folder of that name")
        if "classifier" in str(preset.options["train"].get("net")):
            raise InputError(f"preset {preset.name} trains a classifier, which finds no ships; compare what follows it")


def _check_options(preset: "Preset", options: Options) -> None:
    """Refuse, before anything is trained, options that the verbs do not take, and weights that are not there."""
    from shipseg_tiles.cli import make_patches, train
    from shipseg_tiles.cli.main import parse_options
    from shipseg_tiles.patches.batch_mix import BatchMix
    from shipseg_tiles.training.presets import read_preset

    if options.encoder_weights and not Path(options.encoder_weights).is_file():
        raise InputError(f"encoder weights {options.encoder_weights} do not exist; name a file")
    for own in (preset, *([read_preset(preset.classifier)] if preset.classifier else [])):
        parse_options("make-patches", make_patches.Options, [f"--preset={own.source}", "--labels=-"])
        training = parse_options("train", train.Options, [f"--preset={own.source}", "--patches=-", "--out=-"])
        try:
            mix = BatchMix.parse(training.batch_size, training.ship_fraction, _EPOCHS, own.mine)
        except InputError as error:
            raise InputError(f"preset {own.name}: {error}") from None
        if mix.ship_fraction.changes:
            raise InputError(
                f"preset {own.name} changes its ship fraction over the epochs, but here time ends a training, and"
                " nobody knows how many epochs there are; give one share"
            )


def _divided(options: Options) -> list[_Fold]:
    """Deal the images out; return the folds that are scored, each with its split in its folder."""
    from shipseg_tiles.archive.split_file import write_split
    from shipseg_tiles.processes import open_workers

    with quiet_import():
        from shipseg_tiles.training.comparison import divide

    archive = options.archive()
    with open_workers(options.workers) as processes:
        divisions = divide(archive, options.folds, options.valid_fraction, options.seed, processes)
    labels = sha256(archive.labels.to_csv().encode()).hexdigest()
    folds = []
    for number, division in enumerate(divisions[: options.test_folds], start=1):
        fold = _Fold(options.out / f"fold-{number}", archive.only(division.test), labels)
        fold.test.check_labels()  # now, not when all is trained
        write_split(fold.split, division.split, division.places)
        folds.append(fold)
    return folds


def _measured(preset: "Preset", options: Options, fold: _Fold) -> "FoldResult":
    """Train a preset outside of a fold and score it there, unless that has been done by the same command."""
    from shipseg_tiles.files import write_json
    from shipseg_tiles.training.comparison import measure_fold

    path = fold.folder / preset.name / "scores.json"
    asked = _asked(preset, options, fold)
    if known := _known(path, asked):
        return known
    began = time.monotonic()
    weights, classifier = _trained_with_classifier(preset, options, fold)
    minutes = (time.monotonic() - began) / 60
    measured = measure_fold(weights, classifier if preset.filter else None, fold.test, minutes)
    write_json(path, {"asked": asked, "measured": asdict(measured)})
    dice = sum(score.dice for score in measured.scores) / len(measured.scores)
    print(f"{fold.folder.name}, {preset.name}: true dice {dice:.3f}", file=sys.stderr, flush=True)
    return measured


def _asked(preset: "Preset", options: Options, fold: _Fold) -> dict[str, str]:
    """Return all that decides what a preset is scored with on a fold."""
    from shipseg_tiles.training.presets import read_preset

    before = asdict(read_preset(preset.classifier)) if preset.classifier else None
    return {
        **{name: str(value) for name, value in vars(options).items() if name not in _NOT_ASKED},
        "preset": json.dumps(asdict(preset)),
        "classifier": json.dumps(before),
        "labels_sha256": fold.labels,
        "split": fold.split.read_text(encoding="utf-8"),
        "test": ",".join(fold.test.files),
    }


def _known(path: Path, asked: dict[str, str]) -> "FoldResult | None":
    """Return what an earlier run has measured; None if there is no such file, or it was asked for something else."""
    from shipseg_tiles.training.comparison import FoldResult

    known = _read(path)
    with suppress(KeyError, TypeError):  # one of another version counts as none
        if known and known["asked"] == asked:
            return FoldResult.from_json(known["measured"])
    return None


def _read(path: Path) -> Any:
    """Read a JSON file; None if there is none, or it is cut off."""
    with suppress(OSError, ValueError):
        return json.loads(path.read_text(encoding="utf-8"))
    return None


def _trained_with_classifier(preset: "Preset", options: Options, fold: _Fold) -> tuple[Path, Path | None]:
    """Train a preset, and before it the classifier that it wants; return the weights of both."""
    from shipseg_tiles.training.presets import read_preset

    if not preset.classifier:
        return _trained(preset, options, fold, options.minutes), None
    before = options.minutes * _CLASSIFIER_SHARE
    classifier = _trained(read_preset(preset.classifier), options, fold, before)
    encoder = classifier if preset.encoder else None
    return _trained(preset, options, fold, options.minutes - before, encoder), classifier


def _trained(preset: "Preset", options: Options, fold: _Fold, minutes: float, encoder: Path | None = None) -> Path:
    """Cut patches as a preset says and train on them; return the weights."""
    from shipseg_tiles.files import write_json
    from shipseg_tiles.patches.store_layout import shards_folder

    folder, asked = fold.folder / preset.name, _asked(preset, options, fold)
    if _read(folder / "asked.json") != asked:
        shutil.rmtree(folder, ignore_errors=True)  # what was begun otherwise
        write_json(folder / "asked.json", asked)
    patches, weights = folder / "patches.h5", folder / "net.keras"
    images = {"images": options.images, "labels": options.labels, "split": fold.split, "workers": options.workers}
    whole = {"full_images": options.full_images, "seed": options.seed}
    call("make-patches", f"preset {preset.name}", preset=preset.source, out=patches, **whole, **images)
    if preset.mine:
        begun = folder / "before-mining.keras"
        _train(preset, options, patches, begun, minutes / 2, encoder)
        _mine(preset, patches, begun, weights, minutes / 2, images)
    else:
        _train(preset, options, patches, weights, minutes, encoder)
    patches.unlink()
    shutil.rmtree(shards_folder(patches), ignore_errors=True)
    return weights


def _train(
    preset: "Preset", options: Options, patches: Path, weights: Path, minutes: float, encoder: Path | None
) -> None:
    wants_imagenet = preset.options["train"].get("encoder_weights") == "imagenet"
    given = options.encoder_weights if wants_imagenet else ""
    call(
        "train",
        f"preset {preset.name}",
        preset=preset.source,
        patches=patches,
        out=weights,
        minutes=minutes,
        epochs=_EPOCHS,
        patience=_EPOCHS,
        seed=options.seed,
        encoder_weights=encoder or given or None,
    )


def _mine(
    preset: "Preset", patches: Path, begun: Path, weights: Path, minutes: float, images: Mapping[str, Any]
) -> None:
    from shipseg_tiles.nets.weights_files import rounds_folder

    on_mined = {"rounds": 1, "mined_fraction": preset.mine, "minutes": minutes, "epochs": _EPOCHS}
    of = f"preset {preset.name}"
    call("mine-and-train", of, weights=begun, patches=patches, out=weights, **on_mined, **images)
    shutil.rmtree(rounds_folder(weights), ignore_errors=True)
