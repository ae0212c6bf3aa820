"""Train a net on a patch store."""

from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import keras

from shipseg_tiles.inference.memory import enough_memory
from shipseg_tiles.jobs import locked
from shipseg_tiles.nets.build import SEGMENTERS, side_multiple
from shipseg_tiles.nets.contract import Contract
from shipseg_tiles.nets.contract_file import read_contract, write_contract, write_weights
from shipseg_tiles.nets.receptive_field import measure_receptive_field
from shipseg_tiles.nets.weights_files import journal_folder
from shipseg_tiles.patches.feed import RatioFeed, ValidationFeed
from shipseg_tiles.patches.read_ahead import ReadAhead
from shipseg_tiles.patches.store import PatchStore
from shipseg_tiles.tiling import round_up
from shipseg_tiles.training.callbacks import (
    BeginEpoch,
    CountPatches,
    JudgeEpoch,
    Pace,
    Progress,
    StopOnInterrupt,
    StopOnNaN,
    tensorboard,
)
from shipseg_tiles.training.checks import check_training
from shipseg_tiles.training.journal import TENSORBOARD, Journal
from shipseg_tiles.training.judges import choose_judge
from shipseg_tiles.training.model import bare_net, build_model, prepare_stage
from shipseg_tiles.training.options import TrainOptions
from shipseg_tiles.training.precision import precision
from shipseg_tiles.training.provenance import identity, origin_of
from shipseg_tiles.training.schedule import Stage
from shipseg_tiles.training.strategy import Devices, choose_devices

THRESHOLD = 0.5
MINIMUM_AREA = 10
"""Pixels; of the competition's labelled ships two in a thousand are smaller."""

TILE = 768
"""Pixels, the side of the competition's images; the next larger side where the net cannot see this."""

OVERLAP = 0.25
"""A quarter of 768 px is twice what a U-Net with 4 poolings sees to each side."""


@dataclass(frozen=True)
class Trained:
    """What a training came to.

    Attributes:
        epochs: Epochs that were trained, earlier ones of a resumed training included.
        contract: The contract of the weights that were kept.
    """

    epochs: int
    contract: Contract


def train(
    store: PatchStore,
    out: Path,
    options: TrainOptions,
    *,
    mined: PatchStore | None = None,
    resume: bool = False,
    pixel_size: float | None = None,
    notes: str = "",
) -> Trained:
    """Train a net and keep the weights of its best epoch, or of its last one, as the options say.

    The best epoch is the one with the highest true dice on the store's full validation images (of a classifier, the
    highest F1; of a gate, see `GateJudge`); without images that can tell, see `choose_judge`, the one with the lowest
    loss. Logs and what is needed to resume go into the folder `NAME.training` beside `out`.

    Args:
        store: Patches to train on.
        out: `NAME.keras` to write; its contract `NAME.json` appears beside it.
        options: See `TrainOptions`.
        mined: Background on which a net saw ships, see `RatioFeed`.
        resume: Go on where an earlier run with the same options stopped.
        pixel_size: Of the images, in metres, for the contract; None if nobody knows.
        notes: Words about the data, such as their terms, for the contract.

    Raises:
        InputError: If an option is out of its range, does not fit the store, or there is nothing to resume.
    """
    check_training(store, out, options)
    devices = choose_devices(options)
    with devices.target(out, resume) as target, locked(target):
        with enough_memory(f"a net of width {options.width}", "use a smaller --width"):
            training = _Training(store, mined, target, options, devices, pixel_size, notes)
        if resume:
            training.take_up()
        else:
            training.journal.begin()
        return training.carry_out()


