"""A trained gate with its contract: which tiles may show a ship, so that a segmenter need not see the others."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.inference.answers import ask
from shipseg_tiles.inference.engines import run_by
from shipseg_tiles.inference.stitching import PIXELS_PER_BATCH
from shipseg_tiles.inference.views import at_training_scale
from shipseg_tiles.nets.contract import Contract, GateUse, gate_threshold
from shipseg_tiles.nets.contract_file import contract_in_front
from shipseg_tiles.nets.gate import CELL, REACH
from shipseg_tiles.nets.load import load_net
from shipseg_tiles.tiling import TileGrid, mirrored, round_up

MARGIN = 1
"""Cells to the left and the right of a tile that count for it as well.

The bow of a ship pokes out of the cell that gives it away by a few pixels, in which no gate can see a ship. A tile that
holds those pixels and not the cell would lose them.
"""

PIXELS_AT_ONCE = 4 * PIXELS_PER_BATCH
"""A wider band is seen in pieces of about so many pixels, for which a net of 16 filters takes some 100 MB."""


class Gate:
    """Says which tiles of an image may show a ship.

    It sees images as they are, whatever scale the segmenter behind it sees them at, unless its contract was changed for
    other pixels.

    Attributes:
        net: Keras model, or another engine's, from uint8 (N, height, width, 3), sides multiples of `CELL`, to the
            probabilities that cells show a part of a ship, (N, height / CELL, width / CELL, 1).
        contract: How it is used: the thresholds by the size of tiles, and what share of the ships it may miss at them.
        calibrated: How the contract of the segmenter behind it says that a gate is used; None if it says nothing.
    """

    def __init__(self, net: Any, contract: Contract, calibrated: GateUse | None = None) -> None:
        self.net = net
        self.contract = contract
        self.calibrated = calibrated

    @classmethod
    def load(
        cls,
        weights: Path,
        segmenter: Contract | None = None,
        engine: str = "keras",
        *,
        pixel_size: float | None = None,
    ) -> "Gate":
        """Load weights with their contract.

        Args:
            weights: `.keras` file with its contract beside it.
            segmenter: Contract of the net behind it, which says how a gate is used, and on which pixels; None if there
                is no such net.
            engine: One of `ENGINES`, which runs it in float32, the precision that thresholds are found in.
            pixel_size: Of the images in metres, see `contract_in_front`.

        Raises:
            InputError: If the files do not belong together or hold no gate, or the engine is not installed.
        """
        contract = contract_in_front(weights, segmenter, pixel_size)
        calibrated = segmenter.gate if segmenter else None
        return cls(run_by(engine, load_net(weights, "gate"), contract), contract, calibrated)

    def probabilities(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Predict the probability, 0 to 1, that each cell of an image, or of a part of one, shows a part of a ship.

        Args:
            pixels: uint8 (height, width, 3); sides of any length are mirrored up to whole cells.

        Returns:
            float32 (rows, columns) of cells, those that are cut off by the border included.

        Raises:
            NetError: If the net answers with no probabilities.
        """
        unit = self.contract.tile_multiple
        rows, columns = (-(-side // CELL) for side in pixels.shape[:2])
        height, width = (round_up(side, unit) for side in pixels.shape[:2])
        whole = mirrored(pixels, height, width)[np.newaxis]
        reach = max(REACH * CELL, unit)
        piece = min(width, max(PIXELS_AT_ONCE // height // unit * unit, 4 * reach))
        step = width if piece == width else piece - 2 * reach
        answers: NDArray[np.float32] = np.empty((height // CELL, width // CELL), dtype=np.float32)
        for first in range(0, width, step):
            # Except for the border of the image, what counts for a cell is in its piece.
            left = min(max(first - reach, 0), width - piece)
            seen = ask(self.net, whole[:, :, left : left + piece])[0, ..., 0]
            answers[:, first // CELL : (first + step) // CELL] = seen[:, (first - left) // CELL :][:, : step // CELL]
        return answers[:rows, :columns]

    def peaks(self, band: NDArray[np.uint8], columns: NDArray[np.int64], tile: int) -> NDArray[np.float32]:
        """Find the highest probability that counts for each tile of a row: of cells it touches and their neighbours.

        The net is shown the whole band, which has the same shape for each row of tiles of an image.

        Args:
            band: uint8 (tile, width, 3), the lines of the image under the row.
            columns: (N,) first column of each tile; all tiles lie inside the band.
            tile: Side of a tile in pixels.

        Returns:
            float32 (N,), 0 to 1.
        """
        highest = self.probabilities(at_training_scale(band, self.contract)).max(axis=0)
        cell = float(CELL * self.contract.shrink)
        firsts = np.maximum(columns // cell - MARGIN, 0).astype(np.int64).tolist()
        ends = ((columns + tile - 1) // cell + MARGIN + 1).astype(np.int64).tolist()
        return np.array([highest[first:end].max() for first, end in zip(firsts, ends, strict=True)], dtype=np.float32)

    def sees(self, band: NDArray[np.uint8], columns: NDArray[np.int64], tile: int) -> NDArray[np.bool_]:
        """Say which tiles of a row may show a ship: those whose peak is above the threshold for tiles of that size.

        The arguments are those of `peaks`.

        Returns:
            bool (N,); all of them are seen if there is no threshold for such tiles, see `gate_threshold`.
        """
        threshold = self.threshold(tile)
        if threshold is None:  # the net need not be asked
            return np.ones(len(columns), dtype=np.bool_)
        return are_seen(self.peaks(band, columns, tile), threshold)

    def threshold(self, tile: int) -> float | None:
        """Return the threshold for tiles of a side in pixels, None if all of them are seen; see `gate_threshold`."""
        return gate_threshold(self.contract, tile, self.calibrated)

    def use(self, tile: int) -> dict[str, Any]:
        """Return the `threshold` for tiles of a side in pixels, and whether it is `calibrated` for the net behind."""
        known = self.calibrated
        calibrated = known is not None and known.holds_for(self.contract, tile)
        return {"threshold": self.threshold(tile), "calibrated": calibrated}

    def tile_peaks(self, image: NDArray[np.uint8], grid: TileGrid) -> NDArray[np.float32]:
        """Find the peaks of all tiles of an image: uint8 (height, width, 3) to (N,) in the order of `grid.corners`."""
        padded = grid.pad(image)
        rows = [self.peaks(padded[row : row + grid.tile], grid.columns, grid.tile) for row in grid.rows.tolist()]
        return np.concatenate(rows)


def are_seen(peaks: NDArray[np.float32], threshold: float | None) -> NDArray[np.bool_]:
    """Say which tiles are seen by their peaks (N,): those above the threshold, or all of them if there is none."""
    if threshold is None:
        return np.ones(len(peaks), dtype=np.bool_)
    # As float64: in float32 a threshold between two neighbouring probabilities would become one of them.
    seen: NDArray[np.bool_] = peaks > np.float64(threshold)
    return seen
