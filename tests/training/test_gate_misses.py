import io
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from shipseg_tiles.errors import InputError
from shipseg_tiles.inference.gate import Gate
from shipseg_tiles.nets.contract import Contract
from shipseg_tiles.patches.store import FullImage
from shipseg_tiles.rle import encode
from shipseg_tiles.training.gate_misses import GateAnswers, ask_gate

USAGE = Contract("", "gate", 128, 0.5, 10, 768, 0.25, 32, None)


class Brightest:
    """A net whose probability of a cell of 32 px is its brightest pixel over 256."""

    def predict_on_batch(self, pixels):
        count, height, width, _ = pixels.shape
        cells = pixels.reshape(count, height // 32, 32, width // 32, 32, 3).max(axis=(2, 4, 5))
        return (cells / 256).astype(np.float32)[..., np.newaxis]


def full_image(name, shape, grays, *ships):
    """A PNG with single gray pixels {(row, column): gray}, labelled with the boxes `ships`."""
    pixels = np.zeros((*shape, 3), dtype=np.uint8)
    for (row, column), gray in grays.items():
        pixels[row, column] = gray
    texts = []
    for row, column, height, width in ships:
        mask = np.zeros(shape, dtype=np.uint8)
        mask[row : row + height, column : column + width] = 1
        texts.append(encode(mask))
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG")
    return FullImage(name, data.getvalue(), tuple(texts))


def answers(ships, cells=(), empty_images=()):
    return GateAnswers(*(np.array(values, dtype=np.float32) for values in (ships, cells, empty_images)))


@pytest.mark.parametrize(
    ("ships", "miss_rate", "threshold"),
    [
        # Nothing may be missed: halfway from 0 to the lowest.
        ([0.5, 0.25, 0.75], 0.0, 0.125),
        # One of four may be missed, not of three: halfway from the lowest to the second.
        ([0.5, 0.25, 0.75, 0.875], 0.25, 0.375),
        ([0.5, 0.25, 0.75], 0.25, 0.125),
        # Two that are equal are missed together or not at all.
        ([0.25, 0.25, 0.75, 0.875], 0.25, 0.125),
        ([0.25, 0.25, 0.75, 0.875], 0.5, 0.5),
        # However many may be missed, one is seen.
        ([0.25, 0.5], 0.99, 0.375),
        ([0.5], 0.99, 0.25),
        # A probability of 1 is above every threshold; one of 0 is above none, so these are missed if need be.
        ([1.0, 1.0], 0.0, 0.5),
        ([0.0, 0.0, 0.5], 0.25, 0.25),
        ([0.0, 0.0], 0.25, 0.5),
    ],
)
def test_thresholds_by_hand(ships, miss_rate, threshold):
    assert answers(ships).threshold(miss_rate) == threshold


def test_a_share_that_is_just_kept_is_kept():
    """29 of 100 ships at 0.25 are a share of 0.29, although 0.29 times 100 is below 29 in floats."""
    assert answers([0.25] * 29 + [0.75] * 71).threshold(0.29) == 0.5


def slow_threshold(ships, miss_rate):
    """The middle of the highest gap between probabilities that misses few enough, or else of the lowest gap."""
    gaps = list(pairwise(sorted({0.0, 1.0, *map(float, ships)})))
    good = [gap for gap in gaps if sum(ship <= gap[0] for ship in ships) / len(ships) <= miss_rate]
    return sum(max(good, default=gaps[0])) / 2


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=30), st.sampled_from([0, 0.01, 0.1, 0.25, 0.5, 0.9]))
@example([0.5, float(np.nextafter(np.float32(0.5), np.float32(1)))], 0.5)
def test_no_higher_threshold_will_do(ships, miss_rate):
    found = answers(ships)

    threshold = found.threshold(miss_rate)

    assert 0 < threshold < 1
    assert threshold == slow_threshold(ships, miss_rate)
    if min(ships) > 0:
        assert found.summary(threshold)["miss_rate"] <= miss_rate


def test_scores_by_hand():
    """At 0.5, what is just as probable is not seen: 2 of 3 ships missed, 3 of 4 cells and 1 of 2 images skipped."""
    found = answers([0.25, 0.5, 0.75], [0, 0.25, 0.5, 0.75], [0.5, 0.625])

    assert found.summary(0.5) == {
        "ships": 3,
        "miss_rate": pytest.approx(2 / 3),
        "cells": 4,
        "cells_skipped": 0.75,
        "empty_images": 2,
        "empty_images_skipped": 0.5,
    }
    assert answers([0.5], [0.5]).summary(0.25)["empty_images_skipped"] is None


def test_images_by_hand():
    """Cells of 32 px. On 64 x 96 px the cell (0, 1) answers 64/256, (1, 2) 128/256 and (0, 0) 32/256, the others 0.

    - 4 x 20 px from (30, 50) lie in the cells (0, 1), (0, 2), (1, 1) and (1, 2): 0.5 is the highest
    - 2 x 2 px at (40, 10) in the cell (1, 0): 0
    - 5 x 5 px from (0, 29) in (0, 0) and (0, 1): 0.25

    The image without ship has 40 x 33 px, so 2 x 2 cells; the pixel of 192 lies in the last.
    """
    grays = {(3, 40): 64, (60, 90): 128, (20, 20): 32}
    ships = [(30, 50, 4, 20), (40, 10, 2, 2), (0, 29, 5, 5)]
    images = [full_image("ships.png", (64, 96), grays, *ships), full_image("sea.png", (40, 33), {(39, 32): 192})]

    found = ask_gate(Gate(Brightest(), USAGE), images)

    assert found.ships.tolist() == [0.5, 0, 0.25]
    assert found.cells.tolist() == [0.125, 0.25, 0, 0, 0, 0.5, 0, 0, 0, 0.75]
    assert found.empty_images.tolist() == [0.75]


def test_a_label_that_leaves_its_image_is_refused():
    image = full_image("a.png", (10, 10), {}, (0, 0, 2, 2))

    with pytest.raises(InputError, match="leaves the image of 100 pixels"):
        ask_gate(Gate(Brightest(), USAGE), [FullImage(image.name, image.data, ("99 3",))])
