"""`shipseg-tiles classify`: ship or no ship for each image, as a CSV."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shipseg_tiles.cli.common import Outcome, number, quiet_import
from shipseg_tiles.cli.options import CommonOptions, option
from shipseg_tiles.errors import none_readable, warn_all_skipped


@dataclass(kw_only=True)
class Options(CommonOptions):
    """Options of `classify`."""

    weights: Path = option("weights of a classifier with their contract beside them", metavar="FILE.keras")
    images: Path = option("folder or zip of images, or one image", metavar="DIR_OR_FILE")
    out: Path = option("CSV to write: ImageId,probability,ship", metavar="CSV")
    labels: Path | None = option(
        "CSV of run-length rows, or folder of mask PNGs, to say how many answers are right",
        default=None,
        metavar="CSV",
    )
    threshold: float | None = option(
        "probability above which an image shows a ship (default: the contract's)", default=None, metavar="P"
    )


def run(options: Options) -> Outcome:
    """Classify."""
    from shipseg_tiles.files import write_text
    from shipseg_tiles.images import list_images, readable_images
    from shipseg_tiles.nets.contract_file import read_contract

    paths = list_images(options.images)
    read_contract(options.weights)  # before the slow import, so that a wrong path is answered at once
    truth = _truth(options.images, options.labels, [path.name for path in paths]) if options.labels else None
    with quiet_import():
        from shipseg_tiles.inference.classifier import Classifier

    classifier = Classifier.load(options.weights, options.threshold)
    began = time.monotonic()
    probabilities = {name: classifier.probability(image) for name, image in readable_images(paths, "classify")}
    if not probabilities:
        raise none_readable()
    threshold = classifier.contract.threshold
    answers = {name: probability > threshold for name, probability in probabilities.items()}
    scores = _scores(answers, truth) if truth is not None else {}
    write_text(options.out, _csv(probabilities, answers))
    data = {
        "weights": str(options.weights),
        "weights_sha256": classifier.contract.weights_sha256,
        "threshold": threshold,
        "images": len(answers),
        "images_with_ships": sum(answers.values()),
        "skipped": len(paths) - len(answers),
        "seconds": round(time.monotonic() - began, 3),
        **scores,
    }
    return Outcome(_summary(data, options.out), data)


def _truth(images: Path, labels: Path, names: list[str]) -> dict[str, bool]:
    """Say of each labelled image whether it has a ship; warn of labels without image and images without label."""
    from shipseg_tiles.archive.archive import open_archive

    archive = open_archive(images, labels)
    unlabelled = [f"score of {name}" for name in names if name not in archive.files]
    warn_all_skipped(unlabelled, f"it has no label in {labels}")
    return {name: archive.labels.pixel_indices(name, size).size > 0 for name, size in archive.sizes().items()}


def _scores(answers: Mapping[str, bool], truth: Mapping[str, bool]) -> dict[str, Any]:
    """Compare the answers with the truth, where there is one."""
    import numpy as np

    from shipseg_tiles.scoring.classification import compare_labels

    both = [name for name in answers if name in truth]
    if not both:
        raise none_readable("labelled images")
    found = compare_labels(np.array([answers[name] for name in both]), np.array([truth[name] for name in both]))
    return {"labelled_images": len(both), **found.summary()}


def _csv(probabilities: Mapping[str, float], answers: Mapping[str, bool]) -> str:
    import pandas as pd

    rows = [(name, probability, int(answers[name])) for name, probability in probabilities.items()]
    table = pd.DataFrame(rows, columns=["ImageId", "probability", "ship"])
    # Nine digits tell any two float32 apart.
    return str(table.to_csv(index=False, float_format="%.9g", lineterminator="\n"))


def _summary(data: Mapping[str, Any], out: Path) -> str:
    lines = [
        f"{data['images_with_ships']} of {data['images']} images show ships,"
        f" {data['skipped']} skipped, {data['seconds']:.1f} s: {out}"
    ]
    if "f1" in data:
        scores = ", ".join(f"{word} {number(data[name], '.4f')}" for word, name in _SCORES.items())
        lines.append(f"{scores} over {data['labelled_images']} labelled images, at the threshold {data['threshold']:g}")
    return "\n".join(lines)


_SCORES = {"F1": "f1", "precision": "precision", "recall": "recall"}
