"""A trained classifier with its contract: ship or no ship, for images of any size."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.inference.answers import ask
from shipseg_tiles.inference.stitching import PIXELS_PER_BATCH
from shipseg_tiles.inference.views import at_training_scale
from shipseg_tiles.nets.contract import Contract
from shipseg_tiles.nets.contract_file import contract_in_front
from shipseg_tiles.nets.load import load_net
from shipseg_tiles.tiling import TileGrid, round_up


class Classifier:
    """Says of whole images whether they show a ship.

    Attributes:
        net: Keras model from uint8 (N, height, width, 3) to the probability that there is a ship, (N, 1).
        contract: How it is used: scale, patch, threshold.
    """

    def __init__(self, net: Any, contract: Contract) -> None:
        self.net = net
        self.contract = contract

    @classmethod
    def load(
        cls,
        weights: Path,
        threshold: float | None = None,
        *,
        segmenter: Contract | None = None,
        pixel_size: float | None = None,
    ) -> "Classifier":
        """Load weights with their contract.

        Args:
            weights: `.keras` file with its contract beside it.
            threshold: Used instead of the contract's; None keeps that.
            segmenter: Contract of the net behind it; None if there is none.
            pixel_size: Of the images in metres, see `contract_in_front`.

        Raises:
            InputError: If the files do not belong together or hold no such net, or the threshold is out of range.
        """
        contract = contract_in_front(weights, segmenter, pixel_size)
        if threshold is not None:
            contract = replace(contract, threshold=threshold)
        return cls(load_net(weights, "classifier"), contract)

    def probability(self, image: NDArray[np.uint8]) -> float:
        """Predict the probability, 0 to 1, that uint8 (height, width, 3) shows a ship.

        The net is never shown more at once than a patch of its training, as the answer would be of another kind: the
        mean over a scene says less of a ship than the mean over a patch. A larger image is as likely to show a ship as
        the likeliest of the patches that cover it.

        Raises:
            NetError: If the net answers with no probabilities.
        """
        seen = at_training_scale(image, self.contract)
        multiple = self.contract.tile_multiple
        side = round_up(self.contract.patch_seen, multiple)
        grid = TileGrid.covering(seen.shape[0], seen.shape[1], side, 0.0, multiple)
        return max(float(ask(self.net, tiles).max()) for tiles in _batches(grid.pad(seen), grid))

    def has_ship(self, image: NDArray[np.uint8]) -> bool:
        """Say whether uint8 (height, width, 3) shows a ship."""
        return self.probability(image) > self.contract.threshold


def _batches(padded: NDArray[np.uint8], grid: TileGrid) -> Iterator[NDArray[np.uint8]]:
    """Yield all tiles, uint8 (N, tile, tile, 3), in batches of one fixed shape."""
    batch = np.empty((min(len(grid), max(1, PIXELS_PER_BATCH // grid.tile**2)), grid.tile, grid.tile, 3), np.uint8)
    for first in range(0, len(grid), len(batch)):
        # The last batch shows its last tile again and again, which changes no maximum.
        indices = np.minimum(np.arange(first, first + len(batch)), len(grid) - 1)
        for number, (row, column) in enumerate(grid.corners[indices].tolist()):
            batch[number] = padded[grid.slices(row, column)]
        yield batch
