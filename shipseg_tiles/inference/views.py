"""What a net is shown of a tile: resized as in training, and for test-time augmentation turned and mirrored too."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.images import resize_image
from shipseg_tiles.inference.stitching import PredictTiles
from shipseg_tiles.nets.contract import Contract
from shipseg_tiles.tiling import mirrored, round_up


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


def resizing(predict_tiles: PredictTiles, contract: Contract, resize: int) -> PredictTiles:
    """Return a net that sees tiles resized as patches are to a side of `resize`, and answers at their own size.

    Where that is no size that the net takes, it sees some of their mirror image too.
    """
    if resize == contract.patch:
        return predict_tiles
    scale, unit = resize / contract.patch, contract.tile_multiple

    def predict_resized(tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        _, height, width, _ = tiles.shape
        rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
        taken = round_up(rows, unit), round_up(columns, unit)
        answers = predict_tiles(np.stack([mirrored(resize_image(tile, (rows, columns)), *taken) for tile in tiles]))
        return np.stack([resize_image(answer, (height, width)) for answer in answers[:, :rows, :columns]])

    return predict_resized


def at_training_scale(image: NDArray[np.uint8], contract: Contract) -> NDArray[np.uint8]:
    """Resize uint8 (height, width, 3) as the patches of the training were; if they were not, return it as it is."""
    if contract.patch_seen == contract.patch:
        return image
    height, width = (max(1, round(side * contract.patch_seen / contract.patch)) for side in image.shape[:2])
    return resize_image(image, (height, width))
