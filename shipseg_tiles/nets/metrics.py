"""Metrics of patches, shown while training. The score that counts is the true dice of `scoring`."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("shipseg_tiles")
class PatchDice(keras.metrics.Metric):
    """Dice of all pixels of all patches seen since the last reset, at the threshold 0.5.

    Pooled over pixels it is right whether or not a batch holds a ship; without any ship, neither true nor
    predicted, it is 1.
    """

    def __init__(self, name: str = "patch_dice", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.shared = self.add_weight(name="shared", initializer="zeros")
        self.total = self.add_weight(name="total", initializer="zeros")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add (N, height, width) truth of 0 and 1 and (N, height, width, 1) probabilities."""
        truth = ops.cast(y_true, "float32")
        predicted = ops.cast(ops.squeeze(y_pred, -1) > 0.5, "float32")
        self.shared.assign_add(ops.sum(truth * predicted))
        self.total.assign_add(ops.sum(truth) + ops.sum(predicted))

    def result(self) -> Any:
        """Return the dice, 0 to 1."""
        # Where the total is 0 so is what is shared: both get the same 1 added and the quotient is 1.
        empty = ops.cast(self.total == 0, "float32")
        return (2 * self.shared + empty) / (self.total + empty)
