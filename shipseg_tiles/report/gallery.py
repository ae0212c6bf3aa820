"""The pictures of a report: images with what is true and what was predicted in a form that a script draws."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.archive.prediction_files import PROBABILITIES, file_of
from shipseg_tiles.errors import InputError
from shipseg_tiles.images import read_image
from shipseg_tiles.pixels import PixelIndices, union
from shipseg_tiles.report.html import jpeg_address, png_address
from shipseg_tiles.report.pictures import shrink_step, shrunk_mask
from shipseg_tiles.report.run import Run
from shipseg_tiles.scoring.dice import overlap
from shipseg_tiles.scoring.image_score import ImageScore
from shipseg_tiles.scoring.metrics import LARGE_SHIP, SMALL_SHIP

SIZES = {
    "small": f"under {SMALL_SHIP} px",
    "medium": f"{SMALL_SHIP} to {LARGE_SHIP} px",
    "large": f"above {LARGE_SHIP} px",
}
"""Classes of true ships, and what they are called."""


@dataclass(frozen=True)
class Exhibit:
    """An image of the gallery.

    Attributes:
        score: Its score.
        missed_ships: True ships of which no pixel was predicted.
        false_ships: Predicted ships of which no pixel is true.
        sizes: Which of `SIZES` its true ships are of.
        shape: (height, width) of the pictures.
        step: How many times the image was shrunk for that; 1 for most.
        picture: Address of the image as JPEG.
        truth: Address of the true mask as PNG.
        found: Address of the predicted mask as PNG.
        probabilities: Address of the probabilities, 255 times, as PNG; empty if there are none.
    """

    score: ImageScore
    missed_ships: int
    false_ships: int
    sizes: tuple[str, ...]
    shape: tuple[int, int]
    step: int
    picture: str
    truth: str
    found: str
    probabilities: str


class Gallery:
    """Images of a scored run.

    Attributes:
        chosen: The scores of its images: those with ships, true or predicted, the worst first, then empty ones.
        rule: How ships follow from the probabilities that were kept; None if none were.
    """

    def __init__(self, run: Run, count: int) -> None:
        """Choose at most `count` images of a run.

        Raises:
            InputError: If `count` is negative.
        """
        if count < 0:
            raise InputError(f"pictures {count} must be 0 or more")
        ranked = sorted(
            run.scores, key=lambda score: (not score.truth_pixels and not score.predicted_pixels, score.dice)
        )
        self.chosen: Sequence[ImageScore] = ranked[:count]
        self._run = run
        self.rule = run.rule if any(self._stored(score.image).is_file() for score in self.chosen) else None
        self._predicted = {Path(name).stem: name for name in run.predicted.ships}

    def exhibits(self) -> Iterator[Exhibit]:
        """Read and draw the images one by one.

        Raises:
            InputError: If an image is damaged, or its probabilities are of another size.
        """
        for score in self.chosen:
            yield self._exhibit(score, read_image(self._run.files[score.image]))

    def _exhibit(self, score: ImageScore, image: NDArray[np.uint8]) -> Exhibit:
        shape = image.shape[0], image.shape[1]
        truth_ships, predicted_ships = self._ships(score.image, shape)
        truth, predicted = union(truth_ships), union(predicted_ships)
        step = shrink_step(shape)
        mask = shrunk_mask(predicted, shape, step)
        return Exhibit(
            score=score,
            missed_ships=_outside(truth_ships, predicted),
            false_ships=_outside(predicted_ships, truth),
            sizes=tuple(dict.fromkeys(map(_size_class, sorted(score.truth_sizes)))),
            shape=(mask.shape[0], mask.shape[1]),
            step=step,
            picture=jpeg_address(image[::step, ::step]),
            truth=png_address(shrunk_mask(truth, shape, step)),
            found=png_address(mask),
            probabilities=self._probabilities(score.image, mask.shape) if step == 1 else "",
        )

    def _ships(self, image: str, shape: tuple[int, int]) -> tuple[list[PixelIndices], list[PixelIndices]]:
        """Return the true and the predicted ships of an image; it has none of these if nothing was predicted for it."""
        name = self._predicted.get(Path(image).stem)
        found = self._run.predicted.ship_indices(name, shape) if name else []
        return self._run.truth.ship_indices(image, shape), found

    def _stored(self, image: str) -> Path:
        return file_of(self._run.folder, PROBABILITIES, image, ".png")

    def _probabilities(self, image: str, shape: tuple[int, ...]) -> str:
        path = self._stored(image)
        if not self.rule or not path.is_file():
            return ""
        values = read_image(path)[..., 0]
        if values.shape != shape:
            raise InputError(f"{path} has {_size(values.shape)} pixels, {image} has {_size(shape)}; predict again")
        return png_address(values)


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[0]} x {shape[1]}"


def _outside(ships: Sequence[PixelIndices], others: PixelIndices) -> int:
    """Count the ships that have pixels, but none among the others."""
    return sum(ship.size > 0 and not overlap(ship, others) for ship in ships)


def _size_class(pixels: int) -> str:
    small, medium, large = SIZES
    return small if pixels < SMALL_SHIP else medium if pixels <= LARGE_SHIP else large
