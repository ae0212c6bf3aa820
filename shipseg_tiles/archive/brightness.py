"""How bright ships and everything else are, from a sample of decoded images."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from shipseg_tiles.archive.usable import UsableImages

CHANNELS = ("red", "green", "blue")


@dataclass(frozen=True)
class Brightness:
    """How often each value occurs.

    Attributes:
        images: Number of images that were decoded.
        ships: int64 (3, 256) number of ship pixels by channel and value.
        others: The same of all other pixels.
    """

    images: int
    ships: NDArray[np.int64]
    others: NDArray[np.int64]

    def summary(self) -> dict[str, Any]:
        """Return `images`, and for `ship_pixels` and `other_pixels` what `_moments` says."""
        return {"images": self.images, "ship_pixels": _moments(self.ships), "other_pixels": _moments(self.others)}


def measure_brightness(usable: UsableImages, names: Iterable[str]) -> Brightness:
    """Decode some images and count their values; damaged ones are left out.

    Args:
        usable: Where images are read; damaged ones leave it.
        names: Those to decode.

    Raises:
        InputError: If a run-length text is malformed or leaves its image.
    """
    decoded = 0
    values = np.zeros((2, 3, 256), dtype=np.int64)  # others, ships
    for name in tqdm(names, desc="brightness", unit="image", disable=None):
        image = usable.read(name)
        if image is None:
            continue
        decoded += 1
        mask = usable.archive.labels.mask(name, (image.shape[0], image.shape[1]))
        for channel in range(3):
            # One number for the kind of pixel and its value, so that one pass counts both kinds.
            kind_and_value = (image[..., channel] + 256 * mask.astype(np.int64)).ravel()
            values[:, channel] += np.bincount(kind_and_value, minlength=512).reshape(2, 256)
    return Brightness(decoded, ships=values[1], others=values[0])


def _moments(values: NDArray[np.int64]) -> dict[str, float] | None:
    """Return mean and deviation of all values (0 to 255) and the mean of each channel; None if there is no pixel."""
    pixels = values[0].sum()
    if not pixels:
        return None
    levels = np.arange(256)
    means = values @ levels / pixels
    deviation = np.sqrt((values.sum(axis=0) @ (levels - means.mean()) ** 2) / (3 * pixels))
    by_channel = dict(zip(CHANNELS, map(float, means), strict=True))
    return {"mean": float(means.mean()), "deviation": float(deviation)} | by_channel
