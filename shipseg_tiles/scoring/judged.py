"""No score on images that the settings of the prediction were chosen on: it would flatter."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shipseg_tiles.archive.labels import Labels, read_labels, read_predictions
from shipseg_tiles.archive.prediction_files import damaged_record, read_record
from shipseg_tiles.errors import InputError, first_of


@dataclass(frozen=True)
class Judged:
    """Predictions, and the labels that they may be judged by.

    Attributes:
        truth: The labels.
        predicted: The predictions.
        left_out: Names without suffix of what was left out of both, see `without`.
        record: What the record of the predictions says; empty if there is none.
    """

    truth: Labels
    predicted: Labels
    left_out: frozenset[str]
    record: Mapping[str, Any]


def read_judged(labels: Path, predictions: Path, leave_out: bool) -> Judged:
    """Read labels and predictions, without images that `refuse_calibrated` says are to be left out.

    Args:
        labels: CSV or folder of masks.
        predictions: The same, or the folder that `predict` wrote; see `read_record`.
        leave_out: Whether to leave out images that the prediction was calibrated on.

    Raises:
        InputError: As `read_labels` and `refuse_calibrated`, if a part of each image only was predicted, or nothing is
            left.
    """
    truth, predicted, record = read_labels(labels), read_predictions(predictions), read_record(predictions)
    if record.get("options", {}).get("region") is not None:
        raise InputError(
            f"{predictions} predicts a part of each image only, by --region; predict whole images to score"
        )
    flattered = refuse_calibrated(truth, predictions, record, leave_out)
    judged = without(truth, flattered)
    if truth.ships and not judged.ships:
        raise InputError(f"the weights of {predictions} were calibrated on all labelled images; give labels of others")
    return Judged(judged, without(predicted, flattered), flattered, record)


def refuse_calibrated(truth: Labels, predictions: Path, record: Mapping[str, Any], leave_out: bool) -> frozenset[str]:
    """Refuse to score images that the prediction was calibrated on, or say which ones are to be left out.

    Args:
        truth: The labels.
        predictions: Where the predictions were read from, for messages.
        record: What their record says.
        leave_out: Whether to leave such images out.

    Returns:
        Names without suffix of what is to be left out of labels and predictions, see `without`.

    Raises:
        InputError: If there are such images among the labelled ones, and they are not to be left out, or the record is
            damaged.
    """
    try:
        stems = frozenset(Path(name).stem for name in record.get("calibration_images", []))
    except TypeError as error:
        raise damaged_record(predictions, error) from None
    flattered = [name for name in truth.ships if Path(name).stem in stems]
    if flattered and not leave_out:
        raise InputError(
            f"{predictions} predicts {len(flattered)} labelled images that its weights were calibrated on, which would"
            f" flatter its score: {first_of(flattered)}; give labels of other images, or --leave-out-calibrated"
        )
    return stems


def without(labels: Labels, stems: frozenset[str]) -> Labels:
    """Leave out the images whose names without suffix are among `stems`."""
    return labels.only(name for name in labels.ships if Path(name).stem not in stems)
