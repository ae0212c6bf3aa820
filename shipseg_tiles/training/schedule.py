"""How a training proceeds: which layers learn when, at which rate, and when it stops."""

import math
from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from shipseg_tiles.errors import InputError

SCHEDULES = ("plateau", "cosine", "step", "constant")

STEPS = (0.6, 0.85)
"""Where in a training the rate of the schedule `step` falls to a tenth."""


@dataclass(frozen=True)
class Stage:
    """Some epochs in which certain layers learn.

    Attributes:
        layers: What learns, see `shipseg_tiles.training.trainable_layers.choose_layers`.
        epochs: Number of epochs, 1 or more.
        learning_rate: Rate of the optimizer, above 0.

    Raises:
        InputError: If a number is out of its range.
    """

    layers: str
    epochs: int
    learning_rate: float

    def __post_init__(self) -> None:
        """Check the ranges; NaN is not above 0 either."""
        for name in ("epochs", "learning_rate"):
            if not 0 < getattr(self, name) < math.inf:
                raise InputError(f"{name.replace('_', ' ')} {getattr(self, name)} must be above 0 and finite")

    @classmethod
    def parse(cls, text: str) -> "Stage":
        """Read `LAYERS:EPOCHS:RATE`, such as `decoder:1:1e-3`.

        Raises:
            InputError: If the text is something else.
        """
        try:
            layers, epochs, rate = text.split(":")
            return cls(layers, int(epochs), float(rate))
        except ValueError:
            raise InputError(f"stage {text!r} must be LAYERS:EPOCHS:RATE, such as decoder:1:1e-3") from None


@dataclass(frozen=True)
class Schedule:
    """Stages, the last of which is the main one, and how the learning rate changes in that one.

    Attributes:
        stages: One or more. Those before the last keep their rates.
        name: One of `SCHEDULES`. `plateau` halves the rate when the score stands still and needs no known end; `cosine`
            falls to 0 along half a wave (Loshchilov and Hutter 2016, https://arxiv.org/abs/1608.03983) and gets most
            out of a training whose end is known; `step` falls to a tenth at `STEPS`; `constant` stays.
        warm_up: Epochs of the main stage in which the rate rises evenly from 0, 0 or more.
        patience: Epochs without a better score that end a training; a third of them halve the rate on a plateau.

    Raises:
        InputError: If an option is out of its range.
    """

    stages: tuple[Stage, ...]
    name: str
    warm_up: float
    patience: int

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.name not in SCHEDULES:
            raise InputError(f"there is no schedule {self.name!r}; choose one of {', '.join(SCHEDULES)}")
        if not 0 <= self.warm_up < math.inf:
            raise InputError(f"warm up {self.warm_up} must be 0 or more")
        if self.patience < 1:
            raise InputError(f"patience {self.patience} must be above 0")

    @property
    def epochs(self) -> int:
        """Number of epochs in all."""
        return sum(stage.epochs for stage in self.stages)

    @property
    def main_begins(self) -> int:
        """Number of the first epoch of the main stage, from 0."""
        return self.epochs - self.stages[-1].epochs

    def stage_ends(self, epoch: int) -> int:
        """Return the number of the first epoch after the stage that an epoch is in."""
        return self._ends[bisect(self._ends, epoch)]

    def stage(self, epoch: float) -> Stage:
        """Return the stage that an epoch, counted from 0, is in; the last one if it is over."""
        return self.stages[min(bisect(self._ends, epoch), len(self.stages) - 1)]

    @cached_property
    def _ends(self) -> list[int]:
        return list(accumulate(stage.epochs for stage in self.stages))

    def rate(self, epoch: float, scores: Sequence[float], used: float = 0.0) -> float:
        """Return the learning rate.

        Args:
            epoch: Epochs so far, with the part of the current one that is over.
            scores: Scores of the epochs that are over, more is better.
            used: Share of the time that is used up, where a training is limited by time; it counts if it is more than
                the share of epochs.
        """
        stage = self.stage(epoch)
        since = epoch - self.main_begins
        if since < 0:
            return stage.learning_rate
        progress = min(1.0, max(since / stage.epochs, used))
        warm = min(1.0, since / self.warm_up) if self.warm_up else 1.0
        return stage.learning_rate * warm * self._factor(progress, scores[self.main_begins :])

    def _factor(self, progress: float, scores: Sequence[float]) -> float:
        if self.name == "cosine":
            return (1 + math.cos(math.pi * progress)) / 2
        if self.name == "step":
            return math.prod(0.1 for step in STEPS if progress >= step)
        if self.name == "plateau":
            return 0.5 ** _standstills(scores, max(1, self.patience // 3))
        return 1.0

    def is_over(self, scores: Sequence[float]) -> bool:
        """Say whether no epoch of the main stage was better than those before for `patience` epochs."""
        return _standstills(scores[self.main_begins :], self.patience) > 0


def _standstills(scores: Sequence[float], patience: int) -> int:
    """Count how often so many epochs went by without a better score than ever before."""
    best, waited, count = -math.inf, 0, 0
    for score in scores:
        waited += 1
        if score > best:
            best, waited = score, 0
        elif waited == patience:
            waited, count = 0, count + 1
    return count
