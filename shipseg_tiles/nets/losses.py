"""Losses over whole batches of patches."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("shipseg_tiles")
class DiceCrossEntropy(keras.losses.Loss):
    """Soft dice loss plus binary cross-entropy.

    The dice is taken over all pixels of the batch at once (Milletari et al. 2016,
    https://arxiv.org/abs/1606.04797, has it per volume): per patch it would be undefined on background, where
    nearly all patches are. Cross-entropy keeps a gradient where the dice has none, on batches without a ship.

    Truth is (N, height, width) of 0 and 1 in any dtype, the prediction (N, height, width, 1) of probabilities.
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss as a scalar, 0 or more."""
        truth = ops.expand_dims(ops.cast(y_true, "float32"), -1)
        shared = ops.sum(truth * y_pred)
        # The 1 on both sides is far below one ship's pixels; it makes a batch without ships a loss of about 0.
        dice = (2 * shared + 1) / (ops.sum(truth) + ops.sum(y_pred) + 1)
        return 1 - dice + ops.mean(ops.binary_crossentropy(truth, y_pred))
