"""Compare ways to train: one split by place into three, one measure for all."""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from shipseg_tiles.archive.archive import Archive
from shipseg_tiles.archive.scenes import find_pairs, group_scenes
from shipseg_tiles.archive.signatures import read_signatures
from shipseg_tiles.archive.split import TRAIN, VALID, choose_validation
from shipseg_tiles.errors import warn_skipped
from shipseg_tiles.inference.prediction import PredictOptions, load_nets, predict_image
from shipseg_tiles.scoring.image_score import score_image
from shipseg_tiles.scoring.score import summarise

COLUMNS = {
    "dice_mean_ship_images": "ship images",
    "dice_mean_all_images": "all images",
    "dice_pooled": "pooled",
    "f2_mean": "F2",
    "empty_images_with_false_ships": "false ships on empties",
    "seconds_per_image": "s/image",
    "parameters": "parameters",
}
"""What a comparison tells of each way, and how its table calls it."""


@dataclass(frozen=True)
class Division:
    """Images in three parts, none of which shows a place of another.

    Attributes:
        sides: `train` or `valid` by name, for what is trained on and what chooses the best epoch.
        test: Sorted names of the images that scores are measured on.
        scenes: Number of the place of each image.
    """

    sides: dict[str, str]
    test: list[str]
    scenes: dict[str, int]


def divide(archive: Archive, test_fraction: float, valid_fraction: float, seed: int, processes: Executor) -> Division:
    """Divide an archive by place.

    Args:
        archive: The images.
        test_fraction: Share of the images that test, above 0 and below 1.
        valid_fraction: Share of the others that validate.
        seed: Decides among equals.
        processes: Look at the images.

    Raises:
        InputError: If a fraction is out of its range, or all images show one place.
    """
    signatures, reasons = read_signatures(archive.files, processes)
    for name, reason in reasons.items():
        warn_skipped(name, reason)
    scenes = dict(group_scenes(signatures, find_pairs(signatures)))
    ship_counts = {name: len(archive.labels.ships[name]) for name in signatures}
    test = choose_validation(ship_counts, scenes, test_fraction, seed)
    others = {name: count for name, count in ship_counts.items() if name not in set(test)}
    valid = set(choose_validation(others, scenes, valid_fraction, seed))
    return Division({name: VALID if name in valid else TRAIN for name in others}, test, scenes)


def measure(weights: Path, classifier: Path | None, archive: Archive) -> dict[str, Any]:
    """Predict all images of an archive with trained weights and score them.

    Args:
        weights: Of a segmenter.
        classifier: Weights that decide which images it is shown; None for all.
        archive: Images that neither was trained on or chosen by.

    Returns:
        See `shipseg_tiles.scoring.score.summarise`; `seconds_per_image` of reading, predicting and finding the ships,
        without the time in which the net is compiled; and the number of `parameters` of all nets together.
    """
    options = PredictOptions(weights=weights, classifier=classifier)
    paths = list(archive.files.values())
    predict_image(options, paths[0])
    scores, seconds, began = [], 0.0, time.monotonic()
    for prediction in map(partial(predict_image, options), tqdm(paths, desc="predict", unit="image", disable=None)):
        seconds += time.monotonic() - began
        height, width = prediction.shape
        truth = archive.labels.ship_indices(prediction.name, height * width)
        scores.append(score_image(prediction.name, truth, prediction.pixels, prediction.shape))
        began = time.monotonic()
    nets = [user.net for user in load_nets(options) if user]
    return summarise(scores) | {
        "seconds_per_image": round(seconds / len(scores), 4),
        "parameters": sum(net.count_params() for net in nets),
    }


def table_text(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a Markdown table of what was measured, by name, the best true dice over all images first."""
    best_first = sorted(rows, key=lambda name: -rows[name]["dice_mean_all_images"])
    lines = [_line(["preset", *COLUMNS.values()]), _line(["---"] * (1 + len(COLUMNS)))]
    return "\n".join(
        [*lines, *(_line([name, *map(_cell, COLUMNS, [rows[name]] * len(COLUMNS))]) for name in best_first)]
    )


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(column: str, row: Mapping[str, Any]) -> str:
    value = row[column]
    if value is None:
        return "-"
    if column == "empty_images_with_false_ships":
        return f"{100 * value:.0f} %"
    if column == "parameters":
        return f"{value / 1e6:.2f} M"
    return f"{value:.3f}"
