"""Scores of images, one by one and all together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shipseg_tiles.errors import InputError
from shipseg_tiles.rle import PixelIndices
from shipseg_tiles.scoring.dice import dice_from_counts, overlap
from shipseg_tiles.scoring.objects import image_f2


@dataclass(frozen=True)
class ImageScore:
    """How good the prediction of one image is.

    Attributes:
        image: File name of the image.
        truth_pixels: Labelled ship pixels; where ships overlap, a pixel counts once.
        predicted_pixels: The same of the prediction.
        shared_pixels: Pixels that are ship in both.
        truth_ships: Labelled ships that have pixels.
        predicted_ships: Predicted ships that have pixels.
        dice: Dice of the full mask, see `shipseg_tiles.scoring.dice.image_dice`.
        f2: F2 over objects, see `shipseg_tiles.scoring.objects.image_f2`.
    """

    image: str
    truth_pixels: int
    predicted_pixels: int
    shared_pixels: int
    truth_ships: int
    predicted_ships: int
    dice: float
    f2: float


def score_image(image: str, truth_ships: Sequence[PixelIndices], predicted_ships: Sequence[PixelIndices]) -> ImageScore:
    """Score the predicted ships of an image.

    Args:
        image: File name of the image, for the result only.
        truth_ships: Sorted distinct pixel indices of each labelled ship; they may overlap.
        predicted_ships: The same of each predicted ship.
    """
    truth, predicted = _union(truth_ships), _union(predicted_ships)
    shared = overlap(truth, predicted)
    return ImageScore(
        image=image,
        truth_pixels=truth.size,
        predicted_pixels=predicted.size,
        shared_pixels=shared,
        truth_ships=sum(ship.size > 0 for ship in truth_ships),
        predicted_ships=sum(ship.size > 0 for ship in predicted_ships),
        dice=dice_from_counts(truth.size, predicted.size, shared),
        f2=image_f2(truth_ships, predicted_ships),
    )


def summarise(scores: Sequence[ImageScore]) -> dict[str, Any]:
    """Sum up the scores of all images.

    Args:
        scores: One or more; images without ships belong among them.

    Returns:
        `images` and `ship_images` (how many); `dice_mean_ship_images` (None if no image has ships),
        `dice_mean_all_images` and `dice_pooled` (of the pixels of all images together; 1 if all are empty);
        `f2_mean`; `empty_images_with_false_ships`, the share of the images without ships in which some were
        predicted (None if every image has ships).

    Raises:
        InputError: If there is no score.
    """
    if not scores:
        raise InputError("there is no image to score; give predictions for at least one labelled image")
    ship_dice = [score.dice for score in scores if score.truth_pixels]
    false_alarms = [score.predicted_pixels > 0 for score in scores if not score.truth_pixels]
    return {
        "images": len(scores),
        "ship_images": len(ship_dice),
        "dice_mean_ship_images": _mean(ship_dice),
        "dice_mean_all_images": _mean([score.dice for score in scores]),
        "dice_pooled": dice_from_counts(
            sum(score.truth_pixels for score in scores),
            sum(score.predicted_pixels for score in scores),
            sum(score.shared_pixels for score in scores),
        ),
        "f2_mean": _mean([score.f2 for score in scores]),
        "empty_images_with_false_ships": _mean(false_alarms),
    }


def _union(ships: Sequence[PixelIndices]) -> PixelIndices:
    return np.unique(np.concatenate(ships)) if len(ships) else np.empty(0, dtype=np.int64)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
