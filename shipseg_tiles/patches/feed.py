"""Batches out of a patch store, with exactly the wanted share of ship patches in each."""

from functools import lru_cache
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.errors import InputError
from shipseg_tiles.patches.ship_fraction import ShipFraction
from shipseg_tiles.patches.slots import CLASSES
from shipseg_tiles.patches.store import Patches, PatchSet, PatchStore

ORDERS = ("random", "sequential")


class RatioFeed(keras.utils.PyDataset):
    """Training batches that all hold the same number of ship patches within an epoch.

    An epoch shows every ship patch once (the last batch is filled up with ships of the epoch before the first one
    repeats); background patches go round at their own pace, so that all of them are seen over the epochs. The batches
    follow from the seed and the epoch alone, so a run that is taken up again sees the same ones.

    The order `random` is good for any store that fits into memory or lies on a local disk. `sequential` reads from
    front to back, from another place in each epoch, and is good for slow and network disks: stores are shuffled inside.
    It is bad for small stores, where the same patches meet again and again.

    It may be used in many threads, and in other processes, to which it goes as little more than the paths of the store.

    Attributes:
        epoch: Number of the epoch whose batches come next, from 0.
    """

    def __init__(
        self,
        store: PatchStore,
        batch_size: int,
        ship_fraction: ShipFraction | float,
        seed: int,
        order: str = "random",
        **kwargs: Any,
    ) -> None:
        """Feed from the training split of `store`.

        Args:
            store: The patches.
            batch_size: Patches in a batch.
            ship_fraction: Share of ship patches in each batch, rounded to whole patches; a number, above 0 and at most
                1, for the same in all epochs.
            seed: Seed of the order.
            order: One of `ORDERS`.
            **kwargs: `workers` and the like, for `keras.utils.PyDataset`.

        Raises:
            InputError: If the fraction leaves no ship patch in a batch, or needs background that the store lacks, or
                there is no such order.
        """
        super().__init__(**kwargs)
        if not isinstance(ship_fraction, ShipFraction):
            ship_fraction = ShipFraction(ship_fraction, ship_fraction, 1)
        if order not in ORDERS:
            raise InputError(f"there is no order {order!r}; choose one of {', '.join(ORDERS)}")
        fewest = round(batch_size * min(ship_fraction.first, ship_fraction.last))
        if not fewest:
            raise InputError(f"ship fraction {ship_fraction} gives 0 ships in {batch_size} patches; use a larger one")
        if fewest < batch_size and not len(store.sets["train", "background"]):
            raise InputError(f"{store.paths[0]} holds no background for ship fraction {ship_fraction}; use 1")
        self.store = store
        self.batch_size = batch_size
        self.ship_fraction = ship_fraction
        self.seed = seed
        self.order = order
        self.epoch = 0

    def __len__(self) -> int:
        """Batches in the current epoch."""
        return self.batches(self.epoch)

    def batches(self, epoch: int) -> int:
        """Return the number of batches in an epoch."""
        return -(-len(self.store.sets["train", "ship"]) // self.ship_fraction.ships_in_batch(epoch, self.batch_size))

    def __getitem__(self, index: int) -> Patches:
        """Return batch `index` of the current epoch, ships first."""
        ships, background = (self.store.sets["train", kind] for kind in CLASSES)
        ships_in_batch = self.ship_fraction.ships_in_batch(self.epoch, self.batch_size)
        within_epoch = index * ships_in_batch + np.arange(ships_in_batch)
        ship_places = _order(self.order, len(ships), (self.seed, 0, self.epoch))[within_epoch % len(ships)]
        background_in_batch = self.batch_size - ships_in_batch
        before = _background_before(self.epoch, len(ships), self.batch_size, self.ship_fraction)
        since_start = before + index * background_in_batch
        background_places = self._background_places(since_start + np.arange(background_in_batch))
        return _gather(self.store.patch, [(ships, ship_places), (background, background_places)])

    def _background_places(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Look positions up in an endless row of rounds through the background."""
        if not positions.size:
            return positions
        count = len(self.store.sets["train", "background"])
        rounds, within_round = np.divmod(positions, count)
        places = [
            _order(self.order, count, (self.seed, 1, number))[within_round[rounds == number]]
            for number in np.unique(rounds).tolist()
        ]
        return np.concatenate(places)

    def on_epoch_end(self) -> None:
        """Go on to the next epoch; Keras calls this, and once more when a fit begins, so set `epoch` in a callback."""
        self.epoch += 1


class ValidationFeed(keras.utils.PyDataset):
    """Every validation patch once, in the order of the store, so that the patch dice is comparable between runs."""

    def __init__(self, store: PatchStore, batch_size: int, **kwargs: Any) -> None:
        """Feed from the validation split of `store`; keyword arguments as for `keras.utils.PyDataset`."""
        super().__init__(**kwargs)
        self.store = store
        self.batch_size = batch_size

    def __len__(self) -> int:
        """Batches in a pass; 0 if the store has no validation split."""
        return -(-sum(map(len, self._sets())) // self.batch_size)

    def __getitem__(self, index: int) -> Patches:
        """Return batch `index`; the last one may be smaller."""
        ships, background = self._sets()
        total = len(ships) + len(background)
        places = np.arange(index * self.batch_size, min((index + 1) * self.batch_size, total))
        is_ship = places < len(ships)
        return _gather(self.store.patch, [(ships, places[is_ship]), (background, places[~is_ship] - len(ships))])

    def _sets(self) -> list[PatchSet]:
        return [self.store.sets["valid", kind] for kind in CLASSES]


@lru_cache(maxsize=8)
def _order(order: str, count: int, seed: tuple[int, int, int]) -> NDArray[np.int64]:
    """Return the order of `count` patches; kept, because every batch of an epoch asks for the same ones."""
    random = np.random.default_rng(seed)
    if order == "sequential":
        return np.roll(np.arange(count), -random.integers(count))
    return random.permutation(count)


@lru_cache(maxsize=8)
def _background_before(epoch: int, ships: int, batch_size: int, fraction: ShipFraction) -> int:
    """Count the background patches that were shown before an epoch began; kept as well."""
    of_ships = [fraction.ships_in_batch(past, batch_size) for past in range(epoch)]
    return sum(-(-ships // count) * (batch_size - count) for count in of_ships)


def _gather(patch: int, parts: list[tuple[PatchSet, NDArray[np.int64]]]) -> Patches:
    """Copy patches out of the store, each part behind the one before."""
    count = sum(len(places) for _, places in parts)
    images = np.empty((count, patch, patch, 3), dtype=np.uint8)
    masks = np.empty((count, patch, patch), dtype=np.uint8)
    first = 0
    for patches, places in parts:
        into = slice(first, first + len(places))
        patches.read_into(places, images[into], masks[into])
        first += len(places)
    return images, masks
