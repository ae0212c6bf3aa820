"""`shipseg-tiles mine-and-train`: mine and train in turn, and keep the best."""

import sys
from dataclasses import dataclass, fields
from pathlib import Path

from shipseg_tiles.cli.common import Outcome, interrupts, quiet_import
from shipseg_tiles.cli.options import MiningOptions, option


@dataclass(kw_only=True)
class Options(MiningOptions):
    """Options of `mine-and-train`."""

    out: Path = option("weights to write; the folder NAME.rounds appears beside them", metavar="NAME.keras")
    rounds: int = option("how often to mine and train", default=2, metavar="N")
    mined_fraction: float = option("share of hard negatives in every batch", default=0.25, metavar="F")
    epochs: int = option("epochs of a round", default=3, metavar="N")
    minutes: float = option("stop the training of a round after so much time; 0 for never", default=0.0, metavar="M")
    learning_rate: float = option("largest rate of a round", default=3e-4, metavar="RATE")
    resume: bool = option("go on where an earlier run with the same options stopped", default=False)


def run(options: Options) -> Outcome:
    """Mine and train."""
    from shipseg_tiles.nets.contract_file import read_contract
    from shipseg_tiles.patches.store import PatchStore
    from shipseg_tiles.processes import open_workers

    store = PatchStore(*options.patches)  # what can be wrong with the files, before the slow import
    read_contract(options.weights)
    archive = options.archive()
    split = options.split_of_images()
    with quiet_import():
        from shipseg_tiles.training.rounds import RoundOptions, dice_of, mine_and_train

    with (
        interrupts("finished rounds are kept: go on with the same command and --resume"),
        open_workers(options.workers) as processes,
    ):
        contracts = mine_and_train(
            options.weights,
            store,
            archive,
            options.out,
            processes,
            RoundOptions(**{field.name: getattr(options, field.name) for field in fields(RoundOptions)}),
            split=split,
            resume=options.resume,
            tell=lambda line: print(line, file=sys.stderr),
        )
    scores = [dice_of(contract) for contract in contracts]
    told = ", ".join("-" if score is None else f"{score:.3f}" for score in scores)
    data = {"weights": str(options.out), "true_dice": scores}
    return Outcome(f"{options.out} after {len(contracts) - 1} rounds; true dice at first and after each: {told}", data)
