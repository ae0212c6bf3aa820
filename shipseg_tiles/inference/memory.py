"""Nets that run out of memory get smaller batches."""

import warnings

import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.errors import InputError
from shipseg_tiles.inference.stitching import PredictTiles

_SIGNS = ("out of memory", "resource_exhausted", "oom when allocating", "failed to allocate", "bad_alloc")
"""What errors of TensorFlow, JAX, PyTorch and OpenVINO say, in lower case; none of them share a class."""


class TileTooLargeError(InputError):
    """Memory does not suffice for a single tile, whatever the image."""


class BackingOff:
    """Predicts tiles in parts of a batch, halved whenever memory runs out; what was found to fit stays.

    Attributes:
        predict_tiles: The net.
        parts: Number of parts that a batch is predicted in.
    """

    def __init__(self, predict_tiles: PredictTiles) -> None:
        self.predict_tiles = predict_tiles
        self.parts = 1

    def __call__(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Predict: uint8 (N, tile, tile, 3) to float32 (N, tile, tile).

        Raises:
            TileTooLargeError: If memory does not even suffice for a single tile.
        """
        while True:
            try:
                return self._predict_in_parts(tiles)
            except Exception as error:
                if not _out_of_memory(error):
                    raise
                if self.parts >= len(tiles):
                    raise TileTooLargeError(
                        f"memory does not suffice for a tile of {tiles.shape[1]} px; use a smaller --tile"
                    ) from None
                self.parts *= 2
                warnings.warn(
                    f"out of memory: predicting {-(-len(tiles) // self.parts)} tiles at once from now on", stacklevel=2
                )

    def _predict_in_parts(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        if self.parts == 1:
            return self.predict_tiles(tiles)
        size = -(-len(tiles) // self.parts)
        return np.concatenate(
            [self._predict_part(tiles[first : first + size], size) for first in range(0, len(tiles), size)]
        )

    def _predict_part(self, part: NDArray[np.uint8], size: int) -> NDArray[np.float32]:
        # The last part repeats a tile: another shape would be compiled anew, and take memory for that.
        filled = np.concatenate((part, np.repeat(part[-1:], size - len(part), axis=0)))
        return self.predict_tiles(filled)[: len(part)]


def _out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or any(sign in str(error).lower() for sign in _SIGNS)
