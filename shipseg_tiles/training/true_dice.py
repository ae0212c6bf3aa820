"""The true dice while training: full validation images, stitched, against their full masks."""

from collections.abc import Iterable
from typing import Any

from shipseg_tiles.inference.predictor import Predictor
from shipseg_tiles.patches.full_image import FullImage
from shipseg_tiles.scoring.image_score import score_image
from shipseg_tiles.scoring.score import summarise


def measure_true_dice(predictor: Predictor, images: Iterable[FullImage]) -> dict[str, Any]:
    """Predict full images and score them.

    Args:
        predictor: The net with the threshold and the tiles that it will be used with.
        images: Full images with their labels, one or more.

    Returns:
        See `shipseg_tiles.scoring.score.summarise`.
    """
    scores = []
    for image in images:
        pixels = image.pixels()
        shape = pixels.shape[0], pixels.shape[1]
        scores.append(score_image(image.name, image.ship_indices(shape), predictor.ships(pixels), shape))
    return summarise(scores)
