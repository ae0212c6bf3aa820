from collections import Counter
from threading import Event

import numpy as np
import pytest
from keras.src.trainers.data_adapters import get_data_adapter

from shipseg_tiles.errors import InputError
from shipseg_tiles.patches.batch_mix import BatchMix
from shipseg_tiles.patches.feed import Feed, RatioFeed
from shipseg_tiles.patches.read_ahead import ReadAhead


class Numbers(Feed):
    """Batches that say what they are; `asked` counts who was asked for."""

    def __init__(self, length):
        super().__init__()
        self.length, self.asked = length, Counter()

    def __len__(self):
        return self.length

    def batch(self, epoch, index):
        self.asked[epoch, index] += 1
        return np.array([epoch]), np.array([index])


def keys_of(batches):
    return [(int(images[0]), int(masks[0])) for images, masks in batches]


def test_batches_are_those_of_the_feed(store):
    by_hand = RatioFeed(store, BatchMix.parse(6, "0.5"), 1)
    ahead = ReadAhead(RatioFeed(store, BatchMix.parse(6, "0.5"), 1))

    for _ in range(2):
        assert len(ahead) == len(by_hand) > 3
        for index in range(len(by_hand)):
            assert all(map(np.array_equal, ahead[index], by_hand[index]))
        ahead.on_epoch_end()
        by_hand.on_epoch_end()


@pytest.mark.parametrize("length", [1, 3, 20])
def test_an_epoch_begins_with_its_own_batches_though_keras_looks_at_some_before(length):
    """As it does under JAX and PyTorch when a fit begins; it then ends an epoch that never was."""
    feed = Numbers(length)
    adapter = get_data_adapter(ReadAhead(feed))
    adapter.on_epoch_begin()
    next(adapter.get_numpy_iterator())
    adapter.on_epoch_end()

    seen = []
    for feed.epoch in range(3):  # as `BeginEpoch` does
        adapter.on_epoch_begin()
        seen += keys_of(adapter.get_numpy_iterator())
        adapter.on_epoch_end()

    assert seen == [(epoch, index) for epoch in range(3) for index in range(length)]


def test_each_batch_is_read_once():
    feed = Numbers(20)
    ahead = ReadAhead(feed)

    assert keys_of(ahead[index] for index in range(20)) == [(0, index) for index in range(20)]
    assert feed.asked == Counter({(0, index): 1 for index in range(20)})


def test_the_next_batches_are_read_while_nobody_asks():
    third = Event()

    class Watched(Numbers):
        def batch(self, epoch, index):
            if index == 2:
                third.set()
            return super().batch(epoch, index)

    _ = ReadAhead(Watched(20))[0]

    assert third.wait(10)


def test_what_goes_wrong_with_a_batch_is_told_when_it_is_asked_for():
    class Damaged(Numbers):
        def batch(self, epoch, index):
            if index == 1:
                raise InputError("the patch is damaged")
            return super().batch(epoch, index)

    ahead = ReadAhead(Damaged(3))

    assert keys_of([ahead[0]]) == [(0, 0)]
    with pytest.raises(InputError, match="the patch is damaged"):
        ahead[1]
