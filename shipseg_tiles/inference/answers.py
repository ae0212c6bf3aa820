"""What nets answer, looked at: of numbers that are no probabilities no ship would come, without a word."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shipseg_tiles.errors import NetError

ROUNDING = 1e-3
"""By so much a probability may leave 0 to 1 in arithmetic of 8 bits."""


def checked_probabilities(answers: ArrayLike) -> NDArray[np.float32]:
    """Return what a net answers, of any shape, as float32.

    Raises:
        NetError: If one of the answers leaves 0 to 1 by more than `ROUNDING`, or is no number.
    """
    probabilities = np.asarray(answers, dtype=np.float32)
    lowest, highest = probabilities.min(), probabilities.max()
    if not (lowest >= -ROUNDING and highest <= 1 + ROUNDING):  # NaN is neither
        raise NetError(
            f"the net answers {lowest:g} to {highest:g}, but probabilities are from 0 to 1; give weights of a net that"
            " ends in a sigmoid"
        )
    return probabilities
