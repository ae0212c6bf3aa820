"""Train a net on a patch store."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras

from shipseg_tiles.errors import InputError
from shipseg_tiles.files import written_whole
from shipseg_tiles.inference.predictor import Predictor, load_net
from shipseg_tiles.nets.augmentation import AugmentedNet
from shipseg_tiles.nets.build import build_net
from shipseg_tiles.nets.contract import Contract, checksum, write_contract
from shipseg_tiles.nets.losses import DiceCrossEntropy
from shipseg_tiles.nets.metrics import PatchDice
from shipseg_tiles.nets.receptive_field import measure_receptive_field
from shipseg_tiles.patches.feed import RatioFeed, ValidationFeed
from shipseg_tiles.patches.ship_fraction import ShipFraction
from shipseg_tiles.patches.slots import CLASSES, SPLITS
from shipseg_tiles.patches.store import FullImage, PatchStore
from shipseg_tiles.training.callbacks import (
    TRUE_DICE,
    BeginEpoch,
    Journal,
    KeepBest,
    Progress,
    Replay,
    StopOnNaN,
    TrueDice,
)
from shipseg_tiles.training.true_dice import measure_true_dice

THRESHOLD = 0.5
MINIMUM_AREA = 10
"""Pixels; of the competition's labelled ships two in a thousand are smaller."""

TILE = 768
OVERLAP = 0.25
"""A quarter of 768 px is twice what a U-Net with 4 poolings sees to each side."""


PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


@dataclass(frozen=True)
class TrainOptions:
    """How to train.

    Attributes:
        net: Name of the net.
        width: Filters at full resolution.
        depth: Number of halvings inside the net.
        ship_fraction: Share of ship patches in every batch, such as `0.5`; or such as `0.9:0.5`, from the first of
            `epochs` to the last.
        order: Order of the patches, see `RatioFeed`.
        epochs: Largest number of epochs.
        batch_size: Patches in a batch.
        learning_rate: Adam's rate at the start; halved when the score stands still for `patience` / 3 epochs.
        patience: Stop after so many epochs without a better score.
        precision: `float32` or `mixed_bfloat16`; the saved weights are float32 either way.
        seed: Seed of weights, order and augmentation.
        start_from: `.keras` file of the same net to start from; empty for fresh weights.
    """

    net: str = "unet"
    width: int = 16
    depth: int = 4
    ship_fraction: str = "0.5"
    order: str = "random"
    epochs: int = 30
    batch_size: int = 16
    learning_rate: float = 1e-3
    patience: int = 9
    precision: str = "float32"
    seed: int = 0
    start_from: str = ""


@dataclass(frozen=True)
class Trained:
    """What a training came to.

    Attributes:
        epochs: Epochs that were trained, earlier ones of a resumed training included.
        contract: The contract of the best weights.
    """

    epochs: int
    contract: Contract


def train(store: PatchStore, out: Path, options: TrainOptions, *, resume: bool = False, notes: str = "") -> Trained:
    """Train a net and keep the weights of its best epoch.

    The best epoch is the one with the highest true dice on the store's full validation images; without such images,
    the one with the lowest loss. Logs and what is needed to resume go into the folder `NAME.training` beside `out`.

    Args:
        store: Patches to train on.
        out: `NAME.keras` to write; its contract `NAME.json` appears beside it.
        options: See `TrainOptions`.
        resume: Go on where an earlier run with the same options stopped.
        notes: Words about the data, such as their terms, for the contract.

    Raises:
        InputError: If an option is out of its range, does not fit the store, or there is nothing to resume.
    """
    _check(store, out, options)
    fraction = ShipFraction.parse(options.ship_fraction, options.epochs)
    feed = RatioFeed(store, options.batch_size, fraction, options.seed, options.order, workers=2, max_queue_size=8)
    validation = ValidationFeed(store, options.batch_size, workers=2, max_queue_size=8)
    full_images = list(store.full_images())
    keras.utils.set_random_seed(options.seed)
    net = _built(options)
    model = _compiled(net, store.patch, options)
    journal = Journal(out.with_suffix(".training"), _identity(store, options, fraction))
    if resume:
        journal.take_up(model)
    else:
        journal.begin()
    monitor, sign = _monitor(full_images, validation)
    best = KeepBest(monitor, sign, journal.history, lambda epoch: _save(net, store, out, options, epoch, notes))
    callbacks = _callbacks(model, feed, full_images, best, journal, options)
    _fit(model, feed, validation, journal, options.epochs, callbacks)
    return Trained(len(journal.history), _scored(out, full_images))


def _identity(store: PatchStore, options: TrainOptions, fraction: ShipFraction) -> dict[str, Any]:
    """Return what must be the same when a training is taken up again."""
    identity = asdict(options) | {"store": store.fingerprint}
    if not fraction.changes:
        del identity["epochs"]  # a training may be prolonged, unless the epochs so far depend on how many there are
    return identity


