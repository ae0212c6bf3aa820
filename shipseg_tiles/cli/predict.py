"""`shipseg-tiles predict`: images and scenes of any size to masks, pictures, vectors and a submission."""

import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shipseg_tiles.cli.common import Outcome, interrupts, quiet_import
from shipseg_tiles.cli.options import CommonOptions, EngineOptions, SceneOptions, TilingOptions, option
from shipseg_tiles.errors import InputError, warn_skipped

if TYPE_CHECKING:
    from shipseg_tiles.inference.options import PredictOptions
    from shipseg_tiles.jobs import Job
    from shipseg_tiles.nets.contract import Contract
    from shipseg_tiles.report.predictions import PredictionFolder
    from shipseg_tiles.zipped import AnyPath


@dataclass(kw_only=True)
class _Folders(CommonOptions):
    images: Path = option("folder or zip of images and GeoTIFFs, or one of them", metavar="DIR_OR_FILE")
    out: Path = option("folder for masks/, pictures/, submission.csv and run.json", metavar="DIR")


@dataclass(kw_only=True)
class Options(EngineOptions, SceneOptions, TilingOptions, _Folders):
    """Options of `predict`."""

    threshold: float | None = option(
        "probability above which a pixel is ship (default: the contract's)", default=None, metavar="P"
    )
    minimum_area: int | None = option("drop ships of fewer pixels (default: the contract's)", default=None, metavar="N")
    minimum_score: float | None = option(
        "drop ships of a lower mean probability (default: the contract's)", default=None, metavar="P"
    )
    separate_touching: str = option(
        "cut objects where they are narrow if the parts are better rectangles (default: the contract's)",
        default="",
        choices=["on", "off"],
    )
    classifier: Path | None = option(
        "weights of a classifier: images in which it sees no ship get an empty mask at once",
        default=None,
        metavar="FILE.keras",
    )
    region: str = option(
        "predict only this part of each image; its pixels are as without it",
        default="",
        metavar="ROW,COLUMN,HEIGHT,WIDTH",
    )
    probabilities: bool = option("also write them, 255 times, to probabilities/", default=False)
    disagreement: bool = option(
        "also write how far overlapping tiles disagree, their standard deviation 510 times, to disagreement/",
        default=False,
    )
    vectors: bool = option(
        "also write the ships of images as GeoJSON to vectors/, as is done for scenes",
        default=False,
    )
    pictures: int = option("draw image, mask and both combined for so many images", default=20, metavar="N")
    cluster: str = option(
        "share the work on a Dask cluster: its scheduler, or local:N for N processes here",
        default="",
        metavar="ADDRESS",
    )


def run(options: Options) -> Outcome:
    """Predict."""
    from shipseg_tiles.archive.prediction_files import RECORD
    from shipseg_tiles.images import list_images
    from shipseg_tiles.jobs import open_job

    paths, how = list_images(options.images), _asked(options)
    _check(options, how, paths)  # before the slow import, so that a slip is answered at once
    with quiet_import():
        from shipseg_tiles.inference.prediction_nets import load_nets
        from shipseg_tiles.report.predictions import PredictionFolder

    load_nets(how)  # what is wrong with them is told before anything is written
    began = time.monotonic()
    with open_job(options.out / RECORD, _recorded(options, how)) as job:
        folder = PredictionFolder(options.out, how, options.pictures, options.vectors)
        skipped = _predict(how, paths, folder, job, options.cluster)
        seconds = round(time.monotonic() - began, 3)
        rest = {"skipped": skipped, "resumed": job.resumed, "seconds": seconds}
        record = folder.finish(_origin(options, how) | rest)
    return Outcome(_summary(record, options.out), record)


def _check(options: Options, how: "PredictOptions", paths: "list[AnyPath]") -> None:
    """Refuse what can be known to be wrong without any net."""
    from shipseg_tiles.inference.geotiff import check_spelled, import_rasterio
    from shipseg_tiles.inference.scenes import is_scene
    from shipseg_tiles.inference.vectors import import_shapely
    from shipseg_tiles.names import by_stem, check_length

    if options.pictures < 0:
        raise InputError(f"pictures {options.pictures} must be 0 or more")
    how.contract()
    by_stem((path.name for path in paths), str(options.images))  # their masks would have one name
    scenes = [path for path in paths if is_scene(path)]
    if scenes:
        import_rasterio()
        check_spelled(options.out)
    if options.vectors or scenes:
        import_shapely()
        for path in paths if options.vectors else scenes:
            check_length(path.name, len(".geojson") - len(Path(path.name).suffix))


