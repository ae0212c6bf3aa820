"""The folder that `predict` writes: what its files are called, and the record of how they came about."""

import json
from pathlib import Path
from typing import Any

from shipseg_tiles.errors import InputError

MASKS, PICTURES, VECTORS = "masks", "pictures", "vectors"
PROBABILITIES, DISAGREEMENT = "probabilities", "disagreement"
"""Folders with a file for each image."""

MASK_SUFFIXES = (".png", ".tif")
"""Suffixes of masks, and of rasters, of images and of scenes."""

SUBMISSION = "submission.csv"
"""All ships as the competition wants them."""

RECORD = "run.json"
"""Options, counts and seconds."""


def file_of(out: Path, folder: str, image: str, suffix: str) -> Path:
    """Return where a file of an image stands.

    Args:
        out: The folder of all predictions.
        folder: One of the folders above.
        image: File name of the image.
        suffix: Of the file.
    """
    return out / folder / f"{Path(image).stem}{suffix}"


def record_path(predictions: Path) -> Path:
    """Return where the record of predictions stands, if they have one.

    Args:
        predictions: The folder that `predict` wrote, or its submission or masks inside it.
    """
    within = predictions / RECORD
    named = predictions if predictions.name not in ("", "..") else predictions.resolve()
    is_part = named.name in (SUBMISSION, MASKS) and not within.is_file()  # or predict wrote to a folder masks
    return named.parent / RECORD if is_part else within


def read_record(predictions: Path) -> dict[str, Any]:
    """Read the record of predictions; it is empty if there is none, as those of others come from who knows where.

    Args:
        predictions: As of `record_path`.

    Raises:
        InputError: If it is damaged.
    """
    path = record_path(predictions)
    if not path.is_file():
        return {}
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise damaged_record(predictions, error) from None
    if not isinstance(record, dict) or not isinstance(record.get("options"), dict):  # as what `score --json` writes
        raise damaged_record(predictions, "it holds something else")
    return record


def damaged_record(predictions: Path, reason: object) -> InputError:
    """Return the error that what stands as the record of predictions is none."""
    return InputError(f"{record_path(predictions)} is no record of predict ({reason!r}); predict again, or remove it")
