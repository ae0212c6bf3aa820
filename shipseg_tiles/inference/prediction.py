"""What is predicted of an image: its ships, and what is to be known of how they were found."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.inference.detection import Ship, Strip
from shipseg_tiles.inference.georeference import Georeference
from shipseg_tiles.inference.predictor import Predictor
from shipseg_tiles.inference.strips import StripFolder
from shipseg_tiles.pixels import PixelIndices, mask_of, union
from shipseg_tiles.zipped import AnyPath

Progress = Callable[[int, int], None]
"""Told of each row of tiles that is done: how many are, and of how many. What it raises ends the prediction."""


@dataclass(frozen=True)
class TileCounts:
    """What a net was shown.

    Attributes:
        tiles: How many tiles were done. A row of them that is done again, where the shares of a cluster meet or a
            scene is taken up again, counts again.
        tiles_skipped: How many of these the gate skipped.
        net_pixels: Pixels of the others in the image, as often as the net was shown them.
    """

    tiles: int = 0
    tiles_skipped: int = 0
    net_pixels: int = 0

    @classmethod
    def of(cls, strips: Iterable[Strip], tile: int, views: int) -> "TileCounts":
        """Count the tiles of an image, of `tile` px, of which a net is shown so many views."""
        counts = [(strip.tiles, strip.tiles_skipped) for strip in strips]
        tiles, skipped = (sum(numbers) for numbers in zip(*counts, strict=True))
        return cls(tiles, skipped, (tiles - skipped) * tile**2 * views)


@dataclass(frozen=True)
class Prediction:
    """The ships of an image.

    Attributes:
        name: File name of the image.
        shape: (height, width) of the image in pixels.
        ships: No two share a pixel.
        strips: What the lines of the image show, from the top; they hold the rasters that were asked for.
        passed_over: Whether a classifier said that there is no ship, so that none was looked for.
        calibrated: Whether the contract was calibrated on this image, so that its score is flattered.
        georeference: Where the image lies; None if nobody knows.
        counts: What the net was shown of it.
        remark: What speaks against trusting the ships; empty if nothing does.
    """

    name: str
    shape: tuple[int, int]
    ships: list[Ship]
    strips: list[Strip] | StripFolder
    passed_over: bool = False
    calibrated: bool = False
    georeference: Georeference | None = None
    counts: TileCounts = TileCounts()
    remark: str = ""

    @property
    def in_memory(self) -> bool:
        """Whether it is of an image that was predicted in memory, not of a scene that was read by windows."""
        return not isinstance(self.strips, StripFolder)

    @property
    def pixels(self) -> list[PixelIndices]:
        """Sorted pixel indices of each ship."""
        return [ship.pixels for ship in self.ships]

    def forget_strips(self) -> None:
        """Remove what was kept of a scene on disk; everything has been made of it."""
        if isinstance(self.strips, StripFolder):
            self.strips.remove()

    def mask(self) -> NDArray[np.bool_]:
        """Return the mask of all ships: bool (height, width)."""
        return mask_of(union(self.pixels), self.shape).astype(np.bool_)


def put_together(
    predictor: Predictor,
    path: AnyPath,
    shape: tuple[int, int],
    strips: list[Strip] | StripFolder,
    georeference: Georeference | None = None,
    remark: str = "",
) -> Prediction:
    """Put together what the strips of an image show.

    Args:
        predictor: What predicted them.
        path: Of the image.
        shape: (height, width) of the image in pixels.
        strips: What its lines show, from the top.
        georeference: See `Prediction`.
        remark: See `Prediction`.
    """
    contract = predictor.contract
    light = [replace(strip, rasters={}) for strip in strips]  # a scene's are read from disk, each time with its rasters
    return Prediction(
        path.name,
        shape,
        predictor.joined(light, shape[0]),
        strips,
        calibrated=contract.was_calibrated_on(path),
        counts=TileCounts.of(light, predictor.grid(*shape).tile, contract.views),
        georeference=georeference,
        remark=remark,
    )