def _predict(
    how: "PredictOptions", paths: "list[AnyPath]", folder: "PredictionFolder", job: "Job", cluster: str
) -> int:
    """Predict what is not done yet and return how many images were skipped."""
    from shipseg_tiles.inference.predict import predict_files
    from shipseg_tiles.processes import open_workers

    if job.resumed:
        folder.take_up(paths)
    else:
        folder.begin(paths)
        job.save()
    todo = {path.name: path for path in paths if path.name not in folder.records}
    try:
        with (
            interrupts("what is done is kept: go on with the same command"),
            open_workers(1, cluster) if cluster else nullcontext() as executor,
        ):
            for prediction in predict_files(how, list(todo.values()), folder.strips, executor):
                try:
                    folder.add(prediction, todo[prediction.name])
                except InputError as error:
                    warn_skipped(prediction.name, error)
                else:
                    prediction.forget_strips()
    finally:
        if folder.is_empty:
            job.forget()  # nothing stands in the way of other options
    return len(todo.keys() - folder.records.keys())


def _asked(options: Options) -> "PredictOptions":
    """Return everything that decides what is predicted."""
    from shipseg_tiles.inference.options import PredictOptions
    from shipseg_tiles.tiling import parse_region

    given = {field.name for field in fields(PredictOptions)} & set(vars(options))
    return PredictOptions(
        **{name: getattr(options, name) for name in given}
        | {
            "weights": options.segmenter(),
            "gate": options.gate_weights(),
            "separate_touching": {"on": True, "off": False}.get(options.separate_touching),
            "region": parse_region(options.region) if options.region else None,
            **options.bands_and_scale(),
            "rasters": ("probability",) * options.probabilities + ("disagreement",) * options.disagreement,
        }
    )


def _recorded(options: Options, how: "PredictOptions") -> dict[str, Any]:
    """Return all flags that decide the result, with nets by what is in them: a changed net is another option."""
    others = {"json", "config", "out", "pictures", "cluster"}
    flags = {name: None if value == "" else value for name, value in vars(options).items() if name not in others}
    nets = {name: getattr(how, name) for name in ("weights", "gate", "classifier")}
    shown = {name: path and _identity(path) for name, path in nets.items()}
    return flags | shown | {"images": str(options.images)}


def _identity(weights: Path) -> str:
    """Name a net by what is in its file and in its contract, which may have been calibrated or edited since."""
    from shipseg_tiles.digests import checksum
    from shipseg_tiles.nets.weights_files import contract_path

    return f"{checksum(weights)}, contract: {checksum(contract_path(weights))[:16]}"


def _origin(options: Options, how: "PredictOptions") -> dict[str, Any]:
    """Say by which nets and options predictions were made."""
    from shipseg_tiles.inference.prediction_nets import load_nets

    nets = load_nets(how)
    contract = nets.predictor.contract
    return {
        "weights": str(how.weights),
        "weights_sha256": contract.weights_sha256,
        "options": _in_use(options, how, contract),
        "classifier": nets.classifier and _net_record(how.classifier, nets.classifier.contract),
        "gate": nets.gate and _net_record(how.gate, nets.gate.contract) | nets.gate.use(contract.tile),
    }


def _in_use(options: Options, how: "PredictOptions", contract: "Contract") -> dict[str, Any]:
    """Return the options as they came to be used, those that were left to the contract among them."""
    from shipseg_tiles.nets.contract import CHANGEABLE

    named = {name: getattr(contract, name) for name in CHANGEABLE}
    others = asdict(how)
    for net in ("weights", "gate", "classifier"):
        del others[net]
    return others | named | {"images": str(options.images)}


def _net_record(weights: Path | None, contract: "Contract") -> dict[str, Any]:
    return {"weights": str(weights), "weights_sha256": contract.weights_sha256, "threshold": contract.threshold}


def _summary(record: dict[str, Any], out: Path) -> str:
    passed_over = f" {record['passed_over']} passed over by the classifier," if record["classifier"] else ""
    return (
        f"{record['ships']} ships in {record['images_with_ships']} of {record['images']} images,{passed_over}"
        f" {record['skipped']} skipped, {record['seconds']:.1f} s: {out}"
    )
