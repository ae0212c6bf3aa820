"""What is known of each image that a prediction is done with, kept so that a stopped run can go on."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from shipseg_tiles.errors import InputError
from shipseg_tiles.files import write_text


@dataclass(frozen=True)
class Record:
    """What is known of an image that is done.

    Attributes:
        ships: Run-length text of each ship.
        passed_over: Whether a classifier passed it over.
        pixels: Those of the image, or of the region of it that was predicted.
        identity: See `identity_of`.
        calibrated: Whether the contract was calibrated on it.
        tiles: As of `TileCounts`, like the next two.
        tiles_skipped: How many of these the gate skipped.
        net_pixels: Pixels of the others.
    """

    ships: list[str]
    passed_over: bool
    pixels: int
    identity: str
    calibrated: bool = False
    tiles: int = 0
    tiles_skipped: int = 0
    net_pixels: int = 0


def read_records(path: Path) -> dict[str, Record]:
    """Read what a journal says is done, by file name; a last line that was cut off is removed.

    Args:
        path: Of the journal; nothing is done where it is missing.

    Raises:
        InputError: If it is damaged.
    """
    if not path.exists():
        return {}
    try:
        text = path.read_text(encoding="utf-8")
        lines = text[: text.rfind("\n") + 1]
        records = {name: Record(**values) for name, values in map(json.loads, lines.splitlines())}
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{path} is damaged or of another version ({error!r}); remove it, and all images are predicted again"
        ) from None
    write_text(path, lines)  # so that the next line does not go on after half a one
    return records


def append_record(path: Path, name: str, record: Record) -> None:
    """Note in a journal that an image is done."""
    with path.open("a", encoding="utf-8") as journal:
        journal.write(json.dumps([name, asdict(record)]) + "\n")


def count_records(records: Mapping[str, Record]) -> dict[str, Any]:
    """Return what `PredictionFolder.finish` tells of all images together."""
    return {
        "images": len(records),
        "images_with_ships": sum(bool(record.ships) for record in records.values()),
        "ships": sum(len(record.ships) for record in records.values()),
        "megapixels": sum(record.pixels for record in records.values()) / 1e6,
        "tiles": sum(record.tiles for record in records.values()),
        "tiles_skipped": sum(record.tiles_skipped for record in records.values()),
        "net_megapixels": sum(record.net_pixels for record in records.values()) / 1e6,
        "passed_over": sum(record.passed_over for record in records.values()),
        "calibration_images": [name for name, record in records.items() if record.calibrated],
    }
