"""`shipseg-tiles check-seams`: how far tiled prediction is from whole-image prediction."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from shipseg_tiles.cli.common import Outcome, quiet_import
from shipseg_tiles.cli.options import CommonOptions, PixelOptions, WindowOptions, option
from shipseg_tiles.errors import InputError

if TYPE_CHECKING:
    from shipseg_tiles.scoring.seams import SeamOptions, Seams
    from shipseg_tiles.zipped import AnyPath

Number = TypeVar("Number", int, float)


@dataclass(kw_only=True)
class _Folders(CommonOptions):
    images: Path = option("folder or zip of images, or one image", metavar="DIR_OR_FILE")
    out: Path = option("folder for seams.csv, profile.csv and seams.png", metavar="DIR")


@dataclass(kw_only=True)
class Options(PixelOptions, WindowOptions, _Folders):
    """Options of `check-seams`."""

    tiles: str = option("sides of tiles in pixels, with commas between", default="128,256,384", metavar="A,B,C")
    overlaps: str = option(
        "shares of its side that a tile shares with the next, with commas between",
        default="0,0.25,0.5",
        metavar="A,B,C",
    )
    limit: int = option("look at so many of the images, evenly spaced", default=5, metavar="N")
    tolerance: float = option("difference of probabilities that does not matter", default=0.05, metavar="P")


def run(options: Options) -> Outcome:
    """Measure, draw and recommend."""
    from shipseg_tiles.images import list_images
    from shipseg_tiles.nets.contract_file import segmenter_contract
    from shipseg_tiles.scoring.seams import SeamOptions

    weights = options.segmenter()
    contract = segmenter_contract(weights, pixel_size=options.pixel_size)
    asked = SeamOptions(
        contract,
        _numbers(options.tiles, int, "tiles"),
        _numbers(options.overlaps, float, "overlaps"),
        options.window,  # type: ignore[arg-type]  # the parser lets only window names through
        options.tolerance,
    )
    paths = _chosen(list_images(options.images), options.limit)
    seams = _measured(weights, paths, asked)
    from shipseg_tiles.report.seams import seam_numbers, write_seams

    numbers = seam_numbers(seams, asked)
    write_seams(numbers, options.out)
    data = {
        "weights": str(weights),
        "weights_sha256": contract.weights_sha256,
        "window": options.window,
        "threshold": contract.threshold,
        "skipped": len(paths) - seams.images,
        **numbers,
    }
    return Outcome(_summary(data, asked, options.out), data)


def _chosen(paths: "Sequence[AnyPath]", limit: int) -> "list[AnyPath]":
    """Return at most `limit` of the images, evenly spaced."""
    if limit < 1:
        raise InputError(f"limit {limit} must be 1 or more")
    count = min(limit, len(paths))
    return [paths[number * len(paths) // count] for number in range(count)]


def _numbers(text: str, kind: Callable[[str], Number], name: str) -> tuple[Number, ...]:
    """Read distinct numbers with commas between, in ascending order."""
    try:
        return tuple(sorted({kind(part) for part in text.split(",")}))
    except ValueError:
        raise InputError(f"{name} {text!r} must be numbers with commas between") from None


def _measured(weights: Path, paths: "Sequence[AnyPath]", asked: "SeamOptions") -> "Seams":
    from shipseg_tiles.scoring.seams import measure_seams

    with quiet_import():
        from shipseg_tiles.images import readable_images
        from shipseg_tiles.inference.predictor import Predictor

    return measure_seams(
        readable_images(paths, "check-seams"),
        Predictor.load(weights, pixel_size=asked.contract.pixel_size).predict_tiles,
        asked,
    )


def _summary(data: Mapping[str, Any], asked: "SeamOptions", out: Path) -> str:
    from shipseg_tiles.report.seams import seams_table

    measured = [profile["tile"] for profile in data["profiles"]]
    return "\n".join(
        [
            f"{data['images']} images in tiles against the same images as a whole,"
            f" {data['skipped']} skipped: {out / 'seams.png'}",
            seams_table(data["stitched"]),
            *(_advice(profile, data["tolerance"]) for profile in data["profiles"]),
            *(f"tile {tile}: no image is that large" for tile in asked.tiles if tile not in measured),
            f"receptive field by the contract: {data['receptive_field']} px",
            *_doubt(data),
        ]
    )


def _doubt(data: Mapping[str, Any]) -> list[str]:
    """Say so if there was nothing that a seam could cut."""
    if any(row["ship_pixels"] for row in data["stitched"]):
        return []
    return ["no ship was seen in any image, so that even bad tiles look good: give images with ships"]


def _advice(profile: Mapping[str, Any], tolerance: float) -> str:
    """Say in a line how far from its border a tile can be trusted, and which overlap follows."""
    tile, halo, overlap = profile["tile"], profile["halo"], profile["overlap"]
    if not profile["pixels"]:
        return f"tile {tile}: every image is one tile"
    if halo is None:
        return f"tile {tile}: differs by {tolerance:g} or more at any distance from its border; use larger tiles"
    trusted = f"tile {tile}: differs by less than {tolerance:g} from {halo} px on"
    return f"{trusted}: overlap {overlap:.4g}" if overlap is not None else f"{trusted}: use larger tiles"
