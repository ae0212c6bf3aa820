"""What a gate misses and what it spares, on full validation images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.images import decode_image
from shipseg_tiles.inference.gate import Gate
from shipseg_tiles.nets.gate import CELL
from shipseg_tiles.patches.store import FullImage
from shipseg_tiles.rle import decode_indices


@dataclass(frozen=True)
class GateAnswers:
    """What a gate answers of some images. Only the highest probability of several cells decides whether they are seen.

    Attributes:
        ships: float32 (S,), for each labelled ship the highest probability of the cells that it touches. A ship is
            missed if that is not above the threshold.
        cells: float32 (C,), the probabilities of all cells of all images.
        empty_images: float32 (E,), for each image without a ship the highest probability of its cells.
    """

    ships: NDArray[np.float32]
    cells: NDArray[np.float32]
    empty_images: NDArray[np.float32]

    def threshold(self, miss_rate: float) -> float:
        """Find the threshold that spares the most cells of all at which no more than a share of the ships is missed.

        Only the gaps between the probabilities of ships differ in the ships that are missed. Of the highest that will
        do the middle is taken: what is seen next will fall close to what was seen.

        Args:
            miss_rate: The share, 0 to below 1. If more of the ships have a probability of 0, they are missed.

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
            The numbers of `ships`, `cells` and `empty_images`; `miss_rate`, the share of the ships that are missed;
            `cells_skipped` and `empty_images_skipped`, the shares of all cells, and of the empty images as a whole,
            that are not above the threshold. A share of nothing is None.
        """
        return {
            "ships": len(self.ships),
            "miss_rate": _share_left_out(self.ships, threshold),
            "cells": len(self.cells),
            "cells_skipped": _share_left_out(self.cells, threshold),
            "empty_images": len(self.empty_images),
            "empty_images_skipped": _share_left_out(self.empty_images, threshold),
        }


def _share_left_out(probabilities: NDArray[np.float32], threshold: float) -> float | None:
    return float(np.mean(probabilities <= np.float64(threshold))) if len(probabilities) else None


def ask_gate(gate: Gate, images: Sequence[FullImage]) -> GateAnswers:
    """Let a gate see full images, each as a whole.

    Args:
        gate: The gate.
        images: One or more full images with their labels.
    """
    ships: list[np.float32] = []
    cells, empty_images = [], []
    for image in images:
        pixels = decode_image(image.data, image.name)
        probabilities = gate.probabilities(pixels)
        cells.append(probabilities.ravel())
        if not image.ships:
            empty_images.append(probabilities.max())
        for ship in image.ships:
            columns, rows = np.divmod(decode_indices(ship, pixels.shape[0] * pixels.shape[1]), pixels.shape[0])
            ships.append(probabilities[rows // CELL, columns // CELL].max())
    return GateAnswers(np.array(ships), np.concatenate(cells), np.array(empty_images))
