"""`shipseg-tiles train`: a patch store to weights with their contract."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shipseg_tiles.cli.common import Outcome, interrupts, number, quiet_import
from shipseg_tiles.cli.options import CommonOptions, option
from shipseg_tiles.patches.options import ORDERS
from shipseg_tiles.training.options import KEPT, MISS_RATE, PRECISIONS, STRATEGIES, TrainOptions
from shipseg_tiles.training.schedule import SCHEDULES

if TYPE_CHECKING:
    from shipseg_tiles.training.fit import Trained


@dataclass(kw_only=True)
class Options(CommonOptions):
    """Options of `train`."""

    patches: list[Path] = option(
        "store made by make-patches, or several that are trained on as one", nargs="+", metavar="FILE.h5"
    )
    out: Path = option(
        "weights to write; the contract NAME.json and the folder NAME.training appear beside them", metavar="NAME.keras"
    )
    mined: list[Path] = option("hard negatives that mine found", default_factory=list, nargs="*", metavar="MINED.h5")
    preset: str = option("options of a preset, see shipseg-tiles presets; flags win", default="", metavar="NAME")
    net: str = option("name of the net", default=TrainOptions.net, metavar="NAME")
    width: int = option("filters at full resolution", default=TrainOptions.width)
    depth: int = option("halvings inside the net", default=TrainOptions.depth)
    normalisation: str = option(
        "what follows each convolution; frozen: batch normalisation as it is in the weights to start from, which trains"
        " faster",
        default=TrainOptions.normalisation,
        choices=["batch", "frozen", "none"],
    )
    encoder_weights: str = option(
        "none, imagenet, or the path of weights", default=TrainOptions.encoder_weights, metavar="WHICH"
    )
    start_from: str = option(
        "weights of the same net to start from, to train them further", default=TrainOptions.start_from, metavar="FILE"
    )
    loss: str = option("name of the loss; auto: what suits the net", default=TrainOptions.loss, metavar="NAME")
    augmentation: list[str] = option(
        "changes of patches besides turns and light, such as scale=0.3 paste=0.5 haze=0.4 blur=1 jpeg=1",
        default_factory=list,
        nargs="*",
        metavar="NAME=VALUE",
    )
    ship_fraction: str = option(
        "share of ship patches in every batch; 0.9:0.5 goes from one to the other over the epochs",
        default=TrainOptions.ship_fraction,
        metavar="F[:F]",
    )
    mined_fraction: float = option(
        "share of hard negatives in every batch", default=TrainOptions.mined_fraction, metavar="F"
    )
    order: str = option(
        "order of the patches; sequential for slow and network disks",
        default=TrainOptions.order,
        choices=ORDERS,
    )
    batch_size: int = option("patches in a batch", default=TrainOptions.batch_size, metavar="N")
    stages: list[str] = option(
        "what comes first, such as decoder:1:1e-3", default_factory=list, nargs="*", metavar="LAYERS:EPOCHS:RATE"
    )
    layers: str = option("what learns after that: all, decoder, or decoder+N", default=TrainOptions.layers)
    epochs: int = option(
        "largest number of epochs, stages included; each shows every ship patch once",
        default=TrainOptions.epochs,
        metavar="N",
    )
    minutes: float = option("stop after so much time; 0 for never", default=TrainOptions.minutes, metavar="M")
    learning_rate: float = option("largest, after the stages", default=TrainOptions.learning_rate, metavar="RATE")
    schedule: str = option(
        "how the rate changes; plateau halves it when the score stands still",
        default=TrainOptions.schedule,
        choices=SCHEDULES,
    )
    warm_up: float = option("epochs in which the rate rises to its largest", default=TrainOptions.warm_up, metavar="N")
    patience: int = option(
        "stop after so many epochs without a better score", default=TrainOptions.patience, metavar="N"
    )
    weight_decay: float = option(
        "by what share of the rate weights shrink at each step", default=TrainOptions.weight_decay, metavar="F"
    )
    moving_average: float = option(
        "judge and save a moving average of the weights that keeps this share at each step",
        default=TrainOptions.moving_average,
        metavar="F",
    )
    keep: str = option("whose weights are kept: those of the epoch", default=TrainOptions.keep, choices=KEPT)
    miss_rate: float | None = option(
        f"share of the ships that a gate may miss (default: {MISS_RATE})",
        default=TrainOptions.miss_rate,
        metavar="F",
    )
    precision: str = option(
        "what layers compute in",
        default=TrainOptions.precision,
        choices=PRECISIONS,
    )
    strategy: str = option(
        "devices: none for one, mirrored for all of this machine, multi-worker for those of all in TF_CONFIG",
        default=TrainOptions.strategy,
        choices=STRATEGIES,
    )
    seed: int = option("seed of weights, order and augmentation", default=TrainOptions.seed, metavar="S")
    resume: bool = option("go on where an earlier run with the same options stopped", default=False)
    pixel_size: float | None = option(
        "metres from one pixel of the images to the next, for the contract", default=None, metavar="M"
    )
    notes: str = option("words about the data for the contract, such as their terms", default="", metavar="TEXT")


def run(options: Options) -> Outcome:
    """Train."""
    from shipseg_tiles.patches.store import PatchStore

    store = PatchStore(*options.patches)  # before the slow import, so that a wrong path is answered at once
    mined = PatchStore(*options.mined) if options.mined else None
    with quiet_import():
        from shipseg_tiles.training.fit import train

    chosen = {field.name: getattr(options, field.name) for field in fields(TrainOptions)}
    chosen |= {name: tuple(value) for name, value in chosen.items() if isinstance(value, list)}
    with interrupts("finished epochs are kept: once there is one, go on with the same command and --resume"):
        trained = train(
            store,
            options.out,
            TrainOptions(**chosen),
            mined=mined,
            resume=options.resume,
            pixel_size=options.pixel_size,
            notes=options.notes,
        )
    return Outcome(
        _summary(trained, options), {"epochs": trained.epochs, "weights": str(options.out), **asdict(trained.contract)}
    )


def _summary(trained: "Trained", options: Options) -> str:
    contract = trained.contract
    epochs = "1 epoch" if trained.epochs == 1 else f"{trained.epochs} epochs"
    told = f"{options.out} after {epochs}, {options.keep} {contract.trained_on['epoch']}"
    return "; ".join([told, *_scores_told(contract.scores, contract.tile)])


def _scores_told(scores: Mapping[str, Any], tile: int) -> list[str]:
    """Say in a line how good the weights are; nothing if nobody measured it."""
    if not scores:
        return []
    images = f"{scores['images']} full validation images"
    if "f1" in scores:
        return [f"F1 on {images} {scores['f1']:.3f}"]
    if "miss_rate" in scores:
        return [
            f"in tiles of {tile} px of {images} the gate misses {100 * scores['miss_rate']:.1f} % of {scores['ships']}"
            f" ships and skips {100 * scores['tiles_skipped']:.0f} % of the tiles"
        ]
    return [
        f"true dice on {images} {scores['dice_mean_all_images']:.3f}"
        f" (ship images alone {number(scores['dice_mean_ship_images'], '.3f')})"
    ]
