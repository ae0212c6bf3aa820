"""Test-time augmentation: ask about several views of a tile, such as turned and mirrored ones, and take the mean."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.inference.stitching import PredictTiles


def over_symmetries(predict_tiles: PredictTiles, count: int) -> PredictTiles:
    """Return a net that answers the mean over symmetries of the square.

    From above a ship looks like a ship whichever way it lies, so that the differences between the views are errors,
    some of which cancel out.

    Args:
        predict_tiles: The net.
        count: One of `SYMMETRIES`; it costs as many times as much.
    """
    turns, steps = range(4 if count == 8 else 1), (1, -1) if count > 1 else (1,)
    return mean_of([_turned(predict_tiles, turn, step) for turn in turns for step in steps])


def mean_of(views: Sequence[PredictTiles]) -> PredictTiles:
    """Return a net that answers the mean of what one or more answer."""

    def predict_views(tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        total = np.array(views[0](tiles), dtype=np.float32)
        for view in views[1:]:
            total += view(tiles)
        total /= np.float32(len(views))
        return total

    return predict_views if len(views) > 1 else views[0]


def _turned(predict_tiles: PredictTiles, turns: int, step: int) -> PredictTiles:
    """Return a net that is shown tiles mirrored if `step` is -1, and turned; its answer is turned back."""
    if (turns, step) == (0, 1):
        return predict_tiles

    def predict_view(tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        answer = predict_tiles(np.ascontiguousarray(np.rot90(tiles[:, :, ::step], turns, axes=(1, 2))))
        return np.rot90(answer, -turns, axes=(1, 2))[:, :, ::step]

    return predict_view
