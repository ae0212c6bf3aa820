"""A scored run: predictions, what they are judged by, and what is known of how they came about."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shipseg_tiles.archive.labels import Labels
from shipseg_tiles.archive.prediction_files import RECORD, record_path
from shipseg_tiles.images import list_images
from shipseg_tiles.scoring.image_score import ImageScore
from shipseg_tiles.scoring.judged import read_judged
from shipseg_tiles.scoring.pairs import find_files
from shipseg_tiles.scoring.score import score_labels
from shipseg_tiles.zipped import AnyPath


@dataclass(frozen=True)
class Rule:
    """How ships follow from probabilities.

    Attributes:
        threshold: Probability above which a pixel is ship, 0 to 1.
        minimum_area: Objects of fewer pixels are no ships.
        minimum_score: Objects of a lower mean probability, 0 to 1, are no ships.
    """

    threshold: float
    minimum_area: int
    minimum_score: float = 0.0

    @property
    def cut(self) -> int:
        """The largest stored value, 255 times a probability, that is no ship."""
        return math.floor(255 * self.threshold)


@dataclass(frozen=True)
class Run:
    """Predictions with their scores.

    Attributes:
        folder: Where they are: what `predict` wrote, a folder of masks, or a CSV.
        files: The file of each image, by the name that it has in `truth`.
        truth: The labels that they were scored by.
        predicted: The predicted ships, by names that may have other suffixes than those of `truth`.
        scores: The score of each image.
        record: What `run.json` says; empty if there is none.
    """

    folder: Path
    files: Mapping[str, AnyPath]
    truth: Labels
    predicted: Labels
    scores: list[ImageScore]
    record: Mapping[str, Any]

    @property
    def rule(self) -> Rule | None:
        """How its ships followed from probabilities; None if nobody noted it down."""
        options = self.record.get("options", {})
        threshold, minimum_area = options.get("threshold"), options.get("minimum_area")
        minimum_score = options.get("minimum_score", 0.0)  # not named before there were any
        if not all(isinstance(number, int | float) for number in (threshold, minimum_area, minimum_score)):
            return None
        if not isinstance(minimum_area, int) or not 0 < threshold < 1 or not 0 <= minimum_score < 1:
            return None
        return Rule(threshold, minimum_area, minimum_score)


def open_run(
    predictions: Path, labels: Path, images: Path, missing: str = "error", leave_out_calibrated: bool = False
) -> Run:
    """Read predictions and score them.

    Args:
        predictions: Folder that `predict` wrote, folder of masks, or CSV.
        labels: CSV or folder of masks.
        images: Folder or zip of the images.
        missing: What to do with labelled images that have no prediction, see `shipseg_tiles.scoring.pairs`.
        leave_out_calibrated: Whether to leave out images that the weights were calibrated on, instead of refusing them.

    Raises:
        InputError: If one of them is missing or damaged, or they do not belong together.
    """
    files = list_images(images)
    judged = read_judged(labels, predictions, leave_out_calibrated)
    scores = score_labels(judged.truth, judged.predicted, missing, files)
    of_images = find_files([score.image for score in scores], files)
    whole = predictions / RECORD == record_path(predictions)  # of a submission alone nobody asks how it came about
    return Run(predictions, of_images, judged.truth, judged.predicted, scores, judged.record if whole else {})