class _Training:
    """A training, from its feed to its weights."""

    def __init__(
        self,
        store: PatchStore,
        mined: PatchStore | None,
        out: Path,
        options: TrainOptions,
        devices: Devices,
        pixel_size: float | None,
        notes: str,
    ) -> None:
        self.store, self.out, self.options, self.devices, self.notes = store, out, options, devices, notes
        self.schedule = options.stages_and_rates()
        self.feed = RatioFeed(store, options.batch_mix(), options.seed, options.order, mined)
        self.validation = ValidationFeed(store, options.batch_size)
        self.judge = devices.judge(choose_judge(options, list(store.full_images()), len(self.validation) > 0))
        keras.utils.set_random_seed(options.seed)
        with devices.scope():
            self.model = build_model(options, devices.net_class)
        self.usage = _usage(store, options, pixel_size)
        for stage in self.schedule.stages:  # so that what is wrong with one is known before the first begins
            self._prepare(stage)
        self.journal = Journal(journal_folder(out), identity(store, mined, options))
        self.count = CountPatches(options.batch_size, self.journal)

    @cached_property
    def twin(self) -> keras.Model:
        """What is saved; built once, as to build and to trace it take longer than to give it other weights."""
        with precision("float32"):
            return bare_net(self.options)

    def take_up(self) -> None:
        """Go back to where the journal stops."""
        self.journal.take_up()
        self._prepare(self.schedule.stage(len(self.journal.history) - 1))
        self.journal.load(self.model)

    def carry_out(self) -> Trained:
        """Train for the epochs that the journal lacks."""
        averages, keep = self.options.moving_average > 0, self.options.keep
        judging = JudgeEpoch(self.judge, self.usage, averages, self.journal, self._save, keep)
        pace = Pace(self.schedule, self.journal, self.judge, self.options.minutes)
        progress, interrupt = Progress(self.schedule.epochs), StopOnInterrupt()
        with closing(interrupt), closing(self.journal), closing(progress):
            callbacks = [  # each finds in the logs of an epoch what those before it have added
                BeginEpoch(self.feed),
                interrupt,
                StopOnNaN(),
                self.count,  # adds how many patches were shown
                judging,  # adds the scores, and saves the weights if they are the best
                *tensorboard(self.journal.folder / TENSORBOARD),
                self.journal,  # writes all of that down
                pace,  # decides by what is written down how to go on
                progress,
            ]
            while not pace.is_over:
                self._fit(callbacks)
        return Trained(len(self.journal.history), self.devices.agree(self._judged()))

    def _judged(self) -> Contract:
        """Score the weights that were kept, and write that into their contract."""
        contract = read_contract(self.out)
        contract = replace(
            contract,
            scores=self.judge.score(self.out, contract),
            # What a training that goes on is told of the data holds even if no epoch of it is better.
            pixel_size=self.usage.pixel_size,
            trained_on=contract.trained_on | {"notes": self.notes},
        )
        write_contract(contract, self.out)
        return contract

    def _fit(self, callbacks: list[keras.callbacks.Callback]) -> None:
        """Train for the epochs that come next and are alike.

        Keras asks for the number of batches once, when a fit begins, and which layers learn is compiled into a model.
        So there is a fit for each run of epochs that have the same number and are in the same stage.
        """
        self.feed.epoch = first = len(self.journal.history)
        stage, end = self.schedule.stage(first), self.schedule.stage_ends(first)
        if stage != self.prepared:
            self._prepare(stage)
        with enough_memory(f"batches of {self.options.batch_size}", "use a smaller --batch-size"):
            self.model.fit(
                self.devices.deal(ReadAhead(self.feed)),
                validation_data=self.devices.deal(ReadAhead(self.validation)) if len(self.validation) else None,
                initial_epoch=first,
                epochs=fit_ends(self.feed, first, end),
                shuffle=False,  # the feed has its order
                verbose=0,
                callbacks=callbacks,
            )

    def _prepare(self, stage: Stage) -> None:
        with self.devices.scope():
            prepare_stage(self.model, stage, self.store.side, self.options)
        self.prepared = stage

    def _save(self, epoch: int, contract: Contract) -> None:
        """Write the weights with what the judge of the epoch says of their use.

        What is written is the twin, a bare net of float32 whatever the model is trained at.
        """
        self.twin.set_weights(self.model.net.get_weights())
        reach = measure_receptive_field(self.twin) if self.options.net in SEGMENTERS else None
        trained_on = {
            **origin_of(self.store, self.options),
            "epoch": epoch + 1,
            "patches_seen": self.count.seen,
            "notes": self.notes,
        }
        contract = replace(contract, receptive_field=reach, trained_on=trained_on)
        write_weights(self.out, contract, self.twin.save)


def fit_ends(feed: RatioFeed, first: int, end: int) -> int:
    """Return the first epoch after `first` that has another number of batches, or `end` if none before that has."""
    if not feed.mix.ship_fraction.changes:
        return end  # which may be a million, where a training ends by the clock
    return next((epoch for epoch in range(first, end) if feed.batches(epoch) != feed.batches(first)), end)


def _usage(store: PatchStore, options: TrainOptions, pixel_size: float | None) -> Contract:
    """Say how a net that is trained with `options` is to be used; the rest of the contract comes with its weights."""
    patch = store.options["patch"]
    needed = side_multiple(options.net, options.depth)
    largest = min(TILE, TILE * patch // store.side)  # a tile that is enlarged takes as much memory as others
    return Contract(
        weights_sha256="",
        net=options.net,
        patch=patch,
        threshold=THRESHOLD,
        minimum_area=MINIMUM_AREA,
        tile=round_up(largest, needed),
        overlap=OVERLAP,
        tile_multiple=needed,
        receptive_field=None,
        resize=store.options["resize"],
        pixel_size=pixel_size,
    )
