import io
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from shipseg_tiles.errors import InputError
from shipseg_tiles.inference.gate import Gate
from shipseg_tiles.inference.stitching import stitched_lines
from shipseg_tiles.nets.contract import Contract
from shipseg_tiles.patches.full_image import FullImage
from shipseg_tiles.rle import encode
from shipseg_tiles.tiling import TileGrid
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


def answers(ships, tiles=(), empty_images=()):
    return GateAnswers(*(np.array(values, dtype=np.float32) for values in (ships, tiles, empty_images)))


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
    """At 0.5, what is just as probable is not seen: 2 of 3 ships missed, 3 of 4 tiles and 1 of 2 images skipped."""
    found = answers([0.25, 0.5, 0.75], [0, 0.25, 0.5, 0.75], [0.5, 0.625])

    assert found.summary(0.5) == {
        "threshold": 0.5,
        "ships": 3,
        "miss_rate": pytest.approx(2 / 3),
        "tiles": 4,
        "tiles_skipped": 0.75,
        "empty_images": 2,
        "empty_images_skipped": 0.5,
    }
    assert answers([0.5], [0.5]).summary(0.25)["empty_images_skipped"] is None


def test_images_by_hand():
    """On 64 x 160 px the cells of 32 px (0, 1), (0, 2) and (1, 4) answer 64/256, 32/256 and 128/256, the others 0.

    Tiles of 64 px begin at the columns 0, 64 and 96. They touch the columns of cells 0-1, 2-3 and 3-4 and count one
    more on each side: the peaks are 0.25, 0.5 (of cell 4) and 0.5. One tile of 160 px, mirrored below, has 0.5.

    - 4 x 20 px from (30, 50) lie in the first two tiles: 0.5
    - 2 x 2 px at (40, 10) in the first: 0.25
    - 5 x 5 px at (0, 155) in the last: 0.5

    The image without ship has 40 x 33 px, so 2 x 2 cells; the pixel of 192 lies in the last. It is one tile of 64 px.
    """
    grays = {(3, 40): 64, (20, 70): 32, (60, 150): 128}
    ships = [(30, 50, 4, 20), (40, 10, 2, 2), (0, 155, 5, 5)]
    images = [full_image("ships.png", (64, 160), grays, *ships), full_image("sea.png", (40, 33), {(39, 32): 192})]

    found = ask_gate(Gate(Brightest(), USAGE), images, [64, 768])

    assert found[64].ships.tolist() == [0.5, 0.25, 0.5]
    assert found[64].tiles.tolist() == [0.25, 0.5, 0.5, 0.75]
    assert found[768].ships.tolist() == [0.5, 0.5, 0.5]
    assert found[768].tiles.tolist() == [0.5, 0.75]
    assert found[64].empty_images.tolist() == found[768].empty_images.tolist() == [0.75]


def test_a_ship_is_missed_if_and_only_if_none_of_its_tiles_is_seen():
    """Of 300 x 400 px in 3 x 4 tiles of 128 px, two corners are bright; ships lie anywhere."""
    places = np.random.default_rng(0).integers(0, (290, 390), (20, 2)).tolist()
    ships = [(row, column, 6, 9) for row, column in places]
    image = full_image("a.png", (300, 400), {(10, 10): 200, (290, 390): 200}, *ships)
    gate = Gate(Brightest(), replace(USAGE, thresholds={"128": 0.5}))
    grid = TileGrid(300, 400, 128, 128)

    def predict_tiles(tiles):
        return np.ones(tiles.shape[:3], dtype=np.float32)

    pixels = image.pixels()
    seen = np.zeros((300, 400), dtype=bool)
    for lines in stitched_lines(pixels, predict_tiles, grid, sees=gate.sees):
        seen[lines.slices] = lines.probability > 0

    found = ask_gate(gate, [image], [128])[128]

    expected = [bool(seen[row : row + 6, column : column + 9].any()) for row, column, _, _ in ships]
    assert (found.ships > 0.5).tolist() == expected
    assert 0 < sum(expected) < len(expected)


def test_a_label_that_leaves_its_image_is_refused():
    image = full_image("a.png", (10, 10), {}, (0, 0, 2, 2))

    with pytest.raises(InputError, match="leaves the image of 100 pixels"):
        ask_gate(Gate(Brightest(), USAGE), [FullImage(image.name, image.data, ("99 3",))], [128])
