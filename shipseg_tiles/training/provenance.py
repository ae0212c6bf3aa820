"""What weights come from: told in their contract, checked when a training goes on."""

from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from shipseg_tiles.archive.split import SPLITS
from shipseg_tiles.errors import InputError
from shipseg_tiles.nets.contract_file import read_contract
from shipseg_tiles.patches.store import PatchStore
from shipseg_tiles.patches.store_layout import CLASSES
from shipseg_tiles.training.options import TrainOptions


def origin_of(store: PatchStore, options: TrainOptions) -> dict[str, Any]:
    """Say for a contract what weights are trained on, and how; of other weights by name, not by folder.

    Args:
        store: Patches to train on.
        options: How.
    """
    names = {option: Path(getattr(options, option)).name for option in ("start_from", "encoder_weights")}
    return {
        **_of_store(store),
        "patches": {split: {kind: len(store.sets[split, kind]) for kind in CLASSES} for split in SPLITS},
        "training": asdict(options) | names,
    }


def options_of(weights: Path, store: PatchStore) -> TrainOptions:
    """Return what weights were trained with, as their contract says.

    Args:
        weights: `.keras` file with its contract beside it.
        store: What they must have been trained on, so that the scores in their contract are of its images.

    Raises:
        InputError: If the contract does not say it, or names another store.
    """
    origin = read_contract(weights).trained_on
    known = origin.get("training")
    names = {item.name for item in fields(TrainOptions)}
    if not isinstance(known, dict) or "net" not in known or not set(known) <= names:
        raise InputError(f"the contract of {weights} does not say how they were trained; train them with this version")
    if any(origin.get(name, value) != value for name, value in _of_store(store).items()):
        raise InputError(
            f"{weights} were trained on another store than {store.paths[0]}, and their scores are of its images; give"
            " that store, or train them further on this one with train --start-from"
        )
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in known.items()}
    return TrainOptions(**values)


def _of_store(store: PatchStore) -> dict[str, Any]:
    return {
        "store_fingerprint": store.fingerprint,
        "store_content": store.content,
        "store_options": store.options,
    }


def identity(store: PatchStore, mined: PatchStore | None, options: TrainOptions) -> dict[str, Any]:
    """Return what must be the same when a training is taken up again, which may be on other machines.

    Args:
        store: Patches to train on.
        mined: The hard negatives; None if there are none.
        options: How.
    """
    named = {name: getattr(options, name) for name in ("start_from", "encoder_weights")}
    files = {name: str(Path(value).resolve()) for name, value in named.items() if value not in ("", "none", "imagenet")}
    told = asdict(options) | files | {"store": _content(store), "mined": _content(mined) if mined else ""}
    del told["strategy"]
    if not options.batch_mix().ship_fraction.changes and options.schedule in ("plateau", "constant"):
        del told["epochs"]  # it may be prolonged, unless the epochs so far depend on how many there are
    return told


def _content(store: PatchStore) -> list[Any]:
    """Return what says which patches and full images a store holds, and at which scale."""
    return [store.content, *store.options_of_all]
