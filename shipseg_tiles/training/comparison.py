"""Compare ways to train: the same folds by place, one measure for all."""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from shipseg_tiles.archive.archive import Archive
from shipseg_tiles.archive.places import find_places
from shipseg_tiles.archive.split import choose_split, folds_by_place
from shipseg_tiles.images import read_image
from shipseg_tiles.inference.options import PredictOptions
from shipseg_tiles.inference.predict import predict_image
from shipseg_tiles.inference.prediction_nets import load_nets
from shipseg_tiles.nets.contract_file import read_contract
from shipseg_tiles.scoring.difference import dice_difference
from shipseg_tiles.scoring.image_score import ImageScore, score_image
from shipseg_tiles.scoring.score import summarise


@dataclass(frozen=True)
class Division:
    """Images in three parts, none of which shows a place of another.

    Attributes:
        split: `train` or `valid` by name, for what is trained on and what chooses the best epoch.
        test: Sorted names of the images that scores are measured on.
        places: Number of the place of each image.
    """

    split: dict[str, str]
    test: list[str]
    places: dict[str, int]


def divide(archive: Archive, folds: int, valid_fraction: float, seed: int, processes: Executor) -> list[Division]:
    """Deal an archive out to folds by place, and divide what is outside of each.

    Args:
        archive: The images.
        folds: How many, from 2 to the number of places.
        valid_fraction: Share of the images outside of a fold that validate.
        seed: Decides among equals which these are; the folds are the same for all seeds.
        processes: Look at the images.

    Returns:
        For each fold the division of which it is the test.

    Raises:
        InputError: If a number is out of its range, or there are too few places.
    """
    places, _ = find_places(archive.files, processes)
    ship_counts = {name: len(archive.labels.ships[name]) for name in places}
    fold_of = dict(zip(places, folds_by_place(places, ship_counts, folds).tolist(), strict=True))
    divisions = []
    for fold in range(folds):
        others = {name: count for name, count in ship_counts.items() if fold_of[name] != fold}
        split = choose_split(others, places, valid_fraction, seed)
        divisions.append(Division(split, sorted(places.keys() - others.keys()), places))
    return divisions


@dataclass(frozen=True)
class FoldResult:
    """How good and how fast nets are on images that they never saw.

    Attributes:
        scores: Of each image.
        seconds_per_image: Of reading, predicting and finding the ships, without the time in which nets are compiled.
        parameters: Of all nets together.
        training_minutes: How long it took until they were trained.
        patches_seen: How many patches the segmenter was shown in its last training, until the epoch that was kept.
    """

    scores: tuple[ImageScore, ...]
    seconds_per_image: float
    parameters: int
    training_minutes: float
    patches_seen: int

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "FoldResult":
        """Take back what `dataclasses.asdict` gave and JSON has kept."""
        return cls(**{**values, "scores": tuple(map(_score_from_json, values["scores"]))})


def _score_from_json(values: Mapping[str, Any]) -> ImageScore:
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }
    return ImageScore(**fields)


def measure_fold(weights: Path, classifier: Path | None, archive: Archive, training_minutes: float) -> FoldResult:
    """Predict all images of an archive with trained weights and score them.

    Args:
        weights: Of a segmenter.
        classifier: Weights that decide which images it is shown; None for all.
        archive: Images that neither was trained on or chosen by.
        training_minutes: To be kept with what is measured.
    """
    options = PredictOptions(weights=weights, classifier=classifier)
    paths = list(archive.files.values())
    nets, image = load_nets(options), read_image(paths[0])
    nets.predictor.probabilities(image)  # compiles the nets, in time that does not count
    if nets.classifier:
        nets.classifier.probability(image)
    scores, seconds, began = [], 0.0, time.monotonic()
    for prediction in map(partial(predict_image, options), tqdm(paths, desc="predict", unit="image", disable=None)):
        seconds += time.monotonic() - began
        truth = archive.labels.ship_indices(prediction.name, prediction.shape)
        scores.append(score_image(prediction.name, truth, prediction.pixels, prediction.shape))
        began = time.monotonic()
    parameters = sum(user.net.count_params() for user in (nets.predictor, nets.classifier) if user)
    load_nets.cache_clear()  # nobody needs these nets again, and those of all folds are many
    seen = read_contract(weights).trained_on["patches_seen"]
    return FoldResult(tuple(scores), round(seconds / len(scores), 4), parameters, round(training_minutes, 2), seen)


def tabulate(measured: Mapping[str, Sequence[FoldResult]]) -> dict[str, dict[str, Any]]:
    """Sum up what was measured on all folds.

    Args:
        measured: Of each way, by name, what was measured on each fold; the same folds for all.

    Returns:
        By name what `shipseg_tiles.scoring.score.summarise` says of the images of all folds together; `dice_difference`
        to the way that comes first, see `dice_difference`, and its interval among the `intervals`, both None for that
        way itself; and the fields of `FoldResult`: `seconds_per_image` as the mean over the images, `training_minutes`
        and `patches_seen` as the mean over the folds.
    """
    scores = {name: [score for fold in folds for score in fold.scores] for name, folds in measured.items()}
    first = next(iter(scores))
    rows = {}
    for name, folds in measured.items():
        row = summarise(scores[name])
        difference, ends = dice_difference(scores[name], scores[first]) if name != first else (None, None)
        row["intervals"]["dice_difference"] = list(ends) if ends else None
        images = [len(fold.scores) for fold in folds]
        rows[name] = row | {
            "dice_difference": difference,
            "seconds_per_image": float(np.average([fold.seconds_per_image for fold in folds], weights=images)),
            "parameters": folds[0].parameters,
            "training_minutes": float(np.mean([fold.training_minutes for fold in folds])),
            "patches_seen": float(np.mean([fold.patches_seen for fold in folds])),
        }
    return rows
