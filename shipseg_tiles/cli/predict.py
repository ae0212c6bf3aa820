"""`shipseg-tiles predict`: images of any size to masks, pictures and a submission."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shipseg_tiles.cli.common import CommonOptions, Outcome, option, quiet_import

if TYPE_CHECKING:
    from shipseg_tiles.inference.classifier import Classifier
    from shipseg_tiles.inference.predictor import Prediction, Predictor


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
    classifier: Path | None = option(
        "weights of a classifier: images in which it sees no ship get an empty mask at once",
        default=None,
        type=Path,
        metavar="FILE.keras",
    )
    pictures: int = option("draw image, mask and both combined for so many images", default=20, metavar="N")


def run(options: Options) -> Outcome:
    """Predict."""
    from shipseg_tiles.files import write_json
    from shipseg_tiles.images import list_images
    from shipseg_tiles.nets.contract import default_weights, read_contract

    paths = list_images(options.images)
    weights = options.weights or default_weights()
    for needed in (weights, options.classifier):
        if needed:
            read_contract(needed)  # before the slow import, so that a wrong path is answered at once
    with quiet_import():
        from shipseg_tiles.inference.predictor import predict_files
        from shipseg_tiles.report.predictions import write_predictions

    predictor, classifier = _loaded(weights, options)
    began = time.monotonic()
    passed_over: list[str] = []
    predictions = _noted(predict_files(predictor, paths, classifier), passed_over)
    counts = write_predictions(predictions, options.out, options.pictures)
    run_record = {
        "weights": str(weights),
        "weights_sha256": predictor.contract.weights_sha256,
        "options": {
            name: getattr(predictor.contract, name) for name in ("tile", "overlap", "threshold", "minimum_area")
        }
        | {"window": options.window, "images": str(options.images)},
        "classifier": classifier and _classifier_record(options.classifier, classifier),
        **counts,
        "passed_over": len(passed_over),
        "skipped": len(paths) - counts["images"],
        "seconds": round(time.monotonic() - began, 3),
    }
    write_json(options.out / "run.json", run_record)
    return Outcome(_summary(run_record, options.out), run_record)


def _loaded(weights: Path, options: Options) -> "tuple[Predictor, Classifier | None]":
    from shipseg_tiles.inference.classifier import Classifier
    from shipseg_tiles.inference.predictor import Predictor

    predictor = Predictor.load(
        weights,
        options.window,  # type: ignore[arg-type]  # the parser lets only window names through
        tile=options.tile,
        overlap=options.overlap,
        threshold=options.threshold,
        minimum_area=options.minimum_area,
    )
    return predictor, Classifier.load(options.classifier) if options.classifier else None


def _noted(predictions: Iterator["Prediction"], passed_over: list[str]) -> Iterator["Prediction"]:
    """Hand the predictions on, and note the names of the images that the classifier passed over."""
    for prediction in predictions:
        if prediction.passed_over:
            passed_over.append(prediction.name)
        yield prediction


def _classifier_record(weights: Path | None, classifier: "Classifier") -> dict[str, Any]:
    contract = classifier.contract
    return {"weights": str(weights), "weights_sha256": contract.weights_sha256, "threshold": contract.threshold}


def _summary(record: dict[str, Any], out: Path) -> str:
    passed_over = f" {record['passed_over']} passed over by the classifier," if record["classifier"] else ""
    return (
        f"{record['ships']} ships in {record['images_with_ships']} of {record['images']} images,{passed_over}"
        f" {record['skipped']} skipped, {record['seconds']:.1f} s: {out}"
    )
