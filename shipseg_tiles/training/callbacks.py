"""What happens while epochs go by: rates, time, the score of each epoch, and the weights that are kept."""

import math
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

import keras
from tqdm.keras import TqdmCallback

from shipseg_tiles.errors import InputError
from shipseg_tiles.nets.contract import Contract
from shipseg_tiles.patches.feed import RatioFeed
from shipseg_tiles.training.journal import Journal
from shipseg_tiles.training.judges import Judge
from shipseg_tiles.training.schedule import Schedule

RATE_STEP = 0.01
"""Share by which a learning rate must have changed to be set: 5 ms a time under JAX, a sixth of a step on a GPU."""


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


class Pace(keras.callbacks.Callback):
    """Sets the learning rate before each batch, and ends a training that is over or out of time.

    Stands behind the journal: what it decides follows from the epochs that are written down.
    """

    def __init__(self, schedule: Schedule, journal: Journal, judge: Judge, minutes: float) -> None:
        """Follow a schedule.

        Args:
            schedule: The schedule.
            journal: Has the epochs so far.
            judge: Says which column of them is the score.
            minutes: Time for the training; 0 for no limit.
        """
        super().__init__()
        self.schedule = schedule
        self.journal = journal
        self.judge = judge
        self.minutes = minutes
        self.epoch = 0
        self.rate: float | None = None

    @property
    def scores(self) -> list[float]:
        """The scores of the epochs so far, more is better."""
        return self.journal.scores(self.judge.monitor, self.judge.sign)

    @property
    def is_over(self) -> bool:
        """Whether there is nothing more to do; whatever the time is, one epoch is begun, or there were no weights."""
        epochs = len(self.journal.history)
        out_of_time = epochs > 0 and self.used >= 1
        return epochs >= self.schedule.epochs or out_of_time or self.schedule.is_over(self.scores)

    @property
    def used(self) -> float:
        """Share of the time that is used up; 0 if there is no limit."""
        return self.journal.seconds / (60 * self.minutes) if self.minutes else 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Remember the epoch, and forget the rate: the optimizer may be a fresh one, and a break changes nothing."""
        self.epoch = epoch
        self.rate = None

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Set the rate once it has changed by a hundredth: under JAX to touch the model brings all its state back."""
        epoch = self.epoch + batch / self.params["steps"]
        rate = self.schedule.rate(epoch, self.scores, self.used)
        if self.rate is None or not math.isclose(rate, self.rate, rel_tol=RATE_STEP):
            self.rate = self.model.optimizer.learning_rate = rate

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Stop in the middle of an epoch if time is over."""
        if self.used >= 1:
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Stop if that was the last epoch."""
        if self.is_over:
            self.model.stop_training = True


class CountPatches(keras.callbacks.Callback):
    """Adds `patches_seen` to the logs of each epoch: how many patches the net was shown until then.

    Stands before all callbacks that read the logs.

    Attributes:
        seen: The same number, at any time.
    """

    def __init__(self, batch_size: int, journal: Journal) -> None:
        """Count in batches of `batch_size`; `journal` has the epochs so far."""
        super().__init__()
        self.batch_size = batch_size
        self.journal = journal
        self.seen = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Go on from the epochs so far, some of which may have been trained before a break."""
        self.seen = self.journal.patches_seen

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Count the batch; an epoch may end before its last one."""
        self.seen += self.batch_size

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        """Tell."""
        logs["patches_seen"] = self.seen


class StopOnInterrupt(keras.callbacks.Callback):
    """Ends a training that Ctrl-C was to end; for `contextlib.closing`.

    TensorFlow may print the exception and go on if it comes while a net is traced.
    """

    def __init__(self) -> None:
        super().__init__()
        self.came = False
        self._before: Any = signal.getsignal(signal.SIGINT)
        self._listens = callable(self._before) and threading.current_thread() is threading.main_thread()
        if self._listens:
            signal.signal(signal.SIGINT, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.came = True
        self._before(number, frame)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Look whether there was one.

        Raises:
            KeyboardInterrupt: If so.
        """
        if self.came:
            raise KeyboardInterrupt

    def close(self) -> None:
        """Leave Ctrl-C to who had it before."""
        if self._listens:
            signal.signal(signal.SIGINT, self._before)


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
        _check_finite("the loss", logs["loss"], f"at step {batch + 1} of epoch {self.epoch + 1}")

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        """Look at the loss of the validation patches, if there are any.

        Raises:
            InputError: If it is not finite.
        """
        _check_finite("the loss of the validation patches", logs.get("val_loss", 0.0), f"after epoch {epoch + 1}")


def _check_finite(name: str, loss: Any, when: str) -> None:
    if not math.isfinite(float(loss)):
        raise InputError(f"{name} is {float(loss)} {when}; train again with a lower learning rate")


class JudgeEpoch(keras.callbacks.Callback):
    """Judges each epoch, adds the scores to the logs and calls `save` if it is better than ever before.

    Stands before all callbacks that read the scores. Where the optimizer keeps a moving average of the weights, the
    model holds that while it is judged, saved and validated (Izmailov et al. 2018, https://arxiv.org/abs/1803.05407).
    """

    def __init__(
        self,
        judge: Judge,
        usage: Contract,
        averages: bool,
        journal: Journal,
        save: Callable[[int, Contract], None],
        keep: str = "best",
    ) -> None:
        """Judge by `judge`.

        Args:
            judge: The judge.
            usage: How the net is to be used.
            averages: Whether the optimizer keeps a moving average.
            journal: Has the past epochs, which the next ones must beat; stands behind this.
            save: Called with the number of the epoch, from 0, and the contract that the judge came to.
            keep: Which epochs are saved: each that is the `best` so far, or all, so that the `last` one stays.
        """
        super().__init__()
        self.judge = judge
        self.usage = usage
        self.save = save
        self.keep = keep
        self.journal = journal
        self._swap = keras.callbacks.SwapEMAWeights() if averages else keras.callbacks.Callback()

    def set_model(self, model: keras.Model) -> None:
        """Take the model."""
        super().set_model(model)
        self._swap.set_model(model)

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Let validation patches be answered by the average."""
        self._swap.on_test_begin()

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        """Go on with the weights as they are."""
        self._swap.on_test_end()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        """Judge, and save if this is the best epoch, or any is to be saved."""
        with self._averaged():
            columns, contract = self.judge.judge(self.model.net, self.usage)
            rate = self.model.optimizer.learning_rate
            logs.update(columns, learning_rate=float(keras.ops.convert_to_numpy(rate)))
            past = self.journal.scores(self.judge.monitor, self.judge.sign)
            if self.keep == "last" or self.judge.sign * logs[self.judge.monitor] > max(past, default=-math.inf):
                self.save(epoch, contract)

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        self._swap.on_test_begin()
        try:
            yield
        finally:
            self._swap.on_test_end()


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


def tensorboard(folder: Path) -> list[keras.callbacks.Callback]:
    """Return what writes for TensorBoard into a folder; nothing without TensorFlow, which Keras needs for that."""
    try:
        tensorflow = import_module("tensorflow")
    except ImportError:
        return []
    if keras.backend.backend() != "tensorflow":
        tensorflow.config.set_visible_devices([], "GPU")  # it would take memory that the backend needs
    return [keras.callbacks.TensorBoard(folder, write_graph=False)]
