"""Batches that are read before they are asked for."""

from concurrent.futures import Future, ThreadPoolExecutor

import keras

from shipseg_tiles.patches.feed import Feed
from shipseg_tiles.patches.store import Patches

_THREADS = 2
_BATCHES = 8
"""So many are read ahead."""


class ReadAhead(keras.utils.PyDataset):
    """A feed whose next batches are read by threads while the net is trained on the last one.

    The workers that Keras has for this keep what they have read when an epoch ends and hand it to the next. Under JAX
    and PyTorch a fit begins with a look at a batch, after which each epoch would begin with batches of the one before.
    """

    def __init__(self, feed: Feed) -> None:
        super().__init__()
        self.feed = feed
        self._threads = ThreadPoolExecutor(_THREADS)
        self._read: dict[tuple[int, int], Future[Patches]] = {}

    def __len__(self) -> int:
        """Batches in the current epoch."""
        return len(self.feed)

    def __getitem__(self, index: int) -> Patches:
        """Return batch `index` of the current epoch, and have the next ones read."""
        epoch = self.feed.epoch
        wanted = [(epoch, number) for number in range(index, min(index + _BATCHES, len(self.feed)))]
        self._read = {key: self._read.get(key) or self._threads.submit(self.feed.batch, *key) for key in wanted}
        return self._read[epoch, index].result()

    def on_epoch_end(self) -> None:
        """Pass it on."""
        self.feed.on_epoch_end()
