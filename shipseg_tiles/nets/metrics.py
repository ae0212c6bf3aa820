"""Metrics of patches, shown while training. The score that counts is the true dice of `scoring`."""

from typing import Any

import keras
from keras import ops

from shipseg_tiles.nets.truth import truth_like


class PatchDice(keras.metrics.Metric):
    """Dice of all pixels of all patches seen since the last reset, at the threshold 0.5.

    Pooled over pixels it is right whether or not a batch holds a ship; without any ship, neither true nor
    predicted, it is 1.
    """

    def __init__(self, name: str = "patch_dice") -> None:
        super().__init__(name=name)
        self.shared = self.add_weight(name="shared", initializer="zeros")
        self.total = self.add_weight(name="total", initializer="zeros")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add truth of 0 and 1 and probabilities, in the shapes that `truth_like` takes."""
        truth = truth_like(y_pred, y_true)
        predicted = ops.cast(y_pred > 0.5, "float32")
        self.shared.assign_add(ops.sum(truth * predicted))
        self.total.assign_add(ops.sum(truth) + ops.sum(predicted))

    def result(self) -> Any:
        """Return the dice, 0 to 1."""
        # Where the total is 0 so is what is shared: both get the same 1 added and the quotient is 1.
        empty = ops.cast(self.total == 0, "float32")
        return (2 * self.shared + empty) / (self.total + empty)


class PatchF1(PatchDice):
    """F1 of ship or no ship over all patches seen since the last reset, at the threshold 0.5.

    Good for a classifier on patches of which few hold ships, where the share of right answers is high for one that
    never sees a ship. Of a segmenter it takes the most probable pixel of each patch. F1 is the dice of labels: counts
    are pooled over all patches, and without any ship, neither true nor predicted, it is 1.
    """

    def __init__(self, name: str = "patch_f1") -> None:
        super().__init__(name)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add masks (N, height, width) or labels (N,), and probabilities (N, height, width, 1) or (N, 1)."""
        super().update_state(y_true, ops.max(ops.reshape(y_pred, (ops.shape(y_pred)[0], -1)), axis=1, keepdims=True))
