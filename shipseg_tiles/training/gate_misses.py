"""What a gate misses and what it spares, on full validation images, tile by tile as `predict` would ask it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.inference.gate import Gate, are_seen
from shipseg_tiles.nets.gate import CELL
from shipseg_tiles.patches.full_image import FullImage
from shipseg_tiles.pixels import PixelIndices, rows_and_columns
from shipseg_tiles.tiling import TileGrid


@dataclass(frozen=True)
class GateAnswers:
    """What a gate answers of tiles of one size that cover images; see `Gate.peaks`.

    Attributes:
        ships: float32 (S,), for each labelled ship the highest peak of the tiles that hold a part of it. A ship is
            missed if that is not above the threshold: no tile in which it could be found is seen.
        tiles: float32 (T,), the peaks of all tiles.
        empty_images: float32 (E,), for each image without a ship the highest peak of its tiles.
    """

    ships: NDArray[np.float32]
    tiles: NDArray[np.float32]
    empty_images: NDArray[np.float32]

    def threshold(self, miss_rate: float) -> float:
        """Find the threshold that skips the most tiles of all at which no more than a share of the ships is missed.

        Only the gaps between the peaks of ships differ in the ships that are missed. Of the highest that will do the
        middle is taken: what is seen next will fall close to what was seen.

        Args:
            miss_rate: The share, 0 to below 1. If more of the ships have a peak of 0, they are missed.

        Returns:
            The threshold, above 0 and below 1.
        """
        edges = np.unique(np.concatenate(([0.0, 1.0], self.ships)))
        missed = np.searchsorted(np.sort(self.ships), edges[:-1], side="right")
        # Divided, not multiplied: 0.29 * 100 is below 29, but 29 / 100 is 0.29.
        gap = int(np.flatnonzero(missed / len(self.ships) <= miss_rate).max(initial=0))
        return float((edges[gap] + edges[gap + 1]) / 2)

    def summary(self, threshold: float) -> dict[str, Any]:
        """Return what a threshold does.

        Returns:
            The `threshold`; the numbers of `ships`, `tiles` and `empty_images`; `miss_rate`, the share of the ships
            that are missed; `tiles_skipped` and `empty_images_skipped`, the shares of all tiles, and of the empty
            images as a whole, that are not seen. A share of nothing is None.
        """
        return {
            "threshold": threshold,
            "ships": len(self.ships),
            "miss_rate": _share_left_out(self.ships, threshold),
            "tiles": len(self.tiles),
            "tiles_skipped": _share_left_out(self.tiles, threshold),
            "empty_images": len(self.empty_images),
            "empty_images_skipped": _share_left_out(self.empty_images, threshold),
        }


def _share_left_out(peaks: NDArray[np.float32], threshold: float) -> float | None:
    return float(np.mean(~are_seen(peaks, threshold))) if len(peaks) else None


def ask_gate(gate: Gate, images: Iterable[FullImage], sides: Sequence[int]) -> dict[int, GateAnswers]:
    """Ask a gate about full images.

    Args:
        gate: The gate.
        images: One or more full images with their labels.
        sides: Sides in pixels of the tiles that it is asked about, each time for whole images. Tiles lie side by side:
            where they overlap, a ship has more tiles in which it can be found.

    Returns:
        The answers by the side of the tiles.
    """
    answers: dict[int, list[GateAnswers]] = {side: [] for side in sides}
    for image in images:
        pixels = image.pixels()
        ships = image.ship_indices((pixels.shape[0], pixels.shape[1]))
        for side in sides:
            answers[side].append(_ask_about(gate, pixels, ships, side))
    return {side: _joined(parts) for side, parts in answers.items()}


def _ask_about(gate: Gate, pixels: NDArray[np.uint8], ships: Sequence[PixelIndices], side: int) -> GateAnswers:
    height, width = pixels.shape[:2]
    grid = TileGrid.covering(height, width, side, 0.0, CELL)
    peaks = gate.tile_peaks(pixels, grid)
    holding = [grid.pixels_per_tile(*rows_and_columns(ship, height)) > 0 for ship in ships]
    of_ships = np.array([peaks[held].max() for held in holding], dtype=np.float32)
    return GateAnswers(of_ships, peaks, peaks.max(keepdims=True)[: not ships])


def _joined(parts: Sequence[GateAnswers]) -> GateAnswers:
    return GateAnswers(
        np.concatenate([part.ships for part in parts]),
        np.concatenate([part.tiles for part in parts]),
        np.concatenate([part.empty_images for part in parts]),
    )
