"""Train and mine in turn: each round a net learns from the mistakes that the one before it made."""

import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from shipseg_tiles.archive.archive import Archive
from shipseg_tiles.errors import InputError
from shipseg_tiles.files import written_whole
from shipseg_tiles.inference.predictor import Predictor
from shipseg_tiles.nets.contract import Contract, read_contract, write_contract
from shipseg_tiles.patches.store import PatchStore
from shipseg_tiles.training.fit import train
from shipseg_tiles.training.mining import check_split, find_hard_negatives, write_hard_negatives
from shipseg_tiles.training.options import TrainOptions


def mine_and_train(
    weights: Path,
    store: PatchStore,
    archive: Archive,
    out: Path,
    processes: Executor,
    *,
    rounds: int,
    mined_fraction: float,
    epochs: int,
    learning_rate: float,
    minutes: float = 0.0,
    sides: Mapping[str, str] | None = None,
    resume: bool = False,
    tell: Callable[[str], None] = print,
) -> list[Contract]:
    """Mine with a net and train it further on what was found, several times; keep the best of all.

    Each round trains on the hard negatives of all rounds so far, with the options that the weights were trained with
    but those given here. What rounds leave stands in the folder `NAME.rounds` beside `out`.

    Args:
        weights: Where to begin; they compete too.
        store: What they were trained on.
        archive: The images that the store was made from.
        out: `NAME.keras` to write; its contract `NAME.json` appears beside it.
        processes: Where images are compared and cut.
        rounds: How often, 1 or more.
        mined_fraction: Share of hard negatives in every batch.
        epochs: Epochs of a round.
        learning_rate: Largest rate of a round.
        minutes: Stop the training of a round after so much time; 0 for never.
        sides: As the store was cut, see `find_hard_negatives`.
        resume: Go on where an earlier call with the same arguments stopped.
        tell: Called with a line for people after each round.

    Returns:
        The contracts of the weights that the rounds began with and came to, in this order.

    Raises:
        InputError: If the contract does not say how the weights were trained, the store was cut by other sides, or an
            option is out of its range.
    """
    if rounds < 1:
        raise InputError(f"rounds {rounds} must be 1 or more")
    check_split(store, sides)  # a round would take its complaint for an end of the mistakes
    folder = out.with_suffix(".rounds")
    options = replace(
        _options_of(weights),
        encoder_weights="none",
        stages=(),
        mined_fraction=mined_fraction,
        epochs=epochs,
        minutes=minutes,
        learning_rate=learning_rate,
    )
    made, mined = [weights], list[Path]()
    for number in range(1, rounds + 1):
        path = folder / f"mined-{number}.h5"
        if not (resume and path.is_file()):
            try:
                _mine(made[-1], store, archive, path, processes, sides)
            except InputError as error:
                tell(f"round {number}: {error}")
                break
        mined.append(path)
        made.append(folder / f"round-{number}.keras")
        begun = (made[-1].with_suffix(".training") / "state.json").is_file()
        options = replace(options, start_from=str(made[-2]))
        train(store, made[-1], options, mined=PatchStore(*mined), resume=resume and begun)
        tell(f"round {number}: {len(PatchStore(*mined).sets['train', 'background'])} hard negatives, {_told(made[-1])}")
    contracts = [read_contract(path) for path in made]
    best = max(range(len(made)), key=lambda number: (contracts[number].scores.get("dice_mean_all_images", 0), number))
    with written_whole(out) as temporary:
        shutil.copyfile(made[best], temporary)
    write_contract(contracts[best], out)
    return contracts


def _options_of(weights: Path) -> TrainOptions:
    """Return what weights were trained with, as their contract says."""
    known = read_contract(weights).trained_on.get("training")
    names = {field.name for field in fields(TrainOptions)}
    if not isinstance(known, dict) or "net" not in known or not set(known) <= names:
        raise InputError(f"the contract of {weights} does not say how they were trained; train them with this version")
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in known.items()}
    return TrainOptions(**values)


def _mine(
    weights: Path,
    store: PatchStore,
    archive: Archive,
    out: Path,
    processes: Executor,
    sides: Mapping[str, str] | None,
) -> None:
    found = find_hard_negatives(Predictor.load(weights), archive, store, processes, sides=sides)
    write_hard_negatives(found, archive, out, processes)


def _told(weights: Path) -> str:
    dice = read_contract(weights).scores.get("dice_mean_all_images")
    return "no full images to measure on" if dice is None else f"true dice {dice:.3f}"
