"""Losses over whole batches of patches, by name.

All take truth of 0 and 1 in any dtype, (N, height, width), and probabilities float32 (N, height, width, 1), as nets
answer them at every precision. For a classifier, which answers (N, 1), the truth may be masks or labels: see
`truth_like`. All return a scalar that is 0 for a perfect answer and more for any other, but for right answers that the
Lovasz hinge finds sure enough. Sums run over all pixels of the batch at once: taken per patch, overlap would be
undefined on background, where most patches are.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from shipseg_tiles.errors import InputError
from shipseg_tiles.nets.truth import truth_like

FALSE_SHIPS = 0.3
"""What a pixel of false ship counts in the Tversky loss."""

MISSED_SHIPS = 0.7
"""What a missed ship pixel counts in the Tversky loss; Salehi et al. found this pair best."""

FOCUS = 2.0
"""Exponent of the focal loss, gamma in Lin et al.: how fast pixels that are nearly right stop to count."""

SHIP_WEIGHT = 0.25
"""Weight of ship pixels in the focal loss, alpha in Lin et al.; water has the rest to 1."""

SHIP_COSTS = 4.0
"""How many times a cell of ship counts in the weighted cross-entropy, as about one in ten of a batch is one."""

SURE_ERRORS_COUNT = 15.0
"""How many times the cross-entropy counts beside a dice by patch, whose gradient is gone where a net is sure and wrong.

