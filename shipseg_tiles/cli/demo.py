"""`shipseg-tiles demo`: all of it on synthetic scenes, ending with the true dice and a page to look at."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shipseg_tiles.cli import make_patches, predict, report, score, simulate, train
from shipseg_tiles.cli.common import Outcome
from shipseg_tiles.cli.options import CommonOptions, option

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
    out, predictions = options.out, options.out / "predictions"
    known = _simulate(out / "scenes", options.images, options.seed)
    unseen = _simulate(out / "test_scenes", max(8, options.images // 4), options.seed + TEST_SEED_STEP)
    weights = _train(out, known, options.epochs)
    _step(predict.run(predict.Options(images=unseen.images, out=predictions, weights=weights, probabilities=True)))
    scored = score.run(score.Options(labels=unseen.labels, predictions=predictions))
    page = _write_report(out / "report.html", unseen, predictions)
    seconds = time.monotonic() - began
    summary = f"{scored.summary}\ndone in {seconds:.0f} s; look at {page} and {predictions / 'pictures'}"
    return Outcome(summary, scored.data | {"seconds": round(seconds, 1), "page": str(page)})


@dataclass(frozen=True)
class _Scenes:
    """Where simulated scenes and their labels are."""

    images: Path
    labels: Path


def _simulate(out: Path, images: int, seed: int) -> _Scenes:
    made = _step(simulate.run(simulate.Options(out=out, images=images, seed=seed)))
    return _Scenes(Path(made["images"]), Path(made["labels"]))


def _train(out: Path, scenes: _Scenes, epochs: int) -> Path:
    """Overlapping patches and a small net at a high rate: the most that 2 cores learn in two minutes."""
    patches, weights = out / "patches.h5", out / "demo.keras"
    cut = make_patches.Options(images=scenes.images, labels=scenes.labels, out=patches, stride=64, background_ratio=2.0)
    _step(make_patches.run(cut))
    learn = train.Options(
        patches=[patches], out=weights, width=8, depth=3, learning_rate=2e-3, epochs=epochs, patience=6
    )
    _step(train.run(learn))
    return weights


def _step(outcome: Outcome) -> dict[str, Any]:
    print(outcome.summary, flush=True)
    return outcome.data


def _write_report(page: Path, scenes: _Scenes, predictions: Path) -> Path:
    title = "Ships in synthetic scenes"
    shown = report.Options(predictions=predictions, labels=scenes.labels, images=scenes.images, out=page, title=title)
    _step(report.run(shown))
    return page
