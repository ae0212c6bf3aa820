"""`shipseg-tiles plan`: what a prediction will take, without running it."""

import json
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shipseg_tiles.cli.common import Outcome
from shipseg_tiles.cli.options import CommonOptions, TilingOptions, option
from shipseg_tiles.errors import InputError, none_readable

if TYPE_CHECKING:
    from shipseg_tiles.inference.planning import SizePlan
    from shipseg_tiles.nets.contract import Contract
    from shipseg_tiles.zipped import AnyPath

_SIZES_SHOWN = 10
"""The summary lists the most frequent sizes of images; the JSON has them all."""


@dataclass(kw_only=True)
class _Images(CommonOptions):
    images: Path = option("folder or zip of images, or one image", metavar="DIR_OR_FILE")


@dataclass(kw_only=True)
class Options(TilingOptions, _Images):
    """Options of `plan`; those of the same name are those of `predict`."""

    seconds_per_megapixel: float | None = option(
        "time that a million pixels of tiles take, to tell the time of all", default=None, metavar="S"
    )
    like: Path | None = option(
        "take that time, and the share of tiles that a gate lets the net see, from the run.json of an earlier predict"
        " on this machine",
        default=None,
        metavar="RUN.json",
    )


@dataclass(frozen=True)
class _EarlierRun:
    """What the run.json of an earlier `predict` tells.

    Attributes:
        weights_sha256: Of its net.
        seconds_per_megapixel: Of what its net was shown.
        seen: Share of the tiles that its gate let the net see, 0 to 1; None if there was no gate.
    """

    weights_sha256: str
    seconds_per_megapixel: float
    seen: float | None


def run(options: Options) -> Outcome:
    """Plan."""
    from shipseg_tiles.inference.planning import total
    from shipseg_tiles.nets.contract_file import segmenter_contract

    earlier = _read_run(options.like) if options.like else None
    names = ("tile", "overlap", "symmetries", "pixel_size")
    contract = segmenter_contract(options.segmenter(), **{name: getattr(options, name) for name in names})
    if earlier and earlier.weights_sha256 != contract.weights_sha256:
        warnings.warn(
            f"{options.like} is of other weights than {options.segmenter()}, which may take longer", stacklevel=2
        )
    plans, skipped = _planned(options, contract)
    everything = total(plans)
    gate, gated = _gated(options, contract, plans)
    seen = 1.0 if gate is None else earlier.seen if earlier else None
    data = {
        "weights": str(options.segmenter()),
        "window": options.window,
        "gate": gate and str(gate),
        "views": plans[0].views,
        "skipped": skipped,
        **everything,
        **_load(everything["megapixels"], gated, seen, _rate(options, earlier)),
        "sizes": [plan.numbers() for plan in plans],
    }
    return Outcome(_summary(data), data)


def _gated(options: Options, contract: "Contract", plans: "Sequence[SizePlan]") -> tuple[Path | None, float]:
    """Return the weights of the gate, None if it skips nothing, and the megapixels of the tiles that it may skip."""
    from shipseg_tiles.nets.contract import gate_threshold
    from shipseg_tiles.nets.contract_file import contract_in_front

    weights = options.gate_weights()
    if weights is None:
        return None, 0.0
    gate = contract_in_front(weights, contract, options.pixel_size)
    skips = [gate_threshold(gate, plan.grid.tile, contract.gate) is not None for plan in plans]
    megapixels = sum(plan.megapixels for plan, skip in zip(plans, skips, strict=True) if skip)
    return weights if megapixels else None, megapixels


def _load(most: float, gated: float, seen: float | None, rate: float | None) -> dict[str, float | None]:
    """Say what the net is shown, in megapixels, and the seconds that it takes; None for what nobody knows."""
    least, most = (most - gated, most) if seen is None else (seen * most, seen * most)
    return {
        "seen": seen,
        "least_megapixels": least,
        "most_megapixels": most,
        "seconds_per_megapixel": rate,
        "least_seconds": None if rate is None else rate * least,
        "seconds": None if rate is None else rate * most,
    }


