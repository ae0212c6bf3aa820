"""Why the dice of patches seen in training is not the true dice: the way from one to the other, step by step.

Each step is a dice on the same images and differs from the one before in one thing only, so that the difference of the
two is what that thing makes.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.archive.labels import Labels
from shipseg_tiles.errors import InputError
from shipseg_tiles.pixels import PixelIndices, rows_and_columns, union
from shipseg_tiles.scoring.dice import dice_from_counts, overlap
from shipseg_tiles.scoring.image_score import ImageScore
from shipseg_tiles.scoring.pairs import ImagePair, pair_images
from shipseg_tiles.tiling import TileGrid

MEANINGS = {
    "single_ship_patches": "patch dice: patches with ships, each predicted alone, pooled",
    "stitched_ship_patches": "patches with ships, cut out of the stitched masks, pooled",
    "ship_images_pooled": "all patches of the images with ships, pooled: background counts as well",
    "ship_images_mean": "mean over these images: small ships count as much as large ones",
    "all_images_mean": "mean over all images: empty ones count too (both empty 1, otherwise 0); the true dice",
}
"""The steps in their order, in words for people."""


@dataclass(frozen=True)
class GapStep:
    """A step from patch dice to true dice.

    Attributes:
        name: A key of `MEANINGS`.
        dice: Dice, 0 to 1; None if no image has ships.
        change: How much more it is than the one before; None of the first.
    """

    name: str
    dice: float | None
    change: float | None


def measure_patch_gap(
    patch: int,
    scores: Sequence[ImageScore],
    truth: Labels,
    stitched: Labels,
    single: Labels | None = None,
    missing: str = "error",
) -> list[GapStep]:
    """Go from patch dice to true dice.

    Args:
        patch: Side of a patch in pixels.
        scores: What `score_labels` says of the stitched predictions, one or more images.
        truth: The labels, as they were scored.
        stitched: The predictions, as they were scored.
        single: What was predicted of the same images patch by patch, without overlap; None to begin with the next step.
        missing: What to do with images without prediction, see `pair_images`.

    Raises:
        InputError: If the patch is smaller than 1, or `single` is of other images, or as `pair_images`.
    """
    truth = replace(truth, shapes={score.image: score.shape for score in scores})
    of_ships = [score for score in scores if score.truth_pixels]
    dice = {}
    if single is not None:
        pairs = _same_images(pair_images(truth, single, missing), scores)
        dice["single_ship_patches"] = _ship_patch_dice(patch, pairs)
    dice["stitched_ship_patches"] = _ship_patch_dice(patch, pair_images(truth, stitched, missing))
    dice["ship_images_pooled"] = _pooled_dice(of_ships)
    dice["ship_images_mean"] = _mean_dice(of_ships)
    dice["all_images_mean"] = _mean_dice(scores)
    before = [None, *dice.values()]
    return [GapStep(name, dice[name], _change(last, dice[name])) for name, last in zip(dice, before, strict=False)]


def _change(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


def _same_images(pairs: Iterable[ImagePair], scores: Sequence[ImageScore]) -> Iterator[ImagePair]:
    """Pass the pairs on, unless they are of other images than the scores."""
    for pair, score in zip_longest(pairs, scores):
        if pair is None or score is None or pair.image != score.image:
            image = min(each.image for each in (pair, score) if each)  # both are sorted: the other side lacks it
            raise InputError(
                f"of {image} there is only one prediction, stitched or unstitched; predict the same images"
            )
        yield pair


def _ship_patch_dice(patch: int, pairs: Iterable[ImagePair]) -> float | None:
    """Dice of the patches with true ship pixels, pooled over all images; None if there is none."""
    truth_pixels = predicted_pixels = shared_pixels = 0
    for pair in pairs:
        truth, predicted = union(pair.truth), union(pair.predicted)
        grid = TileGrid(*pair.shape, patch, patch)
        # All true pixels lie in ship patches, and so do those shared with them.
        has_ship = np.zeros(len(grid), dtype=np.bool_)
        has_ship[_patches_of(truth, grid)] = True
        truth_pixels += truth.size
        predicted_pixels += int(np.count_nonzero(has_ship[_patches_of(predicted, grid)]))
        shared_pixels += overlap(truth, predicted)
    return dice_from_counts(truth_pixels, predicted_pixels, shared_pixels) if truth_pixels else None


def _patches_of(indices: PixelIndices, grid: TileGrid) -> NDArray[np.int64]:
    """Return the number of the one patch that each pixel counts in, be it in two where the last one is moved back."""
    return grid.last_tile_with(*rows_and_columns(indices, grid.height))


def _pooled_dice(scores: Sequence[ImageScore]) -> float | None:
    truth_pixels = sum(score.truth_pixels for score in scores)
    predicted_pixels = sum(score.predicted_pixels for score in scores)
    shared_pixels = sum(score.shared_pixels for score in scores)
    return dice_from_counts(truth_pixels, predicted_pixels, shared_pixels) if scores else None


def _mean_dice(scores: Sequence[ImageScore]) -> float | None:
    return sum(score.dice for score in scores) / len(scores) if scores else None
