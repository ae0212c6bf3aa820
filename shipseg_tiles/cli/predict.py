"""`shipseg-tiles predict`: images of any size to masks, pictures and a submission."""

import time
from dataclasses import dataclass
from pathlib import Path

from shipseg_tiles.cli.common import CommonOptions, Outcome, option, quiet_import


@dataclass(kw_only=True)
class Options(CommonOptions):
    """Options of `predict`."""

    images: Path = option("folder or zip of images, or one image", metavar="DIR_OR_FILE")
    out: Path = option("folder for masks/, pictures/, submission.csv and run.json", metavar="DIR")
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
        "how overlapping tiles are blended", default="hann", choices=["uniform", "hann", "gaussian", "core"]
    )
    threshold: float | None = option(
        "probability above which a pixel is ship (default: the contract's)", default=None, type=float, metavar="P"
    )
    minimum_area: int | None = option(
        "drop ships of fewer pixels (default: the contract's)", default=None, type=int, metavar="N"
    )
    pictures: int = option("draw image, mask and both combined for so many images", default=20, metavar="N")


def run(options: Options) -> Outcome:
    """Predict."""
    from shipseg_tiles.files import write_json
    from shipseg_tiles.images import list_images
    from shipseg_tiles.nets.contract import default_weights, read_contract

    paths = list_images(options.images)
    weights = options.weights or default_weights()
    read_contract(weights)  # before the slow import, so that a wrong path is answered at once
    with quiet_import():
        from shipseg_tiles.inference.predictor import Predictor, predict_files
        from shipseg_tiles.report.predictions import write_predictions

    predictor = Predictor.load(
        weights,
        options.window,  # type: ignore[arg-type]  # the parser lets only window names through
        tile=options.tile,
        overlap=options.overlap,
        threshold=options.threshold,
        minimum_area=options.minimum_area,
    )
    began = time.monotonic()
    counts = write_predictions(predict_files(predictor, paths), options.out, options.pictures)
    run_record = {
        "weights": str(weights),
        "weights_sha256": predictor.contract.weights_sha256,
        "options": {
            name: getattr(predictor.contract, name) for name in ("tile", "overlap", "threshold", "minimum_area")
        }
        | {"window": options.window, "images": str(options.images)},
        **counts,
        "skipped": len(paths) - counts["images"],
        "seconds": round(time.monotonic() - began, 3),
    }
    write_json(options.out / "run.json", run_record)
    summary = (
        f"{counts['ships']} ships in {counts['images_with_ships']} of {counts['images']} images,"
        f" {run_record['skipped']} skipped, {run_record['seconds']:.1f} s: {options.out}"
    )
    return Outcome(summary, run_record)
