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

from shipseg_tiles.pixels import PixelIndices
from shipseg_tiles.scoring.dice import overlap

# Divided, not counted up in steps of 0.05: only so is an IoU of exactly 12/20 no larger than its threshold.
THRESHOLDS = np.arange(10, 20) / 20
"""IoU that a hit must exceed: 0.50, 0.55 ... 0.95."""


def with_pixels(ships: Sequence[PixelIndices]) -> list[PixelIndices]:
    """Leave out ships without pixels, which nothing counts."""
    return [ship for ship in ships if ship.size]


def pairwise_iou(truth_ships: Sequence[PixelIndices], predicted_ships: Sequence[PixelIndices]) -> NDArray[np.float64]:
    """(T, P) IoU of each true with each predicted ship.

    Args:
        truth_ships: Sorted distinct pixel indices of each labelled ship, none empty. Ships may overlap each other, as a
            few labels of the competition do.
        predicted_ships: The same of each predicted ship, such as `shipseg_tiles.connected.separate_objects` finds.
    """
    if not truth_ships or not predicted_ships:
        return np.zeros((len(truth_ships), len(predicted_ships)))
    shared = np.zeros((len(truth_ships), len(predicted_ships)))
    for row, column in zip(*np.nonzero(_ranges_meet(truth_ships, predicted_ships)), strict=True):
        shared[row, column] = overlap(truth_ships[row], predicted_ships[column])
    return shared / (_sizes(truth_ships)[:, np.newaxis] + _sizes(predicted_ships) - shared)


def f2_from_ious(ious: NDArray[np.float64], thresholds: NDArray[np.float64] = THRESHOLDS) -> float:
    """F2 over objects, the mean over some thresholds, from the (T, P) IoU of each true with each predicted ship.

    Returns:
        0 to 1; 1 if there is no ship at all, 0 if all are true or all predicted.
    """
    truth, predicted = ious.shape
    if not truth or not predicted:
        return float(truth == predicted)
    hits = sum(int(np.count_nonzero(found_ships(ious, threshold))) for threshold in thresholds)
    # 5 TP / (5 TP + 4 FN + FP) with FN = truth - TP and FP = predicted - TP: the TP below the line cancel out.
    return 5 * hits / len(thresholds) / (4 * truth + predicted)


def found_ships(ious: NDArray[np.float64], threshold: float) -> NDArray[np.bool_]:
    """Say which true ships are hit when each ship takes part in one hit only, and as many hits are made as can be.

    Among equally many hits those are made whose IoU are largest together, so that it is certain which ships they are.

    Args:
        ious: (T, P) IoU of each true with each predicted ship.
        threshold: IoU that a hit must exceed.

    Returns:
        bool (T,).
    """
    pairs = ious > threshold
    # Taking them greedily is not enough: above an IoU of 0.5 a ship can still have two partners if those overlap.
    # A hit more outweighs all IoU together, which are fewer than ships and at most 1 each.
    rows, columns = linear_sum_assignment(np.where(pairs, len(ious) + 1 + ious, 0), maximize=True)
    found = np.zeros(len(ious), dtype=np.bool_)
    found[rows] = pairs[rows, columns]
    return found


def _ranges_meet(truth: Sequence[PixelIndices], predicted: Sequence[PixelIndices]) -> NDArray[np.bool_]:
    """(T, P) whether the ranges of pixel indices meet; if not, the ships share no image column and no pixel."""
    truth_ends = np.array([ship[[0, -1]] for ship in truth])
    predicted_ends = np.array([ship[[0, -1]] for ship in predicted])
    begins_in_time: NDArray[np.bool_] = truth_ends[:, np.newaxis, 0] <= predicted_ends[:, 1]
    ends_late_enough: NDArray[np.bool_] = truth_ends[:, np.newaxis, 1] >= predicted_ends[:, 0]
    return begins_in_time & ends_late_enough


def _sizes(ships: Sequence[PixelIndices]) -> NDArray[np.int64]:
    return np.array([ship.size for ship in ships])
