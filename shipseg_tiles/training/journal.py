"""What is written down of a training: to look at it, and to take it up again after a break."""

import json
import math
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import keras
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from tqdm import tqdm

from shipseg_tiles.errors import InputError
from shipseg_tiles.files import check_space, write_json, write_text, written_whole
from shipseg_tiles.training.history import CURVES, HISTORY

CURVES_EVERY = 10.0
"""Seconds before the first drawing of the curves and between two: one takes as long as an epoch of a small training."""

_STATE = "state.json"
_CURVES = "curves.png"

TENSORBOARD = "tensorboard"
"""Folder of what is written for TensorBoard."""


class Journal(keras.callbacks.Callback):
    """Keeps everything that is needed to look at a training and to take it up again; for `contextlib.closing`.

    Writes into `folder`: `history.csv` and `curves.png`; `checkpoint-N.weights.h5` with the weights and the optimizer
    after epoch N (what is random follows from the epoch); and `state.json`, after that, so that it never speaks of what
    is not there, and a run that is killed between the two goes on after the epoch before.

    Attributes:
        history: The logs of each epoch so far.
    """

    def __init__(self, folder: Path, options: dict[str, Any]) -> None:
        super().__init__()
        self.folder = folder
        self.options = options
        self.history: list[dict[str, float]] = []
        self._began = time.monotonic()
        self._drawn = (0, self._began)

    @property
    def seconds(self) -> float:
        """Seconds that the training took so far, those before a break included."""
        return time.monotonic() - self._began

    @property
    def patches_seen(self) -> int:
        """How many patches the net was shown in the epochs so far."""
        return int(self.history[-1]["patches_seen"]) if self.history else 0

    def scores(self, monitor: str, sign: int) -> list[float]:
        """Return a column of the history such that more is better: times `sign`, 1 or -1."""
        return [sign * logs[monitor] for logs in self.history]

    @property
    def _state(self) -> Path:
        return self.folder / _STATE

    def _checkpoint(self) -> Path:
        """Return the checkpoint of the last epoch."""
        return self.folder / f"checkpoint-{len(self.history)}.weights.h5"

    def _checkpoint_bytes(self) -> int:
        """Return at most how many bytes a checkpoint takes: numbers of the optimizer have 8, weights 4."""
        stored = [*self.model.variables, *self.model.optimizer.variables]
        return sum(8 * math.prod(variable.shape) for variable in stored)

    def begin(self) -> None:
        """Make the folder, and forget an earlier training that was written to it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in (_STATE, HISTORY, _CURVES):
            (self.folder / name).unlink(missing_ok=True)
        shutil.rmtree(self.folder / TENSORBOARD, ignore_errors=True)
        self._remove_checkpoints()

    def take_up(self) -> None:
        """Read what is written.

        Raises:
            InputError: If there is no journal, it is damaged, or it was begun with other options.
        """
        if not self._state.is_file():
            raise InputError(f"{self._state} does not exist; there is nothing to resume, train without --resume")
        try:
            state = json.loads(self._state.read_text(encoding="utf-8"))
            begun_with, history, seconds = dict(state["options"]), list(state["history"]), float(state["seconds"])
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{self._state} is damaged ({error!r}); train without --resume") from None
        options = json.loads(json.dumps(self.options))
        different = [name for name, value in options.items() if begun_with.get(name) != value]
        if different:
            raise InputError(
                f"{self.folder} was begun with another {', '.join(different)}; resume with the same options"
            )
        self.history = history
        self._began = time.monotonic() - seconds

    def load(self, model: keras.Model) -> None:
        """Bring `model`, built and compiled as it was in the last epoch, to where the journal stops.

        Raises:
            InputError: If the checkpoint is missing or damaged.
        """
        try:
            model.load_weights(self._checkpoint())
        except (OSError, ValueError):
            raise InputError(f"{self._checkpoint()} is missing or damaged; train without --resume") from None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        """Write everything anew, but curves that were drawn just before."""
        self.history.append({name: float(value) for name, value in logs.items()})
        write_text(self.folder / HISTORY, self._table().to_csv(index=False))
        if time.monotonic() - self._drawn[1] > CURVES_EVERY:
            self._draw()
        with written_whole(self._checkpoint()) as temporary:
            check_space(self.folder, self._checkpoint_bytes())
            self.model.save_weights(temporary)
        write_json(self._state, {"options": self.options, "history": self.history, "seconds": self.seconds})
        self._remove_checkpoints(but=self._checkpoint())
        line = ", ".join(
            f"{name} {value:{'.0f' if value.is_integer() else '.4g'}}" for name, value in self.history[-1].items()
        )
        tqdm.write(f"epoch {epoch + 1}: {line}", file=sys.stderr)

    def close(self) -> None:
        """Draw the curves of the last epochs, if they are not drawn yet."""
        if len(self.history) > self._drawn[0]:
            self._draw()

    def _draw(self) -> None:
        draw_curves(self._table(), self.folder / _CURVES)
        self._drawn = (len(self.history), time.monotonic())

    def _table(self) -> pd.DataFrame:
        table = pd.DataFrame(self.history)
        table.insert(0, "epoch", range(1, len(table) + 1))
        return table

    def _remove_checkpoints(self, but: Path | None = None) -> None:
        for path in self.folder.glob("checkpoint-*.weights.h5"):
            if path != but:
                path.unlink()


def can_be_resumed(folder: Path) -> bool:
    """Say whether there is a journal of at least one epoch in a folder."""
    return (folder / _STATE).is_file()


def draw_curves(table: pd.DataFrame, path: Path) -> None:
    """Draw loss, dice and learning rate over the epochs of a history as PNG."""
    figure = Figure(figsize=(15, 4))  # without pyplot, which would choose a screen for the caller
    # Margins that fit: Matplotlib finds some by drawing everything twice.
    figure.subplots_adjust(left=0.04, right=0.99, bottom=0.12, wspace=0.25)
    for axis, (title, pattern) in zip(figure.subplots(1, len(CURVES)), CURVES.items(), strict=True):
        for column in table.filter(regex=pattern):
            axis.plot(table["epoch"], table[column], marker="o", markersize=3, label=column)
        axis.set(title=title, xlabel="epoch")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(alpha=0.3)
        if axis.lines:
            axis.legend(fontsize="small")
    with written_whole(path) as temporary:
        figure.savefig(temporary, dpi=90)
