"""What nets answer, looked at: of numbers that are no probabilities no ship would come, without a word."""

import threading
from contextlib import nullcontext
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray

from shipseg_tiles.errors import NetError

ROUNDING = 1e-3
"""By so much a probability may leave 0 to 1 in arithmetic of 8 bits."""

_TURN = threading.Lock()


def ask(net: Any, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Ask a net, from any thread.

    Args:
        net: Keras model, or another engine's.
        images: uint8 (N, height, width, 3).

    Returns:
        float32 of the shape that the net answers with, 0 to 1.

    Raises:
        NetError: If the net answers with no probabilities.
    """
    # Under JAX Keras passes the weights through the model itself, where threads would take them from each other.
    with _TURN if keras.backend.backend() == "jax" else nullcontext():
        return checked_probabilities(net.predict_on_batch(images))


def checked_probabilities(answers: ArrayLike) -> NDArray[np.float32]:
    """Return what a net answers, of any shape, as float32 from 0 to 1.

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
    return probabilities.clip(0, 1)
