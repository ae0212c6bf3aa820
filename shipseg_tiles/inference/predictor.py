"""A trained net with its contract, ready for images of any size."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.inference.answers import ask
from shipseg_tiles.inference.detection import Ship, Strip, join_ships, threshold_lines
from shipseg_tiles.inference.memory import BackingOff
from shipseg_tiles.inference.planning import grid_over, pixels_per_batch
from shipseg_tiles.inference.stitching import Lines, SeesTiles, Source, stitch_into, stitched_lines
from shipseg_tiles.inference.views import mean_of, over_symmetries, resizing
from shipseg_tiles.nets.contract import Contract
from shipseg_tiles.nets.contract_file import segmenter_contract
from shipseg_tiles.nets.load import load_net
from shipseg_tiles.pixels import PixelIndices
from shipseg_tiles.tiling import Region, TileGrid, WindowName


class Predictor:
    """Predicts whole images, in memory or line by line.

    Attributes:
        net: Keras model, or another engine's, from uint8 (N, height, width, 3) to probabilities (N, height, width, 1).
        contract: How it is used: tile, overlap, threshold, minimum area and score.
        window: How overlapping tiles are blended.
        sees: Which tiles the net is shown; None for all of them.
        predict_tiles: The net for tiles of the image, uint8 (N, tile, tile, 3) to float32 (N, tile, tile): in parts
            where memory runs out, and the mean over all views that the contract asks for.
    """

    def __init__(
        self, net: Any, contract: Contract, window: WindowName = "hann", *, sees: SeesTiles | None = None
    ) -> None:
        self.net = net
        self.contract = contract
        self.window = window
        self.sees = sees
        views = over_symmetries(BackingOff(self._ask_net), contract.symmetries)
        self.predict_tiles = mean_of([resizing(views, contract, side) for side in contract.patch_sides])

    @classmethod
    def load(cls, weights: Path, window: WindowName = "hann", **changes: Any) -> "Predictor":
        """Load weights with their contract.

        Args:
            weights: `.keras` file with its contract beside it.
            window: See `window_profile`.
            **changes: Values to use instead of the contract's; None keeps the contract's.

        Raises:
            InputError: If the files do not belong together or hold no such net, or a changed value is out of range.
        """
        contract = segmenter_contract(weights, **changes)
        return cls(load_net(weights), contract, window)

    def grid(self, height: int, width: int) -> TileGrid:
        """Return the tiles over an image of that size."""
        return grid_over((height, width), self.contract)

    def lines(self, source: Source, region: Region | None = None, disagreement: bool = False) -> Iterator[Lines]:
        """Predict an image, or a region of it, and yield its lines from the top as they become final.

        Only the lines under one row of tiles are in memory.

        Args:
            source: uint8 (height, width, 3).
            region: Part to predict, inside the image; its pixels are as those of the full image. None for all of it.
            disagreement: Whether to measure how far overlapping tiles disagree.
        """
        return stitched_lines(
            source,
            self.predict_tiles,
            self.grid(*source.shape[:2]),
            self.window,
            region=region,
            sees=self.sees,
            disagreement=disagreement,
            pixels_that_fit=pixels_per_batch(self.contract),
        )

    def probabilities(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Predict the ship probability, 0 to 1, of each pixel: uint8 (height, width, 3) to float32 (height, width)."""
        result = np.empty(image.shape[:2], dtype=np.float32)
        stitch_into(result, self.lines(image))
        return result

    def strips(
        self,
        source: Source,
        region: Region | None = None,
        rasters: tuple[str, ...] = (),
        valid: Callable[[slice, slice], NDArray[np.bool_]] | None = None,
    ) -> Iterator[Strip]:
        """As `lines`, but yield the ship pixels of the lines, and what else of them is to be kept.

        Args:
            source: As for `lines`, with the region.
            region: Part to predict.
            rasters: Names of what is kept besides, see `threshold_lines`.
            valid: Says which pixels of some rows and columns hold data; what holds none is no water either, but it
                cannot be a ship. None if all do.
        """
        for lines in self.lines(source, region, "disagreement" in rasters):
            if valid is not None:
                _clear(lines, ~valid(*lines.slices))
            strip = threshold_lines(lines, source.shape[0], self.contract.threshold, rasters)
            del lines  # in a wide scene they are large, and would stay in memory until the next ones are there
            yield strip

    def joined(self, strips: Iterable[Strip], height: int) -> list[Ship]:
        """Join the strips of an image of `height` lines into ships, as the contract says."""
        use = self.contract
        return join_ships(strips, height, use.minimum_area, use.minimum_score, use.separate_touching)

    def ships(self, image: Source) -> list[PixelIndices]:
        """Find the separate ships of uint8 (height, width, 3), and return the sorted pixel indices of each."""
        return [ship.pixels for ship in self.joined(self.strips(image), image.shape[0])]

    def _ask_net(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        return ask(self.net, tiles)[..., 0]


def _clear(lines: Lines, pixels: NDArray[np.bool_]) -> None:
    """Let nothing be found at some pixels of the lines, nor be uncertain there."""
    for values in (lines.probability, lines.disagreement):
        if values is not None:
            values[pixels] = 0
