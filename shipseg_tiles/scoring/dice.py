"""Dice and IoU of two sets of pixels.

All of it works on pixel indices (see `shipseg_tiles.rle`), so no image size is needed, and the time depends on the
size of the ships rather than of the image.
"""

import numpy as np

from shipseg_tiles.rle import PixelIndices


def image_dice(truth: PixelIndices, predicted: PixelIndices) -> float:
    """Dice of an image, 2 |T and P| / (|T| + |P|): what the "true dice" of a full stitched mask means here.

    Args:
        truth: Pixel indices of all ships of the image, sorted and distinct.
        predicted: The same of the prediction.

    Returns:
        0 to 1; 1 if both are empty, 0 if exactly one is.
    """
    return dice_from_counts(truth.size, predicted.size, overlap(truth, predicted))


def dice_from_counts(truth_pixels: int, predicted_pixels: int, shared_pixels: int) -> float:
    """Dice from numbers of pixels, as `image_dice`; of sums over images it is the pooled dice."""
    pixels = truth_pixels + predicted_pixels
    return 2 * shared_pixels / pixels if pixels else 1.0


def iou(first: PixelIndices, second: PixelIndices) -> float:
    """Intersection over union of two sets of sorted distinct pixel indices, 0 to 1; 1 if both are empty."""
    return iou_from_counts(first.size, second.size, overlap(first, second))


def iou_from_counts(first_pixels: int, second_pixels: int, shared_pixels: int) -> float:
    """IoU from numbers of pixels, as `iou`."""
    union = first_pixels + second_pixels - shared_pixels
    return shared_pixels / union if union else 1.0


def overlap(first: PixelIndices, second: PixelIndices) -> int:
    """Count the pixels that two sets of sorted distinct pixel indices share."""
    if not first.size or not second.size:
        return 0
    # A third of the time of np.intersect1d, which sorts again what is sorted already.
    nearest = second.take(np.searchsorted(second, first), mode="clip")
    return int(np.count_nonzero(nearest == first))
