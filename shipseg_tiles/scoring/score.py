"""Scores of images, one by one and all together."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shipseg_tiles.archive.labels import Labels
from shipseg_tiles.errors import InputError
from shipseg_tiles.rle import PixelIndices, union
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
    truth, predicted = union(truth_ships), union(predicted_ships)
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


def score_labels(truth: Labels, predicted: Labels, missing: str = "error") -> list[ImageScore]:
    """Score all labelled images. Predictions find their images by the name without suffix.

    Args:
        truth: The labels.
        predicted: The predictions, in the same form.
        missing: What to do with labelled images that have no prediction: `error`, `empty` (nothing was found in
            them) or `skip`.

    Raises:
        InputError: If a prediction has no label, or a label no prediction and `missing` is `error`.
    """
    names = {Path(name).stem: name for name in predicted.ships}
    stems = [Path(name).stem for name in truth.ships]
    _refuse(set(names) - set(stems), f"{predicted.source} predicts images that {truth.source} does not label")
    if missing == "error":
        hint = "; use --missing empty or skip"
        _refuse(set(stems) - set(names), f"{truth.source} labels images that {predicted.source} does not predict", hint)
    scores = []
    for image, stem in zip(truth.ships, stems, strict=True):
        if stem in names or missing == "empty":
            found = predicted.ship_indices(names[stem]) if stem in names else []
            scores.append(score_image(image, truth.ship_indices(image), found))
    return scores


def _refuse(names: set[str], complaint: str, hint: str = "") -> None:
    if names:
        shown = ", ".join(sorted(names)[:5]) + (" ..." if len(names) > 5 else "")
        raise InputError(f"{complaint}: {len(names)} of them, {shown}{hint}")


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


MEANINGS = {
    "dice_mean_ship_images": "true dice, mean over the images with ships",
    "dice_mean_all_images": "true dice, mean over all images (both empty 1, one of them empty 0)",
    "dice_pooled": "dice of the pixels of all images together",
    "f2_mean": "F2 over ships as in the competition (IoU above 0.50, 0.55 ... 0.95), mean over all images",
    "empty_images_with_false_ships": "share of the empty images in which ships were predicted",
}
"""What each number of a summary means, in words for people."""


def summary_rows(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the numbers of a summary as text, each with its meaning."""
    return [("-" if summary[name] is None else f"{summary[name]:.4f}", text) for name, text in MEANINGS.items()]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
