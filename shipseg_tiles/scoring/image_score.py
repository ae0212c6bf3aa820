"""The score of one image: everything that the metrics add up."""

from collections.abc import Sequence
from dataclasses import dataclass

from shipseg_tiles.connected import connected_objects
from shipseg_tiles.pixels import PixelIndices, union
from shipseg_tiles.scoring.dice import dice_from_counts, iou_from_counts, overlap
from shipseg_tiles.scoring.objects import THRESHOLDS, f2_from_ious, found_ships, pairwise_iou, with_pixels

FOUND = 0.5
"""IoU that a predicted ship must exceed for the true ship to count as found."""


@dataclass(frozen=True)
class ImageScore:
    """How good the prediction of one image is.

    Attributes:
        image: File name of the image.
        shape: (height, width) in pixels.
        truth_pixels: Labelled ship pixels; where ships overlap, a pixel counts once.
        predicted_pixels: The same of the prediction.
        shared_pixels: Pixels that are ship in both.
        truth_ships: Labelled ships that have pixels.
        predicted_ships: Predicted ships that have pixels.
        dice: Dice of the full mask, see `shipseg_tiles.scoring.dice.dice_from_counts`.
        f2: F2 over objects, see `shipseg_tiles.scoring.objects.f2_from_ious`.
        f2_connected: F2 at the one threshold `FOUND` over the connected objects of the two masks, for which ships that
            touch are one.
        truth_sizes: Pixels of each labelled ship that has any.
        found_sizes: Those of them that were found, see `shipseg_tiles.scoring.objects.found_ships`.
    """

    image: str
    shape: tuple[int, int]
    truth_pixels: int
    predicted_pixels: int
    shared_pixels: int
    truth_ships: int
    predicted_ships: int
    dice: float
    f2: float
    f2_connected: float
    truth_sizes: tuple[int, ...]
    found_sizes: tuple[int, ...]

    @property
    def iou(self) -> float:
        """IoU of the full mask, 0 to 1; 1 if both are empty."""
        return iou_from_counts(self.truth_pixels, self.predicted_pixels, self.shared_pixels)


def score_image(
    image: str,
    truth_ships: Sequence[PixelIndices],
    predicted_ships: Sequence[PixelIndices],
    shape: tuple[int, int],
) -> ImageScore:
    """Score the predicted ships of an image.

    Args:
        image: File name of the image, for the result only.
        truth_ships: Sorted distinct pixel indices of each labelled ship; they may overlap.
        predicted_ships: The same of each predicted ship.
        shape: (height, width) of the image in pixels, without which nobody knows which of them touch.
    """
    labelled, found = with_pixels(truth_ships), with_pixels(predicted_ships)
    truth, predicted = union(labelled), union(found)
    shared = overlap(truth, predicted)
    ious = pairwise_iou(labelled, found)
    connected = pairwise_iou(connected_objects(truth, shape[0]), connected_objects(predicted, shape[0]))
    hits = found_ships(ious, FOUND)
    return ImageScore(
        image=image,
        shape=shape,
        truth_pixels=truth.size,
        predicted_pixels=predicted.size,
        shared_pixels=shared,
        truth_ships=len(labelled),
        predicted_ships=len(found),
        dice=dice_from_counts(truth.size, predicted.size, shared),
        f2=f2_from_ious(ious),
        f2_connected=f2_from_ious(connected, THRESHOLDS[:1]),
        truth_sizes=tuple(ship.size for ship in labelled),
        found_sizes=tuple(ship.size for ship, hit in zip(labelled, hits, strict=True) if hit),
    )
