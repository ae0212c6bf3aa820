"""No score on images that the settings of the prediction were chosen on: it would flatter."""

import json
from pathlib import Path
from typing import Any

from shipseg_tiles.archive.labels import Labels, read_labels, read_predictions
from shipseg_tiles.errors import InputError, first_of


def calibrated_images(predictions: Path) -> frozenset[str]:
    """Read from the `run.json` of `predict` which of its images the contract was calibrated on.

    Args:
        predictions: The folder that `predict` wrote, or its `submission.csv` or `masks` inside it. Other predictions
            come from who knows where.

    Raises:
        InputError: If the `run.json` is damaged.
    """
    names, _ = _record_of(predictions)
    return names


def _record_of(predictions: Path) -> tuple[frozenset[str], Any]:
    """Read the calibrated images, and the region that was predicted, None for all of each image."""
    folder = predictions.parent if predictions.name in ("submission.csv", "masks") else predictions
    path = folder / "run.json"
    if not path.is_file():
        return frozenset(), None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return frozenset(map(str, record.get("calibration_images", []))), record.get("options", {}).get("region")
    except (ValueError, AttributeError, TypeError) as error:
        raise InputError(f"{path} is damaged ({error!r}); predict again, or remove it") from None


def read_judged(labels: Path, predictions: Path, leave_out: bool) -> tuple[Labels, Labels, frozenset[str]]:
    """Read labels and predictions, without images that `refuse_calibrated` says are to be left out.

    Returns:
        The labels, the predictions, and the names without suffix of what was left out.

    Raises:
        InputError: As `read_labels` and `refuse_calibrated`, if a part of each image only was predicted, or nothing is
            left.
    """
    truth, predicted = read_labels(labels), read_predictions(predictions)
    _, region = _record_of(predictions)
    if region is not None:
        raise InputError(
            f"{predictions} predicts a part of each image only, by --region; predict whole images to score"
        )
    flattered = refuse_calibrated(truth, predictions, leave_out)
    judged = without(truth, flattered)
    if truth.ships and not judged.ships:
        raise InputError(f"the weights of {predictions} were calibrated on all labelled images; give labels of others")
    return judged, without(predicted, flattered), flattered


def refuse_calibrated(truth: Labels, predictions: Path, leave_out: bool) -> frozenset[str]:
    """Refuse to score images that the prediction was calibrated on, or say which ones are to be left out.

    Args:
        truth: The labels.
        predictions: Where the predictions were read from, see `calibrated_images`.
        leave_out: Whether to leave such images out.

    Returns:
        Names without suffix of what is to be left out of labels and predictions, see `without`.

    Raises:
        InputError: If there are such images among the labelled ones, and they are not to be left out.
    """
    stems = frozenset(Path(name).stem for name in calibrated_images(predictions))
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
