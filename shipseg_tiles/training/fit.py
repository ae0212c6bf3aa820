"""Train a net on a patch store."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras

from shipseg_tiles.errors import InputError
from shipseg_tiles.files import written_whole
from shipseg_tiles.inference.predictor import NetKind, load_net
from shipseg_tiles.nets.augmentation import AugmentationOptions, AugmentedNet
from shipseg_tiles.nets.build import CLASSIFIERS, build_net
from shipseg_tiles.nets.contract import Contract, checksum, read_contract, write_contract
from shipseg_tiles.nets.losses import build_loss
from shipseg_tiles.nets.metrics import PatchDice, PatchF1
from shipseg_tiles.nets.receptive_field import measure_receptive_field
from shipseg_tiles.patches.feed import RatioFeed, ValidationFeed
from shipseg_tiles.patches.ship_fraction import ShipFraction
from shipseg_tiles.patches.slots import CLASSES, SPLITS
from shipseg_tiles.patches.store import PatchStore
from shipseg_tiles.training.callbacks import BeginEpoch, JudgeEpoch, Pace, Progress, StopOnNaN
from shipseg_tiles.training.journal import Journal
from shipseg_tiles.training.judges import choose_judge
from shipseg_tiles.training.optimizer import build_optimizer
from shipseg_tiles.training.options import TrainOptions
from shipseg_tiles.training.precision import precision
from shipseg_tiles.training.schedule import Stage
from shipseg_tiles.training.stages import choose_layers

THRESHOLD = 0.5
MINIMUM_AREA = 10
"""Pixels; of the competition's labelled ships two in a thousand are smaller."""

TILE = 768
OVERLAP = 0.25
"""A quarter of 768 px is twice what a U-Net with 4 poolings sees to each side."""


