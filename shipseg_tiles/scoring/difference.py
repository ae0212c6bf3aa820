"""By how much one net is better than another on the same images."""

from collections.abc import Sequence

import numpy as np

from shipseg_tiles.scoring.bootstrap import bootstrap_intervals
from shipseg_tiles.scoring.image_score import ImageScore


def dice_difference(
    scores: Sequence[ImageScore], reference: Sequence[ImageScore]
) -> tuple[float, tuple[float, float] | None]:
    """Compare the true dice, mean over all images, of two nets image by image.

    An image that is hard for one is hard for the other, too. So their difference varies less than either of the two,
    and its interval may leave out 0 where those of the two overlap.

    Args:
        scores: One or more.
        reference: Those of the other net on the same images, in the same order.

    Returns:
        The difference, above 0 where the reference is worse, and its 95 % interval, see
        `shipseg_tiles.scoring.bootstrap.bootstrap_intervals`.
    """
    pairs = zip(scores, reference, strict=True)
    differences = np.array([[score.dice - other.dice] for score, other in pairs], dtype=np.float64)
    (interval,) = bootstrap_intervals(differences, np.ones_like(differences))
    return float(differences.mean()), interval