def _planned(options: Options, contract: "Contract") -> "tuple[list[SizePlan], int]":
    """Plan the prediction of all images; return also how many were left out because they are bad."""
    from shipseg_tiles.images import list_images
    from shipseg_tiles.inference.planning import plan_sizes

    paths = list_images(options.images)
    images, scenes = _sizes(paths)
    if not images + scenes:
        raise none_readable()
    plans = plan_sizes(images, contract, scenes)
    return plans, len(paths) - images.total() - scenes.total()


def _sizes(paths: "Sequence[AnyPath]") -> tuple[Counter[tuple[int, int]], Counter[tuple[int, int]]]:
    """Count images and scenes by (height, width), from their headers; bad ones are left out with a warning."""
    from tqdm import tqdm

    from shipseg_tiles.errors import warn_skipped
    from shipseg_tiles.images import read_size
    from shipseg_tiles.inference.scenes import is_scene, read_scene_size

    images: Counter[tuple[int, int]] = Counter()
    scenes: Counter[tuple[int, int]] = Counter()
    for path in tqdm(paths, desc="sizes", unit="image", disable=None):
        try:
            if is_scene(path):
                scenes[read_scene_size(path)] += 1
            else:
                images[read_size(path)] += 1
        except InputError as error:
            warn_skipped(path.name, error)
    return images, scenes


def _rate(options: Options, earlier: _EarlierRun | None) -> float | None:
    """Return the seconds that a megapixel takes; None if nobody said."""
    if options.seconds_per_megapixel is None:
        return earlier.seconds_per_megapixel if earlier else None
    if not 0 < options.seconds_per_megapixel < float("inf"):
        raise InputError(f"seconds per megapixel {options.seconds_per_megapixel} must be above 0")
    return options.seconds_per_megapixel


def _read_run(path: Path) -> _EarlierRun:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        seconds, megapixels = float(record["seconds"]), float(record["net_megapixels"])
        tiles, skipped, gate = int(record["tiles"]), int(record["tiles_skipped"]), record["gate"]
        weights = str(record["weights_sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no run.json of predict ({error!r}); give --seconds-per-megapixel") from None
    if record.get("resumed") or not megapixels > 0:
        raise InputError(f"{path} is of a run that was resumed or showed its net nothing; give --seconds-per-megapixel")
    return _EarlierRun(weights, seconds / megapixels, 1 - skipped / tiles if gate else None)


def _summary(data: Mapping[str, Any]) -> str:
    head = f"{'image':>15} {'images':>8} {'tile':>6} {'tiles':>9} {'twice':>7} {'megapixels':>11} {'MB':>8}"
    hidden = len(data["sizes"]) - _SIZES_SHOWN
    return "\n".join(
        [
            head,
            *(_row(f"{size['height']} x {size['width']}", size["tile"], size) for size in data["sizes"][:_SIZES_SHOWN]),
            *([f"{f'and {hidden} sizes':>15}"] if hidden > 0 else []),
            _row("all", "", data),
            f"memory of each image: at most {_megabytes(data['image_bytes'])} MB for its pixels,"
            f" {_megabytes(data['line_bytes'])} MB for lines under tiles,"
            f" {_megabytes(data['batch_bytes'])} MB for a batch; what the net needs comes on top",
            *_seen(data),
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


def _seen(data: Mapping[str, Any]) -> list[str]:
    """Say in a line what the gate lets the net see, if there is one."""
    if data["gate"] is None:
        return []
    if data["seen"] is None:
        return [
            f"gate: the net is shown {data['least_megapixels']:.1f} to {data['most_megapixels']:.1f} megapixels;"
            " --like RUN.json of a run with a gate tells the share"
        ]
    return [f"gate: {100 * data['seen']:.0f} % of the tiles are shown, {data['most_megapixels']:.1f} megapixels"]


def _time(data: Mapping[str, Any]) -> str:
    if data["seconds"] is None:
        return "time: unknown; give --like RUN.json of an earlier predict, or --seconds-per-megapixel"
    least = "" if data["seen"] is not None else f"{data['least_seconds']:.0f} to "
    return f"time: {least}{data['seconds']:.0f} s, at {data['seconds_per_megapixel']:.3g} s a megapixel"