@dataclass(frozen=True)
class Trained:
    """What a training came to.

    Attributes:
        epochs: Epochs that were trained, earlier ones of a resumed training included.
        contract: The contract of the best weights.
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
    notes: str = "",
) -> Trained:
    """Train a net and keep the weights of its best epoch.

    The best epoch is the one with the highest true dice on the store's full validation images (of a classifier, the
    highest F1); without such images, the one with the lowest loss. Logs and what is needed to resume go into the folder
    `NAME.training` beside `out`.

    Args:
        store: Patches to train on.
        out: `NAME.keras` to write; its contract `NAME.json` appears beside it.
        options: See `TrainOptions`.
        mined: Background on which a net saw ships, see `RatioFeed`.
        resume: Go on where an earlier run with the same options stopped.
        notes: Words about the data, such as their terms, for the contract.

    Raises:
        InputError: If an option is out of its range, does not fit the store, or there is nothing to resume.
    """
    _check(store, out, options)
    schedule = options.stages_and_rates()
    fraction = ShipFraction.parse(options.ship_fraction, options.epochs)
    feed = RatioFeed(
        store,
        options.batch_size,
        fraction,
        options.seed,
        options.order,
        mined=mined,
        mined_fraction=options.mined_fraction,
        workers=2,
        max_queue_size=8,
    )
    validation = ValidationFeed(store, options.batch_size, workers=2, max_queue_size=8)
    judge = choose_judge(options.net, list(store.full_images()), len(validation) > 0)
    keras.utils.set_random_seed(options.seed)
    model = _built(options)
    for stage in schedule.stages:
        _prepare(model, stage, store.patch, options)  # so that what is wrong with one is known before the first begins
    journal = Journal(out.with_suffix(".training"), _identity(store, mined, options, fraction))
    if resume:
        journal.take_up()
        _prepare(model, schedule.stage(max(0, len(journal.history) - 1)), store.patch, options)
        journal.load(model)
    else:
        journal.begin()

    def save(epoch: int, contract: Contract) -> None:
        _save(model.net, out, options, replace(contract, trained_on=_origin(store, options, epoch, notes)))

    judging = JudgeEpoch(judge, _usage(store, options), options.moving_average > 0, journal.history, save)
    pace = Pace(schedule, journal, judge, options.minutes)
    callbacks = [
        BeginEpoch(feed),
        StopOnNaN(),
        judging,
        keras.callbacks.TensorBoard(journal.folder / "tensorboard", write_graph=False),
        journal,
        pace,
    ]
    _fit(model, feed, validation, pace, callbacks, lambda stage: _prepare(model, stage, store.patch, options))
    contract = read_contract(out)
    contract = replace(contract, scores=judge.score(out, contract))
    write_contract(contract, out)
    return Trained(len(journal.history), contract)


def _check(store: PatchStore, out: Path, options: TrainOptions) -> None:
    if out.suffix != ".keras":
        raise InputError(f"{out} must end in .keras")
    if store.patch % 2**options.depth:
        raise InputError(f"patches of {store.patch} px do not halve {options.depth} times; use a smaller --depth")
    if not len(store.sets["train", "ship"]):
        raise InputError(f"{store.paths[0]} holds no ship to train on; give a store that make-patches made")


def _identity(
    store: PatchStore, mined: PatchStore | None, options: TrainOptions, fraction: ShipFraction
) -> dict[str, Any]:
    """Return what must be the same when a training is taken up again."""
    identity = asdict(options) | {"store": store.fingerprint, "mined": mined.fingerprint if mined else ""}
    if not fraction.changes and options.schedule in ("plateau", "constant"):
        del identity["epochs"]  # it may be prolonged, unless the epochs so far depend on how many there are
    return identity


def _built(options: TrainOptions) -> AugmentedNet:
    with precision(options.precision):
        net = build_net(
            options.net,
            options.width,
            options.depth,
            normalisation=options.normalisation,
            encoder_weights=options.encoder_weights,
        )
        model = AugmentedNet(net, options.seed, AugmentationOptions.parse(options.augmentation))
    if options.start_from:
        kind: NetKind = "classifier" if options.net in CLASSIFIERS else "segmenter"
        known = load_net(Path(options.start_from), kind).get_weights()
        try:
            net.set_weights(known)
        except ValueError as error:
            reason = " ".join(str(error).split())
            raise InputError(f"{options.start_from} does not fit {options.net} with these options: {reason}") from None
    return model


def _prepare(model: AugmentedNet, stage: Stage, patch: int, options: TrainOptions) -> None:
    """Let the layers of a stage learn, with a fresh optimizer."""
    choose_layers(model.net, stage.layers)
    model.compile(
        optimizer=build_optimizer(options.learning_rate, options.weight_decay, options.moving_average),
        loss=build_loss(options.loss),
        metrics=[PatchF1() if options.net in CLASSIFIERS else PatchDice()],
        # XLA on a CPU made these nets train at half the speed; other backends compile in their own way.
        jit_compile=False if keras.backend.backend() == "tensorflow" else "auto",
    )
    model.build((None, patch, patch, 3))
    model.optimizer.build(model.trainable_variables)


def _fit(
    model: AugmentedNet,
    feed: RatioFeed,
    validation: ValidationFeed,
    pace: Pace,
    callbacks: list[keras.callbacks.Callback],
    prepare: Callable[[Stage], None],
) -> None:
    """Train for the epochs that the journal lacks.

    Keras asks for the number of batches once, when a fit begins, and which layers learn is compiled into a model. So
    there is a fit for each run of epochs that have the same number and are in the same stage.
    """
    schedule, history = pace.schedule, pace.journal.history
    prepared = schedule.stage(len(history) - 1) if history else None
    with closing(Progress(schedule.epochs)) as progress:
        while not pace.is_over:
            feed.epoch = first = len(history)
            if schedule.stage(first) != prepared:
                prepared = schedule.stage(first)
                prepare(prepared)
            end = schedule.stage_ends(first)
            model.fit(
                feed,
                validation_data=validation if len(validation) else None,
                initial_epoch=first,
                epochs=next((epoch for epoch in range(first, end) if feed.batches(epoch) != feed.batches(first)), end),
                shuffle=False,  # the feed has its order
                verbose=0,
                callbacks=[*callbacks, progress],
            )


def _usage(store: PatchStore, options: TrainOptions) -> Contract:
    """Say how a net that is trained with `options` is to be used; the rest of the contract comes with its weights."""
    return Contract(
        weights_sha256="",
        net=options.net,
        patch=store.options["patch"],
        threshold=THRESHOLD,
        minimum_area=MINIMUM_AREA,
        tile=TILE,
        overlap=OVERLAP,
        tile_multiple=2**options.depth,
        receptive_field=None,
        resize=store.options["resize"],
    )


def _origin(store: PatchStore, options: TrainOptions, epoch: int, notes: str) -> dict[str, Any]:
    """Say what the weights of an epoch were trained on."""
    return {
        "store_fingerprint": store.fingerprint,
        "store_options": store.options,
        "patches": {split: {kind: len(store.sets[split, kind]) for kind in CLASSES} for split in SPLITS},
        "training": asdict(options),
        "best_epoch": epoch + 1,
        "notes": notes,
    }


def _save(net: keras.Model, out: Path, options: TrainOptions, contract: Contract) -> None:
    """Write the net as float32, whatever precision it is trained at, with its contract."""
    twin = build_net(options.net, options.width, options.depth, normalisation=options.normalisation)
    twin.set_weights(net.get_weights())
    with written_whole(out) as temporary:
        twin.save(temporary)
    field = None if options.net in CLASSIFIERS else measure_receptive_field(twin)
    write_contract(replace(contract, weights_sha256=checksum(out), receptive_field=field), out)