def _fit(
    model: AugmentedNet,
    feed: RatioFeed,
    validation: ValidationFeed,
    journal: Journal,
    epochs: int,
    callbacks: list[keras.callbacks.Callback],
) -> None:
    """Train for the epochs that the journal lacks.

    Keras asks for the number of batches once, when a fit begins: so there is a fit for each run of epochs that have the
    same number. To the callbacks, each further one is a training that is taken up again.
    """
    with closing(Progress(epochs)) as progress:
        while len(journal.history) < epochs and not model.stop_training:
            feed.epoch = first = len(journal.history)
            others = (epoch for epoch in range(first, epochs) if feed.batches(epoch) != feed.batches(first))
            model.fit(
                feed,
                validation_data=validation if len(validation) else None,
                initial_epoch=first,
                epochs=next(others, epochs),
                shuffle=False,  # the feed has its order
                verbose=0,
                callbacks=[*callbacks, progress],
            )


def _check(store: PatchStore, out: Path, options: TrainOptions) -> None:
    if out.suffix != ".keras":
        raise InputError(f"{out} must end in .keras")
    if store.patch % 2**options.depth:
        raise InputError(f"patches of {store.patch} px do not halve {options.depth} times; use a smaller --depth")
    for name in ("epochs", "batch_size", "patience", "learning_rate"):
        if not getattr(options, name) > 0:  # NaN is not above 0 either
            raise InputError(f"{name.replace('_', ' ')} {getattr(options, name)} must be above 0")
    if not 0 <= options.seed < 2**32:
        raise InputError(f"seed {options.seed} must be from 0 to {2**32 - 1}")
    if options.precision not in PRECISIONS:
        raise InputError(f"there is no precision {options.precision!r}; choose one of {', '.join(PRECISIONS)}")


def _built(options: TrainOptions) -> keras.Model:
    with _precision(options.precision):
        net = build_net(options.net, options.width, options.depth)
    if options.start_from:
        known = load_net(Path(options.start_from)).get_weights()
        try:
            net.set_weights(known)
        except ValueError as error:
            reason = " ".join(str(error).split())
            raise InputError(f"{options.start_from} does not fit {options.net} with these options: {reason}") from None
    return net


@contextmanager
def _precision(name: str) -> Iterator[None]:
    """Build layers at a precision, and go back to float32 afterwards."""
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy("float32")


def _compiled(net: keras.Model, patch: int, options: TrainOptions) -> AugmentedNet:
    model = AugmentedNet(net, options.seed)
    model.compile(
        optimizer=keras.optimizers.Adam(options.learning_rate),
        loss=DiceCrossEntropy(),
        metrics=[PatchDice()],
        # XLA on a CPU made these nets train at half the speed; other backends compile in their own way.
        jit_compile=False if keras.backend.backend() == "tensorflow" else "auto",
    )
    model.build((None, patch, patch, 3))
    model.optimizer.build(model.trainable_variables)
    return model


def _monitor(full_images: list[FullImage], validation: ValidationFeed) -> tuple[str, int]:
    """Say what decides which epoch is best, and whether more of it is better (1) or less (-1)."""
    if full_images:
        return TRUE_DICE["dice_mean_all_images"], 1
    return ("val_loss" if len(validation) else "loss"), -1


def _callbacks(
    model: AugmentedNet,
    feed: RatioFeed,
    full_images: list[FullImage],
    best: KeepBest,
    journal: Journal,
    options: TrainOptions,
) -> list[keras.callbacks.Callback]:
    mode = "max" if best.sign > 0 else "min"
    counting = [
        keras.callbacks.EarlyStopping(best.monitor, mode=mode, patience=options.patience),
        keras.callbacks.ReduceLROnPlateau(
            best.monitor, mode=mode, patience=max(1, options.patience // 3), factor=0.5, min_delta=0
        ),
    ]
    return [
        BeginEpoch(feed),
        StopOnNaN(),
        *([TrueDice(Predictor(model.net, _usage(feed.store, options)), full_images)] if full_images else []),
        best,
        *counting,
        keras.callbacks.TensorBoard(journal.folder / "tensorboard", write_graph=False),
        journal,
        Replay(journal.history, counting),
    ]


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
        receptive_field=0,
        resize=store.options["resize"],
    )


def _save(net: keras.Model, store: PatchStore, out: Path, options: TrainOptions, epoch: int, notes: str) -> None:
    """Write the net as float32, whatever precision it is trained at, with its contract."""
    twin = build_net(options.net, options.width, options.depth)
    twin.set_weights(net.get_weights())
    with written_whole(out) as temporary:
        twin.save(temporary)
    trained_on = {
        "store_fingerprint": store.fingerprint,
        "store_options": store.options,
        "patches": {split: {kind: len(store.sets[split, kind]) for kind in CLASSES} for split in SPLITS},
        "training": asdict(options),
        "best_epoch": epoch + 1,
        "notes": notes,
    }
    contract = replace(
        _usage(store, options),
        weights_sha256=checksum(out),
        receptive_field=measure_receptive_field(twin),
        trained_on=trained_on,
    )
    write_contract(contract, out)


def _scored(out: Path, full_images: list[FullImage]) -> Contract:
    """Score the weights as they were saved, and write the scores into their contract."""
    predictor = Predictor.load(out)
    if not full_images:
        return predictor.contract
    scores = {
        "data": f"{len(full_images)} validation images of the store; the best epoch was chosen by their true dice",
        **measure_true_dice(predictor, full_images),
    }
    contract = replace(predictor.contract, scores=scores)
    write_contract(contract, out)
    return contract
