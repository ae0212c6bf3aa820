"""What happens at the end of each epoch: the true dice, the best weights, and a journal to go on from."""

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pandas as pd
from matplotlib.figure import Figure
from tqdm import tqdm
from tqdm.keras import TqdmCallback

from shipseg_tiles.errors import InputError
from shipseg_tiles.files import write_json, write_text, written_whole
from shipseg_tiles.inference.predictor import Predictor
from shipseg_tiles.patches.feed import RatioFeed
from shipseg_tiles.patches.store import FullImage
from shipseg_tiles.training.true_dice import measure_true_dice

TRUE_DICE = {
    "dice_mean_ship_images": "val_true_dice_ship_images",
    "dice_mean_all_images": "val_true_dice",
    "f2_mean": "val_f2",
}
"""Columns of the history by the names that scores have. The true dice proper is the mean over all images: it is the
one that falls when a net sees ships where there are none."""


class BeginEpoch(keras.callbacks.Callback):
    """Tells the feed and the model which epoch begins, from which follows all that is random in them.

    Keras has no number for the feed, and ends an epoch of it that never was whenever a fit begins.
    """

    def __init__(self, feed: RatioFeed) -> None:
        super().__init__()
        self.feed = feed

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Tell both; no batch of the epoch has been asked for yet."""
        self.feed.epoch = epoch
        self.model.begin_epoch(epoch)


class StopOnNaN(keras.callbacks.Callback):
    """Ends a training whose loss is no number any more; the best weights so far stay as they are."""

    def __init__(self) -> None:
        super().__init__()
        self.epoch = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Remember the epoch for the message."""
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any]) -> None:
        """Look at the loss.

        Raises:
            InputError: If it is not finite.
        """
        if not math.isfinite(float(logs["loss"])):
            raise InputError(
                f"the loss is {float(logs['loss'])} at step {batch + 1} of epoch {self.epoch + 1};"
                " train again with a lower learning rate"
            )


class TrueDice(keras.callbacks.Callback):
    """Adds the true dice of full validation images to the logs; stands before all callbacks that read it."""

    def __init__(self, predictor: Predictor, images: list[FullImage]) -> None:
        super().__init__()
        self.predictor = predictor
        self.images = images

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        """Measure and log."""
        scores = measure_true_dice(self.predictor, self.images)
        logs.update({column: scores[name] for name, column in TRUE_DICE.items() if scores[name] is not None})


class KeepBest(keras.callbacks.Callback):
    """Calls `save` whenever the monitored number is better than ever before."""

    def __init__(self, monitor: str, sign: int, history: list[dict[str, float]], save: Callable[[int], None]) -> None:
        """Watch a column of the logs.

        Args:
            monitor: Its name.
            sign: 1 if larger is better, -1 if smaller is.
            history: Logs of past epochs, which the next ones must beat.
            save: Called with the number of the epoch, from 0.
        """
        super().__init__()
        self.monitor = monitor
        self.sign = sign
        self.save = save
        self.best = max((sign * logs[monitor] for logs in history), default=float("-inf"))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        """Save if this is the best epoch."""
        value = self.sign * logs[self.monitor]
        if value > self.best:
            self.best = value
            self.save(epoch)


class Journal(keras.callbacks.Callback):
    """Keeps everything that is needed to look at a training and to take it up again after a break.

    Writes into `folder`: `history.csv` and `curves.png`; `checkpoint.weights.h5` with the weights and the
    optimizer (what is random follows from the epoch); and `state.json`, last, so that it never speaks of what is not
    there.

    Attributes:
        history: The logs of each epoch so far.
    """

    def __init__(self, folder: Path, options: dict[str, Any]) -> None:
        super().__init__()
        self.folder = folder
        self.options = options
        self.history: list[dict[str, float]] = []

    @property
    def _checkpoint(self) -> Path:
        return self.folder / "checkpoint.weights.h5"

    @property
    def _state(self) -> Path:
        return self.folder / "state.json"

    def begin(self) -> None:
        """Make the folder, and forget an earlier training that was written to it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._state.unlink(missing_ok=True)

    def take_up(self, model: keras.Model) -> None:
        """Bring `model` (built and compiled) to where the journal stops.

        Raises:
            InputError: If there is no journal, it is damaged, or it was begun with other options.
        """
        if not self._state.is_file():
            raise InputError(f"{self._state} does not exist; there is nothing to resume, train without --resume")
        try:
            state = json.loads(self._state.read_text(encoding="utf-8"))
            begun_with, history = dict(state["options"]), list(state["history"])
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{self._state} is damaged ({error!r}); train without --resume") from None
        different = [name for name, value in self.options.items() if begun_with.get(name) != value]
        if different:
            raise InputError(
                f"{self.folder} was begun with another {', '.join(different)}; resume with the same options"
            )
        try:
            model.load_weights(self._checkpoint)
        except (OSError, ValueError):
            raise InputError(f"{self._checkpoint} is missing or damaged; train without --resume") from None
        self.history = history

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        """Write everything anew."""
        self.history.append({name: float(value) for name, value in logs.items()})
        table = pd.DataFrame(self.history)
        table.insert(0, "epoch", range(1, len(table) + 1))
        write_text(self.folder / "history.csv", table.to_csv(index=False))
        draw_curves(table, self.folder / "curves.png")
        with written_whole(self._checkpoint) as temporary:
            self.model.save_weights(temporary)
        write_json(self._state, {"options": self.options, "history": self.history})
        line = ", ".join(f"{name} {value:.4g}" for name, value in self.history[-1].items())
        tqdm.write(f"epoch {epoch + 1}: {line}", file=sys.stderr)


class Replay(keras.callbacks.Callback):
    """Shows past epochs to callbacks that count them, whenever a fit begins, so that patience goes on where it was."""

    def __init__(self, history: list[dict[str, float]], counting: list[keras.callbacks.Callback]) -> None:
        """Replay the logs of the epochs that `history` will hold when a fit begins."""
        super().__init__()
        self.history = history
        self.counting = counting

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Replay; runs after the others have reset themselves, as callbacks begin in their order."""
        rate = float(self.model.optimizer.learning_rate)
        for epoch, past in enumerate(self.history):
            for callback in self.counting:
                callback.on_epoch_end(epoch, dict(past))
        # Replaying also lowered the learning rate again; the checkpoint's one is right.
        self.model.optimizer.learning_rate = rate
        self.model.stop_training = False


class Progress(TqdmCallback):
    """A bar over all epochs of a training, however many fits they take; for `contextlib.closing`."""

    def __init__(self, epochs: int) -> None:
        super().__init__(epochs, disable=None, desc="train")

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Keep the number of epochs: a fit knows its own alone."""

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Stay open."""

    def close(self) -> None:
        """Leave the bar on the terminal as it is."""
        super().on_train_end()


def draw_curves(table: pd.DataFrame, path: Path) -> None:
    """Draw loss, dice and learning rate over the epochs of a history as PNG."""
    groups = {"loss": "loss", "dice and F2": "dice|f2", "learning rate": "learning_rate"}
    figure = Figure(figsize=(15, 4), layout="constrained")  # without pyplot, which would choose a screen for the caller
    for axis, (title, pattern) in zip(figure.subplots(1, len(groups)), groups.items(), strict=True):
        for column in table.filter(regex=pattern):
            axis.plot(table["epoch"], table[column], marker="o", markersize=3, label=column)
        axis.set(title=title, xlabel="epoch")
        axis.grid(alpha=0.3)
        axis.legend(fontsize="small")
    with written_whole(path) as temporary:
        figure.savefig(temporary, dpi=90)
