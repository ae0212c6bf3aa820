import io

import numpy as np
import pytest
from PIL import Image

from shipseg_tiles.errors import InputError
from shipseg_tiles.inference.predictor import Predictor
from shipseg_tiles.nets.contract import Contract
from shipseg_tiles.patches.full_image import FullImage
from shipseg_tiles.rle import encode
from shipseg_tiles.training.true_dice import measure_true_dice

USAGE = Contract(
    weights_sha256="",
    net="bright",
    patch=16,
    threshold=0.5,
    minimum_area=2,
    tile=16,
    overlap=0.25,
    tile_multiple=4,
    receptive_field=0,
)


class Bright:
    """A net that takes every bright pixel for ship."""

    def predict_on_batch(self, tiles):
        return tiles[..., :1] / 255


def full_image(name, shape, bright, *ships):
    """A PNG that is white in the box `bright` (row, column, height, width), labelled with the boxes `ships`."""

    def box(row, column, height, width):
        mask = np.zeros(shape, dtype=np.uint8)
        mask[row : row + height, column : column + width] = 255
        return mask

    data = io.BytesIO()
    Image.fromarray(np.repeat(box(*bright)[..., np.newaxis], 3, axis=2)).save(data, "PNG")
    return FullImage(name, data.getvalue(), tuple(encode(box(*ship)) for ship in ships))


def test_three_images_by_hand():
    """On full images of other sizes than the tile, neither square nor equal:

    - 4 x 4 px bright inside a label of 4 x 6: dice 2 * 16 / (16 + 24) = 0.8; the IoU of 2/3 is above 0.50, 0.55,
      0.60 and 0.65 of 10 thresholds: F2 0.4
    - no label, nothing bright: dice 1, F2 1
    - no label, 1 x 3 px bright: dice 0, F2 0

    Mean over all 0.6, over ship images 0.8, pooled 2 * 16 / (24 + 16 + 3), F2 1.4 / 3.
    """
    images = [
        full_image("ship.png", (20, 31), (2, 3, 4, 4), (2, 3, 4, 6)),
        full_image("sea.png", (40, 17), (0, 0, 0, 0)),
        full_image("false.png", (9, 9), (5, 2, 1, 3)),
    ]

    scores = measure_true_dice(Predictor(Bright(), USAGE), images)

    expected = {
        "images": 3,
        "ship_images": 1,
        "dice_mean_ship_images": pytest.approx(0.8),
        "dice_mean_all_images": pytest.approx(0.6),
        "dice_pooled": pytest.approx(32 / 43),
        "f2_mean": pytest.approx(1.4 / 3),
        "empty_images_with_false_ships": 0.5,
    }
    assert {name: scores[name] for name in expected} == expected


def test_ships_that_are_found_pixel_by_pixel_score_1():
    images = [full_image("a.png", (33, 50), (10, 12, 5, 20), (10, 12, 5, 8), (10, 20, 5, 12))]

    scores = measure_true_dice(Predictor(Bright(), USAGE), images)

    assert scores["dice_mean_ship_images"] == 1


def test_a_label_that_leaves_its_image_is_refused():
    image = full_image("a.png", (10, 10), (0, 0, 2, 2))

    with pytest.raises(InputError, match="leaves the image of 100 pixels"):
        measure_true_dice(Predictor(Bright(), USAGE), [FullImage(image.name, image.data, ("99 3",))])
