"""`shipseg-tiles train`: a patch store to weights with their contract."""

import sys
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from shipseg_tiles.cli.common import CommonOptions, Outcome, option, quiet_import


@dataclass(kw_only=True)
class Options(CommonOptions):
    """Options of `train`."""

    patches: list[Path] = option(
        "store made by make-patches, or several that are trained on as one", nargs="+", metavar="FILE.h5"
    )
    out: Path = option(
        "weights to write; the contract NAME.json and the folder NAME.training appear beside them", metavar="NAME.keras"
    )
    net: str = option("name of the net", default="unet", metavar="NAME")
    width: int = option("filters at full resolution", default=16)
    depth: int = option("halvings inside the net", default=4)
    ship_fraction: str = option(
        "share of ship patches in every batch; 0.9:0.5 goes from one to the other over the epochs",
        default="0.5",
        metavar="F[:F]",
    )
    order: str = option(
        "order of the patches; sequential for slow and network disks",
        default="random",
        choices=["random", "sequential"],
    )
    epochs: int = option("largest number of epochs; each shows every ship patch once", default=30, metavar="N")
    batch_size: int = option("patches in a batch", default=16, metavar="N")
    learning_rate: float = option("at the start; halved when the true dice stands still", default=1e-3, metavar="RATE")
    patience: int = option("stop after so many epochs without a better true dice", default=9, metavar="N")
    precision: str = option(
        "what layers compute in", default="float32", choices=["float32", "mixed_bfloat16", "mixed_float16"]
    )
    seed: int = option("seed of weights, order and augmentation", default=0, metavar="S")
    start_from: str = option("weights of the same net to start from, to train them further", default="", metavar="FILE")
    resume: bool = option("go on where an earlier run with the same options stopped", default=False)
    notes: str = option("words about the data for the contract, such as their terms", default="", metavar="TEXT")


def run(options: Options) -> Outcome:
    """Train."""
    from shipseg_tiles.patches.store import PatchStore

    store = PatchStore(*options.patches)  # before the slow import, so that a wrong path is answered at once
    with quiet_import():
        from shipseg_tiles.training.fit import TrainOptions, train

    chosen = {field.name: getattr(options, field.name) for field in fields(TrainOptions)}
    try:
        trained = train(store, options.out, TrainOptions(**chosen), resume=options.resume, notes=options.notes)
    except KeyboardInterrupt:
        print("the finished epochs are kept: go on with the same command and --resume", file=sys.stderr)
        raise
    scores = trained.contract.scores
    summary = f"{options.out} after {trained.epochs} epochs, best {trained.contract.trained_on['best_epoch']}"
    if scores:
        summary += (
            f"; true dice on {scores['images']} full validation images {scores['dice_mean_all_images']:.3f}"
            f" (ship images alone {_number(scores['dice_mean_ship_images'])})"
        )
    return Outcome(summary, {"epochs": trained.epochs, "weights": str(options.out), **asdict(trained.contract)})


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
