"""Which images of an archive are usable: headers read for all of them, pixels for a few."""

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from shipseg_tiles.archive.archive import Archive
from shipseg_tiles.errors import InputError, warn_skipped
from shipseg_tiles.images import read_image, read_size


class UsableImages:
    """Reads the header of every image; bad images are left out with a warning, also those that show it only later.

    Attributes:
        archive: The images with their labels.
        sizes: (height, width) in pixels of each image that is usable as far as known, by name.
        skipped: Why each bad image was left out, by name.
    """

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        self.sizes: dict[str, tuple[int, int]] = {}
        self.skipped: dict[str, str] = {}
        for name, file in tqdm(archive.files.items(), desc="sizes", unit="image", disable=None):
            try:
                self.sizes[name] = read_size(file)
            except InputError as error:
                self._skip(name, error)

    def read(self, name: str) -> NDArray[np.uint8] | None:
        """Read an image of `sizes` as uint8 (height, width, 3); if it is damaged, leave it out and return None."""
        try:
            return read_image(self.archive.files[name])
        except InputError as error:
            self._skip(name, error)
            return None

    def _skip(self, name: str, error: InputError) -> None:
        warn_skipped(name, error)
        self.skipped[name] = str(error)
        self.sizes.pop(name, None)
