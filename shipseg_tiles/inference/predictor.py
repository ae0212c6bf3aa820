"""A trained net with its contract, ready for images of any size."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from shipseg_tiles.errors import InputError, warn_skipped
from shipseg_tiles.images import read_image, resize_image
from shipseg_tiles.inference.stitching import stitch
from shipseg_tiles.masks import separate_objects
from shipseg_tiles.nets.contract import Contract, read_contract
from shipseg_tiles.nets.saved import load_model
from shipseg_tiles.rle import PixelIndices, mask_of, union
from shipseg_tiles.tiling import TileGrid, WindowName
from shipseg_tiles.zipped import AnyPath


class Predictor:
    """Predicts whole images.

    Attributes:
        net: Keras model from uint8 (N, height, width, 3) to probabilities (N, height, width, 1).
        contract: How it is used: tile, overlap, threshold, minimum area.
        window: How overlapping tiles are blended.
    """

    def __init__(self, net: Any, contract: Contract, window: WindowName = "hann") -> None:
        self.net = net
        self.contract = contract
        self.window = window

    @classmethod
    def load(cls, weights: Path, window: WindowName = "hann", **changes: Any) -> "Predictor":
        """Load weights with their contract.

        Args:
            weights: `.keras` file with its contract beside it.
            window: See `window_weights`.
            **changes: Values to use instead of the contract's; None keeps the contract's.

        Raises:
            InputError: If the files do not belong together or hold no such net, or a changed value is out of range.
        """
        contract = read_contract(weights)
        given = {name: value for name, value in changes.items() if value is not None}
        return cls(load_net(weights), replace(contract, **given), window)

    def probabilities(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Predict the ship probability, 0 to 1, of each pixel: uint8 (height, width, 3) to float32 (height, width)."""
        shape = image.shape[0], image.shape[1]
        if self.contract.resize is None:
            return self._stitched(image)
        scale = self.contract.resize / self.contract.patch
        seen = resize_image(image, (max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))))
        return resize_image(self._stitched(seen), shape)

    def _stitched(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        height, width = image.shape[:2]
        multiple = self.contract.tile_multiple
        # On a small image a full tile would be filler for the most part.
        tile = min(self.contract.tile, -(-max(height, width) // multiple) * multiple)
        return stitch(
            image, self._predict_tiles, TileGrid.with_overlap(height, width, tile, self.contract.overlap), self.window
        )

    def ships(self, image: NDArray[np.uint8]) -> list[PixelIndices]:
        """Find the separate ships of uint8 (height, width, 3): threshold, connected objects, minimum area."""
        objects = separate_objects(self.probabilities(image) > self.contract.threshold)
        return [ship for ship in objects if ship.size >= self.contract.minimum_area]

    def _predict_tiles(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.asarray(self.net.predict_on_batch(tiles), dtype=np.float32)[..., 0]


@dataclass(frozen=True)
class Prediction:
    """The ships of an image.

    Attributes:
        name: File name of the image.
        image: uint8 (height, width, 3).
        ships: Sorted pixel indices of each ship, see `shipseg_tiles.rle`; no two share a pixel.
    """

    name: str
    image: NDArray[np.uint8]
    ships: list[PixelIndices]

    def mask(self) -> NDArray[np.bool_]:
        """Return the mask of all ships: bool (height, width)."""
        height, width = self.image.shape[:2]
        return mask_of(union(self.ships), (height, width)).astype(np.bool_)


def predict_files(predictor: Predictor, paths: Sequence[AnyPath]) -> Iterator[Prediction]:
    """Predict image files one by one; bad ones are left out with a warning.

    Raises:
        InputError: If two files differ in their suffix only, so that their masks would have one name.
    """
    stems = Counter(path.stem for path in paths)
    twice = [stem for stem, count in stems.items() if count > 1]
    if twice:
        raise InputError(f"several images are called {twice[0]}, with different suffixes; rename or remove one of them")
    for path in tqdm(paths, desc="predict", unit="image", disable=None):
        try:
            image = read_image(path)
        except InputError as error:
            warn_skipped(path.name, error)
        else:
            yield Prediction(path.name, image, predictor.ships(image))


def load_net(weights: Path) -> Any:
    """Load a `.keras` file as data: code inside it (a Lambda layer, a pickle) is refused by Keras's safe mode.

    Raises:
        InputError: If the file is no such archive, holds code, or its net is none from images to one probability.
    """
    net = load_model(weights)
    if getattr(net, "output_shape", None) == (None, 1):
        raise InputError(f"{weights} is a classifier, ship or no ship; give the weights of a net that segments")
    if getattr(net, "input_shape", None) != (None, None, None, 3) or net.output_shape != (None, None, None, 1):
        raise InputError(f"{weights} is no net from RGB images of any size to one probability a pixel")
    return net
