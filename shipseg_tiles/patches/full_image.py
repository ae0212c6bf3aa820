"""A whole image that a patch store keeps."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.archive.labels import Labels
from shipseg_tiles.images import decode_image
from shipseg_tiles.pixels import PixelIndices


@dataclass(frozen=True)
class FullImage:
    """A whole validation image as it was on disk.

    Attributes:
        name: Its file name.
        data: The bytes of the file.
        ships: Run-length text of each ship.
    """

    name: str
    data: bytes
    ships: tuple[str, ...]

    def pixels(self) -> NDArray[np.uint8]:
        """Decode it to uint8 (height, width, 3); raises as `decode_image`."""
        return decode_image(self.data, self.name)

    def ship_indices(self, shape: tuple[int, int]) -> list[PixelIndices]:
        """Return the pixel indices of each ship, if the image has `shape`, (height, width).

        Raises:
            InputError: If a run-length text is malformed or leaves the image.
        """
        return Labels("labels", {self.name: self.ships}).ship_indices(self.name, shape)