Its mean over pixels, of which one in 50 is ship, moves a pixel of a false ship a hundredth as much as the dice moves
one at the edge of a ship: nets trained so drew ships on a third of the empty images that they were trained on.
"""

SURE = 1e-7
"""Probabilities are kept so far from 0 and 1 before a logarithm, as Keras does it."""


class Dice(keras.losses.Loss):
    """1 less the soft dice of all pixels of the batch (Milletari et al. 2016, https://arxiv.org/abs/1606.04797).

    Good where overlap is all that counts; it has hardly any gradient on batches without a ship.
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss, 0 to 1."""
        return _lack_of_overlap(truth_like(y_pred, y_true), y_pred, 0.5, 0.5)


class DiceCrossEntropy(keras.losses.Loss):
    """Soft dice loss plus binary cross-entropy.

    Cross-entropy keeps a gradient where the dice has none, on batches without a ship.
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss, 0 or more."""
        truth = truth_like(y_pred, y_true)
        return _lack_of_overlap(truth, y_pred, 0.5, 0.5) + ops.mean(_cross_entropy(truth, y_pred))


class PatchDiceCrossEntropy(keras.losses.Loss):
    """As `DiceCrossEntropy`, but half of the dice is the mean over the patches with ships, each by itself.

    The true dice counts images alike, whatever they hold; in a sum over the batch a ship of 50 pixels is nothing beside
    one of 5,000. Cross-entropy counts more, see `SURE_ERRORS_COUNT`.
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss, 0 or more."""
        truth = truth_like(y_pred, y_true)
        overlap = _lack_of_overlap(truth, y_pred, 0.5, 0.5) + _mean_lack_of_overlap(truth, y_pred)
        return overlap / 2 + SURE_ERRORS_COUNT * ops.mean(_cross_entropy(truth, y_pred))


class Tversky(keras.losses.Loss):
    """1 less the Tversky index (Salehi et al. 2017, https://arxiv.org/abs/1706.05721).

    A dice in which missed ship pixels count more than false ones: good for finding more ships, and bad where false
    ships on empty images are the trouble.
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss, 0 to 1."""
        return _lack_of_overlap(truth_like(y_pred, y_true), y_pred, FALSE_SHIPS, MISSED_SHIPS)


class Focal(keras.losses.Loss):
    """Cross-entropy in which easy pixels hardly count (Lin et al. 2017, https://arxiv.org/abs/1708.02002).

    It is the mean over all pixels; the paper divides by the number of objects, which background patches do not have.
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss, 0 or more."""
        truth = truth_like(y_pred, y_true)
        doubt = ops.abs(truth - y_pred)
        weight = truth * SHIP_WEIGHT + (1 - truth) * (1 - SHIP_WEIGHT)
        return ops.mean(weight * doubt**FOCUS * _cross_entropy(truth, y_pred))


class WeightedCrossEntropy(keras.losses.Loss):
    """Cross-entropy in which ships count several times.

    Good for a gate, which is used far below the probability 0.5: an overlap has no gradient left for the few ships that
    are found least, but the logarithm has.
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss, 0 or more."""
        truth = truth_like(y_pred, y_true)
        weight = 1 + (SHIP_COSTS - 1) * truth
        return ops.mean(weight * _cross_entropy(truth, y_pred))


class LovaszHinge(keras.losses.Loss):
    """The Lovász extension of the Jaccard loss over hinge errors (Berman et al. 2018, https://arxiv.org/abs/1705.08790).

    It follows the Jaccard index of hard masks more closely than the dice does: good for the last epochs of a net that
    already finds its ships, slow to begin with.

    The index is that of all pixels of the batch, not the paper's mean over images. The hinge wants the net's logits:
    they are the log-odds of the probabilities, which are clipped `SURE` from 0 and 1, so between -16 and 16; a pixel
    beyond them, right or wrong, teaches nothing. A batch without a ship costs the hinge error of its worst pixel.
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss, 0 or more."""
        truth = ops.reshape(truth_like(y_pred, y_true), (-1,))
        share = ops.clip(ops.reshape(y_pred, (-1,)), SURE, 1 - SURE)
        errors = 1 - (2 * truth - 1) * (ops.log(share) - ops.log1p(-share))
        worst_first = ops.argsort(-ops.stop_gradient(errors))
        errors = ops.relu(ops.take(errors, worst_first))
        return ops.sum(errors * _jaccard_steps(ops.take(truth, worst_first)))


def _lack_of_overlap(truth: Any, prediction: Any, false_ships: float, missed_ships: float) -> Any:
    """Return 1 less the Tversky index; with both weights 0.5 that is the dice."""
    shared = ops.sum(truth * prediction)
    wrong = false_ships * (ops.sum(prediction) - shared) + missed_ships * (ops.sum(truth) - shared)
    # The half on both sides is far below one ship's pixels; it makes a batch without ships a loss of about 0.
    return 1 - (shared + 0.5) / (shared + wrong + 0.5)


def _cross_entropy(truth: Any, prediction: Any) -> Any:
    """Return the binary cross-entropy of each pixel; NaN where the net answers NaN, for which PyTorch's raises."""
    sure = ops.clip(prediction, SURE, 1 - SURE)
    return -(truth * ops.log(sure) + (1 - truth) * ops.log(1 - sure))


def _mean_lack_of_overlap(truth: Any, prediction: Any) -> Any:
    """Return 1 less the dice of each patch by itself, as a mean over the patches with ships; 0 if there is none."""
    inside = tuple(range(1, len(truth.shape)))
    ships = ops.sum(truth, axis=inside)
    shared = ops.sum(truth * prediction, axis=inside)
    lack = 1 - (2 * shared + 1) / (ships + ops.sum(prediction, axis=inside) + 1)
    has_ships = ops.cast(ships > 0, lack.dtype)
    return ops.sum(lack * has_ships) / ops.maximum(ops.sum(has_ships), 1)


def _jaccard_steps(is_ship: Any) -> Any:
    """Return by how much each further wrong pixel raises the Jaccard loss, for pixels sorted by their errors.

    The paper subtracts neighbouring values of the index. Among a million pixels they differ in no digit that float32
    has, so the differences are written out: with I pixels still right of a union of U, a missed ship pixel costs 1 / U
    and a false one I / (U (U - 1)).
    """
    counted = ops.cast(is_ship, "int32")  # float32 counts up to 16.8 million, which is 1,024 patches of 128 px
    ships = ops.sum(counted)
    still_right = ops.cast(ships - ops.cumsum(counted), "float32")
    union = ops.cast(ships + ops.cumsum(1 - counted), "float32")
    false_ship = still_right / (union * ops.maximum(union - 1, 1))
    steps = ops.where(counted > 0, 1 / ops.maximum(union, 1), false_ship)
    # Without a ship, the first false pixel takes the loss from 0 to 1, and no other matters.
    return ops.where(ships > 0, steps, ops.cast(union == 1, "float32"))


LOSSES: dict[str, Callable[[], keras.losses.Loss]] = {
    "dice": Dice,
    "dice-cross-entropy": DiceCrossEntropy,
    "patch-dice-cross-entropy": PatchDiceCrossEntropy,
    "focal": Focal,
    "tversky": Tversky,
    "lovasz-hinge": LovaszHinge,
    "weighted-cross-entropy": WeightedCrossEntropy,
}


def build_loss(name: str) -> keras.losses.Loss:
    """Build a loss.

    Args:
        name: One of `LOSSES`.

    Raises:
        InputError: If there is no loss of that name.
    """
    if name not in LOSSES:
        raise InputError(f"there is no loss {name!r}; choose one of {', '.join(LOSSES)}")
    return LOSSES[name]()
