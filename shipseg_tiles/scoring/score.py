"""Scores of all labelled images, and what they come to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shipseg_tiles.archive.labels import Labels
from shipseg_tiles.errors import InputError
from shipseg_tiles.scoring.bootstrap import bootstrap_intervals
from shipseg_tiles.scoring.image_score import ImageScore, score_image
from shipseg_tiles.scoring.metrics import METRICS, Metric, numerators_and_denominators
from shipseg_tiles.scoring.pairs import pair_images
from shipseg_tiles.zipped import AnyPath


def score_labels(
    truth: Labels, predicted: Labels, missing: str = "error", files: Sequence[AnyPath] | None = None
) -> list[ImageScore]:
    """Score all labelled images; arguments and errors as those of `shipseg_tiles.scoring.pairs.pair_images`."""
    return [
        score_image(pair.image, pair.truth, pair.predicted, pair.shape)
        for pair in pair_images(truth, predicted, missing, files)
    ]


def summarise(scores: Sequence[ImageScore]) -> dict[str, Any]:
    """Sum up the scores of all images.

    Args:
        scores: One or more; images without ships belong among them.

    Returns:
        `images` and `ship_images` (how many); each of `METRICS` by its name, None where there is nothing to divide by;
        `intervals`, the 95 % interval (low, high) of each by its name, or None, see
        `shipseg_tiles.scoring.bootstrap.bootstrap_intervals`.

    Raises:
        InputError: If there is no score.
    """
    if not scores:
        raise InputError("there is no image to score; give predictions for at least one labelled image")
    numerators, denominators = numerators_and_denominators(scores)
    sums = zip(METRICS, numerators.sum(axis=0).tolist(), denominators.sum(axis=0).tolist(), strict=True)
    intervals = zip(METRICS, bootstrap_intervals(numerators, denominators), strict=True)
    return {
        "images": len(scores),
        "ship_images": sum(score.truth_pixels > 0 for score in scores),
        **{metric.name: part / whole if whole else metric.of_nothing for metric, part, whole in sums},
        "intervals": {metric.name: list(ends) if ends else None for metric, ends in intervals},
    }


@dataclass(frozen=True)
class SummaryRow:
    """A number of a summary, as text for a table.

    Attributes:
        name: Its key in JSON.
        value: The number; "-" if there is none.
        interval: Its 95 % interval; "-" if there is none.
        meaning: Its convention in words.
    """

    name: str
    value: str
    interval: str
    meaning: str


def summary_rows(summary: dict[str, Any]) -> list[SummaryRow]:
    """Return the numbers of a summary, as `summarise` makes it, one row for each of `METRICS`."""
    return [_row(metric, summary[metric.name], summary["intervals"][metric.name]) for metric in METRICS]


def _row(metric: Metric, value: float | None, interval: Sequence[float] | None) -> SummaryRow:
    return SummaryRow(
        metric.name,
        "-" if value is None else f"{value:.4f}",
        "-" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}",
        metric.meaning,
    )
