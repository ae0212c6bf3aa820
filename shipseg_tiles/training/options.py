"""How to train."""

import math
from dataclasses import dataclass

from shipseg_tiles.errors import InputError
from shipseg_tiles.patches.batch_mix import BatchMix
from shipseg_tiles.training.schedule import Schedule, Stage

KEPT = ("best", "last")
"""Epochs whose weights may be kept."""

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16", "auto")
STRATEGIES = ("none", "mirrored", "multi-worker")

_MOST = {"batch_size": 2**20, "width": 2**20, "depth": 13}
"""Far more than memory holds, and no more than fits into numbers. The largest patches, of 8,192 px, halve 13 times."""

MISS_RATE = 0.01
"""Share of the ships that a gate may miss unless something else is asked for."""


@dataclass(frozen=True)
class TrainOptions:
    """How to train.

    The defaults train a plain U-Net from scratch, which needs no download; `presets` has better ones.

    Attributes:
        net: Name of the net, see `build_net`, as for `width`, `depth` and `normalisation`.
        width: Filters at full resolution.
        depth: Number of halvings inside the net.
        normalisation: What follows each convolution; `frozen` is `batch` as the weights to start from have it, which
            does 1.7 times the steps in the same time and is the usual way to train on in small batches.
        encoder_weights: `none`, `imagenet`, or a path, see `load_encoder`.
        start_from: `.keras` file of the same net to start from; empty for fresh weights.
        loss: Name of the loss, see `build_loss`; `auto` is `weighted-cross-entropy` for a gate, and
            `dice-cross-entropy` for all others.
        augmentation: What is changed in patches, as `NAME=VALUE`, see `AugmentationOptions`.
        ship_fraction: Share of ship patches in every batch, such as `0.5`; or such as `0.9:0.5`, from the first of
            `epochs` to the last.
        mined_fraction: Share of mined patches in every batch, in place of other background.
        order: Order of the patches, see `RatioFeed`.
        batch_size: Patches in a batch.
        stages: What comes first, each as `LAYERS:EPOCHS:RATE`, see `Stage`.
        layers: What learns after that, see `choose_layers`.
        epochs: Largest number of epochs, those of the stages included.
        minutes: Stop after so much time, in the middle of an epoch; 0 for never. Such a training is not the same twice.
        learning_rate: Largest rate of the optimizer, Adam, after the stages.
        schedule: How the rate changes, see `Schedule`, as for `warm_up` and `patience`.
        warm_up: Epochs in which the rate rises to its largest.
        patience: Stop after so many epochs without a better score.
        weight_decay: By what share of the learning rate weights, but no biases and normalisations, shrink at each step
            (Loshchilov and Hutter 2017, https://arxiv.org/abs/1711.05101).
        moving_average: Weights that are judged and saved are a moving average, which keeps this share at each step; 0
            for none. 0.99 is the mean over about 100 steps.
        keep: Whose weights are kept: those of the `best` epoch, or of the `last` one. On a few validation images the
            scores of two epochs differ by chance; after a cosine the last one has learnt most.
        miss_rate: Of a gate: the share of the labelled ships that it may miss, 0 to below 1, see `GateJudge`; None for
            `MISS_RATE`, and for all other nets.
        precision: What layers compute in, see `shipseg_tiles.training.precision`.
        strategy: Devices to train on, see `shipseg_tiles.training.strategy`.
        seed: Seed of weights, order and augmentation.

    Raises:
        InputError: If a number is out of its range that is checked here. Those of the net are checked by `build_net`,
            those of the schedule by `stages_and_rates`, and shares of a batch by `batch_mix`, which know the ranges.
    """

    net: str = "unet"
    width: int = 16
    depth: int = 4
    normalisation: str = "batch"
    encoder_weights: str = "none"
    start_from: str = ""
    loss: str = "auto"
    augmentation: tuple[str, ...] = ()
    ship_fraction: str = "0.5"
    mined_fraction: float = 0.0
    order: str = "random"
    batch_size: int = 16
    stages: tuple[str, ...] = ()
    layers: str = "all"
    epochs: int = 30
    minutes: float = 0.0
    learning_rate: float = 1e-3
    schedule: str = "plateau"
    warm_up: float = 0.0
    patience: int = 9
    weight_decay: float = 0.0
    moving_average: float = 0.0
    keep: str = "best"
    miss_rate: float | None = None
    precision: str = "float32"
    strategy: str = "none"
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the ranges; NaN is in none of them."""
        for name, most in _MOST.items():
            if getattr(self, name) > most:
                raise InputError(f"{name.replace('_', ' ')} {getattr(self, name)} must be {most} or less")
        if self.batch_size < 1:
            raise InputError(f"batch size {self.batch_size} must be above 0")
        for name in ("minutes", "weight_decay"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(f"{name.replace('_', ' ')} {getattr(self, name)} must be 0 or more")
        if not 0 <= self.moving_average < 1:
            raise InputError(f"moving average {self.moving_average} must be at least 0 and below 1")
        if self.keep not in KEPT:
            raise InputError(f"keep {self.keep!r} must be one of {', '.join(KEPT)}")
        if self.miss_rate is not None and not 0 <= self.miss_rate < 1:
            raise InputError(f"miss rate {self.miss_rate} must be at least 0 and below 1")
        if not 0 <= self.seed < 2**32:
            raise InputError(f"seed {self.seed} must be from 0 to {2**32 - 1}")

    def batch_mix(self) -> BatchMix:
        """Return what every batch holds.

        Raises:
            InputError: If a share is out of its range, or the shares make no batch.
        """
        return BatchMix.parse(self.batch_size, self.ship_fraction, self.epochs, self.mined_fraction)

    def stages_and_rates(self) -> Schedule:
        """Return the whole schedule.

        Raises:
            InputError: If one of its options is out of its range, or the stages leave no epoch.
        """
        first = [Stage.parse(text) for text in self.stages]
        before = sum(stage.epochs for stage in first)
        if before and self.epochs <= before:
            raise InputError(f"epochs {self.epochs} must be more than the {before} of the stages")
        main = Stage(self.layers, self.epochs - before, self.learning_rate)
        return Schedule((*first, main), self.schedule, self.warm_up, self.patience)
