"""`shipseg-tiles plan`: what a prediction will take, without running it."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shipseg_tiles.cli.common import CommonOptions, Outcome, option
from shipseg_tiles.errors import InputError

if TYPE_CHECKING:
    from shipseg_tiles.inference.planning import SizePlan
    from shipseg_tiles.zipped import AnyPath

_SIZES_SHOWN = 10
"""The summary lists the most frequent sizes of images; the JSON has them all."""


@dataclass(kw_only=True)
class Options(CommonOptions):
    """Options of `plan`; those of the same name are those of `predict`."""

    images: Path = option("folder or zip of images, or one image", metavar="DIR_OR_FILE")
    weights: Path | None = option(
        "weights with their contract beside them (default: those that ship with the project)",
        default=None,
        type=Path,
        metavar="FILE.keras",
    )
    tile: int | None = option("side of a tile in pixels (default: the contract's)", default=None, type=int, metavar="N")
    overlap: float | None = option(
        "share of its side that a tile shares with the next (default: the contract's)",
        default=None,
        type=float,
        metavar="F",
    )
    window: str = option(
        "how overlapping tiles are blended; costs the same whichever it is",
        default="hann",
        choices=["uniform", "hann", "gaussian", "core"],
    )
    seconds_per_megapixel: float | None = option(
        "time that a million pixels of tiles take, to tell the time of all", default=None, type=float, metavar="S"
    )
    like: Path | None = option(
        "take that time from the run.json of an earlier predict on this machine",
        default=None,
        type=Path,
        metavar="RUN.json",
    )


def run(options: Options) -> Outcome:
    """Plan."""
    from shipseg_tiles.inference.planning import total
    from shipseg_tiles.nets.contract import default_weights

    weights = options.weights or default_weights()
    plans, skipped = _planned(options.images, weights, options.tile, options.overlap)
    rate = _rate(options)
    everything = total(plans)
    data = {
        "weights": str(weights),
        "window": options.window,
        "skipped": skipped,
        **everything,
        "seconds_per_megapixel": rate,
        "seconds": None if rate is None else rate * everything["megapixels"],
        "sizes": [plan.numbers() for plan in plans],
    }
    return Outcome(_summary(data), data)


def _planned(images: Path, weights: Path, tile: int | None, overlap: float | None) -> "tuple[list[SizePlan], int]":
    """Plan the prediction of all images; return also how many were left out because they are bad."""
    from shipseg_tiles.images import list_images
    from shipseg_tiles.inference.planning import plan_sizes
    from shipseg_tiles.nets.contract import changed_contract

    contract = changed_contract(weights, tile=tile, overlap=overlap)
    paths = list_images(images)
    sizes = _sizes(paths)
    if not sizes:
        raise InputError("none of the images could be read; the warnings above say why")
    return plan_sizes(sizes, contract), len(paths) - sizes.total()


def _sizes(paths: "Sequence[AnyPath]") -> Counter[tuple[int, int]]:
    """Count images by (height, width), from their headers; bad ones are left out with a warning."""
    from tqdm import tqdm

    from shipseg_tiles.errors import warn_skipped
    from shipseg_tiles.images import read_size

    sizes: Counter[tuple[int, int]] = Counter()
    for path in tqdm(paths, desc="sizes", unit="image", disable=None):
        try:
            sizes[read_size(path)] += 1
        except InputError as error:
            warn_skipped(path.name, error)
    return sizes


def _rate(options: Options) -> float | None:
    """Return the seconds that a megapixel takes; None if nobody said."""
    if options.seconds_per_megapixel is None:
        return _rate_of(options.like) if options.like else None
    if not 0 < options.seconds_per_megapixel < float("inf"):
        raise InputError(f"seconds per megapixel {options.seconds_per_megapixel} must be above 0")
    return options.seconds_per_megapixel


def _rate_of(run: Path) -> float:
    """Divide the seconds of an earlier prediction by what is planned for it today."""
    from shipseg_tiles.inference.planning import total

    try:
        record = json.loads(run.read_text(encoding="utf-8"))
        seconds, count, how = float(record["seconds"]), int(record["images"]), record["options"]
        source = Path(how["images"]), Path(record["weights"]), int(how["tile"]), float(how["overlap"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{run} is no run.json of predict ({error!r}); give --seconds-per-megapixel") from None
    if record.get("resumed") or how.get("region"):
        raise InputError(f"{run} is of a run that left out pixels or was resumed; give --seconds-per-megapixel")
    planned = total(_planned(*source)[0])
    if planned["images"] != count:
        raise InputError(
            f"{run} is of {count} images, and {source[0]} has {planned['images']} now; give --seconds-per-megapixel"
        )
    return seconds / float(planned["megapixels"])


def _summary(data: Mapping[str, Any]) -> str:
    head = f"{'image':>15} {'images':>8} {'tile':>6} {'tiles':>9} {'twice':>7} {'megapixels':>11} {'MB':>8}"
    hidden = len(data["sizes"]) - _SIZES_SHOWN
    return "\n".join(
        [
            head,
            *(_row(f"{size['height']} x {size['width']}", size["tile"], size) for size in data["sizes"][:_SIZES_SHOWN]),
            *([f"{f'and {hidden} sizes':>15}"] if hidden > 0 else []),
            _row("all", "", data),
            f"memory: at most {_megabytes(data['image_bytes'])} MB for an image,"
            f" {_megabytes(data['line_bytes'])} MB for lines under tiles,"
            f" {_megabytes(data['batch_bytes'])} MB for a batch; what the net needs comes on top",
            _time(data),
        ]
    )


def _row(name: str, tile: object, numbers: Mapping[str, Any]) -> str:
    return (
        f"{name:>15} {numbers['images']:>8} {tile:>6} {numbers['tiles']:>9} {100 * numbers['computed_twice']:>5.0f} %"
        f" {numbers['megapixels']:>11.1f} {_megabytes(numbers['peak_bytes']):>8}"
    )


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f}"


def _time(data: Mapping[str, Any]) -> str:
    if data["seconds"] is None:
        return "time: unknown; give --like RUN.json of an earlier predict, or --seconds-per-megapixel"
    return f"time: {data['seconds']:.0f} s, at {data['seconds_per_megapixel']:.3g} s a megapixel"
