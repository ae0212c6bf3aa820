"""A trained net with its contract, ready for images of any size."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

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

if TYPE_CHECKING:
    from shipseg_tiles.inference.classifier import Classifier


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
        seen = at_training_scale(image, self.contract)
        grid = cover(seen, self.contract.tile, self.contract.overlap, self.contract.tile_multiple)
        stitched = stitch(seen, self._predict_tiles, grid, self.window)
        return stitched if seen is image else resize_image(stitched, (image.shape[0], image.shape[1]))

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
        passed_over: Whether a classifier said that there is no ship, so that none was looked for.
    """

    name: str
    image: NDArray[np.uint8]
    ships: list[PixelIndices]
    passed_over: bool = False

    def mask(self) -> NDArray[np.bool_]:
        """Return the mask of all ships: bool (height, width)."""
        height, width = self.image.shape[:2]
        return mask_of(union(self.ships), (height, width)).astype(np.bool_)


def predict_files(
    predictor: Predictor, paths: Sequence[AnyPath], classifier: "Classifier | None" = None
) -> Iterator[Prediction]:
    """Predict image files one by one; bad ones are left out with a warning.

    Args:
        predictor: Finds the ships.
        paths: The image files.
        classifier: Says in which images they are looked for; None for all.

    Raises:
        InputError: If two files differ in their suffix only, so that their masks would have one name.
    """
    stems = Counter(path.stem for path in paths)
    twice = [stem for stem, count in stems.items() if count > 1]
    if twice:
        raise InputError(f"several images are called {twice[0]}, with different suffixes; rename or remove one of them")
    for name, image in readable_images(paths, "predict"):
        passed_over = classifier is not None and not classifier.has_ship(image)
        yield Prediction(name, image, [] if passed_over else predictor.ships(image), passed_over)


def readable_images(paths: Sequence[AnyPath], task: str) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Yield name and pixels of image files, with a progress bar called `task`; bad ones are left out with a warning."""
    for path in tqdm(paths, desc=task, unit="image", disable=None):
        try:
            image = read_image(path)
        except InputError as error:
            warn_skipped(path.name, error)
        else:
            yield path.name, image


def at_training_scale(image: NDArray[np.uint8], contract: Contract) -> NDArray[np.uint8]:
    """Resize uint8 (height, width, 3) as the patches of the training were; if they were not, return it as it is."""
    if contract.resize is None:
        return image
    scale = contract.resize / contract.patch
    return resize_image(image, (max(1, round(image.shape[0] * scale)), max(1, round(image.shape[1] * scale))))


def cover(image: NDArray[np.uint8], tile: int, overlap: float, multiple: int) -> TileGrid:
    """Cover uint8 (height, width, 3) with tiles, or, if it is small, with one whose side is a `multiple` as well."""
    height, width = image.shape[:2]
    # On a small image a full tile would be filler for the most part.
    return TileGrid.with_overlap(height, width, min(tile, -(-max(height, width) // multiple) * multiple), overlap)


NetKind = Literal["segmenter", "classifier"]
_ANSWERS = {"segmenter": (None, None, None, 1), "classifier": (None, 1)}


def load_net(weights: Path, kind: NetKind = "segmenter") -> Any:
    """Load a `.keras` file as data: code inside it (a Lambda layer, a pickle) is refused by Keras's safe mode.

    Args:
        weights: The file.
        kind: What the net must be: a segmenter answers one probability a pixel, a classifier one an image.

    Raises:
        InputError: If the file is no such archive, holds code, or its net is none from images to such probabilities.
    """
    net = load_model(weights)
    answer = getattr(net, "output_shape", None)
    if answer == _ANSWERS[kind] and net.input_shape == (None, None, None, 3):
        return net
    if answer == _ANSWERS["classifier"] and kind == "segmenter":
        raise InputError(f"{weights} is a classifier, ship or no ship; give the weights of a net that segments")
    if answer == _ANSWERS["segmenter"] and kind == "classifier":
        raise InputError(
            f"{weights} is a net that segments; give the weights of a classifier such as train --net classifier makes"
        )
    unit = "a pixel" if kind == "segmenter" else "an image"
    raise InputError(f"{weights} is no net from RGB images of any size to one probability {unit}")
