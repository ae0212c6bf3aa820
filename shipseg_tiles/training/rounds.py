"""Train and mine in turn: each round a net learns from the mistakes that the one before it made."""

import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from shipseg_tiles.archive.archive import Archive
from shipseg_tiles.errors import InputError
from shipseg_tiles.inference.predictor import Predictor
from shipseg_tiles.jobs import locked
from shipseg_tiles.nets.contract import Contract
from shipseg_tiles.nets.contract_file import read_contract, write_weights
from shipseg_tiles.nets.weights_files import journal_folder, rounds_folder
from shipseg_tiles.patches.store import PatchStore
from shipseg_tiles.training.fit import train
from shipseg_tiles.training.journal import can_be_resumed
from shipseg_tiles.training.mining import NoMistakeError, find_hard_negatives, write_hard_negatives
from shipseg_tiles.training.options import TrainOptions
from shipseg_tiles.training.provenance import options_of


@dataclass(frozen=True, kw_only=True)
class RoundOptions:
    """How the rounds are trained, beside what the weights were trained with.

    Attributes:
        rounds: How often, 1 or more.
        mined_fraction: Share of hard negatives in every batch.
        epochs: Epochs of a round.
        minutes: Stop the training of a round after so much time; 0 for never.
        learning_rate: Largest rate of a round.
    """

    rounds: int
    mined_fraction: float
    epochs: int
    minutes: float = 0.0
    learning_rate: float

    def __post_init__(self) -> None:
        """Refuse to do nothing; what is wrong with the others `TrainOptions` says."""
        if self.rounds < 1:
            raise InputError(f"rounds {self.rounds} must be 1 or more")
        if not 0 < self.mined_fraction < 1:
            raise InputError(f"mined fraction {self.mined_fraction} must be above 0 and below 1")

    def further(self, trained: TrainOptions) -> TrainOptions:
        """Return how weights that were trained so are trained on: on this machine, with a warm-up that ends."""
        return replace(
            trained,
            encoder_weights="none",
            stages=(),
            mined_fraction=self.mined_fraction,
            epochs=self.epochs,
            minutes=self.minutes,
            learning_rate=self.learning_rate,
            warm_up=min(trained.warm_up, self.epochs / 2),
            strategy="none" if trained.strategy == "multi-worker" else trained.strategy,
        )


def mine_and_train(
    weights: Path,
    store: PatchStore,
    archive: Archive,
    out: Path,
    processes: Executor,
    options: RoundOptions,
    *,
    split: Mapping[str, str] | None = None,
    resume: bool = False,
    tell: Callable[[str], None] = print,
) -> list[Contract]:
    """Mine with a net and train it further on what was found, several times; keep the best of all.

    Each round trains on the hard negatives of all rounds so far, with the options that the weights were trained with
    but those of the rounds. What rounds leave stands in the folder `NAME.rounds` beside `out`.

    Args:
        weights: Where to begin; they compete too.
        store: What they were trained on.
        archive: The images that the store was made from.
        out: `NAME.keras` to write; its contract `NAME.json` appears beside it.
        processes: Where images are compared and cut.
        options: How.
        split: As the store was cut, see `find_hard_negatives`.
        resume: Go on where an earlier call with the same arguments stopped.
        tell: Called with a line for people after each round.

    Returns:
        The contracts of the weights that the rounds began with and came to, in this order.

    Raises:
        InputError: If the contract does not say how the weights were trained, or names another store, the store was cut
            by another split, no image can be mined, or an option is out of its range.
    """
    if out.suffix != ".keras":
        raise InputError(f"{out} must end in .keras")
    folder = rounds_folder(out)
    if weights.resolve().parent == folder.resolve():
        raise InputError(f"{weights} lie where rounds are written to; copy them elsewhere, with their contract")
    training = options.further(options_of(weights, store))
    training.stages_and_rates()  # complains before anything is removed or mined
    _check_mix(weights, training)
    with locked(out):
        if not resume:
            shutil.rmtree(folder, ignore_errors=True)  # or a later `resume` would go on with rounds of an earlier call
        rounds = _Rounds(store, archive, processes, split, training, resume)
        made = [weights]
        try:
            for number in range(1, options.rounds + 1):
                made.append(rounds.carry_out(number, made[-1], folder))
                tell(f"round {number}: {rounds.count} hard negatives, {_told(made[-1])}")
        except NoMistakeError as error:
            tell(f"round {len(made)}: {error}")
        return _keep_best(made, out)


@dataclass
class _Rounds:
    """Rounds over the images of a store."""

    store: PatchStore
    archive: Archive
    processes: Executor
    split: Mapping[str, str] | None
    training: TrainOptions
    resume: bool
    mined: list[Path] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many hard negatives all rounds so far have found."""
        return len(PatchStore(*self.mined).sets["train", "background"])

    def carry_out(self, number: int, before: Path, folder: Path) -> Path:
        """Mine with weights, train them further on what all rounds have found, and return what they came to.

        Raises:
            NoMistakeError: If there is nothing to mine.
        """
        path, out = folder / f"mined-{number}.h5", folder / f"round-{number}.keras"
        if path.is_file():
            _check_mined(path, before, self.store)
        else:
            predictor = Predictor.load(before)
            found = find_hard_negatives(predictor, self.archive, self.store, self.processes, split=self.split)
            write_hard_negatives(found, self.archive, path, self.processes)
        self.mined.append(path)
        contract = read_contract(before)
        train(
            self.store,
            out,
            replace(self.training, start_from=str(before)),
            mined=PatchStore(*self.mined),
            resume=self.resume and can_be_resumed(journal_folder(out)),
            pixel_size=contract.pixel_size,
            notes=contract.trained_on.get("notes", ""),
        )
        return out


def _check_mix(weights: Path, training: TrainOptions) -> None:
    """Refuse batches that have no room for hard negatives."""
    try:
        training.batch_mix()
    except InputError as error:
        raise InputError(
            f"{error}; batch size and ship fraction are those that {weights} were trained with: to change them, train"
            " further with train --start-from first"
        ) from None


def _check_mined(path: Path, weights: Path, store: PatchStore) -> None:
    """Refuse hard negatives of a call with other weights or another store."""
    by = {"mined_with": read_contract(weights).weights_sha256, "mined_from": store.fingerprint}
    options = PatchStore(path).options
    if any(options.get(name) != value for name, value in by.items()):
        raise InputError(f"{path} was mined with other weights or another store; begin anew, without --resume")


def _keep_best(made: list[Path], out: Path) -> list[Contract]:
    """Copy the weights with the highest true dice, of equals the last, and return the contracts of all."""
    contracts = [read_contract(path) for path in made]
    best = max(range(len(made)), key=lambda number: (dice_of(contracts[number]) or 0, number))
    write_weights(out, contracts[best], partial(shutil.copyfile, made[best]))
    return contracts


def dice_of(contract: Contract) -> float | None:
    """Return the true dice on the full images of the store; None without, though `calibrate` may know of others."""
    scores = contract.scores
    return None if "folds" in scores else scores.get("dice_mean_all_images")


def _told(weights: Path) -> str:
    dice = dice_of(read_contract(weights))
    return "no full images with ships to measure on" if dice is None else f"true dice {dice:.3f}"
