"""Batches out of a patch store, with exactly the wanted share of ship patches in each."""

from abc import ABC, abstractmethod
from functools import lru_cache

import keras
import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.errors import InputError
from shipseg_tiles.patches.batch_mix import BatchMix
from shipseg_tiles.patches.options import ORDERS
from shipseg_tiles.patches.store import Patches, PatchSet, PatchStore
from shipseg_tiles.patches.store_layout import CLASSES, MINED


class Feed(keras.utils.PyDataset, ABC):
    """Batches that follow from the epoch and their number alone, whoever asks for them and when.

    Attributes:
        epoch: Number of the epoch whose batches Keras is given, from 0.
    """

    def __init__(self) -> None:
        super().__init__()
        self.epoch = 0

    def __getitem__(self, index: int) -> Patches:
        """Return batch `index` of the current epoch."""
        return self.batch(self.epoch, index)

    @abstractmethod
    def __len__(self) -> int:
        """Batches in the current epoch."""

    @abstractmethod
    def batch(self, epoch: int, index: int) -> Patches:
        """Return batch `index` of an epoch; any thread may ask."""


class RatioFeed(Feed):
    """Training batches that all hold the same number of ship patches within an epoch.

    An epoch shows every ship patch once (the last batch is filled up with ships of the epoch before the first one
    repeats); background patches go round at their own pace, so that all of them are seen over the epochs. So do mined
    ones, which take the place of some of the background. The batches follow from the seed and the epoch alone, so a run
    that is taken up again sees the same ones.

    The order `random` is good for any store that fits into memory or lies on a local disk. `sequential` reads from
    front to back, from another patch on in each epoch, and is good for slow and network disks: stores are shuffled
    inside. It is bad for small stores, where the same patches meet again and again.

    It may be used in many threads, and in other processes, to which it goes as little more than the paths of the store.
    """

    def __init__(
        self, store: PatchStore, mix: BatchMix, seed: int, order: str = "random", mined: PatchStore | None = None
    ) -> None:
        """Feed from the training split of `store`.

        Args:
            store: The patches.
            mix: What each batch holds.
            seed: Seed of the order.
            order: One of `ORDERS`.
            mined: Background on which a net saw ships, see `shipseg_tiles.training.mining`; None for none.

        Raises:
            InputError: If the mix needs background that the store lacks, or mined patches that are not given, those
                that are given do not fit the store or have no share in it, or there is no such order.
        """
        super().__init__()
        if order not in ORDERS:
            raise InputError(f"there is no order {order!r}; choose one of {', '.join(ORDERS)}")
        self.store = store
        self.mix = mix
        self.seed = seed
        self.order = order
        self.mined = mined
        if mined:
            _check_mined(store, mined, mix)
        elif mix.mined:
            raise InputError(
                f"mined fraction {mix.mined_fraction} needs mined patches; make them with mine, or leave it at 0"
            )
        if mix.needs_background and not len(store.sets["train", "background"]):
            beside = f" beside mined fraction {mix.mined_fraction}" if mined else ""
            raise InputError(
                f"{store.paths[0]} holds no background for ship fraction {mix.ship_fraction}{beside};"
                f" use {1 - mix.mined_fraction:g}"
            )

    def __len__(self) -> int:
        """Batches in the current epoch."""
        return self.batches(self.epoch)

    def batches(self, epoch: int) -> int:
        """Return the number of batches in an epoch."""
        return -(-len(self.store.sets["train", "ship"]) // self.mix.ships(epoch))

    def batch(self, epoch: int, index: int) -> Patches:
        """Return batch `index` of an epoch: ships, background, mined patches."""
        ships, background = (self.store.sets["train", kind] for kind in CLASSES)
        within_epoch = index * self.mix.ships(epoch) + np.arange(self.mix.ships(epoch))
        ship_indices = _order(self.order, len(ships), (self.seed, 0, epoch))[within_epoch % len(ships)]
        batches, background_shown = _before(epoch, len(ships), self.mix)
        in_batch = self.mix.background(epoch)
        parts = [(ships, ship_indices), self._in_turn(background, 1, background_shown, index, in_batch)]
        if self.mined:
            mined = self.mined.sets[MINED]
            parts.append(self._in_turn(mined, 2, batches * self.mix.mined, index, self.mix.mined))
        return _gather(self.store.side, parts)

    def _in_turn(
        self, patches: PatchSet, stream: int, before_epoch: int, index: int, in_batch: int
    ) -> tuple[PatchSet, NDArray[np.int64]]:
        """Choose the patches of a batch out of an endless row of rounds through all of them.

        Args:
            patches: They go round at their own pace.
            stream: Number that gives them an order of their own.
            before_epoch: How many of them were shown before the epoch began.
            index: Number of the batch in the epoch.
            in_batch: How many of them each batch of the epoch holds.
        """
        positions = before_epoch + index * in_batch + np.arange(in_batch)
        if not in_batch:
            return patches, positions
        rounds, within_round = np.divmod(positions, len(patches))
        indices = [
            _order(self.order, len(patches), (self.seed, stream, number))[within_round[rounds == number]]
            for number in np.unique(rounds).tolist()
        ]
        return patches, np.concatenate(indices)

    def on_epoch_end(self) -> None:
        """Go on to the next epoch; Keras calls this, and once more when a fit begins, so set `epoch` in a callback."""
        self.epoch += 1


class ValidationFeed(Feed):
    """Every validation patch once, in the order of the store, so that the patch dice is comparable between runs."""

    def __init__(self, store: PatchStore, batch_size: int) -> None:
        """Feed from the validation split of `store`."""
        super().__init__()
        self.store = store
        self.batch_size = batch_size

    def __len__(self) -> int:
        """Batches in a pass; 0 if the store has no validation split."""
        return -(-sum(map(len, self._sets())) // self.batch_size)

    def batch(self, epoch: int, index: int) -> Patches:
        """Return batch `index`, the same in all epochs; the last one may be smaller."""
        ships, background = self._sets()
        total = len(ships) + len(background)
        indices = np.arange(index * self.batch_size, min((index + 1) * self.batch_size, total))
        is_ship = indices < len(ships)
        return _gather(self.store.side, [(ships, indices[is_ship]), (background, indices[~is_ship] - len(ships))])

    def _sets(self) -> list[PatchSet]:
        return [self.store.sets["valid", kind] for kind in CLASSES]


def _check_mined(store: PatchStore, mined: PatchStore, mix: BatchMix) -> None:
    """Refuse mined patches that cannot stand in a batch beside those of the store, or would spoil its validation."""
    path = mined.paths[0]
    if not mix.mined:
        raise InputError(f"mined fraction {mix.mined_fraction} must be above 0 and below 1 to feed patches of {path}")
    if not len(mined.sets[MINED]):
        raise InputError(f"{path} holds no background to train on; make it with mine")
    if (mined.options["patch"], mined.side) != (store.options["patch"], store.side):
        raise InputError(
            f"{path} has patches of {mined.options['patch']} px stored at {mined.side} px, {store.paths[0]}"
            f" of {store.options['patch']} px stored at {store.side} px; mine with the store that is trained on"
        )
    leaking = store.validating_images().intersection(mined.source(*MINED)["image"])
    if leaking:
        raise InputError(
            f"{path} holds patches of {min(leaking)}, which validates in {store.paths[0]};"
            " mine with the store that is trained on"
        )


@lru_cache(maxsize=8)
def _order(order: str, count: int, seed: tuple[int, int, int]) -> NDArray[np.int64]:
    """Return the order of `count` patches; kept, because every batch of an epoch asks for the same ones."""
    random = np.random.default_rng(seed)
    if order == "sequential":
        return np.roll(np.arange(count), -random.integers(count))
    return random.permutation(count)


@lru_cache(maxsize=8)
def _before(epoch: int, ships: int, mix: BatchMix) -> tuple[int, int]:
    """Count the batches that were shown before an epoch began, and the background in them; kept as well."""
    batches = [-(-ships // mix.ships(past)) for past in range(epoch)]
    return sum(batches), sum(number * mix.background(past) for past, number in enumerate(batches))


def _gather(patch: int, parts: list[tuple[PatchSet, NDArray[np.int64]]]) -> Patches:
    """Copy patches out of the store, each part behind the one before."""
    count = sum(len(indices) for _, indices in parts)
    images = np.empty((count, patch, patch, 3), dtype=np.uint8)
    masks = np.empty((count, patch, patch), dtype=np.uint8)
    first = 0
    for patches, indices in parts:
        into = slice(first, first + len(indices))
        patches.read_into(indices, images[into], masks[into])
        first += len(indices)
    return images, masks
