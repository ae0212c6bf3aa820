"""All numbers that a set of scored images is judged by.

Each is a ratio of two sums over the images: a mean over some of them is the sum of their values over their number, a
pooled dice twice the shared pixels over the pixels of both. So one list says everything about them, and values, tables
and intervals follow from it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.scoring.image_score import ImageScore

SMALL_SHIP = 53
"""Pixels; one in 20 ship images of the competition has fewer ship pixels."""

LARGE_SHIP = 1242
"""Pixels; half of the ship images of the competition have more."""


@dataclass(frozen=True)
class Metric:
    """A number over many images.

    Attributes:
        name: Its key in JSON.
        meaning: Its convention in words for people.
        numerator: What an image adds to the sum that is divided.
        denominator: What it adds to the sum that it is divided by.
        of_nothing: The value where the denominators add up to 0; None if there is none then.
    """

    name: str
    meaning: str
    numerator: Callable[[ImageScore], float]
    denominator: Callable[[ImageScore], float]
    of_nothing: float | None = None


def _one(score: ImageScore) -> float:
    return 1


def _has_ships(score: ImageScore) -> float:
    return score.truth_pixels > 0


def _is_empty(score: ImageScore) -> float:
    return score.truth_pixels == 0


def _hits(score: ImageScore) -> float:
    return len(score.found_sizes)


def _recall(name: str, ships: str, smallest: int, largest: float) -> Metric:
    """Return the recall of the true ships of `smallest` to `largest` pixels."""

    def count(sizes: Sequence[int]) -> int:
        return sum(smallest <= size <= largest for size in sizes)

    return Metric(
        name,
        f"share of the true ships of {ships} pixels that are found, IoU above 0.5",
        lambda score: count(score.found_sizes),
        lambda score: count(score.truth_sizes),
    )


METRICS = (
    Metric(
        "dice_mean_ship_images",
        "true dice, mean over the images with ships",
        lambda score: score.dice * _has_ships(score),
        _has_ships,
    ),
    Metric(
        "dice_mean_all_images",
        "true dice, mean over all images (both empty 1, one of them empty 0)",
        lambda score: score.dice,
        _one,
    ),
    Metric(
        "dice_pooled",
        "dice of the pixels of all images together",
        lambda score: 2 * score.shared_pixels,
        lambda score: score.truth_pixels + score.predicted_pixels,
        of_nothing=1.0,
    ),
    Metric(
        "iou_mean_ship_images",
        "IoU of the full masks, mean over the images with ships",
        lambda score: score.iou * _has_ships(score),
        _has_ships,
    ),
    Metric(
        "iou_pooled",
        "IoU of the pixels of all images together",
        lambda score: score.shared_pixels,
        lambda score: score.truth_pixels + score.predicted_pixels - score.shared_pixels,
        of_nothing=1.0,
    ),
    Metric(
        "f2_mean",
        "F2 over ships as in the competition (IoU above 0.50, 0.55 ... 0.95), mean over all images",
        lambda score: score.f2,
        _one,
    ),
    Metric(
        "f2_connected_mean",
        "F2 over connected objects (touching ships are one; IoU above 0.5), mean over all images",
        lambda score: score.f2_connected,
        _one,
    ),
    Metric(
        "object_precision",
        "share of the predicted ships that hit a true one, IoU above 0.5",
        _hits,
        lambda score: score.predicted_ships,
    ),
    Metric(
        "object_recall",
        "share of the true ships that are found, IoU above 0.5",
        _hits,
        lambda score: score.truth_ships,
    ),
    _recall(f"recall_under_{SMALL_SHIP}_px", f"fewer than {SMALL_SHIP}", 0, SMALL_SHIP - 1),
    _recall(f"recall_{SMALL_SHIP}_to_{LARGE_SHIP}_px", f"{SMALL_SHIP} to {LARGE_SHIP}", SMALL_SHIP, LARGE_SHIP),
    _recall(f"recall_above_{LARGE_SHIP}_px", f"more than {LARGE_SHIP}", LARGE_SHIP + 1, np.inf),
    Metric(
        "empty_images_with_false_ships",
        "share of the empty images in which ships were predicted",
        lambda score: _is_empty(score) * (score.predicted_pixels > 0),
        _is_empty,
    ),
    Metric(
        "false_ships_per_empty_image",
        "predicted ships per empty image, mean",
        lambda score: _is_empty(score) * score.predicted_ships,
        _is_empty,
    ),
)
"""Every metric, in the order in which tables show them."""


def numerators_and_denominators(scores: Sequence[ImageScore]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what each image adds to each of `METRICS`: two float64 (images, metrics)."""
    numerators = np.array([[metric.numerator(score) for metric in METRICS] for score in scores], dtype=np.float64)
    denominators = np.array([[metric.denominator(score) for metric in METRICS] for score in scores], dtype=np.float64)
    return numerators, denominators
