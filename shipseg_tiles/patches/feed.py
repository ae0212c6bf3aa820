"""Batches out of a patch store, with exactly the wanted share of ship patches in each."""

from functools import lru_cache
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.errors import InputError
from shipseg_tiles.patches.slots import CLASSES
from shipseg_tiles.patches.store import Patches, PatchSet, PatchStore


class RatioFeed(keras.utils.PyDataset):
    """Training batches that all hold the same number of ship patches.

    An epoch shows every ship patch once (the last batch is filled up with ships of the epoch before the first one
    repeats); background patches go round at their own pace, so that all of them are seen over the epochs. The order
    follows from the seed and the epoch alone, so a run that is taken up again sees the same batches.

    Good for training on any store that fits on a local disk. Bad for network disks: it reads patches at random.

    Attributes:
        epoch: Number of the epoch whose batches come next, from 0.
    """

    def __init__(self, store: PatchStore, batch_size: int, ship_fraction: float, seed: int, **kwargs: Any) -> None:
        """Feed from the training split of `store`.

        Args:
            store: The patches.
            batch_size: Patches in a batch.
            ship_fraction: Share of ship patches in each batch, rounded to whole patches, above 0 and at most 1.
            seed: Seed of the order.
            **kwargs: `workers` and the like, for `keras.utils.PyDataset`.

        Raises:
            InputError: If the fraction leaves no ship patch in a batch, or needs background that the store lacks.
        """
        super().__init__(**kwargs)
        self.patch = store.patch
        self.ships, self.background = (store.sets["train", kind] for kind in CLASSES)
        if not 0 < ship_fraction <= 1:
            raise InputError(f"ship fraction {ship_fraction} must be above 0 and at most 1")
        self.ships_per_batch = round(batch_size * ship_fraction)
        self.background_per_batch = batch_size - self.ships_per_batch
        if not self.ships_per_batch:
            raise InputError(
                f"ship fraction {ship_fraction} gives {self.ships_per_batch} ships in {batch_size} patches"
            )
        if self.background_per_batch and not len(self.background):
            raise InputError(f"{store.paths[0]} holds no background for ship fraction {ship_fraction}; use 1")
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        """Batches in an epoch."""
        return -(-len(self.ships) // self.ships_per_batch)

    def __getitem__(self, index: int) -> Patches:
        """Return batch `index` of the current epoch, ships first."""
        within_epoch = index * self.ships_per_batch + np.arange(self.ships_per_batch)
        ships = _permutation(len(self.ships), self.seed, 0, self.epoch)[within_epoch % len(self.ships)]
        since_start = (self.epoch * len(self) + index) * self.background_per_batch
        background = self._background_order(since_start + np.arange(self.background_per_batch))
        return _gather(self.patch, [(self.ships, ships), (self.background, background)])

    def _background_order(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Look positions up in an endless row of permutations of the background."""
        if not positions.size:
            return positions
        rounds, within_round = np.divmod(positions, len(self.background))
        orders = [
            _permutation(len(self.background), self.seed, 1, number)[within_round[rounds == number]]
            for number in np.unique(rounds).tolist()
        ]
        return np.concatenate(orders)

    def on_epoch_end(self) -> None:
        """Go on to the next epoch; Keras calls this."""
        self.epoch += 1


class ValidationFeed(keras.utils.PyDataset):
    """Every validation patch once, in the order of the store, so that the patch dice is comparable between runs."""

    def __init__(self, store: PatchStore, batch_size: int, **kwargs: Any) -> None:
        """Feed from the validation split of `store`; keyword arguments as for `keras.utils.PyDataset`."""
        super().__init__(**kwargs)
        self.patch = store.patch
        self.sets = [store.sets["valid", kind] for kind in CLASSES]
        self.batch_size = batch_size

    def __len__(self) -> int:
        """Batches in a pass; 0 if the store has no validation split."""
        return -(-sum(map(len, self.sets)) // self.batch_size)

    def __getitem__(self, index: int) -> Patches:
        """Return batch `index`; the last one may be smaller."""
        ships, background = self.sets
        total = len(ships) + len(background)
        places = np.arange(index * self.batch_size, min((index + 1) * self.batch_size, total))
        is_ship = places < len(ships)
        return _gather(self.patch, [(ships, places[is_ship]), (background, places[~is_ship] - len(ships))])


@lru_cache(maxsize=8)
def _permutation(count: int, seed: int, kind: int, number: int) -> NDArray[np.int64]:
    """Permutation `number` of `count` things; kept, because every batch of an epoch asks for the same ones."""
    return np.random.default_rng([seed, kind, number]).permutation(count)


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
