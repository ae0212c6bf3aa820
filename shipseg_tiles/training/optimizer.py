"""The optimizer, and the moving average of the weights that it keeps."""

from typing import Any

import keras
from keras import ops


class AveragingAdam(keras.optimizers.AdamW):
    """AdamW whose moving average of the weights is right from the first steps on.

    Keras's average keeps the same share of itself at each step, so that after a few hundred of them it still holds much
    of what the net began with. Here it keeps less at first, (1 + t) / (10 + t) after t steps, up to `ema_momentum`.

    When a fit ends the weights stay as they are, where Keras puts the average in their place: a training goes on.
    """

    @property
    def ema_momentum(self) -> Any:
        """The share that the average keeps of itself at the step that comes next."""
        steps = ops.cast(self.iterations, "float32")
        return ops.minimum(self._largest_momentum, (1 + steps) / (10 + steps))

    @ema_momentum.setter
    def ema_momentum(self, largest: float) -> None:
        self._largest_momentum = largest

    def finalize_variable_values(self, var_list: Any) -> None:
        """Leave the weights as they are."""


def build_optimizer(learning_rate: float, weight_decay: float, moving_average: float) -> keras.optimizers.Optimizer:
    """Build the optimizer of a training.

    Args:
        learning_rate: Above 0; whoever trains changes it.
        weight_decay: By what share of the rate weights shrink at each step, 0 or more; biases and normalisations do
            not.
        moving_average: Largest share that the moving average keeps of itself at each step, below 1; 0 for no average.
    """
    average = {"use_ema": True, "ema_momentum": moving_average} if moving_average else {}
    optimizer = AveragingAdam(learning_rate, weight_decay=weight_decay, **average)
    optimizer.exclude_from_weight_decay(var_names=["bias", "beta", "gamma"])
    return optimizer
