"""What decides which epoch is best, and what stands in the contract because of it."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from shipseg_tiles.errors import InputError
from shipseg_tiles.inference.classifier import Classifier
from shipseg_tiles.inference.gate import Gate
from shipseg_tiles.inference.predictor import Predictor
from shipseg_tiles.nets.build import CLASSIFIERS, GATES
from shipseg_tiles.nets.contract import Contract
from shipseg_tiles.patches.full_image import FullImage
from shipseg_tiles.scoring.classification import best_threshold, compare_labels
from shipseg_tiles.training.gate_misses import GateAnswers, ask_gate
from shipseg_tiles.training.options import MISS_RATE, TrainOptions
from shipseg_tiles.training.true_dice import measure_true_dice

TRUE_DICE = {
    "dice_mean_ship_images": "val_true_dice_ship_images",
    "dice_mean_all_images": "val_true_dice",
    "f2_mean": "val_f2",
}
"""Columns of the history by the names that scores have. The true dice proper is the mean over all images: it is the
one that falls when a net sees ships where there are none."""

GATE_TILES = (128, 256, 512, 768)
"""Sides in pixels of the tiles that a gate is measured with, ascending. The smaller, the less there is in a tile by
which a ship that the gate overlooks is seen all the same, and the lower is the threshold."""


class Judge(Protocol):
    """Judges a net at the end of each epoch.

    Attributes:
        monitor: Column of the logs that says how good an epoch was.
        sign: 1 if more of it is better, -1 if less is.
    """

    monitor: str
    sign: int

    def judge(self, net: Any, usage: Contract) -> tuple[dict[str, float], Contract]:
        """Measure.

        Args:
            net: The net.
            usage: How it is to be used as far as is known without looking at images.

        Returns:
            Columns for the logs, and the contract with what the images say.
        """

    def score(self, weights: Path, contract: Contract) -> dict[str, Any]:
        """Score weights as they were saved, for their contract."""


class SegmenterJudge:
    """Judges by the true dice of full validation images."""

    monitor = TRUE_DICE["dice_mean_all_images"]
    sign = 1

    def __init__(self, images: Sequence[FullImage]) -> None:
        self.images = images

    def judge(self, net: Any, usage: Contract) -> tuple[dict[str, float], Contract]:
        """Stitch the images and measure the true dice; the contract stays as it is."""
        scores = measure_true_dice(Predictor(net, usage), self.images)
        return {column: scores[name] for name, column in TRUE_DICE.items() if scores[name] is not None}, usage

    def score(self, weights: Path, contract: Contract) -> dict[str, Any]:
        """Return all scores."""
        data = f"{len(self.images)} validation images of the store, which judged the epochs"
        return {"data": data, **measure_true_dice(Predictor.load(weights), self.images)}


class ClassifierJudge:
    """Judges by the F1 of full validation images, at the threshold that gives the highest."""

    monitor = "val_f1"
    sign = 1

    def __init__(self, images: Sequence[FullImage]) -> None:
        self.images = images
        self.truth = np.array([bool(image.ships) for image in images])

    def judge(self, net: Any, usage: Contract) -> tuple[dict[str, float], Contract]:
        """Classify the images and choose the threshold."""
        probabilities = self._probabilities(Classifier(net, usage))
        threshold = best_threshold(probabilities, self.truth)
        f1 = compare_labels(probabilities > threshold, self.truth).f1
        return {self.monitor: f1, "val_threshold": threshold}, replace(usage, threshold=threshold)

    def score(self, weights: Path, contract: Contract) -> dict[str, Any]:
        """Return F1, precision and recall at the stored threshold."""
        classifier = Classifier.load(weights)
        found = compare_labels(self._probabilities(classifier) > contract.threshold, self.truth)
        data = f"{len(self.images)} validation images of the store, which judged the epochs and chose the threshold"
        return {"data": data, "images": len(self.images), **found.summary()}

    def _probabilities(self, classifier: Classifier) -> NDArray[np.float64]:
        return np.array([classifier.probability(image.pixels()) for image in self.images])


class GateJudge:
    """Judges by the share of tiles that a gate skips on full validation images.

    A share of tiles says nothing without a share of missed ships. So each epoch gets the thresholds at which the same
    share of ships is missed, one for each size of tiles.
    """

    monitor = "val_tiles_skipped"
    sign = 1

    def __init__(self, images: Sequence[FullImage], miss_rate: float) -> None:
        """Judge by some images.

        Args:
            images: The images.
            miss_rate: Share of their ships that may be missed, 0 to below 1.

        Raises:
            InputError: If they show no ship.
        """
        if not any(image.ships for image in images):
            raise InputError(
                f"none of the {len(images)} full validation images shows a ship: the thresholds of a gate are found on"
                " their ships; give make-patches more --full-images"
            )
        self.images = images
        self.miss_rate = miss_rate

    def judge(self, net: Any, usage: Contract) -> tuple[dict[str, float], Contract]:
        """Ask about the images and choose the thresholds."""
        answers = ask_gate(Gate(net, usage), self.images, GATE_TILES)
        thresholds = {str(side): found.threshold(self.miss_rate) for side, found in answers.items()}
        contract = replace(
            usage,
            tile=GATE_TILES[-1],
            threshold=thresholds[str(GATE_TILES[-1])],
            miss_rate=self.miss_rate,
            thresholds=thresholds,
        )
        scores = _gate_scores(answers, contract)
        names = ("threshold", "miss_rate", "empty_images_skipped")
        columns = {f"val_{name}": scores[name] for name in names if scores[name] is not None}
        by_tile = [scores["by_tile"][side]["tiles_skipped"] for side in thresholds]
        return {self.monitor: sum(by_tile) / len(by_tile), **columns}, contract

    def score(self, weights: Path, contract: Contract) -> dict[str, Any]:
        """Return what is missed and what is skipped at the stored thresholds."""
        data = f"{len(self.images)} validation images of the store, which judged the epochs and chose the thresholds"
        answers = ask_gate(Gate.load(weights), self.images, GATE_TILES)
        return {"data": data, "images": len(self.images), **_gate_scores(answers, contract)}


def _gate_scores(answers: Mapping[int, GateAnswers], contract: Contract) -> dict[str, Any]:
    """Return the scores at the thresholds of a contract: those for its tile, and `by_tile` those for each size."""
    by_tile = {str(side): found.summary(contract.thresholds[str(side)]) for side, found in answers.items()}
    return {**by_tile[str(contract.tile)], "by_tile": by_tile}


class LossJudge:
    """Judges by the loss alone, where a store keeps no full images that tell good nets from bad ones."""

    sign = -1

    def __init__(self, monitor: str) -> None:
        self.monitor = monitor

    def judge(self, net: Any, usage: Contract) -> tuple[dict[str, float], Contract]:
        """Measure nothing: the loss is in the logs already."""
        return {}, usage

    def score(self, weights: Path, contract: Contract) -> dict[str, Any]:
        """Return no scores."""
        return {}


def choose_judge(options: TrainOptions, images: Sequence[FullImage], has_validation: bool) -> Judge:
    """Choose who judges a training.

    Without a ship a segmenter that sees nothing is right on all images. Where all show ships, or none does, so is a
    classifier that always says the same. Then the loss judges, after a warning.

    Args:
        options: Of the training.
        images: Full validation images, if there are any.
        has_validation: Whether there are validation patches at all.

    Raises:
        InputError: If a gate is to be judged without full images that show ships.
    """
    if options.net in GATES:
        return GateJudge(images, MISS_RATE if options.miss_rate is None else options.miss_rate)
    by_loss = LossJudge("val_loss" if has_validation else "loss")
    if not images:
        return by_loss
    with_ships = sum(bool(image.ships) for image in images)
    if with_ships == 0 or (options.net in CLASSIFIERS and with_ships == len(images)):
        warnings.warn(
            f"{with_ships} of {len(images)} full validation images show ships, which tells no good {options.net} from a"
            f" bad one: the epoch with the lowest {by_loss.monitor} is kept; give make-patches more --full-images, or"
            " other images to validate",
            stacklevel=2,
        )
        return by_loss
    return ClassifierJudge(images) if options.net in CLASSIFIERS else SegmenterJudge(images)
