"""`shipseg-tiles demo`: all of it on synthetic scenes, ending with the true dice and a page to look at."""

import time
from dataclasses import dataclass
from pathlib import Path

from shipseg_tiles.cli import make_patches, predict, score, simulate, train
from shipseg_tiles.cli.common import CommonOptions, Outcome, option

TEST_SEED_STEP = 1_000_000
"""Test scenes come from another seed, so that the score is of scenes that training never saw."""


@dataclass(kw_only=True)
class Options(CommonOptions):
    """Options of `demo`."""

    out: Path = option("folder for everything that the demo makes", default=Path("demo"), metavar="DIR")
    images: int = option("number of scenes to train on; a quarter as many more to test on", default=160, metavar="N")
    epochs: int = option("epochs of the training", default=6, metavar="N")
    seed: int = option("the same seed makes the same scenes", default=0, metavar="S")


def run(options: Options) -> Outcome:
    """Run all verbs in their order."""
    began = time.monotonic()
    scenes, test, patches = options.out / "scenes", options.out / "test_scenes", options.out / "patches.h5"
    weights, predictions = options.out / "demo.keras", options.out / "predictions"
    labels = "train_ship_segmentations_v2.csv"
    test_images, test_labels = test / "train_v2", test / labels

    _step(simulate.run(simulate.Options(out=scenes, images=options.images, seed=options.seed)))
    test_seed = options.seed + TEST_SEED_STEP
    _step(simulate.run(simulate.Options(out=test, images=max(8, options.images // 4), seed=test_seed)))
    # Patches that overlap by half and a small net at a high rate: the most that 2 cores learn in two minutes.
    _step(
        make_patches.run(
            make_patches.Options(
                images=scenes / "train_v2", labels=scenes / labels, out=patches, stride=64, background_ratio=2
            )
        )
    )
    _step(
        train.run(
            train.Options(
                patches=patches, out=weights, width=8, depth=3, learning_rate=2e-3, epochs=options.epochs, patience=6
            )
        )
    )
    _step(predict.run(predict.Options(images=test_images, out=predictions, weights=weights)))
    scored = score.run(score.Options(labels=test_labels, predictions=predictions))
    page = options.out / "report.html"
    _write_page(page, test_images, test_labels, predictions, weights)

    seconds = time.monotonic() - began
    summary = f"{scored.summary}\ndone in {seconds:.0f} s; look at {page} and {predictions / 'pictures'}"
    return Outcome(summary, scored.data | {"seconds": round(seconds, 1), "page": str(page)})


def _step(outcome: Outcome) -> None:
    print(outcome.summary, flush=True)


def _write_page(page: Path, images: Path, labels: Path, predictions: Path, weights: Path) -> None:
    from shipseg_tiles.archive.archive import open_archive
    from shipseg_tiles.archive.labels import read_labels
    from shipseg_tiles.report.page import write_page
    from shipseg_tiles.scoring.score import score_labels

    archive = open_archive(images, labels)
    predicted = read_labels(predictions / "submission.csv")
    curves = weights.with_suffix(".training") / "curves.png"
    scores = score_labels(archive.labels, predicted)
    write_page(page, "Ships in synthetic scenes", archive, predicted, scores, curves=curves)
