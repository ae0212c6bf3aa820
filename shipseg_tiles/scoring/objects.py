"""The F2 over objects that the Airbus Ship Detection Challenge ranks by.

Public versions of it disagree in details. The rule here is the competition's own text
(https://www.kaggle.com/c/airbus-ship-detection/overview/evaluation):

- a predicted ship hits a true one at the threshold t if their IoU is *above* t;
- each ship takes part in one hit at most, and as many hits are made as can be;
- the thresholds are 0.50, 0.55 ... 0.95; the F2 of an image is the mean over them;
- an image without ships scores 1 if nothing is predicted, otherwise 0.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from shipseg_tiles.rle import PixelIndices
from shipseg_tiles.scoring.dice import overlap

# Divided, not counted up in steps of 0.05: only so is an IoU of exactly 12/20 no larger than its threshold.
THRESHOLDS = np.arange(10, 20) / 20
"""IoU that a hit must exceed: 0.50, 0.55 ... 0.95."""


def image_f2(truth_ships: Sequence[PixelIndices], predicted_ships: Sequence[PixelIndices]) -> float:
    """F2 over the objects of an image, the mean over all `THRESHOLDS`.

    Args:
        truth_ships: Sorted distinct pixel indices of each labelled ship. Ships may overlap each other, as a few
            labels of the competition do. Ships without pixels do not count.
        predicted_ships: The same of each predicted ship, such as `shipseg_tiles.masks.separate_objects` finds.

    Returns:
        0 to 1; 1 if both are empty, 0 if exactly one is.
    """
    truth = [ship for ship in truth_ships if ship.size]
    predicted = [ship for ship in predicted_ships if ship.size]
    if not truth or not predicted:
        return float(not truth and not predicted)
    ious = _pairwise_iou(truth, predicted)
    hits = sum(_most_hits(ious > threshold) for threshold in THRESHOLDS)
    # 5 TP / (5 TP + 4 FN + FP) with FN = truth - TP and FP = predicted - TP: the TP below the line cancel out.
    return 5 * hits / len(THRESHOLDS) / (4 * len(truth) + len(predicted))


def _pairwise_iou(truth: list[PixelIndices], predicted: list[PixelIndices]) -> NDArray[np.float64]:
    """(T, P) IoU of each true with each predicted ship, none of them empty."""
    shared = np.zeros((len(truth), len(predicted)))
    for row, column in zip(*np.nonzero(_ranges_meet(truth, predicted)), strict=True):
        shared[row, column] = overlap(truth[row], predicted[column])
    return shared / (_sizes(truth)[:, np.newaxis] + _sizes(predicted) - shared)


def _ranges_meet(truth: list[PixelIndices], predicted: list[PixelIndices]) -> NDArray[np.bool_]:
    """(T, P) whether the ranges of pixel indices meet; if not, the ships share no image column and no pixel."""
    truth_ends = np.array([ship[[0, -1]] for ship in truth])
    predicted_ends = np.array([ship[[0, -1]] for ship in predicted])
    begins_in_time: NDArray[np.bool_] = truth_ends[:, np.newaxis, 0] <= predicted_ends[:, 1]
    ends_late_enough: NDArray[np.bool_] = truth_ends[:, np.newaxis, 1] >= predicted_ends[:, 0]
    return begins_in_time & ends_late_enough


def _sizes(ships: list[PixelIndices]) -> NDArray[np.int64]:
    return np.array([ship.size for ship in ships])


def _most_hits(pairs: NDArray[np.bool_]) -> int:
    """Count the most pairs that can be hits at once when each ship takes part in one only.

    Taking them greedily is not enough: above an IoU of 0.5 a ship can still have two partners if those overlap.
    """
    rows, columns = linear_sum_assignment(pairs, maximize=True)
    return int(np.count_nonzero(pairs[rows, columns]))
