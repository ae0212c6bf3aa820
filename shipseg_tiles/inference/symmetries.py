"""Test-time augmentation: ask about all turned and mirrored views of a tile, and take the mean."""

import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.inference.stitching import PredictTiles

VIEWS = 8
"""How many of them there are."""


def over_symmetries(predict_tiles: PredictTiles) -> PredictTiles:
    """Return a net that answers the mean over the 8 symmetries of the square, at 8 times the cost.

    From above a ship looks like a ship whichever way it lies, so that the differences between the views are errors,
    some of which cancel out.
    """

    def predict_views(tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        total = np.zeros(tiles.shape[:3], dtype=np.float32)
        for turns in range(4):
            for step in (1, -1):
                view = np.rot90(tiles[:, :, ::step], turns, axes=(1, 2))
                answer = predict_tiles(np.ascontiguousarray(view))
                total += np.rot90(answer, -turns, axes=(1, 2))[:, :, ::step].astype(np.float32)
        return total * np.float32(1 / VIEWS)

    return predict_views
