"""`shipseg-tiles predict`: images and scenes of any size to masks, pictures, vectors and a submission."""

import sys
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shipseg_tiles.cli.common import CommonOptions, Outcome, option, quiet_import

if TYPE_CHECKING:
    from shipseg_tiles.inference.prediction import PredictOptions
    from shipseg_tiles.jobs import Job
    from shipseg_tiles.nets.contract import Contract
    from shipseg_tiles.zipped import AnyPath


@dataclass(kw_only=True)
class Options(CommonOptions):
    """Options of `predict`."""

    images: Path = option("folder or zip of images and GeoTIFFs, or one of them", metavar="DIR_OR_FILE")
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
    gate: str = option(
        "weights of a gate, which decides which tiles the net is shown, or off (default: NAME.gate.keras beside"
        " the weights NAME.keras, if it is there)",
        default="",
        metavar="FILE.keras",
    )
    classifier: Path | None = option(
        "weights of a classifier: images in which it sees no ship get an empty mask at once",
        default=None,
        type=Path,
        metavar="FILE.keras",
    )
    engine: str = option("what runs the net", default="keras", choices=["keras", "openvino"])
    precision: str = option("of the net's arithmetic", default="float32", choices=["float32", "bfloat16", "int8"])
    symmetries: bool = option(
        "take the mean over the 8 symmetries of each tile, at 8 times the cost", default=False, action="store_true"
    )
    region: str = option(
        "predict only this part of each image; its pixels are as without it",
        default="",
        metavar="ROW,COLUMN,HEIGHT,WIDTH",
    )
    bands: str = option("bands of scenes that are red, green and blue, such as 3,2,1", default="", metavar="R,G,B")
    scale: str = option("values of scenes that become 0 and 255, such as 0,3000", default="", metavar="LOW,HIGH")
    probabilities: bool = option("also write them, 255 times, to probabilities/", default=False, action="store_true")
    disagreement: bool = option(
        "also write how far overlapping tiles disagree, their standard deviation 510 times, to disagreement/",
        default=False,
        action="store_true",
    )
    vectors: bool = option(
        "also write the ships of images as GeoJSON to vectors/, as is done for scenes",
        default=False,
        action="store_true",
    )
    pictures: int = option("draw image, mask and both combined for so many images", default=20, metavar="N")
    cluster: str = option(
        "share the work on a Dask cluster: its scheduler, or local:N for N processes here",
        default="",
        metavar="ADDRESS",
    )


def run(options: Options) -> Outcome:
    """Predict."""
    from shipseg_tiles.files import write_json
    from shipseg_tiles.images import list_images
    from shipseg_tiles.jobs import open_job
    from shipseg_tiles.nets.contract import read_contract

    paths = list_images(options.images)
    for needed in (_weights(options), options.classifier, _gate(options)):
        if needed:
            read_contract(needed)  # before the slow import, so that a wrong path is answered at once
    with quiet_import():
        from shipseg_tiles.inference.prediction import load_nets

    how = _predict_options(options)
    predictor, classifier = load_nets(how)
    began = time.monotonic()
    with open_job(options.out / "run.json", _recorded(options, how)) as job:
        counts = _predict(options, how, paths, job)
    run_record = {
        "weights": str(how.weights),
        "weights_sha256": predictor.contract.weights_sha256,
        "options": _in_use(options, how, predictor.contract),
        "classifier": classifier and _net_record(how.classifier, classifier.contract),
        "gate": how.gate and _net_record(how.gate, read_contract(how.gate)),
        **counts,
        "skipped": len(paths) - counts["images"],
        "resumed": job.resumed,
        "seconds": round(time.monotonic() - began, 3),
    }
    write_json(options.out / "run.json", run_record)
    return Outcome(_summary(run_record, options.out), run_record)


def _predict(options: Options, how: "PredictOptions", paths: "list[AnyPath]", job: "Job") -> dict[str, Any]:
    from shipseg_tiles.inference.prediction import predict_files
    from shipseg_tiles.processes import open_workers
    from shipseg_tiles.report.predictions import PredictionFolder

    folder = PredictionFolder(options.out, how, options.pictures, options.vectors)
    if not job.resumed:
        folder.forget()  # of a run whose record somebody removed, to begin anew
        job.save()
    todo = {path.name: path for path in paths if path.name not in folder.records}
    try:
        with open_workers(1, options.cluster) if options.cluster else nullcontext() as cluster:
            for prediction in predict_files(how, list(todo.values()), folder.strips, cluster):
                folder.add(prediction, todo[prediction.name])
                prediction.forget_strips()
    except KeyboardInterrupt:
        print("what is done is kept: go on with the same command", file=sys.stderr)
        raise
    finally:
        if folder.is_empty:
            job.forget()  # nothing stands in the way of other options
    return folder.finish()


def _weights(options: Options) -> Path:
    from shipseg_tiles.nets.contract import default_weights

    return options.weights or default_weights()


def _gate(options: Options) -> Path | None:
    from shipseg_tiles.nets.contract import gate_path

    if options.gate == "off":
        return None
    beside = gate_path(_weights(options))
    return Path(options.gate) if options.gate else beside if beside.is_file() else None


def _predict_options(options: Options) -> "PredictOptions":
    from shipseg_tiles.inference.prediction import PredictOptions
    from shipseg_tiles.inference.scenes import parse_bands, parse_scale
    from shipseg_tiles.tiling import parse_region

    given = {field.name for field in fields(PredictOptions)} & set(vars(options))
    return PredictOptions(
        **{name: getattr(options, name) for name in given}
        | {
            "weights": _weights(options),
            "gate": _gate(options),
            "region": parse_region(options.region) if options.region else None,
            "bands": parse_bands(options.bands) if options.bands else None,
            "scale": parse_scale(options.scale) if options.scale else None,
            "rasters": ("probability",) * options.probabilities + ("disagreement",) * options.disagreement,
        }
    )


def _recorded(options: Options, how: "PredictOptions") -> dict[str, Any]:
    """Return all flags that decide the result, with nets by what is in them: a changed net is another option."""
    from shipseg_tiles.nets.contract import read_contract

    others = {"json", "config", "out", "pictures", "cluster"}
    flags = {name: None if value == "" else value for name, value in vars(options).items() if name not in others}
    nets = {name: getattr(how, name) for name in ("weights", "gate", "classifier")}
    shown = {name: path and read_contract(path).weights_sha256 for name, path in nets.items()}
    return flags | shown | {"images": str(options.images)}


def _in_use(options: Options, how: "PredictOptions", contract: "Contract") -> dict[str, Any]:
    """Return the options as they came to be used, those that were left to the contract among them."""
    named = {name: getattr(contract, name) for name in ("tile", "overlap", "threshold", "minimum_area")}
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
